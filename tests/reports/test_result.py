"""The file that holds all that a sweep found."""

from __future__ import annotations

import dataclasses
import json

from retina.reports import result
from tests.reports.points import point


def test_every_figure_is_kept_and_is_strict_json(tmp_path):
    one = point("ln", 0.5, 100.0)
    file = result.write(result.result([one], {one.run: "ln rank=1"}), tmp_path)
    text = file.read_text()
    assert "NaN" not in text and "Infinity" not in text
    (row,) = json.loads(text)["points"]
    assert (row["run"], row["label"], row["model"]) == (one.run, "ln rank=1", "ln")
    for name, metric in one.score.metrics.items():
        kept = row["scores"][0]["metrics"][name]
        assert kept["median"] == metric.median
    assert row["cost"]["flops_per_bin"] == one.cost.flops_per_bin
    assert {"jax", "retina-frontier"} & set(json.loads(text)["versions"])


def test_a_recording_without_a_claim_per_synapse_has_no_such_figure():
    one = point("ln", 0.5, 100.0)
    costs = dataclasses.replace(one.cost, synapse_claims=False)
    flat = dataclasses.replace(one, cost=costs)
    for given, shown in ((one, True), (flat, False)):
        cost = result.result([given], {})["points"][0]["cost"]
        assert (cost["flops_per_synaptic_event"] is not None) == shown
        assert (cost["flops_per_s_per_synapse"] is not None) == shown
        assert cost["flops_per_spike"] == given.cost.flops_per_spike


def test_what_may_not_be_published_is_left_out_and_named(tmp_path):
    open_, closed = point("ln", 0.5, 100.0), point("cnn", 0.6, 200.0)
    closed = dataclasses.replace(
        closed,
        dataset="secret",
        score=dataclasses.replace(closed.score, publish=False),
    )
    told = [{"recording": "secret"}, {"recording": "simulated"}]
    made = result.result([open_, closed], {}, headlines=told, untried=told)
    assert [row["model"] for row in made["points"]] == ["ln"]
    assert made["withheld"] == ["secret"]
    assert made["headlines"] == made["untried"] == told[1:]
