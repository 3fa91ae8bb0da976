"""What the map shows beside hotspots, where its tables exist: areas, streets, forecasts.

Each function writes the files of one layer and returns what ``map.json`` says of it, or nothing
where there is nothing to show.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import duckdb
import numpy as np

from crime_assets.hexes.study_area import scope_slug
from crime_assets.lake import create
from crime_assets.maps.outlines import steps
from crime_assets.maps.site import Files

STATEMENTS = ("maps/forecast_cells", "maps/hot_segments")


def type_slug(crime_type: str) -> str:
    """How a crime type is called in files and addresses: ``all-crime``."""
    return crime_type.lower().replace(" ", "-")


def ranking_name(crime_type: str, window_months: int) -> str:
    """How a ranking of a scope is called in files: ``all-crime-12``."""
    return f"{type_slug(crime_type)}-{window_months}"


def area_classes(
    connection: duckdb.DuckDBPyConnection,
    files: Files,
    cut_off: str,
    bivariate: tuple[str, str],
) -> dict[str, Any]:
    """The tiers and bivariate classes of LSOAs in the twelve months after ``cut_off``.

    ``bivariate`` are the two types of the classes, as ``lsoa_labels`` were made with. Needs
    ``lsoa_labels`` of the cut-off. An area without a class, whose force did not publish, is left
    out.
    """
    found = connection.execute(
        "select scope, force, lsoa21cd, tier, bivariate, round(crime_density, 1) as density "
        "from lsoa_labels where tier is not null order by scope, lsoa21cd"
    ).fetchnumpy()
    scopes: dict[str, int] = {}
    for scope, here in _groups(found, "scope"):
        forces, force = np.unique(here["force"].astype(str), return_inverse=True)
        files.add(
            f"layers/tiers/{scope_slug(scope)}",
            {
                "cut_off": cut_off,
                "forces": forces.tolist(),
                "force": force.tolist(),
                "lsoa21cd": here["lsoa21cd"].tolist(),
                "tier": here["tier"].tolist(),
                "bivariate": _or_null(here["bivariate"]),
                "density": here["density"].tolist(),
            },
        )
        scopes[scope_slug(scope)] = len(force)
    if not scopes:
        return {}
    return {"cut_off": cut_off, "scopes": scopes, "bivariate": list(bivariate)}


def segments(connection: duckdb.DuckDBPyConnection, files: Files, month: str) -> dict[str, Any]:
    """The street segments with the most crimes in the windows that end in ``month``, by force.

    Needs ``street_segments`` and ``segment_counts`` of the twelve months.
    """
    create(connection, "maps/hot_segments", month=month)
    forces: dict[str, int] = {}
    names = connection.execute("select distinct force from hot_segments order by force").fetchall()
    for (force,) in names:
        lines = connection.execute(
            """
            select segment_id, name, round(length_m)::integer as length_m,
                st_asgeojson(geometry) as line
            from street_segments
            where force = $force and segment_id in (
                select segment_id from hot_segments where force = $force
            )
            order by segment_id
            """,
            {"force": force},
        ).fetchall()
        number = {segment: i for i, (segment, *_) in enumerate(lines)}
        crimes: dict[str, Any] = defaultdict(lambda: {"segment": [], "crimes": []})
        for crime_type, window_months, segment, count in connection.execute(
            "select crime_type, window_months, segment_id, crimes from hot_segments "
            "where force = $force order by crime_type, window_months, crimes desc, segment_id",
            {"force": force},
        ).fetchall():
            ranking = crimes[ranking_name(crime_type, window_months)]
            ranking["segment"].append(number[segment])
            ranking["crimes"].append(count)
        files.add(
            f"layers/segments/{force}",
            {
                "name": [name for _, name, _, _ in lines],
                "length_m": [length for _, _, length, _ in lines],
                "lines": [steps(json.loads(line)["coordinates"]) for *_, line in lines],
                "crimes": crimes,
            },
        )
        forces[force] = len(lines)
    return {"forces": forces} if forces else {}


def forecasts(connection: duckdb.DuckDBPyConnection, files: Files, month: str) -> dict[str, Any]:
    """What models foretold, 1, 3 and 12 months before, of the windows that end in ``month``.

    Needs ``forecasts`` of cells, ``scopes`` and ``complete_windows``. The page lays the cells that
    then were the hottest beside them; where nobody knows which, for a window is not complete, the
    forecast is left out.
    """
    create(connection, "maps/forecast_cells", month=month)
    rows = connection.execute("from forecast_cells").fetchall()
    foretold: dict[tuple[str, str, int], dict[str, Any]] = {}
    for scope, crime_type, window_months, model, cut_off, cells in rows:
        ranking = foretold.setdefault(
            (scope, crime_type, window_months),
            {"cut_off": cut_off, "horizon_months": window_months, "models": {}},
        )
        ranking["models"][model] = cells
    rankings: dict[str, list[str]] = defaultdict(list)
    for (scope, crime_type, window_months), content in foretold.items():
        name = ranking_name(crime_type, window_months)
        files.add(f"layers/forecasts/{scope_slug(scope)}/{name}", content)
        rankings[scope_slug(scope)].append(name)
    if not rankings:
        return {}
    return {"models": sorted({row[3] for row in rows}), "rankings": rankings}


def _groups(columns: dict[str, Any], key: str) -> Any:
    """The rows of each value of a column by which they are in order."""
    values, starts = np.unique(columns[key].astype(str), return_index=True)
    ends = [*starts.tolist(), len(columns[key])][1:]
    for value, start, end in zip(values.tolist(), starts.tolist(), ends, strict=True):
        yield value, {name: column[start:end] for name, column in columns.items()}


def _or_null(column: Any) -> list[Any]:
    masked = np.ma.asarray(column)
    return [None if value is None else value for value in masked.tolist()]
