"""Another model that is shown a part of each frame."""

from __future__ import annotations

import dataclasses
from typing import Any

from retina import build
from retina.errors import BadSetting
from retina.layers.door import image_shape
from retina.layers.wrapped import shown_through
from retina.stage import Model, Stage, memoryless
from retina.types import Spec


def cropped(
    spec: Spec,
    /,
    *,
    of: str = "ln",
    settings: tuple[tuple[str, Any], ...] = (),
    box: tuple[int, int, int, int] | None = None,
) -> Model:
    """A model of a box within the frame; `retina reduce crop` makes one.

    of, settings: the model's name and keywords.
    box:     first row, first column, rows and columns of what it sees; None: all.

    >>> cropped(Spec((8, 8), 2, 0.01), box=(1, 2, 5, 4)).stage.name
    'cropped'
    """
    image = image_shape(spec)
    if box is None:
        box = (0, 0, *image)
    for first, count, side, what in zip(
        box[:2], box[2:], image, ("rows", "columns"), strict=True
    ):
        if not (0 <= first and 1 <= count and first + count <= side):
            raise BadSetting(
                f"box {box}: {what} {first} to {first + count} of a frame of {side}"
            )
    frame = box[2:][2 - len(spec.frame) :]
    inner = build.model(of, dataclasses.replace(spec, frame=frame), **dict(settings))

    def see(frames):
        """(..., *frame) -> (..., *box)."""
        if not spec.frame:
            return frames
        row, column, rows, columns = box
        wide = frames[..., column : column + columns]
        return wide[..., row : row + rows, :] if len(spec.frame) == 2 else wide

    made = shown_through("cropped", inner, crop(see, box), see, ("cropped", box))
    return made._replace(spec=spec)


def crop(see, box: tuple[int, int, int, int]) -> Stage:
    """The stage that lets a box of the frame through."""
    return memoryless(
        lambda params, x: see(x),
        batch=lambda params, x: see(x),
        about=("crop", box),
    )
