"""Trees of arrays as HDF5 bytes, bit for bit, and as a digest.

The file is made in memory and written in one go, so that a full disk is an ordinary
error and never an HDF5 handle that cannot be closed.
"""

from __future__ import annotations

import hashlib
import io
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np

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


def to_device(tree: Tree) -> Tree:
    """numpy leaves as jax arrays, but for those that jax would round (float64)."""

    def leaf(value: np.ndarray) -> Any:
        kept = jax.dtypes.canonicalize_dtype(value.dtype) == value.dtype
        return jnp.asarray(value) if kept else value

    return jax.tree.map(leaf, tree)


def digest(tree: Tree) -> str:
    """Of the numbers of a tree of arrays, in its order.

    >>> digest({"a": np.arange(2)}) == digest({"a": np.arange(3)})
    False
    """
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        found.update(np.asarray(leaf).tobytes())
    return found.hexdigest()[:12]


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
