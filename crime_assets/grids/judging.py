"""How good predictions on a grid were: by origin, their means, and against the naive rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets.forecasting.metrics import (
    Figure,
    Judgement,
    NotAScore,
    judge_probabilities,
    mean_of,
)

COVERAGE = 0.05
"""The share of the area of PAI and PEI*: that of the study."""

METRICS = {
    "f1": "F1 at 0.5",
    "aucpr": "AUCPR",
    "auroc": "AUROC",
    "pai": "PAI at 5 %",
    "pei_star": "PEI* at 5 %",
    "pai_by_count": "PAI at 5 % by count",
}
"""What is judged, and what people call it; more is better of each. The last ranks cells by the
crimes that are expected, and is there for methods that count."""


def in_order(probability: ArrayLike, expected: ArrayLike | None) -> NDArray[np.float64]:
    """Scores in the order of the probability, and of equal ones in that of the expected crimes.

    A chance of more than 1 - 1e-16 is 1, and a busy cell has that every month: by probability
    alone all of them would be level. A score is one half or more where the probability is. Of the
    shape of ``probability``. Raises :class:`~crime_assets.forecasting.metrics.NotAScore` where
    something is not finite.
    """
    told = np.asarray(probability, dtype=float)
    counted = np.zeros(told.shape) if expected is None else np.asarray(expected, dtype=float)
    if not (np.isfinite(told).all() and np.isfinite(counted).all()):
        raise NotAScore("a probability or an expected number of crimes is not finite")
    pairs, place = np.unique(
        np.stack([told.ravel(), counted.ravel()], axis=1), axis=0, return_inverse=True
    )
    below = int((pairs[:, 0] < 0.5).sum())
    scores = np.concatenate(
        [
            np.arange(below) / (2 * max(below, 1)),
            0.5 + np.arange(len(pairs) - below) / (2 * max(len(pairs) - below, 1)),
        ]
    )
    return scores[place.reshape(told.shape)]


def judge(
    probability: NDArray[np.floating], expected: NDArray[np.floating] | None, crimes: NDArray
) -> list[list[Figure]]:
    """The figures of each origin; all three are (origins, n)."""
    counted = [None] * len(probability) if expected is None else list(expected)
    found = []
    for p, e, y in zip(probability, counted, crimes, strict=True):
        figures = judge_probabilities(Judgement.of(in_order(p, e), y), COVERAGE)
        if e is not None and y.any():
            pai = Judgement.of(e, y).pai(COVERAGE)
            figures.append(Figure("pai_by_count", COVERAGE, pai))
        found.append(figures)
    return found


def compared(
    figures: Sequence[Sequence[Figure]],
    naive: Mapping[str, Sequence[Sequence[Figure]]],
    origins: Sequence[Any],
) -> Iterator[dict[str, Any]]:
    """The rows of one method and crime type: each origin's, their mean, differences to the naive.

    A row has ``origin`` (``None``: of the mean), ``against`` (the naive rule whose figure is taken
    off, else ``None``), ``metric``, ``coverage``, ``value``, ``low`` and ``high``.
    """
    for origin, of_origin in zip(origins, figures, strict=True):
        yield from _rows(of_origin, origin, None)
    yield from _rows(mean_of(figures), None, None)
    for rule, of_rule in naive.items():
        yield from _rows(mean_of(figures, of_rule), None, rule)


def _rows(figures: Sequence[Figure], origin: Any, against: str | None) -> Iterator[dict[str, Any]]:
    for f in figures:
        yield {
            "origin": origin,
            "against": against,
            "metric": f.metric,
            "coverage": f.coverage,
            "value": f.value,
            "low": f.low,
            "high": f.high,
        }


CURVE_POINTS = 200
"""Points of a curve that are kept."""


def curves(
    probability: NDArray[np.floating], expected: NDArray[np.floating] | None, crimes: NDArray
) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """The ROC and the precision-recall curve of all origins together: name, x and y."""
    judgement = Judgement.of(in_order(probability, expected).ravel(), crimes.ravel())
    for name, (x, y) in (("roc", judgement.roc_curve()), ("pr", judgement.pr_curve())):
        kept = np.unique(np.linspace(0, len(x) - 1, CURVE_POINTS).round().astype(int))
        yield name, x[kept], y[kept]
