"""The rows of ``lsoa_evaluations``: what each prediction of one model was worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crime_assets.classification.report import BASELINE, ORDERED, Result, compare
from crime_assets.classification.scoring import RESAMPLINGS, by_group, judge
from crime_assets.lsoa.labels import LABELS
from crime_assets.lsoa.moran import morans_i

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array

COLUMNS = (
    "scope", "split", "label", "group_kind", "group_name", "class", "metric", "value", "low",
    "high", "p_value", "areas",
)  # fmt: skip

DEPRIVATION_FIFTHS = ("1, most deprived", "2", "3", "4", "5, least deprived")


def evaluation_rows(
    results: Mapping[tuple[str, str, str], Result],
    baseline: Mapping[tuple[str, str, str], Result],
    groups: Mapping[str, Mapping[str, str]],
    resamplings: int = RESAMPLINGS,
) -> pd.DataFrame:
    """All figures of the ``results`` (by scope, split and label) of one model.

    ``baseline`` are those of last year's class, to which the differences are. ``groups`` are maps
    from areas to groups by their kind: precision, recall and false positives of the highest class
    are told apart by them, for the split in time.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for key, result in results.items():
        rows += _of_all(result, resamplings)
        if key in baseline and result.model != BASELINE:
            rows += _differences(result, baseline[key], resamplings)
        if result.split == "time":
            for kind, group_of in groups.items():
                rows += _of_groups(result, kind, group_of)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        dict.fromkeys(("value", "low", "high", "p_value"), "float64")
    )


def _row(result: Result, metric: str, value: float | None, **more: Any) -> dict[str, Any]:
    return {
        "scope": result.scope,
        "split": result.split,
        "label": result.label,
        "group_kind": "all",
        "metric": metric,
        "value": value,
        "areas": len(result.areas),
    } | more


def _of_all(result: Result, resamplings: int) -> Iterator[dict[str, Any]]:
    names = LABELS[result.label]
    for figure in judge(
        result.truth,
        result.probabilities,
        result.predicted,
        result.conformal,
        ordered=result.label in ORDERED,
        blocks=result.blocks,
        resamplings=resamplings,
    ):
        of_class = None if figure.class_ is None else names[figure.class_]
        ends = {"low": figure.low, "high": figure.high}
        yield _row(result, figure.metric, figure.value, **{"class": of_class}, **ends)


def _differences(result: Result, baseline: Result, resamplings: int) -> Iterator[dict[str, Any]]:
    for found in compare(result, baseline, resamplings=resamplings):
        yield _row(
            result,
            f"{found.metric}_difference",
            found.value,
            low=found.low,
            high=found.high,
            p_value=found.p_value,
        )


def _of_groups(result: Result, kind: str, group_of: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """By group: the share that is right, and the rates of the highest class."""
    there = np.array([str(area) in group_of for area in result.areas], dtype=bool)
    if not there.any():
        return
    group = np.array([group_of[str(area)] for area in result.areas[there]])
    truth, predicted = result.truth[there], result.predicted[there]
    highest = len(LABELS[result.label]) - 1
    name = LABELS[result.label][highest]
    for found in by_group(truth, predicted, highest, group):
        of_group = {"group_kind": kind, "group_name": str(found.name), "areas": found.n}
        for metric in ("precision", "recall", "false_positive_rate", "selection_rate"):
            rate = getattr(found, metric)
            ends = {"low": rate.low, "high": rate.high, "class": name}
            yield _row(result, metric, rate.value, **of_group, **ends)
        right = truth[group == found.name] == predicted[group == found.name]
        yield _row(result, "accuracy", float(right.mean()), **of_group)


def moran_rows(
    result: Result,
    density: NDArray[np.float64],
    tier: NDArray[np.float64],
    neighbours: csr_array,
) -> Iterator[dict[str, Any]]:
    """Whether hotspots are random in space, and whether the model leaves a pattern behind.

    Global Moran's I with 999 permutations of the ``density`` (n,), of the ``tier`` (n,), of
    ``is_hotspot``, and of the residual: its true class - its probability. ``result`` is of that
    label; ``neighbours`` (n, n) are of its areas.
    """
    residual = result.truth - result.probabilities[:, 1]
    for name, values in (
        ("density", density),
        ("tier", tier),
        ("is_hotspot", result.truth.astype(float)),
        ("residual", residual),
    ):
        found = morans_i(neighbours, values)
        yield _row(result, "moran_i", found.value, **{"class": name}, p_value=found.p_value)


def fifths(rank: NDArray[np.float64]) -> NDArray[np.str_]:
    """The fifth of the areas (n,) by their rank of deprivation, 1 the most deprived.

    Areas without a rank (nan) are in none, "".
    """
    known = ~np.isnan(rank)
    found = np.full(len(rank), "", dtype="U20")
    if known.any():
        limits = np.quantile(rank[known], [0.2, 0.4, 0.6, 0.8])
        found[known] = np.array(DEPRIVATION_FIFTHS)[np.searchsorted(limits, rank[known])]
    return found
