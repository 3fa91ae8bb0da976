"""The analysts' database: ``crime.duckdb``, a view on every table of the lake.

Views on the partitions as they were when it was built, held by hard links: it takes a moment and
no space, and as many people as like may read it while partitions are being replaced. In object
storage it has views on the partitions of now.
"""

import hashlib
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb

from crime_assets.lake import DuckDB, Lake, code_version, sql
from crime_assets.publication import AuditFailed, Result, asset_options, preview, publish_each
from crime_assets.quality.checks import models_of
from crime_assets.settings import Settings
from crime_assets.storage import Folder, atomic, open_storage
from crime_assets.tables import TABLES, Table

_TABLES_WITHOUT_ASSET = {"rejected_crimes", "rejected_incidents", "street_crime_issues"}


def create_view(connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table) -> None:
    """A view of all partitions of ``table``, with its row and columns explained in comments."""
    files = lake.glob(table.name)
    hive = ", ".join(table.partitions)
    if files is None:
        nulls = ", ".join(f'null::varchar as "{column}"' for column in table.partitions)
        select = ", ".join(
            filter(
                None, [*(f'null::{c.type_without_crs} as "{c.name}"' for c in table.columns), nulls]
            )
        )
        source = f"select {select} where false"
    else:
        columns = ", ".join(
            f'"{c.name}"::{c.type_without_crs} as "{c.name}"' for c in table.columns
        )
        select = ", ".join(filter(None, [columns, hive]))
        source = (
            f"select {select} from read_parquet({_quoted(files)}, hive_partitioning = true, "
            "hive_types_autocast = false)"
        )
    connection.execute(f"create view {table.name} as {source}")
    connection.execute(f"comment on view {table.name} is {_quoted('One row is ' + table.row)}")
    for column in table.columns:
        connection.execute(
            f'comment on column {table.name}."{column.name}" is {_quoted(column.description)}'
        )


@contextmanager
def _as_now(lake: Lake, generations: Folder) -> Iterator[Lake]:
    """The lake as it is now, held by links in a folder of ``generations``; not on an error.

    The one before is kept: who has the database of before open may still read it. In object storage
    nothing is held, and it is the lake itself.
    """
    if not isinstance(generations, Path):
        yield lake
        return
    generation = generations / uuid.uuid4().hex
    generation.mkdir(parents=True)
    try:
        yield lake.freeze(generation)
    except BaseException:
        shutil.rmtree(generation, ignore_errors=True)
        raise
    for old in sorted(generations.iterdir(), key=lambda g: g.stat().st_mtime)[:-2]:
        shutil.rmtree(old, ignore_errors=True)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dg.asset(
    **asset_options(
        "warehouse",
        row="one view a table of the lake",
        group="warehouse",
        kinds={"duckdb"},
        version=code_version(["warehouse/hotspot_places"], TABLES),
        deps=[
            dg.AssetKey([name, model] if model else name)
            for name in TABLES
            if name not in _TABLES_WITHOUT_ASSET
            for model in models_of(name) or ("",)
        ],
        audits={"views_answer": "Each view can be read, read-only."},
        metadata={
            "dagster/column_schema": dg.TableSchema(
                [
                    dg.TableColumn("name", "varchar", description="of a view"),
                    dg.TableColumn("row", "varchar", description="what a row of the view is"),
                ]
            )
        },
    )
)
def warehouse(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """The analysts' database: a view on every table of the lake, explained in comments.

    Open it read-only, at any time, such as with `duckdb -readonly data/crime.duckdb`. It shows the
    partitions as they were when it was built (see `crime.files`), and `hotspot_places` joins
    hotspots with their forces and LSOAs. Where the lake lies in object storage, it shows the
    partitions of now, to whoever has loaded `httpfs` and made a secret.
    """

    def publish(_: duckdb.DuckDBPyConnection, __: dict[str, str]) -> Result:
        path = settings.data_dir / "crime.duckdb"
        with _as_now(lake, settings.data_dir / "crime.files") as frozen, atomic(path) as temporary:
            with duckdb.connect(str(temporary)) as connection:
                open_storage(connection, lake.root)
                for table in TABLES.values():
                    create_view(connection, frozen, table)
                connection.execute(
                    "create view hotspot_places as\n" + sql("warehouse/hotspot_places")
                )
            rows: dict[str, int] = {}
            with duckdb.connect(str(temporary), read_only=True) as connection:
                open_storage(connection, lake.root)
                for name in [*TABLES, "hotspot_places"]:
                    try:
                        found = connection.execute(f"select count(*) from {name}").fetchone()
                    except duckdb.Error as error:
                        raise AuditFailed("views_answer", f"{name}: {error}") from error
                    rows[name] = found[0] if found else 0
                metadata = {
                    "dagster/row_count": len(rows),
                    "file": dg.MetadataValue.path(str(path)),
                    "tables": preview(
                        connection,
                        "select view_name as name, comment as row from duckdb_views() "
                        "where not internal order by view_name",
                    ),
                    **{f"rows_{name}": count for name, count in rows.items()},
                }
        version = hashlib.sha256(repr(sorted(frozen.files())).encode()).hexdigest()
        return Result(version, metadata, {"views_answer": rows})

    yield from publish_each(context, engine, publish)
