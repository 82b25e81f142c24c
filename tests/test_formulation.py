"""The choice among equal ways: measured once, kept, taken up by the next process."""

from __future__ import annotations

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retina import formulation, lock
from retina.exact import in_float32
from retina.layers import convolution


@pytest.fixture(autouse=True)
def empty(monkeypatch, tmp_path):
    """A device of which nothing is known."""
    monkeypatch.setattr(formulation, "_measured", {})
    monkeypatch.setattr(formulation, "place", lambda: tmp_path / "formulations.json")


def slow(x):
    """Twice x, by a detour of thousands of steps."""
    there = jax.lax.scan(lambda y, _: (y * 1.001, None), 2 * x, length=3000)[0]
    return jax.lax.scan(lambda y, _: (y / 1.001, None), there, length=3000)[0]


def quick(x):
    return 2 * x


def ones():
    return (jnp.ones(3),)


def refuse():
    raise AssertionError("measured again")


WAYS = {"slow": slow, "quick": quick}


def test_the_quicker_way_wins_and_is_remembered(monkeypatch):
    assert formulation.fastest("sum", (3,), WAYS, ones) == "quick"
    times = formulation.measured()["sum 3"]
    assert times["slow"] > times["quick"] > 0
    assert formulation.fastest("sum", (3,), WAYS, refuse) == "quick"
    # Another process knows only the file.
    monkeypatch.setattr(formulation, "_measured", {})
    assert formulation.fastest("sum", (3,), WAYS, refuse) == "quick"
    stored = json.loads(formulation.place().read_text())
    assert stored == {formulation.device(): {"sum 3": times}}


def test_another_shape_or_another_set_of_ways_is_measured_anew():
    formulation.fastest("sum", (3,), WAYS, ones)
    with pytest.raises(AssertionError, match="measured again"):
        formulation.fastest("sum", (4,), WAYS, refuse)
    with pytest.raises(AssertionError, match="measured again"):
        formulation.fastest("sum", (3,), WAYS | {"third": quick}, refuse)


def test_a_way_may_be_made_of_what_is_raced():
    def nested(x):
        return WAYS[formulation.fastest("sum", (3,), WAYS, ones)](x)

    ways = {"nested": nested, "slow": slow}
    assert formulation.fastest("outer", (3,), ways, ones) == "nested"
    assert set(formulation.measured()) == {"outer 3", "sum 3"}


@pytest.mark.parametrize(
    "text", ["{ not json", "[]", '{"here": 1}', '{"here": {"x": 2}}']
)
def test_a_damaged_file_is_measured_over(text):
    formulation.place().write_text(text)
    assert formulation.fastest("sum", (3,), WAYS, ones) == "quick"
    assert "sum 3" in json.loads(formulation.place().read_text())[formulation.device()]


def test_a_way_that_was_taken_is_taken_again():
    """Whatever is known by now; a way that is gone is chosen anew."""
    choices = {"sum 3": "slow", "sum 4": "gone"}
    with formulation.taking(choices):
        assert formulation.fastest("sum", (3,), WAYS, refuse) == "slow"
        assert formulation.fastest("sum", (4,), WAYS, ones) == "quick"
        assert formulation.taken() == {"sum 3": "slow", "sum 4": "quick"}
    assert formulation.taken() == {}
    assert formulation.fastest("sum", (3,), WAYS, ones) == "quick"


def test_inside_a_trace_nothing_of_the_measurement_enters_the_program():
    @jax.jit
    def chosen(x):
        name = formulation.fastest("sum", (3,), WAYS, ones)
        return WAYS[name](x)

    assert chosen(jnp.ones(3)).tolist() == [2, 2, 2]
    assert "scan" not in str(jax.make_jaxpr(chosen)(jnp.ones(3)))


def test_a_large_convolution_is_measured_and_a_small_one_is_not():
    convolution.convolve(jnp.ones((2, 6, 6, 1)), jnp.ones((3, 3, 1, 2)))
    assert not formulation.measured()
    x = np.random.default_rng(0).standard_normal((1000, 12, 12, 4), np.float32)
    kernel = np.random.default_rng(1).standard_normal((5, 5, 4, 8), np.float32)
    made = convolution.convolve(jnp.asarray(x), jnp.asarray(kernel))
    (times,) = formulation.measured().values()
    assert set(times) == {"xla", "spectral"}
    plain = convolution.plain(jnp.asarray(x), jnp.asarray(kernel))
    np.testing.assert_allclose(made, plain, rtol=1e-4, atol=1e-4)


def test_what_is_counted_alone_is_the_plain_way_and_nothing_is_measured():
    with formulation.plain():
        assert formulation.fastest("sum", (3,), WAYS, refuse) == "quick"  # the last
    assert not formulation.measured()
    with pytest.raises(AssertionError, match="measured again"):
        formulation.fastest("sum", (3,), WAYS, refuse)


def test_ways_are_raced_as_exactly_as_they_will_run():
    asked = set()

    def way(x):
        asked.add(jax.config.jax_default_matmul_precision)  # type: ignore[attr-defined]
        return x * 2

    in_float32(formulation.fastest)(
        "exact", (1,), {"one": way, "other": lambda x: x + x}, lambda: (jnp.ones(3),)
    )
    assert asked == {"float32"}


def test_two_that_keep_their_times_at_once_lose_none(monkeypatch):
    """As two processes on one file: each has read it before the other has written."""
    read, both = formulation._file, threading.Barrier(2)

    def slowly():
        whole = read()
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
        return whole

    monkeypatch.setattr(formulation, "_file", slowly)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(formulation._keep, ("one 1", "two 1"), ({"a": 1.0}, {"a": 2.0})))
    monkeypatch.setattr(formulation, "_measured", {})
    assert set(formulation.measured()) == {"one 1", "two 1"}


def test_who_is_stopped_while_it_waits_leaves_the_turn_to_its_holder(
    tmp_path, monkeypatch
):
    """Without the holder's file a third one would come in beside it."""
    file = tmp_path / "turn"

    def stopped(*_, **__):
        raise KeyboardInterrupt

    with lock.in_turn(file):
        monkeypatch.setattr(lock, "_taken", stopped)
        with pytest.raises(KeyboardInterrupt), lock.in_turn(file):
            pass
        assert file.exists()
    assert not file.exists()
