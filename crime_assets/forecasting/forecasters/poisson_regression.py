"""Poisson regression: what the last months here and next door say of the next ones.

The crimes of a unit in the next step are Poisson, with a mean that is log-linear in what is known:

    log(expected crimes) = intercept + sum over features of coefficient * feature

The features are the unit's crimes of the last month, quarter and year and of the whole history,
the crimes of its neighbours, whether it had any at all, and the time of the year. A rate enters as
log(1 + 48 * crimes a month), near to its logarithm for any unit that had a crime in four years:
then the mean is a product of powers of the rates, and a unit with twice the crimes is expected to
have about twice as many again. log(1 + crimes a month) itself is next to linear for most units,
and a log-linear model of it is off by far at the busiest. The logarithm says little of nought
crimes, so that two indicators say it.

It learns from origins, steps inside the history after which the crimes are known: the features
come from the steps before an origin alone, the target from those after it, up to and including
the cut-off. One fit serves all horizons. On 48 months of Gwent a fit for each horizon forecast
twelve months worse: its targets take a year from the origins to learn from. A horizon changes the
seasonal factor only, which is its mean over the steps of the horizon.

Most units of a nation have no crime in years, nor have their neighbours. Their rows are equal, so
that one row with their number as its weight stands for them, and the likelihood stays the same.
Of the others every so many-th is taken where they are too many, with that number as its weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.counts import DAY, MONTH, Counts, HistoryTooShort
from crime_assets.forecasting.forecaster import Role

SPANS: dict[str, tuple[int, ...]] = {MONTH: (1, 3, 12), DAY: (7, 30, 90, 360)}
"""Steps before an origin whose crimes are features; the last is a year."""

TARGET: dict[str, int] = {MONTH: 1, DAY: 7}
"""Steps after an origin whose mean is the target: a week of days, so that no weekday weighs more.
"""

ORIGINS: dict[str, int] = {MONTH: 12, DAY: 52}
"""The most origins that are learnt from, the last ones: a year of them, to see each season. Earlier
ones know less of the past than the cut-off does, and places were others then."""

HALF_LIFE = 3.0
"""Months after which an origin weighs half. On 48 months of Gwent 2, 3 and 6 months did alike, and
all better than equal weights."""

NEAR = (-2, -1)
"""Windows of the neighbours' crimes: the year and the whole history."""

MOST_ROWS = 200_000
"""The most rows that are learnt from, before equal ones are merged."""

SHARE_WITH_CRIMES = 0.75
"""The share of those rows that goes to units with crimes, which carry nearly all information."""

RATE_SCALE = 48.0
"""What crimes a month are multiplied by before 1 is added and the logarithm taken."""

RIDGE = 1e-3
"""The penalty on squared coefficients, in crimes: as much as a thousandth of the crimes learnt
from. It only keeps a coefficient finite where no crime ever followed a feature."""

MOST_OF_HIGHEST = 2.0
"""No unit is expected to have more crimes a step than so many times the most that any unit had in
one step of the history: an exponential of a sum goes beyond all experience where several features
are at their highest at once."""


@dataclass(frozen=True)
class Rows:
    """What is learnt from: equal rows once.

    ``features`` (rows, features), ``target`` (rows) the mean crimes a step after the origin,
    ``weight`` (rows) the number of units and origins that a row stands for. ``seasonal``: the last
    two features are the sine and cosine of the time of the year.
    """

    features: NDArray[np.float64]
    target: NDArray[np.float64]
    weight: NDArray[np.float64]
    seasonal: bool


class Known:
    """What is known of all units at an origin, moved from origin to origin.

    ``sums`` (windows, n) are the crimes of each span and of the whole history before ``origin``,
    the number of steps known.
    """

    def __init__(self, history: Counts, crime_type: str) -> None:
        self.crimes = history.crimes[crime_type]
        self.neighbours = history.units.neighbours
        self.month_steps = history.month_steps
        self.spans = (*SPANS[history.step], len(history.steps))
        self.origin = 0
        self.sums = np.zeros((len(self.spans), len(history.units)), dtype=np.float32)

    def move(self, origin: int) -> None:
        """Go on to ``origin``, which is not before the last one."""
        for window, span in enumerate(self.spans):
            sums = self.sums[window]
            # what would enter and leave on the way is passed by
            self._add(sums, max(self.origin, origin - span), origin, 1.0)
            self._add(sums, max(0, self.origin - span), min(self.origin, origin - span), -1.0)
        self.origin = origin

    def _add(self, sums: NDArray[np.floating], first: int, end: int, sign: float) -> None:
        matrix = self.crimes
        for step in range(first, end):
            part = slice(matrix.indptr[step], matrix.indptr[step + 1])
            sums[matrix.indices[part]] += sign * matrix.data[part]  # a unit is in a step once

    def features(self, units: NDArray[np.intp]) -> NDArray[np.float32]:
        """The features (units, features) of some units, but for the time of the year."""
        near = self.neighbours[units]
        degree = np.maximum(np.diff(near.indptr), 1)
        rates: list[NDArray] = [
            self.sums[window, units] * (self.month_steps / min(span, self.origin))
            for window, span in enumerate(self.spans)
        ]
        for window in NEAR:
            span = min(self.spans[window], self.origin)
            rates.append(near @ self.sums[window] / degree * (self.month_steps / span))
        had = [self.sums[window, units] > 0 for window in (-2, -1)]
        return np.column_stack(
            [np.log1p(RATE_SCALE * np.asarray(rates, dtype=np.float32)).T, *had]
        ).astype(np.float32)


def time_of_year(history: Counts, step: NDArray[np.integer]) -> NDArray[np.float64]:
    """Sine and cosine (steps, 2) of the time of the year at positions of steps, of any sign."""
    year: NDArray[np.floating]
    if history.step == MONTH:
        year = (int(history.steps[0][5:7]) - 0.5 + step) / 12
    else:
        first = date.fromisoformat(history.steps[0])
        year = (first.timetuple().tm_yday - 0.5 + step) / 365.25
    return np.column_stack([np.sin(2 * np.pi * year), np.cos(2 * np.pi * year)])


def origins(history: Counts) -> list[int]:
    """Numbers of known steps after which to learn, ascending.

    The first has a year before it, or half of the history where that is less; the last has its
    target end at the cut-off. Raises :class:`HistoryTooShort` where there is none.
    """
    steps, target = len(history.steps), TARGET[history.step]
    first = max(1, min(SPANS[history.step][-1], steps // 2))
    found = range(steps - target, first - 1, -target)[: ORIGINS[history.step]]
    if not found:
        raise HistoryTooShort(
            f"{first + target} {history.step}s are needed to learn from; there are {steps} up to "
            f"{history.cut_off}"
        )
    return list(found)[::-1]


def active_units(history: Counts, crime_type: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of the units with crimes, and of those where only a neighbour has any."""
    n = len(history.units)
    own = np.zeros(n, dtype=np.float32)
    own[history.crimes[crime_type].indices] = 1.0
    near = history.units.neighbours @ own
    return np.flatnonzero(own > 0), np.flatnonzero((own == 0) & (near > 0))


def learning_rows(history: Counts, crime_type: str, most: int = MOST_ROWS) -> Rows:
    """The rows to learn from: about ``most`` at most, then merged where they are equal."""
    n, target = len(history.units), TARGET[history.step]
    at = origins(history)
    year = history.year_steps
    seasonal = len(at) * target >= year and len(history.steps) >= 2 * year
    with_crimes, beside = active_units(history, crime_type)
    strata = []
    for units, share in ((with_crimes, SHARE_WITH_CRIMES), (beside, 1 - SHARE_WITH_CRIMES)):
        every = max(1, int(np.ceil(len(units) * len(at) / (share * most))))
        strata.append((units, every))
    known = Known(history, crime_type)
    features, targets, weights = [], [], []
    for turn, origin in enumerate(at):
        known.move(origin)
        # another part of the units at each origin, so that all have their turn
        picks = [(units[turn % every :: every], len(units)) for units, every in strata]
        sample = np.concatenate([units for units, _ in picks])
        weight = np.concatenate(
            [np.full(len(units), total / max(1, len(units))) for units, total in picks]
        )
        after = _mean_after(history, crime_type, origin, target)[sample]
        row = known.features(sample)
        # the units without a crime here or next door, in one row
        row = np.vstack([row, np.zeros((1, row.shape[1]), dtype=np.float32)])
        after = np.append(after, 0.0)
        weight = np.append(weight, n - len(with_crimes) - len(beside))
        distinct, mean, weight = merged(row, after, weight)
        if seasonal:
            season = time_of_year(history, origin + np.arange(target)).mean(axis=0)
            distinct = np.column_stack([distinct, np.tile(season, (len(distinct), 1))])
        features.append(distinct)
        targets.append(mean)
        age = (at[-1] - origin) / history.month_steps
        weights.append(weight * 0.5 ** (age / HALF_LIFE))
    return Rows(
        np.concatenate(features, dtype=float),
        np.concatenate(targets),
        np.concatenate(weights),
        seasonal,
    )


def _mean_after(history: Counts, crime_type: str, origin: int, steps: int) -> NDArray[np.float64]:
    """The mean crimes a step (n,) of the steps after the first ``origin``."""
    before = len(history.steps) - origin - steps
    return history.recent(crime_type, steps, before) / steps


def merged(
    features: NDArray[np.float32], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Distinct rows of features, with the mean target and the sum of the weights of each.

    The gradient of a Poisson likelihood knows the targets of equal rows by their mean alone, so
    that the fit is the one on all rows. A row without weight is left out.
    """
    features, target, weight = features[weight > 0], target[weight > 0], weight[weight > 0]
    # + 0 makes a negative nought positive: rows are compared by their bytes
    rows = np.ascontiguousarray(features + np.float32(0))
    bytes_of_row = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, group = np.unique(bytes_of_row, return_index=True, return_inverse=True)
    total = np.bincount(group, weight).astype(float, copy=False)
    return rows[first], np.bincount(group, weight * target) / total, total


def regress(rows: Rows) -> tuple[NDArray[np.float64], float]:
    """The coefficients (features,) and the intercept of most penalised likelihood."""
    from sklearn.linear_model import PoissonRegressor

    # scikit-learn divides the likelihood by the sum of the weights, and not the penalty
    mean = np.average(rows.target, weights=rows.weight)
    model = PoissonRegressor(alpha=RIDGE * mean, solver="newton-cholesky", max_iter=100, tol=1e-6)
    # OpenBLAS sets the flag of an invalid number in threads that have computed none
    with np.errstate(invalid="ignore"):
        model.fit(rows.features, rows.target, sample_weight=rows.weight)
    return model.coef_, float(model.intercept_)


@dataclass(frozen=True)
class PoissonRegression:
    """Poisson regression of the next step on past crimes here and next door, and on the season.

    It asks for two years: one to make the features of the first origin, and one of origins, without
    which a season cannot be told from a change. With less it still works, and knows no season.
    """

    title: ClassVar[str] = "Poisson regression"
    source: ClassVar[str] = (
        "Osgood 2000, Journal of Quantitative Criminology 16:21; Nelder and Wedderburn 1972"
    )
    role: ClassVar[Role] = "baseline"
    expects_crimes: ClassVar[bool] = True
    limits: ClassVar[str] = (
        "One set of coefficients serves all units, so that only their counts tell them apart; "
        "takes crimes to vary as a Poisson count does, which the busiest units exceed."
    )

    most_rows: int = MOST_ROWS
    least_months: int = 24
    most_units: int | None = None

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """Expected crimes a step: (horizons, n).

        Raises :class:`HistoryTooShort` where there is no step to learn from.
        """
        scores = np.zeros((len(horizons), len(history.units)), dtype=np.float32)
        rows = learning_rows(history, crime_type, self.most_rows)
        if not rows.target.any():
            return scores
        coefficients, intercept = regress(rows)
        season, end = coefficients[-2:], len(history.steps)
        if rows.seasonal:
            coefficients = coefficients[:-2]
        known = Known(history, crime_type)
        known.move(end)
        units = np.concatenate(active_units(history, crime_type))
        linear = np.full(len(history.units), intercept)
        linear[units] += known.features(units) @ coefficients
        highest = MOST_OF_HIGHEST * float(history.crimes[crime_type].data.max())
        for row, horizon in enumerate(horizons):
            factor = 1.0
            if rows.seasonal:
                ahead = time_of_year(history, end + np.arange(horizon))
                factor = float(np.exp(ahead @ season).mean())
            scores[row] = np.exp(np.minimum(linear + np.log(factor), np.log(highest)))
        return scores
