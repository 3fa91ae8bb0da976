"""Figures of the hex grid: counting, ranking, frequency, and what a further month costs.

Each measuring function runs in a process of its own, on the nation of :mod:`benchmarks.nation`,
and calls what the assets call: views and publication of the lake, and the statements of
``sql/hexes/``, through :mod:`crime_assets.hexes.ranking`. They build on each other: what one has
published in the lake, the next one reads.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.measuring import Figure, Run, by_turns, seconds_into
from benchmarks.nation import Nation, make_nation, the_nation
from crime_assets.hexes import ranking
from crime_assets.lake import create
from crime_assets.partitions import months_back
from crime_assets.settings import Settings

MEMORY_GIB = 4.0
SAME = 1.25
"""What counts as the same cost: two measurements of one thing may differ by a quarter."""

ONE_RANKING = ("All crime", 12)
"""The ranking that pandas makes for comparison: the nation's."""


def figures(run: Run) -> list[Figure]:
    """Measure everything about cells and hotspots."""
    nation = the_nation(run.folder, run.share)
    make_nation(nation, run.say)
    here = (str(run.folder), run.share)
    peaks: dict[str, int] = {}

    def measure(function: Callable[..., Any], *arguments: Any) -> Any:
        measured = run.measure(function, *here, *arguments)
        if function is not join_with_geopandas:
            peaks[function.__name__] = measured.peak_bytes
        return measured.value

    laid = measure(lay_the_grid)
    counted = measure(count_into_cells, run.rounds)
    joined = measure(join_with_geopandas, run.rounds)
    grouped = measure(load_and_group, run.rounds)
    snapped = measure(count_snap_points)
    one_month = measure(rank_one_month, run.rounds)
    all_months = measure(rank_all_months)
    summarised = measure(summarise_one_month, run.rounds)
    further = measure(count_a_further_month, 2 * run.rounds + 1)
    assets = measure(materialise_a_month) if run.through_dagster else None

    join_s = joined["once"] + joined["each"] * counted["rows"] / joined["rows"]
    counting = f"count {counted['rows'] / 1e6:.1f} million crimes of {counted['files']:,} files"
    before = len(nation.months) - 1
    found = [
        Figure(
            f"{counting} into cells, month by month",
            counted["count"],
            reference=counted["scan_into_memory"],
            reference_is="scan of force, type and cell into memory, month by month",
            most_ratio=5,
        ),
        Figure(
            "the same, against a scan that keeps nothing",
            counted["count"],
            reference=counted["scan"],
            reference_is="DuckDB's count of the three columns, month by month",
        ),
        Figure(
            "the same, against a spatial join",
            counted["count"],
            reference=join_s,
            reference_is=f"GeoPandas sjoin and groupby of the {joined['rows']:,} crimes of "
            f"{joined['month']}, scaled by rows; hexagons and their index made once",
            most_ratio=1 / 15,
        ),
        Figure(
            f"{counting} into cells, published as hex_counts",
            counted["publish"],
            reference=counted["scan_into_memory"],
            reference_is="scan of force, type and cell into memory, month by month",
        ),
        Figure(
            f"{counting} by snap point, published as snap_counts",
            snapped["publish"],
            reference=snapped["scan"],
            reference_is="scan of type, cell, longitude and latitude into memory, month by month",
        ),
        Figure(
            "load all crimes and group them by month, type and cell, in one query",
            grouped["group"],
            reference=grouped["scan"],
            reference_is="DuckDB's count of the three columns, in one query",
            most=10,
        ),
        Figure(
            f"hotspots of one month, {one_month['rankings']:,} rankings, published",
            one_month["hotspots"],
            reference=one_month["pandas"],
            reference_is="one of these rankings in pandas: the nation, all types, 12 months",
            most=6,
        ),
        Figure(
            f"hotspots of {len(nation.months)} months and their frequency, published",
            all_months["hotspots"] + all_months["frequency"],
            reference=len(nation.months) * one_month["scan"],
            reference_is="scan of 12 months of hex_counts and snap_counts into memory, for each",
            most=180,
        ),
        Figure("of that, hotspot_frequency", all_months["frequency"]),
        Figure(
            "hotspot_summary of one month, published",
            summarised["summary"],
            reference=one_month["hotspots"],
            reference_is="hotspots of one month",
        ),
        Figure(
            f"hex_cells: {laid['cells']:,} cells from {laid['lsoas']:,} LSOAs, published",
            laid["cells_s"],
            reference=laid["load_s"],
            reference_is="loading the boundaries",
        ),
        Figure(
            f"a further month of hex_counts and snap_counts, after {before} months",
            further["counts_late"],
            reference=further["counts_early"],
            reference_is="after 3 months; both a million crimes",
            most_ratio=SAME,
        ),
        Figure(
            f"a further month of hotspots, after {before} months",
            further["hotspots_late"],
            reference=further["hotspots_early"],
            reference_is="after 11 months, when the longest window is first full",
            most_ratio=SAME,
        ),
    ]
    if assets is not None:
        found += _figures_through_dagster(assets, one_month["hotspots"], before)
    if not run.own_process:
        return found
    return found + [
        Figure(f"peak memory: {name.replace('_', ' ')}", peak / 2**30, "GiB", most=MEMORY_GIB)
        for name, peak in peaks.items()
    ]


def _figures_through_dagster(
    assets: dict[str, Any], hotspots_alone: float, before: int
) -> list[Figure]:
    steps = assets["steps"]
    return [
        Figure(
            f"four tables of a further month through Dagster, {before} months in its log",
            assets["counts_after_many"],
            reference=assets["counts_after_few"],
            reference_is="3 months in its log",
            most_ratio=SAME,
        ),
        Figure(
            "all seven tables of a month through Dagster, with audits and checks",
            steps["run"],
            reference=assets["functions"],
            reference_is="their computation and publication alone",
        ),
        Figure(
            "of that, the step of hotspots",
            steps["hotspots"],
            reference=hotspots_alone,
            reference_is="hotspots of one month alone",
            most=6,
        ),
    ]


# --- What the assets do, without Dagster ----------------------------------------------------


def _view_crimes(
    nation: Nation, connection: duckdb.DuckDBPyConnection, months: Iterable[str]
) -> None:
    """Let ``street_crimes`` be the files of ``months``."""
    wanted = set(months)
    nation.lake.view(connection, "street_crimes", [p for p in nation.files if p["month"] in wanted])


def _view_months(
    nation: Nation, connection: duckdb.DuckDBPyConnection, month: str, **counts: int
) -> None:
    """Let each table be its ``count`` months to ``month``, and the scopes what they are."""
    for table, count in counts.items():
        partitions = [{"month": m} for m in months_back(month, count)]
        nation.lake.view(connection, table, partitions, skip_missing=True)
    nation.lake.view(connection, "scopes")
    nation.lake.view(connection, "scope_cells")


# Each partition gets a connection of its own to one database, as in ``publish_each``.


def _publish_counts(
    nation: Nation, database: duckdb.DuckDBPyConnection, table: str, month: str
) -> None:
    with database.cursor() as connection:
        _view_crimes(nation, connection, [month])
        nation.lake.view(connection, "hex_cells")
        create(connection, f"hexes/{table}")
        nation.lake.publish(connection, table, table, {"month": month})


def _publish_hotspots(nation: Nation, database: duckdb.DuckDBPyConnection, month: str) -> None:
    with database.cursor() as connection:
        _view_months(nation, connection, month, coverage=12, hex_counts=12, snap_counts=12)
        ranking.rank_hotspots(connection, month, {})
        nation.lake.publish(connection, "hotspots", "hotspots", {"month": month})


def _publish_frequency(nation: Nation, database: duckdb.DuckDBPyConnection, month: str) -> None:
    with database.cursor() as connection:
        _view_months(nation, connection, month, coverage=36, hotspots=36)
        table = ranking.count_frequency(connection, month, {})
        nation.lake.publish(connection, table, "hotspot_frequency", {"month": month})


def _publish_summary(nation: Nation, database: duckdb.DuckDBPyConnection, month: str) -> None:
    with database.cursor() as connection:
        _view_months(nation, connection, month, coverage=13, hex_counts=12, hotspots=2)
        table = ranking.summarise_hotspots(connection, month, {})
        nation.lake.publish(connection, table, "hotspot_summary", {"month": month})


def _scan_into_memory(connection: duckdb.DuckDBPyConnection, table: str, *columns: str) -> None:
    """Read the columns and keep them as they are."""
    connection.execute(
        f"create or replace temp table scanned as select {', '.join(columns)} from {table}"
    )


# --- What is measured -----------------------------------------------------------------------


def lay_the_grid(folder: str, share: float) -> dict[str, Any]:
    """Lay the grid over the nation: hex_cells from boundaries."""
    from crime_assets.hexes.study_area import make_hex_cells
    from crime_assets.sources.boundaries import load_force_areas, load_lsoas

    nation = the_nation(Path(folder), share)
    load_s: list[float] = []
    cells_s: list[float] = []
    with nation.engine().get_connection() as connection:
        with seconds_into(load_s):
            lsoas = load_lsoas(connection, nation.lsoa_boundaries)
            load_force_areas(connection, nation.force_boundaries)
        with seconds_into(cells_s):
            make_hex_cells(connection, "lsoa_areas", "force_areas")
            cells = nation.lake.publish(connection, "hex_cells", "hex_cells").rows
    return {"cells": cells, "lsoas": lsoas, "cells_s": cells_s[0], "load_s": load_s[0]}


def count_into_cells(folder: str, share: float, rounds: int) -> dict[str, Any]:
    """Count all crimes into cells, month by month, and scan what that needs."""
    nation = the_nation(Path(folder), share)
    with nation.engine().get_connection() as connection:

        def scan() -> None:
            for month in nation.months:
                _view_crimes(nation, connection, [month])
                connection.execute(
                    "select count(force), count(crime_type), count(hex_id) from street_crimes"
                ).fetchall()

        def scan_into_memory() -> None:
            for month in nation.months:
                _view_crimes(nation, connection, [month])
                _scan_into_memory(connection, "street_crimes", "force", "crime_type", "hex_id")

        def count() -> None:
            for month in nation.months:
                _view_crimes(nation, connection, [month])
                create(connection, "hexes/hex_counts")

        def publish() -> None:
            for month in nation.months:
                _publish_counts(nation, connection, "hex_counts", month)

        times = by_turns(
            rounds, scan=scan, scan_into_memory=scan_into_memory, count=count, publish=publish
        )
        connection.execute("drop table scanned")
        _view_crimes(nation, connection, nation.months)
        found = connection.execute("select count(*) from street_crimes").fetchone()
    return {**times, "rows": found[0] if found else 0, "files": len(nation.files)}


def join_with_geopandas(folder: str, share: float, rounds: int) -> dict[str, Any]:
    """Load the points of the last month, join them to hexagons with GeoPandas, and count."""
    import geopandas
    import shapely

    from crime_assets.hexes.grid import corners

    nation = the_nation(Path(folder), share)
    month = nation.months[-1]
    once: list[float] = []
    each: list[float] = []
    with nation.engine().get_connection() as connection:
        nation.lake.view(connection, "hex_cells")
        _view_crimes(nation, connection, [month])
        with seconds_into(once):
            cells = connection.execute("select hex_id from hex_cells order by hex_id").df()
            hexagons = geopandas.GeoDataFrame(
                cells, geometry=shapely.polygons(corners(cells["hex_id"])), crs="EPSG:27700"
            )
            assert hexagons.sindex is not None  # made here, not in each join
        for _ in range(rounds + 1):
            with seconds_into(each):
                crimes = connection.execute(
                    "select force, crime_type, easting, northing from street_crimes "
                    "where easting is not null"
                ).df()
                points = geopandas.GeoDataFrame(
                    crimes[["force", "crime_type"]],
                    geometry=geopandas.points_from_xy(crimes["easting"], crimes["northing"]),
                    crs="EPSG:27700",
                )
                joined = points.sjoin(hexagons, predicate="within")
                counts = joined.groupby(["force", "crime_type", "hex_id"]).size()
        rows, in_cells = connection.execute(
            "select count(*), count(cell.hex_id) from street_crimes as crime "
            "left join hex_cells as cell on crime.hex_id = cell.hex_id"
        ).fetchone() or (0, 0)
    if abs(int(counts.sum()) - in_cells) > 0.0001 * rows:  # a point on an edge is within none
        raise AssertionError(f"GeoPandas finds {counts.sum():,} crimes in cells, not {in_cells:,}")
    return {"once": once[0], "each": min(each), "rows": rows, "month": month}


def load_and_group(folder: str, share: float, rounds: int) -> dict[str, Any]:
    """Load all crimes from their files and group them by month, type and cell, in one query."""
    nation = the_nation(Path(folder), share)
    with nation.engine().get_connection() as connection:

        def group() -> None:
            _view_crimes(nation, connection, nation.months)
            connection.execute(
                "create or replace temp table grouped as select month, crime_type, hex_id, "
                "count(*) as crimes from street_crimes group by month, crime_type, hex_id"
            )

        def scan() -> None:
            _view_crimes(nation, connection, nation.months)
            connection.execute(
                "select count(month), count(crime_type), count(hex_id) from street_crimes"
            ).fetchall()

        return by_turns(rounds, scan=scan, group=group)


def count_snap_points(folder: str, share: float) -> dict[str, Any]:
    """Count the crimes of each snap point, month by month."""
    nation = the_nation(Path(folder), share)
    with nation.engine().get_connection() as connection:

        def scan() -> None:
            for month in nation.months:
                _view_crimes(nation, connection, [month])
                _scan_into_memory(
                    connection,
                    "street_crimes",
                    *("crime_type", "hex_id", "longitude", "latitude"),
                )

        def publish() -> None:
            for month in nation.months:
                _publish_counts(nation, connection, "snap_counts", month)

        return by_turns(1, scan=scan, publish=publish)


def rank_one_month(folder: str, share: float, rounds: int) -> dict[str, Any]:
    """Rank all hotspots of the last month."""
    nation = the_nation(Path(folder), share)
    month = nation.months[-1]
    crime_type, window = ONE_RANKING
    hottest_of: list[list[int]] = []
    with nation.engine().get_connection() as connection:

        def hotspots() -> None:
            _publish_hotspots(nation, connection, month)

        def scan() -> None:
            _view_months(nation, connection, month, hex_counts=12, snap_counts=12)
            counted = ("month", "crime_type", "hex_id", "crimes")
            _scan_into_memory(connection, "hex_counts", *counted)
            _scan_into_memory(connection, "snap_counts", *counted, "longitude", "latitude")

        def pandas() -> None:
            _view_months(nation, connection, month, hex_counts=window)
            counts = connection.execute("select hex_id, crimes from hex_counts").df()
            cells = connection.execute(
                "select hex_id from scope_cells join scopes using (scope) where kind = 'nation'"
            ).df()
            (k,) = connection.execute("select k from scopes where kind = 'nation'").fetchone() or (
                0,
            )
            inside = counts[counts["hex_id"].isin(cells["hex_id"])]
            by_cell = inside.groupby("hex_id", as_index=False)["crimes"].sum()
            hottest = by_cell.sort_values(["crimes", "hex_id"], ascending=[False, True]).head(k)
            hottest_of.append(hottest["hex_id"].tolist())

        times = by_turns(rounds, hotspots=hotspots, scan=scan, pandas=pandas)
        _view_months(nation, connection, month, coverage=12, hotspots=1)
        ours = connection.execute(
            "select hex_id from hotspots join scopes using (scope) where kind = 'nation' "
            "and crime_type = $crime_type and window_months = $window order by rank",
            {"crime_type": crime_type, "window": window},
        ).fetchall()
        if [hex_id for (hex_id,) in ours] != hottest_of[-1]:
            raise AssertionError("pandas ranks other cells")
        ranking.find_complete_windows(connection, [month], {})
        found = connection.execute(
            "select count(*) from complete_windows where complete"
        ).fetchone()
    return {**times, "rankings": found[0] if found else 0}


def rank_all_months(folder: str, share: float) -> dict[str, Any]:
    """Rank the hotspots of all 36 months, and count how lasting they are."""
    nation = the_nation(Path(folder), share)
    each: list[float] = []
    frequency: list[float] = []
    with nation.engine().get_connection() as connection:
        for month in nation.months:
            with seconds_into(each):
                _publish_hotspots(nation, connection, month)
        with seconds_into(frequency):
            _publish_frequency(nation, connection, nation.months[-1])
    return {"each": each, "hotspots": sum(each), "frequency": frequency[0]}


def summarise_one_month(folder: str, share: float, rounds: int) -> dict[str, Any]:
    """Summarise the hotspots of the last month."""
    nation = the_nation(Path(folder), share)
    with nation.engine().get_connection() as connection:

        def summary() -> None:
            _publish_summary(nation, connection, nation.months[-1])

        return by_turns(rounds, summary=summary)


def count_a_further_month(folder: str, share: float, rounds: int) -> dict[str, Any]:
    """Count and rank a further month after a few months, and after many."""
    nation = the_nation(Path(folder), share)
    early, full, late = nation.months[3], nation.months[11], nation.months[-1]
    with nation.engine().get_connection() as connection:

        def counts(month: str) -> Callable[[], None]:
            def publish() -> None:
                for table in ("hex_counts", "snap_counts"):
                    _publish_counts(nation, connection, table, month)

            return publish

        def hotspots(month: str) -> Callable[[], None]:
            return lambda: _publish_hotspots(nation, connection, month)

        times = by_turns(
            rounds,
            counts_early=counts(early),
            counts_late=counts(late),
            hotspots_early=hotspots(full),
            hotspots_late=hotspots(late),
        )
        for name, month in (("counts_early", early), ("counts_late", late)):
            _view_crimes(nation, connection, [month])
            (crimes,) = connection.execute("select count(*) from street_crimes").fetchone() or (1,)
            times[name] /= crimes / 1e6
    return times


def materialise_a_month(folder: str, share: float) -> dict[str, Any]:
    """Materialise the assets of a month through Dagster, as a user does."""
    nation = the_nation(Path(folder), share)
    early, late = nation.months[3], nation.months[-1]
    counts = ["coverage", "hex_counts", "snap_counts", "reconciliation"]
    every = [*counts, "hotspots", "hotspot_summary", "hotspot_frequency"]
    with tempfile.TemporaryDirectory() as folder:
        homes = [Path(folder) / "few", Path(folder) / "many"]
        _through_dagster(nation, homes[0], counts, early)  # imports what a process imports once
        after_few = _through_dagster(nation, homes[0], counts, early)
        after_many = _through_dagster(nation, homes[1], counts, late)
        steps = _through_dagster(nation, homes[1], every, late)
    functions: list[float] = []
    with nation.engine().get_connection() as connection, seconds_into(functions):
        for table in ("hex_counts", "snap_counts", "reconciliation"):
            _publish_counts(nation, connection, table, late)
        _publish_hotspots(nation, connection, late)
        _publish_summary(nation, connection, late)
        _publish_frequency(nation, connection, late)
    return {
        "counts_after_few": after_few["run"],
        "counts_after_many": after_many["run"],
        "steps": steps,
        "functions": functions[0],
    }


def _through_dagster(nation: Nation, home: Path, tables: list[str], month: str) -> dict[str, float]:
    """Seconds of each step to materialise a month of tables, and of the whole run (``run``).

    All months before it are in the event log.
    """
    import dagster as dg

    from crime_assets.definitions import build_definitions

    job = build_definitions(nation_settings(nation)).resolve_job_def("rank_hotspots")
    home.mkdir(exist_ok=True)
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        if not instance.fetch_materializations(dg.AssetKey("coverage"), limit=1).records:
            for partition in nation.files:
                if partition["month"] < month:
                    _record(instance, "street_crimes", dg.MultiPartitionKey(partition))
            for table in job.asset_layer.selected_asset_keys:
                for earlier in nation.months[: nation.months.index(month)]:
                    _record(instance, table.to_user_string(), earlier)
        started = time.perf_counter()
        result = job.execute_in_process(
            partition_key=month,
            instance=instance,
            asset_selection=[dg.AssetKey(table) for table in tables],
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )
        steps = {"run": time.perf_counter() - started}
        for event in result.all_events:
            if event.is_step_success and event.step_key:
                steps[event.step_key] = event.step_success_data.duration_ms / 1000
        return steps


def nation_settings(nation: Nation) -> Settings:
    """The settings of a deployment on the nation."""
    return Settings.from_environment(
        {
            "CRIME_DATA_DIR": str(nation.folder),
            "CRIME_FORCES": ",".join(nation.forces),
            "CRIME_LSOA_BOUNDARIES": nation.lsoa_boundaries,
            "CRIME_FORCE_BOUNDARIES": nation.force_boundaries,
        }
    )


def _record(instance: Any, table: str, key: str) -> None:
    """Write into the event log that a partition was materialised."""
    import dagster as dg

    instance.report_runless_asset_event(
        dg.AssetMaterialization(table, partition=key, metadata={"rows": 1})
    )
