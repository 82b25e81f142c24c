"""Card: everything the project knows of a data set, in one TOML file."""

from __future__ import annotations

import hashlib
import shlex
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from retina import resources
from retina.errors import BadCard, nearest

NAME = "[A-Za-z0-9_]+"  # what a data set may be called


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Strict):
    """One original file.

    path:     below the data set's own folder in the cache.
    bytes:    0 where it is not known; without a sha256 the size is all that is checked.
    sha256:   may stay empty until the card is verified; `retina check` prints it.
    url:      "" for a file that is not downloaded: the person's own, or a derived one.
    mirrors:  other addresses of the same bytes, tried in turn.
    optional: made from other files or from a seed; used where it is present.
    """

    path: str
    bytes: int = Field(default=0, ge=0)
    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    url: str = ""
    mirrors: tuple[str, ...] = ()
    optional: bool = False

    @model_validator(mode="after")
    def _below(self) -> File:
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"path {self.path!r} leaves the data set's folder")
        return self


class Expect(_Strict):
    """What the scored frames of one split must hold, over all cells of the files.

    events: None where they are drawn at random on the machine itself.
    """

    blocks: int
    trials: int
    frames: int
    events: int | None = None


class SplitRule(_Strict):
    """Which frames serve for what.

    part:   the reader's name of a stretch of the recording; "" where there is one.
    frames: [start, stop) of the scored frames, in the file's own numbering from 0; or a
            list of such ranges, a block each.
    trials: [start, stop) of the trials, for layouts with a stimulus per trial.
    group:  test splits of one group are scored together.
    """

    role: Literal["train", "validation", "test"]
    frames: tuple[tuple[int, int], ...] = Field(min_length=1)
    part: str = ""
    trials: tuple[int, int] | None = None
    group: str = ""
    expect: Expect | None = None

    @field_validator("frames", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        one = isinstance(value, list) and value and isinstance(value[0], int)
        return [value] if one else value

    @model_validator(mode="after")
    def _ranges(self) -> SplitRule:
        pairs = [*self.frames, *([self.trials] if self.trials else [])]
        for pair in pairs:
            if not 0 <= pair[0] < pair[1]:
                raise ValueError(f"{list(pair)} is not a range [start, stop)")
        if self.role == "test" and not self.group:
            raise ValueError(
                'a test split needs a group, such as "frozen" or "running"'
            )
        return self


class Variant(_Strict):
    """Another stimulus or preparation in the same files: it replaces these fields."""

    options: dict[str, Any] = {}
    splits: tuple[SplitRule, ...]


# What a card says of a recording without changing any of its numbers.
_WORDS = (
    *("title", "species", "citation", "licence", "source", "doi", "publish"),
    *("verified", "stimulus_unit", "mean_rstar_source", "notes", "cell_types"),
)


class Card(_Strict):
    """A data set, as its file in ``datasets/`` states it.

    licence:       the source's own words.
    publish:       False where the terms forbid to publish results.
    verified:      True once every number below was checked on the real bytes.
    source:        the page of the files, at a fixed commit.
    coding:        "contrast" or "light", see `retina.types.Recording`.
    mean_rstar_per_s, mean_rstar_source: the mean light, where a public source of this
                   recording states it, and which; see `retina.types.Recording`.
    event:         "spike" or "quantum".
    lead:          frames of history before each split's first scored frame.
    cell_count:    cells in the files.
    cell_types:    cell name -> type, where known.
    subsets:       name -> cell names; `default_cells` is one of them or "all".
    variants:      name -> Variant; `default_variant` is one of them.
    stimulus_unit: what one number of the stimulus means.
    notes:         every trap, in words.
    """

    name: str = Field(pattern=f"^{NAME}$")
    title: str
    species: str
    citation: str
    licence: str
    source: str
    reader: str
    frame_s: float = Field(gt=0)
    cell_count: int = Field(ge=1)
    doi: str = ""
    publish: bool = True
    verified: bool = False
    coding: Literal["contrast", "light"] = "light"
    mean_rstar_per_s: float | None = Field(default=None, gt=0)
    mean_rstar_source: str = ""
    event: Literal["spike", "quantum"] = "spike"
    native_bin_s: float | None = Field(default=None, gt=0)
    stimulus_unit: str = ""
    lead: int = Field(default=0, ge=0)
    notes: tuple[str, ...] = ()
    cell_types: dict[str, str] = {}
    subsets: dict[str, tuple[str, ...]] = {}
    default_cells: str = "all"
    options: dict[str, Any] = {}
    splits: tuple[SplitRule, ...] = ()
    variants: dict[str, Variant] = {}
    default_variant: str = ""
    files: tuple[File, ...] = ()
    _typed: str = PrivateAttr("")

    @model_validator(mode="after")
    def _fits_together(self) -> Card:
        if self.default_cells != "all" and self.default_cells not in self.subsets:
            raise ValueError(
                f"default_cells {self.default_cells!r} is no subset: "
                + nearest(self.default_cells, ("all", *self.subsets))
            )
        if self.variants and self.default_variant not in self.variants:
            raise ValueError(
                f"default_variant {self.default_variant!r} is no variant: "
                + nearest(self.default_variant, self.variants)
            )
        if (self.mean_rstar_per_s is None) != (not self.mean_rstar_source.strip()):
            raise ValueError(
                "mean_rstar_per_s and mean_rstar_source go together: give both, or "
                "neither where no public source states how bright it was"
            )
        both = set(self.variants) & {"all", *self.subsets}
        if both:
            raise ValueError(f"{min(both)!r} names a variant and a subset of cells")
        for file in self.files:
            if self.verified and not file.sha256:
                raise ValueError(
                    f"file {file.path!r} has no sha256, but the card says verified"
                )
        rules = [*self.splits, *(r for v in self.variants.values() for r in v.splits)]
        for rule in rules:
            first = min(start for start, _ in rule.frames)
            if first < self.lead:
                raise ValueError(
                    f"a split starts at frame {first}, before there are {self.lead} "
                    "frames of history (lead)"
                )
        for some in (self.splits, *(v.splits for v in self.variants.values())):
            kinds = [(rule.role, rule.group, rule.part) for rule in some]
            for role, group, part in kinds:
                if kinds.count((role, group, part)) > 1:
                    raise ValueError(
                        f"two splits are {role} {group!r}: give one a list of frames"
                    )
        return self

    @property
    def typed(self) -> str:
        """What to type for this data set: the name or path it was found by."""
        return shlex.quote(self._typed or self.name)

    @property
    def bytes(self) -> int:
        """Bytes that a download takes."""
        return sum(file.bytes for file in self.files if not file.optional)

    def needs(self, *options: str) -> dict[str, Any]:
        """The options, which must be these and no others.

        raises: BadCard for one that is missing or unknown.
        """
        for key in self.options:
            if key not in options:
                raise BadCard(
                    f"{self.name}: reader {self.reader!r} has no option {key!r}: "
                    + nearest(key, options)
                )
        for key in options:
            if key not in self.options:
                raise BadCard(
                    f"{self.name}: reader {self.reader!r} needs the option {key!r} "
                    f"(retina show {self.reader})"
                )
        return self.options

    def variant(self, name: str = "") -> Card:
        """The card with one variant's options and splits in place."""
        if not self.variants:
            return self
        chosen = self.variants[name or self.default_variant]
        return self.model_copy(
            update={
                "options": self.options | chosen.options,
                "splits": chosen.splits,
                "variants": {},
                "default_variant": "",
            }
        )


def read(name: str | Path) -> Card:
    """A card by the name of its data set, or by the path of its TOML file.

    raises: UnknownName; BadCard with the key at fault and the nearest valid one.

    >>> read("simulated").species
    'simulated'
    """
    path = resources.path("datasets", str(name))
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadCard(f"{path} is not TOML: {error}") from None
    try:
        card = Card.model_validate(table)
    except ValidationError as error:
        raise BadCard(f"{path}: {_first(error)} (retina check {path})") from None
    if card.name != path.stem:
        # Runs are found again by the name, cards by the file.
        raise BadCard(
            f"{path} is named {card.name!r}: give the file and the data set one name, "
            f'name = "{path.stem}" or {card.name}.toml'
        )
    card._typed = str(name)
    return card


def digest(card: Card) -> str:
    """A hash of all that decides which numbers a card stands for, files included.

    >>> len(digest(read("simulated")))
    16
    """
    # A card that does not say how bright it was keeps the digest from before the key.
    silent = {"mean_rstar_per_s"} if card.mean_rstar_per_s is None else set()
    left_out: dict[str, Any] = dict.fromkeys({*_WORDS, *silent}, True)
    left_out["files"] = {"__all__": {"mirrors"}}
    decides = card.model_dump_json(exclude=left_out)
    if card.reader == "simulated":
        from retina.data.simulate import VERSION

        decides += f" version {VERSION}"
    return hashlib.sha256(decides.encode()).hexdigest()[:16]


def _first(error: ValidationError) -> str:
    problems = error.errors()
    # A typo makes two problems, a key too many and one too few; the first says more.
    extra = [one for one in problems if one["type"] == "extra_forbidden"]
    problem = (extra or problems)[0]
    place = list(problem["loc"])
    where = ".".join(str(step) for step in place)
    if problem["type"] == "extra_forbidden":
        known = _keys(place[:-1])
        return f"unknown key {where!r}: {nearest(str(place[-1]), known)}"
    if problem["type"] == "missing":
        return f"key {where!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _keys(place: list[str | int]) -> list[str]:
    """The valid keys of the table at that place of a card."""
    words = [step for step in place if isinstance(step, str)]
    if words and words[-1] == "expect":
        return list(Expect.model_fields)
    if "splits" in words:
        return list(SplitRule.model_fields)
    if words and words[0] == "files":
        return list(File.model_fields)
    if words and words[0] == "variants":
        return list(Variant.model_fields)
    return list(Card.model_fields)
