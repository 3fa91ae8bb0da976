"""How good a classifier of areas was: every figure from one table of sums over areas.

All figures but those of a ranking (AUROC, average precision) are ratios of sums over the areas: of
the cells of the confusion matrix, of squared errors, of sets that hold the truth. So a resampling
of the areas is one matrix product, and the value itself is the resampling that takes each area
once. What scikit-learn has is tested against it.

Classes are positions 0 to k - 1 among the classes of a label
(:data:`crime_assets.lsoa.labels.LABELS`).

**What is resampled.** Areas, or spatial blocks of them where ``blocks`` are given. Neighbours are
alike, so areas that are drawn one by one pretend to be more evidence than they are, and their
intervals are too narrow. Give blocks where you can.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets import DataError

RESAMPLINGS = 500
RANKED_RESAMPLINGS = 200
"""At most so many resamplings for AUROC and average precision, which take a pass over all areas
each; the first ones of the same draw."""

LEAST_BLOCKS = 10
"""With fewer blocks (or areas) there are no intervals: they would be too narrow."""

BINS = 10

LESS_IS_BETTER = frozenset(
    {"log_loss", "brier", "calibration_error", "false_positive_rate", "conformal_size"}
)

_UNITS_AT_ONCE = 1 << 21
_LEAST = float(np.finfo(np.float64).eps)

Key = tuple[str, int | None]


class NotAPrediction(DataError):
    """Classes, probabilities, sets or blocks that do not fit together."""


@dataclass(frozen=True)
class Figure:
    """One figure of one prediction, and its 95 % interval; ``None`` where there is none.

    ``class_`` is the class's position, ``None`` for a figure of all classes. ``value`` is nan where
    it is not defined, such as the recall of a class that no area has.
    """

    metric: str
    class_: int | None
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """How far one prediction lies above another on the same areas; above 0: the first has more.

    ``low`` to ``high`` is a 95 % interval, ``p_value`` two-sided; ``None`` with too few blocks.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    p_value: float | None


class Rate(NamedTuple):
    """A share and its 95 % interval (Wilson 1927); nan where it is a share of nothing."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Group:
    """How a class was predicted among the areas of one group."""

    name: str
    n: int
    positives: int
    """Areas that have the class."""
    precision: Rate
    """Of the areas said to have it, the share that has it."""
    recall: Rate
    """Of the areas that have it, the share that was found."""
    false_positive_rate: Rate
    """Of the areas that do not have it, the share said to have it."""
    selection_rate: Rate
    """Of all areas, the share said to have it."""


# --- All figures of one prediction ----------------------------------------------------------


def judge(
    truth: ArrayLike,
    probabilities: ArrayLike,
    predicted: ArrayLike,
    conformal: ArrayLike | None = None,
    *,
    ordered: bool = False,
    blocks: ArrayLike | None = None,
    resamplings: int = RESAMPLINGS,
    seed: int = 42,
) -> list[Figure]:
    """All figures of a prediction (n areas, k classes), with 95 % percentile bootstrap intervals.

    ``truth`` and ``predicted`` (n,) are positions of classes, ``probabilities`` (n, k) sum to 1,
    ``conformal`` (n, k) says which classes are in the area's prediction set. ``ordered`` classes
    get Cohen's kappa with quadratic weights (Cohen 1968). ``blocks`` (n,) are integers: areas of
    one block are resampled together. Raises :class:`NotAPrediction` for what does not fit.

    Of all classes (``class_`` is ``None``):

    - ``accuracy``; ``balanced_accuracy``, the mean recall of the classes that areas have;
    - ``macro_f1``, the mean F1 of the classes that areas have or are said to have; ``weighted_f1``;
    - ``log_loss``, nats an area; probabilities below 2.2e-16 count as that;
    - ``brier``, squared errors of the probabilities summed over classes, 0 to 2 (Brier 1950);
    - ``calibration_error``: see :func:`calibration_error`. It has no interval: resampling adds
      noise to gaps that are taken without their sign, so it would lie too high;
    - ``auroc``, the mean of the classes' own against the rest;
    - ``conformal_coverage``, the share of sets that hold the truth, ``conformal_size``, classes a
      set, ``conformal_singletons`` and ``conformal_empty``, shares of the sets.

    By class, against all others: ``support`` (areas), ``precision``, ``recall``, ``f1``,
    ``false_positive_rate``, ``brier`` (0 to 1), ``auroc``, ``average_precision`` and
    ``conformal_coverage`` (among areas that have the class).

    A class that no area has, or that is never predicted, has nan where its figure divides by
    nought. The same ``seed`` resamples alike.
    """
    truth, predicted = _positions(truth), _positions(predicted)
    probabilities = _checked(truth, predicted, np.asarray(probabilities, dtype=float))
    k = probabilities.shape[1]
    table = _table(truth, probabilities, predicted, _sets(conformal, probabilities.shape))
    draw = _Draw(len(truth), blocks, resamplings, seed)

    sums = draw.by_unit(table)
    of_all = _ratios(sums.sum(axis=0)[None], k, ordered, conformal is not None)
    rankings = [_Ranking(truth == c, probabilities[:, c]) for c in range(k)]
    ranked = [_of_rankings(rankings, np.ones((1, len(truth))))]
    drawn: list[dict[Key, NDArray]] = []
    drawn_ranked: list[dict[Key, NDArray]] = []
    done = 0
    for weights in draw:
        drawn.append(_ratios(weights @ sums, k, ordered, conformal is not None))
        some = weights[: max(RANKED_RESAMPLINGS - done, 0)]
        if len(some):
            drawn_ranked.append(_of_rankings(rankings, draw.of_areas(some)))
        done += len(weights)
    figures = [
        *_figures(of_all, drawn),
        Figure("calibration_error", None, calibration_error(truth, probabilities, predicted)),
        *_figures(ranked[0], drawn_ranked),
        *(Figure("support", c, float((truth == c).sum())) for c in range(k)),
    ]
    return sorted(figures, key=lambda figure: -1 if figure.class_ is None else figure.class_)


def confusion(truth: ArrayLike, predicted: ArrayLike, k: int) -> NDArray[np.int64]:
    """Areas by true class (row) and predicted class (column): (k, k)."""
    cells = k * _positions(truth) + _positions(predicted)
    return np.bincount(cells, minlength=k * k).reshape(k, k)


def bins_of(confidence: ArrayLike, bins: int = BINS) -> NDArray[np.int64]:
    """The bin (n,) of each confidence, from the lowest up; bins hold equal numbers of areas.

    Equal confidences share a bin, so where many are equal bins are fewer and unequal.
    """
    values = np.asarray(confidence, dtype=float)
    limits = np.quantile(values, np.arange(1, bins) / bins)
    return np.unique(np.searchsorted(limits, values, side="left"), return_inverse=True)[1]


def calibration_error(truth: ArrayLike, probabilities: ArrayLike, predicted: ArrayLike) -> float:
    """Expected calibration error of the predicted class: 0 is perfect, at most 1.

    The confidence of an area is the probability of the class that was predicted for it. Areas are
    put in 10 bins of equal numbers by it; the error is the mean over areas of how far the mean
    confidence of their bin lies from the share of its areas that were right. Naeini, Cooper and
    Hauskrecht 2015 (AAAI), with bins of equal numbers as Nguyen and O'Connor 2015 (EMNLP).
    """
    truth, predicted = _positions(truth), _positions(predicted)
    confidence = np.take_along_axis(
        np.asarray(probabilities, dtype=float), predicted[:, None], axis=1
    )[:, 0]
    gaps = np.bincount(bins_of(confidence), weights=confidence - (truth == predicted))
    return float(np.abs(gaps).sum() / len(truth))


# --- Two predictions, and groups ------------------------------------------------------------


def difference(
    truth: ArrayLike,
    one: tuple[ArrayLike, ArrayLike],
    other: tuple[ArrayLike, ArrayLike],
    *,
    blocks: ArrayLike | None = None,
    resamplings: int = RESAMPLINGS,
    seed: int = 42,
) -> list[Difference]:
    """What ``one`` has more than ``other`` in accuracy, macro F1 and AUROC, on the same areas.

    Both are a pair of probabilities (n, k) and predicted classes (n,). Paired bootstrap (Efron and
    Tibshirani 1993): both are judged on the same resampled areas, or ``blocks`` of them. The p
    value is two-sided: twice the share of resamplings on the rarer side of 0, ties on both
    sides, (r + 1) / (m + 1). So AUROC, resampled 200 times, has none below 0.01. Raises
    :class:`NotAPrediction`.
    """
    truth = _positions(truth)
    draw = _Draw(len(truth), blocks, resamplings, seed)
    sides = []
    for probabilities, predicted in (one, other):
        predicted = _positions(predicted)
        numbers = _checked(truth, predicted, np.asarray(probabilities, dtype=float))
        k = numbers.shape[1]
        sums = draw.by_unit(_cells(truth, predicted, k))
        sides.append((k, sums, [_Ranking(truth == c, numbers[:, c]) for c in range(k)]))

    def apart(weights: NDArray, ranked: int) -> dict[str, NDArray]:
        found = []
        for k, sums, rankings in sides:
            ratios = _ratios(weights @ sums, k, ordered=False)
            areas = draw.of_areas(weights[:ranked])
            auroc = _of_rankings(rankings, areas)["auroc", None] if len(areas) else np.empty(0)
            found.append({m: ratios[m, None] for m in ("accuracy", "macro_f1")} | {"auroc": auroc})
        return {metric: found[0][metric] - found[1][metric] for metric in found[0]}

    value = apart(np.ones((1, draw.units)), 1)
    drawn, done = [], 0
    for weights in draw:
        drawn.append(apart(weights, max(RANKED_RESAMPLINGS - done, 0)))
        done += len(weights)
    found = []
    for metric, values in value.items():
        resampled = np.concatenate([part[metric] for part in drawn]) if drawn else np.empty(0)
        resampled = resampled[np.isfinite(resampled)]
        low, high = _interval(resampled)
        p_value = None
        if resampled.size:
            rarer = min((resampled <= 0).sum(), (resampled >= 0).sum())
            p_value = min(1.0, float(2 * (rarer + 1) / (resampled.size + 1)))
        found.append(Difference(metric, float(values[0]), low, high, p_value))
    return found


def by_group(
    truth: ArrayLike, predicted: ArrayLike, positive: int, groups: ArrayLike
) -> list[Group]:
    """How the class ``positive`` was predicted in each of the ``groups`` (n,), in their order.

    ``truth`` and ``predicted`` (n,) are positions of classes. Equal recall and equal false positive
    rates are what Hardt, Price and Srebro 2016 (NeurIPS) ask of a fair classifier, equal selection
    rates what demographic parity asks; where groups differ in how many areas have the class, no
    classifier but a perfect one can have all of them equal with equal precision (Chouldechova
    2017, Big Data 5:153). Areas are taken as independent.
    """
    has = _positions(truth) == positive
    said = _positions(predicted) == positive
    names, at = np.unique(np.asarray(groups), return_inverse=True)
    if not len(has) == len(said) == len(at):
        raise NotAPrediction(
            f"{len(has):,} true classes, {len(said):,} predicted, {len(at):,} groups"
        )

    def count(which: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(at[which], minlength=len(names))

    n, positives, selected = np.bincount(at, minlength=len(names)), count(has), count(said)
    right = count(has & said)
    rates = zip(
        _wilson(right, selected),
        _wilson(right, positives),
        _wilson(selected - right, n - positives),
        _wilson(selected, n),
        strict=True,
    )
    return [
        Group(str(name), int(areas), int(ones), *each)
        for name, areas, ones, each in zip(names, n, positives, rates, strict=True)
    ]


def _wilson(part: NDArray, whole: NDArray) -> list[Rate]:
    """Shares with Wilson's score interval (1927, J. Am. Stat. Assoc. 22:209)."""
    z = 1.959963984540054
    with np.errstate(divide="ignore", invalid="ignore"):
        share = part / whole
        middle = (share + z**2 / (2 * whole)) / (1 + z**2 / whole)
        half = z / (1 + z**2 / whole) * np.sqrt(share * (1 - share) / whole + (z / whole) ** 2 / 4)
    low = np.where(part == 0, 0.0, middle - half)
    high = np.where(part == whole, 1.0, middle + half)
    nothing = whole == 0
    return [
        Rate(*row)
        for row in np.where(nothing[:, None], np.nan, np.stack([share, low, high], axis=1)).tolist()
    ]


# --- Sums and ratios of them ----------------------------------------------------------------


def _cells(truth: NDArray, predicted: NDArray, k: int) -> NDArray[np.float64]:
    """Each area in its cell of the confusion matrix: (n, k * k) of 0 and 1."""
    table = np.zeros((len(truth), k * k))
    table[np.arange(len(truth)), k * truth + predicted] = 1
    return table


def _table(
    truth: NDArray, probabilities: NDArray, predicted: NDArray, conformal: NDArray | None
) -> NDArray[np.float64]:
    """What is summed over areas, in the columns that :func:`_ratios` reads."""
    n, k = probabilities.shape
    rows = np.arange(n)
    own = np.zeros((n, k))
    own[rows, truth] = 1
    columns = [
        _cells(truth, predicted, k),
        -np.log(np.maximum(probabilities[rows, truth], _LEAST))[:, None],
        (probabilities - own) ** 2,
    ]
    if conformal is not None:
        size = conformal.sum(axis=1)
        columns += [own * conformal, np.stack([size, size == 1, size == 0], axis=1)]
    return np.concatenate(columns, axis=1)


def _ratios(
    sums: NDArray, k: int, ordered: bool, conformal: bool = False
) -> dict[Key, NDArray[np.float64]]:
    """Figures from sums (b, columns) of the table, or of the confusion matrix alone: (b,) each."""
    cells = sums[:, : k * k].reshape(-1, k, k)
    has, said = cells.sum(axis=2), cells.sum(axis=1)  # (b, k) each
    right = np.diagonal(cells, axis1=1, axis2=2)
    n = has.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, precision = right / has, right / said
        f1 = 2 * right / (has + said)
        found: dict[Key, NDArray] = {
            ("accuracy", None): right.sum(axis=1) / n,
            ("balanced_accuracy", None): _mean(recall),
            ("macro_f1", None): _mean(f1),
            ("weighted_f1", None): np.nansum(f1 * has, axis=1) / n,
        }
        by_class = {
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "false_positive_rate": (said - right) / (n[:, None] - has),
        }
        if ordered:
            apart = (np.arange(k)[:, None] - np.arange(k)) ** 2
            by_chance = np.einsum("bi,ij,bj->b", has, apart, said) / n
            found["kappa", None] = 1 - np.einsum("bij,ij->b", cells, apart) / by_chance
        rest = sums[:, k * k :]
        if rest.shape[1]:
            found["log_loss", None] = rest[:, 0] / n
            by_class["brier"] = rest[:, 1 : 1 + k] / n[:, None]
            found["brier", None] = by_class["brier"].sum(axis=1)
        if conformal:
            held, of_sets = rest[:, 1 + k : 1 + 2 * k], rest[:, 1 + 2 * k :]
            found["conformal_coverage", None] = held.sum(axis=1) / n
            for i, metric in enumerate(("size", "singletons", "empty")):
                found[f"conformal_{metric}", None] = of_sets[:, i] / n
            by_class["conformal_coverage"] = held / has
    return found | {
        (metric, c): values[:, c] for metric, values in by_class.items() for c in range(k)
    }


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over classes (b, k) of what is a number; nan where nothing is."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0).sum(axis=1) / there.sum(axis=1)


class _Ranking:
    """Areas in the order of a score, sorted once; then figures under any weights of the areas.

    ``positive`` and ``score`` are (n,). Areas of one score are one step of the ranking.
    """

    def __init__(self, positive: NDArray[np.bool_], score: NDArray[np.float64]) -> None:
        self._order = np.argsort(-score, kind="stable")
        ordered = score[self._order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self._positive = positive[self._order]

    def judge(self, weights: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
        """AUROC and average precision (b,) under ``weights`` (b, n); nan without both kinds."""
        drawn = np.take(weights, self._order, axis=1)
        every = np.add.reduceat(drawn, self._starts, axis=1)
        hits = np.add.reduceat(drawn * self._positive, self._starts, axis=1)
        found, upto = np.cumsum(hits, axis=1), np.cumsum(every, axis=1)
        positives, n = found[:, -1], upto[:, -1]
        with np.errstate(divide="ignore", invalid="ignore"):
            # negatives that come later, and half of those that are level
            misses = every - hits
            below = (n - positives)[:, None] - (upto - found) + misses / 2
            auroc = np.einsum("bi,bi->b", hits, below) / (positives * (n - positives))
            precision = np.where(upto > 0, found / upto, 0)
            average = np.einsum("bi,bi->b", hits, precision) / positives
        return auroc, average


def _of_rankings(rankings: Sequence[_Ranking], weights: NDArray) -> dict[Key, NDArray]:
    """AUROC and average precision of each class, and the mean AUROC."""
    found: dict[Key, NDArray] = {}
    for c, ranking in enumerate(rankings):
        found["auroc", c], found["average_precision", c] = ranking.judge(weights)
    mean = _mean(np.stack([found["auroc", c] for c in range(len(rankings))], axis=1))
    return {("auroc", None): mean} | found


# --- Resampling -----------------------------------------------------------------------------


class _Draw:
    """Resamplings of n areas, or of blocks of them: iterates over weights (some, units).

    Each resampling draws as many units as there are, with replacement.
    """

    def __init__(self, n: int, blocks: ArrayLike | None, resamplings: int, seed: int) -> None:
        self._block: NDArray[np.intp] | None = None
        self.units = n
        if blocks is not None:
            names, self._block = np.unique(np.asarray(blocks), return_inverse=True)
            if self._block.shape != (n,):
                raise NotAPrediction(f"{n:,} areas, blocks of shape {self._block.shape}")
            self.units = len(names)
        self._resamplings = resamplings if self.units >= LEAST_BLOCKS else 0
        self._n = n
        self._seed = seed

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        rng = np.random.default_rng(self._seed)
        at_once = max(1, _UNITS_AT_ONCE // self._n)
        for start in range(0, self._resamplings, at_once):
            some = min(at_once, self._resamplings - start)
            weights = np.empty((some, self.units))
            for row in weights:
                row[:] = np.bincount(rng.integers(0, self.units, self.units), minlength=self.units)
            yield weights

    def by_unit(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums of the columns (n, columns) over the areas of each unit: (units, columns)."""
        if self._block is None:
            return table
        order = np.argsort(self._block, kind="stable")
        starts = np.searchsorted(self._block[order], np.arange(self.units))
        return np.add.reduceat(table[order], starts, axis=0)

    def of_areas(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights of units (b, units) as weights of areas (b, n)."""
        return weights if self._block is None else np.take(weights, self._block, axis=1)


def _figures(values: Mapping[Key, NDArray], drawn: Sequence[Mapping[Key, NDArray]]) -> list[Figure]:
    return [
        Figure(
            metric,
            class_,
            float(value[0]),
            *_interval(np.concatenate([part[metric, class_] for part in drawn]))
            if drawn and math.isfinite(value[0])
            else (None, None),
        )
        for (metric, class_), value in values.items()
    ]


def _interval(drawn: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """The bounds of the middle 95 % of what is a number; ``None`` for none."""
    finite = drawn[np.isfinite(drawn)]
    if not finite.size:
        return None, None
    low, high = np.quantile(finite, [0.025, 0.975]).tolist()
    return low, high


# --- What fits together ---------------------------------------------------------------------


def _positions(classes: ArrayLike) -> NDArray[np.int64]:
    found = np.asarray(classes)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iub"):
        raise NotAPrediction(
            f"classes of shape {found.shape} and kind {found.dtype}: give positions (n,) of classes"
        )
    return found.astype(np.int64)


def _checked(truth: NDArray, predicted: NDArray, probabilities: NDArray) -> NDArray[np.float64]:
    n = len(truth)
    if not n:
        raise NotAPrediction("there are no areas to judge")
    if probabilities.ndim != 2 or not n == len(predicted) == len(probabilities):
        raise NotAPrediction(
            f"{n:,} true classes, {len(predicted):,} predicted ones, and probabilities of shape "
            f"{probabilities.shape}: give one of each for every area"
        )
    k = probabilities.shape[1]
    for what, classes in (("true", truth), ("predicted", predicted)):
        if classes.min() < 0 or classes.max() >= k:
            raise NotAPrediction(
                f"{what} classes from {classes.min()} to {classes.max()}, but probabilities of {k}"
            )
    odd = ~((probabilities >= 0).all(axis=1) & (np.abs(probabilities.sum(axis=1) - 1) < 1e-3))
    if odd.any():
        raise NotAPrediction(
            f"the probabilities of {int(odd.sum()):,} of {n:,} areas are negative, nan, or do not "
            "sum to 1"
        )
    return probabilities


def _sets(conformal: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    if conformal is None:
        return None
    sets = np.asarray(conformal)
    if sets.shape != shape or sets.dtype != bool:
        raise NotAPrediction(
            f"prediction sets of shape {sets.shape} and kind {sets.dtype}, not booleans of {shape}"
        )
    return sets
