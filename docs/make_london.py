"""Run the London study on the real counts of 2011 to 2021, and write its page; by hand.

    python docs/make_london.py --data DATA

``DATA`` holds ``lsoa/london_lsoa_year_2011-2021.tar.xz``, ``lsoa/mps_lsoa_level_crime_*.csv.gz``
and ``boundaries/``, as the tests have them. Written are ``explanation/london-study.md`` below its
mark, ``pictures/london-study.png`` and ``.csv``, and two maps. It takes a minute.
"""

from __future__ import annotations

import argparse
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from crime_assets.hexes.pictures import INK, png
from crime_assets.lake import DuckDB
from crime_assets.london.mps import CITY_OF_LONDON, read_wide
from crime_assets.london.pictures import classes_picture
from crime_assets.london.published import PUBLISHED
from crime_assets.london.report import NAMES, comparison
from crime_assets.london.study import (
    METHODS,
    PERSISTENCE,
    RANDOM,
    STRATIFIED,
    TIME,
    Panel,
    Study,
    labels,
    panel,
    random_split,
    run_study,
)
from crime_assets.lsoa.labels import LABELS
from crime_assets.lsoa.pictures import Outlines
from crime_assets.sources.boundaries import load_lsoas

DOCS = Path(__file__).parent
PAGE = DOCS / "explanation" / "london-study.md"
PICTURES = DOCS / "pictures"
MARK = "<!-- what follows is written by docs/make_london.py -->"

FIRST_YEAR = 2011
LABEL_YEARS = range(2015, 2022)  # the split in time needs the five years up to the label year
PAIR = ("theft-all", "violence")
EMPTY = "major-sexual"
"""The file of sexual offences holds only noughts."""
COLOURS = {RANDOM: "#d55e00", TIME: "#0072b2", PERSISTENCE: "#009e73"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study for each label year and write what the page shows of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of real data")
    data = parser.parse_args(arguments).data
    with DuckDB(threads=2).get_connection() as connection:
        load_lsoas(connection, str(data / "boundaries" / "london_lsoa_2021.gpkg"), "loaded")
        connection.execute(
            "create temp table lsoa_areas as select code as lsoa21cd, geometry from loaded"
        )
        size = connection.execute(
            "select lsoa21cd, st_area(geometry) / 1e6 as km2 from lsoa_areas order by lsoa21cd"
        ).df()
        area_km2 = size.set_index("lsoa21cd")["km2"]
        table = yearly_table(data)
        of_areas = panel(table, area_km2)
        studies = [run_study(of_areas, year, FIRST_YEAR, PAIR) for year in LABEL_YEARS]
        areas = Outlines.read(connection, of_areas.areas)
    last = studies[-1]
    for said_by in ("split_in_time", "in_sample"):
        drawn = classes_picture(replace(last, pair=("all theft", "violence")), "bivariate", said_by,
                                areas)  # fmt: skip
        save(drawn, f"london-nine-classes-{said_by.replace('_', '-')}")
    figures = figures_of(studies)
    figures.round(4).to_csv(PICTURES / "london-study.csv", index=False)
    save(picture_of(figures), "london-study")
    text = PAGE.read_text(encoding="utf-8").split(MARK)[0] + MARK + "\n\n"
    sections = [checked(data, area_km2), measured(of_areas, figures, last)]
    PAGE.write_text(text + "\n\n".join(sections) + "\n", encoding="utf-8")
    print(PAGE)


def save(figure: Figure, name: str) -> None:
    """Write a picture with a palette."""
    path = PICTURES / f"{name}.png"
    path.write_bytes(png(figure, dpi=110))
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KB")


def yearly_table(data: Path) -> pd.DataFrame:
    """Yearly counts of ten categories by LSOA of 2021, where those of 2011 are the same or merged.

    Left out are the two files of minor categories, which are parts of two others, and EMPTY.
    """
    lookup = pd.read_csv(data / "boundaries" / "lsoa_2011_to_2021.csv.gz")
    same = lookup[lookup["chgind"].isin(["U", "M"])].set_index("lsoa11cd")["lsoa21cd"]
    tables = []
    with tarfile.open(data / "lsoa" / "london_lsoa_year_2011-2021.tar.xz") as archive:
        for member in archive:
            name = Path(member.name).stem.removeprefix("london-2011-2021-")
            file = archive.extractfile(member)
            if file is None or not name.startswith("major-") or name == EMPTY:
                continue
            counts = pd.read_csv(file, index_col="LSOA11CD").filter(regex=r"^\d{4}$")
            counts = counts[counts.index.isin(same.index)].groupby(same).sum()
            long = counts.rename_axis("lsoa21cd").melt(
                ignore_index=False, var_name="year", value_name="crimes"
            )
            tables.append(long.reset_index().assign(crime_type=name.removeprefix("major-")))
    table = pd.concat(tables).astype({"year": int, "crimes": int})
    return table.assign(lines=1)


def figures_of(studies: Sequence[Study]) -> pd.DataFrame:
    """A row a label year, label, method and rows, with accuracy and F1."""
    return pd.DataFrame(
        [
            {
                "year": study.label_year,
                "label": v.label,
                "method": v.method,
                "rows": v.rows,
                "areas": v.areas,
                "accuracy": v.accuracy,
                "weighted_f1": v.weighted_f1,
                "macro_f1": v.macro_f1,
            }
            for study in studies
            for v in study.verdicts
        ]
    )


def picture_of(figures: pd.DataFrame) -> Figure:
    """The accuracy of each method by label year, on the same test areas."""
    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    test = figures[figures["rows"] == "test"]
    for axes, label in zip(figure.subplots(1, len(LABELS)), LABELS, strict=True):
        for method, marker in zip(METHODS, "os^", strict=True):
            rows = test[(test["label"] == label) & (test["method"] == method)]
            axes.plot(
                rows["year"], 100 * rows["accuracy"], marker=marker, markersize=4,
                color=COLOURS[method], label=method,
            )  # fmt: skip
        axes.set_title(NAMES[label], fontsize=10, color=INK)
        axes.set_xticks(list(LABEL_YEARS), [f"{year}" for year in LABEL_YEARS], rotation=45)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", linewidth=0.4, color="#d8d3c8")
    figure.axes[0].set_ylabel("accuracy on the test areas, %", fontsize=8)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def recent_panel(data: Path, area_km2: pd.Series) -> Panel:
    """The recent file as the study's 4,990 areas, and three spans of it as if they were years.

    2024 are its ten whole months of 2024; 1 and 2 are the 24 months after the stub, twelve each.
    """
    (path,) = (data / "lsoa").glob("mps_lsoa_level_crime_*.csv.gz")
    months = read_wide(path).drop(columns="202402")
    size = area_km2[~area_km2.index.isin(CITY_OF_LONDON)]
    spans = [months.iloc[:, :12], months.iloc[:, 12:24], months.filter(regex="^2024")]
    counts = [
        span.sum(axis=1).groupby(["lsoa_code", "minor_category"]).sum().unstack(fill_value=0)
        for span in spans
    ]
    crimes = np.stack([c.reindex(size.index, fill_value=0) for c in counts], axis=1)
    return Panel(
        areas=size.index.to_numpy(dtype=str),
        area_km2=size.to_numpy(),
        years=(1, 2, 2024),
        types=tuple(counts[0].columns),
        crimes=crimes,
        lines=np.ones(crimes[:, 0].shape, dtype=np.int64),
    )


def checked(data: Path, area_km2: pd.Series) -> str:
    """What the recent file says of the study: its test areas by class, and persistence."""
    recent = recent_panel(data, area_km2)
    by_class = [["label", "as printed", "as we draw them", "in proportion"], ["---"] * 4]
    lasting = [["label", "published forest", "persistence", "persistence, all areas"], ["---"] * 4]
    first, second, year = (labels(recent, span) for span in recent.years)
    for label, classes in year.items():
        _, test = random_split(classes, stratified=label in STRATIFIED)
        ours = np.bincount(classes[test], minlength=len(LABELS[label]))
        printed = PUBLISHED[label].confusion.sum(axis=1)
        share = np.bincount(classes) * len(test) / len(classes)
        counted = (", ".join(f"{n:.0f}" for n in counts) for counts in (printed, ours, share))
        by_class.append([NAMES[label], *counted])

        same = first[label] == second[label]
        _, test = random_split(second[label], stratified=label in STRATIFIED)
        figures = (PUBLISHED[label].accuracy, same[test].mean(), same.mean())
        lasting.append([NAMES[label], *(f"{value:.3f}" for value in figures)])
    return "\n\n".join(
        [
            "Test areas by class, the last column as they would be if they were drawn in "
            "proportion:",
            as_table(by_class),
            "## What persistence would have been worth",
            "The recent file holds 24 whole months. The class of the first twelve of them, taken "
            "as a forecast of the last twelve, is right in this share of the areas:",
            as_table(lasting),
            "These are not the study's years: the published forests foretold 2024. But the areas "
            "are the same, and the types nearly so.",
        ]
    )


def as_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def measured(of_areas: Panel, figures: pd.DataFrame, last: Study) -> str:
    """What the random split was worth: the means over the label years, and the last of them."""
    mean = figures.groupby(["label", "method", "rows"])["accuracy"].mean() * 100
    test = (
        figures[figures["rows"] == "test"]
        .set_index(["label", "method", "year"])["accuracy"]
        .sort_index()
    )
    lines = [
        ["label", *METHODS, "the split is worth", "the forest is worth", "on all areas"],
        ["---"] * (len(METHODS) + 4),
    ]
    for label in LABELS:
        means = [mean[label, method, "test"] for method in METHODS]
        everywhere = mean[label, TIME, "all"] - mean[label, PERSISTENCE, "all"]
        wins = [
            int((test[label, one] > test[label, other]).sum())
            for one, other in ((RANDOM, TIME), (TIME, PERSISTENCE))
        ]
        years = len(LABEL_YEARS)
        lines.append(
            [
                NAMES[label],
                *(f"{value:.1f}" for value in means),
                f"{signed(means[0] - means[1])} (better in {wins[0]} of {years} years)",
                f"{signed(means[1] - means[2])} (better in {wins[1]} of {years} years)",
                signed(everywhere),
            ]
        )
    n, _, types = of_areas.crimes.shape
    return "\n\n".join(
        [
            "## What the random split was worth",
            f"The counts of 2011 to 2021 are coarser: {types} categories, and the nine classes are "
            f"of all theft by violence. Of 4,829 areas of 2011, those that were split by 2021 are "
            f"left out, and merged ones added up: {n:,} remain. For the label years "
            f"{LABEL_YEARS[0]} to {LABEL_YEARS[-1]}, mean accuracy in %, on the same test areas:",
            as_table(lines),
            "*The split is worth*: random split − split in time. *The forest is worth*: split in "
            "time − persistence; the last column is that on all areas. By chance alone, an "
            f"accuracy on {last.verdict('tier', TIME).areas} areas varies by 0.7 points (hotspot) "
            "to 1.5 points (nine classes).",
            "![Accuracy by label year from 2015 to 2021 for hotspots, tiers and nine classes: the "
            "random split, the split in time and persistence lie within a few points of each "
            "other](../pictures/london-study.png)",
            f"The last label year, {last.label_year}, in full; its years before are "
            f"{last.label_year - 3} to {last.label_year - 1}:",
            comparison(last, auc=False),
            f"In-sample a forest looks better still. Of the nine classes of {last.label_year} it "
            f"has {right(last, 'in_sample'):.0f} % right on the rows that it was fitted on, and "
            f"{right(last, 'split_in_time'):.0f} % when it was fitted on the year before. The "
            "study's map of tiers is of the first kind; its map of the nine classes is that for "
            "four fifths of the areas.",
            "![Map of London, nine classes of 2021 in-sample, which is what they "
            "were](../pictures/london-nine-classes-in-sample.png)",
            "![Map of London, nine classes of 2021 foretold from the years "
            "before](../pictures/london-nine-classes-split-in-time.png)",
        ]
    )


def signed(points: float) -> str:
    """Percentage points with their sign; what rounds to nought has none."""
    return f"{points:+.1f}" if abs(points) >= 0.05 else "0.0"


def right(study: Study, column: str) -> float:
    """The share of areas in % whose nine classes a column has right."""
    rows = study.predictions[study.predictions["label"] == "bivariate"]
    return float(100 * (rows[column] == rows["observed"]).mean())


if __name__ == "__main__":
    main()
