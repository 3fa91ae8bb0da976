"""How partitions are published: each by itself, the bad named, what follows still run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from crime_assets import DataError
from crime_assets.lake import DuckDB
from crime_assets.partitions import months, partition_of
from crime_assets.publication import (
    AuditFailed,
    Result,
    _failure,
    asset_options,
    executor,
    preview,
    publish_each,
)
from crime_assets.settings import Settings

RESOURCES = {"settings": Settings.from_environment({})}
"""What the hook on every asset asks for."""

MONTHS = ("2025-01", "2025-02", "2025-03", "2025-04")


def make_asset(
    name: str,
    publish: Callable[[dict[str, str]], Result],
    version: str = "1",
    cancel: Callable[[], None] | None = None,
    **options: Any,
) -> dg.AssetsDefinition:
    @dg.asset(
        **asset_options(
            name,
            row="one number",
            group="test",
            kinds={"duckdb"},
            version=version,
            partitions_def=months,
            audits={"is_good": "The number is good."},
            **options,
        )
    )
    def asset(context) -> Iterator[dg.Output]:  # type: ignore[no-untyped-def]
        def work(_: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
            return publish(partition)

        yield from publish_each(context, DuckDB(threads=1), work, workers=2, cancel=cancel)

    return asset


def good(partition: dict[str, str]) -> Result:
    return Result(f"version of {partition['month']}", {"n": 1}, {"is_good": {"n": 1}})


def bad_in_february(partition: dict[str, str]) -> Result:
    if partition["month"] == "2025-02":
        raise AuditFailed("is_good", "the number of 2025-02 is odd", n=7)
    return good(partition)


def run(
    instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, span: tuple[str, str] | str
) -> dg.ExecuteInProcessResult:
    definitions = dg.Definitions(assets=list(assets), executor=executor, resources=RESOURCES)
    job = definitions.resolve_implicit_global_asset_job_def()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if isinstance(span, str):
        return job.execute_in_process(
            instance=instance, partition_key=span, raise_on_error=False, run_config=quiet
        )
    return job.execute_in_process(
        instance=instance, tags=range_tags(*span), raise_on_error=False, run_config=quiet
    )


def range_tags(first: str, last: str) -> dict[str, str]:
    return {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def versions(instance: dg.DagsterInstance, name: str) -> dict[str | None, str]:
    """The recorded data versions, and that each partition was recorded once."""
    records = instance.fetch_materializations(dg.AssetKey(name), limit=100).records
    keys = [record.partition_key for record in records]
    assert len(keys) == len(set(keys))
    return {
        record.partition_key: (record.asset_materialization.tags or {})["dagster/data_version"]  # type: ignore[union-attr]
        for record in records
    }


def test_each_partition_of_a_range_is_recorded_once_with_its_own_version(
    instance: dg.DagsterInstance,
) -> None:
    assert run(instance, make_asset("a", good), span=(MONTHS[0], MONTHS[-1])).success
    assert versions(instance, "a") == {m: f"version of {m}" for m in MONTHS}


def test_a_single_partition_is_recorded_as_in_a_range(instance: dg.DagsterInstance) -> None:
    assert run(instance, make_asset("a", good), span="2025-03").success
    assert versions(instance, "a") == {"2025-03": "version of 2025-03"}


def test_a_bad_partition_is_named_and_the_others_are_published(
    instance: dg.DagsterInstance,
) -> None:
    result = run(instance, make_asset("a", bad_in_february), span=(MONTHS[0], MONTHS[-1]))
    assert not result.success
    (failure,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert failure.user_failure_data is not None
    description = failure.user_failure_data.description or ""
    assert "1 of 4 partitions failed" in description
    assert "2025-02: the number of 2025-02 is odd" in description
    assert set(versions(instance, "a")) == set(MONTHS) - {"2025-02"}


PUBLISHED: set[str] = set()


def job_of_two() -> dg.JobDefinition:
    """``a``, bad in February, and ``b``, which needs the same month of ``a``."""

    def upstream(partition: dict[str, str]) -> Result:
        result = bad_in_february(partition)
        PUBLISHED.add(partition["month"])
        return result

    def downstream(partition: dict[str, str]) -> Result:
        if partition["month"] not in PUBLISHED:
            raise DataError(f"a of {partition['month']} is not there")
        return good(partition)

    first = make_asset("a", upstream)
    assets = [first, make_asset("b", downstream, deps=[first])]
    job = dg.define_asset_job("both", selection="*")
    definitions = dg.Definitions(assets=assets, jobs=[job], executor=executor, resources=RESOURCES)
    return definitions.resolve_job_def("both")


def test_what_follows_runs_for_the_good_partitions(instance: dg.DagsterInstance) -> None:
    # as a launched run is executed, with the executor of the definitions
    with dg.execute_job(
        dg.reconstructable(job_of_two),
        instance=instance,
        tags=range_tags(MONTHS[0], MONTHS[-1]),
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    ) as result:
        assert not result.success
        failed = {e.step_key for e in result.all_events if e.is_step_failure}
    assert failed == {"a", "b"}
    assert set(versions(instance, "a")) == set(MONTHS) - {"2025-02"}
    assert set(versions(instance, "b")) == set(MONTHS) - {"2025-02"}


def test_audits_are_recorded_by_partition(instance: dg.DagsterInstance) -> None:
    run(instance, make_asset("a", bad_in_february), span=(MONTHS[0], MONTHS[-1]))
    records = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("a"), "is_good"), limit=20
    )
    outcomes = {
        record.event.dagster_event.asset_check_evaluation_data.partition: (  # type: ignore[union-attr]
            record.event.dagster_event.asset_check_evaluation_data.passed  # type: ignore[union-attr]
        )
        for record in records
        if record.event
    }
    assert outcomes == {m: m != "2025-02" for m in MONTHS}


def test_a_cancelled_run_ends_what_it_works_on_and_drops_what_waits(
    instance: dg.DagsterInstance,
) -> None:
    begun: list[str] = []
    cancelled: list[float] = []
    ended = Event()

    def long(partition: dict[str, str]) -> Result:
        begun.append(partition["month"])
        if len(begun) == 2:  # both workers are busy; the signal goes to the main thread
            os.kill(os.getpid(), signal.SIGINT)
        assert ended.wait(timeout=10)
        raise DataError("cancelled")

    def cancel() -> None:
        cancelled.append(time.monotonic())
        if len(cancelled) == 2:  # at first it was not there yet
            ended.set()

    result = run(instance, make_asset("a", long, cancel=cancel), span=(MONTHS[0], MONTHS[-1]))
    assert not result.success
    assert begun == [*MONTHS[:2]]
    assert len(cancelled) in (2, 3)
    assert not versions(instance, "a")


def test_what_a_cancelled_run_has_published_is_recorded(instance: dg.DagsterInstance) -> None:
    """Nobody would ask for it again: it lies in the lake."""
    ended = Event()

    def first_is_slow(partition: dict[str, str]) -> Result:
        if partition["month"] == MONTHS[0]:
            assert ended.wait(timeout=10)
        elif partition["month"] == MONTHS[2]:  # the second is done, and waits to be recorded
            os.kill(os.getpid(), signal.SIGINT)
            assert ended.wait(timeout=10)
        return good(partition)

    result = run(
        instance, make_asset("a", first_is_slow, cancel=ended.set), span=(MONTHS[0], MONTHS[-1])
    )
    assert not result.success
    assert versions(instance, "a") == {m: f"version of {m}" for m in MONTHS[:3]}


def test_an_error_of_the_code_shows_its_kind(
    instance: dg.DagsterInstance,
) -> None:
    def broken(partition: dict[str, str]) -> Result:
        raise ZeroDivisionError("oh")

    result = run(instance, make_asset("a", broken), span="2025-01")
    (failure,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert failure.user_failure_data is not None
    assert "ZeroDivisionError: oh" in (failure.user_failure_data.description or "")


def test_only_errors_of_the_data_are_not_retried() -> None:
    data, code = DataError("a torn file"), OSError("connection reset")
    assert _failure({"2025-01": data}, 2).allow_retries is False
    assert _failure({"2025-01": data, "2025-02": code}, 2).allow_retries is True


def test_the_ui_shows_as_stale_what_a_revision_or_new_code_makes_stale(
    instance: dg.DagsterInstance,
) -> None:
    issue = {"n": 1}

    def upstream(partition: dict[str, str]) -> Result:
        return Result(f"issue {issue['n']} of {partition['month']}", {}, {"is_good": {}})

    first = make_asset("a", upstream)
    second = make_asset("b", good, deps=[first])
    assert run(instance, first, second, span=("2025-01", "2025-02")).success

    def status(*assets: dg.AssetsDefinition, month: str) -> StaleStatus:
        definitions = dg.Definitions(assets=list(assets), resources=RESOURCES)
        graph = definitions.resolve_asset_graph()
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        return resolver.get_status(dg.AssetKey("b"), month)

    assert status(first, second, month="2025-01") == StaleStatus.FRESH
    # the same bytes again change nothing
    assert run(instance, first, span="2025-01").success
    assert status(first, second, month="2025-01") == StaleStatus.FRESH
    # a revision of January makes January stale, not February
    issue["n"] = 2
    assert run(instance, first, span="2025-01").success
    assert status(first, second, month="2025-01") == StaleStatus.STALE
    assert status(first, second, month="2025-02") == StaleStatus.FRESH
    newer = make_asset("b", good, version="2", deps=[first])
    assert status(first, newer, month="2025-02") == StaleStatus.STALE


def test_a_preview_is_a_markdown_table_that_nothing_breaks() -> None:
    with duckdb.connect() as connection:
        text = preview(
            connection,
            "select 'a|b' as x, null as y, 1.23456789::double as z, repeat('w', 90) as long",
        ).value
    header, rule, row = (text or "").split("\n")
    assert header == "| x | y | z | long |"
    assert rule == "| --- | --- | --- | --- |"
    assert row == "| a\\|b |  | 1.23457 | " + "w" * 57 + "... |"


def test_a_key_that_is_not_partitioned_has_no_columns() -> None:
    assert partition_of(None, None) == {}
