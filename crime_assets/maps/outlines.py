"""Outlines of areas for the map: simplified together, as short lists of whole metres.

An outline travels as its first corner and the steps from each corner to the next, so that most
numbers have two or three digits; the page projects them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import duckdb
import numpy as np

from crime_assets.lake import sql

STATEMENTS = ("maps/outlines",)
FORCE_TOLERANCE_M = 400.0
"""A pixel of the nation on a screen is 1,500 m, one of a town 50 m: there LSOAs are drawn."""
AREA_TOLERANCE_M = 15.0


def outlines(connection: duckdb.DuckDBPyConnection, areas: str, tolerance_m: float) -> Any:
    """The outlines of the rows of ``areas``, a query of ``code``, ``name`` and ``geometry``.

    Returns ``{"id": [..], "name": [..], "areas": [..]}``: of each area its polygons, each a list
    of rings (the outer one, then holes), each a flat list x, y, dx, dy, .. in metres (EPSG:27700).
    Borders that two areas share are simplified alike. An area smaller than the tolerance may have
    no polygon left. ``connection`` has the ``spatial`` extension.
    """
    connection.execute(f"create or replace temp view areas as {areas}")
    found = connection.execute(sql("maps/outlines"), {"tolerance": tolerance_m}).fetchall()
    connection.execute("drop view areas")
    polygons = [_polygons(json.loads(outline)) for _, _, outline in found]
    return {
        "id": [code for code, _, _ in found],
        "name": [name for _, name, _ in found],
        "areas": polygons,
    }


def steps(corners: Iterable[Iterable[float]]) -> list[int]:
    """A line as its first corner and the steps from each to the next, in whole metres."""
    rounded = np.rint(np.asarray(corners, dtype=float)).astype(int)
    moved = np.diff(rounded, axis=0)
    return [*rounded[0].tolist(), *moved[moved.any(axis=1)].ravel().tolist()]


def _polygons(outline: dict[str, Any]) -> list[list[list[int]]]:
    """The polygons of a GeoJSON geometry; rings that have no area once rounded are left out."""
    parts = outline["coordinates"]
    if outline["type"] == "Polygon":
        parts = [parts]
    made = []
    for part in parts:
        rings = [steps(ring[:-1]) for ring in part]
        if len(rings[0]) >= 6:
            made.append([ring for ring in rings if len(ring) >= 6])
    return made
