"""Spike history and coupling: what the cells just said, added to the drive."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.layers.basis import lag_axis, raised_cosines
from retina.layers.nonlinearity import (
    expected_counts,
    output_from_mean,
    output_init,
    output_parameters,
)
from retina.parameter import Parameter
from retina.stage import Params, Stage, windowed


def history_output(
    kind: str, cells: int, *, taps: int, basis: int, coupling: bool
) -> Stage:
    """Output stage whose drive includes filtered past counts.

    kind:     softplus, exp or spline.
    taps:     bins of history, the previous bin first.
    basis:    raised cosines per history filter.
    coupling: True: every cell hears every other; False: only itself.
    returns:  stage (drive (cell,), counts of the previous bin (cell,)) -> (cell,).
    source:   Pillow et al. 2008, doi 10.1038/nature07140.
    """
    cosines = raised_cosines(taps, basis)
    weights_shape = (cosines.shape[1], cells) + ((cells,) if coupling else ())
    axes = (lag_axis(taps, basis), *(("input",) if coupling else ()), "cell")

    def filters(params) -> jax.Array:
        """(taps, cell) or (taps, from, to), oldest first."""
        kernel = jnp.tensordot(jnp.asarray(cosines), params["history"], 1)
        return kernel[::-1]

    def window(params, past: jax.Array) -> jax.Array:
        if coupling:
            return jnp.einsum("ti,tio->o", past, filters(params))
        return jnp.einsum("ti,ti->i", past, filters(params))

    def batch(params, counts: jax.Array) -> jax.Array:
        time = counts.shape[0] - taps + 1
        bins = jnp.arange(time)[:, None] + jnp.arange(taps)[None]
        past = counts[bins]  # (time, tap, cell): one product, quick to compile
        over = "nti,tio->no" if coupling else "nti,ti->ni"
        return jnp.einsum(over, past, filters(params))

    past = windowed(window, taps, shape=(cells,), batch=batch, about=("past", taps))

    def init(key: jax.Array):
        drawn = jax.random.normal(key, weights_shape, jnp.float32) * np.float32(0.01)
        return {"history": drawn} | output_init(kind, cells)

    def valid(params, signal):
        drive, counts = signal
        assert past.valid is not None
        return expected_counts(kind, params, drive + past.valid(params, counts))

    def through(view, params, state, signal):
        drive, counts = signal
        state, heard = view(params, state, counts)
        return state, expected_counts(kind, params, drive + heard)

    return Stage(
        init=init,
        start=past.start,
        step=lambda *args: through(past.step, *args),
        apply=lambda *args: through(past.apply, *args),
        lags=taps - 1,  # of the response, the previous bin first
        burn_in_s=0.0,
        parameters={"history": Parameter(axes=axes)} | output_parameters(kind),
        about=("history_output", kind, cells, taps, basis, coupling),
        uses_response=True,
        valid=valid,
    )


def silent_start(kind: str, params: Params, counts: np.ndarray) -> Params:
    """Parameters of the stage that hears nothing yet and tells the mean counts."""
    weights = jnp.zeros_like(params["history"])
    return {"history": weights} | output_from_mean(kind, params, counts)


def loudness(params: Params) -> jax.Array:
    """Mean squared weight of the stage's history."""
    return jnp.mean(jnp.square(params["history"]))


def contract() -> list[tuple[Stage, tuple]]:
    return [
        (
            history_output("softplus", 3, taps=4, basis=3, coupling=coupling),
            ((3,), (3,)),
        )
        for coupling in (False, True)
    ]
