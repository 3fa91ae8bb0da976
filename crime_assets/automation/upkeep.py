"""Keep the deployment in order: the nightly inventory, and the clean-up of old runs.

Dagster keeps every event of every run for ever. What a run logged is of use for a while; that it
made a partition is of use for as long as it is the partition that is there.
"""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

from crime_assets.automation.jobs import take_inventory
from crime_assets.settings import Settings

KEEP_DAYS = 90
"""Days that finished runs stay, with all that they logged."""

EVENTS_AT_A_TIME = 200


def schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """The schedules of a deployment with these settings that keep it in order."""
    status = (
        dg.DefaultScheduleStatus.STOPPED
        if settings.automation == "off"
        else dg.DefaultScheduleStatus.RUNNING
    )
    return [
        dg.ScheduleDefinition(
            name="nightly_inventory",
            job=take_inventory,
            cron_schedule="30 4 * * *",
            execution_timezone="Europe/London",
            default_status=status,
            description="Lists each night what is not as it should be.",
        ),
        dg.ScheduleDefinition(
            name="weekly_clean_up",
            job=clean_up,
            cron_schedule="0 5 * * 0",
            execution_timezone="Europe/London",
            default_status=status,
            description=f"Removes runs that ended {KEEP_DAYS} days ago, did not fail, and made "
            "nothing that is still there.",
        ),
    ]


@dg.op(config_schema={"keep_days": dg.Field(int, default_value=KEEP_DAYS)})
def remove_old_runs(context: dg.OpExecutionContext) -> None:
    """Remove old runs, with their events, that have not failed and made nothing still there."""
    keep_days = context.op_config["keep_days"]
    before = datetime.now(UTC) - timedelta(days=keep_days)
    needed = runs_that_made_what_is_there(context.instance)
    removed = kept = 0
    # failed runs stay: they are why a partition counts as failed until it is made
    finished = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED]
    old = dg.RunsFilter(statuses=finished, updated_before=before)
    for record in context.instance.get_run_records(old):
        if record.dagster_run.run_id in needed:
            kept += 1
        else:
            _remove(context.instance, record.dagster_run.run_id)
            removed += 1
    context.log.info(
        f"{removed} runs that finished more than {keep_days} days ago are removed; {kept} stay, "
        "since they made partitions that are still there"
    )


def _remove(instance: dg.DagsterInstance, run_id: str) -> None:
    """Remove a run: what is known of it, what it logged and printed, and the file of that."""
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    if isinstance(instance.event_log_storage, SqliteEventLogStorage):  # a file a run, now empty
        file = Path(instance.event_log_storage.path_for_shard(run_id))
        for each in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
            each.unlink(missing_ok=True)


@dg.job(description="Remove the events of old runs that made nothing that is still there.")
def clean_up() -> None:
    """Remove the events of old runs that made nothing that is still there."""
    remove_old_runs()


def runs_that_made_what_is_there(instance: dg.DagsterInstance) -> set[str]:
    """The runs whose materialisation of some partition is the latest of it.

    Removing such a run would make Dagster take the partition for missing.
    """
    needed: set[str] = set()
    storage = instance.event_log_storage
    for key in instance.all_asset_keys():
        latest = storage.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        ids = list(latest.values())
        for start in range(0, len(ids), EVENTS_AT_A_TIME):
            chunk = ids[start : start + EVENTS_AT_A_TIME]
            found = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=key, storage_ids=chunk), limit=len(chunk)
            )
            needed |= {record.run_id for record in found.records}
        if not latest and (records := instance.fetch_materializations(key, limit=1).records):
            needed.add(records[0].run_id)
    return needed
