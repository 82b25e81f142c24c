"""Horizontal cell feedback on the calcium of cones, by three pathways with switches.

    m = sigmoid((V_eff - V_half)/k),  I = g m max(E - V_eff, 0) (1 + 0.71 dpH)
    V_eff = V_cone - C_e (V_h - E_e) + 15.5 dpH
    tau_Ca dCa/dt = I - Ca                                calcium, as the current in pA
    tau_h dV_h/dt = E_L - V_h + G (E_glu - V_h) + a_g g_G A (E_Cl - V_h)
    tau_pH ddpH/dt = a_p d_p (1/2 - sigmoid((V_h - V_p)/k_p)) + a_g d_G A - dpH
    tau_G dA/dt = sigmoid((V_h - V_G)/k_G) - A            GABA of the horizontal cell

with G = kappa mean(Ca) over the cones of one horizontal cell. Ephaptic: current through
open hemichannels makes the cleft negative when V_h is; V_eff rises with it. pH: a
hyperpolarised horizontal cell makes the cleft alkaline, which shifts (15.5 mV per pH;
Barnes & Bui 1991) and enlarges the calcium current. GABA: slow, onto the horizontal
cell itself and the cleft's pH. Channels: jaxley-mech a18d1ae, feedback_ribbon.py; the
pH follows one first-order equation in place of its four transporters, of chosen size.
Switches: ephaptic, ph, gaba, each 0 or 1 (ablations).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from retina.circuit.root import rising_root
from retina.circuit.substeps import repeat, substeps
from retina.errors import BadSetting
from retina.parameter import Parameter
from retina.stage import Stage, recurrent

SOURCE = "jaxley-mech a18d1ae, feedback_ribbon.py"
PARAMETERS = {
    "g_ca": Parameter(1.0507, "nS", 0.01, 20.0, source=SOURCE),
    "half_mv": Parameter(-38.8631, "mV", -60.0, -20.0, source=SOURCE),
    "slope_mv": Parameter(4.6478, "mV", 1.0, 20.0, source=SOURCE),
    "e_ca_mv": Parameter(9.5288, "mV", 0.0, 80.0, False, SOURCE),
    "tau_ca_s": Parameter(0.05, "s", 0.005, 0.5, source=SOURCE),
    "per_ph": Parameter(0.71, "1", 0.0, 2.0, False, SOURCE),
    "shift_mv": Parameter(15.5, "mV", 0.0, 50.0, False, "Barnes & Bui 1991, " + SOURCE),
    "cleft": Parameter(0.18, "1", 0.0, 0.5, source=SOURCE),
    "e_cleft_mv": Parameter(-35.0, "mV", -80.0, 0.0, False, SOURCE),
    "tau_ph_s": Parameter(0.005, "s", 0.002, 1.0, source=SOURCE),
    "depth_ph": Parameter(0.3, "1", 0.0, 1.0, source="chosen"),
    "half_ph_mv": Parameter(-55.0, "mV", -80.0, -20.0, source="chosen: as Panx1's"),
    "slope_ph_mv": Parameter(5.0, "mV", 1.0, 20.0, source="chosen"),
    "tau_gaba_s": Parameter(20.0, "s", 0.1, 60.0, source=SOURCE),
    "half_gaba_mv": Parameter(-55.0, "mV", -80.0, -20.0, False, SOURCE),
    "slope_gaba_mv": Parameter(3.0, "mV", 1.0, 20.0, False, SOURCE),
    "g_gaba": Parameter(0.5, "1", 0.0, 5.0, source="chosen, relative to the leak"),
    "gaba_ph": Parameter(0.05, "1", 0.0, 1.0, source="chosen"),
    "e_cl_mv": Parameter(-28.0, "mV", -80.0, 0.0, False, SOURCE),
    "tau_h_s": Parameter(0.02, "s", 0.005, 0.2, source="chosen: as van Hateren 2005"),
    "rest_mv": Parameter(-70.0, "mV", -90.0, -40.0, False, "chosen"),
    "e_glu_mv": Parameter(0.0, "mV", -20.0, 20.0, False, "recalled"),
    "glutamate": Parameter(0.05, "1/pA", 0.0, 1.0, source="chosen"),
}
# A pathway that is off has no parameters either.
OF_EPHAPTIC = ("cleft", "e_cleft_mv")
OF_PH = ("depth_ph", "half_ph_mv", "slope_ph_mv")
OF_GABA = tuple(n for n in PARAMETERS if "gaba" in n) + ("e_cl_mv",)
OF_EITHER = ("tau_ph_s", "per_ph", "shift_mv")
MIDDLE = 0.5  # the 1/2: the pH of the base is where half of the range is used
# Exponential steps; what limits them is the feedback loop, which hears itself a step
# late: at this one its error is below 5 % of the response (tests/circuit). Any one
# number may go to its bound; with all at their worst it rings where the equations rest.
SAFE_S = 0.002


class Pooling(NamedTuple):
    """Which cones a horizontal cell hears, and feeds back on.

    cones:      shape of the cones.
    parameters: of the two maps; prepare: params -> weights, once.
    gather:     (weights, cones) -> (cells,), a mean.
    back:       (weights, (cells,)) -> cones.
    """

    cones: tuple[int, ...]
    parameters: dict[str, Parameter]
    prepare: Callable[[Any], Any]
    gather: Callable[[Any, jax.Array], jax.Array]
    back: Callable[[Any, jax.Array], jax.Array]


def _groups(cells: int, cones: int) -> Pooling:
    """Each horizontal cell has cones of its own."""
    return Pooling(
        (cells, cones),
        {},
        lambda params: None,
        lambda _, x: x.mean(axis=1),
        lambda _, x: x[:, None],
    )


def horizontal(
    cells: int,
    cones: int,
    bin_s: float,
    *,
    ephaptic: bool = True,
    ph: bool = True,
    gaba: bool = True,
    pooling: Pooling | None = None,
    dt_s: float | None = None,
) -> Stage:
    """Stage (cells, cones) -> (cells, cones): cone potential, mV, to calcium, pA.

    cells:   horizontal cells; cones: those that each one pools and feeds back on.
    ephaptic, ph, gaba: the three pathways; without one its work is not done either.
    pooling: in place of cones apart: those of a map, whose shape comes in and goes out.
    dt_s:    the sub-step, 2 ms at most.
    raises:  BadSetting for no cells or too long a step.

    >>> stage = horizontal(1, 3, 0.01, gaba=False)
    >>> sorted(stage.start(stage.init(jax.random.key(0))))
    ['Ca', 'V_h', 'dpH']
    """
    if min(cells, cones) < 1:
        raise BadSetting(f"cells {cells}, cones {cones}: give 1 or more")
    number, dt = substeps("horizontal", bin_s, SAFE_S, dt_s)
    pooled = pooling or _groups(cells, cones)
    cleft = ph or gaba  # the cleft's pH moves
    pathways = (
        (ephaptic, OF_EPHAPTIC),
        (ph, OF_PH),
        (gaba, OF_GABA),
        (cleft, OF_EITHER),
    )
    unused = {n for on, names in pathways if not on for n in names}
    described = {n: p for n, p in PARAMETERS.items() if n not in unused}
    described |= pooled.parameters
    taus = ("ca", *(("ph",) if cleft else ()), *(("gaba",) if gaba else ()))

    def init(key: jax.Array):
        return {n: jnp.float32(p.value) for n, p in described.items()}

    def start(params, key=None):
        """Cones in the dark at -40 mV for a while, feedback not yet settled."""
        kind = params["g_ca"].dtype
        state = {
            "Ca": jnp.full(pooled.cones, 20.0, kind),
            "V_h": jnp.full((cells,), -40.0, kind),
        }
        return (
            state
            | ({"dpH": jnp.zeros(cells, kind)} if cleft else {})
            | ({"A": jnp.full(cells, 0.9, kind)} if gaba else {})
        )

    def step(params, state, v_cone):
        p, ready = params, pooled.prepare(params)
        # 1 - e^(-dt/tau) itself: for GABA's 20 s, the rounding of e^(-dt/tau) shows.
        part = {n: -jnp.expm1(-dt / p[f"tau_{n}_s"]) for n in taus}
        per_h = -dt / p["tau_h_s"]
        rise = _rise(p) if cleft else 0.0

        def towards(old, goal, part):
            return old + (goal - old) * part

        def once(s):
            v_h, dph, a = s["V_h"], s.get("dpH"), s.get("A")
            v_eff, gain = v_cone, p["g_ca"]
            if ephaptic or cleft:
                v_eff = v_eff + pooled.back(ready, _shift(p, v_h, dph))
            if cleft:
                gain = pooled.back(ready, gain + rise * dph)
            total, pull = _pulls(p, pooled.gather(ready, s["Ca"]), a)
            # Exact for conductances held in a step.
            passed = -jnp.expm1(total * per_h)
            after = {
                "Ca": towards(s["Ca"], _calcium(p, v_eff, gain), part["ca"]),
                "V_h": towards(v_h, pull / total, passed),
            }
            if gaba:
                after["A"] = towards(a, _released(p, v_h), part["gaba"])
            if cleft:
                after["dpH"] = towards(dph, _alkaline(p, v_h, a), part["ph"])
            return after

        state = repeat(once, state, number)
        return state, state["Ca"]

    switches = (("ephaptic", ephaptic), ("ph", ph), ("gaba", gaba))
    return recurrent(
        step,
        start=start,
        init=init,
        parameters=described,
        burn_in_s=60.0 if gaba else 3.0,
        substeps=number,
        about=("horizontal", cells, cones, bin_s, switches, number),
    )


# A pathway that is off has no parameters: these tell by them which are on.


def _shift(p, v_h, dph) -> Any:
    """What a horizontal cell adds to the potential that its cones' channels see, mV."""
    ephaptic = p["cleft"] * (p["e_cleft_mv"] - v_h) if "cleft" in p else None
    alkaline = p["shift_mv"] * dph if "shift_mv" in p else None
    return _sum(ephaptic, alkaline)


def _rise(p):
    """Of the calcium conductance per pH."""
    return p["g_ca"] * p["per_ph"]


def _calcium(p, v_eff, gain):
    m = jax.nn.sigmoid((v_eff - p["half_mv"]) / p["slope_mv"])
    # Calcium only enters: beyond its reversal none is pumped out this way.
    return gain * m * jnp.maximum(p["e_ca_mv"] - v_eff, 0)


def _pulls(p, calcium, a):
    """Total conductance of a horizontal cell and its pull: leak 1, glutamate, GABA."""
    glu = p["glutamate"] * calcium
    total, pull = 1 + glu, p["rest_mv"] + glu * p["e_glu_mv"]
    if "g_gaba" in p:
        open_ = p["g_gaba"] * a
        total, pull = total + open_, pull + open_ * p["e_cl_mv"]
    return total, pull


def _released(p, v_h):
    return jax.nn.sigmoid((v_h - p["half_gaba_mv"]) / p["slope_gaba_mv"])


def _alkaline(p, v_h, a) -> Any:
    direct = None
    if "depth_ph" in p:
        acid = jax.nn.sigmoid((v_h - p["half_ph_mv"]) / p["slope_ph_mv"])
        direct = p["depth_ph"] * (MIDDLE - acid)
    return _sum(direct, p["gaba_ph"] * a if "g_gaba" in p else None)


def _sum(one, other) -> Any:
    """Of those pathways that there are: nothing is added to what is off."""
    if one is None or other is None:
        return other if one is None else one
    return one + other


def steady(params, v_cone: float) -> dict[str, jax.Array]:
    """Where all comes to rest when every cone has long been at one potential, mV.

    returns: the states by name, of one horizontal cell and one of its cones.

    >>> stage = horizontal(1, 1, 0.01)
    >>> params = stage.init(jax.random.key(0))
    >>> float(steady(params, -40.0)["Ca"]) > float(steady(params, -50.0)["Ca"]) > 0
    True
    """

    def rest(v_h):
        a = _released(params, v_h) if "g_gaba" in params else None
        dph, gain, v_eff = None, params["g_ca"], v_cone
        if "tau_ph_s" in params:
            dph = _alkaline(params, v_h, a)
            gain = gain + _rise(params) * dph
        if dph is not None or "cleft" in params:
            v_eff = v_eff + _shift(params, v_h, dph)
        calcium = _calcium(params, v_eff, gain)
        states = {"Ca": calcium, "V_h": v_h, "dpH": dph, "A": a}
        return states, _pulls(params, calcium, a)

    def excess(v_h):
        _, (total, pull) = rest(v_h)
        return v_h - pull / total

    v_h = rising_root(excess, params["rest_mv"], params["e_glu_mv"])
    return {n: s for n, s in rest(v_h)[0].items() if s is not None}


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    return [(horizontal(2, 2, 0.002), (2, 2))]
