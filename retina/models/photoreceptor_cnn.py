"""The convolutional model behind photoreceptors: each pixel's own light adaptation."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from retina.circuit.phototransduction import DEPTH, phototransduction, standing
from retina.errors import at_least_zero
from retina.fitting.start import mean_counts
from retina.layers.door import image_shape
from retina.layers.light import light, mean_light
from retina.layers.nonlinearity import output, output_from_mean
from retina.layers.standardise import from_measured, measured, standardise
from retina.models.cnn import clipwise, core, weight_squares
from retina.movie import STRETCH, rows_of
from retina.stage import Model, Stage, before, chain
from retina.types import Clip, Spec

ENOUGH = 20_000  # bins, to find receptive fields and time courses


def photoreceptor_cnn(
    spec: Spec,
    /,
    *,
    kind: str = "primate_cone",
    mean_rstar_per_s: float | None = None,
    dt_s: float | None = None,
    lags: int = 30,
    basis: int | None = None,
    channels: int | None = None,
    sizes: tuple[int, int] = (9, 5),
    stride: int = 1,
    nonlinearity: str = "relu",
    readout_rank: int = 8,
    output_kind: str = "softplus",
    shrink: float = 4e-5,
    readout_shrink: float = 2e-6,
) -> Model:
    """The phototransduction cascade at every pixel, trained through, before the `cnn`.

    kind, dt_s: of photoreceptor, and the cascade's sub-step; see
                `retina.circuit.phototransduction`.
    mean_rstar_per_s: mean light in R*/photoreceptor/s, in place of what the recording's
                card says; where neither says it the model cannot be made.
    lags, basis, channels, sizes, stride, nonlinearity, readout_rank, output_kind,
    shrink, readout_shrink: as in `cnn`, of the photoreceptors' current.

    The cascade costs a cone 194 FLOPs per frame of 1/30 s.

    source:     Idrees et al. 2024, Nat Commun 15. There each clip's current is
                normalised along time; here by two numbers from training data, which
                keeps the model causal.

    >>> photoreceptor_cnn(Spec((9, 9), 2, 0.01, mean_rstar_per_s=1e4)).core[1]
    'photoreceptors'
    """
    at_least_zero(shrink=shrink, readout_shrink=readout_shrink)
    image = image_shape(spec)
    # What follows the cascade sees a standardised image, whatever the stimulus was.
    seen = Spec(image, spec.cells, spec.bin_s)
    (_, *layers), warm = core(
        seen,
        lags=lags,
        basis=basis,
        channels=channels,
        sizes=sizes,
        stride=stride,
        nonlinearity=nonlinearity,
        readout_rank=readout_rank,
    )
    mean = mean_light(spec, mean_rstar_per_s)
    front = [light(spec, mean), *photoreceptors(image, spec.bin_s, kind, dt_s, mean)]
    stage = chain(*front, *layers, output(output_kind, spec.cells))

    def warm_start(params, clips):
        current = measured(front[:-1], params, clips)
        params = params | {"standardise": from_measured(current, each=False)}
        params = params | warm(params, _behind(front, params, clips))
        counts = mean_counts(clips)
        start = output_from_mean(output_kind, params["output"], counts)
        return params | {"output": start}

    return Model(
        "photoreceptor_cnn",
        spec,
        stage,
        warm_start=warm_start,
        penalty=lambda params: weight_squares(params, shrink, readout_shrink),
        recipe=clipwise(spec),
        core=before(stage, "factorised"),
    )


def photoreceptors(
    image: tuple[int, int], bin_s: float, kind: str, dt_s: float | None, mean: float
) -> list[Stage]:
    """Light to current, standardised: stages (height, width) -> (height, width).

    mean: R*/photoreceptor/s, to which a cold start is adapted.
    """
    cells = image[0] * image[1]
    each = phototransduction(cells, bin_s, kind=kind, dt_s=dt_s, adapted=mean)

    def step(params, state, x):
        state, current = each.step(params, state, x.reshape(cells))
        return state, current.reshape(image)

    def apply(params, state, x):
        state, current = each.apply(params, state, x.reshape(-1, cells))
        return state, current.reshape(-1, *image)

    cascade = each._replace(
        step=step,
        apply=apply,
        about=("photoreceptors", image, *each.about),
    )
    still = standing(bin_s, mean, kind=kind, dt_s=dt_s)
    spread = DEPTH * abs(still)
    return [cascade, standardise(image, mean=still, sd=spread, each=False)]


def _behind(front: list[Stage], params, clips: tuple[Clip, ...]) -> tuple[Clip, ...]:
    """The first ENOUGH bins of some clips as the photoreceptors pass them on."""
    through = chain(*front)
    own = {n: params[n] for n in through.parameters}
    run = jax.jit(lambda x: through.apply(own, through.start(own), x)[1])
    seen, bins = [], 0
    for clip in clips:
        if bins >= ENOUGH:
            break
        last = clip.skip + min(ENOUGH, rows_of(clip.stimulus, STRETCH))
        shown = np.asarray(run(jnp.asarray(np.array(clip.stimulus[:last]))))
        heard = clip.response[:, :last]
        seen.append(dataclasses.replace(clip, stimulus=shown, response=heard))
        bins += len(shown)
    return tuple(seen)
