"""The years of crime before (or after) a cut-off, by area: what features and labels are made of.

A year is twelve months counted back from the cut-off, whatever the calendar says. An area has a
year if the force in whose area it lies published each of its months; else it is unknown, not cold,
and the year is nan there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.hexes.study_area import nation_of
from crime_assets.lake import Lake, MissingPartition, sql
from crime_assets.lsoa.neighbours import link, touching
from crime_assets.register import crime_types_since
from crime_assets.tables import LSOA_COUNTS

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array

YEAR = 12
STATEMENTS = ("lsoa/yearly_counts", "lsoa/monthly_totals", "lsoa/area_neighbours")

LEAST_AREAS = 50
"""A scope with fewer areas is none: a tenth of it is five areas, and a cluster may be one."""


class NoScope(DataError):
    """No scope has enough areas whose force published a whole year."""


@dataclass(frozen=True)
class History:
    """Crimes of n areas in years of twelve months; year 0 is the one next to the cut-off.

    ``density`` (n, years, types) and ``total`` (n, years) are crimes / km² / year, the total of all
    types, legacy ones too; nan where the area's force did not publish the whole year. ``monthly``
    (n, months), the earliest first, are crimes of all types, as counted. ``force`` is empty where
    an area lies in none. ``neighbours`` (n, n) is 1 where two areas touch (queen contiguity).
    """

    codes: NDArray[np.str_]
    force: NDArray[np.str_]
    area_km2: NDArray[np.float64]
    crime_types: tuple[str, ...]
    months: tuple[str, ...]
    density: NDArray[np.float64]
    total: NDArray[np.float64]
    monthly: NDArray[np.float64]
    neighbours: csr_array
    silent: Mapping[int, tuple[str, ...]]

    @property
    def years(self) -> int:
        """How many years there are, complete for one force at least."""
        return self.total.shape[1]

    def with_data(self) -> NDArray[np.bool_]:
        """The areas (n,) whose force published the whole year next to the cut-off."""
        return ~np.isnan(self.total[:, 0])

    def within(self, keep: NDArray[np.bool_]) -> History:
        """The same of some areas (n,); their neighbours are those among them."""
        return replace(
            self,
            codes=self.codes[keep],
            force=self.force[keep],
            area_km2=self.area_km2[keep],
            density=self.density[keep],
            total=self.total[keep],
            monthly=self.monthly[keep],
            neighbours=self.neighbours[keep][:, keep],
        )

    def scopes(self) -> dict[str, NDArray[np.bool_]]:
        """The areas with data of the nation, and of each force: those of ``LEAST_AREAS`` or more.

        Raises :class:`NoScope` where there is none.
        """
        known = self.with_data()
        found = {self.nation: known} | {
            force: known & (self.force == force) for force in np.unique(self.force[known]) if force
        }
        large = {str(scope): a for scope, a in found.items() if a.sum() >= LEAST_AREAS}
        if not large:
            raise NoScope(
                f"{known.sum()} areas have a whole year from {self.months[-YEAR]} to "
                f"{self.months[-1]}, and {LEAST_AREAS} are needed; silent in one of its months: "
                f"{', '.join(self.silent[0][:8])}{' ..' if len(self.silent[0]) > 8 else ''}"
            )
        return large

    def counted(self) -> pd.DataFrame:
        """``lsoa21cd`` and ``crimes`` of the year next to the cut-off, as they were counted."""
        import pandas as pd

        crimes = self.monthly[:, -YEAR:].sum(axis=1)
        return pd.DataFrame({"lsoa21cd": self.codes, "crimes": crimes})

    @property
    def nation(self) -> str:
        """The name of the scope of all areas: as in ``scopes``."""
        return nation_of(self.force)


def read_history(
    connection: duckdb.DuckDBPyConnection, lake: Lake, months: Sequence[str]
) -> History:
    """The years that end with the last of ``months`` (the earliest first), from the lake.

    Of the year next to the cut-off, ``lsoa_counts`` must hold each month; raises
    :class:`~crime_assets.lake.MissingPartition` that names the first one missing. Of the years
    before, those whose months are all there.
    """
    there = [lake.has(LSOA_COUNTS.name, {"month": month}) for month in months]
    years = 0
    while (years + 1) * YEAR <= len(months) and all(
        there[len(months) - (years + 1) * YEAR : len(months) - years * YEAR]
    ):
        years += 1
    if not years:
        missing = [m for m, has in zip(months[-YEAR:], there[-YEAR:], strict=True) if not has]
        raise MissingPartition(
            f"lsoa_counts lacks {', '.join(missing[:3])}{' ..' if len(missing) > 3 else ''}, and "
            f"the year {months[-YEAR]} to {months[-1]} needs each of its months: materialise it "
            "with `dagster asset materialize -m crime_assets.definitions --select lsoa_counts "
            f"--partition-range {missing[0]}...{missing[-1]}`"
        )
    months = months[-years * YEAR :]
    lake.view(connection, "lsoa_areas")
    lake.view(connection, LSOA_COUNTS.name, [{"month": month} for month in months])
    return _history(connection, months, [published_forces(connection, lake, m) for m in months])


def published_forces(connection: duckdb.DuckDBPyConnection, lake: Lake, month: str) -> set[str]:
    """The forces whose whole month the partition of ``lsoa_counts`` says that it counts.

    Raises :class:`~crime_assets.DataError` for one that does not say, as older ones do not.
    """
    told = lake.provenance(connection, LSOA_COUNTS.name, {"month": month})
    if "forces" not in told:
        raise DataError(
            f"lsoa_counts {month} does not say which forces it counts: materialise it again, with "
            "`dagster asset materialize -m crime_assets.definitions --select lsoa_counts "
            f"--partition {month}`"
        )
    return set(told["forces"])


def _history(
    connection: duckdb.DuckDBPyConnection, months: Sequence[str], published: Sequence[set[str]]
) -> History:
    """From the views ``lsoa_areas`` and ``lsoa_counts``; who published each month's counts."""
    areas = connection.execute(
        "select lsoa21cd, coalesce(force, '') as force, area_km2 from lsoa_areas order by lsoa21cd"
    ).fetchnumpy()
    codes = np.asarray(areas["lsoa21cd"]).astype(str)
    force = np.asarray(areas["force"]).astype(str)
    area_km2 = np.asarray(areas["area_km2"], dtype=float)
    years = len(months) // YEAR
    crime_types = crime_types_since(months[0])
    found = connection.execute(
        sql("lsoa/yearly_counts"), {"months": list(months), "crime_types": list(crime_types)}
    ).fetchnumpy()
    density = np.zeros((len(codes), years, len(crime_types)))
    row, kept = _rows(codes, found["lsoa21cd"])
    density[row, found["year_back"][kept], found["type_at"][kept]] = found["crimes"][kept]
    found = connection.execute(sql("lsoa/monthly_totals"), {"months": list(months)}).fetchnumpy()
    monthly = np.zeros((len(codes), len(months)))
    row, kept = _rows(codes, found["lsoa21cd"])
    monthly[row, found["month_at"][kept]] = found["crimes"][kept]
    total = monthly.reshape(len(codes), years, YEAR).sum(axis=2)[:, ::-1].copy()
    silent: dict[int, tuple[str, ...]] = {}
    for year in range(years):
        end = len(months) - year * YEAR
        whole = set.intersection(*published[end - YEAR : end])
        unknown = ~np.isin(force, list(whole))
        density[unknown, year], total[unknown, year] = np.nan, np.nan
        silent[year] = tuple(map(str, np.unique(force[unknown & (force != "")])))
    return History(
        codes,
        force,
        area_km2,
        crime_types,
        tuple(months),
        density / area_km2[:, None, None],
        total / area_km2[:, None],
        monthly,
        link(len(codes), *touching(connection)),
        silent,
    )


def _rows(codes: NDArray[np.str_], found: NDArray) -> tuple[NDArray, NDArray[np.bool_]]:
    """Where among ``codes`` (ascending) each code found lies, and which of them are known."""
    found = np.asarray(found).astype(str)
    at = np.minimum(np.searchsorted(codes, found), len(codes) - 1)
    known = codes[at] == found
    return at[known], known
