"""Jobs that begin with another's fit: reductions of it, and its smaller neighbours."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import jax
import numpy as np
import pytest

from retina import resources, store
from retina.data.load import load
from retina.data.split import split
from retina.errors import BadCard, BadSetting, BrokenRun
from retina.reduction.neighbour import shrunk
from retina.reduction.steps import reduce
from retina.reduction.taps import taps
from retina.search import experiment as experiments
from retina.search import grid
from retina.search.job import Job
from retina.search.learning import learning
from retina.search.sweep import _own, sweep
from tests.search import flat

LN = """
[[families]]
model = "ln"
set = { lags = 6, basis = 4, rank = 2, window = 3 }
fit = { max_steps = 4 }
"""
REDUCED = (
    LN
    + """
[[families]]
reduce = "taps"
of = "ln lags=6 basis=4 rank=2 window=3"
fit = { refit_steps = 2 }
[families.space]
keep = { low = 0.5, high = 0.8, step = 0.3 }
[[families]]
reduce = "quantise"
of = "taps keep=0.5 of ln lags=6 basis=4 rank=2 window=3"
grid = { kind = ["int8"] }
fit = { refit_steps = 0 }
"""
)
SMALLER = """
[[families]]
model = "ln"
set = { window = 3 }
grid = { rank = [1, 2], lags = [3, 6, 4] }
from_bigger = "lags"
fit = { max_steps = 0 }
"""


def jobs(folder):
    return grid.jobs(experiments.read(folder))


def test_a_reduction_is_a_job_whose_name_holds_its_parents(asked):
    parent, half, most, rounded = found = jobs(asked(REDUCED))
    assert half.label == f"taps keep=0.5 of {parent.label}"
    assert rounded.label == f"quantise kind=int8 of {half.label}"
    assert (half.parent, rounded.parent) == (parent.name, half.name)
    assert [job.needs for job in found] == ["", *[parent.name] * 2, half.name]
    assert half.name.startswith("ln-taps-") and half.name != most.name
    assert (half.settings, half.fit) == ({"keep": 0.5}, {"refit_steps": 2})
    others = jobs(asked(REDUCED.replace("max_steps = 4", "max_steps = 5")))
    assert not {job.name for job in others} & {job.name for job in found}


def test_what_is_said_of_a_reduction_has_the_name_of_its_points():
    """Else what must not be published of it would stay in the result."""
    plain = Job("ln", "small", "ln", {}, {}, ())
    cut = Job("taps", "small", "ln", {}, {}, (), "1,2", parent="a", method="taps")
    names = {plain.name: "small", cut.name: "small:1,2"}
    assert _own([cut], names) == {"small": "small:1,2", "small:1,2": "small:1,2"}
    for both in ([plain, cut], [cut, plain]):
        assert _own(both, names) == {"small": "small", "small:1,2": "small:1,2"}


def test_the_smaller_begin_with_the_next_larger(asked):
    found = jobs(asked(SMALLER))
    named = {job.name: job.label for job in found}
    row = {
        "lags=3 from lags=4": "lags=4 from lags=6",
        "lags=6": None,
        "lags=4 from lags=6": "lags=6",
    }
    assert {job.label: named.get(job.parent) for job in found} == {
        f"{model} {smaller}": bigger and f"{model} {bigger}"
        for model in ("ln window=3 rank=1", "ln window=3 rank=2")
        for smaller, bigger in row.items()
    }


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"taps"', '"tabs"', "did you mean 'taps'"),
        ("keep =", "kep =", "reduction 'taps' has no keyword 'kep'.*'keep'"),
        ("kind =", "keep =", "reduction 'quantise' has no keyword 'keep'"),
        ('["int8"]', "[8]", "kind=8 of quantise"),
        ("refit_steps = 2", "max_steps = 2", "the refit has no setting 'max_steps'"),
        ("refit_steps = 2", "refit_steps = 0.5", "refit_steps 0.5: a whole number"),
        ("{ kind", "{ batch = [8], kind", "batch is of the refit: put it under"),
        ('of = "ln', 'of = "lnn', "of = 'lnn lags=6.*neither.*did you mean 'ln lags=6"),
        ('of = "taps', '# "', "reduce and of go together"),
        ('reduce = "taps"', 'reduce = "taps"\nmodel = "ln"', "and not both"),
        ('reduce = "taps"', 'reduce = "taps"\nseeds = 2', "no seeds"),
        ('reduce = "taps"', "", "state a model, or what to reduce"),
    ],
)
def test_a_mistake_in_a_reduction_gives_one_line(asked, old, new, words):
    assert old in REDUCED
    text = REDUCED.replace(old, new, 1)
    with pytest.raises(BadCard, match=words) as told:
        jobs(asked(text))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            'bigger = "lags"',
            'bigger = "lag"',
            "no keyword of the grid: did you.*'lags'",
        ),
        ("[3, 6, 4]", '["None", 6]', "sizes are whole numbers.*'None'"),
        ("max_steps = 0 }", 'max_steps = 0 }\nspikes_of = "ln"', "from_bigger: no"),
        ("grid = {", "space = {", "needs every point of a row"),
    ],
)
def test_a_mistake_in_a_row_of_sizes_gives_one_line(asked, old, new, words):
    text = SMALLER.replace(old, new)
    if "space" in new:
        text += '[search]\nmethod = "random"\n'
    with pytest.raises(BadCard, match=words) as told:
        jobs(asked(text))
    assert "\n" not in str(told.value)


@pytest.fixture(scope="module")
def small(recordings):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RETINA_PATH", str(recordings))
        patched.setenv("RETINA_CACHE", str(recordings / "cache"))
        return split(load("small"))


QUICK = """
[[families]]
model = "TINY"
set = { weight = 0.1 }
[[families]]
reduce = "FLAT"
of = "tiny weight=0.1"
grid = { share = [0.5, 1.0] }
fit = { refit_steps = 0 }
"""


def test_a_reduction_of_ones_own_is_skipped_when_done(asked, tmp_path):
    file = tmp_path / "flat.py"
    file.write_text(Path(flat.__file__).read_text())
    folder, out = asked(QUICK.replace("FLAT", str(file))), tmp_path / "runs"
    swept = sweep(folder, out)
    assert swept.status == 0, swept.failures
    assert [point.model for point in swept.points[1:]] == ["mean", "mean"]
    assert swept.points[1].run.startswith("tiny-flat-")
    fits = [store.load(out / point.run) for point in swept.points]
    one, two = (fit.params["rate"] for fit in fits[1:])
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)  # by way of its logarithm
    assert [fit.parent for fit in fits[1:]] == [str(out / swept.points[0].run)] * 2
    assert fits[1].training["lineage"][0]["of"] == swept.points[0].model
    assert sweep(folder, out).skipped == 3 and not list(out.glob(".*"))
    # Another file of the same name is another job, as that of a model would be.
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert digest in jobs(folder)[1].canonical()


def test_a_fit_of_an_earlier_card_is_not_reduced(asked, tmp_path, monkeypatch):
    """Its training clips may be tested on now."""
    pytest.importorskip("optuna")
    text = QUICK.replace("FLAT", flat.__file__).replace("grid = {", "space = {")
    folder = asked(text + '[search]\nmethod = "random"\ntrials = 1\n')
    out = tmp_path / "runs"
    first = sweep(folder, out)
    assert first.status == 0 and len(first.points) == 2
    place = resources.path("datasets", "small")
    edited = tmp_path / "datasets" / "small.toml"
    edited.parent.mkdir()
    edited.write_text(place.read_text().replace("train_blocks = 2", "train_blocks = 1"))
    monkeypatch.setenv("RETINA_PATH", str(tmp_path))
    # The parent cannot be fitted any more, but its run of the earlier card is there.
    monkeypatch.setattr("retina.search.work.fitted", broken)
    swept = sweep(folder, out)
    assert (out / first.points[0].run / "record.json").is_file()
    assert not swept.points
    assert [one.error for one in swept.failures] == ["ValueError: as asked"]


def broken(*given, **named):
    raise ValueError("as asked")


@pytest.mark.slow
def test_reductions_are_runs_beside_their_parent(asked, tmp_path, small):
    folder, out = asked(REDUCED), tmp_path / "runs"
    swept = sweep(folder, out)
    assert swept.status == 0 and len(swept.points) == 4
    parent, half, most, rounded = swept.points
    assert half.cost.flops_per_bin < most.cost.flops_per_bin < parent.cost.flops_per_bin
    assert rounded.model == "quantised"
    fit = store.load(out / half.run)
    assert fit.parent == str(out / parent.run)
    (step,) = fit.training["lineage"]
    assert (step["method"], dict(step["settings"])) == ("taps", {"keep": 0.5})
    # What the verb makes of the same fit.
    with_steps = {"keep": 0.5, "refit_steps": 2}
    by_hand = reduce(
        "taps", store.load(out / parent.run), small, key=jax.random.key(0), **with_steps
    )
    for one, other in zip(
        jax.tree.leaves(fit.params), jax.tree.leaves(by_hand.params), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    (one,) = swept.searched
    assert one.sentence == "small: all 2 points of the space were tried"
    again = sweep(folder, out)
    assert again.skipped == 4 and not list(out.glob(".*"))
    estimates = sweep(folder, tmp_path / "new", dry_run=True).estimates
    assert [e.flops_per_bin is None for e in estimates] == [False, True, True, True]
    assert not any(e.error for e in estimates)

    # A run that is there is reduced as well, wherever it lies.
    text = REDUCED.replace(LN, "").split("[[families]]")[1]
    text = "[[families]]" + text.replace("ln lags=6 basis=4 rank=2 window=3", "%s")
    of_run = asked(text % (out / parent.run))
    estimates = sweep(of_run, tmp_path / "other", dry_run=True).estimates
    swept = sweep(of_run, tmp_path / "other")
    assert [p.cost.flops_per_bin for p in swept.points] == [
        half.cost.flops_per_bin,
        most.cost.flops_per_bin,
    ]
    assert [e.flops_per_bin for e in estimates] == [
        p.cost.flops_per_bin for p in swept.points
    ]
    assert [e.flops for e in estimates] == [
        learning(store.load(out / run.run).model, small, 2).total
        for run in (half, most)
    ]
    record = tmp_path / "runs" / parent.run / "record.json"
    record.write_text(record.read_text().replace('"recording": "', '"recording": "0'))
    with pytest.raises(BrokenRun, match="has changed since"):
        sweep(of_run, tmp_path / "other")


def test_what_begins_with_a_fit_that_failed_is_not_tried(asked, tmp_path):
    folder = asked(REDUCED.replace("max_steps = 4", "max_steps = -1"))
    swept = sweep(folder, tmp_path / "runs")
    assert swept.status == 1 and not swept.points
    assert [f.error for f in swept.failures[1:]] == [
        "not tried, as the fit that it begins with failed"
    ] * 3


@pytest.mark.slow
def test_a_smaller_model_begins_where_the_bigger_one_was_cut(asked, tmp_path, small):
    """Without a step of its own, its parameters are those of the cut."""
    text = SMALLER.replace("[1, 2]", "[2]").replace("[3, 6, 4]", "[3, 6]")
    swept = sweep(asked(text), tmp_path / "runs")
    assert swept.status == 0
    shorter, longer = (store.load(tmp_path / "runs" / p.run) for p in swept.points)
    assert shorter.parent == str(tmp_path / "runs" / swept.points[1].run)
    started = shorter.training["started"]
    assert (started["method"], dict(started["settings"])) == ("taps", {"keep": 0.5})
    assert started["validation"]["before"] == longer.validation["mean"]
    assert started["validation"]["cut"] == shorter.curve[0]["validation_bits"]
    _, cut = taps(longer, small, jax.random.key(3), keep=0.5)
    for one, other in zip(
        jax.tree.leaves(shorter.params), jax.tree.leaves(cut), strict=True
    ):
        # There and back through the unbounded parameters that an optimiser moves.
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_what_cannot_be_cut_to_size_is_refused(small):
    from retina import build
    from tests.reduction.parents import drawn

    bigger = drawn("lnln", small, lags=6, subunits=4, size=3)
    key = jax.random.key(0)

    def smaller(**changes):
        return build.model("lnln", small.spec, **{**bigger.model.settings, **changes})

    bigger = dataclasses.replace(
        bigger, model=bigger.model._replace(settings=dict(bigger.model.settings))
    )
    params, about = shrunk(bigger, smaller(subunits=3), small, key)
    assert about == {"method": "channels", "settings": {"keep": 0.75}}
    wanted = jax.eval_shape(smaller(subunits=3).stage.init, key)
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, wanted)
    for changes, words in (
        ({"subunits": 3, "lags": 3}, "differ in lags, subunits"),
        ({"size": 1}, "differ in size, and it must be one of channels"),
        ({}, "more than their size"),
    ):
        with pytest.raises(BadSetting, match=words):
            shrunk(bigger, smaller(**changes), small, key)


STARTED = (
    LN
    + """
[[families]]
model = "ln"
set = { lags = 6, basis = 4, rank = 2, window = 3 }
start = "ln lags=6 basis=4 rank=2 window=3"
fit = { max_steps = 3 }
[[families]]
model = "glm"
set = { lags = 6, basis = 4, window = 3, history = 4, history_basis = 3 }
start = "ln lags=6 basis=4 rank=2 window=3"
fit = { max_steps = 0 }
against = "ln lags=6 basis=4 rank=2 window=3 from ln lags=6 basis=4 rank=2 window=3"
"""
)


def test_a_start_is_a_job_whose_name_holds_its_parent(asked):
    parent, control, larger = found = jobs(asked(STARTED))
    assert control.label == f"{parent.label} from {parent.label}"
    assert larger.label.endswith(f"history_basis=3 from {parent.label}")
    assert [job.parent for job in found] == ["", parent.name, parent.name]
    assert [job.needs for job in found] == ["", parent.name, parent.name]
    # A start is no cut, though both hold the same parent.
    assert dataclasses.replace(larger, start=False).name != larger.name
    (pair,) = grid.pairs(experiments.read(asked(STARTED)))
    assert (pair.has, pair.lacks) == (larger, control)
    others = jobs(asked(STARTED.replace("max_steps = 4", "max_steps = 5")))
    assert not {job.name for job in others} & {job.name for job in found}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('start = "ln ', 'start = "lnn ', "start = 'lnn lags=6.*neither.*did you mean"),
        ("max_steps = 0 }", "max_steps = 0 }\ncontrol = true", "start: .*no spikes_of"),
        (
            "max_steps = 0 }",
            'max_steps = 0 }\nfrom_bigger = "lags"',
            "start: no reduce",
        ),
    ],
)
def test_a_mistake_in_a_start_gives_one_line(asked, old, new, words):
    assert old in STARTED
    with pytest.raises(BadCard, match=words) as told:
        jobs(asked(STARTED.replace(old, new)))
    assert "\n" not in str(told.value)


@pytest.mark.slow
def test_what_starts_from_a_run_is_a_run_that_says_so(asked, tmp_path):
    out = tmp_path / "runs"
    swept = sweep(asked(STARTED), out)
    assert swept.status == 0, swept.failures
    parent, control, larger = (store.load(out / point.run) for point in swept.points)
    began = larger.training["started"]
    assert began["own"] == ("history_output.history",)
    assert began["validation"]["before"] == parent.validation["mean"]
    # Without a step of its own, and a history of nothing, it is its parent.
    assert larger.validation["mean"] == pytest.approx(
        parent.validation["mean"], abs=1e-5
    )
    assert control.validation["mean"] >= parent.validation["mean"] - 1e-5
    assert larger.parent == control.parent == str(out / swept.points[0].run)
    assert sweep(asked(STARTED), out).skipped == 3

    # From a run that is there, wherever it lies.
    text = STARTED.replace(LN, "").rpartition("[[families]]")[2]
    text = text.replace(
        "ln lags=6 basis=4 rank=2 window=3", str(out / larger.parent), 1
    )
    text = "[[families]]" + text.rpartition("against")[0]
    (point,) = sweep(asked(text), tmp_path / "other").points
    again = store.load(tmp_path / "other" / point.run)
    assert again.validation == larger.validation
