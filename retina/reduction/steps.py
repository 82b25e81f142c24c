"""The verb `reduce`: a fit made smaller by one method or several, each then refitted.

A method is a function ``NAME(fit, split, key, /, *, ...) -> (Model, params)`` in a file
of its name. It only cuts; what all of them share stands here: the refit, the check that
what is claimed to fall does fall, and the lineage. One that has to fit something itself
takes `retina.fit`, told what it fits and where to keep it, as a fourth argument.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from retina import registry
from retina.costs.cost import cost
from retina.costs.executors import executors
from retina.errors import BadSetting, nearest
from retina.exact import in_float32
from retina.fitting.loop import Progress
from retina.fitting.recipe import otherwise
from retina.recipe import TUNED, Recipe
from retina.reduction.fits import Fits, fits_itself
from retina.settings import checked, keywords
from retina.stage import Model, Tree
from retina.trees import digest
from retina.types import Clip, Cost, Fit, Split

REFIT_STEPS = 200  # source="chosen"
EVENTS = "event_flops_per_bin"  # `retina.costs.executors`
MEASURED = 256  # bins that activity is measured on; source="chosen"


@in_float32
def reduce(
    method: str | Sequence[str],
    fit: Fit,
    split: Split,
    *,
    key: jax.Array,
    refit_steps: int = REFIT_STEPS,
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
    **settings: Any,
) -> Fit:
    """A smaller fit: a part is taken away, then the rest is fitted again for a while.

    method:      a name of `retina list reductions`, a file, or several of them in their
                 order: "channels,quantise" or ["channels", "quantise"].
    fit:         of several seeds, the one that was best on validation is reduced.
    split:       the recording that it was fitted on; test clips are not looked at.
    key:         jax.random.key; all randomness follows from it.
    refit_steps: at most, after each method, by the recipe of the fit. The
                 best on validation is kept, and the cut itself is in the running. 0: no
                 refit, such as quantisation after training.
    progress:    as of `retina.fit`, called during each fit, with "reduction" (the
                 method), "part" and "parts" (which of all fits it is, from 0) as well.
    checkpoint:  a folder of its own, as of `retina.fit`: where it was stopped, the same
                 call goes on, to the same numbers. Who asked for it removes it.
    settings:    keywords of the method, and fields of Recipe for the refit. One that
                 several methods have is given to each by name:
                 ``**{"channels.keep": 0.5, "taps.keep": 0.4}``.
    returns:     Fit; training["lineage"] has an entry for each method from the first
                 fit on: {"method", "settings", "of" (the model it was), "validation"
                 (bits per spike, mean over cells: "before", "cut", "refitted"), "cost"
                 ({column: (before, after)} of what the method claims to lower; what is
                 measured and not counted, after the refit)}.
    raises:      UnknownName; BadSetting for a keyword that no method has, where a
                 method cannot be used on this model, would empty a layer, or would
                 lower nothing of what it claims to lower.

    README.md has an example, which a test runs.
    """
    names = method.split(",") if isinstance(method, str) else list(method)
    methods = {name: registry.find("reductions", name) for name in names}
    if len(methods) < len(names):
        raise BadSetting(f"{','.join(names)}: name each reduction once")
    own, recipe = divided(settings, methods)
    if type(refit_steps) is not int or refit_steps < 0:
        raise BadSetting(f"refit_steps {refit_steps!r}: a whole number, 0 or more")
    recipe = recipe | {"max_steps": refit_steps}
    counts = [2 if fits_itself(function) else 1 for function in methods.values()]
    place = None if checkpoint is None else Path(checkpoint)
    fits = Fits(progress, place, sum(counts))
    for number, (name, function) in enumerate(methods.items()):
        each, part = jax.random.fold_in(key, number), sum(counts[:number])
        how: dict[str, Any] = {"key": each, "recipe": recipe, "fits": fits}
        fit = _reduced(name, function, own[name], fit, split, part=part, **how)
    return fit


def divided(
    settings: Mapping[str, Any], methods: Mapping[str, Callable[..., Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Which settings are whose: (by method, of the refit's recipe), types checked.

    settings: by keyword, or by "method.keyword".
    raises:   BadSetting for one that is nobody's, of two methods, or given twice.
    """
    own: dict[str, dict[str, Any]] = {name: {} for name in methods}
    recipe = {}
    known = {name: keywords(function) for name, function in methods.items()}
    for asked, value in settings.items():
        whose, _, key = asked.rpartition(".")
        of = [
            name
            for name in methods
            if key in known[name] and whose in ("", Path(name).stem)
        ]
        if len(of) > 1:
            each = " and ".join(f"{Path(name).stem}.{key}=..." for name in of)
            raise BadSetting(
                f"{key} is a keyword of {' and of '.join(of)}: say whose, {each}"
            )
        if of and key in own[of[0]]:
            raise BadSetting(f"{key} of {of[0]} is given twice")
        if of:
            own[of[0]] |= checked({key: value}, methods[of[0]], of[0])
        elif asked in keywords(Recipe) and key != "max_steps":
            recipe |= checked({key: value}, Recipe, "the refit", TUNED)
        else:
            every = {word for words in known.values() for word in words}
            names = " ".join(methods)
            raise BadSetting(
                f"reduction {names!r} has no keyword {asked!r}: "
                f"{nearest(key, {*every, 'refit_steps'})} (retina show {names})"
            )
    return own, recipe


def joined(
    own: Mapping[str, Mapping[str, Any]], methods: Mapping[str, Callable[..., Any]]
) -> dict[str, Any]:
    """The inverse of `divided`: "method.keyword" where several methods have it.

    >>> methods = {name: lambda fit, *, keep=0.5: None for name in ("taps", "prune")}
    >>> joined({"taps": {"keep": 0.4}, "prune": {}}, methods)
    {'taps.keep': 0.4}
    """
    every = [key for function in methods.values() for key in keywords(function)]
    return {
        f"{Path(name).stem}.{key}" if every.count(key) > 1 else key: value
        for name, each in own.items()
        for key, value in each.items()
    }


def claims(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    """The figures that a method says it lowers, from its docstring.

    Those of Cost, or EVENTS, that of an event-driven machine. None of them rises, and
    at least one falls, or `reduce` refuses.

    >>> def mine(fit, split, key, /):
    ...     '''lowers: flops_per_bin, params'''
    >>> claims(mine, "mine")
    ('flops_per_bin', 'params')
    """
    found = re.search(r"^lowers: *(.+)$", inspect.getdoc(function) or "", re.MULTILINE)
    # One number each, whatever the recording.
    known = [
        field.name
        for field in dataclasses.fields(Cost)
        if field.type in ("int", "float", "int | None")
        or (field.type == "float | None" and field.name.endswith("_per_bin"))
    ]
    known.append(EVENTS)
    named = tuple(re.split(r",\s*", found[1].strip())) if found else ()
    for column in named:
        if column not in known:
            raise BadSetting(
                f"reduction {name!r} lowers no cost {column!r}: "
                f"{nearest(column, known)}"
            )
    if not named:
        raise BadSetting(
            f"reduction {name!r} does not say which cost it lowers: add the line "
            "'lowers: flops_per_bin', or another figure, to its docstring"
        )
    return named


def _reduced(
    name: str,
    function: Callable[..., tuple[Model, Tree]],
    settings: Mapping[str, Any],
    parent: Fit,
    split: Split,
    *,
    key: jax.Array,
    recipe: Mapping[str, Any],
    fits: Fits,
    part: int,
) -> Fit:
    columns = claims(function, name)
    cutting, refitting = jax.random.split(key)
    given = (fits.begin(part, name),) if fits_itself(function) else ()
    model, params = function(parent, split, cutting, *given, **settings)
    before = figures(columns, parent.model, parent.params, split)
    after = figures(columns, model, params, split)
    check_lower(name, before, after)
    start = model._replace(warm_start=lambda drawn, clips: params)
    how = {**kept_recipe(parent, model), **recipe}
    refit = fits.begin(part + len(given), name, digest(params))
    small = refit(start, split, key=refitting, **how)
    if EVENTS in columns:  # it hangs on the parameters, which the refit has moved
        after = figures(columns, model, small.params, split)
    step = {
        "method": name,
        "settings": {k: p.default for k, p in keywords(function).items()}
        | dict(settings),
        "of": parent.model.name,
        "validation": {
            "before": parent.validation.get("mean"),
            "cut": small.curve[0]["validation_bits"],
            "refitted": small.validation["mean"],
        },
        "cost": {column: (before[column], after[column]) for column in columns},
    }
    lineage = (*parent.training.get("lineage", ()), step)
    told = {**small.training, "lineage": lineage}
    return dataclasses.replace(small, model=model, training=told)


def kept_recipe(parent: Fit, model: Model) -> dict[str, Any]:
    """What a fit was asked to do otherwise than its model's recipe, if it applies."""
    # Not how long it was, nor how far from the parameters it has to start.
    left = ("max_steps", "scatter")
    return otherwise(parent.model.recipe, parent.training, model, left)


def figures(
    columns: Sequence[str], model: Model, params: Tree, split: Split
) -> dict[str, Any]:
    """What a model has in the columns that a method names in `claims`.

    EVENTS is measured on the first bins of the validation clips, rounded to a FLOP.
    """
    found = cost(model, params, split) if {*columns} - {EVENTS} else None
    told = {name: getattr(found, name) for name in columns if name != EVENTS}
    if EVENTS in columns:
        clips = [_first_bins(clip) for clip in split.validation]
        told[EVENTS] = round(executors(model, params, clips[:1]).event)
    return told


def _first_bins(clip: Clip) -> Clip:
    last = clip.skip + MEASURED
    return dataclasses.replace(
        clip, stimulus=clip.stimulus[:last], response=clip.response[:, :last]
    )


def check_lower(
    name: str, before: Mapping[str, float], after: Mapping[str, float]
) -> None:
    """Refuses a cut after which what `name` claims to lower is no lower.

    raises: BadSetting.
    """
    lower = [column for column in before if after[column] < before[column]]
    higher = [column for column in before if after[column] > before[column]]
    if higher or not lower:
        words = ", ".join(
            f"{column} {before[column]:,} before, {after[column]:,} after"
            for column in (higher or before)
        )
        does = "raise what it is to lower" if higher else "lower nothing here"
        raise BadSetting(
            f"{name} would {does} ({words}): ask for more, see retina show {name}"
        )
