"""A lock leaves nothing open twice, or closed twice."""

from __future__ import annotations

import pytest

from retina import lock
from retina.errors import UnwritableFolder


def test_a_file_that_cannot_be_opened_again_is_told_and_closed_once(
    tmp_path, monkeypatch
):
    """The number of what is closed twice may be another thread's file by then."""
    opened = lock._open(tmp_path / "lock", tmp_path)
    handles = iter([opened])

    def once(file, folder):
        for handle in handles:
            return handle
        raise UnwritableFolder("gone")

    monkeypatch.setattr(lock, "_open", once)
    monkeypatch.setattr(lock, "_stands", lambda handle, file: False)
    with pytest.raises(UnwritableFolder, match="gone"), lock.held(tmp_path):
        pass
