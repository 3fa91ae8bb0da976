"""The samples of a city: from the tables of the lake, or else from its files by the same SQL."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import duckdb

from crime_assets import DataError
from crime_assets.cities.city import City, find_city
from crime_assets.cities.grid import Grid, count_cells
from crime_assets.cities.incidents import IMPROBABLE, city_files, read_incidents
from crime_assets.cities.samples import (
    YEARS_TO_LEARN,
    YEARS_TO_TEST,
    IncidentMaps,
    Period,
    Samples,
    read_maps,
)
from crime_assets.lake import DuckDB, Lake, create
from crime_assets.models.task import digest_of
from crime_assets.settings import Settings
from crime_assets.tables import INCIDENT_DAYS, INCIDENT_MAPS


def period_of(city: City, days: Sequence[str], first_day: str = "") -> Period:
    """The four years from ``first_day`` on: else the study's, else the last that ``days`` hold.

    ``days`` and ``first_day`` are spelled ``2010-06-01``. Raises :class:`~crime_assets.DataError`
    for one that is not the first of a month.
    """
    if first_day:
        try:
            return Period(datetime.date.fromisoformat(first_day))
        except ValueError as error:
            raise DataError(
                f"first_day is {first_day!r}; it must be the first of a month, such as 2010-06-01"
            ) from error
    if city.study_first_day is not None:
        return Period(city.study_first_day)
    after = datetime.date.fromisoformat(days[-1]) + datetime.timedelta(days=1)
    years = YEARS_TO_LEARN + YEARS_TO_TEST
    return Period(after.replace(day=1, year=after.year - years))


def samples_in_lake(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    city: City,
    p: int,
    mapping: str,
    first_day: str = "",
) -> Samples:
    """Those of ``incident_maps`` and ``incident_days``.

    Raises :class:`~crime_assets.lake.MissingPartition` where they are not in the lake.
    """
    lake.view(connection, INCIDENT_MAPS.name, [{"cells": str(p), "city": city.slug}])
    lake.view(connection, INCIDENT_DAYS.name, [{"city": city.slug}])
    maps = read_maps(connection, p, mapping)  # type: ignore[arg-type]
    return Samples(maps, period_of(city, maps.days, first_day))


def read_samples(
    settings: Settings, slug: str, cells: Sequence[int], mapping: str, first_day: str = ""
) -> dict[int, Samples]:
    """The samples of a city on each grid of ``cells``.

    Where the lake does not hold all of them they are made, in memory, from the files of
    CRIME_INCIDENTS. Raises :class:`~crime_assets.cities.city.CityError` where there are none.
    """
    city = find_city(slug, settings.incidents)
    lake = Lake(settings.data_dir / "lake")
    engine = DuckDB(memory_limit=settings.memory_limit, threads=settings.threads)
    with engine.get_connection() as connection:
        if lake.has(INCIDENT_DAYS.name, {"city": slug}) and all(
            lake.has(INCIDENT_MAPS.name, {"cells": str(p), "city": slug}) for p in cells
        ):
            return {
                p: samples_in_lake(connection, lake, city, p, mapping, first_day) for p in cells
            }
        read_incidents(connection, city, city_files(settings.incidents, slug))
        create(connection, "cities/incident_days", chance=IMPROBABLE)
        connection.execute(
            "create or replace temp view placed as select time::date as step, longitude, latitude, "
            "study, corrected from city_incidents"
        )
        found = {}
        for p in cells:
            count_cells(connection, Grid(p, city.box))
            create(connection, "cities/incident_maps")
            maps = read_maps(connection, p, mapping)  # type: ignore[arg-type]
            found[p] = Samples(maps, period_of(city, maps.days, first_day))
        return found


def digest_of_maps(maps: IncidentMaps) -> str:
    """A hash of the maps: on others, what was made is worth nothing."""
    counts = maps.counts
    parts = (maps.days, maps.observed, maps.crime_types, maps.p)
    return digest_of(*parts, counts.data, counts.indices, counts.indptr)
