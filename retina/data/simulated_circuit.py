"""The circuit behind the simulated recording: from a checkerboard to firing hazards.

Light reaches a photoreceptor per pixel, bipolar cells pool photoreceptors through a
centre and a surround, their release empties a vesicle pool, and each ganglion cell sums
the release of seven neighbouring bipolar cells of its own type. Every number stands
below, with its unit and source; nothing is fitted to the stimulus.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.special import expit

FRAME_S = 1 / 30
SUBSTEPS = 8  # circuit steps per frame (4.17 ms); exponential steps, stable at any size
STEP_S = FRAME_S / SUBSTEPS
SIDE = 20  # pixels, both ways


@dataclasses.dataclass(frozen=True)
class Photoreceptor:
    """Dynamical adaptation model: r = y / (1 + beta z), y and z low-passed light.

    y:    a cascade of ``stages_y`` exponential stages of ``tau_y_s``; the gamma kernel
          K_y with n_y = stages - 1.
    z:    gamma times y plus (1 - gamma) times a slower cascade of ``stages_z``.
    contrast: light is 1 + contrast * stimulus, so the mean light is 1.

    Form, n_y = 2, n_z = 3, gamma = 0.5: Clark et al. 2013, PLoS Comput Biol 9:e1003289
    and the authors' demonstration code; time constants and beta: chosen.
    """

    contrast: float = 0.9
    tau_y_s: float = 0.022
    stages_y: int = 3
    tau_z_s: float = 0.045
    stages_z: int = 4
    gamma: float = 0.5
    beta: float = 1.0


@dataclasses.dataclass(frozen=True)
class CellType:
    """A bipolar type with the ganglion cells it drives.

    sign:         +1 depolarises to light (ON), -1 to darkness (OFF).
    tau_membrane_s, tau_highpass_s, highpass: the bipolar voltage is b - highpass * m,
                  b the pooled input low-passed, m the same low-passed again.
    half_mv, slope_mv: release probability expit((voltage - half) / slope), as in
                  the ribbon models of Schroeder et al. 2019 and 2020; values chosen.
    release_hz:   emptying of a full pool at probability 1; refill_s: its recovery
                  (0.8 s in cones, Van Hook et al. 2014, borrowed; 0.3 s chosen).
    threshold, gain, peak_hz: ganglion hazard peak_hz * log(1 + exp(gain * (input -
                  threshold))); chosen for mean rates of 3 to 25 Hz.
    """

    name: str
    sign: int
    tau_membrane_s: float
    tau_highpass_s: float
    highpass: float
    half_mv: float
    slope_mv: float
    release_hz: float
    refill_s: float
    threshold: float
    gain: float
    peak_hz: float


PHOTORECEPTOR = Photoreceptor()
ON_TRANSIENT = CellType(
    name="ON transient",
    sign=1,
    tau_membrane_s=0.012,
    tau_highpass_s=0.060,
    highpass=0.95,
    half_mv=7.0,
    slope_mv=1.0,
    release_hz=25.0,
    refill_s=0.8,
    threshold=1.37,
    gain=4.4,
    peak_hz=16.0,
)
ON_SUSTAINED = CellType(
    name="ON sustained",
    sign=1,
    tau_membrane_s=0.030,
    tau_highpass_s=0.120,
    highpass=0.40,
    half_mv=8.0,
    slope_mv=1.0,
    release_hz=12.0,
    refill_s=0.3,
    threshold=1.0,
    gain=5.7,
    peak_hz=24.0,
)
# The receptor's adaptation makes darkness and light unequal, so the OFF cells need
# their own thresholds for rates like those of the ON cells.
OFF_TRANSIENT = dataclasses.replace(
    ON_TRANSIENT, name="OFF transient", sign=-1, threshold=1.35, gain=4.6, peak_hz=18.0
)
OFF_SUSTAINED = dataclasses.replace(
    ON_SUSTAINED, name="OFF sustained", sign=-1, threshold=1.33, gain=4.7, peak_hz=32.0
)
TYPES = (ON_TRANSIENT, ON_SUSTAINED, OFF_TRANSIENT, OFF_SUSTAINED)
GAIN_MV = 100.0  # bipolar voltage per unit of receptor response; chosen
# Bipolar receptive fields, in pixels: a Gaussian centre, 3 wide at half height, and
# a surround three times as wide as horizontal cells make it (3-5 times, recalled).
CENTRE_PX = 1.3
SURROUND_PX = 3.9
SURROUND = 0.8
SPACING_PX = 3.0
JITTER_PX = 0.3
TAU_HORIZONTAL_S = 0.030  # delays the surround; chosen
TAU_GANGLION_S = 0.010  # 5-15 ms, recalled
# Ganglion cells sit on the bipolar cells nearest to these (row, column) pixels: their
# receptive fields end inside the frame and neighbours of one type share bipolar cells.
PLACES = ((6.5, 7.0), (7.5, 12.5), (12.5, 9.5))
POOL = 7  # a bipolar cell and its six neighbours


@dataclasses.dataclass(frozen=True, eq=False)
class Wiring:
    """Who listens to whom.

    types:    (cell,) index into TYPES; bipolar_types: (bipolar,) likewise.
    position: (bipolar, 2) row and column in pixels.
    centre:   (pixel, bipolar) weights of photoreceptors, each column summing to 1;
    surround: likewise, through horizontal cells.
    weights:  (bipolar, cell) synapses; each column sums to 1.
    """

    types: np.ndarray
    bipolar_types: np.ndarray
    position: np.ndarray
    centre: np.ndarray
    surround: np.ndarray
    weights: np.ndarray


def wire(generator: np.random.Generator) -> Wiring:
    """Lay out the mosaics and connect them.

    generator: moves each type's lattice as a whole and each bipolar cell a little.
    returns:   Wiring of 12 ganglion cells and the bipolar cells that any of them uses.

    >>> wire(np.random.default_rng(0)).weights.shape[1]
    12
    """
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].reshape(2, -1)
    positions, kinds, links = [], [], []
    for kind in range(len(TYPES)):
        lattice = _lattice(generator)
        apart = np.linalg.norm(lattice[:, None] - lattice[None], axis=-1)
        pools = []
        for place in PLACES:
            middle = np.argmin(np.linalg.norm(lattice - np.array(place), axis=1))
            pools.append(np.argsort(apart[middle], kind="stable")[:POOL])
        used = np.unique(np.concatenate(pools))
        link = np.zeros((len(used), len(PLACES)))
        for cell, pool in enumerate(pools):
            distance = apart[pool[0], pool]
            weight = np.exp(-0.5 * (distance / (1.5 * SPACING_PX)) ** 2)
            link[np.searchsorted(used, pool), cell] = weight / weight.sum()
        positions.append(lattice[used])
        kinds.append(np.full(len(used), kind))
        links.append(link)
    position = np.concatenate(positions)
    weights = np.zeros((len(position), len(TYPES) * len(PLACES)))
    first = 0
    for kind, link in enumerate(links):
        at = slice(kind * len(PLACES), (kind + 1) * len(PLACES))
        weights[first : first + len(link), at] = link
        first += len(link)
    square = (rows[:, None] - position[:, 0]) ** 2
    square = square + (columns[:, None] - position[:, 1]) ** 2
    centre = np.exp(-0.5 * square / CENTRE_PX**2)
    surround = np.exp(-0.5 * square / SURROUND_PX**2)
    return Wiring(
        types=np.repeat(np.arange(len(TYPES)), len(PLACES)),
        bipolar_types=np.concatenate(kinds),
        position=position,
        centre=centre / centre.sum(0),
        surround=surround / surround.sum(0),
        weights=weights,
    )


def _lattice(generator: np.random.Generator) -> np.ndarray:
    """A jittered hexagonal lattice over the frame: (bipolar, 2) pixels."""
    rise = SPACING_PX * np.sqrt(3) / 2
    row, column = np.mgrid[-1:9, -1:8].reshape(2, -1).astype(float)
    points = np.stack([row * rise, (column + 0.5 * (row % 2)) * SPACING_PX], axis=1)
    points += generator.uniform(0, SPACING_PX, size=2)
    points += generator.normal(0, JITTER_PX, size=points.shape)
    inside = np.all((points > 0) & (points < SIDE - 1), axis=1)
    return points[inside]


def hazards(stimulus: np.ndarray, wiring: Wiring) -> np.ndarray:
    """The hazard of each ganglion cell that has not fired lately.

    stimulus: (block, frame, 20, 20), or (block, frame) for a full field; light is
              1 + contrast * stimulus, and every block starts from grey.
    returns:  (block, frame * SUBSTEPS, cell) float32, Hz.
    """
    blocks, frames = stimulus.shape[:2]
    of = {
        f.name: _per_bipolar(f.name, wiring) for f in dataclasses.fields(CellType)[1:]
    }
    cells = {
        name: np.array([getattr(TYPES[kind], name) for kind in wiring.types], "f4")
        for name in ("threshold", "gain", "peak_hz")
    }
    eye, cone = PHOTORECEPTOR, _PhotoreceptorState(blocks)
    centre = (GAIN_MV * of["sign"] * wiring.centre).astype("f4")
    surround = (GAIN_MV * of["sign"] * SURROUND * wiring.surround).astype("f4")
    weights = wiring.weights.astype("f4")
    membrane, slow = (
        np.exp(-STEP_S / of[name]) for name in ("tau_membrane_s", "tau_highpass_s")
    )
    lateral = np.float32(np.exp(-STEP_S / TAU_HORIZONTAL_S))
    ganglion = np.float32(np.exp(-STEP_S / TAU_GANGLION_S))
    horizontal = np.zeros((blocks, len(wiring.position)), "f4")
    voltage, mean = np.zeros_like(horizontal), np.zeros_like(horizontal)
    rest = expit(-of["half_mv"] / of["slope_mv"]) * of["release_hz"]
    pool = np.broadcast_to(1 / (1 + rest * of["refill_s"]), voltage.shape).copy()
    inputs = (pool * rest) @ weights
    out = np.empty((blocks, frames * SUBSTEPS, len(wiring.types)), "f4")
    for frame in range(frames):
        light = 1 + np.float32(eye.contrast) * stimulus[:, frame].reshape(blocks, -1)
        for substep in range(SUBSTEPS):
            receptors = cone.step(light)
            opposed = receptors @ surround
            horizontal = opposed + lateral * (horizontal - opposed)
            drive = receptors @ centre - horizontal
            voltage = drive + membrane * (voltage - drive)
            mean = voltage + slow * (mean - voltage)
            signal = voltage - of["highpass"] * mean
            release = of["release_hz"] * expit(
                (signal - of["half_mv"]) / of["slope_mv"]
            )
            rate = 1 / of["refill_s"] + release
            settled = 1 / (of["refill_s"] * rate)
            pool = settled + np.exp(-STEP_S * rate) * (pool - settled)
            current = (pool * release) @ weights
            inputs = current + ganglion * (inputs - current)
            out[:, frame * SUBSTEPS + substep] = inputs
    out -= cells["threshold"]
    out *= cells["gain"]
    return cells["peak_hz"] * np.logaddexp(out, np.float32(0))


def _per_bipolar(name: str, wiring: Wiring) -> np.ndarray:
    values = np.array([getattr(kind, name) for kind in TYPES], "f4")
    return values[wiring.bipolar_types]


class _PhotoreceptorState:
    """The cascades of every pixel, from grey light, stepped together."""

    def __init__(self, blocks: int) -> None:
        eye = PHOTORECEPTOR
        self.y = np.ones((eye.stages_y, blocks, SIDE * SIDE), "f4")
        self.z = np.ones((eye.stages_z, blocks, SIDE * SIDE), "f4")
        self.keep_y = np.float32(np.exp(-STEP_S / eye.tau_y_s))
        self.keep_z = np.float32(np.exp(-STEP_S / eye.tau_z_s))

    def step(self, light: np.ndarray) -> np.ndarray:
        """(block, pixel) light -> response relative to grey, 0 at grey."""
        eye = PHOTORECEPTOR
        signal = light
        for stage in self.y:
            stage -= signal
            stage *= self.keep_y
            stage += signal
            signal = stage
        slow = light
        for stage in self.z:
            stage -= slow
            stage *= self.keep_z
            stage += slow
            slow = stage
        mixed = eye.gamma * signal + (1 - eye.gamma) * slow
        return (1 + eye.beta) * signal / (1 + eye.beta * mixed) - 1
