"""A made-up town with incidents, as a publisher might offer them."""

from __future__ import annotations

import csv
import datetime
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

TOWN: dict[str, Any] = {
    "title": "A made-up town",
    "source": "made up",
    "licence": "none is needed",
    "box": {"west": 7.0, "south": 50.0, "east": 7.1, "north": 50.1},
    "columns": {
        "reported": ["Reported", "Report Date"],
        "occurred": ["Occurred"],
        "date": ["Day"],
        "time_of_day": ["Hour"],
        "category": ["Kind", "Offense"],
        "longitude": ["Lon", "x"],
        "latitude": ["Lat", "y"],
    },
    "time_formats": ["%Y-%m-%d %H:%M:%S", "%m/%d/%y", "%m/%d/%Y %H:%M", "%m/%d/%Y"],
    "categories": {
        "ROBBED": "Robbery",
        "CAR BROKEN INTO": {"study": "Vice", "corrected": "Theft", "note": "an oddity"},
    },
}

HEADER = ("Reported", "Kind", "Lon", "Lat")


def write_city(folder: Path, slug: str, **changes: Any) -> Path:
    """The YAML file of a city like TOWN."""
    path = folder / f"{slug}.yaml"
    path.write_text(yaml.safe_dump({**TOWN, **changes}, sort_keys=False), encoding="utf-8")
    return path


def write_csv(path: Path, rows: Iterable[Sequence[object]], header: Sequence[str] = HEADER) -> Path:
    """A CSV file, compressed where its name ends so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def daily(
    days: Sequence[datetime.date], a_day: float, seed: int = 1
) -> list[tuple[str, str, float, float]]:
    """Incidents of these days, Poisson of that mean on each, anywhere in the box."""
    random = np.random.default_rng(seed)
    kinds = ("ROBBED", "CAR BROKEN INTO", "SOMETHING NEW")
    rows = []
    for day in days:
        for _ in range(random.poisson(a_day)):
            time = f"{day} {random.integers(24):02d}:30:00"
            place = 7 + random.random() / 10, 50 + random.random() / 10
            rows.append((time, kinds[random.integers(3)], *(round(x, 6) for x in place)))
    return rows


def days_from(first: str, count: int) -> list[datetime.date]:
    start = datetime.date.fromisoformat(first)
    return [start + datetime.timedelta(days=i) for i in range(count)]
