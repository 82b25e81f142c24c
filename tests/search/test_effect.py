"""Mechanisms and their positive controls: what is run, and what may be said then."""

from __future__ import annotations

import json

import numpy as np
import pytest

from retina import store
from retina.data.load import load
from retina.data.split import split as divided
from retina.errors import BadCard, BrokenRun
from retina.metrics.compare import Difference
from retina.reports.result import result
from retina.search import experiment as experiments
from retina.search import grid, records
from retina.search.effect import Effect, as_rows
from retina.search.sweep import sweep
from tests.search.conftest import HEAD

WEIGHT = 0.5
ASKED = f"""
[[families]]
model = "TINY"
set = {{ weight = {WEIGHT} }}
[[families]]
model = "TINY"
set = {{ weight = 0.0 }}
against = "tiny weight={WEIGHT}"
mechanism = "removed"
control = true
"""


def difference(low: float, high: float) -> Difference:
    middle = (low + high) / 2
    return Difference("bits_per_spike", ("a", "b"), middle, (low, high), (), 0, 0, 0.01)


def effect(recording, control=None, p_holm=0.01) -> Effect:
    control = None if control is None else difference(*control)
    return Effect("d", "frozen", difference(*recording), p_holm, control)


@pytest.mark.parametrize(
    ("one", "verdict"),
    [
        (effect((0.1, 0.3), (0.1, 0.2)), "buys"),
        (effect((0.1, 0.3), (-0.1, 0.2)), "buys"),
        (effect((-0.3, -0.1), (0.1, 0.2)), "costs"),
        (effect((-0.02, 0.02), (0.1, 0.3)), "no effect, though 0.2 could have been"),
        (effect((-0.4, 0.4), (0.1, 0.3)), "untestable here"),
        (effect((-0.4, 0.4), (0.0005, 0.0015)), "untestable here"),
        (effect((-0.05, 0.25), (0.15, 0.25)), "cannot be told"),
        (effect((-0.1, 0.1), (-0.1, 0.2)), "untestable here"),
        (effect((-0.1, 0.1), (-0.3, -0.2)), "untestable here"),
        (effect((-0.1, 0.1)), "cannot be told"),
        (effect((0.1, 0.3), (0.1, 0.2), p_holm=0.08), "cannot be told"),
    ],
)
def test_what_may_be_said(one, verdict):
    assert one.verdict.startswith(verdict)
    (row,) = as_rows([one])
    assert json.loads(json.dumps(row, allow_nan=False))["verdict"] == one.verdict


def test_a_control_shows_what_the_mechanism_would_do(asked, tmp_path):
    out = tmp_path / "runs"
    folder = asked(ASKED)
    swept = sweep(folder, out)
    assert swept.status == 0 and len(swept.points) == len(swept.controls) == 2
    frozen = next(one for one in swept.effects if one.group == "frozen")
    assert frozen.recording.names == (f"tiny weight={WEIGHT}", "tiny weight=0.0")
    # What the sampled spikes must show: the counts are Poisson about r exp(w x), the
    # fits predict m exp(w x) and m, with m the sampled mean of training.
    made = divided(load("small"))
    test = next(clip for clip in made.test if clip.group == "frozen")
    x = test.stimulus[test.skip :, 0, 0].astype(float)
    train = [clip.stimulus[clip.skip :, 0, 0].astype(float) for clip in made.train]
    true, mean = np.exp(WEIGHT * x), np.exp(WEIGHT * np.concatenate(train)).mean()
    gained = (true * WEIGHT * x).sum() - (mean * (np.exp(WEIGHT * x) - 1)).sum()
    wanted = gained / true.sum() / np.log(2)
    assert frozen.control is not None and wanted > 0.05
    # About 300 spikes a cell leave 0.04 bits of noise; their median over 12 a third.
    assert frozen.control.median == pytest.approx(wanted, abs=0.05)
    # The pixel is in the corner, outside every receptive field.
    assert frozen.recording.median < 0
    assert frozen.verdict.startswith("no effect, though 0.")

    control = out / "controls" / swept.controls[0].run
    assert store.read(control)["spikes_of"] == swept.points[0].run
    with pytest.raises(BrokenRun, match="fitted to spikes of"):
        records.split_of(store.read(control))
    assert {point.run for point in records.points(out)} == {
        point.run for point in swept.points
    }
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = sweep(folder, out)
    assert again.skipped == 4 and as_rows(again.effects) == as_rows(swept.effects)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}

    # A run that cannot be read takes no other result with it.
    (out / swept.points[1].run / "params.h5").write_bytes(b"damaged")
    damaged = sweep(folder, out)
    assert damaged.skipped == 4 and len(damaged.points) == 2 and not damaged.effects
    (failure,) = damaged.failures
    assert failure.error.startswith("not compared with tiny weight=0.0: ")


def test_families_without_one_share_the_control_of_the_one_that_has_it(asked):
    without = ASKED.split("[[families]]")[2]
    more = without.replace("0.0", "0.1"), without.replace("0.0", "0.9")
    added = more[1].replace('"removed"', '"added"')
    folder = asked("[[families]]".join([ASKED, more[0], added]))
    read = experiments.read(folder)
    stated = [job.label for job in grid.jobs(read) if not job.spikes_of]
    assert stated == [f"tiny weight={w}" for w in (0.5, 0.0, 0.1, 0.9)]
    assert [job.label for job in grid.jobs(read) if job.spikes_of] == [
        "tiny weight=0.5 of spikes of tiny weight=0.5",
        "tiny weight=0.0 of spikes of tiny weight=0.5",
        "tiny weight=0.1 of spikes of tiny weight=0.5",
        "tiny weight=0.9 of spikes of tiny weight=0.9",
        "tiny weight=0.5 of spikes of tiny weight=0.9",
    ]


def test_without_a_control_the_two_are_compared_and_no_more_is_said(asked, tmp_path):
    families = ASKED.replace("control = true", "")
    swept = sweep(asked(families), tmp_path / "runs")
    assert not swept.controls and not (tmp_path / "runs" / "controls").exists()
    assert all(np.isnan(one.smallest) for one in swept.effects)
    assert {one.group for one in swept.effects} == {"frozen", "running"}


def test_what_must_not_be_shown_any_more_is_in_no_result(asked, tmp_path, recordings):
    """The runs stay; of a recording that the experiment names by its path."""
    card = tmp_path / "own" / "small.toml"
    card.parent.mkdir()
    text = (recordings / "datasets" / "small.toml").read_text()
    head = HEAD.replace('"small"', f'"{card}"')
    folder = asked(ASKED.replace("control = true", ""), head)
    for more, withheld in (("", []), ("publish = false\n", ["small"])):
        card.write_text(text.replace("lead = 30\n", f"lead = 30\n{more}"))
        swept = sweep(folder, tmp_path / "runs")
        told = {one.run: one.model for one in swept.points}
        effects = as_rows(swept.effects)
        made = result(swept.points, told, effects=effects, recordings=swept.recordings)
        assert made["withheld"] == withheld and len(effects) == 2
        assert len(made["points"]) == len(made["effects"]) == (0 if withheld else 2)
        kept = records.points(tmp_path / "runs")
        assert [one.score.publish for one in kept] == [not withheld] * 2
    assert swept.skipped == 2


def test_spikes_of_a_fit_that_failed_are_not_waited_for(asked, tmp_path):
    broken = ASKED.replace("weight = 0.5", 'weight = 0.5, breaks = "value"')
    broken = broken.replace('"tiny weight=0.5"', '"tiny weight=0.5 breaks=value"')
    swept = sweep(asked(broken), tmp_path / "runs")
    assert swept.status == 1 and not swept.effects and len(swept.points) == 1
    errors = [failure.error for failure in swept.failures]
    assert errors[0] == "ValueError: as asked"
    assert [error[:9] for error in errors[1:]] == ["not tried", "not tried"]


def test_a_dry_run_prices_the_controls_too(asked, tmp_path):
    estimates = sweep(asked(ASKED), tmp_path / "runs", dry_run=True).estimates
    assert [one.flops_per_bin for one in estimates] == [23] * 4
    assert not (tmp_path / "runs").exists()


def test_a_family_may_be_fitted_to_spikes_of_another(asked, tmp_path):
    """Then what is expected of it is held against the score on those spikes."""
    families = (
        ASKED.split("against")[0]
        + 'spikes_of = "tiny weight=0.5"\n[[expected]]\nrun = '
        + '"tiny weight=0.0 of spikes of tiny weight=0.5"\n'
        + 'what = "bits_per_spike"\nlow = 0.9\nhigh = 1.0'
    )
    swept = sweep(asked(families), tmp_path / "runs")
    assert len(swept.points) == len(swept.controls) == 1
    assert not swept.effects
    # It predicts the mean of the spikes it was fitted to.
    found = swept.controls[0].score.metrics["bits_per_spike"].median
    assert found == pytest.approx(0, abs=1e-6)
    (surprise,) = swept.surprises
    assert "of spikes of tiny weight=0.5: bits_per_spike is" in surprise


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('against = "tiny weight=0.5"', 'against = "tiny wieght=0.5"'), "did you"),
        (('against = "tiny weight=0.5"\nmechanism = "removed"', ""), "control needs"),
        (('against = "tiny weight=0.5"', ""), "control needs the family"),
        (('"removed"', '"gone"'), "mechanism"),
        (("control = true", 'spikes_of = "mean"'), "leave it out, or spikes_of"),
        (
            ("weight = 0.0", "weight = 0.5 }\nfit = { batch = 2"),
            "2 families are called",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(asked, change, says):
    text = ASKED.replace(*change)
    assert text != ASKED
    with pytest.raises(BadCard, match=says):
        grid.jobs(experiments.read(asked(text)))


STEPS = """
name = "steps"
title = "The simulated retina in steps, three minutes of training"
species = "simulated"
citation = "none"
licence = "Apache-2.0"
source = "retina.data.simulate"
reader = "simulated"
coding = "contrast"
frame_s = 0.03333333333333333
cell_count = 12
lead = 30

[options]
full_field = true
levels = [[0.7, 1.0], [0.35, 1.0], [0.5, 1.2], [0.5, 0.8]]
level_s = 4.0
train_blocks = 3
validation_blocks = 1
running_blocks = 1
frozen_s = 33.0
"""
REAL = """
[[families]]
model = "circuit"
set = { types = 2, amacrine = "None" }
fit = { warm_up_s = 1.5, max_steps = 400 }
[[families]]
model = "circuit"
set = { types = 2, amacrine = "None", release = "static" }
fit = { warm_up_s = 1.5, max_steps = 400 }
against = "circuit types=2 amacrine=none"
mechanism = "removed"
control = true
"""


@pytest.mark.slow
@pytest.mark.fast_code
def test_depletion_is_found_where_it_is_and_in_its_control(
    asked, tmp_path, monkeypatch
):
    """The vesicles of the simulated retina do run down, and its contrast steps."""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "steps.toml").write_text(STEPS)
    folder = asked(REAL, HEAD.replace('"small"', '"steps"'))
    monkeypatch.setenv("RETINA_PATH", str(tmp_path))
    swept = sweep(folder, tmp_path / "runs")
    assert swept.status == 0
    frozen = next(one for one in swept.effects if one.group == "frozen")
    assert frozen.verdict == "buys", as_rows([frozen])
    assert frozen.control is not None and frozen.control.ci95[0] > 0
