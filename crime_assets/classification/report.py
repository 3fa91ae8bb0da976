"""One page on one classifier of areas: does it beat last year's class, where, and for whom.

The page has its styles and pictures inside it and no scripts. It is made from :class:`Result`, the
predictions of models for areas whose class is known by now; all figures are computed here.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.classification import charts
from crime_assets.classification.charts import SPLIT_TITLES, feature_title, model_title
from crime_assets.classification.scoring import (
    RANKED_RESAMPLINGS,
    RESAMPLINGS,
    Difference,
    Figure,
    Group,
    Rate,
    by_group,
    confusion,
    difference,
    judge,
)
from crime_assets.forecasting.report import LICENCE, nation_first, page, place_title
from crime_assets.lsoa.labels import CLASS_TITLES, LABELS
from crime_assets.models.classifiers import NAIVE_CLASS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Picture

BASELINE = NAIVE_CLASS
"""The model that every other has to beat: each area keeps the class of the year before."""

BASELINE_TITLE = "same class as last year"

HEADLINE_METRIC = "macro_f1"
"""By which models are compared: accuracy would praise one that finds the common classes only."""

ORDERED = frozenset({"tier"})

LABEL_TITLES = {
    "is_hotspot": "Hotspot or not",
    "tier": "Tier",
    "bivariate": "Two types together",
}

PICTURED_SCOPES = 3
"""Scopes that have pictures; the others have tables alone."""

LEAST_POSITIVES = 10
"""Groups with fewer areas of the class are not named as the best or the worst."""

_DPI = 144

_TITLES = {
    "accuracy": "accuracy, %",
    "balanced_accuracy": "balanced acc., %",
    "macro_f1": "macro F1, %",
    "weighted_f1": "weighted F1, %",
    "kappa": "kappa",
    "auroc": "AUROC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "ECE",
    "precision": "precision, %",
    "recall": "recall, %",
    "f1": "F1, %",
    "support": "areas",
    "average_precision": "average precision",
    "false_positive_rate": "false positive rate, %",
    "conformal_coverage": "sets that hold the class, %",
    "conformal_size": "classes a set",
    "conformal_singletons": "sets of one class, %",
    "conformal_empty": "empty sets, %",
}
_OF_ALL = (
    "accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "kappa", "auroc", "log_loss",
    "brier", "calibration_error",
)  # fmt: skip
_WITH_INTERVAL = ("accuracy", "macro_f1", "auroc")
_OF_CLASS = (
    "support", "precision", "recall", "f1", "false_positive_rate", "auroc", "average_precision",
    "brier",
)  # fmt: skip
_OF_SETS = ("conformal_coverage", "conformal_size", "conformal_singletons", "conformal_empty")


@dataclass(frozen=True)
class Result:
    """What a model said of n areas of a scope, of one label with k classes, and what then was.

    ``truth`` and ``predicted`` are positions among the classes of the label. ``blocks`` are
    integers: areas of one block are resampled together.
    """

    model: str
    scope: str
    split: str
    label: str
    areas: NDArray[Any]
    """(n,) codes."""
    truth: NDArray[np.int64]
    """(n,)"""
    probabilities: NDArray[np.float64]
    """(n, k)"""
    predicted: NDArray[np.int64]
    """(n,)"""
    conformal: NDArray[np.bool_] | None = None
    """(n, k), whether the class is in the area's prediction set."""
    blocks: NDArray[np.int64] | None = None
    """(n,)"""

    @classmethod
    def from_table(
        cls, table: pd.DataFrame, truth: Mapping[str, str], *, model: str, scope: str, split: str,
        label: str, blocks: Mapping[str, int] | None = None,
    ) -> Result:  # fmt: skip
        """From the rows of a table of predictions of one model, scope, split and label.

        Columns ``lsoa21cd``, ``predicted`` (class), ``probabilities`` (k numbers) and, where there
        are such, ``conformal_set`` (classes). ``truth`` has the class of each area; areas that it
        lacks are left out, as those are whose class is not known yet. Raises
        :class:`~crime_assets.DataError` for a class that the label does not have.
        """
        table = table[table["lsoa21cd"].isin(list(truth))]
        if table.empty:
            raise DataError(
                f"{model} has no prediction of {label} in {scope} ({split}) for an area whose "
                "class is known; give the classes of the same areas"
            )
        place = {name: position for position, name in enumerate(LABELS[label])}

        def positions(names: Sequence[object]) -> NDArray[np.int64]:
            found = [place.get(str(name), -1) for name in names]
            if -1 in found:
                raise DataError(f"{label} has no class {names[found.index(-1)]!r}")
            return np.array(found, dtype=np.int64)

        areas = table["lsoa21cd"].astype(str).to_numpy(dtype=object)
        conformal = None
        if "conformal_set" in table and table["conformal_set"].notna().all():
            sets = [list(names) for names in table["conformal_set"]]
            conformal = np.zeros((len(areas), len(place)), dtype=bool)
            rows = np.repeat(np.arange(len(areas)), [len(names) for names in sets])
            conformal[rows, positions([name for names in sets for name in names])] = True
        return cls(
            model, scope, split, label, areas,
            truth=positions([truth[area] for area in areas]),
            probabilities=np.array([list(row) for row in table["probabilities"]], dtype=float),
            predicted=positions(list(table["predicted"])),
            conformal=conformal,
            blocks=None if blocks is None else np.array([blocks[area] for area in areas]),
        )  # fmt: skip

    @property
    def titles(self) -> tuple[str, ...]:
        """What people call the classes."""
        return CLASS_TITLES[self.label]

    @cached_property
    def _at(self) -> dict[object, int]:
        return {area: position for position, area in enumerate(self.areas)}


def classification_table(result: Result) -> str:
    """Precision, recall, F1 and support by class as text, as scikit-learn prints them."""
    from sklearn.metrics import classification_report

    return str(
        classification_report(
            result.truth,
            result.predicted,
            labels=list(range(len(result.titles))),
            target_names=list(result.titles),
            digits=3,
            zero_division=np.nan,
        )
    )


def compare(
    one: Result, other: Result, *, resamplings: int = RESAMPLINGS, seed: int = 42
) -> list[Difference]:
    """What one model has more than another on the areas that both were asked about.

    See :func:`crime_assets.classification.scoring.difference`; blocks are those of ``one``. Raises
    :class:`~crime_assets.DataError` where they have no area in common, or where they do not agree
    about what then was.
    """
    common = [area for area in one.areas if area in other._at]
    here, there = (np.array([side._at[area] for area in common], int) for side in (one, other))
    truth = one.truth[here]
    if not (truth == other.truth[there]).all():
        raise DataError(f"{one.model} and {other.model} do not have the same classes as truth")
    return difference(
        truth,
        (one.probabilities[here], one.predicted[here]),
        (other.probabilities[there], other.predicted[there]),
        blocks=None if one.blocks is None else one.blocks[here],
        resamplings=resamplings,
        seed=seed,
    )


def verdict(model: str, found: Difference | None) -> str:
    """One sentence: whether a model beats last year's class, by how much, and how sure that is."""
    name = model_title(model).capitalize()
    if found is None:
        return f"There is no prediction “{BASELINE_TITLE}” that {model_title(model)} must beat."
    size = f"{100 * abs(found.value):.1f} points of {_words(found.metric)}"
    if found.low is None or found.high is None:
        side = "more" if found.value >= 0 else "less"
        return (
            f"{name} has {size} {side} than “{BASELINE_TITLE}”; there are too few blocks of areas "
            "to say whether that is chance."
        )
    interval = f"95 % interval {_signed(100 * found.low)} to {_signed(100 * found.high)}"
    if found.low > 0:
        return f"{name} beats “{BASELINE_TITLE}” by {size} ({interval})."
    if found.high < 0:
        return f"{name} is worse than “{BASELINE_TITLE}”, by {size} ({interval})."
    return (
        f"{name} does not beat “{BASELINE_TITLE}”: the difference is {_signed(100 * found.value)} "
        f"points of {_words(found.metric)} ({interval}), which may be chance."
    )


def report(
    results: Sequence[Result],
    *,
    model: str,
    cut_off: str,
    pair: tuple[str, str] = ("the first type", "the second type"),
    importances: Mapping[tuple[str, str], pd.DataFrame] | None = None,
    feature_titles: Mapping[str, str] | None = None,
    groups: Mapping[str, Mapping[str, str]] | None = None,
    moran: Sequence[Mapping[str, Any]] = (),
    provenance: Mapping[str, object] | None = None,
    resamplings: int = RESAMPLINGS,
    seed: int = 42,
) -> str:
    """The page (HTML) on ``model``, judged on the year after ``cut_off`` and by other splits.

    ``results`` are those of the model and of those it is compared with, :data:`BASELINE` among
    them; one for each model, scope, split and label. ``pair`` are the types of the label
    ``bivariate``. ``importances`` are tables as of
    :func:`crime_assets.classification.charts.importances` by scope and label; ``groups`` are maps
    from areas' codes to group names, by what they are, such as ``police force``; ``moran`` are rows
    with ``scope``, ``what``, ``value`` and ``p_value``; ``provenance`` is shown as it is given.
    Raises :class:`~crime_assets.DataError` where the model has no result.
    """
    work = _Work(results, model, resamplings, seed)
    parts = [
        _opening(work, cut_off),
        _labels(pair),
    ]
    for i, scope in enumerate(work.scopes):
        inside = "".join(
            _of_label(
                work, scope, label,
                table=(importances or {}).get((scope, label)),
                titles=feature_titles, groups=groups or {}, pictured=i < PICTURED_SCOPES,
            )
            for label in work.labels(scope)
        )  # fmt: skip
        parts.append(
            f'<section id="{_anchor(scope)}"><h2>{_e(place_title(scope))}</h2>{inside}</section>'
        )
    parts += [_moran(moran), _how_to_read(), _caveats(), _provenance(provenance or {})]
    title = f"Classes of areas: {model_title(model)}, {cut_off}"
    return page(title, "\n".join(part for part in parts if part))


# --- What the page is made from -------------------------------------------------------------


class _Work:
    """The results by where they belong, and their figures, each computed once."""

    def __init__(self, results: Sequence[Result], model: str, resamplings: int, seed: int) -> None:
        self.model = model
        self._results = {(r.scope, r.label, r.split, r.model): r for r in results}
        if len(self._results) < len(results):
            raise DataError("two results of one model, scope, split and label; give one")
        if unknown := {r.split for r in results} - set(SPLIT_TITLES):
            raise DataError(f"unknown splits {sorted(unknown)}; known are {list(SPLIT_TITLES)}")
        self._how = {"resamplings": resamplings, "seed": seed}
        self._figures: dict[tuple[str, ...], list[Figure]] = {}
        self._differences: dict[tuple[str, ...], list[Difference]] = {}
        self.scopes = nation_first({r.scope for r in results if r.model == model})
        if not self.scopes:
            raise DataError(f"there is no result of {model} to report on")

    def labels(self, scope: str) -> list[str]:
        return [label for label in LABELS if self.splits(scope, label)]

    def splits(self, scope: str, label: str) -> list[str]:
        """Those that the model was judged by, the honest ones first."""
        return [s for s in SPLIT_TITLES if (scope, label, s, self.model) in self._results]

    def models(self, scope: str, label: str, split: str) -> list[str]:
        """The model first, the baseline last."""
        found = [key[3] for key in self._results if key[:3] == (scope, label, split)]
        return sorted(found, key=lambda m: (m != self.model, m == BASELINE, m))

    def result(self, *key: str) -> Result | None:
        """Of a scope, label, split and model."""
        return self._results.get((key[0], key[1], key[2], key[3]))

    def main(self, scope: str, label: str) -> Result:
        """The model's result under the most honest split."""
        return self._results[scope, label, self.splits(scope, label)[0], self.model]

    def figures(self, result: Result) -> dict[tuple[str, int | None], Figure]:
        key = (result.scope, result.label, result.split, result.model)
        if key not in self._figures:
            self._figures[key] = judge(
                result.truth, result.probabilities, result.predicted, result.conformal,
                ordered=result.label in ORDERED, blocks=result.blocks, **self._how,
            )  # fmt: skip
        return {(f.metric, f.class_): f for f in self._figures[key]}

    def differences(self, result: Result) -> dict[str, Difference]:
        """To the baseline under the same split; empty without one."""
        key = (result.scope, result.label, result.split)
        baseline = self.result(*key, BASELINE)
        if baseline is None or result.model == BASELINE:
            return {}
        if key not in self._differences:
            self._differences[key] = compare(result, baseline, **self._how)
        return {d.metric: d for d in self._differences[key]}


# --- The parts of the page ------------------------------------------------------------------


def _opening(work: _Work, cut_off: str) -> str:
    scope = work.scopes[0]
    cards, compared, won = [], 0, []
    for label in work.labels(scope):
        result = work.main(scope, label)
        found = work.differences(result).get(HEADLINE_METRIC)
        compared += found is not None
        if found is not None and found.low is not None and found.low > 0:
            won.append(100 * found.value)
        cards.append(
            f'<li class="card"><p class="eyebrow">{_e(LABEL_TITLES[label])} · '
            f"{_e(SPLIT_TITLES[result.split])}</p><p>{_e(verdict(work.model, found))}</p></li>"
        )
    name = model_title(work.model)
    if not compared:
        lead = f"{name.capitalize()} is not compared with “{BASELINE_TITLE}”."
    elif not won:
        lead = (
            f"In {place_title(scope)}, {name} does not beat “{BASELINE_TITLE}” for any of "
            f"{compared} labels: who has last year’s classes needs no model."
        )
    else:
        by = " to ".join(dict.fromkeys(f"{each:.1f}" for each in (min(won), max(won))))
        lead = (
            f"In {place_title(scope)}, {name} beats “{BASELINE_TITLE}” for {len(won)} of "
            f"{compared} labels, by {by} points of {_words(HEADLINE_METRIC)}."
        )
    links = " ".join(
        f'<a href="#{_anchor(place)}">{_e(place_title(place))}</a>' for place in work.scopes
    )
    return (
        f"<header><h1>Can the class of an area be told a year ahead?</h1>"
        f'<p class="lead">{_e(lead)}</p><p>This page judges {_e(name)}, cut-off {_e(cut_off)}. It '
        "was given recorded crimes up to the cut-off and said of each LSOA (an area of some 1,700 "
        "people) which class it would have in the year after. Models are compared by macro F1: "
        f'<a href="#how-to-read">how to read this</a>, <a href="#caveats">what it does not say</a>.'
        f'</p></header><ul class="cards">{"".join(cards)}</ul>'
        f'<nav aria-label="Places"><p><strong>Places</strong>: {links}</p></nav>'
    )


def _labels(pair: tuple[str, str]) -> str:
    meanings = {
        "is_hotspot": "Whether the area is in the quarter of the areas of its scope with the most "
        "recorded crimes per km².",
        "tier": "Where the area stands by recorded crimes per km²: low is the lower half, medium "
        "the next quarter, high the next 15 %, very high the highest tenth.",
        "bivariate": f"Where the area stands by {pair[0]} and by {pair[1]}, each low (the lower "
        "half), medium (the next quarter) or high (the highest quarter). Titles name the first / "
        "the second.",
    }
    rows = [
        [_e(LABEL_TITLES[label]), _e(meanings[label]), _e(", ".join(CLASS_TITLES[label]))]
        for label in LABELS
    ]
    return (
        '<section id="labels"><h2>What is told</h2>'
        + _table(
            "The labels and their classes",
            ["Label", "What it means", "Classes"],
            rows,
            numbers=False,
        )
        + "</section>"
    )


def _of_label(
    work: _Work, scope: str, label: str, *, table: pd.DataFrame | None,
    titles: Mapping[str, str] | None, groups: Mapping[str, Mapping[str, str]], pictured: bool,
) -> str:  # fmt: skip
    """All of one label in one scope."""
    result = work.main(scope, label)
    found = work.differences(result).get(HEADLINE_METRIC)
    parts = [
        f'<h3 id="{_anchor(scope, label)}">{_e(LABEL_TITLES[label])}</h3>',
        f"<p>{_e(verdict(work.model, found))}</p>",
        _by_split(work, scope, label),
        _against_baseline(work, scope, label),
        _by_class(work, result),
    ]
    if pictured:
        pictures = _pictures(work, result, table, titles)
        parts.append('<div class="pictures">' + "".join(_picture(*p) for p in pictures) + "</div>")
    parts += [_sets(work, result), _fairness(result, groups)]
    return "".join(parts)


def _by_split(work: _Work, scope: str, label: str) -> str:
    """Figures of all classes: models x splits."""
    rows, metrics = [], [m for m in _OF_ALL if m != "kappa" or label in ORDERED]
    for split in work.splits(scope, label):
        for model in work.models(scope, label, split):
            result = work.result(scope, label, split, model)
            assert result is not None
            figures = work.figures(result)
            name = f"{_e(model_title(model))}<br><small>{_e(SPLIT_TITLES[split])}</small>"
            cells = [
                _figure(figures[metric, None], interval=metric in _WITH_INTERVAL)
                for metric in metrics
            ]
            rows.append([name, f"{len(result.truth):,}", *cells])
    return _table(
        "All classes together, by the way of holding areas out",
        ["Model", "areas", *(_TITLES[m] for m in metrics)],
        rows,
        note="Small figures are 95 % intervals. Of log loss, Brier score and calibration error "
        "(ECE) less is better. Random parts are optimistic.",
    )


def _against_baseline(work: _Work, scope: str, label: str) -> str:
    rows = []
    for split in work.splits(scope, label):
        result = work.result(scope, label, split, work.model)
        assert result is not None
        found = work.differences(result)
        if found:
            cells = [_difference(found[m]) for m in ("macro_f1", "accuracy", "auroc")]
            rows.append([_e(SPLIT_TITLES[split]), *cells])
    if not rows:
        return ""
    return _table(
        f"How far {model_title(work.model)} is ahead of “{BASELINE_TITLE}”",
        ["Held out", "macro F1, points", "accuracy, points", "AUROC"],
        rows,
        note="On the same areas. Last year’s classes are no fine ranking, so some of the "
        "difference in AUROC is owed to that alone.",
    )


def _by_class(work: _Work, result: Result) -> str:
    figures = work.figures(result)
    rows = [
        [_e(name), *(_figure(figures[metric, c]) for metric in _OF_CLASS)]
        for c, name in enumerate(result.titles)
    ]
    held = _e(SPLIT_TITLES[result.split])
    return (
        _table(
            f"By class ({SPLIT_TITLES[result.split]})",
            ["Class", *(_TITLES[m] for m in _OF_CLASS)],
            rows,
            note="Each class against all others.",
        )
        + f"<details><summary>Classification report as text ({held})</summary>"
        f"<pre>{_e(classification_table(result))}</pre></details>"
    )


def _sets(work: _Work, result: Result) -> str:
    if result.conformal is None:
        return ""
    figures = work.figures(result)
    rows = [["all", *(_figure(figures[metric, None]) for metric in _OF_SETS)]]
    rows += [
        [_e(name), _figure(figures["conformal_coverage", c]), "", "", ""]
        for c, name in enumerate(result.titles)
    ]
    size = figures["conformal_size", None].value
    return (
        _table(
            f"Prediction sets ({SPLIT_TITLES[result.split]})",
            ["Areas that were", *(_TITLES[m] for m in _OF_SETS)],
            rows,
        )
        + f"<p>{_e(_of_sets(figures['conformal_coverage', None].value, size))} "
        '<a href="#conformal">What the sets are</a>.</p>'
    )


def _of_sets(coverage: float, size: float) -> str:
    return (
        f"Instead of one class, the model may name several: its sets hold {size:.2f} classes on "
        f"average, and {100 * coverage:.1f} % of them hold the class that came."
    )


def _fairness(result: Result, groups: Mapping[str, Mapping[str, str]]) -> str:
    """How the highest class is predicted in each group of areas."""
    top = len(result.titles) - 1
    parts = []
    for what, group_of in groups.items():
        named = np.array([area in group_of for area in result.areas], dtype=bool)
        if not named.any():
            continue
        found = by_group(
            result.truth[named], result.predicted[named], top,
            [group_of[area] for area in result.areas[named]],
        )  # fmt: skip
        rows = [
            [
                _e(group.name), f"{group.n:,}", f"{group.positives:,}",
                *map(_rate, (
                    group.selection_rate, group.precision, group.recall,
                    group.false_positive_rate,
                )),
            ]
            for group in found
        ]  # fmt: skip
        table = _table(
            f"“{result.titles[top]}” by {what} ({SPLIT_TITLES[result.split]})",
            [what.capitalize(), "areas", "have the class", "said to have it, %", "precision, %",
             "recall, %", "false positive rate, %"],
            rows,
            note="Small figures are 95 % intervals (Wilson), as if areas were independent.",
        )  # fmt: skip
        parts.append(
            f"<p>{_e(_fairness_sentence(found, what, result.titles[top]))}</p>"
            f"<details><summary>By {_e(what)}</summary>{table}</details>"
        )
    return "".join(parts)


def _fairness_sentence(found: Sequence[Group], what: str, title: str) -> str:
    """Where recall and false positive rate are least and most, and whether recall differs."""
    from scipy.stats import chi2_contingency

    large = [g for g in found if g.positives >= LEAST_POSITIVES and g.n > g.positives]
    if len(large) < 2:
        return f"By {what}, too few areas are “{title}” to compare groups."
    right = np.array([round(g.recall.value * g.positives) for g in large])
    missed = np.array([g.positives for g in large]) - right
    differ = right.any() and missed.any() and chi2_contingency([right, missed]).pvalue < 0.05
    least, most = (pick(large, key=lambda g: g.recall.value) for pick in (min, max))
    few, many = (pick(large, key=lambda g: g.false_positive_rate.value) for pick in (min, max))
    return (
        f"By {what}, recall of “{title}” runs from {_percent(least.recall.value)} ({least.name}) "
        f"to {_percent(most.recall.value)} ({most.name}), "
        f"{'more than chance explains' if differ else 'which may be chance'} (chi-squared test, as "
        "if areas were independent). Of the areas that are not, between "
        f"{_percent(few.false_positive_rate.value)} ({few.name}) and "
        f"{_percent(many.false_positive_rate.value)} ({many.name}) were wrongly said to be."
    )


# --- Pictures, and what they say in words ---------------------------------------------------


def _pictures(
    work: _Work, result: Result, table: pd.DataFrame | None, titles: Mapping[str, str] | None
) -> list[tuple[Picture, str, str]]:
    import pandas as pd

    truth, probabilities, names = result.truth, result.probabilities, result.titles
    figures = work.figures(result)
    held = f"{LABEL_TITLES[result.label]}, {SPLIT_TITLES[result.split]}"
    found = [
        (
            charts.confusion_matrix(truth, result.predicted, names),
            "Confusion matrix",
            f"{held}. {_confusion_sentence(result)}",
        ),
        (
            charts.roc_curves(truth, probabilities, names),
            "ROC curves",
            f"{held}. The area under a curve is how often an area of the class is given a higher "
            "probability of it than an area of another class; by lot it is 0.5. "
            f"{_best_and_worst(figures, 'auroc', names)}",
        ),
        (
            charts.precision_recall_curves(truth, probabilities, names),
            "Precision and recall",
            f"{held}. What is paid in wrong areas for each further area of the class that is "
            "found; dotted is a choice by lot. "
            f"{_best_and_worst(figures, 'average_precision', names)}",
        ),
        (
            charts.calibration_curves(truth, probabilities, names),
            "Calibration",
            f"{held}. Whether what is called 70 % probable comes in 70 % of such areas; bars are "
            "shares of the areas. Of the class that is predicted, said and came lie "
            f"{100 * figures['calibration_error', None].value:.1f} points apart on average.",
        ),
    ]
    if table is not None and len(table):
        first = table.sort_values("permutation", ascending=False, kind="stable").iloc[0]
        has_impurity = "impurity" in table and table["impurity"].notna().any()
        beside = (
            " Right: how much the trees used it when they were fitted, which favours features of "
            "many values."
            if has_impurity
            else ""
        )
        found.append(
            (
                charts.importances(table, titles),
                "What the model looks at",
                f"{LABEL_TITLES[result.label]}. How much worse it gets when the values of a "
                f"feature are shuffled among areas, most: "
                f"{feature_title(first['feature'], titles)}."
                f"{beside} Features that say the same share what they matter, and none of this is "
                "a cause.",
            )
        )
    rows = [
        (model, split, metric, f.value, f.low, f.high)
        for split in work.splits(result.scope, result.label)
        for model in work.models(result.scope, result.label, split)
        if (judged := work.result(result.scope, result.label, split, model)) is not None
        for metric in ("accuracy", "macro_f1")
        for f in [work.figures(judged)[metric, None]]
    ]
    columns = ["model", "split", "metric", "value", "low", "high"]
    worth = pd.DataFrame(rows, columns=columns).astype(
        dict.fromkeys(("value", "low", "high"), "float64")
    )
    found.append(
        (
            charts.split_worth(worth),
            "What the split is worth",
            f"{LABEL_TITLES[result.label]}. The same models, judged on areas held out in different "
            f"ways, bars are 95 % intervals. {_worth_sentence(work, result)}",
        )
    )
    return found


def _confusion_sentence(result: Result) -> str:
    cells = confusion(result.truth, result.predicted, len(result.titles))
    wrong = cells.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return "No area was told wrong."
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    text = (
        f"{wrong.sum():,} of {cells.sum():,} areas were told wrong, most often "
        f"{result.titles[i]} as {result.titles[j]} ({wrong[i, j]:,})."
    )
    if result.label in ORDERED:
        near = np.trace(wrong, 1) + np.trace(wrong, -1)
        text += f" {_percent(near / wrong.sum())} of the errors are one tier off."
    return text


def _best_and_worst(
    figures: Mapping[tuple[str, int | None], Figure], metric: str, names: Sequence[str]
) -> str:
    classes = [1] if len(names) == 2 else range(len(names))
    values = {c: figures[metric, c].value for c in classes}
    values = {c: value for c, value in values.items() if math.isfinite(value)}
    if not values:
        return "No class can be drawn."
    worst, best = (pick(values, key=lambda c: values[c]) for pick in (min, max))
    by = "AUC" if metric == "auroc" else "Average precision"
    if len(values) == 1:
        return f"{by} of {names[best]}: {values[best]:.3f}."
    return (
        f"{by} is highest for {names[best]} ({values[best]:.3f}), lowest for {names[worst]} "
        f"({values[worst]:.3f})."
    )


def _worth_sentence(work: _Work, result: Result) -> str:
    random = work.result(result.scope, result.label, "random", work.model)
    if random is None or result.split == "random":
        return ""
    one, other = (work.figures(r)["macro_f1", None].value for r in (random, result))
    gap = 100 * (one - other)
    said = (
        "Random parts lie among the areas that the model was fitted on, in the same year, so they "
        "are optimistic: "
    )
    return said + (
        f"they show a macro F1 {gap:.1f} points higher than “{SPLIT_TITLES[result.split]}”, "
        "which is what the model is for."
        if gap > 0
        else f"yet here their macro F1 is no higher than that of “{SPLIT_TITLES[result.split]}”."
    )


# --- The end of the page --------------------------------------------------------------------


def _moran(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    lines = [
        [
            _e(row["what"]), _e(place_title(str(row["scope"]))), _number(float(row["value"]), 3),
            _p_value(float(row["p_value"])),
        ]
        for row in rows
    ]  # fmt: skip
    return (
        '<section id="moran"><h2>Are neighbours alike?</h2><p>Moran’s I is near 0 where areas lie '
        "as if by lot, and near 1 where each is like its neighbours. Of what is to be told it is "
        "usually high. Of errors it should be near 0: where it is not, the model misses something "
        "that neighbours share, and errors come in clusters.</p>"
        + _table("Moran’s I", ["Of what", "Place", "Moran’s I", "p value"], lines, left=2)
        + "</section>"
    )


_MEANINGS = {
    "Accuracy": "the share of areas whose class was told. High by itself where one class is "
    "common.",
    "Balanced accuracy": "the mean of the classes’ recall.",
    "Precision, recall, F1": "of areas said to have a class, the share that has it; of areas that "
    "have it, the share that was found; and the harmonic mean of both.",
    "Macro F1, weighted F1": "the mean F1 of the classes, each class alike, or by its areas. Macro "
    "F1 is what models are compared by here: it does not forgive a rare class that is missed.",
    "Kappa": "agreement beyond chance, where an error of two tiers counts four times one of one "
    "(Cohen 1968).",
    "AUROC, average precision": "how well areas of a class are ranked before the others; by lot "
    "0.5, and the share of areas that have the class.",
    "Log loss, Brier score": "how far the probabilities lie from what came. Less is better. Log "
    "loss is dominated by what was called impossible and came, so it is large for last year’s "
    "class.",
    "Calibration error (ECE)": "how far confidence and success lie apart, in ten bins of equal "
    "numbers of areas by the probability of the class that was predicted.",
    "False positive rate": "of the areas that do not have the class, the share said to have it.",
}


def _how_to_read() -> str:
    meanings = "".join(
        f"<dt>{_e(word)}</dt><dd>{_e(text)}</dd>" for word, text in _MEANINGS.items()
    )
    return (
        '<section id="how-to-read"><h2>How to read this</h2><h3>Ways of holding out</h3><dl>'
        f"<dt>{SPLIT_TITLES['time'].capitalize()}</dt><dd>Fitted on the cut-off 12 months "
        "before, as it could have been at the cut-off, judged on the year after it. This is what "
        "the model is for, and what the page opens with.</dd>"
        f"<dt>{SPLIT_TITLES['force'].capitalize()}</dt><dd>Whole police forces are held out: what "
        "it knows where police record in another way.</dd>"
        f"<dt>{SPLIT_TITLES['space'].capitalize()}</dt><dd>Blocks of neighbouring areas are held "
        "out.</dd>"
        f"<dt>{SPLIT_TITLES['random'].capitalize()}</dt><dd>Five parts of the areas, drawn by "
        "lot, each held out in its turn. Their neighbours were fitted on, in the same year. It is "
        "shown because studies publish it, and it flatters.</dd></dl>"
        f"<h3>Metrics</h3><dl>{meanings}</dl>"
        '<h3 id="conformal">Prediction sets</h3><p>Conformal prediction (Vovk, Gammerman and '
        "Shafer 2005) names a set of classes for each area, made so that it holds the true one as "
        "often as was asked for, or more often, if the years are alike. One class in a set says "
        "that the model is sure; many say that it is not. A model that errs less often than was "
        "allowed names one class everywhere. A year that differs from the one it was tuned on "
        "shows as sets that hold the class less often. The promise is one of all areas together; "
        "a class can fall short of it, so it is shown by class "
        "too.</p>"
        f"<h3>Intervals</h3><p>95 % intervals come of resampling areas ({RESAMPLINGS:,} times, "
        f"AUROC and average precision {RANKED_RESAMPLINGS}), in blocks of neighbours where they "
        "are known, since neighbours are alike. They say how much the figures of this year hang "
        "on the areas, and nothing of how other years would have been. Each comparison stands for "
        "itself: of twenty that are chance, one looks real.</p></section>"
    )


def _caveats() -> str:
    return (
        '<section id="caveats"><h2>What this does not say</h2><ul>'
        "<li>Recorded crime is not crime. It depends on who reports, on what is recorded, and on "
        "where police look. A model that tells it well may tell where police looked.</li>"
        "<li>The random split is optimistic, wherever it is shown.</li>"
        "<li>Classes hang on the borders of the areas and on their size (the modifiable areal unit "
        "problem): drawn otherwise, other areas would be hotspots. They hang on the scope too, for "
        "they are shares of its areas.</li>"
        "<li>A density counts crimes per km², not per person who is there. City centres are high "
        "because people come to them.</li>"
        "<li>Nothing here is about a person, and it is not for decisions about persons. That an "
        "area is in a class is no ground to suspect anybody in it.</li>"
        "</ul></section>"
    )


def _provenance(provenance: Mapping[str, object]) -> str:
    rows = [[_e(name), _e(value)] for name, value in provenance.items()]
    table = _table("What this page was made from", ["What", "Value"], rows, numbers=False)
    return (
        f'<section id="provenance"><h2>Provenance</h2>{table if rows else ""}</section>'
        f"<footer><p>{_e(LICENCE)}</p></footer>"
    )


# --- Cells and words ------------------------------------------------------------------------


def _table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], note: str = "", *,
    numbers: bool = True, left: int = 1,
) -> str:  # fmt: skip
    """Rows of HTML cells, the first of each its heading; the first ``left`` stand left."""
    kinds = [' class="num"' if numbers and i >= left else "" for i in range(len(head))]
    top = "".join(
        f'<th scope="col"{kind}>{_e(name)}</th>' for name, kind in zip(head, kinds, strict=True)
    )
    lines = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row[1:], kinds[1:], strict=True))
        + "</tr>"
        for row in rows
    )
    sub = f' <span class="sub">{_e(note)}</span>' if note else ""
    return (
        f'<div class="scroll" tabindex="0"><table class="board"><caption><span class="cap">'
        f"{_e(caption)}{sub}</span></caption><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _picture(drawn: Picture, title: str, caption: str) -> str:
    from crime_assets.hexes.pictures import png

    data = base64.b64encode(png(drawn, dpi=_DPI)).decode()
    width, height = (round(inches * 100) for inches in drawn.get_size_inches())
    return (
        f'<figure><img src="data:image/png;base64,{data}" width="{width}" height="{height}" '
        f'alt="{_e(title)}: {_e(caption)}"><figcaption><strong>{_e(title)}.</strong> {_e(caption)}'
        "</figcaption></figure>"
    )


def _figure(figure: Figure, *, interval: bool = True) -> str:
    if figure.metric == "support":
        return f"{figure.value:,.0f}"
    percent = _TITLES[figure.metric].endswith("%")
    scale, digits = (100, 1) if percent else (1, 2 if figure.metric == "conformal_size" else 3)
    low, high = (figure.low, figure.high) if interval else (None, None)
    return _with_interval(figure.value, low, high, scale, digits)


def _rate(rate: Rate) -> str:
    return _with_interval(*rate, scale=100, digits=1)


def _with_interval(
    value: float, low: float | None, high: float | None, scale: float, digits: int
) -> str:
    text = _number(scale * value, digits)
    if low is None or high is None or not math.isfinite(value):
        return text
    return f"{text}<br><small>{scale * low:.{digits}f} to {scale * high:.{digits}f}</small>"


def _difference(found: Difference) -> str:
    scale, digits = (1, 3) if found.metric == "auroc" else (100, 1)
    text = _signed(scale * found.value, digits)
    if found.low is None or found.high is None or found.p_value is None:
        return text
    return (
        f"{text}<br><small>{_signed(scale * found.low, digits)} to "
        f"{_signed(scale * found.high, digits)}, p {_p_value(found.p_value)}</small>"
    )


def _signed(value: float, digits: int = 1) -> str:
    if not math.isfinite(value):
        return "–"
    text = f"{abs(value):.{digits}f}"
    if not float(text):
        return text
    return f"{'−' if value < 0 else '+'}{text}"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else "–"


def _p_value(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if value >= 0.0005 else "&lt; 0.001"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if math.isfinite(share) else "–"


def _words(metric: str) -> str:
    return _TITLES[metric].removesuffix(", %")


def _anchor(*names: object) -> str:
    text = "-".join(str(name) for name in names).lower()
    clean = "".join(c if c.isascii() and (c.isalnum() or c == "-") else "_" for c in text)
    return f"in-{clean}"


def _e(text: object) -> str:
    return escape(str(text), quote=True)
