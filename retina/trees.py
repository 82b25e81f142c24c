"""Trees of arrays as HDF5 bytes, bit for bit.

The file is made in memory and written in one go, so that a full disk is an ordinary
error and never an HDF5 handle that cannot be closed.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np

from retina import atomic
from retina.errors import BrokenRun

Tree = Any


def to_bytes(tree: Tree) -> bytes:
    """Nested dicts of arrays as an HDF5 file: a dict is a group, an array a dataset.

    tree:   keys are words without "/"; an empty dict stays an empty group.
    raises: TypeError for a leaf that is not an array or a number.

    >>> from_bytes(to_bytes({"a": {"b": np.arange(2)}, "c": {}}))
    {'a': {'b': array([0, 1])}, 'c': {}}
    """
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        _put(file, tree)
    return image.getvalue()


def from_bytes(data: bytes) -> Tree:
    """The inverse of `to_bytes`; arrays come back as numpy.

    raises: OSError where the bytes are not an HDF5 file.
    """
    with h5py.File(io.BytesIO(data), "r") as file:
        return _get(file)


def save_tree(path: str | Path, tree: Tree) -> None:
    """Any pytree into one file, for `load_tree`; the file is the old or the new one.

    tree:   arrays, numbers, random keys in any pytree; the leaves are kept in order.
    raises: UnwritableFolder.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "state.h5"
    >>> save_tree(file, (jnp.ones(2), 3))
    >>> load_tree(file, (jnp.zeros(2), 0))
    (Array([1., 1.], dtype=float32), 3)
    """
    leaves = jax.tree.leaves(tree)
    named = {f"{index:05d}": _plain(leaf) for index, leaf in enumerate(leaves)}
    atomic.write_file(Path(path), to_bytes(named))


def load_tree(path: str | Path, like: Tree) -> Tree:
    """What `save_tree` wrote.

    like:    a tree of the same structure, shapes and dtypes (its values do not matter).
    returns: a tree of the kinds of leaves that `like` has: jax, numpy, or Python.
    raises:  BrokenRun where the file is damaged or holds another tree.
    """
    leaves, structure = jax.tree.flatten(like)
    try:
        stored = from_bytes(Path(path).read_bytes())
    except OSError as error:
        raise BrokenRun(f"{path} cannot be read ({error}): delete it") from error
    found = [stored[name] for name in sorted(stored)]
    if len(found) != len(leaves):
        raise BrokenRun(
            f"{path} holds {len(found)} arrays, not {len(leaves)}: delete it"
        )
    return structure.unflatten(
        _like(wanted, value, path) for wanted, value in zip(leaves, found, strict=True)
    )


def to_device(tree: Tree) -> Tree:
    """numpy leaves as jax arrays, but for those that jax would round (float64)."""

    def leaf(value: np.ndarray) -> Any:
        kept = jax.dtypes.canonicalize_dtype(value.dtype) == value.dtype
        return jnp.asarray(value) if kept else value

    return jax.tree.map(leaf, tree)


def _put(group: h5py.Group, tree: Tree) -> None:
    for name, value in tree.items():
        if not isinstance(name, str) or "/" in name or name in ("", "."):
            raise TypeError(f"a tree's keys are words without '/', not {name!r}")
        if isinstance(value, dict):
            _put(group.create_group(name), value)
            continue
        array = np.asarray(value)
        if array.dtype == object:
            raise TypeError(f"{name!r} is a {type(value).__name__}, not an array")
        # HDF5 has no bfloat16 or float8: their bits are kept, with the name beside.
        foreign = array.dtype.kind == "V"
        bits = array.view(f"u{array.dtype.itemsize}") if foreign else array
        kept = group.create_dataset(name, data=bits)
        if foreign:
            kept.attrs["dtype"] = array.dtype.name


def _get(group: h5py.Group) -> Tree:
    tree = {}
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            tree[name] = _get(item)
        else:
            value = np.asarray(item[()])
            if "dtype" in item.attrs:
                value = value.view(jnp.dtype(item.attrs["dtype"]))
            tree[name] = value
    return tree


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(
        leaf.dtype, jax.dtypes.prng_key
    )


def _plain(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _like(wanted: Any, value: np.ndarray, path: str | Path) -> Any:
    model = _plain(wanted)
    if (model.shape, model.dtype) != (value.shape, value.dtype):
        raise BrokenRun(
            f"{path} holds {value.dtype}{value.shape} where {model.dtype}{model.shape} "
            "is wanted: it belongs to another fit; delete it"
        )
    if _is_key(wanted):
        return jax.random.wrap_key_data(
            jnp.asarray(value), impl=jax.random.key_impl(wanted)
        )
    if isinstance(wanted, jax.Array):
        return jnp.asarray(value)
    if isinstance(wanted, np.generic):  # float64 is also a float: ask this first
        return value[()]
    return value.item() if isinstance(wanted, (bool, int, float)) else value
