"""`retina list` and `retina show`: what there is, and what each thing is."""

from __future__ import annotations

import inspect
import shutil
import sys
import textwrap
from typing import Annotated, Any

import typer

from retina import registry
from retina.cli import output
from retina.errors import UnknownName, nearest

_EMPTY = ("", None, [], {})
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_names(
    kind: Annotated[str, typer.Argument(help=" | ".join(registry.KINDS))],
    json: Json = False,
) -> None:
    """What there is of one kind, a line on each; into a pipe, name TAB line."""
    if json:
        output.print_json(registry.names(kind))
        return
    found = registry.lines(kind)
    if not found:
        output.say(f"there are no {kind} yet")
    if not sys.stdout.isatty():
        for name, line in found.items():
            print(f"{name}\t{line}".rstrip())
        return
    room = shutil.get_terminal_size().columns - max(map(len, found), default=0) - 2
    rows = [
        (name, textwrap.shorten(line, max(room, 20), placeholder=" ..."))
        for name, line in found.items()
    ]
    print(output.columns(rows))


def show(
    name: Annotated[str, typer.Argument(help="A name of any kind, or a file.")],
    kind: Annotated[
        str | None, typer.Option(help="Where a name means several things.")
    ] = None,
    json: Json = False,
) -> None:
    """A card, an experiment, a model with its keywords and fit settings, `device`."""
    if name == "device" and kind is None:
        _show_device(json)
        return
    kinds = [kind] if kind else _kinds(name)
    found = {one: _describe(one, name) for one in kinds}
    if json:
        only = next(iter(found.values())) if len(found) == 1 else found
        output.print_json(only)
        return
    print("\n\n".join(_text(one, name, about) for one, about in found.items()))


def _show_device(json: bool) -> None:
    """What computes here, and the ways that were measured to be the fastest on it."""
    import jax

    from retina import formulation

    choices = {
        what: {"chosen": min(times, key=times.__getitem__), "seconds": times}
        for what, times in sorted(formulation.measured().items())
    }
    about = {
        "device": formulation.device(),
        "devices": len(jax.devices()),
        "file": str(formulation.place()),
        "choices": choices,
    }
    if json:
        output.print_json(about)
        return
    print(f"{about['devices']} x {about['device']}")
    if not choices:
        print("nothing measured yet: a fit measures what it uses, once for each shape")
        return
    rows = [
        (
            what,
            one["chosen"],
            ", ".join(f"{way} {1e3 * s:.1f} ms" for way, s in one["seconds"].items()),
        )
        for what, one in choices.items()
    ]
    print(output.columns(rows, ("operation and shape", "chosen", "measured")))
    print(f"kept in {about['file']}; delete it to measure again")


def _kinds(name: str) -> list[str]:
    """Every kind that knows the name; for a file, what it must be."""
    kinds = [kind for kind in registry.KINDS if name in registry.names(kind)]
    if kinds:
        return kinds
    if name.endswith(".toml"):
        experiment = name.endswith("experiment.toml")
        return ["experiments" if experiment else "datasets"]
    if ":" in name or name.endswith(".py"):
        return ["models"]
    every = {known for kind in registry.KINDS for known in registry.names(kind)}
    raise UnknownName(
        f"nothing is called {name!r}: {nearest(name, every)} "
        f"(retina list {'|'.join(registry.KINDS)})"
    )


def _describe(kind: str, name: str) -> dict[str, Any]:
    if kind == "datasets":
        from retina.data import card

        return card.read(name).model_dump(mode="json")
    if kind == "experiments":
        from retina.search import experiment

        folder = registry.find(kind, name)
        readme = folder / "README.md"
        text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
        return experiment.read(name).model_dump(mode="json") | {"readme": text}
    function = registry.find(kind, name)
    about: dict[str, Any] = {"name": name, "doc": inspect.getdoc(function) or ""}
    if kind in ("models", "reductions"):
        from retina.settings import keywords

        about["keywords"] = {
            key: None if value.default is inspect.Parameter.empty else value.default
            for key, value in keywords(function).items()
        }
    if kind == "models":
        from retina import build
        from retina.types import Spec

        # Bright enough for cones: what a model with a photoreceptor needs to know.
        spec = Spec((16, 16), 1, 1 / 30, mean_rstar_per_s=1e4)
        model = build.model(name, spec)
        about["parameters"] = _parameters(model)
        about["fit"] = _fit_settings(model)
    return about


def _fit_settings(model: Any) -> dict[str, dict[str, Any]]:
    """Each setting of a fit with its default for this model, what it means, if used."""
    from retina.fitting.recipe import described, idle

    return {
        key: {
            "default": getattr(model.recipe, key),
            "meaning": meaning,
            "used": not idle(key, model.recipe, model)[0],
        }
        for key, meaning in described().items()
    }


def _parameters(model: Any) -> list[dict[str, Any]]:
    """Every parameter of a model at its default settings."""
    import jax

    shapes = jax.eval_shape(model.stage.init, jax.random.key(0))
    described, structure = jax.tree.flatten_with_path(model.stage.parameters)
    rows = []
    for (path, one), shape in zip(
        described, structure.flatten_up_to(shapes), strict=True
    ):
        rows.append(
            {
                "name": jax.tree_util.keystr(path, simple=True, separator="."),
                "shape": list(shape.shape),
                "value": one.value,
                "unit": one.unit,
                "low": one.low,
                "high": one.high,
                "trainable": one.trainable,
                "source": one.source,
            }
        )
    return rows


def _text(kind: str, name: str, about: dict[str, Any]) -> str:
    title = f"{kind.removesuffix('s')} {name}"
    if kind in registry.RESOURCES:
        return "\n".join([title, *_fields(about)])
    parts = [title, about["doc"]]
    if "keywords" in about:
        rows = [(key, "=", repr(value)) for key, value in about["keywords"].items()]
        parts.append("keywords (--set key=value):\n" + (output.columns(rows) or "none"))
    if kind == "models":
        parts.append(_fit_text(about["fit"]))
        rows = [
            (
                row["name"],
                "x".join(map(str, row["shape"])) or "1",
                row["unit"],
                f"({row['low']:g}, {row['high']:g})",
                "fitted" if row["trainable"] else "fixed",
                row["source"],
            )
            for row in about["parameters"]
        ]
        heads = ("parameter", "shape", "unit", "bounds", "", "source")
        parts.append("on a 16 x 16 frame, one cell:\n" + output.columns(rows, heads))
    return "\n\n".join(parts)


def _fit_text(settings: dict[str, dict[str, Any]]) -> str:
    used = [
        (key, "=", repr(one["default"]), one["meaning"])
        for key, one in settings.items()
        if one["used"]
    ]
    idle = [key for key, one in settings.items() if not one["used"]]
    text = "settings of the fit (--set key=value as well):\n" + output.columns(used)
    if idle:
        how = settings["optimiser"]["default"]
        text += f"\nwith optimiser={how} these do nothing: {', '.join(idle)}"
    return text


def _fields(table: dict[str, Any], indent: str = "  ") -> list[str]:
    lines = []
    for key, value in table.items():
        if value in _EMPTY:
            continue
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", *_fields(value, indent + "  ")]
        elif isinstance(value, list) and isinstance(value[0], dict):
            for item in value:
                words = (f"{k}={v}" for k, v in item.items() if v not in _EMPTY)
                lines.append(f"{indent}{key}: " + "  ".join(words))
        elif isinstance(value, list) and any(len(str(item)) > 20 for item in value):
            lines += [f"{indent}{key}: {item}" for item in value]
        elif isinstance(value, list):
            lines.append(f"{indent}{key}: " + " ".join(map(str, value)))
        elif isinstance(value, str) and "\n" in value:
            body = ("    " + line for line in value.strip().splitlines())
            lines += [f"{indent}{key}:", *body]
        else:
            lines.append(f"{indent}{key}: {value}")
    return lines
