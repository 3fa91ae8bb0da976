"""Table 3 of the study: how many cells are hot on a day, and how many there are, p = 40.

Stalidis, Semertzidis and Daras, "Examining Deep Learning Architectures for Crime Classification
and Prediction" (2021). It says neither which four years it takes nor where its grids lie. For San
Francisco and Minneapolis alike, the three years from June 2010 on come nearest. Its means are over
all days of the calendar: of the alternate weeks that San Francisco's file lacks, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from crime_assets.cities.samples import Samples

PUBLISHED: Mapping[str, Mapping[str, float]] = {
    city: dict(
        zip(
            ("Assault", "Theft", "Robbery", "Burglary", "Motor vehicle",
             "Arson", "Homicide", "Vice", "Narcotics", "Other"),
            hot_cells,
            strict=True,
        )
    )
    for city, hot_cells in {
        "philadelphia": (80.28, 116.72, 20.74, 23.76, 27.94, 1.37, 0.80, 4.36, 27.90, 102.37),
        "seattle": (12.84, 21.34, 2.99, 17.06, 10.01, 0.10, 0.03, 22.59, 3.21, 40.15),
        "minneapolis": (3.08, 17.46, 6.13, 12.36, 14.44, 0.32, 0.74, 0.72, 0.0, 0.09),
        "washington-dc": (6.32, 27.39, 10.56, 9.81, 8.43, 0.10, 0.27, 0.59, 0.0, 23.24),
        "san-francisco": (14.96, 40.44, 4.74, 8.65, 7.77, 0.29, 0.0, 1.59, 5.54, 51.81),
    }.items()
}  # fmt: skip
"""Mean number of hot cells a day in the years to learn from, by city and crime type."""

PUBLISHED_CELLS: Mapping[str, int] = {
    "philadelphia": 752,
    "seattle": 818,
    "minneapolis": 1123,
    "washington-dc": 702,
    "san-francisco": 1057,
}
"""Cells that remain inside the study area."""


@dataclass(frozen=True)
class HotCells:
    """The hot cells of one crime type on a day: ours beside the study's.

    ``a_day`` is the mean over all days of the years to learn from, ``an_observed_day`` that over
    those which were observed; ``published`` is the study's, null for a city that it has not.
    """

    crime_type: str
    a_day: float
    an_observed_day: float
    published: float | None


def hot_cells(samples: Samples, city: str) -> list[HotCells]:
    """Our table 3 for a city and the grid of its samples, by crime type, all crimes last."""
    maps = samples.maps
    days = np.arange(samples.first, samples.test_first)
    observed = days[maps.observed[days]]
    of_days = maps.counts[observed]
    types = of_days.indices[of_days.data > 0] % len(maps.crime_types)
    hot = np.bincount(types, minlength=len(maps.crime_types))
    return [
        HotCells(
            crime_type,
            float(count / len(days)),
            float(count / max(1, len(observed))),
            PUBLISHED.get(city, {}).get(crime_type),
        )
        for crime_type, count in zip(maps.crime_types, hot, strict=True)
    ]
