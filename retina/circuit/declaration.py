"""A circuit declared: which populations there are, and which projects to which.

A declaration is checked whole when it is made; `retina.circuit.circuit` makes a Stage
of it, `retina.circuit.diagram` a drawing. It is a value: `without` gives another one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from retina.circuit.kernels import Join, Kernel, one_to_one
from retina.circuit.population import Population
from retina.circuit.synapses.synapse import Synapse
from retina.errors import BadSetting, UnknownName, nearest

Rung = Callable[[int, float], Synapse]
EFFECTS = ("add", "divide")


@dataclasses.dataclass(frozen=True)
class Projection:
    """Synapses of one population onto another.

    source, target: names of populations.
    kernel:   which cells reach which, see `retina.circuit.kernels`.
    rung:     (count, dt_s) -> Synapse, a rung of `retina.circuit.synapses`; None is a
              weight alone. A rung whose events add up has one state per target
              compartment, any other one per presynaptic terminal; projections with an
              equal rung from one source (onto one target, of one sign and effect) share
              it. A conductance of the first kind follows the target's potential, where
              that has one (`Population.voltage`); any other finds its targets at -60
              mV.
    sign:     1 or -1: what it gives is added, or taken away. Of a conductance that
              follows its target the reversal says which, and the sign is 1.
    delay:    steps of the circuit until it is heard; bins where both ends, or either,
              are stepped once per bin. A loop closes over at least one.
    effect:   "add": it adds to the target's drive. "divide": the drive is divided by
              1 + it, as by presynaptic or shunting inhibition, or by 1 where it is
              below 0.

    >>> Projection("cone", "bipolar", sign=-1).name
    'cone->bipolar'
    """

    source: str
    target: str
    kernel: Kernel = dataclasses.field(default_factory=one_to_one)
    rung: Rung | None = None
    sign: int = 1
    delay: int = 0
    effect: str = "add"

    @property
    def name(self) -> str:
        return f"{self.source}->{self.target}"


@dataclasses.dataclass(frozen=True)
class Circuit:
    """Populations and projections; the stimulus enters the first, the last goes out.

    populations: in any order; `order` has those that hear others without delay after
                 them.
    input, output: names, by default of the first and the last.
    raises:      UnknownName for a projection from or to nowhere; ShapeMismatch where a
                 kernel cannot join; BadSetting for a name twice, a loop without delay,
                 a population that cannot reach the output, and what `Projection` says.

    >>> cone, ganglion = Population("cone", (4,)), Population("ganglion", (2,))
    >>> Circuit((cone, ganglion), (Projection("cone", "ganglion"),))
    Traceback (most recent call last):
    retina.errors.ShapeMismatch: cone -> ganglion: one_to_one cannot join (4,) to (2,);
    give both the same shape
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    input: str = ""
    output: str = ""

    def __post_init__(self) -> None:
        if not self.populations:
            raise BadSetting("a circuit without populations: give at least one")
        object.__setattr__(self, "input", self.input or self.populations[0].name)
        object.__setattr__(self, "output", self.output or self.populations[-1].name)
        for what, names in (
            ("populations", [p.name for p in self.populations]),
            ("projections", [p.name for p in self.projections]),
        ):
            twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            if twice:
                raise BadSetting(
                    f"two {what} are named {twice[0]!r}: give each a name of its own"
                    if what == "populations"
                    else f"two projections {twice[0]}: make one of them"
                )
        known = [p.name for p in self.populations]
        for what, name in (("input", self.input), ("output", self.output)):
            _known(f"the {what}", name, known)
        for projection in self.projections:
            for name in (projection.source, projection.target):
                _known(f"projection {projection.name}", name, known)
            _check(projection)
        _ = self.order
        self._reach()
        _ = self.joins

    def __getitem__(self, name: str) -> Population:
        return next(p for p in self.populations if p.name == name)

    @property
    def order(self) -> tuple[str, ...]:
        """Names, each after those that it hears without delay.

        raises: BadSetting that names a loop without delay.
        """
        heard: dict[str, list[str]] = {p.name: [] for p in self.populations}
        for projection in self.projections:
            if projection.delay == 0:
                heard[projection.target].append(projection.source)
        done: list[str] = []

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                loop = [*path[path.index(name) :], name][::-1]
                raise BadSetting(
                    f"a loop without delay: {' -> '.join(loop)}; give one of its "
                    "projections delay=1 or more"
                )
            if name not in done:
                for source in heard[name]:
                    visit(source, (*path, name))
                done.append(name)

        for name in heard:
            visit(name, ())
        return tuple(done)

    @property
    def joins(self) -> dict[str, Join]:
        """The kernel of every projection, joined to its two populations."""
        return {
            p.name: p.kernel.join(self[p.source], self[p.target])
            for p in self.projections
        }

    def after(self, names: Iterable[str]) -> set[str]:
        """Those that hear any of `names`, directly or through others; and `names`."""
        return _spread({*names}, [(p.source, p.target) for p in self.projections])

    def before(self, names: Iterable[str]) -> set[str]:
        """Those that any of `names` hears, directly or through others; and `names`."""
        return _spread({*names}, [(p.target, p.source) for p in self.projections])

    def _reach(self) -> None:
        lost = [n for n in self.order if n not in self.before([self.output])]
        if lost:
            raise BadSetting(
                f"{', '.join(map(repr, lost))} cannot reach the output "
                f"{self.output!r}: leave out, or add a projection"
            )
        deaf = [n for n in self.order if n not in self.after([self.input])]
        if deaf:
            raise BadSetting(
                f"{', '.join(map(repr, deaf))} cannot hear the input {self.input!r}: "
                "leave out, or add a projection"
            )


def without(circuit: Circuit, *names: str) -> Circuit:
    """The same circuit, some populations or projections removed: an ablation.

    names:  of populations, whose projections go with them, or "source->target".
    raises: UnknownName; BadSetting where a population that is left cannot reach the
            output any more.

    >>> a, b = Population("a", (2,)), Population("b", (2,))
    >>> both = Circuit((a, b), (Projection("a", "b"), Projection("b", "a", delay=1)))
    >>> [p.name for p in without(both, "b->a").projections]
    ['a->b']
    """
    edges = [p.name for p in circuit.projections]
    cells = [p.name for p in circuit.populations]
    for name in names:
        _known("without", name, edges if "->" in name else cells)
        if name in (circuit.input, circuit.output):
            raise BadSetting(f"without: {name!r} is the circuit's input or output")
    return dataclasses.replace(
        circuit,
        populations=tuple(p for p in circuit.populations if p.name not in names),
        projections=tuple(
            p
            for p in circuit.projections
            if not {p.name, p.source, p.target} & set(names)
        ),
    )


def synapses(circuit: Circuit) -> dict[str, tuple[Population, Population, Kernel]]:
    """{"source->target": (source, target, kernel)}: whatever is joined by synapses.

    Projections, and what populations join within themselves; a projection onto a
    compartment of its source's own cells is none.
    """
    found = {
        p.name: (circuit[p.source], circuit[p.target], p.kernel)
        for p in circuit.projections
        if circuit[p.target].part_of != p.source
    }
    for population in circuit.populations:
        for source, target, kernel in population.inner:
            found[f"{source.name}->{target.name}"] = (source, target, kernel)
    return found


def fan_in(circuit: Circuit) -> dict[str, float]:
    """Synapses onto one target cell, of each of `synapses`, mean over the targets.

    Counted from the kernels: of a Gaussian, the places where more than 1 % of its peak
    is left.

    >>> a, b = Population("a", (2,)), Population("b", (2,))
    >>> fan_in(Circuit((a, b), (Projection("a", "b"),)))
    {'a->b': 1.0}
    """
    return {
        name: kernel.join(source, target).fan_in
        for name, (source, target, kernel) in synapses(circuit).items()
    }


def events_per_s(circuit: Circuit, rates_hz: dict[str, float]) -> dict[str, float]:
    """Events through the synapses of each projection, per second.

    rates_hz: events of one source cell per second (spikes, or quanta that each of its
              synapses hears); projections of others are left out.
    raises:   UnknownName.

    >>> a, b = Population("a", (2,)), Population("b", (3,))
    >>> from retina.circuit.kernels import dense
    >>> events_per_s(Circuit((a, b), (Projection("a", "b", dense()),)), {"a": 10.0})
    {'a->b': 60.0}
    """
    for name in rates_hz:
        _known("rates_hz", name, [p.name for p in circuit.populations])
    each = fan_in(circuit)
    return {
        name: each[name] * target.cells * rates_hz[source.name]
        for name, (source, target, _) in synapses(circuit).items()
        if source.name in rates_hz
    }


def _known(where: str, name: str, known: list[str]) -> None:
    if name not in known:
        what = "projection" if "->" in name else "population"
        raise UnknownName(f"{where}: no {what} {name!r}: {nearest(name, known)}")


def _check(projection: Projection) -> None:
    name = f"projection {projection.name}: "
    if projection.effect not in EFFECTS:
        raise BadSetting(
            f"{name}effect {projection.effect!r}: {nearest(projection.effect, EFFECTS)}"
        )
    if projection.sign not in (1, -1):
        raise BadSetting(f"{name}sign {projection.sign}; give 1 or -1")
    if projection.effect == "divide" and projection.sign != 1:
        raise BadSetting(f"{name}it divides, which has no sign; give sign=1")
    if not isinstance(projection.kernel, Kernel):
        raise BadSetting(
            f"{name}kernel {projection.kernel!r}; call one of retina.circuit.kernels"
        )
    if not isinstance(projection.delay, int) or projection.delay < 0:
        raise BadSetting(f"{name}delay {projection.delay}; give 0 steps or more")


def _spread(names: set[str], edges: list[tuple[str, str]]) -> set[str]:
    while True:
        more = {b for a, b in edges if a in names} - names
        if not more:
            return names
        names = names | more
