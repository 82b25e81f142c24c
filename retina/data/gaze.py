"""A movie of images that were each looked at in another place, kept as files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from retina.data.written import composed, digest, state
from retina.errors import (
    BadCard,
    BadStimulus,
    MissingData,
    ShapeMismatch,
    UnreadableFile,
)
from retina.movie import PIECE


@dataclasses.dataclass(frozen=True)
class Gaze:
    """What was looked at, frame by frame.

    images:  files, each an array (x, y).
    looked:  (frame, 4): image, x and y of its middle, and whether it stands as it is
             (1) or is mirrored along its second axis (0).
    padding: pixels that surround each image in its file.
    size:    (height, width) seen of it.
    crop:    pixels cut off at the (top, bottom, left, right) of that.
    """

    images: tuple[Path, ...]
    looked: np.ndarray
    padding: int
    size: tuple[int, int]
    crop: tuple[int, int, int, int]

    @classmethod
    def read(
        cls, lines: Path, images: Path, padding: int, size: list[int], crop: list[int]
    ) -> Gaze:
        """From a text file of a line per frame, "image . . x y ... flip".

        raises: MissingData; UnreadableFile for a line that is broken; BadCard.
        """
        if len(size) != 2 or len(crop) != 4:
            raise BadCard(
                f"size = {size!r} must be [height, width], crop = {crop!r} [top, "
                "bottom, left, right]"
            )
        kept = (size[0] - crop[0] - crop[1], size[1] - crop[2] - crop[3])
        whole = all(type(n) is int and n >= 0 for n in (*size, *crop, padding))
        if not whole or min(kept) < 1:
            raise BadCard(f"crop = {crop!r} leaves nothing of size = {size!r}")
        if not lines.is_file() or not images.is_dir():
            raise MissingData(
                f"there is no {lines} or no folder {images}: fetch them from the "
                "source, and name them in the card as they lie"
            )
        found = tuple(sorted(images.glob("*.npy")))
        return cls(
            found,
            _parsed(lines),
            padding,
            (size[0], size[1]),
            tuple(crop),  # type: ignore
        )


def watched(gaze: Gaze, rows: np.ndarray) -> np.ndarray:
    """The frames of some lines, (frame, y, x), in the numbers of the files.

    returns: a large movie is mapped: see `retina.data.written`.
    raises: ShapeMismatch where there are fewer lines, or an image is not as large as it
            must be; BadStimulus; UnreadableFile.
    """
    if len(rows) and rows.max() >= len(gaze.looked):
        raise ShapeMismatch(
            f"the responses want line {rows.max() + 1} of fixations, there are "
            f"{len(gaze.looked)}: are these the fixations of this retina?"
        )
    top, bottom, left, right = gaze.crop
    height, width = gaze.size
    tall, wide = height - top - bottom, width - left - right
    looked = gaze.looked[rows]
    if not len(looked):
        return np.zeros((0, tall, wide), np.float32)
    if not 0 <= looked[:, 0].min() <= looked[:, 0].max() < len(gaze.images):
        raise BadStimulus(
            f"fixations name image {looked[:, 0].max()}, but there are "
            f"{len(gaze.images)}"
        )
    kind = _kept(_image(gaze.images[looked[:, 0].min()]))
    each = max(1, PIECE // (tall * wide))

    def pieces() -> Iterator[np.ndarray]:
        for at in range(0, len(looked), each):
            yield _seen(gaze, looked[at : at + each], (tall, wide), kind)

    files = [state(gaze.images[n]) for n in np.unique(looked[:, 0])]
    key = ("gaze", 1, files, digest(looked), gaze.padding, gaze.size, gaze.crop)
    shape = (len(looked), tall, wide)
    return composed(key, "the movie of these fixations", kind, shape, pieces())


def _seen(
    gaze: Gaze, looked: np.ndarray, shape: tuple[int, int], kind: np.dtype
) -> np.ndarray:
    top, bottom, left, right = gaze.crop
    height, width = gaze.size
    made = np.empty((len(looked), *shape), kind)
    for index in np.unique(looked[:, 0]):
        image = _image(gaze.images[index])
        if _kept(image) != kind:
            raise BadStimulus(
                f"{gaze.images[index].name} is {image.dtype}, other images give {kind}:"
                " bring all to one type of number and one scale"
            )
        for row in np.flatnonzero(looked[:, 0] == index):
            _, x, y, stands = (int(n) for n in looked[row])
            x0, y0 = x + gaze.padding - width // 2, y + gaze.padding - height // 2
            seen = image[max(x0, 0) : x0 + width, max(y0, 0) : y0 + height]
            if x0 < 0 or y0 < 0 or seen.shape != (width, height):
                raise ShapeMismatch(
                    f"{gaze.images[index].name}: {image.shape} does not reach "
                    f"{height} x {width} pixels around ({x}, {y}) with padding "
                    f"{gaze.padding}"
                )
            seen = seen if stands else seen[:, ::-1]
            made[row] = seen.T[top : height - bottom, left : width - right]
    return made


def _kept(image: np.ndarray) -> np.dtype:
    """The numbers of a movie of such images."""
    return image.dtype if image.dtype.kind in "iu" else np.dtype(np.float32)


def _image(path: Path) -> np.ndarray:
    try:
        with open(path, "rb") as file:  # numpy leaves a broken zip open
            found = np.load(file, allow_pickle=False)
    except Exception as error:  # numpy raises many kinds on damaged files
        said = " ".join(str(error).split())[:200]
        raise UnreadableFile(f"{path} is not a readable npy file ({said})") from None
    if not isinstance(found, np.ndarray) or found.ndim != 2:
        raise ShapeMismatch(f"{path} is no image (x, y)")
    if found.dtype.kind not in "biuf":
        raise BadStimulus(f"{path} is {found.dtype}, not numbers")
    return found


def _parsed(path: Path) -> np.ndarray:
    rows = []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UnreadableFile(f"{path} is no text: fetch it again") from None
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        try:
            image, x, y = (int(float(words[i])) for i in (0, 3, 4))
            stands = int(words[-1][0])
        except (ValueError, IndexError, OverflowError):
            raise UnreadableFile(
                f'{path}: line {number}, {line[:60]!r}, is not "image . . x y ... flip"'
            ) from None
        if len(words) < 6 or max(abs(image), abs(x), abs(y)) > 1 << 30:
            raise UnreadableFile(
                f"{path}: line {number}, {line[:60]!r}, is broken off or no fixation"
            )
        rows.append((image, x, y, stands))
    return np.array(rows, np.int64).reshape(-1, 4)
