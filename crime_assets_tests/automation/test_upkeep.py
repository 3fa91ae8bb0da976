"""The clean-up of old runs: what made a partition that is there stays, the rest goes."""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from crime_assets.automation.upkeep import clean_up, runs_that_made_what_is_there
from crime_assets.partitions import months


@dg.asset(partitions_def=months, backfill_policy=dg.BackfillPolicy.single_run())
def numbers(context: dg.AssetExecutionContext) -> None:
    """A number of each month; 2024-12 never comes."""
    if "2024-12" in context.partition_keys:
        raise dg.Failure("2024-12 never comes", allow_retries=False)


@dg.asset
def sums() -> None:
    """A table without partitions."""


@dg.job
def nothing() -> None:
    """A job that makes nothing."""


QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def make(instance: dg.DagsterInstance, first: str, last: str | None = None) -> str:
    """Run the numbers of a range of months; returns the run."""
    job = dg.Definitions(assets=[numbers]).resolve_implicit_global_asset_job_def()
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last or first,
    }
    return job.execute_in_process(
        instance=instance, tags=tags, raise_on_error=False, run_config=QUIET
    ).run_id


def make_sums(instance: dg.DagsterInstance) -> str:
    job = dg.Definitions(assets=[sums]).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, run_config=QUIET).run_id


def clean(instance: dg.DagsterInstance, keep_days: int) -> tuple[str, list[str]]:
    """Clean up; returns the clean-up's run and what it logged."""
    config = {"ops": {"remove_old_runs": {"config": {"keep_days": keep_days}}}}
    result = clean_up.execute_in_process(instance=instance, run_config=config | QUIET)
    lines = [log.user_message for log in instance.all_logs(result.run_id)]
    return result.run_id, [line for line in lines if "runs that finished" in line]


def runs(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def test_old_runs_go_but_for_those_that_made_what_is_there(instance: dg.DagsterInstance) -> None:
    of_both = make(instance, "2025-01", "2025-02")
    superseded = make(instance, "2025-01")
    latest = make(instance, "2025-01")
    failed = make(instance, "2024-12")
    of_nothing = nothing.execute_in_process(instance=instance, run_config=QUIET).run_id
    old_sums, new_sums = make_sums(instance), make_sums(instance)
    assert runs(instance) == {
        of_both, superseded, latest, failed, of_nothing, old_sums, new_sums,
    }  # fmt: skip

    cleaning, told = clean(instance, keep_days=0)
    # failed ones are why a partition counts as failed
    assert runs(instance) == {of_both, latest, failed, new_sums, cleaning}
    assert told == [
        "3 runs that finished more than 0 days ago are removed; 3 stay, since they made "
        "partitions that are still there"
    ]
    assert not instance.all_logs(superseded)


def test_partitions_stay_made_when_old_runs_go(instance: dg.DagsterInstance) -> None:
    make(instance, "2025-01", "2025-02")
    make(instance, "2025-01")
    make_sums(instance)
    clean(instance, keep_days=0)
    keys = ["2025-01", "2025-02", "2025-03"]
    statuses = instance.get_status_by_partition(numbers.key, keys, months)
    assert statuses is not None
    assert [s and s.value for s in statuses.values()] == ["MATERIALIZED", "MATERIALIZED", None]
    assert instance.get_materialized_partitions(numbers.key) == {"2025-01", "2025-02"}
    assert instance.get_latest_materialization_event(sums.key) is not None


def test_runs_of_the_last_months_stay_whatever_they_made(instance: dg.DagsterInstance) -> None:
    made = {make(instance, "2025-01"), make(instance, "2025-01"), make(instance, "2024-12")}
    cleaning, told = clean(instance, keep_days=1)
    assert runs(instance) == {*made, cleaning}
    assert told[0].startswith("0 runs that finished more than 1 days ago are removed; 0 stay")


def test_of_a_run_that_goes_no_file_stays(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        old, latest = make(instance, "2025-01"), make(instance, "2025-01")

        def files(run: str) -> set[Path]:
            return {p for p in tmp_path.rglob("*") if p.is_file() and run in str(p)}

        assert {p.suffix for p in files(old)} >= {".db", ".out", ".err"}
        kept = files(latest)
        clean(instance, keep_days=0)
        assert not files(old)
        assert files(latest) == kept


def test_a_run_that_is_on_its_way_stays(instance: dg.DagsterInstance) -> None:
    started = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
    cleaning, _ = clean(instance, keep_days=0)
    assert runs(instance) == {started.run_id, cleaning}


def test_what_nobody_s_run_made_needs_no_run(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization("sums"))
    old = make_sums(instance)
    instance.report_runless_asset_event(dg.AssetMaterialization("sums"))
    assert old not in runs_that_made_what_is_there(instance)
