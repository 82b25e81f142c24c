"""The README is true: its snippets run, its commands and files exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from typer import testing
from typer.main import get_command
from typer.testing import CliRunner

from retina.cli import main
from retina.reports.markdown import markdown
from retina.search import experiment

CHECKOUT = Path(__file__).parent.parent
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_snippets_run_in_their_order(tmp_path, monkeypatch, capsys):
    """As a reader would: one after the other, in one session, in an empty folder."""
    assert len(SNIPPETS) >= 2
    monkeypatch.chdir(tmp_path)
    session: dict = {}
    for snippet in SNIPPETS:
        exec(compile(snippet, "README.md", "exec"), session)
    assert "ln" in capsys.readouterr().out
    assert (tmp_path / "frontier.svg").stat().st_size > 1000


def test_ones_own_recording_is_checked_fitted_and_scored(tmp_path, monkeypatch):
    """Its arrays, its card and its commands, as they stand there."""
    section = README.partition("## Your own recording")[2].partition("\n## ")[0]
    assert len(section.splitlines()) <= 44
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETINA_CACHE", str(tmp_path / "cache"))
    (arrays,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    exec(compile(arrays, "README.md", "exec"), {})
    (card,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    Path("mine.toml").write_text(card)
    commands = re.findall(r"`retina ((?:check|fit|score) [^`]+)`", section)
    assert [line.split()[0] for line in commands] == ["check", "fit", "score"]
    told = ""
    for line in commands:
        done = CliRunner().invoke(main.app, line.split())
        assert done.exit_code == 0, done.output
        told += done.output
    assert "no test stimulus in training" in told and "wrong" not in told
    assert float(re.findall(r"median (\d\.\d+) of 2 cells", told)[0]) > 0.5


def test_each_command_is_described_and_exists():
    named = set(re.findall(r"^\| `retina (\w+)", README, re.MULTILINE))
    assert named == set(main._COMMANDS)


def test_there_are_exactly_two_set_up_commands():
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    setups = [block for block in blocks if "-m venv" in block]
    assert len(setups) == 2
    assert all(len(block.strip().splitlines()) == 1 for block in setups)
    assert "retina sweep quickstart" in setups[0]
    assert "pytest" in setups[1]


def test_the_tables_of_the_frontier_are_those_of_its_result():
    place = CHECKOUT / "experiments" / "frontier"
    made = json.loads((place / "result.json").read_text(encoding="utf-8"))
    asked = experiment.read("frontier")
    lines = markdown(made, asked.y, asked.x).splitlines()
    assert len({row["model"] for row in made["points"]}) > 20
    for line in lines:
        assert line in README, f"{line}: copy {place.name}/table.md of the sweep again"


def test_linked_files_exist():
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (CHECKOUT / path).exists()


def test_help_of_each_command(monkeypatch):
    parsers = get_command(main.app)
    monkeypatch.setattr(testing, "_get_command", lambda app: parsers)
    for name in main._COMMANDS:
        done = CliRunner().invoke(main.app, [name, "--help"], prog_name="retina")
        assert done.exit_code == 0, done.output
        assert f"Usage: retina {name}" in done.stdout


def test_help_in_a_process_of_its_own():
    script = "import sys; sys.argv = ['retina', 'fit', '--help']; "
    script += "from retina.cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=CHECKOUT
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: retina fit" in done.stdout
