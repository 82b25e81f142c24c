"""Kept prices: taken anew where anything that they depend on has changed."""

from __future__ import annotations

from types import SimpleNamespace

from retina import store
from retina.data import card as cards
from retina.data import identity
from retina.search import priced, work
from retina.search.job import Job


def test_a_kept_price_is_of_the_same_card_and_versions(tmp_path, monkeypatch):
    """Also of words of the card that leave its digest, and thus the runs, as it is."""
    card, counted = cards.read("simulated"), []
    split = SimpleNamespace(spec=SimpleNamespace(dataset="simulated"))
    given = SimpleNamespace(of=lambda job: (split, "digest"))
    monkeypatch.setattr(work, "splits", lambda folder: given)
    monkeypatch.setattr(priced, "_price", lambda *_: counted.append(1))

    def taken() -> int:
        """How often it is counted when it is asked for twice."""
        before = len(counted)
        for _ in range(2):
            told = priced._told(Job("mean", "simulated", "mean", {}, {}, ()), tmp_path)
            assert told == {"recording": "simulated", "cost": None}
        return len(counted) - before

    assert taken() == 1 and taken() == 0
    for changed in (
        {"publish": False},
        {"species": "mouse"},
        {"cell_types": {"0": "a"}},
    ):
        other = card.model_copy(update=changed)
        assert identity.digest(other) == identity.digest(card)
        monkeypatch.setattr(cards, "read", lambda _, other=other: other)
        assert taken() == 1
    monkeypatch.setattr(priced, "_sources", lambda: "another digest")
    assert taken() == 1
    platform = store.versions() | {"platform": "another machine"}
    monkeypatch.setattr(store, "versions", lambda: platform)
    assert taken() == 0
    monkeypatch.setattr(store, "versions", lambda: platform | {"jax": "later"})
    assert taken() == 1
    # A finished sweep answers where its recording is no longer at hand.
    for digest, times in (("card+files", 1), ("card", 0), ("card+edited", 1)):
        monkeypatch.setattr(identity, "digest", lambda _, digest=digest: digest)
        assert taken() == times


def test_an_edit_of_what_is_counted_or_counts_is_seen(tmp_path):
    """The version stays in a checkout; what only shows a price is let be."""
    digests = []
    for place in ("costs/walk.py", "costs/constants.toml", "layers/linear.py"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("1")
        digests.append(priced._sources.__wrapped__(tmp_path))
    (tmp_path / "costs/walk.py").write_text("2")
    digests.append(priced._sources.__wrapped__(tmp_path))
    assert len(set(digests)) == 4
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli/costing.py").write_text("1")
    assert priced._sources.__wrapped__(tmp_path) == digests[-1]
