"""What is known of each area at a cut-off: one column a feature, named for a person to read.

No count in it is later than the cut-off; what CRIME_LSOA_ATTRIBUTES gives has no date. What needs a
year that is not there is null, and so is what nobody gave (population, deprivation);
:func:`why_null` says which and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.lsoa.clusters import clusters, in_order, trends
from crime_assets.lsoa.history import LEAST_AREAS, YEAR, History
from crime_assets.lsoa.moran import local_moran, spatial_lag
from crime_assets.register import CRIME_TYPES, type_column
from crime_assets.sources.given import read_table, table_columns
from crime_assets.tables import LSOA_FEATURES

if TYPE_CHECKING:
    import pandas as pd

YEARS = ("last_year", "year_before", "two_years_before")
"""The years of twelve months, counted back from the cut-off."""

TYPES = tuple(t.crime_type for t in CRIME_TYPES.values() if not t.last_month)
SUMMER = ("06", "07", "08")
QUARTER = 3


def features_of(history: History, scopes: Mapping[str, NDArray[np.bool_]]) -> pd.DataFrame:
    """The features of the areas of all scopes: a row a scope and area, in the order of the codes.

    ``scopes`` say which areas of ``history`` (n,) they have; each of them has the last year. The
    neighbours' densities are of all areas with data around it, inside the scope or not; clusters
    and the local Moran's I are of the scope alone. Columns that cannot be made are nan.
    """
    import pandas as pd

    around = _surroundings(history)
    frames = [
        _features(history, areas, around).assign(scope=scope)
        for scope, areas in sorted(scopes.items())
    ]
    return pd.concat(frames, ignore_index=True)


def _features(
    history: History, scope: NDArray[np.bool_], around: Mapping[str, NDArray]
) -> pd.DataFrame:
    """The features of one scope."""
    import pandas as pd

    own = history.within(scope)
    n = len(own.codes)
    columns: dict[str, NDArray] = {
        "lsoa21cd": own.codes,
        "force": own.force,
        "years": (~np.isnan(own.total)).sum(axis=1),
    }
    nothing = np.full(n, np.nan)
    for year, name in enumerate(YEARS):
        columns[f"density_{name}"] = own.total[:, year] if year < own.years else nothing
    # the years there may differ between areas, so each area's own first one is taken
    earliest = own.years - 1 - (~np.isnan(own.total[:, ::-1])).argmax(axis=1)
    first = own.total[np.arange(n), earliest]
    columns["density_mean"] = np.nanmean(own.total, axis=1)
    columns["density_change"] = np.where(columns["years"] > 1, own.total[:, 0] - first, np.nan)
    for crime_type in TYPES:
        columns[f"density_{type_column(crime_type)}"] = (
            own.density[:, 0, own.crime_types.index(crime_type)]
            if crime_type in own.crime_types
            else nothing
        )
    columns |= _clusters(own)
    columns |= {name: values[scope] for name, values in around.items()}
    local = local_moran(own.neighbours, own.total[:, 0])
    lisa = local.lisa.astype(object)
    lisa[np.isnan(local.value)] = None
    columns |= {"local_moran": local.value, "lisa": lisa}
    columns |= _seasons(own)
    columns["area_km2"] = own.area_km2
    return pd.DataFrame(columns)


def _clusters(own: History) -> dict[str, NDArray]:
    """Clusters of each year and of the long-run mean, in order of density, and their trend."""
    n = len(own.codes)
    columns: dict[str, NDArray] = {}
    for year, name in enumerate(YEARS):
        found = np.full(n, np.nan)
        there = ~np.isnan(own.total[:, year]) if year < own.years else np.zeros(n, dtype=bool)
        if there.sum() >= LEAST_AREAS:
            found[there] = _clustered(own.density[there, year], own.total[there, year])
        columns[f"cluster_{name}"] = found
    columns["cluster_long_run"] = _clustered(
        np.nanmean(own.density, axis=1), np.nanmean(own.total, axis=1)
    )
    yearly = np.column_stack([columns[f"cluster_{name}"] for name in YEARS[: own.years]])[:, ::-1]
    whole = ~np.isnan(yearly).any(axis=1)
    for trend in ("increasing", "stable", "decreasing"):
        flag = np.full(n, np.nan)
        if own.years > 1:
            flag[whole] = trends(yearly[whole])[trend]
        columns[f"cluster_{trend}"] = flag
    return columns


def _clustered(densities: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.int64]:
    return in_order(clusters(densities, starts=4), total)


def _surroundings(history: History) -> dict[str, NDArray]:
    """The mean density of the areas that touch an area (n,); nan where none has data."""
    nothing = np.full(len(history.codes), np.nan)
    yearly = spatial_lag(history.neighbours, history.total)
    by_type = spatial_lag(history.neighbours, history.density[:, 0])
    return {
        f"neighbours_density_{name}": yearly[:, year] if year < history.years else nothing
        for year, name in enumerate(YEARS)
    } | {
        f"neighbours_density_{type_column(name)}": (
            by_type[:, history.crime_types.index(name)] if name in history.crime_types else nothing
        )
        for name in TYPES
    }


def _seasons(own: History) -> dict[str, NDArray]:
    """When in the year crimes happen, over all years of an area that are there.

    ``season_strength`` is the length of the mean of the months as directions on a circle
    (Batschelet 1981): 0 where they are even over the year, 1 where all are in one month.
    """
    n, last = len(own.codes), len(own.months)
    whole = np.repeat(~np.isnan(own.total[:, ::-1]), YEAR, axis=1)  # as the months: earliest first
    monthly = np.where(whole, own.monthly, 0.0)
    of_year = np.array([int(month[5:]) for month in own.months])
    summer = np.isin([month[5:] for month in own.months], SUMMER)
    by_month = monthly @ (of_year[:, None] == np.arange(1, YEAR + 1))
    crimes = monthly.sum(axis=1)
    angle = 2 * np.pi * np.arange(YEAR) / YEAR
    last_year = own.monthly[:, last - YEAR :]

    def share(part: NDArray, whole: NDArray) -> NDArray:
        return np.divide(part, whole, out=np.full(n, np.nan), where=whole > 0)

    return {
        "summer_share": share(monthly[:, summer].sum(axis=1), crimes),
        "season_strength": share(np.abs(by_month @ np.exp(1j * angle)), crimes),
        "last_quarter_share": share(last_year[:, -QUARTER:].sum(axis=1), last_year.sum(axis=1)),
    }


# --- What nobody counted --------------------------------------------------------------------

ATTRIBUTES = ("population", "imd_rank")


def view_attributes(connection: duckdb.DuckDBPyConnection, path: str | None) -> None:
    """Let ``attributes`` be a view of the file of CRIME_LSOA_ATTRIBUTES: null what it has not.

    Raises :class:`~crime_assets.DataError` for a file without ``lsoa21cd``, without either of the
    attributes, or with an area twice.
    """
    nothing = ", ".join(f"null::double as {name}" for name in ATTRIBUTES)
    if path is None:
        connection.execute(
            "create or replace temp view attributes as "
            f"select null::varchar as lsoa21cd, {nothing} where false"
        )
        return
    setting = "CRIME_LSOA_ATTRIBUTES"
    given = [name for name in ATTRIBUTES if name in table_columns(connection, path, setting)]
    if not given:
        raise DataError(f"{setting}: {path} has neither {' nor '.join(ATTRIBUTES)}")
    columns = {"lsoa21cd": "varchar"} | dict.fromkeys(given, "double")
    read_table(connection, "given_attributes", path, setting, **columns)
    twice = connection.execute(
        "select lsoa21cd from given_attributes group by 1 having count(*) > 1 order by 1 limit 1"
    ).fetchone()
    if twice:
        raise DataError(f"{setting}: {path} has {twice[0]} more than once")
    chosen = ", ".join(name if name in given else f"null::double as {name}" for name in ATTRIBUTES)
    connection.execute(
        f"create or replace temp view attributes as select lsoa21cd, {chosen} from given_attributes"
    )


def why_null(
    connection: duckdb.DuckDBPyConnection,
    history: History,
    has_hotspots: bool,
    attributes: str | None,
) -> list[tuple[str, str, str]]:
    """The columns of ``lsoa_features`` that hold null: name, share of the rows, and the reason."""
    columns = [c.name for c in LSOA_FEATURES.columns]
    shares = connection.execute(
        "select "
        + ", ".join(f"avg(({name} is null)::int)" for name in columns)
        + " from lsoa_features"
    ).fetchone()
    found = zip(columns, shares or (), strict=True)
    return [
        (name, f"{share:.1%}", _reason(name, history, has_hotspots, attributes))
        for name, share in found
        if share
    ]


def _reason(name: str, history: History, has_hotspots: bool, attributes: str | None) -> str:
    """Why a column may be null, as its name and what is there say."""
    late = [f"density_{type_column(t)}" for t in TYPES if t not in history.crime_types]
    if name in ATTRIBUTES:
        return (
            "CRIME_LSOA_ATTRIBUTES does not know it of every area"
            if attributes
            else "CRIME_LSOA_ATTRIBUTES is not given"
        )
    if name == "hot_cells":
        return (
            "the scope is not ranked over twelve months"
            if has_hotspots
            else "no hotspots of the cut-off are in the lake"
        )
    if name.endswith("_share") or name == "season_strength":
        return "areas without a crime"
    if name.removeprefix("neighbours_") in late:
        return f"police.uk has not had the type since {history.months[0]}"
    if name.startswith("neighbours") or name in ("local_moran", "lisa"):
        some = "areas that touch none with data"
        year = next((y for y, word in enumerate(YEARS) if name.endswith(word)), 0)
        return some if year < history.years else _lacks(history)
    return _lacks(history)


def _lacks(history: History) -> str:
    """Which years are not there, and of which forces."""
    silent = {YEARS[year]: forces for year, forces in history.silent.items() if forces and year}
    parts = [f"{year}: not of {', '.join(forces[:6])}" for year, forces in silent.items()]
    if history.years < len(YEARS):
        parts.append(f"counts before {history.months[0]} are not in the lake")
    return "; ".join(parts)
