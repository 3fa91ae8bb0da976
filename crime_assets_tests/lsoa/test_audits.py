"""Each audit passes on tables that are sound, and fails when one thing in them is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from crime_assets.lake import DuckDB, create
from crime_assets.lsoa.features import features_of, view_attributes
from crime_assets.lsoa.history import read_history
from crime_assets.lsoa.labels import label_scopes
from crime_assets.partitions import months_back
from crime_assets.publication import AuditFailed, audit
from crime_assets_tests.lsoa.made import CUT_OFF, Town

SQL = Path(__file__).parents[2] / "sql" / "lsoa" / "audits"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Features and labels of the town by one year of crimes."""
    with DuckDB(threads=1).get_connection() as opened:
        months = months_back(CUT_OFF, 12)
        town = Town.make(tmp_path_factory.mktemp("town"), opened, months)
        year = read_history(opened, town.lake, months)
        opened.register("computed_features", features_of(year, year.scopes()))
        opened.register("computed_labels", label_scopes(year, ("Burglary", "Drugs")))
        opened.register("counted", year.counted())
        view_attributes(opened, None)
        for table in ("hotspots", "hex_cells"):
            town.lake.view(opened, table, [], skip_missing=True)
        create(opened, "lsoa/lsoa_features")
        create(opened, "lsoa/lsoa_labels")
        yield opened


@pytest.fixture
def connection(tables: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables as they were made; what a test does to them is undone."""
    tables.begin()
    yield tables
    tables.rollback()


AREA = "lsoa21cd = 'E01000009'"
BREAKAGES = {
    "densities_add_up": [
        f"update lsoa_features set density_last_year = density_last_year + 1 where {AREA}",
        f"update lsoa_features set density_last_year = null where {AREA} and scope = 'kent'",
        f"insert into lsoa_features from lsoa_features where {AREA}",
        "create or replace temp view lsoa_areas as select 'E01000009' as lsoa21cd, 2.0 as area_km2",
        "update lsoa_features set lsoa21cd = 'E01000010' where lsoa21cd = 'E01000009'",
    ],
    "classes_are_shares": [
        "update lsoa_labels set is_hotspot = false where tier < 3",
        "update lsoa_labels set tier = 0, bivariate = '0_0'",
        "update lsoa_labels set tier = 2 where tier = 3",
        "update lsoa_labels set bivariate = '2_0'",
        "update lsoa_labels set tier = 1 where tier = 0",
        "update lsoa_labels set tier = 2 where tier = 1",
        "update lsoa_labels set tier = 3 where tier = 2",
        f"update lsoa_labels set bivariate = null where {AREA}",
        f"update lsoa_labels set crime_density = null where {AREA}",
        "update lsoa_labels set crime_density = 1e6 where not is_hotspot and scope = 'kent'",
    ],
}


def test_every_audit_has_a_case_that_breaks_it() -> None:
    assert set(BREAKAGES) == {path.stem for path in SQL.glob("*.sql")}


@pytest.mark.parametrize("check", sorted(BREAKAGES))
def test_an_audit_passes_on_what_the_pipeline_made(
    connection: duckdb.DuckDBPyConnection, check: str
) -> None:
    assert connection.execute("select count(*) from lsoa_features").fetchone() == (120,)
    audit(connection, f"lsoa/audits/{check}")


@pytest.mark.parametrize(
    ("check", "breakage"), [(c, b) for c, all_of in BREAKAGES.items() for b in all_of]
)
def test_an_audit_fails_when_something_is_wrong(
    connection: duckdb.DuckDBPyConnection, check: str, breakage: str
) -> None:
    connection.execute(breakage)
    with pytest.raises(AuditFailed, match=rf"rows of lsoa/audits/{check}\.sql") as failure:
        audit(connection, f"lsoa/audits/{check}")
    assert failure.value.audit == check
    assert failure.value.metadata["offenders"]
