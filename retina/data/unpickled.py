"""A pickle opened so that nothing in it is run: arrays and plain containers alone.

A pickle is a program: it says which functions to call. Here none of Python's or numpy's
is ever called by it. The few names that arrays are pickled with lead to classes of this
file, which put an array together from its bytes; any other name is an error.
"""

from __future__ import annotations

import collections
import math
import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np

from retina.errors import UnreadableFile

_ARRAYS = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
_BUFFERS = ("numpy.core.numeric", "numpy._core.numeric")


def opened(path: Path) -> Any:
    """What a pickle holds; each array as an `Array`.

    raises: UnreadableFile for a name that is neither; whatever else unpickling raises.
    """
    with open(path, "rb") as file:
        return _Plain(file, encoding="latin1").load()


def called(path: Path) -> list[str]:
    """The names that a pickle would look up if it were opened; nothing is run."""
    reader: _Listing | None = None
    try:
        with open(path, "rb") as file:
            reader = _Listing(file, encoding="latin1")
            reader.load()
    except Exception as error:  # unpickling raises whatever kind it likes
        if reader is None or not reader.names:
            said = " ".join(str(error).split())[:200]
            raise UnreadableFile(f"{path} is not a readable pickle ({said})") from None
    return list(reader.names)


class _Nothing:
    """Stands for all that a pickle names, and does nothing."""

    def __init__(self, *ignored: Any, **also: Any) -> None:
        pass

    def __hash__(self) -> int:
        return id(self)

    __call__ = __setstate__ = __setitem__ = append = extend = add = __init__


class _Listing(pickle.Unpickler):
    def __init__(self, file: Any, **settings: Any) -> None:
        super().__init__(file, **settings)
        self.names: dict[str, None] = {}

    def find_class(self, module: str, name: str) -> Any:
        self.names[f"{module}.{name}"] = None
        return _Nothing

    def persistent_load(self, pid: Any) -> Any:
        self.names["something outside of the file"] = None
        return _Nothing()


class _Dtype:
    """A dtype of numbers or text by its name; what else the pickle says is its order.

    What the pickle gives as its state goes no further than the byte order.
    """

    def __init__(self, word: Any, *ignored: Any) -> None:
        word = word.decode() if isinstance(word, bytes) else word
        # No fields, no objects, no dates, no dtype within a dtype.
        if not isinstance(word, str) or word[:1] not in "biufcSU?" or "," in word:
            raise UnreadableFile(f"the pickle holds an array of dtype {word!r}")
        self.dtype = np.dtype(word)

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "|"
        order = order.decode() if isinstance(order, bytes) else order
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class Array:
    """An array, which is put together from its bytes when they have come."""

    made: np.ndarray | list | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        self.made = _built(raw, dtype, shape, "F" if fortran else "C")


def _built(raw: Any, dtype: Any, shape: Any, order: Literal["C", "F"]) -> np.ndarray:
    if not isinstance(dtype, _Dtype):
        raise UnreadableFile(f"the pickle holds an array of dtype {dtype!r}")
    raw = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
    kind = dtype.dtype
    shape = tuple(int(n) for n in shape)
    if min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize != len(raw):
        raise UnreadableFile(
            f"the pickle holds {len(raw)} bytes for an array of {kind} {shape}"
        )
    if not raw:
        return np.zeros(shape, kind)
    return np.frombuffer(raw, kind).reshape(shape, order=order)


class _Function:
    """What a pickle may call. A plain function has attributes that it could set."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise UnreadableFile("the pickle sets the state of a function")


class _Started(_Function):
    __slots__ = ()

    def __call__(self, *ignored: Any) -> Array:
        return Array()


class _Scalar(_Function):
    __slots__ = ()

    def __call__(self, dtype: Any, raw: Any) -> np.ndarray:
        return _built(raw, dtype, (), "C")


class _FromBuffer(_Function):
    __slots__ = ()

    def __call__(self, raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
        return _built(raw, dtype, shape, "F" if order == "F" else "C")


class _Encoded(_Function):
    """How pickles of Python 2 keep bytes."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise UnreadableFile(f"the pickle encodes text as {encoding!r}")
        return text.encode("latin1")


class _Bytes(_Function):
    __slots__ = ()

    def __call__(self, given: Any = b"", *ignored: Any) -> bytes:
        if isinstance(given, int):  # so many zeros
            raise UnreadableFile("the pickle holds bytes without saying which")
        return given.encode("latin1") if isinstance(given, str) else bytes(given)


def _known() -> dict[tuple[str, str], Any]:
    table: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("_codecs", "encode"): _Encoded(),
    }
    for module in _ARRAYS:
        table[module, "_reconstruct"] = _Started()
        table[module, "scalar"] = _Scalar()
        table[module, "dtype"] = _Dtype
        table[module, "ndarray"] = Array
    for module in _BUFFERS:
        table[module, "_frombuffer"] = _FromBuffer()
    for module in ("builtins", "__builtin__"):
        for one in (set, frozenset, complex):
            table[module, one.__name__] = one
        table[module, "bytes"] = table[module, "bytearray"] = _Bytes()
    return table


class _Plain(pickle.Unpickler):
    table = _known()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.table:
            raise UnreadableFile(
                f"the pickle wants {module}.{name}, which is neither an array of "
                "numbers nor a plain container: nothing of it was run or written. Save "
                "the arrays alone with numpy.savez, where you trust the file"
            )
        return self.table[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise UnreadableFile("the pickle refers to things outside of it")
