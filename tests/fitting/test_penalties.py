"""Regularisers: each against its formula, what it touches, and no batch in it."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build, registry
from retina.errors import BadSetting
from retina.fitting import penalties
from retina.fitting.fit import fit
from retina.fitting.start import mean_counts
from retina.parameter import Parameter
from retina.stage import Model, memoryless
from retina.types import Spec
from tests.fitting import synthetic

KEY = jax.random.key(0)
PARAMETERS = {
    "filters": Parameter(axes=("cell", "rank", "height", "width")),
    "kernel": Parameter(axes=("time", "channel", "out")),
    "plain": Parameter(),
    "bias": Parameter(axes=("cell",)),
    "offsets": Parameter(axes=("cell", "subunit")),
    "one_dimensional": Parameter(),
    "rate": Parameter(unit="1/s", axes=("cell", "input")),
    "fixed": Parameter(trainable=False, axes=("height", "width")),
}
SHAPES = {
    "filters": (2, 3, 4, 5),
    "kernel": (6, 2, 3),
    "plain": (3, 2),
    "bias": (2,),
    "offsets": (2, 3),
    "one_dimensional": (4,),
    "rate": (2, 3),
    "fixed": (4, 4),
}
WEIGHTS = ("filters", "kernel", "plain")


@pytest.fixture(scope="module")
def params() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {k: rng.normal(size=s).astype(np.float32) for k, s in SHAPES.items()}


def _value(name: str, params) -> float:
    on_device = {k: jnp.asarray(v) for k, v in params.items()}
    return float(penalties.value(name, PARAMETERS, on_device))


def _mean(*terms) -> float:
    return float(np.mean(np.concatenate([np.ravel(term) for term in terms])))


def test_sizes_and_squares_are_means_over_all_weights(params):
    weights = [params[name] for name in WEIGHTS]
    assert _value("l1", params) == pytest.approx(_mean(*map(np.abs, weights)), 1e-5)
    assert _value("l2", params) == pytest.approx(_mean(*map(np.square, weights)), 1e-5)


def test_smoothness_is_the_mean_squared_step(params):
    filters, kernel = params["filters"], params["kernel"]
    rows, columns = np.diff(filters, axis=2), np.diff(filters, axis=3)
    wanted = _mean(rows**2, columns**2)
    assert _value("smooth_space", params) == pytest.approx(wanted, 1e-5)
    wanted = _mean(np.diff(kernel, axis=0) ** 2)
    assert _value("smooth_time", params) == pytest.approx(wanted, 1e-5)


def test_groups_are_output_channels_and_the_ranks_of_a_cell(params):
    total = count = 0.0
    for cell, rank in itertools.product(range(2), range(3)):
        one = params["filters"][cell, rank]
        total += one.size * np.sqrt(np.mean(one**2))
        count += one.size
    for out in range(3):
        one = params["kernel"][..., out]
        total += one.size * np.sqrt(np.mean(one**2))
        count += one.size
    assert _value("group", params) == pytest.approx(total / count, 1e-5)


def test_a_group_of_zeros_has_a_finite_slope():
    zeros = {"w": jnp.zeros((3, 2))}
    axes = {"w": Parameter(axes=("input", "out"))}
    slope = jax.grad(lambda p: penalties.value("group", axes, p))(zeros)
    assert np.array_equal(slope["w"], np.zeros((3, 2)))


def test_locality_is_the_spread_about_the_centre_of_mass(params):
    total = count = 0.0
    for cell, rank in itertools.product(range(2), range(3)):
        power = params["filters"][cell, rank].astype(np.float64) ** 2
        rows, columns = np.indices(power.shape)
        row = np.sum(power * rows) / power.sum()
        column = np.sum(power * columns) / power.sum()
        total += np.sum(power * ((rows - row) ** 2 + (columns - column) ** 2)) / 5**2
        count += power.size
    assert _value("locality", params) == pytest.approx(total / count, 1e-5)


def test_one_pixel_alone_is_local_and_two_apart_are_not():
    axes = {"w": Parameter(axes=("height", "width", "time"))}

    def of(*places) -> float:
        weights = np.zeros((7, 7, 2), np.float32)
        for row, column, lag in places:
            weights[row, column, lag] = 1
        return float(penalties.value("locality", axes, {"w": jnp.asarray(weights)}))

    assert of((1, 2, 0), (1, 2, 1)) == pytest.approx(0, abs=1e-12)
    near, far = of((3, 3, 0), (3, 4, 1)), of((3, 0, 0), (3, 6, 1))
    # All lags share one centre: half a pixel away, three pixels away.
    assert near == pytest.approx(2 * (0.5 / 7) ** 2 / 98, rel=1e-5)
    assert far == pytest.approx(2 * (3 / 7) ** 2 / 98, rel=1e-5)


@pytest.mark.parametrize("frame", [(16, 16), ()])
@pytest.mark.parametrize("name", registry.names("models"))
def test_every_axis_that_is_named_is_there(name, frame):
    # Light for the models that begin with photoreceptors.
    model = build.model(name, Spec(frame, 2, 0.03, mean_rstar_per_s=1e4))
    shapes = jax.eval_shape(model.stage.init, KEY)
    parameters, structure = jax.tree.flatten_with_path(model.stage.parameters)
    for (path, one), shape in zip(
        parameters, structure.flatten_up_to(shapes), strict=True
    ):
        where = jax.tree_util.keystr(path)
        assert len(one.axes) in (0, len(shape.shape)), f"{where} {shape} {one.axes}"


@pytest.mark.parametrize(
    ("name", "touched"),
    [
        ("ln", {"spatial.filters", "temporal.weights"}),
        ("nim", {"spatial.filters", "temporal.weights"}),
        ("lnk", {"spatial.filters", "temporal.weights"}),
        ("lnln", {"conv2d.kernel", "fir.weights", "dense.weights"}),
    ],
)
def test_offsets_gains_and_rate_constants_are_left_alone(name, touched):
    model = build.model(name, Spec((9, 9), 2, 0.03))
    params = jax.tree.map(
        lambda leaf: jnp.ones_like(leaf), model.stage.init(jax.random.key(0))
    )
    slope = jax.grad(
        lambda p: penalties.value("l2", model.stage.parameters, p), allow_int=True
    )(params)
    found = {
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, leaf in jax.tree.leaves_with_path(slope)
        if leaf.dtype == jnp.float32 and np.any(leaf)
    }
    assert found == touched


@pytest.mark.parametrize("frame", [(), (4, 4)])
def test_asking_for_what_touches_nothing_is_one_line(frame):
    made = synthetic.split(synthetic.truth(frame), train=300, held_out=200)
    model = build.model("ln", made.spec, lags=4, rank=1, basis=2)
    with pytest.raises(BadSetting, match="smooth_time 0.1: ln has no .*lags") as told:
        fit(model, made, key=KEY, smooth_time=0.1)
    assert "\n" not in str(told.value)
    assert ("smooth_space" in str(told.value).split("it can have")[1]) == bool(frame)
    mean = build.model("mean", made.spec)
    with pytest.raises(BadSetting, match="l2 1: mean .*it can have activity"):
        fit(mean, made, key=KEY, l2=1.0)
    with pytest.raises(BadSetting, match="l1 -1: 0 or more"):
        fit(model, made, key=KEY, l1=-1.0)


def _free(spec: Spec, more: dict[str, np.ndarray]) -> Model:
    """A rate per cell, free to be anything, and parameters that do nothing."""

    def rate(params, x):
        return jnp.exp(params["log_rate"])

    def init(key):
        start = {"log_rate": jnp.zeros(2, jnp.float32)}
        return start | {name: jnp.asarray(value) for name, value in more.items()}

    stage = memoryless(
        rate,
        batch=lambda params, x: jnp.tile(rate(params, x), (len(x), 1)),
        init=init,
        parameters={name: PARAMETERS[name] for name in more}
        | {"log_rate": Parameter(axes=("cell",))},
        about=("free",),
    )
    return Model("free", spec, stage)


def test_no_batch_changes_a_penalty(params):
    """The loss of a fit that stands still, at a rate of 1: the log of that is 0."""
    made = synthetic.split(synthetic.truth(), train=300, held_out=200)
    model = _free(made.spec, params)._replace(penalty=lambda params: 0.5)
    still = {"optimiser": "sgd", "learning_rate": 1e-30, "max_steps": 40}
    recipe: dict[str, Any] = {**still, **dict.fromkeys(penalties.KINDS, 1.0)}
    wanted = 1 / np.mean(mean_counts(made.train)) + 0.5
    wanted += sum(_value(name, params) for name in penalties.KINDS)
    for batch in (3, 6):
        line = fit(model, made, key=KEY, batch=batch, clip_bins=32, **recipe).curve[-1]
        assert line["train_loss"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
def test_a_price_on_activity_lowers_a_free_rate_by_what_it_says(optimiser):
    made = synthetic.split(synthetic.truth(), train=600, held_out=300)

    def spared(params, clips):
        """Where it should end, so that no validation stops it on the way."""
        return {"log_rate": jnp.log(jnp.asarray(mean_counts(clips), jnp.float32) / 1.2)}

    for activity in (0.0, 0.25):
        model = _free(made.spec, {})._replace(warm_start=spared)
        recipe: dict[str, Any] = {"optimiser": optimiser, "max_steps": 400}
        if optimiser == "adam":
            recipe |= {"learning_rate": 0.01, "clip_bins": 300}
        made_fit = fit(model, made, key=KEY, activity=activity, **recipe)
        loss = made_fit.curve[-1]["train_loss"]
        counts = mean_counts(made.train)
        rate = counts / (1 + activity)
        lowest = np.mean((1 + activity) * rate - counts * np.log(rate)) / counts.mean()
        # Of clips drawn at random Adam sees a few more of some counts than of others.
        assert loss == pytest.approx(lowest, abs=1e-4 if optimiser == "lbfgs" else 0.03)
