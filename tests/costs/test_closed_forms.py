"""The cost of every registered model, written down by hand from its equations.

Each form takes the frame's height and width and the number of cells and returns
(multiply-adds, other FLOPs) of one bin at the model's default settings. It knows
nothing of the code: windows are at most 13 pixels wide, kernels at most the frame. A
full field is a frame of one pixel; models that would look at it through filters which
only scale it, or through as many time courses as there are lags, leave these out.
"""

from __future__ import annotations

import itertools

import jax
import pytest

from retina import build, registry
from retina.costs.flops import count_step
from retina.types import Spec

LAGS = 30
# Softplus with a gain, of each cell: 5 adds, a multiply, 2 transcendentals.
OUTPUT = 5 + 1 + 2 * 10
FRAMES = [((16, 11), 3), ((7, 19), 1), ((), 60)]


def window(h, w, side=13):
    return min(side, h) * min(side, w)


def valid(n, kernel, stride=1):
    return (n - min(kernel, n)) // stride + 1


def met(n, kernel):
    """Pairs of a place and a sample under its kernel: half a kernel of zeros around."""
    kernel = min(kernel, n)
    pad = (kernel - 1) // 2
    places = n + 2 * pad - kernel + 1
    return places, sum(
        0 <= place + tap - pad < n
        for place, tap in itertools.product(range(places), range(kernel))
    )


def nothing(h, w, n):
    return 0, 0


def ranks(h, w, most=2):
    """A filter has no more of them than its window has pixels."""
    return min(most, window(h, w))


def filters(n, rank, pixels):
    """Separable ones: their pixels once per bin, then their courses."""
    return n * rank * (pixels + LAGS)


def filtered(h, w, n):
    return filters(n, ranks(h, w), window(h, w))


def ln(h, w, n):
    return filtered(h, w, n), n * OUTPUT


def glm(h, w, n):
    return filtered(h, w, n) + n * 30, n * (OUTPUT + 1)  # 30 lags of its own spikes


def lnk(h, w, n):
    # A sigmoid and its bias; four states: 32 adds, 17 multiplies; a scale.
    return filtered(h, w, n), n * (OUTPUT + 1 + 10 + 32 + 17 + 1)


def ribbon_ln(h, w, n):
    # A terminal of 7 adds, 3 multiplies, a divide, 2 transcendentals; standardised.
    return filtered(h, w, n), n * (OUTPUT + 7 + 3 + 1 + 20 + 2 + 1)


def nim(h, w, n):
    subunits = 3
    return filters(n, subunits, window(h, w)), n * (OUTPUT + subunits + subunits - 1)


def recursive_ln(h, w, n):
    rank, stages = ranks(h, w), 4
    states = n * rank * stages
    return n * rank * window(h, w) + states, n * OUTPUT + 2 * states


def subunits(h, w):
    return 8 * valid(h, 9) * valid(w, 9)


def lnln(h, w, n):
    units, pixels = subunits(h, w), min(9, h) * min(9, w)
    return units * (pixels + LAGS + n), units + n * OUTPUT


def recursive_subunits(h, w, n):
    """Of an `lnln`: four integrators in a row in place of its lags."""
    macs, rest = lnln(h, w, n)
    units, stages = subunits(h, w), 4
    return macs - units * (LAGS - stages), rest + units * 2 * stages


def subunit_ribbon(h, w, n):
    macs, _ = lnln(h, w, n)
    return macs, subunits(h, w) * (7 + 3 + 1 + 20) + n * OUTPUT


def channels(h, w):
    """More where there are no places to use them at again."""
    return 32 if h * w == 1 else 8


def two_layers(h, w, n, courses):
    """Channels of 9 x 9 on the courses of a pixel, of 5 x 5, then all to each cell."""
    a, b = valid(h, 9), valid(w, 9)
    first, second, c = a * b, valid(a, 5) * valid(b, 5), channels(h, w)
    macs = first * c * min(9, h) * min(9, w) * courses
    macs += second * c * min(5, a) * min(5, b) * c + second * c * n
    return macs, c * first + c * second + n * OUTPUT


def cnn(h, w, n):
    if h * w == 1:
        return two_layers(h, w, n, LAGS)
    macs, rest = two_layers(h, w, n, 4)
    return macs + h * w * LAGS * 4, rest


def units(h, w):
    """Of the two layers."""
    a, b = valid(h, 9), valid(w, 9)
    return channels(h, w) * a * b, channels(h, w) * valid(a, 5) * valid(b, 5)


def merged(h, w, n):
    """Of a `cnn`: its last map to one drive, that to each cell, and an offset."""
    macs, rest = cnn(h, w, n)
    _, size = units(h, w)
    return macs - size * n + size + n, rest + n


def separated(h, w, n):
    """Of a `cnn`: each kernel along the height, then the width, where that is less."""
    macs, rest = cnn(h, w, n)
    inner, c = (valid(h, 9), valid(w, 9)), channels(h, w)
    for (a, b), side, pairs in (((h, w), 9, 4 * c), (inner, 5, c * c)):
        high, wide, rows, columns = valid(a, side), valid(b, side), *inside(a, b, side)
        apart = high * b * rows + high * wide * columns
        macs -= pairs * max(0, high * wide * rows * columns - apart)
    return macs, rest


def inside(a, b, side):
    return min(side, a), min(side, b)


def event_driven(h, w, n):
    """Of a `cnn`: two ends of a band and a difference for all that a layer hears.

    What is added to the last output stands where the offset stood; a readout had none.
    """
    macs, rest = cnn(h, w, n)
    heard = h * w * (LAGS if h * w == 1 else 4) + sum(units(h, w))
    return macs, rest + 3 * heard + n


def clocked(h, w, n):
    """In a bin in which all of it runs."""
    return cnn(h, w, n)


def cnn_history(h, w, n):
    macs, rest = cnn(h, w, n)
    return macs + n * 30, rest + n


def recursive_cnn(h, w, n):
    stages = 8 if h * w == 1 else 4
    macs, rest = two_layers(h, w, n, stages)
    return macs, rest + h * w * 3 * stages  # a lattice: all-pass, from one to the next


def photoreceptor_cnn(h, w, n):
    macs, rest = cnn(h, w, n)
    # Contrast to light; three steps of the cascade, of 10 adds, 18 multiplies and a
    # divide and a transcendental each, and one multiply; standardised.
    return macs, rest + h * w * (2 + 3 * (10 + 18 + 1 + 10) + 1 + 2)


def bn_cnn(h, w, n):
    a, b = valid(h, 15), valid(w, 15)
    first, second = a * b, valid(a, 11) * valid(b, 11)
    macs = first * 8 * min(15, h) * min(15, w) * 40
    macs += second * 8 * min(11, a) * min(11, b) * 8 + second * 8 * n
    # A bias and a normalisation each; the last one before a softplus with no gain.
    return macs, (first + second) * 8 * 3 + n * (2 + 4 + 20)


def core_readout(h, w, n):
    a, b = valid(h, 11), valid(w, 11)
    (c, rows), (d, columns) = met(a, 5), met(b, 5)
    first, second = 16 * a * b, 16 * c * d
    macs = first * min(11, h) * min(11, w)
    macs += 16 * 16 * (rows * columns + c * d * 11) + second * n
    # Courses of 21 and 11 lags, added up as they come; norm, bias, elu.
    elu = 1 + 10
    rest = first * (20 + 21 + 2 + 1 + elu) + second * (10 + 2 + 1 + elu)
    return macs, rest + n * OUTPUT


def views(h, w, n):
    """Numbers that a dense network is fed in a bin, and what they take."""
    return (1, 0) if h * w == 1 else (n * 2, n * 2 * window(h, w))


def mlp(h, w, n):
    (seen, macs), width = views(h, w, n), 64
    inputs = LAGS if seen == 1 else seen * 4
    macs += 0 if seen == 1 else seen * LAGS * 4
    return macs + inputs * width + width * width + width * n, 2 * width + n * OUTPUT


def tcn(h, w, n):
    (seen, macs), taps, width = views(h, w, n), 5, 32
    macs += seen * taps * width + 2 * width * taps * width
    return macs + width * n, 3 * width + n * OUTPUT


def lstm(h, w, n):
    (seen, macs), units = views(h, w, n), 32
    macs += (seen + units) * 4 * units + units * n
    return macs, units * (9 + 3 + 5 * 10) + n * OUTPUT


def elm(h, w, n):
    high, wide, memory = min(3, h), min(3, w), 10
    branches = (min(12, h) // high) * (min(12, w) // wide)
    hidden = 2 * memory
    macs = branches * high * wide
    macs += (branches + memory) * hidden + hidden * memory + memory
    # Leaks of branches and memories, biases, and the update of each memory.
    rest = 2 * branches + memory + hidden + memory + 2 * memory + 10 * memory + 1
    return n * macs, n * (rest + OUTPUT)


def conv_gru(h, w, n):
    a, b = valid(h, 9, 2), valid(w, 9, 2)

    def kernel(side):  # odd, so that the state keeps its size
        return min(3, side - (side % 2 == 0))

    pairs = met(a, kernel(a))[1] * met(b, kernel(b))[1]
    units = 8 * a * b
    macs = units * min(9, h) * min(9, w) + pairs * 3 * 8 * (8 + 8) + units * n
    return macs, units * (1 + 8 + 2 + 3 * 10) + n * OUTPUT


def bcn(h, w, n):
    types, amacrines = 14, 45
    # A network in each cell's window; all cells hear one of a full field.
    one, pixels = (1, 0) if h * w == 1 else (n, window(h, w))
    macs = pixels + types * LAGS + 2 * types * amacrines
    # A sigmoid and two pools of a type, then standardised; of an amacrine cell two
    # leaks and their difference, a threshold, a slope and a sigmoid.
    rest = types * (16 + 7 + 1 + 10 + 2) + amacrines * (4 + 3 + 10)
    return one * macs + n * types, one * rest + n * OUTPUT


def circuit(h, w, n):
    """Cones, horizontal cells, ON and OFF types of bipolar cells, amacrine cells."""
    rows, columns = -(-h // 2), -(-w // 2)
    flat = h * w == 1  # no Gaussian and no mean over places; types in place of those
    places, turns, types = rows * columns, 3, 16 if flat else 2
    amacrines, bipolars = types, 2 * types * places
    # A Gaussian by columns, then by rows, from the cones to three populations, and the
    # weight of each type; of horizontal onto bipolar cells that weight alone.
    macs = 0 if flat else 3 * (h * w * columns + h * rows * columns)
    macs += places + 2 * bipolars
    # Between bipolar and amacrine types, both ways, ON and OFF; ganglion cells pool.
    macs += turns * 4 * types * amacrines + n * (bipolars + amacrines)
    rest = h * w * 9 + places * 3  # three leaks in a row; one
    # Of a bipolar cell and turn: a leak and a sigmoid; its four pools.
    rest += turns * bipolars * (6 + 4 + 10 + 7 + 4)
    rest += turns * amacrines * (7 + 3 + 20)
    # Drives put together: what is taken off of bipolar cells once per bin and once per
    # turn, and the sign of OFF; two inputs of amacrine and two more of ganglion cells.
    rest += bipolars + turns * bipolars + bipolars // 2
    rest += turns * amacrines + 2 * n
    # The mean over all places of each type, each turn; the mean over turns.
    rest += 0 if flat else turns * 2 * types * (places - 1 + 1)
    rest += turns * (bipolars + amacrines)
    return macs, rest + n * OUTPUT


def projected(h, w, n):
    return n * (window(h, w) + 2 * LAGS)


def boosted_trees(h, w, n):
    return projected(h, w, n), n * (60 + 10)  # sixty trees and a mean; exp


def lookup_table(h, w, n):
    return projected(h, w, n), n * 2 * 2


FORMS = {
    form.__name__: form
    for form in (
        bcn, bn_cnn, boosted_trees, circuit, clocked, cnn, cnn_history, conv_gru,
        core_readout, elm, event_driven, glm, ln, lnk, lnln, lookup_table, lstm, merged,
        mlp, nim, photoreceptor_cnn,
        recursive_cnn, recursive_ln, recursive_subunits, ribbon_ln, separated,
        subunit_ribbon, tcn,
    )
} | {"mean": nothing}  # fmt: skip
# As they are built, around an `ln`: a machine that multiplies by every number does what
# it did before (`sparse_flops_per_bin` and `bit_operations_per_bin` do not).
FORMS |= dict.fromkeys(("cropped", "pruned", "quantised"), ln)


def test_no_registered_model_is_left_out():
    assert set(registry.names("models")) == set(FORMS)


@pytest.mark.parametrize("name", FORMS)
def test_the_walker_finds_the_closed_form(name):
    for frame, cells in FRAMES:
        spec = Spec(frame, cells, 0.02, mean_rstar_per_s=1e4)
        model = build.model(name, spec)
        shapes = jax.eval_shape(model.stage.init, jax.random.key(0))
        _, step = count_step(model, shapes)
        h, w = frame or (1, 1)
        macs, rest = FORMS[name](h, w, cells)
        assert step.macs == macs, (frame, cells)
        assert step.flops - 2 * step.macs == rest, (frame, cells)
