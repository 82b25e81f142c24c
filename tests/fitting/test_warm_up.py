"""What a clip's lead is for: the gradient of a clip is that of the whole recording."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from retina import build
from retina.circuit.kinetics import kinetics
from retina.errors import BadSetting, ShapeMismatch
from retina.fitting.clips import clip_rate, cut, tabulate
from retina.fitting.fit import fit
from retina.fitting.loss import poisson
from retina.fitting.recipe import checked_recipe
from retina.parameter import Parameter
from retina.search.measure import measure
from retina.stage import Model, chain, memoryless, recurrent
from retina.types import Clip, Spec
from tests.fitting import synthetic

BIN_S, TAU_S, BINS = 0.05, 1.0, 20
SPEC = Spec((), 1, BIN_S)


def _slow(burn_in_s: float) -> Model:
    """A leak with a time constant of 1 s, then exp."""

    def step(params, state, x):
        state = state + (x[None] - state) * (-jnp.expm1(-BIN_S / params["tau_s"]))
        return state, state

    leak = recurrent(
        step,
        # Far from where any stimulus leads: a cold start that shows.
        start=lambda params, key=None: jnp.full(1, 3.0, jnp.float32),
        init=lambda key: {"tau_s": jnp.full(1, TAU_S, jnp.float32)},
        parameters={"tau_s": Parameter(TAU_S, "s", 0.1, 10.0)},
        burn_in_s=burn_in_s,
        about=("leak",),
    )
    rate = memoryless(lambda params, x: jnp.exp(0.5 * x), about=("exp",))
    return Model("slow", SPEC, chain(leak, rate))


def _clip(spec: Spec, bins: int, seed: int = 0) -> Clip:
    """A stimulus that wanders for seconds, and counts that follow none of it."""
    generator = np.random.default_rng(seed)
    steps = generator.standard_normal((-(-bins // 20), *spec.frame))
    stimulus = np.repeat(steps, 20, axis=0)[:bins].astype(np.float32)
    counts = generator.poisson(1.0, (1, bins, spec.cells)).astype(np.float32)
    return Clip("long", stimulus, counts)


def _slope(model: Model, params, clip: Clip, lead: int, bins: int, stop: bool = False):
    """Gradient of the last `bins` bins' loss after `lead` bins of history, flat."""
    stimulus, counts = jnp.asarray(clip.stimulus), jnp.asarray(clip.response[0])
    rows = jnp.concatenate([jnp.zeros_like(counts[:1]), counts])
    first = jnp.full(2, len(stimulus) - bins - lead, jnp.int32)
    null = jnp.ones(model.spec.cells, jnp.float32)

    def loss(params):
        if not stop:
            rate, target = clip_rate(model, params, stimulus, rows, first, lead, bins)
            return poisson(rate, target, null)
        x, target = cut(model, stimulus, rows, first, lead, bins)
        state = model.stage.start(params)
        state, _ = model.stage.apply(params, state, x[:lead])
        rate = model.stage.apply(params, lax.stop_gradient(state), x[lead:])[1]
        return poisson(rate, target, null)

    slope = jax.jit(jax.grad(loss))(params)
    return np.concatenate([np.ravel(a) for a in jax.tree.leaves(slope)])


def _off(one: np.ndarray, whole: np.ndarray) -> float:
    return float(np.linalg.norm(one - whole) / np.linalg.norm(whole))


def test_a_lead_of_the_burn_in_gives_the_gradient_of_the_whole():
    """A leak forgets as e^(-t / tau), its slope as (t / tau) e^(-t / tau).

    After 10 tau 5e-4 of it are left, after 5 tau 3e-2: times what a start at 3, three
    s.d. from the stimulus, adds to a slope of order one.
    """
    model = _slow(10 * TAU_S)
    params = model.stage.init(jax.random.key(0))
    clip = _clip(SPEC, 2000)
    whole = _slope(model, params, clip, 2000 - BINS, BINS)
    lead = tabulate(model, (clip,), BINS).lead
    assert lead == round(10 * TAU_S / BIN_S)
    full = _off(_slope(model, params, clip, lead, BINS), whole)
    half = _off(_slope(model, params, clip, lead // 2, BINS), whole)
    assert full < 5e-3 < 2e-2 < half, (full, half)


def test_a_gradient_that_is_stopped_where_the_loss_begins_is_wrong():
    """So it is not: the lead costs memory for its chunks alone.

    Of a clip one time constant long, most of what tau does was done before it.
    """
    model = _slow(10 * TAU_S)
    params = model.stage.init(jax.random.key(0))
    clip = _clip(SPEC, 2000)
    whole = _slope(model, params, clip, 2000 - BINS, BINS)
    lead = tabulate(model, (clip,), BINS).lead
    stopped = _off(_slope(model, params, clip, lead, BINS, stop=True), whole)
    assert stopped > 0.2, stopped


def test_the_kinetics_are_warmed_up_by_their_burn_in():
    """8 s, of which the slowest state's (3 s at this drive) are most."""
    bin_s, cells = 1 / 30, 2
    spec = Spec((cells,), cells, bin_s)
    stage = chain(
        memoryless(lambda params, x: jax.nn.sigmoid(x), about=("sigmoid",)),
        kinetics(cells, bin_s),
        memoryless(lambda params, x: 5 * x + 0.1, about=("gain",)),
    )
    model = Model("kinetic", spec, stage)
    params = stage.init(jax.random.key(0))
    clip, bins = _clip(spec, 2400), 60
    whole = _slope(model, params, clip, 2400 - bins, bins)
    lead = tabulate(model, (clip,), bins).lead
    full = _off(_slope(model, params, clip, lead, bins), whole)
    half = _off(_slope(model, params, clip, lead // 2, bins), whole)
    stopped = _off(_slope(model, params, clip, lead, bins, stop=True), whole)
    assert full < half < stopped, (full, half, stopped)
    assert full < 0.1 < stopped, (full, half, stopped)


def test_a_block_too_short_for_the_slowest_state_says_what_to_type():
    model = _slow(600.0)
    with pytest.raises(ShapeMismatch) as told:
        tabulate(model, (_clip(SPEC, 2000),), BINS)
    assert "remembers 600 s" in str(told.value)
    assert "--set warm_up_s=50" in str(told.value)
    table = tabulate(model, (_clip(SPEC, 2000),), BINS, warm_up_s=50.0)
    assert table.lead == 1000 and table.bins == BINS


@pytest.mark.parametrize(
    ("burn_in_s", "warm_up_s", "said"),
    [
        (2.0, 2.0, "does nothing for slow, whose burn-in is 2 s"),
        (2.0, -1.0, "0 or more"),
    ],
)
def test_a_warm_up_that_does_nothing_is_refused(burn_in_s, warm_up_s, said):
    with pytest.raises(BadSetting, match=said):
        checked_recipe(_slow(burn_in_s), {"warm_up_s": warm_up_s})


def test_less_warm_up_is_told_by_record_and_score():
    split = synthetic.split(synthetic.truth((), 1), train=400, held_out=200)
    model = _slow(600.0)
    fitted = fit(
        model, split, key=jax.random.key(0), warm_up_s=5.0, max_steps=40, clip_bins=64
    )
    assert fitted.training["lead"] == 100
    assert (fitted.training["warm_up_s"], fitted.training["burn_in_s"]) == (5.0, 600.0)
    notes = measure(fitted, split, names=["bits_per_spike"]).score.notes
    assert any("warmed up for 5 s of the 600 s" in note for note in notes)


def test_a_recurrent_model_of_the_registry_has_the_setting():
    model = build.model("lnk", Spec((), 2, 1 / 30), lags=4, rank=None)
    assert checked_recipe(model, {"warm_up_s": 4.0}).warm_up_s == 4.0
