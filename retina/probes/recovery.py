"""Parameter recovery: which numbers of a model its own spikes bring back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from retina.errors import BadSetting
from retina.fitting.fit import fit as refit
from retina.fitting.loss import validator
from retina.fitting.plateau import GAIN
from retina.fitting.recipe import otherwise
from retina.fitting.simulate import simulated_split
from retina.fitting.start import mean_counts
from retina.metrics.medians import middle
from retina.probes.degeneracy import NEAR, relative_spread, rms, trained
from retina.stage import Tree
from retina.types import Clip, Fit, Split

SCATTER = 1.0  # of the starts, unless told: about a factor of e each way; chosen


@dataclasses.dataclass(frozen=True)
class Row:
    """One leaf of the parameters.

    Errors are relative to its r.m.s. true value: of a number near 0 they are large.

    numbers:     how many it has.
    error:       r.m.s. difference of the best start from the truth.
    spread:      r.m.s. s.d. over the starts that fit equally well; nan with one alone.
    correlation: over its numbers, between the best start and the truth; nan for fewer
                 than three, or equal ones.
    verdict:     "comes back"; "undetermined": starts that fit equally well disagree;
                 "off": they agree, but not with the truth; "not tried": one start
                 alone fits as well as the best and is off, which says neither.
    """

    parameter: str
    unit: str
    numbers: int
    error: float
    spread: float
    correlation: float
    verdict: str


@dataclasses.dataclass(frozen=True, eq=False)
class Recovery:
    """What became of a model's parameters.

    rows:   one per trained leaf.
    starts: per start {"start", "validation_bits", "training_bits", "equal" (as good on
            validation as the best, within GAIN), "errors": {parameter: error}}.
    truth_bits: what the true parameters reach on the same validation counts.
    reached: whether the best start fits the training counts as well as the truth does,
            within GAIN. It may bend to them as the truth cannot: if it does not, the
            search has failed, and the rows speak of that.
    params: of each start, in order; truth: the parameters that spoke.
    """

    rows: tuple[Row, ...]
    starts: tuple[Mapping[str, Any], ...]
    truth_bits: float
    reached: bool
    params: tuple[Tree, ...]
    truth: Tree


def recovery(
    fit: Fit, split: Split, *, key: jax.Array, seeds: int = 4, **recipe: Any
) -> Recovery:
    """Simulate spikes from known parameters, fit them from other starts, compare.

    fit:     its parameters are the truth; its recipe is followed unless told.
    split:   whose stimuli are shown, with as many trials.
    seeds:   starts; each begins at random about the model's own start (`scatter` of
             Recipe, SCATTER unless told), not about the truth.
    recipe:  fields of Recipe to change.
    returns: Recovery. A leaf whose sets of values fit equally well is reported with all
             of them: none is the answer.
    raises:  BadSetting for fewer than two starts; what `retina.fit` raises.

    Two filters that change places are told apart as two sets, which they are.

    >>> # recovery(fit, split, key=jax.random.key(0), seeds=8).rows
    """
    if seeds < 2:
        raise BadSetting(f"seeds {seeds}: 2 or more, as starts are compared")
    spoken, fitted = jax.random.split(key)
    simulated = simulated_split(fit.model, fit.params, split, key=spoken)
    own = otherwise(fit.model.recipe, fit.training, fit.model, without=())
    asked: dict[str, Any] = {"scatter": SCATTER} | own | recipe
    made = refit(
        fit.model,
        simulated,
        key=fitted,
        seeds=seeds,
        **asked,
    )
    return against_truth(made, fit.params, simulated)


def against_truth(made: Fit, truth: Tree, spoken: Split) -> Recovery:
    """The starts of a fit beside the parameters that spoke.

    made:    fitted to the sampled counts, of two seeds or more.
    spoken:  the split that holds those counts.
    raises:  BadSetting for one seed alone.
    """
    if len(made.seeds) < 2:
        raise BadSetting("one start alone compares with nothing: fit two seeds or more")
    null_rate = mean_counts(spoken.train)

    def bits(clips: tuple[Clip, ...]) -> np.ndarray:
        """Median over cells: of each start, and last of the truth."""
        of = validator(made.model, clips, null_rate)
        return middle(np.stack([of(params) for params in (*made.seeds, truth)]))

    return compared(
        made.model.stage.parameters,
        truth,
        made.seeds,
        bits(spoken.validation),
        bits(spoken.train),
    )


def compared(
    parameters: Tree,
    truth: Tree,
    found: tuple[Tree, ...],
    validation_bits: np.ndarray,
    training_bits: np.ndarray,
) -> Recovery:
    """The table, from parameters alone.

    parameters: tree of Parameter, parallel to truth and to each of found.
    validation_bits, training_bits: (start + 1,) of each of found, last of the truth.
    """
    bits, fitted = validation_bits[:-1], training_bits[:-1]
    best = int(np.argmax(bits))
    equal = bits > bits[best] - GAIN
    rows, errors = [], [{} for _ in found]
    for name, parameter, values in trained(parameters, (*found, truth)):
        drawn, wanted = values[:-1], values[-1]
        size = max(rms(wanted), 1e-12)
        off = [rms(one - wanted) / size for one in drawn]
        for told, error in zip(errors, off, strict=True):
            told[name] = error
        spread = relative_spread(drawn[equal], size)
        rows.append(
            Row(
                name,
                parameter.unit,
                len(wanted),
                off[best],
                spread,
                _correlation(drawn[best], wanted),
                _verdict(off[best], spread),
            )
        )
    starts = [
        {
            "start": n,
            "validation_bits": float(b),
            "training_bits": float(t),
            "equal": bool(e),
            "errors": told,
        }
        for n, (b, t, e, told) in enumerate(
            zip(bits, fitted, equal, errors, strict=True)
        )
    ]
    return Recovery(
        rows=tuple(rows),
        starts=tuple(starts),
        truth_bits=float(validation_bits[-1]),
        reached=bool(fitted.max() > training_bits[-1] - GAIN),
        params=tuple(found),
        truth=truth,
    )


def _verdict(error: float, spread: float) -> str:
    if error <= NEAR and not spread > NEAR:
        return "comes back"
    if spread > NEAR:
        return "undetermined"
    return "off" if np.isfinite(spread) else "not tried"


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if len(one) < 3 or not one.std() or not other.std():
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
