"""Rules at a synapse against the operations that stand in their equations."""

from __future__ import annotations

import pytest

from retina.costs.local_rules import RULES, per_event, per_synapse


@pytest.mark.parametrize("name, flops, neurons", [
    ("hebb", 2, 1),  # a product and a sum; the rate times pre once per source
    ("oja", 4, 1 + 2),  # and post's square times the rate once per target
    ("three_factor", 5, 0),  # leak, product, sum; times the signal, sum
])  # fmt: skip
def test_per_synapse(name, flops, neurons):
    for side in (10, 1000):
        assert per_synapse(name, side, side) == pytest.approx(flops + neurons / side)


def test_at_ten_spikes_a_second_a_dense_trace_costs_hundreds_per_spike():
    assert per_event("three_factor", 10, 0.001) == pytest.approx(500)


def test_a_rule_says_what_it_keeps_and_where_it_comes_from():
    assert [rule.states for rule in RULES.values()] == [0, 0, 1]
    assert all(rule.source for rule in RULES.values())
