"""Energy by a published table: for each precision and memory level, never one figure.

The numbers, each with its source, stand beside this in energy.toml. They are of one
process and of bare operations: no control, no wires between chips, no idle power.
"""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from pathlib import Path
from typing import Any

from retina.costs.clocks import per_bin
from retina.types import Cost, Interval

_WORK = {
    "macs": ("add", "multiply"),
    "acs": ("add",),
    "adds": ("add",),
    "multiplies": ("multiply",),
    "divides": ("divide",),
    "comparisons": ("compare",),
    "integers": ("integer",),
    "transcendentals": ("transcendental",),
    "randoms": ("random",),
}


@dataclasses.dataclass(frozen=True)
class Energy:
    """Of one bin, in pJ.

    compute_pj:  of the operations that the table has at this precision.
    memory_pj:   of all bytes that a bin moves, were they all at this level.
    power_w:     both, at the model's bins per second.
    mark:        "read" where every number was seen in its source, else "recalled".
    left_out:    kinds of work that the model does and the table has not.
    """

    node_nm: int
    precision: str
    level: str
    compute_pj: float
    memory_pj: Interval
    power_w: Interval
    mark: str
    left_out: tuple[str, ...]


@functools.cache
def _table() -> dict[str, list[dict[str, Any]]]:
    file = Path(__file__).with_name("energy.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def energy(cost: Cost) -> list[Energy]:
    """Every pair of precision and memory level that the table has.

    cost: of a model that computes in float32; other precisions are what the same
          operations and as many fewer bits would take, not a model that was rounded.
    """
    counts = per_bin(cost.counts, cost.rates_hz)
    per_s = cost.rates_hz["bin"]
    runs = []
    for row in _table()["operation"]:
        did = {kind: getattr(counts, kind) for kind in _WORK if getattr(counts, kind)}
        known = {k: n for k, n in did.items() if all(part in row for part in _WORK[k])}
        compute = sum(
            n * row[part]["pj"] for k, n in known.items() for part in _WORK[k]
        )
        bits = int("".join(filter(str.isdigit, row["precision"])))
        words = cost.bytes_per_bin * bits / 32 / 8
        used = {part for kind in known for part in _WORK[kind]}
        marks = {row[part]["mark"] for part in used}
        for level in _table()["memory"]:
            ends = level["low_pj_per_64_bits"], level["high_pj_per_64_bits"]
            moved = Interval(*(words * end for end in ends))
            power = Interval(
                *((compute + pj) * 1e-12 * per_s for pj in (moved.low, moved.high))
            )
            read = marks | {level["mark"]} <= {"read"}
            runs.append(
                Energy(
                    node_nm=row["node_nm"],
                    precision=row["precision"],
                    level=level["level"],
                    compute_pj=compute,
                    memory_pj=moved,
                    power_w=power,
                    mark="read" if read else "recalled",
                    left_out=tuple(k for k in did if k not in known),
                )
            )
    return runs


def rows() -> list[dict[str, Any]]:
    """Every number of the table, with where it stands, its mark and its source.

    >>> [r["pj"] for r in rows() if r["what"] == "add" and r["precision"] == "float32"]
    [0.9]
    """
    parts = sorted({part for kinds in _WORK.values() for part in kinds})
    operations = [
        {"what": part, "precision": row["precision"], **row[part]}
        for row in _table()["operation"]
        for part in parts
        if part in row
    ]
    return operations + [{"what": "memory", **row} for row in _table()["memory"]]
