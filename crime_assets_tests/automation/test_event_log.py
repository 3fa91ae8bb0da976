"""Our event log is Dagster's: what one writes the other reads, from threads and processes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from crime_assets.automation.event_log import OpenIndexEventLog, configuration

TABLE = dg.AssetKey("hex_counts")
WRITER = """
import sys
import dagster as dg
with dg.DagsterInstance.get() as instance:
    for month in sys.argv[1:]:
        instance.report_runless_asset_event(dg.AssetMaterialization("hex_counts", partition=month))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME as `make dev` has it."""
    (tmp_path / "dagster.yaml").write_text(configuration())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def report(instance: dg.DagsterInstance, month: str) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(TABLE, partition=month))
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=TABLE, check_name="audit", passed=month != "2025-02", partition=month
        )
    )


def test_dagster_reads_what_ours_wrote_and_ours_what_dagster_wrote(home: Path) -> None:
    with dg.DagsterInstance.get() as ours:
        assert isinstance(ours.event_log_storage, OpenIndexEventLog)
        report(ours, "2025-01")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.get() as theirs:
        assert not isinstance(theirs.event_log_storage, OpenIndexEventLog)
        assert theirs.get_materialized_partitions(TABLE) == {"2025-01"}
        report(theirs, "2025-02")
    (home / "dagster.yaml").write_text(configuration())
    with dg.DagsterInstance.get() as ours:
        assert ours.get_materialized_partitions(TABLE) == {"2025-01", "2025-02"}
        check = dg.AssetCheckKey(TABLE, "audit")
        (latest,) = ours.event_log_storage.get_latest_asset_check_execution_by_key([check]).values()
        assert latest.status.value == "FAILED"


def test_threads_and_processes_write_at_once(home: Path) -> None:
    of_threads = [f"2024-{month:02}" for month in range(1, 13)]
    of_process = [f"2023-{month:02}" for month in range(1, 13)]
    with dg.DagsterInstance.get() as instance:
        other = subprocess.Popen([sys.executable, "-W", "ignore", "-c", WRITER, *of_process])
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda month: report(instance, month), of_threads))
        assert other.wait(timeout=120) == 0
        assert instance.get_materialized_partitions(TABLE) == {*of_threads, *of_process}


def test_an_index_that_was_closed_is_opened_again(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        report(instance, "2025-01")
        instance.event_log_storage.dispose()
        report(instance, "2025-02")
        assert instance.get_materialized_partitions(TABLE) == {"2025-01", "2025-02"}
