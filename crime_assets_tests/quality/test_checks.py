"""The checks as Dagster runs them: one evaluation a partition, and nothing heavy to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from crime_assets.forecasting.forecasters import FORECASTERS, NAIVE_RULE
from crime_assets.grids.methods import METHODS
from crime_assets.lake import DuckDB, Lake
from crime_assets.models.classifiers import CLASSIFIERS
from crime_assets.partitions import cells_x_cities, cities, forces, months, months_x_forces
from crime_assets.quality.checks import CHECKED_WITH, expectation_checks, models_of
from crime_assets.tables import TABLES


def to(first: str, last: str) -> dict[str, str]:
    """The tags of a run over a range."""
    start, end = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
    return {start: first, end: last}


def publish(lake: Lake, month: str, rows: int, **others: object) -> None:
    values = {"rows": rows, "located": rows, "sha256": "ce", **others}
    with DuckDB().get_connection() as connection:
        connection.execute(
            "create temp table made as select 'kent' as force, 'published' as status, '2025-12' as "
            "release, '2025-12' as newest_release, $sha256::varchar as sha256, $rows as rows, "
            "$located as located, 0 as rejected",
            values,
        )
        lake.publish(connection, "made", "coverage", {"month": month})


def keys_of(table: str) -> list[dg.AssetKey]:
    """The assets that publish a table: one, or one a model."""
    return [dg.AssetKey([table, model]) for model in models_of(table)] or [dg.AssetKey(table)]


def judge(
    lake: Lake, asset: str, tags: dict[str, str], raises: bool = True
) -> dg.ExecuteInProcessResult:
    """Run the checks of ``asset`` (such as ``forecasts/chance``), without materialising it."""
    partitions = {
        ("month",): months,
        ("month", "model", "unit"): months,
        ("month", "model"): months,
        ("month", "force"): months_x_forces,
        ("force",): forces,
        ("city",): cities,
        ("cells", "city"): cells_x_cities,
        ("cells", "city", "model"): cells_x_cities,
        (): None,
    }
    key = dg.AssetKey(asset.split("/"))
    job = dg.define_asset_job("judge", selection=dg.AssetSelection.checks_for_assets(key))
    definitions = dg.Definitions(
        assets=[
            dg.AssetSpec(key, partitions_def=partitions[table.partitions])
            for name, table in TABLES.items()
            for key in keys_of(name)
        ],
        asset_checks=expectation_checks(),
        jobs=[job],
        resources={"lake": lake, "engine": DuckDB()},
    )
    return definitions.resolve_job_def("judge").execute_in_process(
        instance=dg.DagsterInstance.ephemeral(), tags=tags, raise_on_error=raises
    )


def evaluations(result: dg.ExecuteInProcessResult) -> list[dg.AssetCheckEvaluation]:
    return result.get_asset_check_evaluations()


def test_each_table_has_one_check_on_the_asset_that_publishes_it() -> None:
    keys = {key for check in expectation_checks() for key in check.check_keys}
    assert keys == {
        dg.AssetCheckKey(key, "expectations")
        for table in TABLES
        if table not in CHECKED_WITH
        for key in keys_of(table)
    } | {
        dg.AssetCheckKey(dg.AssetKey("street_crimes"), name)
        for name in ("rejected_lines", "issues")
    } | {dg.AssetCheckKey(dg.AssetKey("city_incidents"), "rejected_lines")}


def test_each_model_has_a_check_of_its_own_but_foresight_forecasts_nothing() -> None:
    checked: dict[str, set[str]] = {}
    for check in expectation_checks():
        for key in check.check_keys:
            table, *model = key.asset_key.path
            checked.setdefault(table, set()).update(model)
    assert checked["evaluations"] == set(FORECASTERS)
    assert checked["forecasts"] == set(FORECASTERS) - {"perfect_foresight"}
    assert checked["lsoa_predictions"] == checked["lsoa_evaluations"] == set(CLASSIFIERS)
    assert checked["grid_forecasts"] == checked["grid_evaluations"] == set(METHODS)
    by_model = {
        "evaluations", "forecasts", "grid_evaluations", "grid_forecasts", "lsoa_evaluations",
        "lsoa_predictions",
    }  # fmt: skip
    assert {table for table, models in checked.items() if models} == by_model


def test_a_range_is_recorded_once_a_partition_and_what_is_absent_is_skipped(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for month, rows in (("2025-06", 1000), ("2025-07", 1100), ("2025-09", 300)):
        publish(lake, month, rows)
    found = evaluations(judge(lake, "coverage", to("2025-07", "2025-10")))
    assert [(e.partition, e.passed) for e in found] == [("2025-07", True), ("2025-09", False)]
    assert found[1].severity == dg.AssetCheckSeverity.WARN
    assert found[1].description == "least_volume 0.2857 (kent)"


def test_one_broken_critical_expectation_makes_an_error(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    publish(lake, "2025-09", 300, sha256=None)
    (found,) = evaluations(judge(lake, "coverage", {"dagster/partition": "2025-09"}))
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert found.metadata["failed"].value == 1
    assert "| untraced_files 1 |" in found.metadata["failed_expectations"].value
    assert "| rows | 300 |" in found.metadata["profile"].value


def test_a_month_and_force_is_recorded_under_its_key(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with DuckDB().get_connection() as connection:
        for table in ("street_crimes", "rejected_crimes"):
            lake.view(connection, table, [{"month": "2025-09", "force": "kent"}], skip_missing=True)
            connection.execute(
                f"create temp table empty_{table} as select * exclude (month, force) from {table}"
            )
            lake.publish(connection, f"empty_{table}", table, {"month": "2025-09", "force": "kent"})
    found = evaluations(judge(lake, "street_crimes", to("essex|2025-08", "kent|2025-09")))
    key = dg.MultiPartitionKey({"month": "2025-09", "force": "kent"})
    assert {(e.check_name, e.partition, e.passed) for e in found} == {
        ("expectations", key, True),
        ("rejected_lines", key, True),
    }


def publish_hit_rate(lake: Lake, month: str, model: str, value: float, unit: str = "hex") -> None:
    """The hit rate of a model in 5 % of one area, known to a hundredth."""
    with DuckDB().get_connection() as connection:
        connection.execute(
            "create temp table made as select 'kent' as scope, 'Drugs' as crime_type, 'month' as "
            "step, 1 as horizon_steps, 'time' as split, 'hit_rate' as metric, 0.05 as coverage, "
            "$value as value, $value - 0.01 as low, $value + 0.01 as high, $value as tie_best, "
            "$value as tie_worst, 900 as units, 40 as crimes",
            {"value": value},
        )
        place = {"month": month, "model": model, "unit": unit}
        lake.publish(connection, "made", "evaluations", place)


@pytest.mark.slow
def test_a_model_is_judged_beside_the_naive_rule_of_its_month(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for month, model, value in (
        ("2025-07", "last_month", 0.3),  # nothing to compare it with
        ("2025-08", "last_month", 0.3),
        ("2025-08", NAIVE_RULE, 0.25),
        ("2025-09", "last_month", 0.3),
        ("2025-09", NAIVE_RULE, 0.35),
        ("2025-09", "chance", 0.05),
        ("2025-10", NAIVE_RULE, 0.35),
    ):
        publish_hit_rate(lake, month, model, value)
    found = evaluations(judge(lake, "evaluations/last_month", to("2025-06", "2025-10")))
    assert {e.asset_key for e in found} == {dg.AssetKey(["evaluations", "last_month"])}
    passed = [("2025-07", True), ("2025-08", True), ("2025-09", False)]
    assert [(e.partition, e.passed) for e in found] == passed
    assert found[2].severity == dg.AssetCheckSeverity.WARN
    assert found[2].description == "share_lost_to_naive_rule 1"
    # chance is not asked to beat the rule, nor is the rule itself
    for model in ("chance", NAIVE_RULE):
        (found_of_model,) = evaluations(
            judge(lake, f"evaluations/{model}", {"dagster/partition": "2025-09"})
        )
        assert found_of_model.passed
        assert "| figures | 1 |" in found_of_model.metadata["profile"].value


def test_a_model_with_lsoas_alone_is_judged(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    publish_hit_rate(lake, "2025-09", "last_month", 0.3, unit="lsoa")
    (found,) = evaluations(judge(lake, "evaluations/last_month", {"dagster/partition": "2025-09"}))
    assert found.passed


def test_a_classifier_is_judged_by_its_own_partition(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with DuckDB().get_connection() as connection:
        connection.execute(
            "create temp table made as select 'study-area' as scope, 'time' as split, 'tier' as "
            "label, 'all' as group_kind, null as group_name, null as class, metric, value, "
            "value - 0.05 as low, value + 0.05 as high, 0.01 as p_value, 900 as areas from (values "
            "('accuracy_difference', -0.1), ('accuracy', 0.8), ('macro_f1', 0.7), "
            "('log_loss', 0.5), ('brier', 0.3)) as figure (metric, value)"
        )
        place = {"month": "2025-09", "model": "random_forest"}
        lake.publish(connection, "made", "lsoa_evaluations", place)
    range_of = to("2025-08", "2025-09")
    (found,) = evaluations(judge(lake, "lsoa_evaluations/random_forest", range_of))
    assert (found.partition, found.severity) == ("2025-09", dg.AssetCheckSeverity.WARN)
    assert found.description == "labels_lost_to_same_class tier; share_lost_to_same_class 1"
    assert not evaluations(judge(lake, "lsoa_evaluations/gradient_boosting", range_of))


def test_a_run_that_names_no_partition_says_so(tmp_path: Path) -> None:
    result = judge(Lake(tmp_path), "coverage", {}, raises=False)
    (failure,) = (e for e in result.all_events if e.is_step_failure)
    description = failure.step_failure_data.user_failure_data.description
    assert "coverage has partitions, and this run names none" in description


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("crime_assets.definitions", {"great_expectations"}),
        ("crime_assets.quality.checks", {"great_expectations", "pandas", "scipy", "sklearn"}),
    ],
)
def test_importing_brings_in_nothing_heavy(module: str, heavy: set[str]) -> None:
    script = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not heavy & set(done.stdout.split())
