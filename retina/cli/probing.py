"""`retina probe`: in-silico experiments on a fitted run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from retina import atomic
from retina.cli import output, recovering
from retina.cli.fitting import Key
from retina.cli.names import Json
from retina.errors import BadSetting, UnknownName, nearest

KINDS = ("sta", "exciting", "local", "attribution", "recovery", "degeneracy")
AT_CLIP = ("local", "attribution")
STARTS = 4  # of the fits of recovery
SHOWN = 4  # moments, unless --at names some


class Found(NamedTuple):
    """One probe: rows to tell, the arrays behind them, and how they are drawn."""

    rows: list[dict[str, Any]]
    arrays: dict[str, np.ndarray]
    names: list[str]
    title: str
    unit: str = ""


def probe(
    run: Annotated[str, typer.Argument(help="A folder made by retina fit or sweep.")],
    kind: Annotated[str, typer.Argument(help=" | ".join(KINDS))],
    cell: Annotated[
        str | None,
        typer.Option(help="Its name; default: the best predicted, for sta all."),
    ] = None,
    at: Annotated[
        list[int] | None,
        typer.Option(
            metavar="BIN",
            help="Bin of the first test clip (local, attribution); default: the "
            "loudest four.",
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(help="Of the model (attribution); default: what is read out."),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=2, help=f"Starts of the fits (recovery); default: {STARTS}."),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Bits per spike that a start may lie below the best one and count as "
            "equal (degeneracy); default: what ends a fit.",
        ),
    ] = None,
    key: Key = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="A figure (.svg, .png, .pdf), or the numbers (.npz)."),
    ] = None,
    json: Json = False,
) -> None:
    """What drives a cell of a fitted model, through what; which parameters to trust."""
    import jax

    from retina import store

    if kind not in KINDS:
        raise UnknownName(f"no probe {kind!r}: {nearest(kind, KINDS)}")
    if at and kind not in AT_CLIP:
        raise typer.BadParameter(f"--at is for {' and '.join(AT_CLIP)}, not for {kind}")
    if part is not None and kind != "attribution":
        raise typer.BadParameter(f"--part is for attribution, not for {kind}")
    if seeds is not None and kind != "recovery":
        raise typer.BadParameter(f"--seeds is for recovery, not for {kind}")
    if within is not None and kind != "degeneracy":
        raise typer.BadParameter(f"--within is for degeneracy, not for {kind}")
    if kind == "degeneracy":
        recovering.compare_starts(run, within, cell or out or key, json)
        return
    if kind == "recovery":
        recovering.recover(run, seeds or STARTS, key, cell or at or out, json)
        return
    _check_out(out)
    record = store.read(run)
    fit = store.load(run)
    cells = [str(n) for n in record.get("cell_names") or range(fit.model.spec.cells)]
    chosen = _chosen(cell, cells, record)
    drawn = jax.random.key(key)
    if kind == "sta":
        found = _sta(fit, drawn, cells, None if cell is None else chosen)
    elif kind == "exciting":
        found = _exciting(fit, drawn, chosen, cells)
    else:
        clip = _clip(record, run)
        found = _at(fit, kind, clip, chosen, cells[chosen], at, part)
    if out is not None:
        _write(out, kind, found, fit.model.spec.bin_s)
    if json:
        output.print_json(found.rows)
        return
    first = found.rows[0]
    heads = [head for head in first if not isinstance(first[head], list)]
    lines = [[_word(row[head]) for head in heads] for row in found.rows]
    print(output.columns(lines, [head.replace("_", " ") for head in heads]))
    if out is not None:
        print(f"wrote {out}")


def _check_out(out: Path | None) -> None:
    """Before any work."""
    if out is None:
        return
    if out.suffix == ".npz":  # a recording may bear that name
        atomic.refuse_existing(out)
        return
    from retina.reports.page import check_ending

    try:
        check_ending(out)
    except BadSetting as error:
        raise BadSetting(f"{error}; the numbers go to a file in .npz") from None


def _chosen(cell: str | None, cells: list[str], record: Mapping[str, Any]) -> int:
    if cell is None:
        bits = np.asarray(record["validation"].get("per_cell", ()), float)
        known = len(bits) == len(cells) and np.isfinite(bits).any()
        return int(np.nanargmax(bits)) if known else 0
    if cell not in cells:
        raise UnknownName(f"no cell {cell!r} in this run: {nearest(cell, cells)}")
    return cells.index(cell)


def _clip(record: Mapping[str, Any], run: str) -> Any:
    from retina.search import records

    split = records.split_of(record)
    if not split.test:
        raise BadSetting(f"{run}: its recording has no test clip to probe at")
    return split.test[0]


def _sta(fit: Any, key: Any, cells: list[str], only: int | None) -> Found:
    from retina.probes.model_sta import model_sta

    average = np.moveaxis(model_sta(fit, key=key), 1, 0)
    which = list(range(len(cells))) if only is None else [only]
    fields, names = average[which], [cells[n] for n in which]
    rows = [
        {"cell": name} | _peak(fit, field)
        for name, field in zip(names, fields, strict=True)
    ]
    title = f"Spike-triggered average of {fit.model.name}, white noise"
    return Found(rows, {"fields": fields}, [f"cell {n}" for n in names], title)


def _exciting(fit: Any, key: Any, cell: int, cells: list[str]) -> Found:
    from retina.probes.exciting import exciting_input

    best = exciting_input(fit, cell, key=key)
    spec = fit.model.spec
    field = (best.stimulus - np.float32(spec.stimulus_mean))[::-1]
    row = {
        "cell": cells[cell],
        "rate_hz": float(best.rate[-1, cell]) / spec.bin_s,
        "mean_rate_hz": float(fit.null_rate[cell]) / spec.bin_s,
    }
    arrays = {"fields": field[None], "stimulus": best.stimulus, "rate": best.rate}
    title = f"Most exciting input of {fit.model.name}, less the stimulus mean"
    rows = [row | _peak(fit, field)]
    return Found(rows, arrays, [f"cell {cells[cell]}"], title)


def _at(
    fit: Any,
    kind: str,
    clip: Any,
    cell: int,
    name: str,
    at: Sequence[int] | None,
    part: str | None,
) -> Found:
    from retina.probes.attribution import attribution
    from retina.probes.local_sta import local_sta
    from retina.probes.rates import loudest

    moments = list(at or loudest(fit, clip.stimulus, cell, SHOWN))
    bin_s = fit.model.spec.bin_s
    first = [
        {"cell": name, "clip": clip.name, "bin": moment, "at_s": moment * bin_s}
        for moment in moments
    ]
    names = [f"{clip.name}, {moment * bin_s:.4g} s" for moment in moments]
    if kind == "local":
        fields = local_sta(fit, clip.stimulus, cell, moments)
        rows = [
            row | _peak(fit, field) for row, field in zip(first, fields, strict=True)
        ]
        title = f"Local STA of {fit.model.name}, cell {name}"
        return Found(rows, {"fields": fields}, names, title, "counts per bin and unit")
    found = attribution(fit, clip.stimulus, cell, moments, part=part)
    by_unit = found.values.reshape(len(moments), -1, found.values.shape[-1]).sum(1)
    rows = [
        row
        | {
            "part": found.part,
            "rate_hz": float(rate) / bin_s,
            "reference_hz": found.reference / bin_s,
            "largest_unit": int(np.abs(units).argmax()),
            "by_unit": units.tolist(),
        }
        for row, rate, units in zip(first, found.rate, by_unit, strict=True)
    ]
    arrays = {"values": found.values, "rate": found.rate}
    title = f"Rate of {fit.model.name}, cell {name}, by unit of {found.part!r}"
    return Found(rows, arrays, names, title)


def _peak(fit: Any, field: np.ndarray) -> dict[str, Any]:
    from retina.reports.probe_figure import peak_of

    lag, *pixel = peak_of(field)
    told: dict[str, Any] = {"peak_lag_s": lag * fit.model.spec.bin_s}
    if pixel:
        told["peak_pixel"] = tuple(pixel)
    return told | {"peak": float(field[lag, *pixel])}


def _write(out: Path, kind: str, found: Found, bin_s: float) -> None:
    from retina.reports.probe_figure import attribution_figure, probe_figure

    if out.suffix == ".npz":
        import io

        data = io.BytesIO()
        arrays: dict[str, Any] = found.arrays | {"names": np.array(found.names)}
        np.savez_compressed(data, **arrays)
        atomic.write_file(out, data.getvalue())
    elif kind == "attribution":
        values = found.arrays["values"]
        attribution_figure(values, out, names=found.names, title=found.title)
    else:
        probe_figure(
            found.arrays["fields"],
            out,
            names=found.names,
            bin_s=bin_s,
            unit=found.unit,
            title=found.title,
        )


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
