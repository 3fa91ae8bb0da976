"""From tables to arrays: the features and classes of the areas of one scope at one cut-off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets import DataError
from crime_assets.lsoa.labels import LABELS, classes_of
from crime_assets.register import type_column
from crime_assets.tables import LSOA_FEATURES

if TYPE_CHECKING:
    import pandas as pd

NO_FEATURES = ("scope", "lsoa21cd", "force", "years")
OF_ALL_YEARS = (
    "density_mean",
    "density_change",
    "cluster_long_run",
    "cluster_increasing",
    "cluster_stable",
    "cluster_decreasing",
    "summer_share",
    "season_strength",
)
"""What means something else where there are fewer years: left out where cut-offs differ in them."""

RANKED = ("density_", "neighbours_density_")
"""Features that enter as ranks: classes are quantiles, so a fall of crime everywhere is none."""

LISA = ("high-high", "low-low", "high-low", "low-high")


@dataclass(frozen=True)
class Areas:
    """The areas of one scope at one cut-off, in the order of their codes.

    ``features`` (n, p) are numbers, nan where not known; ``last`` holds for each label the class
    (n,) of the year before the cut-off; ``truth`` that of the year after, -1 where it is not known.
    """

    codes: NDArray[np.str_]
    force: NDArray[np.str_]
    place: NDArray[np.float64]
    names: tuple[str, ...]
    features: NDArray[np.float64]
    years: int
    last: dict[str, NDArray[np.int64]]
    truth: dict[str, NDArray[np.int64]]

    @property
    def blocks(self) -> NDArray[np.int64]:
        """See :func:`blocks_of`."""
        return blocks_of(self.place)


BLOCK_M = 10_000.0
"""The side of a spatial block: far wider than the reach of a hotspot."""


def blocks_of(place: NDArray[np.float64]) -> NDArray[np.int64]:
    """The square of ``BLOCK_M`` (n,) in which each place (n, 2), in metres, lies."""
    squares = np.floor(place / BLOCK_M).astype(np.int64)
    return np.unique(squares, axis=0, return_inverse=True)[1].ravel()


def areas_of(features: pd.DataFrame, pair: tuple[str, str]) -> Areas:
    """The areas of one scope from the rows that ``sql/classification/areas.sql`` makes.

    ``pair`` are the crime types of the nine classes; raises :class:`~crime_assets.DataError` where
    last year's density of one of them is not known.
    """
    names = [c.name for c in LSOA_FEATURES.columns if c.name not in (*NO_FEATURES, "lisa")]
    columns = [features[name].to_numpy(dtype=float, na_value=np.nan) for name in names]
    columns = [
        _ranks(column) if name.startswith(RANKED) and name != "density_change" else column
        for name, column in zip(names, columns, strict=True)
    ]
    lisa = features["lisa"].to_numpy(dtype=str)
    columns += [(lisa == kind).astype(float) for kind in LISA]
    names += [f"lisa_{kind.replace('-', '_')}" for kind in LISA]
    density = [
        features[f"density_{name}"].to_numpy(dtype=float)
        for name in ("last_year", *map(type_column, pair))
    ]
    if np.isnan(density).any():
        raise DataError(
            f"the densities of {' and '.join(pair)} are not known of every area: police.uk has "
            "not had these types in all years of the history; name others in CRIME_BIVARIATE"
        )
    return Areas(
        features["lsoa21cd"].to_numpy(dtype=str),
        features["force"].to_numpy(dtype=str),
        features[["easting", "northing"]].to_numpy(dtype=float),
        tuple(names),
        np.column_stack(columns),
        int(features["years"].max()),
        {label: positions(label, found) for label, found in classes_of(*density).items()},
        {label: positions(label, features[f"true_{label}"]) for label in LABELS},
    )


def positions(label: str, found: ArrayLike) -> NDArray[np.int64]:
    """Where each class stands among those of the label; -1 for what is none of them."""
    names = np.array(LABELS[label])
    spelled = np.asarray(found).astype(str)
    at = np.minimum(np.searchsorted(names, spelled), len(names) - 1)
    return np.where(names[at] == spelled, at, -1)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the areas (n,) that are lower, equal ones in the middle; nan stays."""
    from scipy.stats import rankdata

    known = ~np.isnan(values)
    found = np.full(len(values), np.nan)
    found[known] = (rankdata(values[known]) - 0.5) / max(1, known.sum())
    return found


def common_features(areas: Sequence[Areas]) -> list[str]:
    """The features that are known of some area at each cut-off, and mean the same at all."""
    same_years = len({a.years for a in areas}) == 1
    return [
        name
        for at, name in enumerate(areas[0].names)
        if all(not np.isnan(a.features[:, at]).all() for a in areas)
        and (same_years or name not in OF_ALL_YEARS)
    ]


def columns_of(areas: Areas, names: Sequence[str]) -> NDArray[np.float64]:
    """The features of these names (n, p)."""
    return areas.features[:, [areas.names.index(name) for name in names]]
