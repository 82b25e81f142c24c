"""The streaming step run over a clip: the rates that are scored.

What is counted is the step, so what is scored is the step too; `agree` compares it with
the fast view that fitting used.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.errors import ViewsDisagree
from retina.movie import stretches
from retina.stage import Model, Tree

# Of the mean count per bin. The two views add the same float32 products in different
# orders; filters over some 500 products leave about 1e-5, recurrences a little more.
TOLERANCE = 1e-3


Stimuli = np.ndarray | Sequence[np.ndarray]


def streamed(
    model: Model, params: Tree, stimuli: Stimuli, counts: np.ndarray | None = None
) -> np.ndarray:
    """Expected counts, bin by bin through the streaming step, from a cold start.

    stimuli: (clip, time, *frame), clips of one shape, run one after the other.
    counts:  (clip, time, cell), fed back one bin late to a model that listens.
    returns: (clip, time, cell) float32.
    """
    return _through(_scanned(model.stage.step), model, params, stimuli, counts)


def agree(
    model: Model,
    params: Tree,
    stimuli: Stimuli,
    rates: np.ndarray,
    counts: np.ndarray | None = None,
) -> float:
    """Largest difference of `rates` from the clip view, over the mean count per bin.

    stimuli, counts: as `streamed` had them; rates: (clip, time, cell), what it gave.
    raises: ViewsDisagree beyond TOLERANCE: nothing may then be scored or priced.
    """
    worst = 0.0
    every = _through(model.stage.apply, model, params, stimuli, counts)
    for fast, rate in zip(every.astype(np.float64), rates, strict=True):
        gap = np.abs(fast - rate).max()
        worst = max(worst, float(gap / max(float(np.abs(rates).mean()), 1e-12)))
        if not np.isfinite(gap):
            worst = np.inf
    if worst > TOLERANCE:
        raise ViewsDisagree(
            f"{model.name}: streaming step and clip view differ by {worst:.2g} of the "
            f"mean count per bin, more than {TOLERANCE:g}: the model's step and apply "
            "are not the same function (tests/contract shows which stage)"
        )
    return worst


# Kept, so that the seeds and test groups of a fit are compiled for once.
@functools.lru_cache(maxsize=8)
def _scanned(step: Callable[..., Any]) -> Callable[..., Any]:
    def view(params, state, signal):
        return lax.scan(functools.partial(step, params), state, signal)

    return view


@functools.lru_cache(maxsize=8)
def _begun(start: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(lambda params: start(params))


@functools.lru_cache(maxsize=8)
def _compiled(view: Callable[..., Any], listens: bool) -> Callable[..., Any]:
    @jax.jit
    def run(params, state, stimulus, heard):
        return view(params, state, (stimulus, heard) if listens else stimulus)

    return run


def _through(
    view: Callable[..., Any],
    model: Model,
    params: Tree,
    stimuli: Stimuli,
    counts: np.ndarray | None,
) -> np.ndarray:
    """Rates of clips by one of a stage's views, a long one in stretches."""
    stage = model.stage
    start, run = _begun(stage.start), _compiled(view, stage.uses_response)
    rates = []
    for number, stimulus in enumerate(stimuli):
        heard = np.zeros((len(stimulus), model.spec.cells), np.float32)
        if counts is not None:
            heard[1:] = counts[number, :-1]
        state, parts = start(params), []
        for rows, shown in stretches(stimulus):
            now = jnp.asarray(shown), jnp.asarray(heard[rows])
            state, part = run(params, state, *now)
            parts.append(np.asarray(part))
        rates.append(np.concatenate(parts))
    return np.stack(rates)
