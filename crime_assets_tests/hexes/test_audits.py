"""Each audit passes on tables that the pipeline made, and fails when one thing in them is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from crime_assets.hexes import ranking
from crime_assets.lake import DuckDB, create, sql
from crime_assets.partitions import months_back
from crime_assets.publication import AuditFailed, audit
from crime_assets_tests.hexes.test_ranking import frame, small_world

MONTH = "2025-12"
SQL = Path(__file__).parents[2] / "sql" / "hexes" / "audits"


@pytest.fixture(scope="module")
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    """All tables of a small study area of one force, after 36 months of burglaries."""
    with DuckDB(threads=1).get_connection() as opened:
        months = months_back(MONTH, 36)
        rows = [
            (m, "Burglary", cell, 1 + (i * cell) % 3)
            for i, m in enumerate(months)
            for cell in (1, 2, 3, 4, 5)
        ]
        small_world(opened, frame(rows), [(m, "published") for m in months])
        opened.execute("create temp table all_hotspots as select 'x' as month limit 0")
        first = True
        counts = "select * from hex_counts"
        opened.execute(f"create temp table all_counts as {counts}")
        for month in months:
            opened.execute(
                f"create or replace temp table hex_counts as from all_counts "
                f"where month between '{months_back(month, 12)[0]}' and '{month}'"
            )
            ranking.rank_hotspots(opened, month, {})
            into = (
                "create or replace temp table all_hotspots as"
                if first
                else "insert into all_hotspots"
            )
            opened.execute(f"{into} select *, '{month}' as month from hotspots")
            first = False
        opened.execute("create or replace temp table hotspots as from all_hotspots")
        ranking.count_frequency(opened, MONTH, {})
        last_two = months[-2:]
        opened.execute(
            "create or replace temp table hotspots as from all_hotspots "
            f"where month in {tuple(last_two)}"
        )
        ranking.summarise_hotspots(opened, MONTH, {})
        opened.execute(
            f"create or replace temp table hotspots as from all_hotspots where month = '{MONTH}'"
        )
        # one month of crimes as they were read, for the counts and the reconciliation
        opened.execute(
            """
            create temp table street_crimes as
            select 'kent' as force, 'Burglary' as crime_type, cell as hex_id,
                0.0 + cell as longitude, 51.0 as latitude, 'On or near ' || cell as location
            from (select unnest([1, 1, 2, null, 99]) as cell)
            """
        )
        opened.execute(
            "update street_crimes set longitude = 5.0 where hex_id is null"
        )  # located, outside the grid
        opened.execute("create temp table hex_cells as select unnest([1, 2, 3]) as hex_id")
        opened.execute(
            "create or replace temp table coverage as select 'kent' as force, 6 as rows, "
            "5 as located, 1 as rejected"
        )
        opened.execute("create temp table burglaries as from hex_counts")
        create(opened, "hexes/hex_counts")
        create(opened, "hexes/snap_counts")
        create(opened, "hexes/reconciliation")
        opened.execute("alter table hex_counts rename to counted_now")
        yield opened


@pytest.fixture
def connection(tables: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables as they were made; what a test does to them is undone."""
    tables.begin()
    yield tables
    tables.rollback()


def counts_for(connection: duckdb.DuckDBPyConnection, check: str) -> None:
    """Let ``hex_counts`` be what the audit looks at: one month's counts, or the window's."""
    source = "burglaries" if check == "no_cold_hotspot" else "counted_now"
    connection.execute(f"create or replace temp table hex_counts as from {source}")


BREAKAGES = {
    "cells_match_scopes": ["delete from scope_cells where scope = 'kent' and hex_id = 3"],
    "k_fits": ["update scopes set k = 0 where scope = 'kent'", "update scopes set k = 21"],
    "one_cell_a_point": ["update snap_counts set longitude = 2.0"],
    "rows_add_up": ["update coverage set rows = 7", "delete from reconciliation"],
    "counts_add_up": [
        "update hex_counts set crimes = crimes + 1 where hex_id = 2",
        "delete from hex_counts where hex_id = 99",
        "update reconciliation set in_cells = in_cells - 1",
    ],
    "ranks_are_whole": [
        "delete from hotspots where rank = 1",
        "update hotspots set k = 1",
        "update hotspots set hex_id = 7",
    ],
    "no_cold_hotspot": [
        "update hotspots set crimes = 0",
        "update hotspots set score = 0",
        "update hotspots set crimes = crimes + 1 where window_months = 1",
        "update hotspots set hex_id = 8 where window_months = 1",
        "update hotspots set crimes = crimes + 1 where window_months = 12",
        "delete from hex_counts where month = '2025-11'",
    ],
    "shares_are_shares": [
        "update hotspot_summary set captured = 1.01",
        "update hotspot_summary set jaccard = -0.1",
        "update hotspot_summary set gini = 1.5, modified_gini = 1",
        "update hotspot_summary set reason = 'why' where complete",
        "update hotspot_summary set captured = null where crimes > 0",
    ],
    "hits_fit_windows": [
        "update hotspot_frequency set hits = 0",
        "update hotspot_frequency set hits = windows + 1",
        "update hotspot_frequency set windows = 37",
        "update hotspot_frequency set rank = rank + 1",
        "update scopes set k = 1",
    ],
}


def parameters(check: str) -> dict[str, str]:
    text = sql(f"hexes/audits/{check}")
    given = {"month": MONTH, "third_month": months_back(MONTH, 3)[0]}
    return {name: value for name, value in given.items() if f"${name}" in text}


def test_every_audit_has_a_case_that_breaks_it() -> None:
    assert set(BREAKAGES) == {path.stem for path in SQL.glob("*.sql")}


@pytest.mark.parametrize("check", sorted(BREAKAGES))
def test_an_audit_passes_on_what_the_pipeline_made(
    connection: duckdb.DuckDBPyConnection, check: str
) -> None:
    counts_for(connection, check)
    audit(connection, f"hexes/audits/{check}", **parameters(check))


@pytest.mark.parametrize(
    ("check", "breakage"), [(c, b) for c, all_of in BREAKAGES.items() for b in all_of]
)
def test_an_audit_fails_when_something_is_wrong(
    connection: duckdb.DuckDBPyConnection, check: str, breakage: str
) -> None:
    counts_for(connection, check)
    connection.execute(breakage)
    with pytest.raises(AuditFailed, match=rf"rows of hexes/audits/{check}\.sql") as failure:
        audit(connection, f"hexes/audits/{check}", **parameters(check))
    assert failure.value.audit == check
    assert failure.value.metadata["offenders"]
