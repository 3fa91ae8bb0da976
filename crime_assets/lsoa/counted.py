"""Crimes that somebody has counted by LSOA already, as a source of ``lsoa_counts``.

Such a table has codes, not points. Codes of 2011 find their areas of 2021 through the ONS lookup.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from crime_assets import DataError
from crime_assets.lake import MissingPartition, create, file_sha256, sql
from crime_assets.register import CRIME_TYPES, FORCES
from crime_assets.settings import Settings
from crime_assets.sources.given import read_table

COUNTED_STATEMENTS = ("lsoa/counts_by_code", "lsoa/counted_figures", "lsoa/forces_counted")


@dataclass(frozen=True)
class Counted:
    """What a month of the table came to: its origin, and where its crimes went."""

    provenance: Mapping[str, Any]
    figures: Mapping[str, int]

    @property
    def lost(self) -> int:
        """The crimes of the table that none of the figures has: nought, or the count is wrong."""
        there = ("without_code", "counted", "outside_areas")
        return self.figures["crimes"] - sum(self.figures[name] for name in there)


def count_by_code(connection: duckdb.DuckDBPyConnection, settings: Settings, month: str) -> Counted:
    """Make ``lsoa_counts`` of ``month`` from the table of CRIME_LSOA_COUNTS. Needs ``lsoa_areas``.

    A force published the month if a quarter of its usual crimes, or more, lie in its areas: the
    table itself does not say. Raises :class:`~crime_assets.lake.MissingPartition` for a month that
    the table has not, and :class:`~crime_assets.DataError` for a column or a crime type that it
    should not have.
    """
    source = settings.lsoa_counts or ""
    read_table(
        connection,
        "area_crimes",
        source,
        "CRIME_LSOA_COUNTS",
        month="varchar",
        lsoa_code="varchar",
        crime_type="varchar",
        crimes="bigint",
    )
    if settings.lsoa_lookup:
        read_table(
            connection,
            "vintages",
            settings.lsoa_lookup,
            "CRIME_LSOA_LOOKUP",
            lsoa11cd="varchar",
            lsoa21cd="varchar",
        )
    else:
        connection.execute(
            "create or replace temp view vintages as "
            "select null::varchar as lsoa11cd, null::varchar as lsoa21cd where false"
        )
    months = [m for (m,) in connection.execute("select distinct month from area_crimes").fetchall()]
    if month not in months:
        span = f"{min(months)} to {max(months)}" if months else "no month"
        raise MissingPartition(f"{source} has no crimes of {month}; it has {span}")
    types = connection.execute(
        "select distinct crime_type from area_crimes where month = $month order by 1",
        {"month": month},
    ).fetchall()
    if unknown := [str(name) for (name,) in types if name not in CRIME_TYPES]:
        raise DataError(
            f"{source} has crime types that police.uk has not: {', '.join(unknown[:5])}; they must "
            "be spelled as in `crime_types.csv`, such as Burglary"
        )
    try:
        create(connection, "lsoa/counts_by_code", "lsoa_counts", month=month)
    except duckdb.ConversionException as error:
        raise DataError(f"{source} has a count that is no whole number: {error}") from error
    found = connection.execute(sql("lsoa/counted_figures"), {"month": month}).fetchone()
    names = ("crimes", "without_code", "counted", "outside_areas", "published_with_another_code")
    figures = dict(zip(names, map(int, found or ()), strict=True))
    connection.execute("delete from lsoa_counts where lsoa21cd is null")
    register = json.dumps([asdict(force) for force in FORCES.values()])
    create(connection, "lsoa/forces_counted", forces=register)
    whole = connection.execute("select force from forces_counted").fetchall()
    origin: dict[str, Any] = {"forces": [force for (force,) in whole]}
    for path in filter(None, (settings.lsoa_counts, settings.lsoa_lookup)):
        origin[Path(path).name] = file_sha256(Path(path))[0]
    return Counted(origin, figures)
