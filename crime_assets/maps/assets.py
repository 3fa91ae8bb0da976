"""The asset that publishes the map: what people look at."""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

import time
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import duckdb

from crime_assets.forecasting.assets import MODEL_ASSETS
from crime_assets.forecasting.segments import stale_counts
from crime_assets.hexes import pictures, ranking
from crime_assets.hexes.assets import (
    hex_cells,
    hex_counts,
    hotspot_frequency,
    hotspots,
    rankings_made,
    scope_cells,
    scopes,
    snap_counts,
    view_covered,
)
from crime_assets.hexes.study_area import scope_slug
from crime_assets.lake import DuckDB, Lake, MissingPartition, code_version
from crime_assets.lsoa.assets import lsoa_areas
from crime_assets.maps import description, layers, outlines, rankings, site
from crime_assets.maps.description import describe
from crime_assets.maps.layers import ranking_name
from crime_assets.maps.site import Files
from crime_assets.partitions import months, months_back, window
from crime_assets.publication import (
    AuditFailed,
    Result,
    asset_options,
    code_of,
    preview,
    publish_each,
)
from crime_assets.register import CRIME_TYPES, FORCES
from crime_assets.settings import Settings
from crime_assets.sources.assets import coverage
from crime_assets.sources.boundaries import load_force_areas
from crime_assets.streets.assets import segment_counts, street_segments
from crime_assets.tables import FORECASTS, LSOA_LABELS, SEGMENT_COUNTS, STREET_SEGMENTS

SPAN = ranking.FREQUENCY_MONTHS
WINDOWS = (1, 3, 12)
SMALL_FORCE_M2 = 50e6
"""The City of London would be a triangle at the tolerance of the others."""
_EVERY_WINDOW = window(SPAN - 1)


@dg.asset(
    **asset_options(
        "hotspot_map",
        row="the map of one month: a folder of static files for a browser",
        group="maps",
        kinds={"html"},
        version=code_version(
            (*rankings.STATEMENTS, *outlines.STATEMENTS, *layers.STATEMENTS),
            (CRIME_TYPES, code_of(description, layers, outlines, rankings, site)),
        ),
        partitions_def=months,
        deps=[
            hotspot_frequency,
            dg.AssetDep(hotspots, partition_mapping=_EVERY_WINDOW),
            dg.AssetDep(hex_counts, partition_mapping=_EVERY_WINDOW),
            dg.AssetDep(snap_counts, partition_mapping=_EVERY_WINDOW),
            dg.AssetDep(coverage, partition_mapping=_EVERY_WINDOW),
            hex_cells,
            scopes,
            scope_cells,
            lsoa_areas,
            # further layers, where they are there
            dg.AssetDep(LSOA_LABELS.name, partition_mapping=window(12, -12)),
            dg.AssetDep(segment_counts, partition_mapping=window(11)),
            dg.AssetDep(street_segments, partition_mapping=dg.AllPartitionMapping()),
            *(
                dg.AssetDep([FORECASTS.name, model], partition_mapping=window(12, -1))
                for model in MODEL_ASSETS[FORECASTS.name]
            ),
        ],
        audits={
            "map_equals_table": "The files, read back, hold each cell of `hotspot_frequency` with "
            "its hits, and as many hot months.",
            "crimes_equal_hotspots": "The crimes of months that the files hold add up to those of "
            "every hotspot of the 36 months.",
        },
    )
)
def hotspot_map(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """The map of a month: where hotspots were in the 36 months to it, and how lasting they are.

    A folder of static files, `maps/2025-12/` below CRIME_DATA_DIR, for any web server; `make map`
    shows it. From `hotspot_frequency`, with the crimes of each month from `hex_counts`, names of
    places from `snap_counts` and `lsoa_areas`, and gaps from `coverage`. Further layers are on it
    where their tables are there: tiers of LSOAs (`lsoa_labels` of the year before), street
    segments, and what models foretold.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        if not site.is_built():
            context.log.warning(
                f"{partition['month']}: the page will be missing, the data not: {site.NOT_BUILT}"
            )
        return make_map(connection, lake, settings, partition["month"])

    yield from publish_each(context, engine, publish)


def make_map(
    connection: duckdb.DuckDBPyConnection, lake: Lake, settings: Settings, month: str
) -> Result:
    """Make the site of ``month`` from the tables in the lake, below CRIME_DATA_DIR.

    Returns its version, figures for the UI, and what the audits judged. Raises
    :class:`MissingPartition` where a table is missing, :class:`AuditFailed` where two of them, or
    a table and the files, contradict each other; the site that was there then stays.
    """
    started = time.monotonic()
    span = months_back(month, SPAN)
    lake.view(connection, "hotspot_frequency", [{"month": month}])
    ranked = view_covered(lake, connection, "hotspots", span)
    for table in ("hex_counts", "snap_counts", "coverage"):
        view_covered(lake, connection, table, span)
    for table in ("hex_cells", "scopes", "scope_cells", "lsoa_areas"):
        lake.view(connection, table)
    ranking.find_complete_windows(
        connection,
        span,
        ranking.read_weights(settings.weights),
        rankings_made(lake, connection, ranked),
    )
    if not rankings.show_cells(connection, span):
        raise MissingPartition(
            f"hotspot_frequency {month} has no cell, so there is no map to draw: half of the "
            f"36 months to {month} must be there"
        )
    files = Files(settings.data_dir / "maps" / month)
    try:
        shown, figures = _add_rankings(connection, files, span)
        _add_outlines(connection, files, settings)
        further = _add_layers(connection, lake, files, month, settings)
        described = describe(connection, settings, span, shown, further)
        picture = pictures.as_markdown(_picture(connection))
        version = site.publish(files, described)
    finally:
        files.discard()
    metadata = {
        "link": dg.MetadataValue.url(f"{settings.map_url}/{month}/"),
        "folder": dg.MetadataValue.path(str(files.target)),
        "page": "built" if site.is_built() else site.NOT_BUILT,
        "map": dg.MetadataValue.md(picture),
        "scopes": len(described["scopes"]),
        "rankings": len(shown),
        "files": files.count,
        "bytes": files.bytes,
        "layers": ", ".join(described["layers"]) or "hotspots alone",
        "seconds": round(time.monotonic() - started, 1),
        "largest": preview(connection, "maps/previews/largest_rankings"),
    }
    return Result(version, metadata, figures)


def _picture(connection: duckdb.DuckDBPyConnection) -> Any:
    """What the page shows first, as a picture."""
    scope, crime_type, window_months = connection.execute(
        """
        select ranking.scope, ranking.crime_type, ranking.window_months
        from shown_rankings as ranking inner join scopes using (scope)
        order by scopes.kind = 'nation' desc, ranking.crime_type = $start desc,
            ranking.window_months desc, ranking.scope, ranking.crime_type
        limit 1
        """,
        {"start": description.START_TYPE},
    ).fetchall()[0]
    return pictures.frequency_map(connection, scope, crime_type, window_months)


Shown = dict[tuple[str, str, int], int]


def _add_rankings(
    connection: duckdb.DuckDBPyConnection, files: Files, span: list[str]
) -> tuple[Shown, dict[str, Mapping[str, int]]]:
    """Write the rankings; returns the cells of each and the figures of the audits.

    Raises :class:`AuditFailed` where the files do not say what the tables say.
    """
    crimes = rankings.month_crimes(connection, len(span))
    wrong, hotspots_checked = rankings.contradictions(connection, crimes)
    if wrong:
        raise AuditFailed(
            "crimes_equal_hotspots",
            f"{wrong:,} of {hotspots_checked:,} hotspots have other crimes than hex_counts say: "
            "hotspots were ranked from other counts; materialise them again",
            wrong=wrong,
        )
    shown: Shown = {}
    for made in rankings.rankings(connection, span, crimes):
        name = f"{scope_slug(made.scope)}/{ranking_name(made.crime_type, made.window_months)}"
        files.add(f"rankings/{name}", made.ranking)
        files.add(f"history/{name}", made.history)
        shown[made.scope, made.crime_type, made.window_months] = len(made.ranking["hex_id"])
    cells = _read_back(connection, files, shown)
    return shown, {
        "map_equals_table": {"rankings": len(shown), "cells": cells},
        "crimes_equal_hotspots": {"hotspots": hotspots_checked},
    }


def _read_back(connection: duckdb.DuckDBPyConnection, files: Files, shown: Shown) -> int:
    """Compare what was written with `hotspot_frequency`; returns how many cells were compared."""
    table = connection.execute(
        "select hex_id, hits from hotspot_frequency order by scope, crime_type, window_months, rank"
    ).fetchnumpy()
    end = 0
    for (scope, crime_type, window_months), cells in sorted(shown.items()):
        start, end = end, end + cells
        name = f"rankings/{scope_slug(scope)}/{ranking_name(crime_type, window_months)}"
        read = files.read(name)
        same = (
            read["hex_id"] == table["hex_id"][start:end].tolist()
            and read["hits"] == table["hits"][start:end].tolist()
            and read["hits"] == [mask.bit_count() for mask in read["hot"]]
        )
        if not same:
            raise AuditFailed(
                "map_equals_table",
                f"{name} does not hold what hotspot_frequency and hotspots say of {scope}, "
                f"{crime_type}, {window_months} months: materialise hotspot_frequency again",
            )
    if end != len(table["hex_id"]):
        raise AuditFailed(
            "map_equals_table",
            f"hotspot_frequency has {len(table['hex_id']):,} cells, the map {end:,}: coverage or "
            "scopes changed since; materialise hotspot_frequency again",
        )
    (missing,) = connection.execute(
        """
        select count(*) from hot_months
        semi join shown_rankings using (scope, crime_type, window_months)
        anti join hotspot_frequency using (scope, crime_type, window_months, hex_id)
        """
    ).fetchall()[0]
    if missing:
        raise AuditFailed(
            "map_equals_table",
            f"{missing:,} cells were hotspots, but hotspot_frequency does not know them: it was "
            "made before; materialise hotspot_frequency again",
        )
    return end


def _add_outlines(connection: duckdb.DuckDBPyConnection, files: Files, settings: Settings) -> None:
    """Write the outlines of the forces, and of the LSOAs of each force."""
    load_force_areas(connection, settings.force_boundaries)
    query = "select force as code, force as name, geometry from force_areas"
    drawn = outlines.outlines(connection, query, outlines.FORCE_TOLERANCE_M)
    small = outlines.outlines(
        connection, f"{query} where st_area(geometry) < {SMALL_FORCE_M2}", outlines.AREA_TOLERANCE_M
    )
    for force, area in zip(small["id"], small["areas"], strict=True):
        drawn["areas"][drawn["id"].index(force)] = area
    drawn["name"] = [FORCES[force].name for force in drawn["id"]]
    files.add("outlines/forces", drawn)
    found = connection.execute(
        "select distinct force from lsoa_areas where force is not null order by force"
    ).fetchall()
    for (force,) in found:
        query = f"""
            select lsoa21cd as code, lsoa21nm as name, geometry from lsoa_areas
            where force = '{force}'
        """
        drawn = outlines.outlines(connection, query, outlines.AREA_TOLERANCE_M)
        files.add(f"outlines/lsoas/{force}", drawn)


def _add_layers(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    files: Files,
    month: str,
    settings: Settings,
) -> dict[str, dict[str, Any]]:
    """Write what is shown beside hotspots, where its tables are in the lake.

    A force whose crimes were counted on other streets than it has now is left out.
    """
    found: dict[str, dict[str, Any]] = {}
    cut_off = months_back(month, 13)[0]
    if lake.has(LSOA_LABELS.name, {"month": cut_off}):
        lake.view(connection, LSOA_LABELS.name, [{"month": cut_off}])
        told = lake.provenance(connection, LSOA_LABELS.name, {"month": cut_off})
        pair = told.get("bivariate", settings.bivariate)
        found["tiers"] = layers.area_classes(connection, files, cut_off, pair)
    year = months_back(month, 12)
    counted = all(lake.has(SEGMENT_COUNTS.name, {"month": m}) for m in year)
    networks = [
        {"force": force}
        for force in FORCES
        if counted
        and lake.has(STREET_SEGMENTS.name, {"force": force})
        and not stale_counts(connection, lake, year, force)
    ]
    if networks:
        lake.view(connection, STREET_SEGMENTS.name, networks)
        lake.view(connection, SEGMENT_COUNTS.name, [{"month": m} for m in year])
        found["segments"] = layers.segments(connection, files, month)
    foretold = [
        {"month": months_back(month, 1 + horizon)[0], "model": model, "unit": "hex"}
        for horizon in WINDOWS
        for model in MODEL_ASSETS[FORECASTS.name]
    ]
    if any(lake.has(FORECASTS.name, partition) for partition in foretold):
        lake.view(connection, FORECASTS.name, foretold, skip_missing=True)
        found["forecasts"] = layers.forecasts(connection, files, month)
    return found
