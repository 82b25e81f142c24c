"""Leaky integrators in a row: the linear photoreceptor or membrane as a recursion.

    tau dx_1/dt = u - x_1,   tau dx_k/dt = x_(k-1) - x_k,   output x_n

The gamma kernel t^(n-1) e^(-t/tau), to within the step: each integrator but the first
hears the one before as it is at the step's end, about half a step early. Two products
and two sums each, at any step stable.
"""

from __future__ import annotations

import jax.numpy as jnp

from retina.errors import BadSetting, at_least_one
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

FASTER, SLOWER = 6.0, 4.0  # a fit may change the time constant by these factors


def cascade(
    cells: int,
    dt_s: float,
    *,
    stages: int = 3,
    tau_s: float = 0.03,
    source: str = "chosen",
) -> Stage:
    """Stage (cells,) -> (cells,), gain 1 for what lasts; one time constant for all.

    stages: integrators.
    tau_s:  of each, to begin with; the kernel peaks at (stages - 1) tau_s.
    source: of tau_s.
    raises: BadSetting.

    >>> import jax
    >>> stage = cascade(1, 0.01, stages=2)
    >>> params = stage.init(jax.random.key(0))
    >>> y = stage.apply(params, stage.start(params), jnp.ones((100, 1)))[1][:, 0]
    >>> bool(y[0] < 0.2), round(float(y[-1]), 3)
    (True, 1.0)
    """
    at_least_one(stages=stages)
    if not (tau_s > 0 and dt_s > 0):
        raise BadSetting(f"cascade: tau_s {tau_s:g}, dt_s {dt_s:g}; give times above 0")
    tau = Parameter(tau_s, "s", tau_s / FASTER, tau_s * SLOWER, source=source)

    def step(params, state, x):
        keep = jnp.exp(-dt_s / params["tau_s"])
        after = []
        for row in state:
            x = x + keep * (row - x)
            after.append(x)
        return tuple(after), x

    return recurrent(
        step,
        start=lambda params, key=None: (
            (jnp.zeros(cells, params["tau_s"].dtype),) * stages
        ),
        init=lambda key: {"tau_s": jnp.float32(tau_s)},
        parameters={"tau_s": tau},
        burn_in_s=(stages + 4) * tau.high,
        about=("cascade", cells, dt_s, stages, tau_s),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(cascade(2, 0.02), (2,))]
