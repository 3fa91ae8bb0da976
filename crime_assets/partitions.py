"""Months, forces, months x forces, the windows of months between them, and cities.

A key of a month is ``2025-09``, of a month and a force ``kent|2025-09``, of a grid and a city
``16|san-francisco`` (dimensions sort by name).
Which months there are is said by the archive, not by the clock: a month police.uk has not
published yet is an error when asked for, not an empty table.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from crime_assets.cities.city import city_slugs
from crime_assets.cities.grid import GRID_SIZES
from crime_assets.register import force_slugs
from crime_assets.settings import incidents_folder

FIRST_MONTH = "2010-12"
"""The first month that police.uk published by street."""

months = dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, fmt="%Y-%m")

forces = dg.StaticPartitionsDefinition(list(force_slugs()))
"""The 43 territorial forces, the British Transport Police, and the three of the sample."""

months_x_forces = dg.MultiPartitionsDefinition({"month": months, "force": forces})

cities = dg.StaticPartitionsDefinition(list(city_slugs(incidents_folder())))
"""The cities of the register, and those that the folder of CRIME_INCIDENTS adds."""

cells_x_cities = dg.MultiPartitionsDefinition(
    {"cells": dg.StaticPartitionsDefinition([str(p) for p in GRID_SIZES]), "city": cities}
)
"""A city's grid of so many cells along a side."""

BACKFILL = dg.BackfillPolicy.single_run()
"""A range is one run: one month of all forces, or all months of one, or all months of a table.

1,548 runs for three years of 43 forces would take hours to start.
"""

SAME_MONTH = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="month")
"""From a table by month and force to one by month: all forces of the month."""


SAME_FORCE = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="force")
"""From a table by force to one by month and force: the same force, in every month."""

SAME_CITY = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="city")
"""From a table by city to one by cells and city: the same city, in every grid."""


def months_of_force(months_back: int, months_ahead: int = 0) -> dg.MultiPartitionMapping:
    """From months and forces to months and forces: :func:`window` of the same force."""
    return dg.MultiPartitionMapping(
        {
            "month": dg.DimensionPartitionMapping("month", window(months_back, months_ahead)),
            "force": dg.DimensionPartitionMapping("force", dg.IdentityPartitionMapping()),
        }
    )


def window(months_back: int, months_ahead: int = 0) -> dg.TimeWindowPartitionMapping:
    """The month itself, the ``months_back`` before it and the ``months_ahead`` after it.

    With -1 ahead the month itself is left out. Dagster leaves out, without a word, what lies before
    the first month or has not come yet.
    """
    return dg.TimeWindowPartitionMapping(start_offset=-months_back, end_offset=months_ahead)


def partition_of(key: str | None, definition: dg.PartitionsDefinition | None) -> dict[str, str]:
    """The hive columns of a partition key, such as ``{"month": ..., "force": ...}``."""
    if key is None or definition is None:
        return {}
    if isinstance(definition, dg.MultiPartitionsDefinition):
        keys = definition.get_partition_key_from_str(str(key)).keys_by_dimension
        return dict(sorted(keys.items(), key=lambda of: of[0] != "month"))  # as in paths: it leads
    if isinstance(definition, dg.StaticPartitionsDefinition):
        return {"city" if definition == cities else "force": str(key)}
    return {"month": str(key)}


def key_of(partition: Mapping[str, str]) -> str | None:
    """The partition key of hive columns; ``None`` for a table without partitions."""
    if not partition:
        return None
    if len(partition) == 2:
        return dg.MultiPartitionKey(dict(partition))
    return next(iter(partition.values()))


def months_back(month: str, count: int) -> list[str]:
    """The ``count`` months that end with ``month``, the earliest first (``2025-09`` ...)."""
    last = _months_since_0(month)
    return [_spelled(m) for m in range(last - count + 1, last + 1)]


def months_after(month: str, count: int) -> list[str]:
    """The ``count`` months after ``month``, the earliest first."""
    last = _months_since_0(month)
    return [_spelled(m) for m in range(last + 1, last + count + 1)]


def _months_since_0(month: str) -> int:
    year, of_year = map(int, month.split("-"))
    return 12 * year + of_year - 1


def _spelled(months_since_0: int) -> str:
    return f"{months_since_0 // 12:04d}-{months_since_0 % 12 + 1:02d}"
