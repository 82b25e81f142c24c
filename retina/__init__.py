"""Models of the retina, their accuracy, and the exact compute each of them takes.

    import jax, retina
    split = retina.split(retina.load("simulated"))
    fit = retina.fit(retina.model("ln", split.spec), split, key=jax.random.key(0))
    print(retina.table(retina.measure(fit, split)))

Every name is imported at its first use, so that `import retina` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# The one list of what is public: name -> module to take it from.
_WHERE = {
    "load": "retina.data.load",
    "fetch": "retina.data.fetch",
    "from_pynapple": "retina.data.pynapple",
    "to_pynapple": "retina.data.pynapple",
    "rates_to_pynapple": "retina.data.pynapple",
    "check": "retina.data.check",
    "split": "retina.data.split",
    "sta": "retina.data.sta",
    "stc": "retina.data.stc",
    "receptive_fields": "retina.data.quality.fields",
    "model": "retina.build",
    "fit": "retina.fitting.fit",
    "fit_jointly": "retina.fitting.joint",
    "read": "retina.fitting.predicted",
    "predict": "retina.fitting.predicted",
    "score": "retina.fitting.score",
    "population": "retina.fitting.population",
    "simulate": "retina.fitting.simulate",
    "cost": "retina.costs.cost",
    "count": "retina.costs.flops",
    "executors": "retina.costs.executors",
    "scale": "retina.costs.scaling",
    "learning": "retina.search.learning",
    "export_step": "retina.artefact",
    "reduce": "retina.reduction.steps",
    "measure": "retina.search.measure",
    "model_sta": "retina.probes.model_sta",
    "exciting_input": "retina.probes.exciting",
    "local_sta": "retina.probes.local_sta",
    "attribution": "retina.probes.attribution",
    "compare": "retina.search.compare",
    "frontier": "retina.search.frontier",
    "table": "retina.reports.table",
    "figure": "retina.reports.figure",
    "treemap": "retina.reports.treemap",
    "Stage": "retina.stage",
    "Model": "retina.stage",
    "Recipe": "retina.recipe",
    "chain": "retina.stage",
    "recurrent": "retina.stage",
    "windowed": "retina.stage",
    "memoryless": "retina.stage",
    "Parameter": "retina.parameter",
    "RetinaError": "retina.errors",
} | dict.fromkeys(
    "Block Cell Clip Cost Fit Interval Metric Point Recording Score Spec Split".split(),
    "retina.types",
)

__all__ = ["__version__", *_WHERE]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'retina' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
