"""What grows linearly, and where each meets each."""

from __future__ import annotations

import pytest

from benchmarks.growth import exponent

# At 256 the fixed parts still show: an exponent is this near to where it goes.
NEAR = 0.15
LINEAR = [
    ("ln full", "synapses"),
    ("ln full", "lags"),
    ("ln", "cells"),
    ("elm", "cells"),
]
SQUARED = [("glm coupled", "cells"), ("cnn", "branches"), ("lstm", "branches")]


@pytest.mark.parametrize("name, axis", LINEAR)
def test_private_parts_grow_linearly(name, axis):
    assert exponent(name, axis, 256) == pytest.approx(1, abs=NEAR)


@pytest.mark.parametrize("name, axis", SQUARED)
def test_where_each_meets_each_it_is_the_square(name, axis):
    assert exponent(name, axis, 256) == pytest.approx(2, abs=NEAR)


def test_a_recursion_does_not_know_how_far_back_it_looks():
    assert exponent("elm", "lags", 256) == 0
    assert exponent("ln", "lags", 256) == pytest.approx(1, abs=NEAR)


def test_a_shared_core_makes_one_more_cell_cheap():
    """Few cells cost little beside the core that they share; many do not."""
    few, many = exponent("cnn", "cells", 2), exponent("cnn", "cells", 4096)
    assert few < 0.2 < 0.8 < many
