"""What a machine can no longer do, recognised in what JAX and numpy raise."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

from retina.errors import DeviceLost, OutOfMemory, RetinaError

# XLA says both RESOURCE_EXHAUSTED: Out of memory ... and INTERNAL: ... Out of memory.
_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|out.of.memory", re.IGNORECASE)
_NO_BACKEND = re.compile(r"Unable to initialize backend|No visible \w+ devices")
# INTERNAL alone is as often a mistake of a compiler: a device must be named as well.
_LOST = re.compile(
    r"^(DEADLINE_EXCEEDED|UNAVAILABLE|ABORTED|DATA_LOSS)\b"
    r"|^INTERNAL\b.*(CUDA_ERROR|cuda\w*Error|hipError|NCCL|TPU|synchronize the device)",
    re.DOTALL,
)


@contextlib.contextmanager
def told(lower: str, again: str = "run it again") -> Iterator[None]:
    """Turns an error of memory or device inside the block into one line.

    lower:  what needs less memory, in words.
    again:  what to do once there is a device again.
    raises: OutOfMemory, DeviceLost.

    >>> with told("fewer cells"):
    ...     raise MemoryError("Unable to allocate 2 PiB")
    Traceback (most recent call last):
    retina.errors.OutOfMemory: out of memory (Unable to allocate 2 PiB): fewer cells
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        line = recognised(error, lower, again)
        if line is None:
            raise
        raise line from error


def check_device() -> None:
    """Raises DeviceLost now rather than after a recording was read."""
    import jax

    with told("free some memory", "the same command goes on"):
        try:
            jax.devices()
        except AssertionError:  # where a platform is asked for that is not installed
            asked = os.environ.get("JAX_PLATFORMS", "")
            raise RuntimeError(
                f"Unable to initialize backend {asked!r}: this jax has none such"
            ) from None


def recognised(error: BaseException, lower: str, again: str) -> RetinaError | None:
    """The exception that says so; None where it is another error."""
    text = str(error).strip()
    first = (text.splitlines() or ["nothing more is known"])[0].rstrip(".")
    if isinstance(error, MemoryError) or _MEMORY.search(text):
        return OutOfMemory(f"out of memory ({first}): {lower}")
    if _NO_BACKEND.search(text):
        # JAX adds what to set, in brackets.
        what = first.partition(" (set ")[0]
        return DeviceLost(
            f"no device to compute on ({what}): mend its driver, or set "
            f"JAX_PLATFORMS=cpu; then {again}"
        )
    if _LOST.search(text):
        return DeviceLost(f"the device was lost ({first}): {again}")
    return None
