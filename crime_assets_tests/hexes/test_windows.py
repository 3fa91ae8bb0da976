"""What a window is made of: every month that coverage has, counted under that very coverage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from crime_assets.hexes.assets import _view_months
from crime_assets.lake import DuckDB, Lake, MissingPartition
from crime_assets.partitions import months_back
from crime_assets_tests.hexes.test_ranking import frame, ranking, small_world

MONTHS = months_back("2025-09", 3)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as opened:
        yield opened


def publish_coverage(connection: duckdb.DuckDBPyConnection, lake: Lake, month: str) -> None:
    connection.execute(
        "create or replace temp table coverage as select 'kent' as force, 'published' as status, "
        "'2025-12' as release, '2025-12' as newest_release, 'x' as sha256, 9 as rows, "
        "9 as located, 0 as rejected"
    )
    lake.publish(connection, "coverage", "coverage", {"month": month})
    connection.execute("drop table coverage")


def publish_counts(
    connection: duckdb.DuckDBPyConnection, lake: Lake, month: str, under: str | None = None
) -> None:
    connection.execute(
        "create or replace temp table hex_counts as select 'kent' as force, 'Drugs' as crime_type, "
        "7 as hex_id, 1 as crimes"
    )
    partition = {"month": month}
    under = under or lake.sha256("coverage", partition)
    lake.publish(connection, "hex_counts", "hex_counts", partition, {"coverage": under})
    connection.execute("drop table hex_counts")


def test_a_window_holds_every_month_that_coverage_has(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    for month in MONTHS:
        publish_coverage(connection, lake, month)
        publish_counts(connection, lake, month)
    _view_months(lake, connection, MONTHS[-1], coverage=12, hex_counts=12)
    found = connection.execute("select month from hex_counts order by month").fetchall()
    assert found == [(month,) for month in MONTHS]


def test_a_month_that_was_not_counted_is_no_month_without_crimes(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    for month in MONTHS:
        publish_coverage(connection, lake, month)
    publish_counts(connection, lake, MONTHS[0])
    publish_counts(connection, lake, MONTHS[2])
    with pytest.raises(MissingPartition, match="hex_counts 2025-08 is not in the lake"):
        _view_months(lake, connection, MONTHS[-1], coverage=12, hex_counts=12)


def test_a_month_that_was_counted_under_another_coverage_is_counted_again(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    for month in MONTHS:
        publish_coverage(connection, lake, month)
        publish_counts(connection, lake, month, under="older" if month == MONTHS[1] else None)
    with pytest.raises(MissingPartition, match="2025-08 was counted before coverage changed"):
        _view_months(lake, connection, MONTHS[-1], coverage=12, hex_counts=12)


def test_a_month_beyond_coverage_is_not_there(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    with pytest.raises(MissingPartition, match="coverage 2025-09 is not in the lake"):
        _view_months(lake, connection, MONTHS[-1], coverage=12, hex_counts=12)


def test_the_nation_needs_one_force_in_each_month_not_the_same_one(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = [(month, "Drugs", 5, 1) for month in MONTHS]
    small_world(connection, frame(rows), [(month, "published") for month in MONTHS])
    connection.execute("update coverage set force = 'essex' where month = '2025-08'")
    ranking.rank_hotspots(connection, MONTHS[-1], {})
    ranked = connection.execute(
        "select scope, window_months, crimes, forces_present from hotspots "
        "where crime_type = 'Drugs' order by all"
    ).fetchall()
    assert ranked == [
        ("kent", 1, 1, ["kent"]),
        ("study-area", 1, 1, ["kent"]),
        ("study-area", 3, 3, []),  # no force is there in all three
    ]
