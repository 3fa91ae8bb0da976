"""Make months of everything, from the archives to the map: ``make backfill FROM= TO=``.

Needs no running daemon: the same jobs that a deployment runs, one after the other in this process,
on the instance of DAGSTER_HOME, so that the UI shows them. What is there already is made again, to
the same bytes; a backfill that was killed is begun again in the same words.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from crime_assets.automation.event_log import use_instance
from crime_assets.automation.launcher import HOST_TAG
from crime_assets.definitions import build_definitions
from crime_assets.lake import Lake
from crime_assets.partitions import key_of, months
from crime_assets.settings import SettingError, Settings
from crime_assets.sources.releases import ranges_of_forces
from crime_assets.tables import HEX_CELLS, LSOA_AREAS, SCOPE_CELLS, SCOPES

STUDY_AREA = (HEX_CELLS, SCOPES, SCOPE_CELLS, LSOA_AREAS)

FILES_A_RUN = 150
"""Files that a run reads, or those of one month. Dagster plans each check of each file of a run,
and writes beside each a list of all: of a nation's three years at once that was 200 MB."""

AFTER_READING = (
    ("Counting crimes into cells, ranking the cells", "rank_hotspots", True),
    ("Counting crimes into LSOAs", "count_lsoas", True),
    ("Drawing the map of the last month", "draw_map", False),
)
"""What is made of the months that were read: in words, the job, and whether of all of them."""


@contextmanager
def step(console: Console, text: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Say what is being done, how far it is, and how long it took; yields what advances it."""
    started = time.monotonic()
    if not console.is_terminal:
        console.print(f"{text} ..")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(text, total=total)
        yield lambda: progress.advance(task)
    console.print(f"[green]done[/] {text} ({time.monotonic() - started:.1f} s)")


def execute(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    partitions: Sequence[str] | None,
    console: Console,
    text: str,
) -> list[str]:
    """Run a job, over a range of partitions if given, with a bar of the partitions published.

    Returns what Dagster says of each step that failed, or of a run that failed as a whole.
    """
    definition = definitions.resolve_job_def(job)
    tags = {HOST_TAG: socket.gethostname()}
    keys = 1
    if partitions:
        tags["dagster/asset_partition_range_start"] = partitions[0]
        tags["dagster/asset_partition_range_end"] = partitions[1]
        key_range = dg.PartitionKeyRange(*partitions)
        keys = len(definition.partitions_def.get_partition_keys_in_range(key_range))  # type: ignore[union-attr]
    run = instance.create_run_for_job(
        definition,
        tags=tags,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    with step(console, text, keys * len(definition.asset_layer.selected_asset_keys)) as advance:

        def listen(event: dg.EventLogEntry) -> None:
            if event.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
                advance()

        instance.add_event_listener(run.run_id, listen)
        # not `execute_in_process`: its executor runs nothing after a step that failed
        events = list(execute_run_iterator(InMemoryJob(definition), run, instance))
    failed = [
        f"{event.step_key}: {event.step_failure_data.error_display_string}"
        for event in events
        if event.is_step_failure
    ]
    if not failed and any(event.is_failure for event in events):
        failed = [f"{job}: {event.message}" for event in events if event.is_failure]
    return failed


def rectangles(first: str, last: str, forces: Sequence[str]) -> list[tuple[str, str]]:
    """The ranges of partitions that hold months x forces, each once, with :data:`FILES_A_RUN`.

    Forces that are neighbours in the list of all share them.
    """
    known = months.get_partition_keys()
    wanted = known[known.index(first) : known.index(last) + 1]
    found = []
    for files in ranges_of_forces((first, force, "") for force in forces):
        of_a_month = sum(files.first_force <= force <= files.last_force for force in forces)
        step = max(1, FILES_A_RUN // of_a_month)
        for begin in range(0, len(wanted), step):
            part = wanted[begin : begin + step]
            start = key_of({"month": part[0], "force": files.first_force})
            end = key_of({"month": part[-1], "force": files.last_force})
            found.append((str(start), str(end)))
    return found


def backfill(settings: Settings, first: str, last: str, console: Console) -> list[str]:
    """Make the months from ``first`` to ``last`` of all expected forces, and the map of the last.

    On the instance of DAGSTER_HOME. Returns what failed; what did not is made.
    """
    definitions = build_definitions(settings)
    lake = Lake(settings.data_dir / "lake")
    several = rectangles(first, last, settings.forces)
    runs: list[tuple[str, str, Sequence[str] | None]] = []
    if not all(lake.has(table.name) for table in STUDY_AREA):
        runs.append(("Laying the grid of 200 m cells", "study_area", None))
    neighbours = {tuple(key.split("|")[0] for key in both) for both in several}
    for start, end in several:
        (since, begin), (until, finish) = (key.split("|") for key in (start, end))
        of = "" if len(neighbours) == 1 else f", {since} to {until}"
        runs.append((f"Reading {begin} to {finish}{of}", "ingest", (start, end)))
    runs += [(text, job, (first if of_all else last, last)) for text, job, of_all in AFTER_READING]
    failed = []
    with dg.DagsterInstance.get() as instance:
        for text, job, partitions in runs:
            failed += execute(definitions, instance, job, partitions, console, text)
    return failed


def main() -> None:
    """Make the months that the command line names."""
    parser = argparse.ArgumentParser(prog="make backfill", description=__doc__)
    parser.add_argument("first", metavar="FROM", help="the first month, such as 2022-10")
    parser.add_argument("last", metavar="TO", help="the last month, such as 2025-09")
    given = parser.parse_args()
    known = months.get_partition_keys()
    for month in (given.first, given.last):
        if month not in known:
            parser.error(f"{month!r} is no month from {known[0]} to {known[-1]}")
    if given.first > given.last:
        parser.error(f"FROM={given.first} is after TO={given.last}")
    try:
        settings = Settings.from_environment()
    except SettingError as error:
        parser.error(str(error))
    own = "DAGSTER_HOME" in os.environ
    use_instance(Path(os.environ["DAGSTER_HOME"]) if own else settings.work_dir / "dagster")
    console = Console()
    failed = backfill(settings, given.first, given.last, console)
    for reason in failed:
        print(reason, file=sys.stderr)
    if failed:
        raise SystemExit(f"{len(failed)} steps failed; what they did not name is made.")
    console.print(f"Tables: {settings.data_dir / 'lake'}  Map: {settings.data_dir / 'maps'}")


if __name__ == "__main__":
    main()
