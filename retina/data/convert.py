"""The verb `convert`: a pickle's arrays, as an npz that can run nothing.

A pickle is a program: it says which functions to call. Here none of Python's or numpy's
is ever called by it. The few names that arrays are pickled with lead to classes of this
file, which put an array together from its bytes; any other name is an error.
"""

from __future__ import annotations

import collections
import itertools
import math
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy_format

from retina import atomic
from retina.errors import BadSetting, MissingData, RetinaError, UnreadableFile

_ARRAYS = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
_BUFFERS = ("numpy.core.numeric", "numpy._core.numeric")
_MOST = 10_000  # containers, arrays and numbers of one file
_UNNAMED = re.compile(r"[/\\\x00\ud800-\udfff]")  # what no file in a zip is named
_LONGEST = 1000  # letters of a name


def convert(source: str | Path, out: str | Path, *, trust: bool = False) -> list[str]:
    """Writes the arrays and numbers of a pickle into an npz file.

    source: a pickle of arrays, numbers, text, lists, tuples and dicts of these.
    out:    the npz. What lies in dicts and lists is named by its keys and places, with
            dots between: "trial_separation.2022".
    trust:  without it nothing is read but the names of what the pickle would call.
    returns: a line for each array, or, without `trust`, for each name.
    raises:  UnreadableFile that names the first thing in it that is not an array or a
             plain container; MissingData; BadSetting.

    >>> convert("no.pkl", "no.npz")
    Traceback (most recent call last):
    retina.errors.MissingData: there is no no.pkl
    """
    path, place = Path(source).expanduser(), Path(out).expanduser()
    if not path.is_file():
        raise MissingData(f"there is no {path}")
    if place.suffix != ".npz":
        raise BadSetting(f"--out {place}: name a file that ends in .npz")
    if not trust:
        return called(path)
    try:
        with open(path, "rb") as file:
            held = _Plain(file, encoding="latin1").load()
        named = _named(held)
    except RetinaError:
        raise
    except MemoryError:
        raise UnreadableFile(f"{path} holds more than fits into memory") from None
    except Exception as error:  # unpickling raises whatever kind it likes
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UnreadableFile(f"{path} is not a readable pickle ({said})") from None
    if not named:
        raise UnreadableFile(f"{path} holds no array")
    with atomic.explained(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = place.with_name(f".{place.name}.part.npz")
        try:
            _write(aside, named)
            aside.replace(place)
        finally:
            aside.unlink(missing_ok=True)
    return [f"{key}: {each.dtype} {each.shape}" for key, each in named.items()]


def _named(held: Any) -> dict[str, np.ndarray]:
    """raises: UnreadableFile where two arrays would have one name."""
    named: dict[str, np.ndarray] = {}
    for name, each in _flat("", held, 0, itertools.count()):
        if name in named:
            raise UnreadableFile(
                f"two arrays would be named {name[:60]!r}, and one of them lost: save "
                "them under other names with numpy.savez, where you trust the file"
            )
        named[name] = each
    return named


def _write(path: Path, named: dict[str, np.ndarray]) -> None:
    """As `numpy.savez` does, whose own arguments no array may be named after."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, each in named.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                npy_format.write_array(file, each, allow_pickle=False)


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


class _Array:
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

    def __call__(self, *ignored: Any) -> _Array:
        return _Array()


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
        table[module, "ndarray"] = _Array
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


def _flat(
    name: str, held: Any, depth: int, count: Iterator[int]
) -> Iterator[tuple[str, np.ndarray]]:
    """Each array of nested containers, by the keys and places that lead to it.

    count: of all that was looked at: a few bytes may hold one list many times over.
    """
    if next(count) >= _MOST:
        raise UnreadableFile(f"the pickle holds more than {_MOST} things")
    if len(name) > _LONGEST:
        raise UnreadableFile(f"a name of {len(name)} letters: {name[:60]}")
    if depth > 20:
        raise UnreadableFile(f"{name[:60]}: dicts within dicts, 20 deep")
    if isinstance(held, _Array):
        held = held.made
    if isinstance(held, np.ndarray | bool | int | float | complex | str):
        found = np.asarray(held)
        if found.dtype.kind == "O":
            raise UnreadableFile(f"{name or 'the pickle'} is a number beyond 64 bits")
        yield name or "array", found
        return
    if isinstance(held, dict):
        items = list(held.items())
    elif isinstance(held, list | tuple | set | frozenset):
        items = list(enumerate(held))
        if items and all(isinstance(one, bool | int | float | str) for _, one in items):
            kinds = {str if isinstance(one, str) else float for _, one in items}
            found = np.array([one for _, one in items]) if len(kinds) == 1 else None
            if found is not None and found.dtype.kind != "O":
                yield name or "array", found
                return
    elif held is None:
        return
    else:
        raise UnreadableFile(
            f"{name or 'the pickle'} is {type(held).__name__}, neither an array of "
            "numbers nor a plain container"
        )
    for key, one in items:
        if not isinstance(key, str | int | float):
            raise UnreadableFile(f"{name or 'the pickle'} has the key {key!r}: no text")
        word = _UNNAMED.sub("_", str(key)).strip(".")
        path = f"{name}.{word}" if name else word or "_"
        yield from _flat(path, one, depth + 1, count)
