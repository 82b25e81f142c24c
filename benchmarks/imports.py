"""Seconds of whole processes: `import retina`, and `retina --help`.

python -m benchmarks.imports
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks import side_by_side
from benchmarks.side_by_side import ROOT, finish, options, parsed

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
    chosen = parsed(options(__doc__, rounds=10), arguments)
    seconds: dict[str, list[float]] = {name: [] for name in PROCESSES}
    rounds = 1 if chosen.small else chosen.rounds
    for turn in range(rounds + 1):
        for name, (code, _) in PROCESSES.items():
            took = whole_process(code)
            if turn:  # the first finds the files for those after it
                seconds[name].append(took)
    import retina

    report = {
        "name": "imports",
        "command": " ".join(["python", "-m", "benchmarks.imports", *chosen.given]),
        "date": side_by_side.today(),
        "machine": side_by_side.machine(),
        "settings": {},
        "contenders": [
            row(name, seconds[name], seconds["import retina"], most)
            | {"versions": {"retina": retina.__version__}}
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


def row(
    name: str, seconds: list[float], ours: list[float], most: float | None
) -> dict[str, Any]:
    median = statistics.median(seconds)
    ratios = [s / m for s, m in zip(seconds, ours, strict=True)]
    return {
        "name": name,
        "failed": "",
        "set_up_s": 0.0,
        "late_set_up_s": 0.0,
        "seconds": seconds,
        "median_s": median,
        "min_s": min(seconds),
        "max_s": max(seconds),
        "arrived": True,
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "reach": most,
        "absolute": True,
        "met": None if most is None else median < most,
    }


if __name__ == "__main__":
    main()
