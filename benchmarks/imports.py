"""Seconds of whole processes: `import retina`, and `retina --help`.

python -m benchmarks.imports
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from benchmarks.reports import ROOT, finish, machine, options, parsed, plain, today

PROCESSES = {
    "python -c pass": ("pass", None),
    "import retina": ("import retina", 0.5),
    "retina --help": (
        "import sys; sys.argv = ['retina', '--help']; "
        "from retina.cli.main import run; run()",
        0.7,
    ),
}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    chosen = parsed(options(__doc__, rounds=10, race=False), arguments)
    seconds: dict[str, list[float]] = {name: [] for name in PROCESSES}
    rounds = 1 if chosen.small else chosen.rounds
    for turn in range(rounds + 1):
        for name, (code, _) in PROCESSES.items():
            took = whole_process(code)
            if turn:  # the first finds the files for those after it
                seconds[name].append(took)
    import retina

    ours = seconds["import retina"]
    report = {
        "name": "imports",
        "command": " ".join(["python", "-m", "benchmarks.imports", *chosen.given]),
        "date": today(),
        "machine": machine(),
        "settings": {},
        "contenders": [
            plain(
                name,
                seconds[name],
                [s / m for s, m in zip(seconds[name], ours, strict=True)],
                versions={"retina": retina.__version__},
                most=most,
            )
            for name, (_, most) in PROCESSES.items()
        ],
    }
    finish(report, chosen)
    return report


def whole_process(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
