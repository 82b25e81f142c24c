"""What a run keeps of its point, and what of it is read anew."""

from __future__ import annotations

import pytest

from retina import store
from retina.data import card as cards
from retina.search import records
from tests.reports.points import point


def record_of(one, **spec):
    kept = {"model": one.model, "dataset": one.dataset, "settings": {}, "spec": spec}
    return store.loads(store.dumps(kept | records.describe(one)))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"frame": (), "event": "quantum"}, ("quantum", False)),
        ({"frame": (7, 6), "event": "spike"}, ("spike", True)),
    ],
)
def test_the_spec_of_an_older_run_tells_what_its_cost_is_of(spec, told):
    record = record_of(point("ln", 0.5, 1e4), **spec)
    for name in ("event", "synapse_claims"):
        del record["cost"][name]
    found = records.point_of(record, "ln").cost
    assert (found.event, found.synapse_claims) == told


def test_a_card_says_today_whether_results_may_be_shown():
    kept = point("ln", 0.5, 1e4)
    card = cards.read("simulated")
    for publish in (False, True, False):
        kept = records.as_now(kept, card.model_copy(update={"publish": publish}))
        assert kept.score.publish is publish
