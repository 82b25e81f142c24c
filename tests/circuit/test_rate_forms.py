"""Rungs of events driven by a rate: the mean of what events do, and their equations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from retina import build
from retina.circuit.synapses.compartment import compartment
from retina.circuit.synapses.delta import delta
from retina.circuit.synapses.double_exponential import double_exponential
from retina.circuit.synapses.driven import driven
from retina.circuit.synapses.kinetic import kinetic
from retina.circuit.synapses.markov import markov
from retina.circuit.synapses.nmda import nmda
from retina.circuit.synapses.price import price
from retina.circuit.synapses.rungs import RUNGS
from retina.circuit.synapses.synapse import Synapse
from retina.circuit.synapses.tsodyks_markram import tsodyks_markram
from retina.circuit.terminal import shared
from retina.errors import BadSetting
from retina.fitting.simulate import simulate, with_quanta
from retina.types import Spec

HZ = np.repeat([3.0, 20.0, 0.0, 8.0], 5)  # 50 ms each


def _run(synapse: Synapse, rate: np.ndarray) -> np.ndarray:
    """(step,) out of one synapse of `count`, all driven alike."""
    params = synapse.init(jax.random.key(0))

    def step(state, x):
        state, out = synapse.step(params, state, jnp.full(synapse.count, x), None)
        return state, out[0]

    drive = jnp.asarray(rate, jnp.float32)
    return np.asarray(jax.lax.scan(step, synapse.start(params), drive)[1])


@pytest.mark.parametrize("kind", ["depressing", "facilitating"])
def test_plasticity_at_a_rate_is_the_mean_over_poisson_trains(kind: str):
    """500 synapses for 3 s, of which the last 2: about 20,000 events, 1 % of error.
    Facilitation and depletion of one synapse go together, which the means leave out."""
    dt_s, hz = 0.002, 20.0
    trains = np.random.default_rng(0).binomial(1, hz * dt_s, (1500, 500)).astype("f4")
    stage = driven(tsodyks_markram(delta(500, dt_s), kind))
    params = stage.init(jax.random.key(0))
    passed = jax.jit(stage.apply)(params, stage.start(params), jnp.asarray(trains))[1]
    mean = tsodyks_markram(delta(1, dt_s), kind, mean=True)
    expected = _run(mean, np.full(1500, hz))
    assert passed[500:].mean() == pytest.approx(expected[500:].mean(), rel=0.04)
    # What is left of a full synapse: the test is not one of passing all of it.
    assert not 0.7 < expected[-1] / expected[0] < 1.3


def _chain(t, p, up, down):
    rate = HZ[min(int(t / 0.05), 19)]
    over = up * p[:-1] - rate * down * p[1:]
    return np.concatenate([[-over[0]], over[:-1] - over[1:], [over[-1]]])


def test_rate_forms_follow_their_equations():
    """At 5 ms off by 3 % of its range, or 10 % with a membrane of 10 ms; at 1 ms by a
    fifth of that or less: of first order."""
    k = np.linspace(0, 1, 8)
    ends = 0.05 * np.arange(1, 21)

    def solved(slope, start):
        """The state at the end of every piece of a held rate."""
        states = [np.asarray(start, np.float64)]
        for end in ends:
            span = (end - 0.05, end - 1e-9)
            one = solve_ivp(slope, span, states[-1], "LSODA", rtol=1e-8, atol=1e-10)
            states.append(one.y[:, -1])
        return np.array(states[1:])

    def chain(dt_s):
        return markov(1, dt_s, timed=True)

    def block(dt_s):
        return compartment(nmda(double_exponential(1, dt_s, "nmda")), 20.0)

    made = chain(0.05)
    p = made.start(made.init(jax.random.key(0)))["p"][0]
    p = solved(lambda t, p: _chain(t, p, 8.0, 0.4), p)
    rise, decay = 0.00029, 0.043
    peak_s = rise * decay / (decay - rise) * np.log(decay / rise)
    scale = 20.0 / (np.exp(-peak_s / decay) - np.exp(-peak_s / rise))

    def membrane(t, y):
        slow, fast, v = y
        inflow = scale * HZ[min(int(t / 0.05), 19)]
        g = (slow - fast) / (1 + np.exp(-0.062 * v) / 3.57)
        pull = ((-60.0 - v) + g * (0.0 - v)) / 0.01
        return [inflow - slow / decay, inflow - fast / rise, pull]

    v = solved(membrane, [0.0, 0.0, -60.0])[:, 2] + 60
    busy = HZ > 0  # nothing is passed on where nothing comes
    cases = ((chain, p @ k, HZ, 0.03), (block, v, np.ones(20), 0.1))
    for make, true, per, most in cases:
        errors = []
        for dt_s in (0.005, 0.001):
            each = round(0.05 / dt_s)
            out = _run(make(dt_s), np.repeat(HZ, each))[each - 1 :: each]
            off = (out[busy] / per[busy]) - true[busy]
            errors.append(np.abs(off).max() / np.ptp(true))
        assert errors[0] < most and 3.5 < errors[0] / errors[1] < 10, errors


def test_a_chain_moved_by_events_alone_does_not_tire():
    """What an event passes on in the long run is the same at any rate; where the way
    up takes time it is less the more events there are."""
    settled = []
    for x in (0.2, 0.9):  # events in a step
        out = _run(markov(1, 0.01, 4), np.full(3000, x))
        tired = _run(markov(1, 0.01, 4, timed=True), np.full(3000, 100 * x))
        settled.append((out[-1] / x, tired[-1] / (100 * x)))
    (slow, rested), (fast, spent) = settled
    assert slow == pytest.approx(fast, rel=1e-3)
    assert spent < 0.5 * rested


def test_occupancies_stay_a_distribution_under_any_drive():
    made = markov(3, 1 / 30, 8, timed=True)
    at_bounds = {"up": jnp.full((3, 7), 15.0), "down": jnp.full((3, 7), 0.5)}
    state = made.start(at_bounds)
    for rate in (0.0, 1e6, 30.0, 0.0, 5.0):
        state, out = made.step(at_bounds, state, jnp.full(3, rate), None)
        assert float(state["p"].min()) >= -1e-7 and float(out.min()) >= 0
        np.testing.assert_allclose(state["p"].sum(1), 1, atol=1e-6)


def test_a_long_chain_starts_settled_whatever_its_chances():
    """32 states of which each is 43 times as full as the one below: 43^31 is 1e50. The
    last holds all but a 43rd."""
    made = markov(1, 1 / 30, 32, timed=True)
    params = {"up": jnp.full((1, 31), 15.0), "down": jnp.full((1, 31), 0.05)}
    p = made.start(params)["p"]
    assert float(p.sum()) == pytest.approx(1, abs=1e-6)
    assert float(p[0, -1]) == pytest.approx(1 - 0.35 / 15, rel=1e-4)
    slope = jax.grad(lambda params: made.start(params)["p"][0, 30])(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in slope.values())


def test_the_price_of_a_step():
    """6 an edge and 2 a state for the chain, 4 to begin and end it; the mean of S4 has
    two divisions and no transcendental, where S4 itself has two of them an event."""
    for states in (8, 32):
        found = price(markov(1, 1 / 30, states, timed=True)).step
        assert found.flops == 6 * (states - 1) + 2 * states + 3, states
    found = price(tsodyks_markram(delta(1, 0.01), mean=True)).step
    assert (found.divides, found.transcendentals) == (2, 0)
    assert price(tsodyks_markram(delta(1, 0.01))).event.transcendentals == 2


def test_rungs_without_a_rate_form_are_one_line():
    for wrap in (compartment, lambda inner: tsodyks_markram(inner, mean=True)):
        with pytest.raises(BadSetting, match="kinetic"):
            wrap(kinetic(1, 0.01))


def test_as_many_types_as_edges_share_the_chances_of_an_edge():
    make = RUNGS["markov_8"].make
    assert make is not None
    made = shared(make, 7)(14, 0.01)
    params = made.init(jax.random.key(0))
    assert params["up"].shape == (7,)
    state, _ = made.step(params, made.start(params), jnp.ones(14), None)
    assert state["p"].shape == (14, 8)


@pytest.mark.slow  # draws of a binomial take long to compile, and longer to run if not
@pytest.mark.fast_code
def test_simulated_spikes_of_drawn_vesicles():
    """The same parameters, another release in every trial."""
    made = build.model("ribbon_ln", Spec((), 2, 0.01), rung="ribbon_quanta", lags=4)
    params = made.stage.init(jax.random.key(0))
    noisy, x = with_quanta(made), jnp.ones(20)
    assert simulate(noisy, params, x, key=jax.random.key(1)).shape == (1, 20, 2)
    run = jax.jit(noisy.stage.apply)
    starts = [noisy.stage.start(params, jax.random.key(k)) for k in (1, 2)]
    rates = [run(params, start, x)[1] for start in starts]
    assert np.abs(rates[0] - rates[1]).max() > 1e-3
    # A release is a whole number: of one bin there are as many rates as those.
    assert len(np.unique(np.asarray(rates)[:, :, 0].round(5))) <= 8


def test_drawn_forms_take_the_fitted_parameters():
    field = Spec((), 2, 0.03)
    for name, small in (
        ("circuit", {"release": "ribbon_quanta", "types": 1}),
        ("subunit_ribbon", {"rung": "ribbon_quanta", "subunits": 1}),
    ):
        made = build.model(name, field, **small)
        drawn = with_quanta(made).stage
        same, own = (
            jax.eval_shape(s.init, jax.random.key(0)) for s in (made.stage, drawn)
        )
        assert jax.tree.structure(same) == jax.tree.structure(own)
        held, more = (
            len(jax.tree.leaves(jax.eval_shape(s.start, same)))
            for s in (made.stage, drawn)
        )
        assert more > held  # a random key at every terminal
        with pytest.raises(BadSetting, match="no synapse of .* draws vesicles"):
            with_quanta(build.model(name, field))
