"""What a forecaster is given: crimes by unit and step up to a cut-off, and the units themselves.

A unit is a place whose crimes are counted: a hex cell, an LSOA, a street segment, a grid square. A
step is a month, or a day for incidents with dates. Counts are sparse: most units have no crime in
most steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets import DataError

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

MONTH, DAY = "month", "day"

UNIT_KINDS = ("hex", "lsoa", "segment", "equal-segment", "square")


class HistoryTooShort(DataError):
    """The steps up to a cut-off are fewer than what was asked of them."""


@dataclass(frozen=True)
class Units:
    """The places of one study area.

    ``kind`` is one of :data:`UNIT_KINDS`; ``ids`` (n,) are ascending; ``size`` (n,) is their area
    in m², their length in m for segments, or 1 where segments are to count alike; ``neighbours``
    (n, n) holds 1 where two units touch, symmetric, nothing on the diagonal.
    """

    kind: str
    ids: NDArray
    size: NDArray[np.float64]
    neighbours: csr_array

    def __post_init__(self) -> None:
        n = len(self.ids)
        if not n:
            raise DataError(f"a study area without a {self.kind}")
        if len(self.size) != n or self.neighbours.shape != (n, n):
            raise ValueError(
                f"{n} ids, {len(self.size)} sizes, neighbours of {self.neighbours.shape}"
            )
        if not (np.isfinite(self.size).all() and (self.size > 0).all()):
            raise DataError(f"a {self.kind} without area or length")
        if (self.ids[1:] <= self.ids[:-1]).any():
            raise DataError(f"the ids of {self.kind}s are not ascending, each once")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def equal(self) -> bool:
        """Whether all units are of one size, as hex cells and grid squares are."""
        return bool(self.size.min() == self.size.max())

    @cached_property
    def relative_size(self) -> NDArray[np.float64]:
        """Sizes as multiples of their mean: (n,)."""
        return self.size / self.size.mean()

    def within(self, keep: NDArray[np.bool_]) -> Units:
        """Those units of which ``keep`` (n,) is true."""
        return Units(
            self.kind, self.ids[keep], self.size[keep], self.neighbours[keep][:, keep].tocsr()
        )


@dataclass(frozen=True)
class Counts:
    """Crimes of a study area: for each crime type a sparse matrix (units, steps).

    ``steps`` are consecutive, the earliest first, spelled ``2025-09`` (``step`` is ``month``) or
    ``2025-09-30`` (``day``); the last one is the cut-off where this is a forecaster's history.
    """

    units: Units
    steps: tuple[str, ...]
    crimes: Mapping[str, csc_array]
    step: str = MONTH

    @classmethod
    def of(
        cls,
        units: Units,
        steps: Sequence[str],
        rows: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]],
        step: str = MONTH,
    ) -> Counts:
        """From rows by crime type: positions of units, positions of steps, and crimes.

        A unit and step given twice is summed.
        """
        from scipy.sparse import coo_array

        shape = (len(units), len(steps))
        crimes = {}
        for crime_type, (unit, at, count) in rows.items():
            values = np.asarray(count, dtype=np.float32)
            matrix = coo_array(
                (values, (np.asarray(unit, np.int32), np.asarray(at, np.int32))), shape=shape
            ).tocsc()
            matrix.sum_duplicates()
            crimes[crime_type] = matrix
        return cls(units, tuple(steps), crimes, step)

    @property
    def cut_off(self) -> str:
        """The last step."""
        return self.steps[-1]

    @property
    def month_steps(self) -> int:
        """Steps in what is called a month here: 1, or 30 days."""
        return 1 if self.step == MONTH else 30

    @property
    def year_steps(self) -> int:
        """Steps after which seasons repeat: 12 months, or 364 days, which keep the weekday."""
        return 12 if self.step == MONTH else 364

    @property
    def crime_types(self) -> tuple[str, ...]:
        """The crime types, in the order given."""
        return tuple(self.crimes)

    def until(self, cut_off: str, most: int | None = None) -> Counts:
        """The last ``most`` steps up to ``cut_off`` (default: all): what was known then.

        Raises ``ValueError`` for a step that is not here.
        """
        end = self.steps.index(cut_off) + 1
        first = max(0, end - most) if most else 0
        return Counts(
            self.units,
            self.steps[first:end],
            {name: matrix[:, first:end] for name, matrix in self.crimes.items()},
            self.step,
        )

    def after(self, cut_off: str, horizon: int, crime_type: str) -> NDArray[np.float64]:
        """The crimes (n,) of the ``horizon`` steps after ``cut_off``.

        Raises :class:`HistoryTooShort` where they are not all here.
        """
        first = self.steps.index(cut_off) + 1
        if first + horizon > len(self.steps):
            raise HistoryTooShort(
                f"{horizon} {self.step}s after {cut_off} are asked for; the last one here is "
                f"{self.steps[-1]}"
            )
        return self._sum(crime_type, first, first + horizon)

    def recent(self, crime_type: str, steps: int, before: int = 0) -> NDArray[np.float64]:
        """The crimes (n,) of the last ``steps`` steps, those ``before`` the last so many.

        Raises :class:`HistoryTooShort` where the history does not reach so far back.
        """
        end = len(self.steps) - before
        if end - steps < 0:
            raise HistoryTooShort(
                f"{steps + before} {self.step}s up to {self.cut_off} are asked for; there are "
                f"{len(self.steps)}"
            )
        return self._sum(crime_type, end - steps, end)

    def _sum(self, crime_type: str, first: int, end: int) -> NDArray[np.float64]:
        matrix = self.crimes[crime_type]
        part = slice(matrix.indptr[first], matrix.indptr[end])
        return self._by_unit(matrix.indices[part], matrix.data[part])

    def weighted(self, crime_type: str, weights: ArrayLike) -> NDArray[np.float64]:
        """The crimes (n,) of all steps, each step times its weight: ``weights`` is (steps,)."""
        matrix = self.crimes[crime_type]
        each = np.repeat(np.asarray(weights, dtype=float), np.diff(matrix.indptr))
        return self._by_unit(matrix.indices, matrix.data * each)

    def _by_unit(self, unit: NDArray, crimes: NDArray) -> NDArray[np.float64]:
        sums = np.bincount(unit, weights=crimes, minlength=len(self.units))
        return sums.astype(np.float64, copy=False)

    def within(self, keep: NDArray[np.bool_]) -> Counts:
        """The counts of those units of which ``keep`` (n,) is true."""
        rows = {name: matrix.tocsr()[keep].tocsc() for name, matrix in self.crimes.items()}
        return Counts(self.units.within(keep), self.steps, rows, self.step)
