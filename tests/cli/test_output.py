"""Progress is a bar on a terminal and plain lines elsewhere; results are on stdout."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from retina.cli import output


def test_no_terminal_gives_plain_lines_on_stderr(retina):
    done = retina("fit", "tiny", "mean", "--out", "run", "--json")
    lines = done.err.splitlines()
    assert any(line.startswith("mean on tiny:") and "%" in line for line in lines)
    assert lines[-1] == "mean on tiny: 100 % done"
    assert "\x1b" not in done.err and "\r" not in done.err


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are posix")
def test_a_terminal_gets_a_bar(desk):
    ours, theirs = os.openpty()
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from retina.cli.main import run; run()"),
            *("fit", "tiny", "mean", "--out", "run"),
        ],
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=desk.folder,
        env=desk.environment | {"TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert done.returncode == 0
    text = seen.decode()
    assert "mean on tiny" in text and "━" in text and "\r" in text
    assert b"validation bits/spike" in done.stdout


def test_lines_are_few(monkeypatch, capsys):
    """A line at the start, one every ten seconds, and one at the end."""
    now = [0.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    with output.meter("work") as tell:
        for step in range(100):
            now[0] += 0.5
            tell(step / 100, "going")
        tell(1.0, "done")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "work:   0 % going",
        "work:  20 % going",
        "work:  40 % going",
        "work:  60 % going",
        "work:  80 % going",
        "work: 100 % done",
    ]


def test_how_far_a_fit_is_counts_the_nearer_of_two_ends():
    event = {"step": 100, "max_steps": 1000, "validation_median": 0.5}
    event |= {"train_loss": 1.25, "steps_per_s": 321.4, "seconds_left": None}
    assert output.fit_words(event)[0] == 0.1
    assert output.fit_words(event | {"cuts": 1, "all_cuts": 4})[0] == 0.25


def test_the_words_of_a_fit_say_how_it_goes_and_how_long_it_takes():
    event = {"step": 100, "max_steps": 1000, "validation_median": 0.5}
    event |= {"train_loss": 1.25, "steps_per_s": 321.4, "seconds_left": None}
    told = "step 100, loss 1.2500, validation median 0.5000 bits/spike, 321 steps/s"
    assert output.fit_words(event)[1] == told + ", ? left"
    assert output.fit_words(event | {"seconds_left": 61.0})[1] == told + ", 1:01 left"
    start = event | {"step": 0, "train_loss": float("nan"), "steps_per_s": None}
    said = output.fit_words(start)[1]
    assert said == "step 0, validation median 0.5000 bits/spike, ? left"


def test_json_has_no_nan(capsys):
    output.print_json({"a": [float("nan"), float("inf"), 1.5], "b": (None, True)})
    assert capsys.readouterr().out.split() == (
        '{ "a": [ null, null, 1.5 ], "b": [ null, true ] }'.split()
    )
