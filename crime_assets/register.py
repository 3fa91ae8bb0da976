"""What is known beforehand of the forces and of the crime types, kept as data beside this file.

``forces.csv`` and ``crime_types.csv`` are the one place to add a force or a type: partitions,
coverage, rankings and documentation follow from them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
FORCES_CSV = _HERE / "forces.csv"
CRIME_TYPES_CSV = _HERE / "crime_types.csv"

ALL_CRIME = "All crime"


@dataclass(frozen=True)
class Force:
    """A police force as police.uk publishes it.

    ``area_code`` and ``area_name`` are those of its police force area (empty for the British
    Transport Police, which has none). ``kind`` is ``territorial``, ``transport`` or ``sample``.
    ``monthly_crimes`` is what it usually publishes a month: the mean of the crimes located in its
    area from 2023-05 to 2026-04, rounded; a rough figure for Greater Manchester, which published
    none of them, and for the British Transport Police, whose crimes lie in everyone's area.
    """

    force: str
    name: str
    area_code: str
    area_name: str
    kind: str
    monthly_crimes: int


@dataclass(frozen=True)
class CrimeType:
    """A crime type with the first and last month (``2013-05``) in which police.uk used it.

    ``last_month`` is empty for the types in use.
    """

    crime_type: str
    first_month: str
    last_month: str


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


FORCES: dict[str, Force] = {
    row["force"]: Force(**{**row, "monthly_crimes": int(row["monthly_crimes"])})  # type: ignore[arg-type]
    for row in _rows(FORCES_CSV)
}
CRIME_TYPES: dict[str, CrimeType] = {
    row["crime_type"]: CrimeType(**row) for row in _rows(CRIME_TYPES_CSV)
}


def crime_types_since(month: str) -> tuple[str, ...]:
    """The types in use that police.uk has had since ``month`` or before, in their order."""
    return tuple(
        t.crime_type for t in CRIME_TYPES.values() if not t.last_month and t.first_month <= month
    )


def type_column(crime_type: str) -> str:
    """A crime type as a part of a column's name: ``Drugs`` is ``drugs``."""
    return re.sub(r"[^a-z]+", "_", crime_type.lower()).strip("_")


def force_slugs(kinds: Iterable[str] = ("territorial", "transport", "sample")) -> tuple[str, ...]:
    """The slugs of the forces of these kinds, in the register's order."""
    wanted = set(kinds)
    return tuple(slug for slug, force in FORCES.items() if force.kind in wanted)
