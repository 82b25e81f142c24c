"""What moving words costs: nothing for a view, one look-up or store per word else."""

from __future__ import annotations

from collections.abc import Callable

from retina.costs.counts import Counts
from retina.costs.elementwise import of_kind
from retina.costs.program import Op

# The same numbers in another shape, order or name: no work, no memory of their own.
VIEWS = frozenset(
    "broadcast_in_dim reshape squeeze transpose rev stop_gradient copy "
    "name optimization_barrier device_put slice split "
    "unstack tile real imag bitcast_convert_type".split()
)

# What is 0 or 1, or a spike, before them is so behind: looked up, not computed.
CARRIED = VIEWS | {"gather", "dynamic_slice", "concatenate", "stack"}

# Made from nothing or put side by side without moving.
_FREE = ("iota", "complex", "random_wrap", "random_unwrap")


def _nothing(op: Op) -> Counts:
    return Counts()


def _joined(op: Op) -> Counts:
    return Counts(words_written=op.outs[0].size)


def _padded(op: Op) -> Counts:
    """Nothing where nothing is added: `jnp.fft.irfft` pads to the length it has."""
    same = not any(any(sides) for sides in op.params["padding_config"])
    return Counts() if same else _joined(op)


def _looked_up(op: Op) -> Counts:
    return Counts(words_read=op.outs[0].size)


def _stored(place: int) -> Callable[[Op], Counts]:
    def rule(op: Op) -> Counts:
        return Counts(words_written=op.ins[place].size)

    return rule


def _scattered(kind: str) -> Callable[[Op], Counts]:
    def rule(op: Op) -> Counts:
        update = op.ins[2]
        moved = Counts(words_read=update.size, words_written=update.size)
        return moved + of_kind(kind, update.size, update)

    return rule


def _sort(op: Op) -> Counts:
    """n log2(n) comparisons, rounded up, for each line that is sorted."""
    keys = op.ins[0]
    length = keys.shape[op.params["dimension"]]
    lines = keys.size // length if length else 0
    compared = lines * length * max(length - 1, 0).bit_length()
    words = sum(value.size for value in op.ins)
    return of_kind("comparisons", compared, keys) + Counts(
        words_read=words, words_written=words
    )


def _top_k(op: Op) -> Counts:
    """A heap of k: 1 + log2(k) comparisons, rounded up, for each value."""
    values, chosen = op.ins[0], op.outs[0]
    depth = 1 + max(op.params["k"] - 1, 0).bit_length()
    return of_kind("comparisons", values.size * depth, values) + Counts(
        words_read=values.size, words_written=2 * chosen.size
    )


RULES: dict[str, Callable[[Op], Counts]] = {
    **dict.fromkeys((*VIEWS, *_FREE), _nothing),
    "concatenate": _joined,
    "stack": _joined,
    "pad": _padded,
    "gather": _looked_up,
    "dynamic_slice": _looked_up,
    "dynamic_update_slice": _stored(1),
    "scatter": _stored(2),
    "scatter-add": _scattered("adds"),
    "scatter-sub": _scattered("adds"),
    "scatter-mul": _scattered("multiplies"),
    "scatter-max": _scattered("comparisons"),
    "scatter-min": _scattered("comparisons"),
    "sort": _sort,
    "top_k": _top_k,
}
