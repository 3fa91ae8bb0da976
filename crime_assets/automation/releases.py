"""Follow police.uk: ask for its releases, read what they changed, and have the rest follow.

Three sensors, off by default on a developer's machine (CRIME_AUTOMATION):

- :func:`release_sensor` asks police.uk, cheaply, and has the directory of a new archive indexed;
- :func:`changed_files_sensor` compares an index with the lake, and has what differs read;
- the sensor of :mod:`crime_assets.automation.conditions` has counts, rankings and maps follow.

Where nobody wants to ask police.uk all day, :func:`release_schedule` asks once a month, in place of
the first. Every request has a run key of release, edition and partitions: nothing runs twice,
and a release that is issued anew does run.
"""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from crime_assets.automation.conditions import FOLLOWERS
from crime_assets.automation.jobs import index_archive, ingest
from crime_assets.lake import DuckDB, Lake
from crime_assets.partitions import key_of, months_back
from crime_assets.settings import Settings
from crime_assets.sources.police_uk import (
    ARCHIVE_MONTHS,
    PoliceUkArchive,
    Release,
    SourceError,
    SourceUnreachable,
)
from crime_assets.sources.releases import (
    ChangedFiles,
    changed_files,
    first_month,
    ranges_of_forces,
)
from crime_assets.tables import ARCHIVE_INDEX, STREET_CRIMES

INDEX = dg.AssetKey(ARCHIVE_INDEX.name)
FOLLOW_INTERVAL_S = 30
"""Seconds between two looks at what was made: Dagster's own default."""
EVENTS_A_TICK = 20

_UNDER_WAY = dg.RunsFilter(job_name=ingest.name, statuses=list(NOT_FINISHED_STATUSES))


def sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """The sensors of a deployment with these settings."""
    automatic = settings.automation != "off"
    follow_s = min(FOLLOW_INTERVAL_S, settings.release_interval_s)
    following = dg.DefaultSensorStatus.RUNNING if automatic else dg.DefaultSensorStatus.STOPPED
    asking = following if settings.automation == "sensors" else dg.DefaultSensorStatus.STOPPED
    return [
        release_sensor(settings.release_interval_s, asking),
        changed_files_sensor(follow_s, following),
        dg.AutomationConditionSensorDefinition(
            "followers",
            target=dg.AssetSelection.assets(*FOLLOWERS),
            default_status=following,
            minimum_interval_seconds=follow_s,
            use_user_code_server=True,  # the conditions are ours
            description="Has counts, rankings and maps follow what they are made of: "
            "crime_assets/automation/conditions.py says when.",
        ),
    ]


def release_sensor(interval_s: int, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """The sensor that asks police.uk for its newest release every ``interval_s`` seconds."""

    @dg.sensor(
        name="police_uk_releases",
        job=index_archive,
        minimum_interval_seconds=interval_s,
        default_status=status,
        description="Asks police.uk for its latest month and the edition of its newest archive "
        "(one small answer and one HEAD; nothing is downloaded). Has a new one indexed.",
    )
    def ask(
        context: dg.SensorEvaluationContext,
        engine: DuckDB,
        lake: dg.ResourceParam[Lake],
        archive: PoliceUkArchive,
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult | dg.SkipReason:
        seen, today = json.loads(context.cursor or "{}"), f"{datetime.now(UTC):%Y-%m-%d}"
        try:
            newest = archive.in_a_hurry().newest()
        except (SourceUnreachable, SourceError) as error:
            return dg.SkipReason(f"police.uk does not answer now, asked again later: {error}")
        request = _index_of(newest, "is out")
        if (newest.release, newest.etag) == (seen.get("release"), seen.get("etag")):
            if seen.get("asked") == today or _is_indexed(engine, lake, newest):
                ahead = _ahead(archive, settings, newest)
                return dg.SkipReason(f"{newest.release} is still the newest release{ahead}")
            request = _index_of(newest, "was not indexed when asked before", again=today)
        elif newest.release == seen.get("release"):
            request = _index_of(newest, "was issued anew")
        return dg.SensorResult(
            run_requests=[request],
            cursor=json.dumps({"release": newest.release, "etag": newest.etag, "asked": today}),
        )

    return ask


def _ahead(archive: PoliceUkArchive, settings: Settings, newest: Release) -> str:
    """What police.uk's API has beyond the newest archive of its website, in words, or nothing."""
    if not settings.archive_url.startswith("http"):
        return ""  # a folder's releases are whatever was put there
    try:
        said = archive.in_a_hurry().last_updated(settings.api_url)
    except (SourceUnreachable, SourceError) as error:
        return f"; the API does not say what it has: {error}"
    return f"; the API has {said} already" if said > newest.release else ""


def _is_indexed(engine: DuckDB, lake: Lake, newest: Release) -> bool:
    """Whether the lake has the index of this edition of a release."""
    place = {"month": newest.release}
    if not lake.has(ARCHIVE_INDEX.name, place):
        return False
    with engine.get_connection() as connection:
        edition = lake.provenance(connection, ARCHIVE_INDEX.name, place)
    return bool(edition.get("etag") == newest.etag)


def _index_of(newest: Release, why: str, again: str = "") -> dg.RunRequest:
    """The request that has the directory of an edition of a release read, ``again`` on a day."""
    return dg.RunRequest(
        run_key=f"{newest.release} {newest.etag} index {again}".rstrip(),
        partition_key=newest.release,
        tags=_why(newest.release, why),
    )


def changed_files_sensor(interval_s: int, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """The sensor that has read what an index of an archive shows to differ from the lake."""

    @dg.sensor(
        name="changed_files",
        job=ingest,
        minimum_interval_seconds=interval_s,
        default_status=status,
        description="Compares each new `archive_index` with the lake, by size and checksum, and "
        "has the files that differ read: a request a month, by ranges of forces. Once a day it "
        "compares the newest again: what could not be read is asked for until it is there.",
    )
    def compare(
        context: dg.SensorEvaluationContext,
        engine: DuckDB,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult | dg.SkipReason:
        seen, today = json.loads(context.cursor or "{}"), f"{datetime.now(UTC):%Y-%m-%d}"
        fetched = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=INDEX, after_storage_id=seen.get("event")),
            limit=EVENTS_A_TICK if seen else 1,  # at first, the last that there is
            ascending=bool(seen),
        ).records
        releases, again = [str(record.partition_key) for record in fetched], ""
        if not releases and seen and seen["compared"] != today:
            if context.instance.get_runs(_UNDER_WAY, limit=1):
                return dg.SkipReason("files are being read; compared again when they are")
            releases = sorted(place["month"] for place in lake.partitions(ARCHIVE_INDEX.name))[-1:]
            again = today
        if not releases:
            return dg.SkipReason("no archive was indexed since")
        # where the lake began when it was first compared: that a first fill got no further than
        # its last months does not make it begin there
        begins = first_month(lake.partitions(STREET_CRIMES.name))
        begins = min(seen.get("begins", begins), begins)
        requests: dict[str | None, dg.RunRequest] = {}
        with engine.get_connection() as connection:
            for release in dict.fromkeys(releases):
                edition = lake.provenance(connection, ARCHIVE_INDEX.name, {"month": release})
                changed = changed_files(connection, lake, release, settings.forces, begins)
                known_by = f"{edition.get('etag')} {again}".rstrip()
                for request in requests_for(changed, release, known_by):
                    requests[request.run_key] = request
                context.log.info(f"{release}: {len(changed)} ranges of files differ from the lake")
        last = max([record.storage_id for record in fetched], default=seen.get("event"))
        return dg.SensorResult(
            run_requests=list(requests.values()),
            cursor=json.dumps({"event": last, "compared": today, "begins": begins}),
            skip_reason=None if requests else dg.SkipReason("the lake holds what the archive does"),
        )

    return compare


def requests_for(
    changed: Iterable[ChangedFiles], release: str, edition: str
) -> Iterator[dg.RunRequest]:
    """The requests that have ``changed`` files of an edition of a release read.

    The latest month first: it is what people wait for.
    """
    for files in sorted(changed, key=lambda files: files.month, reverse=True):
        first = key_of({"month": files.month, "force": files.first_force})
        last = key_of({"month": files.month, "force": files.last_force})
        yield dg.RunRequest(
            run_key=f"{release} {edition} {first}...{last}",
            job_name=ingest.name,
            tags={
                "dagster/asset_partition_range_start": str(first),
                "dagster/asset_partition_range_end": str(last),
                **_why(release, f"{files.month}: {files.why}"),
            },
        )


def _why(release: str, why: str) -> dict[str, str]:
    """Tags that say in the UI what a run is for."""
    return {"crime_assets/release": release, "crime_assets/why": why}


# --- schedules ------------------------------------------------------------------------------


def schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """The schedules of a deployment with these settings that follow police.uk."""

    def status(runs: bool) -> dg.DefaultScheduleStatus:
        return dg.DefaultScheduleStatus.RUNNING if runs else dg.DefaultScheduleStatus.STOPPED

    return [
        release_schedule(status(settings.automation == "schedules")),
        rereading_schedule(status(settings.automation != "off")),
    ]


def release_schedule(status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """Look for a release once a month, in place of :func:`release_sensor`."""

    @dg.schedule(
        name="monthly_release",
        cron_schedule="0 6 12-16 * *",  # five days: police.uk may be late, or away
        execution_timezone="Europe/London",
        job=index_archive,
        default_status=status,
        description="Looks for a release on the 12th to the 16th of each month, and has a new one "
        "indexed, once: for deployments that do not want to ask police.uk all day.",
    )
    def look(
        context: dg.ScheduleEvaluationContext,
        engine: DuckDB,
        lake: dg.ResourceParam[Lake],
        archive: PoliceUkArchive,
    ) -> dg.RunRequest | dg.SkipReason:
        newest = archive.in_a_hurry().newest()
        if _is_indexed(engine, lake, newest):
            return dg.SkipReason(f"{newest.release} is still the newest release")
        return _index_of(newest, "is out")

    return look


YEAR_TAG = "crime_assets/read_again"
"""The year of which a run reads files again."""


def rereading_schedule(status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """Read everything again once a year, whatever checksums say."""

    @dg.schedule(
        name="yearly_rereading",
        cron_schedule="0 2 1-5 3 *",  # five days: police.uk may be away
        execution_timezone="Europe/London",
        job=ingest,
        default_status=status,
        description="Reads again what the lake has of the newest archive, once a year in March, "
        "whatever checksums say.",
    )
    def read_again(
        context: dg.ScheduleEvaluationContext,
        archive: PoliceUkArchive,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> list[dg.RunRequest] | dg.SkipReason:
        year = {YEAR_TAG: str(context.scheduled_execution_time.year)}
        if context.instance.get_runs(dg.RunsFilter(tags=year), limit=1):
            return dg.SkipReason("this year's was asked for already")
        release = archive.in_a_hurry().newest().release
        held = set(months_back(release, ARCHIVE_MONTHS))
        files = sorted(
            (place["month"], place["force"], "read again")
            for place in lake.partitions(STREET_CRIMES.name)
            if place["month"] in held and place["force"] in settings.forces
        )
        known_by = f"yearly {year[YEAR_TAG]}"
        return [
            request._replace(tags={**request.tags, **year})
            for request in requests_for(ranges_of_forces(files), release, known_by)
        ]

    return read_again
