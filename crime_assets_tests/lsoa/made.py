"""A made-up lake of small areas: 8 x 8 squares of a kilometre, of two forces, and their crimes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets.lake import Lake
from crime_assets.lsoa.features import TYPES
from crime_assets.partitions import months_after, months_back
from crime_assets.settings import Settings

SIDE = 8
CODES = [f"E01{i:06d}" for i in range(SIDE * SIDE)]
KENT = np.arange(SIDE * SIDE) % SIDE < 7
"""The seven columns of squares that lie in Kent; the eighth lies in Essex: too few for a scope."""

FORCES = ("essex", "kent")
CUT_OFF = "2024-12"
HISTORY = months_back(CUT_OFF, 36)
OUTCOME = months_after(CUT_OFF, 12)

# how hot an area is, and its mix of crimes; the last square has none
RATES = np.random.default_rng(1).gamma(0.5, 1.5, size=(SIDE * SIDE, 1)) * np.random.default_rng(
    2
).gamma(1.0, 1.0, size=(SIDE * SIDE, len(TYPES)))
RATES[-1] = 0


def crimes_of(month: str) -> NDArray[np.int64]:
    """The crimes (areas, types) of a month: by chance, and always the same."""
    return np.random.default_rng(int(month.replace("-", ""))).poisson(RATES)


@dataclass(frozen=True)
class Town:
    """The lake, and a connection to publish with."""

    lake: Lake
    connection: duckdb.DuckDBPyConnection

    @classmethod
    def make(
        cls, folder: Path, connection: duckdb.DuckDBPyConnection, months: Iterable[str] = ()
    ) -> Town:
        """Areas, and the crimes of some months."""
        town = cls(Lake(folder / "lake"), connection)
        connection.execute(
            f"""
            create or replace temp table made as
            select
                printf('E01%06d', i) as lsoa21cd,
                'Square ' || i as lsoa21nm,
                if(i % {SIDE} < 7, 'kent', 'essex') as force,
                1.0 as area_km2,
                st_makeenvelope(
                    500000 + 1000 * (i % {SIDE}), 150000 + 1000 * (i // {SIDE}),
                    501000 + 1000 * (i % {SIDE}), 151000 + 1000 * (i // {SIDE})
                )::geometry('EPSG:27700') as geometry
            from range({SIDE * SIDE}) as area(i)
            """
        )
        town.lake.publish(connection, "made", "lsoa_areas")
        for month in months:
            town.publish(month)
        return town

    def copy(self, folder: Path) -> Town:
        """The same lake in another folder: what is done to it is not done to this one."""
        shutil.copytree(self.lake.root, folder / "lake")
        return Town(Lake(folder / "lake"), self.connection)

    def publish(
        self,
        month: str,
        crimes: NDArray[np.int64] | None = None,
        forces: Sequence[str] = FORCES,
        others: str = "",
    ) -> None:
        """The crimes (areas, types) of a month, as ``forces`` published them.

        ``others`` is SQL that selects further rows of ``lsoa_counts``.
        """
        counts = crimes_of(month) if crimes is None else crimes
        area, at = np.nonzero(counts)
        rows = {
            "lsoa21cd": np.array(CODES)[area],
            "crime_type": np.array(TYPES)[at],
            "crimes": counts[area, at],
            "same_code": counts[area, at],
        }
        self.connection.register("counted_rows", rows)
        self.connection.execute(
            f"create or replace temp table made as from counted_rows {others and 'union all'} "
            f"{others} order by lsoa21cd, crime_type"
        )
        self.lake.publish(
            self.connection,
            "made",
            "lsoa_counts",
            {"month": month},
            {"coverage": "x", "forces": list(forces)},
        )

    def change_areas(self, replaced: str) -> None:
        """Replace columns of the areas, such as ``4.0 as area_km2``."""
        self.lake.view(self.connection, "lsoa_areas")
        self.publish_rows("lsoa_areas", f"select * replace ({replaced}) from lsoa_areas")

    def publish_rows(self, table: str, query: str, partition: dict[str, str] | None = None) -> None:
        """A partition of another table, as SQL selects it."""
        self.connection.execute(f"create or replace temp table made as {query}")
        self.lake.publish(self.connection, "made", table, partition)

    def settings(self, **environment: str) -> Settings:
        """The settings of a deployment of this lake."""
        folder = {"CRIME_DATA_DIR": str(self.lake.root.parent)}
        return Settings.from_environment(folder | environment)
