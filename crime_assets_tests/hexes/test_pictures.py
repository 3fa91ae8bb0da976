"""Maps of hotspots: what is drawn, at which size, and that a map stays small."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import duckdb
import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from crime_assets.hexes import grid, pictures

TOWN = grid.hex_ids(
    *np.meshgrid(np.arange(530_000, 535_000, 250), np.arange(180_000, 184_000, 250))
)
COUNTY = grid.hex_ids(
    *np.meshgrid(np.arange(500_000, 560_000, 300), np.arange(160_000, 210_000, 170))
)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A county of two forces with a town in it, and hotspots in the town and one far away."""
    with duckdb.connect() as connection:
        town, county = np.unique(TOWN), np.unique(COUNTY)
        connection.execute(
            "create table scopes as from (values ('study-area', 'nation'), ('east', 'force'), "
            "('west', 'force'), ('town', 'polygon')) as scopes (scope, kind)"
        )
        connection.execute("create table scope_cells (scope varchar, hex_id integer)")
        easting, _ = grid.centres(county)
        for scope, cells in (
            ("study-area", county),
            ("east", county[easting > 530_000]),
            ("west", county[easting <= 530_000]),
            ("town", town),
        ):
            connection.execute(
                "insert into scope_cells select $scope, unnest($cells)",
                {"scope": scope, "cells": cells.tolist()},
            )
        hot = [*town[:12].tolist(), int(county[0])]
        connection.execute(
            "create table hotspots as select unnest(['study-area', 'town']) as scope, "
            "'All crime' as crime_type, 12 as window_months, rank, hex_id, 100 - rank as crimes "
            "from (select unnest($hot) as hex_id, unnest(range(1, 14)) as rank)",
            {"hot": hot},
        )
        connection.execute(
            "create table hotspot_frequency as select scope, crime_type, 3 as window_months, rank, "
            "hex_id, ['persistent', 'emerging', 'former', 'intermittent'][1 + rank % 4] as "
            "persistence from hotspots"
        )
        yield connection


def test_a_small_area_has_one_panel_and_a_large_one_a_second_around_most_hotspots(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    small = pictures.hotspot_map(connection, "town", "All crime", 12)
    large = pictures.hotspot_map(connection, "study-area", "All crime", 12)
    assert len([axes for axes in small.axes if axes.images]) == 1
    whole, part = (axes for axes in large.axes if axes.images)
    assert np.ptp(part.get_xlim()) == pictures.ZOOM_M < np.ptp(whole.get_xlim())
    easting, northing = grid.centres(np.unique(TOWN)[:12])
    assert part.get_xlim()[0] < easting.min() <= easting.max() < part.get_xlim()[1]
    assert part.get_ylim()[0] < northing.min() <= northing.max() < part.get_ylim()[1]


def test_a_large_cell_is_drawn_at_its_true_size_and_a_tiny_one_larger(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    figure = pictures.hotspot_map(connection, "study-area", "All crime", 12)
    widths = [
        np.ptp(cells.get_paths()[0].vertices[:, 0])
        for axes in figure.axes
        for cells in axes.collections
        if isinstance(cells, PolyCollection) and axes.images
    ]
    assert widths[0] > 2 * grid.SIDE_M
    assert widths[1] == pytest.approx(2 * grid.SIDE_M)


def test_land_is_where_its_cells_are(connection: duckdb.DuckDBPyConnection) -> None:
    part_of = pictures.areas(connection, "study-area")
    county = np.unique(COUNTY)
    assert (np.flatnonzero(part_of) == county).all()
    easting, _ = grid.centres(county)
    assert set(part_of[county[easting > 530_000]]) != set(part_of[county[easting <= 530_000]])
    assert set(np.unique(pictures.areas(connection, "town"))) == {0, 1}


def test_a_map_takes_less_than_40_kilobytes_and_the_same_bytes_again(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    for draw in (
        lambda: pictures.hotspot_map(connection, "study-area", "All crime", 12),
        lambda: pictures.persistence_map(connection, "study-area", "All crime"),
    ):
        first, again = pictures.png(draw()), pictures.png(draw())
        assert first == again
        assert 2_000 < len(first) < 40 * 1024


@pytest.mark.parametrize("scope", ["study-area", "town", "nowhere"])
def test_a_ranking_without_hotspots_has_a_map_too(
    connection: duckdb.DuckDBPyConnection, scope: str
) -> None:
    connection.execute("delete from hotspots")
    connection.execute("delete from hotspot_frequency")
    assert pictures.png(pictures.hotspot_map(connection, scope, "All crime", 12))
    assert pictures.png(pictures.persistence_map(connection, scope, "All crime"))


def test_importing_the_maps_imports_no_drawing_library() -> None:
    code = (
        "import sys, crime_assets.hexes.pictures; "
        "sys.exit(any(m in sys.modules for m in ('matplotlib', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
