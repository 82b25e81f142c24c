"""Ctrl-C that cannot be lost.

Python raises KeyboardInterrupt wherever it happens to be. Inside a callback of the
garbage collector (jax has one) or of C code it is printed and forgotten; a command then
stops at the next thing that it tells.
"""

from __future__ import annotations

import signal
import threading

_asked = threading.Event()


def listen() -> None:
    """From now on; where something else handles the signal already, that stays."""
    _asked.clear()
    here = threading.current_thread() is threading.main_thread()
    if here and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def check() -> None:
    """Raises KeyboardInterrupt where one was asked for and got lost."""
    if _asked.is_set():
        raise KeyboardInterrupt


def _stop(number: int, frame: object) -> None:
    _asked.set()
    raise KeyboardInterrupt
