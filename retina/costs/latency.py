"""How long a bin takes here: the exported step, compiled, one bin at a time.

It is the program that `retina cost --export` writes: parameters are numbers of it, so
that what depends on them alone is not done anew in every bin.
"""

from __future__ import annotations

import dataclasses
import time

import jax
import numpy as np

from retina import formulation
from retina.artefact import programs
from retina.errors import at_least_one
from retina.exact import in_float32
from retina.stage import Model, Tree

WARM_UP = 20  # bins before the clock counts; source="chosen"


@dataclasses.dataclass(frozen=True)
class Latency:
    """Of a batch of one, each bin waited for before the next begins.

    median_s, p95_s:  seconds per bin.
    real_time_factor: seconds of biological time per second of computing; below 1 the
                      model cannot keep up.
    device:           what it ran on, with the version of jax.
    """

    bins: int
    median_s: float
    p95_s: float
    compile_s: float
    real_time_factor: float
    device: str


@in_float32
def latency(
    model: Model,
    params: Tree,
    frames: np.ndarray | None = None,
    *,
    bins: int = 500,
) -> Latency:
    """Time the streaming step on this machine, a frame's way to the device included.

    params: numbers.
    frames: (time, *frame) as stored, shown in turn and over again; None: zeros.
    bins:   timed, after a few that are not.
    raises: BadSetting for no bins, and for a model that draws random numbers.

    A model with spike history hears silence.

    >>> from retina import build
    >>> from retina.types import Spec
    >>> mean = build.model("mean", Spec((), 2, 0.01))
    >>> latency(mean, mean.stage.init(jax.random.key(0)), bins=3).bins
    3
    """
    at_least_one(bins=bins)
    stage = model.stage
    if frames is None:
        frames = np.zeros((1, *model.spec.frame), np.float32)
    heard = (np.zeros(model.spec.cells, np.float32),) * stage.uses_response
    made = programs(model, params, frames.dtype)
    state = jax.jit(made["start"].call)()
    begun = time.perf_counter()
    step = jax.jit(made["step"].call).lower(state, frames[0], *heard).compile()
    compile_s = time.perf_counter() - begun
    taken = np.empty(bins)
    for n in range(-WARM_UP, bins):
        frame = frames[(n + WARM_UP) % len(frames)]
        begun = time.perf_counter()
        state, y = step(state, frame, *heard)
        jax.block_until_ready((state, y))
        if n >= 0:
            taken[n] = time.perf_counter() - begun
    median = float(np.median(taken))
    return Latency(
        bins=bins,
        median_s=median,
        p95_s=float(np.quantile(taken, 0.95)),
        compile_s=compile_s,
        # Where a bin in some is dear, the time of most says little.
        real_time_factor=model.spec.bin_s / (taken.mean() if stage.steps else median),
        device=formulation.device(),
    )
