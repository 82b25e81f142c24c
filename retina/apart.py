"""Calls of libraries that a damaged file can kill, in a process apart.

scipy's reader of MATLAB files looks up a number of the file in a table of pointers: one
flipped bit ends the process with a segmentation fault, which nothing in it can catch.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retina.errors import OutOfMemory, RetinaError, UnreadableFile

# Seconds that a library may take. A damaged number may send it round a loop or through
# memory without end; chosen: a slow disk gives a megabyte in one.
_AT_LEAST_S, _S_PER_MB = 30, 1.0

# No library ends itself by these; Windows lacks one.
_FROM_OUTSIDE = (getattr(signal, "SIGKILL", 9), signal.SIGTERM)

_LOCK = threading.Lock()
_held: subprocess.Popen[bytes] | None = None
_owner = 0  # the process that started it: a fork has none


def apart(function: Callable[..., Any], path: object, *given: Any) -> Any:
    """function(path, *given), where it may die without taking this process with it.

    function: of a module; what it is given and gives back can be pickled. It reads
              `path`.
    returns:  what it returns. The first call starts the process, some 0.4 s, and later
              ones cost the copying of what they return; it ends with this process.
    raises:   what it raises; UnreadableFile where it dies, or takes more than 30 s and
              1 s per MB of the file; OutOfMemory where it is killed.
    """
    global _held
    limit_s = _AT_LEAST_S + int(_S_PER_MB * _bytes(Path(str(path))) / 1e6)
    call = pickle.dumps((_within, (limit_s, function, path, *given), {}))
    with _LOCK:
        child = _held if _held is not None and _owner == os.getpid() else _started()
        _held = None  # until it has answered
        try:
            pickle.dump(call, child.stdin)  # type: ignore[arg-type]
            child.stdin.flush()  # type: ignore[union-attr]
            answered, value = pickle.load(child.stdout)  # type: ignore[arg-type]
        except (EOFError, OSError, pickle.UnpicklingError):
            raise _told(path, _ended(child), limit_s) from None
        except BaseException:  # interrupted: its answer would be taken for the next one
            child.kill()
            _ended(child)
            raise
        _held = child
    if answered:
        return value
    raise value


def _within(limit_s: int, function: Callable[..., Any], *given: Any) -> Any:
    """In the process apart, which an alarm ends, whatever it is at."""
    alarm = getattr(signal, "alarm", lambda seconds: None)  # not on Windows
    alarm(limit_s)
    try:
        return function(*given)
    finally:
        alarm(0)


def _told(path: object, status: int, limit_s: int) -> RetinaError:
    if status >= 0:  # a library that a file kills dies of a signal
        return UnreadableFile(
            f"{path} was not read: the process that reads it ended with status "
            f"{status}; what is wrong with it, this says: {sys.executable} -m "
            "retina.child </dev/null"
        )
    if -status in _FROM_OUTSIDE:
        return OutOfMemory(
            f"{path} was not read: the process that reads it was killed (signal "
            f"{-status}), as a system does that is short of memory: free some, then "
            "run the same command again"
        )
    if status == -getattr(signal, "SIGALRM", 0):
        how = f"was not done with it after {limit_s} s"
    else:
        how = f"ended with signal {-status}"
    return UnreadableFile(
        f"{path} is damaged: the library that reads it {how}: fetch it again"
    )


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


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
