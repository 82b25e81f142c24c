"""A price in full, as text: every figure, by kind, part and primitive, and the sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retina.costs.clocks import per_bin
from retina.costs.counts import WEIGHTS
from retina.costs.denominators import PER_SYNAPSE, enters_synapse_claims
from retina.reports.grid import footer, grid, text
from retina.reports.numbers import amount, quartiles
from retina.types import Cost, Interval, one_of

_UNITS = (
    ("flops_per_bin", "FLOPs per bin"),
    ("flops_per_s", "FLOPs per second"),
    ("flops_per_s_per_cell", "FLOPs per second and cell, shared over all"),
    ("flops_per_s_alone", "FLOPs per second of one cell alone"),
    ("flops_per_s_marginal", "FLOPs per second of one more cell"),
    ("flops_per_spike", "FLOPs per recorded spike"),
    ("flops_per_bit", "FLOPs per bit told of what was recorded"),
    ("flops_per_s_per_synapse", "FLOPs per synapse-second"),
    ("flops_per_synaptic_event", "FLOPs per synaptic event"),
    ("total_ops_per_bin", "all operations per bin"),
    ("sparse_flops_per_bin", "FLOPs per bin where zero weights are skipped"),
    ("bit_operations_per_bin", "bit-operations of products per bin"),
    ("transcendentals_per_bin", "transcendentals per bin"),
    ("params", "parameters"),
    ("param_bytes", "bytes of parameters"),
    ("state_bytes", "bytes of state"),
    ("bytes_per_bin", "bytes moved per bin"),
    ("fan_in", "fan-in"),
    ("connections", "connections, values into sums"),
    ("wire_um", "wire of the declared circuit, um"),
    ("depth", "sequential depth"),
    ("parallel_width", "parallel width, operations / depth"),
    ("arithmetic_intensity", "arithmetic intensity, FLOPs per byte"),
)
# Circuits have the one, points the other: elsewhere they are not even unknown.
_ONLY_SOME = ("wire_um", "flops_per_bit")
RANGE = "a - b: what is not known of a constant, not statistics. [a, b]: 95 % interval"


def cost_table(cost: Cost, width: int) -> str:
    """The exact number beside one that can be read, of each figure there is."""
    rows = grid(f"{cost.model}" + (f" on {cost.dataset}" if cost.dataset else ""))
    rows.add_column("what", no_wrap=True)
    rows.add_column("exact or range", justify="right", no_wrap=True)
    rows.add_column("about", justify="right", no_wrap=True)
    units = dict(_UNITS)
    units["flops_per_spike"] = f"FLOPs per recorded {one_of(cost.event)}"
    for key, words in units.items():
        value = getattr(cost, key)
        if key in PER_SYNAPSE and value is not None and not enters_synapse_claims(cost):
            words += " (no claim)"
        if value is None and key in _ONLY_SOME:
            continue
        exact = f"{value:,}" if isinstance(value, int) else _exact(value)
        rows.add_row(words, exact, amount(value))
    step = None
    clocks = {"setup, once" if n == "setup" else n: c for n, c in cost.counts.items()}
    if "bin" in clocks:
        step = per_bin(cost.counts, cost.rates_hz)
        for weight in WEIGHTS:
            value = step.flops_with(weight)
            words = f"FLOPs per bin, a transcendental as {weight}"
            rows.add_row(words, f"{value:,}", amount(value))
    grids = [
        rows,
        _kinds("kind", "by kind", clocks, across=True),
        _kinds("part", "by part, per bin", cost.by_part),
        _kinds("primitive", "by primitive, per bin", getattr(step, "by_primitive", {})),
        _fans(cost),
    ]
    ranged = cost.flops_per_synaptic_event or cost.flops_per_s_per_synapse
    notes = ([RANGE] if ranged else []) + list(cost.notes)
    return "\n".join(text(one, width) for one in grids) + footer(notes)


def _kinds(
    head: str, title: str, table: Mapping[str, Any], across: bool = False
) -> Any:
    """Counts side by side, without the kinds that nothing has; `across`: upright."""
    counts = {
        n: c if isinstance(c, Mapping) else c.as_dict() for n, c in table.items() if c
    }
    counts = {name: row for name, row in counts.items() if row.get("total_ops", 1)}
    kinds = [
        kind
        for kind in dict.fromkeys(k for row in counts.values() for k in row)
        if any(row.get(kind) for row in counts.values())
    ]
    rows = grid(title)
    rows.add_column(head, no_wrap=True)
    for name in counts if across else kinds:
        rows.add_column(name.replace("_", " "), justify="right")
    if across:
        for kind in kinds:
            each = (f"{row.get(kind, 0):,}" for row in counts.values())
            rows.add_row(kind.replace("_", " "), *each)
    else:
        for name, row in counts.items():
            rows.add_row(name, *(f"{row.get(kind, 0):,}" for kind in kinds))
    return rows


def _fans(cost: Cost) -> Any:
    rows = grid("how many values a sum has, and how many sums a value enters")
    heads = ("", "least", "quarter", "median", "three quarters", "most", "of")
    for head in heads:
        rows.add_column(head, justify="right" if head else "left")
    for words, tally in (("fan-in", cost.fan_ins), ("fan-out", cost.fan_outs)):
        if tally:
            ends = (f"{n:,}" for n in quartiles(tally))
            rows.add_row(words, *ends, f"{sum(tally.values()):,}")
    return rows


def _exact(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, Interval):
        return f"{value.low:,.3g} - {value.high:,.3g}"
    return f"{value:,.1f}"
