"""Hand-made points; every figure is invented."""

from __future__ import annotations

from retina.types import Cost, Interval, Metric, Point, Score


def point(
    model,
    accuracy,
    flops_per_s,
    *,
    ci=0.03,
    settings=None,
    run="",
    events=(1000.0, 44000.0),
    cells=12,
):
    """A point whose per-cell cost is flops_per_s / cells."""
    per_cell = flops_per_s / cells
    metrics = {
        "cc_norm": Metric(
            (accuracy,) * cells, accuracy, (accuracy - ci, accuracy + ci)
        ),
        "bits_per_spike": Metric((accuracy,) * cells, 1.5 * accuracy, (0.1, 1.4)),
    }
    score = Score("simulated", model, "frozen", 570, cells, 40, metrics)
    ranged = None
    if events is not None:
        ranged = Interval(per_cell / events[1], per_cell / events[0])
    cost = Cost(
        model=model,
        dataset="simulated",
        flops_per_bin=round(flops_per_s / 30),
        flops_per_s=flops_per_s,
        flops_per_s_per_cell=per_cell,
        flops_per_s_alone=None,
        flops_per_s_marginal=None,
        flops_per_spike=per_cell / 7,
        flops_per_synaptic_event=ranged,
        flops_per_s_per_synapse=ranged,
        total_ops_per_bin=round(flops_per_s / 25),
        params=10,
        param_bytes=40,
        state_bytes=400,
        bytes_per_bin=500,
        fan_in=9,
        depth=5,
        transcendentals_per_bin=24,
        counts={},
        rates_hz={"bin": 30.0},
        by_part={"filter": {"macs": 5, "adds": 0}, "output": {"macs": 0, "adds": 7}},
    )
    return Point(
        run or model, model, "simulated", score, cost, settings or {}, accuracy
    )
