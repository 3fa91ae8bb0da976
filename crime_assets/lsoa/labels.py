"""What is to be foretold of an area: whether it is a hotspot, its tier, and the two types together.

All three are made of densities (crimes / km² / year) and of quantiles of them within a scope, so
that a class means the same share of the areas in a city and in the nation. Source of the classes
and of their limits: the London study (see :mod:`crime_assets.london`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets import DataError

if TYPE_CHECKING:
    import pandas as pd

    from crime_assets.lsoa.history import History

HOTSPOT_QUANTILE = 0.75
TIER_QUANTILES = (0.5, 0.75, 0.9)
BIVARIATE_QUANTILES = (0.5, 0.75)

LABELS: dict[str, tuple[str, ...]] = {
    "is_hotspot": ("0", "1"),
    "tier": ("0", "1", "2", "3"),
    "bivariate": tuple(f"{theft}_{violence}" for theft in range(3) for violence in range(3)),
}
"""Each label with its classes as they are spelled in tables, in their order."""

CLASS_TITLES: dict[str, tuple[str, ...]] = {
    "is_hotspot": ("no hotspot", "hotspot"),
    "tier": ("low", "medium", "high", "very high"),
    "bivariate": tuple(
        f"{one} / {other}"
        for one in ("low", "medium", "high")
        for other in ("low", "medium", "high")
    ),
}
"""What people call the classes; of the nine, the first type / the second."""


def is_hotspot(density: ArrayLike) -> NDArray[np.bool_]:
    """The quarter of the areas (n,) with the highest density; those at the limit are hotspots.

    ``density`` holds the areas with data of one scope, none of them nan. An area without a crime is
    never a hotspot, even where three quarters have none and the limit is nought.
    """
    values = np.asarray(density, dtype=float)
    return (values >= np.quantile(values, HOTSPOT_QUANTILE)) & (values > 0)


def levels(density: ArrayLike, quantiles: Sequence[float]) -> NDArray[np.int64]:
    """How many of the quantiles each area (n,) lies above: 0 to their number.

    An area at a limit lies below it. Where half of the areas or more have no crime, the limits are
    nought together, and levels between them stay empty.
    """
    values = np.asarray(density, dtype=float)
    limits = np.quantile(values, quantiles)
    return (values[:, None] > limits).sum(axis=1)


def tiers(density: ArrayLike) -> NDArray[np.int64]:
    """0 (the lower half), 1 (to 75 %), 2 (to 90 %) and 3 (the highest tenth) of the areas (n,)."""
    return levels(density, TIER_QUANTILES)


def bivariate(first: ArrayLike, second: ArrayLike) -> NDArray[np.str_]:
    """The levels of two densities (n,) at 50 and 75 %, such as ``2_0``: first high, second low."""
    one, other = (levels(density, BIVARIATE_QUANTILES) for density in (first, second))
    return np.array(LABELS["bivariate"])[3 * one + other]


def label_scopes(after: History, pair: tuple[str, str]) -> pd.DataFrame:
    """The labels of all scopes by the year ``after`` the cut-off: a row a scope and area.

    Areas whose force did not publish the whole year are there, with nan and ``None``. ``pair`` are
    the two types of the nine classes; raises :class:`~crime_assets.DataError` where police.uk did
    not have one of them all year.
    """
    import pandas as pd

    if lacking := [name for name in pair if name not in after.crime_types]:
        raise DataError(
            f"police.uk did not have {' and '.join(lacking)} in {after.months[0]}: name another "
            "pair in CRIME_BIVARIATE"
        )
    one, other = (after.density[:, 0, after.crime_types.index(name)] for name in pair)
    frames = []
    for scope, known in sorted(after.scopes().items()):
        inside = after.force != "" if scope == after.nation else after.force == scope
        rows = pd.DataFrame(
            {
                "scope": scope,
                "lsoa21cd": after.codes[inside],
                "force": after.force[inside],
                "crime_density": after.total[inside, 0],
            }
        )
        there = known[inside]
        density = after.total[known, 0]
        for name, classes, kind in (
            ("is_hotspot", is_hotspot(density), "boolean"),
            ("tier", tiers(density), "Int64"),
            ("bivariate", bivariate(one[known], other[known]), "object"),
        ):
            column = pd.Series(None, index=rows.index, dtype=kind)
            column[there] = classes
            rows[name] = column
        frames.append(rows)
    return pd.concat(frames, ignore_index=True)


def classes_of(density: ArrayLike, first: ArrayLike, second: ArrayLike) -> dict[str, NDArray]:
    """Every label of the areas (n,) of one scope, spelled as in :data:`LABELS`."""
    return {
        "is_hotspot": is_hotspot(density).astype(int).astype(str),
        "tier": tiers(density).astype(str),
        "bivariate": bivariate(first, second),
    }
