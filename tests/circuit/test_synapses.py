"""Rungs against closed forms, each other, and what they conserve."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from retina.circuit.synapses.alpha import alpha
from retina.circuit.synapses.conductance import CHLORIDE_MV, conductance
from retina.circuit.synapses.delta import delta
from retina.circuit.synapses.depletion import depletion
from retina.circuit.synapses.double_exponential import double_exponential
from retina.circuit.synapses.driven import driven
from retina.circuit.synapses.exponential import exponential
from retina.circuit.synapses.kinetic import kinetic
from retina.circuit.synapses.markov import markov
from retina.circuit.synapses.nmda import nmda
from retina.circuit.synapses.ribbon_cycle import ribbon_cycle
from retina.circuit.synapses.ribbon_quanta import ribbon_quanta
from retina.circuit.synapses.state_machine import state_machine
from retina.circuit.synapses.synapse import Event
from retina.circuit.synapses.tsodyks_markram import tsodyks_markram
from retina.circuit.terminal import terminal
from retina.errors import BadSetting
from tests.circuit.truth import check_slopes, slopes, transitions

DT = 0.0005
SPIKES = np.array([3, 9, 10, 60, 150])  # steps in which one arrives


def _train(steps: int = 200) -> np.ndarray:
    train = np.zeros((steps, 1), np.float32)
    train[SPIKES] = 1
    return train


def _respond(stage, x, **changed):
    params = stage.init(jax.random.key(0))
    params |= {n: jnp.float32(v) for n, v in changed.items()}
    return np.asarray(stage.apply(params, stage.start(params), jnp.asarray(x))[1])


def _summed(kernel) -> np.ndarray:
    """A response to the train as the sum of one kernel an event, exact in time."""
    t = (np.arange(200)[:, None] - SPIKES) * DT
    return np.where(t >= 0, kernel(np.maximum(t, 0)), 0).sum(1)


def _pair(t, rise=0.0002, decay=0.0017):
    peak = rise * decay / (decay - rise) * np.log(decay / rise)
    top = np.exp(-peak / decay) - np.exp(-peak / rise)
    return (np.exp(-t / decay) - np.exp(-t / rise)) / top


@pytest.mark.parametrize(
    ("synapse", "kernel"),
    [
        (delta(1, DT), lambda t: (t < DT / 2).astype(float)),
        (exponential(1, DT), lambda t: np.exp(-t / 0.003)),
        (alpha(1, DT), lambda t: t / 0.003 * np.exp(1 - t / 0.003)),
        (double_exponential(1, DT), _pair),
    ],
    ids=["delta", "exponential", "alpha", "double_exponential"],
)
def test_linear_rungs_are_exact_at_every_step(synapse, kernel):
    """No error of integration: float32 rounding of some hundred products is left."""
    found = _respond(driven(synapse), _train())[:, 0]
    np.testing.assert_allclose(found, _summed(kernel), atol=3e-6)


RATES = np.array([0.0, 300.0, 300.0, 20.0, 0.0, 90.0])  # events/s, held over a step


def _held(name: str, params, rate: float, y):
    """Slopes of the states and, last, of the output's sum over time."""
    if name == "exponential":
        return [rate - y[0] / params["tau_s"], y[0]]
    if name == "alpha":
        tau = params["tau_s"]
        return [rate * np.e - y[0] / tau, (y[0] - y[1]) / tau, y[1]]
    rise, decay = params["tau_r_s"], params["tau_d_s"]
    flow = rate * params["scale"]
    return [flow - y[0] / decay, flow - y[1] / rise, y[0] - y[1]]


@pytest.mark.parametrize("dt_s", [2e-4, 0.03, 1.0])
@pytest.mark.parametrize("make", [exponential, alpha, double_exponential])
def test_a_rate_held_over_a_step_is_heard_exactly(make, dt_s: float):
    """The mean of the output over every step, by LSODA; from a fifteenth to hundreds of
    time constants. Float32 of what a lasting rate would come to is left."""
    synapse = make(1, dt_s)
    stage = terminal(synapse)
    params = stage.init(jax.random.key(0))
    x = jnp.asarray(RATES[:, None], jnp.float32)
    found = np.asarray(stage.apply(params, stage.start(params), x)[1])[:, 0]
    plain = {n: float(v) for n, v in params.items()}
    plain["scale"] = float(synapse.scale(params))
    y, expected = np.zeros(2 if make is exponential else 3), []
    for rate in RATES:
        y[-1] = 0
        solved = solve_ivp(
            lambda t, y, rate=rate: _held(synapse.about[0], plain, rate, y),
            (0, dt_s),
            y,
            "LSODA",
            rtol=1e-9,
            atol=1e-12,
        )
        y = solved.y[:, -1]
        expected.append(y[-1] / dt_s)
    lasting = terminal(make(1, 10.0))
    _, most = lasting.step(params, lasting.start(params), jnp.full(1, 300.0))
    np.testing.assert_allclose(found, expected, atol=5e-7 * float(most[0]))
    # A conductance's is that times the driving force.
    forced = terminal(conductance(synapse, CHLORIDE_MV))
    driven_by = forced.init(jax.random.key(0))
    out = np.asarray(forced.apply(driven_by, forced.start(driven_by), x)[1])[:, 0]
    np.testing.assert_allclose(out, found * (CHLORIDE_MV + 60), rtol=1e-5)


def test_sharing_one_state_changes_nothing():
    """Three private synapses, summed, are three sources of one state."""
    generator = np.random.default_rng(0)
    x = generator.binomial(1, 0.1, (100, 3)).astype(np.float32)
    weight = jnp.asarray([0.2, 1.0, 3.0], jnp.float32)
    apart = driven(alpha(3, DT))
    params = apart.init(jax.random.key(0)) | {"weight": weight}
    private = apart.apply(params, apart.start(params), jnp.asarray(x))[1].sum(1)
    together = driven(alpha(1, DT), sources=3)
    params = together.init(jax.random.key(0)) | {"weight": weight[:, None]}
    shared = together.apply(params, together.start(params), jnp.asarray(x))[1][:, 0]
    np.testing.assert_allclose(private, shared, rtol=1e-5, atol=1e-6)
    with pytest.raises(BadSetting, match="cannot share; leave sources out"):
        driven(tsodyks_markram(alpha(1, DT)), sources=3)


@pytest.mark.parametrize("post_mv", [-80.0, -40.0, 20.0])
def test_magnesium_unblocks_with_depolarisation(post_mv: float):
    """Jahr & Stevens' B(V), and the driving force towards 0 mV."""
    gated = driven(conductance(nmda(double_exponential(1, DT, "nmda"))))
    found = _respond(gated, _train(), post_mv=post_mv)[:, 0]
    unblocked = 1 / (1 + np.exp(-0.062 * post_mv) / 3.57)
    g = _summed(lambda t: _pair(t, 0.00029, 0.043))
    np.testing.assert_allclose(found, g * unblocked * -post_mv, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["depressing", "facilitating"])
def test_short_term_plasticity_between_events(kind: str):
    """Released amounts against fine explicit steps of u and R between spikes."""
    use, tau_d, tau_f = {
        "depressing": (0.5, 0.8, 0.001),
        "facilitating": (0.05, 0.13, 0.5),
    }[kind]
    found = _respond(driven(tsodyks_markram(delta(1, DT), kind)), _train())[:, 0]
    u, r, released, fine = 0.0, 1.0, [], 200
    for step in range(200):
        if step in SPIKES:
            u = u + use * (1 - u)
            released.append(u * r)
            r = r - u * r
        for _ in range(fine):
            u -= DT / fine * u / tau_f
            r += DT / fine * (1 - r) / tau_d
    np.testing.assert_allclose(found[SPIKES], released, rtol=2e-3)
    assert np.count_nonzero(found) == len(SPIKES)
    # Depression falls within a burst; facilitation rises.
    assert (released[2] < released[0]) == (kind == "depressing")


def test_plasticity_under_the_most_hostile_trains():
    """Ten minutes shared by 20 synapses: bursts at every step, silence, coin tosses."""
    generator = np.random.default_rng(0)
    steps = 30_000
    train = generator.binomial(1, 0.5, (steps, 20)).astype(np.float32)
    train[:10_000], train[10_000:20_000] = 1, 0
    stage = driven(tsodyks_markram(exponential(20, 0.001), "facilitating"))
    params = stage.init(jax.random.key(0))
    state, out = jax.jit(stage.apply)(params, stage.start(params), jnp.asarray(train))
    assert np.all(np.isfinite(out)) and float(out.min()) >= 0
    for name in ("u", "depleted"):
        assert 0 <= float(state[name].min()) and float(state[name].max()) <= 1


CHECKED = {
    "plastic": tsodyks_markram(alpha(1, DT)),
    "gated": conductance(nmda(double_exponential(1, DT, "nmda"))),
    "quanta": ribbon_quanta(1, 0.01, mean=True),
    "chain": markov(1, DT, 3),
    "depletion": depletion(1, 0.01),
}


@pytest.mark.parametrize("name", CHECKED)
def test_gradients_are_those_of_finite_differences(name: str):
    """Float64, every trained parameter; other rungs' are in test_truth."""
    # Counts of spikes; to the chain, their expected number, to the quanta calcium.
    x = np.tile([1.0, 0.0, 1.0, 0.3 if name == "chain" else 2.0], 6)
    x = np.tile([1.7, 0.7, 1.7, 1.0], 6) if name == "quanta" else x
    check_slopes(slopes(lambda: driven(CHECKED[name]), x, bins=24))


def test_two_spikes_in_a_step_are_one_event_of_twice_the_weight():
    """Twice the release of one; what later spikes find left is the same."""
    counts = np.zeros((40, 1), np.float32)
    counts[[3, 20]] = 1
    stage = driven(tsodyks_markram(delta(1, DT)))
    once = _respond(stage, counts)[:, 0]
    counts[3] = 2
    twice = _respond(stage, counts)[:, 0]
    assert once[3] > 0 and twice[3] == pytest.approx(2 * once[3])
    assert twice[20] == pytest.approx(once[20])


def test_events_and_steps_are_two_ways_to_the_same_train():
    """Called event by event with time stamps, as in an event-driven simulation."""
    synapse = tsodyks_markram(delta(1, DT))
    params = synapse.init(jax.random.key(0))
    state, released = synapse.start(params), []
    assert synapse.on_event is not None
    for spike in SPIKES:
        event = Event(jnp.ones(1, jnp.float32), jnp.float32(spike * DT))
        state = synapse.on_event(params, state, event)
        state, out = synapse.step(params, state, None, None)
        released.append(float(out[0]))
    stepped = _respond(driven(synapse), _train())[SPIKES, 0]
    np.testing.assert_allclose(released, stepped, rtol=1e-4)


def test_vesicles_of_the_ribbon_cycle_go_round():
    """Twenty ribbons for four and a half minutes: none made or lost but by rounding.

    600,000 sub-steps of float32, each right to 1e-7 of 20 vesicles, mostly cancelling.
    """
    stage = driven(ribbon_cycle(20, 0.0045))  # ten sub-steps
    params = stage.init(jax.random.key(0))
    volts = np.random.default_rng(0).choice([-70.0, -35.0, 0.0], (3000, 20))
    held = np.repeat(volts, 20, axis=0).astype(np.float32)
    state, _ = jax.jit(stage.apply)(params, stage.start(params), jnp.asarray(held))
    total = sum(np.asarray(pool) for pool in state.values())
    np.testing.assert_allclose(total, 19.75, rtol=2e-3)
    with pytest.raises(BadSetting, match="is not safe; give 0.000455 s or less"):
        ribbon_cycle(1, 0.001, substep_s=0.001)


def test_drawn_vesicles_are_whole_and_have_the_mean():
    """1000 ribbons at random against their mean, while there is room for each vesicle.

    Both start empty; the mean is right to three of its own standard errors.
    """
    calcium = np.repeat([[1.0], [1.06], [1.02]], 10, axis=0).astype(np.float32)
    mean = _respond(driven(ribbon_quanta(1, 0.01, mean=True)), calcium)[:, 0]
    stage = driven(ribbon_quanta(1000, 0.01))
    params = stage.init(jax.random.key(0))
    begin = stage.start(params, jax.random.key(1))
    x = jnp.broadcast_to(jnp.asarray(calcium), (30, 1000))
    after, drawn = jax.jit(stage.apply)(params, begin, x)
    drawn = np.asarray(drawn, np.float64)
    assert np.all(drawn == np.round(drawn)) and drawn.min() == 0 and drawn.max() > 2
    assert float(after["docked"].min()) >= 0 and float(after["docked"].max()) <= 7
    error = drawn.std(1) / np.sqrt(1000)
    # 30 steps, correlated: four standard errors of the worst.
    assert np.all(np.abs(drawn.mean(1) - mean) < 4 * error + 1e-3)
    # More variable than a binomial: vesicles of a ribbon share their luck.
    # Independent ones, docked by a Poisson stream, would vary by their mean at most.
    assert np.mean(drawn[-5:].var(1)) > np.mean(drawn[-5:].mean(1))


def test_a_long_step_of_quanta_is_the_sum_of_short_ones():
    """30 ms at one calcium: three steps of 10 ms, in the mean."""
    long, short = (ribbon_quanta(2, dt, mean=True) for dt in (0.03, 0.01))
    params = short.init(jax.random.key(0))
    state = {"docked": jnp.array([7.0, 2.0]), "ribbon": jnp.array([50.0, 9.0])}
    calcium = jnp.array([1.0, 1.03])
    once, released = long.step(params, state, calcium, None)
    total = jnp.zeros(2)
    for _ in range(3):
        state, one = short.step(params, state, calcium, None)
        total = total + one
    np.testing.assert_allclose(released, total, rtol=1e-6)
    for name in state:
        np.testing.assert_allclose(once[name], state[name], rtol=1e-6)


def test_a_chain_is_a_matrix():
    """`chain_step` with an event in every step is p T, T the transition matrix."""
    synapse = markov(1, DT, 16)
    params = synapse.init(jax.random.key(0))
    p = synapse.start(params)["p"]
    expected = np.asarray(p[0], np.float64)
    matrix = transitions(np.full(15, 0.05), np.full(15, 0.1))
    state = {"p": p}
    for _ in range(50):
        state, _ = synapse.step(params, state, jnp.ones(1, jnp.float32), None)
        expected = expected @ matrix
    np.testing.assert_allclose(state["p"][0], expected, atol=1e-6)
    assert float(state["p"].sum()) == pytest.approx(1, abs=1e-6)


def test_the_state_machine_has_the_occupancies_of_the_chain():
    """4000 synapses, an event in half of the steps, against the mean of all trains."""
    count, states, steps = 4000, 8, 80
    events = np.random.default_rng(0).binomial(1, 0.5, (steps, count)).astype("f4")
    stage = driven(state_machine(delta(count, DT), states))
    params = stage.init(jax.random.key(0))
    begin = stage.start(params, jax.random.key(3))
    after, out = jax.jit(stage.apply)(params, begin, jnp.asarray(events))
    drawn = np.bincount(np.asarray(after["level"]), minlength=states) / count
    chain = driven(markov(1, DT, states))
    params = chain.init(jax.random.key(0))
    expected, passed = chain.apply(
        params, chain.start(params), jnp.full((steps, 1), 0.5, jnp.float32)
    )
    # Chances are rounded to 1/256 (2 % of 0.05, drifting over 40 events); four standard
    # errors of 4000 draws.
    p = np.asarray(expected["p"][0])
    assert np.all(np.abs(drawn - p) < 4 * np.sqrt(p * (1 - p) / count) + 0.01)
    np.testing.assert_allclose(out.mean(1), passed[:, 0], atol=0.02)


def test_kinetic_is_the_four_state_block():
    assert kinetic(2, 0.001).start(kinetic(2, 0.001).init(jax.random.key(0)))[0].shape
    with pytest.raises(BadSetting, match="kinetic is not driven by events"):
        tsodyks_markram(kinetic(1, 0.001))


def test_synapses_of_another_sign_or_weight_are_other_stages():
    synapse = exponential(1, DT)
    both = (conductance(synapse), conductance(synapse, CHLORIDE_MV))
    stages = [driven(one) for one in both] + [driven(both[0], weight=2.0)]
    assert len({stage.about for stage in stages}) == 3


def test_misspelt_kinds_and_times_are_named():
    with pytest.raises(BadSetting, match="did you mean 'nmda'"):
        double_exponential(1, DT, "nmd")
    with pytest.raises(BadSetting, match="dt_s 0 s; give a time above 0"):
        exponential(1, 0.0)
    with pytest.raises(BadSetting, match="did you mean 'depressing'"):
        tsodyks_markram(delta(1, DT), "depresing")
    with pytest.raises(BadSetting, match="states 1: give 2 or more"):
        markov(1, DT, 1)
