"""Pointwise nonlinearities inside a model, and the output from drive to counts."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from retina.errors import BadSetting, nearest
from retina.parameter import Parameter
from retina.stage import Stage, memoryless

OUTPUTS = ("softplus", "exp", "spline")
POINTWISE: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    "sigmoid": jax.nn.sigmoid,
}
BIAS = Parameter(axes=("cell",))
KNOTS = np.linspace(-4.0, 4.0, 9).astype(np.float32)


def pointwise(kind: str) -> Stage:
    """relu, softplus, elu or sigmoid of every element."""
    if kind not in POINTWISE:
        raise BadSetting(f"nonlinearity {kind!r}: {nearest(kind, POINTWISE)}")
    function = POINTWISE[kind]
    return memoryless(
        lambda params, x: function(x),
        batch=lambda params, x: function(x),
        about=(kind,),
    )


def check_output(kind: str) -> str:
    """`kind`, or BadSetting with the outputs that exist."""
    if kind not in OUTPUTS:
        raise BadSetting(f"output {kind!r}: {nearest(kind, OUTPUTS)}")
    return kind


def output_parameters(kind: str):
    """Parameters of `expected_counts`, one entry per cell."""
    if check_output(kind) == "exp":
        return {"bias": BIAS}
    if kind == "softplus":
        gain = Parameter(unit="count", low=0.0, axes=("cell",))
        return {"bias": BIAS, "gain": gain}
    heights = Parameter(unit="count", low=0.0, axes=("knot", "cell"))
    return {"bias": BIAS, "heights": heights}


def output_init(kind: str, cells: int):
    params = {"bias": jnp.zeros(cells, jnp.float32)}
    if kind == "softplus":
        params["gain"] = jnp.full(cells, 0.5, jnp.float32)
    if kind == "spline":
        rise = np.log1p(np.exp(KNOTS)) * 0.5
        params["heights"] = jnp.tile(jnp.asarray(rise)[:, None], (1, cells))
    return params


def expected_counts(kind: str, params, drive: jax.Array) -> jax.Array:
    """(..., cell) drive to expected counts per bin, never negative.

    exp:      exp(drive + bias)
    softplus: gain * log(1 + exp(drive + bias))
    spline:   straight lines between free heights at fixed knots, level beyond them.
    """
    along = (1,) * (drive.ndim - 1) + (-1,)
    u = drive + params["bias"].reshape(along)
    if kind == "exp":
        return jnp.exp(u)
    if kind == "softplus":
        return params["gain"].reshape(along) * jax.nn.softplus(u)
    step = float(KNOTS[1] - KNOTS[0])
    place = (jnp.clip(u, KNOTS[0], KNOTS[-1]) - KNOTS[0]) * (1 / step)
    heights = params["heights"]
    tents = [
        jax.nn.relu(1 - jnp.abs(place - knot)) * heights[knot].reshape(along)
        for knot in range(len(KNOTS))
    ]
    return sum(tents[1:], tents[0])


def output(kind: str, cells: int) -> Stage:
    """The last stage of a model without memory of its own spikes."""
    check_output(kind)
    return memoryless(
        lambda params, drive: expected_counts(kind, params, drive),
        batch=lambda params, drive: expected_counts(kind, params, drive),
        init=lambda key: output_init(kind, cells),
        parameters=output_parameters(kind),
        about=("output", kind, cells),
    )


def output_from_mean(kind: str, params, mean: np.ndarray):
    """Output parameters that give the mean count where the drive is zero."""
    mean = np.maximum(np.asarray(mean, np.float64), 1e-4)
    if kind == "exp":
        return {"bias": jnp.asarray(np.log(mean), jnp.float32)}
    gain = np.maximum(mean, 0.02)
    # softplus(bias) * gain = mean at gain = mean leaves bias = log(e - 1)
    bias = np.log(np.expm1(np.minimum(mean / gain, 20.0)))
    if kind == "softplus":
        return {
            "bias": jnp.asarray(bias, jnp.float32),
            "gain": jnp.asarray(gain, jnp.float32),
        }
    heights = np.log1p(np.exp(KNOTS))[:, None] * gain
    return {
        "bias": jnp.asarray(bias, jnp.float32),
        "heights": jnp.asarray(heights, jnp.float32),
    }


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    outputs: list[tuple[Stage, tuple[int, ...]]] = [
        (output(kind, 3), (3,)) for kind in OUTPUTS
    ]
    return outputs + [(pointwise(kind), (2, 3)) for kind in POINTWISE]
