"""Cone pedicles: the calcium of cones, on which horizontal cells feed back.

    V_cone = -40 mV - depth x,   output (Ca_0 - Ca) / 8 pA

x is what a cone makes of contrast, positive for light, which hyperpolarises it; Ca its
calcium by `horizontal`, whose loop hears itself a sub-step late, and Ca_0 that at the
mean, long since, for the values that a fit starts from. The output is again positive
for light and of order one. A horizontal cell pools cones by a Gaussian and feeds back
on the same ones by the same: one width. On a full field it is one cell on one cone: a
feedback in time alone, which divides and subtracts, but has no surround.
Source: `horizontal`; the depth of 10 mV per unit contrast and the 8 pA are chosen.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from retina.circuit.horizontal import Pooling, steady
from retina.circuit.horizontal import horizontal as feedback
from retina.circuit.kernels import gaussian
from retina.circuit.population import Population
from retina.errors import BadSetting
from retina.parameter import Parameter
from retina.stage import Stage

MEAN_MV, SIZE_PA = -40.0, 8.0
ONE = np.ones((1, 1), np.float32)  # type of cone, and of horizontal cell
DEPTH = Parameter(10.0, "mV", 1.0, 40.0)


def pedicle(
    cones: Population,
    horizontal: Population,
    bin_s: float,
    *,
    surround_um: float = 200.0,
    ephaptic: bool = True,
    ph: bool = True,
    gaba: bool = False,
) -> Stage:
    """Stage (cones,) -> (cones,): a cone's response to what it tells bipolar cells.

    cones, horizontal: the two grids, or one cell each.
    surround_um: s.d. of what a horizontal cell pools, to begin with.
    ephaptic, ph, gaba: pathways of the feedback, each alone or together. GABA remembers
                 20 s and more: a fit's clips want a minute to warm up.
    raises:      BadSetting without any pathway.

    >>> one = Population("cone", (1,))
    >>> stage = pedicle(one, one, 0.01)
    >>> params = stage.init(jax.random.key(0))
    >>> still, light = jnp.zeros((20, 1)), jnp.ones((20, 1))
    >>> y = stage.apply(params, stage.start(params), jnp.concatenate([still, light]))[1]
    >>> abs(float(y[19, 0])) < 1e-3, bool(y[-1, 0] > 0.5)
    (True, True)
    """
    if not (ephaptic or ph or gaba):
        raise BadSetting(
            "horizontal cells without ephaptic, ph or gaba feed nothing back: switch "
            "one on"
        )
    inner = feedback(
        horizontal.cells,
        cones.cells,
        bin_s,
        ephaptic=ephaptic,
        ph=ph,
        gaba=gaba,
        pooling=_over(cones, horizontal, surround_um),
    )
    begun = {n: jnp.float32(p.value) for n, p in inner.parameters.items()}
    at_mean = float(steady(begun, MEAN_MV)["Ca"])

    def start(params, key=None):
        """Long at the mean."""
        still = steady(params, MEAN_MV)
        shapes = inner.start(params)
        return {n: jnp.broadcast_to(still[n], v.shape) for n, v in shapes.items()}

    def through(view):
        def run(params, state, x):
            state, calcium = view(params, state, MEAN_MV - params["depth_mv"] * x)
            return state, (at_mean - calcium) * (1 / SIZE_PA)

        return run

    return inner._replace(
        init=lambda key: inner.init(key) | {"depth_mv": jnp.float32(DEPTH.value)},
        start=start,
        step=through(inner.step),
        apply=through(inner.apply),
        parameters=inner.parameters | {"depth_mv": DEPTH},
        about=("pedicle", cones.shape, horizontal.shape, surround_um, inner.about),
    )


def _over(cones: Population, horizontal: Population, surround_um: float) -> Pooling:
    """Cones of a Gaussian about each horizontal cell, there and back."""
    kernel = gaussian(surround_um)
    there, back = kernel.join(cones, horizontal), kernel.join(horizontal, cones)
    # No weight of types is fitted: what it would say, the conductances say.
    widths = {n: p for n, p in there.parameters.items() if n != "weight"}

    def prepare(params: dict[str, jax.Array]):
        own: dict[str, Any] = {n: params[n] for n in widths}
        own["weight"] = ONE
        return there.prepare(own), back.prepare(own)

    return Pooling(
        (cones.cells,),
        widths,
        prepare,
        lambda ready, x: there.weigh(ready[0], x[None])[0],
        lambda ready, x: back.weigh(ready[1], x[None])[0],
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    grid, few = (
        Population(name, shape, spacing_um=spacing)
        for name, shape, spacing in (
            ("cone", (4, 3), 10.0),
            ("horizontal", (2, 2), 20.0),
        )
    )
    return [(pedicle(grid, few, 0.004, surround_um=20.0), (12,))]
