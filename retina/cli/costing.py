"""`retina cost`: of a fitted run, or of a model before any fit."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from retina.cli import output, runs
from retina.cli import settings as words
from retina.cli.fitting import BinS, Set
from retina.cli.names import Json
from retina.errors import MissingData
from retina.settings import checked

Dataset = Annotated[
    str | None, typer.Option(help="The recording a model is built for.")
]

Frame = Annotated[
    str | None, typer.Option(metavar="HxW", help="Frame; 1 for a full field.")
]
Cells = Annotated[int | None, typer.Option("--cells", min=1)]


def cost(
    what: Annotated[str, typer.Argument(metavar="RUN|MODEL")],
    dataset: Dataset = None,
    frame: Frame = None,
    n_cells: Cells = None,
    bin_s: BinS = None,
    set_: Set = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A treemap of the parts: .svg, .png, .pdf."),
    ] = None,
    executors: Annotated[
        bool,
        typer.Option(
            "--executors",
            help="Run the test clips: machines that skip zeros, NeuroBench's figures.",
        ),
    ] = False,
    learning: Annotated[
        bool, typer.Option("--learning", help="FLOPs of a training step and of a fit.")
    ] = False,
    latency: Annotated[
        bool, typer.Option("--latency", help="Time the step here, one bin at a time.")
    ] = False,
    energy: Annotated[
        bool, typer.Option("--energy", help="By a published table, 45 nm.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE.step", help="The step, to run without retina."),
    ] = None,
    json: Json = False,
) -> None:
    """Operations per bin, by kind, part and primitive; memory, depth and wiring."""
    from retina.costs import cost as costs

    model, params, split, species = found_for(
        what, dataset, frame, n_cells, bin_s, set_
    )
    found = costs.cost(model, params, split, species=species)
    if runs.is_run(what):
        from retina import store
        from retina.search import records

        found = records.per_bit(found, store.read(what))
    if out is not None:
        from retina.reports.treemap import treemap

        output.say(f"wrote {treemap(found, out)}")
    extra = {}
    if executors:
        extra["executors"] = _executors(model, params, split)
    if learning:
        extra["learning"] = _learning(what, model, split)
    if latency:
        extra["latency"] = _latency(model, params, split)
    if energy:
        extra["energy"] = _energy(found)
    if export is not None:
        from retina.artefact import export_step

        _fitted(params, "--export")
        written = export_step(model, params, export, dtype=_stored(split))
        output.say(f"wrote {written}")
    if json:
        output.print_json(costs.as_json(found) | extra)
        return
    from retina.reports.table import table

    print(table(found))
    for title, figures in extra.items():
        print(_figures(title, figures))
    if energy:
        print(_sources())


def found_for(what: str, *given: Any) -> tuple[Any, Any, Any, str | None]:
    """A run, or a model for a recording or a frame: (model, params, split, species)."""
    if runs.is_run(what):
        if any(one is not None for one in given):
            raise typer.BadParameter(
                f"{what} is a run: --dataset, --frame, --cells, --bin-s and --set are "
                "what it was fitted with"
            )
        return _of_run(what)
    return *_of_model(what, *given), None


def _executors(model: Any, params: Any, split: Any) -> dict[str, Any]:
    from retina.costs import executors

    _fitted(params, "--executors")
    clips = () if split is None else split.test
    # Counts of spikes are spikes where no bin holds two.
    hears = model.stage.uses_response and model.spec.event == "spike"
    spikes = hears and all(float(clip.response.max()) <= 1 for clip in clips)
    made = executors.executors(model, params, clips, spikes=spikes)
    return dataclasses.asdict(made) | {"declared_spikes": spikes}


def _learning(what: str, model: Any, split: Any) -> dict[str, Any]:
    """The recipe that the run was fitted by, or the model's own."""
    from retina import store
    from retina.costs import local_rules
    from retina.search.learning import asked, learning, steps_of_each, updates

    if split is None:
        raise typer.BadParameter("--learning needs a recording: --dataset NAME")
    steps, seeds, changes = None, 1, {}
    if runs.is_run(what):
        record = store.read(what)
        told = record["training"]
        steps, changes = told["steps"], asked(model, told)
        seeds = len(record["validation"]["seeds"]) * max(1, len(told.get("tuned", ())))
    made = learning(model, split, steps, seeds, **changes)
    figures = dataclasses.asdict(made) | {"step": made.step, "total": made.total}
    each = steps_of_each(model, split, **changes)
    if steps is not None:
        totals = {name: seeds * steps * one for name, one in each.items()}
        figures["totals_of_as_many_steps"] = totals
    local = {name: local_rules.per_synapse(name) for name in local_rules.RULES}
    more = {"updates": updates(model), "local_rules_per_synapse_and_step": local}
    return figures | {"steps_of_each": each} | more


def _latency(model: Any, params: Any, split: Any) -> dict[str, Any]:
    import numpy as np

    from retina.costs.latency import latency

    _fitted(params, "--latency")
    frames = np.zeros((1, *model.spec.frame), _stored(split))
    if split is not None and split.test:
        frames = np.asarray(split.test[0].stimulus[:500])
    return dataclasses.asdict(latency(model, params, frames))


def _energy(found: Any) -> dict[str, Any]:
    from retina.costs.energy import energy

    return {
        f"{one.node_nm} nm, {one.precision}, {one.level}": dataclasses.asdict(one)
        for one in energy(found)
    }


def _sources() -> str:
    """Where each number of the table of energies stands."""
    from retina.costs.energy import rows

    told = {f"{row['mark']}: {row['source']}" for row in rows()}
    return "\n".join(["energy, sources", *(f"  {line}" for line in sorted(told))])


def _stored(split: Any) -> Any:
    clips = () if split is None else (*split.test, *split.train, *split.validation)
    return clips[0].stimulus.dtype if clips else "float32"


def _fitted(params: Any, flag: str) -> None:
    """Shapes have no zeros and take no time: what is measured needs numbers."""
    import jax

    leaves = jax.tree.leaves(params)
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves):
        raise typer.BadParameter(f"{flag} needs a fitted RUN: retina fit makes one")


def _figures(title: str, figures: Mapping[str, Any]) -> str:
    """A block of figures as the table above it has them."""
    rows = [
        (key.replace("_", " "), _words(value))
        for key, value in figures.items()
        if value not in ("", None)
    ]
    return f"\n{title}\n{output.columns(rows)}"


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping) and set(value) == {"low", "high"}:
        ends = dict.fromkeys(_words(end) for end in (value["low"], value["high"]))
        return " - ".join(ends)
    if isinstance(value, Mapping):
        return ", ".join(f"{k.replace('_', ' ')} {_words(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "nothing"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _of_run(what: str) -> tuple[Any, Any, Any, str | None]:
    from retina import store
    from retina.search import records

    record = store.read(what)
    fitted = store.load(what)
    try:
        split = records.split_of(record)
    except MissingData as error:
        output.say(f"without the recording, so nothing per spike: {error}")
        return fitted.model, fitted.params, None, records.card_of(record).species
    return fitted.model, fitted.params, split, split.species


def _of_model(
    name: str,
    dataset: str | None,
    frame: str | None,
    cells: int | None,
    bin_s: float | None,
    set_: list[str] | None,
) -> tuple[Any, Any, Any]:
    import jax

    from retina import build, registry
    from retina.types import Spec

    function = registry.find("models", name)
    own = checked(words.parse(set_ or ()), function, name)
    if dataset is not None:
        if frame is not None or cells is not None:
            raise typer.BadParameter("give --dataset, or --frame and --cells, not both")
        split = runs.divided(dataset, None, bin_s)
        spec = split.spec
    elif frame is None or cells is None or bin_s is None:
        raise typer.BadParameter(
            f"what should {name} be built for? Give --dataset NAME, or --frame HxW, "
            "--cells N and --bin-s S"
        )
    else:
        split, spec = None, Spec(_frame(frame), cells, bin_s)
    model = build.model(name, spec, **own)
    return model, jax.eval_shape(model.stage.init, jax.random.key(0)), split


def _frame(text: str) -> tuple[int, ...]:
    """
    >>> _frame("20x30"), _frame("1")
    ((20, 30), ())
    """
    if text == "1":
        return ()
    if not re.fullmatch(r"[1-9]\d*([x×][1-9]\d*)*", text):
        raise typer.BadParameter(f"--frame {text}: write 20x20, or 1 for a full field")
    return tuple(int(side) for side in re.split("[x×]", text))
