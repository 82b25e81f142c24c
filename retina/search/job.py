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
from retina.settings import checked, keywords
from retina.stage import Model
from retina.types import Fit, Point, Split

Progress = Callable[[Mapping[str, Any]], None]
CUT = 0xC07  # folded into a job's key for the cut of its parent; chosen


@dataclasses.dataclass(frozen=True)
class Job:
    """One fit of one model to one recording.

    label:    what a person reads: the model and the keywords that tell it from others.
    settings: every keyword of the model with its value, the defaults too: a default
              that changes makes another job.
    fit:      changes of the model's recipe. cells, bin_s, seeds, key: as in Experiment.
    max_steps: of the optimiser, at most, whatever the recipe allows; 0 for no limit.
    where_possible: a recording that the model refuses is no failure; it decides
              nothing else.
    spikes_of: the name of the job whose fit is sampled for the spikes that this one is
              fitted to; "" for those that were recorded.
    parent:   the name of the job whose fit this one begins with, or what the parameters
              of a run are; "" for none.
    method:   the reductions of that fit, whose keywords `settings` then are, as far as
              they were given; "" where the model itself says how far it is cut.
    start:    the parent is fitted on, as `retina.fit(start=...)` does.
    parent_run: where the parent is, if not beside this job's own run.
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
    parent: str = ""
    method: str = ""
    start: bool = False
    parent_run: str = ""
    max_steps: int = 0
    where_possible: bool = False

    @property
    def needs(self) -> str:
        """The name of the job that must be done before this one; "" for none."""
        return self.spikes_of or ("" if self.parent_run else self.parent)

    @property
    def recording(self) -> str:
        """What it is fitted to, as an experiment names it.

        >>> Job("ln", "simulated", "ln", {}, {}, (), cells="all").recording
        'simulated:all'
        """
        return self.dataset if self.cells is None else f"{self.dataset}:{self.cells}"

    def canonical(self) -> str:
        """One text per job: JSON with sorted keys, without what decides nothing.

        >>> Job("ln", "simulated", "ln", {}, {}, ()).canonical()[:20]
        '{"bin_s":null,"cells'
        """
        table = dataclasses.asdict(self)
        del table["label"], table["parent_run"], table["where_possible"]
        for name in ("spikes_of", "parent", "method", "start", "max_steps"):
            if not table[name]:  # as before there was such a thing
                del table[name]
        if self.method:
            table["methods"] = [_about(name) for name in self.method.split(",")]
        source = registry.source("models", self.model)
        if source:
            table["source"] = source
        files = {name: registry.source("metrics", name) for name in self.metrics}
        named = filter(_is_file, self.settings.values())  # such as a student
        files |= {name: registry.source("models", name) for name in named}
        if any(files.values()):
            table["files"] = {name: said for name, said in files.items() if said}
        return json.dumps(table, sort_keys=True, separators=(",", ":"), default=str)

    @functools.cached_property
    def name(self) -> str:
        """The name of its folder: the model, and a hash of all that decides it.

        >>> Job("any", "simulated", "ln", {}, {}, ()).name
        'ln-bc95e7bcf2'
        """
        digest = hashlib.sha256(self.canonical().encode()).hexdigest()
        words = [self.model, *filter(None, self.method.split(","))]
        return "-".join([*map(short, words), digest[:10]])


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and (value.endswith(".py") or ".py:" in value)


def _about(method: str) -> dict[str, Any]:
    """What decides a reduction beside the keywords that were given."""
    known = keywords(registry.find("reductions", method))
    defaults = {key: one.default for key, one in known.items()}
    return {"defaults": defaults, "source": registry.source("reductions", method)}


def complete(function: Callable[..., Any], name: str, settings: Mapping[str, Any]):
    """All keywords of a model's function: those given, and the defaults of the rest.

    raises: BadSetting for a keyword that the model does not have, or a value that is
            not of its type.

    >>> complete(lambda spec, *, lags=30, rank=1: None, "ln", {"rank": 2})
    {'lags': 30, 'rank': 2}
    """
    known = {
        key: parameter.default
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for key in settings:
        if key not in known:
            raise BadSetting(
                f"model {name!r} has no keyword {key!r}: {nearest(key, known)} "
                f"(retina show {name})"
            )
    return known | checked(settings, function, name)


def fitted(
    job: Job,
    split: Split,
    parent: Fit | None = None,
    *,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    until: int | None = None,
) -> Fit:
    """The fit of a job: pure but for the checkpoint, so it may run anywhere.

    split:   the job's recording on the job's clock, or what was sampled in its place.
    parent:  the fit that the job begins with.
    until:   as of `retina.fit`; not for a reduction.
    returns: Fit; where it began with a bigger one that was cut, training["started"] has
             the "method" and "settings" of the cut, and "validation" (bits per spike,
             mean over cells, "before" and "cut").
    """
    import jax

    from retina import build
    from retina.fitting.fit import fit

    key = jax.random.key(job.key)
    if job.method:
        from retina.reduction.steps import reduce

        assert parent is not None and until is None
        how = {**job.settings, **job.fit}
        told = {"progress": progress, "checkpoint": checkpoint}
        return reduce(job.method, parent, split, key=key, **told, **how)
    begun = model = build.model(job.model, split.spec, **job.settings)
    about: dict[str, Any] = {}
    bigger = None if job.start else parent
    if bigger is not None:
        from retina.reduction.neighbour import shrunk

        params, about = shrunk(bigger, model, split, jax.random.fold_in(key, CUT))
        begun = model._replace(warm_start=lambda drawn, clips: params)
    made = fit(
        begun,
        split,
        key=key,
        seeds=job.seeds,
        progress=progress,
        checkpoint=checkpoint,
        until=until,
        start=parent if job.start else None,
        **changes(job, model),
    )
    if bigger is None:
        return made
    bits = {
        "before": bigger.validation["mean"],
        "cut": made.curve[0]["validation_bits"],
    }
    training = {**made.training, "started": about | {"validation": bits}}
    return dataclasses.replace(made, model=model, training=training)


def changes(job: Job, model: Model) -> dict[str, Any]:
    """Of the model's recipe: those of the job, within its steps."""
    made = dict(job.fit)
    if job.max_steps:
        allowed = made.get("max_steps", model.recipe.max_steps)
        made["max_steps"] = min(allowed, job.max_steps)
    return made


def measured(job: Job, fit: Fit, split: Split) -> Point:
    """The score and the cost of a job's fit."""
    from retina.search.measure import measure

    return measure(fit, split, job.name, job.metrics or None)
