"""Clips cut for training: inside one block and trial, counts in step with frames."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.errors import ShapeMismatch
from retina.fitting.checks import short_lead
from retina.fitting.clips import clip_rate, clip_rates, tabulate
from retina.fitting.loss import rates_of
from retina.stage import Model, memoryless
from retina.types import Clip, Spec, Split

SPEC = Spec((), 2, 0.05)
LENGTHS, TRIALS, SKIPS = (50, 83, 61), (1, 3, 2), (0, 9, 20)
LAGS, BINS = 6, 13


def _blocks() -> tuple[Clip, ...]:
    """Stimulus 1000 block + bin; counts 100000 trial + 1000 block + bin + cell / 2."""
    blocks = []
    for block, (length, trials, skip) in enumerate(
        zip(LENGTHS, TRIALS, SKIPS, strict=True)
    ):
        bins = 1000.0 * (block + 1) + np.arange(length)
        response = np.stack(
            [
                100_000.0 * (trial + 1) + bins[:, None] + np.array([0, 0.5])
                for trial in range(trials)
            ]
        )
        stimulus, response = bins.astype(np.float32), response.astype(np.float32)
        blocks.append(Clip(f"b{block}", stimulus, response, skip=skip))
    return tuple(blocks)


def _model(lags: int = LAGS) -> Model:
    return build.model("ln", SPEC, lags=lags, rank=None)


def _windows(table):
    """(frames, counts of the previous bins, counts) that each clip is given."""
    size = table.lead + table.bins
    stimulus, counts = np.asarray(table.stimulus), np.asarray(table.counts)
    for at, heard in table.first:
        yield (
            stimulus[at : at + size],
            counts[heard : heard + size],
            counts[heard + 1 : heard + 1 + size],
        )


def test_a_clip_is_a_stretch_of_one_block_and_one_trial():
    table = tabulate(_model(), _blocks(), BINS)
    assert (table.lead, table.bins) == (LAGS - 1, BINS)
    for frames, _, counts in _windows(table):
        assert np.all(np.diff(frames) == 1)
        assert np.all(np.diff(counts[:, 0]) == 1)
        # Same bin of the same block; every count is of the cell its column says.
        assert np.all(counts[:, 0] % 100_000 == frames)
        assert np.all(counts[:, 1] - counts[:, 0] == 0.5)


def test_the_counts_heard_are_those_of_the_bin_before():
    table = tabulate(_model(), _blocks(), BINS)
    starts = 0
    for frames, before, counts in _windows(table):
        assert np.array_equal(before[1:], counts[:-1])
        if frames[0] % 1000 == 0:  # first bin of a block: nothing was said yet
            assert np.all(before[0] == 0)
            starts += 1
        else:
            assert np.array_equal(before[0], counts[0] - 1)
    assert starts == TRIALS[0]  # of the other blocks a `skip` comes first


def test_every_bin_that_may_be_fitted_is_and_no_other():
    """Each trial's clips cover bins from max(lead, skip) to its end."""
    table = tabulate(_model(), _blocks(), BINS)
    fitted = {
        float(value)
        for _, _, counts in _windows(table)
        for value in counts[table.lead :, 0]
    }
    wanted = {
        float(value)
        for clip, skip in zip(_blocks(), SKIPS, strict=True)
        for trial in clip.response
        for value in trial[max(skip, LAGS - 1) :, 0]
    }
    assert fitted == wanted


def test_bins_already_seen_by_the_clip_before_are_told_apart():
    """Clips at a block's end overlap; without `seen` those bins would count twice."""
    table = tabulate(_model(), _blocks(), BINS)
    fitted = [
        float(value)
        for (_, _, counts), seen in zip(_windows(table), table.seen, strict=True)
        for value in counts[table.lead + seen :, 0]
    ]
    assert len(fitted) == len(set(fitted))
    wanted = sum(
        trials * (length - max(skip, LAGS - 1))
        for length, trials, skip in zip(LENGTHS, TRIALS, SKIPS, strict=True)
    )
    assert len(fitted) == wanted


def test_clips_shrink_to_the_shortest_block():
    table = tabulate(_model(), _blocks(), 10_000)
    assert table.bins == min(
        length - max(skip, LAGS - 1)
        for length, skip in zip(LENGTHS, SKIPS, strict=True)
    )


def test_a_block_shorter_than_the_history_says_what_to_do():
    with pytest.raises(ShapeMismatch, match="'b0' has 50 bins.*lower its lags"):
        tabulate(_model(lags=51), _blocks(), BINS)


def test_the_clip_that_is_named_is_the_one_with_nothing_to_fit():
    short, long = _blocks()[0], _blocks()[1]
    history = dataclasses.replace(long, skip=len(long.stimulus))
    said = f"{history.name!r} has 83 bins, the first 83 of which are history alone"
    with pytest.raises(ShapeMismatch, match=said):
        tabulate(_model(), (short, history), BINS)


def test_slow_states_are_warmed_up_by_their_burn_in():
    still = memoryless(
        lambda params, x: jnp.ones(2) + 0 * x.astype(jnp.float32), about=("still",)
    )
    model = Model("still", SPEC, still._replace(burn_in_s=0.31))
    assert tabulate(model, _blocks(), BINS).lead == 7  # 0.31 s in bins of 0.05 s


def _listening() -> tuple[Model, dict]:
    model = build.model("glm", SPEC, lags=LAGS, rank=None, history=9, history_basis=4)
    params = model.stage.init(jax.random.key(0))
    params["history_output"]["history"] = jax.random.normal(jax.random.key(1), (4, 2))
    return model, params


def _spiking(blocks: int = 3) -> list[Clip]:
    generator = np.random.default_rng(0)
    return [
        Clip(
            f"b{block}",
            generator.standard_normal(60).astype(np.float32),
            generator.poisson(0.5, (2, 60, 2)).astype(np.float32),
        )
        for block in range(blocks)
    ]


def _rates(model: Model, params, clips, bins: int = BINS):
    """(rate, counts) of every clip of the table, in order."""
    table = tabulate(model, tuple(clips), bins)

    @jax.jit
    def one(first):
        return clip_rate(
            model, params, table.stimulus, table.counts, first, table.lead, table.bins
        )

    return [tuple(map(np.asarray, one(first))) for first in jnp.asarray(table.first)]


def test_nothing_of_another_block_or_trial_reaches_a_clip():
    """Huge values all around the middle block: its clips do not notice."""
    model, params = _listening()
    clean = _spiking()
    each = len(_rates(model, params, clean)) // 6  # 3 blocks of 2 trials
    loud = [
        Clip(c.name, np.full_like(c.stimulus, 1e6), np.full_like(c.response, 1e6))
        for c in clean
    ]
    response = clean[1].response.copy()
    response[0] = 1e6
    loud[1] = Clip("b1", clean[1].stimulus, response)
    # The second trial of the middle block, after a loud trial and before a loud block.
    chosen = slice(3 * each, 4 * each)
    quiet = _rates(model, params, clean)[chosen]
    assert len(quiet) == each > 3
    for one, two in zip(quiet, _rates(model, params, loud)[chosen], strict=True):
        assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])


@pytest.mark.parametrize("history", [None, 3, 9])
def test_clips_side_by_side_give_the_rates_of_the_whole_block(history):
    """Of a chain of two filters in time, whose fit leaves out what lacks history.

    The past that is heard is shorter than the one that is seen, or longer.
    """
    spec = Spec((4, 3), 2, 0.05)
    sizes: dict = {"hidden_channels": (2, 2), "temporal_sizes": (4, 3), "sizes": (2, 2)}
    model = build.model("core_readout", spec, history=history, **sizes)
    assert model.stage.valid is not None
    params = model.stage.init(jax.random.key(0))
    draw = np.random.default_rng(0)
    shown = draw.standard_normal((40, 4, 3)).astype(np.float32)
    block = Clip("b", shown, draw.poisson(0.5, (1, 40, 2)).astype(np.float32))
    table = tabulate(model, (block,), BINS)

    @jax.jit
    def fitted(params, first):
        data = table.stimulus, table.counts, first
        return clip_rates(model, params, *data, table.lead, table.bins)

    rates, counts = fitted(params, jnp.asarray(table.first))
    whole = jax.jit(lambda p, x: rates_of(model, p, x, block.response[0]))(
        params, shown
    )
    for (at, _), rate, heard in zip(table.first, rates, counts, strict=True):
        here = slice(at + table.lead, at + table.lead + table.bins)
        np.testing.assert_array_equal(heard, block.response[0, here])
        np.testing.assert_allclose(rate, whole[here], rtol=1e-5)
    assert len(rates) > 2 and np.std(rates) > 0.01


def test_a_clip_gives_the_rates_of_the_whole_block():
    """From its first bin on, history included: what `lead` is for."""
    model, params = _listening()
    block = _spiking(1)
    table = tabulate(model, tuple(block), BINS)
    rates = jax.jit(lambda counts: rates_of(model, params, block[0].stimulus, counts))
    wholes = [np.asarray(rates(trial)) for trial in block[0].response]
    rows = 1 + len(block[0].stimulus)
    made = _rates(model, params, block)
    for (at, heard), (rate, counts) in zip(table.first, made, strict=True):
        trial, begin = heard // rows, at + table.lead
        # A clip reaches back over the longer of the two histories.
        whole = wholes[trial][begin : begin + table.bins]
        np.testing.assert_allclose(rate, whole, rtol=2e-5, atol=2e-6)
        assert np.array_equal(
            counts, block[0].response[trial, begin : begin + table.bins]
        )


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16", "float32"])
def test_a_stimulus_goes_to_the_device_as_it_is_stored(dtype):
    """A byte stays one byte; the model's first part scales it there."""
    blocks = tuple(
        Clip(b.name, (b.stimulus % 100).astype(dtype), b.response, skip=b.skip)
        for b in _blocks()
    )
    assert tabulate(_model(), blocks, BINS).stimulus.dtype == dtype


def test_a_lead_that_is_too_short_is_noted():
    """The shortest of the blocks leads in with no bin at all."""
    short = Split(SPEC, _blocks(), _blocks()[1:], _blocks()[2:])
    (said,) = short_lead(_model(), short)
    assert "only 0 lead into a block: the first 5" in said and "lead = 5 on" in said
    whole = Split(SPEC, _blocks()[1:], _blocks()[1:], _blocks()[2:])
    assert short_lead(_model(), whole) == []
    (said,) = short_lead(_model(11), whole)
    assert "looks back 10 bins, but only 9" in said
    assert "takes up to 1 of the 74 frames that are scored of b1" in said
    # More than half of a short trial is too much to ask for.
    (said,) = short_lead(_model(60), whole)
    assert "lead = " not in said and "of the 41 frames" in said
    assert (
        "up to 39; a model that looks back on 9 bins needs none: --set lags=10" in said
    )
