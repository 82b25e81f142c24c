"""What the simulated retina is shown: noise, and steps of its contrast and mean light.

Stationary noise cannot ask what adaptation is for: it never changes. With levels, the
screen holds one pair of contrast and mean light after the other, and the noise goes on:

    noise            s = +1 or -1 per pixel, or anything between for a full field
    light            L = m (1 + 0.9 c s)
    stimulus         (L - 1) / 0.9                   so that L = 1 + 0.9 stimulus
"""

from __future__ import annotations

import numpy as np

from retina.data import simulated_circuit as circuit
from retina.errors import BadSetting

MOST = 1 / circuit.PHOTORECEPTOR.contrast  # contrast at which the screen gets black

Levels = tuple[tuple[float, float], ...]


def checked_levels(levels: object, level_s: float) -> Levels:
    """The levels as a tuple of pairs; a card's lists become tuples.

    levels: of (contrast, mean light), 1 and 1 for the noise without steps.
    raises: BadSetting for anything that no screen can show.

    >>> checked_levels([[1, 1], [0.5, 1.2]], 4.0)
    ((1.0, 1.0), (0.5, 1.2))
    """
    if not isinstance(levels, list | tuple):
        raise BadSetting(
            f"simulated: levels is {levels!r}; give pairs of contrast and mean light, "
            "such as [[1.0, 1.0], [0.5, 1.0]]"
        )
    made = []
    for pair in levels:
        try:
            contrast, light = (float(value) for value in pair)
        except (TypeError, ValueError):
            raise BadSetting(
                f"simulated: level {pair!r}; give a contrast and a mean light, such as "
                "[0.5, 1.0]"
            ) from None
        if not (0 <= contrast <= MOST and 0 < light < np.inf):
            raise BadSetting(
                f"simulated: level {list(pair)!r}; the contrast must lie between 0 and "
                f"{MOST:.2f}, the mean light above 0"
            )
        made.append((contrast, light))
    if made and not level_s >= circuit.FRAME_S:
        raise BadSetting(
            f"simulated: level_s is {level_s!r}; a level lasts a frame or more, such "
            "as level_s = 4.0"
        )
    if level_s and not made:
        raise BadSetting(
            f"simulated: level_s is {level_s!r} but there are no levels; give them, "
            "such as levels = [[1.0, 1.0], [0.5, 1.0]]"
        )
    return tuple(made)


def drawn(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Random bytes for `noise`: eight pixels of a checkerboard each, or one frame.

    shape: (block, frame) of a full field, (block, frame, row, column) otherwise.
    """
    each = 1 if len(shape) == 2 else 8
    return generator.integers(0, 256, size=-(-np.prod(shape) // each), dtype=np.uint8)


def noise(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The noise that the bytes of `drawn` stand for.

    returns: of that shape: int8, +1 or -1 per pixel; for a full field float32, one of
             256 values from -1 to 1: of two, in steps, long stretches come again.
    """
    if len(shape) == 2:
        return packed.reshape(shape) / np.float32(127.5) - np.float32(1)
    bits = np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape)
    return 2 * bits.astype(np.int8) - 1


def stepped(shown: np.ndarray, levels: Levels, level_s: float) -> np.ndarray:
    """The noise on the levels, each held for level_s seconds, in turn.

    shown:   (block, frame, ...) from `noise`. The first block begins with the first
             level, the next with the second: no level always stands at the same place.
    returns: the same shape, float32; without levels `shown` as it is.

    >>> stepped(np.ones((2, 2), np.int8), ((1.0, 1.0), (0.5, 1.0)), 1 / 30).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    if not levels:
        return shown
    blocks, frames = shown.shape[:2]
    # A hair late, as 1/30 s is no binary fraction.
    turn = np.floor(np.arange(frames) * circuit.FRAME_S / level_s + 1e-6).astype(int)
    which = (turn + np.arange(blocks)[:, None]) % len(levels)
    contrast, light = np.array(levels, np.float32)[which].transpose(2, 0, 1)
    spread = (blocks, frames) + (1,) * (shown.ndim - 2)
    offset = (light - 1) / np.float32(circuit.PHOTORECEPTOR.contrast)
    return offset.reshape(spread) + (light * contrast).reshape(spread) * shown
