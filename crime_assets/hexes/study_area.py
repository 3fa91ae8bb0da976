"""The study area: which cells of the grid it has, and which areas are ranked on their own.

From boundaries in EPSG:27700 (``sources/boundaries.py``) to the temporary tables ``hex_cells``,
``scopes`` and ``scope_cells``, by the statements in ``sql/hexes/``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import duckdb

from crime_assets.hexes.grid import CELL_AREA_M2
from crime_assets.lake import create
from crime_assets.register import FORCES, force_slugs
from crime_assets.sources.boundaries import BoundaryError

SHARE = 0.001
"""The share of an area's cells that are its hotspots, those without a crime counted too."""

NATION_K = 1483
"""The hotspots of England and Wales: each window of the published national maps holds exactly so
many cells. It is 0.1 % of the cells within the full-extent boundary (to the low-water mark); the
generalised boundaries, clipped to the coast, would give 1,468 or 1,455."""

NATION = "england-and-wales"
STUDY_AREA = "study-area"
"""What takes the nation's place where not all 43 territorial forces are here."""

CELLS_SQL = (
    "hexes/centre_rows",
    "hexes/area_edges",
    "hexes/centres_in_areas",
    "hexes/coast_cells",
    "hexes/hex_cells",
)
"""The statements behind ``hex_cells``."""

SCOPES_SQL = (
    "hexes/centre_rows",
    "hexes/area_edges",
    "hexes/centres_in_areas",
    "hexes/scope_cells",
    "hexes/scopes",
)
"""The statements behind ``scopes`` and ``scope_cells``."""


def nation_of(forces: Iterable[str]) -> str:
    """The scope of these forces' areas together: the nation where all territorial ones are here."""
    return NATION if {*force_slugs(("territorial",))} <= {*forces} else STUDY_AREA


def make_study_area(
    connection: duckdb.DuckDBPyConnection,
    lsoa_table: str,
    force_table: str,
    polygon_table: str | None = None,
) -> None:
    """:func:`make_hex_cells`, then :func:`make_scopes`."""
    make_hex_cells(connection, lsoa_table, force_table)
    make_scopes(connection, force_table, polygon_table)


def make_hex_cells(
    connection: duckdb.DuckDBPyConnection, lsoa_table: str, force_table: str
) -> None:
    """Make the temporary table ``hex_cells``, ordered by ``hex_id``.

    ``lsoa_table`` has the columns ``code`` and ``geometry``, ``force_table`` also ``force``;
    geometries are valid polygons in EPSG:27700. A row is a cell that intersects the union of the
    LSOAs, with the LSOA and the police force area in which its centre lies. A centre on an edge
    that two share belongs to the one with the smaller code. Areas need not nest: ``force`` is
    found from the force's own polygon.

    Raises :class:`~crime_assets.sources.boundaries.BoundaryError` where no cell of the grid
    intersects an LSOA, or no cell has its centre in a force.
    """
    with _areas(
        connection,
        f"""
        select 'lsoa' as kind, code, code as area, geometry from {lsoa_table}
        union all
        select 'force' as kind, code, force as area, geometry from {force_table}
        """,
    ):
        create(connection, "hexes/coast_cells")
        create(connection, "hexes/hex_cells")
        connection.execute("drop table coast_cells")
    found = connection.execute("select count(*), count(force) from hex_cells").fetchone()
    assert found is not None
    cells, cells_in_forces = found
    if not cells:
        raise BoundaryError(
            "no cell of the 200 m grid intersects the LSOA boundaries: the grid covers England "
            "and Wales; do the boundaries?"
        )
    if not cells_in_forces:
        raise BoundaryError(
            f"none of the {cells:,} cells of the LSOA boundaries has its centre in a police force "
            "area: do CRIME_LSOA_BOUNDARIES and CRIME_FORCE_BOUNDARIES belong together?"
        )


def make_scopes(
    connection: duckdb.DuckDBPyConnection, force_table: str, polygon_table: str | None = None
) -> None:
    """Make the temporary tables ``scope_cells`` and ``scopes``; needs ``hex_cells``.

    ``force_table`` has the columns ``code``, ``force`` and ``geometry``, ``polygon_table`` has
    ``code`` (the scope's name) and ``geometry``, in EPSG:27700. A force of which less than half
    lies in the LSOAs is no scope. The nation is called :data:`NATION` and has :data:`NATION_K`
    hotspots where all 43 territorial forces are here; otherwise it is :data:`STUDY_AREA`, with
    :data:`SHARE` of the cells whose centre lies in an LSOA.

    ``scope_cells`` is ordered by scope and ``hex_id``, ``scopes`` by nation, forces, polygons and
    by name.

    Raises :class:`~crime_assets.sources.boundaries.BoundaryError` where a polygon's name is, but
    for case and punctuation, that of a force, of the nation or of another polygon, or where a
    polygon holds the centre of no cell of the study area.
    """
    # a file of all forces may lie over the LSOAs of a few: a force of which the smaller part is
    # here would be ranked as if it were whole
    connection.execute(
        f"""
        create or replace temp table forces_here as
        select area.force
        from {force_table} as area
        inner join hex_cells as cell on area.force = cell.force
        group by area.force, st_area(area.geometry)
        having count(cell.lsoa21cd) * $cell_area >= 0.5 * st_area(area.geometry)
        """,
        {"cell_area": float(CELL_AREA_M2)},
    )
    here = "select force from forces_here"
    forces = {f for (f,) in connection.execute(here).fetchall()}
    nation = nation_of(forces)
    areas = f"""
        select 'force' as kind, code, force as area, geometry from {force_table}
        where force in ({here})
        """
    if polygon_table is not None:
        _refuse_ambiguous_names(connection, polygon_table)
        areas += f"""
        union all
        select 'polygon' as kind, code, code as area, geometry from {polygon_table}
        """
    with _areas(connection, areas):
        create(connection, "hexes/scope_cells", nation=nation)
        create(
            connection,
            "hexes/scopes",
            nation=nation,
            nation_k=NATION_K if nation == NATION else None,
            share=SHARE,
            cell_area_m2=float(CELL_AREA_M2),
        )
    connection.execute("drop table forces_here")
    empty = connection.execute(
        "select scope from scopes where kind = 'polygon' and cells = 0 order by scope"
    ).fetchall()
    if empty:
        raise BoundaryError(
            f"CRIME_SCOPES: {', '.join(name for (name,) in empty)}: holds the centre of no cell of "
            "the study area (a cell has 10.4 ha); leave it out, or join it with its neighbour"
        )


@contextmanager
def _areas(connection: duckdb.DuckDBPyConnection, areas: str) -> Iterator[None]:
    """The tables ``areas``, ``area_edges``, ``centre_rows`` and ``centres_in_areas``, for a while.

    ``areas`` is a query of ``kind``, ``code``, ``area`` and ``geometry``. Within a kind the
    ``area_id`` rises with the code.
    """
    connection.execute(
        f"""
        create or replace temp table areas as
        select
            row_number() over (order by kind, code) as area_id,
            kind,
            area,
            geometry
        from ({areas})
        order by area_id
        """
    )
    steps = ("area_edges", "centre_rows", "centres_in_areas")
    try:
        for step in steps:
            create(connection, f"hexes/{step}")
        yield
    finally:
        for table in ("areas", *steps):
            connection.execute(f"drop table if exists {table}")


def _refuse_ambiguous_names(connection: duckdb.DuckDBPyConnection, polygon_table: str) -> None:
    """Raise :class:`BoundaryError` where a reader could take one scope's name for another's."""
    taken = {slug: f"the force {slug}" for slug in FORCES}
    taken |= {name: f"the study area, {name}" for name in (NATION, STUDY_AREA)}
    names = connection.execute(f"select code from {polygon_table} order by code").fetchall()
    for (name,) in names:
        slug = scope_slug(name)
        if slug in taken:
            raise BoundaryError(
                f"CRIME_SCOPES: the polygon {name!r} is called like {taken[slug]}; rename it"
            )
        taken[slug] = f"the polygon {name!r}"


def scope_slug(name: str) -> str:
    """A name without accents, case and punctuation: ``Ynys Môn`` is ``ynys-mon``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
