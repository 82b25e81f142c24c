"""Calls in a process apart: it may die, and the next call finds another."""

from __future__ import annotations

import os
import shutil
import signal

import numpy as np
import pytest
import scipy.io

from retina.apart import apart
from retina.data.matlab import variable
from retina.errors import OutOfMemory, UnreadableFile


def doubled(path: str, array: np.ndarray) -> tuple[int, np.ndarray]:
    print("no answer of mine")
    return os.getpid(), 2 * array


def killed(path: str, by: int = signal.SIGSEGV) -> None:
    os.kill(os.getpid(), by)


def left(path: str) -> None:
    os._exit(3)


def refused(path: str) -> None:
    raise UnreadableFile(f"{path} is a riddle")


def endless(path: str) -> None:
    while True:
        pass


def unknown(path: str) -> object:
    return lambda: path  # cannot be pickled


def test_one_process_serves_until_it_dies(monkeypatch):
    array = np.arange(1e6)
    first, got = apart(doubled, "a", array)
    np.testing.assert_array_equal(got, 2 * array)
    with pytest.raises(UnreadableFile, match="^b is a riddle$"):
        apart(refused, "b")
    with pytest.raises(Exception, match="pickle|local object"):
        apart(unknown, "b")
    assert apart(doubled, "a", array)[0] == first != os.getpid()
    with pytest.raises(UnreadableFile, match="^c is damaged.*ended with signal 11"):
        apart(killed, "c")
    assert apart(doubled, "a", array)[0] != first
    monkeypatch.setattr("retina.apart._AT_LEAST_S", 1)
    with pytest.raises(UnreadableFile, match="^d is damaged.*not done with it after 1"):
        apart(endless, "d")


def test_a_sound_file_is_not_called_damaged(monkeypatch):
    """Where the system ended the process, or it never ran."""
    with pytest.raises(OutOfMemory, match="^c was not read.*signal 9.*free some"):
        apart(killed, "c", signal.SIGKILL)
    with pytest.raises(UnreadableFile, match="^c was not read.*status 3.*-m retina"):
        apart(left, "c")
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    with pytest.raises(UnreadableFile, match="^c was not read.*ended with status 1;"):
        apart(doubled, "c", np.ones(1))


def test_a_matlab_file_that_kills_its_library_is_told(tmp_path):
    """One damaged number, the type of an array: scipy 1.17 dies of it."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"a": np.linspace(0, 1, 7)})
    np.testing.assert_array_equal(variable(tmp_path, "a.mat", "a")[0, -1], 1.0)
    raw = bytearray(path.read_bytes())
    at = raw.index(np.array([9, 56], "<u4").tobytes())  # miDOUBLE, seven of them
    raw[at : at + 4] = np.array([14], "<u4").tobytes()
    path.write_bytes(raw)
    with pytest.raises(UnreadableFile, match="a.mat is damaged.*ended with signal"):
        variable(tmp_path, "a.mat", "a")
