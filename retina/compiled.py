"""Compiled programs are kept on disk, so that a second run starts at once."""

from __future__ import annotations

import os

from retina import resources

WORTH_S = "0.2"  # seconds of compilation; what takes less is not worth a file


def keep() -> None:
    """Let JAX keep what it compiles beside the other derived files, if it may write.

    To be called before jax is imported. Whoever sets JAX_COMPILATION_CACHE_DIR (to a
    folder, or to "" for none) has it their way.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    try:
        folder = resources.derived() / "xla"
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = WORTH_S
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
