"""Job: everything that decides one fit and its score, and nothing else."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from retina import registry
from retina.errors import BadSetting, nearest
from retina.search.label import short
from retina.settings import checked
from retina.types import Fit, Point, Split

Progress = Callable[[Mapping[str, Any]], None]


@dataclasses.dataclass(frozen=True)
class Job:
    """One fit of one model to one recording.

    label:    what a person reads: the model and the keywords that tell it from others.
    settings: every keyword of the model with its value, the defaults too: a default
              that changes makes another job.
    fit:      changes of the model's recipe. cells, bin_s, seeds, key: as in Experiment.
    spikes_of: the name of the job whose fit is sampled for the spikes that this one is
              fitted to; "" for those that were recorded.
    """

    label: str
    dataset: str
    model: str
    settings: Mapping[str, Any]
    fit: Mapping[str, Any]
    metrics: tuple[str, ...]
    cells: str | None = None
    bin_s: float | None = None
    seeds: int = 1
    key: int = 0
    spikes_of: str = ""

    def canonical(self) -> str:
        """One text per job: JSON with sorted keys, without the label.

        >>> Job("ln", "simulated", "ln", {}, {}, ()).canonical()[:20]
        '{"bin_s":null,"cells'
        """
        table = dataclasses.asdict(self)
        del table["label"]
        if not self.spikes_of:  # as before there was such a thing
            del table["spikes_of"]
        source = registry.source("models", self.model)
        if source:
            table["source"] = source
        return json.dumps(table, sort_keys=True, separators=(",", ":"), default=str)

    @functools.cached_property
    def name(self) -> str:
        """The name of its folder: the model, and a hash of all that decides it.

        >>> Job("any", "simulated", "ln", {}, {}, ()).name
        'ln-bc95e7bcf2'
        """
        digest = hashlib.sha256(self.canonical().encode()).hexdigest()
        return f"{short(self.model)}-{digest[:10]}"


def complete(function: Callable[..., Any], name: str, settings: Mapping[str, Any]):
    """All keywords of a model's function: those given, and the defaults of the rest.

    raises: BadSetting for a keyword that the model does not have, or a value that is
            not of its type.

    >>> complete(lambda spec, *, lags=30, rank=1: None, "ln", {"rank": 2})
    {'lags': 30, 'rank': 2}
    """
    keywords = {
        key: parameter.default
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for key in settings:
        if key not in keywords:
            raise BadSetting(
                f"model {name!r} has no keyword {key!r}: {nearest(key, keywords)} "
                f"(retina show {name})"
            )
    return keywords | checked(settings, function, name)


def run(
    job: Job,
    split: Split,
    *,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> tuple[Fit, Point]:
    """Fit, score and count: pure but for the checkpoint, so it may run anywhere.

    split: the job's recording on the job's clock, or what was sampled in its place.
    """
    import jax

    from retina import build
    from retina.fitting.fit import fit
    from retina.search.measure import measure

    model = build.model(job.model, split.spec, **job.settings)
    fitted = fit(
        model,
        split,
        key=jax.random.key(job.key),
        seeds=job.seeds,
        progress=progress,
        checkpoint=checkpoint,
        **job.fit,
    )
    return fitted, measure(fitted, split, job.name, job.metrics or None)
