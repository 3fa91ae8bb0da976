"""Expectation suites, the profiles that they judge, and Great Expectations as their judge.

A suite is data: ``suites/<table>.yaml``. What it judges is the table's profile, made by
``sql/quality/<table>.sql``: one row a partition, of counts, shares, ranges and drift against the
months before. So Great Expectations sees a small frame, whatever the size of the table. It is
imported inside the functions: that takes seconds, and only a check that runs needs it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import yaml

from crime_assets.forecasting.counts import UNIT_KINDS
from crime_assets.forecasting.forecaster import Forecaster
from crime_assets.forecasting.forecasters import FORECASTERS, NAIVE_RULE
from crime_assets.lake import Lake, Partition, sql
from crime_assets.lsoa.labels import LABELS
from crime_assets.models.classifiers import CLASSIFIERS, NAIVE_CLASS, Classifier
from crime_assets.partitions import months_back
from crime_assets.register import CRIME_TYPES
from crime_assets.tables import TABLES

if TYPE_CHECKING:
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.expectations.expectation import Expectation as GxExpectation

_SUITES = Path(__file__).parent / "suites"

CRITICAL = "critical"

Profile = Sequence[Mapping[str, Any]]
"""A row a partition: its hive columns, then what was measured; ``None`` where nothing could be."""


class SuiteError(Exception):
    """An expectation could not be judged: the suite or the profile is at fault, not the data."""


@dataclass(frozen=True)
class Expectation:
    """What is expected of each row of a profile.

    ``type`` and ``kwargs`` are those of Great Expectations; it must be one that judges row by row
    (of column values or pairs), so that a partition is judged the same in whatever run. Null is
    not judged: it says that there is nothing to compare. ``severity`` is ``critical`` where what
    follows must not be used, else ``warning``; ``sentence`` says what is expected, what it means
    if it is not so, and what to do.
    """

    type: str
    kwargs: Mapping[str, Any]
    severity: str
    sentence: str


@dataclass(frozen=True)
class Suite:
    """The expectations of one table, and what its profile is made from.

    ``reads`` are further tables, and ``months_before`` the months before, of a table by month.
    """

    table: str
    expectations: tuple[Expectation, ...]
    reads: tuple[str, ...] = ()
    months_before: int = 0


@dataclass(frozen=True)
class Outcome:
    """An expectation of one partition. ``observed`` is what the profile says of it."""

    expectation: Expectation
    passed: bool
    observed: str


def suite_tables() -> list[str]:
    """The tables that have a suite. Reads no suite: definitions are made of this."""
    return sorted(path.stem for path in _SUITES.glob("*.yaml"))


@cache
def read_suite(table: str) -> Suite:
    """The suite of a table. Raises :class:`SuiteError` where the file is no suite."""
    path = _SUITES / f"{table}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        expectations = tuple(Expectation(**entry) for entry in content.pop("expectations"))
        reads = tuple(content.pop("reads", ()))
        return Suite(table, expectations, reads, **content)
    except (TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise SuiteError(f"{path.name} is no suite: {error}") from error


# --- Profiles -------------------------------------------------------------------------------


def profile(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    suite: Suite,
    partitions: Sequence[Partition],
    model: str | None = None,
) -> Profile:
    """The profile of partitions that are in the lake.

    Read are exactly these partitions, and of each the ``months_before`` that are in the lake: what
    a later month holds changes nothing. Tables without partitions have a profile of one row. Of a
    table by model, a partition is what ``model`` has of all unit kinds in a month; that of the
    naive rule (of forecasters, or of classifiers) is read beside it.
    """
    if "city" in TABLES[suite.table].partitions:
        of_city = (_profile_city(connection, lake, suite, place, model) for place in partitions)
        return [row for rows in of_city for row in rows]
    forces_of_month: dict[str | None, list[str]] = {}
    for partition in partitions:
        forces = forces_of_month.setdefault(partition.get("month"), [])
        forces.extend(filter(None, [partition.get("force")]))
    return [
        row
        for month, forces in forces_of_month.items()
        for row in _profile_month(connection, lake, suite, month, forces, model)
    ]


def _profile_city(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    suite: Suite,
    partition: Partition,
    model: str | None,
) -> Profile:
    """The profile of one partition of a table by city; beside it, what other tables have of it."""
    place = {**partition, **({"model": model} if model else {})}
    for table in (suite.table, *suite.reads):
        wanted = {column: place[column] for column in TABLES[table].partitions}
        lake.view(connection, table, [wanted], skip_missing=True)
    return _rows(connection, sql(f"quality/{suite.table}"), place)


def _rows(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: Mapping[str, Any]
) -> Profile:
    """The rows of a statement, which need not use all of the parameters."""
    used = {name: value for name, value in parameters.items() if f"${name}" in statement}
    found = connection.execute(statement, used)
    names = [column[0] for column in found.description]
    return [dict(zip(names, values, strict=True)) for values in found.fetchall()]


def _profile_month(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    suite: Suite,
    month: str | None,
    forces: list[str],
    model: str | None,
) -> Profile:
    """The profile of the partitions of one month, or of a table that has none."""
    models: Mapping[str, Forecaster | Classifier] = FORECASTERS
    naive = NAIVE_RULE
    if "unit" not in TABLES[suite.table].partitions:
        models, naive = CLASSIFIERS, NAIVE_CLASS
    for table in (suite.table, *suite.reads):
        wanted: list[dict[str, str]] = [{}]
        if month and "month" in TABLES[table].partitions:
            wanted = [{"month": m} for m in months_back(month, suite.months_before + 1)]
        if "force" in TABLES[table].partitions:
            wanted = [{**w, "force": force} for force in forces for w in wanted]
        if model and "model" in TABLES[table].partitions:
            wanted = [p for w in wanted for m in {model, naive} for p in _of_model(table, w, m)]
        lake.view(connection, table, wanted, skip_missing=True)
    parameters = {
        "month": month,
        "forces": forces,
        "model": model,
        "naive_rule": naive,
        "role": models[model].role if model else None,
        "labels": json.dumps([{"label": n, "classes": c} for n, c in LABELS.items()]),
        "crime_types": json.dumps([asdict(t) for t in CRIME_TYPES.values()]),
    }
    return _rows(connection, sql(f"quality/{suite.table}"), parameters)


def _of_model(table: str, partition: Partition, model: str) -> list[dict[str, str]]:
    """What the hive columns of a month's partition are for one model: one a kind of unit."""
    of_model = {**partition, "model": model}
    if "unit" not in TABLES[table].partitions:
        return [of_model]
    return [{**of_model, "unit": unit} for unit in UNIT_KINDS]


def lies_in(lake: Lake, table: str, partition: Partition, model: str | None = None) -> bool:
    """Whether a partition is in the lake; of a table by model, whether any kind of unit is."""
    if model and "model" in TABLES[table].partitions:
        return any(lake.has(table, place) for place in _of_model(table, partition, model))
    return lake.has(table, partition)


# --- Judgement ------------------------------------------------------------------------------


@cache
def _frame_definition() -> BatchDefinition[Any]:
    """Great Expectations in memory and in silence, ready for a frame; once a process."""
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("profiles")
    return source.add_dataframe_asset("profile").add_batch_definition_whole_dataframe("rows")


def judge(suite: Suite, profile: Profile) -> list[list[Outcome]]:
    """What Great Expectations says of each row of ``profile``, in the order of the rows.

    Raises :class:`SuiteError` for an expectation that does not exist, that raised (a column that
    the profile has not, say), or that judges the frame as a whole.
    """
    import pandas as pd
    from great_expectations.core import ExpectationSuite
    from great_expectations.core.result_format import ResultFormat

    batch = _frame_definition().get_batch({"dataframe": pd.DataFrame(profile)})
    expected = [_as_judged(suite, position) for position in range(len(suite.expectations))]
    validated = batch.validate(
        ExpectationSuite(suite.table, expectations=expected), result_format=ResultFormat.COMPLETE
    )
    unexpected: dict[int, set[int]] = {}
    for result in validated.results:
        assert result.expectation_config is not None
        position = result.expectation_config.meta["position"]
        what = _name(suite, position)
        if raised := _exceptions(result.exception_info):
            raise SuiteError(f"{what} raised: {'; '.join(sorted(raised))}")
        if "unexpected_index_list" not in result.result:
            raise SuiteError(f"{what} does not judge row by row")
        unexpected[position] = set(result.result["unexpected_index_list"] or ())
    return [
        [
            Outcome(expectation, index not in unexpected[position], _observed(expectation, row))
            for position, expectation in enumerate(suite.expectations)
        ]
        for index, row in enumerate(profile)
    ]


def _name(suite: Suite, position: int) -> str:
    expectation = suite.expectations[position]
    return f"suite {suite.table}, {expectation.type} of {dict(expectation.kwargs)}"


def _as_judged(suite: Suite, position: int) -> GxExpectation:
    """An expectation as Great Expectations has it; it brings back its position in the suite."""
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    expectation = suite.expectations[position]
    try:
        return ExpectationConfiguration(
            type=expectation.type,
            kwargs=dict(expectation.kwargs),
            severity=expectation.severity,  # type: ignore[arg-type]
            meta={"position": position},
        ).to_domain_obj()
    except Exception as error:
        raise SuiteError(f"{_name(suite, position)} is no expectation: {error!r}") from error


def _exceptions(exception_info: Mapping[str, Any] | None) -> set[str]:
    """The messages of what was raised: one record, or one a metric that failed."""
    info = exception_info or {}
    records = [info] if "raised_exception" in info else info.values()
    return {str(r["exception_message"]) for r in records if r["raised_exception"]}


def _observed(expectation: Expectation, row: Mapping[str, Any]) -> str:
    """The value of each column that is judged, and of which it is: ``least_volume_of``."""
    columns = [
        str(value) for name, value in expectation.kwargs.items() if name.startswith("column")
    ]
    shown = [
        f"{column} {spell(row[column])}"
        + (f" ({spell(row[f'{column}_of'])})" if f"{column}_of" in row else "")
        for column in columns
    ]
    return ", ".join(shown)


def spell(value: object) -> str:
    """A value of a profile as a person reads it; nothing for null."""
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
