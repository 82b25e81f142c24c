"""The table of rules: from the name of a primitive to the function that counts it.

A rule takes one `Op` (shapes, dtypes and parameters, never numbers) and returns its
`Counts`. Loops and branches are counted in `walk`, calls are inlined in `program`.
"""

from __future__ import annotations

from collections.abc import Callable

from retina.costs import contraction, draws, elementwise, factorisation, movement
from retina.costs.counts import Counts
from retina.costs.program import Op
from retina.errors import UncountedPrimitive

RULES: dict[str, Callable[[Op], Counts]] = {
    **elementwise.RULES,
    **contraction.RULES,
    **movement.RULES,
    **factorisation.RULES,
    **draws.RULES,
}


def count_op(op: Op) -> Counts:
    """What one operation without a body costs.

    raises: UncountedPrimitive for a primitive that has no rule.
    """
    rule = RULES.get(op.name)
    if rule is None:
        shapes = ", ".join(str(value.shape) for value in op.ins)
        raise UncountedPrimitive(
            f"no exact cost is known for the primitive {op.name!r} (inputs {shapes}"
            f"{', in ' + op.part if op.part else ''}): write the step without it, or "
            "add its rule to one of the RULES tables named in retina/costs/rules.py "
            "and a closed-form case to tests/costs/test_rules.py"
        )
    return rule(op)
