"""`retina simulate`: spikes sampled from a model, as a recording of its own."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from retina.cli import runs
from retina.cli import settings as words
from retina.cli.fitting import BinS, Key, Set
from retina.errors import BadSetting
from retina.settings import checked
from retina.types import Cell, Clip, Split


def simulate(
    what: Annotated[str, typer.Argument(metavar="RUN|MODEL")],
    out: Annotated[Path, typer.Option(help="The .npz file; a card goes beside it.")],
    dataset: Annotated[
        str | None, typer.Option(help="Whose stimulus; default: the run's.")
    ] = None,
    bin_s: BinS = None,
    set_: Set = None,
    key: Key = 0,
    quanta: Annotated[
        bool, typer.Option("--quanta", help="Ribbons release whole vesicles, drawn.")
    ] = False,
) -> None:
    """Sample spikes from a model, as a recording."""
    import jax

    from retina import atomic
    from retina.data import card as cards
    from retina.fitting.simulate import simulated_split, with_quanta

    if out.suffix != ".npz":
        raise BadSetting(f"--out {out}: name a file that ends in .npz")
    # The card beside it bears its name, which is the data set's as well.
    cards.check_name(out, f"--out {out}")
    card = out.with_suffix(".toml")
    for path in (out, card):
        atomic.refuse_existing(path)
    model, params, split, known = _given(what, dataset, bin_s, set_, key)
    if quanta:
        model = with_quanta(model)
    arrays: dict[str, Any] = {"cells": [cell.name for cell in split.cells]}
    spoken = simulated_split(model, params, split, key=jax.random.key(key))
    for _, clip in _clips(spoken):
        arrays[f"{clip.name}.stimulus"] = clip.stimulus
        arrays[f"{clip.name}.counts"] = clip.response.astype(np.uint16)
        arrays[f"{clip.name}.count_s"] = split.spec.bin_s
    image = io.BytesIO()
    np.savez_compressed(image, **arrays)
    data = image.getvalue()
    atomic.write_file(out, data)
    told = f"{what} --quanta" if quanta else what
    atomic.write_file(card, _card(told, model.name, split, known, out, data).encode())
    print(f"wrote {out} and {card}")
    print(f"next: retina fit {card} ln")


def _given(
    what: str, dataset: str | None, bin_s: float | None, set_: Any, key: int
) -> tuple[Any, Any, Split, Any]:
    import jax

    from retina import build, registry, store
    from retina.data import card as cards
    from retina.search import records

    if runs.is_run(what):
        record = store.read(what)
        fitted = store.load(what)
        spec = fitted.model.spec
        if dataset is None:
            split = records.split_of(record)
            return fitted.model, fitted.params, split, records.card_of(record)
        split = runs.divided(dataset, None, spec.bin_s)
        if split.spec.frame != spec.frame:
            raise BadSetting(
                f"{what} was fitted to frames {spec.frame}, {dataset} has "
                f"{split.spec.frame}: name a data set of the same frame"
            )
        split = _with_cells(split, spec.cells)
        return fitted.model, fitted.params, split, cards.read(dataset)
    if dataset is None:
        raise typer.BadParameter(f"whose stimulus should {what} see? Give --dataset")
    function = registry.find("models", what)
    own = checked(words.parse(set_ or ()), function, what)
    split = runs.divided(dataset, None, bin_s)
    model = build.model(what, split.spec, **own)
    params = model.stage.init(jax.random.key(key))
    return model, params, split, cards.read(dataset)


def _with_cells(split: Split, count: int) -> Split:
    """The split's stimuli for another number of cells; its responses do not matter."""

    def blank(clip: Clip) -> Clip:
        shape = (*clip.response.shape[:2], count)
        return dataclasses.replace(clip, response=np.zeros(shape, np.float32))

    return dataclasses.replace(
        split,
        spec=dataclasses.replace(split.spec, cells=count),
        train=tuple(map(blank, split.train)),
        validation=tuple(map(blank, split.validation)),
        test=tuple(map(blank, split.test)),
        cells=tuple(Cell(str(number)) for number in range(count)),
    )


def _clips(split: Split) -> list[tuple[str, Clip]]:
    roles = {
        "train": split.train,
        "validation": split.validation,
        "test": split.test,
    }
    return [(role, clip) for role, clips in roles.items() for clip in clips]


def _card(
    what: str, model: str, split: Split, known: Any, out: Path, data: bytes
) -> str:
    """The recording's card, so that every other command takes it.

    known: the card of the stimulus.
    """
    source = split.spec.dataset
    plain = split.spec.stimulus_mean == 0 and split.spec.stimulus_sd == 1
    fields = {
        "name": out.stem,
        "title": f"Spikes of model {model} to the stimulus of {source}",
        "species": "simulated",
        "citation": f"retina simulate {what}",
        "licence": f"The stimulus is that of {source}: {known.licence}",
        "publish": split.publish,
        "source": source,
        "reader": "npz",
        "coding": "contrast" if plain else "light",
        "event": split.spec.event,
        "frame_s": split.spec.bin_s,
        "stimulus_unit": known.stimulus_unit or f"as in {source}",
        "lead": min(clip.skip for _, clip in _clips(split)),
        "cell_count": split.spec.cells,
    }
    if known.mean_rstar_per_s is not None:
        fields["mean_rstar_per_s"] = known.mean_rstar_per_s
        fields["mean_rstar_source"] = known.mean_rstar_source
    if split.spec.pixel_um is not None:
        fields["pixel_um"] = split.spec.pixel_um
    lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items()]
    lines += ["", "[options]", f"file = {json.dumps(out.name)}"]
    for role, clip in _clips(split):
        lines += ["", "[[splits]]", f'role = "{role}"']
        lines += [f"part = {json.dumps(clip.name)}"]
        lines += [f"frames = [{clip.skip}, {len(clip.stimulus)}]"]
        if role == "test":
            lines += [f"group = {json.dumps(clip.group or 'running')}"]
    digest = hashlib.sha256(data).hexdigest()
    lines += ["", "[[files]]", f"path = {json.dumps(out.name)}"]
    lines += [f"bytes = {len(data)}", f'sha256 = "{digest}"']
    return "\n".join(lines) + "\n"
