"""What every model promises, checked on each one that the registry finds.

A new file of retina/models/ is picked up by its name. It is made small through the
keywords of `SMALL` that its function has, and for each promise made once per entry of
`CASES`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build, registry, store
from retina.costs.flops import count, count_step
from retina.errors import BadSetting
from retina.fitting import cells
from retina.fitting.fit import fit
from retina.fitting.loss import poisson, rates_of, validator
from retina.fitting.predict import streamed
from retina.parameter import to_bounded, to_free
from retina.stage import Model
from retina.types import Fit, Spec
from tests.fitting import synthetic

SMALL: dict[str, Any] = {
    "lags": 5,
    "basis": 3,
    "window": 4,
    "history": 4,
    "history_basis": 3,
    "channels": 2,
    "subunits": 2,
    "size": 3,
    "sizes": (3, 3),
    "width": 6,
    "depth": 2,
    "units": 6,
    "taps": 3,
    "memory": 4,
    "patch": 2,
    "hidden_channels": (3, 2),
    "temporal_sizes": (4, 3),
    "types": 2,
    "release": "static",  # with its feedback and pools it is a variant below
    "amacrine": None,
    # Of the model that another one wraps.
    "settings": (("lags", 5), ("rank", None), ("window", 4)),
}
# Of one model alone; others would refuse it, or mean another thing by it.
MAPS = {"settings": (("lags", 5), ("basis", 3), ("channels", 2), ("sizes", (3, 3)))}
OWN: dict[str, dict[str, Any]] = {
    "clocked": MAPS | {"every_bins": 3},  # so that bin CUT is one that runs
    "event_driven": MAPS | {"threshold": 0.05},  # drawn drives are small
    "merged": MAPS,
    "recursive_subunits": {"settings": (("lags", 5), ("subunits", 2), ("size", 3))},
    "separated": MAPS,
    "bcn": {"amacrines": 1},
    "core_readout": {"history": None},  # with it, a variant below
    "conv_gru": {"stride": 1},
    "photoreceptor_cnn": {"mean_rstar_per_s": 1e4},
}
# Height and width differ, and the door has work to do, so that a slip in either shows.
IMAGE = Spec((7, 6), 3, 0.05, stimulus_mean=0.4, stimulus_sd=1.5)
FIELD = Spec((), 3, 0.05, stimulus_mean=0.4, stimulus_sd=1.5)
TWO_CLOCKS = dataclasses.replace(IMAGE, bins_per_frame=3)
# Two halves of one length, so that one program serves both; odd, so that a period of
# two bins is cut in its middle.
TIME, CUT = 18, 9
# Equations solved in sub-steps: fitted on fewer clips at a time.
SLOW, FEW = ("bcn", "photoreceptor_cnn", "subunit_ribbon"), 1
SHORT = 200  # steps
# The same sums in another order: float32 rounding over a few hundred terms, of rates
# near 1. A model that is wrong is wrong by far more.
CLOSE = 2e-5

NAMES = registry.names("models")
# Other models' own parts, seen through something: tests/reduction holds them as well.
WRAPS = (
    *("clocked", "cropped", "event_driven", "merged", "pruned", "quantised"),
    *("recursive_subunits", "separated"),
)
VARIANTS: list[tuple[str, Spec, dict[str, Any]]] = [
    ("ln", IMAGE, {"rank": None}),
    ("ln", IMAGE, {"rank": 1, "output_kind": "exp"}),
    ("ln", FIELD, {"rank": None, "output_kind": "spline"}),
    ("glm", IMAGE, {"coupling": True}),
    ("glm", TWO_CLOCKS, {}),
    ("cnn_history", TWO_CLOCKS, {}),
    ("cnn", IMAGE, {"stride": 2, "nonlinearity": "softplus"}),
    ("lnln", IMAGE, {"nonlinearity": "elu", "output_kind": "exp"}),
    ("bn_cnn", IMAGE, {"stacked": True, "sizes": (5, 3)}),
    ("mlp", IMAGE, {"basis": 5, "nonlinearity": "softplus"}),
    ("tcn", FIELD, {"dilation": 1, "output_kind": "exp"}),
    ("core_readout", IMAGE, {"readout": "point"}),
    ("core_readout", IMAGE, {"readout": "factorised"}),
    ("core_readout", IMAGE, {"history": 4}),
    ("core_readout", TWO_CLOCKS, {"history": 4, "coupling": True}),
    ("circuit", FIELD, {"release": "fast_kinetic", "amacrine": "wide"}),
    ("circuit", FIELD, {"ganglion": "adaptive_lif"}),
    ("circuit", IMAGE, {"horizontal": "feedback"}),
    ("circuit", IMAGE, {"centre": "learned"}),
    ("circuit", FIELD, {"ganglion": "escape_history"}),
    (
        "circuit",
        FIELD,
        {
            "photoreceptor": "phototransduction",
            "mean_rstar_per_s": 1e4,
            "preset": "mouse",
        },
    ),
    (
        "circuit",
        FIELD,
        {"contrast_gain": "both", "cut": "horizontal->on"},
    ),
]
CASES = [
    *((name, IMAGE, {}) for name in NAMES),
    *((name, FIELD, {}) for name in NAMES if name != "mean"),
    *VARIANTS,
]


def _label(case: tuple[str, Spec, dict[str, Any]]) -> str:
    name, spec, settings = case
    field = () if spec.frame else ("full_field",)
    clocks = () if spec.bins_per_frame == 1 else ("two_clocks",)
    return "-".join((name, *field, *clocks, *(f"{k}={v}" for k, v in settings.items())))


# Each model once by default; on a full field and in its variants with the slow tests.
PARAMS = [
    pytest.param(
        n,
        id=_label(one),
        marks=() if n < len(NAMES) and one[0] not in WRAPS else pytest.mark.slow,
    )
    for n, one in enumerate(CASES)
]


# Of the module's scope, so that all tests of one case run in a row: what one of them
# compiles, the others use, and workers side by side share no case.
@pytest.fixture(scope="module", params=PARAMS)
def case(request) -> int:
    return request.param


# What asks of the engine rather than of a model's own sums: each model once.
PLAIN = pytest.mark.parametrize(
    "case", PARAMS[: len(NAMES)], indirect=True, scope="module"
)

NAMED = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in WRAPS else ())
        for name in NAMES
    ],
)


def _made(name: str, spec: Spec, settings: dict[str, Any]) -> Model:
    keywords = inspect.signature(registry.find("models", name)).parameters
    small = {key: value for key, value in SMALL.items() if key in keywords}
    return build.model(name, spec, **(small | OWN.get(name, {}) | settings))


@functools.cache
def _model(case: int) -> Model:
    return _made(*CASES[case])


# Compiled once per case and length of clip, for all tests: hence the few lengths.
@functools.cache
def _apply(case: int):
    return jax.jit(_model(case).stage.apply)


@functools.cache
def _start(case: int):
    stage = _model(case).stage
    return jax.jit(lambda params: stage.start(params))


def _rates(case: int):
    """The clip from a cold start, by the program that clips are cut with."""

    def run(params, x, counts):
        signal = _signal(case, x, counts)
        return _apply(case)(params, _start(case)(params), signal)[1]

    return run


@functools.cache
def _init(case: int):
    return jax.jit(_model(case).stage.init)


@functools.cache
def _params(case: int, seed: int = 0):
    return _init(case)(jax.random.key(seed))


def _data(case: int, seed: int = 1) -> tuple[jax.Array, jax.Array]:
    """A stimulus (time, *frame) and counts (time, cell)."""
    spec = _model(case).spec
    generator = np.random.default_rng(seed)
    x = 0.4 + 1.5 * generator.standard_normal((TIME, *spec.frame))
    counts = generator.poisson(0.8, (TIME, spec.cells))
    return jnp.asarray(x, jnp.float32), jnp.asarray(counts, jnp.float32)


def _signal(case: int, x, counts):
    if not _model(case).stage.uses_response:
        return x
    return x, jnp.concatenate([jnp.zeros_like(counts[:1]), counts[:-1]])


def _close(one, other) -> None:
    np.testing.assert_allclose(one, other, rtol=CLOSE, atol=CLOSE)


def _same(one, other) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(
        a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes()
        for a, b in pairs
    )


def test_the_key_decides_the_start(case: int):
    model, drawn = _model(case), _params(case)
    assert jax.tree.structure(drawn) == jax.tree.structure(model.stage.parameters)
    if model.name != "mean":
        assert not _same(drawn, _params(case, seed=1))
    if case < len(NAMES):  # and nothing else does: each model once
        again = jax.jit(_made(*CASES[case]).stage.init)(jax.random.key(0))
        assert _same(again, drawn)


def test_rates_are_finite_counts_of_each_cell(case: int):
    model = _model(case)
    rate = _rates(case)(_params(case), *_data(case))
    assert rate.shape == (TIME, model.spec.cells)
    assert rate.dtype == jnp.float32
    assert np.all(np.isfinite(rate)) and np.all(rate >= 0)


@PLAIN
def test_a_stimulus_stored_as_bytes_gives_what_floats_give(case: int):
    x, counts = _data(case)
    small = np.round(np.clip(np.asarray(x), 0, 4)).astype(np.uint8)
    rates = _rates(case)
    one = rates(_params(case), jnp.asarray(small), counts)
    _close(one, rates(_params(case), jnp.asarray(small, jnp.float32), counts))


def test_a_change_at_a_bin_leaves_earlier_rates_alone(case: int):
    """The stimulus changes rates from its own bin on, the counts from the next one."""
    model, params = _model(case), _params(case)
    (x, counts), (other, other_counts) = _data(case), _data(case, seed=8)
    before = _rates(case)(params, x, counts)
    changed = jnp.concatenate([x[:CUT], other[CUT:]])
    _close(before[:CUT], _rates(case)(params, changed, counts)[:CUT])

    def hears_lag_0(seed: int) -> bool:
        drawn = _params(case, seed)
        rates = [_rates(case)(drawn, signal, counts)[CUT] for signal in (x, changed)]
        return not np.allclose(*rates, rtol=1e-3)

    if model.name != "mean":
        # The few rectifiers of a small model may all be shut in one draw of weights.
        assert any(map(hears_lag_0, range(4)))
    heard = jnp.concatenate([counts[:CUT], other_counts[CUT:] + 3])
    after = _rates(case)(params, x, heard)
    _close(before[: CUT + 1], after[: CUT + 1])
    if model.stage.uses_response:
        assert not np.allclose(before[CUT + 1], after[CUT + 1], rtol=1e-4)
    else:
        assert np.array_equal(before, after)


@PLAIN
def test_compiled_equals_eager(case: int):
    stage, params = _model(case).stage, _params(case)
    signal = _signal(case, *_data(case))
    start = _start(case)(params)
    eager = stage.apply(params, start, signal)[1]
    _close(_apply(case)(params, start, signal)[1], eager)


def test_steps_in_a_row_equal_the_clip(case: int):
    model, params = _model(case), _params(case)
    x, counts = _data(case)
    one = streamed(model, params, np.asarray(x)[None], np.asarray(counts)[None])[0]
    _close(one, _rates(case)(params, x, counts))


def test_a_clip_cut_in_two_equals_the_whole(case: int):
    stage, params = _model(case).stage, _params(case)
    signal = _signal(case, *_data(case))
    start = _start(case)(params)
    whole = _apply(case)(params, start, signal)[1]
    head, tail = (
        jax.tree.map(lambda a, s=piece: a[s], signal)
        for piece in (slice(CUT), slice(CUT, None))
    )
    state, first = _apply(case)(params, start, head)
    second = _apply(case)(params, state, tail)[1]
    _close(jnp.concatenate([first, second]), whole)
    if stage.lags or stage.uses_response or stage.burn_in_s:
        cold = _apply(case)(params, start, tail)[1]
        assert not np.allclose(second, cold, rtol=1e-3), "no state is carried"


@PLAIN
def test_seeds_side_by_side_equal_seeds_in_a_row(case: int):
    model = _model(case)
    keys = jax.random.split(jax.random.key(3), 3)
    params = jax.jit(jax.vmap(model.stage.init))(keys)
    x, counts = _data(case)
    run = jax.vmap(lambda p: rates_of(model, p, x, counts))
    together = jax.jit(run)(params)
    for seed in range(3):
        alone = jax.tree.map(lambda a, s=seed: a[s], params)
        drawn = _init(case)(keys[seed])
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(drawn), strict=True):
            _close(a, b)
        _close(together[seed], _rates(case)(alone, x, counts))


def test_every_trainable_parameter_has_a_finite_slope(case: int):
    """And in at least one of several draws one that is not zero."""
    model = _model(case)
    described = model.stage.parameters
    null = jnp.ones(model.spec.cells, jnp.float32)

    @jax.jit
    def slope(params, x, counts):
        def loss(free):
            rate = rates_of(model, to_bounded(described, free, params), x, counts)
            return poisson(rate, counts, null)

        return jax.grad(loss)(to_free(described, params))

    moved: dict[str, bool] = {}
    for seed in range(4):
        slopes = slope(_params(case, seed), *_data(case, seed))
        for path, leaf in jax.tree_util.tree_leaves_with_path(slopes):
            name = jax.tree_util.keystr(path)
            assert np.all(np.isfinite(leaf)), name
            moved[name] = moved.get(name, False) or bool(np.any(leaf != 0))
    trainable = [p for p in jax.tree.leaves(described) if p.trainable]
    assert len(moved) == len(trainable) > 0
    assert all(moved.values()), f"never moves: {[k for k, v in moved.items() if not v]}"


def test_cells_said_to_be_independent_are(case: int):
    """A cell's rate and penalty know its own parameters alone."""
    model, params = _model(case), _params(case)
    if not model.independent:
        pytest.skip("its cells share parameters")
    described = model.stage.parameters
    free = to_free(described, params)
    x, tree = cells.rows(model, free), cells.tree_of(model, free)
    assert _same(tree(x), free)
    assert x.shape == (model.spec.cells, sum(a.size for a in jax.tree.leaves(free)) / 3)
    # Compared after the same way there and back, which rounds.
    before = _rates(case)(to_bounded(described, tree(x), params), *_data(case))
    for cell in range(model.spec.cells):
        moved = to_bounded(described, tree(x.at[cell].multiply(1.3)), params)
        after = _rates(case)(moved, *_data(case))
        others = np.arange(model.spec.cells) != cell
        np.testing.assert_array_equal(after[:, others], before[:, others])
        assert np.abs(after - before)[:, cell].max() > 1e-3
        if model.penalty is not None:
            each = cells.each_penalty(model, moved)
            assert each.shape == (model.spec.cells,)
            assert np.ptp(each) > 0 or not np.any(each)
            np.testing.assert_allclose(each.mean(), model.penalty(moved), rtol=1e-5)


def test_a_run_on_disk_comes_back_bit_for_bit(case: int, tmp_path):
    model, params = _model(case), _params(case)
    made = Fit(
        model=model,
        params=params,
        seeds=(params, _params(case, seed=1)),
        null_rate=np.full(model.spec.cells, 0.1),
        validation={"median": 0.0},
        curve=(),
        training={"steps": 0},
    )
    store.save(made, tmp_path / "run")
    back = store.load(tmp_path / "run")
    assert _same(back.params, params)
    assert _same(back.seeds, made.seeds)
    assert _same(back.null_rate, made.null_rate)
    assert jax.tree.structure(back.params) == jax.tree.structure(params)
    assert (back.model.name, back.model.spec) == (model.name, model.spec)
    assert dict(back.model.settings) == dict(model.settings)
    assert back.model.stage.about == model.stage.about


def test_cost_grows_linearly_with_time(case: int):
    """No bin is dearer than the first: T bins cost T times one, to the last FLOP."""
    model, params = _model(case), _params(case)
    stage = model.stage
    x, counts = _data(case)

    def run(params, signal):
        def step(state, x_t):
            return stage.step(params, state, x_t)

        return jax.lax.scan(step, stage.start(params), signal)[1]

    def flops(bins: int) -> int:
        signal = _signal(case, x[:bins], counts[:bins])
        return count(run, params, signal).flops

    one, two, four = flops(3), flops(6), flops(12)
    assert four - two == 2 * (two - one)
    setup, step = count_step(model, params)
    # Inside a loop that is written out by hand the setup is done in each turn.
    assert 3 * step.flops <= two - one <= 3 * (step.flops + setup.flops)


# Maps that are convolved at every step: most of the time goes into the steps.
CONVOLVED = ("cnn", "conv_gru", "photoreceptor_cnn", "recursive_cnn")


# What wraps another model is refitted by tests/reduction.
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.fast_code if name in CONVOLVED else ())
        for name in NAMES
        if name not in WRAPS
    ],
)
def test_it_beats_the_mean_rate_after_a_short_fit(name: str):
    """On white noise, where each cell hears one pixel: clearly, in every cell."""
    split = _simulated()
    model = _made(name, split.spec, {})
    recipe: dict[str, Any] = {"max_steps": min(model.recipe.max_steps, SHORT)}
    if model.recipe.optimiser != "lbfgs":
        recipe |= {"clip_bins": 128, "batch": FEW if name in SLOW else 8}
    fitted = fit(model, split, key=jax.random.key(0), **recipe)
    bits = validator(model, split.test, fitted.null_rate)(fitted.params)
    test = split.test[0]
    rate = synthetic.truth((7, 6), 3, 1.0).rate(test.stimulus)[test.skip :]
    counts = test.response[0, test.skip :]
    null = fitted.null_rate
    best = (counts * np.log(rate / null) - (rate - null)).sum(0)
    best = best / (np.log(2) * counts.sum(0))
    assert np.all(best > 0.4), "the simulation has nothing to find"
    if name == "mean":
        # The mean of training is a little off that of the test block, and no more.
        assert np.all(np.abs(bits) < 0.02)
    else:
        # 0.06 bits on each of some 400 spikes are a likelihood ratio of e^16 on data
        # the fit has not seen: chance gives that with a probability below e^-16.
        assert np.all(bits > 0.06), (bits, best)


@functools.cache
def _simulated():
    true = synthetic.truth((7, 6), 3, 1.0)
    return synthetic.split(true, train=1500, blocks=2, held_out=600)


def test_settings_are_recorded_whole(case: int):
    """So that the record alone makes the same model again."""
    model = _model(case)
    again = build.model(model.name, model.spec, **dict(model.settings))
    assert again.stage.about == model.stage.about
    assert dataclasses.asdict(again.recipe) == dataclasses.asdict(model.recipe)


@NAMED
def test_a_size_below_one_is_one_line(name: str):
    """Every keyword that counts something; 0 and -1 stand for nothing."""
    function = registry.find("models", name)
    for key, one in inspect.signature(function).parameters.items():
        if "int" not in str(one.annotation):
            continue
        for bad in (0, -1):
            value = (3, bad) if "tuple" in str(one.annotation) else bad
            with pytest.raises(BadSetting, match=key):
                build.model(name, IMAGE, **{key: value})


PENALTIES = ("smooth", "shrink", "readout_shrink", "history_shrink", "sparse", "noise")
WEIGHED = [
    (name, key)
    for name in NAMES
    for key in PENALTIES
    if key in inspect.signature(registry.find("models", name)).parameters
]


@pytest.mark.parametrize("value", [-1.0, float("nan")])
@pytest.mark.parametrize(("name", "key"), WEIGHED)
def test_a_penalty_that_rewards_is_refused(name: str, key: str, value: float):
    with pytest.raises(BadSetting, match=f"{key} (-1|nan): 0 or more"):
        _made(name, FIELD, {key: value})
