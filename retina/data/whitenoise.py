"""The binary checkerboard of a seed: packed, cropped, made again in parallel."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retina.data.card import Card
from retina.errors import BadCard, UnreadableFile


@dataclasses.dataclass(frozen=True)
class Movie:
    """A checkerboard that runs on from trial to trial, and the window kept of it.

    seed:   of the generator, negative.
    shape:  (x, y) squares of the whole board.
    frames: per trial.
    corner: (x, y) of the window.
    size:   (x, y) squares of the window.
    packed: (file, first trial, stop) of windows already made, beside the recording.
    """

    seed: int
    shape: tuple[int, int]
    frames: int
    corner: tuple[int, int]
    size: tuple[int, int]
    packed: tuple[tuple[str, int, int], ...] = ()

    @classmethod
    def from_options(cls, card: Card) -> Movie:
        """The movie of a card's table ``options.movie``."""
        table = dict(card.options["movie"])
        known = [field.name for field in dataclasses.fields(cls)]
        for key in table:
            if key not in known:
                raise BadCard(f"{card.name}: unknown key options.movie.{key}: {known}")
        return cls(
            **{
                key: tuple(map(tuple, value))
                if key == "packed"
                else tuple(value)
                if isinstance(value, list)
                else value
                for key, value in table.items()
            }
        )

    @property
    def window(self) -> tuple[slice, slice]:
        (x, y), (width, height) = self.corner, self.size
        return slice(x, x + width), slice(y, y + height)


def running(
    folder: Path, card: Card, movie: Movie, trials: range
) -> Sequence[np.ndarray]:
    """The stimulus of some trials: from a packed file, else from the seed.

    returns: per trial (frame, y, x) int8 of -1 and 1, views of one array.
    """
    for file, first, stop in movie.packed:
        path = folder / file
        if path.is_file() and first <= trials.start and trials.stop <= stop:
            return unpack(path, movie, range(first, stop), trials)
    raise NotImplementedError


def unpack(path: Path, movie: Movie, held: range, trials: range) -> np.ndarray:
    """Trials of a packed file: one bit per square, 1 = bright, x before y.

    held:    the trials in the file.
    returns: (trial, frame, y, x) int8 of -1 and 1.
    raises:  UnreadableFile.
    """
    width, height = movie.size
    wanted = (len(held) * movie.frames, width * height // 8)
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UnreadableFile(f"{path} is not a readable npy file: {error}") from None
    if rows.shape != wanted or rows.dtype != np.uint8:
        raise UnreadableFile(
            f"{path} holds {rows.dtype} {rows.shape}, not uint8 {wanted}"
        )
    shown = np.empty((len(trials), movie.frames, height, width), np.int8)
    for i, trial in enumerate(trials):
        start = (trial - held.start) * movie.frames
        bits = np.unpackbits(rows[start : start + movie.frames], axis=1)
        # Stored x before y; frames are (height, width). One copy, straight into place.
        bits = bits.reshape(movie.frames, width, height).transpose(0, 2, 1)
        np.multiply(bits.view(np.int8), 2, out=shown[i])
    shown -= 1
    return shown
