"""What is shown beside hotspots: areas, streets and forecasts, each where its tables are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from crime_assets.lake import DuckDB, Lake
from crime_assets.maps import layers
from crime_assets.maps.assets import _add_layers
from crime_assets.maps.layers import ranking_name, type_slug
from crime_assets.maps.site import Files
from crime_assets.partitions import months_back
from crime_assets.register import ALL_CRIME
from crime_assets.settings import Settings

MONTH, CUT_OFF = "2025-12", "2024-12"
YEAR = months_back(MONTH, 12)
STREETS = 60
SETTINGS = Settings.from_environment({"CRIME_BIVARIATE": "Drugs, Burglary"})


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as connection:
        yield connection


@pytest.fixture
def connection(database: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with temporary tables of its own."""
    with database.cursor() as connection:
        yield connection


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "maps" / MONTH)


def names_of(files: Files) -> list[str]:
    return sorted(
        str(path.relative_to(files.folder)).removesuffix(".json.gz")
        for path in files.folder.rglob("*.gz")
    )


@pytest.mark.parametrize(
    ("crime_type", "window", "name"),
    [
        (ALL_CRIME, 12, "all-crime-12"),
        ("Anti-social behaviour", 1, "anti-social-behaviour-1"),
        ("Crime harm", 3, "crime-harm-3"),
    ],
)
def test_a_ranking_has_the_name_of_its_type_and_window(
    crime_type: str, window: int, name: str
) -> None:
    assert ranking_name(crime_type, window) == name
    assert name == f"{type_slug(crime_type)}-{window}"


# --- Areas ----------------------------------------------------------------------------------

LABELS = """
    select * from (values
        ('kent', 'E01000002', 'kent', 12.34, true, 3, '2_0'),
        ('kent', 'E01000001', 'kent', 0.0, false, 0, null),
        ('study-area', 'E01000003', 'essex', null, null, null, null),
        ('study-area', 'E01000002', 'kent', 12.34, false, 2, '1_0'),
        ('study-area', 'E01000004', 'gwent', 56.78, true, 3, '2_2')
    ) as area(scope, lsoa21cd, force, crime_density, is_hotspot, tier, bivariate)
"""


def test_tiers_stand_by_scope_without_the_areas_of_which_nothing_is_known(
    connection: duckdb.DuckDBPyConnection, files: Files
) -> None:
    connection.execute(f"create temp table lsoa_labels as {LABELS}")
    found = layers.area_classes(connection, files, CUT_OFF, ("Drugs", "Burglary"))
    assert found == {
        "cut_off": CUT_OFF,
        "scopes": {"kent": 2, "study-area": 2},
        "bivariate": ["Drugs", "Burglary"],
    }
    assert files.read("layers/tiers/kent") == {
        "cut_off": CUT_OFF,
        "forces": ["kent"],
        "force": [0, 0],
        "lsoa21cd": ["E01000001", "E01000002"],
        "tier": [0, 3],
        "bivariate": [None, "2_0"],
        "density": [0.0, 12.3],
    }
    assert files.read("layers/tiers/study-area") == {
        "cut_off": CUT_OFF,
        "forces": ["gwent", "kent"],
        "force": [1, 0],
        "lsoa21cd": ["E01000002", "E01000004"],
        "tier": [2, 3],
        "bivariate": ["1_0", "2_2"],
        "density": [12.3, 56.8],
    }


def test_without_a_known_area_there_are_no_tiers(
    connection: duckdb.DuckDBPyConnection, files: Files
) -> None:
    connection.execute(f"create temp table lsoa_labels as from ({LABELS}) where tier is null")
    assert layers.area_classes(connection, files, CUT_OFF, ("Drugs", "Burglary")) == {}
    assert names_of(files) == []


# --- Streets --------------------------------------------------------------------------------


def lay_streets(connection: duckdb.DuckDBPyConnection, lengths: dict[str, list[float]]) -> None:
    """Streets of each force, of so many metres; every third has no name."""
    rows = [
        (force, f"{force}-{i:02d}", None if i % 3 == 0 else f"Street {i}", length)
        for force, of_force in lengths.items()
        for i, length in enumerate(of_force)
    ]
    connection.register("laid", pd.DataFrame(rows, columns=["force", "id", "name", "length"]))
    connection.execute(
        "create or replace temp table street_segments as select force, id as segment_id, name, "
        "'residential' as kind, length as length_m, st_makeline(st_point(500000, 150000.4), "
        "st_point(500000 + length, 150010))::geometry('EPSG:27700') as geometry from laid"
    )


def count_segments(connection: duckdb.DuckDBPyConnection, rows: list[tuple[str, ...]]) -> None:
    """Crimes of segments: force, segment, type, month, crimes."""
    frame = pd.DataFrame(rows, columns=["force", "segment_id", "crime_type", "month", "crimes"])
    connection.register("counted_rows", frame)
    connection.execute(
        "create or replace temp table segment_counts as select force, segment_id, crime_type, "
        "crimes::integer as crimes, 0.0 as distance_m, month from counted_rows"
    )


def drawn_counts(force: str, segments: int) -> list[tuple[Any, ...]]:
    rng = np.random.default_rng(5)
    return [
        (force, f"{force}-{i:02d}", crime_type, month, crimes)
        for month in YEAR
        for crime_type in ("Burglary", "Drugs")
        for i, crimes in enumerate(rng.poisson(0.4, segments).tolist())
        if crimes
    ]


def test_the_hottest_segments_are_a_hundredth_of_the_length_and_twenty_at_least(
    connection: duckdb.DuckDBPyConnection, files: Files
) -> None:
    """Kent's segments are short beside one without a crime; of Essex a hundredth are fewer."""
    kent = [10.0 + i % 7 for i in range(STREETS)] + [50_000.0]
    lay_streets(connection, {"kent": kent, "essex": [100.0] * STREETS})
    rows = drawn_counts("kent", STREETS) + drawn_counts("essex", STREETS)
    count_segments(connection, rows)
    found = layers.segments(connection, files, MONTH)
    assert names_of(files) == ["layers/segments/essex", "layers/segments/kent"]
    seen = {}
    for force, lengths in (("kent", kent), ("essex", [100.0] * STREETS)):
        made = files.read(f"layers/segments/{force}")
        assert found["forces"][force] == len(made["lines"]) == len(made["name"])
        for window in (1, 3, 12):
            counted: dict[str, dict[str, int]] = {
                name: defaultdict(int) for name in (ALL_CRIME, "Burglary", "Drugs")
            }
            for of, segment, crime_type, month, crimes in rows:
                if of == force and month in YEAR[-window:]:
                    counted[crime_type][segment] += crimes
                    counted[ALL_CRIME][segment] += crimes
            for crime_type, crimes_of in counted.items():
                order = sorted(crimes_of.items(), key=lambda segment: (-segment[1], segment[0]))
                along = np.cumsum([lengths[int(segment[-2:])] for segment, _ in order])
                taken = order[: max(20, int((along <= sum(lengths) / 100).sum()))]
                ranking = made["crimes"][ranking_name(crime_type, window)]
                assert ranking["crimes"] == [crimes for _, crimes in taken]
                numbers = [int(segment[-2:]) for segment, _ in taken]
                names = [None if i % 3 == 0 else f"Street {i}" for i in numbers]
                assert [made["name"][i] for i in ranking["segment"]] == names
                assert [made["length_m"][i] for i in ranking["segment"]] == [
                    round(lengths[i]) for i in numbers
                ]
                seen[force, crime_type, window] = len(taken)
        assert set(made["crimes"]) == {ranking_name(t, w) for t in counted for w in (1, 3, 12)}
    assert seen["essex", ALL_CRIME, 12] == 20 < seen["kent", ALL_CRIME, 12]


def test_a_street_is_a_line_of_steps_and_stands_once_in_its_file(
    connection: duckdb.DuckDBPyConnection, files: Files
) -> None:
    lay_streets(connection, {"kent": [120.4, 80.0, 60.0]})
    count_segments(
        connection,
        [
            ("kent", "kent-00", "Drugs", MONTH, 4),
            ("kent", "kent-00", "Burglary", YEAR[0], 1),
            ("kent", "kent-02", "Burglary", MONTH, 2),
        ],
    )
    assert layers.segments(connection, files, MONTH) == {"forces": {"kent": 2}}
    assert files.read("layers/segments/kent") == {
        "name": [None, "Street 2"],
        "length_m": [120, 60],
        "lines": [[500_000, 150_000, 120, 10], [500_000, 150_000, 60, 10]],
        "crimes": {
            "all-crime-1": {"segment": [0, 1], "crimes": [4, 2]},
            "all-crime-3": {"segment": [0, 1], "crimes": [4, 2]},
            "all-crime-12": {"segment": [0, 1], "crimes": [5, 2]},
            "burglary-1": {"segment": [1], "crimes": [2]},
            "burglary-3": {"segment": [1], "crimes": [2]},
            "burglary-12": {"segment": [1, 0], "crimes": [2, 1]},
            "drugs-1": {"segment": [0], "crimes": [4]},
            "drugs-3": {"segment": [0], "crimes": [4]},
            "drugs-12": {"segment": [0], "crimes": [4]},
        },
    }


# --- Forecasts ------------------------------------------------------------------------------


def foretell(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    cut_off: str,
    model: str,
    first: int,
    horizons: tuple[int, ...] = (1, 3, 12),
    unit: str = "hex",
) -> None:
    """A forecast of five cells, ``first`` and those after it, for the nation and for Kent."""
    connection.execute(
        f"""
        create or replace temp table foretold as
        select scope, ({first} + rank)::varchar as unit_id, 'Drugs' as crime_type,
            'month' as step, horizon as horizon_steps, rank, 9.0 - rank as score,
            null as expected_crimes
        from (select unnest(['england-and-wales', 'kent']) as scope)
        cross join (select unnest({list(horizons)}) as horizon)
        cross join (select unnest(range(5)) as rank)
        """
    )
    connection.execute("update foretold set rank = rank + 1")
    partition = {"month": cut_off, "model": model, "unit": unit}
    lake.publish(connection, "foretold", "forecasts", partition)


SCOPES = """
    select * from (values
        ('england-and-wales', 'nation', []::varchar[], 2e6, 20, 3), ('kent', 'force', ['kent'],
        1e6, 10, 2)
    ) as scope(scope, kind, forces, area_m2, cells, k)
"""


COMPLETE_WINDOWS = f"""
    select scope, 'Drugs' as crime_type, window_months, '{MONTH}' as month, true as complete
    from ({SCOPES}) as scope cross join (select unnest([1, 3, 12]) as window_months)
"""


@pytest.fixture
def completed(connection: duckdb.DuckDBPyConnection) -> None:
    """The nation and Kent, and windows of Drugs that are complete at the map's month."""
    connection.execute(f"create temp table scopes as {SCOPES}")
    connection.execute(f"create temp table complete_windows as {COMPLETE_WINDOWS}")


@pytest.mark.usefixtures("completed")
def test_a_forecast_of_a_window_of_which_not_all_is_known_is_left_out(
    connection: duckdb.DuckDBPyConnection, files: Files
) -> None:
    """Of Kent the last quarter, of the nation the last month before the map's is not known."""
    lake = Lake(files.target.parents[1] / "lake")
    connection.execute(
        "update complete_windows set complete = false where scope = 'kent' and window_months = 3"
    )
    connection.execute(
        "update complete_windows set month = '2025-11' where scope <> 'kent' and window_months = 1"
    )
    for cut_off in ("2025-11", "2025-09", "2024-12"):
        foretell(connection, lake, cut_off, "chance", 100)
    found = _add_layers(connection, lake, files, MONTH, SETTINGS)
    assert found["forecasts"]["rankings"] == {
        "england-and-wales": ["drugs-3", "drugs-12"],
        "kent": ["drugs-1", "drugs-12"],
    }
    assert names_of(files) == [
        "layers/forecasts/england-and-wales/drugs-12",
        "layers/forecasts/england-and-wales/drugs-3",
        "layers/forecasts/kent/drugs-1",
        "layers/forecasts/kent/drugs-12",
    ]


@pytest.mark.usefixtures("completed")
def test_where_nothing_of_what_happened_is_known_there_are_no_forecasts(
    connection: duckdb.DuckDBPyConnection, files: Files
) -> None:
    lake = Lake(files.target.parents[1] / "lake")
    connection.execute("update complete_windows set complete = false")
    foretell(connection, lake, "2025-11", "chance", 100)
    assert _add_layers(connection, lake, files, MONTH, SETTINGS) == {"forecasts": {}}
    assert names_of(files) == []


@pytest.mark.usefixtures("completed")
def test_a_forecast_is_the_k_cells_of_the_cut_off_that_many_months_before(
    connection: duckdb.DuckDBPyConnection, files: Files
) -> None:
    lake = Lake(files.target.parents[1] / "lake")
    for first, cut_off in ((100, "2025-11"), (300, "2025-09"), (1200, "2024-12")):
        foretell(connection, lake, cut_off, "rolling_mean_12", first)
    foretell(connection, lake, "2025-11", "chance", 500)
    # of other months, of streets, and of no further than is asked
    foretell(connection, lake, "2025-10", "chance", 9000)
    foretell(connection, lake, "2025-12", "chance", 9000)
    foretell(connection, lake, "2025-09", "chance", 9000, unit="segment")
    foretell(connection, lake, "2024-12", "chance", 9000, horizons=(1, 3))
    found = _add_layers(connection, lake, files, MONTH, SETTINGS)
    names = ["drugs-1", "drugs-3", "drugs-12"]
    assert set(found) == {"forecasts"}
    assert found["forecasts"]["models"] == ["chance", "rolling_mean_12"]
    assert found["forecasts"]["rankings"] == {"england-and-wales": names, "kent": names}
    read = files.read("layers/forecasts/kent/drugs-1")
    assert read == {
        "cut_off": "2025-11",
        "horizon_months": 1,
        "models": {"chance": [500, 501], "rolling_mean_12": [100, 101]},
    }
    for window, cut_off, first in ((3, "2025-09", 300), (12, "2024-12", 1200)):
        read = files.read(f"layers/forecasts/england-and-wales/drugs-{window}")
        assert (read["cut_off"], read["horizon_months"]) == (cut_off, window)
        assert read["models"] == {"rolling_mean_12": [first, first + 1, first + 2]}


# --- What is not there ----------------------------------------------------------------------


@pytest.fixture
def whole(completed: None, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> Lake:
    """A lake with the tables of every layer."""
    lake = Lake(tmp_path / "lake")
    connection.execute(f"create temp table made as {LABELS}")
    told = {"bivariate": ["Robbery", "Drugs"]}
    lake.publish(connection, "made", "lsoa_labels", {"month": CUT_OFF}, told)
    lay_streets(connection, {"kent": [100.0] * 3})
    connection.execute("create temp table laid_out as select * exclude force from street_segments")
    lake.publish(connection, "laid_out", "street_segments", {"force": "kent"})
    count_segments(connection, [("kent", "kent-01", "Drugs", MONTH, 2)])
    connection.execute("create temp table counted as select * exclude month from segment_counts")
    streets = {"networks": {"kent": lake.sha256("street_segments", {"force": "kent"})}}
    for month in YEAR:
        lake.publish(connection, "counted", "segment_counts", {"month": month}, streets)
    foretell(connection, lake, "2025-11", "chance", 100)
    for table in ("street_segments", "segment_counts"):
        connection.execute(f"drop table {table}")
    return lake


def test_with_all_tables_there_are_all_layers(
    connection: duckdb.DuckDBPyConnection, files: Files, whole: Lake
) -> None:
    found = _add_layers(connection, whole, files, MONTH, SETTINGS)
    assert list(found) == ["tiers", "segments", "forecasts"]
    assert found["tiers"]["bivariate"] == ["Robbery", "Drugs"]  # not as the settings now are
    assert names_of(files) == [
        "layers/forecasts/england-and-wales/drugs-1",
        "layers/forecasts/kent/drugs-1",
        "layers/segments/kent",
        "layers/tiers/kent",
        "layers/tiers/study-area",
    ]


def test_segments_that_were_laid_anew_since_they_were_counted_are_left_out(
    connection: duckdb.DuckDBPyConnection, files: Files, whole: Lake
) -> None:
    connection.execute("create temp table fewer as select * from laid_out limit 1")
    whole.publish(connection, "fewer", "street_segments", {"force": "kent"})
    assert "segments" not in _add_layers(connection, whole, files, MONTH, SETTINGS)


@pytest.mark.parametrize(
    ("table", "partition", "left"),
    [
        ("lsoa_labels", {"month": CUT_OFF}, ["segments", "forecasts"]),
        ("street_segments", {"force": "kent"}, ["tiers", "forecasts"]),
        ("segment_counts", {"month": YEAR[0]}, ["tiers", "forecasts"]),
        (
            "forecasts",
            {"month": "2025-11", "model": "chance", "unit": "hex"},
            ["tiers", "segments"],
        ),
    ],
)
def test_where_a_table_is_absent_its_layer_is_not_there_and_the_others_are(
    connection: duckdb.DuckDBPyConnection,
    files: Files,
    whole: Lake,
    table: str,
    partition: dict[str, str],
    left: list[str],
) -> None:
    whole.path(table, partition).unlink()
    found = _add_layers(connection, whole, files, MONTH, SETTINGS)
    assert [name for name, layer in found.items() if layer] == left


def test_an_empty_lake_has_no_layer(
    connection: duckdb.DuckDBPyConnection, files: Files, tmp_path: Path
) -> None:
    assert _add_layers(connection, Lake(tmp_path / "lake"), files, MONTH, SETTINGS) == {}
    assert names_of(files) == []
