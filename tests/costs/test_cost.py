"""The verb `cost`, on models whose cost can be written down."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import retina
from retina.costs.cost import as_json, cost, recorded_rate
from retina.costs.denominators import NO_CLAIM, enters_synapse_claims
from retina.costs.flops import trace_step
from retina.errors import BadSetting
from retina.stage import Model, Recipe, memoryless
from retina.types import Cell, Clip, Interval, Spec, Split

# A model with a core of 10 units on 6 x 6 pixels that all cells read from.
SHARED = '''
import jax
import jax.numpy as jnp
from retina.stage import Model, chain, memoryless

def shared(spec, /, *, units: int = 10):
    """A shared core and a readout per cell."""
    pixels = spec.frame[0] * spec.frame[1]

    def weights(rows, columns):
        return lambda key: {"w": 0.1 * jax.random.normal(key, (rows, columns))}

    core = memoryless(
        lambda p, x: jnp.tanh(p["w"] @ x.reshape(-1)), about=("core",),
        init=weights(units, pixels),
    )
    readout = memoryless(
        lambda p, x: jnp.exp(p["w"] @ x), about=("readout",),
        init=weights(spec.cells, units),
    )
    return Model("shared", spec, chain(core, readout))
'''


@pytest.fixture
def shared(tmp_path, monkeypatch):
    (tmp_path / "core_and_readout.py").write_text(SHARED)
    monkeypatch.syspath_prepend(tmp_path)
    yield "core_and_readout:shared"
    sys.modules.pop("core_and_readout", None)


def spec(cells=4, frame=(6, 6), dataset="", **settings):
    return Spec(frame, cells, bin_s=0.02, dataset=dataset, **settings)


def made(name, spec, **settings):
    model = retina.model(name, spec, **settings)
    return model, model.stage.init(jax.random.key(0))


def a_split(spec, rate=0.25, dtype: Any = np.float32, types=None):
    """Two test clips, of which the first 5 bins are history; spikes at a known rate."""

    def clip(name, trials, bins):
        response = np.zeros((trials, bins + 5, spec.cells), np.float32)
        response[:, :5] = 9.0  # never counted
        response[:, 5:] = rate
        stimulus = np.zeros((bins + 5, *spec.frame), dtype)
        return Clip(name, stimulus, response, skip=5)

    cells = tuple(Cell(str(i), kind) for i, kind in enumerate(types or []))
    return Split(spec, (), (), (clip("a", 3, 40), clip("b", 1, 60)), cells)


def test_a_shared_core_alone_amortised_and_marginal(shared):
    model, params = made(shared, spec(cells=4))
    found = cost(model, params)
    core, readout = 10 * (2 * 36 + 10), 2 * 10 + 10
    assert found.flops_per_bin == core + 4 * readout
    assert found.flops_per_s == pytest.approx(50 * (core + 4 * readout), rel=1e-12)
    assert found.flops_per_s_per_cell == pytest.approx(found.flops_per_s / 4)
    assert found.flops_per_s_alone == pytest.approx(50 * (core + readout))
    assert found.flops_per_s_marginal == pytest.approx(50 * readout)
    assert found.by_part["core"]["flops"] == core
    assert found.by_part["readout"]["flops"] == 4 * readout
    assert found.counts["bin"].macs == 360 + 40
    assert found.rates_hz == {"bin": 50.0}
    assert found.params == 360 + 40
    assert found.transcendentals_per_bin == 14
    assert found.fan_in == 36
    assert found.depth == 4
    # Ten units sum 36 pixels each; four cells sum ten units each.
    assert found.fan_ins == {36: 10, 10: 4}
    assert found.fan_outs == {10: 36, 4: 10}
    assert found.connections == 400
    assert found.wire_um is None
    assert found.parallel_width == found.total_ops_per_bin / 4 == 940 / 4
    # Weights, one frame and four rates, of four bytes each.
    assert found.arithmetic_intensity == 940 / (4 * (400 + 36 + 4))


def test_a_model_that_no_settings_make_has_no_cost_alone(shared):
    """A pruned network: fewer units than its settings say."""
    model, params = made(shared, spec())
    params["core"]["w"] = params["core"]["w"][:7]
    params["readout"]["w"] = params["readout"]["w"][:, :7]
    found = cost(model, params)
    assert found.flops_per_bin == 7 * 82 + 4 * (14 + 10)
    assert found.flops_per_s_alone is None and found.flops_per_s_marginal is None
    assert any("not as its settings make it" in note for note in found.notes)


def test_a_model_of_unknown_name_has_no_cost_alone():
    stage = memoryless(lambda p, x: x.sum() * p, about=("home made",))
    model = Model("home made", spec(), stage, recipe=Recipe())
    found = cost(model, jnp.ones(4))
    assert found.flops_per_bin == 35 + 4
    assert found.flops_per_s_alone is None
    assert any("other numbers of cells" in note for note in found.notes)


def test_per_spike_divides_by_the_recorded_spikes_of_the_test(shared):
    model, params = made(shared, spec())
    split = a_split(spec(), rate=0.25)
    # 4 cells, each 0.25 spikes per bin of 20 ms, whatever the clip or trial.
    assert recorded_rate(split) == pytest.approx(50.0)
    found = cost(model, params, split)
    assert found.flops_per_spike == pytest.approx(found.flops_per_s / 50.0)
    twice = cost(model, params, a_split(spec(), rate=0.5))
    assert twice.flops_per_spike == pytest.approx(twice.flops_per_s / 100.0)
    given = cost(model, params, spikes=50.0)
    assert given.flops_per_spike == pytest.approx(found.flops_per_spike)
    assert cost(model, params).flops_per_spike is None
    assert cost(model, params, a_split(spec(), rate=0.0)).flops_per_spike is None
    with pytest.raises(BadSetting, match="above 0"):
        cost(model, params, spikes=0.0)


def test_per_synapse_figures_are_ranges_of_the_constants(shared):
    model, params = made(shared, spec())
    split = a_split(spec(), types=["OFF"] * 4)
    found = cost(model, params, split, species="salamander")
    per_cell = found.flops_per_s_per_cell
    assert found.flops_per_s_per_synapse == Interval(per_cell / 2000, per_cell / 500)
    assert found.flops_per_synaptic_event == Interval(per_cell / 44000, per_cell / 1000)
    assert any("assumed" in note for note in found.notes)
    assert enters_synapse_claims(found)
    typed = a_split(spec(), types=["ON parasol"] * 4)
    assert (
        cost(model, params, typed, species="macaque").flops_per_synaptic_event is None
    )


def test_the_species_comes_from_the_card(shared, tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text('name = "mine"\nspecies = "mouse"\n')
    monkeypatch.setenv("RETINA_PATH", str(tmp_path))
    model, params = made(shared, spec(dataset="mine"))
    found = cost(model, params, a_split(spec(dataset="mine")))
    assert found.flops_per_s_per_synapse == Interval(
        found.flops_per_s_per_cell / 2500, found.flops_per_s_per_cell / 500
    )
    unknown, params = made(shared, spec(dataset="nowhere"))
    assert cost(unknown, params).flops_per_synaptic_event is None


def test_the_species_is_the_splits_whatever_card_bears_its_name(
    shared, tmp_path, monkeypatch
):
    (tmp_path / "mine.toml").write_text('name = "mine"\nspecies = "mouse"\n')
    monkeypatch.setenv("RETINA_PATH", str(tmp_path))
    for dataset in ("mine", "nowhere"):
        model, params = made(shared, spec(dataset=dataset))
        own = dataclasses.replace(a_split(model.spec), species="salamander")
        found = cost(model, params, own)
        assert found == cost(model, params, own, species="salamander")
        assert found != cost(model, params, own, species="mouse")


def test_a_recording_lends_its_species_to_its_split():
    split = retina.split(retina.load("simulated"))
    assert split.species == "simulated"


@pytest.mark.parametrize("frame", [(), (1,), (1, 1)])
def test_full_field_figures_enter_no_claim(frame):
    stage = memoryless(lambda p, x: p * x.sum(), about=("field",))
    model = Model("field", spec(frame=frame), stage)
    found = cost(model, jnp.ones(4), species="salamander")
    assert found.flops_per_s_per_synapse is not None
    assert not enters_synapse_claims(found)
    assert NO_CLAIM in found.notes


def test_quanta_of_a_bipolar_cell_have_no_ganglion_cell_synapses(shared):
    quanta = spec(event="quantum")
    model, params = made(shared, quanta)
    found = cost(model, params, a_split(quanta), species="mouse")
    assert found.flops_per_spike is not None and found.event == "quantum"
    assert found.flops_per_synaptic_event is None
    assert found.flops_per_s_per_synapse is None


def test_the_stored_movie_is_what_comes_in(shared):
    stage = memoryless(lambda p, x: x.astype(jnp.float32).sum() * p, about=("door",))
    model = Model("door", spec(), stage)
    light = cost(model, jnp.ones(4), a_split(spec()))
    stored = cost(model, jnp.ones(4), a_split(spec(), dtype=np.uint8))
    assert stored.flops_per_bin == light.flops_per_bin
    assert stored.total_ops_per_bin == light.total_ops_per_bin + 36
    assert stored.bytes_per_bin == light.bytes_per_bin - 3 * 36


def test_json_has_exactly_the_keys_of_the_contract(shared):
    model, params = made(shared, spec())
    for found in (
        cost(model, params),
        cost(model, params, a_split(spec()), species="salamander"),
    ):
        table = json.loads(json.dumps(as_json(found), allow_nan=False))
        assert list(table) == [
            "flops_per_bin",
            "flops_per_s",
            "flops_per_s_per_cell",
            "flops_per_s_alone",
            "flops_per_s_marginal",
            "flops_per_spike",
            "flops_per_bit",
            "flops_per_synaptic_event",
            "flops_per_s_per_synapse",
            "total_ops_per_bin",
            "params",
            "param_bytes",
            "state_bytes",
            "bytes_per_bin",
            "fan_in",
            "depth",
            "transcendentals_per_bin",
            "sparse_flops_per_bin",
            "bit_operations_per_bin",
            "by_part",
            "by_primitive",
            "by_kind",
            "setup",
            "flops_per_bin_with",
            "arithmetic_intensity",
            "parallel_width",
            "connections",
            "fan_ins",
            "fan_outs",
            "wire_um",
        ]
        assert table["flops_per_bin_with"] == {"1": 814, "10": 940, "20": 1080}
        assert table["by_kind"]["flops"] == table["flops_per_bin"]
        for rows in (table["by_part"], table["by_primitive"]):
            told = sum(row["flops"] for row in rows.values())
            assert told == table["flops_per_bin"]
    assert set(table["flops_per_synaptic_event"]) == {"low", "high"}


def test_several_runs_cost_as_many_times_one_and_share_their_parameters(shared):
    model, params = made(shared, spec())
    one, three = (cost(model, params, a_split(spec()), runs=n) for n in (1, 3))
    assert three.flops_per_bin == 3 * one.flops_per_bin
    assert three.bytes_per_bin == 3 * one.bytes_per_bin
    assert three.params == one.params
    assert three.flops_per_s_marginal == pytest.approx(50 * 3 * 30)
    assert "2,442, 2,820, 3,240" in three.notes[1], "as all other figures: of all runs"
    with pytest.raises(BadSetting, match="runs 0"):
        cost(model, params, runs=0)


def test_weights_of_a_transcendental_stand_in_the_notes(shared):
    model, params = made(shared, spec())
    step = trace_step(model, params).work().step
    assert [step.flops_with(w) for w in (1, 10, 20)] == [814, 940, 1080]
    assert "814, 940, 1,080" in cost(model, params).notes[0]


@pytest.mark.parametrize("name", ["mean", "ln"])
def test_registered_models_have_a_cost(name):
    """Shapes alone: a cost needs no fit."""
    model = retina.model(name, spec(cells=3, frame=(12, 12)))
    shapes = jax.eval_shape(model.stage.init, jax.random.key(0))
    found = cost(model, shapes)
    given = cost(model, model.stage.init(jax.random.key(0)))
    assert as_json(found) == as_json(given)
    assert found.flops_per_s_alone is not None
    assert found.flops_per_s_marginal is not None
    assert math.isfinite(found.flops_per_s)
    # No part is shared: each cell costs the same.
    assert found.flops_per_s_alone == pytest.approx(found.flops_per_s_per_cell)
    assert found.flops_per_s_marginal == pytest.approx(found.flops_per_s_per_cell)


def test_ln_in_closed_form():
    """Full filter: taps x window products per cell, then a softplus with a gain."""
    model = retina.model("ln", spec(cells=3, frame=(9, 9)), lags=8, rank=None, window=9)
    found = cost(model, model.stage.init(jax.random.key(0)))
    filters = found.counts["bin"].macs
    assert filters == 3 * 8 * 81
    assert found.by_part["output"]["transcendentals"] == 2 * 3
    assert found.fan_in == 8 * 81
