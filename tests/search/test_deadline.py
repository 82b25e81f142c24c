"""The file of a time limit, where the limit was not reached."""

from __future__ import annotations

import pytest

from retina.search import deadline


def test_the_mark_goes_however_the_block_ends(tmp_path):
    mark = tmp_path / "late"
    with deadline.ends(60, mark):
        assert mark.exists()
    assert not mark.exists()
    with pytest.raises(ValueError), deadline.ends(60, mark):
        raise ValueError
    assert not mark.exists()
