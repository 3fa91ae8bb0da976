"""Assets of streets: the segments of a force's network, which of them meet, the crimes on them.

A crime belongs to the segment that is nearest to its point, by the distance to the segment's line.
"""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb

from crime_assets import DataError
from crime_assets.hexes.assets import hex_cells, view_street_crimes
from crime_assets.hexes.pictures import as_markdown
from crime_assets.lake import DuckDB, Lake, MissingPartition, create
from crime_assets.partitions import (
    SAME_FORCE,
    SAME_MONTH,
    forces,
    months,
    months_after,
    months_x_forces,
)
from crime_assets.partitions import months_back as months_to
from crime_assets.publication import (
    AuditFailed,
    Result,
    audit,
    code_of,
    preview,
    publish_each,
    table_asset,
    table_metadata,
    total,
)
from crime_assets.register import ALL_CRIME, FORCES, crime_types_since
from crime_assets.settings import Settings
from crime_assets.sources.assets import coverage, street_crimes
from crime_assets.sources.boundaries import load_force_areas
from crime_assets.streets import network, osm, pictures
from crime_assets.streets.graph import SIGMA_M, make_graph
from crime_assets.streets.network import MARGIN_M, StreetError, load_segments
from crime_assets.streets.osm import OPENSTREETMAP, fetch_streets
from crime_assets.tables import (
    COVERAGE,
    HEX_CELLS,
    SEGMENT_COUNTS,
    SEGMENT_STEPS,
    STREET_GRAPH,
    STREET_SEGMENTS,
)

GROUP = "streets"

HISTORY_MONTHS = 36
"""How far back crimes are smoothed: what lies before counts less than a hundred billionth."""

ALPHA = 0.5
"""How much the last month counts, against all before it."""


@dg.asset(
    **table_asset(
        STREET_SEGMENTS,
        group=GROUP,
        statements=["streets/street_segments", "streets/street_lines"],
        constants=code_of(network, osm),
        partitions_def=forces,
        audits={
            "each_segment_once": "No id stands twice, and each segment is as long as its line."
        },
    )
)
def street_segments(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """A piece of a street between two junctions, or a junction and a dead end.

    From the lines of CRIME_STREETS, split where three ends or more meet and joined where a street
    merely goes on; a crossing without a common point (a bridge) is no junction. A force has the
    segments whose middle lies in its area, from CRIME_FORCE_BOUNDARIES. Paths, steps and cycle
    tracks are no streets.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        force = partition["force"]
        lines = _load_streets(connection, settings, force)
        create(connection, "streets/street_segments", force=force)
        figures = {
            "segments": total(connection, "select count(*) from street_segments"),
            "segments_around": lines,
            "repeated": total(
                connection, "select count(*) - count(distinct segment_id) from street_segments"
            ),
            "without_length": total(
                connection,
                "select count(*) from street_segments where not coalesce("
                "length_m > 0 and abs(st_length(geometry) - length_m) < 0.001, false)",
            ),
        }
        if not figures["segments"]:
            raise StreetError(
                f"{settings.streets} holds no street in the area of {force}: give a file that "
                "covers it"
            )
        if figures["repeated"] or figures["without_length"]:
            raise AuditFailed(
                "each_segment_once",
                f"{figures['repeated']} ids stand twice, {figures['without_length']} segments are "
                "not as long as their line: please report it",
                **figures,
            )
        published = lake.publish(connection, "street_segments", STREET_SEGMENTS.name, partition)
        length = total(connection, "select round(sum(length_m)) from street_segments")
        metadata = table_metadata(connection, "street_segments", published) | figures
        metadata |= {
            "length_km": length / 1000,
            "streets": settings.streets,
            "preview": preview(
                connection, "select * exclude (geometry) from street_segments limit 8"
            ),
            "kinds": preview(connection, "streets/previews/kinds"),
            "map": dg.MetadataValue.md(
                as_markdown(pictures.network_map(connection, FORCES[force].name))
            ),
        }
        return Result(published.sha256, metadata, {"each_segment_once": figures})

    yield from publish_each(context, engine, publish)


def _load_streets(connection: duckdb.DuckDBPyConnection, settings: Settings, force: str) -> int:
    """The temporary tables ``segments`` (around the force) and ``force_areas``."""
    load_force_areas(connection, settings.force_boundaries)
    area = connection.execute(
        "select st_xmin(geometry), st_ymin(geometry), st_xmax(geometry), st_ymax(geometry), "
        "st_aswkb(st_transform(st_buffer(geometry, $margin)::geometry('EPSG:27700'), "
        "'EPSG:4326', always_xy := true)) from force_areas where force = $force",
        {"force": force, "margin": MARGIN_M},
    ).fetchone()
    if area is None:
        raise DataError(
            f"{settings.force_boundaries} holds no area of {force}, which hence has no streets"
        )
    west, south, east, north, polygon = area
    around = (west - MARGIN_M, south - MARGIN_M, east + MARGIN_M, north + MARGIN_M)
    with tempfile.TemporaryDirectory(prefix="streets-") as folder:
        if settings.streets == OPENSTREETMAP:
            source = str(fetch_streets(bytes(polygon), Path(folder) / "streets.gpkg"))
        else:
            source = settings.streets.replace("{force}", force)
        return load_segments(connection, source, around=around)


@dg.asset(
    **table_asset(
        STREET_GRAPH,
        group=GROUP,
        statements=["streets/street_graph"],
        constants=SIGMA_M,
        partitions_def=forces,
        deps=[street_segments],
        audits={
            "each_pair_once": "Each pair of segments that share an end stands once, with a weight."
        },
    )
)
def street_graph(
    context: dg.AssetExecutionContext, engine: DuckDB, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.Output]:
    """Two segments that share a junction, and how much the one says of the other.

    From `street_segments`. The distance is that between their middles along the streets, half of
    the one and half of the other; the weight exp(-distance² / (2 · 750²)).
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        lake.view(connection, STREET_SEGMENTS.name, [partition])
        make_graph(connection)
        audit(connection, "streets/audits/each_pair_once")
        made_from = {"segments": lake.sha256(STREET_SEGMENTS.name, partition)}
        published = lake.publish(
            connection, "street_graph", STREET_GRAPH.name, partition, made_from
        )
        figures = {
            "segments": total(connection, "select count(*) from street_segments"),
            "edges": published.rows,
            "alone": total(
                connection,
                "select count(*) from street_segments where segment_id not in (select segment_id "
                "from street_graph union all select neighbour_id from street_graph)",
            ),
        }
        metadata = table_metadata(connection, "street_graph", published) | figures
        return Result(published.sha256, metadata, {"each_pair_once": figures})

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        SEGMENT_COUNTS,
        group=GROUP,
        statements=["streets/segment_counts", "streets/point_segments"],
        partitions_def=months,
        deps=[
            dg.AssetDep(street_crimes, partition_mapping=SAME_MONTH),
            coverage,
            dg.AssetDep(street_segments, partition_mapping=dg.AllPartitionMapping()),
            hex_cells,
        ],
        audits={
            "nothing_lost": "Located crimes = sum of the counts + crimes beyond the limit.",
        },
    )
)
def segment_counts(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """The crimes of one type on one street segment in one month, whichever force published them.

    From `street_crimes` of the forces that `coverage` says are published, and `street_segments` of
    every force that has a network: each point to the segment whose line is nearest, of those as
    near (to the millimetre) the first by its id. Left out: crimes without a location, and those
    further than CRIME_STREET_LIMIT_M from any segment, counted in the metadata.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        networks = _networks(lake)
        lake.view(connection, STREET_SEGMENTS.name, [{"force": f} for f in networks])
        lake.view(connection, HEX_CELLS.name, skip_missing=True)
        # of before: what is counted while coverage is made anew is then seen to be of another
        coverage_sha256 = lake.sha256(COVERAGE.name, partition)
        view_street_crimes(lake, connection, partition)
        create(connection, "streets/point_segments", limit_m=settings.street_limit_m)
        create(connection, "streets/segment_counts")
        create(connection, "streets/crimes_by_force", networks=list(networks))
        located = total(connection, "select sum(located) from coverage")
        figures = {
            "located": located,
            "counted": total(connection, "select sum(crimes) from segment_counts"),
            "beyond_limit": total(connection, "select sum(beyond_limit) from crimes_by_force"),
            "of_these_without_network": total(
                connection, "select sum(of_these_without_network) from crimes_by_force"
            ),
        }
        if located != figures["counted"] + figures["beyond_limit"]:
            raise AuditFailed(
                "nothing_lost",
                f"{located:,} located crimes, but {figures['counted']:,} counted and "
                f"{figures['beyond_limit']:,} beyond the limit: coverage and street_crimes are not "
                "of the same files; materialise coverage again",
                **figures,
            )
        whole = connection.execute(
            "select force from coverage where status = 'published' order by force"
        ).fetchall()
        published = lake.publish(
            connection,
            "segment_counts",
            SEGMENT_COUNTS.name,
            partition,
            {
                "coverage": coverage_sha256,
                "forces": [force for (force,) in whole],
                "networks": networks,
                "limit_m": settings.street_limit_m,
            },
        )
        metadata = table_metadata(connection, "segment_counts", published) | figures
        metadata |= {
            "limit_m": settings.street_limit_m,
            "networks": ", ".join(networks),
            "by_force": preview(connection, "select * from crimes_by_force"),
        }
        if published.rows:
            metadata |= _picture_of_counts(connection, lake, partition["month"])
        return Result(published.sha256, metadata, {"nothing_lost": figures})

    yield from publish_each(context, engine, publish)


def _networks(lake: Lake) -> dict[str, str]:
    """The forces whose segments are in the lake, and which version of them."""
    there = [f for f in FORCES if lake.has(STREET_SEGMENTS.name, {"force": f})]
    if not there:
        raise MissingPartition(
            "street_segments of no force is in the lake: materialise it first, with `dagster asset "
            "materialize -m crime_assets.definitions --select street_segments --partition FORCE`"
        )
    return {force: lake.sha256(STREET_SEGMENTS.name, {"force": force}) for force in there}


def _picture_of_counts(
    connection: duckdb.DuckDBPyConnection, lake: Lake, month: str
) -> dict[str, dg.MarkdownMetadataValue]:
    """The map of the network with most crimes, and its hottest segments."""
    (force,) = connection.execute(
        "select force from segment_counts group by force order by sum(crimes) desc, force limit 1"
    ).fetchone() or ("",)
    lake.view(connection, STREET_SEGMENTS.name, [{"force": force}])
    figure = pictures.crime_map(connection, f"{FORCES[force].name}, {month}")
    return {
        "hottest": preview(connection, "streets/previews/hottest"),
        "map": dg.MetadataValue.md(as_markdown(figure)),
    }


@dg.asset(
    **table_asset(
        SEGMENT_STEPS,
        group=GROUP,
        statements=["streets/segment_steps"],
        constants=(HISTORY_MONTHS, ALPHA),
        partitions_def=months_x_forces,
        deps=[
            dg.AssetDep(segment_counts, partition_mapping=SAME_MONTH),
            dg.AssetDep(street_segments, partition_mapping=SAME_FORCE),
        ],
        audits={
            "steps_add_up": "Each segment has each type once, and all crime is what was counted."
        },
    )
)
def segment_steps(
    context: dg.AssetExecutionContext, engine: DuckDB, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.Output]:
    """A month's crimes of one type on one segment, nought included, and what went before them.

    From `segment_counts` of the month and of the 36 before it, as far back as they stand in a row:
    what lies before a month that is not in the lake, or that the force did not publish, does not
    count. `smoothed` holds nothing of the month itself. (Dagster knows of the month itself alone:
    it has no mapping from a window of months to months and forces.)
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        month, force = partition["month"], partition["force"]
        lake.view(connection, STREET_SEGMENTS.name, [{"force": force}])
        known = _months_in_a_row(connection, lake, month, force)
        before = known[:-1]
        lake.view(connection, SEGMENT_COUNTS.name, [{"month": m} for m in known])
        crime_types = [*crime_types_since(month), ALL_CRIME]
        create(
            connection,
            "streets/segment_steps",
            force=force,
            month=month,
            months=before,
            alpha=ALPHA,
            all_crime=ALL_CRIME,
            crime_types=crime_types,
        )
        audit(
            connection,
            "streets/audits/steps_add_up",
            force=force,
            month=month,
            all_crime=ALL_CRIME,
            crime_types=len(crime_types),
        )
        made_on = {"segments": lake.sha256(STREET_SEGMENTS.name, {"force": force})}
        published = lake.publish(
            connection, "segment_steps", SEGMENT_STEPS.name, partition, made_on
        )
        metadata = table_metadata(connection, "segment_steps", published)
        figures = {
            "months_before": len(before),
            "crimes": total(
                connection,
                "select sum(crimes) from segment_steps where crime_type = $all_crime",
                all_crime=ALL_CRIME,
            ),
        }
        metadata |= figures | {"history": f"{before[0]} to {before[-1]}" if before else "none"}
        return Result(published.sha256, metadata, {"steps_add_up": figures})

    yield from publish_each(context, engine, publish)


def _months_in_a_row(
    connection: duckdb.DuckDBPyConnection, lake: Lake, month: str, force: str
) -> list[str]:
    """The months up to ``month`` that the force published, without a gap, the earliest first.

    Raises :class:`~crime_assets.DataError` where ``month`` is none of them, or where one of them
    was counted on other segments than the force has now, or within another limit than ``month``.
    """
    lake.require(SEGMENT_COUNTS.name, {"month": month})
    segments = lake.sha256(STREET_SEGMENTS.name, {"force": force})
    limit_m = lake.provenance(connection, SEGMENT_COUNTS.name, {"month": month}).get("limit_m")
    known: list[str] = []
    stale: list[str] = []
    for earlier in reversed(months_to(month, HISTORY_MONTHS + 1)):
        if not lake.has(SEGMENT_COUNTS.name, {"month": earlier}):
            break
        told = lake.provenance(connection, SEGMENT_COUNTS.name, {"month": earlier})
        if force not in told["forces"]:
            break
        known.insert(0, earlier)
        if told["networks"].get(force) != segments or told.get("limit_m") != limit_m:
            stale.insert(0, earlier)
    if not known:
        raise DataError(
            f"{force} published no whole month {month} (see coverage): what happened on its "
            "streets is not known"
        )
    if stale:
        last = month
        while lake.has(SEGMENT_COUNTS.name, {"month": (after := months_after(last, 1)[0])}):
            last = after  # those are of the same streets most likely: one command for all
        raise DataError(
            f"segment_counts of {len(stale)} months ({stale[0]} to {stale[-1]}) were counted "
            f"before street_segments of {force}, or CRIME_STREET_LIMIT_M, was made or changed: "
            "materialise all of them again, with "
            "`dagster asset materialize -m crime_assets.definitions --select segment_counts "
            f"--partition-range {stale[0]}...{last}`"
        )
    return known
