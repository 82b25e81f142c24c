"""Processes of one module: what they say is read when they have ended."""

from __future__ import annotations

import pytest

from retina.data import workers
from retina.errors import BadSetting

SAYS_MUCH = """
import signal, sys
signal.alarm(5)  # so that a process that waits for its reader ends
sys.stderr.write("x" * 200_000 + "\\n")
if '"fails": true' in sys.argv[1]:
    sys.exit("retina.errors.BadSetting: as asked")
"""


def test_a_process_may_say_more_than_a_pipe_holds(tmp_path, monkeypatch):
    (tmp_path / "says_much.py").write_text(SAYS_MUCH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    workers.run("says_much", [{}], "saying")
    with pytest.raises(BadSetting, match="as asked"):
        workers.run("says_much", [{"fails": True}], "saying")
