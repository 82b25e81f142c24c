"""The price of a training step, against sums that can be done by hand."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

import retina
from retina import formulation, registry
from retina.costs.flops import count
from retina.search.learning import learning, steps_of_each, updates
from retina.types import Clip, Interval, Spec, Split

BINS, LAGS, CELLS, PIXELS = 60, 4, 2, 40


def a_split(species="cat", frame=(PIXELS,), bins=BINS):
    rng = np.random.default_rng(0)

    def clip(name):
        x = rng.normal(size=(bins, *frame)).astype(np.float32)
        y = rng.poisson(0.3, (1, bins, CELLS)).astype(np.float32)
        return Clip(name, x, y, skip=LAGS)

    spec = Spec(frame, CELLS, 0.02, mean_rstar_per_s=1e4)
    return Split(spec, (clip("a"),), (clip("b"),), (clip("c"),), species=species)


@pytest.fixture(scope="module")
def ln():
    return retina.model("ln", a_split().spec, lags=LAGS, rank=None, window=PIXELS)


def test_a_step_of_clips_is_forward_backward_and_update(ln):
    made = learning(ln, a_split(), 7, optimiser="sgd", batch=3, clip_bins=10)
    assert made.seconds == pytest.approx(3 * 10 * 0.02)
    # The history before them only fills the buffer. The rest: standardising a frame,
    # and some 80 FLOPs of softplus and loss per bin and cell.
    products = 3 * 10 * CELLS * LAGS * PIXELS
    assert 2 * products < made.forward < 2 * 1.6 * products
    # The gradient of a filter's weights is another product of the size, and the
    # stimulus wants none.
    assert 2 * products < made.backward < 2 * 1.6 * products
    assert made.step == made.forward + made.backward + made.update
    assert made.total == 7 * made.step
    several = learning(ln, a_split(), 7, 4, optimiser="sgd", batch=3, clip_bins=10)
    assert several.total == 4 * 7 * made.step


def test_a_step_of_lbfgs_goes_through_all_clips(ln):
    made = learning(ln, a_split(), optimiser="lbfgs")
    bins = BINS - LAGS
    assert made.seconds == pytest.approx(bins * 0.02)
    products = bins * CELLS * LAGS * PIXELS
    assert 2 * products < made.forward < 2 * 1.6 * products
    assert made.total is None
    assert "curvature" in made.note and "the least" in made.note
    several = ln._replace(independent=False)
    shared = learning(several, a_split(), optimiser="lbfgs")
    assert 2 * products < shared.forward < 2 * 1.6 * products
    assert "line search" in shared.note and "the least" in shared.note


def test_per_synaptic_event_is_a_range_of_the_constants(ln):
    mouse = learning(ln, a_split("mouse"), optimiser="sgd", batch=1, clip_bins=10)
    heard = 10 * 0.02 * CELLS
    assert mouse.per_synaptic_event == Interval(
        mouse.step / heard / 55000, mouse.step / heard / 1000
    )
    lamprey = learning(ln, a_split("lamprey"), optimiser="sgd")
    assert lamprey.per_synaptic_event is None
    flat = a_split("mouse")
    spec = dataclasses.replace(flat.spec, frame=())
    clips = [
        (dataclasses.replace(c, stimulus=c.stimulus[:, 0]),)
        for c in (*flat.train, *flat.validation, *flat.test)
    ]
    field = Split(spec, clips[0], clips[1], clips[2], species="mouse")
    model = retina.model("ln", spec, lags=LAGS)
    assert learning(model, field, optimiser="sgd").per_synaptic_event is None


def test_every_optimiser_has_its_price_and_sgd_is_the_cheapest(ln):
    prices = updates(ln)
    assert {"sgd", "adam", "lion", "lbfgs"} <= set(prices)
    numbers = CELLS * LAGS * PIXELS
    rest = {name: n for name, n in prices.items() if name != "lbfgs"}
    assert min(rest, key=rest.__getitem__) == "sgd"
    # p + rate m, the average, its complement, the norm and the scaling: below 12 each.
    assert 5 * numbers < prices["sgd"] < 14 * numbers
    assert prices["adam"] > prices["sgd"] + 8 * numbers
    # Ten pairs of the history, two products of each, twice through.
    assert prices["lbfgs"] > 40 * numbers


def test_a_step_of_each_optimiser_is_that_of_a_fit_by_it(ln):
    """What says nothing to an optimiser is left out: L-BFGS draws no batch."""
    asked = {"batch": 3, "clip_bins": 10}
    each = steps_of_each(ln, a_split(), **asked)
    assert set(each) == set(updates(ln))
    assert each["adam"] == learning(ln, a_split(), optimiser="adam", **asked).step
    assert each["lbfgs"] == learning(ln, a_split(), optimiser="lbfgs").step


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.names("models"))
def test_a_training_step_of_every_model_is_counted(name):
    """As it is fitted; a gradient takes no more than five times its function.

    source: Griewank & Walther 2008, doi 10.1137/1.9780898717761, section 4.6.
    """
    split = a_split(frame=(6, 5), bins=600)
    made = learning(retina.model(name, split.spec), split)
    assert made.forward > 0 and made.update > 0
    assert 0 < made.backward + made.forward < 5 * made.forward


def test_a_count_does_not_ask_which_way_is_fastest_here(monkeypatch, tmp_path):
    """Else it would be another one on another machine."""

    def refuse(*given):
        raise AssertionError("measured")

    monkeypatch.setattr(formulation, "_measured", {})
    monkeypatch.setattr(formulation, "place", lambda: tmp_path / "none.json")
    monkeypatch.setattr(formulation, "_race", refuse)
    split = a_split(frame=(32, 32), bins=200)
    model = retina.model("cnn", split.spec, lags=LAGS)
    assert learning(model, split).backward > 0
    clip = jax.ShapeDtypeStruct((128, 32, 32), np.float32)
    params = jax.eval_shape(model.stage.init, jax.random.key(0))
    state = jax.eval_shape(lambda p: model.stage.start(p), params)
    with pytest.raises(AssertionError, match="measured"):
        jax.eval_shape(model.stage.apply, params, state, clip)


def test_a_training_pass_with_batch_statistics_is_counted():
    split = a_split()
    image = dataclasses.replace(split.spec, frame=(1, PIXELS))
    train, validation, test = (
        (dataclasses.replace(c, stimulus=c.stimulus[:, None]),)
        for c in (*split.train, *split.validation, *split.test)
    )
    split = Split(image, train, validation, test)
    model = retina.model("bn_cnn", image, lags=4, channels=2, sizes=(1, 1))
    made = learning(model, split, batch=2, clip_bins=8)
    assert made.backward > made.forward > 0


def test_the_counted_loss_is_the_one_that_is_fitted(ln):
    """The walker on the objective by itself gives the same number."""
    import jax
    import jax.numpy as jnp

    from retina.fitting import descent
    from retina.fitting.clips import tabulate
    from retina.fitting.start import mean_counts
    from retina.parameter import to_free

    split = a_split()
    table = tabulate(ln, split.train, 10)
    loss = descent.objective(ln, table, mean_counts(split.train))
    params = ln.stage.init(jax.random.key(0))
    free = to_free(ln.stage.parameters, params)
    first = jnp.asarray(table.first[:3])
    given = free, (params, {}), first, table.stimulus, table.counts, jnp.int32(0)
    made = learning(ln, split, optimiser="sgd", batch=3, clip_bins=10)
    assert count(loss, *given).flops == made.forward
