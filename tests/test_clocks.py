"""Two clocks: the filter runs once per frame, the spike history every bin."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.clocks import on_frames, period
from retina.costs.bits import bit_operations
from retina.costs.clocks import one_bin, steps_of
from retina.costs.cost import as_json, cost
from retina.costs.executors import executors
from retina.costs.flops import count_step
from retina.costs.memory import memory
from retina.costs.sparse import zero_macs
from retina.data.split import split
from retina.errors import BadSetting
from retina.fitting.core import check
from retina.fitting.fit import fit
from retina.fitting.loss import rates_of
from retina.fitting.predict import streamed
from retina.fitting.score import score
from retina.fitting.simulate import simulate
from retina.probes.attribution import attribution
from retina.probes.exciting import exciting_input
from retina.probes.local_sta import local_sta
from retina.probes.rates import memory as memory_of
from retina.probes.rates import rates
from retina.reduction.cutting import put
from retina.reduction.delta import delta
from retina.reduction.merge import drives, merge
from retina.types import Block, Cell, Clip, Fit, Recording, Spec, Split

EACH = 4
SPEC = Spec((5, 4), 2, 0.005, bins_per_frame=EACH)
SMALL = {"lags": 3, "rank": 1, "basis": 3, "window": 3, "history": 6}
FRAMES = 12


def made(spec: Spec = SPEC):
    return build.model("glm", spec, **SMALL)


def shown(frames: int = FRAMES, seed: int = 0):
    rng = np.random.default_rng(seed)
    stimulus = rng.standard_normal((frames, 5, 4)).astype(np.float32)
    counts = rng.poisson(0.5, (frames * EACH, 2)).astype(np.float32)
    return np.repeat(stimulus, EACH, axis=0), counts


def test_the_drive_is_that_of_the_frame_clock_held():
    """With no weight on history: the rates of the same model of frames, held."""
    model = made()
    params = model.stage.init(jax.random.key(0))
    past = params["history_output"]
    params["history_output"] = past | {"history": jnp.zeros_like(past["history"])}
    x, counts = shown()
    slow = made(on_frames(SPEC))
    expected = jax.jit(partial(rates_of, slow))(params, x[::EACH], counts[::EACH])
    rates = jax.jit(partial(rates_of, model))(params, x, counts)
    np.testing.assert_allclose(rates, np.repeat(expected, EACH, 0), rtol=1e-5)


def test_streaming_and_clips_cut_anywhere_agree():
    model = made()
    stage, params = model.stage, model.stage.init(jax.random.key(0))
    x, counts = shown()
    heard = np.pad(counts[:-1], ((1, 0), (0, 0)))
    whole = streamed(model, params, [x], counts[None])[0]
    apply = jax.jit(stage.apply)
    state, parts = stage.start(params), []
    for rows in np.split(np.arange(len(x)), [5, 10, 11, 31]):
        signal = jnp.asarray(x[rows]), jnp.asarray(heard[rows])
        state, part = apply(params, state, signal)
        parts.append(part)
    # The same sums, in another order.
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5, atol=1e-6)


def test_each_clock_is_counted_at_its_own_rate():
    model = made()
    params = model.stage.init(jax.random.key(0))
    found = cost(model, params, runs=1)
    assert found.rates_hz == {"bin": 200.0, "frame": 50.0}
    # The filter alone, as the LN model of frames has it before its output.
    front = dict(count_step(made(on_frames(SPEC)), params)[1].by_part)
    last = front.pop("history_output")
    assert found.counts["frame"].flops == sum(c.flops for c in front.values()) > 0
    assert found.counts["bin"].flops == last.flops > 0
    by_hand = last.flops * 200 + found.counts["frame"].flops * 50
    assert found.flops_per_s == by_hand
    assert found.flops_per_bin == last.flops + found.counts["frame"].flops / EACH
    assert sum(row["flops"] for row in found.by_part.values()) == found.flops_per_bin
    assert as_json(found)["by_clock"]["frame"]["rate_hz"] == 50.0
    # Where everything runs every bin it is dearer.
    alone = dataclasses.replace(SPEC, bins_per_frame=1)
    assert cost(made(alone), params, runs=1).flops_per_s > found.flops_per_s
    sampled = cost(model, params)
    assert sampled.flops_per_bin == 100 * found.flops_per_bin
    notes = " ".join(sampled.notes)
    alone = found.counts["bin"].flops, found.counts["frame"].flops
    assert f"one run takes {alone[0]} FLOPs every bin and {alone[1]} more once" in notes
    assert f"one alone takes {found.flops_per_bin:,} FLOPs per bin" in notes


def test_bytes_bits_and_zeros_are_means_over_a_frame():
    """As of the frames' model once per frame, and of what the bins add to it."""
    model = made()
    params = model.stage.init(jax.random.key(0))
    slow = made(on_frames(SPEC))
    (whole, _), (rest, others) = steps_of(model, params)
    assert others == EACH - 1
    found = cost(model, params, runs=1)
    work = whole.work().step.macs, rest.work().step.macs
    macs = (work[0] + others * work[1]) / EACH
    assert work[0] == count_step(slow, params)[1].macs > work[1]
    assert found.bit_operations_per_bin == 1024 * macs
    assert bit_operations(model, params, {}) == 1024 * macs
    moved = [memory(step).bytes_per_bin for step in (whole, rest)]
    moved[1] -= 4 * 5 * 4  # the frame, which stands: not looked at again
    assert 0 < moved[1] < moved[0] / 2
    assert found.bytes_per_bin == (moved[0] + others * moved[1]) / EACH
    # A cell whose filter in space is zero: its products, once in four bins.
    none = jax.tree.map(lambda leaf: leaf, params)
    spatial = params["spatial"]
    none["spatial"] = {k: v.at[0].set(0) for k, v in spatial.items()}
    zeros = zero_macs(slow, none) - zero_macs(slow, params)
    assert zeros > 0 and zero_macs(model, none) - zero_macs(model, params) == zeros / 4


def test_what_was_met_is_what_is_counted():
    """Tallies of the run follow the branch that is taken: one frame in four bins."""
    model = made()
    params = model.stage.init(jax.random.key(0))
    x, counts = shown()
    clip = Clip("a", x, counts[None], skip=EACH)
    found = executors(model, params, [clip])
    bin = one_bin(model, params).work.step
    assert found.bins == len(x) - EACH
    assert found.neurobench_dense == bin.macs > 0
    assert found.event <= found.dense == bin.flops


def test_windows_cut_anywhere_in_a_frame_give_the_field_of_the_whole_recording():
    fit = fit_of(made())
    x, _ = shown()
    lags = memory_of(fit.model)
    for moment in (29, 30, 31, 32):

        def rate(x, moment=moment):
            return rates(fit, x)[moment, 1]

        slope = np.asarray(jax.jit(jax.grad(rate))(jnp.asarray(x)))
        wanted = slope[moment::-1][:lags]
        found = local_sta(fit, x, 1, [moment])[0]
        assert np.abs(wanted).max() > 0
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_what_parts_add_up_to_is_the_rate_anywhere_in_a_frame():
    fit = fit_of(made())
    x, _ = shown()
    moments = [29, 30, 31, 32]
    found = attribution(fit, x, 1, moments)
    said = np.asarray(jax.jit(lambda x: rates(fit, x))(jnp.asarray(x)))[moments, 1]
    np.testing.assert_allclose(found.rate, said, rtol=1e-4)
    total = found.values.reshape(len(moments), -1).sum(1)
    # Half a hundred steps of a smooth integral.
    np.testing.assert_allclose(total, found.rate - found.reference, rtol=0.02)


def test_noise_is_held_for_as_long_as_a_frame_is():
    fit = fit_of(made())
    best = exciting_input(fit, 0, key=jax.random.key(0), steps=3, starts=1)
    clip = best.stimulus.reshape(-1, EACH, 5, 4)
    np.testing.assert_array_equal(clip, np.repeat(clip[:, :1], EACH, 1))
    assert np.linalg.norm(clip) == pytest.approx(5.0, rel=1e-4)


WRAPPED = {
    "event_driven": {},
    "merged": {"rank": 1},
    "quantised": {},
    "pruned": {},
    "separated": {},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRAPPED)
def test_models_of_another_keep_both_clocks(name):
    settings = {"lags": 3, "channels": 2, "sizes": (3, 3), "history": 6}
    inner = build.model("cnn_history", SPEC, **settings)
    model = build.model(
        name,
        SPEC,
        of="cnn_history",
        settings=tuple(settings.items()),
        **WRAPPED[name],
    )
    assert len(model.stage.per_frame) == len(inner.stage.per_frame)
    assert period(model.stage) == EACH
    params = model.stage.init(jax.random.key(0))
    counted = [cost(m, m.stage.init(jax.random.key(0)), runs=1) for m in (model, inner)]
    rates = [one.counts["bin"].flops for one in counted]
    assert rates[0] == rates[1] > 0
    x, counts = shown()
    whole = streamed(model, params, [x], counts[None])[0]
    clip = jax.jit(partial(rates_of, model))(params, x, counts)
    # The same sums, in another order; of changes, added up.
    np.testing.assert_allclose(clip, whole, rtol=1e-4, atol=1e-5)


def test_a_core_on_another_clock_is_refused_in_one_line():
    settings = {"lags": 3, "channels": 2, "sizes": (3, 3), "history": 6}
    model = build.model("cnn_history", SPEC, **settings)
    check(model, model)
    one = dataclasses.replace(SPEC, bins_per_frame=1)
    other = build.model("cnn_history", one, **settings)
    wider = build.model("cnn_history", SPEC, **settings | {"lags": 4})
    slow = build.model("clocked", one, settings=tuple(settings.items())[:3])
    for core, words in (
        (other, "a frame for 1 bin"),
        (wider, "give both the same settings"),
        (slow, "can be shared"),
    ):
        with pytest.raises(BadSetting, match=words) as error:
            check(model, core)
        assert "\n" not in str(error.value)


@pytest.mark.slow
def test_cuts_of_a_model_on_two_clocks_see_frames():
    """Thresholds of 0 change nothing; cells that are multiples of one merge into it."""
    settings = {"lags": 3, "channels": 2, "sizes": (3, 3), "history": 6}
    found = fit_of(build.model("cnn_history", SPEC, **settings))
    own = found.params["factorised"]
    same = {"mask": jnp.tile(own["mask"][:1], (2, 1, 1, 1))}
    times = jnp.array([1.0, -2.0], jnp.float32).reshape(-1, 1, 1)
    same["features"] = own["features"][:1] * times
    params = put(found.params, ("factorised",), same)
    found = dataclasses.replace(found, params=params)
    x, counts = shown(60)
    clips = (Clip("a", x, counts[None], skip=EACH),)
    parts = Split(SPEC, clips, clips, clips)
    key = jax.random.key(1)
    wanted = jax.jit(partial(rates_of, found.model))(params, x, counts)
    assert np.ptp(wanted) > 0.01
    for model, small in (
        delta(found, parts, key, threshold=0.0),
        merge(found, parts, key, rank=1),
    ):
        got = jax.jit(partial(rates_of, model))(small, x, counts)
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-5)
    drive = drives(found, parts)
    assert len(drive) == 60 - 3  # frames, less those without history


def fit_of(model) -> Fit:
    params = model.stage.init(jax.random.key(0))
    return Fit(model, params, (params,), np.array([0.2, 0.3]), {}, (), {})


def test_frames_are_cut_into_equal_bins():
    """Each frame's bins add up to what it was counted as, on its own onsets."""
    rng = np.random.default_rng(3)
    onsets = np.cumsum(rng.uniform(0.0199, 0.0201, 61)) + 7.0
    trains = tuple(np.sort(rng.uniform(onsets[0], onsets[-1], 300)) for _ in range(2))
    stimulus = rng.integers(0, 255, (60, 5, 4), np.uint8)
    block = Block("a", "train", stimulus, onsets, (trains,), lead=2)
    cells = (Cell("0"), Cell("1"))
    recording = Recording("x", "none", cells, (block,), 0.02)
    slow, fast = split(recording), split(recording, 0.005)
    assert fast.spec.bins_per_frame == 4 and fast.spec.bin_s == 0.005
    assert slow.spec.bins_per_frame == 1
    other = split(recording, 0.003)
    assert other.spec.bins_per_frame == 1 and "one clock" in other.notes[-1]
    clip = fast.train[0]
    assert clip.skip == 8
    np.testing.assert_array_equal(clip.stimulus[::4], slow.train[0].stimulus)
    summed = clip.response.reshape(1, 60, 4, 2).sum(2)
    np.testing.assert_array_equal(summed, slow.train[0].response)
    with pytest.raises(BadSetting, match="bin_s"):
        split(recording, 0.0)


def test_counts_on_a_clock_of_their_own_are_not_cut_by_frames():
    """Frames that came 1 % late: after 60 of them the counts are two bins behind."""
    onsets = np.arange(61) * 0.0202
    counts = np.ones((1, 242, 1))
    block = Block("a", "train", np.eye(60), onsets, counts=counts, count_s=0.005)
    late = Recording("x", "none", (Cell("0"),), (block,), 0.02, native_bin_s=0.005)
    assert split(late).spec.bins_per_frame == 1
    block = dataclasses.replace(
        block, onsets_s=np.arange(61) * 0.02, counts=counts[:, :240]
    )
    assert split(dataclasses.replace(late, blocks=(block,))).spec.bins_per_frame == 4


@pytest.mark.slow
def test_a_refractory_cell_is_found_on_two_clocks():
    """A cell that rests for 10 ms after a spike: bins of 5 ms show it, frames do not.

    Simulated by the model on two clocks itself; scores say their bin.
    """
    spec = Spec((), 1, 0.005, bins_per_frame=EACH)
    settings = {"lags": 4, "rank": None, "history": 8, "history_basis": 4}
    model = build.model("glm", spec, **settings)
    rng = np.random.default_rng(0)
    light = rng.standard_normal(3000).astype(np.float32)
    x = np.repeat(light, EACH)
    params = model.stage.init(jax.random.key(0))
    quiet = np.array([[-3.0], [-1.0], [0.0], [0.0]], np.float32)
    filters = np.array([1.0, 0.5, 0.0, -0.5], np.float32)
    part = params["space_time"]["filters"]
    params["space_time"]["filters"] = jnp.asarray(filters).reshape(part.shape)
    params["history_output"] = params["history_output"] | {"history": quiet}
    counts = simulate(model, params, x, key=jax.random.key(1), trials=2)

    def block(name, role, trials, frames):
        bins = slice(frames.start * EACH, frames.stop * EACH)
        onsets = np.array([*range(frames.stop - frames.start + 1)]) * 0.02
        return Block(
            name,
            role,
            light[frames],
            onsets,
            counts=counts[:trials, bins],
            count_s=0.005,
            lead=4,
        )

    blocks = (
        block("a", "train", 1, slice(0, 2000)),
        block("b", "validation", 1, slice(2000, 2500)),
        block("c", "test", 2, slice(2500, 3000)),
    )
    recording = Recording(
        "x", "none", (Cell("0"),), blocks, 0.02, "contrast", native_bin_s=0.005
    )
    made = split(recording)
    assert made.spec.bins_per_frame == EACH
    model = build.model("glm", made.spec, **settings)
    found = fit(model, made, key=jax.random.key(2))
    without = build.model("ln", made.spec, lags=16, rank=None)
    other = fit(without, made, key=jax.random.key(2))
    said = score(found, made.test, ["bits_per_spike"], draws=50)
    heard = next(one for one in said.others if one.history == "teacher_forced")
    alone = score(other, made.test, ["bits_per_spike"], draws=50)
    gain = heard.metrics["bits_per_spike"].median
    assert gain > alone.metrics["bits_per_spike"].median + 0.05
    assert said.bin_s == 0.005 and "of 5 ms" in said.scored
    got = np.asarray(found.params["history_output"]["history"])
    assert got[0, 0] < got[-1, 0] - 0.5
