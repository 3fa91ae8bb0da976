"""The main job on the sample: ``make demo``, or ``python -m crime_assets.demo``.

Makes the sample (three made-up forces, 36 months), then runs the same jobs that a deployment runs,
on an instance of its own, so that the Dagster UI afterwards shows what was done.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import dagster as dg
import duckdb
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from crime_assets.automation.backfill import execute, step
from crime_assets.automation.event_log import use_instance
from crime_assets.definitions import build_definitions
from crime_assets.hexes import pictures
from crime_assets.lake import Lake
from crime_assets.partitions import key_of
from crime_assets.register import force_slugs
from crime_assets.settings import Settings
from crime_assets.sources.sample import write_sample

CRIME_TYPE = "Violence and sexual offences"
WINDOW_MONTHS = 12
FORCES = force_slugs(kinds=("sample",))


def sample_environment(folder: Path) -> dict[str, str]:
    """The settings of a deployment on the sample below ``folder``."""
    return {
        "CRIME_DATA_DIR": str(folder),
        "CRIME_ARCHIVE_URL": str(folder / "archive"),
        "CRIME_LSOA_BOUNDARIES": str(folder / "boundaries" / "lsoas.parquet"),
        "CRIME_FORCE_BOUNDARIES": str(folder / "boundaries" / "force_areas.parquet"),
        "CRIME_STREETS": str(folder / "streets.parquet"),
        "CRIME_FORCES": ",".join(FORCES),
        "CRIME_BASEMAP": "none",  # there is sea where the sample lies
    }


def run(folder: Path, console: Console) -> None:
    """Make the sample and run the main job on it; show the result.

    Raises ``SystemExit`` where a run fails, with what Dagster says of it.
    """
    started = time.monotonic()
    console.rule("crime_assets on the sample")
    console.print(
        "Three made-up forces on drowned land in the North Sea, 36 months. [bold]The sample is "
        "synthetic[/]: it shows how the pipeline works and says nothing about any real place.\n"
    )
    with step(console, "Making the sample: an archive as police.uk publishes it, boundaries"):
        sample = write_sample(folder)
    first, last = sample.months[0], sample.months[-1]
    settings = Settings.from_environment(os.environ | sample_environment(folder))
    definitions = build_definitions(settings)
    use_instance(folder / "dagster")
    corner = [
        key_of({"month": month, "force": force}) or ""
        for month, force in ((first, FORCES[0]), (last, FORCES[-1]))
    ]
    runs = [
        ("Laying the grid of 200 m cells over it", "study_area", None),
        (f"Reading {len(sample.months)} months of {len(FORCES)} forces", "ingest", corner),
        ("Counting crimes into cells, ranking the cells", "rank_hotspots", [first, last]),
        ("Drawing the map of the last month", "draw_map", [last, last]),
        ("Building the analysts' database", "build_warehouse", None),
    ]
    with dg.DagsterInstance.get() as instance:
        for text, job, partitions in runs:
            if failed := execute(definitions, instance, job, partitions, console, text):
                print(*failed, sep="\n", file=sys.stderr)
                raise SystemExit(f"The job {job} failed in {len(failed)} steps.")
    _show(settings, last, console)
    console.print(f"\nAll of it took {time.monotonic() - started:.0f} s.")


def _show(settings: Settings, month: str, console: Console) -> None:
    """The top cells of one crime type as a table, their map as a PNG, and where all of it lies."""
    lake = Lake(settings.data_dir / "lake")
    with duckdb.connect() as connection:
        for name in ("hotspots", "hotspot_frequency"):
            lake.view(connection, name, [{"month": month}])
        for name in ("scopes", "scope_cells", "hex_cells"):
            lake.view(connection, name)
        (scope,) = connection.execute(
            "select scope from scopes where kind = 'nation'"
        ).fetchone() or ("",)
        rows = connection.execute(
            """
            select hot.rank, hot.hex_id, cell.force, hot.crimes, hot.snap_points,
                round(100 * hot.largest_share)::integer || ' %',
                lasting.hits || ' of ' || lasting.windows, lasting.persistence
            from hotspots as hot
            left join hex_cells as cell using (hex_id)
            left join hotspot_frequency as lasting
                using (scope, crime_type, window_months, hex_id)
            where hot.scope = $scope and hot.crime_type = $type and hot.window_months = $window
            order by hot.rank
            limit 10
            """,
            {"scope": scope, "type": CRIME_TYPE, "window": WINDOW_MONTHS},
        ).fetchall()
        picture = settings.data_dir / "hotspots.png"
        figure = pictures.hotspot_map(connection, scope, CRIME_TYPE, WINDOW_MONTHS)
        picture.write_bytes(pictures.png(figure, dpi=150))
    table = Table(
        title=f"\n{CRIME_TYPE}, {WINDOW_MONTHS} months to {month}: the hottest cells (synthetic)",
        box=SIMPLE_HEAD,
        padding=0,
    )
    right = {"rank", "crimes", "points", "largest"}
    for heading in ("rank", "cell", "force", "crimes", "points", "largest", "windows", "class"):
        table.add_column(heading, justify="right" if heading in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    console.print(table)
    console.print(
        "A cell is a hexagon of side 200 m, 10.4 hectares. Its crimes lie on so many anonymous "
        "points, the largest of which has that share of them. Windows: in how many of the windows "
        "of 12 months in the last 36 it was a hotspot."
    )
    page = settings.data_dir / "maps" / month
    console.print(f"\nMap:       {page} (a site: [bold]make map[/] shows it)")
    console.print(f"Picture:   {picture}")
    console.print(f"Tables:    {lake.root}")
    console.print(
        f"Database:  {settings.data_dir / 'crime.duckdb'} (views for analysts, read-only)"
    )
    console.print("Look at it in the Dagster UI with [bold]make dev[/].")


def main() -> None:
    """Run the demo in the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data/sample"))
    folder = parser.parse_args().folder.absolute()
    run(folder, Console())


if __name__ == "__main__":
    main()
