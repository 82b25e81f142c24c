"""How far down, in sentences: what `retina.search.headline` found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from retina.costs.denominators import PER_SYNAPSE, enters_synapse_claims
from retina.reports.numbers import amount
from retina.search.headline import Headline, Near, Reaching
from retina.types import Point, one_of

_PRICES = (
    ("flops_per_s_per_cell", "FLOP/s per cell"),
    ("flops_per_spike", "per {event}"),
    ("flops_per_s_per_synapse", "per synapse-second"),
    ("flops_per_synaptic_event", "per synaptic event"),
)
_METRICS = {
    "pearson_trial": "correlation with single trials",
    "bits_per_spike": "bits per spike",
}


def answer(
    recording: str,
    found: Headline,
    points: Sequence[Point],
    labels: Mapping[str, str],
) -> str:
    """Lines of text, one per question.

    recording: its name, for a reader.
    points:    those that the headline was made of.
    labels:    run -> what a person calls it.

    >>> answer("d", Headline((), (Reaching("frozen", 0.9, "", 0.8, 1.0),)), [], {})
    'd, frozen: 90 % of the explainable variance: not reached; the most is 80 %\\n'
    """
    prices = {point.run: price(point) for point in points}
    lines = [f"{recording}, {_near(one, labels, prices)}" for one in found.near]
    lines += [
        f"{recording}, {_reaching(one, labels, prices)}" for one in found.reaching
    ]
    return "".join(f"{line}\n" for line in lines)


def price(point: Point) -> str:
    """A model's cost by each denominator; a range is of the constant, no statistic."""
    claims, event = enters_synapse_claims(point.cost), one_of(point.cost.event)
    words = []
    for key, unit in _PRICES:
        value = getattr(point.cost, key)
        if value is not None and (claims or key not in PER_SYNAPSE):
            words.append(f"{amount(value)} {unit.format(event=event)}")
    return ", ".join(words)


def _near(one: Near, labels: Mapping[str, str], prices: Mapping[str, str]) -> str:
    metric = _METRICS.get(one.metric, one.metric)
    where = f"{one.group}: within {_percent(one.within)} of the best in {metric}"
    if not one.best:
        return f"{where}: no model predicts anything on validation"
    cheapest, best = labels[one.cheapest], labels[one.best]
    if one.cheapest == one.best:
        said = f"none is cheaper than {best} itself"
    else:
        ratio = "undefined" if math.isnan(one.ci95[0]) else _with_interval(one)
        shown = "shown" if one.holds else "not shown"
        said = f"{cheapest}, {ratio} of {best} on test, so {shown}"
    return (
        f"{where}: {said}; chosen again in {_percent(one.again)} of draws; "
        f"{prices[one.cheapest]}"
    )


def _reaching(
    one: Reaching, labels: Mapping[str, str], prices: Mapping[str, str]
) -> str:
    where = f"{one.group}: {_percent(one.share)} of the explainable variance"
    if not one.run:
        most = "none is defined"
        if math.isfinite(one.feve):
            most = _percent(one.feve, below=one.share)
        return f"{where}: not reached; the most is {most}"
    return (
        f"{where}: {labels[one.run]}, {_percent(one.feve)} on the test itself; chosen "
        f"again in {_percent(one.again)} of draws; {prices[one.run]}"
    )


def _with_interval(one: Near) -> str:
    """Three decimals, more where the end that decides would be rounded to the limit."""
    (low, high), limit = one.ci95, 1 - one.within
    sides = {n: (round(low, n) - limit) * (low - limit) > 0 for n in range(3, 7)}
    decimals = min((n for n, same in sides.items() if same), default=3)
    shown = [f"{value:.{decimals}f}" for value in (one.ratio, low, high)]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def _percent(share: float, below: float = math.inf) -> str:
    """Whole percents, or as many decimals as show that it is below something.

    >>> _percent(0.897), _percent(0.897, below=0.9)
    ('90 %', '89.7 %')
    """
    shown = [f"{100 * share:.{decimals}f}" for decimals in range(5)]
    told = [text for text in shown if float(text) < 100 * below]
    return f"{(told or shown[-1:])[0]} %"
