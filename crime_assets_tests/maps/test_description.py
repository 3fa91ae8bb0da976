"""``map.json``: what there is, in which order, where it comes from, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pytest

from crime_assets.hexes import grid
from crime_assets.hexes.study_area import scope_slug
from crime_assets.lake import DuckDB
from crime_assets.maps.description import LICENCES, describe, scope_title
from crime_assets.partitions import months_back
from crime_assets.register import ALL_CRIME
from crime_assets.settings import Settings

MONTHS = months_back("2025-12", 36)
DRUGS, VIOLENCE = "Drugs", "Violence and sexual offences"

CELLS = {
    "england-and-wales": grid.hex_ids([500_000, 400_000, 450_000], [150_000, 300_000, 200_000]),
    "kent": grid.hex_ids([500_000], [150_000]),
    "avon-and-somerset": grid.hex_ids([400_000, 450_000], [300_000, 200_000]),
    "St Paul's": grid.hex_ids([450_000], [200_000]),
    "Abbey": grid.hex_ids([400_000], [300_000]),
}
KINDS = {"england-and-wales": "nation", "kent": "force", "avon-and-somerset": "force"}
SHOWN = {
    (scope, crime_type, window): 5 + window
    for scope in CELLS
    for crime_type in (VIOLENCE, DRUGS, ALL_CRIME)
    for window in (12, 1, 3)
}

COVERAGE = f"""
    select force, month, status, release
    from (values
        ('kent', '{MONTHS[0]}', 'published', '2025-06'),
        ('kent', '{MONTHS[1]}', 'partial', '2025-12'),
        ('kent', '{MONTHS[2]}', 'not_published', null),
        ('kent', '{MONTHS[35]}', 'not_loaded', null),
        ('gwent', '{MONTHS[0]}', 'not_loaded', null),
        ('gwent', '{MONTHS[1]}', 'published', '2025-06'),
        ('gwent', '{MONTHS[35]}', 'published', '2025-12')
    ) as covered(force, month, status, release)
"""


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """Scopes in no order, their cells, and a coverage with gaps."""
    with DuckDB(threads=1).get_connection() as connection:
        connection.execute(
            "create temp table scopes (scope varchar, kind varchar, k integer); "
            "create temp table scope_cells (scope varchar, hex_id integer); "
            "create temp table hex_cells (hex_id integer, easting double, northing double)"
        )
        for k, (scope, cells) in enumerate(reversed(CELLS.items()), 1):
            kind = KINDS.get(scope, "polygon")
            connection.execute("insert into scopes values ($1, $2, $3)", [scope, kind, k])
            for cell in cells.tolist():
                connection.execute("insert into scope_cells values ($1, $2)", [scope, cell])
        cells = np.unique(np.concatenate(list(CELLS.values())))
        for row in zip(cells.tolist(), *grid.centres(cells), strict=True):
            connection.execute("insert into hex_cells values ($1, $2, $3)", list(row))
        connection.execute(f"create temp table coverage as {COVERAGE}")
        yield connection


def described(
    connection: duckdb.DuckDBPyConnection,
    shown: dict[tuple[str, str, int], int] | None = None,
    layers: dict[str, Any] | None = None,
    **environment: str,
) -> dict[str, Any]:
    settings = Settings.from_environment(environment)
    return describe(connection, settings, MONTHS, shown or SHOWN, layers or {})


@pytest.mark.parametrize(
    ("scope", "slug"),
    [
        ("kent", "kent"),
        ("city-of-london", "city-of-london"),
        ("St Paul's", "st-paul-s"),
        ("  A/B \\ .. C  ", "a-b-c"),
        ("Île 2", "ile-2"),
    ],
)
def test_a_scope_has_a_name_that_may_stand_in_a_path(scope: str, slug: str) -> None:
    assert scope_slug(scope) == slug


@pytest.mark.parametrize(
    ("scope", "title"),
    [
        ("england-and-wales", "England and Wales"),
        ("study-area", "The whole study area"),
        ("kent", "Kent Police"),
        ("St Paul's", "St Paul's"),
    ],
)
def test_a_scope_has_a_name_for_people(scope: str, title: str) -> None:
    assert scope_title(scope) == title


def test_coverage_is_a_letter_a_month_for_each_force(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert described(connection)["forces"] == {
        "gwent": {"name": "Gwent Police", "coverage": "lp" + "-" * 33 + "p"},
        "kent": {"name": "Kent Police", "coverage": "pqn" + "-" * 32 + "l"},
    }


def test_scopes_are_the_nation_then_forces_then_polygons_by_name(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    scopes = described(connection)["scopes"]
    assert [(s["slug"], s["name"], s["kind"], s["k"]) for s in scopes] == [
        ("england-and-wales", "England and Wales", "nation", 5),
        ("avon-and-somerset", "Avon and Somerset Constabulary", "force", 3),
        ("kent", "Kent Police", "force", 4),
        ("abbey", "Abbey", "polygon", 1),
        ("st-paul-s", "St Paul's", "polygon", 2),
    ]


def test_the_bounds_of_a_scope_hold_every_corner_of_its_cells_and_little_more(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    bounds = {scope["slug"]: scope["bounds"] for scope in described(connection)["scopes"]}
    for scope, cells in CELLS.items():
        corners = np.asarray(grid.corners(cells)).reshape(-1, 2)
        west, south, east, north = bounds[scope_slug(scope)]
        assert all(isinstance(side, int) for side in bounds[scope_slug(scope)])
        low, high = corners.min(axis=0), corners.max(axis=0)
        assert (np.array([west, south]) <= low + 0.5).all()
        assert (np.array([east, north]) >= high - 0.5).all()
        assert (np.array([*low, *high]) - [west, south, east, north] < 30).all()


def test_a_scope_without_a_ranking_is_not_listed(connection: duckdb.DuckDBPyConnection) -> None:
    shown = {(scope, *rest): n for (scope, *rest), n in SHOWN.items() if scope == "kent"}
    found = described(connection, shown)  # type: ignore[arg-type]
    assert [scope["slug"] for scope in found["scopes"]] == ["kent"]
    assert list(found["rankings"]) == ["kent"]
    assert found["start"]["scope"] == "kent"


def test_each_ranking_says_how_many_cells_it_has(connection: duckdb.DuckDBPyConnection) -> None:
    found = described(connection)["rankings"]
    assert set(found) == {"england-and-wales", "kent", "avon-and-somerset", "st-paul-s", "abbey"}
    assert found["st-paul-s"]["violence-and-sexual-offences-12"] == 17
    assert len(found["kent"]) == 9


def test_types_stand_in_the_order_of_the_register_between_all_of_them_and_harm(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = described(connection, SHOWN | {("kent", "Crime harm", 1): 3})
    assert found["types"] == [
        {"slug": "all-crime", "name": "All crime", "counted": True},
        {"slug": "drugs", "name": "Drugs", "counted": True},
        {
            "slug": "violence-and-sexual-offences",
            "name": "Violence and sexual offences",
            "counted": True,
        },
        {"slug": "crime-harm", "name": "Crime harm", "counted": False},
    ]
    assert found["windows"] == [1, 3, 12]


@pytest.mark.parametrize(
    ("shown", "start"),
    [
        (SHOWN, ("violence-and-sexual-offences", 12, "england-and-wales")),
        # of a type that is too young for twelve months
        (
            {("kent", VIOLENCE, 1): 3, ("kent", ALL_CRIME, 12): 4},
            ("violence-and-sexual-offences", 1, "kent"),
        ),
        ({("kent", DRUGS, 1): 3, ("kent", ALL_CRIME, 1): 4}, ("all-crime", 1, "kent")),
        ({("Abbey", DRUGS, 3): 3, ("Abbey", DRUGS, 1): 3}, ("drugs", 3, "abbey")),
    ],
)
def test_the_page_starts_with_violence_or_the_first_type_in_the_longest_window(
    connection: duckdb.DuckDBPyConnection,
    shown: dict[tuple[str, str, int], int],
    start: tuple[str, int, str],
) -> None:
    found = described(connection, shown)["start"]
    assert (found["type"], found["window"], found["scope"]) == start


def test_it_says_where_the_data_comes_from(connection: duckdb.DuckDBPyConnection) -> None:
    found = described(connection)
    assert found["releases"] == {"2025-06": 2, "2025-12": 2}
    assert list(found["releases"]) == ["2025-06", "2025-12"]
    assert found["licences"] == list(LICENCES)
    assert "Open Government Licence v3.0" in found["licences"][0]
    assert "Office for National Statistics" in found["licences"][1]
    assert (found["month"], found["months"]) == ("2025-12", MONTHS)
    assert found["history"] is True


def test_the_map_of_the_sample_says_that_it_is_made_up(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert described(connection)["note"] is None
    connection.begin()
    connection.execute("update coverage set force = 'sample-dogger'")
    assert "Made-up sample" in described(connection)["note"]
    connection.rollback()


def test_the_base_map_is_that_of_the_settings_or_none(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert described(connection)["basemap"] == {
        "tiles": "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
        "attribution": "© OpenStreetMap contributors",
        "max_zoom": 19,
    }
    tiles = "/tiles/{z}/{x}/{y}.png"
    found = described(connection, CRIME_BASEMAP=tiles, CRIME_BASEMAP_ATTRIBUTION="© Us")["basemap"]
    assert (found["tiles"], found["attribution"]) == (tiles, "© Us")
    assert described(connection, CRIME_BASEMAP="none")["basemap"] is None


def test_only_layers_that_show_something_are_listed(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    layers = {"tiers": {"cut_off": "2024-12", "scopes": {"kent": 3}}, "segments": {}}
    assert described(connection, layers=layers)["layers"] == {"tiers": layers["tiers"]}
