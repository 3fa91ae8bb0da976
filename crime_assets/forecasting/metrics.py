"""How good a forecast was: every metric of the field, from one ranking and one outcome.

All of them follow from where the units with crimes stand in the ranking, and those are few: a
nation of 1.48 million cells is judged in a tenth of a second, by all metrics and with intervals, in
half the time that scikit-learn takes for two of them. What scikit-learn and SciPy have is tested
against them.

**Coverage and ties.** A coverage of 1 % takes the hottest units until they fill 1 % of the area (of
street length, for segments). Where the limit falls among units of one score, each of them counts
with the share of it that fits: for units of equal size that is the mean over all ways to resolve
the tie. So the area taken is the coverage exactly, a unit that is half inside counts half, and no
order of ids plays a part. Beside
it stand the values under the best and the worst resolution, which one could only choose with
hindsight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets import DataError
from crime_assets.hexes.concentration import poisson_gini

COVERAGES = (0.001, 0.005, 0.01, 0.05, 0.1, 0.2)
"""Shares of the area at which forecasts are compared."""

CURVE = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)
"""Shares of the area at which the hit rate is kept, to draw its curve."""

LESS_IS_BETTER = frozenset({"brier", "poisson_deviance"})

RESAMPLINGS = 100
EVEN_SHARE = 0.01
"""The part of what is expected that is spread evenly before a probability is judged: else one
crime in a unit where none was expected would be infinitely surprising."""

RBO_PERSISTENCE = 0.98
"""Of rank-biased overlap: the first 50 ranks then carry 86 % of the weight."""

_ROUNDING = 1e-12


class NotAScore(DataError):
    """A forecaster gave something else than one finite score for every unit."""


class Ranking:
    """Units in the order of their scores, and what share of the area lies above each.

    ``scores`` (n,) are higher where it is hotter, per equal area: for units of unequal ``size``
    (n,) expected crimes must be divided by it first. Raises :class:`NotAScore` for scores that are
    not finite or not n.
    """

    def __init__(self, scores: ArrayLike, size: ArrayLike | None = None) -> None:
        self.scores = np.asarray(scores, dtype=float)
        n = self.scores.size
        if self.scores.ndim != 1 or not n:
            raise NotAScore(f"scores of shape {self.scores.shape}, not one for every unit")
        if not np.isfinite(self.scores).all():
            bad = int((~np.isfinite(self.scores)).sum())
            raise NotAScore(f"{bad:,} of {n:,} scores are not finite")
        sizes = None if size is None else np.asarray(size, dtype=float)
        if sizes is not None and sizes.shape != self.scores.shape:
            raise NotAScore(f"{n:,} scores for {sizes.size:,} units")
        if sizes is None or sizes.min() == sizes.max():
            self._sorted = np.sort(self.scores)
            self._area: NDArray[np.float64] | None = None
            weight = np.ones(n) / n
        else:
            order = np.argsort(self.scores, kind="stable")
            self._sorted = self.scores[order]
            weight = sizes[order] / sizes.sum()
            self._area = np.concatenate([[0.0], np.cumsum(weight)])
            self._area /= self._area[-1]
        self._weight = weight

    def __len__(self) -> int:
        return len(self.scores)

    def counts(self, scores: NDArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """How many units stand above these scores, and how many above or level with them."""
        n = len(self)
        return (
            n - np.searchsorted(self._sorted, scores, side="right"),
            n - np.searchsorted(self._sorted, scores, side="left"),
        )

    def share(self, units: NDArray[np.intp]) -> NDArray[np.float64]:
        """The share of the area that the hottest so many units have."""
        n = len(self)
        return units / n if self._area is None else 1.0 - self._area[n - units]

    def _limit(self, coverage: float) -> float:
        """The score of the units among which the coverage ends."""
        n = len(self)
        if self._area is None:
            place = n - 1 - math.floor(min(coverage * n + _ROUNDING, n - 1))
        else:
            place = int(np.searchsorted(self._area, 1.0 - coverage - _ROUNDING, side="right")) - 1
        return float(self._sorted[min(max(place, 0), n - 1)])

    def taken(self, coverage: float) -> float:
        """How many units fill the coverage, those at the limit with the share that fits."""
        limit = np.array([self._limit(coverage)])
        above, upto = (int(found[0]) for found in self.counts(limit))
        start, end = (float(self.share(np.array(units))) for units in (above, upto))
        return above + (upto - above) * min(max((coverage - start) / (end - start), 0.0), 1.0)

    @cached_property
    def _cumulated(self) -> NDArray[np.float64]:
        hottest_first = (self._sorted * self._weight)[::-1]
        return np.concatenate([[0.0], np.cumsum(hottest_first)]) * len(self)

    def mass(self, coverage: float) -> float:
        """The sum over units of score x relative size within the coverage."""
        n = len(self)
        if self._area is not None:
            return float(np.interp(coverage, 1.0 - self._area[::-1], self._cumulated))
        whole = min(math.floor(coverage * n), n - 1)
        part = coverage * n - whole
        return float((1 - part) * self._cumulated[whole] + part * self._cumulated[whole + 1])

    @cached_property
    def mean(self) -> float:
        """The mean of score x relative size."""
        return float(self._cumulated[-1] / len(self))

    def hottest(self, k: int) -> NDArray[np.intp]:
        """Positions of the k hottest units, hottest first; equal ones in order of position."""
        n = len(self)
        k = min(k, n)
        if k < 1:
            return np.empty(0, dtype=np.intp)
        limit = self._sorted[n - k]
        above = np.flatnonzero(self.scores > limit)
        level = np.flatnonzero(self.scores == limit)[: k - len(above)]
        above = above[np.argsort(-self.scores[above], kind="stable")]
        return np.concatenate([above, level])


class Outcome:
    """What then happened: crimes (n,), and what can be said of them without any forecast.

    ``size`` (n,) where units have several. Raises ``ValueError`` for crimes that are not counts of
    nought or more.
    """

    def __init__(self, crimes: ArrayLike, size: ArrayLike | None = None) -> None:
        self.every = np.asarray(crimes, dtype=float)
        if not ((self.every >= 0) & np.isfinite(self.every)).all():
            raise ValueError("a unit has fewer than no crimes, or a number of them that is none")
        sizes = None if size is None else np.asarray(size, dtype=float)
        self.size = None if sizes is None or sizes.min() == sizes.max() else sizes
        self.hot = np.flatnonzero(self.every)
        """Positions of the units with crimes."""
        self.crimes = self.every[self.hot]
        self.total = float(self.crimes.sum())

    @cached_property
    def hot_size(self) -> NDArray[np.float64]:
        """The share of the area that each unit with crimes has."""
        n = len(self.every)
        if self.size is None:
            return np.full(len(self.hot), 1 / n)
        return self.size[self.hot] / self.size.sum()

    @cached_property
    def ideal(self) -> Judgement:
        """The crimes in the best order there is: by crimes per area."""
        density = self.every if self.size is None else self.every / self.size
        # an outcome of its own: one that leads back here would stay in memory until it is collected
        return Judgement(Ranking(density, self.size), Outcome(self.every, self.size))

    @cached_property
    def gini(self) -> float:
        """See :func:`gini`."""
        return 2 * self.ideal.hit_rate_area() - 1

    @cached_property
    def modified_gini(self) -> float:
        """See :func:`modified_gini`."""
        mean = float(self.every.mean())
        if not mean > 0:
            return math.nan
        if self.size is None:
            by_chance = poisson_gini(mean)
        else:
            rng = np.random.default_rng(1)
            expected = mean * self.size / self.size.mean()
            draws = [Outcome(rng.poisson(expected), self.size).gini for _ in range(10)]
            by_chance = float(np.nanmean(draws))
        return (self.gini - by_chance) / (1 - by_chance)

    def resampled(self, seed: int, resamplings: int) -> NDArray[np.uint8]:
        """How often each unit with crimes is drawn in each resampling: (resamplings, hot units).

        Poisson numbers of mean 1, from a table of 65,536 entries, the same for the same seed.
        """
        key = (seed, resamplings)
        if self._drawn is None or self._drawn[0] != key:
            rng = np.random.default_rng(seed)
            lots = rng.integers(0, 1 << 16, size=(resamplings, len(self.hot)), dtype=np.uint16)
            self._drawn = (key, _poisson_table()[lots])
        return self._drawn[1]

    _drawn: tuple[tuple[int, int], NDArray[np.uint8]] | None = None


@cache
def _poisson_table() -> NDArray[np.uint8]:
    """The quantile function of a Poisson variable of mean 1, at 65,536 even steps."""
    probability = np.array([math.exp(-1) / math.factorial(k) for k in range(10)])
    steps = (np.arange(1 << 16) + 0.5) / (1 << 16)
    return np.searchsorted(np.cumsum(probability), steps).astype(np.uint8)


class Judgement:
    """A ranking of units against the outcome in them.

    Raises ``ValueError`` where they are not of the same units.
    """

    def __init__(self, ranking: Ranking, outcome: Outcome) -> None:
        if outcome.every.shape != ranking.scores.shape:
            raise ValueError(f"crimes of {outcome.every.size:,} units, scores of {len(ranking):,}")
        self.ranking = ranking
        self.outcome = outcome
        # of units with crimes, many have one score: each is looked for once
        distinct, at, times = np.unique(
            ranking.scores[outcome.hot], return_inverse=True, return_counts=True
        )
        above, upto = ranking.counts(distinct)
        hot_upto = np.cumsum(times[::-1])[::-1]
        self._counts = above[at], upto[at]
        """How many units stand above, and above or level with, each unit with crimes."""
        self._hot_counts = (hot_upto - times)[at], hot_upto[at]
        """How many units with crimes do."""
        self._above, self._upto = ranking.share(above)[at], ranking.share(upto)[at]

    @classmethod
    def of(cls, scores: ArrayLike, crimes: ArrayLike, size: ArrayLike | None = None) -> Judgement:
        """From arrays (n,): scores per equal area, crimes, and sizes where units have several."""
        return cls(Ranking(scores, size), Outcome(crimes, size))

    def inside(self, coverage: float) -> NDArray[np.float64]:
        """The share of each unit with crimes that lies within the coverage, 0 to 1."""
        return _part(coverage, self._above, self._upto - self._above)

    def captured(self, coverage: float) -> float:
        """Crimes in the hottest units that fill the coverage: n in PAI = (n/N) / (a/A)."""
        return float(self.outcome.crimes @ self.inside(coverage))

    def hit_rate(self, coverage: float) -> float:
        """The share of all crimes that fall within the coverage, 0 to 1.

        n / N (Chainey, Tompson and Uhlig 2008, Security Journal 21:4). ``nan`` without a crime.
        """
        total = self.outcome.total
        return self.captured(coverage) / total if total else math.nan

    def pai(self, coverage: float) -> float:
        """Prediction accuracy index: (n / N) / (a / A), 1 for a forecast by lot.

        Chainey, Tompson and Uhlig 2008. The area taken is the coverage exactly.
        """
        return self.hit_rate(coverage) / coverage

    def pei_star(self, coverage: float) -> float:
        """Prediction efficiency index: n / n*, n* the most that any choice of that area captures.

        Hunt 2016, "Do crime hot spots move?"; the star says that n* is the best on the same area
        rather than on the same number of units. 0 to 1.
        """
        best = self.outcome.ideal.captured(coverage)
        return self.captured(coverage) / best if best else math.nan

    def recapture_rate_index(self, coverage: float, past: ArrayLike) -> float:
        """The hit rate over what it was in the ``past`` (n,): 1 where hotspots hold what they held.

        Levine 2008, Security Journal 21:295; the past are the steps before the cut-off, as many as
        the horizon has. ``nan`` where the coverage held no crime then.
        """
        before = Judgement(self.ranking, Outcome(past, self.outcome.size)).hit_rate(coverage)
        return self.hit_rate(coverage) / before if before > 0 else math.nan

    def f1(self, coverage: float) -> float:
        """F1 of "within the coverage" as a forecast of "has a crime", 0 to 1.

        2 TP / (units taken + units with crimes).
        """
        hits = float(self.inside(coverage).sum())
        return 2 * hits / (self.ranking.taken(coverage) + len(self.outcome.hot))

    def resolved_f1(self, coverage: float) -> tuple[float, float]:
        """F1 under the worst and the best resolution of the tie at the coverage.

        Of units of unequal size the coverage holds more or fewer, so both count: the best takes the
        small units with crimes, then the large ones without; the worst is the reverse.
        """
        ranking, outcome = self.ranking, self.outcome
        limit = ranking._limit(coverage)
        tied = np.flatnonzero(ranking.scores == limit)
        hot = outcome.every[tied] > 0
        n = len(ranking)
        size = np.full(len(tied), 1 / n)
        if outcome.size is not None:
            size = outcome.size[tied] / outcome.size.sum()
        above = ranking.counts(np.array([limit]))[0]
        space = coverage - float(ranking.share(above)[0])
        hits = int((ranking.scores[outcome.hot] > limit).sum())
        order = np.lexsort((np.where(hot, size, -size), ~hot))
        found = []
        for each in (order[::-1], order):
            upto = np.cumsum(size[each])
            part = _part(space, upto - size[each], size[each])
            taken = int(above[0]) + part.sum()
            found.append(float(2 * (hits + part @ hot[each]) / (taken + len(outcome.hot))))
        return found[0], found[1]

    def auroc(self) -> float:
        """Area under the ROC curve: the chance that a unit with a crime outranks one without.

        Equal scores count half, as in scikit-learn's ``roc_auc_score``. ``nan`` where all units
        are hot, or none.
        """
        placement = self._placement()
        return float(placement.mean()) if placement.size else math.nan

    def _placement(self) -> NDArray[np.float64]:
        """For each unit with crimes the share of units without that it outranks."""
        cold = len(self.ranking) - len(self.outcome.hot)
        if not cold:
            return np.empty(0)
        above, upto = self._counts
        hot_above, hot_upto = self._hot_counts
        return 1.0 - ((above - hot_above) + (upto - hot_upto)) / (2 * cold)

    def aucpr(self) -> float:
        """Average precision of "has a crime", as scikit-learn's ``average_precision_score``.

        The sum over thresholds of precision x gain in recall. ``nan`` without a crime.
        """
        if not self.outcome.total:
            return math.nan
        return float((self._hot_counts[1] / self._counts[1]).mean())

    def f1_at(self, threshold: float = 0.5) -> float:
        """F1 of "a score of ``threshold`` or more" as a forecast of "has a crime", 0 to 1.

        2 TP / (units foretold + units with crimes); for scores that are probabilities. ``nan``
        where none is foretold and none is hot.
        """
        foretold = self.ranking.scores >= threshold
        either = int(foretold.sum()) + len(self.outcome.hot)
        return 2 * int(foretold[self.outcome.hot].sum()) / either if either else math.nan

    def roc_curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False and true positive rates, a point for each distinct score, from (0, 0) to (1, 1).

        The area below it is :meth:`auroc`. ``nan`` for the rate of units that are not there.
        """
        taken, hits = self._taken_and_hits()
        hot = len(self.outcome.hot)
        false = (taken - hits) / ((len(self.ranking) - hot) or math.nan)
        true = hits / (hot or math.nan)
        return np.concatenate([[0.0], false]), np.concatenate([[0.0], true])

    def pr_curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Recall and precision, a point for each distinct score, the highest first.

        Precision x gain in recall sums to :meth:`aucpr`. scikit-learn adds a point (0, 1), which
        no threshold has. ``nan`` as the recall without a crime.
        """
        taken, hits = self._taken_and_hits()
        return hits / (len(self.outcome.hot) or math.nan), hits / taken

    def _taken_and_hits(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Units of each distinct score or more, the highest first, and those with crimes."""
        scores = self.ranking.scores
        distinct = np.unique(scores)[::-1]
        hot = np.sort(scores[self.outcome.hot])
        return self.ranking.counts(distinct)[1], len(hot) - np.searchsorted(hot, distinct)

    def hit_rate_area(self) -> float:
        """The area under the curve of hit rate over coverage, 0 to 1; half for a forecast by lot.

        The curve is the Lorenz curve of crimes in the forecast's order, hottest first.
        """
        total = self.outcome.total
        return float(self.outcome.crimes @ self._middle()) / total if total else math.nan

    def _middle(self) -> NDArray[np.float64]:
        return 1.0 - (self._above + self._upto) / 2

    def resolved(self, coverage: float, values: NDArray | None = None) -> tuple[float, float]:
        """What the coverage captures under the worst and the best resolution of its tie.

        ``values`` of the units with crimes: their crimes by default. A unit may count in part.
        """
        values = self.outcome.crimes if values is None else values
        size = self.outcome.hot_size
        first, last = self._first_and_last(values)
        worst, best = (values @ _part(coverage, start, size) for start in (last, first))
        return float(worst), float(best)

    def _first_and_last(self, values: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The share of the area above each unit if, within its tie, the best or the worst is first.

        The best order is by value per area, and then come the units without crimes; the worst one
        is the reverse.
        """
        size = self.outcome.hot_size
        order = np.lexsort((-values / size, self._above))
        upto = np.cumsum(size[order])
        above = self._above[order]
        starts = np.flatnonzero(np.diff(above, prepend=-1.0))
        before = np.repeat(upto[starts] - size[order][starts], np.diff([*starts, len(above)]))
        first, last = np.empty_like(above), np.empty_like(above)
        first[order] = above + (upto - before) - size[order]
        last[order] = self._upto[order] - (upto - before)
        return first, last


def _part(coverage: float, start: NDArray, width: NDArray) -> NDArray[np.float64]:
    """The share of each span that lies within the coverage, 0 to 1."""
    return np.minimum(np.maximum((coverage - start) / width, 0.0), 1.0)


# --- Concentration --------------------------------------------------------------------------


def gini(crimes: ArrayLike, size: ArrayLike | None = None) -> float:
    """The Gini coefficient of crimes (n,) per area, empty units included: 0 even, towards 1 in one.

    Twice the area between the Lorenz curve and the diagonal (Lorenz 1905; Gini 1914), over the
    area where units have unequal ``size``. ``nan`` without a crime.
    """
    return Outcome(crimes, size).gini


def modified_gini(crimes: ArrayLike, size: ArrayLike | None = None) -> float:
    """The Gini above what counts this small show by chance: (G - G0) / (1 - G0).

    G0 is that of crimes that fall evenly over the area, a Poisson number in each unit with the
    same mean: 0 where crimes are as concentrated as by chance, 1 where all are in one of many
    units. For units of unequal ``size`` G0 is the mean over ten draws. After Bernasco and
    Steenbeek 2017, JQC 33:451, who remove the same effect by another way. ``nan`` without a crime.
    """
    return Outcome(crimes, size).modified_gini


# --- Probabilities --------------------------------------------------------------------------


def mean_poisson_deviance(expected: ArrayLike, crimes: ArrayLike) -> float:
    """Mean Poisson deviance of expected crimes (n,) against crimes (n,); 0 is perfect.

    2 / n x sum of y ln(y / m) - (y - m), with m = 99 % of what is expected and 1 % of its mean
    (McCullagh and Nelder 1989). :func:`judge` spreads the 1 % by size, which is the same for equal
    units.
    Infinite where crimes came and none were expected anywhere.
    """
    m = np.asarray(expected, dtype=float)
    y = np.asarray(crimes, dtype=float)
    m = (1 - EVEN_SHARE) * m + EVEN_SHARE * m.mean()
    hot = np.flatnonzero(y)
    if not m.any():
        return math.inf if hot.size else 0.0
    return float(2 / len(m) * (m.sum() + (y[hot] * (np.log(y[hot] / m[hot]) - 1)).sum()))


# --- Stability of rankings ------------------------------------------------------------------


def jaccard(one: ArrayLike, other: ArrayLike) -> float:
    """Units in both lists / units in either: 0 to 1 (Jaccard 1901). ``nan`` for two empty ones."""
    both = np.intersect1d(one, other).size
    either = np.size(one) + np.size(other) - both
    return both / either if either else math.nan


def spearman(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's rank correlation of two lists, hottest first, over the units in either.

    A unit that a list lacks stands behind all of its own (Fagin, Kumar and Sivakumar 2003, SIAM
    Journal on Discrete Mathematics 17:134). -1 to 1, ``nan`` for fewer than two units.
    """
    from scipy.stats import spearmanr

    one, other = np.asarray(one), np.asarray(other)
    every = np.union1d(one, other)
    if every.size < 2:
        return math.nan
    ranks = np.empty((2, every.size))
    for row, found in zip(ranks, (one, other), strict=True):
        row[:] = len(found)
        row[np.searchsorted(every, found)] = np.arange(len(found))
    if (ranks == ranks[:, :1]).all(axis=1).any():
        return math.nan
    return float(spearmanr(*ranks).statistic)


def rank_biased_overlap(
    one: ArrayLike, other: ArrayLike, persistence: float = RBO_PERSISTENCE
) -> float:
    """Extrapolated rank-biased overlap of two lists, hottest first: 0 to 1, the top weighs most.

    Webber, Moffat and Zobel 2010, ACM Transactions on Information Systems 28:20, equation 32: the
    agreement of the first d ranks, averaged with weights that fall by ``persistence`` a rank; the
    agreement at the end of the lists is taken to go on. Lists of unequal length are cut to the
    shorter. ``nan`` for an empty one.
    """
    one, other = np.asarray(one), np.asarray(other)
    k = min(len(one), len(other))
    if not k:
        return math.nan
    one, other = one[:k], other[:k]
    _, here, there = np.intersect1d(one, other, assume_unique=True, return_indices=True)
    overlap = np.cumsum(np.bincount(np.maximum(here, there), minlength=k))
    depth = np.arange(1, k + 1)
    agreement = overlap / depth
    weights = persistence**depth
    return float(
        agreement[-1] * weights[-1] + (1 - persistence) / persistence * (agreement @ weights)
    )


# --- All of them ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """One metric of one forecast; fields as in the table ``evaluations``, ``None`` for null."""

    metric: str
    coverage: float | None
    value: float
    low: float | None = None
    high: float | None = None
    tie_best: float | None = None
    tie_worst: float | None = None


@dataclass(frozen=True)
class _Ratio:
    """A metric as ``scale`` x (``top_0`` + sum of ``top``) / (``bottom_0`` + sum of ``bottom``).

    Both sums run over the units with crimes; so a resampling of them is two sums again. ``ties``
    are the sums of ``top`` under the worst and the best resolution of the tie at the coverage.
    Resampled values stop at ``most``: a resampling changes what was hot, but neither the units
    that were taken nor the ideal list.
    """

    metric: str
    coverage: float | None
    top: NDArray
    bottom: NDArray
    top_0: float = 0.0
    bottom_0: float = 0.0
    scale: float = 1.0
    ties: tuple[float, float] = (math.nan, math.nan)
    most: float = math.inf


def judge(
    judgement: Judgement,
    past: Outcome | None,
    horizon: int,
    *,
    expects_crimes: bool,
    seed: int,
    resamplings: int = RESAMPLINGS,
) -> list[Figure]:
    """All figures of one forecast: hit rate, PAI, PEI*, recapture rate index, F1 and so on.

    ``past`` is the outcome of the ``horizon`` steps before the cut-off, for the recapture rate;
    ``None`` where the history is shorter. Brier score, Poisson
    deviance and expected crimes are there where scores are expected crimes a step. Intervals come
    of resampling the units with crimes (Poisson bootstrap, Chamandy et al. 2012), ``resamplings``
    times; the units without are held, since nearly all are. The same ``seed`` resamples alike, so
    models can be compared. Without a crime there is no figure to give, but for the counts.
    """
    ranking, outcome = judgement.ranking, judgement.outcome
    figures = [Figure("crimes", c, judgement.captured(c)) for c in (*CURVE, 1.0)]
    if expects_crimes:
        figures += [Figure("expected_crimes", c, horizon * ranking.mass(c)) for c in (*CURVE, 1.0)]
    if not outcome.total:
        return figures
    ratios = _coverage_ratios(judgement, Judgement(ranking, past) if past else None)
    placement = judgement._placement()
    ones = np.ones(len(outcome.hot))
    if placement.size:
        ratios.append(_Ratio("auroc", None, placement, ones))
    middle = outcome.crimes * judgement._middle()
    ratios.append(_Ratio("hit_rate_area", None, middle, outcome.crimes))
    if expects_crimes:
        ratios += _probability_ratios(judgement, horizon)
    figures += _figures(ratios, outcome.resampled(seed, resamplings))
    figures += [
        Figure("aucpr", None, judgement.aucpr()),
        Figure("gini", None, outcome.gini),
        Figure("modified_gini", None, outcome.modified_gini),
    ]
    return [figure for figure in figures if math.isfinite(figure.value)]


def _figures(ratios: Sequence[_Ratio], drawn: NDArray[np.uint8]) -> list[Figure]:
    """The value of each ratio, its interval and its ties; all of them at once."""
    vectors = {id(v): v for ratio in ratios for v in (ratio.top, ratio.bottom)}
    row = {key: position for position, key in enumerate(vectors)}
    once = np.array([v.sum() for v in vectors.values()])[:, None]
    sums = np.concatenate([once, _resampled_sums(list(vectors.values()), drawn)], axis=1)
    top = sums[[row[id(ratio.top)] for ratio in ratios]]
    bottom = sums[[row[id(ratio.bottom)] for ratio in ratios]]
    top_0, bottom_0, scale = (
        np.array([getattr(ratio, name) for ratio in ratios])[:, None]
        for name in ("top_0", "bottom_0", "scale")
    )
    ties = np.array([ratio.ties for ratio in ratios])
    below = bottom_0 + bottom
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(below > 0, scale * (top_0 + top) / below, np.nan)
        resolved = np.where(below[:, :1] > 0, scale * (top_0 + ties) / below[:, :1], np.nan)
    most = np.array([ratio.most for ratio in ratios])[:, None]
    lows, highs = _quantiles(np.minimum(values[:, 1:], most))
    return [
        Figure(ratio.metric, ratio.coverage, *numbers)
        for ratio, *numbers in zip(
            ratios, values[:, 0].tolist(), lows, highs, _or_none(resolved[:, 1]),
            _or_none(resolved[:, 0]), strict=True,
        )
    ]  # fmt: skip


def _quantiles(drawn: NDArray[np.float64]) -> tuple[list[float | None], list[float | None]]:
    """The bounds of the middle 95 % of each row, of what in it is a number; ``None`` for none."""
    if not drawn.shape[1]:
        return [None] * len(drawn), [None] * len(drawn)
    lows, highs = np.quantile(drawn, [0.025, 0.975], axis=1)
    for row in np.flatnonzero(np.isnan(lows)):
        finite = drawn[row][np.isfinite(drawn[row])]
        if finite.size:
            lows[row], highs[row] = np.quantile(finite, [0.025, 0.975])
    return _or_none(lows), _or_none(highs)


def _or_none(values: NDArray[np.float64]) -> list[float | None]:
    """The numbers of a row, ``None`` for nan."""
    return [None if value != value else value for value in values.tolist()]


def _coverage_ratios(judgement: Judgement, before: Judgement | None) -> list[_Ratio]:
    """The metrics that depend on a coverage."""
    outcome, ideal = judgement.outcome, judgement.outcome.ideal
    crimes, ones, size = outcome.crimes, np.ones(len(outcome.hot)), outcome.hot_size
    first, last = judgement._first_and_last(crimes)
    found = []
    for c in CURVE:
        inside = judgement.inside(c)
        captured = crimes * inside
        ties = _sums(c, crimes, last, first, size)
        found.append(_Ratio("hit_rate", c, captured, crimes, ties=ties))
        if c not in COVERAGES:
            continue
        taken = judgement.ranking.taken(c)
        units = _sums(c, ones, last, first, size)
        if outcome.size is not None:  # then the units taken depend on the tie: as if they did not
            worst, best = (f1 * (taken + len(ones)) / 2 for f1 in judgement.resolved_f1(c))
            units = worst, best
        found += [
            _Ratio("pai", c, captured, crimes, scale=1 / c, ties=ties),
            _Ratio("pei_star", c, captured, crimes * ideal.inside(c), ties=ties, most=1.0),
            _Ratio("f1", c, inside, ones, bottom_0=taken, scale=2, ties=units, most=1.0),
        ]
        if before and (past_rate := before.hit_rate(c)) > 0:
            metric = "recapture_rate_index"
            found.append(_Ratio(metric, c, captured, crimes, scale=1 / past_rate, ties=ties))
    return found


def _sums(
    coverage: float, values: NDArray, last: NDArray, first: NDArray, size: NDArray
) -> tuple[float, float]:
    """What of ``values`` lies within the coverage if units come last or first in their tie."""
    return (
        float(values @ _part(coverage, last, size)),
        float(values @ _part(coverage, first, size)),
    )


def _probability_ratios(judgement: Judgement, horizon: int) -> list[_Ratio]:
    """Brier score (Brier 1950), Poisson deviance, and F1 of "a crime is likelier than not".

    The chance of a crime is 1 - exp(-expected crimes).
    """
    outcome, ranking = judgement.outcome, judgement.ranking
    n, hot, y = len(ranking), outcome.hot, outcome.crimes
    relative = 1.0 if outcome.size is None else outcome.size / outcome.size.mean()
    expected = (1 - EVEN_SHARE) * ranking.scores * relative
    expected += EVEN_SHARE * ranking.mean * relative
    expected *= horizon
    if expected.min() < 0:
        raise NotAScore("fewer than no crimes are expected in a unit")
    none = np.exp(-expected)
    likely = none <= 0.5
    m, p = expected[hot], 1.0 - none[hot]
    squared = float(np.square(1.0 - none).sum())
    zero, ones = np.zeros(len(hot)), np.ones(len(hot))
    found = [
        _Ratio("brier", None, (1 - p) ** 2, zero, squared - float(np.square(p).sum()), n),
        _Ratio(
            "f1", None, likely[hot].astype(float), ones, bottom_0=float(likely.sum()), scale=2,
            most=1.0,
        ),
    ]  # fmt: skip
    if ranking.mean > 0:  # else a crime is infinitely surprising
        deviance = 2 * (y * (np.log(y / m) - 1) + m)
        cold = 2 * float(expected.sum() - m.sum())
        found.append(_Ratio("poisson_deviance", None, deviance, zero, cold, n))
    return found


def _resampled_sums(vectors: Sequence[NDArray], drawn: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The sum of each vector under each resampling: (vectors, resamplings)."""
    resamplings, units = drawn.shape
    sums = np.zeros((len(vectors), resamplings))
    for first in range(0, units, _UNITS_AT_ONCE):
        part = slice(first, first + _UNITS_AT_ONCE)
        stacked = np.stack([v[part] for v in vectors]).astype(np.float32)
        sums += stacked @ drawn[:, part].T.astype(np.float32)
    return sums


_UNITS_AT_ONCE = 1 << 15
"""Bounds the memory of a resampling: some 40 figures x 32,768 units are 5 MB."""


def judge_stability(now: ArrayLike, before: ArrayLike) -> list[Figure]:
    """How much of the list made a step earlier is still on it: Jaccard, Spearman, RBO.

    Both lists hold the hottest units, hottest first.
    """
    figures = [
        Figure("jaccard", None, jaccard(now, before)),
        Figure("spearman", None, spearman(now, before)),
        Figure("rank_biased_overlap", None, rank_biased_overlap(now, before)),
    ]
    return [figure for figure in figures if math.isfinite(figure.value)]


# --- Several predictions --------------------------------------------------------------------


def judge_probabilities(judgement: Judgement, coverage: float = 0.05) -> list[Figure]:
    """The figures of a grid's forecast: F1 at one half, AUCPR, AUROC, PAI and PEI*.

    The scores are probabilities of a crime; PAI and PEI* are those at ``coverage``, the others of
    all units. What cannot be said, as of a month in which every unit is hot, is left out; of a
    month without a crime there is nothing to judge, so all methods have the same months.
    """
    if not judgement.outcome.total:
        return []
    figures = [
        Figure("f1", None, judgement.f1_at(0.5)),
        Figure("aucpr", None, judgement.aucpr()),
        Figure("auroc", None, judgement.auroc()),
        Figure("pai", coverage, judgement.pai(coverage)),
        Figure("pei_star", coverage, judgement.pei_star(coverage)),
    ]
    return [figure for figure in figures if math.isfinite(figure.value)]


LEAST_FOR_AN_INTERVAL = 6
"""Predictions with a figure, without which its mean has no interval."""


def mean_of(
    predictions: Sequence[Sequence[Figure]],
    against: Sequence[Sequence[Figure]] | None = None,
    *,
    seed: int = 1,
    resamplings: int = 1_000,
) -> list[Figure]:
    """The mean of each figure over several predictions, such as those of twelve months.

    The interval is the middle 95 % of the means of ``resamplings`` draws of the predictions, with
    replacement (Efron 1979, Annals of Statistics 7:1); none for a figure of fewer than
    :data:`LEAST_FOR_AN_INTERVAL` predictions, whose draws are too much alike. As many
    predictions and the same ``seed`` are drawn alike, so methods are compared on the same months;
    ``against`` another's predictions of the same months, in the same order, it is the mean
    difference. A prediction without a figure is left out of that figure's mean. Raises
    ``ValueError`` where there is no prediction, or not as many on either side.
    """
    n = len(predictions)
    if not n or (against is not None and len(against) != n):
        other = "" if against is None else f" against {len(against)}"
        raise ValueError(f"the mean of {n}{other} predictions")
    keys = list(dict.fromkeys((f.metric, f.coverage) for each in predictions for f in each))
    values = _table(predictions, keys)
    if against is not None:
        values -= _table(against, keys)
    there = np.isfinite(values)
    drawn = np.random.default_rng(seed).integers(0, n, (resamplings, n))
    times = np.zeros((resamplings, n))
    np.add.at(times, (np.arange(resamplings)[:, None], drawn), 1)
    sums = times @ np.where(there, values, 0.0)
    counts = times @ there
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    lows, highs = _quantiles(means.T)
    return [
        Figure(
            *key,
            float(column[here].mean()),
            *(bounds if here.sum() >= LEAST_FOR_AN_INTERVAL else (None, None)),
        )
        for key, column, here, *bounds in zip(keys, values.T, there.T, lows, highs, strict=True)
        if here.any()
    ]


def _table(
    predictions: Sequence[Sequence[Figure]], keys: Sequence[tuple[str, float | None]]
) -> NDArray[np.float64]:
    """The values of figures: (predictions, keys), nan where one is not there."""
    found = [{(f.metric, f.coverage): f.value for f in each} for each in predictions]
    return np.array([[each.get(key, math.nan) for key in keys] for each in found])
