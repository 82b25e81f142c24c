"""Our side of the benchmarks of a step: the round that `retina.fit` runs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import retina
from benchmarks import inputs
from benchmarks.worker import Work, versions
from retina.fitting import penalties
from retina.fitting.clips import tabulate
from retina.fitting.fit import number_of, started
from retina.fitting.recipe import checked_recipe
from retina.fitting.start import mean_counts
from retina.fitting.walkers import Descent
from retina.layers.basis import sines_and_cosines
from retina.layers.gaussian_readout import SPREAD
from retina.parameter import to_free
from retina.stage import Model, Params
from retina.types import Clip, Spec, Split


def rounds(
    model: Model,
    split: Split,
    weights: dict[str, Params] | None = None,
    *,
    steps: int,
    seeds: int = 1,
    **recipe: Any,
) -> Work:
    """Gradient steps of a fit, `steps` of them in each piece of work.

    weights: by the stages' names, in place of what a fit would start from.
    recipe:  fields of Recipe to change, as in `retina.fit`.
    """
    key = jax.random.key(0)
    settings = checked_recipe(model, recipe | {"max_steps": steps})
    fitted = model._replace(penalty=penalties.penalty(model, settings))
    null_rate = mean_counts(split.train)
    table = tabulate(model, split.train, settings.clip_bins)
    params = started(model, split, key, seeds)
    params = placed(params, weights or {}, seeds)
    free = jax.vmap(lambda p: to_free(model.stage.parameters, p))(params)
    numbers = [number_of(key) + s for s in range(seeds)]
    walker = Descent(fitted, table, null_rate, settings, free, params, numbers, {})
    rate = np.zeros(seeds)

    def step() -> dict[str, Any]:
        nonlocal rate
        # The first stays where it is: its loss is that of the weights given.
        losses, _ = walker.advance(0, rate)
        rate = np.full(seeds, settings.learning_rate)
        return {"loss": float(losses[0])}

    about = {
        "steps_per_dispatch": walker.every,
        "seeds": seeds,
        "device": jax.devices()[0].device_kind,
    }
    return Work(step, our_versions(), walker.every * seeds, about)


def placed(params: Params, weights: dict[str, Params], seeds: int) -> Params:
    """Params of each seed with `weights` in place of what was drawn."""
    for stage, leaves in weights.items():
        for name, value in leaves.items():
            shape = params[stage][name].shape
            value = np.broadcast_to(value, (seeds, *value.shape))
            if value.shape != shape:
                raise ValueError(f"{stage}.{name} is {shape}, not {value.shape}")
            params[stage] = params[stage] | {name: jnp.asarray(value, jnp.float32)}
    return params


def our_versions() -> dict[str, str]:
    return {"retina": retina.__version__} | versions("jax")


def deep_retina(settings: dict[str, Any]) -> Work:
    """The deep-retina step: one contiguous clip, all of it in one step."""
    drawn = inputs.deep_retina(settings)
    frame, lags, bins = (settings[name] for name in ("frame", "lags", "bins"))
    spec = Spec((frame, frame), settings["cells"], 0.01)
    heard = np.pad(drawn["counts"], ((lags - 1, 0), (0, 0)))[None]
    clip = Clip("clip", drawn["stimulus"], heard, skip=lags - 1)
    model = retina.model(
        "bn_cnn",
        spec,
        lags=lags,
        channels=settings["channels"],
        sizes=tuple(settings["sizes"]),
        noise=settings["noise"],
        shrink=0.0,
    )
    kernels = (drawn[name] for name in ("kernel1", "kernel2"))
    # Weights are stored with unit spread: see `retina.layers.convolution`.
    one, two = (k * np.sqrt(np.prod(k.shape[:3]) / 2) for k in kernels)
    weights = {
        "conv3d": {"kernel": one},
        "conv2d": {"kernel": two},
        "dense": {"weights": drawn["dense"] * np.sqrt(len(drawn["dense"]))},
        "batch_norm3": {
            "scale": np.ones(spec.cells),
            "offset": np.zeros(spec.cells),
        },
    }
    split = Split(spec, (clip,), (clip,), ())
    steps = settings["steps_per_dispatch"]
    return rounds(model, split, weights, steps=steps, clip_bins=bins, batch=1)


def core_readout(settings: dict[str, Any]) -> Work:
    """The open-retina-like step: every clip of the batch in one step."""
    drawn = inputs.core_readout(settings)
    clips, time_, *frame = settings["batch"]
    cells = settings["cells"]
    spec = Spec(tuple(frame), cells, 1 / 30)
    channels = (settings["channels"],) * len(settings["sizes"])
    model = retina.model(
        "core_readout",
        spec,
        hidden_channels=channels,
        temporal_sizes=tuple(settings["temporal_sizes"]),
        sizes=tuple(settings["sizes"]),
        smooth=0.0,
        sparse=0.0,
    )
    lags = model.stage.lags
    heard = np.pad(drawn["counts"], ((0, 0), (lags, 0), (0, 0)))
    train = tuple(
        Clip(f"clip{n}", drawn["stimulus"][n], heard[n : n + 1], skip=lags)
        for n in range(clips)
    )
    weights: dict[str, Params] = {}
    for n, taps in enumerate(settings["temporal_sizes"], 1):
        space, sines, cosines = (
            drawn[f"{name}{n}"] for name in ("space", "sines", "cosines")
        )
        # Stored with unit spread; the fastest sine is not in open-retina's basis.
        basis = sines_and_cosines(taps)
        time = np.concatenate(
            [sines, np.zeros((1, *sines.shape[1:]), np.float32), cosines]
        )
        weights[f"separable{n if n > 1 else ''}"] = {
            "space": space * np.sqrt(np.prod(space.shape[:3])),
            "time": time * np.sqrt(np.square(basis).sum()),
        }
    lost = settings["sizes"][0] - 1
    side = np.array(frame) - lost - 1
    loud = 2 * np.sqrt(np.pi) * SPREAD / np.sqrt(channels[-1])
    weights |= {
        "gaussian_mask": {
            "place": drawn["place"] / side,
            "features": drawn["features"] / np.float32(loud),
        },
        "output": {"gain": np.ones(cells), "bias": np.zeros(cells)},
    }
    split = Split(spec, train, train, ())
    steps = settings["steps_per_dispatch"]
    return rounds(
        model, split, weights, steps=steps, clip_bins=time_ - lags, batch=clips
    )
