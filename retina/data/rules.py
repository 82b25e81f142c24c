"""What a card says of its files, of what serves for what, and of other stimuli."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_serializer,
    model_validator,
)


class Strict(BaseModel):
    """Frozen, and every key is known.

    younger: keys that came after cards had digests: left out where they are not given,
             so that a run still finds the card it was fitted to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    younger: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _as_ever(self, handler: Any) -> dict[str, Any]:
        table = handler(self)
        fields = type(self).model_fields
        for key in self.younger:
            if getattr(self, key) == fields[key].get_default(call_default_factory=True):
                table.pop(key, None)
        return table


class File(Strict):
    """One original file.

    path:     below the data set's own folder in the cache.
    bytes:    0 where it is not known; without a sha256 the size is all that is checked.
    sha256:   may stay empty until the card is verified; `retina check` prints it.
    url:      "" for a file that is not downloaded: the person's own, or a derived one.
    mirrors:  other addresses of the same bytes, tried in turn.
    optional: made from other files or from a seed; used where it is present.
    archive:  path of another of the card's files, a zip that holds this one.
    """

    younger: ClassVar[tuple[str, ...]] = ("archive", "mirrors")

    path: str
    bytes: int = Field(default=0, ge=0)
    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    url: str = ""
    mirrors: tuple[str, ...] = ()
    optional: bool = False
    archive: str = ""

    @model_validator(mode="after")
    def _below(self) -> File:
        path = PurePosixPath(self.path)
        outside = path.is_absolute() or ".." in path.parts or not path.parts
        # Windows reads these as the start of another folder.
        if outside or "\\" in self.path or ":" in self.path or "\0" in self.path:
            raise ValueError(f"path {self.path!r} leaves the data set's folder")
        return self


class Expect(Strict):
    """What the scored frames of one split must hold, over all cells of the files.

    None where it is not known, or, for events, drawn at random on the machine itself.
    """

    blocks: int | None = None
    trials: int | None = None
    frames: int | None = None
    events: int | None = None


class SplitRule(Strict):
    """Which frames serve for what.

    part:   the reader's name of a stretch of the recording; "" where there is one.
    frames: [start, stop) of the scored frames, in the file's own numbering from 0; or a
            list of such ranges, a block each.
    share:  [start, stop) as shares of the part's frames, 0 to 1, in place of `frames`,
            where nobody has written down how many there are.
    trials: [start, stop) of the trials; without it, all. Splits of other roles may take
            the same frames only in layouts with a stimulus per trial.
    group:  test splits of one group are scored together.
    """

    younger: ClassVar[tuple[str, ...]] = ("share",)

    role: Literal["train", "validation", "test"]
    frames: tuple[tuple[int, int], ...] = ()
    share: tuple[float, float] | None = None
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
        if bool(self.frames) == (self.share is not None):
            raise ValueError(
                "give either frames = [start, stop] or share = [start, stop]"
            )
        pairs = [*self.frames, *([self.trials] if self.trials else [])]
        for pair in pairs:
            if not 0 <= pair[0] < pair[1]:
                raise ValueError(f"{list(pair)} is not a range [start, stop)")
        if self.share and not 0 <= self.share[0] < self.share[1] <= 1:
            raise ValueError(f"share {list(self.share)} is not a range within [0, 1]")
        if self.role == "test" and not self.group:
            raise ValueError(
                'a test split needs a group, such as "frozen" or "running"'
            )
        return self


class Variant(Strict):
    """Another stimulus or preparation of the same data set.

    Its options come on top of the card's, its files beside them; what else it gives
    replaces what the card says.
    """

    younger: ClassVar[tuple[str, ...]] = (
        *("cell_count", "subsets", "default_cells", "files", "notes"),
    )

    options: dict[str, Any] = {}
    splits: tuple[SplitRule, ...]
    cell_count: int | None = Field(default=None, ge=1)
    subsets: dict[str, tuple[str, ...]] = {}
    default_cells: str = ""
    files: tuple[File, ...] = ()
    notes: tuple[str, ...] = ()
