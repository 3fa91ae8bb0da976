"""What a naive rule says: the next months will be like certain months before them.

Crimes stay where they were, so these are hard to beat; a model that does not is not worth its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.counts import Counts
from crime_assets.forecasting.forecaster import Role
from crime_assets.forecasting.forecasters.past import least_deviance


@dataclass(frozen=True)
class RollingMean:
    """The mean of the last months; of one month, it is the last month itself."""

    title: ClassVar[str] = "Rolling mean"
    source: ClassVar[str] = (
        "Common practice, as in Chainey, Tompson and Uhlig 2008, Security Journal 21"
    )
    role: ClassVar[Role] = "baseline"
    expects_crimes: ClassVar[bool] = True
    limits: ClassVar[str] = (
        "Knows no season and no neighbour; few months leave most units without a crime, many are "
        "slow to follow a change."
    )

    months: int = 12
    most_units: int | None = None

    @property
    def least_months(self) -> int:
        """The months that it takes the mean of."""
        return self.months

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """The mean a step (n,), the same for each horizon."""
        steps = self.months * history.month_steps
        return history.recent(crime_type, steps) / steps


@dataclass(frozen=True)
class SameMonthLastYear:
    """The same months of the year before."""

    title: ClassVar[str] = "Same month last year"
    source: ClassVar[str] = "Common practice: the seasonal naive forecast"
    role: ClassVar[Role] = "baseline"
    expects_crimes: ClassVar[bool] = True
    limits: ClassVar[str] = (
        "Rests on as few months as it forecasts, a year old: in a small unit that is mostly chance."
    )

    least_months: int = 13
    """Twelve are enough for months; 364 days, which keep the weekday, are more than 12 x 30."""

    most_units: int | None = None

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """The mean a step of the steps a year before each horizon: (horizons, n)."""
        year = history.year_steps
        return np.stack(
            [
                history.recent(crime_type, horizon, before=max(0, year - horizon)) / horizon
                for horizon in horizons
            ]
        )


HALF_LIVES = (1.0, 2.0, 3.0, 6.0, 12.0, 24.0)
"""Months after which a month counts half; the candidates among which the past decides."""


@dataclass(frozen=True)
class ExponentialMean:
    """All months, each counting less than the next; the half-life is chosen on the past.

    The half-life is the one with the least Poisson deviance when each of the last three months is
    forecast from the months before it.
    """

    title: ClassVar[str] = "Exponentially weighted mean"
    source: ClassVar[str] = "Holt 1957, reprinted 2004, International Journal of Forecasting 20:5"
    role: ClassVar[Role] = "baseline"
    expects_crimes: ClassVar[bool] = True
    limits: ClassVar[str] = "Knows no season and no neighbour; one half-life serves all units."

    half_lives: tuple[float, ...] = HALF_LIVES
    least_months: int = 6
    most_units: int | None = None

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """The weighted mean a step (n,), the same for each horizon."""

        def means(before: int) -> list[NDArray[np.floating]]:
            age = np.arange(len(history.steps) - before)[::-1] / history.month_steps
            found: list[NDArray[np.floating]] = []
            for half_life in self.half_lives:
                weights = np.zeros(len(history.steps))
                weights[: len(age)] = 0.5 ** (age / half_life)
                found.append(history.weighted(crime_type, weights / weights.sum()))
            return found

        return means(0)[least_deviance(history, crime_type, means)]


@dataclass(frozen=True)
class HotspotFrequency:
    """How often the unit was a hotspot: the share of past windows in which it was among the k.

    As in the published maps: windows of three months, k 0.1 % of the units, equal scores in order
    of the unit, a unit without a crime never.
    """

    title: ClassVar[str] = "Hotspot frequency"
    source: ClassVar[str] = "The project's own table hotspot_frequency"
    role: ClassVar[Role] = "baseline"
    expects_crimes: ClassVar[bool] = False
    limits: ClassVar[str] = (
        "Says nothing of units that never were a hotspot: beyond the hottest 1 % or so it is a tie."
    )

    window_months: int = 3
    share: float = 0.001
    least_months: int = 6
    most_units: int | None = None

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """Hits / windows, 0 to 1: (n,), the same for each horizon."""
        n = len(history.units)
        k = max(1, int(self.share * n))
        span = self.window_months * history.month_steps
        windows = range(0, len(history.steps) - span + 1, history.month_steps)
        hits = np.zeros(n)
        for before in windows:
            density = history.recent(crime_type, span, before) / history.units.relative_size
            hits[hottest(density, k)] += 1
        return hits / max(1, len(windows))


def hottest(scores: NDArray[np.floating], k: int) -> NDArray[np.intp]:
    """Positions of the k highest scores above nought, ascending; equal ones by position."""
    some = np.flatnonzero(scores > 0)
    if len(some) <= k:
        return some
    values = scores[some]
    least = np.partition(values, len(values) - k)[len(values) - k]
    above = values > least
    equal = np.flatnonzero(values == least)[: k - int(above.sum())]
    return np.sort(np.concatenate([some[above], some[equal]]))


@dataclass(frozen=True)
class Chance:
    """A score drawn by lot: the floor. What does no better knows nothing."""

    title: ClassVar[str] = "Chance"
    source: ClassVar[str] = "By lot; its hit rate is the coverage, its PAI is 1"
    role: ClassVar[Role] = "floor"
    expects_crimes: ClassVar[bool] = False
    limits: ClassVar[str] = "It is no forecast."

    seed: int = 1
    least_months: int = 1
    most_units: int | None = None

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """Numbers from 0 to 1 (n,), drawn anew for each cut-off and crime type."""
        lot = f"{self.seed} {history.cut_off} {crime_type}".encode()
        seed = int.from_bytes(hashlib.sha256(lot).digest()[:8])
        return np.random.default_rng(seed).random(len(history.units))


@dataclass(frozen=True)
class PerfectForesight:
    """What then happened: the ceiling. It forecasts nothing and is told the outcome."""

    title: ClassVar[str] = "Perfect foresight"
    source: ClassVar[str] = "The outcome itself; its PEI* is 1"
    role: ClassVar[Role] = "ceiling"
    expects_crimes: ClassVar[bool] = True
    limits: ClassVar[str] = (
        "It is no forecast: it looks into the future that it is judged by. It bounds what depends "
        "on the order of units, but not the Brier score: it expects the very crimes that came."
    )

    least_months: int = 1
    most_units: int | None = None

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """Raises ``TypeError``: no history holds the future. The judge puts the outcome here."""
        raise TypeError("perfect foresight is told the outcome by the judge; no history holds it")
