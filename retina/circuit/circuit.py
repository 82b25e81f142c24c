"""From a declaration to one Stage: cells, synapses, feedback and sub-steps."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from retina.circuit.declaration import Circuit, Projection
from retina.circuit.kernels import dense
from retina.circuit.network import Link, Node, Section, network
from retina.circuit.population import Population
from retina.circuit.substeps import substeps
from retina.circuit.synapses.synapse import Synapse
from retina.circuit.terminal import terminal
from retina.errors import BadSetting
from retina.stage import Stage, memoryless

# At the end of the name of a compartment that divides, or takes away.
DIVIDES, TAKES = "~divides", "~takes"


def circuit(declared: Circuit, bin_s: float, *, dt_s: float | None = None) -> Stage:
    """Stage: a bin's stimulus (input cells,) to the output's mean over the bin.

    declared: populations and projections.
    bin_s:    the bin; the stimulus is held within it.
    dt_s:     the step of the circuit, by default the longest that is safe for each of
              the populations stepped in it, in a whole number of steps a bin.
    raises:   BadSetting for a longer step, with the longest that is safe, or one that
              nothing takes; for a population that is stepped once per bin between
              others that are not, or in bins too long for it; for a conductance that
              would drive its target away from its reversal.

    Within a step, populations are run in the order in which they hear each other
    without delay; all others are heard as they were `delay` steps before.

    >>> import jax
    >>> from retina.circuit.cascade import cascade
    >>> def leaky(cells, dt_s): return cascade(cells, dt_s, stages=1)
    >>> a, b = (Population(name, (2,), leaky, safe_s=0.005) for name in "ab")
    >>> back = Projection("b", "a", sign=-1, delay=1)
    >>> stage = circuit(Circuit((a, b), (Projection("a", "b"), back)), 0.01)
    >>> params = stage.init(jax.random.key(0))
    >>> stage.step(params, stage.start(params), jax.numpy.ones(2))[1].shape
    (2,)
    """
    head, tail = _per_bin(declared)
    _told_apart(declared)
    for population in declared.populations:
        if population.clock == "bin" and bin_s > population.safe_s * (1 + 1e-9):
            raise BadSetting(
                f"population {population.name!r} is stepped once per bin of {bin_s:g} "
                f's; give bins of {population.safe_s:.3g} s or less, or clock="step"'
            )
    middle = {p.name for p in declared.populations} - head - tail
    safe_s = min((declared[n].safe_s for n in middle), default=math.inf)
    number, dt = substeps("circuit", bin_s, min(safe_s, bin_s), dt_s)
    if dt_s is not None and not middle:
        raise BadSetting(
            f"circuit: dt_s {dt_s:g} s would do nothing: each population is stepped "
            'once per bin; leave it out, or give one clock="step"'
        )
    steps = {n: dt if n in middle else bin_s for n in declared.order}
    nodes = _nodes(declared, steps)
    sections = tuple(
        Section(tuple(n for n in nodes if _owner(n.name) in names), ticks)
        for names, ticks in ((head, 1), (middle, number), (tail, 1))
    )
    about = ("circuit", *_about(declared), bin_s, number)
    about = (*about, tuple(node.stage.about for node in nodes))
    floors = tuple(k.name for node in nodes for k in node.links if k.floor)
    about = (*about, ("floor", *floors)) if floors else about
    return network(sections, declared.output, about)


def _told_apart(declared: Circuit) -> None:
    """Rungs that say the same of themselves share a state: they must be the same."""
    known: dict[tuple, tuple[Projection, Synapse]] = {}
    for edge in declared.projections:
        if edge.rung is None:
            continue
        synapse = edge.rung(declared[edge.source].cells, 1e-3)
        first, other = known.setdefault((synapse.about, synapse.count), (edge, synapse))
        if edge.rung is first.rung:
            continue
        mine, theirs = (s.init(jax.random.key(0)) for s in (synapse, other))
        same = jax.tree.structure(mine) == jax.tree.structure(theirs) and all(
            bool(jnp.array_equal(a, b))
            for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True)
        )
        if not same or dict(synapse.parameters) != dict(other.parameters):
            raise BadSetting(
                f"{first.name} and {edge.name}: two rungs are both "
                f"{_word(synapse.about)} but of other values; give one an `about` of "
                "its own"
            )


def _per_bin(declared: Circuit) -> tuple[set[str], set[str]]:
    """Populations that are stepped once per bin before all others, and after them."""
    bins = {p.name for p in declared.populations if p.clock == "bin"}
    steps = {p.name for p in declared.populations} - bins
    after, before = declared.after(steps), declared.before(steps)
    between = sorted(bins & after & before)
    if between:
        raise BadSetting(
            f"population {between[0]!r} is stepped once per bin but both hears and is "
            'heard by populations that are not: give it clock="step"'
        )
    tail = bins & after
    return bins - tail, tail


def _owner(node: str) -> str:
    """The population in whose section a node stands."""
    return node.partition("~")[0]


def _nodes(declared: Circuit, steps: dict[str, float]) -> list[Node]:
    """Cells, terminals and compartments, each after those it hears without delay."""
    joins = declared.joins
    made: list[Node] = []
    for name in declared.order:
        population = declared[name]
        links: list[Link] = []
        compartments: dict[str, tuple[Synapse, list[Link]]] = {}
        for edge in (p for p in declared.projections if p.target == name):
            divides = edge.effect == "divide"
            link = Link(
                edge.name,
                edge.source,
                joins[edge.name],
                edge.sign,
                edge.delay,
                divides,
                # What a rung makes of it may be a current, out or in.
                floor=divides
                and (edge.rung is not None or declared[edge.source].gives[0] < 0),
            )
            if edge.rung is None:
                links.append(link)
                continue
            if not edge.rung(declared[edge.source].cells, steps[edge.source]).linear:
                links.append(link._replace(source=_terminal_name(declared, edge)))
                continue
            synapse = edge.rung(population.cells, steps[name])
            own = f"{name}~{_called(synapse, edge, declared)}"
            own += DIVIDES * divides + TAKES * (edge.sign < 0)
            held = compartments.setdefault(own, (synapse, []))
            # The rung hears a sum, at least 0; what comes of it is the compartment's.
            held[1].append(link._replace(sign=1, divides=False, floor=False))
        for own, (synapse, heard) in compartments.items():
            node = Node(own, synapse.count, terminal(synapse), tuple(heard))
            sign = -1 if own.endswith(TAKES) else 1
            if synapse.hears_post and population.voltage is not None:
                if sign < 0:
                    raise BadSetting(
                        f"projection {heard[0].name}: its conductance follows the "
                        f"potential of {name!r}, and sign=-1 would drive that away "
                        "from the reversal; give sign=1, and the reversal of chloride"
                    )
                followed = terminal(synapse, clamped=False)
                node = node._replace(
                    stage=followed, post=name, volts=population.voltage
                )
            made.append(node)
            divides = own.endswith(DIVIDES)
            links.append(
                Link(own + ">", own, sign=sign, divides=divides, floor=divides)
            )
        made.append(
            Node(
                name,
                population.cells,
                _cells(population, steps[name]),
                tuple(links),
                stimulus=name == declared.input,
            )
        )
        made += _terminals(declared, name, steps[name])
    return made


def _cells(population: Population, dt_s: float) -> Stage:
    if population.dynamics is None:
        return memoryless(lambda params, x: x, batch=lambda params, x: x, about=("as",))
    return population.dynamics(population.cells, dt_s)


def _terminals(declared: Circuit, source: str, dt_s: float) -> list[Node]:
    """One node for each rung that has its state at the terminals of a population."""
    found: dict[str, Node] = {}
    for edge in (p for p in declared.projections if p.source == source and p.rung):
        assert edge.rung is not None
        synapse = edge.rung(declared[source].cells, dt_s)
        if not synapse.linear:
            name = _terminal_name(declared, edge)
            link = Link(name + ">", source)
            stage = terminal(synapse, gives=declared[source].gives)
            found[name] = Node(name, synapse.count, stage, (link,))
    return list(found.values())


def _terminal_name(declared: Circuit, edge: Projection) -> str:
    assert edge.rung is not None
    synapse = edge.rung(declared[edge.source].cells, 1e-3)
    return f"{edge.source}~{_called(synapse, edge, declared)}"


def _called(synapse: Synapse, edge: Projection, declared: Circuit) -> str:
    """A rung's name; its number too, where it differs from others of that name."""
    same = []
    for other in declared.projections:
        if other.rung is not None:
            about = other.rung(synapse.count, 1e-3).about
            if _word(about) == _word(synapse.about) and about not in same:
                same.append(about)
    assert edge.rung is not None
    number = same.index(edge.rung(synapse.count, 1e-3).about) + 1
    return _word(synapse.about) + (str(number) if number > 1 else "")


def rung_name(declared: Circuit, edge: Projection) -> str:
    """What the rung of a projection is called in its circuit; "" where it has none."""
    if edge.rung is None:
        return ""
    return _called(edge.rung(declared[edge.source].cells, 1e-3), edge, declared)


def _word(about: tuple) -> str:
    """What a rung is called in params and drawings.

    >>> _word(("shared", 4, ("kinetic",))), _word(("conductance", 0.0, ("alpha",)))
    ('kinetic', 'conductance')
    """
    return _word(about[2]) if about[0] == "shared" else str(about[0])


def _about(declared: Circuit) -> tuple:
    return (
        tuple((p.name, p.shape, p.clock, p.spacing_um) for p in declared.populations),
        tuple(
            (p.name, p.kernel.about, p.sign, p.delay, p.effect)
            for p in declared.projections
        ),
        declared.input,
        declared.output,
    )


def contract() -> list[tuple[Stage, tuple[int, ...]]]:
    from retina.circuit.cascade import cascade
    from retina.circuit.kernels import gaussian
    from retina.circuit.synapses.exponential import exponential
    from retina.circuit.synapses.kinetic import kinetic

    def leaky(cells: int, dt_s: float) -> Stage:
        return cascade(cells, dt_s, stages=1)

    grid = Population("grid", (3, 4), leaky, clock="bin", spacing_um=10.0)
    on = Population("on", (2, 2, 3), leaky, safe_s=0.02, spacing_um=20.0)
    wide = Population("wide", (2,), leaky, safe_s=0.02)
    out = Population("out", (3,), clock="bin")
    declared = Circuit(
        (grid, on, wide, out),
        (
            Projection("grid", "on", gaussian(10.0)),
            Projection("on", "wide", dense(), rung=kinetic),
            Projection("wide", "on", dense(), exponential, sign=-1, delay=2),
            Projection("on", "out", dense(), rung=kinetic),
        ),
    )
    return [(circuit(declared, 0.05), (12,))]
