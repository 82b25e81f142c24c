"""The circuit of `benchmarks.circuit` in Brian2, compiled."""

from __future__ import annotations

import math
import tempfile
import time
from typing import Any

import brian2 as b2
import numpy as np

from benchmarks import inputs
from benchmarks.worker import Work, versions

CELLS = """
dv/dt = (g_leak*(e_leak - v) + pull + drive(t, i))/c : volt
g_e : siemens
g_i : siemens
in_e : siemens/second
in_i : siemens/second
pull : amp
r : volt
"""
# In the mean over the step, `share` of what is apart from the goal; at its end, `keep`.
SYNAPSES = """
apart_e = g_e - in_e*tau_e
apart_i = g_i - in_i*tau_i
mean_e = in_e*tau_e + apart_e*share_e
mean_i = in_i*tau_i + apart_i*share_i
pull = mean_e*(e_e - v) + mean_i*(e_i - v)
g_e = in_e*tau_e + apart_e*keep_e
g_i = in_i*tau_i + apart_i*keep_i
"""


def network(settings: dict[str, Any]) -> Work:
    """settings["way"]: "cython" or "cpp"; "float32": in place of float64."""
    standalone = settings["way"] == "cpp"
    if standalone:
        folder = tempfile.mkdtemp()
        b2.set_device("cpp_standalone", directory=folder, build_on_run=False)
    else:
        b2.prefs.codegen.target = "cython"
    if settings.get("float32"):
        b2.prefs.core.default_float_dtype = np.float32
    drawn, fixed = inputs.network(settings), inputs.NETWORK
    step_s = settings["dt_s"] * b2.second
    b2.defaultclock.dt = step_s
    known = {
        "drive": b2.TimedArray(drawn["drive"] * b2.pA, dt=step_s),
        "c": fixed["c_nf"] * b2.nF,
        "g_leak": fixed["leak_ns"] * b2.nS,
        "e_leak": fixed["leak_mv"] * b2.mV,
        "e_e": fixed["excite_mv"] * b2.mV,
        "e_i": fixed["inhibit_mv"] * b2.mV,
        "tau_e": fixed["excite_ms"] * b2.ms,
        "tau_i": fixed["inhibit_ms"] * b2.ms,
        "threshold": fixed["threshold_mv"] * b2.mV,
        "softness": fixed["softness_mv"] * b2.mV,
    }
    for short, kind in (("e", "excite"), ("i", "inhibit")):
        taus = settings["dt_s"] * 1e3 / fixed[f"{kind}_ms"]
        known |= {
            f"keep_{short}": math.exp(-taus),
            f"share_{short}": -math.expm1(-taus) / taus,
        }
    cells = b2.NeuronGroup(
        settings["cells"], CELLS, method="exponential_euler", namespace=known
    )
    cells.v = fixed["leak_mv"] * b2.mV
    # After the sums, before the potential moves.
    cells.run_regularly(SYNAPSES, when="before_groups", order=1)
    cells.run_regularly(
        "r = softness*log(1 + exp((v - threshold)/softness))", when="end"
    )
    synapses = []
    for kind, short in (("excite", "e"), ("inhibit", "i")):
        sources, weights = drawn[f"{kind}_from"], drawn[f"{kind}_by"]
        each = b2.Synapses(
            cells,
            cells,
            f"w : siemens/volt/second (constant)\n"
            f"in_{short}_post = w*r_pre : siemens/second (summed)",
        )
        each.connect(
            i=sources.ravel(), j=np.repeat(np.arange(len(sources)), sources.shape[1])
        )
        each.w = weights.ravel() * b2.nS / b2.mV / b2.second
        for summed in each.summed_updaters.values():
            summed.when = "before_groups"  # ahead of what they drive
        synapses.append(each)
    seen = b2.StateMonitor(cells, "r", record=True, when="end", order=1)
    net = b2.Network(cells, *synapses, seen)
    length = settings["bins"] * step_s

    def told() -> dict[str, Any]:
        released = np.asarray(seen.r / b2.mV)
        return {"loss": float(released.std(axis=1).mean())}

    if standalone:
        net.run(length)
        b2.device.build(directory=folder, compile=True, run=False)

        def step() -> dict[str, Any]:
            b2.device.run(directory=folder, with_output=False)
            took = b2.device._last_run_time / settings["bins"]
            return {"seconds": took, "spent_s": took} | told()
    else:
        net.store()

        def timed(duration) -> float:
            net.restore()
            begun = time.perf_counter()
            net.run(duration)
            return time.perf_counter() - begun

        def step() -> dict[str, Any]:
            nothing = timed(0 * b2.second)
            # Of a tiny run the rest is less than what two of them differ by.
            took = max(timed(length) - nothing, 1e-6) / settings["bins"]
            return {"seconds": took, "spent_s": took} | told()

    return Work(step, versions("brian2"), settings["bins"])
