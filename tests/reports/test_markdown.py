"""The tables of a sweep, and its answers in sentences."""

from __future__ import annotations

import dataclasses

from retina.data.caveats import COLD
from retina.reports.answer import answer
from retina.reports.markdown import markdown
from retina.reports.result import result
from retina.search.frontier import frontier
from retina.search.headline import Headline, Near, Reaching
from tests.reports.points import point

LN, CNN = point("ln", 0.5, 1200.0), point("cnn", 0.8, 2.4e7)
LABELS = {"ln": "ln rank=1", "cnn": "cnn"}


def flat(one):
    cost = dataclasses.replace(one.cost, synapse_claims=False)
    return dataclasses.replace(one, cost=cost)


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def bold(text):
    rows = [cells(line)[0] for line in text.splitlines() if line.startswith("| ")]
    return [row.strip("*`") for row in rows if row.startswith("**")]


def test_a_row_per_model_cheapest_first_with_every_price():
    text = markdown(result([CNN, LN], LABELS), "cc_norm", "flops_per_s_per_cell")
    heads, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [cells(row)[0] for row in rows] == ["**`ln rank=1`**", "**`cnn`**"]
    told = dict(zip(cells(heads), cells(rows[0]), strict=True))
    assert told["cc norm [95 %]"] == "0.50 [0.47, 0.53]"
    assert (told["FLOP/s"], told["per cell"]) == ("1.2 k", "100")
    assert told["per synaptic event"] == "0.002 - 0.10"
    assert told["parameters"] == "10"  # a count has no decimals
    assert {"all operations per bin", "parameters", "state, bytes", "depth"} <= set(
        told
    )


def test_a_bit_has_a_column_where_a_model_tells_one():
    costs = dataclasses.replace(LN.cost, flops_per_bit=350.0)
    points = [dataclasses.replace(LN, cost=costs), CNN]
    text = markdown(result(points, LABELS), "cc_norm", "flops_per_s_per_cell")
    heads, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    told = [dict(zip(cells(heads), cells(row), strict=True)) for row in rows]
    assert [row["per bit"] for row in told] == ["350", "-"]


def test_bold_is_what_is_on_the_frontier():
    """Also of twins, and of ranges; and where there is no such axis, nothing is."""
    made = [CNN, LN, point("twin", 0.5, 1200.0), point("worse", 0.4, 1e5)]
    for x in ("flops_per_s_per_cell", "flops_per_synaptic_event"):
        front = frontier(made, x)
        text = markdown(result(made, {}, x=x), "cc_norm", x)
        assert (
            bold(text) == [one.model for one in front.best()] == ["ln", "twin", "cnn"]
        )
    x = "flops_per_synaptic_event"
    assert not bold(markdown(result([flat(CNN), *made[1:]], {}, x=x), "cc_norm", x))


def test_the_axis_has_a_column_whichever_figure_it_is():
    made, few = [], {"cnn": 5, "ln": 7}
    for one in (LN, CNN):
        cost = dataclasses.replace(one.cost, sparse_flops_per_bin=few[one.model])
        made.append(dataclasses.replace(one, cost=cost))
    x = "sparse_flops_per_bin"
    text = markdown(result(made, {}, x=x), "cc_norm", x)
    heads, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    told = [dict(zip(cells(heads), cells(row), strict=True)) for row in rows]
    assert [row["sparse flops per bin"] for row in told] == ["5", "7"]
    assert bold(text) == ["cnn"]


def test_a_caveat_of_any_row_is_told():
    """A row may have been measured before there was such a note."""
    caveat, other = "prepared: means of 2 x 2 pixels", "scored at 10 ms"
    own = f"{COLD}29 bins, but only 14 lead into a block"  # not of the other model
    noted = dataclasses.replace(LN.score, notes=(caveat, other, own))
    points = [dataclasses.replace(LN, score=noted), CNN]
    text = markdown(result(points, LABELS), "cc_norm", "flops_per_s_per_cell")
    assert caveat in text and other not in text and own not in text


def test_a_full_field_has_no_column_per_synapse():
    text = markdown(result([flat(LN)], LABELS), "cc_norm", "flops_per_s")
    assert "per spike" in text and "synap" not in text


def test_what_was_not_tried_is_said():
    row = {"model": "lab", "recording": "simulated", "why": "it has no frames"}
    rows = [row, row | {"model": "yours"}]
    text = markdown(result([LN], LABELS, untried=rows), "cc_norm", "flops_per_s")
    assert "- simulated: `lab`, `yours`: it has no frames" in text


def test_what_was_not_fitted_has_its_prices_and_no_accuracy():
    dear = point("lab", 0.99, 1200.0).cost  # as cheap as the fitted one, and after it
    row = {"model": "lab k=2", "recording": "simulated", "why": "long", "cost": dear}
    made = result([CNN, LN], LABELS, untried=[row])
    text = markdown(made, "cc_norm", "flops_per_s_per_cell")
    heads, _, first, second, last = [
        line for line in text.splitlines() if line.startswith("|")
    ]
    told = dict(zip(cells(heads), cells(second), strict=True))
    assert told["model"] == "`lab k=2`" and told["starts"] == "0"
    assert (told["cc norm [95 %]"], told["bits per spike"]) == ("not fitted", "-")
    for price in ("FLOP/s", "per synaptic event", "parameters", "depth"):
        assert told[price] == dict(zip(cells(heads), cells(first), strict=True))[price]
    assert cells(first)[0] == "**`ln rank=1`**" and cells(last)[0] == "**`cnn`**"
    assert "- simulated: `lab k=2`: long" in text and "exact price" in text
    assert "exact price" not in markdown(result([LN], LABELS), "cc_norm", "depth")


def test_the_answer_gives_interval_prices_and_what_is_not_reached():
    found = Headline(
        (Near("frozen", "pearson_trial", 0.05, "cnn", "ln", 0.97, (0.94, 0.99), 0.8),),
        (
            Reaching("frozen", 0.5, "ln", 0.55, 0.9),
            Reaching("frozen", 0.9, "", 0.8, 1.0),
        ),
    )
    near, half, most = answer("it", found, [LN, CNN], LABELS).splitlines()
    assert "ln rank=1, 0.970 [0.940, 0.990] of cnn on test, so not shown" in near
    assert "100 FLOP/s per cell" in near and "per synapse-second" in near
    assert "chosen again in 80 % of draws" in near
    assert half.startswith(
        "it, frozen: 50 % of the explainable variance: ln rank=1, 55"
    )
    assert most.endswith("not reached; the most is 80 %")
    assert "synap" not in answer("it", found, [flat(LN), flat(CNN)], LABELS)


def test_the_answer_names_what_is_counted():
    quanta = [
        dataclasses.replace(one, cost=dataclasses.replace(one.cost, event="quantum"))
        for one in (LN, CNN)
    ]
    found = Headline((), (Reaching("frozen", 0.5, "ln", 0.55, 0.9),))
    for points, unit in ((quanta, "per quantum"), ([LN, CNN], "per spike")):
        assert unit in answer("it", found, points, LABELS)


def test_no_rounding_turns_an_answer_round():
    near = Near("frozen", "pearson_trial", 0.05, "cnn", "ln", 0.97, (0.9497, 1.0), 1.0)
    found = Headline((near,), (Reaching("frozen", 0.9, "", 0.897, 1.0),))
    missed, most = answer("it", found, [LN, CNN], LABELS).splitlines()
    assert "[0.9497, 1.0000] of cnn on test, so not shown" in missed
    assert "90 % of the explainable variance: not reached; the most is 89.7 %" in most
    just = dataclasses.replace(
        found, near=(dataclasses.replace(near, ci95=(0.9503, 1)),)
    )
    assert "[0.9503, 1.0000] of cnn on test, so shown" in answer(
        "it", just, [LN, CNN], LABELS
    )
