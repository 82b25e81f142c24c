"""Event files for TensorBoard, in the run's folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from retina.errors import MissingExtra
from retina.fitting.loggers import Log, scalars


def tensorboard(folder: Path, about: Mapping[str, Any]) -> AbstractContextManager[Log]:
    """Scalars by step in folder/tensorboard: `tensorboard --logdir runs` shows them.

    raises: MissingExtra where tensorboardX is not installed.
    """
    try:
        from tensorboardX import SummaryWriter  # type: ignore[import-not-found]
    except ImportError:
        raise MissingExtra(
            "--log tensorboard writes with the package tensorboardX, which is not "
            "installed: pip install 'retina-frontier[tensorboard]'"
        ) from None
    return _open(SummaryWriter, folder / "tensorboard", about)


@contextlib.contextmanager
def _open(make: Any, folder: Path, about: Mapping[str, Any]) -> Iterator[Log]:
    writer: Any = None

    def log(row: Mapping[str, Any]) -> None:
        nonlocal writer
        step = row["step"]
        if writer is None:  # TensorBoard then hides what was told from that step on
            more = {"purge_step": step, "filename_suffix": f".{step}"} if step else {}
            writer = make(str(folder), **more)
        for name, value in scalars(row, about).items():
            writer.add_scalar(name, value, step)
        writer.flush()

    try:
        yield log
    finally:
        if writer is not None:
            writer.close()
