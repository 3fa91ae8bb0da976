"""Draw the pictures of the documentation; run by hand, and commit what it writes.

    python docs/make_pictures.py                          # those from the synthetic sample
    python docs/make_pictures.py --archives ARCHIVES      # also those from real archives

The sample and its lake are made in ``--work`` (default: a temporary folder), by the project's own
jobs; what is there already is used again. ``ARCHIVES`` is what CRIME_ARCHIVE_URL may be, and must
hold the forces and months of FIRST_MONTHS; boundaries come from CRIME_LSOA_BOUNDARIES and
CRIME_FORCE_BOUNDARIES. The figures that the pages quote are printed, and written beside the
pictures as CSV.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import duckdb
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import ListedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon, Rectangle
from scipy.stats import poisson

from crime_assets.definitions import build_definitions
from crime_assets.demo import FORCES, sample_environment
from crime_assets.hexes import grid, pictures
from crime_assets.hexes.concentration import poisson_gini
from crime_assets.lake import Lake
from crime_assets.partitions import key_of
from crime_assets.register import ALL_CRIME
from crime_assets.register import FORCES as REGISTER
from crime_assets.settings import Settings
from crime_assets.sources.sample import MONTHS, spatial_connection, write_sample

PICTURES = Path(__file__).parent / "pictures"

FIRST_MONTHS = {
    "avon-and-somerset": "2025-01",
    "bedfordshire": "2025-01",
    "cambridgeshire": "2024-01",
    "city-of-london": "2022-01",
    "dyfed-powys": "2025-01",
    "essex": "2025-01",
    "gwent": "2022-01",
    "hertfordshire": "2025-01",
    "merseyside": "2025-01",
    "wiltshire": "2025-01",
}
"""The forces of the real pictures, each with the first month that is read; the last is LAST."""

LAST = "2025-12"
LONG = "gwent"  # 48 months without a gap
WEAPONS = "Possession of weapons"
VIOLENCE = "Violence and sexual offences"
SEED = 2025
THINNINGS = 200

INK = pictures.INK
ORANGE, BLUE, GREEN, PURPLE = "#e66101", "#2c7bb6", "#018571", "#5e3c99"
WINDOW_COLOURS = {1: "#f1a340", 3: "#998ec3", 12: "#40004b"}
"""Light to dark in grey as well."""

mpl.rcParams.update(
    {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.edgecolor": "#8a857c",
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archives", help="real archives, as CRIME_ARCHIVE_URL")
    parser.add_argument("--work", type=Path, help="where the lakes are made, and found again")
    options = parser.parse_args(arguments)
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pictures-") as temporary:
        work = (options.work or Path(temporary)).absolute()
        sample = made_sample(work / "sample")
        draw_map(sample)
        draw_grid()
        draw_ranking(sample)
        draw_persistence(sample)
        draw_coverage(sample)
        draw_lorenz(sample)
        if options.archives:
            real = made_real(work / "real", options.archives)
            draw_reconciliation(real)
            draw_stability(real)
            draw_concentration(real)


def save(figure: Figure, name: str) -> None:
    """Write a picture with a palette, at 110 dots an inch."""
    path = PICTURES / f"{name}.png"
    path.write_bytes(pictures.png(figure, dpi=110, colours=200))
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KB")


def a_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    return Figure(figsize=(width, height), layout="constrained")


# --- Lakes ----------------------------------------------------------------------------------


def run(settings: Settings, job: str, *keys: str) -> None:
    """Run one of the project's jobs, over a range of partitions or over none."""
    tags = {}
    if keys:
        tags["dagster/asset_partition_range_start"] = keys[0]
        tags["dagster/asset_partition_range_end"] = keys[-1]
    print(f"{job} {' .. '.join(keys)}", file=sys.stderr, flush=True)
    folder = settings.data_dir / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        build_definitions(settings).resolve_job_def(job).execute_in_process(
            instance=instance,
            tags=tags,
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )


def made_sample(folder: Path) -> Lake:
    """The sample's lake below ``folder``, as ``make demo`` makes it."""
    settings = Settings.from_environment(sample_environment(folder))
    if not (folder / "lake" / "hotspot_frequency" / f"month={MONTHS[-1]}").exists():
        write_sample(folder)
        corner = [{"month": MONTHS[0], "force": FORCES[0]}, {"month": LAST, "force": FORCES[-1]}]
        run(settings, "study_area")
        run(settings, "ingest", *(str(key_of(partition)) for partition in corner))
        run(settings, "rank_hotspots", MONTHS[0], LAST)
    return Lake(folder / "lake")


def made_real(folder: Path, archives: str) -> Lake:
    """The lake of FIRST_MONTHS below ``folder``; each month expects the forces that it has."""

    def settings(forces: Sequence[str]) -> Settings:
        given = {"CRIME_ARCHIVE_URL": archives, "CRIME_DATA_DIR": str(folder)}
        return Settings.from_environment({**os.environ, **given, "CRIME_FORCES": ",".join(forces)})

    if (folder / "lake" / "hotspot_frequency" / f"month={LAST}").exists():
        return Lake(folder / "lake")
    run(settings(list(FIRST_MONTHS)), "study_area")
    for force, first in FIRST_MONTHS.items():
        keys = [str(key_of({"month": month, "force": force})) for month in (first, LAST)]
        run(settings(list(FIRST_MONTHS)), "ingest", *keys)
    starts = sorted(set(FIRST_MONTHS.values()))
    for first, following in zip(starts, [*starts[1:], ""], strict=True):
        there = [force for force, start in FIRST_MONTHS.items() if start <= first]
        last = f"{int(following[:4]) - 1}-12" if following else LAST
        run(settings(there), "rank_hotspots", first, last)
    return Lake(folder / "lake")


def opened(lake: Lake, *tables: str) -> duckdb.DuckDBPyConnection:
    """A connection with views on all partitions of the tables."""
    connection = duckdb.connect()
    for table in tables:
        connection.execute(
            f"create view {table} as from read_parquet('{lake.glob(table)}', "
            "hive_partitioning = true, hive_types_autocast = false)"
        )
    return connection


# --- The map of the README ------------------------------------------------------------------


def draw_map(lake: Lake) -> None:
    """The three forces and their hotspots; beside them, the hexagons of the hottest cluster."""
    connection = opened(lake, "hotspots", "hex_counts", "scope_cells", "scopes")
    months = MONTHS[-12:]
    hot = connection.execute(
        "select hex_id, rank, crimes from hotspots where month = $last and scope = 'study-area' "
        "and crime_type = $type and window_months = 12 order by rank",
        {"last": LAST, "type": VIOLENCE},
    ).df()
    counts = connection.execute(
        "select hex_id, sum(crimes) as crimes from hex_counts join (select hex_id from scope_cells "
        "where scope = 'study-area') using (hex_id) where crime_type = $type "
        "and month between $first and $last group by hex_id",
        {"type": VIOLENCE, "first": months[0], "last": months[-1]},
    ).df()
    extent = pictures.densest(hot["hex_id"].to_numpy(), 6_400)

    figure = a_figure(9.6, 5.6)
    left, right = figure.subplots(1, 2, width_ratios=[0.86, 1])
    forces = boundaries(lake, "force_areas", "PFA23NM")
    lsoas = boundaries(lake, "lsoas", "LSOA21NM")
    for (name, rings), tint in zip(
        sorted(forces.items()), ("#f3ead7", "#e3ebe4", "#e6e4ef"), strict=True
    ):
        left.add_collection(
            PatchCollection([Polygon(ring) for ring in rings], facecolor=tint, edgecolor="none")
        )
        big = max(rings, key=len)
        # the sample's capitals lie near the middle of their force; the label stands clear of them
        label = name.removesuffix(" (sample)")
        at = {"Dogger": (579_000, 442_500), "Silver Pit": (566_500, 386_500)}.get(
            label, (605_500, 387_500)
        )
        assert len(big) > 10
        left.text(*at, label, fontsize=10, style="italic", color="#6b655c")
    outline(left, lsoas, color="#cfc8bb", linewidth=0.35)
    outline(left, forces, color="#6b655c", linewidth=0.9)
    everything = np.concatenate([ring for rings in forces.values() for ring in rings])
    west, south = everything.min(axis=0) - 600
    east, north = everything.max(axis=0) + 600
    whole = (west, east, south, north)
    finish_map(left, whole)
    shown = pictures.draw_cells(left, hot["hex_id"].to_numpy()[::-1], least_m=1_150, cmap=heat())
    shown.set(array=hot["crimes"].to_numpy()[::-1], edgecolor="white", linewidth=0.3, zorder=3)
    shown.set_norm(PowerNorm(0.5, 0, hot["crimes"].max()))
    w, e, s, n = extent
    left.add_patch(Rectangle((w, s), e - w, n - s, fill=False, ec=INK, lw=1, zorder=4))
    left.set_title(f"The {len(hot)} hottest of {cells_of(connection):,} cells")

    inside = within(counts["hex_id"].to_numpy(), extent, 400)
    counts = counts[inside]
    right.set_facecolor("#f7f4ee")
    shaded = pictures.draw_cells(right, counts["hex_id"].to_numpy(), cmap=heat())
    shaded.set(array=counts["crimes"].to_numpy(), edgecolor="#f7f4ee", linewidth=0.8)
    shaded.set_norm(shown.norm)
    outline(right, lsoas, color="#8f887b", linewidth=0.6)
    near = hot[within(hot["hex_id"].to_numpy(), extent, -150)]
    pictures.draw_cells(
        right, near["hex_id"].to_numpy(), facecolors="none", edgecolors=INK, linewidths=1.6
    )
    halfway = hot["crimes"].max() * 0.3
    for hex_id, rank, crimes in near.itertuples(index=False):
        easting, northing = grid.centres(hex_id)
        colour = "white" if crimes > halfway else INK
        right.text(
            easting, northing, rank, ha="center", va="center", fontsize=8, color=colour,
            weight="bold",
        )  # fmt: skip
    finish_map(right, extent)
    for spine in right.spines.values():
        spine.set(visible=True, color=INK, linewidth=1)
    right.set_title("The frame: every cell with a crime; hotspots outlined, with their rank")
    bar = figure.colorbar(
        shaded, ax=[left, right], orientation="horizontal", fraction=0.04, aspect=60, pad=0.02
    )
    bar.set_label(f"{VIOLENCE}, crimes a cell in the 12 months to {LAST} (synthetic)")
    save(figure, "map")


def heat() -> ListedColormap:
    """The maps' colours, from paler on, since here cells with one crime are drawn too."""
    return ListedColormap(mpl.colormaps["inferno_r"](np.linspace(0.03, 1, 256)))


def cells_of(connection: duckdb.DuckDBPyConnection) -> int:
    """How many cells the study area has."""
    (cells,) = connection.execute("select cells from scopes where kind = 'nation'").fetchone() or (
        0,
    )
    return int(cells)


def within(hex_ids: np.ndarray, extent: pictures.Extent, margin_m: float) -> np.ndarray:
    """Which cells have their centre in the extent, widened by the margin."""
    easting, northing = grid.centres(hex_ids)
    w, e, s, n = extent
    return (
        (easting > w - margin_m)
        & (easting < e + margin_m)
        & (northing > s - margin_m)
        & (northing < n + margin_m)
    )


def boundaries(lake: Lake, file: str, name: str) -> dict[str, list[np.ndarray]]:
    """The outer rings of the sample's areas by name, metres."""
    path = lake.root.parent / "boundaries" / f"{file}.parquet"
    with spatial_connection() as connection:
        rows = connection.execute(
            f"select {name}, st_asgeojson(geometry) from read_parquet('{path}')"
        ).fetchall()
    rings = {}
    for area, text in rows:
        shape = json.loads(text)
        parts = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
        rings[area] = [np.array(part[0])[:, :2] for part in parts]
    return rings


def outline(axes: Axes, areas: dict[str, list[np.ndarray]], **style: object) -> None:
    """Draw the outlines of areas."""
    lines = [ring for rings in areas.values() for ring in rings]
    axes.add_collection(LineCollection(lines, **style))  # type: ignore[arg-type]


def finish_map(axes: Axes, extent: pictures.Extent) -> None:
    """Limits, scale bar, and no axes."""
    west, east, south, north = extent
    axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set_visible(False)
    pictures.draw_scale(axes, extent)


# --- The grid -------------------------------------------------------------------------------


def draw_grid() -> None:
    """The two lattices with their ids, and to which cell a point on an edge belongs."""
    figure = a_figure(9.6, 5.3)
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    even = [i * grid.ROWS + j for i in (745, 746) for j in (505, 506, 507)]
    odd = [grid.LATTICE_CELLS + i * grid.ROWS + j for i in (745, 746) for j in (504, 505, 506)]
    for ids, colour in ((even, "#fde3c5"), (odd, "#d9d6ea")):
        pictures.draw_cells(
            left, np.array(ids), facecolors=colour, edgecolors="#8a857c", linewidths=1
        )
        for hex_id in ids:
            easting, northing = grid.centres(hex_id)
            left.plot(easting, northing, ".", color=INK, markersize=4)
            left.text(easting, northing + 28, f"{hex_id}", ha="center", fontsize=8)
    (e0, n_low), (_, n0), (e1, n_top) = (grid.centres(even[i]) for i in (0, 1, 5))
    arrow(left, (e0, n_top), (e1, n_top), "600 m", (0, 7))
    arrow(left, (e0 - 115, n_low), (e0 - 115, n0), "346.41 m", (-8, 0), rotation=90)
    corner = grid.corners(even[2])
    arrow(left, tuple(corner[2] + (0, 35)), tuple(corner[1] + (0, 35)), "200 m", (0, 8))
    left.set(aspect="equal", xlim=(e0 - 300, e1 + 600), ylim=(n_low - 370, n_top + 300))
    left.set_title("Even ids (orange) and odd ids (violet): two lattices")
    left.set_xlabel("easting, metres")
    left.set_ylabel("northing, metres")
    left.ticklabel_format(style="plain", useOffset=False)
    left.set_xticks([e0, e0 + 300, e1, e1 + 300])

    shown = [even[4], odd[1], odd[2], even[1], even[2], even[5], odd[4], odd[5]]
    middle = grid.centres(even[4])
    for hex_id in shown:
        is_even = hex_id < grid.LATTICE_CELLS
        pictures.draw_cells(
            right,
            np.array([hex_id]),
            facecolors="#fde3c5" if is_even else "#d9d6ea",
            edgecolors="none",
        )
    for hex_id in (even[4], odd[2]):
        corners = grid.corners(hex_id)
        for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            points = start + np.linspace(0.04, 0.96, 13)[:, None] * (end - start)
            owner = grid.hex_ids(points[:, 0], points[:, 1])
            for lattice, colour in ((0, ORANGE), (1, PURPLE)):
                of = (owner >= grid.LATTICE_CELLS) == bool(lattice)
                right.plot(*points[of].T, "o", color=colour, markersize=4)
            for corner in (start, end):
                owner_is_even = grid.hex_ids(*corner) < grid.LATTICE_CELLS
                right.plot(
                    *corner,
                    "D",
                    color=ORANGE if owner_is_even else PURPLE,
                    markersize=7,
                    markeredgecolor="white",
                )
    for hex_id in (even[4], odd[2]):
        easting, northing = grid.centres(hex_id)
        right.text(easting, northing, f"{hex_id}", ha="center", va="center", fontsize=8)
    right.set(
        aspect="equal",
        xlim=(middle[0] - 550, middle[0] + 250),
        ylim=(middle[1] - 240, middle[1] + 420),
        xticks=[],
        yticks=[],
        title="Points on an edge, coloured by the cell they belong to",
    )
    for spine in right.spines.values():
        spine.set_visible(False)
    right.legend(
        handles=[
            Line2D([], [], marker="o", ls="", color=ORANGE, label="an even cell"),
            Line2D([], [], marker="o", ls="", color=PURPLE, label="an odd cell"),
            Line2D([], [], marker="D", ls="", color="#8a857c", label="a corner"),
        ],
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=3,
        frameon=False,
    )
    save(figure, "grid")


def arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    text: str,
    offset: tuple[float, float],
    rotation: float = 0,
) -> None:
    """A double arrow with its length beside it."""
    axes.annotate(
        "", end, start, arrowprops={"arrowstyle": "<->", "color": BLUE, "shrinkA": 0, "shrinkB": 0}
    )
    axes.annotate(
        text,
        ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2),
        offset,
        textcoords="offset points",
        ha="center",
        va="center",
        color=BLUE,
        fontsize=8,
        rotation=rotation,
    )


# --- Ranking --------------------------------------------------------------------------------


def draw_ranking(lake: Lake) -> None:
    """Why k is a count: cells in the order of their crimes, and those that tie for the last place.

    Prints the figures that the page quotes.
    """
    connection = opened(lake, "hex_counts", "scope_cells", "scopes")
    (k,) = connection.execute("select k from scopes where kind = 'nation'").fetchone() or (0,)
    figure = a_figure(9.6, 3.7)
    for axes, window in zip(figure.subplots(1, 2), (1, 12), strict=True):
        crimes = connection.execute(
            "select sum(crimes)::int as crimes from hex_counts join scope_cells using (hex_id) "
            "where scope = 'study-area' and crime_type = 'Burglary' and month between $first "
            "and $last group by hex_id order by crimes desc, hex_id",
            {"first": MONTHS[-window], "last": LAST},
        ).fetchnumpy()["crimes"]
        crimes = np.asarray(crimes)
        limit = crimes[k - 1]
        reached = int((crimes >= limit).sum())
        above = int((crimes > limit).sum())
        print(
            f"ranking: Burglary, {window} months: k {k}, the k-th score {limit}, {above} cells "
            f"above it, {reached - above} tie for {k - above} places; 'score >= {limit}' gives "
            f"{reached} cells, 'score > {limit}' gives {above}"
        )
        position = np.arange(1, 261)
        height = np.pad(crimes, (0, 261))[:260]
        colours = np.where(
            position <= k, ORANGE, np.where((height == limit) & (height > 0), "#fdb863", "#cfc8bb")
        )
        axes.bar(position, height, width=1, color=colours, linewidth=0)
        axes.axvline(k + 0.5, color=INK, linewidth=1, linestyle="--")
        axes.text(k + 3, crimes[0] * 0.97, f"k = {k}", va="top")
        axes.set(
            xlim=(0.5, 260),
            title=f"Burglary, {window} month{'s' if window > 1 else ''} to {LAST}",
            xlabel="cells, hottest first (ties in order of hex_id)",
            ylabel="crimes in the cell",
        )
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(
            handles=[
                Patch(color=ORANGE, label=f"hotspots: {k}"),
                Patch(color="#fdb863", label=f"left out, with the score of the k-th: "
                      f"{reached - k}"),
                Patch(color="#cfc8bb", label="other cells"),
            ],
            frameon=False,
            loc="upper right",
        )  # fmt: skip
    save(figure, "ranking")


# --- Persistence ----------------------------------------------------------------------------


def draw_persistence(lake: Lake) -> None:
    """In which of the 34 windows of three months some cells were hotspots, by class."""
    connection = opened(lake, "hotspots", "hotspot_frequency")
    wanted = {"scope": "study-area", "type": ALL_CRIME}
    cells = connection.execute(
        "select hex_id, hits, windows, persistence from hotspot_frequency where month = $last and "
        "scope = $scope and crime_type = $type and window_months = 3 order by rank",
        {**wanted, "last": LAST},
    ).df()
    hot = connection.execute(
        "select hex_id, month from hotspots where scope = $scope and crime_type = $type "
        "and window_months = 3",
        wanted,
    ).df()
    ends = list(MONTHS[2:])
    late = -(-len(ends) // 3)
    rows = []
    for name in pictures.PERSISTENCE_COLOURS:
        of = cells[cells["persistence"] == name]
        # the first, the middle and the last of the class: not only the clear ones
        rows += [of.iloc[i] for i in sorted({0, len(of) // 2, len(of) - 1})]
    figure = a_figure(9.6, 4.2)
    axes = figure.subplots()
    axes.add_patch(
        Rectangle((len(ends) - late - 0.5, -0.6), late, len(rows) + 0.2, color="#f1ede5", zorder=0)
    )
    axes.text(len(ends) - late / 2 - 0.5, -0.75, "the last third (late)", ha="center", fontsize=8)
    for y, row in enumerate(rows):
        months = set(hot.loc[hot["hex_id"] == row["hex_id"], "month"])
        colour = pictures.PERSISTENCE_COLOURS[row["persistence"]]
        for x, month in enumerate(ends):
            is_hot = month in months
            axes.add_patch(
                Rectangle(
                    (x - 0.42, y - 0.36),
                    0.84,
                    0.72,
                    facecolor=colour if is_hot else "white",
                    edgecolor=colour if is_hot else "#cfc8bb",
                    linewidth=0.6,
                )
            )
        axes.text(
            len(ends) + 0.2, y, f"{row['hits']} of {row['windows']}: {row['persistence']}",
            va="center", fontsize=8, color=colour, weight="bold",
        )  # fmt: skip
    axes.set(
        xlim=(-0.7, len(ends) + 6.2),
        ylim=(len(rows) - 0.4, -1.3),
        yticks=range(len(rows)),
        yticklabels=[str(row["hex_id"]) for row in rows],
        xticks=range(0, len(ends), 3),
        xlabel="last month of the window of three months",
        title="Filled: the cell was among the k hottest (All crime, synthetic sample)",
    )
    axes.set_xticklabels([ends[x] for x in range(0, len(ends), 3)], rotation=40, ha="right")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    save(figure, "persistence")


# --- Months, forces, windows ------------------------------------------------------------------


def draw_coverage(lake: Lake) -> None:
    """Which months of the sample were published, and which windows are ranked because of it."""
    connection = opened(lake, "coverage", "hotspot_summary", "scopes")
    status = connection.execute("select force, month, status from coverage").df()
    ranked = connection.execute(
        "select scope, window_months, month, complete from hotspot_summary where crime_type = $a",
        {"a": ALL_CRIME},
    ).df()
    colours = {"published": "#7fb8da", "partial": "#fdb863", "not_published": INK}
    figure = a_figure(9.6, 4.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 8])
    for y, force in enumerate(FORCES):
        by_month = status[status["force"] == force].set_index("month")["status"]
        for x, month in enumerate(MONTHS):
            upper.add_patch(cell(x, y, colours[by_month[month]]))
    upper.set(
        yticks=range(3),
        yticklabels=[REGISTER[force].name.removesuffix(" (sample)") for force in FORCES],
        ylim=(2.6, -0.6),
    )
    upper.set_title("coverage: what each force published", loc="left")
    upper.legend(
        handles=[Patch(color=c, label=s) for s, c in colours.items()],
        loc="lower right",
        bbox_to_anchor=(1, 0.98),
        ncols=3,
        frameon=False,
        fontsize=8,
    )
    labels = []
    scopes = ["sample-silverpit", "sample-wellbank", "study-area"]
    for y, (scope, window) in enumerate((s, w) for s in scopes for w in (1, 3, 12)):
        of = ranked[(ranked["scope"] == scope) & (ranked["window_months"] == window)]
        complete = of.set_index("month")["complete"]
        for x, month in enumerate(MONTHS):
            lower.add_patch(cell(x, y + y // 3 * 0.4, GREEN if complete[month] else "#eeeae2"))
        name = scope.removeprefix("sample-")
        labels.append((y + y // 3 * 0.4, f"{name}, {window} month{'s' * (window > 1)}"))
    lower.set(
        yticks=[y for y, _ in labels],
        yticklabels=[label for _, label in labels],
        ylim=(labels[-1][0] + 0.6, -0.6),
        xlim=(-0.7, len(MONTHS) - 0.3),
        xticks=range(0, len(MONTHS), 3),
    )
    lower.set_title(
        "hotspots: which windows are ranked (green), by the month in which they end", loc="left"
    )
    lower.set_xticklabels([MONTHS[x] for x in range(0, len(MONTHS), 3)], rotation=40, ha="right")
    for axes in (upper, lower):
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    save(figure, "coverage")


def cell(x: float, y: float, colour: str) -> Rectangle:
    """One month in a row of months."""
    return Rectangle((x - 0.44, y - 0.4), 0.88, 0.8, facecolor=colour)


# --- Concentration --------------------------------------------------------------------------


def draw_lorenz(lake: Lake) -> None:
    """How many crimes the hottest cells hold, and how many they would hold by chance alone."""
    connection = opened(lake, "hex_counts", "scope_cells", "scopes", "hotspot_summary")
    cells = cells_of(connection)
    figure = a_figure(9.6, 3.9)
    for axes, crime_type in zip(
        figure.subplots(1, 2, sharey=True), (VIOLENCE, WEAPONS), strict=True
    ):
        crimes = connection.execute(
            "select sum(crimes)::int as crimes from hex_counts join scope_cells using (hex_id) "
            "where scope = 'study-area' and crime_type = $type and month between $first and $last "
            "group by hex_id order by crimes desc",
            {"type": crime_type, "first": MONTHS[-12], "last": LAST},
        ).fetchnumpy()["crimes"]
        counts = np.pad(np.asarray(crimes), (0, cells - len(crimes)))
        mean = counts.sum() / cells
        share = 100 * np.arange(cells + 1) / cells
        observed = 100 * np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
        values = np.arange(0, int(mean + 12 * mean**0.5 + 12))[::-1]
        chance_cells = np.concatenate([[0], np.cumsum(poisson.pmf(values, mean))])
        chance = np.concatenate([[0], np.cumsum(values * poisson.pmf(values, mean))]) / mean
        gini, modified, in_table = gini_of(counts), 0.0, (0.0, 0.0)
        by_chance = poisson_gini(mean)
        modified = (gini - by_chance) / (1 - by_chance)
        in_table = connection.execute(
            "select gini, modified_gini from hotspot_summary where scope = 'study-area' and "
            "crime_type = $type and month = $last and window_months = 12",
            {"type": crime_type, "last": LAST},
        ).fetchone() or (0.0, 0.0)
        assert np.allclose((gini, modified), in_table), (gini, modified, in_table)
        print(f"lorenz: {crime_type}: {counts.sum():,} crimes, mean {mean:.3f}, Gini {gini:.3f}, "
              f"of a Poisson {by_chance:.3f}, modified {modified:.3f}")  # fmt: skip
        axes.plot(share, observed, color=PURPLE, linewidth=2, label="crimes as they lie")
        axes.plot(
            100 * chance_cells, 100 * chance, color=ORANGE, linewidth=2, linestyle="--",
            label="as many crimes, thrown at random",
        )  # fmt: skip
        axes.plot([0, 100], [0, 100], color="#8a857c", linewidth=1, linestyle=":",
                  label="the same in every cell")  # fmt: skip
        axes.set(
            title=f"{crime_type}: {counts.sum():,} crimes",
            xlim=(0, 10),
            ylim=(0, 102),
            xlabel="per cent of the cells, hottest first (to 10 only)",
        )
        axes.text(
            9.8, 48,
            f"Gini {gini:.3f}\nof chance alone {by_chance:.3f}\nmodified Gini {modified:.3f}",
            ha="right", va="bottom",
        )  # fmt: skip
    figure.axes[0].set_ylabel("per cent of the crimes")
    figure.axes[1].legend(frameon=False, loc="lower right", fontsize=8, bbox_to_anchor=(1, 0.08))
    save(figure, "lorenz")


def gini_of(counts: np.ndarray) -> float:
    """The Gini coefficient of counts, empty cells among them."""
    ordered = np.sort(counts)
    n = len(ordered)
    return float(2 * np.arange(1, n + 1) @ ordered / (n * ordered.sum()) - (n + 1) / n)


# --- From real archives: where the crimes go --------------------------------------------------


def draw_reconciliation(lake: Lake) -> None:
    """Where the crimes of ten forces went in 2025, and the share without a location."""
    connection = opened(lake, "reconciliation", "coverage")
    sums = connection.execute(
        "select sum(crimes)::bigint as crimes, sum(in_cells)::bigint as in_cells, "
        "sum(unlocated)::bigint as unlocated, sum(outside_cells)::bigint as outside_cells, "
        "sum(outside_grid)::bigint as outside_grid from reconciliation where month >= '2025-01'"
    ).df().iloc[0]  # fmt: skip
    (rows, rejected) = connection.execute(
        "select sum(rows)::bigint, sum(rejected)::bigint from coverage where month >= '2025-01'"
    ).fetchone() or (0, 0)
    unlocated = connection.execute(
        "select force, sum(unlocated) / sum(crimes) as share from reconciliation "
        "where month >= '2025-01' group by force order by share"
    ).df()
    print(f"reconciliation 2025: rows {rows:,}, rejected {rejected}, {sums.to_dict()}")
    assert rows == sums["crimes"] + rejected
    assert sums["crimes"] == sums.drop("crimes").sum()
    steps = [
        ("rows published", rows, "#8a857c"),
        ("in a cell: ranked", sums["in_cells"], GREEN),
        ("without a location", sums["unlocated"], ORANGE),
        ("at sea or abroad", sums["outside_cells"], BLUE),
        ("outside the grid", sums["outside_grid"], PURPLE),
        ("rejected lines", rejected, INK),
    ]
    figure = a_figure(9.6, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=[1.2, 1])
    left.barh(range(len(steps)), [max(n, 0.5) for _, n, _ in steps], color=[c for *_, c in steps])
    left.set_xscale("log")
    left.set(
        xlim=(0.5, rows * 12),
        yticks=range(len(steps)),
        yticklabels=[name for name, *_ in steps],
        xlabel="crimes (logarithmic)",
        title="Ten forces in 2025: where the published rows went",
    )
    left.invert_yaxis()
    for y, (_, n, _) in enumerate(steps):
        left.text(max(n, 0.5) * 1.25, y, f"{n:,}", va="center")
    right.barh(unlocated["force"], 100 * unlocated["share"], color=ORANGE)
    for y, share in enumerate(unlocated["share"]):
        right.text(100 * share + 0.1, y, f"{100 * share:.1f}", va="center", fontsize=8)
    right.set(title="without a location, per cent", xlim=(0, 10))
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
    save(figure, "reconciliation")


# --- From real archives: are larger windows more stable? --------------------------------------

JACCARD_SQL = """
with hotspot as (
    select
        scope, crime_type, window_months, hex_id,
        12 * month[1:4]::int + month[6:7]::int as m
    from hotspots
    where scope in (select unnest($scopes))
),
ranking as (
    select
        scope, crime_type, window_months,
        12 * month[1:4]::int + month[6:7]::int as m
    from hotspot_summary
    where complete and crimes > 0 and scope in (select unnest($scopes))
),
size as (
    select scope, crime_type, window_months, m, count(*) as cells
    from hotspot
    group by all
),
pair as (
    select distinct now.*, lag
    from ranking as now
    cross join (select unnest([1, 3, 12]) as lag)
    join ranking as before
        on now.scope = before.scope and now.crime_type = before.crime_type
        and now.window_months = before.window_months and now.m - lag = before.m
),
shared as (
    select pair.*, count(was.hex_id) as cells
    from pair
    join hotspot as is_hot
        on pair.scope = is_hot.scope and pair.crime_type = is_hot.crime_type
        and pair.window_months = is_hot.window_months and pair.m = is_hot.m
    left join hotspot as was
        on pair.scope = was.scope and pair.crime_type = was.crime_type
        and pair.window_months = was.window_months and pair.m - pair.lag = was.m
        and is_hot.hex_id = was.hex_id
    group by all
)
select
    shared.scope, shared.crime_type, shared.window_months, shared.m, shared.lag,
    shared.cells / (now.cells + before.cells - shared.cells) as jaccard
from shared
join size as now
    on shared.scope = now.scope and shared.crime_type = now.crime_type
    and shared.window_months = now.window_months and shared.m = now.m
join size as before
    on shared.scope = before.scope and shared.crime_type = before.crime_type
    and shared.window_months = before.window_months and shared.m - shared.lag = before.m
order by all
"""
"""One row is a ranking and one `lag` months earlier: the hotspots that they share."""


def draw_stability(lake: Lake) -> None:
    """How alike the hotspots of two windows are, by the length of the windows and what they share.

    Prints the figures that the page quotes and writes ``stability.csv``.
    """
    connection = opened(lake, "hotspots", "hotspot_summary")
    pairs = connection.execute(
        JACCARD_SQL, {"scopes": [f for f in FIRST_MONTHS if f != "city-of-london"]}
    ).df()
    stored = connection.execute(
        "select scope, crime_type, window_months, "
        "12 * month[1:4]::int + month[6:7]::int as m, jaccard as stored from hotspot_summary "
        "where jaccard is not null"
    ).df()
    both = pairs[pairs["lag"] == 1].merge(stored)
    assert len(both) > 1000
    assert np.allclose(both["jaccard"], both["stored"])

    kinds = {
        "one month later (windows overlap)": lambda p: p["lag"] == 1,
        "the next window (no month shared)": lambda p: p["lag"] == p["window_months"],
        "a year later (no month shared)": lambda p: p["lag"] == 12,
    }
    rows = []
    for kind, picked in kinds.items():
        for keys, of in pairs[picked(pairs)].groupby(["scope", "crime_type", "window_months"]):
            low, middle, high = of["jaccard"].quantile([0.25, 0.5, 0.75])
            rows.append([kind, *keys, len(of), low, middle, high, of["jaccard"].mean()])
    names = ["compared_with", "scope", "crime_type", "window_months", "pairs"]
    names += ["q25", "median", "q75", "mean"]
    table = pd.DataFrame(rows, columns=names)
    table.round(6).to_csv(PICTURES / "stability.csv", index=False)

    long = table[table["scope"] == LONG]
    print(long.pivot_table(index="crime_type", columns=["compared_with", "window_months"],
                           values="median").round(2).to_string())  # fmt: skip
    means = table.groupby(["compared_with", "scope", "window_months"]).agg(
        types=("mean", "size"), pairs=("pairs", "max"), mean=("mean", "mean")
    )
    print(means.round(3).to_string())
    for kind in kinds:
        wide = long[long["compared_with"] == kind].pivot(
            index="crime_type", columns="window_months", values="mean"
        )
        print(f"stability, {LONG}, {kind}: types in which the mean rises 1->3, 3->12, 1->12: "
              f"{(wide[3] > wide[1]).sum()}, {(wide[12] > wide[3]).sum()}, "
              f"{(wide[12] > wide[1]).sum()} of {len(wide)}")  # fmt: skip
        short = table[(table["compared_with"] == kind) & (table["window_months"] < 12)]
        wide = short.pivot(index=["scope", "crime_type"], columns="window_months", values="mean")
        wide = wide.dropna()
        print(f"stability, all forces, {kind}: mean rises 1->3 in {(wide[3] > wide[1]).sum()} of "
              f"{len(wide)} pairs of force and type")  # fmt: skip

    order = long[(long["window_months"] == 12) & (long["compared_with"] == list(kinds)[2])]
    order = list(order.sort_values("mean")["crime_type"])
    figure = a_figure(9.6, 4.9)
    panels = figure.subplots(1, 3, sharey=True)
    for axes, kind in zip(panels, kinds, strict=True):
        for window, colour in WINDOW_COLOURS.items():
            of = long[(long["compared_with"] == kind) & (long["window_months"] == window)]
            of = of.set_index("crime_type").loc[order]
            y = np.arange(len(order)) + {1: 0.24, 3: 0.0, 12: -0.24}[window]
            axes.hlines(y, of["q25"], of["q75"], color=colour, linewidth=2.2, alpha=0.55)
            axes.plot(of["mean"], y, "o", color=colour, markersize=5)
        pairs_of = long[long["compared_with"] == kind].groupby("window_months")["pairs"].max()
        counted = ", ".join(str(n) for n in pairs_of)
        axes.set(title=f"{kind.split(' (')[0]}\n({kind.split(' (')[1]}", xlim=(-0.02, 1.02))
        axes.set_xlabel(f"hotspots shared / hotspots of either\n({counted} pairs a type)")
        axes.grid(axis="x", color="#e4dfd5", linewidth=0.7)
        axes.set_yticks(range(len(order)), order)
        axes.tick_params(axis="y", length=0)
    figure.legend(
        handles=[
            Line2D([], [], marker="o", color=c, label=f"{w} month{'s' * (w > 1)}")
            for w, c in WINDOW_COLOURS.items()
        ],
        loc="outside upper center",
        ncols=3,
        frameon=False,
        title="Gwent, 2022-01 to 2025-12, k = 14. Mean (dot) and quartiles (bar) of windows of",
    )
    save(figure, "stability")


# --- From real archives: is possession of weapons less concentrated? ---------------------------


def draw_concentration(lake: Lake) -> None:
    """Concentration by type in 2025, as published and at equal counts.

    Prints the figures that the page quotes and writes ``concentration.csv``.
    """
    connection = opened(lake, "hotspot_summary", "hex_counts", "scope_cells", "scopes")
    summary = connection.execute(
        "select scope, crime_type, crimes, captured, gini, modified_gini from hotspot_summary "
        "where month = $last and window_months = 12 and complete and crime_type <> $all and "
        "scope in (select scope from scopes where kind = 'force' and k > 1)",
        {"last": LAST, "all": ALL_CRIME},
    ).df()
    counts = connection.execute(
        "select scope, crime_type, hex_id, sum(crimes)::int as crimes from hex_counts "
        "join scope_cells using (hex_id) where month between $first and $last "
        "and scope in (select unnest($scopes)) group by all order by all",
        {"first": MONTHS[-12], "last": LAST, "scopes": sorted(set(summary["scope"]))},
    ).df()
    sizes = connection.execute("select scope, k, cells from scopes").df().set_index("scope")
    rng = np.random.default_rng(SEED)
    thinned = []
    for scope, of_scope in counts.groupby("scope"):
        k, cells = sizes.loc[scope, ["k", "cells"]]
        by_type = {name: of["crimes"].to_numpy() for name, of in of_scope.groupby("crime_type")}
        for name in sorted(set(by_type) - {WEAPONS}):
            n = min(by_type[name].sum(), by_type[WEAPONS].sum())
            other = [measure(thin(rng, by_type[name], n), k, cells) for _ in range(THINNINGS)]
            weapons = [measure(thin(rng, by_type[WEAPONS], n), k, cells) for _ in range(THINNINGS)]
            thinned.append([scope, name, n, *np.mean(other, axis=0), *np.mean(weapons, axis=0)])
    figures = ["captured", "gini", "modified_gini"]
    names = ["scope", "crime_type", "crimes_each", *figures, *(f"weapons_{f}" for f in figures)]
    equal = pd.DataFrame(thinned, columns=names)
    table = summary.merge(equal, on=["scope", "crime_type"], how="left", suffixes=("", "_equal"))
    table.round(6).to_csv(PICTURES / "concentration.csv", index=False)

    forces = summary["scope"].nunique()
    middle = summary.groupby("crime_type").median(numeric_only=True)
    for column in ("captured", "gini", "modified_gini"):
        rank = summary.groupby("scope")[column].rank()[summary["crime_type"] == WEAPONS]
        print(f"concentration: weapons by {column}: place from the least concentrated of 14 in "
              f"{forces} forces: {sorted(rank.astype(int))}")  # fmt: skip
    for figure_name in figures:
        equal[f"{figure_name}_more"] = equal[figure_name] > equal[f"weapons_{figure_name}"]
    more = equal.groupby("crime_type")[["captured_more", "gini_more"]].sum()
    at_equal = equal.groupby("crime_type")[names[2:]].median().add_suffix("_equal")
    print(middle.join(at_equal).join(more).sort_values("modified_gini").round(3).to_string())
    print(f"all pairs of force and type: more captured than weapons {equal['captured_more'].sum()},"
          f" greater Gini {equal['gini_more'].sum()}, of {len(equal)}")  # fmt: skip
    frequency = opened(lake, "hotspot_frequency").execute(
        "select crime_type, count(*) as cells, count(*) filter (persistence = 'persistent') as "
        "persistent, max(windows) as windows from hotspot_frequency where month = $last and "
        "scope = $scope and window_months = 12 group by all order by cells, crime_type",
        {"last": LAST, "scope": LONG},
    )
    print(f"cells of {LONG} that were ever a hotspot:")
    print(frequency.df().to_string())

    order = list(middle.sort_values("modified_gini").index)[::-1]
    figure = a_figure(9.6, 4.9)
    panels = figure.subplots(1, 3, sharey=True)
    drawn = [
        (summary, 100 * summary["captured"], "captured by the k cells,\nper cent of the crimes"),
        (summary, summary["modified_gini"], "modified Gini\n(over what chance alone gives)"),
        (
            equal,
            equal["modified_gini"] - equal["weapons_modified_gini"],
            "modified Gini at equal counts,\nless that of weapons",
        ),
    ]
    for axes, (frame, values, title) in zip(panels, drawn, strict=True):
        for y, name in enumerate(order):
            of = values[frame["crime_type"] == name]
            colour = ORANGE if name == WEAPONS else PURPLE
            axes.plot(of, np.full(len(of), y), "o", color=colour, alpha=0.4, markersize=4, mew=0)
            axes.plot([of.median()] * 2, [y - 0.32, y + 0.32], color=colour, linewidth=2.5)
        axes.set_title(title)
        axes.grid(axis="x", color="#e4dfd5", linewidth=0.7)
        axes.set_yticks(range(len(order)), order)
        axes.tick_params(axis="y", length=0)
    panels[2].axvline(0, color=ORANGE, linewidth=1.5)
    weapons_at = order.index(WEAPONS)
    panels[2].text(0.015, weapons_at, "weapons = 0", color=ORANGE, va="center", fontsize=8)
    for axes in panels[:1]:
        axes.get_yticklabels()[weapons_at].set(color=ORANGE, weight="bold")
    figure.supxlabel(
        f"{forces} forces, the 12 months to {LAST}: a dot is a force, a bar their median",
        fontsize=9,
    )
    save(figure, "concentration")


def thin(rng: np.random.Generator, counts: np.ndarray, n: int) -> np.ndarray:
    """Counts of ``n`` of the crimes, drawn without putting back."""
    if n == counts.sum():
        return counts
    return rng.multivariate_hypergeometric(counts, n, method="marginals")


def measure(counts: np.ndarray, k: int, cells: int) -> tuple[float, float, float]:
    """The share of crimes in the ``k`` hottest of ``cells`` cells, Gini and modified Gini."""
    ordered = np.sort(counts[counts > 0])
    total = ordered.sum()
    place = np.arange(cells - len(ordered) + 1, cells + 1)
    gini = 2 * place @ ordered / (cells * total) - (cells + 1) / cells
    by_chance = poisson_gini(total / cells)
    return float(ordered[-k:].sum() / total), float(gini), (gini - by_chance) / (1 - by_chance)


if __name__ == "__main__":
    main()
