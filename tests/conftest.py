"""What holds for every test: strict numbers, no network, real data only where it is."""

from __future__ import annotations

import importlib.util
import mmap
import os
import socket
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

# Before jax is imported: many tests compile the same small programs, and so do the
# commands that they start.
_KEPT = Path(__file__).parent.parent / ".pytest_cache" / "xla"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_KEPT))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # see fast_code below
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each core has a worker
_ASKED = sys.argv[sys.argv.index("-m") + 1] if "-m" in sys.argv[:-1] else "not slow"

# One part of a program, not many to be compiled side by side: the cores have workers.
_IN_ONE_PART = ("xla_cpu_parallel_codegen_split_count", "1")
# The emitters of before jaxlib 0.11, where they are left, take less time.
_OF_OLD = ("xla_cpu_use_fusion_emitters", "false")


def _known(*flags: tuple[str, str]) -> list[str]:
    """Those that the XLA at hand has: one that it does not know ends the process."""
    told = []
    found = importlib.util.find_spec("jaxlib")
    for place in found.submodule_search_locations or () if found else ():
        for library in Path(place).glob("libjax_common*"):
            with (
                open(library, "rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
            ):
                for name, value in flags:
                    if text.find(name.encode() + b"\0") >= 0:
                        told.append(f"--{name}={value}")
    return told


if "PYTEST_XDIST_WORKER" not in os.environ:
    # Most of the time goes into compiling small programs that run once. Workers, whose
    # own arguments tell nothing, and commands inherit it.
    quick = (_IN_ONE_PART, _OF_OLD) if _ASKED == "not slow" else (_IN_ONE_PART,)
    os.environ.setdefault("XLA_FLAGS", " ".join(_known(*quick)))

import jax  # noqa: E402
import pytest  # noqa: E402

from retina import compiled  # noqa: E402

# Our own code mixes neither dtypes nor ranks. Updates of optax do: the fit wraps those
# in jax.numpy_dtype_promotion("standard").
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fast code where a test asks for it, as users have it; elsewhere quickly made."""
    quickly = "fast_code" not in item.keywords
    jax.config.update("jax_disable_most_optimizations", quickly)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(int(quickly))  # for commands


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long fits first: at the end no worker waits for one of them."""
    items.sort(key=lambda item: "fast_code" not in item.keywords)


def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """A test may be killed as it keeps what it compiled, beside others that read it."""
    compiled.drop_damaged(str(warning_message.message))


_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def _refuse(address: object) -> None:
    host = address[0] if isinstance(address, tuple) else "local"
    if host not in ("local", "localhost", "127.0.0.1", "::1"):
        raise RuntimeError(f"a test tried to reach the network: {address}")


def _guarded_connect(self: socket.socket, address):
    _refuse(address)
    return _connect(self, address)


def _guarded_connect_ex(self: socket.socket, address):
    _refuse(address)
    return _connect_ex(self, address)


socket.socket.connect = _guarded_connect  # type: ignore[method-assign]
socket.socket.connect_ex = _guarded_connect_ex  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def real() -> Callable[[str], Path]:
    """`real(name)` is the folder of a real recording; the test is skipped without it.

    Session-wide, so that a fixture of any scope may build on it.
    """

    def folder(name: str) -> Path:
        from retina import resources

        place = resources.cache() / name
        if not place.is_dir():
            pytest.skip(
                f"the recording {name} is not in {place.parent}: set RETINA_CACHE to "
                "the folder that holds it"
            )
        return place

    return folder
