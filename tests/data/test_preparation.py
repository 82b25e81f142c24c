"""Steps before a model sees a recording: what each keeps, says and refuses."""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest

import retina
from retina.data.preparation.prepare import STEPS, prepare
from retina.data.stc import stc
from retina.errors import BadCard, BadSetting
from retina.layers.light import light
from retina.types import Clip, Recording

from .drawn import drawn_recording


@pytest.fixture(scope="module")
def images() -> Recording:
    return retina.load("simulated")


@pytest.fixture(scope="module")
def flicker() -> Recording:
    return drawn_recording()


def test_a_window_and_squares_are_those_of_numpy(images):
    made = prepare(images, [{"crop": [3, 4, 13, 12]}, {"downsample": 4}])
    assert made.frame == (3, 3)
    for before, after in zip(images.blocks, made.blocks, strict=True):
        window = before.stimulus[:, 3:15, 4:16].astype(np.float64)
        wanted = window.reshape(-1, 3, 4, 3, 4).mean((2, 4))
        np.testing.assert_allclose(after.stimulus, wanted, atol=1e-6)
        assert after.spikes is before.spikes
    assert [note.split(":")[0] for note in made.notes[-2:]] == ["prepared"] * 2
    assert "rows 3-15, columns 4-15" in made.notes[-2]


@pytest.mark.slow
def test_the_window_around_fields_holds_every_field(images):
    made = prepare(images, [{"around_fields": 2.0}])
    assert made.frame < images.frame and min(made.frame) > 6
    again = retina.split(made)
    assert again.spec.frame == made.frame
    # What was cropped for the fields has them still.
    assert len(prepare(made, [{"at_least": {"field": True}}]).cells) == 12


def test_contrast_is_light_about_the_mean_of_training(flicker):
    light = dataclasses.replace(
        flicker,
        coding="light",
        blocks=tuple(
            dataclasses.replace(block, stimulus=100 + 20 * block.stimulus)
            for block in flicker.blocks
        ),
    )
    made = prepare(light, [{"contrast": True}])
    assert made.coding == "contrast"
    train = made.blocks[0]
    assert abs(train.stimulus[train.lead :].mean()) < 1e-6
    ratio = made.blocks[2].stimulus / (light.blocks[2].stimulus / 100 - 1)
    # The mean of 4,000 draws is 100 within a third or so.
    np.testing.assert_allclose(np.median(ratio), 1, rtol=0.05)
    with pytest.raises(BadSetting, match="contrast already"):
        prepare(made, [{"contrast": True}])


@pytest.mark.parametrize("coding", ["contrast", "light"])
def test_light_in_rstar_is_what_a_photoreceptor_would_have_made_of_it(flicker, coding):
    shown = {"contrast": lambda c: 0.2 * c, "light": lambda c: 100 + 20 * c}[coding]
    blocks = tuple(
        dataclasses.replace(block, stimulus=shown(block.stimulus))
        for block in flicker.blocks
    )
    given = dataclasses.replace(flicker, coding=coding, blocks=blocks)
    with pytest.raises(BadSetting, match="does not say how bright it was"):
        prepare(given, [{"rstar": True}])
    given = dataclasses.replace(given, mean_rstar_per_s=3000.0)
    made = prepare(given, [{"rstar": True}])
    assert made.coding == "light" and made.notes[-1].endswith("3000 for the mean")
    lit = made.blocks[0]
    mean = lit.stimulus[lit.lead :].mean()
    # A sample of 3,980 contrasts of s.d. 0.2 has a mean of 0 within 0.003.
    assert mean == pytest.approx(3000, rel=1e-5 if coding == "light" else 0.01)
    before, after = (retina.split(one) for one in (given, made))
    doors = [light(one.spec, 3000.0) for one in (before, after)]
    for one, two in zip(before.test, after.test, strict=True):
        seen = [
            door.apply({}, (), jnp.asarray(clip.stimulus))[1]
            for door, clip in zip(doors, (one, two), strict=True)
        ]
        # At 0 in the mean up to the same 0.003, times three standard errors.
        np.testing.assert_allclose(seen[0], seen[1], rtol=0.01)
        if coding == "light":
            np.testing.assert_allclose(seen[1], two.stimulus[:, None, None], rtol=1e-5)


def test_pixels_grow_with_the_squares_they_are_means_of(images):
    assert images.pixel_um is None and retina.split(images).spec.pixel_um is None
    sized = dataclasses.replace(images, pixel_um=30.0)
    made = prepare(sized, [{"crop": [0, 0, 8, 8]}, {"downsample": 4}])
    assert retina.split(made).spec.pixel_um == 120
    assert prepare(images, [{"downsample": 4}]).pixel_um is None


def test_of_units_that_share_spikes_the_larger_is_kept(flicker):
    block = flicker.blocks[0]
    (first, second, third) = block.spikes[0]
    part = np.sort(first[::2] + 0.0005)
    blocks = (
        dataclasses.replace(block, spikes=((first, part, third),)),
        *flicker.blocks[1:],
    )
    doubled = dataclasses.replace(flicker, blocks=blocks)
    made = prepare(doubled, [{"unique": 0.5}])
    assert [cell.name for cell in made.cells] == ["a", "c"]
    assert "left out 1 units" in made.notes[-1] and made.notes[-1].endswith(": b")
    assert len(prepare(flicker, [{"unique": 0.5}]).cells) == 3


def test_cells_that_reach_every_bar_are_kept(flicker):
    rng = np.random.default_rng(0)
    test = flicker.blocks[2]
    spikes = tuple(
        (trial[0], np.sort(rng.uniform(0, 30, 300)), trial[2]) for trial in test.spikes
    )
    blocks = (*flicker.blocks[:2], dataclasses.replace(test, spikes=spikes))
    noisy = dataclasses.replace(flicker, blocks=blocks)
    rates = [len(train) / 200 for train in flicker.blocks[0].spikes[0]]
    made = prepare(noisy, [{"at_least": {"cc_max": 0.6}}])
    assert [cell.name for cell in made.cells] == ["a", "c"]
    made = prepare(
        noisy, [{"at_least": {"cc_max": 0.6, "rate_hz": (rates[0] + rates[2]) / 2}}]
    )
    assert [cell.name for cell in made.cells] == ["c"]
    assert "1 of 3 cells reach cc_max 0.6" in made.notes[-1]


def test_the_rate_of_a_cell_is_that_of_all_training_trials(flicker):
    first, *others = flicker.blocks
    silent = tuple(train[:0] for train in first.spikes[0])
    twice = dataclasses.replace(first, spikes=(*first.spikes, silent))
    shown = dataclasses.replace(flicker, blocks=(twice, *others))
    loudest = max(len(train) / 200 for train in first.spikes[0])
    prepare(shown, [{"at_least": {"rate_hz": 0.4 * loudest}}])
    with pytest.raises(BadSetting, match="leaves no cell"):
        prepare(shown, [{"at_least": {"rate_hz": 0.6 * loudest}}])


@pytest.mark.parametrize(
    ("steps", "error", "words"),
    [
        ([{"crp": 1}], BadCard, "no step 'crp'.*crop"),
        ([{"crop": [0, 0, 2, 2], "downsample": 2}], BadCard, "one step a table"),
        ([{"crop": [0, 0, 30, 2]}], BadSetting, "does not lie in frames of 20 x 20"),
        ([{"crop": [0, 0, 2]}], BadSetting, r"wanted \[first row"),
        ([{"downsample": 0}], BadSetting, "wanted a whole number of pixels"),
        ([{"downsample": 21}], BadSetting, "larger than frames"),
        ([{"unique": 1.5}], BadSetting, "wanted a share"),
        ([{"at_least": {"cc_mx": 0.5}}], BadSetting, "no rule 'cc_mx'.*cc_max"),
        ([{"at_least": {"rate_hz": 1e6}}], BadSetting, "leaves no cell"),
        ([{"at_least": 3}], BadSetting, "wanted a table"),
        ([{"contrast": True}], BadSetting, "contrast already"),
        ([{"rstar": True}], BadSetting, "does not say how bright"),
        ([{"rstar": 300.0}], BadSetting, "rstar = 300.0: write true"),
        ([{"around_fields": 0}], BadSetting, "wanted a number of s.d."),
        *(
            ([{step: value}], BadSetting, f"{step}.*wanted")
            for step, values in {
                "around_fields": ("4", [1], {}, True, math.nan),
                "crop": (5, "abcd", ["a", 1, 2, 3], [0, 0, math.inf, 1], [True] * 4),
                "downsample": ("x", [2], math.nan, math.inf, 1.5, {}, True),
                "unique": ("0.5", [0.5], math.nan, {}),
            }.items()
            for value in values
        ),
        ([{"at_least": {"rate_hz": "1"}}], BadSetting, "rate_hz = '1': wanted"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(images, steps, error, words):
    with pytest.raises(error, match=words) as caught:
        prepare(images, steps)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("step", ["crop", "downsample", "around_fields"])
def test_a_full_field_has_no_window(flicker, step):
    value = [0, 0, 1, 1] if step == "crop" else 2
    with pytest.raises(BadSetting, match="frames of "):
        prepare(flicker, [{step: value}])


def test_every_step_is_listed():
    from pathlib import Path

    import retina.data.preparation as folder

    files = {path.stem for path in Path(folder.__file__).parent.glob("*.py")}
    assert files - {"__init__", "prepare"} == set(STEPS)


def test_the_directions_of_an_energy_model_come_back():
    """Two filters in quadrature excite, one suppresses; the average is nothing."""
    rng = np.random.default_rng(0)
    shown = rng.standard_normal(60000).astype(np.float32)
    lags = 10
    time = np.arange(lags)
    filters = np.array(
        [
            np.cos(2 * np.pi * time / lags),
            np.sin(2 * np.pi * time / lags),
            np.cos(4 * np.pi * time / lags),
        ]
    )
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    drives = [np.convolve(shown, each)[: len(shown)] for each in filters]
    rate = 0.2 * (drives[0] ** 2 + drives[1] ** 2) / (1 + 2 * drives[2] ** 2)
    counts = rng.poisson(rate).astype(np.float32)[None, :, None]
    found = stc([Clip("a", shown, counts, skip=lags)], lags, 0)
    assert found.significant.tolist() == [True, True, *[False] * 7, True]
    for axes, direction in ((filters[:2], 0), (filters[:2], 1), (filters[2:], -1)):
        seen = np.linalg.norm(axes @ found.directions[direction])
        assert seen > 0.97


def test_too_few_events_for_a_covariance_are_refused():
    shown = np.random.default_rng(0).standard_normal(200).astype(np.float32)
    counts = np.zeros((1, 200, 1), np.float32)
    counts[0, ::50] = 1
    with pytest.raises(BadSetting, match="more events than numbers"):
        stc([Clip("a", shown, counts, skip=10)], 10, 0)


def test_a_card_asks_for_steps_and_its_runs_are_of_them(tmp_path, monkeypatch):
    """Its digest changes with them; without any it is what it was."""
    from retina import resources
    from retina.data.card import read
    from retina.data.check import check
    from retina.data.identity import digest

    text = resources.path("datasets", "simulated").read_text(encoding="utf-8")
    path = tmp_path / "simulated.toml"
    path.write_text(text, encoding="utf-8")
    before = digest(read(path))
    assert before == digest(read("simulated"))
    steps = "prepare = [{ crop = [4, 4, 12, 12] }, { downsample = 3 }]\nlead = 30"
    path.write_text(text.replace("lead = 30", steps), encoding="utf-8")
    assert digest(read(path)) != before
    made = retina.load(path)
    assert made.frame == (4, 4)
    assert [note.startswith("prepared: ") for note in made.notes[-2:]] == [True] * 2
    told = [f.text for f in check(path) if f.about == "prepare"]
    assert told == [note.removeprefix("prepared: ") for note in made.notes[-2:]]
    path.write_text(text.replace("lead = 30", "prepare = [{ crp = 1 }]\nlead = 30"))
    with pytest.raises(BadCard, match="crop"):
        retina.load(path)
    assert [f.about for f in check(path) if f.level == "wrong"] == ["prepare"]
