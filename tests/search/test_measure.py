"""A point: its price is that of what its accuracy took, and its cells are named."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from retina import build, store
from retina.costs.cost import RUNS, as_json, cost
from retina.data.caveats import SHIFTED
from retina.errors import BadSetting, MissingData
from retina.fitting.fit import fit
from retina.reports.markdown import markdown
from retina.reports.result import result
from retina.reports.table import table
from retina.search.frontier import frontier
from retina.search.measure import measure, told_bits_per_s
from tests.fitting import synthetic

X, Y = "flops_per_s", "bits_per_spike"


@pytest.fixture(scope="module")
def split():
    return synthetic.split(synthetic.truth(), train=300, held_out=200)


def point_of(split, name, **settings):
    model = build.model(name, split.spec, **settings)
    fitted = fit(model, split, key=jax.random.key(0), max_steps=10)
    return fitted, measure(fitted, split)


CHARGED = (
    "flops_per_bin",
    "total_ops_per_bin",
    "transcendentals_per_bin",
    "bytes_per_bin",
    "state_bytes",
    "flops_per_s",
    "flops_per_s_per_cell",
    "flops_per_s_alone",
    "flops_per_s_marginal",
    "flops_per_spike",
)


def test_every_sampled_run_is_charged_in_every_figure(split):
    """Whatever the axis: else a frontier would put it elsewhere per bin than per s."""
    fitted, point = point_of(split, "glm", lags=4, history=4, history_basis=3)
    once, found = cost(fitted.model, fitted.params, split, runs=1), point.cost
    half = dataclasses.replace(found, flops_per_bit=None)  # that takes both halves
    assert cost(fitted.model, fitted.params, split) == half
    assert point.score.history == "free_running"
    for name in CHARGED:
        assert getattr(found, name) == pytest.approx(RUNS * getattr(once, name)), name
    for name in ("params", "param_bytes", "fan_in", "depth", "rates_hz"):
        assert getattr(found, name) == getattr(once, name), name
    assert found.counts["bin"] == RUNS * once.counts["bin"]
    assert found.counts["setup"] == once.counts["setup"]
    for rows in (found.by_part, as_json(found)["by_primitive"]):
        assert sum(row["flops"] for row in rows.values()) == found.flops_per_bin
    assert found.flops_per_s == pytest.approx(
        found.flops_per_bin * found.rates_hz["bin"]
    )


def test_what_the_runs_cost_and_what_is_left_out_is_told(split):
    fitted, point = point_of(split, "glm", lags=4, history=4, history_basis=3)
    once = cost(fitted.model, fitted.params, split, runs=1)
    (note,) = (n for n in point.cost.notes if f"{RUNS} sampled runs" in n)
    assert f"one alone takes {once.flops_per_bin:,} FLOPs per bin" in note
    # Where the accuracy stands, too: the price is a hundred times that of a like model.
    words = f"of all {RUNS}; one alone takes {once.flops_per_bin:,} FLOPs"
    assert any(words in n for n in point.score.notes) and words in table([point])
    assert "not included: the search" in note
    # A draw per cell, bin and run; the step itself has none.
    drawn = point.cost.counts["bin"].by_part["sampled counts"]
    assert drawn.randoms == drawn.total_ops == RUNS * split.spec.cells
    assert point.cost.counts["bin"].randoms == drawn.randoms
    # No other note may speak of one run alone.
    assert not set(once.notes[:2]) & set(point.cost.notes)
    assert not any("sampled runs" in n for n in once.notes)


def test_a_fit_that_was_stopped_says_so(split):
    _, point = point_of(split, "ln", lags=4)
    assert any("not converged: stopped after" in note for note in point.score.notes)
    model = build.model("mean", split.spec)
    done = measure(fit(model, split, key=jax.random.key(0)), split)
    assert not any("not converged" in note for note in done.score.notes)


def test_a_fit_that_exploded_says_why(split):
    fitted, _ = point_of(split, "ln", lags=4)
    training = {
        **fitted.training,
        "converged": False,
        "stopped": "the loss became nan",
    }
    point = measure(dataclasses.replace(fitted, training=training), split)
    assert "not converged: the loss became nan" in point.score.notes


def test_points_of_other_cells_are_not_compared(split):
    _, point = point_of(split, "mean")
    assert point.score.cell_names == tuple(cell.name for cell in split.cells)
    swapped = dataclasses.replace(
        point, score=dataclasses.replace(point.score, cell_names=("b", "a"))
    )
    with pytest.raises(BadSetting, match="cell_names"):
        frontier([point, swapped], "flops_per_s")


def test_without_validation_nothing_says_when_to_stop(split):
    with pytest.raises(MissingData, match="no validation block"):
        point_of(dataclasses.replace(split, validation=()), "mean")


def test_a_bit_costs_what_a_second_costs_over_the_bits_of_a_second(split):
    """Each cell's bits per spike times its own rate; a silent cell is told nothing."""
    _, point = point_of(split, "ln", lags=4)
    score = point.score
    clips = [c for c in split.test if (c.group or c.name) == score.group]
    counts = [c.response[:, c.skip :].sum((0, 1), dtype="float64") for c in clips]
    spikes = np.sum(counts, axis=0)
    seconds = sum(c.bins * len(c.response) for c in clips) * split.spec.bin_s
    each = score.metrics["bits_per_spike"].per_cell
    wanted = sum(b * n for b, n in zip(each, spikes, strict=True)) / seconds
    assert wanted > 0, "ten steps tell something"
    assert told_bits_per_s(score, split) == pytest.approx(wanted)
    assert point.cost.flops_per_bit == pytest.approx(point.cost.flops_per_s / wanted)
    assert frontier([point], "flops_per_bit", "bits_per_spike").on == (True,)

    def told(*bits):
        metric = dataclasses.replace(score.metrics["bits_per_spike"], per_cell=bits)
        return told_bits_per_s(
            dataclasses.replace(score, metrics={"bits_per_spike": metric}), split
        )

    some = (float("nan"), *(1.0 for _ in each[1:]))
    assert told(*some) == pytest.approx(spikes[1:].sum() / seconds)
    assert told(*(-1.0 for _ in each)) is None
    assert told(*(1e-9 for _ in each)) is None, "a rounding has no price"
    assert told_bits_per_s(dataclasses.replace(score, metrics={}), split) is None


def test_what_was_done_to_a_recording_stays_with_its_figures(
    split, tmp_path, monkeypatch
):
    """Not the card's own words: those are in the run, and told when it is fitted."""
    trap = "Trial 3 is odd."
    cold = "the model looks back 29 bins, but only 14 lead into a block"
    said = ("prepared: means of 2 x 2 pixels", "lab is not verified: look at it", cold)
    split = dataclasses.replace(split, notes=(trap, *said))
    late = f"{SHIFTED}test 'frozen'"
    monkeypatch.setattr("retina.fitting.checks.shifted", lambda split: [late])
    said = (*said, late)
    fitted, point = point_of(split, "ln", lags=4)
    assert point.score.notes[-4:] == said and trap not in point.score.notes
    store.save(fitted, tmp_path / "run")
    assert store.read(tmp_path / "run")["training"]["notes"] == (trap, *said)
    shown = table(point.score), table([point]), markdown(result([point], {}), Y, X)
    assert all(note in text for text in shown for note in said)
