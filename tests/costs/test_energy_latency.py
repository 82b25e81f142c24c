"""Energy is a sum over a table; latency is a clock."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

import retina
from retina.costs.counts import Counts
from retina.costs.energy import energy, rows
from retina.costs.latency import latency
from retina.errors import BadSetting
from retina.types import Spec
from tests.reports.points import point


def priced(**kinds):
    cost = point("ln", 0.5, 3e5).cost
    return dataclasses.replace(
        cost, counts={"bin": Counts(**kinds)}, rates_hz={"bin": 100.0}, bytes_per_bin=80
    )


def of(cost, precision, level):
    (found,) = (
        one for one in energy(cost) if (one.precision, one.level) == (precision, level)
    )
    return found


def test_each_number_has_a_mark_and_a_source():
    for row in rows():
        assert row["mark"] in ("read", "recalled")
        assert len(row["source"]) > 10


def test_a_multiply_add_of_floats_is_4_6_pj_and_an_accumulate_0_9():
    """Horowitz 2014: 3.7 + 0.9. 80 bytes are ten words of 64 bits, of 10 pJ each."""
    found = of(priced(macs=1000), "float32", "8 kB cache")
    assert found.compute_pj == pytest.approx(4600)
    assert found.memory_pj.low == found.memory_pj.high == pytest.approx(100)
    assert found.power_w.low == pytest.approx(4700e-12 * 100)
    assert (found.mark, found.left_out) == ("read", ())
    spikes = of(priced(acs=1000), "float32", "8 kB cache")
    assert spikes.compute_pj == pytest.approx(900)


def test_memory_dominates_and_fewer_bits_move_less():
    dram = of(priced(macs=10), "float32", "DRAM")
    assert dram.memory_pj.low == pytest.approx(13000) and dram.mark == "recalled"
    assert dram.memory_pj.low > 100 * dram.compute_pj
    int8 = of(priced(macs=10), "int8", "DRAM")
    assert int8.compute_pj == pytest.approx(2.3)
    assert int8.memory_pj.high == pytest.approx(26000 / 4)


def test_work_without_a_number_is_told_and_not_made_up():
    cost = priced(macs=10, transcendentals=3, randoms=2, divides=1)
    assert of(cost, "float32", "DRAM").left_out == ("transcendentals", "randoms")
    assert of(cost, "int8", "DRAM").left_out == (
        "divides",
        "transcendentals",
        "randoms",
    )


def test_latency_is_of_every_bin_and_names_its_device():
    model = retina.model("ln", Spec((4, 4), 2, 0.02), lags=3, rank=1)
    params = model.stage.init(jax.random.key(0))
    frames = np.ones((3, 4, 4), np.uint8)  # fewer than bins: over again
    found = latency(model, params, frames, bins=5)
    assert found.bins == 5
    assert 0 < found.median_s <= found.p95_s
    assert found.real_time_factor == pytest.approx(0.02 / found.median_s)
    assert "jax" in found.device
    heard = retina.model("glm", model.spec, lags=3, history=2, history_basis=2)
    silent = latency(heard, heard.stage.init(jax.random.key(0)), bins=2)
    assert 0 < silent.median_s
    with pytest.raises(BadSetting, match="bins 0"):
        latency(model, params, bins=0)
