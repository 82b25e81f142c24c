"""Deep retina: two convolutional layers and a dense readout, batch norm after each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from retina.errors import BadSetting, at_least_one, at_least_zero
from retina.fitting.start import mean_counts
from retina.layers import stacked as stack
from retina.layers.batch_norm import batch_norm, training_pass
from retina.layers.conv3d import conv3d
from retina.layers.convolution import conv2d, output_shape
from retina.layers.door import door, image_shape
from retina.layers.fir import temporal_basis
from retina.layers.nonlinearity import pointwise
from retina.layers.readout import dense
from retina.recipe import Recipe
from retina.stage import Model, Params, before, chain
from retina.types import Clip, Spec

PIECES, PIECE = 8, 64  # of training data, bins each: a start's statistics


def bn_cnn(
    spec: Spec,
    /,
    *,
    lags: int = 40,
    channels: int = 8,
    sizes: tuple[int, int] = (15, 11),
    stacked: bool = False,
    noise: float = 0.05,
    shrink: float = 1e-3,
) -> Model:
    """Convolution, convolution, dense readout, softplus; each normalised per unit.

    lags:     bins of stimulus seen by the first convolution.
    channels: of both convolutions.
    sizes:    kernels' height and width in pixels; larger than the frame: the frame.
    stacked:  each convolution as (size - 1) / 2 of 3 x 3 with nothing between them;
              `collapse` makes one of each after the fit. A fit lays each clip out once
              per lag for it, which the plain form need not.
    noise:    s.d. of the noise added before each rectification while fitting.
    shrink:   weight of the mean square of kernels, readout and scales as stored. Rates
              do not depend on the size of what is normalised: this keeps it, and with
              it the step that a learning rate stands for.
    source:   McIntosh et al. 2016, arXiv 1702.01825; Maheswaranathan et al. 2023,
              doi 10.1016/j.neuron.2023.06.007 (stacked).

    >>> bn_cnn(Spec((20, 20), 3, 0.01), lags=10).stage.lags
    9
    """
    at_least_one(lags=lags, channels=channels, sizes=sizes)
    at_least_zero(noise=noise, shrink=shrink)
    image = image_shape(spec)
    seen = (*image, lags)
    hidden = output_shape(seen, channels, sizes[0])
    features = output_shape(hidden, channels, sizes[1])
    if stacked:
        convolution = stack.stacked_conv2d
        past = temporal_basis(image, lags, lags)
        first = [past, convolution(seen, channels, sizes[0])]
    else:
        convolution = conv2d
        first = [conv3d(image, channels, sizes[0], lags)]
    stages = (
        door(spec),
        *first,
        batch_norm(hidden),
        pointwise("relu"),
        convolution(hidden, channels, sizes[1]),
        batch_norm(features),
        pointwise("relu"),
        dense(features, spec.cells),
        batch_norm((spec.cells,)),
        pointwise("softplus"),
    )
    stage = chain(*stages)
    # With a share of 1 nothing is left of the statistics before.
    measure = jax.jit(training_pass(stage, stages, share=1.0))

    def warm_start(params, clips):
        x = _pieces(clips, lags)
        if x is not None:
            _, params = measure(params, jnp.asarray(x), jax.random.key(0))
        mean = np.maximum(mean_counts(clips), 1e-4)
        last = params["batch_norm3"] | {
            # Near zero, so that the first rate is near the mean count in every bin.
            "scale": jnp.full(spec.cells, 0.1, jnp.float32),
            "offset": jnp.asarray(np.log(np.expm1(mean)), jnp.float32),
        }
        return params | {"batch_norm3": last}

    def penalty(params):
        squares = [
            jnp.mean(jnp.square(leaf))
            for path, leaf in jax.tree_util.tree_leaves_with_path(params)
            if path[-1].key in ("kernel", "weights", "scale")
        ]
        return shrink * sum(squares[1:], squares[0])

    return Model(
        "bn_cnn",
        spec,
        stage,
        warm_start=warm_start,
        penalty=penalty,
        recipe=Recipe("adam", learning_rate=1e-2, clip_bins=130, batch=20),
        training=training_pass(stage, stages, noise=noise),
        core=before(stage, "dense"),
    )


def collapse(model: Model, params: Params) -> tuple[Model, Params]:
    """A stacked model as the plain one that gives the same rates.

    model:  of `retina.model("bn_cnn", spec, stacked=True, ...)`.
    params: what was fitted.
    raises: BadSetting for another model.
    """
    settings = dict(model.settings)
    if not settings.get("stacked") or "stacked_conv2d" not in params:
        raise BadSetting(f"{model.name}: only a bn_cnn with stacked=True collapses")
    settings["stacked"] = False
    plain = bn_cnn(model.spec, **settings)
    plain = plain._replace(name=model.name, settings=tuple(settings.items()))
    kept = {name: params[name] for name in plain.stage.parameters if name in params}
    for name, earlier in (("conv3d", "stacked_conv2d"), ("conv2d", "stacked_conv2d2")):
        kept[name] = stack.collapse(params[earlier])
    return plain, kept


def _pieces(clips: tuple[Clip, ...], lags: int) -> np.ndarray | None:
    """(piece, lags - 1 + bins, *frame) of the stimulus, spread evenly over the clips.

    None where a clip is too short for the model: `fit` says so.
    """
    length = min(PIECE + lags - 1, *(len(clip.stimulus) for clip in clips))
    if length < lags:
        return None
    ends = np.cumsum([len(clip.stimulus) - length + 1 for clip in clips])
    pieces = []
    for place in np.linspace(0, ends[-1] - 1, PIECES).astype(int):
        clip = int(np.searchsorted(ends, place, side="right"))
        first = place - (ends[clip - 1] if clip else 0)
        pieces.append(clips[clip].stimulus[first : first + length])
    return np.stack(pieces)
