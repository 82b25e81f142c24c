"""Double exponential synapse: g = w n (e^(-t/tau_d) - e^(-t/tau_r)), peak w.

Two decaying traces, exact at the ends of time steps. The peak is at t_p = tau_r tau_d
/ (tau_d - tau_r) ln(tau_d / tau_r). Values: ProbAMPANMDA2.mod, as used for the
simulations of Beniaguev, Segev & London 2021, Neuron 109:2727.
"""

from __future__ import annotations

import jax.numpy as jnp

from retina.circuit.synapses.exponential import leak
from retina.circuit.synapses.synapse import Synapse, at_dt
from retina.errors import BadSetting, nearest
from retina.parameter import Parameter

SOURCE = "ProbAMPANMDA2.mod (Beniaguev et al. 2021)"
KINDS = {"ampa": (0.0002, 0.0017), "nmda": (0.00029, 0.043)}
FAR = 100.0  # of tau_r and tau_d their bounds keep a factor, so that they never meet


def double_exponential(
    count: int, dt_s: float, kind: str = "ampa", far: float = FAR
) -> Synapse:
    """Rung S3b without its driving force (`conductance`). Out: g at the step's start.

    count, dt_s: see `Synapse`.
    kind:        time constants to start from: ampa or nmda.
    far:         how many times as long or as short they may come to be.
    raises:      BadSetting for an unknown kind.

    >>> double_exponential(1, 0.001).parameters["tau_d_s"].value
    0.0017
    """
    at_dt("double_exponential", dt_s)
    if kind not in KINDS:
        raise BadSetting(f"kind {kind!r}: {nearest(kind, KINDS)}")
    rise, decay = KINDS[kind]
    between = (rise * decay) ** 0.5
    described = {
        "tau_r_s": Parameter(rise, "s", rise / far, 0.9 * between, source=SOURCE),
        "tau_d_s": Parameter(decay, "s", 1.1 * between, decay * far, source=SOURCE),
    }

    def start(params, key=None):
        still = jnp.zeros(count, params["tau_d_s"].dtype)
        return {"decay": still, "rise": still}

    def on_event(params, state, event):
        return {n: trace + event.amount for n, trace in state.items()}

    def step(params, state, pre, post_mv):
        after = {
            "decay": jnp.exp(-dt_s / params["tau_d_s"]) * state["decay"],
            "rise": jnp.exp(-dt_s / params["tau_r_s"]) * state["rise"],
        }
        return after, state["decay"] - state["rise"]

    def on_rate(params, state, rate, post_mv):
        inflow = rate * scale(params)
        decay, slow = leak(state["decay"], inflow, params["tau_d_s"], dt_s)
        rise, fast = leak(state["rise"], inflow, params["tau_r_s"], dt_s)
        return {"decay": decay, "rise": rise}, slow - fast

    def scale(params):
        fast, slow = params["tau_r_s"], params["tau_d_s"]
        peak_s = fast * slow / (slow - fast) * jnp.log(slow / fast)
        return 1 / (jnp.exp(-peak_s / slow) - jnp.exp(-peak_s / fast))

    return Synapse(
        count,
        dt_s,
        init=lambda key: {n: jnp.float32(p.value) for n, p in described.items()},
        start=start,
        step=step,
        on_event=on_event,
        parameters=described,
        about=("double_exponential", kind, *(() if far == FAR else (far,))),
        burn_in_s=10 * decay * far,
        linear=True,
        on_rate=on_rate,
        scale=scale,
    )
