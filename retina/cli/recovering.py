"""`retina probe RUN recovery`: which parameters a model's own spikes bring back."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import typer

from retina.cli import output

FEW = 64  # numbers of a leaf that --json still lists


def recover(run: str, seeds: int, key: int, other: Any, json: bool) -> None:
    """other: whatever was given that belongs to the other kinds."""
    import jax

    from retina import store
    from retina.probes.recovery import recovery
    from retina.search import records

    if other:
        raise typer.BadParameter("recovery takes --seeds, --key and --json alone")
    record = store.read(run)
    fit = store.load(run)
    found = recovery(
        fit, records.split_of(record), key=jax.random.key(key), seeds=seeds
    )
    if json:
        starts = [
            {**start, "values": _values(params)}
            for start, params in zip(found.starts, found.params, strict=True)
        ]
        output.print_json(
            {
                "rows": [dataclasses.asdict(row) for row in found.rows],
                "starts": starts,
                "truth": {
                    "validation_bits": found.truth_bits,
                    "values": _values(found.truth),
                },
                "reached": found.reached,
            }
        )
        return
    heads = ("parameter", "unit", "numbers", "error", "spread", "r", "verdict")
    rows = [[_word(value) for value in dataclasses.astuple(row)] for row in found.rows]
    print(output.columns(rows, heads))
    lines = [
        [str(one["start"]), f"{one['validation_bits']:.4f}", _yes(one["equal"])]
        for one in found.starts
    ]
    lines.append(["truth", f"{found.truth_bits:.4f}", ""])
    print()
    print(output.columns(lines, ("start", "validation bits", "as good as the best")))
    if not found.reached:
        output.say(
            "note: no start fits as well as the truth: the search has failed, and the "
            "table speaks of that; give more --seeds"
        )


def _values(params: Any) -> dict[str, Any]:
    import jax

    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf)
        for path, leaf in leaves
        if leaf.size <= FEW
    }


def _word(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _yes(equal: bool) -> str:
    return "yes" if equal else "no"
