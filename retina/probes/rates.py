"""Rates of a fitted model to any stimulus, and how far back they reach."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from retina.clocks import bins_held, start_at
from retina.errors import BadSetting, ShapeMismatch
from retina.stage import Model, Signal
from retina.types import Fit

SHOWN_S = 0.6  # how far back a field is shown of a model whose states fade for longer


def history(model: Model) -> int:
    """Bins before the first rate that a cold start leaves no trace in."""
    burn_in = int(np.ceil(model.stage.burn_in_s / model.spec.bin_s))
    return model.stage.lags + burn_in


def memory(model: Model) -> int:
    """Lags that a field is shown at unless told otherwise: those that the model has.

    >>> from retina.build import model
    >>> from retina.types import Spec
    >>> memory(model("ln", Spec((), 2, 0.01), lags=7))
    7
    """
    lags = model.stage.lags + 1
    if model.stage.burn_in_s:
        lags = max(lags, round(SHOWN_S / model.spec.bin_s))
    return min(lags, history(model) + 1)


def signal(fit: Fit, x: jax.Array) -> Signal:
    """The stage's input for a stimulus (time, *frame).

    A model that listens hears its cells' mean counts in every bin: no spikes are drawn,
    so that the rate is a smooth function of the stimulus.
    """
    if not fit.model.stage.uses_response:
        return x
    mean = jnp.asarray(fit.null_rate, jnp.float32)
    return x, jnp.broadcast_to(mean, (x.shape[0], *mean.shape))


def rates(fit: Fit, x: jax.Array, bin: int | jax.Array = 0) -> jax.Array:
    """(time, *frame) -> (time, cell), expected counts per bin from a cold start.

    bin: of a block, with which the stimulus begins: where a slower clock stands.
    """
    stage = fit.model.stage
    state = start_at(stage, fit.params, bin)
    return stage.apply(fit.params, state, signal(fit, x))[1]


def whole_frames(model: Model, bins: int) -> int:
    """As many bins, and those that are missing to the next frame that is looked at."""
    each = bins_held(model)
    return -(-bins // each) * each


def grey(fit: Fit, bins: int) -> jax.Array:
    """(bins, *frame) float32: nothing but the stimulus mean."""
    spec = fit.model.spec
    return jnp.full((bins, *spec.frame), spec.stimulus_mean, jnp.float32)


def check_cell(fit: Fit, cell: int) -> int:
    """The cell's number, if the model has it. raises: BadSetting."""
    cells = fit.model.spec.cells
    if not 0 <= cell < cells:
        raise BadSetting(f"cell {cell}: the model has cells 0 to {cells - 1}")
    return cell


def check_slope(fit: Fit, cell: int, slopes: np.ndarray) -> None:
    """raises: BadSetting where all are zero: a silent cell's, and any table's."""
    if not slopes.any():
        raise BadSetting(
            f"{fit.model.name}: the rate of cell {cell} has no slope here (it is cut "
            "off at zero, or made of steps, as tables and trees are), so gradients "
            "show nothing: take other moments, or its spike-triggered average "
            "(model_sta, retina probe RUN sta)"
        )


def before(
    fit: Fit, stimulus: np.ndarray, moments: Sequence[int], bins: int
) -> jax.Array:
    """The stimulus up to and including each moment.

    moments: bins of the stimulus, each with `bins` - 1 before it.
    returns: (moment, bins, *frame) float32.
    raises:  ShapeMismatch, BadSetting.
    """
    spec = fit.model.spec
    if stimulus.shape[1:] != spec.frame:
        raise ShapeMismatch(
            f"frames of shape {stimulus.shape[1:]}, but the model was fitted to frames "
            f"of shape {spec.frame}"
        )
    if not len(moments):
        raise BadSetting("no moment was given: name bins of the stimulus")
    for moment in moments:
        if not bins - 1 <= moment < len(stimulus):
            raise BadSetting(
                f"moment {moment}: {fit.model.name} needs {bins - 1} bins before it, "
                f"and the stimulus has {len(stimulus)}: name a bin from {bins - 1} to "
                f"{len(stimulus) - 1}"
            )
    cut = [stimulus[moment + 1 - bins : moment + 1] for moment in moments]
    return jnp.asarray(np.stack(cut).astype(np.float32))


def loudest(fit: Fit, stimulus: np.ndarray, cell: int, count: int) -> list[int]:
    """Bins at which a cell's rate is highest, the highest first, none near another.

    Between two of them lie at least as many bins as the cell looks back over.
    """
    lead = max(history(fit.model), memory(fit.model) - 1)
    rate = jax.jit(lambda x: rates(fit, x)[:, check_cell(fit, cell)])
    left = np.array(rate(jnp.asarray(stimulus)), np.float64)
    left[:lead] = -np.inf
    apart = memory(fit.model)
    found: list[int] = []
    while len(found) < count and np.isfinite(left).any():
        best = int(left.argmax())
        found.append(best)
        left[max(best - apart + 1, 0) : best + apart] = -np.inf
    return found
