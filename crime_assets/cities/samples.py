"""From the daily maps of a city to samples: thirty days before an origin, thirty from it on.

An origin is the first day that is foretold. What a sample is told lies before it. Days that were
not observed hold no incidents and say nothing: whoever learns is told which they are.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import duckdb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets import DataError
from crime_assets.cities.city import CRIME_TYPES, MAPPINGS
from crime_assets.lake import sql

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ALL_CRIME = "All crime"

CHANNELS = (*CRIME_TYPES, ALL_CRIME)
"""The ten crime types, and all crimes: those of unknown categories count in that alone."""

DAYS = 30
"""The days that go into a sample, and those that it foretells."""

YEARS_TO_LEARN, YEARS_TO_TEST = 3, 1


@dataclass(frozen=True)
class IncidentMaps:
    """The maps of T consecutive days on a grid of p x p cells, of C crime types.

    ``days`` are spelled ``2010-06-01``; ``observed`` (T,) is false where the files do not hold the
    day; ``counts`` (T, p x p x C) are incidents, of cell and type at ``cell x C + type``;
    ``crime_types`` are :data:`CHANNELS`.
    """

    days: tuple[str, ...]
    observed: NDArray[np.bool_]
    counts: csr_array
    crime_types: tuple[str, ...]
    p: int

    def __post_init__(self) -> None:
        shape = (len(self.days), self.p**2 * len(self.crime_types))
        if self.counts.shape != shape or self.observed.shape != shape[:1]:
            raise ValueError(
                f"{len(self.days)} days, {len(self.crime_types)} types and p = {self.p}, but "
                f"counts of {self.counts.shape} and observed of {self.observed.shape}"
            )

    def dense(self, first: int, end: int) -> NDArray[np.float32]:
        """The maps of the days from ``first`` up to, not including, ``end``: (days, p, p, C)."""
        maps = self.counts[first:end].toarray().astype(np.float32)
        return maps.reshape(-1, self.p, self.p, len(self.crime_types))

    def position(self, day: datetime.date) -> int:
        """The index of a day, which may lie outside 0 .. T - 1."""
        return (day - datetime.date.fromisoformat(self.days[0])).days


def read_maps(
    connection: duckdb.DuckDBPyConnection, p: int, mapping: Literal["study", "corrected"]
) -> IncidentMaps:
    """The maps of the relations ``incident_maps`` (one city, one grid of p) and ``incident_days``.

    ``mapping`` is one of :data:`~crime_assets.cities.city.MAPPINGS`. Raises
    :class:`~crime_assets.DataError` where the two are not of the same incidents.
    """
    from scipy.sparse import coo_array

    if mapping not in MAPPINGS:
        raise ValueError(f"{mapping!r} is no mapping; there are {', '.join(MAPPINGS)}")
    listed = connection.execute(
        "select day::varchar as day, observed from incident_days order by day"
    ).fetchnumpy()
    if not len(listed["day"]):
        raise DataError("incident_days holds no day")
    found = connection.execute(
        sql("cities/map_entries"), {"mapping": mapping, "crime_types": list(CRIME_TYPES)}
    ).fetchnumpy()
    day, cell, incidents = (np.asarray(found[name]) for name in ("day", "cell", "incidents"))
    if len(day) and (day.min() < 0 or day.max() >= len(listed["day"]) or cell.max() >= p**2):
        raise DataError(
            f"incident_maps has days that incident_days has not, or cells beyond {p} x {p}: "
            "materialise both again"
        )
    channel = np.asarray(found["position"], dtype=np.int64) - 1
    known = channel >= 0
    column = np.concatenate([cell[known] * np.int64(len(CHANNELS)) + channel[known],
                             cell * np.int64(len(CHANNELS)) + len(CRIME_TYPES)])  # fmt: skip
    counts = coo_array(
        (
            np.concatenate([incidents[known], incidents]).astype(np.int32),
            (np.concatenate([day[known], day]), column),
        ),
        shape=(len(listed["day"]), p**2 * len(CHANNELS)),
    ).tocsr()
    counts.sum_duplicates()
    return IncidentMaps(
        tuple(listed["day"].tolist()),
        np.asarray(listed["observed"], dtype=bool),
        counts,
        CHANNELS,
        p,
    )


@dataclass(frozen=True)
class Period:
    """Three years to learn from and the year after them, from the first day of a month on."""

    first_day: datetime.date

    def __post_init__(self) -> None:
        if self.first_day.day != 1:
            raise ValueError(f"{self.first_day} is not the first of a month")

    @property
    def test_day(self) -> datetime.date:
        """The first day of the year of the test."""
        return _years_after(self.first_day, YEARS_TO_LEARN)

    @property
    def end_day(self) -> datetime.date:
        """The day after the last."""
        return _years_after(self.first_day, YEARS_TO_LEARN + YEARS_TO_TEST)

    @property
    def test_months(self) -> tuple[datetime.date, ...]:
        """The first days of the twelve months of the test."""
        return tuple(_months_after(self.test_day, k) for k in range(12 * YEARS_TO_TEST))


def _years_after(day: datetime.date, years: int) -> datetime.date:
    return day.replace(year=day.year + years)


def _months_after(day: datetime.date, months: int) -> datetime.date:
    years, month = divmod(day.month - 1 + months, 12)
    return day.replace(year=day.year + years, month=month + 1)


@dataclass(frozen=True)
class Samples:
    """The samples of a period. Origins are indices of days of ``maps``.

    Raises :class:`~crime_assets.DataError` where the maps do not reach over the period; up to a
    week may be missing at its beginning (a file begins with the first day that it holds), and at
    its end what no origin foretells.
    """

    maps: IncidentMaps
    period: Period

    def __post_init__(self) -> None:
        first, last = map(self.maps.position, (self.period.first_day, self.period.test_months[-1]))
        if first < -7 or last + DAYS > len(self.maps.days):
            raise DataError(
                f"the period from {self.period.first_day} to {self.period.end_day} is not in the "
                f"data, which reaches from {self.maps.days[0]} to {self.maps.days[-1]}"
            )

    @cached_property
    def first(self) -> int:
        """The index of the first day to learn from."""
        return max(0, self.maps.position(self.period.first_day))

    @cached_property
    def test_first(self) -> int:
        """The index of the first day of the year of the test."""
        return self.maps.position(self.period.test_day)

    @cached_property
    def end(self) -> int:
        """The index after that of the last day of the period."""
        return min(len(self.maps.days), self.maps.position(self.period.end_day))

    def training_origins(self, stride: int = 1, days: int = DAYS) -> NDArray[np.int64]:
        """Every ``stride``-th origin whose days before and after lie in the years to learn from.

        Counted back from the last, so that this is there with any stride.
        """
        origins = np.arange(self.test_first - days, self.first + days - 1, -stride)
        return origins[::-1].astype(np.int64)

    def test_origins(self) -> NDArray[np.int64]:
        """The first days of the twelve months of the test: (12,)."""
        return np.array([self.maps.position(day) for day in self.period.test_months])

    def inputs(self, origins: ArrayLike, days: int = DAYS) -> NDArray[np.float32]:
        """The maps of the days before each origin, the earliest first: (S, days, p, p, C).

        Nought on days that were not observed, which :meth:`observed_before` names.
        """
        at = self._before(origins, days)
        maps = self.maps.counts[at.ravel()].toarray().astype(np.float32)
        maps[~self.maps.observed[at.ravel()]] = 0
        p = self.maps.p
        return maps.reshape(*at.shape, p, p, len(self.maps.crime_types))

    def observed_before(self, origins: ArrayLike, days: int = DAYS) -> NDArray[np.bool_]:
        """Which of the days before each origin were observed: (S, days)."""
        return self.maps.observed[self._before(origins, days)]

    def targets(self, origins: ArrayLike, days: int = DAYS) -> NDArray[np.float32]:
        """The incidents of the observed days from each origin on: (S, p x p, C).

        A cell is hot where there is one.
        """
        from scipy.sparse import csr_array

        after = self._from(origins, days)
        of = csr_array(
            (
                self.maps.observed[after].ravel().astype(np.float32),
                after.ravel(),
                np.arange(0, after.size + 1, days),
            ),
            shape=(len(after), len(self.maps.days)),
        )
        summed = (of @ self.maps.counts).toarray().astype(np.float32)
        return summed.reshape(len(after), self.maps.p**2, len(self.maps.crime_types))

    def observed_days(self, origins: ArrayLike, days: int = DAYS) -> NDArray[np.int64]:
        """How many of the days from each origin on were observed: (S,)."""
        return self.maps.observed[self._from(origins, days)].sum(axis=1)

    def active_cells(self, how: Literal["study", "training"]) -> NDArray[np.bool_]:
        """The cells with an incident, of any type: (p x p,); the others are outside the study.

        ``study``: over all four years, which looks into the year of the test; ``training``: over
        the three years to learn from.
        """
        if how not in ("study", "training"):
            raise ValueError(f"{how!r} is neither study nor training")
        end = self.end if how == "study" else self.test_first
        here = np.flatnonzero(self.maps.observed[self.first : end]) + self.first
        counts = np.asarray(self.maps.counts[here].sum(axis=0)).reshape(self.maps.p**2, -1)
        return counts[:, self.maps.crime_types.index(ALL_CRIME)] > 0

    def _before(self, origins: ArrayLike, days: int) -> NDArray[np.int64]:
        return self._days(np.asarray(origins), np.arange(-days, 0))

    def _from(self, origins: ArrayLike, days: int) -> NDArray[np.int64]:
        return self._days(np.asarray(origins), np.arange(days))

    def _days(self, origins: NDArray, steps: NDArray) -> NDArray[np.int64]:
        at = origins.reshape(-1, 1) + steps
        if at.size and (at.min() < 0 or at.max() >= len(self.maps.days)):
            raise DataError(
                f"an origin from whose days some are not in the data, which has {self.maps.days[0]}"
                f" to {self.maps.days[-1]}"
            )
        return at
