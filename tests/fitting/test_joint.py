"""A core shared by recordings: fitted jointly, kept as it is, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

import retina
from retina import build, registry, store
from retina.data.leak import refuse_across
from retina.errors import BadSetting, BrokenRun, Leak, ShapeMismatch
from retina.fitting.fit import fit
from retina.fitting.joint import fit_jointly
from retina.fitting.loss import validator
from retina.types import Fit, Spec, Split
from tests.fitting import synthetic

KEY = jax.random.key(0)
FRAME = (5, 5)
MODEL: dict[str, Any] = {
    "lags": 5,
    "basis": 4,
    "subunits": 2,
    "size": 3,
    "nonlinearity": "elu",
}
QUICK: dict[str, Any] = {"max_steps": 480, "clip_bins": 32, "batch": 4}


def _recording(seed: int, pixels: tuple[tuple[int, int], ...], train: int) -> Split:
    """Cells that hear one pixel each, with a time course common to all recordings."""
    course = synthetic.truth((), 1, 1.0).kernel
    kernel = np.zeros((len(course), len(pixels), *FRAME))
    for cell, (row, column) in enumerate(pixels):
        kernel[:, cell, row, column] = course[:, 0]
    true = synthetic.Truth(kernel, np.full(len(pixels), np.log(0.5)))
    fitted, chosen, tested = (
        synthetic.clip(true, bins, 100 * seed + n)
        for n, bins in enumerate((train, 300, 2000))
    )
    spec = Spec(FRAME, len(pixels), synthetic.BIN_S, dataset=f"recording {seed}")
    return Split(spec, (fitted,), (chosen,), (tested,))


@pytest.fixture(scope="module")
def splits() -> tuple[Split, ...]:
    """Of 200 bins each, some 150 events a cell."""
    return (
        _recording(1, ((1, 1), (2, 3)), 200),
        _recording(2, ((2, 2), (3, 1), (1, 3)), 200),
        _recording(3, ((2, 1), (1, 2)), 200),
    )


@pytest.fixture(scope="module")
def joint(splits) -> tuple[Fit, ...]:
    return fit_jointly(splits[:2], "lnln", key=KEY, **MODEL, **QUICK)


def _bits(fitted: Fit, split: Split) -> np.ndarray:
    return validator(fitted.model, split.test, fitted.null_rate)(fitted.params)


def _same(one, other) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


def _core(fitted: Fit):
    return {name: fitted.params[name] for name in fitted.model.core}


@pytest.mark.slow
def test_jointly_beats_each_alone_on_little_data(splits, joint):
    model = [build.model("lnln", split.spec, **MODEL) for split in splits]
    alone = [fit(model[n], splits[n], key=KEY, **QUICK) for n in range(2)]
    gain = [_bits(joint[n], splits[n]) - _bits(alone[n], splits[n]) for n in range(2)]
    assert np.concatenate(gain).mean() > 0.03
    assert all(each.mean() > 0 for each in gain)


def test_the_cores_are_one_and_the_fits_are_fits(splits, joint, tmp_path):
    assert _same(_core(joint[0]), _core(joint[1]))
    for fitted, split in zip(joint, splits, strict=False):
        store.save(fitted, tmp_path / split.spec.dataset)
        back = store.load(tmp_path / split.spec.dataset)
        assert _same(back.params, fitted.params)
        assert list(fitted.params) == list(fitted.model.stage.parameters)
        cost = retina.cost(fitted.model, fitted.params, split)
        assert cost.flops_per_bin > 0
        assert retina.score(fitted, split.test).cells == split.spec.cells
        assert fitted.training["jointly"] == ["recording 1", "recording 2"]
        per_cell = validator(fitted.model, split.validation, fitted.null_rate)
        assert fitted.validation["per_cell"] == per_cell(fitted.params).tolist()


def test_a_third_recording_fits_its_readout_to_a_frozen_core(splits, joint):
    model = build.model("lnln", splits[2].spec, **MODEL)
    added = fit(model, splits[2], key=KEY, core=joint[0], **QUICK)
    assert _same(_core(added), _core(joint[0]))
    assert added.training["frozen"] == list(model.core)
    assert added.model is model, "what is stored is the model itself"
    assert np.all(_bits(added, splits[2]) > 0.06)
    dense = fit(model, splits[2], key=KEY, core=joint[0], max_steps=0)
    assert not _same(dense.params["dense"], added.params["dense"])


def test_a_checkpoint_with_another_core_is_refused(splits, joint, tmp_path):
    model = build.model("lnln", splits[2].spec, **MODEL)
    place = tmp_path / "checkpoint"

    def run(core: Fit) -> None:
        fit(model, splits[2], key=KEY, core=core, checkpoint=place, max_steps=40)

    run(joint[0])
    moved = jax.tree.map(lambda leaf: leaf + 1, joint[0].params["conv2d"])
    other = dataclasses.replace(joint[0], params={**joint[0].params, "conv2d": moved})
    with pytest.raises(BrokenRun, match="model .* there, .* here"):
        run(other)


def test_an_interrupted_joint_fit_ends_at_the_same_bits(splits, tmp_path):
    class Stop(Exception):
        pass

    def stop(line):
        if line["step"]:
            raise Stop

    short: dict[str, Any] = MODEL | QUICK | {"max_steps": 80}
    whole = fit_jointly(splits[:2], "lnln", key=KEY, **short)
    place = tmp_path / "checkpoint"
    with pytest.raises(Stop):
        fit_jointly(
            splits[:2], "lnln", key=KEY, progress=stop, checkpoint=place, **short
        )
    again = fit_jointly(splits[:2], "lnln", key=KEY, checkpoint=place, **short)
    assert all(
        _same(a.params, b.params) and a.validation == b.validation
        for a, b in zip(whole, again, strict=True)
    )
    assert again[0].training["steps"] == 80


def test_statistics_of_a_core_are_shared_and_then_kept():
    """Batch norms: one mean and variance for both recordings, none moves afterwards."""
    small: dict[str, Any] = {
        "lags": 5,
        "channels": 2,
        "sizes": (3, 3),
        "max_steps": 40,
        "batch": 8,
    }
    splits = _recording(1, ((1, 1),), 1500), _recording(2, ((2, 3), (3, 1)), 1500)
    both = fit_jointly(splits, "bn_cnn", key=KEY, **small)
    assert _same(_core(both[0]), _core(both[1]))
    assert both[0].params["batch_norm"]["batches"] > 40
    model = build.model("bn_cnn", splits[1].spec, lags=5, channels=2, sizes=(3, 3))
    start = model.stage.init(KEY)["batch_norm"]
    for name in ("mean", "variance"):
        assert not np.any(both[0].params["batch_norm"][name] == start[name])
    added = fit(model, splits[1], key=KEY, core=both[0], max_steps=40, batch=8)
    assert _same(_core(added), _core(both[0]))
    assert not _same(added.params["dense"], both[1].params["dense"])


def test_another_core_is_refused_in_one_line(splits, joint):
    """Frames, clock, settings, and models that have no core."""
    spec, other = splits[2].spec, joint[0]

    def refused(error, match: str, name: str, spec: Spec, **settings) -> None:
        model = build.model(name, spec, **settings)
        split = Split(spec, (), (), ())
        with pytest.raises(error, match=match) as raised:
            fit(model, split, key=KEY, core=other)
        assert "\n" not in str(raised.value)

    wide = Spec((5, 6), 3, synthetic.BIN_S)
    refused(ShapeMismatch, r"\(5, 5\).*\(5, 6\)", "lnln", wide, **MODEL)
    slow = Spec(FRAME, 3, 2 * synthetic.BIN_S)
    refused(BadSetting, "0.05 s.*0.1 s", "lnln", slow, **MODEL)
    many = MODEL | {"subunits": 3}
    refused(BadSetting, r"conv2d \(5, 5, 1\) 2 3.* 3 3 ", "lnln", spec, **many)
    bent = MODEL | {"nonlinearity": "relu"}
    refused(BadSetting, "has elu, .* has relu", "lnln", spec, **bent)
    refused(BadSetting, "ln: none of its parts can be shared", "ln", spec)
    with pytest.raises(ShapeMismatch, match=r"\(5, 5\)"):
        odd = synthetic.split(synthetic.truth((4, 5)), train=100, held_out=50)
        fit_jointly((splits[0], odd), "lnln", key=KEY, **MODEL)
    with pytest.raises(BadSetting, match="none of its parts"):
        fit_jointly(splits[:2], "ln", key=KEY)
    with pytest.raises(BadSetting, match="lbfgs"):
        fit_jointly(splits[:2], "lnln", key=KEY, optimiser="lbfgs")


def test_test_stimulus_in_another_recordings_training_is_refused(splits):
    """Each alone is sound; the core would be fitted to what it is tested on."""
    one, other = splits[:2]
    shown = dataclasses.replace(
        other.train[0], stimulus=one.test[0].stimulus[100:300].copy()
    )
    leaks = dataclasses.replace(other, train=(shown,))
    match = "test of recording 1, training .* of recording 2: bins 104-299"
    for both in ((one, leaks), (leaks, one)):
        with pytest.raises(Leak, match=match):
            fit_jointly(both, "lnln", key=KEY, **MODEL)
    # That both were tested on the same movie is no leak.
    tested = dataclasses.replace(other.test[0], stimulus=one.test[0].stimulus)
    same = dataclasses.replace(other, test=(tested,))
    refuse_across((one, same))


WITH_A_CORE = (
    "bn_cnn cnn cnn_history conv_gru core_readout event_driven lnln merged "
    "photoreceptor_cnn recursive_cnn recursive_subunits separated subunit_ribbon"
).split()
LIGHT = 1e4  # R*/photoreceptor/s, for photoreceptors


def test_which_models_have_a_core():
    names = registry.names("models")
    spec = Spec((20, 20), 2, 0.01, mean_rstar_per_s=LIGHT)
    assert [n for n in names if build.model(n, spec).core] == WITH_A_CORE


@pytest.mark.parametrize("name", WITH_A_CORE)
@pytest.mark.parametrize("frame", [(), (20, 20)])
def test_a_core_has_nothing_to_do_with_the_cells(name: str, frame):
    """Its shapes are the same for other cells; those of what follows it are not."""
    models = [
        build.model(name, Spec(frame, cells, 0.01, mean_rstar_per_s=LIGHT))
        for cells in (2, 5)
    ]
    shapes = [jax.eval_shape(m.stage.init, KEY) for m in models]
    core = models[0].core
    assert core == tuple(models[0].stage.parameters)[: len(core)] == models[1].core
    assert [shapes[0][part] for part in core] == [shapes[1][part] for part in core]
    assert jax.tree.leaves([shapes[0][part] for part in core])
    rest = [part for part in shapes[0] if part not in core and shapes[0][part]]
    assert rest
    assert all(shapes[0][part] != shapes[1][part] for part in rest)
