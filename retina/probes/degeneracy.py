"""Degeneracy: what the starts of a fit that predict equally well agree on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import jax
import numpy as np

from retina.errors import BadSetting
from retina.fitting.core import still
from retina.fitting.plateau import GAIN
from retina.parameter import Parameter
from retina.stage import Tree
from retina.types import Fit

NEAR = 0.1  # of a parameter's size: a smaller difference is none; chosen


@dataclasses.dataclass(frozen=True)
class Row:
    """One leaf of the parameters, over the starts that fit equally well.

    numbers:   how many it has.
    size:      r.m.s. value of the best start, in `unit`.
    low, high: least and greatest mean of a start, in `unit`.
    spread:    r.m.s. s.d. over the starts, relative to `size`; nan with one alone.
    verdict:   "agreed": they differ by less than NEAR; "undetermined": by more;
               "not tried": one alone fits as well as the best.
    """

    parameter: str
    unit: str
    numbers: int
    size: float
    low: float
    high: float
    spread: float
    verdict: str


@dataclasses.dataclass(frozen=True)
class Degeneracy:
    """rows: one per trained leaf; equal: per start, whether it is as good as the best;
    validation_bits: per start, median over cells.
    """

    rows: tuple[Row, ...]
    equal: tuple[bool, ...]
    validation_bits: tuple[float, ...]


def degeneracy(fit: Fit, *, within: float = GAIN) -> Degeneracy:
    """Which parameters a recording settles, and which it leaves open.

    fit:     of two seeds or more. Seeds that begin alike end alike: give the fit a
             `scatter` where the model's own start is not random. A frozen core is
             left out.
    within:  bits per spike on validation: starts that are no further below the best
             count as equal to it.
    returns: Degeneracy. Where equal starts disagree, none of their values is the one.
             The best is that of the highest median over cells.
    raises:  BadSetting for one seed alone, for seeds that are the same numbers, or a
             negative `within`.
    source:  Prinz, Bucher & Marder 2004, doi 10.1038/nn1352 (similar activity from
             disparate parameters).

    Two filters that change places are told apart as two sets, which they are.

    >>> # degeneracy(retina.fit(model, split, key=key, seeds=8, scatter=0.3)).rows
    """
    if len(fit.seeds) < 2:
        raise BadSetting(
            "one start alone compares with nothing: fit --seeds 4 --set scatter=0.3"
        )
    if not within >= 0:
        raise BadSetting(f"within {within}: 0 or more bits per spike")
    bits = np.asarray(fit.validation["seeds"], float)
    equal = bits >= np.nanmax(bits) - within
    best = int(np.nanargmax(bits))
    parameters = still(
        fit.model.stage.parameters, tuple(fit.training.get("frozen", ()))
    )
    rows = [
        _row(name, parameter, drawn[best], drawn[equal])
        for name, parameter, drawn in trained(parameters, fit.seeds)
    ]
    if all(row.spread == 0 for row in rows):
        raise BadSetting(
            "the starts were one and the same, so that they agree says nothing: fit "
            "them with --set scatter=0.3"
        )
    return Degeneracy(
        tuple(rows), tuple(map(bool, equal)), tuple(float(one) for one in bits)
    )


def trained(
    parameters: Tree, sets: tuple[Tree, ...]
) -> Iterator[tuple[str, Parameter, np.ndarray]]:
    """(name, Parameter, (set, number) values) of each leaf that a fit may move."""
    described = jax.tree_util.tree_leaves_with_path(parameters)
    leaves = zip(*map(jax.tree.leaves, sets), strict=True)
    for (path, parameter), values in zip(described, leaves, strict=True):
        if parameter.trainable:
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            flat = [np.ravel(np.asarray(one, np.float64)) for one in values]
            yield name, parameter, np.stack(flat)


def relative_spread(values: np.ndarray, size: float) -> float:
    """R.m.s. s.d. over sets (set, number) relative to `size`; nan of one set."""
    return rms(values.std(axis=0, ddof=1)) / size if len(values) > 1 else float("nan")


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _row(name: str, parameter: Parameter, best: np.ndarray, equal: np.ndarray) -> Row:
    size = rms(best)
    spread = relative_spread(equal, max(size, 1e-12))
    verdict = "agreed" if spread <= NEAR else "undetermined"
    means = equal.mean(axis=1)
    return Row(
        parameter=name,
        unit=parameter.unit,
        numbers=len(best),
        size=size,
        low=float(means.min()),
        high=float(means.max()),
        spread=spread,
        verdict=verdict if len(equal) > 1 else "not tried",
    )
