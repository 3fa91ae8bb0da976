"""Assets of small areas: the LSOAs of 2021, and the crimes of each month in them.

A crime's LSOA is found from its point. The code that police.uk publishes changes its vintage
between archives, and with it what a count of an area means.
"""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

from collections.abc import Iterator

import dagster as dg
import duckdb

from crime_assets.hexes.assets import view_street_crimes
from crime_assets.lake import DuckDB, Lake, create
from crime_assets.partitions import SAME_MONTH, months
from crime_assets.publication import (
    AuditFailed,
    Result,
    preview,
    publish_each,
    table_asset,
    table_metadata,
    total,
)
from crime_assets.settings import Settings
from crime_assets.sources.assets import coverage, street_crimes
from crime_assets.sources.boundaries import load_force_areas, load_lsoas
from crime_assets.tables import COVERAGE, LSOA_AREAS, LSOA_COUNTS

GROUP = "lsoa"


@dg.asset(
    **table_asset(
        LSOA_AREAS,
        group=GROUP,
        statements=["lsoa/lsoa_areas"],
        audits={"each_area_once": "No code stands twice, and each area has a size."},
    )
)
def lsoa_areas(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """An LSOA (Lower layer Super Output Area) of 2021: some 1,700 people, from 1 ha to 680 km².

    From the boundaries of CRIME_LSOA_BOUNDARIES and CRIME_FORCE_BOUNDARIES, in EPSG:27700. Its
    force is that in whose area it lies, whichever force records the crimes.
    """

    def publish(connection: duckdb.DuckDBPyConnection, _: dict[str, str]) -> Result:
        load_lsoas(connection, settings.lsoa_boundaries, "lsoa_boundaries")
        load_force_areas(connection, settings.force_boundaries)
        create(connection, "lsoa/lsoa_areas")
        figures = {
            "areas": total(connection, "select count(*) from lsoa_areas"),
            "repeated": total(
                connection, "select count(*) - count(distinct lsoa21cd) from lsoa_areas"
            ),
            "without_size": total(
                connection,
                "select count(*) from lsoa_areas where not coalesce(area_km2 > 0, false)",
            ),
            "without_force": total(
                connection, "select count(*) from lsoa_areas where force is null"
            ),
        }
        if figures["repeated"] or figures["without_size"]:
            raise AuditFailed(
                "each_area_once",
                f"{figures['repeated']} codes stand twice, {figures['without_size']} areas have no "
                f"size: {settings.lsoa_boundaries} is no table of LSOAs",
                **figures,
            )
        published = lake.publish(connection, "lsoa_areas", LSOA_AREAS.name)
        metadata = table_metadata(connection, "lsoa_areas", published) | figures
        metadata["preview"] = preview(
            connection, "select * exclude (geometry) from lsoa_areas limit 8"
        )
        metadata["lsoa_boundaries"] = settings.lsoa_boundaries
        return Result(published.sha256, metadata, {"each_area_once": figures})

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        LSOA_COUNTS,
        group=GROUP,
        statements=["lsoa/lsoa_counts", "lsoa/point_areas"],
        partitions_def=months,
        deps=[
            dg.AssetDep(street_crimes, partition_mapping=SAME_MONTH),
            coverage,
            lsoa_areas,
        ],
        audits={
            "nothing_lost": "Located crimes = sum of the counts + crimes outside every area.",
        },
    )
)
def lsoa_counts(
    context: dg.AssetExecutionContext, engine: DuckDB, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.Output]:
    """The crimes of one type in one LSOA in one month, whichever force published them.

    From `street_crimes` of the forces that `coverage` says are published, by point in polygon: the
    code as published changes its vintage between archives. `same_code` says how many crimes were
    published with this very code. Left out: crimes without a location, and those in no area (at
    sea, in Scotland), counted in the metadata.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        view_street_crimes(lake, connection, partition)
        lake.view(connection, "lsoa_areas")
        create(connection, "lsoa/point_areas")
        create(connection, "lsoa/lsoa_counts")
        located = total(connection, "select sum(located) from coverage")
        counted = total(connection, "select sum(crimes) from lsoa_counts")
        figures = {
            "located": located,
            "counted": counted,
            "outside_areas": total(
                connection,
                "select count(*) from street_crimes inner join point_areas "
                "using (easting, northing) where lsoa21cd is null",
            ),
            "published_with_another_code": counted
            - total(connection, "select sum(same_code) from lsoa_counts"),
        }
        if located != counted + figures["outside_areas"]:
            raise AuditFailed(
                "nothing_lost",
                f"{located:,} located crimes, but {counted:,} counted and "
                f"{figures['outside_areas']:,} in no area: coverage and street_crimes are not of "
                "the same files; materialise coverage again",
                **figures,
            )
        counted_under = {"coverage": lake.sha256(COVERAGE.name, partition)}
        published = lake.publish(
            connection, "lsoa_counts", LSOA_COUNTS.name, partition, counted_under
        )
        metadata = table_metadata(connection, "lsoa_counts", published) | figures
        return Result(published.sha256, metadata, {"nothing_lost": figures})

    yield from publish_each(context, engine, publish)
