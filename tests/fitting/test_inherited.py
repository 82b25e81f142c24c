"""A fit that starts from another: what is taken over, where it begins, and refusals."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from retina import build
from retina.errors import BadSetting, BrokenRun
from retina.fitting.fit import fit
from retina.fitting.inherited import inherited, sentence
from retina.types import Fit, Split
from tests.fitting import synthetic

KEY = jax.random.key(0)
LN = {"lags": 4, "rank": 1}
GLM = LN | {"history": 4, "history_basis": 3}


@pytest.fixture(scope="module")
def split() -> Split:
    return synthetic.split(synthetic.truth(), train=500, held_out=300)


@pytest.fixture(scope="module")
def ln(split) -> Fit:
    return fit(build.model("ln", split.spec, **LN), split, key=KEY, max_steps=40)


def test_a_glm_begins_at_the_bits_of_its_ln(split, ln):
    """Its history begins at nothing, so it is the LN model: float32 apart, there and
    back through the unbounded parameters."""
    # The fit has moved from the averages of the spikes, where a glm begins by itself.
    assert ln.curve[0]["validation_bits"] < ln.validation["mean"] - 0.01
    model = build.model("glm", split.spec, **GLM)
    here = fit(model, split, key=KEY, start=ln, max_steps=0)
    began = here.training["started"]
    assert began["own"] == ("history_output.history",) and not began["left"]
    assert began["validation"]["before"] == ln.validation["mean"]
    assert began["validation"]["start"] == here.curve[0]["validation_bits"]
    assert here.validation["per_cell"] == pytest.approx(
        ln.validation["per_cell"], abs=1e-5
    )


def test_a_nim_begins_at_the_rates_of_an_ln(split, ln):
    """Two halves of its filter, added and subtracted; no two subunits are alike."""
    model = build.model("nim", split.spec, lags=4, excitatory=3, suppressive=2)
    started, told = inherited(model, ln, split)
    assert sentence(told) == "takes all parameters" and not told["left"]
    assert started.warm_start is not None
    params = started.warm_start(model.stage.init(KEY), split.train)
    filters = np.asarray(params["spatial"]["filters"]).reshape(len(split.cells), -1)
    assert len(np.unique(filters[0])) == filters.shape[1]
    stimulus = split.validation[0].stimulus[:50]
    rates = [
        jax.jit(one.stage.apply)(had, one.stage.start(had), stimulus)[1]
        for one, had in ((model, params), (ln.model, ln.params))
    ]
    np.testing.assert_allclose(*rates, rtol=1e-5)


def whole_of(model, other, params):
    assert model.contains is not None
    return model.contains(other, params) is not None


def test_a_nim_that_cannot_be_an_ln_says_so(split, ln):
    """Of other lags, another nonlinearity or too few subunits: `taken` tells."""
    for other in ({"lags": 5}, {"nonlinearity": "elu"}, {"output_kind": "exp"}):
        model = build.model("nim", split.spec, **{"lags": 4, **other})
        assert not whole_of(model, ln.model, ln.params)
    two = build.model("ln", dataclasses.replace(split.spec, frame=(4, 4)), lags=4)
    drawn = two.stage.init(KEY)
    for suppressive in (1, 2):
        model = build.model("nim", two.spec, lags=4, suppressive=suppressive)
        assert whole_of(model, two, drawn) == (suppressive == 2)


def test_a_model_that_starts_from_its_own_fit_is_that_fit(split, ln):
    again = fit(ln.model, split, key=KEY, seeds=2, start=ln, max_steps=0)
    assert again.training["started"]["own"] == ()
    assert again.model is ln.model
    for params in again.seeds:
        for a, b in zip(
            jax.tree.leaves(params), jax.tree.leaves(ln.params), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("ln", LN, "takes all parameters"),
        ("lnk", LN, "takes all parameters but activation, affine, kinetics"),
        (
            "ribbon_ln",
            LN,
            "takes all parameters but affine, standardise, terminal",
        ),
        (
            "lnln",
            {"lags": 4, "subunits": 2},
            "takes output; its own start of bias, conv2d, dense, fir; leaves spatial, "
            "temporal",
        ),
        ("nim", {"lags": 4}, "takes all parameters"),
        (
            "nim",
            {"lags": 4, "nonlinearity": "elu"},
            "takes output, spatial.corner; its own start of spatial.filters, temporal, "
            "threshold; leaves spatial.filters, temporal",
        ),
    ],
)
def test_what_is_taken_is_said_in_a_line(split, ln, name, settings, said):
    model = build.model(name, split.spec, **settings)
    assert sentence(inherited(model, ln, split)[1]) == said


def test_another_start_is_another_fit(split, ln, tmp_path):
    model, place = build.model("glm", split.spec, **GLM), tmp_path / "checkpoint"
    fit(model, split, key=KEY, start=ln, checkpoint=place, max_steps=0)
    moved = jax.tree.map(lambda leaf: leaf + 1, ln.params)
    other = dataclasses.replace(ln, params=moved)
    for start in (None, other):
        with pytest.raises(BrokenRun, match="is of another fit"):
            fit(model, split, key=KEY, start=start, checkpoint=place, max_steps=20)


def test_what_cannot_be_started_from_is_refused_in_one_line(split, ln):
    glm = build.model("glm", split.spec, **GLM)
    cells = dataclasses.replace(
        split,
        train=tuple(
            dataclasses.replace(clip, response=clip.response[..., ::-1])
            for clip in split.train
        ),
    )
    coarse = dataclasses.replace(split, spec=dataclasses.replace(split.spec, bin_s=0.1))
    mean = fit(build.model("mean", split.spec), split, key=KEY)
    for start, where, words in (
        (ln, cells, r"other cells or training blocks of .*cell 0 had 0\.\d+ spikes"),
        (ln, coarse, "bins of 0.05 s, glm is .* bins of 0.1 s: start from"),
        (mean, split, r"no parameter of mean \(rate\) has the name and shape of one"),
    ):
        model = build.model("glm", where.spec, **GLM)
        with pytest.raises(BadSetting, match=words) as told:
            fit(model, where, key=KEY, start=start, max_steps=1)
        assert "\n" not in str(told.value)
    with pytest.raises(BadSetting, match="core and start"):
        fit(glm, split, key=KEY, start=ln, core=ln)
