"""The circuit model: every mechanism is a keyword, and changes what it should."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from retina import build
from retina.circuit.adapting_membrane import adapting_membrane
from retina.circuit.coupled import LEAK_NS, coupled
from retina.circuit.synapses.rungs import RUNGS
from retina.costs.cost import cost
from retina.costs.flops import count_step
from retina.errors import BadSetting
from retina.fitting.loss import rates_of
from retina.models.circuit import PRESETS
from retina.models.circuit_start import windows
from retina.parameter import to_bounded, to_free
from retina.types import Clip, Spec

FIELD, IMAGE = Spec((), 3, 1 / 30), Spec((6, 5), 2, 1 / 30)
SMALL = {"types": 2}


def _model(spec: Spec = FIELD, **settings):
    return build.model("circuit", spec, **(SMALL | settings))


def _flops(model) -> int:
    shapes = jax.eval_shape(model.stage.init, jax.random.key(0))
    return count_step(model, shapes)[1].flops


def test_the_price_of_each_mechanism():
    """Each pool of vesicles costs more than none; what is left out, less."""
    ladder = [
        _flops(_model(release=r)) for r in ("fast_kinetic", "kinetic", "ribbon_cycle")
    ]
    assert ladder == sorted(set(ladder))
    whole = _flops(_model())
    without: tuple[dict[str, Any], ...] = ({"horizontal": False}, {"amacrine": None})
    for off in without:
        assert _flops(_model(**off)) < whole
    gains: tuple[dict[str, Any], ...] = (
        {"contrast_gain": True},
        {"slow_gain": True},
        {"photoreceptor": "dynamical_adaptation"},
    )
    for on in gains:
        assert _flops(_model(**on)) > whole
    # Nothing with a state in the terminals, no feedback: nothing is sub-stepped.
    static = _model(release="static", amacrine=None)
    assert {p.clock for p in static.circuit.populations} == {"bin"}
    image = _flops(_model(IMAGE))
    assert _flops(_model(IMAGE, gap_junction_ns=1.0)) > image
    assert _flops(_model(IMAGE, amacrine="narrow")) > image


def test_rung_and_release_are_one_set_of_names():
    """And each of them releases: more in light by an ON cell, at a steady pace."""
    x = jnp.where(jnp.arange(60) < 40, 0.0, 2.0).astype(jnp.float32)
    for name, rung in RUNGS.items():
        if name in ("markov_16", "markov_32"):
            continue  # as markov_8, of other sizes
        model = _model(release=name, amacrine=None, horizontal=False)
        # A recording of 30 s is scored on what burn-in leaves of its repeats.
        ribbon = build.model("ribbon_ln", FIELD, rung=name)
        assert (rung.make is not None) <= ribbon.stage.burn_in_s <= 10
        params = model.stage.init(jax.random.key(0))
        inner = params["circuit"]
        inner["off->ganglion"] = {"weight": 0 * inner["off->ganglion"]["weight"]}
        rate = jax.jit(model.stage.apply)(params, model.stage.start(params), x)[1]
        assert np.all(rate[40:50].max(0) > 1.02 * rate[39]), name
    with pytest.raises(BadSetting, match="rung 'delta'"):
        build.model("ribbon_ln", FIELD, rung="delta")


def test_on_and_off_cells_hear_light_with_opposite_signs():
    model = _model(release="static", amacrine=None, horizontal=False)
    params = model.stage.init(jax.random.key(0))
    inner = params["circuit"]
    bright = jnp.where(jnp.arange(40) < 20, 0.0, 1.0).astype(jnp.float32)
    run = jax.jit(lambda p: model.stage.apply(p, model.stage.start(p), bright)[1])
    for name, other in (("on", "off"), ("off", "on")):
        silent = inner[f"{other}->ganglion"]["weight"] * 0
        one = inner | {f"{other}->ganglion": {"weight": silent}}
        rate = run(params | {"circuit": one})
        before, after = rate[15], rate[22]
        assert np.all(after > before if name == "on" else after < before)


def test_on_bars_too_a_cell_starts_on_its_average():
    """24 pixels in a row, a bipolar cell on every second: fired by pixels 8 and 15."""
    spec = Spec((24,), 2, 1 / 30)
    model = _model(spec, release="static", amacrine=None)
    bars = np.random.default_rng(0).standard_normal((400, 24)).astype("f4")
    counts = (bars[None, :, [8, 15]] > 1).astype("f4")
    wide = {"on->ganglion": {"sigma_um": np.full(2, 100.0)}}
    masks, place = windows(
        wide, (Clip("train", bars, counts),), spec, model.circuit, "on"
    )
    assert masks.shape == (2, 12)
    pixel = 11.5 + 2 * (11 * np.asarray(place)[:, 1] - 5.5)
    np.testing.assert_allclose(pixel, [8, 15], atol=1)


@pytest.mark.parametrize("ganglion", ["lif", "adaptive_lif", "escape_history"])
def test_a_cell_that_hears_its_own_spikes(ganglion: str):
    """A start from data: the geometric mean of its rate is near the data's 0.3 while it
    hears no spikes, and a reset takes from the next bin's."""
    spec = Spec((), 3, 1 / 60)
    model = _model(spec, ganglion=ganglion, release="static", amacrine=None)
    assert model.stage.uses_response and model.warm_start is not None
    generator = np.random.default_rng(0)
    stimulus = generator.standard_normal(600).astype("f4")
    counts = generator.poisson(0.3, (1, 600, 3)).astype("f4")
    params = model.stage.init(jax.random.key(0))
    params = model.warm_start(params, (Clip("train", stimulus, counts),))
    assert jax.tree.structure(params) == jax.tree.structure(model.stage.parameters)
    x, silent = jnp.asarray(stimulus), jnp.zeros((600, 3))
    rates = jax.jit(lambda counts: rates_of(model, params, x, counts))
    rate = rates(silent)
    assert 0.2 < np.exp(np.log(rate[60:]).mean()) < 0.45
    one = silent.at[300].set(1)
    ratio = rates(one)[301] / rate[301]
    assert np.all(ratio < 0.8) == (ganglion != "escape_history")


@pytest.mark.parametrize(
    ("spec", "pathway", "number"),
    [(FIELD, "ephaptic", "cleft"), (IMAGE, "ph", "depth_ph")],
)
def test_horizontal_cells_that_feed_back(spec: Spec, pathway: str, number: str):
    """A pathway on its own, on one cone too: it costs, and changes the response."""
    quick = {"release": "static", "amacrine": None}
    off = {"ephaptic": False, "ph": False, pathway: True}
    model = _model(spec, **quick, horizontal="feedback", **off)
    assert "horizontal" not in {p.name for p in model.circuit.populations}
    assert _flops(model) > _flops(_model(spec, **quick, horizontal=False))
    params = model.stage.init(jax.random.key(0))
    pedicle = params["circuit"]["pedicle"]
    deaf = params["circuit"] | {"pedicle": pedicle | {number: jnp.float32(0)}}
    x = jax.random.normal(jax.random.key(1), (30, *spec.frame))
    run = jax.jit(lambda p: model.stage.apply(p, model.stage.start(p), x)[1])
    one, two = run(params), run(params | {"circuit": deaf})
    assert np.all(np.isfinite(one)) and np.ptp(one) > 0.01
    assert np.ptp(one - two) > 1e-3
    # GABA's memory is declared.
    assert _model(spec, horizontal="feedback", gaba=True).stage.burn_in_s > 60


def test_a_state_is_forgotten_within_the_declared_time():
    """Two histories of 4 s, then the same: within 2 % of the response after 1.5 s."""
    model = _model()
    params = model.stage.init(jax.random.key(0))
    draw = np.random.default_rng(0).standard_normal
    lead = int(np.ceil(model.stage.burn_in_s * 30))
    same = 0.3 * draw(lead + 60)
    apply = jax.jit(model.stage.apply)
    rates = []
    for history in (2 + draw(120), -2 + draw(120)):
        x = jnp.asarray(np.concatenate([history, same]), jnp.float32)
        rates.append(np.asarray(apply(params, model.stage.start(params), x)[1]))
    apart = np.abs(rates[0] - rates[1])
    assert apart[115:125].max() > 20 * apart[120 + lead :].max()
    assert apart[120 + lead :].max() < 0.02 * np.ptp(rates[0])


def test_a_sheet_of_coupled_cells_follows_its_matrix():
    """exp of the whole 6 x 6 matrix, float64: to float32 rounding."""
    sheet = coupled(2, 3, 0.01, coupling_ns=0.7)
    params = sheet.init(jax.random.key(0))
    laplace = np.zeros((6, 6))
    for i, j in [(0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5)]:
        laplace[[i, j], [i, j]] += 1
        laplace[[i, j], [j, i]] -= 1
    matrix = (np.eye(6) + 0.7 / LEAK_NS * laplace) / 0.02
    x = np.random.default_rng(0).standard_normal(6)
    goal = np.linalg.solve(matrix, x / 0.02)
    expected = [goal - expm(-matrix * 0.01 * t) @ goal for t in (1, 2, 3)]
    held = jnp.asarray(np.tile(x, (3, 1)), jnp.float32)
    found = sheet.apply(params, sheet.start(params), held)[1]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_presets_set_keywords_and_nothing_else():
    for name, values in PRESETS.items():
        one = _model(IMAGE, preset=name)
        heard = {n: v for n, v in values.items() if n != "cone_kind"}
        two = _model(IMAGE, **heard)
        assert one.stage.about == two.stage.about
    assert _model(preset="mouse", cone_tau_s=0.05).stage.about != _model().stage.about


def test_its_cost_names_the_synapses_it_declares():
    model = _model(IMAGE)
    notes = cost(model, model.stage.init(jax.random.key(0))).notes
    (note,) = (note for note in notes if note.startswith("the circuit declares"))
    assert "on->ganglion" in note and "amacrine->off" in note


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"release": "kinetc"}, "release 'kinetc': did you mean 'kinetic'"),
        ({"amacrine": "wid"}, "amacrine 'wid': did you mean 'wide'"),
        ({"preset": "mose"}, "preset 'mose': did you mean 'mouse'"),
        ({"ganglion": "softplu"}, "ganglion 'softplu': did you mean 'softplus'"),
        (
            {"photoreceptor": "phototransduction", "preset": "mouse"},
            "does not say how bright it was",
        ),
        ({"horizontal": "feedbak"}, "horizontal 'feedbak': did you mean 'feedback'"),
        ({"gaba": True}, "no horizontal cell feeds back; leave it out, or give hor"),
        (
            {"horizontal": "feedback", "ephaptic": False, "ph": False},
            "feed nothing back: switch one on",
        ),
        ({"photoreceptor": "linea"}, "photoreceptor 'linea': did you mean 'linear'"),
        (
            {"gap_junction_ns": 1.0},
            "gap_junction_ns 1.0 would do nothing: one pixel has no neighbours; leave "
            "it out, or give a stimulus of images",
        ),
        ({"dt_s": 0.02}, "dt_s 0.02 s is not safe; give 0.00714 s or less"),
    ],
)
def test_what_it_cannot_take(settings, match):
    with pytest.raises(BadSetting, match=match):
        _model(**settings)


@pytest.mark.parametrize(
    ("name", "value", "beside", "why"),
    [
        ("cone_tau_s", 0.02, {"photoreceptor": "dynamical_adaptation"}, "cones are"),
        ("mean_rstar_per_s", 1e4, {}, "linear cones hear contrast"),
        ("cone_kind", "mouse_cone", {}, "linear cones hear contrast"),
        ("slow_gain_s", 20.0, {}, "there is no slow gain"),
        ("amacrines", 3, {"amacrine": None}, "there are no amacrine cells"),
        ("inhibition", "divide", {"amacrine": None}, "there are no amacrine cells"),
        ("surround_um", 99.0, {"horizontal": False}, "there are no horizontal cells"),
        ("gap_junction_ns", 1.0, {"horizontal": "feedback"}, "are not coupled"),
        ("dt_s", 1e-3, {"release": "static", "amacrine": None}, "once per bin"),
        ("dt_s", 1e-3, {"release": "alpha", "amacrine": None}, "once per bin"),
        ("method", "implicit", {"release": "depletion"}, "has one way to be stepped"),
        (
            "preset",
            "mouse",
            {"horizontal": False, "photoreceptor": "dynamical_adaptation"},
            "what it sets",
        ),
    ],
)
def test_a_keyword_that_would_do_nothing_is_refused(name, value, beside, why):
    with pytest.raises(BadSetting, match=f"^{name} {value} would do nothing: .*{why}"):
        _model(IMAGE, **{name: value}, **beside)
    lit = {"mean_rstar_per_s": 1e4, "cone_kind": "mouse_cone"}
    alone = {"photoreceptor": "phototransduction", **lit} if name in lit else {}
    alone.pop(name, None)
    alone |= {"slow_gain": True} if name == "slow_gain_s" else {}
    _model(IMAGE, **{name: value}, **alone)  # and where it does something, taken


@pytest.mark.parametrize(
    ("said", "asked", "spacing_um"),
    [(None, None, 50.0), (28.0, None, 28.0), (28.0, 40.0, 40.0), (28.0, 50.0, 50.0)],
)
def test_a_pixel_is_as_large_as_the_recording_says(said, asked, spacing_um):
    spec = dataclasses.replace(IMAGE, pixel_um=said)
    model = _model(spec, pixel_um=asked)
    assert model.circuit is not None
    assert model.circuit.populations[0].spacing_um == spacing_um
    plain = _model(IMAGE, pixel_um=spacing_um)
    shapes = [jax.tree.leaves(m.stage.init(jax.random.key(0))) for m in (model, plain)]
    for one, two in zip(*shapes, strict=True):
        np.testing.assert_array_equal(one, two)


def test_on_a_full_field_what_is_of_places_is_refused():
    of_places: dict[str, Any] = {
        "pooling": "free",
        "stride": 1,
        "pixel_um": 20.0,
        "centre": "learned",
        "centre_um": 20.0,
        "surround_um": 99.0,
    }
    for name, value in of_places.items():
        with pytest.raises(BadSetting, match=f"^{name} .*: a full field has no places"):
            _model(**{name: value})
        _model(IMAGE, **{name: value})
    with pytest.raises(BadSetting, match="pooling 'fre': did you mean 'free'"):
        _model(IMAGE, pooling="fre")
    with pytest.raises(BadSetting, match="centre 'learnt': did you mean 'learned'"):
        _model(IMAGE, centre="learnt")
    _model(pixel_um=50.0)  # the default of older runs, written out in their records
    # A default that is written out, as in the record of a run, stays silent.
    model = _model(amacrine=None)
    assert build.model("circuit", FIELD, **dict(model.settings)).stage.about


def test_cones_in_their_light_give_the_circuit_contrasts():
    """The cascade's response to faint contrasts: none at the mean, up with light."""
    spec = Spec((), 2, 1 / 30, mean_rstar_per_s=1e3)
    lit = {"photoreceptor": "phototransduction", "preset": "macaque"}
    model = build.model("circuit", spec, types=2, **lit)
    cone = retina_cone(model)
    params = cone.init(jax.random.key(0))
    mean = jnp.full((60, 1), 1e3, jnp.float32)
    flash = mean.at[20:].multiply(1.2)
    still, lit = (
        cone.apply(params, cone.start(params), x)[1][:, 0] for x in (mean, flash)
    )
    assert np.abs(still).max() < 1e-3
    assert 0.05 < lit[20:].max() < 2
    # Adaptation: the response to a step that stays falls back.
    assert lit[-1] < 0.9 * lit[20:].max()


def retina_cone(model):
    population = model.circuit["cone"]
    return population.dynamics(population.cells, model.spec.bin_s)


def _data(bins: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    stimulus = generator.standard_normal(bins).astype("f4")
    return stimulus, generator.poisson(0.3, (1, bins, 3)).astype("f4")


def test_contrast_gain_at_two_levels():
    """Each costs; that of bipolar cells turns the response to a high contrast down, and
    leaves a low one alone."""
    quick: dict[str, Any] = {"release": "static", "amacrine": None, "types": 1}
    levels = (False, "bipolar", True, "both")
    prices = [_flops(_model(**quick, contrast_gain=level)) for level in levels]
    assert prices == sorted(set(prices))
    ratio = {}
    for contrast in (0.02, 2.0):
        swing = []
        for level in (False, "bipolar"):
            stage = dict(_model(**quick, contrast_gain=level).stage.parts)["circuit"]
            params = stage.init(jax.random.key(0))
            x = contrast * jnp.asarray(_data(300)[0])[:, None]
            y = np.asarray(jax.jit(stage.apply)(params, stage.start(params), x)[1])
            swing.append(y[90:].std())
        ratio[contrast] = swing[1] / swing[0]
    assert ratio[0.02] == pytest.approx(1, abs=1e-3)
    assert ratio[2.0] < 0.8


def test_slow_gain_may_be_as_slow_as_asked():
    """And asks history of five of it; its time constant starts at half of it."""
    one, two = (_model(slow_gain=True, slow_gain_s=s).stage for s in (2.0, 20.0))
    assert two.burn_in_s - one.burn_in_s == pytest.approx(5 * (20 - 2))
    gains = two.init(jax.random.key(0))["circuit"]["ganglion"]
    assert float(gains["slow_gain"]["tau_s"]) == 10.0


def test_gain_control_of_bipolar_cells_settles_where_its_equation_says():
    """A lasting input u: e = gain (1 - share) u, A = h tau_a e, e / (1 + A^6) + bias;
    an excursion below 0 is left alone."""
    stage = adapting_membrane(2, 0.01, release="potential", contrast_gain=True)
    params = stage.init(jax.random.key(0)) | {"share": jnp.full(2, 0.2)}
    x = jnp.tile(jnp.array([[0.5, -0.5]]), (400, 1))
    found = stage.apply(params, stage.start(params), x)[1][-1]
    e = np.asarray(params["gain"]) * 0.8 * np.array([0.5, -0.5])
    a = 10 * 0.15 * np.maximum(e, 0)
    np.testing.assert_allclose(found, e / (1 + a**6) - 1, rtol=1e-4)


def test_presets_have_cones_of_their_own():
    lit: dict[str, Any] = {
        "photoreceptor": "phototransduction",
        "mean_rstar_per_s": 1e3,
    }
    mouse = _model(**lit, preset="mouse").stage.about
    assert mouse == _model(**lit, cone_kind="mouse_cone").stage.about
    assert mouse != _model(**lit, preset="macaque").stage.about
    with pytest.raises(BadSetting, match="'salamander' has no values for it; give pr"):
        _model(**lit)
    with pytest.raises(BadSetting, match="cone_kind 'mouse': did you mean 'mouse_cone"):
        _model(**lit, cone_kind="mouse")


@pytest.mark.slow
def test_how_far_the_default_step_is_from_the_equations():
    """Twelve draws: 0.34 to 0.52 of the drive's s.d. at 5 steps a bin, 0.16 to 0.24 at
    10, against 80. What the docstring says of dt_s, and of method."""
    x = jnp.asarray(_data(600)[0])[:, None]
    drive = []
    ways = (None, "euler"), (1 / 300, "euler"), (None, "implicit"), (1 / 2400, "euler")
    for dt_s, method in ways:
        model = _model(types=None, dt_s=dt_s, method=method)
        stage = dict(model.stage.parts)["circuit"]
        params = jax.vmap(stage.init)(jax.random.split(jax.random.key(1), 12))

        def run(params, stage=stage):
            return stage.apply(params, stage.start(params), x)[1]

        drive.append(np.asarray(jax.jit(jax.vmap(run))(params))[:, 180:])
    within = ((0.3, 0.55), (0.14, 0.26), (0.1, 0.2))
    for one, (low, high) in zip(drive, within, strict=False):
        gap = np.sqrt(np.mean((one - drive[-1]) ** 2, 1)) / drive[-1].std(1)
        assert low < gap.mean(1).min() and gap.mean(1).max() < high


def test_gain_control_at_its_bounds_has_the_slope_of_its_equation():
    """Every parameter there, in float32; whatever the input, a slope is a number."""
    stage = adapting_membrane(1, 0.01, contrast_gain=True)
    params = stage.init(jax.random.key(0))
    free = to_free(stage.parameters, params)
    free |= {n: jnp.full(1, 8.0) for n in ("gain", "gain_tau_s", "gain_strength")}
    seen = np.random.default_rng(0).standard_normal((60, 1)).astype("f4")

    @jax.jit
    def slopes(free, x):
        def total(free):
            bounded = to_bounded(stage.parameters, free, params)
            bounded = jax.tree.map(lambda v: v.astype(x.dtype), bounded)
            return jnp.sum(stage.apply(bounded, stage.start(bounded), x)[1])

        return jax.grad(total)(free)

    for size in (1.0, 1e5):
        found = slopes(free, jnp.asarray(size * seen))
        with jax.enable_x64(True):
            exact = slopes(free, jnp.asarray(size * seen, jnp.float64))
        largest = max(float(abs(slope).max()) for slope in exact.values())
        for name, slope in found.items():
            np.testing.assert_allclose(
                slope, exact[name], rtol=0.02, atol=1e-9 * largest
            )
