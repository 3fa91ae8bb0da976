"""Measure GLDNet and the baselines on real streets and write the page of it.

    python docs/make_streets.py --data DATA --work WORK

DATA is a folder with the archives (``police_uk/archive``), the boundaries, the streets and the
incidents that ``docs/experiments/*.yaml`` name. The lake of the City of London and Cambridgeshire
is made in WORK by the project's own jobs, and found again there, as are trials and trainings. What
the page quotes is written beside the pictures as CSV.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from make_leaderboards import cell, execute, say

from crime_assets.forecasting.counts import Counts
from crime_assets.forecasting.experiment import Experiment, Results, run, write
from crime_assets.forecasting.leaderboard import figure, label, verdict_sentence
from crime_assets.forecasting.report import leaderboard_picture
from crime_assets.forecasting.trained import Asked, train
from crime_assets.gldnet.pictures import trials_picture
from crime_assets.hexes import pictures
from crime_assets.lake import Lake
from crime_assets.models.gldnet_parameters import USUAL, GldnetParameters
from crime_assets.partitions import key_of, months_after, months_back
from crime_assets.settings import Settings

DOCS = Path(__file__).parent
PAGE = DOCS / "explanation" / "streets.md"
MARK = "<!-- what follows is written by docs/make_streets.py -->"
LAST = "2025-12"
FIRST = {"city-of-london": "2017-12", "cambridgeshire": "2024-01"}
STREETS = {
    "city-of-london": "city_of_london_osm_ways_2024.gpkg",
    "cambridgeshire": "cambridge_osmnx_edges_2025.gpkg",
}
PLACES = {
    "city-of-london-streets": "The City of London",
    "cambridge-streets": "Cambridge",
    "baltimore-arrests": "Baltimore",
}
COVERAGES = {0.1: "10 % of length", 0.2: "20 % of length"}
USUAL_SETTINGS = USUAL.to_dict()
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "the settings of the source": {},
    "the usual settings": USUAL_SETTINGS,
    "the usual, weighted loss": {**USUAL_SETTINGS, "loss": "weighted"},
    "the usual, no diffusion": {**USUAL_SETTINGS, "diffusion_layers": 0},
}
"""What was tried by hand beside the search."""

RATES = {
    "hit_rate_length_10": "10 % of length",
    "hit_rate_length_20": "20 % of length",
    "hit_rate_segments_20": "20 % of segments",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the experiments and write what the page shows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of real data")
    parser.add_argument("--work", type=Path, help="where lake and results are made")
    parser.add_argument("names", nargs="*", default=list(PLACES), help="some of the experiments")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="streets-") as temporary:
        work = (options.work or Path(temporary)).absolute()
        settings = made_lake(work, options.data.absolute())
        for name in options.names:
            measure(name, settings, options.data, work)
    write_page()


def made_lake(work: Path, data: Path) -> Settings:
    """The lake of both forces below ``work``: their streets, and all their months on them."""
    (work / "streets").mkdir(parents=True, exist_ok=True)
    for force, file in STREETS.items():
        link = work / "streets" / f"{force}.gpkg"
        if not link.exists():
            link.symlink_to(data / "streets" / file)

    def settings(*expected: str) -> Settings:
        return Settings.from_environment(
            os.environ
            | {
                "CRIME_DATA_DIR": str(work / "lake-of-streets"),
                "CRIME_ARCHIVE_URL": str(data / "police_uk" / "archive"),
                "CRIME_LSOA_BOUNDARIES": str(data / "boundaries" / "lsoa_2021.parquet"),
                "CRIME_FORCE_BOUNDARIES": str(
                    data / "boundaries" / "police_force_areas_2023.parquet"
                ),
                "CRIME_STREETS": str(work / "streets" / "{force}.gpkg"),
                "CRIME_FORCES": ",".join(expected),
            }
        )

    both = settings(*FIRST)
    if Lake(both.data_dir / "lake").has("segment_counts", {"month": LAST}):
        return both
    execute(both, "study_area")
    for force, first in FIRST.items():
        execute(both, "ingest", *(key_of({"month": m, "force": force}) for m in (first, LAST)))
        execute(both, "lay_streets", force)
    before = months_back(FIRST["cambridgeshire"], 2)[0]
    for expected, first, last in (
        (["city-of-london"], FIRST["city-of-london"], before),
        ([*FIRST], months_after(before, 1)[0], LAST),
    ):
        execute(settings(*expected), "rank_hotspots", first, last)
        execute(settings(*expected), "count_segments", first, last)
    return both


def measure(name: str, settings: Settings, data: Path, work: Path) -> None:
    """One experiment: trained, judged, its figures kept."""
    experiment = Experiment.read(DOCS / "experiments" / f"{name}.yaml")
    started = time.monotonic()
    counts, versions = experiment.load(settings, data)
    folder = work / name
    trained = experiment.train(counts, folder / "gldnet")
    assert trained is not None
    searched = time.monotonic()
    print(f"{name}: searched and trained in {searched - started:.0f} s")
    results = run(
        experiment, counts, versions, scope=name, workers=settings.threads, advance=say,
        gldnet=trained,
    )  # fmt: skip
    write(results, experiment, folder)
    alike = replace(experiment, coverage_of="units", forecasters=BY_NUMBER)
    by_number = run(
        alike, counts, versions, scope=name, workers=settings.threads, advance=say,
        gldnet=alike.train(counts, folder / "gldnet"),
    )  # fmt: skip
    about = {
        "segments": len(counts.units),
        "edges": int(counts.units.neighbours.nnz // 2),
        "length_km": float(counts.units.size.sum() / 1000),
        "steps": [counts.steps[0], counts.steps[-1], len(counts.steps)],
        "cut_offs": results.manifest["cut_offs"],
        "crimes": {t: int(counts.crimes[t].sum()) for t in experiment.crime_types},
        "gldnet": trained[1],
        "variants": variants(experiment, counts, folder),
        "left_out": left_out(results),
        "searched_seconds": round(searched - started),
        "judged_seconds": round(time.monotonic() - searched),
    }
    keep(name, results, by_number, about)
    print(f"\n{name}: {time.monotonic() - started:.0f} s")


BY_NUMBER = (
    "last_month", "rolling_mean_12", "exponential_mean", "random_forest", "chance",
    "perfect_foresight", "gldnet",
)  # fmt: skip
"""Those that are compared by the number of segments, as the source does."""


def variants(experiment: Experiment, counts: Counts, folder: Path) -> dict[str, Any]:
    """Hit rates of networks with settings that were set by hand: by target and variant."""
    found: dict[str, Any] = {}
    asked = Asked.of(experiment.gldnet)
    for title, parameters in VARIANTS.items():
        one = replace(asked, parameters={**parameters, **asked.parameters}, trials=0)
        _, of_target = train(one, counts, [], folder / "variants" / title.replace(" ", "-"))
        for target, of in of_target.items():
            found.setdefault(target, {})[title] = of["metrics"]
    return found


def left_out(results: Results) -> dict[str, str]:
    """The forecasters that could not be asked at some cut-off, and why."""
    return {
        model: reason
        for reasons in results.manifest["left_out"].values()
        for model, reason in reasons.items()
    }


def keep(name: str, results: Results, by_number: Results, about: Mapping[str, Any]) -> None:
    """What the page shows of one experiment."""
    rows = pd.concat([results.leaderboard, by_number.leaderboard])
    rows = rows[(rows["metric"] == "hit_rate") & rows["coverage"].round(3).isin(COVERAGES)]
    floats = rows.select_dtypes("float").columns
    rows = rows.assign(**{column: rows[column].round(4) for column in floats})
    rows.to_csv(DOCS / "pictures" / f"{name}.csv", index=False)
    text = json.dumps(about, indent=1, default=float) + "\n"
    (DOCS / "pictures" / f"{name}.json").write_text(text, encoding="utf-8")
    types = list(about["gldnet"])
    length = rows[(rows["unit"] == "segment") & (rows["coverage"].round(3) == 0.1)]
    first = length[length["crime_type"] == types[0]]
    save(leaderboard_picture(first), f"{name}-leaderboard")
    tried = {
        target: [(i, trial["value"]) for i, trial in enumerate(of["trials"])]
        for target, of in about["gldnet"].items()
    }
    save(trials_picture(tried), f"{name}-trials")


def save(drawn: Any, name: str) -> None:
    """A picture of the page."""
    (DOCS / "pictures" / f"{name}.png").write_bytes(pictures.png(drawn, dpi=110, colours=64))


# --- The page -------------------------------------------------------------------------------


def write_page() -> None:
    """What follows the mark, from what :func:`keep` has kept."""
    text = PAGE.read_text(encoding="utf-8").split(MARK)[0] + MARK + "\n"
    for name, place in PLACES.items():
        path = DOCS / "pictures" / f"{name}.csv"
        if path.exists():
            about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            text += "\n" + "\n\n".join(section(name, place, pd.read_csv(path), about)) + "\n"
    PAGE.write_text(text, encoding="utf-8")
    print(PAGE)


def section(name: str, place: str, rows: pd.DataFrame, about: Mapping[str, Any]) -> Iterable[str]:
    """One place: what it is, the tables, the search, what was tried."""
    yield f"## {place}"
    first, last, steps = about["steps"]
    cut_first, cut_last, cut_offs = about["cut_offs"]
    step = "months" if len(first) == 7 else "days"
    crimes = "; ".join(f"{n:,} of {t}" for t, n in about["crimes"].items())
    yield (
        f"{about['segments']:,} segments, {about['length_km']:,.0f} km, {about['edges']:,} pairs "
        f"that meet. {steps:,} {step}, {first} to {last}, with {crimes} on them. Judged on the "
        f"step after each of {cut_offs:,} cut-offs, {cut_first} to {cut_last}."
    )
    for target, of in about["gldnet"].items():
        group = rows[(rows["crime_type"] == target) & (rows["unit"] == "segment")]
        tenth = group[group["coverage"].round(3) == 0.1]
        yield f"### {place}: {target}"
        yield verdict(tenth) + " " + verdict_sentence(tenth)
        yield table(group)
        yield tried(target, of, about)
    yield (
        f"![{place}: each forecaster's mean and 95 % interval for {next(iter(about['gldnet']))} "
        "on a tenth of the street length, and its difference to the best other baseline; the table "
        f"above has the numbers.](../pictures/{name}-leaderboard.png)"
    )
    yield (
        f"![{place}: the validation hit rate of each trial of the search, and the best until then."
        f"](../pictures/{name}-trials.png)"
    )
    number = rows[(rows["unit"] == "equal-segment") & (rows["coverage"].round(3) == 0.2)]
    if len(number):
        yield "By the number of segments, a fifth of them, as the source counts:"
        yield by_number(number)
    if about["left_out"]:
        yield "Could not be asked: " + "; ".join(
            f"{label(m)} ({why})" for m, why in about["left_out"].items()
        ) + "."  # fmt: skip


def verdict(rows: pd.DataFrame) -> str:
    """Whether GLDNet is better than the best baseline, in a sentence."""
    found = rows[rows["model"] == "gldnet"]
    if not len(found):
        return "GLDNet could not be judged."
    row = found.iloc[0]
    words = {
        "better": "captures more than the best baseline",
        "worse": "captures less than the best baseline",
        "no difference": "cannot be told from the best baseline",
    }.get(str(row["verdict"]), "was judged on too few cut-offs")
    interval = (
        f" ({100 * row['difference_low']:+.1f} to {100 * row['difference_high']:+.1f})"
        if pd.notna(row["difference_low"])
        else ""
    )
    return (
        f"**On a tenth of the length GLDNet {words}**, {label(row['against'])}: "
        f"{figure('hit_rate', row['value'])} of the crimes, {100 * row['difference']:+.1f} points"
        f"{interval}."
    )


def table(rows: pd.DataFrame) -> str:
    """Models down, coverages across."""
    order = rows[rows["coverage"].round(3) == 0.1].sort_values("value", ascending=False)["model"]
    lines = [["", *COVERAGES.values()], ["---", *["---:"] * len(COVERAGES)]]
    for model in order:
        of_model = rows[rows["model"] == model]
        cells = [f"**{label(model)}**" if model == "gldnet" else label(model)]
        for coverage in COVERAGES:
            found = of_model[of_model["coverage"].round(3) == coverage]
            cells.append(cell(found.iloc[0], "hit_rate") if len(found) else "")
        lines.append(cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def by_number(rows: pd.DataFrame) -> str:
    """Models down, crime types across."""
    types = list(dict.fromkeys(rows["crime_type"]))
    first = rows[rows["crime_type"] == types[0]]
    lines = [["", *types], ["---", *["---:"] * len(types)]]
    for model in first.sort_values("value", ascending=False)["model"]:
        found = [rows[(rows["model"] == model) & (rows["crime_type"] == t)] for t in types]
        cells = [cell(f.iloc[0], "hit_rate") if len(f) else "" for f in found]
        lines.append([f"**{label(model)}**" if model == "gldnet" else label(model), *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tried(target: str, of: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """The settings that the search chose, and what others gave."""
    usual = GldnetParameters().to_dict()
    changed = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in of["parameters"].items()
        if value != usual[name]
    )
    failed = sum(trial["value"] is None for trial in of["trials"])
    lines = [
        [
            "tried",
            *(f"validation, {t}" for t in RATES.values()),
            *(f"test, {t}" for t in RATES.values()),
        ],
        ["---", *["---:"] * (2 * len(RATES))],
        [f"the best of {len(of['trials'])} trials", *rates(of["metrics"])],
        *([title, *rates(m)] for title, m in about["variants"].get(target, {}).items()),
    ]
    return (
        f"The search chose: {changed or 'the settings of the source'}"
        + (f" ({failed} trials failed)" if failed else "")
        + ". One network each, seed 1, the mean over the steps that have crimes:\n\n"
        + "\n".join("| " + " | ".join(line) + " |" for line in lines)
    )


def rates(metrics: Mapping[str, Any] | None) -> list[str]:
    """Hit rates of validation and test, in percent."""
    return [
        "" if metrics is None or (value := metrics[part][name]) is None else f"{100 * value:.1f} %"
        for part in ("validation", "test")
        for name in RATES
    ]


if __name__ == "__main__":
    main()
