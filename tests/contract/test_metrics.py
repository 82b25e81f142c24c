"""What every metric promises, checked on each file of retina/metrics that is one."""

from __future__ import annotations

import inspect

import jax.numpy as jnp
import numpy as np
import pytest

from retina import registry
from retina.errors import BadResponse, Diverged, ShapeMismatch
from retina.metrics.clips import bound, evaluate, over, sums_of
from retina.metrics.resample import interval, resampled
from retina.metrics.sums import Sums

METRICS = pytest.mark.parametrize("name", registry.names("metrics"))
TRIALS, TIME, CELLS, BIN_S = 6, 240, 7, 1 / 30
# The same sums in another order, in float64.
CLOSE = 1e-9


def example(trials: int = TRIALS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rate, response and null; the last cell is silent, the one before fires always."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(1.0, 0.4, (TIME, CELLS)) + 0.01
    response = rng.poisson(rate, (trials, TIME, CELLS)).astype(np.float64)
    response[..., -1] = 0
    response[..., -2] = 1
    return rate, response, np.full(CELLS, 0.4)


def score(name: str, rate: np.ndarray, response: np.ndarray, null: np.ndarray):
    return evaluate(name, [(rate, response)], null, BIN_S)


def offered(name: str) -> Sums | None:
    return sums_of(bound(name, np.ones(1), BIN_S)[0])


def of_the_data(name: str) -> bool:
    return over(bound(name, np.ones(1), BIN_S)[0]) == "repeats"


@METRICS
def test_one_float64_for_each_cell(name: str):
    metric, keywords = bound(name, example()[2], BIN_S)
    value = metric(*example()[:2], **keywords)
    assert value.shape == (CELLS,)
    assert value.dtype == np.float64
    assert np.isfinite(value[:-2]).all()


@METRICS
def test_its_arguments_are_those_that_are_called_with(name: str):
    arguments = inspect.signature(registry.find("metrics", name)).parameters.values()
    given = [one.name for one in arguments if one.default is one.empty]
    assert given[:2] == ["rate", "response"]
    assert given[2:] in ([], ["null_rate"], ["bin_s"], ["null_rate", "bin_s"])


@METRICS
@pytest.mark.parametrize("trials", [1, 2, 13])
def test_any_number_of_trials(name: str, trials: int):
    assert score(name, *example(trials)).shape == (CELLS,)


@METRICS
def test_cells_do_not_mix(name: str):
    rate, response, null = example()
    value = score(name, rate, response, null)
    order = np.array([4, 0, 6, 2, 5, 3, 1])
    moved = score(name, rate[:, order], response[..., order], null[order])
    np.testing.assert_allclose(moved, value[order], rtol=CLOSE)
    alone = score(name, rate[:, 1:2], response[..., 1:2], null[1:2])
    np.testing.assert_allclose(alone, value[1:2], rtol=CLOSE)


@METRICS
def test_the_order_of_trials_is_nothing(name: str):
    rate, response, null = example()
    np.testing.assert_allclose(
        score(name, rate, response[::-1], null),
        score(name, rate, response, null),
        rtol=CLOSE,
    )


@METRICS
def test_deterministic_and_leaves_its_arguments_alone(name: str):
    rate, response, null = example()
    kept = rate.copy(), response.copy(), null.copy()
    first = score(name, rate, response, null)
    np.testing.assert_array_equal(first, score(name, rate, response, null))
    for before, after in zip(kept, (rate, response, null), strict=True):
        np.testing.assert_array_equal(before, after)


@METRICS
def test_any_real_dtype_and_jax_arrays(name: str):
    rate, response, null = example()
    narrow = rate.astype(np.float32)
    whole = score(name, narrow.astype(np.float64), response, null)
    for counts in (response.astype(np.uint8), response.astype(np.float32)):
        np.testing.assert_array_equal(score(name, narrow, counts, null), whole)
    given = jnp.asarray(narrow), jnp.asarray(response, jnp.float32)
    np.testing.assert_array_equal(score(name, *given, null), whole)  # type: ignore


@METRICS
def test_shapes_that_do_not_fit_are_named(name: str):
    rate, response, null = example()
    for bad_rate, bad_response in (
        (rate[:-1], response),
        (rate[:, :-1], response),
        (rate, response[0]),
        (rate[:, 0], response),
        (rate.T, response),
        (rate[:0], response[:, :0]),
    ):
        with pytest.raises(ShapeMismatch) as caught:
            score(name, bad_rate, bad_response, null)
        assert str(bad_rate.shape) in str(caught.value)
        assert str(bad_response.shape) in str(caught.value)


@METRICS
def test_impossible_values_are_refused(name: str):
    rate, response, null = example()
    for value in (np.nan, -1.0, np.inf):
        bad = response.copy()
        bad[1, 2, 3] = value
        with pytest.raises(BadResponse, match="trial 1, bin 2, cell 3"):
            score(name, rate, bad, null)
    wild = rate.copy()
    wild[5, 2] = np.nan
    with pytest.raises(Diverged, match="bin 5, cell 2"):
        score(name, wild, response, null)


@METRICS
@pytest.mark.parametrize("trials", [1, 2, 6])
def test_the_data_alone_decide_what_is_undefined(name: str, trials: int):
    rate, response, null = example(trials)
    undefined = np.isnan(score(name, rate, response, null))
    rng = np.random.default_rng(1)
    for other in (
        np.ones_like(rate),
        np.zeros_like(rate),
        np.broadcast_to(null, rate.shape),
        rng.permutation(rate),
        1e6 * rate,
        1e-6 * rate,
        np.where(rng.random(rate.shape) < 0.5, rate, 0.0),
    ):
        value = score(name, other, response, null)
        np.testing.assert_array_equal(np.isnan(value), undefined)


@METRICS
def test_the_true_rate_beats_the_wrong_one(name: str):
    rate, response, null = example()
    right = score(name, rate, response, null)[:-2]
    wrong = score(name, rate[::-1], response, null)[:-2]
    if of_the_data(name):
        np.testing.assert_array_equal(right, wrong)
    else:
        assert (right > wrong).all()


@METRICS
def test_clips_laid_end_to_end_are_the_whole(name: str):
    rate, response, null = example()
    cuts = [0, 10, 150, TIME]
    clips = [
        (rate[a:b], response[:, a:b]) for a, b in zip(cuts[:-1], cuts[1:], strict=True)
    ]
    np.testing.assert_array_equal(
        evaluate(name, clips, null, BIN_S), score(name, rate, response, null)
    )


@METRICS
def test_sums_say_what_the_definition_says_on_any_draw(name: str):
    """A bootstrap from sums must be the metric itself on the drawn bins."""
    sums = offered(name)
    if sums is None:
        pytest.skip(f"{name} offers no SUMS: its intervals score each draw again")
    rate, response, null = example()
    keyword = bound(name, null, BIN_S)[1]
    rng = np.random.default_rng(2)
    for _ in range(3):
        times = rng.integers(0, TIME, TIME) if sums.local else np.arange(TIME)
        terms = sums.terms(rate, response, **keyword)
        for term in terms.values():
            assert len(term) == TIME and term.shape[-1] in (1, CELLS)
        drawn = sums.combine({k: term[times].sum(axis=0) for k, term in terms.items()})
        direct = score(name, rate[times], response[:, times], null)
        # Sums centred on all the data, then on the draw: rounding of the subtraction.
        np.testing.assert_allclose(drawn, direct, rtol=1e-8, atol=1e-10)


@METRICS
def test_intervals_surround_the_median(name: str):
    rate, response, null = example()
    pairs = [(rate[:100], response[:, :100]), (rate[100:], response[:, 100:])]
    rng = np.random.default_rng(3)
    low, high, undefined = interval(
        name, pairs, BIN_S, rng=rng, null_rate=null, draws=200
    )
    value = score(name, rate, response, null)
    median = np.median(value[~np.isnan(value)])
    assert low <= median <= high and low < high
    assert undefined == 0


@METRICS
def test_all_models_are_resampled_alike(name: str):
    rate, response, null = example()
    clip = [(rate, response)]
    one, other = resampled(
        name,
        [clip, clip],
        BIN_S,
        rng=np.random.default_rng(4),
        null_rate=null,
        draws=20,
    )
    np.testing.assert_array_equal(one.values, other.values)
    assert one.values.shape == (20, CELLS)


@METRICS
def test_its_docstring_says_what_a_reader_needs(name: str):
    text = inspect.getdoc(registry.find("metrics", name)) or ""
    for word in ("rate:", "response:", "(cell,)", "raises:", "source:", ">>> "):
        assert word in text, f"{name}: the docstring lacks {word!r}"
