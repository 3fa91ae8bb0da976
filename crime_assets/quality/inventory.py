"""The inventory: what of the deployment is not as it should be, by name and with the reason.

What broke at night and was mended since is no news; what is broken now is. So this looks at the
state of things and not at what happened: at what Dagster knows of partitions, at the lake, and at
what police.uk has.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
import duckdb

from crime_assets.lake import Lake
from crime_assets.partitions import partition_of
from crime_assets.sources.police_uk import Release
from crime_assets.sources.releases import changed_files
from crime_assets.tables import (
    ARCHIVE_INDEX,
    COVERAGE,
    HEX_COUNTS,
    HOTSPOT_FREQUENCY,
    HOTSPOT_SUMMARY,
    HOTSPOTS,
    LSOA_AREAS,
    LSOA_COUNTS,
    RECONCILIATION,
    SNAP_COUNTS,
    STREET_CRIMES,
)

STATES = ("failed", "missing", "outdated", "late")

OF_EACH_MONTH = (HEX_COUNTS, SNAP_COUNTS, RECONCILIATION, HOTSPOTS, HOTSPOT_SUMMARY,
                 HOTSPOT_FREQUENCY, LSOA_COUNTS)  # fmt: skip
"""The tables that each month which is covered has, the last where the lake has LSOAs."""


@dataclass(frozen=True)
class Finding:
    """A partition that is not as it should be: which of :data:`STATES` it is in, and why."""

    name: str
    month: str | None
    force: str | None
    state: str
    reason: str


def failed_partitions(
    instance: dg.DagsterInstance,
    partitions: Mapping[dg.AssetKey, dg.PartitionsDefinition],
) -> Iterator[Finding]:
    """Every partition of the assets whose last attempt failed."""
    for key, definition in partitions.items():
        statuses = instance.get_status_by_partition(
            key, definition.get_partition_keys(), definition
        )
        for partition, status in (statuses or {}).items():
            if status is not None and status.value == "FAILED":
                place = partition_of(partition, definition)
                which = "" if {"month", "force"} & {*place} else f"{partition}: "
                yield Finding(
                    key.to_user_string(),
                    place.get("month"),
                    place.get("force"),
                    "failed",
                    f"{which}its last run failed or was killed, and what the lake held of it "
                    "stays: its log says why; materialise it again",
                )


def late_release(newest: Release, edition: Mapping[str, object] | None) -> Iterator[Finding]:
    """The newest release, where it is not the ``edition`` that was indexed (``None``: none was).

    The clock says nothing here: a month is late when police.uk has published it.
    """
    if edition is None or edition.get("etag") != newest.etag:
        what = "published it" if edition is None else "issued it anew"
        yield Finding(
            ARCHIVE_INDEX.name,
            newest.release,
            None,
            "late",
            f"police.uk has {what}{f' ({newest.last_modified})' if newest.last_modified else ''}, "
            "and it was not looked into yet: materialise archive_index of it, or switch the "
            "sensors on",
        )


def files_not_read(
    connection: duckdb.DuckDBPyConnection, lake: Lake, release: str, forces: Sequence[str]
) -> Iterator[Finding]:
    """What the archive of ``release``, which was indexed, holds otherwise than the lake.

    Only from the first month on that the lake covers: what is before it nobody has asked for.
    """
    first = min((place["month"] for place in lake.partitions(COVERAGE.name)), default="")
    for files in changed_files(connection, lake, release, forces):
        if files.month < first:
            continue
        together = "" if files.first_force == files.last_force else f" to {files.last_force}"
        unread = "not read yet" in files.why
        yield Finding(
            STREET_CRIMES.name,
            files.month,
            files.first_force,
            "missing" if unread else "late",
            f"{files.first_force}{together}: {files.why} (archive {release}); materialise "
            "street_crimes_csv and street_crimes of them",
        )


def months_not_made(
    connection: duckdb.DuckDBPyConnection, lake: Lake, forces: Sequence[str], named: Container[str]
) -> Iterator[Finding]:
    """The files and tables that a month lacks, or tables of other files than those in the lake.

    Of months that are ``named`` it is known already that files are missing.
    """
    expected = [t for t in OF_EACH_MONTH if t is not LSOA_COUNTS or lake.has(LSOA_AREAS.name)]
    there = {table: lake.partitions(table.name) for table in (COVERAGE, *expected)}
    read: dict[str, dict[str, Mapping[str, object]]] = {}
    files = lake.partitions(STREET_CRIMES.name)
    for file, told in lake.provenances(connection, STREET_CRIMES.name, files):
        if file["force"] in forces:
            read.setdefault(file["month"], {})[file["force"]] = told
    for month in sorted(read):
        place = {"month": month}
        if missing := [force for force in forces if force not in read[month]]:
            if month not in named:
                for force in missing:
                    reason = "not read, while others of the month are; run ingest of it"
                    yield Finding(STREET_CRIMES.name, month, force, "missing", reason)
            continue
        if place not in there[COVERAGE]:
            yield Finding(
                COVERAGE.name,
                month,
                None,
                "missing",
                "every expected force is there, and the month is not counted: run rank_hotspots",
            )
            continue
        if other := _files_since(connection, lake, month, read[month]):
            yield Finding(
                COVERAGE.name,
                month,
                None,
                "outdated",
                f"read since: {', '.join(other[:6])}{' ..' if len(other) > 6 else ''}; run "
                "rank_hotspots",
            )
        version = lake.sha256(COVERAGE.name, place)
        for table in expected:
            if place not in there[table]:
                job = "count_lsoas" if table is LSOA_COUNTS else "rank_hotspots"
                yield Finding(table.name, month, None, "missing", f"run {job}")
            elif table in (HEX_COUNTS, SNAP_COUNTS):
                under = lake.provenance(connection, table.name, place).get("coverage")
                if under != version:
                    reason = "counted before coverage changed; run rank_hotspots"
                    yield Finding(table.name, month, None, "outdated", reason)


def _files_since(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    month: str,
    files: Mapping[str, Mapping[str, object]],
) -> list[str]:
    """The forces of whose ``files`` ``coverage`` of the month counts another one."""
    lake.view(connection, COVERAGE.name, [{"month": month}])
    counted = dict(connection.execute("select force, sha256 from coverage").fetchall())
    return sorted(
        force
        for force, told in files.items()
        if counted.get(force) != (told["sha256"] if told["published"] else None)
    )
