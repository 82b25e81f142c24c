"""Look-up and decision trees: by brute force, against scikit-learn, and their price."""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.costs.counts import KINDS
from retina.costs.flops import trace_step
from retina.costs.memory import memory
from retina.errors import BadSetting, MissingExtra
from retina.fitting.projections import separable_filters
from retina.layers.decision_trees import decision_trees
from retina.layers.look_up import look_up
from retina.models.boosted_trees import _rounded_down, boosted_trees, grow, heap_of
from retina.models.lookup_table import expected, lookup_table
from retina.types import Clip, Spec


def priced(stage, shape):
    """Counts by kind, depth, and bytes of weights that one bin reads."""
    shapes = jax.eval_shape(stage.init, jax.random.key(0))
    step = trace_step(stage, shapes, jax.ShapeDtypeStruct(shape, jnp.float32))
    work = step.work()
    counts = {kind: getattr(work.step, kind) for kind in KINDS}
    return {k: n for k, n in counts.items() if n}, work.depth, memory(step)


@pytest.mark.parametrize(("inputs", "levels"), [(1, 7), (2, 5), (3, 2)])
def test_what_a_look_up_costs(inputs, levels):
    cells = 4
    counts, depth, held = priced(look_up(cells, inputs, levels), (cells, inputs))
    assert counts == {
        "adds": cells * inputs,
        "multiplies": cells * inputs,
        "comparisons": cells * inputs,  # the clip
        # The conversion, the place in one table, and the table's own place.
        "integers": cells * (inputs + 2 * (inputs - 1) + 1),
        "words_read": cells,
    }
    assert depth == 4 + 2 * (inputs - 1) + 2
    assert held.params == cells * (2 * inputs + levels**inputs)
    # Two numbers per input; of the table one word, and where it begins.
    assert held.weights_read == 4 * cells * (2 * inputs + 2)
    assert held.state_bytes == 0


@pytest.mark.parametrize(("trees", "depth"), [(1, 1), (5, 3), (3, 4)])
def test_what_trees_cost(trees, depth):
    cells, features = 2, 6
    stage = decision_trees((cells, features), trees, depth)
    counts, longest, held = priced(stage, (cells, features))
    walked = cells * trees * depth
    expected = {
        "adds": cells * (trees - 1),
        "comparisons": walked,
        "integers": 4 * walked + cells * trees,
        "words_read": 3 * walked + cells * trees,
    }
    assert counts == {kind: n for kind, n in expected.items() if n}
    # A level: place, feature, its value, comparison, conversion, sum; then the leaf.
    assert longest == 6 * depth + 3
    nodes = cells * trees * 2**depth
    assert held.params == 3 * nodes
    # Of the nodes those on the way, of the leaves one a tree; where each tree begins.
    assert held.weights_read == 4 * (2 * min(walked, nodes) + 3 * cells * trees)


def test_no_flop_is_saved_by_hiding_it():
    """A table costs more operations than FLOPs, the trees many times more."""
    spec = Spec((7, 6), 3, 0.05)
    for made, least in ((lookup_table(spec), 1.1), (boosted_trees(spec), 5)):
        params = jax.eval_shape(made.stage.init, jax.random.key(0))
        step = trace_step(made, params).work().step
        assert step.total_ops > least * step.flops


def test_a_look_up_finds_the_entry_that_a_histogram_would():
    cells, levels = 3, 5
    stage = look_up(cells, 2, levels)
    params = stage.init(jax.random.key(1))
    x = np.asarray(2.5 * jax.random.normal(jax.random.key(2), (200, cells, 2)))
    found = stage.apply(params, (), jnp.asarray(x))[1]
    edges = np.linspace(-3, 3, levels + 1)[1:-1]
    level = np.searchsorted(edges, x, side="right")
    assert level.min() == 0 and level.max() == levels - 1
    table = np.asarray(params["table"]).reshape(cells, levels, levels)
    own = np.arange(cells)[None]
    np.testing.assert_array_equal(found, table[own, level[..., 0], level[..., 1]])


def test_a_table_too_large_is_one_line():
    with pytest.raises(BadSetting, match=r"16 \*\* 6"):
        lookup_table(Spec((), 1, 0.01), filters=6)


def test_the_table_backs_off_to_the_coarser_one():
    level = np.array([[0, 0], [0, 0], [0, 1], [1, 0]])
    spikes, bins = np.array([2.0, 1, 0, 1]), np.array([1.0, 1, 2, 1])
    mean = 4 / 5
    coarse = [(3 + 2) / (4 + 2 / mean), (1 + 2) / (1 + 2 / mean)]
    fine = [
        (3 + 2) / (2 + 2 / coarse[0]),
        (0 + 2) / (2 + 2 / coarse[0]),
        (1 + 2) / (1 + 2 / coarse[1]),
        coarse[1],  # nothing was seen there
    ]
    np.testing.assert_allclose(expected(level, spikes, bins, 2, 2.0), fine)
    silent = expected(level, 0 * spikes, bins, 2, 2.0)
    assert np.all(silent > 0) and np.all(silent <= 1e-4)


def test_the_filters_are_those_of_an_energy_cell():
    """Two courses: the average finds one, the covariance the one that is squared."""
    rng = np.random.default_rng(0)
    stimulus = rng.standard_normal((20000, 5, 4)).astype(np.float32)
    one, two = np.array([0.8, 0.6, 0, 0]), np.array([0, 0, 0.6, -0.8])
    seen = [np.convolve(stimulus[:, 2, 1], course)[:20000] for course in (one, two)]
    rate = 0.3 * np.exp(0.5 * seen[0] + 0.3 * seen[1] ** 2 - 0.3)
    counts = rng.poisson(rate)[None, :, None].astype(np.float32)
    clip = Clip("a", stimulus, counts, skip=10)
    spec = Spec((5, 4), 1, 0.05)
    found = separable_filters((clip,), spec, 4, 2, 3)
    courses = np.asarray(found["courses"]["courses"])[:, 0]
    assert abs(courses[:, 0] @ one) > 0.98 and abs(courses[:, 1] @ two) > 0.98
    space = np.asarray(found["spatial"]["filters"])[0, 0]
    row, column = np.asarray(found["spatial"]["corner"])[0]
    assert abs(space[2 - row, 1 - column]) > 0.98


def test_our_trees_are_scikit_learns():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    trees, depth, cells = 12, 4, 2
    x = rng.standard_normal((600, cells, 5)).astype(np.float32)
    x[::3] = np.round(x[::3])  # ties with one another and near thresholds
    y = rng.poisson(np.exp(np.sin(2 * x[..., 0]) + x[..., 1] * (x[..., 2] > 0)))
    grown = [grow(x[:, n], y[:, n], np.ones(600), trees, depth, 0.3) for n in (0, 1)]
    heaps = [heap_of([t[0].nodes for t in g._predictors], trees, depth) for g in grown]
    # A tree of scikit-learn's ends early somewhere, or the padding is not tried.
    assert any(len(t[0].nodes) < 2**5 - 1 for g in grown for t in g._predictors)
    params = {name: jnp.stack([heap[name] for heap in heaps]) for name in heaps[0]}
    stage = decision_trees((cells, 5), trees, depth)
    ours = np.asarray(stage.apply(params, (), jnp.asarray(x))[1], np.float64)
    for n, g in enumerate(grown):
        rate = np.exp(ours[:, n] + g._baseline_prediction.item())
        np.testing.assert_allclose(rate, g.predict(x[:, n]), rtol=1e-5)


def test_a_threshold_is_rounded_so_that_no_float32_changes_sides():
    for threshold in (0.1, -0.1, 1 / 3, 1e-30, 2.5, np.inf):
        held = _rounded_down(threshold)
        assert held.dtype == np.float32 and float(held) <= threshold
        above = np.nextafter(held, np.float32(np.inf))
        assert float(above) > threshold or np.isinf(held)


def test_without_scikit_learn_it_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtra, match=r"pip install 'retina-frontier\[trees"):
        grow(np.zeros((4, 1)), np.ones(4), np.ones(4), 1, 1, 0.1)


def test_a_silent_cell_keeps_a_floor():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.5, (1, 300, 2)).astype(np.float32)
    counts[..., 1] = 0
    clip = Clip("a", rng.standard_normal(300).astype(np.float32), counts, skip=5)
    spec = Spec((), 2, 0.05)
    for model in (boosted_trees(spec, lags=4, trees=2), lookup_table(spec, lags=4)):
        stage = model.stage
        assert model.warm_start is not None
        params = model.warm_start(stage.init(jax.random.key(0)), (clip,))
        shown = jnp.asarray(clip.stimulus)
        rate = jax.jit(stage.apply)(params, stage.start(params), shown)[1]
        assert np.all(np.isfinite(rate)) and np.all(rate[:, 1] <= 1.001e-4)
        assert np.all(rate[:, 0] > 0.01)
