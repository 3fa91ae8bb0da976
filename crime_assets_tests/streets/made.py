"""A made-up town with streets: two squares of a kilometre, Kent and Essex, a cross in each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import geopandas as gpd
import pandas as pd
from shapely import LineString, box

from crime_assets.lake import DuckDB, Lake
from crime_assets.settings import Settings

Crime = tuple[float | None, float | None, str]
"""Easting and northing, or none, and the type."""

STREETS = {
    "west": [(500_100, 150_500), (500_500, 150_500)],
    "east": [(500_500, 150_500), (500_900, 150_500)],
    "north": [(500_500, 150_500), (500_500, 150_900)],
    "border": [(500_950, 150_100), (501_040, 150_100)],
    "essex": [(501_200, 150_500), (501_800, 150_500)],
}


@dataclass(frozen=True)
class Town:
    """The deployment of the town, its lake, and a connection to publish with."""

    settings: Settings
    lake: Lake
    connection: duckdb.DuckDBPyConnection

    @classmethod
    def make(cls, folder: Path, connection: duckdb.DuckDBPyConnection, **environment: str) -> Town:
        """Boundaries and streets as files; an empty lake."""
        gpd.GeoDataFrame(
            {"PFA23CD": ["E23000032", "E23000028"], "PFA23NM": ["Kent", "Essex"]},
            geometry=[box(500_000 + x, 150_000, 501_000 + x, 151_000) for x in (0, 1000)],
            crs="EPSG:27700",
        ).to_parquet(folder / "forces.parquet")
        gpd.GeoDataFrame(
            {"id": list(STREETS), "name": list(STREETS)},
            geometry=[LineString(points) for points in STREETS.values()],
            crs="EPSG:27700",
        ).to_parquet(folder / "streets.parquet")
        return cls.at(folder, connection, **environment)

    @classmethod
    def at(cls, folder: Path, connection: duckdb.DuckDBPyConnection, **environment: str) -> Town:
        """The town whose files lie in ``folder``."""
        settings = Settings.from_environment(
            {
                "CRIME_DATA_DIR": str(folder),
                "CRIME_FORCE_BOUNDARIES": str(folder / "forces.parquet"),
                "CRIME_STREETS": str(folder / "streets.parquet"),
                "CRIME_FORCES": "kent,essex",
            }
            | environment
        )
        return cls(settings, Lake(settings.data_dir / "lake"), connection)

    def copy(self, folder: Path) -> Town:
        """The same town in another folder: what is done to it is not done to this one."""
        shutil.copytree(self.settings.data_dir, folder, dirs_exist_ok=True)
        return Town.at(folder, self.connection)

    def materialise(
        self, asset: dg.AssetsDefinition, partition: str | dg.MultiPartitionKey
    ) -> dict[str, object]:
        """One partition of an asset, from what the lake holds; its metadata. Raises what fails."""
        result = dg.materialize(
            [asset],
            instance=dg.DagsterInstance.ephemeral(),
            partition_key=str(partition),
            resources={
                "settings": self.settings,
                "lake": self.lake,
                "engine": DuckDB(threads=1),
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        (event,) = result.asset_materializations_for_node(asset.key.path[-1])
        return {name: value.value for name, value in event.metadata.items()}

    def publish_crimes(
        self, month: str, crimes: Mapping[str, Sequence[Crime]], more_located: int = 0
    ) -> None:
        """The crimes of a month by force, and a coverage that counts ``more_located`` besides."""
        connection = self.connection
        for force, of_force in crimes.items():
            frame = pd.DataFrame(of_force, columns=["easting", "northing", "crime_type"])
            connection.register("made", frame.astype({"easting": float, "northing": float}))
            connection.execute(
                "create or replace temp table crimes as select row_number() over () as row, "
                "null as crime_id, 'Police' as reported_by, 'Police' as falls_within, "
                "null as longitude, null as latitude, if(isnan(easting), null, easting) as "
                "easting, if(isnan(northing), null, northing) as northing, null as hex_id, "
                "null as location, null as lsoa_code, null as lsoa_name, crime_type, "
                "null as last_outcome from made"
            )
            place = {"month": month, "force": force}
            self.lake.publish(connection, "crimes", "street_crimes", place)
        located = {
            force: sum(easting is not None for easting, _, _ in of_force) + more_located
            for force, of_force in crimes.items()
        }
        connection.execute(
            "create or replace temp table covered as select unnest($forces) as force, "
            "'published' as status, '2025-12' as release, '2025-12' as newest_release, "
            "'x' as sha256, unnest($located) as rows, rows as located, 0 as rejected "
            "order by force",
            {"forces": list(located), "located": list(located.values())},
        )
        self.lake.publish(connection, "covered", "coverage", {"month": month})

    def publish_counts(
        self,
        month: str,
        counts: Mapping[tuple[str, str], int],
        forces: Sequence[str] = ("essex", "kent"),
    ) -> None:
        """``segment_counts`` of Kent's segments and types, made for its present network."""
        self.connection.execute(
            "create or replace temp table counted as select 'kent' as force, unnest($segments) as "
            "segment_id, unnest($types) as crime_type, unnest($crimes)::integer as crimes, "
            "1.0 as distance_m",
            {
                "segments": [segment for segment, _ in counts],
                "types": [crime_type for _, crime_type in counts],
                "crimes": list(map(int, counts.values())),
            },
        )
        networks = {"kent": self.lake.sha256("street_segments", {"force": "kent"})}
        told = {"coverage": "x", "forces": list(forces), "networks": networks}
        self.lake.publish(self.connection, "counted", "segment_counts", {"month": month}, told)

    def rows(self, table: str, columns: str, **partition: str) -> list[tuple]:
        """Columns of a partition, in the order of its rows."""
        path = self.lake.require(table, partition)
        return duckdb.sql(f"select {columns} from read_parquet('{path}')").fetchall()
