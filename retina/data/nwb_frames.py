"""The frames of a series of an NWB file: its own, or the images that it numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from retina.errors import UnreadableFile

_MOST = 1 << 33  # bytes of a movie of numbered images that is still made


class Frames(NamedTuple):
    """What a series shows.

    values:        where in the file the frames or images are, or they themselves.
    scale, offset: of their numbers.
    images:        whether their axes have the order of NWB's images.
    index:         of the image in each frame; None where the values are the frames.
    """

    values: str | np.ndarray
    scale: float
    offset: float
    images: bool
    index: np.ndarray | None

    def axes(self, number: int) -> str:
        """The order of so many axes where a card does not say it; "" for the usual.

        source: the NWB schema 2.8, ImageSeries, GrayscaleImage, RGBImage: x before y.
        """
        return ", ".join(("frame", "x", "y", "channel")[:number]) if self.images else ""


def frames(series: Any, path: Path, name: str) -> Frames:
    """Of a TimeSeries, an ImageSeries, or an IndexSeries with what it refers to.

    raises: UnreadableFile where the frames are not in the file, or an index is of no
            image.
    """
    if hasattr(series, "indexed_images"):  # an IndexSeries
        return _numbered(series, path, name)
    if getattr(series, "external_file", None) is not None or not hasattr(
        series, "data"
    ):
        raise UnreadableFile(
            f"{path}: the frames of {name!r} are not in the file: write them into it, "
            "or name them with another reader"
        )
    data = series.data
    return Frames(
        str(data.name) if isinstance(data, h5py.Dataset) else np.asarray(data),
        float(series.conversion),
        float(series.offset),
        hasattr(series, "external_file"),  # an ImageSeries, or a kind of it
        None,
    )


def _numbered(series: Any, path: Path, name: str) -> Frames:
    index = np.asarray(series.data[:])
    if series.indexed_images is None:  # the older way
        shown = frames(series.indexed_timeseries, path, name)
        images = len(series.indexed_timeseries.data)
    else:
        order = series.indexed_images.order_of_images
        if order is None:
            raise UnreadableFile(
                f"{path}: {name!r} numbers the images of "
                f"{series.indexed_images.name!r}, which have no order_of_images"
            )
        each = [np.asarray(order[n].data) for n in range(len(order.data))]
        shapes = sorted({one.shape for one in each})
        if len(shapes) != 1:
            raise UnreadableFile(
                f"{path}: the images that {name!r} shows have the shapes "
                f"{', '.join(map(str, shapes))}: wanted one shape for all"
            )
        shown, images = Frames(np.stack(each), 1.0, 0.0, True, None), len(each)
    whole = index.ndim == 1 and index.dtype.kind in "iu" and len(index)
    if not whole or not 0 <= index.min() <= index.max() < images:
        said = f"{index.min()} to {index.max()}" if len(index) else "of no frame"
        raise UnreadableFile(
            f"{path}: {name!r} shows images {said}, but there are 0 to {images - 1}: "
            "a grey screen has to be an image too"
        )
    return shown._replace(index=index.astype(np.int64))


def composed(images: np.ndarray, index: np.ndarray, where: str) -> np.ndarray:
    """The movie of numbered images, in memory.

    raises: UnreadableFile where it would be larger than 8 GB.
    """
    size = len(index) * images[:1].nbytes
    if size > _MOST:
        raise UnreadableFile(
            f"{where}: {len(index)} frames of numbered images are {size / 2**30:.0f} "
            f"GB, more than {_MOST >> 30}: give a smaller movie as a file of its own"
        )
    return np.asarray(images)[index]
