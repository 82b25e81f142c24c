"""Integrate-and-fire ganglion cells with escape noise, reset by their own spikes.

    tau dV/dt = u + bias - w - V,   tau_w dw/dt = -w
    expected counts: the mean over the bin of gain softplus(V), or of e^V
    after a bin with n > 0 spikes:   V <- reset,   w <- w + jump n

V is counted from the soft threshold, in units of its softness. A cell hears the counts
of the bin before: recorded ones while it is fitted, its own when it runs freely. Within
a bin it does not, so bins should be shorter than its intervals. Between spikes all is
linear and done in closed form; the sub-steps are the places where the hazard is read.
Sources: Gerstner, Kistler, Naud & Paninski 2014, Neuronal Dynamics, chapters 1 and 9
(leaky integrator, escape noise); Mensi et al. 2012, J Neurophysiol 107:1756 (the
current w that each spike adds to). All values are recalled or chosen.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from retina.circuit.substeps import substeps
from retina.errors import BadSetting, at_least_one, nearest
from retina.layers.nonlinearity import output_init, output_parameters
from retina.parameter import Parameter
from retina.stage import Stage

HAZARDS = ("softplus", "exp")
CELL = ("cell",)
MEMBRANE = {
    "tau_s": Parameter(0.01, "s", 0.004, 0.05, source="recalled: 5-15 ms", axes=CELL),
    "reset": Parameter(-3.0, "1", -30.0, 5.0, axes=CELL),
}
# tau_w never meets tau: the closed form divides by their difference.
ADAPTATION = {
    "tau_w_s": Parameter(0.1, "s", 0.06, 0.5, source="recalled: ~100 ms", axes=CELL),
    "jump": Parameter(0.5, "1", 0.0, 30.0, axes=CELL),
}
# Middles of stretches stand for them. At the shortest tau and a reset by ten softnesses
# the expected count of the next bin is then off by less than 5 % (tests/circuit).
SAFE_S = 0.002


def integrate_and_fire(
    cells: int,
    bin_s: float,
    *,
    adaptive: bool = False,
    hazard: str = "softplus",
    dt_s: float | None = None,
) -> Stage:
    """Stage (drive (cells,), counts of the previous bin (cells,)) -> (cells,).

    adaptive: with the current w.
    hazard:   softplus or exp, of the potential above threshold.
    dt_s:     between readings of the hazard, 2 ms at most.
    returns:  expected counts per bin.
    raises:   BadSetting for no cells, another hazard, too long a dt_s.

    >>> stage = integrate_and_fire(1, 0.001)
    >>> params = stage.init(jax.random.key(0))
    >>> counts = jnp.zeros((30, 1)).at[9].set(1)  # heard in bin 10
    >>> signal = jnp.ones((30, 1)), jnp.roll(counts, 1, 0)
    >>> rate = stage.apply(params, stage.start(params), signal)[1][:, 0]
    >>> bool(rate[10] < rate[9] / 4), bool(rate[25] > 0.7 * rate[9])
    (True, True)
    """
    at_least_one(cells=cells)
    if hazard not in HAZARDS:
        raise BadSetting(f"hazard {hazard!r}: {nearest(hazard, HAZARDS)}")
    number, dt = substeps("integrate_and_fire", bin_s, SAFE_S, dt_s)
    own = MEMBRANE | (ADAPTATION if adaptive else {})
    middles_s = (np.arange(number)[:, None] + 0.5) * dt

    def init(key: jax.Array):
        start = {n: jnp.full(cells, p.value or 0.0, "f4") for n, p in own.items()}
        return output_init(hazard, cells) | start

    def start(params, key=None):
        """At rest without a stimulus."""
        still = jnp.zeros_like(params["bias"])
        return {"V": params["bias"], **({"w": still} if adaptive else {})}

    def fading(params, after_s):
        """What is left after so long of V's start, and of w in w and in V."""
        left = {"V": jnp.exp(-after_s / params["tau_s"])}
        if adaptive:
            slow, fast = params["tau_w_s"], params["tau_s"]
            left["w"] = jnp.exp(-after_s / slow)
            left["w_in_V"] = slow / (slow - fast) * (left["w"] - left["V"])
        return left

    def begun(params, state, counts):
        """The state when a bin begins that was told of the counts before it."""
        after = {"V": jnp.where(counts > 0, params["reset"], state["V"])}
        if adaptive:
            after["w"] = state["w"] + params["jump"] * counts
        return after

    def at(state, goal, left):
        v = goal + (state["V"] - goal) * left["V"]
        return v - state["w"] * left["w_in_V"] if adaptive else v

    def ended(params, state, goal):
        left = fading(params, bin_s)
        after = {"V": at(state, goal, left)}
        return after | ({"w": state["w"] * left["w"]} if adaptive else {})

    def expected(params, begins, goals):
        """(time, cell) from the states that bins begin with."""
        rows = {n: v[None] for n, v in params.items()}
        after_s = jnp.asarray(middles_s, params["tau_s"].dtype)
        whole = {n: a[None] for n, a in fading(rows, after_s).items()}
        begins = {n: a[:, None] for n, a in begins.items()}
        v = at(begins, goals[:, None], whole)
        each = jnp.exp(v) if hazard == "exp" else jax.nn.softplus(v)
        mean = each.mean(1)
        return mean if hazard == "exp" else params["gain"][None] * mean

    def step(params, state, signal):
        drive, counts = signal
        goal, state = drive + params["bias"], begun(params, state, counts)
        row = {n: a[None] for n, a in state.items()}
        return ended(params, state, goal), expected(params, row, goal[None])[0]

    def apply(params, state, signal):
        """The recursion alone is scanned; hazards are read all at once."""
        drive, counts = signal
        goals = drive + params["bias"][None]

        def one(state, now):
            goal, counts = now
            state = begun(params, state, counts)
            return ended(params, state, goal), state

        state, begins = lax.scan(one, state, (goals, counts))
        return state, expected(params, begins, goals)

    longest_s = (ADAPTATION["tau_w_s"] if adaptive else MEMBRANE["tau_s"]).high
    return Stage(
        init=init,
        start=start,
        step=step,
        apply=apply,
        lags=0,
        burn_in_s=5 * longest_s,
        parameters=output_parameters(hazard) | own,
        about=("integrate_and_fire", cells, bin_s, adaptive, hazard, number),
        uses_response=True,
    )


def contract() -> list[tuple[Stage, tuple]]:
    return [
        (integrate_and_fire(3, 0.005), ((3,), (3,))),
        (integrate_and_fire(2, 0.01, adaptive=True, hazard="exp"), ((2,), (2,))),
    ]
