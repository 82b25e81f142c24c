"""Calls of libraries that a damaged file can kill, in a process apart.

scipy's reader of MATLAB files looks up a number of the file in a table of pointers: one
flipped bit ends the process with a segmentation fault, which nothing in it can catch.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from retina.errors import UnreadableFile

_LOCK = threading.Lock()
_held: subprocess.Popen[bytes] | None = None
_owner = 0  # the process that started it: a fork has none


def apart(function: Callable[..., Any], path: object, *given: Any) -> Any:
    """function(path, *given), where it may die without taking this process with it.

    function: of a module; what it is given and gives back can be pickled. It reads
              `path`.
    returns:  what it returns. The first call starts the process, some 0.4 s, and later
              ones cost the copying of what they return; it ends with this process.
    raises:   what it raises; UnreadableFile where it dies.
    """
    global _held
    call = pickle.dumps((function, (path, *given), {}))
    with _LOCK:
        child = _held if _held is not None and _owner == os.getpid() else _started()
        _held = None  # until it has answered
        try:
            pickle.dump(call, child.stdin)  # type: ignore[arg-type]
            child.stdin.flush()  # type: ignore[union-attr]
            answered, value = pickle.load(child.stdout)  # type: ignore[arg-type]
        except (EOFError, OSError, pickle.UnpicklingError):
            status = _ended(child)
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise UnreadableFile(
                f"{path} is damaged: the library that reads it ended with {how}: "
                "fetch it again"
            ) from None
        except BaseException:  # interrupted: its answer would be taken for the next one
            child.kill()
            _ended(child)
            raise
        _held = child
    if answered:
        return value
    raise value


def _started() -> subprocess.Popen[bytes]:
    global _owner
    _owner = os.getpid()
    return subprocess.Popen(
        [sys.executable, "-m", "retina.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the last words of a native library
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def _ended(child: subprocess.Popen[bytes]) -> int:
    """Its exit status, when it has been seen off."""
    for pipe in (child.stdin, child.stdout):
        try:
            pipe.close()  # type: ignore[union-attr]
        except OSError:  # what was not read any more
            pass
    return child.wait()


@atexit.register
def _close() -> None:
    if _held is not None and _owner == os.getpid():
        _ended(_held)
