"""A run of MLflow, in the store that $MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from retina.errors import MissingExtra
from retina.fitting.loggers import Log, flat, refused, scalars

IDENTITY = "mlflow_run.txt"


def mlflow(folder: Path, about: Mapping[str, Any]) -> AbstractContextManager[Log]:
    """What was asked for as parameters, and metrics by step.

    A fit that goes on does so in the same run.

    raises: MissingExtra where mlflow is not installed; entered, BadSetting where the
            store refuses.
    """
    try:
        import mlflow as client  # type: ignore[import-not-found]
    except ImportError:
        raise MissingExtra(
            "--log mlflow needs the package mlflow, which is not installed: "
            "pip install 'retina-frontier[mlflow]'"
        ) from None
    return _open(client, folder, about)


@contextlib.contextmanager
def _open(client: Any, folder: Path, about: Mapping[str, Any]) -> Iterator[Log]:
    kept = folder / IDENTITY
    earlier = kept.read_text(encoding="utf-8") if kept.exists() else None
    name = folder.name.removesuffix(".partial")
    try:
        started = client.start_run(run_id=earlier, run_name=None if earlier else name)
    except client.exceptions.MlflowException as error:
        raise refused("mlflow", error) from error
    with started as run:
        if earlier is None:
            client.log_params(flat(about))
            kept.write_text(run.info.run_id, encoding="utf-8")
        yield lambda row: client.log_metrics(scalars(row, about), step=row["step"])
