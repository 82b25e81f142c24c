"""Card: everything the project knows of a data set, in one TOML file."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from retina import resources
from retina.data.rules import Expect, File, SplitRule, Strict, Variant
from retina.errors import BadCard, BadSetting, nearest

NAME = "[A-Za-z0-9_]+"  # what a data set may be called


class Card(Strict):
    """A data set, as its file in ``datasets/`` states it.

    licence:       the source's own words.
    publish:       False where the terms forbid to publish results.
    verified:      True once every number below was checked on the real bytes.
    source:        the page of the files, at a fixed commit.
    doi, data_doi: of the paper, and of the files where they have one of their own.
    stimulus:      what was shown, in a few words.
    frame:         shape of one frame, checked at loading; [] where it is not known.
    pixel_um:      side of one of its pixels on the retina, before any step of prepare.
    coding:        "contrast" or "light", see `retina.types.Recording`.
    mean_rstar_per_s, mean_rstar_source: the mean light, where a public source of this
                   recording states it, and which; see `retina.types.Recording`.
    event:         "spike", "quantum", or "graded": see `retina.types.Recording`.
    missed_pulses: long intervals between the times of frames lack pulses that were not
                   recorded, whose times are put in; else frames stayed on.
    lead:          frames of history before each split's first scored frame.
    cell_count:    cells in the files; 0 where it is not known.
    cell_types:    cell name -> type, where known.
    subsets:       name -> cell names.
    default_cells: "all", one of the subsets, or what is left out of all: "-12,-40".
    prepare:       steps before models see it, in order: see `retina.data.preparation`.
    variants:      name -> Variant; `default_variant` is one of them.
    stimulus_unit: what one number of the stimulus means.
    notes:         every trap, in words.
    """

    younger: ClassVar[tuple[str, ...]] = (
        *("frame", "prepare", "pixel_um", "missed_pulses"),
    )

    name: str = Field(pattern=f"^{NAME}$")
    title: str
    species: str
    citation: str
    licence: str
    source: str
    reader: str
    frame_s: float = Field(gt=0)
    cell_count: int = Field(ge=0)
    doi: str = ""
    data_doi: str = ""
    stimulus: str = ""
    frame: tuple[int, ...] = ()
    pixel_um: float | None = Field(default=None, gt=0)
    publish: bool = True
    verified: bool = False
    coding: Literal["contrast", "light"] = "light"
    mean_rstar_per_s: float | None = Field(default=None, gt=0)
    mean_rstar_source: str = ""
    event: Literal["spike", "quantum", "graded"] = "spike"
    native_bin_s: float | None = Field(default=None, gt=0)
    missed_pulses: bool = False
    stimulus_unit: str = ""
    lead: int = Field(default=0, ge=0)
    notes: tuple[str, ...] = ()
    cell_types: dict[str, str] = {}
    subsets: dict[str, tuple[str, ...]] = {}
    default_cells: str = "all"
    options: dict[str, Any] = {}
    prepare: tuple[dict[str, Any], ...] = ()
    splits: tuple[SplitRule, ...] = ()
    variants: dict[str, Variant] = {}
    default_variant: str = ""
    files: tuple[File, ...] = ()
    _typed: str = PrivateAttr("")
    _variant: str = PrivateAttr("")

    @model_validator(mode="after")
    def _fits_together(self) -> Card:
        _check_default("", self.default_cells, self.subsets)
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
        if self.verified and not self.cell_count:
            raise ValueError("the card says verified, but not how many cells there are")
        for name, variant in (("", self), *self.variants.items()):
            _check_variant(self, name, variant)
        return self

    @property
    def named(self) -> str:
        """The name or path that this data set was found by."""
        return self._typed or self.name

    @property
    def typed(self) -> str:
        """What to type for this data set."""
        return shlex.quote(self.named)

    @property
    def fetched(self) -> str:
        """What to type after `retina fetch` for the files of this card or variant."""
        return self.typed + (f" --variant {self._variant}" if self._variant else "")

    @property
    def archives(self) -> set[str]:
        """Paths of the zip files that others of its files lie in."""
        return {file.archive for file in self.files if file.archive}

    @property
    def bytes(self) -> int:
        """Bytes that a download takes."""
        needed = (f for f in self.files if not f.optional and not f.archive)
        return sum(file.bytes for file in needed)

    @property
    def page(self) -> str:
        """Where its files are to be looked for by hand; "" where no page is known."""
        if self.data_doi:
            return f"https://doi.org/{self.data_doi}"
        return self.source if self.source.startswith("https://") else ""

    @property
    def unread(self) -> bool:
        """A public data set whose files nobody has held against its card yet."""
        return not self.verified and self.source.startswith("https://")

    def needs(self, *options: str, **others: Any) -> dict[str, Any]:
        """The options, which must be these and no others.

        others: options that may be left out, with what they are then.
        raises: BadCard for one that is missing, unknown, or not of its default's kind.
        """
        for key in self.options:
            if key not in (*options, *others):
                raise BadCard(
                    f"{self.name}: reader {self.reader!r} has no option {key!r}: "
                    + nearest(key, (*options, *others))
                )
        for key in options:
            if key not in self.options:
                raise BadCard(
                    f"{self.name}: reader {self.reader!r} needs the option {key!r} "
                    f"(retina show {self.reader})"
                )
        for key, default in others.items():
            given = self.options.get(key, default)
            wanted = (int, float) if isinstance(default, float) else type(default)
            if not isinstance(given, wanted):
                raise BadCard(
                    f"{self.name}: option {key!r} is {given!r}, not like {default!r} "
                    f"(retina show {self.reader})"
                )
        return others | self.options

    def variant(self, name: str = "") -> Card:
        """The card with one variant's options and splits in place."""
        if not self.variants:
            return self
        name = name or self.default_variant
        chosen = self.variants[name]
        made = self.model_copy(
            update={
                "options": self.options | chosen.options,
                "splits": chosen.splits,
                "cell_count": chosen.cell_count or self.cell_count,
                "subsets": self.subsets | chosen.subsets,
                "default_cells": chosen.default_cells or self.default_cells,
                "files": self.files + chosen.files,
                "notes": self.notes + chosen.notes,
                "variants": {},
                "default_variant": "",
            }
        )
        # Where all variants lie in the same files, there is nothing to choose.
        made._variant = name if chosen.files else ""
        return made


def _check_variant(card: Card, name: str, variant: Card | Variant) -> None:
    """What holds of a card's own files and splits, and of each variant's.

    raises: ValueError.
    """
    subsets = card.subsets | variant.subsets
    both = set(card.variants) & {"all", *subsets}
    if both:
        raise ValueError(f"{min(both)!r} names a variant and a subset of cells")
    if variant is not card:
        _check_default(f"variant {name!r}: ", variant.default_cells, subsets)
    files = card.files if variant is card else card.files + variant.files
    paths = [file.path for file in files]
    for file in files:
        if card.verified and not file.sha256:
            raise ValueError(
                f"file {file.path!r} has no sha256, but the card says verified"
            )
        if paths.count(file.path) > 1:
            raise ValueError(f"two files are {file.path!r}")
        if file.archive and (file.archive not in paths or file.archive == file.path):
            raise ValueError(
                f"archive {file.archive!r} of {file.path!r} is no other file of the "
                f"card: {nearest(file.archive, paths)}"
            )
    for rule in variant.splits:
        first = min((start for start, _ in rule.frames), default=card.lead)
        if first < card.lead:
            raise ValueError(
                f"a split starts at frame {first}, before there are {card.lead} "
                "frames of history (lead)"
            )
        mixed = [one for one in variant.splits if one.part == rule.part]
        if len({one.share is None for one in mixed}) > 1:
            raise ValueError(
                f"part {rule.part!r} is cut by frames and by share: use one of them"
            )
    kinds = [(rule.role, rule.group, rule.part) for rule in variant.splits]
    for role, group, part in kinds:
        if kinds.count((role, group, part)) > 1:
            raise ValueError(
                f"two splits are {role} {group!r}: give one a list of frames"
            )


def _check_default(where: str, default: str, subsets: Collection[str]) -> None:
    """raises: ValueError for default_cells that name no subset and leave none out."""
    words = [word.strip() for word in default.split(",")]
    left_out = all(word.startswith("-") and word[1:] for word in words)
    if default and not left_out and default not in ("all", *subsets):
        raise ValueError(
            f"{where}default_cells {default!r} is no subset: "
            + nearest(default, ("all", *subsets))
            + ', or "-NAME" of each cell to leave out'
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
    except (ValueError, RecursionError) as error:
        raise BadCard(f"{path} is not TOML: {error}") from None
    try:
        card = Card.model_validate(table)
    except ValidationError as error:
        raise BadCard(f"{path}: {_first(error)} (retina check {path})") from None
    if card.name != path.stem:
        # Runs are found again by the name, cards by the file.
        raise BadCard(
            f"{path} is named {card.name!r}: give the file and the data set one name: "
            f'write name = "{path.stem}" in it, or call it {card.name}.toml'
        )
    card._typed = str(name)
    return card


def check_name(path: Path, given: str) -> None:
    """raises: BadSetting where no data set may be called as a file is; what fits.

    given: what the person typed, to stand before the reason.
    """
    if re.fullmatch(NAME, path.stem):
        return
    plain = re.sub("[^A-Za-z0-9_]", "_", path.stem)
    raise BadSetting(
        f"{given}: a data set's name is made of letters A to Z, digits and _, such as "
        f"{path.with_stem(plain)}"
    )


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
    if "files" in words:
        return list(File.model_fields)
    if words and words[0] == "variants":
        return list(Variant.model_fields)
    return list(Card.model_fields)
