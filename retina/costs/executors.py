"""What a step costs on machines that skip zeros, and as NeuroBench would tell it.

Three machines. Dense: what runs. Structured: arrays without the rows, columns and taps
whose weights are all zero. Event: work for values that are not zero, as measured, and
for released quanta one by one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from retina.costs.activity import activity
from retina.costs.clocks import one_bin
from retina.costs.product import Product
from retina.errors import MissingData
from retina.stage import Model, Tree
from retina.types import Clip


@dataclasses.dataclass(frozen=True)
class Executors:
    """FLOPs of one bin, mean over the bins looked at.

    Of one run: a model with spike history is scored on many, and `cost` charges all.

    dense, structured, event: of the three machines; they differ in products alone.
    active_share: of the products of one bin, those with a value that is not zero.
    quanta:       vesicles released, in the mean: of stages that declare what they
                  release, as `ribbon_quanta` does. To the event machine each is an
                  addition at each of its targets; a graded release is a product.
    quantal_acs:  those additions.
    neurobench_effective_macs, neurobench_effective_acs, neurobench_dense: synaptic
                  operations per bin, each 1 and not 2. An operation is an accumulate
                  where its input was declared to be spikes, never because a frame
                  happened to hold 0 and 1 alone: a checkerboard is not spikes.
    neurobench_connection_sparsity: share of weights that are zero, to 4 decimals.
    neurobench_footprint: bytes of parameters and of state, zeros included.
    source:       NeuroBench 2.3.0, synaptic_operations.rst; Yik et al. 2025,
                  doi 10.1038/s41467-025-56739-4 (recalled).
    """

    bins: int
    dense: float
    structured: float
    event: float
    active_share: float
    quanta: float
    quantal_acs: float
    neurobench_effective_macs: float
    neurobench_effective_acs: float
    neurobench_dense: float
    neurobench_connection_sparsity: float
    neurobench_footprint: int


def executors(
    model: Model, params: Tree, clips: Sequence[Clip], *, spikes: bool = False
) -> Executors:
    """Run the step over clips and count what each machine would have done.

    params: numbers, not shapes.
    clips:  the test clips of a split; their scored bins count. A model with history
            hears the recorded counts of the first trial.
    spikes: those counts are 0 or 1 in every bin, and are declared to be spikes.
    raises: MissingData without a clip.

    >>> import jax.numpy as jnp, numpy as np
    >>> from retina.stage import memoryless
    >>> from retina.types import Spec
    >>> mix = memoryless(lambda p, x: p @ x, about=("mix",))
    >>> model = Model("mix", Spec((2,), 3, 0.01), mix)
    >>> clip = Clip("a", np.eye(2, dtype="f4"), np.zeros((1, 2, 3), "f4"))
    >>> executors(model, jnp.ones((3, 2)), [clip]).event
    6.0
    """
    if not clips:
        raise MissingData(
            "no clips to measure activity on: name a recording (--dataset NAME)"
        )
    met = activity(model, params, clips, spikes=spikes)
    products, bins = met.products, met.bins
    stored = clips[0].stimulus.dtype
    one = one_bin(model, params, stored)
    dense, held = one.work.step.flops, one.memory

    def saved(left: str) -> float:
        each = (_price(p) * (p.dense - getattr(p, left)) for p in products)
        return sum(each) / bins

    # Quanta add up whatever they are: what was counted as products is taken off whole.
    added = sum(p.arrivals for p in products)
    quantal = sum(_price(p) * p.active for p in products if p.quantal) - added
    told = {kind: sum(getattr(p, kind) for p in products) for kind in _SUMMED}
    spiking = sum(p.effective for p in products if p.spiking)
    # What is declared is an accumulate on every machine, the dense one too.
    accumulated = sum(p.dense for p in products if p.spiking) / bins
    return Executors(
        bins=bins,
        dense=dense - accumulated,
        structured=dense - accumulated - saved("structured"),
        event=dense - accumulated - saved("active") - quantal / bins,
        active_share=told["active"] / told["dense"] if told["dense"] else 0.0,
        quanta=met.quanta / bins,
        quantal_acs=added / bins,
        neurobench_effective_macs=(told["effective"] - spiking) / bins,
        neurobench_effective_acs=spiking / bins,
        neurobench_dense=told["dense"] / bins,
        neurobench_connection_sparsity=round(
            told["zero_weights"] / told["weights"] if told["weights"] else 0.0, 4
        ),
        neurobench_footprint=held.param_bytes + held.state_bytes,
    )


_SUMMED = ("dense", "active", "effective", "weights", "zero_weights")


def _price(product: Product) -> int:
    return 1 if product.spiking else 2
