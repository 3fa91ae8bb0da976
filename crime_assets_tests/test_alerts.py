"""What people are told of a failure: once, in words, in the log and at the webhook."""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

import socket
from collections.abc import Iterator

import dagster as dg
import duckdb
import pytest

from crime_assets.alerts import LONGEST, tell
from crime_assets.lake import DuckDB
from crime_assets.partitions import months
from crime_assets.publication import AuditFailed, Result, asset_options, executor, publish_each
from crime_assets.settings import Settings
from crime_assets_tests.webhooks import SECRET, webhook


@dg.asset(
    **asset_options(
        "numbers",
        row="one number",
        group="numbers",
        kinds={"python"},
        version="1",
        audits={"is_even": "The number is even."},
        partitions_def=months,
    )
)
def numbers(context: dg.AssetExecutionContext) -> Iterator[dg.Output]:
    """A number of each month, of which that of 2025-02 is odd."""

    def publish(_: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        if partition["month"] == "2025-02":
            raise AuditFailed("is_even", "the number of 2025-02 is 7; ask for another")
        return Result("1", {})

    yield from publish_each(context, DuckDB(threads=1), publish)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(
    instance: dg.DagsterInstance, url: str = "", last: str = "2025-03"
) -> list[tuple[str, str]]:
    """Make the numbers from 2025-01 on; returns the log: the level and the text of each line."""
    settings = Settings.from_environment({"CRIME_ALERT_WEBHOOK": url})
    definitions = dg.Definitions(
        assets=[numbers], executor=executor, resources={"settings": settings}
    )
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": "2025-01",
            "dagster/asset_partition_range_end": last,
        },
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    return [
        ("ERROR" if record.level >= 40 else "less", f"{record.user_message} {record.error_info}")
        for record in instance.all_logs(result.run_id)
    ]


def failed_steps(instance: dg.DagsterInstance) -> list[str | None]:
    (record,) = instance.get_runs(limit=1)
    return [
        log.dagster_event.step_failure_data.user_failure_data.description  # type: ignore[union-attr]
        for log in instance.all_logs(record.run_id)
        if log.dagster_event and log.dagster_event.is_step_failure
    ]


def summaries(log: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [line for line in log if line[1].startswith("numbers failed in run")]


def test_a_failure_is_told_once_in_the_log_and_at_the_webhook(instance: dg.DagsterInstance) -> None:
    with webhook() as told:
        log = run(instance, told.url)
    (record,) = instance.get_runs()
    expected = (
        f"numbers failed in run {record.run_id[:8]} (__ASSET_JOB): 1 of 3 partitions failed and "
        "were not published; what the lake held of them stays as it was.\n"
        "2025-02: the number of 2025-02 is 7; ask for another"
    )
    assert told.texts == [expected]
    assert summaries(log) == [("ERROR", f"{expected} None")]


def test_a_success_is_told_nobody(instance: dg.DagsterInstance) -> None:
    with webhook() as told:
        log = run(instance, told.url, last="2025-01")
    assert told.texts == []
    assert summaries(log) == []


def test_without_a_webhook_the_log_alone_says_it(instance: dg.DagsterInstance) -> None:
    log = run(instance)
    assert len(summaries(log)) == 1
    assert not [text for _, text in log if "webhook" in text]


def test_a_webhook_that_answers_with_an_error_changes_nothing(instance: dg.DagsterInstance) -> None:
    with webhook(status=500) as told:
        log = run(instance, told.url)
    assert len(summaries(log)) == len(told.texts) == 1
    assert ("less", "the webhook answered 500 None") in log
    (reason,) = failed_steps(instance)
    assert str(reason).startswith("1 of 3 partitions failed")
    assert set(instance.get_materialized_partitions(numbers.key)) == {"2025-01", "2025-03"}


def test_a_webhook_that_is_away_changes_nothing_and_its_address_is_in_no_line(
    instance: dg.DagsterInstance,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    log = run(instance, f"http://127.0.0.1:{port}/services/{SECRET}")
    assert len(summaries(log)) == 1
    assert ("less", "the webhook could not be told: ConnectionError None") in log
    (reason,) = failed_steps(instance)
    assert str(reason).startswith("1 of 3 partitions failed")
    assert not [text for _, text in log if SECRET in text or str(port) in text]


@pytest.mark.parametrize("status", [200, 404])
def test_the_address_of_the_webhook_is_in_no_line_of_the_log(
    instance: dg.DagsterInstance, status: int
) -> None:
    with webhook(status) as told:
        log = run(instance, told.url)
    assert len(told.texts) == 1
    assert not [text for _, text in log if SECRET in text]


def test_an_address_that_is_none_is_a_reason_and_no_error() -> None:
    settings = Settings.from_environment({"CRIME_ALERT_WEBHOOK": "hooks.example/T0KEN"})
    assert tell(settings, "something") == "the webhook could not be told: MissingSchema"


def test_a_long_summary_is_cut_where_chats_would_fold_it() -> None:
    with webhook() as told:
        settings = Settings.from_environment({"CRIME_ALERT_WEBHOOK": told.url})
        assert tell(settings, "x" * 2 * LONGEST) is None
    assert told.texts == ["x" * LONGEST]
