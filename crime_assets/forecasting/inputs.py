"""Counts for an experiment: from the lake, from points, from counted areas, or on streets.

Each reader returns the counts, and what they were made from: files with their SHA-256.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.forecasting.cells import Presence, Series, StudyArea, hex_units, in_a_row
from crime_assets.forecasting.counts import DAY, MONTH, Counts, Units
from crime_assets.forecasting.segments import (
    segment_presence,
    segment_series,
    segment_units,
    stale_counts,
    units_of_network,
)
from crime_assets.hexes import grid
from crime_assets.lake import DuckDB, Lake, create, file_sha256, sql
from crime_assets.lsoa.neighbours import link, touching
from crime_assets.partitions import months_after, months_back
from crime_assets.register import ALL_CRIME, CRIME_TYPES
from crime_assets.settings import Settings
from crime_assets.sources.boundaries import load_force_areas, load_lsoas
from crime_assets.streets.graph import make_graph
from crime_assets.streets.network import load_segments

PARTIAL = 0.25
"""A force is silent in a month with less than this share of its median month: as `coverage`."""

Made = tuple[Counts, dict[str, str]]


@contextmanager
def _engine(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(
        memory_limit=settings.memory_limit, threads=settings.threads
    ).get_connection() as connection:
        yield connection


def _version(source: str) -> str:
    """The SHA-256 of a file; the address of what is none."""
    return file_sha256(Path(source))[0] if Path(source).is_file() else source


def from_lake(settings: Settings, scope: str, last_month: str) -> Made:
    """The cells of a scope of the lake: the months in a row up to ``last_month``.

    Of the nation, which needs no force in particular, the cells of a force that was silent in one
    of the months are left out. Raises :class:`~crime_assets.DataError` for a scope or month that
    the lake has not.
    """
    lake = Lake(settings.data_dir / "lake")
    with _engine(settings) as connection:
        for table in ("scopes", "scope_cells", "hex_cells"):
            lake.view(connection, table)
        found = connection.execute(
            "select forces from scopes where scope = $scope", {"scope": scope}
        ).fetchone()
        if found is None:
            raise DataError(f"the lake has no scope {scope}; its scopes are in the table scopes")
        forces = found[0]
        lake.require("coverage", {"month": last_month})
        earlier = months_back(last_month, 12 * 30)
        there = [
            m
            for m in earlier
            if lake.has("coverage", {"month": m}) and lake.has("hex_counts", {"month": m})
        ]
        lake.view(connection, "coverage", [{"month": m} for m in there])
        presence = Presence.read(connection)
        months = in_a_row(earlier[::-1], lambda m: presence.has(m, forces))[::-1]
        if not months:
            raise DataError(f"{scope} has no crimes of {last_month} in the lake")
        lake.view(connection, "hex_counts", [{"month": m} for m in months])
        silent = () if forces else presence.silent(months)
        cells = StudyArea(scope, silent=silent).cells(connection)
        counts = Series.read(connection, months).counts(hex_units(cells), months[0], months[-1])
    versions = {
        f"{table} {m}": lake.sha256(table, {"month": m})
        for table in ("coverage", "hex_counts")
        for m in months
    }
    versions |= {table: lake.sha256(table) for table in ("scopes", "scope_cells", "hex_cells")}
    return counts, versions


def from_points(
    settings: Settings,
    path: Path,
    areas: str,
    columns: Mapping[str, str],
    crime_types: Mapping[str, str],
) -> Made:
    """The cells with their centre in the LSOAs whose name is like ``areas`` (an SQL pattern).

    ``path`` is a Parquet or CSV file of crimes. ``columns`` says how its ``month``, ``crime_type``,
    ``longitude`` and ``latitude`` (WGS84) are called, ``crime_types`` which of its types are
    called otherwise than police.uk's files call them. Raises :class:`~crime_assets.DataError`
    where no LSOA or no crime is found, or a type is unknown.
    """
    with _engine(settings) as connection:
        load_lsoas(connection, settings.lsoa_boundaries)
        connection.execute(
            "create temp table areas as from lsoa_areas where name like $areas",
            {"areas": areas},
        )
        west, south, east, north = (
            connection.execute(
                "select min(st_xmin(geometry)), min(st_ymin(geometry)), max(st_xmax(geometry)), "
                "max(st_ymax(geometry)) from areas"
            ).fetchone()
            or (None,) * 4
        )
        if west is None:
            raise DataError(f"no LSOA has a name like {areas!r} in {settings.lsoa_boundaries}")
        every = np.arange(grid.CELLS)
        easting, northing = grid.centres(every)
        near = (easting >= west) & (easting <= east) & (northing >= south) & (northing <= north)
        _register(
            connection,
            "lattice_cells",
            {"hex_id": every[near], "easting": easting[near], "northing": northing[near]},
        )
        create(connection, "forecasting/cells_in_areas")
        cells = connection.execute("from cells_in_areas order by hex_id").fetchnumpy()["hex_id"]
        _read(connection, "crimes", path, columns, "month", "crime_type", "longitude", "latitude")
        found = connection.execute(sql("forecasting/crimes_at_points")).fetchnumpy()
    units = hex_units(np.asarray(cells))
    hex_id = grid.hex_ids(found["easting"], found["northing"])
    position = np.full(grid.CELLS + 1, -1)
    position[units.ids] = np.arange(len(units))
    counts = _counts(
        units,
        found["month"],
        _known_types(found["crime_type"], crime_types),
        position[hex_id],
        found["crimes"],
    )
    return counts, {
        path.name: file_sha256(path)[0],
        "LSOA boundaries": _version(settings.lsoa_boundaries),
    }


def from_areas(
    settings: Settings,
    path: Path,
    columns: Mapping[str, str],
    crime_types: Mapping[str, str],
    lookup: Path | None,
) -> Made:
    """LSOAs counted already: ``path`` holds ``month``, ``lsoa_code``, ``crime_type``, ``crimes``.

    ``columns`` and ``crime_types`` say what is called otherwise, as in :func:`from_points`.

    Codes of 2011 are known through ``lookup`` (``lsoa11cd``, ``lsoa21cd``); where an area was split
    or merged, the unit is the smallest area that both vintages add up to, named by the first code
    of 2021. Left out: crimes without a code, and the areas of forces that were silent in a month.
    """
    with _engine(settings) as connection:
        load_lsoas(connection, settings.lsoa_boundaries, "lsoa_boundaries")
        load_force_areas(connection, settings.force_boundaries)
        create(connection, "lsoa/lsoa_areas")
        _read(
            connection, "area_crimes", path, columns, "month", "lsoa_code", "crime_type", "crimes"
        )
        codes = connection.execute(
            "select lsoa21cd as code, 1e6 * area_km2 as size, force from lsoa_areas "
            "order by lsoa21cd"
        ).fetchnumpy()
        found = connection.execute(sql("forecasting/crimes_of_areas")).fetchnumpy()
        pairs = _vintages(connection, lookup, set(map(str, found["lsoa_code"])))
        one, other = touching(connection)
    code = np.asarray(codes["code"]).astype(str)
    of_code, group_of = _units_of_both_vintages(code, pairs)
    n = of_code.max() + 1
    ids = code[np.unique(of_code, return_index=True)[1]]  # codes ascend: the first is the smallest
    order = np.argsort(ids)
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    unit_of_area = place[of_code]
    size = np.bincount(unit_of_area, weights=codes["size"]).astype(float)
    force = np.empty(n, dtype=object)
    force[unit_of_area] = np.asarray(codes["force"], dtype=object)
    units = Units(
        "lsoa",
        ids[order],
        size,
        link(n, unit_of_area[one], unit_of_area[other]),
    )
    lsoa, at = np.unique(np.asarray(found["lsoa_code"]).astype(str), return_inverse=True)
    unknown = [c for c in lsoa if c not in group_of]
    if unknown:
        raise DataError(f"{len(unknown)} codes are no LSOA of 2011 or 2021: {unknown[:5]}")
    unit = place[np.array([group_of[c] for c in lsoa])][at]
    counts = _counts(
        units, found["month"], _known_types(found["crime_type"], crime_types), unit, found["crimes"]
    )
    silent = _silent(counts, force.astype(str))
    return counts.within(~np.isin(force.astype(str), silent)), {
        path.name: file_sha256(path)[0],
        "LSOA boundaries": _version(settings.lsoa_boundaries),
        "force boundaries": _version(settings.force_boundaries),
        **({lookup.name: file_sha256(lookup)[0]} if lookup else {}),
        "left out as silent": ", ".join(silent),
    }


def from_streets(settings: Settings, force: str, last_month: str) -> Made:
    """The street segments of a force of the lake: the months in a row up to ``last_month``.

    Raises :class:`~crime_assets.DataError` for a force without streets or a month without counts.
    """
    lake = Lake(settings.data_dir / "lake")
    with _engine(settings) as connection:
        units = segment_units(connection, lake, force)
        lake.require("segment_counts", {"month": last_month})
        there = in_a_row(
            months_back(last_month, 12 * 30)[::-1],
            lambda m: lake.has("segment_counts", {"month": m}),
        )
        presence = segment_presence(connection, lake, there, [force])
        months = in_a_row(there, lambda m: presence.has(m, [force]))[::-1]
        if not months:
            raise DataError(f"{force} has no crimes of {last_month} on its streets in the lake")
        if stale := stale_counts(connection, lake, months, force):
            raise DataError(stale)
        lake.view(connection, "segment_counts", [{"month": m} for m in months])
        counts = segment_series(connection, months, units)
    versions = {f"segment_counts {m}": lake.sha256("segment_counts", {"month": m}) for m in months}
    return counts, versions | {
        f"{table} {force}": lake.sha256(table, {"force": force})
        for table in ("street_segments", "street_graph")
    }


def from_incidents(
    settings: Settings,
    path: Path,
    streets: Path,
    crs: str,
    columns: Mapping[str, str],
    crime_types: Mapping[str, str],
    step: str = DAY,
    first: str = "",
    last: str = "",
    limit_m: float | None = None,
) -> Made:
    """Incidents with dates on the segments of a network, of a city anywhere.

    ``path`` is a Parquet or CSV file with ``date``, ``crime_type``, ``longitude`` and ``latitude``
    (WGS84); ``columns`` says what is called otherwise. ``streets`` is a file of lines, as
    :func:`~crime_assets.streets.network.read_lines` takes it; ``crs`` a reference system in metres
    for that place. An incident counts on the nearest segment within ``limit_m`` (default: the
    deployment's).

    ``crime_types`` are the city's own: a name, and a regular expression that what the file calls
    them holds somewhere, in any case; the first that fits is taken. What fits none is counted in
    all crime alone. Without any, the file's names are taken.

    Steps are days or months, from ``first`` (default: that of the first incident) to ``last``,
    those without an incident included. Raises :class:`~crime_assets.DataError` where no incident
    is left, and for a ``crs`` that is unknown or not in metres there.
    """
    with _engine(settings) as connection:
        _read(connection, "incidents", path, columns, "date", "crime_type", "longitude", "latitude")
        _require_metres(connection, crs)
        try:
            load_segments(connection, str(streets), "segments", crs=crs)
        except duckdb.Error as error:
            raise DataError(
                f"{streets} cannot be shown in crs {crs!r}: {str(error).splitlines()[0]}"
            ) from error
        connection.execute(
            "create temp table street_segments as select '' as force, * from segments"
        )
        make_graph(connection)
        units = units_of_network(connection)
        create(connection, "forecasting/incident_places", "street_crimes", crs=crs)
        near = settings.street_limit_m if limit_m is None else limit_m
        create(connection, "streets/point_segments", limit_m=near)
        counted = connection.execute(sql("forecasting/incidents_on_segments")).fetchnumpy()
        every_type = connection.execute(
            "select distinct crime_type from street_crimes order by crime_type"
        ).fetchnumpy()["crime_type"]
        (every, undated, unplaced), *_ = connection.execute(
            "select count(*), count(*) filter (where day is null), "
            "count(*) filter (where easting is null) from street_crimes"
        ).fetchall()
    crimes, unit = np.asarray(counted["crimes"]), np.asarray(counted["unit_id"])
    day = np.asarray(counted["day"]).astype("datetime64[M]" if step == MONTH else "datetime64[D]")
    steps = _steps(day, first, last)
    at = (day - steps[0]).astype(int)
    inside = (at >= 0) & (at < len(steps))
    rows = {
        name: (unit[keep], at[keep], crimes[keep])
        for name, theirs in _own_types(every_type, crime_types).items()
        for keep in [np.isin(np.asarray(counted["crime_type"]).astype(str), theirs) & inside]
    }
    rows[ALL_CRIME] = (unit[inside], at[inside], crimes[inside])
    return Counts.of(units, steps.astype(str).tolist(), rows, step), {
        path.name: file_sha256(path)[0],
        streets.name: file_sha256(streets)[0],
        "incidents": f"{every:,}",
        "without a date that can be read": f"{undated:,}",
        "without a place": f"{unplaced:,}",
        "on a street": f"{int(crimes.sum()):,}",
    }


KM_OF_A_DEGREE = 111.2
"""Along a meridian, to half a percent wherever it is."""


def _require_metres(connection: duckdb.DuckDBPyConnection, crs: str) -> None:
    """Raise where a kilometre amid the incidents, north or east, is none in ``crs``."""
    try:
        found = connection.execute(
            sql("forecasting/kilometre"), {"crs": crs, "km_of_a_degree": KM_OF_A_DEGREE}
        ).fetchall()
    except duckdb.Error as error:
        raise DataError(
            f"crs {crs!r} is unknown: give one in metres for that place, such as a zone of UTM: "
            f"{str(error).splitlines()[0]}"
        ) from error
    if wrong := [metres for (metres,) in found if not 950 < metres < 1050]:
        raise DataError(
            f"crs {crs!r} is not in metres where the incidents are: a kilometre is "
            f"{wrong[0]:,.2f} of it; give one in metres for that place, such as a zone of UTM"
        )


def _steps(day: NDArray[np.datetime64], first: str, last: str) -> NDArray[np.datetime64]:
    """Consecutive days or months, from ``first`` to ``last`` or those of the incidents (n,)."""
    if not len(day):
        raise DataError("no incident with a date lies near a street")
    try:
        ends = np.array([first or day.min(), last or day.max()], dtype=day.dtype)
    except ValueError as error:
        raise DataError(f"first {first!r} or last {last!r} is no date: {error}") from error
    if day.max() < ends[0] or day.min() > ends[1] or ends[0] > ends[1]:
        raise DataError(
            f"no incident from {ends[0]} to {ends[1]}: there are some from {day.min()} to "
            f"{day.max()}"
        )
    return np.arange(ends[0], ends[1] + 1)


MOST_TYPES = 30


def _own_types(names: NDArray, patterns: Mapping[str, str]) -> dict[str, list[str]]:
    """A city's crime types, and what of the distinct ``names`` of its file each of them is."""
    left = [str(name) for name in names]
    if not patterns:
        if len(left) > MOST_TYPES:
            raise DataError(
                f"{len(left)} crime types, such as {', '.join(left[:3])}: say in `crime_types` "
                "which to count, a regular expression by name"
            )
        return {name: [name] for name in left if name != ALL_CRIME}
    of_type: dict[str, list[str]] = {}
    for name, pattern in patterns.items():
        try:
            of_type[name] = [called for called in left if re.search(pattern, called, re.IGNORECASE)]
        except re.error as error:
            raise DataError(
                f"crime_types: {pattern!r} is no regular expression: {error}"
            ) from error
        if not of_type[name]:
            raise DataError(f"crime_types: nothing is {name} ({pattern!r}) in this file")
        left = [called for called in left if called not in of_type[name]]
    return of_type


def each_alike(counts: Counts) -> Counts:
    """The same counts of segments, where a coverage is a share of their number, not of length.

    Raises :class:`~crime_assets.DataError` for other units.
    """
    if counts.units.kind != "segment":
        raise DataError(f"coverage_of units is for street segments, not for {counts.units.kind}s")
    units = replace(counts.units, kind="equal-segment", size=np.ones(len(counts.units)))
    return replace(counts, units=units)


def _silent(counts: Counts, force: NDArray) -> list[str]:
    """The forces with a month of far fewer crimes than their median month."""
    by_unit = counts.crimes[ALL_CRIME].toarray()
    found = []
    for name in np.unique(force):
        months = by_unit[force == name].sum(axis=0)
        if months.min() <= PARTIAL * np.median(months):
            found.append(str(name))
    return found


def _vintages(
    connection: duckdb.DuckDBPyConnection, lookup: Path | None, used: set[str]
) -> list[tuple[str, str]]:
    """The pairs of codes of 2011 and 2021 of those areas of 2011 that the file names."""
    if lookup is None:
        return []
    _read(connection, "vintages", lookup, {}, "lsoa11cd", "lsoa21cd")
    rows = connection.execute("from vintages order by all").fetchall()
    new = {b for _, b in rows}
    return [(a, b) for a, b in rows if a in used and a not in new]


def _units_of_both_vintages(
    code: NDArray[np.str_], pairs: Sequence[tuple[str, str]]
) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Which unit each code of 2021 (n,) belongs to, and each code of either vintage."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    old = sorted({a for a, _ in pairs})
    at = {c: i for i, c in enumerate([*code, *old])}
    pairs = [(a, b) for a, b in pairs if b in at]
    ends = np.array([(at[a], at[b]) for a, b in pairs], dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(at), len(at)))
    _, component = connected_components(graph, directed=False)
    of_code = np.unique(component[: len(code)], return_inverse=True)
    number = {c: i for i, c in enumerate(of_code[0])}
    known = {c: number[component[i]] for c, i in at.items() if component[i] in number}
    return of_code[1], known


def _counts(
    units: Units,
    month: NDArray,
    crime_type: NDArray,
    unit: NDArray[np.integer],
    crimes: NDArray,
) -> Counts:
    """Counts of the months from the first to the last; rows without a unit (-1) are left out."""
    month = np.asarray(month).astype(str)
    there = sorted(set(month.tolist()))
    if wrong := [m for m in there if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", m)]:
        raise DataError(f"months must be spelled like 2025-09, not {', '.join(wrong[:5])}")
    if not there:
        raise DataError("the file holds no crime with a place")
    months = [there[0], *(m for m in months_after(there[0], 12 * 30) if m <= there[-1])]
    if missing := sorted(set(months) - set(there)):
        raise DataError(f"no crime in {', '.join(missing[:5])}: months must be there in a row")
    at = np.searchsorted(months, month)
    inside = unit >= 0
    if not inside.any():
        raise DataError("no crime lies in a unit of the study area")
    rows = {
        name: (unit[keep], at[keep], crimes[keep])
        for name in sorted(set(crime_type))
        for keep in [inside & (crime_type == name)]
    }
    rows[ALL_CRIME] = (unit[inside], at[inside], crimes[inside])
    return Counts.of(units, months, rows)


def _known_types(names: NDArray, renamed: Mapping[str, str]) -> NDArray:
    """The crime types as police.uk's files call them, from names in whatever spelling."""

    def plain(name: str) -> str:
        return re.sub(r"[^a-z]+", "-", name.lower()).strip("-")

    known = {plain(name): name for name in CRIME_TYPES} | {
        plain(theirs): ours for theirs, ours in renamed.items()
    }
    found, at = np.unique(np.asarray(names).astype(str), return_inverse=True)
    if unknown := [name for name in found if known.get(plain(name)) not in CRIME_TYPES]:
        raise DataError(
            f"crime types {', '.join(map(str, unknown))} are unknown: name them in `crime_types`"
        )
    return np.array([known[plain(name)] for name in found], dtype=object)[at]


_TYPES = {"longitude": "double", "latitude": "double", "crimes": "bigint"}


def _read(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    path: Path,
    columns: Mapping[str, str],
    *names: str,
) -> None:
    """Make ``table`` of the columns ``names`` of a file, which may call them otherwise."""
    if unknown := sorted(set(columns) - set(names)):
        raise DataError(f"`columns` names {', '.join(unknown)}; there are {', '.join(names)}")
    theirs = {name: columns.get(name, name) for name in names}
    file = _file(path)
    try:
        found = [row[0] for row in connection.execute(f"describe from {file}").fetchall()]
        if missing := [name for name in theirs.values() if name not in found]:
            raise DataError(
                f"{path} has no column {', '.join(missing)}; it has {', '.join(found)}: say in "
                "`columns` which is which"
            )
        select = ", ".join(
            f'"{other}"::{_TYPES.get(name, "varchar")} as {name}' for name, other in theirs.items()
        )
        connection.execute(f"create temp table {table} as select {select} from {file}")
    except duckdb.Error as error:
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def _file(path: Path) -> str:
    """A Parquet or CSV file as DuckDB reads it."""
    if not path.exists():
        raise DataError(f"there is no file {path}")
    quoted = "'" + str(path).replace("'", "''") + "'"
    reader = "read_parquet" if path.suffix == ".parquet" else "read_csv"
    return f"{reader}({quoted})"


def _register(connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, Any]) -> None:
    import pandas as pd

    connection.register(name, pd.DataFrame(columns))
