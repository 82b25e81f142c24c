"""Cones of a circuit: their response about the mean light, of order one."""

from __future__ import annotations

import functools

import jax.numpy as jnp

from retina.circuit.cascade import cascade
from retina.circuit.dynamical_adaptation import dynamical_adaptation
from retina.circuit.phototransduction import DEPTH, phototransduction, standing
from retina.circuit.population import Dynamics
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

CASCADE = "phototransduction"
PHOTORECEPTORS = ("linear", "dynamical_adaptation", CASCADE)
CONTRAST = Parameter(0.3, "1", 0.02, 1.0, source="chosen")


def cone(
    photoreceptor: str, tau_s: float, kind: str, mean_rstar_per_s: float | None
) -> Dynamics:
    """The dynamics of PHOTORECEPTORS by name.

    tau_s:   of each integrator of a linear one.
    kind:    of phototransduction, whose mean light is mean_rstar_per_s.
    """
    if photoreceptor == "linear":
        return functools.partial(cascade, tau_s=tau_s)
    if photoreceptor == "dynamical_adaptation":
        return adapting_cone
    assert mean_rstar_per_s is not None
    return functools.partial(lit_cone, kind=kind, mean_rstar_per_s=mean_rstar_per_s)


def adapting_cone(cells: int, bin_s: float) -> Stage:
    """Stage (cells,) -> (cells,): contrast to what an adapting cone makes of it.

    Light is 1 + contrast x of the mean, not below 0; the cell has long been at the
    mean, and its response there is taken off.

    >>> import jax
    >>> cone = adapting_cone(1, 0.01)
    >>> params = cone.init(jax.random.key(0))
    >>> abs(float(cone.step(params, cone.start(params), jnp.zeros(1))[1][0])) < 1e-6
    True
    """
    inner = dynamical_adaptation(cells, bin_s)

    def resting(params):
        return params["alpha"] / (1 + params["beta"])

    def start(params, key=None):
        lit = {n: jnp.ones_like(v) for n, v in inner.start(params).items()}
        return lit | {"r": lit["r"] * resting(params)}

    def step(params, state, x):
        state, r = inner.step(params, state, 1 + params["contrast"] * x)
        return state, (r - resting(params)) / params["contrast"]

    return inner._replace(
        init=lambda key: inner.init(key) | {"contrast": jnp.float32(CONTRAST.value)},
        start=start,
        step=step,
        apply=recurrent(step, start=start, about=()).apply,
        parameters={**inner.parameters, "contrast": CONTRAST},
        about=("adapting_cone", inner.about),
    )


def lit_cone(
    cells: int, bin_s: float, *, mean_rstar_per_s: float, kind: str = "primate_cone"
) -> Stage:
    """Stage (cells,) -> (cells,): light in R*/receptor/s to current about its standing.

    kind: as in `phototransduction`.

    The cell has long been at the mean; the response there is 0 to begin with, and of
    order one for contrasts of order one.

    >>> import jax
    >>> cone = lit_cone(1, 0.01, mean_rstar_per_s=1e4)
    >>> params = cone.init(jax.random.key(0))
    >>> still = cone.step(params, cone.start(params), jnp.full(1, 1e4))[1]
    >>> abs(float(still[0])) < 1e-3
    True
    """
    inner = phototransduction(cells, bin_s, kind=kind, adapted=mean_rstar_per_s)
    still = standing(bin_s, mean_rstar_per_s, kind=kind)
    scale = 1 / (DEPTH * abs(still))

    def about(y):
        return (y - still) * scale

    def step(params, state, x):
        state, current = inner.step(params, state, x)
        return state, about(current)

    def apply(params, state, x):
        state, current = inner.apply(params, state, x)
        return state, about(current)

    return inner._replace(
        step=step,
        apply=apply,
        about=("lit_cone", inner.about),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    # Light of the suite's size, about 1.
    return [
        (adapting_cone(2, 0.02), (2,)),
        (lit_cone(2, 0.02, mean_rstar_per_s=1.0), (2,)),
    ]
