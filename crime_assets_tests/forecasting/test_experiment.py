"""Experiments as data: what a configuration may say, and that a run can be made again."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import crime_assets
from crime_assets import DataError
from crime_assets.forecasting import experiment as experiments
from crime_assets.forecasting.backtest import Ask
from crime_assets.forecasting.cells import hex_units
from crime_assets.forecasting.counts import Counts, Units
from crime_assets.forecasting.experiment import (
    Experiment,
    ExperimentError,
    Results,
    code_hash,
    main,
    run,
    write,
)
from crime_assets.forecasting.forecasters import FORECASTERS
from crime_assets.forecasting.forecasters.gldnet import Gldnet
from crime_assets.forecasting.metrics import RESAMPLINGS, jaccard
from crime_assets.lsoa.neighbours import link
from crime_assets.partitions import months_after
from crime_assets.register import ALL_CRIME
from crime_assets.settings import Settings
from crime_assets.tables import EVALUATIONS, LEADERBOARD
from crime_assets_tests.forecasting.test_inputs import boundaries, square_lsoas

DOCUMENTED = sorted((Path(__file__).parents[2] / "docs" / "experiments").glob("*.yaml"))

CELLS = np.array([500 * 1886 + 600 + 1886 * i + j for i in range(8) for j in range(8)])
"""A block of eight columns and eight rows of the even lattice."""


def small_counts(months: int, seed: int = 3) -> Counts:
    """Drugs and burglaries in 64 cells from 2023-01 on; a few cells are hot and stay so."""
    generator = np.random.default_rng(seed)
    heat = generator.gamma(0.3, 2.0, len(CELLS))
    steps = months_after("2022-12", months)
    rows: dict[str, tuple[Any, Any, Any]] = {}
    for crime_type, share in (("Burglary", 0.5), ("Drugs", 1.0)):
        crimes = generator.poisson(share * heat[:, None], (len(CELLS), months))
        unit, at = np.nonzero(crimes)
        rows[crime_type] = (unit, at, crimes[unit, at])
    rows[ALL_CRIME] = tuple(  # type: ignore[assignment]
        np.concatenate([rows[t][i] for t in ("Burglary", "Drugs")]) for i in range(3)
    )
    return Counts.of(hex_units(CELLS), steps, rows)


# --- Configurations -------------------------------------------------------------------------


def read(folder: Path, text: str) -> Experiment:
    path = folder / "town.yaml"
    path.write_text(text, encoding="utf-8")
    return Experiment.read(path)


def test_all_forecasters_types_and_cut_offs_are_meant_where_none_is_named(tmp_path: Path) -> None:
    found = read(tmp_path, "title: A town\ncounts: {lake: kent, last_month: 2025-12}\n")
    assert found == Experiment("A town", {"lake": "kent", "last_month": "2025-12"})
    assert found.models == tuple(model for model in FORECASTERS if model != "gldnet")
    assert found.ask == Ask(
        horizons=(1, 3, 12), least_months=24, most_months=36, resamplings=RESAMPLINGS, seed=1
    )
    assert found.headline == ("hit_rate", 0.05)


def test_what_is_asked_stands_beside_what_is_compared(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
        title: A town
        counts: {points: town.csv, areas: "Town %"}
        forecasters: [last_month, chance]
        crime_types: [Drugs]
        first_cut_off: 2024-01
        last_cut_off: 2024-06
        headline: [pai, 0.01]
        horizons: [1, 6]
        least_months: 12
        most_months: 18
        resamplings: 10
        seed: 7
        """,
    )
    assert found.models == ("last_month", "chance")
    assert (found.first_cut_off, found.last_cut_off) == ("2024-01", "2024-06")
    assert found.headline == ("pai", 0.01)
    assert found.ask == Ask((1, 6), 12, 18, 10, 7)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title: x\ncounts: {}\nhorizont: [1]", r"town\.yaml: horizont unknown; there are .*hor"),
        ("title: x", r"town\.yaml: counts missing"),
        ("least_months: 3", r"town\.yaml: counts, title missing"),
        (
            "title: x\ncounts: {}\nforecasters: [oracle]",
            r"no forecaster oracle; there are last_month",
        ),
        ("title: [x", r"town\.yaml cannot be read: .*line"),
        ("- title\n- counts", r"town\.yaml holds no settings"),
        ("", r"town\.yaml holds no settings"),
    ],
)
def test_a_configuration_that_is_none_is_refused_with_what_may_stand_there(
    text: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ExperimentError, match=f"(?s){words}"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("forecasters: last_month", "forecasters"),
        ("crime_types: Drugs", "crime_types"),
        ("horizons: 3", "horizons"),
        ("horizons: [0]", "horizons"),
        ("horizons: [one]", "horizons"),
        ("least_months: many", "least_months"),
        ("headline: hit_rate", "headline"),
        ("counts: kent", "counts"),
        ("first_cut_off: 2024", "first_cut_off"),
        ("last_share: 20", "last_share"),
        ("every: 0", "every"),
        ("coverage_of: area", "coverage_of"),
        ("gldnet: true", "gldnet"),
        ("gldnet: {trials: 3}", "gldnet: targets missing"),
        ("gldnet: {targets: Drugs}", "gldnet: targets is 'Drugs'"),
        ("gldnet: {targets: [1]}", r"gldnet: targets is \[1\]; it must be a list of names"),
        ("gldnet: {targets: [Drugs], features: }", "gldnet: features is None"),
        ("gldnet: {targets: [Drugs], trials: true}", "gldnet: trials is True"),
        ("gldnet: {targets: [Drugs], seed: one}", "gldnet: seed is 'one'"),
        ("gldnet: {targets: [Drugs], objective: [loss]}", "gldnet: objective is"),
        ("gldnet: {targets: [Drugs], parameters: }", "gldnet: parameters are None"),
        ("gldnet: {targets: [Drugs], parameters: {rho: 1e-3}}", "gldnet: rho is '1e-3'; .*YAML"),
        ("gldnet: {targets: [Drugs], trails: 3}", "gldnet: trails unknown; there are targets"),
        ("gldnet: {targets: [Drugs], trials: -1}", "gldnet: trials is -1"),
        ("gldnet: {targets: [Drugs], objective: loss}", "gldnet: objective is 'loss'"),
        ("gldnet: {targets: [Drugs], parameters: {rho: 2}}", "gldnet: rho is 2"),
        ("forecasters: [gldnet]", "say in `gldnet` what is to be trained"),
    ],
)
def test_a_value_of_another_kind_is_refused(line: str, words: str, tmp_path: Path) -> None:
    content = {"title": "A town", "counts": {"lake": "kent", "last_month": "2025-12"}}
    content |= yaml.safe_load(line)
    with pytest.raises(ExperimentError, match=rf"town\.yaml: {words}"):
        read(tmp_path, yaml.safe_dump(content))


def test_every_setting_is_checked() -> None:
    settings = {f.name for f in (*fields(Experiment), *fields(Ask))} - {"ask"}
    assert set(experiments._KINDS) == settings


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"none\.yaml cannot be read"):
        Experiment.read(tmp_path / "none.yaml")


def test_counts_of_nothing_known_are_refused(tmp_path: Path) -> None:
    asked = Experiment("A town", {"segments": "roads.gpkg"})
    with pytest.raises(ExperimentError, match=r"of lake, points, areas, .*streets, not .*segments"):
        asked.load(Settings.from_environment({"CRIME_DATA_DIR": str(tmp_path)}), tmp_path)


@pytest.mark.parametrize(
    "counts",
    [
        {"lake": "kent"},
        {"points": "town.csv"},
        {"streets": "kent"},
        {"incidents": "arrests.csv", "streets": "roads.gpkg"},
    ],
)
def test_counts_that_are_not_wholly_described_are_refused(
    counts: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(ExperimentError, match="missing"):
        Experiment("A town", counts).load(
            Settings.from_environment({"CRIME_DATA_DIR": str(tmp_path)}), tmp_path
        )


@pytest.mark.parametrize("path", DOCUMENTED, ids=lambda path: path.stem)
def test_the_experiments_of_the_documentation_can_be_read(path: Path) -> None:
    assert Experiment.read(path).title


# --- Cut-offs -------------------------------------------------------------------------------


def cut_offs(months: int, **options: Any) -> list[str]:
    ask = Ask(**{k: options.pop(k) for k in ("horizons", "least_months") if k in options})
    return Experiment("A town", {}, ask=ask, **options).cut_offs(small_counts(months))


def test_a_cut_off_has_enough_months_up_to_it_and_one_after_it() -> None:
    # 2023-01 to 2025-02: 24 months end with 2024-12, and 2025-02 has nothing to be judged by
    assert cut_offs(26) == ["2024-12", "2025-01"]
    assert cut_offs(25) == ["2024-12"]


def test_the_shortest_horizon_decides_which_cut_off_is_the_last() -> None:
    assert cut_offs(30, horizons=(3, 12)) == ["2024-12", "2025-01", "2025-02", "2025-03"]


def test_cut_offs_lie_between_those_that_are_named() -> None:
    assert cut_offs(26, least_months=12)[0] == "2023-12"
    named = {"first_cut_off": "2024-03", "last_cut_off": "2024-05"}
    assert cut_offs(26, least_months=12, **named) == ["2024-03", "2024-04", "2024-05"]


def test_the_last_share_of_the_steps_are_forecast_from_the_cut_offs_before_them() -> None:
    # of 30 months the last fifth are 2025-01 to 2025-06
    assert cut_offs(30, least_months=6, last_share=0.2) == months_after("2024-11", 6)
    assert cut_offs(31, least_months=6, last_share=0.2)[0] == "2025-01"  # 24.8 months before them
    assert cut_offs(30, least_months=28, last_share=0.2) == ["2025-04", "2025-05"]


def test_each_so_many_th_cut_off_is_taken_from_the_first_on() -> None:
    assert cut_offs(30, least_months=6, every=12) == ["2023-06", "2024-06"]
    assert cut_offs(30, least_months=6, last_share=0.2, every=4) == ["2024-12", "2025-04"]


def test_cut_offs_that_are_days_lie_within_the_months_that_are_named() -> None:
    units = hex_units(CELLS[:4])
    days = [str(day) for day in np.arange("2024-01-01", "2024-04-01", dtype="datetime64[D]")]
    counts = Counts.of(units, days, {ALL_CRIME: ([0], [0], [1])}, "day")

    def found(**named: str) -> list[str]:
        ask = Ask((1,), least_months=1)
        return Experiment("A town", {}, ask=ask, **named).cut_offs(counts)  # type: ignore[arg-type]

    assert (found()[0], found()[-1]) == ("2024-01-30", "2024-03-30")
    named = found(first_cut_off="2024-02", last_cut_off="2024-02")
    assert (named[0], named[-1], len(named)) == ("2024-02-01", "2024-02-29", 29)
    assert found(last_cut_off="2024-02-01")[-1] == "2024-02-01"


@pytest.mark.parametrize("months", [1, 12, 24])
def test_too_few_months_for_a_cut_off_are_refused(months: int) -> None:
    with pytest.raises(
        ExperimentError, match=rf"there are {months} months, 20.* 24 months of history"
    ):
        cut_offs(months)


# --- Runs -----------------------------------------------------------------------------------

MODELS = ("last_month", "rolling_mean_12", "exponential_mean", "chance", "perfect_foresight")

ASKED = Experiment(
    "A small town",
    {"points": "town.csv", "areas": "Town %"},
    forecasters=MODELS,
    ask=Ask(horizons=(1, 3), least_months=10, resamplings=20),
)
"""At its first two cut-offs, of 10 and 11 months, the mean of 12 cannot be asked."""


@pytest.fixture(scope="module")
def counts() -> Counts:
    return small_counts(months=20)


@pytest.fixture(scope="module")
def results(counts: Counts) -> Results:
    return run(ASKED, counts, {"town.csv": "ce"}, scope="town")


def test_evaluations_have_the_columns_of_the_table(results: Results) -> None:
    columns = {*(c.name for c in EVALUATIONS.columns), *EVALUATIONS.partitions}
    assert set(results.evaluations.columns) == columns
    assert set(results.evaluations["scope"]) == {"town"}
    assert set(results.evaluations["unit"]) == {"hex"}
    assert set(results.evaluations["crime_type"]) == {"Burglary", "Drugs", ALL_CRIME}


def test_the_leaderboard_has_the_columns_of_the_table(results: Results) -> None:
    assert list(results.leaderboard.columns) == [c.name for c in LEADERBOARD.columns]
    assert set(results.leaderboard["model"]) == set(MODELS)


def test_every_model_is_judged_at_every_cut_off_on_the_horizons_that_are_known(
    results: Results,
) -> None:
    judged = results.evaluations.groupby(["model", "horizon_steps"])["month"].agg(["min", "max"])
    # 2023-01 to 2024-08: ten months end with 2023-10; the last one followed by three is 2024-05
    for model, first in (("last_month", "2023-10"), ("rolling_mean_12", "2023-12")):
        assert tuple(judged.loc[model, 1]) == (first, "2024-07")
        assert tuple(judged.loc[model, 3]) == (first, "2024-05")


def test_a_forecaster_that_cannot_be_asked_is_left_out_and_the_manifest_says_why(
    results: Results,
) -> None:
    assert results.manifest["left_out"] == {
        "2023-10": {"rolling_mean_12": "needs 12 months of history; there are 10"},
        "2023-11": {"rolling_mean_12": "needs 12 months of history; there are 11"},
    }


def test_figures_are_those_that_the_counts_give_by_hand(counts: Counts, results: Results) -> None:
    crimes = counts.crimes["Drugs"].toarray()
    at = counts.steps.index("2024-03")
    past, future = crimes[:, at], crimes[:, at + 1]
    # 5 % of 64 cells are 3.2: whole cells above the fourth score, ties below share what is left
    values, share, left = np.unique(past)[::-1], 0.0, 0.05 * len(CELLS)
    for value in values:
        level = past == value
        fits = min(1.0, left / level.sum())
        share += fits * future[level].sum()
        left -= fits * level.sum()
    found = results.evaluations.query(
        "month == '2024-03' and model == 'last_month' and crime_type == 'Drugs' "
        "and horizon_steps == 1 and metric == 'hit_rate' and coverage == 0.05"
    )
    assert found["value"].tolist() == pytest.approx([share / future.sum()])
    assert found["units"].tolist() == [64]
    assert found["crimes"].tolist() == [future.sum()]


def test_lists_are_compared_from_the_second_cut_off_on(counts: Counts, results: Results) -> None:
    stability = results.evaluations.query("metric == 'jaccard'")
    first = stability.groupby("model")["month"].min().to_dict()
    assert first == {
        "last_month": "2023-11",
        "exponential_mean": "2023-11",
        "chance": "2023-11",
        "rolling_mean_12": "2024-01",  # it was first asked in 2023-12
    }
    # the ten hottest cells of 2024-02 and 2024-03, equal ones in the order of their ids
    crimes = counts.crimes["Drugs"].toarray()
    at = counts.steps.index("2024-03")
    lists = [np.argsort(-crimes[:, m], kind="stable")[:10] for m in (at, at - 1)]
    found = stability.query(
        "month == '2024-03' and model == 'last_month' and crime_type == 'Drugs' "
        "and horizon_steps == 1"
    )
    assert found["value"].tolist() == [jaccard(*lists)]


def test_the_manifest_says_what_a_result_rests_on(counts: Counts, results: Results) -> None:
    manifest = json.loads(json.dumps(results.manifest))
    assert manifest["experiment"]["title"] == "A small town"
    assert manifest["experiment"]["counts"] == {"points": "town.csv", "areas": "Town %"}
    assert manifest["experiment"]["ask"]["horizons"] == [1, 3]
    assert manifest["experiment"]["ask"]["seed"] == 1
    assert manifest["data"] == {"town.csv": "ce"}
    assert manifest["forecasters"] == {m: repr(FORECASTERS[m]) for m in MODELS}
    assert "half_lives=" in manifest["forecasters"]["exponential_mean"]
    assert manifest["units"] == {"kind": "hex", "number": 64}
    assert manifest["steps"] == ["2023-01", "2024-08", 20]
    assert manifest["cut_offs"] == ["2023-10", "2024-07", 10]
    assert manifest["code"] == code_hash()
    assert set(manifest["packages"]) == {"numpy", "scipy", "scikit-learn", "duckdb"}
    assert manifest["packages"]["numpy"] == np.__version__


def test_the_version_of_the_code_changes_with_a_byte_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crime_assets, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(experiments, "sql_folder", lambda: tmp_path / "sql")
    files = [tmp_path / "a.py", tmp_path / "more" / "b.py", tmp_path / "sql" / "room" / "c.sql"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1\n")
    hashes = {code_hash(), code_hash()}
    assert len(hashes) == 1
    for file in files:
        file.write_text("2\n")
        hashes.add(code_hash())
    assert len(hashes) == 4


@pytest.mark.slow
def test_a_run_gives_the_same_again_and_with_more_workers(counts: Counts, results: Results) -> None:
    done: list[str] = []
    again = run(ASKED, counts, {"town.csv": "ce"}, scope="town", workers=2, advance=done.append)
    pd.testing.assert_frame_equal(again.evaluations, results.evaluations, check_exact=True)
    pd.testing.assert_frame_equal(again.leaderboard, results.leaderboard, check_exact=True)
    assert again.manifest == results.manifest
    assert done == sorted(set(results.evaluations["month"]))
    repeated = run(ASKED, counts, {"town.csv": "ce"}, scope="town")
    pd.testing.assert_frame_equal(repeated.evaluations, results.evaluations, check_exact=True)
    pd.testing.assert_frame_equal(repeated.leaderboard, results.leaderboard, check_exact=True)


def test_another_seed_moves_intervals_and_no_value(counts: Counts, results: Results) -> None:
    asked = Experiment(**{**vars(ASKED), "ask": Ask((1, 3), 10, 36, 20, seed=2)})
    other = run(asked, counts, {}, scope="town").evaluations
    pd.testing.assert_series_equal(other["value"], results.evaluations["value"])
    assert not other["low"].equals(results.evaluations["low"])


def test_some_crime_types_are_judged_as_among_all(counts: Counts, results: Results) -> None:
    drugs = Experiment(**{**vars(ASKED), "crime_types": ("Drugs",)})
    alone = run(drugs, counts, {}, scope="town").evaluations
    among = results.evaluations.query("crime_type == 'Drugs'")
    pd.testing.assert_frame_equal(alone, among.reset_index(drop=True))


def test_a_crime_type_that_is_not_there_is_refused(counts: Counts) -> None:
    robbery = Experiment(**{**vars(ASKED), "crime_types": ("Drugs", "Robbery")})
    with pytest.raises(ExperimentError, match="no crimes of Robbery in these counts"):
        run(robbery, counts, {}, scope="town")


def test_models_of_which_none_can_ever_be_asked_are_refused(counts: Counts) -> None:
    asked = Experiment(
        **{**vars(ASKED), "forecasters": ("rolling_mean_12",), "last_cut_off": "2023-11"}
    )
    with pytest.raises(ExperimentError, match="needs 12 months of history; there are 10"):
        run(asked, counts, {}, scope="town")


# --- What is written ------------------------------------------------------------------------


def test_tables_manifest_and_page_are_written(results: Results, tmp_path: Path) -> None:
    page = write(results, ASKED, tmp_path / "new" / "town")
    folder = tmp_path / "new" / "town"
    assert page.is_relative_to(folder)
    assert page.suffix == ".html"
    evaluations = pd.read_parquet(folder / "evaluations.parquet")
    pd.testing.assert_frame_equal(evaluations, results.evaluations, check_dtype=False)
    leaderboard = pd.read_csv(folder / "leaderboard.csv")
    assert len(leaderboard) == len(results.leaderboard)
    assert np.allclose(leaderboard["value"], results.leaderboard["value"])
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest == json.loads(json.dumps(results.manifest))
    text = page.read_text(encoding="utf-8")
    assert text.lstrip().lower().startswith("<!doctype html>")
    for words in ("Last month", "Rolling mean", "Perfect foresight"):
        assert words.lower() in text.lower()


def test_what_is_written_twice_is_the_same(results: Results, tmp_path: Path) -> None:
    pages = [write(results, ASKED, tmp_path / name) for name in ("one", "two")]
    for name in ("leaderboard.csv", "manifest.json", "evaluations.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert pages[0].read_bytes() == pages[1].read_bytes()


# --- The command ----------------------------------------------------------------------------

SMALL_RUN = """
title: Nine squares of town
counts:
  points: crimes.csv
  areas: "Town %"
  columns: {crime_type: category}
forecasters: [last_month, rolling_mean_3, chance, perfect_foresight]
horizons: [1]
least_months: 6
resamplings: 10
headline: [hit_rate, 0.2]
"""


@pytest.fixture
def small_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, a file of points, and boundaries in the environment."""
    lsoas = square_lsoas(3)
    for name, value in boundaries(tmp_path, lsoas).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CRIME_THREADS", "1")
    generator = np.random.default_rng(5)
    rows = [
        {"month": month, "category": "drugs", "longitude": longitude, "latitude": latitude}
        for month in months_after("2023-12", 16)
        for longitude, latitude in generator.choice(town_points(), 40)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "crimes.csv", index=False)
    (tmp_path / "town.yaml").write_text(SMALL_RUN)
    return tmp_path


def town_points() -> np.ndarray:
    """Six places in the nine squares of town, one of them three times: WGS84."""
    from crime_assets_tests.forecasting.test_inputs import EAST, NORTH, SIDE, to_wgs84

    places = [(0.5, 0.5)] * 3 + [(1.5, 0.4), (2.5, 1.5), (0.4, 2.5), (2.4, 2.6), (1.4, 1.5)]
    return np.array([to_wgs84(EAST + SIDE * e, NORTH + SIDE * n) for e, n in places])


def test_the_command_says_who_won_and_where_the_page_lies(
    small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = small_run / "results"
    assert main([str(small_run / "town.yaml"), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "Nine squares of town" in said
    assert "rolling mean" in said.lower()
    (page,) = [line for line in said.splitlines() if line.endswith(".html")]
    assert Path(page).is_file()
    assert Path(page).is_relative_to(out / "town")
    manifest = json.loads((out / "town" / "manifest.json").read_text())
    assert manifest["cut_offs"] == ["2024-06", "2025-03", 10]
    assert set(manifest["data"]) == {"crimes.csv", "LSOA boundaries"}


def test_files_are_sought_in_the_folder_that_is_given(small_run: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (small_run / "crimes.csv").rename(elsewhere / "crimes.csv")
    arguments = [str(small_run / "town.yaml"), "--out", str(tmp_path / "results")]
    assert main(arguments) == 1
    assert main([*arguments, "--data", str(elsewhere)]) == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title:", "titel:", "titel unknown; there are counts, coverage_of, crime_types,"),
        ("last_month", "last_mnth", "no forecaster last_mnth; there are last_month,"),
        ("crimes.csv", "thefts.csv", "there is no file"),
        ('"Town %"', '"Village %"', "no LSOA has a name like 'Village %'"),
        ("category", "kind", "crimes.csv has no column kind; it has month, category, longitude"),
        ("resamplings: 10", "resamplings: [ten]", "resamplings is ['ten']; it must be a number"),
    ],
)
def test_a_configuration_that_cannot_be_run_ends_with_a_sentence(
    small_run: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, words: str
) -> None:
    (small_run / "town.yaml").write_text(SMALL_RUN.replace(old, new))
    assert main([str(small_run / "town.yaml"), "--out", str(small_run / "results")]) == 1
    assert words in capsys.readouterr().out
    assert not (small_run / "results").exists()


def test_the_module_is_a_command_and_a_bad_file_ends_it_with_code_1(tmp_path: Path) -> None:
    (tmp_path / "town.yaml").write_text("title: x\n")
    done = subprocess.run(
        [sys.executable, "-m", "crime_assets.forecasting.experiment", str(tmp_path / "town.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "counts missing" in done.stdout.replace("\n", " ")
    assert "Traceback" not in done.stderr


# --- Settings that cannot be ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("headline: [hitrate, 0.05]", "hit_rate, pai, pei_star or f1"),
        ("headline: [hit_rate, 0.07]", "one of the coverages 0.001"),
        ("first_cut_off: 2025-1", "a month such as 2025-09"),
        ("last_cut_off: foo", "a month such as 2025-09"),
        ("horizons: [1, 1]", "each more than the one before"),
        ("horizons: [3, 1]", "each more than the one before"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_what_it_may_be(
    tmp_path: Path, setting: str, words: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(f"title: Wrong\ncounts: {{lake: kent, last_month: 2025-06}}\n{setting}\n")
    with pytest.raises(ExperimentError, match=words):
        Experiment.read(path)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"points": 3, "areas": "Town %"}, "points is 3; it must be a text"),
        (
            {"incidents": "a.csv", "streets": "b", "crs": "EPSG:26985", "limit_m": "far"},
            "limit_m is 'far'; it must be metres",
        ),
        (
            {"incidents": "a.csv", "streets": "b", "crs": "EPSG:26985", "step": "week"},
            "step is 'week'; it must be day or month",
        ),
        ({"areas": 5}, "areas is 5; it must be a text"),
        ({"points": "p.csv", "areas": "Town %", "crime_types": "x"}, "it must be names by name"),
    ],
)
def test_counts_of_a_wrong_kind_are_refused(counts: dict[str, Any], words: str) -> None:
    settings = Settings.from_environment({})
    with pytest.raises(ExperimentError, match=words):
        Experiment("Wrong", counts).load(settings, Path())


def test_a_history_shorter_than_the_horizon_has_no_recapture_rate() -> None:
    units = hex_units(np.array([5, 6, 7]))
    months = months_after("2022-12", 20)
    rows = (np.tile([0, 1, 2], 20), np.repeat(np.arange(20), 3), np.tile([3, 2, 1], 20))
    counts = Counts.of(units, months, {ALL_CRIME: rows})
    short = Experiment(
        "Short", {}, forecasters=("last_month",), ask=Ask((1, 12), least_months=6, most_months=6)
    )
    found = run(short, counts, {}, scope="here").evaluations
    recaptured = found[found["metric"] == "recapture_rate_index"]
    assert set(recaptured["horizon_steps"]) == {1}
    assert set(found["horizon_steps"]) == {1, 12}


def test_a_type_that_police_uk_had_not_yet_is_not_read_as_zero() -> None:
    units = hex_units(np.array([5, 6]))
    months = months_after("2010-11", 40)  # bicycle theft is a type from 2013-05
    late = months.index("2013-05")
    bicycles = ([0] * (40 - late), list(range(late, 40)), [1] * (40 - late))
    every = ([0] * 40, list(range(40)), [4] * 40)
    counts = Counts.of(units, months, {"Bicycle theft": bicycles, ALL_CRIME: every})
    old = Experiment("Old", {}, forecasters=("last_month",), ask=Ask((1,), least_months=12))
    results = run(old, counts, {}, scope="here")
    assert set(results.evaluations["crime_type"]) == {ALL_CRIME}
    left_out = results.manifest["left_out"]
    assert left_out["2013-06"]["Bicycle theft"] == "police.uk had no such type in 2010-12"


# --- Streets and their network --------------------------------------------------------------


def street_counts(months: int = 30, n: int = 25) -> Counts:
    """Crimes on a street of segments, each of which meets the next; the last ones are hottest."""
    rng = np.random.default_rng(7)
    units = Units("segment", np.arange(n), 20.0 + np.arange(n), link(n, range(n - 1), range(1, n)))
    crimes = rng.poisson(np.linspace(0, 3, n)[:, None], (n, months))
    unit, at = np.nonzero(crimes)
    rows = dict.fromkeys(("Own type", ALL_CRIME), (unit, at, crimes[unit, at]))
    return Counts.of(units, months_after("2022-12", months), rows)


ON_STREETS = Experiment(
    "A street",
    {"incidents": "arrests.csv", "streets": "roads.parquet", "crs": "EPSG:27700"},
    forecasters=("last_month", "rolling_mean_12"),
    last_share=0.2,
    gldnet={"targets": ["Own type"]},
    ask=Ask((1,), least_months=12, resamplings=5),
)


def test_a_city_has_types_of_its_own() -> None:
    found = run(ON_STREETS, street_counts(), {}, scope="street").evaluations
    assert set(found["crime_type"]) == {"Own type", ALL_CRIME}


def test_coverage_of_units_takes_segments_by_number() -> None:
    counts = street_counts()
    asked = Experiment(**{**vars(ON_STREETS), "coverage_of": "units", "gldnet": {}})
    found = run(asked, counts, {}, scope="street").evaluations
    assert set(found["unit"]) == {"equal-segment"}
    at = counts.steps.index("2025-01")
    past, then = (counts.crimes[ALL_CRIME].toarray()[:, i] for i in (at, at + 1))
    values, share, left = np.unique(past)[::-1], 0.0, 0.2 * 25
    for value in values:  # five segments, ties among them
        level = past == value
        fits = min(1.0, left / level.sum())
        share += fits * then[level].sum()
        left -= fits * level.sum()
    hit = found.query(
        "month == '2025-01' and model == 'last_month' and crime_type == 'All crime' "
        "and metric == 'hit_rate' and coverage == 0.2"
    )
    assert hit["value"].tolist() == pytest.approx([share / then.sum()])
    with pytest.raises(DataError, match="is for street segments, not for hexs"):
        run(Experiment(**{**vars(ASKED), "coverage_of": "units"}), small_counts(20), {}, scope="x")


def test_a_gldnet_that_was_trained_is_judged_among_the_others_and_said_why_not() -> None:
    counts = street_counts()
    scores = {("Own type", month): np.arange(25.0) for month in months_after("2024-12", 5)}
    told = Gldnet().told(scores)
    results = run(ON_STREETS, counts, {}, scope="street", gldnet=(told, {"Own type": {"a": 1}}))
    of_gldnet = results.evaluations.query("model == 'gldnet'")
    assert set(of_gldnet["crime_type"]) == {"Own type"}
    assert sorted(set(of_gldnet["month"])) == months_after("2024-12", 5)
    assert results.manifest["left_out"] == {
        "2024-12": {"gldnet": "no GLDNet was trained for Own type at 2024-12"}
    }
    assert results.manifest["gldnet"] == {"Own type": {"a": 1}}
    board = results.leaderboard.query("model == 'gldnet' and metric == 'hit_rate'")
    assert set(board["cut_offs"]) == {5}


def test_stability_is_not_judged_of_cut_offs_that_lie_apart() -> None:
    asked = Experiment(**{**vars(ON_STREETS), "every": 3, "gldnet": {}})
    found = run(asked, street_counts(), {}, scope="street").evaluations
    assert found["month"].nunique() == 2
    assert "jaccard" not in set(found["metric"])


def test_dates_of_a_configuration_are_texts(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
        title: A city
        counts: {incidents: a.csv, streets: b.gpkg, crs: "EPSG:26985", first: 2014-01-01}
        first_cut_off: 2020-01-01
        """,
    )
    assert found.counts["first"] == "2014-01-01"
    assert found.first_cut_off == "2020-01-01"
