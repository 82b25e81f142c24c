"""Cases of what the circuit steps: release by kinetics, bipolar membranes."""

from __future__ import annotations

import functools

import jax
import numpy as np

from retina.circuit.adapting_membrane import adapting_membrane
from retina.circuit.kinetics import kinetics
from tests.circuit.truth import Case

INNER: list[Case] = []


def _in_steps(make, names: str):
    """A part that takes no dt_s, stepped as in the circuit: 5 steps in a bin of 1/30 s.

    names: of its states, a letter each, where they are a tuple.
    """

    def made(cells, bin_s, dt_s):
        number = round(bin_s / (dt_s or 1 / 150))
        stage = make(cells, bin_s / number)

        def named(state):
            return dict(zip(names, state, strict=True)) if names else state

        def start(params, key=None):
            return named(stage.start(params))

        def step(params, state, x):
            def once(state, _):
                state = tuple(state[n] for n in names) if names else state
                state, y = stage.step(params, state, x)
                return named(state), y

            state, y = jax.lax.scan(once, state, None, length=number)
            return state, y.mean(0)

        return stage._replace(start=start, step=step)

    return made


def _kinetics(p, s, u):
    opened = (p["k_a"] * u + p["k_a0"]) * s["R"]
    shut, back = p["k_fi"] * s["A"], p["k_fr"] * s["I"]
    rates = {"R": back - opened, "A": opened - shut, "I": shut - back}
    if "J" in s:
        stored = p["k_si"] * s["I"] - (p["k_sr"] * u + p["k_sr0"]) * s["J"]
        rates |= {"I": rates["I"] - stored, "J": stored}
    return rates


# Release of bipolar cells as the circuit drives it: every bin another contrast.
FLICKER = 1 / (1 + np.exp(1 - 1.5 * np.random.default_rng(0).standard_normal(60)))
for states, method, error in (
    ("RAI", "euler", 0.155),
    ("RAIJ", "euler", 0.12),
    ("RAI", "implicit", 0.095),
    ("RAIJ", "implicit", 0.095),
):
    stepped = functools.partial(kinetics, reserve="J" in states, method=method)
    INNER.append(
        Case(
            f"kinetics_{len(states)}" + f"_{method}" * (method != "euler"),
            _in_steps(stepped, states),
            _kinetics,
            FLICKER,
            1 / 30,
            error,
            1 / 150,
            (0.0, 1.0, 0.25),
            low=dict.fromkeys(states, 0),
            high=dict.fromkeys(states, 1),
            cells=20,
            again="J" in states,  # its bounds and order: test_kinetics
        )
    )


def _adapting(p, s, x):
    return {
        "b": (x - s["b"]) / p["tau_s"],
        "m": (s["b"] - s["m"]) / p["tau_slow_s"],
    }


INNER.append(
    Case(
        "adapting_membrane",
        _in_steps(adapting_membrane, ""),
        _adapting,
        np.random.default_rng(0).standard_normal(60),
        1 / 30,
        0.05,
        1 / 150,
        (0.0, 1e5, -1e5),
        low={"b": -1e5, "m": -1e5},
        high={"b": 1e5, "m": 1e5},
        cells=20,
    )
)
