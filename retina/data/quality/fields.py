"""Where in the frame each cell looks, and how far: a Gaussian in space."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from retina.data.finding import Finding, some
from retina.types import Split

KNOWN = 5.0  # times the scatter of the pixels: the least peak that is fitted


@dataclasses.dataclass(frozen=True)
class Field:
    """A cell's receptive field, in pixels of the frame.

    lag:       bins before the event at which the average is largest.
    centre:    (row, column), pixel 0 at 0.
    sd:        (long, short) axes of the Gaussian.
    angle:     of the long axis from the column axis, radians.
    amplitude: of the peak, in units of the stimulus; its sign is the cell's.
    explained: share of the profile's power within 3 s.d. that the Gaussian explains.
    pixel_um:  side of a pixel on the retina, None where nobody states it; centre_um and
               sd_um are then None too.
    """

    lag: int
    centre: tuple[float, float]
    sd: tuple[float, float]
    angle: float
    amplitude: float
    explained: float
    pixel_um: float | None = None

    @property
    def centre_um(self) -> tuple[float, float] | None:
        """(down, right) of the middle of the frame's first pixel, um."""
        return self._um(self.centre)

    @property
    def sd_um(self) -> tuple[float, float] | None:
        """(long, short) axes of the Gaussian, um."""
        return self._um(self.sd)

    def _um(self, pixels: tuple[float, float]) -> tuple[float, float] | None:
        if self.pixel_um is None:
            return None
        return pixels[0] * self.pixel_um, pixels[1] * self.pixel_um


def receptive_fields(
    past: np.ndarray, pixel_um: float | None = None
) -> list[Field | None]:
    """One field per cell; None for a cell whose average has no clear peak.

    past:     (lag, cell, height, width) averages, lag 0 first, from `retina.sta`.
    pixel_um: side of a pixel on the retina, `Spec.pixel_um`.

    >>> rng = np.random.default_rng(0)
    >>> past = rng.normal(0, 0.01, (5, 1, 8, 9))
    >>> past[2, 0, 3:5, 4:6] += 0.5
    >>> (found,) = receptive_fields(past)
    >>> found.lag, np.round(found.centre, 1).tolist()
    (2, [3.5, 4.5])
    >>> receptive_fields(past, pixel_um=30.0)[0].sd_um is None
    False
    """
    return [field(past[:, cell], pixel_um) for cell in range(past.shape[1])]


def field(average: np.ndarray, pixel_um: float | None = None) -> Field | None:
    """The Gaussian that fits an average best at the lag of its peak.

    average: (lag, height, width).
    """
    if not np.isfinite(average).all():
        return None
    lag, row, column = np.unravel_index(np.abs(average).argmax(), average.shape)
    profile = average[lag]
    scatter = 1.4826 * np.median(np.abs(average - np.median(average)))
    if not abs(profile[row, column]) > KNOWN * scatter:
        return None
    found = _fitted(profile, int(lag), int(row), int(column))
    return dataclasses.replace(found, pixel_um=pixel_um)


def _fitted(profile: np.ndarray, lag: int, row: int, column: int) -> Field:
    from scipy.optimize import least_squares

    rows, columns = np.indices(profile.shape)
    peak = profile[row, column]
    # Where the start is: the half of the peak's own sign, by its moments.
    high = np.clip(profile / peak, 0, None) * (profile / peak > 0.4)
    near = high * (np.hypot(rows - row, columns - column) < max(profile.shape) / 3)
    centre = [float((near * axis).sum() / near.sum()) for axis in (rows, columns)]
    spread = near * (np.square(rows - centre[0]) + np.square(columns - centre[1]))
    wide = max(0.6, float(np.sqrt(spread.sum() / near.sum() / 2)))

    def gaussian(x: np.ndarray) -> np.ndarray:
        amplitude, y0, x0, a, b, angle = x
        dy, dx = rows - y0, columns - x0
        along = np.cos(angle) * dx + np.sin(angle) * dy
        across = -np.sin(angle) * dx + np.cos(angle) * dy
        return amplitude * np.exp(
            -0.5 * (np.square(along / np.exp(a)) + np.square(across / np.exp(b)))
        )

    size = max(profile.shape)
    low = [-np.inf, -size, -size, np.log(0.3), np.log(0.3), -np.inf]
    upper = [np.inf, 2 * size, 2 * size, np.log(size), np.log(size), np.inf]
    start = [peak, *centre, np.log(wide), np.log(wide), 0.0]
    found = least_squares(
        lambda x: (gaussian(x) - profile).ravel(), start, bounds=(low, upper)
    ).x
    amplitude, y0, x0, a, b, angle = found
    if b > a:
        a, b, angle = b, a, angle + np.pi / 2
    inside = np.hypot(rows - y0, columns - x0) < 3 * np.exp(a)
    left = np.square(profile - gaussian(found))[inside].sum()
    power = np.square(profile)[inside].sum()
    return Field(
        lag,
        (float(y0), float(x0)),
        (float(np.exp(a)), float(np.exp(b))),
        float(np.mod(angle, np.pi)),
        float(amplitude),
        float(1 - left / power) if power > 0 else 0.0,
    )


def fields(made: Split, past: np.ndarray) -> Iterator[Finding]:
    """How many cells have a receptive field in the frame, and how large they are."""
    if len(made.spec.frame) != 2 or min(made.spec.frame) < 3:
        return
    names = np.array([cell.name for cell in made.cells])
    um = made.spec.pixel_um
    each = receptive_fields(past, um)
    known = np.array([one is not None for one in each])
    if known.any():
        radius = np.median([math.sqrt(math.prod(one.sd)) for one in each if one])
        yield Finding(
            "ok",
            "fields",
            f"{int(known.sum())} cells have a receptive field; s.d. of its Gaussian "
            f"{radius:.2f} pixels (median)"
            + (f", {radius * um:.4g} um on the retina" if um else ""),
        )
        height, width = made.spec.frame
        edge = np.array(
            [
                one is not None
                and not (
                    0 <= one.centre[0] <= height - 1 and 0 <= one.centre[1] <= width - 1
                )
                for one in each
            ]
        )
        if edge.any():
            text = f"the centre lies outside the frame: {some(names[edge])}"
            yield Finding("note", "fields", text)
    if (~known).any():
        text = f"no receptive field in the frame: {some(names[~known])}"
        yield Finding("note", "fields", text)
