"""Program: a traced function as one flat list of operations, calls inlined.

Only loops and branches keep bodies. What JAX's own versions name differently is
settled here, so that the counting below knows one form.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Calls that run their body once, and the parameter that holds it.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "eval_jaxpr": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vmap_call": "call",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}
_JAX = os.path.dirname(str(jax.__file__))
# Samplers that do real work besides drawing: their bodies are counted instead.
_WALKED_SAMPLERS = {"_multivariate_normal", "_orthogonal", "_shuffle", "_dirichlet"}
# What a clip is made of.
_ENDS, _SHAPED = {"max", "min"}, {"convert_element_type", "broadcast_in_dim"}


@dataclasses.dataclass(eq=False)
class Value:
    """One array of a program. `known` is its number where that is a literal integer.

    held: the array itself, of a literal or a constant of the program.
    """

    shape: tuple[int, ...]
    dtype: Any
    literal: bool = False
    known: int | None = None
    held: Any = None

    @property
    def size(self) -> int:
        size = 1
        for side in self.shape:
            size *= int(side)
        return size

    @property
    def bytes(self) -> int:
        if jnp.issubdtype(self.dtype, jax.dtypes.prng_key):
            words = jax.eval_shape(
                jax.random.key_data, jax.ShapeDtypeStruct((), self.dtype)
            )
            return self.size * words.size * words.dtype.itemsize
        return self.size * np.dtype(self.dtype).itemsize


@dataclasses.dataclass(eq=False)
class Op:
    """One operation. `part` is the named scope it stands in; loops have `bodies`.

    run: arrays -> the list of results, as JAX computes them.
    """

    name: str
    params: dict[str, Any]
    ins: list[Value]
    outs: list[Value]
    part: str
    bodies: tuple[Program, ...] = ()
    run: Callable[..., list[Any]] | None = None


@dataclasses.dataclass(eq=False)
class Program:
    """Operations in order, from inputs to outs."""

    inputs: list[Value]
    ops: list[Op]
    outs: list[Value]


def trace(fn: Callable[..., Any], *args: Any, part: str = "") -> Program:
    """The program that `fn(*args)` runs, nothing computed, dead code removed.

    fn:      any JAX function.
    args:    arrays, or trees of arrays or `jax.ShapeDtypeStruct`.
    part:    what work outside every named scope is filed under.
    returns: inputs and outs are the leaves of args and of the result, in order.

    >>> [op.name for op in trace(lambda x: x + 1.0, np.float32(1)).ops]
    ['add']
    """
    program = _program(jax.make_jaxpr(fn)(*args), "")
    _file(program, part)
    return without_dead(program, [True] * len(program.outs))


def _file(program: Program, part: str) -> None:
    for op in program.ops:
        op.part = op.part or part
        for body in op.bodies:
            _file(body, op.part)


def _program(closed: Any, part: str) -> Program:
    jaxpr = getattr(closed, "jaxpr", closed)
    inputs = [_value(var) for var in jaxpr.invars]
    ops: list[Op] = []
    outs = _inline(closed, inputs, part, ops)
    return Program(inputs, ops, outs)


def _value(var: Any) -> Value:
    return Value(tuple(var.aval.shape), var.aval.dtype)


def _inline(closed: Any, ins: Sequence[Value], part: str, ops: list[Op]) -> list[Value]:
    """Append the body's operations to `ops`; the values of its results."""
    jaxpr = getattr(closed, "jaxpr", closed)
    constants = getattr(closed, "consts", ())
    known: dict[Any, Value] = dict(zip(jaxpr.invars, ins, strict=True))
    for var, number in zip(jaxpr.constvars, constants, strict=True):
        known[var] = _constant(number, var.aval, literal=False)

    def read(atom: Any) -> Value:
        if hasattr(atom, "val"):
            return _constant(atom.val, atom.aval, literal=True)
        return known[atom]

    for eqn in jaxpr.eqns:
        inside = _scope(part, str(eqn.source_info.name_stack))
        arguments = [read(atom) for atom in eqn.invars]
        name = _named(eqn)
        call = _call(eqn, arguments) if name is None else None
        if call is not None:
            results = _inline(*call, inside, ops)
        else:
            results = [_value(var) for var in eqn.outvars]
            ops.append(_op(name, eqn, arguments, results, inside))
        known.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _constant(number: Any, aval: Any, *, literal: bool) -> Value:
    value = Value(tuple(aval.shape), aval.dtype, literal=literal, held=number)
    if value.shape == () and jnp.issubdtype(value.dtype, np.integer):
        value.known = int(number)
    return value


def _scope(part: str, stack: str) -> str:
    """`part` extended by a name stack, without the wrappers of grad, vmap, ...

    >>> _scope("model", "transpose(jvp(filter))/basis")
    'model/filter/basis'
    """
    names = re.sub(r"\w+\(|\)", "", stack).split("/")
    # jnp.einsum files its work under its own formula; a part is what we named.
    named = [name for name in names if name and "," not in name and "->" not in name]
    return "/".join([part, *named] if part else named)


def _call(eqn: Any, arguments: list[Value]) -> tuple[Any, list[Value]] | None:
    """The body that a call runs once, with its arguments; None for anything else."""
    name, params = eqn.primitive.name, eqn.params
    # eval_jaxpr has its body under either name.
    for held in (CALLS.get(name), "call_jaxpr") if name in CALLS else ():
        if held in params:
            return params[held], arguments
    if name == "custom_linear_solve":
        lengths, bodies = params["const_lengths"], params["jaxprs"]
        first = lengths.matvec + lengths.vecmat
        right_sides = arguments[sum(lengths) :]
        return bodies.solve, arguments[first : first + lengths.solve] + right_sides
    if name == "call_hi_primitive":
        primitive = params["_prim"]
        leaves = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in arguments]

        def expand(*flat: Any) -> Any:
            return primitive.expand(*jax.tree.unflatten(primitive.in_tree, flat))

        return jax.make_jaxpr(expand)(*leaves), arguments
    return None


def _named(eqn: Any) -> str | None:
    """Calls of JAX's own functions that are counted by a rule instead of walked."""
    if eqn.primitive.name in ("jit", "pjit"):
        body = eqn.params["jaxpr"]
    elif eqn.primitive.name == "while":
        body = eqn.params["body_jaxpr"]
    else:
        return None
    function, file = _origin(body)
    if function == "clip" and file.endswith("lax_numpy.py"):
        # Parts of its derivative have its name too: they are walked.
        held = {eqn.primitive.name for eqn in getattr(body, "jaxpr", body).eqns}
        return "clip" if held & _ENDS and held <= _ENDS | _SHAPED else None
    if file.startswith("random") and function not in _WALKED_SAMPLERS:
        return "random_sampler"
    return None


def _origin(body: Any) -> tuple[str, str]:
    """Name of the function a body was traced from; its file, if JAX's own."""
    debug = getattr(getattr(body, "jaxpr", body), "debug_info", None)
    function, _, place = str(getattr(debug, "func_src_info", "")).partition(" at ")
    file = place.split(" ")[0].rpartition(":")[0]
    if not file.startswith(_JAX):
        return function, ""
    return function, os.path.relpath(file, os.path.join(_JAX, "_src"))


def scan_sizes(params: Mapping[str, Any]) -> tuple[int, int]:
    """Constants and carries of a `scan`; jax 0.12 groups its arguments in a tree."""
    if "ft_in" in params:
        consts, carry, _ = (len(list(group)) for group in params["ft_in"].unpack())
        return consts, carry
    return params["num_consts"], params["num_carry"]


def _op(
    name: str | None, eqn: Any, ins: list[Value], outs: list[Value], part: str
) -> Op:
    params = dict(eqn.params)
    bodies: tuple[Any, ...] = ()
    if name is None:
        name = str(eqn.primitive.name)
        if name == "scan":
            bodies = (params["jaxpr"],)
            consts, carry = scan_sizes(params)
            params |= {"num_consts": consts, "num_carry": carry}
        elif name == "while":
            bodies = (params["cond_jaxpr"], params["body_jaxpr"])
        elif name == "cond":
            bodies = tuple(params["branches"])
        elif name == "reduce":
            bodies = (params["jaxpr"],)
    programs = tuple(_program(body, part) for body in bodies)

    def run(*arrays: Any) -> list[Any]:
        found = eqn.primitive.bind(*arrays, **eqn.params)
        return list(found) if eqn.primitive.multiple_results else [found]

    return Op(name, params, ins, outs, part, programs, run)


def without_dead(program: Program, wanted: Sequence[bool]) -> Program:
    """The program without the operations that no wanted result needs.

    >>> unused = trace(lambda x: (x + 1.0, x * 2.0), np.float32(1))
    >>> [op.name for op in without_dead(unused, [True, False]).ops]
    ['add']
    """
    live = {value for value, keep in zip(program.outs, wanted, strict=True) if keep}
    kept = []
    for op in reversed(program.ops):
        needed = [out in live for out in op.outs]
        if any(needed):
            op, used = _live_op(op, needed)
            live.update(value for value, use in zip(op.ins, used, strict=True) if use)
            kept.append(op)
    return Program(program.inputs, kept[::-1], program.outs)


def _live_op(op: Op, needed: list[bool]) -> tuple[Op, list[bool]]:
    """The operation with dead code in its bodies removed; which inputs it reads."""
    if op.name == "scan":
        consts, carry = op.params["num_consts"], op.params["num_carry"]
        body = op.bodies[0]
        while True:
            pruned = without_dead(body, needed)
            used = _used(pruned, needed)
            grown = [a or b for a, b in zip(needed, used[consts:], strict=False)]
            grown = grown[:carry] + needed[carry:]
            if grown == needed:
                return dataclasses.replace(op, bodies=(pruned,)), used
            needed = grown
    if op.name == "while":
        test, body = op.bodies
        tests, consts = op.params["cond_nconsts"], op.params["body_nconsts"]
        tested = _used(test, [True])
        needed = [a or b for a, b in zip(needed, tested[tests:], strict=True)]
        while True:
            pruned = without_dead(body, needed)
            used = _used(pruned, needed)
            grown = [a or b for a, b in zip(needed, used[consts:], strict=True)]
            if grown == needed:
                use = tested[:tests] + used[:consts] + needed
                return dataclasses.replace(op, bodies=(test, pruned)), use
            needed = grown
    if op.name == "cond":
        bodies = tuple(without_dead(body, needed) for body in op.bodies)
        uses = [_used(body, needed) for body in bodies]
        return dataclasses.replace(op, bodies=bodies), [
            True,
            *(any(column) for column in zip(*uses, strict=True)),
        ]
    return op, [True] * len(op.ins)


def _used(program: Program, wanted: Sequence[bool]) -> list[bool]:
    """Which inputs of a pruned program any of its operations or results reads."""
    read = {value for op in program.ops for value in op.ins}
    read |= {out for out, keep in zip(program.outs, wanted, strict=True) if keep}
    return [value in read for value in program.inputs]
