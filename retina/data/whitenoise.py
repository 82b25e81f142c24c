"""The binary checkerboard of a seed: packed files, and trials made again in parallel.

The generator is ran1 of Numerical Recipes (a multiplicative congruence whose order a
table of 32 entries shuffles) as the package `retinawhitenoise` has it. It runs on from
trial to trial and cannot jump: the table depends on all that went before. A card may
therefore give its state at some trials; the stretches between them are made by one
process each, and each must end in the state that the next began with.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retina import atomic, resources
from retina.data import mapped
from retina.data.below import below
from retina.data.card import Card
from retina.errors import BadCard, BrokenRun, MissingExtra, UnreadableFile, nearest

State = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Movie:
    """A checkerboard that runs on from trial to trial, and the window kept of it.

    seed:   of the generator, negative.
    shape:  (x, y) squares of the whole board.
    frames: per trial.
    corner: (x, y) of the window.
    size:   (x, y) squares of the window.
    packed: (file, first trial, stop) of windows already made, beside the recording.
    states: {trial: the generator's state before it, as 34 times 8 hex digits}.
    """

    seed: int
    shape: tuple[int, int]
    frames: int
    corner: tuple[int, int]
    size: tuple[int, int]
    packed: tuple[tuple[str, int, int], ...] = ()
    states: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def window(self) -> tuple[slice, slice]:
        (x, y), (width, height) = self.corner, self.size
        return slice(x, x + width), slice(y, y + height)

    def starts(self) -> list[int]:
        """Trials at which a stretch can begin."""
        return sorted({0, *map(int, self.states)})

    def state(self, trial: int) -> int | State:
        """What the generator is given to begin at one of `starts`."""
        if str(trial) not in self.states:
            return self.seed
        digits = self.states[str(trial)]
        words = [int(digits[i : i + 8], 16) for i in range(0, len(digits), 8)]
        # The last two belong to its Gaussian numbers, which the movie does not use.
        return {
            "idum": words[0],
            "iy": words[1],
            "iv": words[2:],
            "iset": 0,
            "gset": 0.0,
        }


def movie(card: Card) -> Movie:
    """The movie of a card's table ``options.movie``.

    raises: BadCard.
    """
    table = dict(card.options.get("movie", {}))
    known = [field.name for field in dataclasses.fields(Movie)]
    for key in table:
        if key not in known:
            raise BadCard(
                f"{card.name}: unknown key 'options.movie.{key}': {nearest(key, known)}"
            )
    for key in known[:5]:
        if key not in table:
            raise BadCard(f"{card.name}: key 'options.movie.{key}' is missing")
    return Movie(**{key: _frozen(value) for key, value in table.items()})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def running(folder: Path, card: Card, movie: Movie, trials: range) -> np.ndarray:
    """The stimulus of some trials: from packed files, else from the seed.

    folder:  with the card's files.
    returns: (trial, frame, y, x) int8 of -1 and 1.
    raises:  UnreadableFile; MissingExtra where `retinawhitenoise` is not installed.
    """
    held = [
        (below(folder, file), range(first, stop))
        for file, first, stop in movie.packed
        if below(folder, file).is_file()
    ]
    covered = {trial for _, inside in held for trial in inside}
    if not covered.issuperset(trials):
        held = _made(card, movie, trials)
    return unpack(held, movie, trials)


def unpack(
    held: Sequence[tuple[Path, range]], movie: Movie, trials: range
) -> np.ndarray:
    """Trials of packed files: one bit per square, 1 = bright, x before y.

    held:    files and the trials in each.
    returns: (trial, frame, y, x) int8 of -1 and 1.
    raises:  UnreadableFile.
    """
    width, height = movie.size
    shown = np.empty((len(trials), movie.frames, height, width), np.int8)
    for path, inside in held:
        rows = _rows(path, movie, len(inside))
        for trial in (trial for trial in inside if trial in trials):
            first = (trial - inside.start) * movie.frames
            bits = np.unpackbits(rows[first : first + movie.frames], axis=1)
            # Stored x before y; frames are (y, x). One copy, straight into place.
            bits = bits.reshape(movie.frames, width, height).transpose(0, 2, 1)
            np.multiply(bits.view(np.int8), 2, out=shown[trial - trials.start])
    shown -= 1
    return shown


def _rows(path: Path, movie: Movie, trials: int) -> np.ndarray:
    wanted = (trials * movie.frames, movie.size[0] * movie.size[1] // 8)
    rows = mapped.npy(path, always=True)
    if rows.shape != wanted or rows.dtype != np.uint8:
        raise UnreadableFile(
            f"{path} holds {rows.dtype} {rows.shape}, not uint8 {wanted}"
        )
    return rows


def make(movie: Movie, first: int, stop: int) -> Iterator[np.ndarray]:
    """The packed windows of trials [first, stop); `first` is one of `starts`.

    yields: per trial (frame, size x * size y / 8) uint8.
    raises: MissingExtra; BrokenRun where the trials do not end in the state that the
            card gives for `stop`.
    """
    try:
        from retinawhitenoise import Rng  # type: ignore[import-not-found]
    except ImportError:
        raise MissingExtra(
            "the stimulus is made from its seed by the package retinawhitenoise, which "
            "is not installed: pip install 'retina-frontier[whitenoise]'"
        ) from None
    generator = Rng(movie.state(first))
    columns, lines = movie.shape
    for _ in range(first, stop):
        rows = []
        for start in range(0, movie.frames, 30):
            # The generator gives a list of numbers: 30 frames of it at a time.
            frames = min(30, movie.frames - start)
            bits = generator.ranb(frames * columns * lines)
            board = np.frombuffer(bytes(bits), np.uint8)
            window = board.reshape(frames, columns, lines)[:, *movie.window]
            rows.append(np.packbits(window.reshape(frames, -1), axis=1))
        yield np.concatenate(rows)
    if str(stop) in movie.states and generator.seed != movie.state(stop):
        raise BrokenRun(
            f"trials {first}-{stop - 1} do not end in the state that the card gives "
            f"for trial {stop}: one of its states, or the generator, is not right"
        )


def stretches(movie: Movie, trials: range) -> list[range]:
    """The stretches between known states that together hold some trials.

    >>> board = Movie(-1, (4, 4), 2, (0, 0), (4, 4), states={"5": "", "9": ""})
    >>> stretches(board, range(6, 12))
    [range(5, 9), range(9, 12)]
    """
    starts = [t for t in movie.starts() if t < trials.stop]
    ends = [*starts[1:], trials.stop]
    both = zip(starts, ends, strict=True)
    return [range(a, b) for a, b in both if b > trials.start]


def _made(card: Card, movie: Movie, trials: range) -> list[tuple[Path, range]]:
    """Packed files of the stretches, made now where they are not there."""
    from retina.data import workers

    (x, y), (width, height) = movie.corner, movie.size
    # Another seed, size or state makes another movie of the same crop.
    words = repr(dataclasses.replace(movie, packed=())).encode()
    crop = f"made_x{x}_y{y}_{width}x{height}_{hashlib.sha256(words).hexdigest()[:8]}"
    folder = resources.derived() / card.name / crop
    made = [
        (folder / f"trials{t.start:03d}-{t.stop - 1:03d}.npy", t)
        for t in stretches(movie, trials)
    ]
    missing = [
        {
            "movie": dataclasses.asdict(movie),
            "first": inside.start,
            "stop": inside.stop,
            "path": str(path),
        }
        for path, inside in made
        if not path.is_file()
    ]
    if missing:
        atomic.check_writable(folder / "any")
        workers.run(
            "retina.data.whitenoise",
            missing,
            f"{card.name}: making the stimulus of trials {trials.start}-"
            f"{trials.stop - 1} from its seed",
        )
    return made


def _main(job: dict[str, Any]) -> None:
    """One stretch, written whole; what is finished survives an interruption."""
    import io

    table = {key: _frozen(value) for key, value in job["movie"].items()}
    packed = np.concatenate(list(make(Movie(**table), job["first"], job["stop"])))
    whole = io.BytesIO()
    np.save(whole, packed, allow_pickle=False)
    atomic.write_file(Path(job["path"]), whole.getvalue())


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
