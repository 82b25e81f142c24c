"""Published models of one neuron: sizes and prices worked out from their papers."""

from __future__ import annotations

import pytest

from benchmarks.neuron import convolutions, leaky_memory, leaky_memory_as_coded


def test_the_temporal_convolution():
    """54 x 1278 x 128 and six of 12 x 128 x 128 multiply-adds per millisecond."""
    found = convolutions()
    first, rest = 54 * 1278 * 128, 6 * 12 * 128 * 128
    assert found.params == first + rest + 7 * 128
    assert found.dense == 1000 * (2 * (first + rest) + 7 * 128)
    assert first / (first + rest) == pytest.approx(0.88, abs=0.005)
    # By hand to two digits: 2.0e10 a second, 1.4e6 and 1.7e5 per spike.
    assert found.dense == pytest.approx(2.0e10, rel=0.01)
    assert found.dense_per_spike == pytest.approx(1.4e6, rel=0.05)
    assert found.event_per_spike == pytest.approx(1.7e5, rel=0.05)


# Published sizes, and FLOP/s as coded worked out by hand to two digits.
SIZES = {
    1: (4601, 1.8e7), 2: (4708, 1.8e7), 3: (4823, 1.9e7), 5: (5077, 1.9e7),
    7: (5363, 2.0e7), 10: (5852, 2.1e7), 15: (6827, 2.3e7), 20: (8002, 2.5e7),
    25: (9377, 2.8e7), 30: (10952, 3.1e7), 50: (19252, 4.8e7), 75: (34127, 7.8e7),
    100: (54002, 1.2e8),
}  # fmt: skip


@pytest.mark.parametrize("memory", SIZES)
def test_every_published_size(memory):
    params, coded = SIZES[memory]
    assert leaky_memory(memory).params == params
    assert float(f"{leaky_memory_as_coded(memory):.2g}") == coded


@pytest.mark.parametrize(
    "memory, coded, collapsed, per_spike",
    [(5, 1.9e7, 1.3e6, 95), (10, 2.1e7, 2.9e6, 205), (20, 2.5e7, 7.2e6, 520)],
)
def test_the_leaky_memory_neuron(memory, coded, collapsed, per_spike):
    """Worked out by hand to two digits, each step of the mlp counted."""
    found = leaky_memory(memory)
    assert found.event == pytest.approx(collapsed, rel=0.03)
    assert found.event_per_spike == pytest.approx(per_spike, rel=0.03)
    assert leaky_memory_as_coded(memory) == pytest.approx(coded, rel=0.03)
    assert found.event < found.dense < leaky_memory_as_coded(memory)


def test_the_same_map_spans_four_orders_of_magnitude():
    assert convolutions().dense > 1e4 * leaky_memory(5).event
