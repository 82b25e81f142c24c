"""Short-term plasticity, event by event: facilitation u and depleted fraction D.

Between events u decays to 0 with tau_f and D with tau_d; an event after a time t does

    u <- U + (1 - U) u e^(-t/tau_f),  D <- D e^(-t/tau_d),  r = u (1 - D),  D <- D + r

and releases w r. Source: Tsodyks & Markram 1997, PNAS 94:719 (equations, closed form).
Nothing happens between events: the cost per time step is 0.

Where events come at a rate R, the means of a Poisson train, if u and D vary together
only through R (Tsodyks, Pawelzik & Markram 1998, Neural Comput 10:821, recalled):

    dv/dt = -v/tau_f + U (1 - v) R,  u = U + (1 - U) v,  dD/dt = -D/tau_d + u (1 - D) R

v is u as an event finds it, before its own part; u (1 - D) R is released. Steps are
implicit, as in `depletion`: v and D stay in [0, 1] at any step and any rate.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from retina.circuit.synapses.synapse import Event, Synapse
from retina.errors import BadSetting, nearest
from retina.parameter import Parameter

# U, tau_d, tau_f. A tau_f of 0 is the shortest there is.
SHORTEST_S = 0.001
KINDS = {
    "depressing": (0.5, 0.8, SHORTEST_S),
    "facilitating": (0.05, 0.13, 0.5),
    # 7 vesicles that go with 4 ms and come back with 4 s: rod bipolar cell to AII.
    "ribbon": (0.9, 4.0, SHORTEST_S),
}
SOURCES = {
    "depressing": "recalled",
    "facilitating": "recalled",
    "ribbon": "tau_d: Singer & Diamond 2006; U chosen",
}
LONG_AGO_S = -1000.0
LONGEST_S = 60.0


def tsodyks_markram(
    inner: Synapse,
    kind: str = "depressing",
    *,
    mean: bool = False,
    longest_s: float = LONGEST_S,
) -> Synapse:
    """Rung S4: an event reaches the inner rung with u (1 - D) of its amount.

    inner:  the postsynaptic rung, driven by events; with `mean`, by a rate.
    kind:   values to start from: depressing, facilitating or ribbon.
    mean:   True: graded, pre is events per second, out what the inner rung makes of
            their mean. It moves in every step: its cost is per step, and per event so
            many steps as lie between two.
    longest_s: that a time constant may come to.
    raises: BadSetting for an unknown kind or a graded inner rung.

    >>> from retina.circuit.synapses.delta import delta
    >>> from retina.circuit.synapses.price import price
    >>> price(tsodyks_markram(delta(1, 0.001))).event.flops_with(1)
    14
    """
    if kind not in KINDS:
        raise BadSetting(f"kind {kind!r}: {nearest(kind, KINDS)}")
    if inner.on_event is None:
        raise BadSetting(f"{inner.about[0]} is not driven by events; give one that is")
    hear, source = inner.on_event, SOURCES[kind]
    use, tau_d, tau_f = KINDS[kind]
    described = {
        "use": Parameter(use, "1", 0.0, 1.0, source=source),
        "depress_s": Parameter(tau_d, "s", SHORTEST_S / 10, longest_s, source=source),
        "facilitate_s": Parameter(
            tau_f, "s", SHORTEST_S / 10, longest_s, source=source
        ),
    }

    def init(key):
        return inner.init(key) | {n: jnp.float32(p.value) for n, p in described.items()}

    def start(params, key=None):
        still = jnp.zeros(inner.count, params["use"].dtype)
        return {
            "u": still,
            "depleted": still,
            "last_s": jnp.full_like(still, LONG_AGO_S),
            "target": inner.start(params, key),
        }

    def on_event(params, state, event):
        since = event.time_s - state["last_s"]
        faded = state["u"] * jnp.exp(since * (-1 / params["facilitate_s"]))
        u = params["use"] + (1 - params["use"]) * faded
        depleted = state["depleted"] * jnp.exp(since * (-1 / params["depress_s"]))
        released = u * (1 - depleted)
        passed = Event(released * event.amount, event.time_s)
        return {
            "u": u,
            "depleted": depleted + released,
            "last_s": jnp.broadcast_to(event.time_s, since.shape).astype(since.dtype),
            "target": hear(params, state["target"], passed),
        }

    def step(params, state, pre, post_mv):
        target, out = inner.step(params, state["target"], pre, post_mv)
        return state | {"target": target}, out

    def older(state, dt_s):
        # It stays there once there: a cell silent for an hour keeps a usable number.
        last = jnp.maximum(state["last_s"] - dt_s, LONG_AGO_S)
        return state | {"last_s": last, "target": inner.older(state["target"], dt_s)}

    if mean:
        return _mean(inner, init, described, kind, longest_s)
    return inner._replace(
        init=init,
        start=start,
        on_event=on_event,
        step=step,
        parameters={**inner.parameters, **described},
        about=("tsodyks_markram", kind, inner.about),
        burn_in_s=inner.burn_in_s + 20.0,
        linear=False,
        on_rate=None,
        older=older,
    )


def _mean(inner: Synapse, init, described, kind: str, longest_s: float) -> Synapse:
    """The rate form: a graded rung."""
    hear, dt_s = inner.on_rate, inner.dt_s
    if hear is None:
        raise BadSetting(f"{inner.about[0]} has no rate form; give one that has")

    def start(params, key=None):
        still = jnp.zeros(inner.count, params["use"].dtype)
        return {"v": still, "depleted": still, "target": inner.start(params, key)}

    def step(params, state, pre, post_mv):
        use, events = params["use"], pre * dt_s
        fade, refill = dt_s / params["facilitate_s"], dt_s / params["depress_s"]
        gained = use * events
        v = (state["v"] + gained) / ((1 + fade) + gained)
        u = use + (1 - use) * v
        asked = u * events
        depleted = (state["depleted"] + asked) / ((1 + refill) + asked)
        released = u * (1 - depleted) * pre
        target, out = hear(params, state["target"], released, post_mv)
        return {"v": v, "depleted": depleted, "target": target}, out

    return inner._replace(
        init=init,
        start=start,
        on_event=None,
        on_rate=None,
        step=step,
        parameters={**inner.parameters, **described},
        about=("tsodyks_markram", kind, "mean", longest_s, inner.about),
        # As in `depletion`, whose pool this one's is where nothing facilitates.
        burn_in_s=inner.burn_in_s + 3 * longest_s,
        linear=False,
        clip=None,
        hears=(0.0, math.inf),
    )
