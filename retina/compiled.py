"""Compiled programs are kept on disk, so that a second run starts at once."""

from __future__ import annotations

import glob
import os
import re
import sys
import warnings
from pathlib import Path

from retina import resources

WORTH_S = 0.2  # seconds of compilation; what takes less is not worth a file

_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_DAMAGED = r"Error reading persistent compilation cache entry for '([^']+)'"
_passed_on = warnings.showwarning


def keep() -> None:
    """Let JAX keep what it compiles beside the other derived files, if it may write.

    A command calls it before jax is imported, so that its children do alike; a fit,
    for the rest of its process. Whoever sets JAX_COMPILATION_CACHE_DIR or
    jax_compilation_cache_dir (to a folder, or to "" for none) has it their way.
    """
    _mend()
    jax = sys.modules.get("jax")
    if _folder() is not None:
        return
    try:
        folder = resources.derived() / "xla"
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    if jax:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH_S)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        return
    os.environ[_FOLDER] = str(folder)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = str(WORTH_S)
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def drop_damaged(warning: str) -> bool:
    """Throw away the kept programs that this warning of JAX's says it can't read.

    JAX writes them in place and never over an old one: where a process was killed as it
    wrote, every later one would warn and compile again. Without the file it compiles
    once more and keeps that. False where the warning is of something else.
    """
    found = re.match(_DAMAGED, warning)
    if found is None:
        return False
    folder = _folder()
    if folder:
        for kept in Path(folder).glob(f"{glob.escape(found[1])}-*-cache"):
            kept.unlink(missing_ok=True)
    return True


def _folder() -> str | None:
    """Where JAX keeps what it compiles; None where nobody has said."""
    jax = sys.modules.get("jax")
    told = jax.config.jax_compilation_cache_dir if jax else None
    return os.environ.get(_FOLDER) if told is None else told


def _mend() -> None:
    """Damaged programs are thrown away in silence: nothing is lost by one."""
    global _passed_on
    if warnings.showwarning is not _show:
        _passed_on = warnings.showwarning
        warnings.showwarning = _show
        warnings.filterwarnings("always", _DAMAGED)


def _show(message: Warning | str, *about, **more) -> None:
    if not drop_damaged(str(message)):
        _passed_on(message, *about, **more)
