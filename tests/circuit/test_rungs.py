"""What the rungs of the ladder do within a circuit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from retina.circuit.circuit import circuit
from retina.circuit.declaration import (
    Circuit,
    Projection,
)
from retina.circuit.kernels import one_to_one
from retina.circuit.membrane import SAFE_S, membrane, potential
from retina.circuit.population import Population
from retina.circuit.synapses.alpha import alpha
from retina.circuit.synapses.conductance import CHLORIDE_MV, conductance
from retina.circuit.synapses.depletion import depletion
from retina.circuit.synapses.exponential import exponential
from retina.circuit.synapses.kinetic import kinetic
from retina.circuit.synapses.tsodyks_markram import tsodyks_markram
from retina.costs.flops import count_step
from retina.errors import BadSetting

from .driven import BIN_S, drawn, run


def test_a_rung_may_be_changed_and_is_the_ladders_own():
    """Kinetics sit at the terminal, once for both targets; a decay at the target."""
    a = Population("a", (2,), safe_s=0.005)
    b, c = Population("b", (2,), safe_s=0.005), Population("c", (2,), clock="bin")

    def made(rung):
        edges = (
            Projection("a", "b", one_to_one(), rung),
            Projection("a", "c", one_to_one(), rung),
            Projection("b", "c", one_to_one(0.0, trained=False)),
        )
        return circuit(Circuit((a, b, c), edges), BIN_S)

    x = np.clip(drawn(20, 2), 0, 1)
    stage = made(kinetic)
    params = stage.init(jax.random.key(0))
    assert [n for n in params if "~" in n] == ["a~kinetic"]
    synapse = kinetic(2, 0.005)
    state, expected = synapse.start(params["a~kinetic"]), []
    for x_t in jnp.asarray(x, jnp.float32):
        outs = []
        for _ in range(4):
            state, y = synapse.step(params["a~kinetic"], state, x_t, 0.0)
            outs.append(y)
        expected.append(sum(outs) / 4)
    np.testing.assert_allclose(run(stage, x, params), expected, rtol=1e-5)
    stage = made(exponential)
    params = stage.init(jax.random.key(0))
    assert [n for n in params if "~" in n] == ["b~exponential", "c~exponential"]
    # Into c once per bin: g goes from g_0 to x tau; its mean over the bin.
    tau, g, expected = float(params["c~exponential"]["tau_s"]), 0.0, []
    keep = np.exp(-BIN_S / tau)
    for x_t in x:
        expected.append(x_t * tau + (g - x_t * tau) * (1 - keep) * tau / BIN_S)
        g = x_t * tau + (g - x_t * tau) * keep
    np.testing.assert_allclose(run(stage, x, params), expected, rtol=1e-5)


def _conducting(voltage, dt_s: float):
    """A rate through a glutamate and a chloride conductance onto one membrane."""

    def open_(count: int, dt_s: float):
        return conductance(exponential(count, dt_s))

    def shut(count: int, dt_s: float):
        return conductance(alpha(count, dt_s), CHLORIDE_MV)

    source = Population("source", (1,), safe_s=SAFE_S)
    other = Population("other", (1,), safe_s=SAFE_S)
    cell = Population("cell", (1,), membrane, safe_s=SAFE_S, voltage=voltage)
    forth = one_to_one(2.0, trained=False)
    edges = (
        Projection("source", "other", one_to_one(trained=False)),
        Projection("source", "cell", forth, open_),
        Projection("other", "cell", forth, shut),
    )
    return circuit(Circuit((source, other, cell), edges), 0.01, dt_s=dt_s)


def test_a_conductance_follows_its_target():
    """Against LSODA, over bins of 10 ms: of first order, since what is heard of the
    target is a step old. Up to 18 nS on a leak of 1; clamped, the same synapses would
    never reach their reversals."""
    rates = np.repeat([100.0, 800.0, 0.0, 400.0], 5)
    tau, level, peak = 0.003, 2.0, np.e
    state, expected = np.array([0.0, 0.0, 0.0, -60.0, 0.0]), []
    for rate in rates:

        def slope(_, y, rate=rate):
            g, h, k, v, _ = y
            current = g * (0 - v) + k * (CHLORIDE_MV - v)
            dv = (-60 - v + current) / 0.01
            out = 2 * np.logaddexp(0, (v + 45) / 2)
            dh = level * peak * rate - h / tau
            return [level * rate - g / tau, dh, (h - k) / tau, dv, out]

        state[4] = 0
        solved = solve_ivp(slope, (0, 0.01), state, "LSODA", rtol=1e-8, atol=1e-10)
        state = solved.y[:, -1]
        expected.append(state[4] / 0.01)
    expected = np.array(expected)
    x, errors = rates[:, None], []
    for dt_s in (5e-4, 2.5e-4, 1.25e-4):
        found = run(_conducting(potential, dt_s), x)[:, 0]
        errors.append(np.abs(found - expected).max() / np.ptp(expected))
    assert errors[0] < 0.1
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert 1.7 < coarse / fine < 2.4, errors
    clamped = run(_conducting(None, 5e-4), x)[:, 0]
    assert clamped.max() > 3 * expected.max()


def test_synapses_of_a_minus_take_away_what_they_would_add():
    """Also below 0: each sign has a state of its own, which hears 0 or more."""
    a, b, c = (Population(name, (2,)) for name in "abc")

    def out(*edges: Projection) -> np.ndarray:
        populations = (a, c, b) if len(edges) > 1 else (a, b)
        return run(circuit(Circuit(populations, edges), BIN_S), drawn(10, 2))

    def onto_b(source: str, sign: int, weight: float) -> Projection:
        kernel = one_to_one(weight, trained=False)
        return Projection(source, "b", kernel, exponential, sign)

    plus = out(onto_b("a", 1, 1.0))
    assert plus.min() > 0
    np.testing.assert_array_equal(out(onto_b("a", -1, 1.0)), -plus)
    passed = Projection("a", "c", one_to_one(trained=False))
    both = out(passed, onto_b("a", 1, 1.0), onto_b("c", -1, 3.0))
    np.testing.assert_allclose(both, -2 * plus, rtol=1e-5)


def test_a_conductance_that_would_push_from_its_reversal_is_refused():
    def open_(count: int, dt_s: float):
        return conductance(exponential(count, dt_s))

    a = Population("a", (1,), safe_s=SAFE_S)
    cell = Population("cell", (1,), membrane, safe_s=SAFE_S, voltage=potential)
    edge = Projection("a", "cell", one_to_one(), open_, sign=-1)
    with pytest.raises(BadSetting, match="a->cell: its conductance .* give sign=1"):
        circuit(Circuit((a, cell), (edge,)), 0.01)


@pytest.mark.parametrize(
    ("rung", "wild", "tame"),
    [
        (kinetic, [5.0, -3.0, 0.5], [1.0, 0.0, 0.5]),
        (depletion, [-90, 3, -9], [0, 3, 0]),
    ],
)
def test_a_rung_hears_no_more_than_its_equations_hold(rung, wild, tame):
    """Of a source that may give anything; one that says what it gives is not cut."""

    def made(x, **given):
        cells = Population("a", (1,), safe_s=0.005, **given), Population("b", (1,))
        edge = Projection("a", "b", one_to_one(trained=False), rung)
        stage = circuit(Circuit(cells, (edge,)), 0.01)
        compared = count_step(stage, stage.init(jax.random.key(0)), jnp.zeros(1))
        return run(stage, np.reshape(x, (-1, 1))), compared[1].comparisons

    (found, more), (wanted, less) = made(wild), made(tame, gives=(0.0, 1.0))
    np.testing.assert_array_equal(found, wanted)
    assert more > less


def test_a_current_that_is_negative_divides_by_1():
    """Of a shunt at -65 mV whose target is held at -60 mV: no sign is turned by it."""

    def inward(count: int, dt_s: float):
        return conductance(exponential(count, dt_s), CHLORIDE_MV)

    a, b, c = (Population(name, (1,)) for name in "abc")
    one = one_to_one(trained=False)
    edges = [Projection("a", "b", one), Projection("a", "c", one)]
    edges.append(Projection("b", "c", one, inward, effect="divide"))
    stage = circuit(Circuit((a, b, c), tuple(edges)), BIN_S)
    x = np.full((20, 1), 1000.0)
    np.testing.assert_allclose(run(stage, x), x)
    assert stage.about[-1][0] == "floor"


def test_a_rung_of_single_spikes_is_refused():
    def plastic(count, dt_s):
        return tsodyks_markram(exponential(count, dt_s))

    a, b = Population("a", (1,)), Population("b", (1,))
    with pytest.raises(BadSetting, match="state moves with each spike"):
        circuit(Circuit((a, b), (Projection("a", "b", rung=plastic),)), 0.01)


def test_two_rungs_that_only_differ_in_value_are_told():
    def slow(count, dt_s):
        made = exponential(count, dt_s)
        return made._replace(init=lambda key: {"tau_s": jnp.float32(0.1)})

    cells = tuple(Population(name, (1,)) for name in "abc")
    edges = (
        Projection("a", "b"),
        Projection("a", "c", rung=exponential),
        Projection("b", "c", rung=slow),
    )
    with pytest.raises(BadSetting, match="both exponential but of other values"):
        circuit(Circuit(cells, edges), 0.01)
