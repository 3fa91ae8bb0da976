"""How an asset publishes its partitions: each by itself, with its own version, metadata and audits.

A run may hold one partition or a range. Each partition that is published is logged as a
materialisation of its own; a bad one is collected, the others go on, and one failure at the end
names the bad. An audit is a rule whose breach would corrupt what follows: it is judged before
anything is moved into place, so the old partition stays.
"""

from __future__ import annotations

import hashlib
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import dagster as dg
import duckdb
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.storage.tags import BACKFILL_ID_TAG, get_multidimensional_partition_tag

from crime_assets import DataError
from crime_assets.alerts import alert_on_failure
from crime_assets.lake import DuckDB, Published, code_version, sql
from crime_assets.partitions import BACKFILL, partition_of
from crime_assets.storage import explained
from crime_assets.tables import TABLES, Table

OWNER = "team:crime-assets"
PROGRESS_S = 5.0
"""Seconds between two lines of progress in the log of a run over a range."""
CANCEL_S = 0.2
"""Seconds between two attempts to end what a cancelled run works on."""

executor = dg.in_process_executor.configured(
    {"step_dependency_config": {"require_upstream_step_success": False}},
    name="in_process_per_partition",
)
"""Two steps take 4 s in process and 10 s in processes of their own. A step whose range had one bad
partition has published the others: what follows runs for them, and fails for the bad one alone."""


class AuditFailed(DataError):
    """A partition breaks a rule; it is not published. ``audit`` is the check's name."""

    def __init__(self, audit: str, message: str, **metadata: object) -> None:
        super().__init__(message)
        self.audit = audit
        self.metadata = metadata


class NothingToPublish(DataError):
    """There is nothing to make a partition of, and that is no failure: the log says why."""


@dataclass
class Result:
    """One published partition: its version, what the UI shows of it, and the audits it passed.

    ``audits`` maps the name of each check of the asset to the figures it was judged by.
    """

    data_version: str
    metadata: dict[str, Any]
    audits: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def asset_options(
    key: str | Sequence[str],
    *,
    row: str,
    group: str,
    kinds: set[str],
    version: str,
    audits: Mapping[str, str],
    partitions_def: dg.PartitionsDefinition | None = None,
    metadata: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """The arguments of ``@dg.asset`` that all assets have in common.

    ``key`` is the asset's name, or its parts: ``["forecasts", "chance"]``.
    ``row`` says what a row is, ``audits`` maps the names of the checks that are judged before
    anything is published to what they promise.
    """
    asset_key = dg.AssetKey(key)
    return {
        "key": asset_key,
        "group_name": group,
        "owners": [OWNER],
        "kinds": kinds,
        "dagster_type": dg.Nothing,
        "code_version": version,
        "partitions_def": partitions_def,
        "backfill_policy": BACKFILL,
        "hooks": {alert_on_failure},
        "metadata": {"row": row, **(metadata or {})},
        "check_specs": [
            dg.AssetCheckSpec(
                audit, asset=asset_key, description=promise, partitions_def=partitions_def
            )
            for audit, promise in audits.items()
        ],
        **options,
    }


def table_asset(
    table: Table,
    *,
    statements: Sequence[str],
    constants: object = (),
    part: str | None = None,
    **options: Any,
) -> dict[str, Any]:
    """:func:`asset_options` of the asset that publishes ``table``, or ``part`` of it: one model.

    ``statements`` are the SQL files whose text, with ``constants``, is the code version.
    """
    return asset_options(
        [table.name, part] if part else table.name,
        row=table.row,
        kinds={"duckdb", "parquet"},
        version=code_version(statements, constants),
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": table.name,
        },
        **options,
    )


def column_schema(table: Table) -> dg.TableSchema:
    """The columns of a table as the UI shows them, hive columns first."""
    hive = [
        dg.TableColumn(name, "varchar", description="partition, from the path")
        for name in table.partitions
    ]
    columns = [dg.TableColumn(c.name, c.type, description=c.description) for c in table.columns]
    return dg.TableSchema(columns=hive + columns)


def table_metadata(
    connection: duckdb.DuckDBPyConnection, table: str, published: Published
) -> dict[str, Any]:
    """What the UI shows of every published partition: rows, size, file, the first rows."""
    row_count = "dagster/partition_row_count" if TABLES[table].partitions else "dagster/row_count"
    return {
        row_count: published.rows,
        "bytes": published.bytes,
        "file": dg.MetadataValue.path(str(published.path)),
        "preview": preview(connection, f"select * from {table} limit 8"),
    }


def preview(
    connection: duckdb.DuckDBPyConnection, query: str, **parameters: object
) -> dg.MarkdownMetadataValue:
    """The rows of a query, or of ``sql/<query>.sql``, as a table that the UI shows."""
    cursor = connection.execute(query if " " in query else sql(query), parameters or None)
    names = [d[0] for d in cursor.description or []]
    rows = cursor.fetchall()

    def cell(value: object) -> str:
        text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
        return text[:57] + "..." if len(text) > 60 else text

    return markdown_table(names, [[cell(v) for v in row] for row in rows])


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> dg.MarkdownMetadataValue:
    """Rows of words as a table that the UI shows."""
    lines = [head, ["---"] * len(head), *rows]
    return dg.MetadataValue.md(
        "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
        )
    )


def code_of(*modules: ModuleType) -> str:
    """A hash of the Python that a table is computed by: a part of its code version."""
    files = [Path(module.__file__ or "").read_bytes() for module in modules]
    return hashlib.sha256(b"".join(files)).hexdigest()[:12]


def audit(connection: duckdb.DuckDBPyConnection, statement: str, **parameters: object) -> None:
    """Raise :class:`AuditFailed` where ``sql/<statement>.sql`` returns rows.

    Its rows are what breaks the rule; the check has the file's name.
    """
    cursor = connection.execute(sql(statement), parameters or None)
    names = [d[0] for d in cursor.description or []]
    rows = cursor.fetchall()
    if rows:
        shown = "; ".join(
            ", ".join(f"{n} {v}" for n, v in zip(names, row, strict=True)) for row in rows[:5]
        )
        raise AuditFailed(
            statement.rsplit("/", 1)[-1],
            f"{len(rows):,} rows of {statement}.sql: {shown}{' ..' if len(rows) > 5 else ''}",
            offenders=len(rows),
        )


def publish_each(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    publish: Callable[[duckdb.DuckDBPyConnection, dict[str, str]], Result],
    *,
    workers: int = 1,
    cancel: Callable[[], None] | None = None,
) -> Iterator[dg.Output]:
    """Publish every partition of the run with ``publish(connection, partition)``.

    ``partition`` holds the hive columns; each gets a connection of its own to one database, and
    ``workers`` of them are worked on at a time. Yields the step's outputs when all were tried, so
    that what follows runs; then raises :class:`dagster.Failure` if any partition failed, which one
    that raised :class:`NothingToPublish` has not.

    A run that is cancelled drops the partitions that wait, and ends when those that are worked on
    have ended. ``cancel`` makes them: it is called until they have, for what starts meanwhile.
    What was published by then is recorded all the same: nobody would ask for it again.
    """
    definition = context.assets_def.partitions_def
    keys: list[str | None] = list(context.partition_keys) if definition else [None]
    workers = min(workers, len(keys))
    tags = _provenance_tags(context)
    failed: dict[str, Exception] = {}
    with (
        engine.get_connection(workers) as database,
        ThreadPoolExecutor(max_workers=workers) as pool,
    ):
        opening = Lock()

        def attempt(key: str | None) -> Result | Exception:
            with opening:
                connection = database.cursor()  # with temporary tables of its own
            try:
                return publish(connection, partition_of(key, definition))
            except Exception as error:  # collected, and raised at the end
                return explained(error, engine.temp_directory)
            finally:
                connection.close()

        attempts: deque[tuple[str | None, Future[Result | Exception]]] = deque()
        said = time.monotonic()
        try:
            attempts.extend((key, pool.submit(attempt, key)) for key in keys)
            for done, key in enumerate(keys, 1):
                outcome = attempts[0][1].result()
                if isinstance(outcome, NothingToPublish):
                    context.log.info(f"{key or ''} not made: {outcome}")
                elif isinstance(outcome, Exception):
                    failed[key or context.asset_key.to_user_string()] = outcome
                    _log_failure(context, key, outcome)
                else:
                    _log_materialization(context, key, outcome, tags)
                attempts.popleft()  # results hold pictures; there may be thousands
                if len(keys) > 1 and (time.monotonic() - said > PROGRESS_S or done == len(keys)):
                    said = time.monotonic()
                    name = context.asset_key.to_user_string()
                    context.log.info(f"{name}: {done} of {len(keys)} partitions, last {key}")
        except BaseException:  # an interrupt reaches this thread alone
            pool.shutdown(wait=False, cancel_futures=True)
            while cancel and not all(attempted.done() for _, attempted in attempts):
                cancel()
                time.sleep(CANCEL_S)
            for key, attempted in attempts:
                if not attempted.cancelled() and isinstance(was := attempted.result(), Result):
                    _log_materialization(context, key, was, tags)
            raise
    # The outputs let what follows run. The key marks them as recorded already; without it every
    # partition of the range would be recorded again, all with one version.
    yield dg.Output(None, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
    for check in context.assets_def.check_specs:
        yield dg.Output(None, output_name=check.get_python_identifier())
    if failed:
        raise _failure(failed, len(keys))


def _failure(failed: Mapping[str, Exception], tried: int) -> dg.Failure:
    lines = [
        f"{key}: {error if isinstance(error, DataError) else f'{type(error).__name__}: {error}'}"
        for key, error in failed.items()
    ]
    shown = lines[:20] + ([f"and {len(lines) - 20} more"] if len(lines) > 20 else [])
    return dg.Failure(
        description="\n".join(
            [
                f"{len(failed)} of {tried} partitions failed and were not published; "
                f"what the lake held of them stays as it was.",
                *shown,
            ]
        ),
        metadata={"failed": dg.MetadataValue.json(list(failed))},
        allow_retries=not all(isinstance(error, DataError) for error in failed.values()),
    )


def _log_failure(context: dg.AssetExecutionContext, key: str | None, error: Exception) -> None:
    if isinstance(error, DataError):
        context.log.error(f"{key or ''} not published: {error}")
    else:
        context.log.error("".join(traceback.format_exception(error)))
    if isinstance(error, AuditFailed):
        _log_check(context, key, error.audit, False, {"what": str(error), **error.metadata})


def _log_materialization(
    context: dg.AssetExecutionContext,
    key: str | None,
    result: Result,
    tags: Mapping[str, str],
) -> None:
    dimensions = key.keys_by_dimension if isinstance(key, dg.MultiPartitionKey) else {}
    context.log_event(
        dg.AssetMaterialization(
            asset_key=context.asset_key,
            partition=key,
            metadata=result.metadata,
            tags={
                **tags,
                **{get_multidimensional_partition_tag(d): k for d, k in dimensions.items()},
                DATA_VERSION_TAG: result.data_version,
            },
        )
    )
    for audit, figures in result.audits.items():
        _log_check(context, key, audit, True, figures)


def _log_check(
    context: dg.AssetExecutionContext,
    key: str | None,
    name: str,
    passed: bool,
    metadata: Mapping[str, Any],
) -> None:
    context.log_event(
        dg.AssetCheckEvaluation(
            asset_key=context.asset_key,
            check_name=name,
            passed=passed,
            partition=key,
            metadata=metadata,
            severity=dg.AssetCheckSeverity.ERROR,
        )
    )


def _provenance_tags(context: dg.AssetExecutionContext) -> dict[str, str]:
    """What Dagster compares to say that a partition is stale: the code and the inputs' versions.

    The pointer of an input is its latest record now; a later record of one of its partitions,
    with another version, makes the partitions that depend on it stale.
    """
    tags = {DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
    version = context.assets_def.code_versions_by_key.get(context.asset_key)
    if version:
        tags[CODE_VERSION_TAG] = version
    for parent in context.assets_def.asset_deps[context.asset_key]:
        records = context.instance.fetch_materializations(parent, limit=1).records
        event = records[0].asset_materialization if records else None
        version = (event.tags or {}).get(DATA_VERSION_TAG, "INITIAL") if event else "NULL"
        tags[get_input_data_version_tag(parent)] = version
        tags[get_input_event_pointer_tag(parent)] = (
            str(records[0].storage_id) if records else "NULL"
        )
    if backfill := context.run.tags.get(BACKFILL_ID_TAG):
        tags[BACKFILL_ID_TAG] = backfill
    return tags


def version_of_rows(connection: duckdb.DuckDBPyConnection, relation: str) -> str:
    """A version of the rows of ``relation``, no two of which are the same, in whatever order.

    For a table whose file changes although no row does: it says what it was counted under.
    """
    version = connection.execute(
        f"select count(*) || '-' || hex(bit_xor(md5_number({relation}::varchar))) from {relation}"
    ).fetchone()
    return str(version[0]) if version and version[0] else "0"


def total(connection: duckdb.DuckDBPyConnection, query: str, **parameters: object) -> int:
    """The one number that a query returns, nought where it returns null."""
    row = connection.execute(query, parameters or None).fetchone()
    return int(row[0] or 0) if row else 0
