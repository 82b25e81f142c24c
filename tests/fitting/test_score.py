"""Scores of fits whose truth is known: an oracle, a listener, and the test's groups."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build
from retina.errors import BadSetting, MissingData, ViewsDisagree
from retina.fitting.predict import streamed
from retina.fitting.score import LISTENED, REPEATED, SINGLE, listened, rates, score
from retina.fitting.start import mean_counts
from retina.metrics.bits_per_spike import bits_per_spike
from retina.metrics.resample import interval
from retina.types import Clip, Fit, Split
from tests.fitting import synthetic

TRUE = synthetic.truth(strength=0.9)


@pytest.fixture(scope="module")
def split() -> Split:
    return synthetic.split(TRUE, train=500, held_out=500)


@pytest.fixture(scope="module")
def clips():
    """A long stretch seen once, and two short ones seen 24 and 20 times."""
    return (
        synthetic.clip(TRUE, 400, 70, name="running"),
        synthetic.clip(TRUE, 300, 71, trials=24, name="frozen"),
        synthetic.clip(TRUE, 200, 72, trials=20, name="frozen"),
    )


def _fit(split: Split, name: str, params=None, **settings) -> Fit:
    model = build.model(
        name, split.spec, lags=4, rank=None, output_kind="exp", **settings
    )
    given = model.stage.init(jax.random.key(0)) if params is None else params
    return Fit(
        model=model,
        params=given,
        seeds=(given,),
        null_rate=mean_counts(split.train),
        validation={},
        curve=(),
        training={},
    )


def _oracle(split: Split, gain: float = 1.0) -> Fit:
    """The very filter of the simulation, or `gain` times it."""
    made = _fit(split, "ln")
    filters = gain * np.moveaxis(TRUE.kernel, 0, 1)[:, :, None, None]
    params = made.params | {
        "space_time": made.params["space_time"]
        | {"filters": jnp.asarray(filters, jnp.float32)},
        "output": {"bias": jnp.asarray(TRUE.bias, jnp.float32)},
    }
    return _fit(split, "ln", params)


def test_the_oracle_predicts_the_true_rate(split, clips):
    fit = _oracle(split)
    for clip in clips:
        rate = streamed(fit.model, fit.params, clip.stimulus[None])[0]
        np.testing.assert_allclose(rate, TRUE.rate(clip.stimulus), rtol=2e-5)


def test_the_oracle_reaches_the_ceiling(split, clips):
    found = score(_oracle(split), clips, draws=200)
    assert found.group == "frozen" and found.trials == 20
    assert found.bins == sum(clip.bins for clip in clips[1:])
    assert tuple(found.metrics) == REPEATED
    assert found.history == "none"
    for name in ("cc_norm", "feve"):
        # 492 bins x 20 trials at 0.6 counts: the ceiling itself is known to 1 or 2 %.
        metric = found.metrics[name]
        assert metric.median == pytest.approx(1, abs=0.05), name
        assert metric.ci95[0] < metric.median < metric.ci95[1]


def test_bits_are_those_of_the_true_rate_over_both_clips(split, clips):
    """Written out: only bins after `skip`, trials cut to the fewest of the group."""
    fit = _oracle(split)
    rate = np.concatenate([TRUE.rate(c.stimulus)[c.skip :] for c in clips[1:]])
    counts = np.concatenate([c.response[:20, c.skip :] for c in clips[1:]], 1)
    wanted = bits_per_spike(rate, counts, fit.null_rate)
    found = score(fit, clips, ["bits_per_spike"], draws=50)
    assert found.metrics["bits_per_spike"].per_cell == pytest.approx(wanted, rel=1e-4)


def test_any_other_gain_scores_fewer_bits(split, clips):
    best, less, more = (
        np.array(
            score(_oracle(split, gain), clips, ["bits_per_spike"], draws=20)
            .metrics["bits_per_spike"]
            .per_cell
        )
        for gain in (1.0, 0.7, 1.3)
    )
    assert np.all(best > less + 0.02) and np.all(best > more + 0.02)


def test_both_groups_are_scored_the_repeated_one_first(split, clips):
    found = score(_oracle(split), clips, draws=20)
    assert [found.group, *(other.group for other in found.others)] == [
        "frozen",
        "running",
    ]
    running = found.others[0]
    assert (running.trials, running.bins) == (1, clips[0].bins)
    assert tuple(running.metrics) == SINGLE
    assert running.others == ()


def test_a_metric_of_repeats_says_that_there_are_none(split, clips):
    names = ("cc_norm", "pearson_trial", "feve")
    found = score(_oracle(split), clips, names, draws=20)
    assert not found.notes
    told = "cc_norm, feve of running: nan; to compare trials takes two, not 1"
    assert found.others[0].notes == (told,)


def test_a_listener_is_scored_both_ways_in_each_group(split, clips):
    """Without effective history the free-running and the told rates are one."""
    fit = _fit(split, "glm", history=3, history_basis=3)
    params = jax.tree.map(lambda a: a, fit.params)
    params["history_output"]["history"] = jnp.zeros((3, 2))
    # Free-running rates are cut at a loudest one: these stay below it.
    filters = params["space_time"]["filters"]
    params["space_time"]["filters"] = 0.3 * filters
    found = score(
        _fit(split, "glm", params, history=3, history_basis=3), clips, draws=20
    )
    rows = [(s.group, s.history) for s in (found, *found.others)]
    assert rows == [
        ("frozen", "free_running"),
        ("frozen", "teacher_forced"),
        ("running", "free_running"),
        ("running", "teacher_forced"),
    ]
    assert "sampled histories" in found.notes[0]
    free, forced = found, found.others[0]
    assert tuple(free.metrics) == REPEATED
    assert set(forced.metrics) == set(LISTENED) & set(REPEATED)
    one, two = (np.array(s.metrics["bits_per_spike"].per_cell) for s in (free, forced))
    np.testing.assert_allclose(one, two, rtol=1e-4)


def test_what_was_said_helps_only_where_it_is_told():
    """Counts that alternate: told the past a model knows them, by itself it cannot."""
    generator = np.random.default_rng(0)
    stimulus = generator.standard_normal(400).astype(np.float32)
    first = generator.integers(0, 2, (1, 400, 2))
    response = ((first[:, :1] + np.arange(400)[None, :, None]) % 2).astype(np.float32)
    made = synthetic.split(TRUE, train=100, held_out=100)
    clip = Clip("alternating", stimulus, response, skip=4)
    fit = _fit(made, "glm", history=3, history_basis=3)
    params = jax.tree.map(lambda a: 0 * a, fit.params)
    # Silent after a count, about one count after a silent bin.
    weights = jnp.zeros((3, 2)).at[0].set(-6.0)
    params["history_output"] = {"history": weights, "bias": jnp.zeros(2)}
    fit = Fit(
        model=fit.model,
        params=params,
        seeds=(params,),
        null_rate=np.full(2, 0.5),
        validation={},
        curve=(),
        training={},
    )
    free = score(fit, [clip], ["bits_per_spike"], draws=20)
    forced = free.others[0]
    assert (free.history, forced.history) == ("free_running", "teacher_forced")
    # log2(1 / 0.5) bits a spike where it is told, less what silence costs.
    assert forced.metrics["bits_per_spike"].median > 0.9
    assert free.metrics["bits_per_spike"].median < 0.1


def test_longer_bins_are_sums_of_the_same_rates(split, clips):
    """Against the metric itself on counts and rates added up by hand."""
    fit = _oracle(split)
    found = score(fit, clips, ["bits_per_spike"], draws=20, bin_s=0.2)
    assert found.bin_s == pytest.approx(0.2)
    assert found.bins == sum(one.bins // 4 for one in clips[1:])
    rate, response = [], []
    for one in clips[1:]:
        whole = one.bins // 4 * 4
        p = streamed(fit.model, fit.params, one.stimulus[None])[0][one.skip :]
        y = one.response[:20, one.skip :]
        rate.append(p[:whole].reshape(-1, 4, 2).sum(1))
        response.append(y[:, :whole].reshape(20, -1, 4, 2).sum(2))
    want = bits_per_spike(
        np.concatenate(rate), np.concatenate(response, axis=1), 4 * fit.null_rate
    )
    got = found.metrics["bits_per_spike"].per_cell
    np.testing.assert_allclose(got, want, rtol=1e-6)  # float32 rates
    assert score(fit, clips, ["pearson"], draws=20).bin_s == split.spec.bin_s
    with pytest.raises(BadSetting, match="no multiple"):
        score(fit, clips, bin_s=0.07)


def test_on_longer_bins_nothing_is_told_of_what_is_to_be_predicted(split, clips):
    fit = _fit(split, "glm", history=3, history_basis=3)
    found = score(fit, clips[1:], ["bits_per_spike"], draws=20, bin_s=0.1)
    assert found.history == "free_running" and not found.others


def test_a_fit_of_several_seeds_is_its_typical_seed(split, clips):
    """However many seeds were tried, the best of them is not the accuracy."""
    best, middling, worst = (_oracle(split, gain) for gain in (1, 0.3, -0.5))
    name = "bits_per_spike"

    def scored(fit: Fit):
        return score(fit, clips, [name], draws=200).metrics[name]

    every = (worst.params, best.params, middling.params)
    together = scored(dataclasses.replace(best, seeds=every))
    assert together.seeds == tuple(
        scored(fit).median for fit in (worst, best, middling)
    )
    alone = scored(middling)
    assert (together.median, together.per_cell) == (alone.median, alone.per_cell)
    assert together.ci95 == pytest.approx(alone.ci95, abs=0.05)


def test_no_test_clips_is_said(split):
    with pytest.raises(MissingData, match="no test"):
        score(_oracle(split), [])


def test_a_model_whose_two_views_differ_is_not_scored(split, clips):
    fit = _oracle(split)
    stage = fit.model.stage

    def off(params, state, x):
        state, rate = stage.apply(params, state, x)
        return state, rate * 1.01

    broken = fit.model._replace(stage=stage._replace(apply=off))
    with pytest.raises(ViewsDisagree, match="differ by"):
        score(dataclasses.replace(fit, model=broken), clips)


def test_repeats_of_one_movie_are_not_independent_stretches():
    """Heard trial by trial they must be drawn together: 40 repeats of 9 s are 9 s."""
    rng = np.random.default_rng(5)
    rate = rng.gamma(0.5, 0.4, (270, 7))
    counts = rng.poisson(rate, (40, 270, 7)).astype(float)
    told = 0.5 * rate + 0.5 * rate.mean(0)
    by_trial = np.broadcast_to(told, counts.shape)
    for name in ("bits_per_spike", "pearson_trial"):
        null = {"null_rate": rate.mean(0)}
        one, many = (
            interval(name, [(p, counts)], 1 / 30, rng=np.random.default_rng(0), **null)
            for p in (told, by_trial)
        )
        np.testing.assert_allclose(many[:2], one[:2], rtol=1e-6)


@pytest.mark.parametrize("verb", [rates, listened])
def test_rates_are_as_exact_as_the_fit_whoever_asks(split, verb):
    """`compare` and `ratios` ask for rates without `score` around them."""
    fit, asked = _fit(split, "glm" if verb is listened else "ln"), set()
    step = fit.model.stage.step

    def told(*given, **named):
        asked.add(jax.config.jax_default_matmul_precision)  # type: ignore[attr-defined]
        return step(*given, **named)

    stage = fit.model.stage._replace(step=told)
    fit = dataclasses.replace(fit, model=fit.model._replace(stage=stage))
    verb(fit, fit.params, split.test)
    assert asked == {"float32"}
