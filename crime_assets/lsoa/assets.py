"""Assets of small areas: the LSOAs of 2021, and the crimes of each month in them.

A crime's LSOA is found from its point. The code that police.uk publishes changes its vintage
between archives, and with it what a count of an area means.
"""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets.hexes.assets import hex_cells, hotspots, view_street_crimes
from crime_assets.hexes.pictures import as_markdown
from crime_assets.lake import DuckDB, Lake, create
from crime_assets.lsoa import clusters, counted, features, history, labels, moran, neighbours
from crime_assets.lsoa.counted import COUNTED_STATEMENTS, count_by_code
from crime_assets.lsoa.features import features_of, view_attributes, why_null
from crime_assets.lsoa.history import LEAST_AREAS, STATEMENTS, YEAR, read_history
from crime_assets.lsoa.labels import label_scopes
from crime_assets.lsoa.pictures import Outlines, lisa_map, tier_map
from crime_assets.partitions import SAME_MONTH, months, months_after, months_back, window
from crime_assets.publication import (
    AuditFailed,
    Result,
    audit,
    code_of,
    markdown_table,
    preview,
    publish_each,
    table_asset,
    table_metadata,
    total,
)
from crime_assets.settings import Settings
from crime_assets.sources.assets import coverage, street_crimes
from crime_assets.sources.boundaries import load_force_areas, load_lsoas
from crime_assets.tables import (
    COVERAGE,
    HOTSPOTS,
    LSOA_AREAS,
    LSOA_COUNTS,
    LSOA_FEATURES,
    LSOA_LABELS,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUP = "lsoa"
HISTORY_MONTHS = 36


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
        statements=["lsoa/lsoa_counts", "lsoa/point_areas", *COUNTED_STATEMENTS],
        constants=code_of(counted),
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
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """The crimes of one type in one LSOA in one month, whichever force published them.

    From `street_crimes` of the forces that `coverage` says are published, by point in polygon: the
    code as published changes its vintage between archives. `same_code` says how many crimes were
    published with this very code. Left out: crimes without a location, and those in no area (at
    sea, in Scotland), counted in the metadata. Where CRIME_LSOA_COUNTS names a table of crimes that
    are counted by LSOA already, from that table, by its codes.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        lake.view(connection, "lsoa_areas")
        if settings.lsoa_counts:
            by_code = count_by_code(connection, settings, partition["month"])
            if by_code.lost:
                raise AuditFailed(
                    "nothing_lost",
                    f"{by_code.lost:,} of the month's crimes in {settings.lsoa_counts} are neither "
                    "counted, nor without a code, nor under a code of no area: please report it",
                    **by_code.figures,
                )
            result = lake.publish(
                connection, "lsoa_counts", LSOA_COUNTS.name, partition, by_code.provenance
            )
            metadata = {**table_metadata(connection, "lsoa_counts", result), **by_code.figures}
            return Result(result.sha256, metadata, {"nothing_lost": by_code.figures})
        # of before: what is counted while coverage is made anew is then seen to be of another
        coverage_sha256 = lake.sha256(COVERAGE.name, partition)
        view_street_crimes(lake, connection, partition)
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
        whole = connection.execute(
            "select force from coverage where status = 'published' order by force"
        ).fetchall()
        counted_under = {
            "coverage": coverage_sha256,
            "forces": [force for (force,) in whole],
        }
        published = lake.publish(
            connection, "lsoa_counts", LSOA_COUNTS.name, partition, counted_under
        )
        metadata = table_metadata(connection, "lsoa_counts", published) | figures
        return Result(published.sha256, metadata, {"nothing_lost": figures})

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        LSOA_FEATURES,
        group=GROUP,
        statements=["lsoa/lsoa_features", *STATEMENTS],
        constants=(
            LEAST_AREAS,
            code_of(clusters, features, history, moran, neighbours),
        ),
        partitions_def=months,
        deps=[
            dg.AssetDep(lsoa_counts, partition_mapping=window(HISTORY_MONTHS - 1)),
            lsoa_areas,
            hotspots,
            hex_cells,
        ],
        audits={
            "densities_add_up": "Each area stands once in a scope, and its density times its size "
            "is what was counted in it in the last year.",
        },
    )
)
def lsoa_features(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """An LSOA as it is known at the end of the cut-off month, among the areas of one scope.

    From `lsoa_counts` of the one to three years of twelve months up to the cut-off: densities of
    the years and crime types, clusters and their trend, the areas around, local Moran's I, the
    season; from `hotspots` of the cut-off how many of its cells are hot; from
    CRIME_LSOA_ATTRIBUTES its people and its deprivation. Scopes are the nation and each force with
    50 areas or more. An area whose force did not publish each month of the last year is left out:
    it is unknown, not cold.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        month = partition["month"]
        known = read_history(connection, lake, months_back(month, HISTORY_MONTHS))
        scopes = known.scopes()
        frame = features_of(known, scopes)
        connection.register("computed_features", frame)
        view_attributes(connection, settings.lsoa_attributes)
        hot = lake.view(connection, HOTSPOTS.name, [partition], skip_missing=True)
        lake.view(connection, "hex_cells", skip_missing=not hot)
        create(connection, "lsoa/lsoa_features")
        connection.register("counted", known.counted())
        audit(connection, "lsoa/audits/densities_add_up")
        published = lake.publish(connection, "lsoa_features", LSOA_FEATURES.name, partition)
        metadata = table_metadata(connection, "lsoa_features", published)
        figures = {"scopes": len(scopes), "areas": int(max(a.sum() for a in scopes.values()))}
        metadata |= figures | {
            "years": known.years,
            "history": f"{known.months[0]} to {known.months[-1]}",
            "left_out": ", ".join(known.silent[0]) or "no force",
            "preview": preview(connection, "lsoa/previews/hottest_areas", scope=known.nation),
            "null_because": markdown_table(
                ["column", "null", "why"],
                why_null(connection, known, hot > 0, settings.lsoa_attributes),
            ),
            "map": _map(
                connection, "lsoa_features", "lisa", known.nation, lisa_map, "Local Moran's I"
            ),
        }
        return Result(published.sha256, metadata, {"densities_add_up": figures})

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        LSOA_LABELS,
        group=GROUP,
        statements=["lsoa/lsoa_labels", *STATEMENTS],
        constants=(LEAST_AREAS, code_of(history, labels, neighbours)),
        partitions_def=months,
        deps=[dg.AssetDep(lsoa_counts, partition_mapping=window(-1, YEAR)), lsoa_areas],
        audits={
            "classes_are_shares": "In each scope a quarter of the areas are hotspots, half, a "
            "quarter and a tenth lie above the limits of the tiers, and hotter is never lower.",
        },
    )
)
def lsoa_labels(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """What became of an LSOA in the twelve months after the cut-off: hotspot, tier, two types.

    From `lsoa_counts` of these twelve months, each of which must be there. Limits are quantiles of
    the density among the areas of the scope whose force published each month; the others are null.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        after = read_history(connection, lake, months_after(partition["month"], YEAR))
        connection.register("computed_labels", label_scopes(after, settings.bivariate))
        create(connection, "lsoa/lsoa_labels")
        audit(connection, "lsoa/audits/classes_are_shares")
        published = lake.publish(
            connection,
            "lsoa_labels",
            LSOA_LABELS.name,
            partition,
            {"bivariate": list(settings.bivariate)},
        )
        count = "select count(distinct lsoa21cd) from lsoa_labels where tier is"
        figures = {
            "areas": total(connection, f"{count} not null"),
            "unknown": total(connection, f"{count} null"),
        }
        metadata = table_metadata(connection, "lsoa_labels", published) | figures
        metadata |= {
            "outcome": f"{after.months[0]} to {after.months[-1]}",
            "bivariate": " x ".join(settings.bivariate),
            "silent": ", ".join(after.silent[0]) or "no force",
            "limits": preview(connection, "lsoa/previews/limits"),
            "map": _map(connection, "lsoa_labels", "tier", after.nation, tier_map, "Tiers"),
        }
        return Result(published.sha256, metadata, {"classes_are_shares": figures})

    yield from publish_each(context, engine, publish)


def _map(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    column: str,
    nation: str,
    draw: Callable[[Outlines, NDArray[Any], str], "Figure"],
    title: str,
) -> dg.MarkdownMetadataValue:
    """A column of a table on the map of the whole study area, or of its largest scope."""
    found = connection.execute(
        f"select lsoa21cd, coalesce({column}::varchar, '') as class from {table} "
        f"where scope = (select scope from {table} group by scope "
        "order by scope = $nation desc, count(*) desc, scope limit 1) order by lsoa21cd",
        {"nation": nation},
    ).fetchnumpy()
    outlines = Outlines.read(connection, np.asarray(found["lsoa21cd"]).astype(str))
    return dg.MetadataValue.md(
        as_markdown(draw(outlines, np.asarray(found["class"]).astype(str), title))
    )
