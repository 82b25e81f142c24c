"""Which of several equal ways to compute something is the fastest on this device.

Measured once for each device and shape, and kept on disk beside the compiled programs,
so that a fit that is made again does the same sums in the same order. One that goes on
has them in its checkpoint.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from retina import atomic, lock, resources
from retina.errors import UnwritableFolder

TURNS = 2
REPEATS = 3  # the quickest of these counts: what else the machine does only adds time
BEATEN, LONG = 3, 0.2  # so many times slower and so many seconds: not tried again
Times = dict[str, float]

_measured: dict[str, Times] = {}
_lock = threading.Lock()


class _Thread(threading.local):
    """Whether this thread was started to measure, or is to count alone, and what its
    fit has taken."""

    racing = False
    plain = False
    taken: dict[str, str] | None = None

    def race(self) -> None:
        self.racing = True


_here = _Thread()


def fastest(
    what: str,
    shape: Sequence[int],
    ways: Mapping[str, Callable[..., Any]],
    arguments: Callable[[], tuple[Any, ...]],
) -> str:
    """The name of the quickest of `ways` here, with its gradient in every argument.

    They are raced inside a loop, as a fit has them: XLA compiles some of them otherwise
    there, many times slower.

    what:      the operation's name.
    shape:     whatever tells two sizes of it apart.
    ways:      name -> function of `arguments()`, the plain one last; all give the same
               result. One that fails (for want of memory) is out of the race.
    arguments: makes arrays of the size to be measured; called where nothing is known.

    >>> fastest("none", (1,), {"only": lambda x: x}, lambda: (1.0,))
    'only'
    """
    if len(ways) == 1 or _here.plain:
        return [*ways][-1]
    key = f"{what} {'x'.join(map(str, shape))}"
    taken = {} if _here.taken is None else _here.taken
    if taken.get(key) not in ways:
        taken[key] = _quickest(key, ways, arguments)
    return taken[key]


@contextlib.contextmanager
def taking(choices: dict[str, str]) -> Iterator[None]:
    """Within it this thread takes these ways, and adds those it chooses anew.

    choices: operation and shape -> the name of a way.
    """
    before, _here.taken = _here.taken, choices
    try:
        yield
    finally:
        _here.taken = before


def taken() -> dict[str, str]:
    """The ways that were taken since `taking` began."""
    return dict(_here.taken or {})


def _quickest(key: str, ways: Mapping[str, Callable[..., Any]], arguments) -> str:
    # A way may itself be made of what is raced: the race around it holds the lock.
    with contextlib.nullcontext() if _here.racing else _lock:
        known = _known(key, ways)
        if known is None:
            # A thread of its own: this one may be in the middle of tracing a program,
            # and would trace the measurement into it.
            race = functools.partial(_race, ways, arguments, _precision())
            with ThreadPoolExecutor(1, initializer=_here.race) as pool:
                known = pool.submit(race).result()
            _keep(key, known)
        return min(known, key=known.__getitem__)


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """Within it nothing is measured: `fastest` names the last, plain way.

    What is counted there is the same on every machine.
    """
    before, _here.plain = _here.plain, True
    try:
        yield
    finally:
        _here.plain = before


def measured() -> dict[str, Times]:
    """What is known of this device: operation and shape -> seconds of each way."""
    return _stored() | _measured


@functools.cache
def device() -> str:
    """The device's kind, its cores where it is a CPU, and the version of jax."""
    import jax

    one = jax.devices()[0]
    cores = f", {os.cpu_count()} cores" if one.platform == "cpu" else ""
    return f"{one.device_kind}{cores}, jax {jax.__version__}"


def place() -> Path:
    """The file of what was measured, one table per device."""
    return resources.derived() / "formulations.json"


def _known(key: str, ways: Mapping[str, Any]) -> Times | None:
    times = _measured.get(key) or _stored().get(key)
    if times is None or set(times) != set(ways):
        return None
    _measured[key] = times
    return times


def _stored() -> dict[str, Times]:
    return _file().get(device(), {})


def _file() -> dict[str, dict[str, Times]]:
    try:
        whole = json.loads(place().read_text())
        return {
            name: {key: dict(t) for key, t in whole[name].items()} for name in whole
        }
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return {}  # not there yet, or not ours: measured again


def _keep(key: str, times: Times) -> None:
    _measured[key] = times
    if not all(map(math.isfinite, times.values())):
        return  # memory may be less short the next time
    try:
        # In turn: another process keeps what it has measured in the same file.
        with lock.in_turn(place().with_suffix(".lock")):
            whole = _file()
            whole[device()] = whole.get(device(), {}) | {key: times}
            atomic.write_file(place(), json.dumps(whole, indent=1).encode())
    except UnwritableFolder:
        pass  # known for as long as this process lives


def _precision() -> str | None:
    """How exact this thread asks products to be: a setting that each has for itself."""
    import jax

    return jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]


def _race(
    ways: Mapping[str, Callable[..., Any]], arguments, precision: str | None
) -> Times:
    import jax

    with jax.default_matmul_precision(precision):
        return _times(ways, arguments())


def _times(ways: Mapping[str, Callable[..., Any]], given) -> Times:
    import jax

    times: Times = {}
    for name, way in ways.items():
        run = _loop(way, len(given))
        try:
            jax.block_until_ready(run(0, *given))  # compiled, and nothing computed
            best = _timed(run, 1, given)
            hopeless = best > max(BEATEN * min(times.values(), default=best), LONG)
            if not hopeless:
                repeats = [_timed(run, TURNS, given) for _ in range(REPEATS)]
                best = min(best, *repeats)
            times[name] = best
        except jax.errors.JaxRuntimeError:  # out of memory
            times[name] = float("inf")
    return times


def _loop(way: Callable[..., Any], count: int):
    """(turns, *arrays) -> arrays: so many steps down the gradient of a way's output."""
    import jax
    import jax.numpy as jnp

    def loss(*arrays):
        return jnp.mean(jnp.square(way(*arrays)))

    def turn(_, arrays):
        # What the turn before found enters, so that nothing is computed once only.
        slopes = jax.grad(loss, tuple(range(count)))(*arrays)
        return tuple(a - 1e-6 * s for a, s in zip(arrays, slopes, strict=True))

    return jax.jit(lambda turns, *arrays: jax.lax.fori_loop(0, turns, turn, arrays))


def _timed(run, turns: int, given) -> float:
    """Seconds per turn."""
    import jax

    begun = time.perf_counter()
    jax.block_until_ready(run(turns, *given))
    return (time.perf_counter() - begun) / turns
