"""Every device at once: each has its clips of the batch, and all else is copied."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from retina.errors import BadSetting

CLIP = PartitionSpec("clip")
ALL = PartitionSpec()


def join(
    coordinator: str | None = None,
    hosts: int | None = None,
    host: int | None = None,
) -> None:
    """Let several hosts fit as one: each calls this first, then runs the same script.

    coordinator: "address:port" of the first host; None, and so for the others: as the
                 cluster says (SLURM, Open MPI, TPU pods).
    hosts, host: how many there are, and which this is, from 0.

    Every host loads the whole recording and ends with the same numbers. The first
    writes checkpoints, which all must be able to read; let it alone save runs:
    `if jax.process_index() == 0`.

    >>> # join("10.0.0.1:1234", hosts=2, host=0)
    """
    # CPUs of several hosts have no other way to add up what each found.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(coordinator, hosts, host)


@dataclasses.dataclass(frozen=True)
class Devices:
    """Where a fit runs: on a mesh with the axis "clip", or on one device (mesh None).

    shares: places an order of clips (seed, step, clip in batch, ...).
    copies: places a tree of parameters or recordings on every device.
    here:   what one device of this host holds of a copied tree.
    """

    mesh: Mesh | None

    @classmethod
    def dividing(cls, batch: int) -> Devices:
        """All devices where they divide the batch, else the first and a word of why."""
        every = jax.devices()
        if len(every) == 1:
            return cls(None)
        if batch % len(every):
            if jax.process_count() > 1:
                raise BadSetting(
                    f"batch {batch} cannot be shared by {len(every)} devices of "
                    f"{jax.process_count()} hosts: set batch={_next(batch, every)}"
                )
            logging.getLogger("retina").warning(
                "one of %d devices is used, as they do not divide batch %d: "
                "--set batch=%d uses all",
                len(every),
                batch,
                _next(batch, every),
            )
            return cls(None)
        # Auto: what is not said below (a training pass over the batch) jax works out.
        return cls(Mesh(np.array(every), ("clip",), axis_types=(AxisType.Auto,)))

    def copies(self, tree: Any) -> Any:
        return self._placed(tree, ALL)

    def shares(self, order: Any) -> Any:
        return self._placed(order, PartitionSpec(None, None, "clip"))

    def _placed(self, tree: Any, spec: PartitionSpec) -> Any:
        if self.mesh is None:
            return tree
        return jax.device_put(tree, NamedSharding(self.mesh, spec))

    def here(self, tree: Any) -> Any:
        if self.mesh is None:
            return tree
        return jax.tree.map(lambda a: a.addressable_data(0), tree)

    def compiled(self, run: Callable[..., Any], **options: Any):
        """jax.jit, with every result a copy on each device."""
        if self.mesh is None:
            return jax.jit(run, **options)
        out = NamedSharding(self.mesh, ALL)
        return jax.jit(run, out_shardings=out, **options)

    def mean_over_clips(self, slope: Callable[..., Any]) -> Callable[..., Any]:
        """A value and gradient of a mean over clips, from each device's share of them.

        slope: (free, rest, first (clip, ...), *others) -> ((loss, None), gradient).
        """
        if self.mesh is None:
            return slope

        def shared(*given):
            return jax.tree.map(lambda a: lax.pmean(a, "clip"), slope(*given))

        def run(free, rest, first, *others):
            return jax.shard_map(
                shared,
                mesh=self.mesh,
                in_specs=(ALL, ALL, CLIP, *(ALL for _ in others)),
                out_specs=ALL,
                check_vma=False,  # else every scan's state must be marked as varying
            )(free, rest, first, *others)

        return run


ONE = Devices(None)


def _next(batch: int, every: list) -> int:
    return -(-batch // len(every)) * len(every)
