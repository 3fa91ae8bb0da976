"""Assets of the hex grid: cells, counts, hotspots, and how lasting hotspots are."""

from collections.abc import Iterator, Sequence

import dagster as dg
import duckdb
import numpy as np

from crime_assets.hexes import grid, pictures, ranking
from crime_assets.hexes.study_area import (
    CELLS_SQL,
    NATION_K,
    SCOPES_SQL,
    SHARE,
    make_hex_cells,
    make_scopes,
)
from crime_assets.lake import DuckDB, Lake, MissingPartition, create
from crime_assets.partitions import SAME_MONTH, months, months_back, window
from crime_assets.publication import (
    AuditFailed,
    Result,
    audit,
    preview,
    publish_each,
    table_asset,
    table_metadata,
    total,
    version_of_rows,
)
from crime_assets.register import ALL_CRIME, CRIME_TYPES
from crime_assets.settings import Settings
from crime_assets.sources.assets import coverage, street_crimes
from crime_assets.sources.boundaries import load_force_areas, load_lsoas, load_scope_polygons
from crime_assets.tables import (
    COVERAGE,
    HEX_CELLS,
    HEX_COUNTS,
    HOTSPOT_FREQUENCY,
    HOTSPOT_SUMMARY,
    HOTSPOTS,
    RECONCILIATION,
    SCOPE_CELLS,
    SCOPES,
    SNAP_COUNTS,
)

GROUP = "hexes"


def _view_months(
    lake: Lake, connection: duckdb.DuckDBPyConnection, month: str, **tables: int
) -> dict[str, list[str]]:
    """Let ``coverage`` and the named tables be views of the months to ``month``, so many of each.

    Returns the months that each of them has.

    ``coverage`` says which months there are: before the first, nothing is expected. Of each month
    that it has, the other tables must be there, counted under that very coverage; else a short
    window would pass for a full one. Raises :class:`MissingPartition` that names the month.
    """
    lake.require(COVERAGE.name, {"month": month})
    return {
        table: view_covered(lake, connection, table, months_back(month, count))
        for table, count in tables.items()
    }


def view_covered(
    lake: Lake, connection: duckdb.DuckDBPyConnection, table: str, months: Sequence[str]
) -> list[str]:
    """Let ``table`` be a view of those of ``months`` that ``coverage`` has; returns them.

    Raises :class:`MissingPartition` where the table lacks one of them, or counted it before its
    coverage changed.
    """
    covered = [{"month": m} for m in months if lake.has(COVERAGE.name, {"month": m})]
    if table in (HEX_COUNTS.name, SNAP_COUNTS.name):
        for partition in covered:
            told = lake.provenance(connection, table, partition).get("coverage")
            if told and told != lake.sha256(COVERAGE.name, partition):
                raise MissingPartition(
                    f"{table} {partition['month']} was counted before coverage changed: "
                    f"materialise {table} of {partition['month']} again"
                )
    lake.view(connection, table, covered)
    return [partition["month"] for partition in covered]


def rankings_made(
    lake: Lake, connection: duckdb.DuckDBPyConnection, months: Sequence[str]
) -> ranking.Made:
    """What ``hotspots`` of these months, all of which are there, was ranked of.

    A month that was ranked before this was kept with it is not among them.
    """
    told = lake.provenances(connection, HOTSPOTS.name, [{"month": m} for m in months])
    return {place["month"]: what["rankings"] for place, what in told if "rankings" in what}


def view_street_crimes(
    lake: Lake, connection: duckdb.DuckDBPyConnection, partition: dict[str, str]
) -> None:
    """Let ``street_crimes`` be the files of a month that ``coverage`` says are published."""
    lake.view(connection, "coverage", [partition])
    published = connection.execute(
        "select force from coverage where status in ('published', 'partial') order by force"
    ).fetchall()
    lake.view(connection, "street_crimes", [{**partition, "force": f} for (f,) in published])


@dg.asset(
    **table_asset(
        HEX_CELLS,
        group=GROUP,
        statements=CELLS_SQL,
        audits={
            "each_cell_once": "No cell stands twice, and each has the centre that its id says."
        },
    )
)
def hex_cells(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """A cell of the 200 m grid that intersects England and Wales (or the sample).

    From the boundaries of CRIME_LSOA_BOUNDARIES and CRIME_FORCE_BOUNDARIES. A cell is a flat-top
    hexagon of side 200 m, 10.4 ha; its id is arithmetic and never depends on the data. Force and
    LSOA are those at its centre; a cell whose centre lies at sea has neither.
    """

    def publish(connection: duckdb.DuckDBPyConnection, _: dict[str, str]) -> Result:
        lsoas = load_lsoas(connection, settings.lsoa_boundaries)
        forces = load_force_areas(connection, settings.force_boundaries)
        make_hex_cells(connection, "lsoa_areas", "force_areas")
        cells = connection.execute(
            "select hex_id, easting, northing from hex_cells order by hex_id"
        ).fetchnumpy()
        easting, northing = grid.centres(cells["hex_id"])
        shift = np.hypot(easting - cells["easting"], northing - cells["northing"]).max()
        repeated = len(cells["hex_id"]) - len(np.unique(cells["hex_id"]))
        if repeated or shift > 0.001:
            raise AuditFailed(
                "each_cell_once",
                f"{repeated} cells stand twice; a centre is {shift:.4f} m from where its id says",
            )
        published = lake.publish(connection, "hex_cells", HEX_CELLS.name)
        with_centre = total(connection, "select count(lsoa21cd) from hex_cells")
        figures = {"cells": published.rows, "with_centre_inside": with_centre}
        metadata = table_metadata(connection, "hex_cells", published) | figures
        metadata |= {
            "lsoas": lsoas,
            "forces": forces,
            "lsoa_boundaries": settings.lsoa_boundaries,
            "force_boundaries": settings.force_boundaries,
        }
        return Result(published.sha256, metadata, {"each_cell_once": figures})

    yield from publish_each(context, engine, publish)


def _make_scopes(connection: duckdb.DuckDBPyConnection, lake: Lake, settings: Settings) -> None:
    """The temporary tables ``scopes`` and ``scope_cells`` of the deployment."""
    lake.view(connection, "hex_cells")
    load_force_areas(connection, settings.force_boundaries)
    if settings.scopes:
        load_scope_polygons(connection, settings.scopes)
    make_scopes(connection, "force_areas", "scope_polygons" if settings.scopes else None)


@dg.asset(
    **table_asset(
        SCOPES,
        group=GROUP,
        statements=SCOPES_SQL,
        constants=(NATION_K, SHARE),
        deps=[hex_cells],
        audits={"k_fits": "Each scope has a k from 1 to the number of its cells."},
    )
)
def scopes(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """An area whose cells are ranked on their own: the nation, a force, a polygon of CRIME_SCOPES.

    From `hex_cells` and the boundaries. `k`, how many cells are hotspots, is 0.1 % of its cells;
    for England and Wales it is 1,483, as in the published maps.
    """

    def publish(connection: duckdb.DuckDBPyConnection, _: dict[str, str]) -> Result:
        _make_scopes(connection, lake, settings)
        audit(connection, "hexes/audits/k_fits")
        published = lake.publish(connection, "scopes", SCOPES.name)
        metadata = table_metadata(connection, "scopes", published)
        metadata["preview"] = preview(connection, "select * from scopes")
        return Result(published.sha256, metadata, {"k_fits": {"scopes": published.rows}})

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        SCOPE_CELLS,
        group=GROUP,
        statements=SCOPES_SQL,
        deps=[hex_cells, scopes],
        audits={
            "cells_match_scopes": "Each scope has as many cells as its row in `scopes` counts."
        },
    )
)
def scope_cells(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """A cell that belongs to a scope: the nation has all cells, a force those with centre inside.

    From `hex_cells` and the boundaries. A cell may belong to several scopes.
    """

    def publish(connection: duckdb.DuckDBPyConnection, _: dict[str, str]) -> Result:
        _make_scopes(connection, lake, settings)
        connection.execute("drop table scopes")
        lake.view(connection, "scopes")  # as published, not as made here
        audit(connection, "hexes/audits/cells_match_scopes")
        published = lake.publish(connection, "scope_cells", SCOPE_CELLS.name)
        metadata = table_metadata(connection, "scope_cells", published)
        return Result(published.sha256, metadata, {"cells_match_scopes": {"cells": published.rows}})

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        HEX_COUNTS,
        group=GROUP,
        statements=["hexes/hex_counts", "hexes/hex_id_at"],
        partitions_def=months,
        deps=[dg.AssetDep(street_crimes, partition_mapping=SAME_MONTH), coverage],
        audits={
            "nothing_lost": "Located crimes = sum of the counts + crimes outside the grid.",
        },
    )
)
def hex_counts(
    context: dg.AssetExecutionContext, engine: DuckDB, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.Output]:
    """The crimes of one type that one force published in one 200 m cell in one month.

    From `street_crimes` of the forces that `coverage` says are published. A cell without a crime
    has no row. Left out: crimes without a location, and those outside the grid (counted in the
    metadata and in `reconciliation`).
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        # of before: what is counted while coverage is made anew is then seen to be of another
        counted_under = {"coverage": lake.sha256(COVERAGE.name, partition)}
        view_street_crimes(lake, connection, partition)
        create(connection, "hexes/hex_counts")
        counted = total(connection, "select sum(crimes) from hex_counts")
        outside = total(
            connection,
            "select count(*) from street_crimes where longitude is not null and hex_id is null",
        )
        located = total(connection, "select sum(located) from coverage")
        figures = {"located": located, "counted": counted, "outside_grid": outside}
        if located != counted + outside:
            raise AuditFailed(
                "nothing_lost",
                f"{located:,} located crimes, but {counted:,} counted and {outside:,} outside the "
                "grid: coverage and street_crimes are not of the same files; materialise coverage "
                "again",
                **figures,
            )
        published = lake.publish(
            connection, "hex_counts", HEX_COUNTS.name, partition, counted_under
        )
        metadata = table_metadata(connection, "hex_counts", published) | figures
        version = version_of_rows(connection, "hex_counts")
        return Result(version, metadata, {"nothing_lost": figures})

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        SNAP_COUNTS,
        group=GROUP,
        statements=["hexes/snap_counts", "hexes/hex_id_at"],
        partitions_def=months,
        deps=[dg.AssetDep(street_crimes, partition_mapping=SAME_MONTH), coverage],
        audits={
            "one_cell_a_point": "Each anonymous place lies in one cell.",
            "nothing_lost": "The counts sum to the crimes that lie in the grid.",
        },
    )
)
def snap_counts(
    context: dg.AssetExecutionContext, engine: DuckDB, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.Output]:
    """The crimes of one type that are published at one anonymous place in one month.

    From `street_crimes`. police.uk moves each crime to the nearest of some 750,000 places (snap
    points); a hotspot that rests on one of them is a car park or a shopping centre rather than a
    neighbourhood.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        # of before: what is counted while coverage is made anew is then seen to be of another
        counted_under = {"coverage": lake.sha256(COVERAGE.name, partition)}
        view_street_crimes(lake, connection, partition)
        create(connection, "hexes/snap_counts")
        audit(connection, "hexes/audits/one_cell_a_point")
        counted = total(connection, "select sum(crimes) from snap_counts")
        in_grid = total(connection, "select count(hex_id) from street_crimes")
        if counted != in_grid:
            raise AuditFailed(
                "nothing_lost", f"{in_grid:,} crimes in the grid, but {counted:,} counted"
            )
        published = lake.publish(
            connection, "snap_counts", SNAP_COUNTS.name, partition, counted_under
        )
        figures = {
            "crimes": counted,
            "snap_points": total(
                connection, "select count(distinct (longitude, latitude)) from snap_counts"
            ),
        }
        metadata = table_metadata(connection, "snap_counts", published) | figures
        version = version_of_rows(connection, "snap_counts")
        return Result(version, metadata, {"one_cell_a_point": figures, "nothing_lost": figures})

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        RECONCILIATION,
        group=GROUP,
        statements=["hexes/reconciliation"],
        partitions_def=months,
        deps=[
            dg.AssetDep(street_crimes, partition_mapping=SAME_MONTH),
            coverage,
            hex_counts,
            hex_cells,
        ],
        audits={
            "rows_add_up": "Rows published = crimes of all types + rows rejected, for each force.",
            "counts_add_up": "Crimes in cells + at sea or abroad = sum of hex counts, for each "
            "force and type.",
        },
    )
)
def reconciliation(
    context: dg.AssetExecutionContext, engine: DuckDB, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.Output]:
    """Where the crimes of one force and one type went in one month: nothing is lost.

    From `street_crimes`, `hex_counts` and `hex_cells`. `crimes` = `unlocated` + `outside_grid` +
    `outside_cells` (in the grid, but at sea or abroad) + `in_cells`, which are ranked.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        view_street_crimes(lake, connection, partition)
        lake.view(connection, "hex_counts", [partition])
        lake.view(connection, "hex_cells")
        create(connection, "hexes/reconciliation")
        audit(connection, "hexes/audits/rows_add_up")
        audit(connection, "hexes/audits/counts_add_up")
        published = lake.publish(connection, "reconciliation", RECONCILIATION.name, partition)
        columns = ("crimes", "unlocated", "outside_grid", "outside_cells", "in_cells")
        figures = {c: total(connection, f"select sum({c}) from reconciliation") for c in columns}
        metadata = table_metadata(connection, "reconciliation", published) | figures
        metadata["by_force"] = preview(connection, "hexes/previews/reconciliation_by_force")
        return Result(
            published.sha256, metadata, {"rows_add_up": figures, "counts_add_up": figures}
        )

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        HOTSPOTS,
        group=GROUP,
        statements=ranking.HOTSPOT_STATEMENTS,
        constants=CRIME_TYPES,
        partitions_def=months,
        deps=[
            dg.AssetDep(hex_counts, partition_mapping=window(11)),
            dg.AssetDep(snap_counts, partition_mapping=window(11)),
            dg.AssetDep(coverage, partition_mapping=window(11)),
            scopes,
            scope_cells,
        ],
        audits={
            "ranks_are_whole": "Each ranking has ranks 1 to n, n at most k, each cell once.",
            "no_cold_hotspot": "Each hotspot has crimes, as many as its cell in the window.",
        },
    )
)
def hotspots(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """A cell that is a hotspot: one of the k cells with the most crimes in a window ending here.

    From `hex_counts` of the last 1, 3 and 12 months, for each scope (the nation, each force's
    area), crime type and `All crime`. k is 0.1 % of the area's cells. Only windows whose months
    are all there are ranked: a short window is none. Equal scores stand in order of `hex_id`;
    `tied` says that an equal cell was left out.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        month = partition["month"]
        weights = ranking.read_weights(settings.weights)
        window_months = ranking.LONGEST_WINDOW
        _view_months(
            lake,
            connection,
            month,
            coverage=window_months,
            hex_counts=window_months,
            snap_counts=window_months,
        )
        lake.view(connection, "scopes")
        lake.view(connection, "scope_cells")
        ranking.rank_hotspots(connection, month, weights)
        rankings = total(
            connection,
            "select count(*) from complete_windows where complete and month = $m",
            m=month,
        )
        audit(connection, "hexes/audits/ranks_are_whole")
        audit(
            connection,
            "hexes/audits/no_cold_hotspot",
            month=month,
            third_month=months_back(month, 3)[0],
        )
        made = {"rankings": ranking.rankings_made(connection, month)}
        published = lake.publish(connection, "hotspots", HOTSPOTS.name, partition, made)
        metadata = table_metadata(connection, "hotspots", published) | _ranking_metadata(
            connection, month
        )
        if weights:
            metadata["weights"] = {t: thousandths / 1000 for t, thousandths in weights.items()}
        figures = {"rankings": rankings, "hotspots": published.rows}
        return Result(
            published.sha256, metadata, {"ranks_are_whole": figures, "no_cold_hotspot": figures}
        )

    yield from publish_each(context, engine, publish)


def _nation(connection: duckdb.DuckDBPyConnection) -> str:
    """The scope of the whole area."""
    found = connection.execute("select scope from scopes where kind = 'nation'").fetchone()
    return found[0] if found else ""


def _ranking_metadata(connection: duckdb.DuckDBPyConnection, month: str) -> dict[str, object]:
    """What was not ranked and why, the hottest cells of the whole area, and their map."""
    nation = _nation(connection)
    longest = total(
        connection,
        "select max(window_months) from hotspots where scope = $nation",
        nation=nation,
    )
    metadata: dict[str, object] = {
        "not_ranked": preview(connection, "hexes/previews/not_ranked", month=month)
    }
    if longest:
        metadata["hottest"] = preview(
            connection, "hexes/previews/hottest", nation=nation, window_months=longest
        )
        metadata["map"] = dg.MetadataValue.md(
            pictures.as_markdown(pictures.hotspot_map(connection, nation, ALL_CRIME, longest))
        )
    return metadata


@dg.asset(
    **table_asset(
        HOTSPOT_SUMMARY,
        group=GROUP,
        statements=ranking.SUMMARY_STATEMENTS,
        constants=CRIME_TYPES,
        partitions_def=months,
        deps=[
            dg.AssetDep(hotspots, partition_mapping=window(1)),
            dg.AssetDep(hex_counts, partition_mapping=window(11)),
            dg.AssetDep(coverage, partition_mapping=window(12)),
            scopes,
            scope_cells,
        ],
        audits={
            "shares_are_shares": "Captured, Jaccard and Gini lie from 0 to 1; an incomplete "
            "window says why, a complete one has its figures."
        },
    )
)
def hotspot_summary(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """A ranking in figures: what its hotspots capture, how stable they are, how concentrated.

    From `hotspots` of this month and the one before, and `hex_counts` of the windows. One row a
    scope, crime type and window, also for windows that are not complete: `reason` says why.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        month = partition["month"]
        window_months = ranking.LONGEST_WINDOW
        viewed = _view_months(
            lake,
            connection,
            month,
            coverage=window_months + 1,
            hex_counts=window_months,
            hotspots=2,
        )
        lake.view(connection, "scopes")
        lake.view(connection, "scope_cells")
        made = rankings_made(lake, connection, viewed["hotspots"])
        weights = ranking.read_weights(settings.weights)
        ranking.summarise_hotspots(connection, month, weights, made)
        audit(connection, "hexes/audits/shares_are_shares")
        published = lake.publish(connection, "hotspot_summary", HOTSPOT_SUMMARY.name, partition)
        metadata = table_metadata(connection, "hotspot_summary", published)
        metadata["nation"] = preview(
            connection, "hexes/previews/nation", nation=_nation(connection)
        )
        return Result(
            published.sha256, metadata, {"shares_are_shares": {"rankings": published.rows}}
        )

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        HOTSPOT_FREQUENCY,
        group=GROUP,
        statements=ranking.FREQUENCY_STATEMENTS,
        constants=CRIME_TYPES,
        partitions_def=months,
        deps=[
            dg.AssetDep(hotspots, partition_mapping=window(35)),
            dg.AssetDep(coverage, partition_mapping=window(35)),
            scopes,
            scope_cells,
        ],
        audits={
            "hits_fit_windows": "1 <= hits <= windows <= 37 - w, ranks are 1 to n, and each window "
            "has at most k hits."
        },
    )
)
def hotspot_frequency(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """A cell that was a hotspot in at least one window of the 36 months that end here.

    From `hotspots`. `hits` counts the windows in which it was one, `windows` those that were
    ranked and lie inside the 36 months. Persistent: in at least 80 % of them; emerging: only in
    the last third, and in the last; former: in none of the last third; else intermittent.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        month = partition["month"]
        span = ranking.FREQUENCY_MONTHS
        viewed = _view_months(lake, connection, month, coverage=span, hotspots=span)
        lake.view(connection, "scopes")
        lake.view(connection, "scope_cells")
        made = rankings_made(lake, connection, viewed["hotspots"])
        ranking.count_frequency(connection, month, ranking.read_weights(settings.weights), made)
        audit(connection, "hexes/audits/hits_fit_windows")
        published = lake.publish(connection, "hotspot_frequency", HOTSPOT_FREQUENCY.name, partition)
        metadata = table_metadata(connection, "hotspot_frequency", published)
        nation = _nation(connection)
        metadata["persistence"] = preview(connection, "hexes/previews/persistence", nation=nation)
        if published.rows:
            metadata["map"] = dg.MetadataValue.md(
                pictures.as_markdown(pictures.persistence_map(connection, nation, ALL_CRIME))
            )
        return Result(published.sha256, metadata, {"hits_fit_windows": {"cells": published.rows}})

    yield from publish_each(context, engine, publish)
