"""One file over the network: how large it is, and how a broken download goes on.

Two halves are put together only where something tells whether they fit: the card's
sha256, or else what the server called the file (its ETag, or when it was changed last).
That is kept beside the first half and sent back as If-Range, so that a server whose
file has changed since sends all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from retina.data.card import Card
from retina.data.rules import File
from retina.errors import MissingData

_CHUNK = 1 << 16
_PLAIN = {"Accept-Encoding": "identity"}


def sizes(files: Iterable[File], patience_s: float) -> dict[str, int]:
    """Bytes of each, by the card or else by its server; 0 where neither says."""
    found: dict[str, int] = {}
    silent = False
    for file in files:
        asked = not (file.bytes or silent)
        found[file.path] = _size(file.url, patience_s) if asked else file.bytes
        silent = not found[file.path]  # a server that is down is not asked again
    return found


def in_words(sizes: Mapping[str, int]) -> str:
    """The sum, and whose size is not in it.

    >>> in_words({"a.h5": 2_500_000, "b.h5": 0})
    '2.5 MB, and b.h5 of a size not known'
    """
    unknown = [path for path, size in sizes.items() if not size]
    if len(unknown) == len(sizes):
        return "not known"
    more = f", and {', '.join(unknown)} of a size not known" if unknown else ""
    return f"{sum(sizes.values()) / 1e6:.1f} MB{more}"


def _size(url: str, patience_s: float) -> int:
    """From the headers of a request for the first byte; a presigned address refuses
    HEAD."""
    import requests

    first = _PLAIN | {"Range": "bytes=0-0"}
    try:
        with requests.get(
            url, headers=first, stream=True, timeout=patience_s
        ) as answer:
            answer.raise_for_status()
            said = answer.headers.get("Content-Length", "")
            if answer.status_code == 206:
                said = answer.headers.get("Content-Range", "").rpartition("/")[2]
    except requests.exceptions.RequestException:
        return 0
    return int(said) if said.isdecimal() else 0


def goes_on(aside: Path, file: File) -> bool:
    """Whether what lies there can be the first half of a download."""
    return bool(file.sha256) or _mark(aside).is_file()


def forget(aside: Path) -> None:
    """What lies there, or will, is of no server."""
    _mark(aside).unlink(missing_ok=True)


def download(
    card: Card, file: File, url: str, patience_s: float
) -> Callable[[Path, Callable[[int], None]], None]:
    """What adds to the place that it is given what is still missing there.

    raises: MissingData with what to type, where the server breaks off or has no file.
    """
    import pooch
    import requests

    def fill(aside: Path, report: Callable[[int], None]) -> None:
        have = aside.stat().st_size
        if have >= file.bytes > 0:
            return  # all of it came, but it was never moved into place
        counter, headers, mark = _Counter(report, have), dict(_PLAIN), _mark(aside)
        asked = mark.read_text("utf-8") if have and not file.sha256 else ""
        if have:
            headers["Range"] = f"bytes={have}-"
        if asked:
            headers["If-Range"] = asked
        whole = False
        try:
            with open(aside, "ab") as sink:

                def begins(answer: Any, **_: Any) -> None:
                    """Before the first byte: is it the rest, or all of it?"""
                    nonlocal whole
                    status, called = answer.status_code, _called(answer)
                    # All of it had come, but it was never moved into place.
                    size = answer.headers.get("Content-Range", "").rpartition("/")[2]
                    whole = status == 416 and size == str(have)
                    if whole:
                        return
                    # An answer with the rest need not say again what If-Range asked.
                    other = status == 206 and bool(asked) and called not in ("", asked)
                    if status in (200, 416) or other:
                        sink.truncate(0)
                        counter.have = 0
                    if other:
                        raise requests.exceptions.RequestException(
                            "the rest is of another version than what had come"
                        )
                    if status == 200:
                        forget(aside)
                        if called and not file.sha256:
                            mark.write_text(called, encoding="utf-8")

                load = pooch.HTTPDownloader(
                    chunk_size=_CHUNK,
                    headers=headers,
                    timeout=patience_s,
                    hooks={"response": begins},
                )
                load.progressbar = counter  # type: ignore[assignment]
                # Only pooch's own file caches need the Pooch that it wants here.
                nothing: Any = None
                load(url, sink, nothing)
        except requests.exceptions.RequestException as error:
            if whole:
                return
            kept = aside.stat().st_size and goes_on(aside, file)
            again = "again to go on from here" if kept else "again"
            raise MissingData(
                f"{url} cannot be downloaded ({error}): type `retina fetch "
                f"{card.fetched}` {again}, or add --from PATH"
            ) from None

    return fill


def _mark(aside: Path) -> Path:
    return aside.with_name(aside.name + ".etag")


def _called(answer: Any) -> str:
    """The version that an answer is of; "" where nothing tells it for certain."""
    tag = answer.headers.get("ETag", "")
    # A weak one may stand for other bytes; If-Range is never right for it.
    return answer.headers.get("Last-Modified", "") if tag[:2] in ("", "W/") else tag


class _Counter:
    """Stands where pooch wants a progress bar."""

    def __init__(self, report: Callable[[int], None], have: int) -> None:
        self.report, self.have, self.done, self.total = report, have, 0, 0

    def update(self, more: int) -> None:
        # pooch counts whole chunks, also where the last is shorter.
        self.done = min(self.done + more, self.total or self.done + more)
        self.report(self.have + self.done)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass
