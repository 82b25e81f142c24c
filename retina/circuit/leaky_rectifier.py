"""A leaky cell that is heard above a soft threshold: an amacrine cell of a circuit.

    tau dV/dt = u - V,   output s softplus((V - theta) / s),  s = 1/4

Its synapses are the circuit's: what it pools, and whether it takes from or divides what
it inhibits (reciprocal feedback from 47 % of amacrine processes, Jacoby & Marshak
2000). Time constants of 20-100 ms and a threshold of 0.1: chosen.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from retina.parameter import Parameter
from retina.stage import Stage, recurrent

SOFT = 0.25
PARAMETERS = {
    "tau_s": Parameter(
        0.05, "s", 0.005, 0.3, source="chosen: 20-100 ms", axes=("out",)
    ),
    "theta": Parameter(0.1, "1", -10.0, 10.0, source="chosen", axes=("out",)),
}


def leaky_rectifier(cells: int, dt_s: float) -> Stage:
    """Stage (cells,) -> (cells,): what arrives to the output, above 0.

    >>> stage = leaky_rectifier(1, 0.01)
    >>> params = stage.init(jax.random.key(0))
    >>> y = stage.apply(params, stage.start(params), jnp.ones((100, 1)))[1][:, 0]
    >>> bool(y[0] < y[-1] < 1)
    True
    """

    def init(key: jax.Array):
        drawn = jax.random.uniform(key, (cells,), jnp.float32, -0.7, 0.7)
        return {
            "tau_s": jnp.float32(0.05) * jnp.exp(drawn),  # 25 to 100 ms
            "theta": jnp.full(cells, 0.1, jnp.float32),
        }

    def step(params, v, x):
        v = x + jnp.exp(-dt_s / params["tau_s"]) * (v - x)
        return v, SOFT * jax.nn.softplus((v - params["theta"]) * (1 / SOFT))

    return recurrent(
        step,
        start=lambda params, key=None: jnp.zeros(cells, params["tau_s"].dtype),
        init=init,
        parameters=PARAMETERS,
        burn_in_s=1.5,
        about=("leaky_rectifier", cells, dt_s),
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(leaky_rectifier(3, 0.02), (3,))]
