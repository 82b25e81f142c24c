"""The circuit of `benchmarks.circuit` in Brian2, compiled."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import brian2 as b2
import numpy as np

from benchmarks import inputs
from benchmarks.worker import Work, versions

CELLS = """
dv/dt = (g_leak*(e_leak - v) + g_e*(e_e - v) + g_i*(e_i - v) + drive(t, i))/c : volt
dg_e/dt = -g_e/tau_e : siemens
dg_i/dt = -g_i/tau_i : siemens
in_e : siemens
in_i : siemens
r : 1
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
        "half": fixed["half_mv"] * b2.mV,
        "slope": fixed["slope_mv"] * b2.mV,
    }
    cells = b2.NeuronGroup(
        settings["cells"], CELLS, method="exponential_euler", namespace=known
    )
    cells.v = fixed["leak_mv"] * b2.mV
    cells.run_regularly("r = 1/(1 + exp(-(v - half)/slope))", when="start")
    # After the sums, before the potential moves.
    cells.run_regularly("g_e += in_e\ng_i += in_i", when="before_groups", order=1)
    synapses = []
    for kind, short in (("excite", "e"), ("inhibit", "i")):
        sources, weights = drawn[f"{kind}_from"], drawn[f"{kind}_by"]
        each = b2.Synapses(
            cells,
            cells,
            f"w : siemens (constant)\nin_{short}_post = w*r_pre : siemens (summed)",
        )
        each.connect(
            i=sources.ravel(), j=np.repeat(np.arange(len(sources)), sources.shape[1])
        )
        each.w = weights.ravel() * b2.nS
        for summed in each.summed_updaters.values():
            summed.when = "before_groups"  # ahead of what adds it to g
        synapses.append(each)
    seen = b2.StateMonitor(cells, "v", record=True, when="end")
    net = b2.Network(cells, *synapses, seen)
    length = settings["bins"] * step_s

    def told() -> dict[str, Any]:
        v = np.asarray(seen.v / b2.mV)
        return {"loss": float(v.std(axis=1).mean())}

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
