"""Ctrl-C where Python forgets it."""

from __future__ import annotations

import subprocess
import sys

LOST = """
import gc, os, signal
from retina.cli import interrupt

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the shell says
interrupt.listen()


def collected(*_):
    gc.callbacks.clear()
    os.kill(os.getpid(), signal.SIGINT)
    len("")  # where the handler runs


gc.callbacks.append(collected)
gc.collect()
print("went on")
try:
    interrupt.check()
except KeyboardInterrupt:
    print("stopped")
{}
"""


def _run(more: str = "") -> tuple[str, str]:
    told = [sys.executable, "-c", LOST.format(more)]
    done = subprocess.run(told, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_what_a_callback_swallows_stops_later_and_prints_nothing():
    assert _run() == ("went on\nstopped\n", "")


def test_other_errors_that_nobody_can_raise_are_still_told():
    broken = "gc.callbacks.append(lambda *_: 1 / 0)\ngc.collect()\ngc.callbacks.clear()"
    assert "ZeroDivisionError" in _run(broken)[1]
