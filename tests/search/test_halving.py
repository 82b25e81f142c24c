"""Successive halving: who goes on, what is said of the others, nothing fitted twice."""

from __future__ import annotations

import json

import numpy as np
import pytest

from retina import store
from retina.errors import BadCard
from retina.search import experiment as experiments
from retina.search import grid, halving, rungs
from retina.search.experiment import Search
from retina.search.space import Range, draw
from retina.search.status import status
from retina.search.sweep import sweep

# Models of made-up worth: those whose weight is near 0 are the better.
TINY = """
[[families]]
model = "TINY"
set = { pixel = 9 }
[families.space]
weight = [-1.5, 0.0, 0.5, 2.0]
[search]
method = "halving"
steps = 4
factor = 2
"""


@pytest.mark.parametrize(
    ("count", "asked", "wanted"),
    [
        (9, {"steps": 10, "factor": 3}, [(10, 9), (30, 3)]),
        (10, {"steps": 10, "factor": 3, "finalists": 2}, [(10, 10), (30, 3)]),
        (2, {"steps": 10, "factor": 3}, [(10, 2)]),
        (1, {"steps": 10}, []),
        (0, {"steps": 10}, []),
    ],
)
def test_the_ladder(count, asked, wanted):
    assert halving.ladder(count, Search(method="halving", **asked)) == wanted


def test_what_is_drawn_lies_in_its_space():
    space = {
        "a": Range(low=0.0, high=2.0),
        "b": Range(low=1e-3, high=10.0, log=True),
        "c": [3, 4],
        "d": Range(low=1, high=5, step=2),
    }
    drawn = [draw(space, np.random.default_rng(seed)) for seed in range(200)]
    a, b = (np.array([one[name] for one in drawn]) for name in "ab")
    assert a.min() >= 0 and a.max() <= 2 and b.min() >= 1e-3 and b.max() <= 10
    # Even over 0 to 2, and over four decades: medians within 5 s.e. of 200 draws.
    assert abs(np.median(a) - 1) < 5 * 0.5 * 2 / np.sqrt(200)
    assert abs(np.median(np.log10(b)) + 1) < 5 * 0.5 * 4 / np.sqrt(200)
    assert {one["c"] for one in drawn} == {3, 4}
    assert {one["d"] for one in drawn} == {1, 3, 5}


def test_what_is_begun_is_drawn_by_the_key_and_more_trials_begin_more(asked):
    def begun(trials, key=0):
        text = TINY.replace(
            "-1.5, 0.0", f"{', '.join(f'{n}.25' for n in range(40))}, 0.0"
        )
        head = f"trials = {trials}\n"
        found = experiments.read(asked(text + head))
        found = found.model_copy(update={"key": key})
        return [job.label for job in halving.begun(found, "small")]

    assert len(begun(100)) == 43, "all of them"
    few, more = begun(5), begun(12)
    assert len(set(more)) == 12 and more[:5] == few
    assert begun(5, key=1) != few


def test_a_value_that_is_named_twice_is_begun_once(asked):
    found = experiments.read(asked(TINY.replace("0.5, 2.0", "0.0, 0.0") + "trials = 3"))
    assert len(halving.begun(found, "small")) == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('down = ["params"]', "halving has one objective: leave out down"),
        ("finalists = 0", "search.finalists: .*greater than or equal to 1"),
        ('method = "tpe"', 'factor is of method = "halving"'),
    ],
)
def test_a_mistake_gives_one_line(asked, more, words):
    text = TINY.replace('method = "halving"\n', "") if "method" in more else TINY
    with pytest.raises(BadCard, match=words) as told:
        grid.jobs(experiments.read(asked(text + more)))
    assert "\n" not in str(told.value)


def test_a_reduction_is_not_halved_and_a_wrong_keyword_is_told_at_once(asked, tmp_path):
    with pytest.raises(BadCard, match="did you mean 'weight'"):
        sweep(asked(TINY.replace("weight =", "wieght =")), tmp_path / "runs")
    text = TINY.replace('model = "TINY"', 'reduce = "prune"\nof = "ln"')
    with pytest.raises(BadCard, match="halving is of models"):
        sweep(asked(text), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_the_best_go_on_and_the_others_are_named(asked, tmp_path):
    folder, out, told = asked(TINY), tmp_path / "runs", []

    def impatient(event):
        told.append(event["state"])
        if told.count("reached") == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(folder, out, progress=impatient)
    assert not status(out).failed and status(out).going
    told.clear()
    swept = sweep(folder, out, progress=lambda event: told.append(event["state"]))
    assert swept.status == 0
    (point,) = swept.points
    assert dict(point.settings)["weight"] == 0.0
    (one,) = swept.searched
    assert [rung.steps for rung in one.rungs] == [4, 8]
    first, second = one.rungs
    kept = {tried.label for tried in first.tried if tried.kept}
    assert len(first.tried) == 4 and len(kept) == 2
    assert [tried.label for tried in second.tried if tried.kept] == [
        "tiny pixel=9 weight=0.0"
    ]
    bits = {one.label: one.bits for one in first.tried if one.bits is not None}
    assert min(bits[label] for label in kept) >= max(
        value for label, value in bits.items() if label not in kept
    )
    assert one.sentence == (
        "small: halving began 4 of 4 points: 4 to 4 steps, 2 to 8 steps, and to the "
        "end tiny pixel=9 weight=0.0; one that starts slowly may have been dropped"
    )
    assert (one.objectives, one.tried, one.failed) == (("validation_bits",), 4, 0)
    assert len(one.curve) == 4 and one.curve[-1] == 1.0
    assert told.count("reached") == 6 and told.count("fitting") < 6
    # Only what is fitted to its end is a run; no checkpoint is left.
    assert {path.name for path in out.iterdir()} == {point.run, "rungs"}
    assert len(list((out / "rungs").iterdir())) == 6
    again = sweep(folder, out)
    assert again.skipped == 1 and again.searched == swept.searched


@pytest.mark.slow
def test_one_that_fails_is_dropped_and_the_others_go_on(asked, tmp_path):
    text = TINY.replace("weight =", 'breaks = ["value", ""]\nweight =')
    text = text.replace("[-1.5, 0.0, 0.5, 2.0]", "[0.0, 0.5]")
    swept = sweep(asked(text), tmp_path / "runs")
    assert swept.status == 1 and len(swept.failures) == 2 and len(swept.points) == 1
    (one,) = swept.searched
    assert (one.tried, one.failed) == (2, 2)
    assert [tried.bits is None for tried in one.rungs[0].tried].count(True) == 2
    assert ", 2 failed" in one.sentence
    json.dumps([tried.bits for tried in one.rungs[0].tried], allow_nan=False)


def test_what_is_kept_of_another_card_or_half_written_is_not_read(asked, tmp_path):
    job = grid.jobs(experiments.read(asked('[[families]]\nmodel = "TINY"')))[0]
    place = rungs.file_of(job, tmp_path, 4)
    place.parent.mkdir()
    good = {"job": job.canonical(), "recording": "card", "step": 4, "bits": None}
    place.write_text(json.dumps(good))
    found = rungs.read(job, tmp_path, 4, "card")
    assert found is not None and found.step == 4 and np.isnan(found.bits)
    assert rungs.read(job, tmp_path, 4, "another") is None
    place.write_text(json.dumps(good)[:-5])
    assert rungs.read(job, tmp_path, 4, "card") is None


@pytest.mark.slow
def test_what_went_on_ends_as_if_it_had_never_stopped(asked, tmp_path):
    """Real steps, by clips: the last rung's fit, and the same fit in one go."""
    model = """
[[families]]
model = "lnln"
set = { lags = 3, size = 3, basis = 2 }
fit = { max_steps = 240, clip_bins = 64, batch = 4 }
"""
    text = "[families.space]\nsubunits = [1, 2]\n"
    text += '[search]\nmethod = "halving"\nsteps = 50\nfactor = 2\n'
    swept = sweep(asked(model + text), tmp_path / "runs")
    assert swept.status == 0, swept.failures
    (point,) = swept.points
    (rung,) = swept.searched[0].rungs
    assert all(50 <= tried.step < 240 for tried in rung.tried)
    assert [tried.run for tried in rung.tried if tried.kept] == [point.run]
    subunits = dict(point.settings)["subunits"]
    plain = model.replace("basis = 2", f"basis = 2, subunits = {subunits}")
    (whole,) = sweep(asked(plain), tmp_path / "whole").points
    assert whole.run == point.run, "the same job"
    one, other = (tmp_path / name / point.run for name in ("runs", "whole"))
    assert (one / "params.h5").read_bytes() == (other / "params.h5").read_bytes()
    curves = [store.load(place).curve for place in (one, other)]
    assert [row["step"] for row in curves[0]] == [row["step"] for row in curves[1]]
    assert [row["validation_bits"] for row in curves[0]] == [
        row["validation_bits"] for row in curves[1]
    ]
