"""The streaming step run over a clip: the rates that are scored.

What is counted is the step, so what is scored is the step too; `agree` compares it with
the fast view that fitting used.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.errors import ViewsDisagree
from retina.fitting.loss import rates_of
from retina.stage import Model, Tree

# Of the mean count per bin. The two views add the same float32 products in different
# orders; filters over some 500 products leave about 1e-5, recurrences a little more.
TOLERANCE = 1e-3


def streamed(
    model: Model, params: Tree, stimuli: np.ndarray, counts: np.ndarray | None = None
) -> np.ndarray:
    """Expected counts, bin by bin through the streaming step, from a cold start.

    stimuli: (clip, time, *frame), clips of one shape, run one after the other.
    counts:  (clip, time, cell), fed back one bin late to a model that listens.
    returns: (clip, time, cell) float32.
    """
    stage = model.stage

    @jax.jit
    def run(params, stimulus, heard):
        def step(state, x_t):
            return stage.step(params, state, x_t)

        signal = (stimulus, heard) if stage.uses_response else stimulus
        return lax.scan(step, stage.start(params), signal)[1]

    rates = []
    for number, stimulus in enumerate(stimuli):
        heard = np.zeros((len(stimulus), model.spec.cells), np.float32)
        if stage.uses_response and counts is not None:
            heard[1:] = counts[number, :-1]
        rates.append(np.asarray(run(params, jnp.asarray(stimulus), jnp.asarray(heard))))
    return np.stack(rates)


def agree(
    model: Model,
    params: Tree,
    stimuli: np.ndarray,
    rates: np.ndarray,
    counts: np.ndarray | None = None,
) -> float:
    """Largest difference of `rates` from the clip view, over the mean count per bin.

    stimuli, counts: as `streamed` had them; rates: (clip, time, cell), what it gave.
    raises: ViewsDisagree beyond TOLERANCE: nothing may then be scored or priced.
    """
    view = jax.jit(lambda p, x, y: rates_of(model, p, x, y))
    worst = 0.0
    for number, stimulus in enumerate(stimuli):
        heard = np.zeros_like(rates[0]) if counts is None else counts[number]
        fast = view(params, jnp.asarray(stimulus), jnp.asarray(heard, jnp.float32))
        gap = np.abs(np.asarray(fast, np.float64) - rates[number]).max()
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
