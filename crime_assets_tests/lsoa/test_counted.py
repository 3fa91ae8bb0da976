"""Crimes that are counted by code already: each finds its areas, and each is accounted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from crime_assets import DataError
from crime_assets.lake import DuckDB, MissingPartition, create
from crime_assets.lsoa.counted import Counted, count_by_code
from crime_assets.lsoa.features import TYPES
from crime_assets.register import FORCES
from crime_assets.settings import Settings
from crime_assets.sources.boundaries import load_force_areas, load_lsoas

MONTH = "2025-06"

# of 2011 to 2021: the same, two that became one, one that became three, one that is abroad
LOOKUP = """LSOA11CD,LSOA21CD,CHGIND
E01000001,E01000001,U
E01000002,E01000010,M
E01000003,E01000010,M
E01000004,E01000021,S
E01000004,E01000022,S
E01000004,E01000023,S
E01000009,E01000099,U
"""
Count = Callable[..., Counted]
AREAS = ["E01000001", "E01000010", "E01000021", "E01000022", "E01000023"]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the areas of 2021, all of them in Kent but the first, which lies in Essex."""
    with DuckDB(threads=1).get_connection() as connection:
        connection.register("areas", pd.DataFrame({"lsoa21cd": AREAS}))
        connection.execute(
            "create temp table lsoa_areas as select lsoa21cd, "
            "if(lsoa21cd = 'E01000001', 'essex', 'kent') as force from areas"
        )
        yield connection


@pytest.fixture
def count(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> Count:
    """Count the lines ``month,lsoa_code,crime_type,crimes`` of a CSV, in :data:`MONTH`."""

    def counted(lines: str, lookup: bool = True, month: str = MONTH) -> Counted:
        file = tmp_path / "counts.csv"
        file.write_text(f"month,lsoa_code,crime_type,crimes\n{lines}", encoding="utf-8")
        (tmp_path / "lookup.csv").write_text(LOOKUP, encoding="utf-8")
        environment = {"CRIME_LSOA_COUNTS": str(file)}
        if lookup:
            environment["CRIME_LSOA_LOOKUP"] = str(tmp_path / "lookup.csv")
        return count_by_code(connection, Settings.from_environment(environment), month)

    return counted


def rows(connection: duckdb.DuckDBPyConnection) -> list[tuple]:
    return connection.execute("from lsoa_counts").fetchall()


def test_a_code_of_2021_counts_as_its_own(
    count: Count, connection: duckdb.DuckDBPyConnection
) -> None:
    found = count(
        "2025-06,E01000010,Drugs,3\n2025-06,E01000010,Drugs,4\n2025-05,E01000010,Drugs,9\n"
    )
    assert rows(connection) == [("E01000010", "Drugs", 7, 7)]
    assert found.figures == {
        "crimes": 7,
        "without_code": 0,
        "counted": 7,
        "outside_areas": 0,
        "published_with_another_code": 0,
    }


def test_codes_that_were_merged_add_up_in_their_successor(
    count: Count, connection: duckdb.DuckDBPyConnection
) -> None:
    found = count(
        "2025-06,E01000002,Drugs,3\n2025-06,E01000003,Drugs,4\n2025-06,E01000010,Drugs,1\n"
        "2025-06,E01000003,Robbery,2\n"
    )
    assert rows(connection) == [("E01000010", "Drugs", 8, 1), ("E01000010", "Robbery", 2, 0)]
    assert found.figures["published_with_another_code"] == 9


@pytest.mark.parametrize("crimes", [1, 2, 3, 10, 11, 300])
def test_a_code_that_was_split_goes_to_its_successors_in_equal_parts(
    count: Count, connection: duckdb.DuckDBPyConnection, crimes: int
) -> None:
    found = count(f"2025-06,E01000004,Drugs,{crimes}\n")
    parts = [n for _, _, n, _ in rows(connection)]
    assert sum(parts) == crimes
    assert sorted(parts + [0] * (3 - len(parts)))[0] >= crimes // 3
    assert max(parts) <= -(-crimes // 3)
    assert {code for code, *_ in rows(connection)} <= set(AREAS[2:])
    assert all(same == 0 for *_, same in rows(connection))
    assert found.figures["counted"] == crimes


def test_what_is_left_over_does_not_always_go_to_the_same_successor(
    count: Count, connection: duckdb.DuckDBPyConnection
) -> None:
    count("".join(f"2025-06,E01000004,{name},1\n" for name in TYPES))
    found = [code for code, *_ in rows(connection)]
    assert len(found) == len(TYPES)
    assert {found.count(code) > 1 for code in AREAS[2:]} == {True}


def test_codes_of_no_area_and_lines_without_a_code_are_told_of(
    count: Count, connection: duckdb.DuckDBPyConnection
) -> None:
    found = count(
        "2025-06,E01000001,Drugs,5\n2025-06,S01000001,Drugs,2\n2025-06,E01000009,Drugs,3\n"
        "2025-06,,Drugs,4\n2025-06,E01000077,Burglary,1\n"
    )
    assert rows(connection) == [("E01000001", "Drugs", 5, 5)]
    assert found.figures == {
        "crimes": 15,
        "without_code": 4,
        "counted": 5,
        "outside_areas": 6,
        "published_with_another_code": 0,
    }


def test_without_the_lookup_codes_of_2011_belong_to_no_area(
    count: Count, connection: duckdb.DuckDBPyConnection
) -> None:
    found = count("2025-06,E01000001,Drugs,5\n2025-06,E01000004,Drugs,2\n", lookup=False)
    assert rows(connection) == [("E01000001", "Drugs", 5, 5)]
    assert found.figures["outside_areas"] == 2
    assert set(found.provenance) == {"forces", "counts.csv"}


def test_a_force_published_where_a_quarter_of_its_usual_crimes_lie(
    count: Count, connection: duckdb.DuckDBPyConnection
) -> None:
    usual = FORCES["kent"].monthly_crimes
    enough = -(-usual // 4)
    found = count(f"2025-06,E01000010,Drugs,{enough}\n2025-06,E01000001,Drugs,5\n")
    assert found.provenance["forces"] == ["kent"]
    found = count(f"2025-06,E01000010,Drugs,{enough - 1}\n2025-06,E01000001,Drugs,9999999\n")
    assert found.provenance["forces"] == ["essex"]
    assert len(found.provenance["counts.csv"]) == len(found.provenance["lookup.csv"]) == 64


@pytest.mark.parametrize(
    ("lines", "error", "says"),
    [
        (
            "2025-05,E01000001,Drugs,1\n2025-07,E01000001,Drugs,1\n",
            MissingPartition,
            "counts.csv has no crimes of 2025-06; it has 2025-05 to 2025-07",
        ),
        ("", MissingPartition, "counts.csv has no crimes of 2025-06; it has no month"),
        (
            "2025-06,E01000001,Drugs,1\n2025-06,E01000001,BURGLARY,1\n2025-06,E01000001,,1\n",
            DataError,
            "types that police.uk has not: BURGLARY, None; they must be spelled as in",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_what_is_wrong(
    count: Count, lines: str, error: type[DataError], says: str
) -> None:
    with pytest.raises(error, match=says):
        count(lines)


def test_a_file_that_is_not_there_or_lacks_a_column_is_named(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    settings = Settings.from_environment({"CRIME_LSOA_COUNTS": "/no/counts.parquet"})
    with pytest.raises(DataError, match=r"CRIME_LSOA_COUNTS is '/no/counts.parquet', where there"):
        count_by_code(connection, settings, MONTH)
    (tmp_path / "counts.csv").write_text("Month,code,crimes\n2025-06,E01000001,1\n")
    settings = Settings.from_environment({"CRIME_LSOA_COUNTS": str(tmp_path / "counts.csv")})
    says = r"CRIME_LSOA_COUNTS: .* has no column lsoa_code, crime_type; it has month, code, crimes"
    with pytest.raises(DataError, match=says):
        count_by_code(connection, settings, MONTH)


@pytest.mark.slow
def test_a_real_month_of_the_nation_is_accounted_for_to_the_last_crime(shared_data: Path) -> None:
    boundaries = shared_data / "boundaries"
    file = shared_data / "lsoa" / "england_wales_lsoa_month_type_2023-05_2026-04.parquet"
    settings = Settings.from_environment(
        {
            "CRIME_LSOA_COUNTS": str(file),
            "CRIME_LSOA_LOOKUP": str(boundaries / "lsoa_2011_to_2021.csv.gz"),
        }
    )
    with DuckDB().get_connection() as connection:
        load_lsoas(connection, str(boundaries / "lsoa_2021.parquet"), "lsoa_boundaries")
        load_force_areas(connection, str(boundaries / "police_force_areas_2023.parquet"))
        create(connection, "lsoa/lsoa_areas")
        found = count_by_code(connection, settings, MONTH)
        given = connection.execute(
            f"select sum(crimes) from '{file}' where month = '{MONTH}'"
        ).fetchone()
        counted = connection.execute(
            "select sum(crimes), count(*) - count(distinct lsoa21cd || crime_type) from lsoa_counts"
        ).fetchone()
    figures = found.figures
    assert given == (figures["crimes"],)
    assert counted == (figures["counted"], 0)
    assert figures["crimes"] == sum(
        figures[what] for what in ("counted", "without_code", "outside_areas")
    )
    assert figures["outside_areas"] < 0.001 * figures["crimes"]
    forces = set(found.provenance["forces"])
    assert "greater-manchester" not in forces
    assert len(forces) >= 40
