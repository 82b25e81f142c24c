"""Seconds of compiling: each once, and a program's parts within it."""

from __future__ import annotations

import threading

import jax
import jax.numpy as jnp
import pytest

from retina.fitting import compiling


def test_parts_of_a_program_are_counted_within_it(monkeypatch):
    now = iter([1.0, 2.0, 3.0, 5.0])
    monkeypatch.setattr(compiling.time, "perf_counter", lambda: next(now))
    made = compiling.Compiling()
    for seconds in (0.5, 0.25, 2.75, 1.0):
        made.add(seconds)
    # From .25 to 3 with two parts inside, and from 4 to 5.
    assert made.seconds == pytest.approx(3.75)


def test_what_is_known_already_and_what_others_compile_takes_nothing():
    program = jax.jit(lambda x: jnp.sin(x) * 3)
    other = jax.jit(lambda x: jnp.cos(x) * 3)
    given = jnp.ones(7)
    with compiling.counted() as first:
        program(given)
    with compiling.counted() as second:
        program(given)
        thread = threading.Thread(target=other, args=(given,))
        thread.start()
        thread.join()
    assert first.seconds > 0 and second.seconds == 0
