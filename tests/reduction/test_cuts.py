"""What is cut is what should be, against known answers; nothing is fitted here."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.costs.cost import cost
from retina.errors import BadSetting
from retina.layers.recursive import laguerre
from retina.models.quantised import few_values
from retina.parameter import Parameter
from retina.reduction.channels import (
    channels,
    find_layers,
    silenced_losses,
    with_units,
)
from retina.reduction.crop import crop
from retina.reduction.cutting import at, put
from retina.reduction.delta import delta
from retina.reduction.distil import _taught, made_up
from retina.reduction.factorise import factorise
from retina.reduction.poles import poles
from retina.reduction.prune import prune
from retina.reduction.quantise import quantise
from retina.reduction.separate import separate
from retina.reduction.taps import taps
from tests.reduction.parents import CLOSE, FIELD, KEY, drawn, rates, recording

SPLIT = recording()
SLOW = pytest.mark.slow
CNN = {"lags": 5, "basis": 3, "channels": 4, "sizes": (3, 3), "readout_rank": 2}


def _with(fit, path, value):
    return dataclasses.replace(fit, params=put(fit.params, path, jnp.asarray(value)))


def _same(fit, found, split=SPLIT):
    """The rates of the fit and of what was cut from it."""
    model, params = found
    wanted = rates(fit.model, fit.params, split)
    assert np.ptp(wanted) > 500 * CLOSE
    np.testing.assert_allclose(
        rates(model, params, split), wanted, rtol=CLOSE, atol=CLOSE
    )


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("cnn", CNN),
        pytest.param("lnln", {"lags": 5, "subunits": 4}, marks=SLOW),
        pytest.param("mlp", {"lags": 5, "width": 4}, marks=SLOW),
        pytest.param(
            "bn_cnn",
            {"lags": 4, "channels": 4, "sizes": (3, 3)},
            marks=SLOW,
        ),
        pytest.param(
            "bn_cnn",
            {"lags": 4, "channels": 4, "sizes": (5, 3), "stacked": True},
            marks=SLOW,
        ),
        pytest.param(
            "core_readout",
            {"hidden_channels": (4, 6), "temporal_sizes": (3, 2), "sizes": (3, 3)},
            marks=SLOW,
        ),
        pytest.param("recursive_cnn", {"channels": 4}, marks=SLOW),
        pytest.param("tcn", {"width": 4}, marks=SLOW),
    ],
)
def test_silent_channels_go_and_nothing_changes(name, settings):
    """Half of each layer is silenced by hand: those are found, and the rest stays."""
    fit = drawn(name, SPLIT, **settings)
    layers = find_layers(fit.model.stage, fit.params)
    for layer in layers:
        path, axis = layer.hears[0]
        leaf = np.asarray(at(fit.params, path))
        unit = np.arange(leaf.shape[axis]) % layer.units
        along = [1] * leaf.ndim
        along[axis] = -1
        fit = _with(fit, path, leaf * (unit % 2).reshape(along).astype(np.float32))
    for losses in silenced_losses(fit, SPLIT, layers):
        # To silence what is silent changes nothing, to the last bit.
        assert np.ptp(losses[::2]) == 0
    params = fit.params
    for layer in layers:
        params = with_units(params, layer, np.arange(1, layer.units, 2))
    half = channels(fit, SPLIT, KEY, keep=0.5)
    assert jax.tree.map(jnp.shape, half[1]) == jax.tree.map(jnp.shape, params)
    _same(fit, (half[0], params))


def test_channels_by_the_exact_loss_of_silencing_them():
    """With free units after each other: keep the one that the loss misses most."""
    fit = drawn("cnn", SPLIT, **CNN)
    layers = find_layers(fit.model.stage, fit.params)
    worth = silenced_losses(fit, SPLIT, layers)
    model, params = channels(fit, SPLIT, KEY, keep=0.25)
    second = np.argmax(worth[1])
    kept = params["conv2d2"]["bias"], fit.params["conv2d2"]["bias"][second]
    np.testing.assert_array_equal(*kept)
    was = fit.params["factorised"]["features"][..., [second]]
    # Features are scaled by one over the root of their number: 1 in place of 4.
    np.testing.assert_allclose(params["factorised"]["features"], was / 2, rtol=1e-6)
    assert dict(model.settings)["channels"] == 1


@pytest.mark.parametrize(
    ("name", "settings", "path"),
    [
        ("ln", {"lags": 6, "rank": None, "window": 4}, ("space_time", "filters")),
        ("ln", {"lags": 6, "rank": 2, "basis": 6}, ("temporal", "weights")),
        ("cnn", CNN | {"lags": 6}, ("temporal_basis", "courses")),
        ("lnln", {"lags": 6, "basis": 6, "subunits": 2}, ("fir", "weights")),
    ],
)
def test_lags_of_no_weight_go_and_nothing_changes(name, settings, path):
    fit = drawn(name, SPLIT, **settings)
    weights = np.array(at(fit.params, path))
    weights[(slice(None), slice(4, None)) if weights.ndim == 4 else slice(4, None)] = 0
    fit = _with(fit, path, weights)
    found = taps(fit, SPLIT, KEY, keep=4 / 6)
    assert found[0].stage.lags == 3
    _same(fit, found)


def test_fewer_lags_than_time_courses_are_heard_one_by_one():
    fit = drawn("cnn", SPLIT, **CNN | {"lags": 6})
    courses = fit.params["temporal_basis"]["courses"].at[3:].set(0)
    fit = _with(fit, ("temporal_basis", "courses"), courses)
    model, params = taps(fit, SPLIT, KEY, keep=0.5)
    assert params["temporal_basis"] == {}
    _same(fit, (model, params))


def test_lags_of_a_full_field_and_its_every_lag():
    split = recording(FIELD)
    fit = drawn("cnn", split, lags=6, channels=2)
    kernel = fit.params["conv2d"]["kernel"].at[:, :, 4:].set(0)
    fit = _with(fit, ("conv2d", "kernel"), kernel)
    _same(fit, taps(fit, split, KEY, keep=4 / 6), split)


def test_cosines_over_fewer_lags_are_the_nearest():
    """By least squares: no other weights come nearer to the old filter's new lags."""
    from retina.layers.basis import raised_cosines

    fit = drawn("ln", SPLIT, lags=12, rank=1, basis=4)
    _, params = taps(fit, SPLIT, KEY, keep=0.5)
    old = raised_cosines(12, 4) @ np.asarray(fit.params["temporal"]["weights"])[:, 0]
    new = np.asarray(params["temporal"]["weights"])[:, 0]
    best = np.linalg.lstsq(raised_cosines(6, 4), old[:6], rcond=None)[0]
    np.testing.assert_allclose(new, best, rtol=1e-4, atol=1e-5)


def test_full_filters_of_rank_one_become_separable():
    fit = drawn("ln", SPLIT, lags=5, rank=None, window=4)
    rng = np.random.default_rng(0)
    time, space = rng.normal(size=(3, 5, 1, 1)), rng.normal(size=(3, 1, 4, 4))
    filters = (0.3 * time * space).astype(np.float32)
    fit = _with(fit, ("space_time", "filters"), filters)
    model, params = factorise(fit, SPLIT, KEY, rank=1)
    assert params["spatial"]["filters"].shape == (3, 1, 4, 4)
    _same(fit, (model, params))


def test_masks_and_courses_that_are_not_needed():
    fit = drawn("cnn", SPLIT, **CNN)
    twice = fit.params["factorised"]["mask"].at[:, 1].set(0)
    fit = _with(fit, ("factorised", "mask"), twice)
    courses = fit.params["temporal_basis"]["courses"].at[:, 2].set(0)
    fit = _with(fit, ("temporal_basis", "courses"), courses)
    model, params = factorise(fit, SPLIT, KEY, rank=1, basis=2)
    settings = dict(model.settings)
    assert (settings["readout_rank"], settings["basis"]) == (1, 2)
    _same(fit, (model, params))


@pytest.mark.parametrize("name", ["ln", "cnn", "lnln"])
def test_filters_that_two_integrators_make_become_them(name):
    """Long enough that what a window cuts off is below the rounding."""
    tau_s, bin_s = 0.05, SPLIT.spec.bin_s
    functions = laguerre(24, 2, float(np.exp(-bin_s / tau_s)))
    if name == "ln":
        fit = drawn("ln", SPLIT, lags=24, rank=1, window=4, basis=24)
        weights = (functions @ [0.5, -0.3]).astype(np.float32)
        weights = np.tile(weights[:, None, None], (1, 3, 1))
        fit = _with(fit, ("temporal", "weights"), weights)
    elif name == "lnln":
        fit = drawn("lnln", SPLIT, lags=24, basis=24, subunits=2, size=3)
        weights = functions @ [[0.5, 0.2], [-0.3, 0.4]] * np.sqrt(24)
        fit = _with(fit, ("fir", "weights"), weights.astype(np.float32))
    else:
        fit = drawn("cnn", SPLIT, **CNN | {"lags": 24, "basis": 2})
        courses = functions.astype(np.float32)
        fit = _with(fit, ("temporal_basis", "courses"), courses)
    model, params = poles(fit, SPLIT, KEY, stages=2)
    part = {"ln": "recursive", "lnln": "recursive_fir"}.get(name, "recursive_basis")
    # One of 60 time constants, 9 % apart.
    np.testing.assert_allclose(params[part]["tau_s"], tau_s, rtol=0.05)
    wanted, found = (
        rates(*one, SPLIT) for one in ((fit.model, fit.params), (model, params))
    )
    assert model.stage.lags == 0
    # A time constant off by 4 % turns each function by as much.
    assert np.abs(found - wanted).max() < 0.1 * np.ptp(wanted)


@pytest.mark.parametrize(
    ("name", "settings", "rank"),
    [
        ("cnn", CNN | {"channels": 2, "sizes": (7, 3)}, 2),
        pytest.param("lnln", {"lags": 4, "subunits": 2, "size": 7}, 2, marks=SLOW),
    ],
)
def test_kernels_of_few_rows_and_columns_become_those(name, settings, rank):
    """Each planted kernel is the sum of as many; so the rates stay, and cost less."""
    split = recording((13, 12))
    fit, rng = drawn(name, split, **settings), np.random.default_rng(0)
    for part in [one for one in fit.params if one.startswith("conv2d")]:
        shape = fit.params[part]["kernel"].shape
        rows, columns = (rng.normal(size=(n, *shape[2:], rank)) for n in shape[:2])
        planted = np.einsum("aior,bior->abio", rows, columns).astype(np.float32)
        fit = _with(fit, (part, "kernel"), planted)
    model, params = separate(fit, split, KEY, rank=rank)
    assert model.name == "separated"
    assert params["conv2d"]["rows"].shape[-1] == rank
    _same(fit, (model, params), split)
    assert cost(model, params).flops_per_bin < cost(fit.model, fit.params).flops_per_bin


def test_a_bank_is_cropped_separated_and_made_recursive_in_a_row():
    """What is left of 7 x 7 kernels over 24 lags: rows, columns, two integrators."""
    split = recording((13, 12))
    fit = drawn("lnln", split, lags=24, subunits=2, size=7)
    flops = [cost(fit.model, fit.params).flops_per_bin]
    for cut in (partial(crop, energy=0.6), separate, partial(poles, stages=2)):
        model, params = cut(fit, split, KEY)
        fit = dataclasses.replace(fit, model=model, params=params)
        flops.append(cost(model, params).flops_per_bin)
    assert flops == sorted(flops, reverse=True) and len({*flops}) == 4
    assert sorted(params) == sorted(
        ("crop", "door", "one_channel", "conv2d", "recursive_fir", "bias", "relu")
        + ("dense", "output")
    )
    assert {*params["conv2d"]} == {"rows", "columns"} and model.stage.lags == 0


def test_the_smallest_weights_go():
    fit = drawn("ln", SPLIT, lags=5, rank=None, window=4)
    model, params = prune(fit, SPLIT, KEY, keep=0.25)
    filters = np.asarray(fit.params["space_time"]["filters"])
    kept = np.asarray(params["space_time"]["filters_kept"])
    assert kept.sum() == 0.25 * kept.size
    assert np.abs(filters[kept]).min() >= np.abs(filters[~kept]).max()
    _same(_with(fit, ("space_time", "filters"), filters * kept), (model, params))
    half, fewer = prune(
        dataclasses.replace(fit, model=model, params=params), SPLIT, KEY, keep=0.5
    )
    assert half.name == "pruned" and dict(half.settings)["of"] == "ln"
    again = np.asarray(fewer["space_time"]["filters_kept"])
    assert again.sum() == kept.sum() / 2 and not (again & ~kept).any()


def test_no_cell_is_silenced_by_a_zero_in_its_one_mask():
    """On a full field a mask is one number per cell, not one weight among many."""
    split = recording(FIELD)
    fit = drawn("cnn", split, lags=6, channels=4)
    _, params = prune(fit, split, KEY, keep=0.5)
    assert np.all(params["factorised"]["mask_kept"])
    features = np.asarray(params["factorised"]["features_kept"])
    assert features.sum() == features.size / 2


def test_zeros_count_in_their_own_column_alone():
    """By hand: a filter of 3 cells, 5 lags and 16 pixels, three quarters of it gone."""
    fit = drawn("ln", SPLIT, lags=5, rank=None, window=4)
    model, params = prune(fit, SPLIT, KEY, keep=0.25)
    before, after = cost(fit.model, fit.params), cost(model, params)
    assert after.flops_per_bin == before.flops_per_bin == before.sparse_flops_per_bin
    assert after.sparse_flops_per_bin == before.flops_per_bin - 2 * 180
    assert after.params > before.params, "what is kept has to be known"


@pytest.mark.parametrize(
    ("kind", "bits", "values"),
    [("int8", 8, 255), ("int4", 4, 15), ("ternary", 2, 3), ("binary", 1, 2)],
)
def test_weights_take_few_values_and_cost_their_bits(kind, bits, values):
    fit = drawn("ln", SPLIT, lags=5, rank=None, window=4)
    model, params = quantise(fit, SPLIT, KEY, kind=kind)
    filters = fit.params["space_time"]["filters"]
    few = few_values(kind, filters, (1, 2, 3))
    for cell in few:
        assert len(np.unique(np.asarray(cell).round(6))) <= values
    if kind.startswith("int"):  # half a step, of the largest weight's share
        step = np.abs(filters).max((1, 2, 3), keepdims=True) / (values // 2)
        assert np.all(np.abs(few - filters) <= 0.5001 * step)
    _same(_with(fit, ("space_time", "filters"), few), (model, params))
    macs = 3 * 5 * 16
    found = cost(model, params)
    assert found.bit_operations_per_bin == macs * 32 * bits
    assert found.flops_per_bin == cost(fit.model, fit.params).flops_per_bin


@pytest.mark.parametrize("kind", ["ternary", "binary"])
def test_pruned_weights_have_no_say_in_the_scale_of_the_others(kind):
    fit = drawn("ln", SPLIT, lags=5, rank=None, window=4)
    model, params = prune(fit, SPLIT, KEY, keep=0.25)
    kept = np.asarray(params["space_time"]["filters_kept"])
    filters = np.asarray(fit.params["space_time"]["filters"])
    by_hand = np.zeros_like(filters)
    for cell, mask, one in zip(filters, kept, by_hand, strict=True):
        one[mask] = few_values(kind, jnp.asarray(cell[mask]), (0,))
    small = dataclasses.replace(fit, model=model, params=params)
    _same(
        _with(fit, ("space_time", "filters"), by_hand),
        quantise(small, SPLIT, KEY, kind=kind),
    )


def test_the_kernels_of_a_flax_cell_are_weights():
    fit = drawn("lstm", SPLIT, units=4, rank=1)
    kernels = [("lstm", f"dense_{gate}", "kernel") for gate in "hi"]
    few, kept = quantise(fit, SPLIT, KEY, kind="int4"), prune(fit, SPLIT, KEY)
    for path in kernels:
        mask = at(kept[1], path[:-1])["kernel_kept"]
        assert np.mean(mask) == 0.5
        assert "bias_kept" not in at(kept[1], path[:-1])
    by_hand = fit
    for path in kernels:
        by_hand = _with(by_hand, path, few_values("int4", at(fit.params, path), (0,)))
    for path in (("views", "filters"), ("linear", "kernel")):
        axes = (1, 2, 3) if path[0] == "views" else (0,)
        by_hand = _with(by_hand, path, few_values("int4", at(fit.params, path), axes))
    _same(by_hand, few)


def test_weights_that_do_not_say_so_are_named():
    fit = drawn("ln", SPLIT, lags=2, rank=None, window=2)
    told = put(fit.model.stage.parameters, ("space_time", "filters"), Parameter())
    stage = fit.model.stage._replace(parameters=told)
    fit = dataclasses.replace(fit, model=fit.model._replace(stage=stage))
    for method in (prune, quantise):
        with pytest.raises(BadSetting, match="space_time.filters of ln do not say"):
            method(fit, SPLIT, KEY)


def test_the_slope_passes_straight_through_the_rounding():
    fit = drawn("ln", SPLIT, lags=5, rank=None, window=4)
    model, params = quantise(fit, SPLIT, KEY, kind="ternary")
    few = few_values("ternary", params["space_time"]["filters"], (1, 2, 3))
    x = jnp.asarray(SPLIT.train[0].stimulus[:20])

    def total(model, params):
        stage = model.stage
        return jnp.sum(stage.apply(params, stage.start(params), x)[1])

    rounded = put(params, ("space_time", "filters"), few)
    slopes = [
        jax.grad(lambda w, m=m, p=p: total(m, put(p, ("space_time", "filters"), w)))(
            at(p, ("space_time", "filters"))
        )
        for m, p in ((model, params), (fit.model, rounded))
    ]
    assert np.abs(slopes[0]).max() > 0
    np.testing.assert_allclose(*slopes, rtol=1e-4, atol=1e-5)


def test_a_window_of_silent_edges_is_cropped():
    fit = drawn("ln", SPLIT, lags=4, rank=2, window=5)
    filters = np.zeros((3, 2, 5, 5), np.float32)
    filters[:, :, 1:4, 2:5] = np.random.default_rng(0).normal(size=(3, 2, 3, 3))
    fit = _with(fit, ("spatial", "filters"), filters)
    model, params = crop(fit, SPLIT, KEY, energy=0.999)
    assert dict(model.settings)["window"] == 3
    np.testing.assert_array_equal(params["spatial"]["corner"], [[1, 2]] * 3)
    _same(fit, (model, params))


@pytest.mark.parametrize(
    ("name", "part"), [("ln", "temporal"), ("recursive_ln", "recursive")]
)
def test_a_filter_that_is_hardly_heard_keeps_no_window(name, part):
    """Two filters as large as each other; the wide one has a faint time course."""
    fit = drawn(name, SPLIT, rank=2, window=5)
    filters = np.ones((3, 2, 5, 5), np.float32)
    filters[:, 0] = 0
    filters[:, 0, 1:4, 2:5] = 5 / 3
    weights = np.asarray(fit.params[part]["weights"])
    weights = weights / np.linalg.norm(weights, axis=0)
    for faint, window in ((0.05, 3), (1.0, 5)):
        now = _with(fit, ("spatial", "filters"), filters)
        now = _with(now, (part, "weights"), weights * np.array([1, faint], np.float32))
        model, params = crop(now, SPLIT, KEY, energy=0.99)
        assert dict(model.settings)["window"] == window


@pytest.mark.parametrize("made", [prune, quantise, pytest.param(delta, marks=SLOW)])
def test_what_is_made_of_another_model_is_not_cropped(made):
    """Its stride is the inner model's: a box of stride 1 would move the cells."""
    split = recording((13, 12))
    fit = drawn("cnn", split, **CNN | {"stride": 2})
    model, params = made(fit, split, KEY)
    again = dataclasses.replace(fit, model=model, params=params)
    with pytest.raises(BadSetting, match=f"is {model.name} already; crop its parent"):
        crop(again, split, KEY)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("cnn", CNN),
        ("cnn", CNN | {"stride": 2}),
        pytest.param("lnln", {"lags": 4, "subunits": 2, "size": 3}, marks=SLOW),
        pytest.param(
            "bn_cnn",
            {"lags": 4, "channels": 2, "sizes": (3, 3)},
            marks=SLOW,
        ),
    ],
)
def test_a_frame_that_nobody_reads_at_its_edges_is_cropped(name, settings):
    split = recording((13, 12))
    fit = drawn(name, split, **settings)
    if "factorised" in fit.params:
        mask = np.zeros_like(fit.params["factorised"]["mask"])
        mask[..., 1:3, 1:3] = fit.params["factorised"]["mask"][..., 1:3, 1:3]
        fit = _with(fit, ("factorised", "mask"), mask)
    else:
        shape = dict(fit.model.stage.parts)["dense"].about[1]
        weights = np.asarray(fit.params["dense"]["weights"]).reshape(*shape, -1)
        few = np.zeros_like(weights)
        few[1:3, 1:3] = weights[1:3, 1:3]
        fit = _with(fit, ("dense", "weights"), few.reshape(-1, 3))
    model, params = crop(fit, split, KEY, energy=1 - 1e-6)
    first, _, rows, columns = dict(model.settings)["box"]
    assert first == dict(fit.model.settings).get("stride", 1)
    assert rows < 13 and columns < 12
    _same(fit, (model, params), split)


@pytest.mark.parametrize(
    ("method", "name", "settings", "says"),
    [
        (channels, "cnn", {"keep": 0.1}, "keep 0.1 would leave none of 4 channels of"),
        (channels, "ln", {}, "channels is for models with channels or subunits or"),
        (prune, "cnn", {"keep": 1e-4}, "would leave none of 108 weights of conv2d"),
        (prune, "cnn", {"keep": 1.5}, "keep 1.5: above 0, at most 1"),
        (taps, "cnn", {"keep": 0.01}, "keep 0.01 would leave none of 5 lags"),
        (taps, "tcn", {}, "taps is for models with lags, which tcn has not"),
        (factorise, "cnn", {}, "say how far down, rank=1 or basis=2"),
        (separate, "ln", {}, "separate is for models with kernels over the image, as"),
        (factorise, "lnln", {"rank": 1}, "lnln has neither separable filters nor"),
        (poles, "tcn", {}, "poles is for ln, cnn, and models with a bank of subunits"),
        (quantise, "cnn", {"kind": "int3"}, "kind 'int3': did you mean 'int8' or"),
        (crop, "core_readout", {}, "core_readout on frames of .7, 6. has neither"),
        (crop, "conv_gru", {}, "conv_gru pads its map with zeros"),
        (crop, "cnn", {"energy": 1.0}, "energy 1: between 0 and 1"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(method, name, settings, says):
    small = {"cnn": CNN, "conv_gru": {"sizes": (3, 3), "stride": 1}}
    fit = drawn(name, SPLIT, **small.get(name, {}))
    with pytest.raises(BadSetting, match=says) as error:
        method(fit, SPLIT, KEY, **settings)
    assert "\n" not in str(error.value)


def test_a_box_outside_the_frame_is_refused():
    with pytest.raises(BadSetting, match="rows 3 to 9 of a frame of 7"):
        build.model("cropped", SPLIT.spec, box=(3, 0, 6, 6))


def test_made_up_frames_stay_on_the_screen_as_long_as_recorded_ones():
    (made,) = made_up(SPLIT.train[:1], 1.0, np.random.default_rng(0), held=3)
    assert len(made.stimulus) == len(SPLIT.train[0].stimulus)
    moved = np.diff(made.stimulus, axis=0).any(axis=(1, 2))
    assert np.array_equal(np.flatnonzero(moved) % 3, np.full(moved.sum(), 2))


def test_a_teacher_is_compiled_once_for_clips_of_one_shape():
    fit, traced = drawn("mean", SPLIT), []
    stage = fit.model.stage

    def apply(*given):
        traced.append(1)
        return stage.apply(*given)

    model = fit.model._replace(stage=stage._replace(apply=apply))
    clip = SPLIT.train[0]
    first, second = _taught(dataclasses.replace(fit, model=model), (clip, clip))
    assert len(traced) == 1
    np.testing.assert_array_equal(first.response, second.response)
