"""Parameter recovery: what comes back, and what was built not to."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina.errors import BadSetting
from retina.models.lnk import affine, lnk
from retina.parameter import Parameter
from retina.probes.recovery import NEAR, compared, recovery
from retina.stage import Stage, chain
from retina.types import Clip, Fit, Spec, Split

TREE = {
    "tau_s": Parameter(1.0, "s"),
    "gain": Parameter(1.0),
    "w": Parameter(),
    "fixed": Parameter(1.0, trainable=False),
}
TRUTH = {
    "tau_s": jnp.array([1.0, 2.0, 3.0]),
    "gain": jnp.array([4.0]),
    "w": jnp.array([1.0, -1.0]),
    "fixed": jnp.ones(1),
}


def _set(tau: float, gain: float, w: float):
    return TRUTH | {
        "tau_s": TRUTH["tau_s"] * tau,
        "gain": TRUTH["gain"] * gain,
        "w": TRUTH["w"] * w,
    }


def test_errors_spreads_and_verdicts_are_what_the_numbers_say():
    found = (_set(1.05, 2.0, 1.5), _set(1.0, 0.5, 1.5), _set(9.0, 9.0, 9.0))
    told = compared(
        TREE,
        TRUTH,
        found,
        np.array([1.0, 0.9999, 0.5, 1.1]),
        np.array([1.2, 1.2, 0.5, 1.1]),
    )
    rows = {row.parameter: row for row in told.rows}
    assert set(rows) == {"tau_s", "gain", "w"}
    assert rows["tau_s"].error == pytest.approx(0.05, rel=1e-4)
    # Two values 0.05 apart: an s.d. of 0.05 / sqrt(2).
    assert rows["tau_s"].spread == pytest.approx(0.05 / np.sqrt(2), rel=1e-4)
    assert rows["tau_s"].correlation == pytest.approx(1)
    assert rows["gain"].spread == pytest.approx(1.5 / np.sqrt(2), rel=1e-4)
    assert np.isnan(rows["gain"].correlation)
    verdicts = [rows[n].verdict for n in ("tau_s", "gain", "w")]
    assert verdicts == ["comes back", "undetermined", "off"]
    assert [one["equal"] for one in told.starts] == [True, True, False]
    assert told.starts[2]["errors"]["gain"] == pytest.approx(8)
    assert told.reached


def test_one_good_start_does_not_tell_a_bias_from_a_freedom():
    found = (_set(1.0, 2.0, 1.0), _set(9.0, 9.0, 9.0))
    told = compared(
        TREE, TRUTH, found, np.array([1.0, 0.5, 1.0]), np.array([1.0, 0.5, 1.2])
    )
    verdicts = {row.parameter: row.verdict for row in told.rows}
    assert verdicts == {"tau_s": "comes back", "gain": "not tried", "w": "comes back"}
    assert not told.reached, "the truth fits better than any start"


def test_one_start_is_not_enough():
    with pytest.raises(BadSetting, match="seeds 1: 2 or more"):
        recovery(None, None, key=jax.random.key(0), seeds=1)  # type: ignore[arg-type]


def _twice_scaled(spec: Spec) -> tuple:
    """An lnk whose active fraction is scaled twice: only the product matters."""
    model = lnk(spec, lags=6, rank=None)
    parts: list[Stage] = []
    for name, part in model.stage.parts:
        parts.append(part)
        if name == "affine":
            parts.append(affine(spec.cells))
    stage = chain(*parts)
    warm = model.warm_start
    assert warm is not None

    def warm_start(params, clips):
        return params | warm({n: params[n] for n, _ in model.stage.parts}, clips)

    model = model._replace(stage=stage, warm_start=warm_start)
    return model, stage


@pytest.mark.slow
@pytest.mark.fast_code
def test_lnk_gives_its_filter_back_and_not_a_product_of_two_scales():
    spec = Spec((), 1, 0.05)
    model, stage = _twice_scaled(spec)
    generator = np.random.default_rng(0)

    def clip(name: str, bins: int) -> Clip:
        stimulus = generator.standard_normal(bins).astype(np.float32)
        return Clip(name, stimulus, np.zeros((1, bins, 1), np.float32), skip=6)

    split = Split(spec, (clip("train", 40_000),), (clip("validation", 6000),), ())
    params = stage.init(jax.random.key(5))
    course = np.array([0.3, 1.0, 0.6, -0.4, -0.6, -0.2], np.float32)
    shaped = jnp.asarray(course / np.linalg.norm(course))
    filters = params["space_time"]["filters"]
    params["space_time"] |= {"filters": 3 * jnp.resize(shaped, filters.shape)}
    params["affine"] = {"scale": jnp.full(1, 8.0)}
    params["affine2"] = {"scale": jnp.full(1, 8.0)}
    params["output"] = {"bias": jnp.full(1, -3.0), "gain": jnp.full(1, 1.0)}
    true = Fit(model, params, (params,), np.full(1, 0.5), {}, (), {})
    found = recovery(
        true,
        split,
        key=jax.random.key(0),
        seeds=4,
        scatter=0.5,
        schedule="cosine",
        max_steps=4000,
        learning_rate=3e-2,
        clip_bins=256,
        batch=8,
    )
    rows = {row.parameter: row for row in found.rows}
    assert found.reached, found.starts
    assert sum(one["equal"] for one in found.starts) >= 2
    # Its shape comes back whatever else: some 10^4 spikes tell six numbers.
    assert rows["space_time.filters"].correlation > 0.98
    for name in ("affine.scale", "affine2.scale"):
        assert rows[name].verdict == "undetermined", rows[name]
    back = [row.parameter for row in found.rows if row.verdict == "comes back"]
    assert {"space_time.filters", "kinetics.k_a"} <= set(back), found.rows
    assert all(rows[name].error <= NEAR for name in back)
