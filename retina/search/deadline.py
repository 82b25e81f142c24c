"""A time limit that holds where Python itself does not run."""

from __future__ import annotations

import contextlib
import faulthandler
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def ends(limit_s: float | None, mark: Path) -> Iterator[None]:
    """Ends this process, at once, where the block takes longer; None for no limit.

    mark: a file that then says where every thread was. Where the process ended for
          another reason it is left empty, and where the block ended it is gone.

    A hanging compilation or a deadlock in C cannot be interrupted: only the end of the
    process frees its worker. The watch is a thread in C, which needs no lock of
    Python's; a process has one, so blocks with a limit do not run side by side.
    """
    if limit_s is None:
        yield
        return
    with open(mark, "w") as file:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            mark.unlink(missing_ok=True)


def passed(mark: Path) -> str:
    """Where the threads were when the limit had passed; "" where it has not."""
    try:
        return mark.read_text(errors="replace")
    except FileNotFoundError:
        return ""
