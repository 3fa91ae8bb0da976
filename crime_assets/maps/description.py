"""``map.json``: what the map of a month holds, where it comes from, and what is not known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from crime_assets.hexes.ranking import CRIME_HARM
from crime_assets.hexes.study_area import NATION, STUDY_AREA, scope_slug
from crime_assets.maps.layers import ranking_name, type_slug
from crime_assets.register import ALL_CRIME, CRIME_TYPES, FORCES
from crime_assets.settings import Settings

LICENCES = (
    "Contains public sector information licensed under the Open Government Licence v3.0.",
    "Crimes: data.police.uk. Boundaries: Office for National Statistics licensed under the Open "
    "Government Licence v3.0; contains OS data © Crown copyright and database right.",
)
SAMPLE_NOTE = (
    "Made-up sample: three invented forces on drowned land in the North Sea. "
    "It says nothing about any real place."
)
START_TYPE = "Violence and sexual offences"
STATUS_LETTERS = {"published": "p", "partial": "q", "not_published": "n", "not_loaded": "l"}
"""How ``map.json`` spells the status of a force in a month; ``-`` where none is known."""


def scope_title(scope: str) -> str:
    """A scope's name for people."""
    if scope == NATION:
        return "England and Wales"
    if scope == STUDY_AREA:
        return "The whole study area"
    return FORCES[scope].name if scope in FORCES else scope


def describe(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    months: Sequence[str],
    shown: Mapping[tuple[str, str, int], int],
    layers: Mapping[str, Any],
) -> dict[str, Any]:
    """What stands in ``map.json``, but for the version of the data.

    ``shown`` counts the cells of each ranking (scope, crime type, window), ``layers`` says what
    there is beside hotspots. Needs ``scopes``, ``scope_cells``, ``hex_cells`` and ``coverage`` of
    ``months``.
    """
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for (scope, crime_type, window_months), cells in shown.items():
        counts[scope_slug(scope)][ranking_name(crime_type, window_months)] = cells
    scopes = _scopes(connection, {scope for scope, _, _ in shown})
    types = [
        crime_type
        for crime_type in (ALL_CRIME, *CRIME_TYPES, CRIME_HARM)
        if any(crime_type == t for _, t, _ in shown)
    ]
    windows = sorted({w for _, _, w in shown})
    forces = _coverage(connection, months)
    # a map of one force begins with it, not with a nation of which nothing is known
    only = [scope["slug"] for scope in scopes if settings.forces == (scope["slug"],)]
    first = only[0] if only else scopes[0]["slug"]
    _, start_type, start_window = max(
        (ranking for ranking in shown if scope_slug(ranking[0]) == first),
        key=lambda ranking: (ranking[1] == START_TYPE, -types.index(ranking[1]), ranking[2]),
    )
    return {
        "title": "Crime hotspots",
        "month": months[-1],
        "months": list(months),
        "releases": _releases(connection),
        "note": SAMPLE_NOTE if any(FORCES[f].kind == "sample" for f in forces) else None,
        "types": [
            {
                "slug": type_slug(crime_type),
                "name": crime_type,
                "counted": crime_type != CRIME_HARM,
            }
            for crime_type in types
        ],
        "windows": windows,
        "scopes": scopes,
        "rankings": counts,
        "history": True,
        "forces": forces,
        "layers": {name: layer for name, layer in layers.items() if layer},
        "basemap": settings.basemap
        and {
            "tiles": settings.basemap,
            "attribution": settings.basemap_attribution,
            "max_zoom": 19,
        },
        "licences": list(LICENCES),
        "start": {
            "type": type_slug(start_type),
            "window": start_window,
            "scope": first,
        },
    }


def _scopes(connection: duckdb.DuckDBPyConnection, shown: set[str]) -> list[dict[str, Any]]:
    """The scopes that are shown: the whole area, then the forces by name, then other polygons."""
    found = connection.execute(
        """
        select scope, kind, k,
            min(easting) - 200, min(northing) - 200, max(easting) + 200, max(northing) + 200
        from scopes
        inner join scope_cells using (scope)
        inner join hex_cells using (hex_id)
        group by all
        """
    ).fetchall()
    kinds = ("nation", "force", "polygon")
    scopes = [
        {
            "slug": scope_slug(scope),
            "name": scope_title(scope),
            "kind": kind,
            "k": k,
            "bounds": [round(side) for side in bounds],
        }
        for scope, kind, k, *bounds in found
        if scope in shown
    ]
    return sorted(scopes, key=lambda scope: (kinds.index(scope["kind"]), scope["name"]))


def _coverage(
    connection: duckdb.DuckDBPyConnection, months: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Of each force its name and a letter for each month."""
    letters: dict[str, dict[str, str]] = defaultdict(dict)
    for force, month, status in connection.execute(
        "select force, month, status from coverage order by force, month"
    ).fetchall():
        letters[force][month] = STATUS_LETTERS[status]
    return {
        force: {
            "name": FORCES[force].name,
            "coverage": "".join(of_month.get(month, "-") for month in months),
        }
        for force, of_month in letters.items()
    }


def _releases(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How many months were taken from each release, the newest release last."""
    return dict(
        connection.execute(
            "select release, count(distinct month) from coverage where release is not null "
            "group by release order by release"
        ).fetchall()
    )
