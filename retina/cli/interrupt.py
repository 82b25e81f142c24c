"""Ctrl-C that cannot be lost.

Python raises KeyboardInterrupt wherever it happens to be. Inside a callback of the
garbage collector (jax has one) or of C code it is printed and forgotten; a command then
stops at the next thing that it tells, and nothing is printed.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

_asked = threading.Event()
_passed_on = sys.unraisablehook


def listen() -> None:
    """From now on; where something else handles the signal already, that stays."""
    _asked.clear()
    here = threading.current_thread() is threading.main_thread()
    if here and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
        _mend()


def check() -> None:
    """Raises KeyboardInterrupt where one was asked for and got lost."""
    if _asked.is_set():
        raise KeyboardInterrupt


def _mend() -> None:
    """An interrupt that got lost is no error: `check` raises it again."""
    global _passed_on
    if sys.unraisablehook is not _unraised:
        _passed_on = sys.unraisablehook
        sys.unraisablehook = _unraised


def _unraised(error: Any) -> None:
    if not (_asked.is_set() and issubclass(error.exc_type, KeyboardInterrupt)):
        _passed_on(error)


def _stop(number: int, frame: object) -> None:
    _asked.set()
    raise KeyboardInterrupt
