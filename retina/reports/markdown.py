"""A sweep's result as tables that a README can hold, every price in a column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from retina.arrays import plural
from retina.data.caveats import COLD, caveats
from retina.reports.numbers import amount
from retina.search.frontier import geometric_mean, non_dominated
from retina.types import Interval

NAME = "table.md"
Row = Mapping[str, Any]
_PRICES = (
    ("flops_per_s", "FLOP/s"),
    ("flops_per_s_per_cell", "per cell"),
    ("flops_per_spike", "per spike"),
    ("flops_per_bit", "per bit"),
    ("flops_per_s_per_synapse", "per synapse-second"),
    ("flops_per_synaptic_event", "per synaptic event"),
    ("total_ops_per_bin", "all operations per bin"),
    ("params", "parameters"),
    ("state_bytes", "state, bytes"),
    ("bytes_per_bin", "bytes per bin"),
    ("depth", "depth"),
)
_UNFITTED = (
    "What was not fitted has its exact price all the same: operations are counted on "
    "the shapes of the parameters, whose values a fit finds. It is on no frontier."
)


def markdown(result: Mapping[str, Any], y: str, x: str) -> str:
    """One table per recording, cheapest first; bold is what no other beats on x and y.

    result: from `retina.reports.result`, or read back from result.json.
    y, x:   a metric and a cost, as of `retina.frontier`.
    returns: Markdown. Bits of validation are the median over starts. What was not
             fitted but priced has its row, without an accuracy.

    >>> markdown({"points": []}, "cc_norm", "flops_per_s")
    ''
    """
    recordings = dict.fromkeys(row["recording"] for row in result["points"])
    parts = []
    others = result.get("untried", ())
    for recording in recordings:
        rows = [row for row in result["points"] if row["recording"] == recording]
        unfitted = [
            {"label": row["model"], "scores": [], "validation_seeds": []} | row
            for row in others
            if row["recording"] == recording and "cost" in row
        ]
        parts.append(_table(recording, rows, unfitted, y, x))
    untried: dict[tuple[str, str], list[str]] = {}
    for row in others:
        models = untried.setdefault((row["recording"], row["why"]), [])
        models.append(f"`{row['model']}`")
    lines = [
        f"- {recording}: {', '.join(models)}: {why}"
        for (recording, why), models in untried.items()
    ]
    if lines:
        parts.append("\n".join(["Not fitted:", "", *lines]) + "\n")
    return "\n".join(parts)


def _table(
    recording: str, fitted: Sequence[Row], unfitted: Sequence[Row], y: str, x: str
) -> str:
    rows = sorted(
        (*fitted, *unfitted),
        key=lambda row: (_middle(row["cost"].get(x)), -_last(_median(row, y))),
    )
    first = fitted[0]["scores"][0]
    others = [
        one["group"]
        for one in fitted[0]["scores"][1:]
        if one["history"] in ("none", "free_running") and one["group"] != first["group"]
    ]
    columns: list[tuple[str, Callable[[Row], str]]] = [
        ("model", lambda row: row["label"]),
        ("starts", lambda row: str(len(row["validation_seeds"]))),
        ("validation bits", lambda row: _number(_middle_of(row["validation_seeds"]))),
        (f"{y} [95 %]", lambda row: _with_interval(row, y)),
    ]
    for name in ("feve", "bits_per_spike"):
        if name in first["metrics"] and name != y:
            columns.append((name, lambda row, n=name: _number(_median(row, n))))
    for group in dict.fromkeys(others):
        columns.append((f"{group} bits", lambda row, g=group: _of_group(row, g)))
    axis = () if x in dict(_PRICES) else ((x, x),)
    columns += [
        (words, lambda row, k=key: _price(row["cost"].get(k)))
        for key, words in (*axis, *_PRICES)
        if any(row["cost"].get(key) is not None for row in rows)
    ]
    costs = [_middle(row["cost"].get(x)) for row in rows]
    best = non_dominated(costs, [_last(_median(row, y)) for row in rows])
    if any(row["cost"].get(x) is None for row in fitted):
        best = [False] * len(rows)  # there is no frontier on such an axis
    lines = [
        " | ".join(head.replace("_", " ") for head, _ in columns),
        " | ".join("---" if i == 0 else "---:" for i in range(len(columns))),
    ]
    for row, on in zip(rows, best, strict=True):
        words = [tell(row) for _, tell in columns]
        words[0] = f"**`{words[0]}`**" if on else f"`{words[0]}`"
        lines.append(" | ".join(words))
    trials = f"shown {first['trials']} times" if first["trials"] > 1 else "shown once"
    cells = plural(first["cells"], "cell")
    title = (
        f"**{recording}**: {cells}; test group `{first['group']}`, "
        f"{first['bins']} bins, {trials}"
    )
    table = "\n".join([title, "", *(f"| {line} |" for line in lines)]) + "\n"
    notes = [*_of_all(fitted), *([_UNFITTED] if unfitted else [])]
    return table + "".join(f"\n{note}\n" for note in notes)


def _of_all(rows: Sequence[Row]) -> list[str]:
    """What is noted of every model's score, and of any that its recording is to be read
    with: a row may have been measured before there was such a note."""
    each = [row["scores"][0].get("notes", ()) for row in rows]
    told = dict.fromkeys(note for notes in each for note in notes)
    # How far back a model looks is of that model alone.
    caveat = {note for note in caveats([*told]) if not note.startswith(COLD)}
    return [n for n in told if n in caveat or all(n in notes for notes in each)]


def _median(row: Row, metric: str) -> float | None:
    first = row["scores"][:1]
    return first[0]["metrics"].get(metric, {}).get("median") if first else None


def _of_group(row: Row, group: str) -> str:
    for score in row["scores"]:
        if score["group"] == group and score["history"] in ("none", "free_running"):
            return _number(score["metrics"].get("bits_per_spike", {}).get("median"))
    return "-"


def _with_interval(row: Row, metric: str) -> str:
    if not row["scores"]:
        return "not fitted"
    one = row["scores"][0]["metrics"].get(
        metric, {"median": None, "ci95": (None, None)}
    )
    low, high = one["ci95"]
    interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    return _number(one["median"]) + interval


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value + 0.0:.2f}".replace("-0.00", "0.00")


def _middle_of(values: Sequence[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2


def _price(value: Any) -> str:
    return amount(Interval(**value) if isinstance(value, Mapping) else value)


def _middle(value: Any) -> float:
    """By which costs are ordered, as of `retina.frontier`; one not known comes last."""
    if value is None:
        return float("inf")
    return geometric_mean(**value) if isinstance(value, Mapping) else float(value)


def _last(value: float | None) -> float:
    return float("-inf") if value is None else value
