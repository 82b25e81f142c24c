"""A run of Weights & Biases; WANDB_MODE=offline keeps it beside the run's folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from retina.errors import MissingExtra
from retina.fitting.loggers import Log, refused, scalars

IDENTITY = "wandb_run.txt"


def wandb(folder: Path, about: Mapping[str, Any]) -> AbstractContextManager[Log]:
    """Scalars by step, in the project $WANDB_PROJECT, by default "retina".

    A fit that goes on does so in the same run.

    raises: MissingExtra where wandb is not installed; entered, BadSetting where it
            refuses.
    """
    try:
        import wandb as client  # type: ignore[import-not-found]
    except ImportError:
        raise MissingExtra(
            "--log wandb needs the package wandb, which is not installed: "
            "pip install 'retina-frontier[wandb]'"
        ) from None
    return _open(client, folder, about)


@contextlib.contextmanager
def _open(client: Any, folder: Path, about: Mapping[str, Any]) -> Iterator[Log]:
    kept = folder / IDENTITY
    earlier = kept.read_text(encoding="utf-8") if kept.exists() else None
    try:
        started = client.init(
            project=os.environ.get("WANDB_PROJECT", "retina"),
            name=folder.name.removesuffix(".partial"),
            dir=str(folder.parent),  # the fit's own folder is renamed at its end
            config=dict(about),
            id=earlier,
            resume="allow" if earlier else None,
        )
    except client.errors.Error as error:
        raise refused("wandb", error) from error
    with started as run:
        kept.write_text(run.id, encoding="utf-8")
        yield lambda row: run.log(scalars(row, about), step=row["step"])
