"""Measure the baselines on real data and write the page of the leaderboard; `make leaderboards`.

    python docs/make_leaderboards.py --data DATA --work WORK

DATA is a folder with the archives (``police_uk/archive``), the points, the counts by LSOA and the
boundaries that ``docs/experiments/*.yaml`` name. The lake of the City of London and Gwent is made
in WORK by the project's own jobs, and found again there. Each experiment's tables, report and
manifest lie in WORK; what the page quotes is written beside the pictures as CSV.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pandas as pd

from crime_assets.definitions import build_definitions
from crime_assets.forecasting.experiment import Experiment, Results, run, write
from crime_assets.forecasting.forecasters import NAIVE_RULE
from crime_assets.forecasting.leaderboard import difference, figure, label, verdict_sentence
from crime_assets.forecasting.report import leaderboard_picture
from crime_assets.hexes import pictures
from crime_assets.lake import Lake
from crime_assets.partitions import key_of
from crime_assets.register import ALL_CRIME
from crime_assets.settings import Settings

DOCS = Path(__file__).parent
EXPERIMENTS = ("city-of-london", "gwent", "sheffield", "england-and-wales-lsoas")
LAST = "2025-12"
FIRST = {"city-of-london": "2017-12", "gwent": "2022-01"}
"""The forces of the lake, each with the first of its months in a row."""

HORIZONS = {1: "The next month", 3: "The next 3 months", 12: "The next 12 months"}
ROUNDED = 4


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the experiments and write what the page shows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of real data")
    parser.add_argument("--work", type=Path, help="where lake and results are made")
    parser.add_argument("names", nargs="*", default=EXPERIMENTS, help="some of the experiments")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="leaderboards-") as temporary:
        work = (options.work or Path(temporary)).absolute()
        settings = made_lake(work, options.data.absolute(), list(FIRST))
        for name in options.names:
            experiment = Experiment.read(DOCS / "experiments" / f"{name}.yaml")
            started = time.monotonic()
            counts, versions = experiment.load(settings, options.data)
            results = run(
                experiment, counts, versions, scope=name, workers=settings.threads, advance=say
            )
            write(results, experiment, work / name)
            keep(name, experiment, results)
            print(f"\n{name}: {time.monotonic() - started:.0f} s")
    write_page()


def say(cut_off: str) -> None:
    """Progress, on one line."""
    print(f" {cut_off}", end="", flush=True)


def made_lake(work: Path, data: Path, forces: Sequence[str]) -> Settings:
    """The lake of the forces below ``work``, with the counts of all their months."""

    def settings(expected: Sequence[str]) -> Settings:
        return Settings.from_environment(
            os.environ
            | {
                "CRIME_DATA_DIR": str(work / "lake-of-forces"),
                "CRIME_ARCHIVE_URL": str(data / "police_uk" / "archive"),
                "CRIME_LSOA_BOUNDARIES": str(data / "boundaries" / "lsoa_2021.parquet"),
                "CRIME_FORCE_BOUNDARIES": str(
                    data / "boundaries" / "police_force_areas_2023.parquet"
                ),
                "CRIME_FORCES": ",".join(expected),
            }
        )

    everyone = settings(forces)
    lake = Lake(everyone.data_dir / "lake")
    if not lake.has("hex_counts", {"month": LAST}):
        execute(everyone, "study_area")
        for force in forces:
            span = [key_of({"month": m, "force": force}) or "" for m in (FIRST[force], LAST)]
            execute(everyone, "ingest", *span)
        starts = sorted(set(FIRST.values()))
        for first, after in zip(starts, [*starts[1:], None], strict=True):
            last = LAST if after is None else previous(after)
            expected = [force for force in forces if FIRST[force] <= first]
            execute(settings(expected), "rank_hotspots", first, last)
    return everyone


def previous(month: str) -> str:
    """The month before."""
    return str(pd.Period(month, "M") - 1)


def execute(settings: Settings, job: str, *span: str) -> None:
    """Run a job over a range of partitions, on an instance that is gone afterwards."""
    tags = {}
    if span:
        tags["dagster/asset_partition_range_start"] = span[0]
        tags["dagster/asset_partition_range_end"] = span[-1]
    print(f"{job} {' .. '.join(span)}")
    with dg.DagsterInstance.local_temp() as instance:
        build_definitions(settings).resolve_job_def(job).execute_in_process(
            instance=instance,
            tags=tags,
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )


def keep(name: str, experiment: Experiment, results: Results) -> None:
    """What the page shows of one experiment: its headline rows as CSV, and a picture."""
    metric, coverage = experiment.headline
    rows = results.leaderboard
    rows = rows[(rows["metric"] == metric) & ((rows["coverage"] - coverage).abs() < 1e-9)]
    floats = rows.select_dtypes("float").columns
    rows = rows.assign(**{column: rows[column].round(ROUNDED) for column in floats})
    rows.to_csv(DOCS / "pictures" / f"leaderboard-{name}.csv", index=False)
    first = rows[(rows["crime_type"] == ALL_CRIME) & (rows["horizon_steps"] == 1)]
    picture = DOCS / "pictures" / f"leaderboard-{name}.png"
    picture.write_bytes(pictures.png(leaderboard_picture(first), dpi=110, colours=64))


def write_page() -> None:
    """``explanation/leaderboard.md``, from what :func:`keep` has kept."""
    page = DOCS / "explanation" / "leaderboard.md"
    text = page.read_text(encoding="utf-8").split(MARK)[0] + MARK + "\n"
    for name in EXPERIMENTS:
        experiment = Experiment.read(DOCS / "experiments" / f"{name}.yaml")
        path = DOCS / "pictures" / f"leaderboard-{name}.csv"
        if path.exists():
            text += "\n" + section(name, experiment, pd.read_csv(path))
    page.write_text(text, encoding="utf-8")
    print(page)


MARK = "<!-- what follows is written by docs/make_leaderboards.py -->"


def section(name: str, experiment: Experiment, rows: pd.DataFrame) -> str:
    """One experiment: sentences, a table of all crime, a picture, the winners by crime type."""
    metric, coverage = experiment.headline
    models = rows["model"].nunique()
    text = [
        f"## {experiment.title}",
        f"{models} forecasters, {metric.replace('_', ' ')} in {100 * coverage:g} % of the area.",
    ]
    for horizon, words in HORIZONS.items():
        group = rows[(rows["crime_type"] == ALL_CRIME) & (rows["horizon_steps"] == horizon)]
        if len(group):
            text.append(f"**{words}.** {verdict_sentence(group)}")
    text.append(table(rows[rows["crime_type"] == ALL_CRIME], metric))
    text.append(
        f"![{experiment.title}: each forecaster's mean and 95 % interval for all crime of the next "
        "month, and its difference to the best other baseline; the table above has the numbers."
        f"](../pictures/leaderboard-{name}.png)"
    )
    text.append(winners(rows, metric))
    return "\n\n".join(text) + "\n"


def table(rows: pd.DataFrame, metric: str) -> str:
    """Models down, horizons across."""
    horizons = sorted(rows["horizon_steps"].unique())
    first = rows[rows["horizon_steps"] == horizons[0]]
    order = first.sort_values(["rank", "value"], ascending=[True, False])["model"]
    head = ["all crime", *(HORIZONS[h].lower().removeprefix("the ") for h in horizons)]
    lines = [head, ["---", *["---:"] * len(horizons)]]
    for model in order:
        cells = [label(model)]
        for horizon in horizons:
            found = rows[(rows["model"] == model) & (rows["horizon_steps"] == horizon)]
            cells.append(cell(found.iloc[0], metric) if len(found) else "")
        lines.append(cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(row: pd.Series, metric: str) -> str:
    """A value and its interval, if it has one."""
    value = figure(metric, row["value"])
    if pd.isna(row["low"]):
        return value
    low, high = (figure(metric, row[bound]).removesuffix(" %") for bound in ("low", "high"))
    return f"{value} ({low} to {high})"


def winners(rows: pd.DataFrame, metric: str) -> str:
    """The best model of each crime type for the next month, and how far it leads the naive rule."""
    next_month = rows[rows["horizon_steps"] == 1]
    naive = next_month[next_month["model"] == NAIVE_RULE].set_index("crime_type")["value"]
    first = next_month[next_month["rank"] == 1]
    head = ["crime type, next month", "best", "value", label(NAIVE_RULE), "ahead by", "real?"]
    lines = [head, ["---", "---", "---:", "---:", "---:", "---"]]
    words = {"better": "yes", "no difference": "may be chance", "too few cut-offs": "too few"}
    for row in first.drop_duplicates("crime_type").to_dict("records"):
        ahead = row["naive_difference"]
        lines.append(
            [
                row["crime_type"],
                label(row["model"]),
                figure(metric, row["value"]),
                figure(metric, naive[row["crime_type"]]),
                difference(metric, ahead) if pd.notna(ahead) else "",
                words.get(str(row["naive_verdict"]), ""),
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
