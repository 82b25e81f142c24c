"""Another model whose layers hear only of changes larger than a threshold."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from retina import build
from retina.clocks import again, between, bins_held
from retina.errors import BadSetting, at_least_zero
from retina.layers.changes import CHANGES, on_changes
from retina.layers.wrapped import heard, parts_of
from retina.stage import Model, Params, Stage
from retina.types import Clip, Spec

# Stages without state that are a matrix times their input, and an offset.
LAYERS = ("conv2d", "dense", "factorised", "linear", "mixture", "spatial")
ENOUGH = 512  # bins that an input's s.d. is measured on; source="chosen"
# Seconds after which what a layer was told before is taken as forgotten: several swings
# of a filtered signal through a band of one s.d.
CROSSED_S = 0.5  # source="chosen"


def event_driven(
    spec: Spec,
    /,
    *,
    of: str = "cnn",
    settings: tuple[tuple[str, Any], ...] = (),
    threshold: float = 0.5,
) -> Model:
    """A model that works on changes of its signals; `retina reduce delta` makes one.

    of, settings: the model's name and keywords.
    threshold: change of an input that is not told to the next layer, as a share of the
             s.d. that this layer's input has on the training stimulus.
    raises:  BadSetting for a model without such layers, or with weights of few bits.
    source:  see `retina.layers.changes`.

    A dense machine multiplies changes of zero as well, and adds them up on top:
    `flops_per_bin` rises a little and the state holds each layer's input and output. A
    machine that works on what is not zero does less: `retina.executors` counts it.
    What a layer was told once it forgets when its input crosses the band, two
    thresholds wide; clips of a fit begin CROSSED_S before their loss for each layer.

    >>> event_driven(Spec((), 2, 0.01), settings=(("lags", 4),)).stage.lags
    3
    """
    at_least_zero(threshold=threshold)
    inner = build.model(of, spec, **dict(settings))
    if inner.columns is not None:
        raise BadSetting(f"delta: {of} has costs of its own; thresholds first, then it")
    named = parts_of(inner)
    if not any(is_layer(part) for _, part in named):
        raise BadSetting(
            f"delta is for models with a layer without memory, as ln with a rank, cnn "
            f"and lnln have, and {of} has none"
        )
    forgotten_s = CROSSED_S if threshold else 0.0
    parts = tuple(
        on_changes(part, x, threshold, forgotten_s) if is_layer(part) else part
        for (_, part), x in zip(named, heard(inner), strict=False)
    )
    stage = again(inner, parts, ("event_driven", threshold, inner.stage.about))
    start = inner.warm_start

    def warm_start(params, clips):
        plain = _plain(params)
        started = plain if start is None else start(plain, clips)
        return with_thresholds(inner, started, threshold, clips)

    return inner._replace(
        name="event_driven",
        stage=stage,
        warm_start=warm_start,
        penalty=inner.penalty,
        training=None,
        independent=False,
    )


def is_layer(part: Stage) -> bool:
    """Whether a part can be told of changes alone."""
    return part.name in LAYERS and part.about[1] != CHANGES


def with_thresholds(
    inner: Model, params: Params, share: float, clips: tuple[Clip, ...]
) -> Params:
    """Parameters of the model with thresholds that are a share of each input's s.d.

    inner:  the model whose layers they are; its own parameters stay as they are.
    """
    clip = max(clips, key=lambda one: one.bins)
    each = bins_held(inner)
    shown = clip.stimulus[: clip.skip + ENOUGH]
    x = jnp.asarray(shown[: len(shown) // each * each])
    found = dict(params)
    for name, part in parts_of(inner):
        if part.uses_response:
            break  # the last: it is told of no changes, and nobody hears it
        own = params[name]
        x = between(inner, name, x)
        if is_layer(part):
            deviation = jnp.std(x[len(x) // 2 :].astype(jnp.float32), axis=0)
            far = jnp.float32(share) * jnp.sqrt(jnp.mean(jnp.square(deviation)))
            found[name] = {**own, "threshold": far}
        x = _through(part, own, x)
    return found


def _through(part: Stage, params: Params, x: jax.Array) -> jax.Array:
    return jax.jit(lambda p, x: part.apply(p, part.start(p), x)[1])(params, x)


def _plain(params: Params) -> Params:
    """Without the thresholds."""
    return {
        name: {leaf: value for leaf, value in own.items() if leaf != "threshold"}
        for name, own in params.items()
    }
