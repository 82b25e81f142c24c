"""A model's settings are of the types its signature states, by whatever door."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from retina import build
from retina.errors import BadSetting
from retina.settings import checked
from retina.types import Spec

FIELD = Spec((), 1, 0.01)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("cnn", {"lags": 2.5}),
        ("ln", {"rank": 1.5}),
        ("ln", {"lags": True}),
        ("ln", {"output_kind": 3}),
        ("cnn", {"sizes": (3, 3, 3)}),
        ("cnn", {"sizes": 3}),
    ],
    ids=str,
)
def test_a_setting_of_another_type_is_refused(name, setting):
    ((key, value),) = setting.items()
    with pytest.raises(BadSetting) as told:
        build.model(name, FIELD, **setting)
    assert f"{key}={value!r} of {name}: " in str(told.value)
    assert "such as" in str(told.value) and "\n" not in str(told.value)


def test_numbers_of_numpy_are_numbers():
    model = build.model("ln", FIELD, lags=np.int64(4), smooth=np.float32(0.5))
    settings = dict(model.settings)
    assert (settings["lags"], settings["smooth"]) == (4, 0.5)
    assert type(settings["lags"]) is int and type(settings["smooth"]) is float
    model = build.model("cnn", FIELD, sizes=(np.int64(3), 3))
    assert dict(model.settings)["sizes"] == (3, 3)
    with pytest.raises(BadSetting):
        build.model("ln", FIELD, lags=np.float64(4.0))


def test_a_default_is_right_whatever_its_annotation():
    """Else a run whose model says `rank: int = None` could not be read back."""

    def model(spec, /, *, rank: int = None, kind: Literal["a", "b"] = "a"):  # type: ignore
        pass

    told: dict[str, Any] = {"rank": None, "kind": "a"}
    assert checked(told, model, "m") == told
    with pytest.raises(BadSetting, match="kind='c' of m"):
        checked({"kind": "c"}, model, "m")


def test_what_an_annotation_cannot_say_is_not_checked():
    """A type that pydantic does not know, or a name that cannot be looked up."""

    def one(spec, /, *, draws: np.random.Generator | None = None, plain=3):
        pass

    def two(spec, /, *, lags: Nowhere = 3):  # type: ignore # noqa: F821
        pass

    draws = np.random.default_rng(0)
    assert checked({"draws": draws, "plain": "x"}, one, "m")["draws"] is draws
    assert checked({"lags": "x"}, two, "m") == {"lags": "x"}
