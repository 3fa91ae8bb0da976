"""Asset checks: what each table's suite says of each partition, beside the partition in the UI.

A check never blocks and never writes to the lake: what must not be published is audited inside the
asset. Nothing heavy is imported here; Great Expectations is when a check runs.
"""

# No `from __future__ import annotations`: Dagster reads the type of a check's context as it stands.

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from crime_assets.forecasting.assets import MODEL_ASSETS
from crime_assets.grids.methods import METHODS
from crime_assets.lake import DuckDB, Lake
from crime_assets.models.classifiers import CLASSIFIERS
from crime_assets.partitions import (
    cells_x_cities,
    cities,
    forces,
    key_of,
    months,
    months_x_forces,
    partition_of,
)
from crime_assets.publication import markdown_table
from crime_assets.quality import runner
from crime_assets.tables import TABLES

CHECKED_WITH = {
    "rejected_crimes": ("street_crimes", "rejected_lines"),
    "street_crime_issues": ("street_crimes", "issues"),
    "rejected_incidents": ("city_incidents", "rejected_lines"),
}
"""Tables that another table's asset publishes: that asset, and the name of their check on it."""

_PARTITIONS: dict[tuple[str, ...], dg.PartitionsDefinition | None] = {
    ("month", "force"): months_x_forces,
    ("month", "model", "unit"): months,
    ("month", "model"): months,
    ("month",): months,
    ("force",): forces,
    ("city",): cities,
    ("cells", "city"): cells_x_cities,
    ("cells", "city", "model"): cells_x_cities,
    (): None,
}


def expectation_checks() -> list[dg.AssetChecksDefinition]:
    """A check for every suite, named ``expectations``, with the partitions of its table.

    A table that is published by one asset a model has a check for each of them.
    """
    return [
        _expectation_check(table, model)
        for table in runner.suite_tables()
        for model in models_of(table) or (None,)
    ]


def models_of(table: str) -> Sequence[str]:
    """The models that have an asset of their own for the table; nothing for other tables."""
    if TABLES[table].partitions == ("month", "model"):
        return tuple(CLASSIFIERS)
    if TABLES[table].partitions == ("cells", "city", "model"):
        return tuple(METHODS)
    return MODEL_ASSETS.get(table, ())


def _expectation_check(table: str, model: str | None) -> dg.AssetChecksDefinition:
    asset, name = CHECKED_WITH.get(table, (table, "expectations"))
    key = dg.AssetKey([asset, model] if model else asset)
    definition = _PARTITIONS[TABLES[table].partitions]

    spec = dg.AssetCheckSpec(
        name,
        asset=key,
        partitions_def=definition,
        description=f"What is expected of {table}, judged on its profile: counts, shares, "
        "ranges, and drift against the months before.",
    )

    @dg.multi_asset_check(
        name="_".join([*key.path, name]),
        specs=[spec],
        can_subset=True,
        compute_kind="great_expectations",
    )
    def expectations(
        context: dg.AssetCheckExecutionContext, engine: DuckDB, lake: dg.ResourceParam[Lake]
    ) -> Iterator[dg.Output]:
        suite = runner.read_suite(table)
        if definition and not (context.has_partition_key or context.has_partition_key_range):
            raise dg.Failure(
                f"{key.to_user_string()} has partitions, and this run names none: say which are to "
                "be judged, with `--partition` or `--partition-range`, or materialise it",
                allow_retries=False,
            )
        keys = list(context.partition_keys) if definition else [None]
        wanted = [partition_of(key, definition) for key in keys]
        partitions = [p for p in wanted if runner.lies_in(lake, table, p, model)]
        if absent := [key_of(p) or table for p in wanted if p not in partitions]:
            context.log.info(
                f"{table}: {len(absent)} of {len(wanted)} partitions are not in the lake and are "
                f"not judged: {', '.join(absent[:12])}{' ..' if len(absent) > 12 else ''}"
            )
        if partitions:
            with engine.get_connection() as connection:
                profile = runner.profile(connection, lake, suite, partitions, model)
            for row, outcomes in zip(profile, runner.judge(suite, profile), strict=True):
                hive = [c for c in TABLES[table].partitions if c not in ("model", "unit")]
                partition = {column: row[column] for column in hive}
                context.op_execution_context.log_event(
                    dg.AssetCheckEvaluation(  # type: ignore[arg-type]
                        asset_key=key,
                        check_name=name,
                        partition=key_of(partition),
                        **_verdict(row, outcomes),
                    )
                )
        # recorded above, by partition; the bare output only says that the step ran
        yield dg.Output(None, output_name=spec.get_python_identifier())

    return expectations


def _verdict(row: Mapping[str, Any], outcomes: Sequence[runner.Outcome]) -> dict[str, Any]:
    """What a check says of one partition: passed, severity, description and metadata."""
    failed = [outcome for outcome in outcomes if not outcome.passed]
    critical = any(outcome.expectation.severity == runner.CRITICAL for outcome in failed)
    metadata: dict[str, Any] = {
        "expectations": len(outcomes),
        "failed": len(failed),
        "profile": markdown_table(["", ""], [[c, runner.spell(v)] for c, v in row.items()]),
    }
    if failed:
        metadata["failed_expectations"] = markdown_table(
            ["expected", "observed"],
            [[outcome.expectation.sentence, outcome.observed] for outcome in failed],
        )
    return {
        "passed": not failed,
        "severity": dg.AssetCheckSeverity.ERROR if critical else dg.AssetCheckSeverity.WARN,
        "description": "; ".join(outcome.observed for outcome in failed)
        or f"all {len(outcomes)} expectations are met",
        "metadata": metadata,
    }
