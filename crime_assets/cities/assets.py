"""Assets of cities: their incidents, the categories and the days of these, and maps of each day.

By city, for a publisher offers a city's incidents as a whole and corrects them as a whole.
"""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

import hashlib
from collections.abc import Iterator

import dagster as dg
import duckdb

from crime_assets.cities import city, grid, incidents, pictures
from crime_assets.cities.city import REGISTER, find_city
from crime_assets.cities.grid import GRID_SIZES, Grid, count_cells
from crime_assets.cities.incidents import (
    IMPROBABLE,
    READING,
    city_files,
    make_categories,
    read_incidents,
)
from crime_assets.hexes.pictures import as_markdown
from crime_assets.lake import DuckDB, Lake, create, file_sha256
from crime_assets.partitions import SAME_CITY, cells_x_cities, cities
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
from crime_assets.settings import Settings
from crime_assets.tables import (
    CITY_INCIDENTS,
    INCIDENT_CATEGORIES,
    INCIDENT_DAYS,
    INCIDENT_MAPS,
    REJECTED_INCIDENTS,
)

GROUP = "cities"

_REGISTER = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(REGISTER.glob("*.yaml")))
).hexdigest()


@dg.asset(
    **table_asset(
        CITY_INCIDENTS,
        group=GROUP,
        statements=READING,
        constants=(code_of(city, incidents), _REGISTER),
        partitions_def=cities,
        audits={
            "rows_add_up": "Lines published = incidents kept + lines rejected with a reason.",
            "files_are_readable": "At most half of the lines are rejected; else the files are of "
            "another place or vintage, and the old partition stays.",
        },
    )
)
def city_incidents(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """One incident of a city, with its crime type in two mappings to ten types.

    From the publisher's CSV files in the folder of CRIME_INCIDENTS, as the city's YAML file says.
    The time is that of the report, where there is one. Lines without a time or a place in the
    city's box are not dropped: they stand in `rejected_incidents`, with the reason. Exact repeats
    and incidents of unknown categories are kept, and counted in the metadata.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        here = find_city(partition["city"], settings.incidents)
        files = city_files(settings.incidents, here.slug)
        counts = read_incidents(connection, here, files)
        figures = {
            "published": counts.published,
            "kept": counts.kept,
            "rejected": counts.rejected,
            "repeats": counts.repeats,
            "unknown_category": counts.unknown,
            "time_of_report": counts.by_report,
        }
        if counts.published != counts.kept + counts.rejected:
            raise AuditFailed(
                "rows_add_up",
                f"{counts.published:,} lines published, but {counts.kept:,} kept and "
                f"{counts.rejected:,} rejected: please report it",
                **figures,
            )
        reasons = (
            "select reason, count(*) as lines, min(row) as first_row, "
            "arg_min(fields, row)::varchar as first_line from rejected_incidents "
            "group by reason order by lines desc, reason"
        )
        if counts.rejected > counts.kept or not counts.kept:
            reason = connection.execute(reasons).fetchone() or ("they hold no line", 0, 0, "")
            raise AuditFailed(
                "files_are_readable",
                f"{counts.rejected:,} of {counts.published:,} lines of {', '.join(counts.columns)} "
                f"cannot be read; most often: {reason[0]}, first in row {reason[2]}: {reason[3]}",
                **figures,
            )
        provenance = {
            "files": {file.name: file_sha256(file)[0] for file in files},
            "columns": counts.columns,
            "city": hashlib.sha256(here.text.encode()).hexdigest(),
        }
        # two moves: whoever is killed between them leaves rejected lines that are newer than the
        # incidents; making the partition again mends it
        lake.publish(connection, "rejected_incidents", REJECTED_INCIDENTS.name, partition)
        published = lake.publish(
            connection, "city_incidents", CITY_INCIDENTS.name, partition, provenance
        )
        _count_by_day(connection, of := Grid(max(GRID_SIZES), here.box))
        metadata = table_metadata(connection, "city_incidents", published) | figures
        metadata |= {
            "source": here.source,
            "licence": here.licence,
            "columns": dg.MetadataValue.json({f: dict(c) for f, c in counts.columns.items()}),
            "by_year": preview(connection, "cities/previews/by_year"),
            "map": dg.MetadataValue.md(as_markdown(pictures.cell_map(connection, of, here.title))),
        }
        if counts.rejected:
            metadata["rejected_by_reason"] = preview(connection, reasons)
        return Result(
            published.sha256, metadata, {"rows_add_up": figures, "files_are_readable": figures}
        )

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        INCIDENT_CATEGORIES,
        group=GROUP,
        statements=["cities/incident_categories"],
        constants=_REGISTER,
        partitions_def=cities,
        deps=[city_incidents],
        audits={"categories_add_up": "Each category stands once, and they hold all incidents."},
    )
)
def incident_categories(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """One category of a city's incidents, its crime types, and what is uncertain about them.

    From `city_incidents`. A category that the city's file does not know has no crime type; its
    incidents count among all crimes alone. Add it to the file, and make both tables again.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        _view_incidents(connection, lake, partition)
        make_categories(connection, find_city(partition["city"], settings.incidents))
        create(connection, "cities/incident_categories")
        audit(connection, "cities/audits/categories_add_up")
        made_from = {"incidents": lake.sha256(CITY_INCIDENTS.name, partition)}
        published = lake.publish(
            connection, "incident_categories", INCIDENT_CATEGORIES.name, partition, made_from
        )
        figures = {
            "incidents": total(connection, "select sum(incidents) from incident_categories"),
            "unknown": total(
                connection, "select count(*) from incident_categories where not known"
            ),
        }
        metadata = table_metadata(connection, "incident_categories", published) | figures
        metadata["categories"] = preview(connection, "from incident_categories")
        return Result(published.sha256, metadata, {"categories_add_up": figures})

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        INCIDENT_DAYS,
        group=GROUP,
        statements=["cities/incident_days"],
        constants=IMPROBABLE,
        partitions_def=cities,
        deps=[city_incidents],
        audits={"days_are_whole": "Each day stands once, none is left out, with its incidents."},
    )
)
def incident_days(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """One day of a city's incidents, and whether the files hold it at all.

    From `city_incidents`. A day is taken for unobserved where it has less than a tenth of the mean
    of the days with incidents from four weeks before to four weeks after, and where a Poisson of
    that mean gives so few a chance below one in a million. In a town with five incidents a day no
    day is: there a day without one is nothing special.
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        _view_incidents(connection, lake, partition)
        create(connection, "cities/incident_days", chance=IMPROBABLE)
        audit(connection, "cities/audits/days_are_whole")
        made_from = {"incidents": lake.sha256(CITY_INCIDENTS.name, partition)}
        published = lake.publish(
            connection, "incident_days", INCIDENT_DAYS.name, partition, made_from
        )
        figures = {
            "days": published.rows,
            "unobserved": total(
                connection, "select count(*) from incident_days where not observed"
            ),
            "incidents_of_unobserved": total(
                connection, "select sum(incidents) from incident_days where not observed"
            ),
        }
        title = find_city(partition["city"], settings.incidents).title
        metadata = table_metadata(connection, "incident_days", published) | figures
        metadata["picture"] = dg.MetadataValue.md(
            as_markdown(pictures.day_picture(connection, title))
        )
        return Result(published.sha256, metadata, {"days_are_whole": figures})

    yield from publish_each(context, engine, publish)


@dg.asset(
    **table_asset(
        INCIDENT_MAPS,
        group=GROUP,
        statements=["cities/incident_maps", "cities/cell_counts", "cities/grid_cell"],
        constants=(code_of(grid), _REGISTER),
        partitions_def=cells_x_cities,
        deps=[dg.AssetDep(city_incidents, partition_mapping=SAME_CITY)],
        audits={"maps_add_up": "The maps of each day hold its incidents, in cells of the grid."},
    )
)
def incident_maps(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """The incidents of a day in the cells of a grid of 16, 24, 32 or 40 cells a side; none: no row.

    From `city_incidents`. Both mappings of crime types and all crimes follow from it; what lies in
    cells on days that were not observed says nothing (`incident_days`).
    """

    def publish(connection: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
        of_city = {"city": partition["city"]}
        here = find_city(partition["city"], settings.incidents)
        _view_incidents(connection, lake, of_city)
        _count_by_day(connection, of := Grid(int(partition["cells"]), here.box))
        create(connection, "cities/incident_maps")
        audit(connection, "cities/audits/maps_add_up", cells=len(of))
        made_from = {"incidents": lake.sha256(CITY_INCIDENTS.name, of_city)}
        published = lake.publish(
            connection, "incident_maps", INCIDENT_MAPS.name, partition, made_from
        )
        width, height = of.cell_m
        figures = {
            "incidents": total(connection, "select sum(incidents) from incident_maps"),
            "active_cells": total(connection, "select count(distinct cell) from incident_maps"),
            "cell_width_m": round(width),
            "cell_height_m": round(height),
        }
        picture = pictures.cell_map(connection, of, here.title)
        metadata = table_metadata(connection, "incident_maps", published) | figures
        metadata["map"] = dg.MetadataValue.md(as_markdown(picture))
        return Result(published.sha256, metadata, {"maps_add_up": figures})

    yield from publish_each(context, engine, publish)


def _view_incidents(
    connection: duckdb.DuckDBPyConnection, lake: Lake, partition: dict[str, str]
) -> None:
    lake.view(connection, CITY_INCIDENTS.name, [partition])


def _count_by_day(connection: duckdb.DuckDBPyConnection, of: Grid) -> None:
    """The table ``cell_counts`` of the relation ``city_incidents``, by day."""
    connection.execute(
        "create or replace temp view placed as select time::date as step, longitude, latitude, "
        "study, corrected from city_incidents"
    )
    count_cells(connection, of)
