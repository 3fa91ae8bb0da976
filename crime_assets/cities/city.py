"""What is known of a city: a YAML file that turns its publisher's CSV into incidents.

Five stand in ``register/``; another is ``<slug>.yaml`` in the folder of CRIME_INCIDENTS, beside the
files that it describes. One of a name that stands in both is taken from that folder.

.. code-block:: yaml

    title: Baltimore
    source: Open Baltimore, https://data.baltimorecity.gov
    licence: as published
    box: {west: -76.7113, south: 39.1972, east: -76.5294, north: 39.3720}
    columns:               # of each meaning, the first column that a file has
      reported: [Report Datetime]
      occurred: [CrimeDateTime]
      category: [Description]
      longitude: [Longitude]
      latitude: [Latitude]
    time_formats: ["%Y/%m/%d %H:%M:%S+00"]
    utc: {zone: America/New_York, endings: ["+00"]}  # where such times are not local ones
    categories:
      ROBBERY - STREET: Robbery
      SHOOTING: {study: Assault, corrected: Assault, note: some of them die}
"""

from __future__ import annotations

import datetime
import math
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from crime_assets import DataError

REGISTER = Path(__file__).parent / "register"

CRIME_TYPES = (
    "Homicide",
    "Robbery",
    "Arson",
    "Vice",
    "Motor vehicle",
    "Narcotics",
    "Assault",
    "Theft",
    "Burglary",
    "Other",
)
"""The ten to which the categories of all cities are homogenised, in the order of the study."""

MAPPINGS = ("study", "corrected")
"""As table A1 of the study has it, and with its evident oddities put right."""

TIMES = ("reported", "occurred", "date")
"""Meanings that say when: of a line the first that can be read counts. ``time_of_day`` goes with
``date``."""

MEANINGS = (*TIMES, "time_of_day", "category", "longitude", "latitude")
"""What a column can mean."""

NOT_IN_THE_TABLE = "not in table A1: placed as what comes nearest to it there"
"""The note of a category of a later vintage that has none of its own."""


class CityError(DataError):
    """A city's file does not say what it must, or its incidents are not there."""


@dataclass(frozen=True)
class Box:
    """West, south, east and north in degrees (WGS84); its edges belong to it."""

    west: float
    south: float
    east: float
    north: float

    def __post_init__(self) -> None:
        if not (-180 <= self.west < self.east <= 180 and -90 <= self.south < self.north <= 90):
            raise CityError(
                f"a box from west {self.west} to east {self.east} and from south {self.south} to "
                f"north {self.north}: west must be less than east and south less than north, in "
                "degrees"
            )


@dataclass(frozen=True)
class Category:
    """A category as published, its crime type in each of :data:`MAPPINGS`, and a note on that."""

    category: str
    study: str
    corrected: str
    note: str = ""


@dataclass(frozen=True)
class City:
    """A city of the register, or one of a user.

    ``columns`` gives for a meaning (:data:`MEANINGS`) the names that columns of several vintages
    have, ``time_formats`` are those of ``strptime``, tried in order. Times are local, but for those
    that end in one of ``utc_endings``: they are told in ``zone``. ``categories`` are by their
    spelling in small letters; those of table A1 and those of later vintages.
    ``study_first_day`` is the first of the four years that come nearest to the study's, where that
    is known.
    """

    slug: str
    title: str
    source: str
    licence: str
    box: Box
    columns: Mapping[str, tuple[str, ...]]
    time_formats: tuple[str, ...]
    categories: Mapping[str, Category]
    study_first_day: datetime.date | None = None
    zone: str = "UTC"
    utc_endings: tuple[str, ...] = ()
    text: str = field(default="", repr=False)


def city_slugs(folder: Path) -> tuple[str, ...]:
    """The cities of the register and of ``folder``, in order of their names; reads no file."""
    places = [REGISTER, folder] if folder.is_dir() else [REGISTER]
    return tuple(sorted({path.stem for place in places for path in place.glob("*.yaml")}))


def find_city(slug: str, folder: Path) -> City:
    """The city of ``folder``, or else of the register; raises :class:`CityError` without one."""
    for place in (folder, REGISTER):
        if (path := place / f"{slug}.yaml").is_file():
            return read_city(path)
    raise CityError(
        f"there is no {slug}.yaml, neither in {folder} (CRIME_INCIDENTS) nor in the register, "
        f"which has {', '.join(city_slugs(REGISTER))}"
    )


def read_city(path: Path) -> City:
    """The city that a file describes; raises :class:`CityError`, which says what is wrong in it."""
    text = path.read_text(encoding="utf-8")
    try:
        return _city(path.stem, text)
    except (CityError, yaml.YAMLError) as error:
        raise CityError(f"{path}: {error}") from error


_KEYS = {"title", "source", "licence", "box", "columns", "time_formats", "categories"}
_OPTIONAL_KEYS = {"later_categories", "study", "utc"}


def _city(slug: str, text: str) -> City:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug):
        raise CityError(
            f"the name {slug} must be of small letters and digits, joined by hyphens, such as "
            "san-francisco"
        )
    content = _table(yaml.safe_load(text), "the file")
    _check_keys(content, _KEYS, _OPTIONAL_KEYS, "the file")
    categories = _categories(_table(content["categories"], "categories"), "")
    for key, category in _categories(
        _table(content.get("later_categories") or {}, "later_categories"), NOT_IN_THE_TABLE
    ).items():
        if key in categories:
            raise CityError(f"{category.category} stands in categories and in later_categories")
        categories[key] = category
    formats = content["time_formats"]
    if not (isinstance(formats, list) and formats and all(isinstance(f, str) for f in formats)):
        raise CityError('time_formats must be a list of formats, such as "%Y-%m-%d %H:%M:%S"')
    return City(
        slug,
        str(content["title"]),
        str(content["source"]),
        str(content["licence"]),
        _box(_table(content["box"], "box")),
        _columns(_table(content["columns"], "columns")),
        tuple(formats),
        categories,
        _first_day(content.get("study")),
        *_utc(content.get("utc")),
        text,
    )


def _utc(found: Any) -> tuple[str, tuple[str, ...]]:
    """The zone of the city, and how times end that are of UTC."""
    if found is None:
        return "UTC", ()
    _check_keys(_table(found, "utc"), {"zone", "endings"}, set(), "utc")
    if found["zone"] not in zoneinfo.available_timezones():
        raise CityError(f"utc: zone {found['zone']!r} is none, such as America/New_York")
    endings = found["endings"]
    if not (isinstance(endings, list) and all(isinstance(e, str) and e for e in endings)):
        raise CityError('utc: endings must be a list of what such times end in, such as "+00"')
    return found["zone"], tuple(endings)


def _table(value: Any, what: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise CityError(f"{what} must be a table of names and values")
    return value


def _check_keys(found: Mapping[str, Any], needed: set[str], known: set[str], what: str) -> None:
    if missing := sorted(needed - set(found)):
        raise CityError(f"{what} lacks {', '.join(missing)}")
    if odd := sorted(str(key) for key in set(found) - needed - known):
        raise CityError(
            f"{what} has {', '.join(odd)}, which mean nothing; there are "
            f"{', '.join(sorted(needed | known))}"
        )


def _box(found: Mapping[str, Any]) -> Box:
    _check_keys(found, {"west", "south", "east", "north"}, set(), "box")
    for side, value in found.items():
        if not (isinstance(value, int | float) and math.isfinite(value)):
            raise CityError(f"box: {side} is {value!r}; it must be degrees, such as -122.5149")
    return Box(**{side: float(value) for side, value in found.items()})


def _columns(found: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    _check_keys(found, {"category", "longitude", "latitude"}, set(MEANINGS), "columns")
    columns = {}
    for meaning, names in found.items():
        names = [names] if isinstance(names, str) else names
        if not (isinstance(names, list) and names and all(isinstance(n, str) for n in names)):
            raise CityError(f"columns: {meaning} is {names!r}; it must be a list of column names")
        columns[meaning] = tuple(names)
    if not set(TIMES) & set(columns):
        raise CityError(f"columns says of none when it happened: give one of {', '.join(TIMES)}")
    return columns


def _categories(found: Mapping[Any, Any], note: str) -> dict[str, Category]:
    categories: dict[str, Category] = {}
    for name, types in found.items():
        if not isinstance(name, str):
            raise CityError(f"the category {name!r} must be text: put it in quotation marks")
        if isinstance(types, str):
            types = dict.fromkeys(MAPPINGS, types)
        types = _table(types, f"the category {name}")
        _check_keys(types, set(MAPPINGS), {"note"}, f"the category {name}")
        for mapping in MAPPINGS:
            if types[mapping] not in CRIME_TYPES:
                raise CityError(
                    f"the category {name} is of the crime type {types[mapping]!r}, which there is "
                    f"not; there are {', '.join(CRIME_TYPES)}"
                )
        category = Category(name.strip(), **{"note": note, **types})
        key = name.strip().lower()
        if key in categories and (
            (categories[key].study, categories[key].corrected)
            != (category.study, category.corrected)
        ):
            raise CityError(f"the category {name} stands twice, under different crime types")
        categories.setdefault(key, category)
    return categories


def _first_day(study: Any) -> datetime.date | None:
    if study is None:
        return None
    _check_keys(_table(study, "study"), {"first_day"}, set(), "study")
    day = study["first_day"]
    if not isinstance(day, datetime.date) or day.day != 1:
        raise CityError(f"study: first_day is {day}; it must be the first of a month: 2011-05-01")
    return day
