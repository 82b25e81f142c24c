"""`retina probe RUN recovery` and `degeneracy`: which parameters are to be trusted.

Of a run that a sweep fitted to sampled spikes, recovery looks at the starts it has and
fits none again; degeneracy never fits.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import typer

from retina.cli import output
from retina.errors import BadSetting

FEW = 64  # numbers of a leaf that --json still lists


def recover(run: str, seeds: int, key: int, other: Any, json: bool) -> None:
    """other: whatever was given that belongs to the other kinds."""
    import jax

    from retina import store
    from retina.probes.recovery import against_truth, recovery
    from retina.search import records
    from retina.search.splits import heard

    if other:
        raise typer.BadParameter("recovery takes --seeds, --key and --json alone")
    record = store.read(run)
    fit = store.load(run)
    if record.get("spikes_of"):  # a sweep has fitted the sampled spikes already
        spoke, spoken = heard(run)
        if spoke.model.stage.about != fit.model.stage.about:
            raise BadSetting(
                f"{run} is another model than {record['spikes_of']}, whose spikes it "
                "was fitted to: their parameters cannot be compared"
            )
        found = against_truth(fit, spoke.params, spoken)
    else:
        key_ = jax.random.key(key)
        found = recovery(fit, records.split_of(record), key=key_, seeds=seeds)
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


def compare_starts(run: str, within: float | None, other: Any, json: bool) -> None:
    """other: whatever was given that belongs to the other kinds."""
    from retina import store
    from retina.fitting.plateau import GAIN
    from retina.probes.degeneracy import degeneracy

    if other:
        raise typer.BadParameter("degeneracy takes --within and --json alone")
    found = degeneracy(store.load(run), within=GAIN if within is None else within)
    if json:
        output.print_json(dataclasses.asdict(found))
        return
    heads = [field.name for field in dataclasses.fields(found.rows[0])]
    rows = [[_word(value) for value in dataclasses.astuple(row)] for row in found.rows]
    print(output.columns(rows, heads))
    print()
    starts = zip(found.validation_bits, found.equal, strict=True)
    lines = [[str(n), f"{bits:.4f}", _yes(e)] for n, (bits, e) in enumerate(starts)]
    print(output.columns(lines, ("start", "validation bits", "as good as the best")))


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
