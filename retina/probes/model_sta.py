"""The spike-triggered average of a model: what white noise would show of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.clocks import bins_held
from retina.errors import at_least_one
from retina.exact import in_float32
from retina.probes.rates import history, memory, rates, whole_frames
from retina.types import Fit

BLOCK = 512  # bins of noise at a time


@in_float32
def model_sta(
    fit: Fit, *, key: jax.Array, bins: int = 32768, lags: int | None = None
) -> np.ndarray:
    """Response-weighted average of Gaussian white noise.

    The noise has the mean and s.d. of the training stimulus. Each stretch is shown as
    it is and upside down about the mean, which takes all even-order responses, the
    mean rate with them, out of the average's error.

    bins:    of noise and again of its mirror image, rounded up to whole stretches.
    lags:    bins back; None: as far as the model looks.
    returns: (lag, cell, *frame) float64, in units of the stimulus; lag 0 is the frame
             on the screen during the bin; nan for a cell that never responds.
    source:  Chichilnisky 2001, doi 10.1080/713663221.

    A model that listens hears its mean counts; one that looks once per frame is shown
    each frame of noise for as long as the recording shows one.
    For a linear filter and any nonlinearity the average is proportional to the filter.

    >>> from retina.build import model
    >>> from retina.types import Spec
    >>> ln = model("ln", Spec((), 2, 0.01), lags=5)
    >>> params = ln.stage.init(jax.random.key(0))
    >>> fit = Fit(ln, params, (params,), np.full(2, 0.1), {}, (), {})
    >>> model_sta(fit, key=jax.random.key(1), bins=512).shape
    (5, 2)
    """
    at_least_one(bins=bins, lags=lags)
    spec = fit.model.spec
    taps = memory(fit.model) if lags is None else lags
    lead = max(history(fit.model), taps - 1)
    each = bins_held(fit.model)
    frames = whole_frames(fit.model, lead + BLOCK) // each
    pixels = int(np.prod(spec.frame))
    mean, spread = np.float32(spec.stimulus_mean), np.float32(spec.stimulus_sd)

    @jax.jit
    def block(key):
        noise = jax.random.normal(key, (frames, *spec.frame), jnp.float32)
        noise = jnp.repeat(noise, each, axis=0)[: lead + BLOCK]
        up = rates(fit, mean + spread * noise)[lead:]
        down = rates(fit, mean - spread * noise)[lead:]
        flat = noise.reshape(lead + BLOCK, pixels)

        def at(lag):
            shown = lax.dynamic_slice_in_dim(flat, lead - lag, BLOCK)
            return (up - down).T @ shown

        fields = lax.map(at, jnp.arange(taps, dtype=jnp.int32))
        return spread * fields, (up + down).sum(0)

    total, events = np.zeros((taps, spec.cells, pixels)), np.zeros(spec.cells)
    for one in jax.random.split(key, -(-bins // BLOCK)):
        found, said = block(one)
        total += np.asarray(found, np.float64)
        events += np.asarray(said, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        average = total / events[:, None]
    return average.reshape(taps, spec.cells, *spec.frame)
