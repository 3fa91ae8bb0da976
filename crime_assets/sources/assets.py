"""Assets of what comes from outside: the published files, the crimes in them, their coverage."""

import json
import time
import zlib
from collections.abc import Iterator

import dagster as dg
import duckdb

from crime_assets.lake import DuckDB, Lake, MissingPartition, code_version, create
from crime_assets.partitions import SAME_MONTH, key_of, months, months_x_forces, window
from crime_assets.publication import (
    AuditFailed,
    Result,
    asset_options,
    audit,
    preview,
    publish_each,
    table_asset,
    table_metadata,
    total,
)
from crime_assets.register import CRIME_TYPES, FORCES
from crime_assets.settings import Settings
from crime_assets.sources import releases
from crime_assets.sources.police_uk import (
    ARCHIVE_MONTHS,
    HEADER,
    PoliceUkArchive,
    SourceError,
    UnknownMonth,
)
from crime_assets.sources.street_crimes import read_crimes, read_member, write_member
from crime_assets.storage import Folder
from crime_assets.tables import (
    ARCHIVE_INDEX,
    COVERAGE,
    REJECTED_CRIMES,
    RELEASE_CHANGES,
    STREET_CRIME_ISSUES,
    STREET_CRIMES,
)

GROUP = "sources"
_READING = (
    "sources/published_lines",
    "sources/street_crimes",
    "sources/rejected_crimes",
    "sources/street_crime_issues",
    "hexes/hex_id_at",
)


def _raw_path(settings: Settings, partition: dict[str, str]) -> Folder:
    return settings.data_dir.joinpath(
        "raw", "street_crimes_csv", *(f"{c}={k}" for c, k in partition.items()), "data.csv.gz"
    )


@dg.asset(
    **table_asset(
        ARCHIVE_INDEX,
        group=GROUP,
        statements=["sources/archive_index"],
        partitions_def=months,
        audits={
            "one_file_a_force": "The archive holds at most one file of each force and month, and "
            "none later than itself."
        },
    )
)
def archive_index(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    archive: PoliceUkArchive,
) -> Iterator[dg.Output]:
    """A force's file of one month in the archive of a release: its size and its checksum.

    The partition is the month of the release. Read from the archive's directory, at its end:
    nothing is downloaded. What differs from what this lake holds is then fetched
    (`release_changes` says what that was). The metadata name the edition (ETag): a release may be
    issued anew.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        release = partition["month"]
        index = archive.index(release)
        create(connection, "sources/archive_index", members=releases.as_json(index.members))
        audit(connection, "sources/audits/one_file_a_force", release=release)
        edition = {"etag": index.etag, "bytes": index.bytes, "last_modified": index.last_modified}
        published = lake.publish(
            connection, "archive_index", ARCHIVE_INDEX.name, partition, edition
        )
        metadata = table_metadata(connection, "archive_index", published) | {
            "url": dg.MetadataValue.url(index.url),
            "etag": index.etag or "none",
            "last_modified": index.last_modified or "not said",
            "archive_bytes": index.bytes or 0,
            "months": preview(connection, "sources/previews/indexed_months"),
        }
        return Result(published.sha256, metadata, {"one_file_a_force": {"files": published.rows}})

    yield from publish_each(context, engine, publish)


@dg.asset(
    **asset_options(
        "street_crimes_csv",
        row="one crime in the publisher's own words and columns",
        group=GROUP,
        kinds={"csv", "python"},
        version="1",
        partitions_def=months_x_forces,
        metadata={
            "dagster/column_schema": dg.TableSchema(
                [
                    dg.TableColumn(name, "text", description="as published")
                    for name in HEADER.split(",")
                ]
            )
        },
        audits={
            "file_is_whole": "The file is UTF-8 text under the header of a street-crime file, "
            "once; what was written reads back as what was published."
        },
    )
)
def street_crimes_csv(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    archive: PoliceUkArchive,
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """A force's street crimes of one month, as police.uk published them.

    Taken from the newest archive that holds this force's file for the month, and kept compressed,
    byte for byte (the data version is the SHA-256 of the file). Where an archive holds the month
    but none holds the file, the partition is empty and says so: not published.
    """

    def publish(_: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        path = _raw_path(settings, partition)
        try:
            member = archive.find(**partition)
            size = write_member(path, member)
        except UnknownMonth:
            raise
        except SourceError as error:
            raise AuditFailed("file_is_whole", str(error)) from error
        return Result(
            data_version=member.sha256,
            metadata={
                "dagster/partition_row_count": max(0, len(member.content.splitlines()) - 1),
                "status": "published" if member.published else "not_published",
                "release": member.release,
                "newest_release": member.newest_release,
                "url": dg.MetadataValue.url(member.url),
                "sha256": member.sha256,
                "bytes": len(member.content),
                "bytes_compressed": size,
                "downloaded": dg.MetadataValue.timestamp(time.time()),
                "file": dg.MetadataValue.path(str(path)),
                "preview": dg.MetadataValue.md(
                    "```\n" + member.content[:1200].decode("utf-8", "replace") + "\n```"
                ),
            },
            audits={"file_is_whole": {"bytes": len(member.content), "sha256": member.sha256}},
        )

    yield from publish_each(context, engine, publish, workers=engine.threads)


@dg.asset(
    **table_asset(
        STREET_CRIMES,
        group=GROUP,
        statements=_READING,
        constants=CRIME_TYPES,
        partitions_def=months_x_forces,
        deps=[street_crimes_csv],
        audits={
            "rows_add_up": "Rows published = rows kept + rows rejected with a reason.",
            "file_is_readable": "At most half of the lines are rejected; else the file as a whole "
            "is broken, and the old partition stays.",
        },
    )
)
def street_crimes(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """One crime, as one force published it for one month, typed and located.

    From `street_crimes_csv`. Coordinates are degrees (WGS84) and metres (British National Grid);
    police.uk moves each crime to an anonymous place nearby. Lines that cannot be read are not
    dropped: they stand in the table `rejected_crimes`, with the reason. Crimes without a location
    (1.8 % in 2025) are kept, and so are repeated ids: an id repeats at different places.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        path = _raw_path(settings, partition)
        if not path.exists():
            raise MissingPartition(
                f"street_crimes_csv {key_of(partition)} is not there: materialise it first"
            )
        member = read_member(path)
        counts = read_crimes(connection, member.content, partition["month"])
        if counts.published != counts.kept + counts.rejected:
            raise AuditFailed(
                "rows_add_up",
                f"{counts.published:,} rows published, but {counts.kept:,} kept and "
                f"{counts.rejected:,} rejected ({member.name})",
            )
        if counts.rejected > counts.kept:
            reason = connection.execute(
                "select mode(reason), min(row) from rejected_crimes"
            ).fetchone() or ("", 0)
            raise AuditFailed(
                "file_is_readable",
                f"{counts.rejected:,} of {counts.published:,} lines of {member.name} cannot be "
                f"read, from row {reason[1]} on; most often: {reason[0]}",
            )
        provenance = {
            "force": partition["force"],
            "published": member.published,
            "release": member.release,
            "newest_release": member.newest_release,
            "sha256": member.sha256,
            "bytes": len(member.content),
            "crc32": zlib.crc32(member.content),
            "rows": counts.published,
            "located": counts.located,
            "rejected": counts.rejected,
        }
        # three files, three moves: whoever is killed between them leaves rejected lines and an
        # issue that are newer than the crimes; making the partition again mends it
        releases.count_issue(connection, lake, partition, member)
        lake.publish(connection, "street_crime_issues", STREET_CRIME_ISSUES.name, partition)
        rejected = lake.publish(connection, "rejected_crimes", REJECTED_CRIMES.name, partition)
        published = lake.publish(
            connection, "street_crimes", STREET_CRIMES.name, partition, provenance
        )
        metadata = table_metadata(connection, "street_crimes", published) | {
            "release": member.release,
            "located": counts.located,
            "outside_grid": counts.outside_grid,
            "rejected": counts.rejected,
            "rejected_file": dg.MetadataValue.path(str(rejected.path)),
            "types_outside_their_months": counts.type_out_of_its_months,
        }
        if counts.rejected:
            metadata["rejected_by_reason"] = preview(
                connection,
                "select reason, count(*) as lines, min(row) as first_row from rejected_crimes "
                "group by reason order by lines desc, reason limit 12",
            )
        figures = {"published": counts.published, "kept": counts.kept, "rejected": counts.rejected}
        # the file also says which archive was the newest when it was read: no reason to count again
        version = f"{member.sha256[:16]}-{code_version(_READING, CRIME_TYPES)}"
        return Result(version, metadata, {"rows_add_up": figures, "file_is_readable": figures})

    yield from publish_each(context, engine, publish, workers=engine.threads)


@dg.asset(
    **table_asset(
        COVERAGE,
        group=GROUP,
        statements=["sources/coverage"],
        constants=FORCES,
        partitions_def=months,
        deps=[
            dg.AssetDep(street_crimes_csv, partition_mapping=SAME_MONTH),
            dg.AssetDep(street_crimes, partition_mapping=SAME_MONTH),
        ],
        audits={
            "every_force_accounted_for": "Each expected force is published, partial, or "
            "explicitly not published."
        },
    )
)
def coverage(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """One force in one month: whether it published, from which archive, and how much.

    From `street_crimes`. `not_published`: police.uk has the month, but no file of this force;
    its cells are unknown, not cold. `partial`: a file with less than a quarter of the crimes that
    the force usually has. `not_loaded`: not among the forces that this deployment expects.
    A month waits until each expected force is published or explicitly not.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        month = partition["month"]
        missing = [
            force
            for force in settings.forces
            if not lake.has(STREET_CRIMES.name, {"month": month, "force": force})
        ]
        if missing:
            raise AuditFailed(
                "every_force_accounted_for",
                f"{month} waits for {len(missing)} of {len(settings.forces)} expected forces: "
                f"{', '.join(missing[:6])}{' ..' if len(missing) > 6 else ''}. Materialise "
                f"street_crimes_csv and street_crimes of them, or name in CRIME_FORCES only those "
                "that you want",
                missing=missing,
            )
        files = [
            lake.provenance(connection, STREET_CRIMES.name, {"month": month, "force": force})
            for force in settings.forces
        ]
        kinds = {FORCES[force].kind == "sample" for force in settings.forces}
        register = [
            {
                "force": force.force,
                "monthly_crimes": force.monthly_crimes,
                "expected": force.force in settings.forces,
            }
            for force in FORCES.values()
            if (force.kind == "sample") in kinds
        ]
        create(connection, "sources/coverage", forces=json.dumps(register), files=json.dumps(files))
        statuses: dict[str, int] = dict(
            connection.execute(
                "select status, count(*) from coverage group by status order by status"
            ).fetchall()
        )
        published = lake.publish(connection, "coverage", COVERAGE.name, partition)
        metadata = table_metadata(connection, "coverage", published) | {
            "crimes": total(connection, "select sum(rows) - sum(rejected) from coverage"),
            "preview": preview(connection, "select * exclude (sha256) from coverage order by all"),
            **{f"forces_{status}": count for status, count in statuses.items()},
        }
        return Result(published.sha256, metadata, {"every_force_accounted_for": statuses})

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        RELEASE_CHANGES,
        group=GROUP,
        statements=["sources/release_changes"],
        partitions_def=months,
        deps=[
            archive_index,
            dg.AssetDep(coverage, partition_mapping=window(ARCHIVE_MONTHS - 1)),
        ],
        audits={
            "types_add_up": "The types of each file add up to its `All crime`, before and after."
        },
    )
)
def release_changes(
    context: dg.AssetExecutionContext, engine: DuckDB, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.Output]:
    """What a release changed: crimes of one type in a force's file of a month, before and after.

    The partition is the month of the release. From the issues of each file that this lake has read
    (`street_crime_issues`): of a file that it reads for the first time there is no before. A file
    may differ and count the same: police.uk revises outcomes and places, too.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        release = partition["month"]
        lake.require(ARCHIVE_INDEX.name, partition)
        read = releases.view_issues(connection, lake, release)
        create(connection, "sources/release_changes", release=release)
        audit(connection, "sources/audits/types_add_up")
        published = lake.publish(connection, "release_changes", RELEASE_CHANGES.name, partition)
        metadata = table_metadata(connection, "release_changes", published) | {
            "files_read": read,
            "preview": preview(connection, "sources/previews/changed_months"),
            "by_force": preview(connection, "sources/previews/changed_forces"),
        }
        return Result(published.sha256, metadata, {"types_add_up": {"rows": published.rows}})

    yield from publish_each(context, engine, publish)
