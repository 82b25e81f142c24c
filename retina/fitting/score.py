"""The verb `score`: accuracy of a fit on test clips, with intervals."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np

from retina.costs.cost import RUNS
from retina.data.groups import by_group, same_trials
from retina.errors import BadSetting, MissingData
from retina.exact import in_float32
from retina.fitting.predict import agree, streamed
from retina.fitting.simulate import free_running
from retina.metrics.clips import evaluate, few_repeats_note
from retina.metrics.medians import middle
from retina.metrics.rebin import bins_in, rebinned
from retina.metrics.resample import interval
from retina.stage import Tree
from retina.types import GRADED, Clip, Fit, Metric, Score, Spec

Pairs = list[tuple[np.ndarray, np.ndarray]]
REPEATED = ("cc_norm", "feve", "pearson", "pearson_trial", "bits_per_spike")
SINGLE = ("pearson_trial", "bits_per_spike")
LISTENED = ("bits_per_spike", "bits_per_second", "pearson_trial", "time_rescaling")
# Say nothing where no event is counted.
COUNTED = ("bits_per_spike", "bits_per_second", "deviance")
SEED = 20160210  # of every bootstrap, so that a score is the same when asked again


@in_float32
def score(
    fit: Fit,
    clips: Sequence[Clip],
    names: Sequence[str] | None = None,
    *,
    draws: int = 1000,
    bin_s: float | None = None,
) -> Score:
    """Accuracy per cell and its median, on each group of test clips.

    clips:   of `split.test`; clips of one group are scored together. The group with
             repeats comes first, the others are in `.others`.
    names:   metrics; by default cc_norm, feve, pearson, pearson_trial and
             bits_per_spike, the first three only where there are repeats.
    draws:   of the bootstrap behind each 95 % interval.
    bin_s:   length of the bins that are scored, a multiple of the model's own, which it
             is by default; expected and recorded counts are added up, nothing is fitted
             again. The teacher-forced likelihood stays with its own bins: within a
             longer one it would know the spikes that it is to predict.
    returns: Score. The rates come from the streaming step whose cost is counted. A
             model with history is scored free-running (a prediction from the stimulus),
             and in `.others` teacher-forced (a likelihood, the recorded past given).
             Of several seeds, every figure is the median over them.
    raises:  ViewsDisagree where step and apply differ; MissingData without test clips;
             BadSetting for a metric of counts where the responses are none, or for a
             bin_s that is no multiple.
    """
    bins = bins_in(bin_s, fit.model.spec.bin_s)
    if not clips:
        raise MissingData("no test clips: the data set's card names no test split")
    groups = by_group(clips)
    ordered = sorted(groups, key=lambda group: -len(groups[group][0].response))
    scores = [
        part
        for group in ordered
        for part in _group(fit, group, groups[group], names, draws, bins)
    ]
    return dataclasses.replace(scores[0], others=tuple(scores[1:]))


@in_float32
def rates(fit: Fit, params: Tree, clips: Sequence[Clip]) -> Pairs:
    """(rate, response) of each clip, scored bins only; free-running if it listens."""
    model = fit.model
    made: Pairs = []
    for same in _of_one_shape(clips):
        stimuli = [clip.stimulus for clip in same]
        if model.stage.uses_response:
            key = jax.random.key(SEED)
            every = free_running(model, params, stimuli, key=key, runs=RUNS)
        else:
            every = streamed(model, params, stimuli)
            agree(model, params, stimuli, every)
        for clip, rate in zip(same, every, strict=True):
            made.append((rate[clip.skip :], clip.response[:, clip.skip :]))
    return made


@in_float32
def listened(fit: Fit, params: Tree, clips: Sequence[Clip]) -> Pairs:
    """(rate, response) of each clip, both (trial, time, cell), the past fed back."""
    made: Pairs = []
    for same in _of_one_shape(clips):
        trials = [(clip, trial) for clip in same for trial in clip.response]
        stimuli = [clip.stimulus for clip, _ in trials]
        counts = np.stack([trial for _, trial in trials])
        every = streamed(fit.model, params, stimuli, counts)
        agree(fit.model, params, stimuli, every, counts)
        for clip, rate in zip(
            same, every.reshape(len(same), -1, *every.shape[1:]), strict=True
        ):
            made.append((rate[:, clip.skip :], clip.response[:, clip.skip :]))
    return made


def _of_one_shape(clips: Sequence[Clip]) -> list[list[Clip]]:
    """Clips of one length together: what runs them is compiled once."""
    shapes: dict[tuple, list[Clip]] = {}
    for clip in clips:
        shapes.setdefault(clip.stimulus.shape, []).append(clip)
    return list(shapes.values())


def _group(
    fit: Fit,
    group: str,
    clips: Sequence[Clip],
    names: Sequence[str] | None,
    draws: int,
    bins: int,
) -> list[Score]:
    """The scores of one group: one, or free-running and teacher-forced."""
    clips = same_trials(clips)
    chosen = list(names or (REPEATED if len(clips[0].response) > 1 else SINGLE))
    if names:
        check_counted(fit.model.spec, chosen, clips)
    elif fit.model.spec.event == GRADED:
        chosen = [name for name in chosen if name not in COUNTED]
    of = functools.partial(_score, fit, group, clips, draws=draws)
    if not fit.model.stage.uses_response:
        return [of(rates, chosen, history="none", bins=bins)]
    heard = [name for name in chosen if name in LISTENED]
    free = of(rates, chosen, history="free_running", bins=bins)
    if bins > 1:
        return [free]
    return [free, of(listened, heard, history="teacher_forced", bins=1)]


def check_counted(spec: Spec, names: Sequence[str], clips: Sequence[Clip]) -> None:
    """raises: BadSetting for a likelihood of counts where the responses are none.

    A mean over trials is no count either, but bits per spike is linear in it: what it
    gives for the mean is what it gives for the trials.
    """
    asked = [name for name in COUNTED if name in names]
    left = ", ".join(name for name in REPEATED if name not in COUNTED)
    if asked and spec.event == GRADED:
        raise BadSetting(
            f"{asked[0]} is a likelihood of counts, and the responses of "
            f"{spec.dataset!r} are graded: its value would change with their unit. Ask "
            f"for {left}"
        )
    whole = all(np.all(clip.response == np.rint(clip.response)) for clip in clips)
    if "deviance" in asked and not whole:
        raise BadSetting(
            f"deviance is of counts, and the responses of {spec.dataset!r} are no "
            f"whole numbers (a mean over trials?): ask for bits_per_spike, {left}"
        )


def _score(
    fit: Fit,
    group: str,
    clips: Sequence[Clip],
    predict: Callable[[Fit, Tree, Sequence[Clip]], Pairs],
    names: Sequence[str],
    *,
    draws: int,
    history: str,
    bins: int,
) -> Score:
    spec = fit.model.spec
    bin_s, null = bins * spec.bin_s, bins * fit.null_rate
    pairs, *others = [
        rebinned(predict(fit, params, clips), bins) for params in fit.seeds
    ]
    metrics = {}
    for name in names:
        each = [evaluate(name, one, null, bin_s) for one in (pairs, *others)]
        per_cell = np.median(each, axis=0)
        bounds = interval(
            name,
            pairs,
            bin_s,
            rng=np.random.default_rng(SEED),
            null_rate=null,
            draws=draws,
            others=others,
        )
        metrics[name] = Metric(
            per_cell=tuple(float(value) for value in per_cell),
            median=float(middle(per_cell)),
            ci95=(float(bounds.low), float(bounds.high)),
            undefined=bounds.undefined,
            seeds=tuple(float(middle(values)) for values in each),
        )
    trials = len(clips[0].response)
    few = trials > 1 and spec.event != GRADED
    note = few_repeats_note(pairs[0][1]) if few else ""
    blank = [name for name, one in metrics.items() if np.all(np.isnan(one.per_cell))]
    if trials == 1 and blank:
        note = f"{', '.join(blank)} of {group}: nan; to compare trials takes two, not 1"
    if history == "free_running":
        note = "; ".join(filter(None, [note, f"mean rate of {RUNS} sampled histories"]))
    return Score(
        dataset=spec.dataset,
        model=fit.model.name,
        group=group,
        bins=sum(response.shape[1] for _, response in pairs),
        cells=spec.cells,
        trials=trials,
        metrics=metrics,
        history=history,
        notes=(note,) if note else (),
        bin_s=bin_s,
    )
