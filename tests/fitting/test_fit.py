"""The verb fit: resuming, seeds, what it refuses, and that a bin's shift is noticed."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import build, formulation
from retina.errors import BadResponse, BadSetting, BrokenRun, Diverged
from retina.fitting.fit import fit
from retina.fitting.loss import validator
from retina.fitting.start import mean_counts
from retina.parameter import Parameter
from retina.stage import Model, memoryless
from retina.types import Fit, Split
from tests.fitting import synthetic

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def split() -> Split:
    return synthetic.split(synthetic.truth(), train=500, held_out=300)


def _subunits(split: Split) -> Model:
    """Small, fitted by Adam, and not the same from every start."""
    return build.model("lnln", split.spec, lags=4, basis=3, subunits=2)


ADAM: dict[str, Any] = {"max_steps": 160, "clip_bins": 64, "batch": 4}


@pytest.fixture(scope="module")
def one(split) -> Fit:
    return fit(_subunits(split), split, key=KEY, **ADAM)


@pytest.fixture(scope="module")
def two(split) -> Fit:
    """From two seeds."""
    return fit(_subunits(split), split, key=KEY, seeds=2, **ADAM)


class Interrupted(Exception):
    pass


def _interrupting(after: int):
    """A progress callback that raises at its call number `after`."""
    calls = []

    def progress(line) -> None:
        calls.append(line)
        if len(calls) == after:
            raise Interrupted

    return progress


def _bits(tree) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def _alike(one, two) -> None:
    """The same numbers to the last bit, but for the seconds it took."""
    assert _bits(one.params) == _bits(two.params)
    assert _bits(one.seeds) == _bits(two.seeds)
    assert one.validation == two.validation
    drop = {"seconds", "fit_s", "compile_s"}

    def kept(lines) -> str:
        return repr([{k: v for k, v in x.items() if k not in drop} for x in lines])

    assert kept(one.curve) == kept(two.curve)
    assert kept([one.training]) == kept([two.training])


def test_an_interrupted_fit_ends_at_the_same_bits(split, two, tmp_path):
    """Two seeds by Adam: after the start, in the middle, and where it was asked to.

    A callback that raises does so before its evaluation is kept.
    """
    model, place = _subunits(split), tmp_path / "checkpoint"
    for calls in (2, 3):
        with pytest.raises(Interrupted):
            fit(
                model,
                split,
                key=KEY,
                seeds=2,
                checkpoint=place,
                progress=_interrupting(calls),
                **ADAM,
            )
    paused = fit(model, split, key=KEY, seeds=2, checkpoint=place, until=41, **ADAM)
    assert paused.training["steps"] == paused.curve[-1]["step"] == 80
    assert not paused.training["converged"] and not paused.training["stopped"]
    assert [row["validation_bits"] for row in paused.curve] == [
        row["validation_bits"] for row in two.curve[:3]
    ]
    _alike(two, fit(model, split, key=KEY, seeds=2, checkpoint=place, **ADAM))


def _either(split: Split) -> Model:
    """One weight per cell, of an operation with two formulations."""
    ways = {
        "product": lambda x, w: (x * w) / 3,
        "sum": lambda x, w: x * (w / 7) + x * (w * (4 / 21)),
    }

    def rate(x, w):
        way = formulation.fastest("either", (1,), ways, lambda: (jnp.ones(9), 1.0))
        return jnp.exp(ways[way](x, w) - 1)

    stage = memoryless(
        lambda params, x: rate(x, params["w"]),
        batch=lambda params, x: rate(x[:, None], params["w"][None]),
        init=lambda key: {"w": jnp.zeros(2, jnp.float32)},
        parameters={"w": Parameter()},
        about=("either",),
    )
    return Model("either", split.spec, stage)


def test_a_fit_goes_on_in_the_formulation_it_began_in(split, tmp_path, monkeypatch):
    """What was measured is deleted, and measured otherwise the next time."""
    monkeypatch.setattr(formulation, "place", lambda: tmp_path / "formulations.json")
    quick = "product"

    def race(ways, arguments, precision):
        return {name: 1.0 + (name != quick) for name in ways}

    monkeypatch.setattr(formulation, "_race", race)

    def made(**more):
        monkeypatch.setattr(formulation, "_measured", {})
        (tmp_path / "formulations.json").unlink(missing_ok=True)
        return fit(_either(split), split, key=KEY, **ADAM, **more)

    place = tmp_path / "checkpoint"
    whole = made()
    made(checkpoint=place, until=41)
    quick = "sum"
    assert _bits(made().params) != _bits(whole.params)
    _alike(whole, made(checkpoint=place))


def test_an_interrupted_lbfgs_stops_where_it_would_have_stopped(split, tmp_path):
    """Its stopping rule compares with the loss before the interruption."""
    model = build.model("ln", split.spec, lags=4, rank=None, output_kind="exp")
    whole = fit(model, split, key=KEY)
    evaluations = len(whole.curve)
    assert whole.training["steps"] < whole.training["max_steps"]
    assert whole.training["converged"]
    for calls in (evaluations - 1, evaluations):
        place = tmp_path / str(calls)
        with pytest.raises(Interrupted):
            fit(
                model,
                split,
                key=KEY,
                checkpoint=place,
                progress=_interrupting(calls),
            )
        _alike(whole, fit(model, split, key=KEY, checkpoint=place))


def test_another_fits_checkpoint_is_refused(split, tmp_path):
    place = tmp_path / "checkpoint"

    def run(key=KEY, learning_rate=1e-2, shrink=1e-2):
        small = {"lags": 4, "basis": 3, "subunits": 2}
        made = build.model("lnln", split.spec, **small, shrink=shrink)
        recipe = {"learning_rate": learning_rate, "max_steps": 40}
        fit(made, split, key=key, checkpoint=place, **recipe)

    run()
    before = sorted(place.rglob("*"))
    changes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"key": jax.random.key(7)}, r"key \[0, 0\] there, \[0, 7\] here"),
        ({"learning_rate": 1e-4}, "learning_rate 0.01 there, 0.0001 here"),
        ({"shrink": 1.0}, "model .* there, .* here"),
    )
    for change, said in changes:
        with pytest.raises(BrokenRun, match=said):
            run(**change)
        assert sorted(place.rglob("*")) == before
    run()


def test_a_checkpoint_of_a_fit_to_other_clips_is_refused(split, tmp_path):
    short = {"key": KEY, "checkpoint": tmp_path / "checkpoint", "max_steps": 2}
    fit(_subunits(split), split, **short)
    for role, change, said in (
        ("train", lambda c: {"stimulus": -c.stimulus}, "training stimulus"),
        ("train", lambda c: {"response": c.response[:, ::-1]}, "training counts"),
        ("validation", lambda c: {"stimulus": -c.stimulus}, "validation"),
        ("validation", lambda c: {"response": c.response[:, ::-1]}, "validation"),
        ("validation", lambda c: {"skip": c.skip + 1}, "validation"),
    ):
        first, *rest = getattr(split, role)
        clips = (dataclasses.replace(first, **change(first)), *rest)
        other = dataclasses.replace(split, **{role: clips})
        with pytest.raises(BrokenRun, match=rf"\({said} \w+ there, \w+ here\)"):
            fit(_subunits(split), other, **short)


@pytest.mark.parametrize("steps", [1, 50])
def test_no_step_is_taken_beyond_the_last(split, steps):
    made = fit(_subunits(split), split, key=KEY, max_steps=steps, clip_bins=64)
    assert made.training["steps"] == steps == made.curve[-1]["step"]


def test_a_cell_silent_in_training_is_named(split):
    def silenced(clip):
        response = clip.response.copy()
        response[:, :, 1] = 0
        return dataclasses.replace(clip, response=response)

    silent = dataclasses.replace(split, train=tuple(map(silenced, split.train)))
    with pytest.raises(BadResponse, match="cell cell1 has no spike in the training"):
        fit(_subunits(split), silent, key=KEY)


def test_the_first_of_two_seeds_is_the_fit_of_one(one, two):
    """Its start and its order of clips do not depend on how many run beside it."""
    keys = [jax.random.split(KEY, n)[0] for n in (1, 2)]
    if not np.array_equal(jax.random.key_data(keys[0]), jax.random.key_data(keys[1])):
        pytest.skip("this generator's first key depends on how many are split off")
    # 160 steps of up to 3e-3 may add up to 0.5; batched products round differently,
    # and of that no more than a step or two may come.
    for a, b in zip(
        jax.tree.leaves(one.seeds[0]), jax.tree.leaves(two.seeds[0]), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=5e-3)
    assert one.validation["seeds"][0] == pytest.approx(
        two.validation["seeds"][0], abs=1e-3
    )
    assert two.seeds[1] is not None and _bits(two.seeds[0]) != _bits(two.seeds[1])


def test_the_seed_kept_is_the_best_on_validation(split):
    made = fit(_subunits(split), split, key=KEY, seeds=3, **ADAM)
    bits = validator(made.model, split.validation, made.null_rate)
    means = [float(np.mean(bits(params))) for params in made.seeds]
    chosen = made.validation["chosen_seed"]
    assert chosen == int(np.argmax(means))
    assert _bits(made.params) == _bits(made.seeds[chosen])
    assert made.validation["per_cell"] == pytest.approx(bits(made.params).tolist())
    best = max(line["validation_bits"] for line in made.curve)
    assert means[chosen] == pytest.approx(best, abs=1e-6)


def test_a_fit_never_ends_below_its_start(split):
    """The start is an evaluation like any other."""
    model = build.model("ln", split.spec, lags=4, rank=None)
    made = fit(model, split, key=KEY, optimiser="adam", learning_rate=0.5, **ADAM)
    start = made.curve[0]["validation_bits"]
    assert made.curve[0]["step"] == 0
    assert made.validation["mean"] >= start - 1e-6


def test_nothing_of_the_test_block_reaches_the_fit(split):
    model = build.model("ln", split.spec, lags=4, rank=None)
    spoilt = dataclasses.replace(
        split,
        test=tuple(
            dataclasses.replace(clip, response=100 + clip.response)
            for clip in split.test
        ),
    )
    one, two = (fit(model, s, key=KEY, max_steps=20) for s in (split, spoilt))
    assert _bits(one.params) == _bits(two.params)


def _shifted(split: Split, bins: int) -> Split:
    """Counts moved by `bins` later; what would wrap around is left out of both."""

    def moved(clip):
        response = np.roll(clip.response, bins, axis=1)
        return dataclasses.replace(
            clip,
            stimulus=clip.stimulus[1:-1],
            response=response[:, 1:-1],
        )

    roles = ("train", "validation", "test")
    return dataclasses.replace(
        split, **{role: tuple(map(moved, getattr(split, role))) for role in roles}
    )


def test_counts_one_bin_early_or_late_are_fitted_clearly_worse(split):
    """The cells' filter has 4 lags and the model has the same 4: nothing to spare."""
    model = build.model("ln", split.spec, lags=4, rank=None, output_kind="exp")
    bits = {}
    for shift in (-1, 0, 1):
        moved = _shifted(split, shift)
        made = fit(model, moved, key=KEY)
        gained = validator(model, moved.test, made.null_rate)(made.params)
        bits[shift] = float(np.mean(gained))
    # A lag of weight 1 out of (1, 0.5, -0.5, -1) falls outside: 40 % of the drive's
    # power, at either end.
    assert bits[0] > 0.15
    assert bits[-1] < 0.85 * bits[0], bits
    assert bits[1] < 0.85 * bits[0], bits


def test_the_filter_that_is_found_is_the_one_that_was_put_in():
    """Lag by lag: lag 0 is the frame on the screen during the bin."""
    true = synthetic.truth(strength=0.8)
    made = synthetic.split(true, train=3000, held_out=500)
    model = build.model("ln", made.spec, lags=4, rank=None, output_kind="exp")
    fitted = fit(model, made, key=KEY)
    found = np.asarray(fitted.params["space_time"]["filters"])[:, :, 0, 0]
    # 6000 bins of about 0.6 counts: the standard error of a weight is
    # 1 / sqrt(6000 x 0.6) = 0.017; the largest of 8 stays below 4 of those.
    np.testing.assert_allclose(found, true.kernel.T, atol=0.07)
    bias = np.asarray(fitted.params["output"]["bias"])
    np.testing.assert_allclose(bias, true.bias, atol=0.07)


def test_divergence_is_told_with_what_to_type_next(split):
    model = build.model("lnln", split.spec, lags=4, basis=3, output_kind="exp")
    with pytest.raises(Diverged) as told:
        fit(model, split, key=KEY, learning_rate=1e4, **ADAM)
    said = str(told.value)
    assert "\n" not in said and "lnln" in said
    assert "learning rate 1e+04" in said
    assert "--set learning_rate=3e+03" in said


def _edged(split: Split, edge: float) -> Model:
    """Starts from nothing; its loss is nan once a weight is beyond the edge."""
    model = build.model("ln", split.spec, lags=4, rank=None, output_kind="exp")

    def penalty(params):
        largest = jnp.max(jnp.abs(params["space_time"]["filters"]))
        return jnp.where(largest > edge, jnp.nan, 0.0)

    return model._replace(warm_start=None, penalty=penalty)


# The rate rises over the first 2000 steps: good steps come before the bad ones.
RISING: dict[str, Any] = {
    "optimiser": "adam",
    "schedule": "linear",
    "learning_rate": 60.0,
    "max_steps": 100_000,
    "clip_bins": 64,
}


@pytest.mark.parametrize("seeds", [1, 2])
def test_an_exploding_loss_ends_the_fit_with_the_best_so_far(split, seeds):
    lines = []
    model = _edged(split, 4.0)
    made = fit(model, split, key=KEY, seeds=seeds, progress=lines.append, **RISING)
    said, best = made.training["stopped"], made.training["best_step"]
    last = made.training["steps"]
    assert not made.training["converged"] and 0 < best <= last < 2000
    assert made.training["exploded"] == list(range(seeds))
    assert f"the loss became nan between steps {last} and {last + 40}" in said
    assert "learning rate 60: " in said and "--set learning_rate=2e+01" in said
    assert f"step {best}, the best on validation, are kept" in said
    assert "\n" not in said
    assert made.validation["mean"] > lines[0]["validation_bits"]
    assert made.validation["mean"] == pytest.approx(lines[-1]["validation_bits"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(made.seeds))


def test_a_fit_that_ends_as_it_should_was_not_stopped(one):
    assert one.training["stopped"] == ""


def test_a_loss_that_explodes_at_once_keeps_nothing(split):
    """The start is not worth a fit's name."""
    with pytest.raises(Diverged, match="between steps 0 and 40"):
        fit(_edged(split, -1.0), split, key=KEY, **RISING)


def test_infinite_parameters_are_never_the_best(split):
    """Their rates are finite, and better than those of the start."""

    def rate(params, x):
        return jnp.exp(0.5 * jnp.tanh(params["w"]))

    stage = memoryless(
        rate,
        batch=lambda params, x: jnp.tile(rate(params, x), (x.shape[0], 1)),
        init=lambda key: {"w": jnp.zeros(2, jnp.float32)},
        parameters={"w": Parameter()},
        about=("saturating",),
    )
    model = Model("saturating", split.spec, stage)
    lines = []
    made = fit(
        model,
        split,
        key=KEY,
        learning_rate=1e38,
        schedule="constant",
        progress=lines.append,
        **ADAM,
    )
    # The cells give 0.5 to 0.8 counts a bin: exp(-0.5) is nearer than exp(0).
    bits = validator(model, split.validation, made.null_rate)
    assert np.mean(bits({"w": jnp.full(2, -jnp.inf)})) > made.validation["mean"]
    assert np.isfinite(lines[-1]["train_loss"])
    assert made.params["w"].tolist() == [0, 0] and made.training["best_step"] == 0


def test_lbfgs_that_diverges_does_not_speak_of_a_learning_rate(split):
    """It has none."""
    model = build.model("ln", split.spec, lags=4, rank=None)

    def spoilt(params, clips):
        return jax.tree.map(
            lambda a: a * jnp.nan if a.dtype == jnp.float32 else a, params
        )

    with pytest.raises(Diverged) as told:
        fit(model._replace(warm_start=spoilt), split, key=KEY)
    assert "ln" in str(told.value)
    assert "learning_rate" not in str(told.value)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"learing_rate": 0.1}, "'learing_rate'.*did you mean 'learning_rate'"),
        ({"optimiser": "adma"}, "'adma'.*did you mean .*'adam'"),
        ({"batch": 0}, "batch 0"),
        ({"batch": 2.5}, "batch=2.5 of the fit: .*integer"),
        ({"clip_bins": 0}, "clip_bins 0"),
        ({"patience": 0}, "patience 0"),
        ({"max_steps": -1}, "max_steps -1"),
        ({"learning_rate": 0.0}, "learning_rate 0"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(*value),
)
def test_a_recipe_that_cannot_be_followed_is_refused(split, recipe, said):
    with pytest.raises(BadSetting, match=said):
        fit(_subunits(split), split, key=KEY, **recipe)


def test_no_seeds_are_refused(split):
    with pytest.raises(BadSetting, match="seeds 0"):
        fit(_subunits(split), split, key=KEY, seeds=0)


def _silenced(split: Split, *cells: int) -> Split:
    """No count of these cells in the scored bins of validation."""

    def silenced(clip):
        response = clip.response.copy()
        response[:, clip.skip :, list(cells)] = 0
        return dataclasses.replace(clip, response=response)

    return dataclasses.replace(split, validation=tuple(map(silenced, split.validation)))


def test_nothing_is_chosen_on_a_silent_validation(split):
    """Else the start would be handed back as a finished fit."""
    model = build.model("ln", split.spec, lags=4, rank=None)
    with pytest.raises(BadResponse, match='no cell has a spike.*"validation"'):
        fit(model, _silenced(split, 0, 1), key=KEY, max_steps=20)


def test_the_cells_that_speak_in_validation_choose(split):
    model = build.model("ln", split.spec, lags=4, rank=None)
    made = fit(model, _silenced(split, 1), key=KEY, max_steps=20)
    assert made.training["best_step"] > 0
    assert np.isnan(made.validation["per_cell"]).tolist() == [False, True]
    assert made.validation["median"] == made.validation["per_cell"][0]


def _told(split: Split, **recipe) -> list[dict]:
    lines: list[Any] = []
    settings: dict[str, Any] = ADAM | recipe
    fit(_subunits(split), split, key=KEY, progress=lines.append, **settings)
    return lines


def test_the_time_left_is_known_where_the_end_is(split):
    first, *rest = _told(split, schedule="constant")
    assert first["seconds_left"] is None and first["steps_per_s"] is None
    for line in rest:
        left = (160 - line["step"]) / line["steps_per_s"]
        assert line["seconds_left"] == pytest.approx(left)
    assert rest[-1]["seconds_left"] == 0


def test_a_plateau_says_when_it_will_end_at_its_last_rate_alone(split):
    lines = _told(split, patience=1, learning_rate=0.1, max_steps=4000)[1:]
    assert lines[-1]["step"] < 4000, "validation ended it"
    known = [line["seconds_left"] is not None for line in lines]
    # The last line is told after the last cut, when there is nothing left.
    assert known == [line["cuts"] >= 2 for line in lines]
    assert lines[-1]["seconds_left"] == 0
    assert 0 < lines[-2]["seconds_left"] * lines[-2]["steps_per_s"] < 41


def test_the_record_says_how_it_was_fitted(split):
    lines = []
    made = fit(
        _subunits(split), split, key=KEY, progress=lines.append, max_steps=80, batch=2
    )
    assert made.training["batch"] == 2 and made.training["optimiser"] == "adam"
    assert made.training["steps"] == made.curve[-1]["step"] == lines[-1]["step"] == 80
    assert made.training["key"] == [0, 0]
    np.testing.assert_allclose(made.null_rate, mean_counts(split.train))
    assert [line["step"] for line in lines] == [line["step"] for line in made.curve]
    assert all(line["max_steps"] == 80 for line in lines)


def test_the_progress_and_the_result_tell_the_same_median(tmp_path):
    """Over cells, of the best so far; also where the fit was interrupted after it."""
    split = synthetic.split(synthetic.truth(cells=3), train=400, held_out=300)
    place, lines = tmp_path / "checkpoint", []

    def stop(line):
        lines.append(line)
        if line["step"] >= 80:
            raise KeyboardInterrupt

    model = _subunits(split)
    with pytest.raises(KeyboardInterrupt):
        fit(model, split, key=KEY, seeds=2, progress=stop, checkpoint=place, **ADAM)
    begun = len(lines)
    made = fit(
        model,
        split,
        key=KEY,
        seeds=2,
        progress=lines.append,
        checkpoint=place,
        **ADAM,
    )
    assert len(lines) > begun
    assert lines[-1]["validation_median"] == made.validation["median"]
    assert lines[-1]["validation_bits"] == pytest.approx(made.validation["mean"])
    assert lines[-1]["validation_median"] != lines[-1]["validation_bits"]
