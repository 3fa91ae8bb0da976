"""Experiments as data: what may stand in one, what a run writes, and that it goes on."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.sparse import csr_array

from benchmarks import grids
from crime_assets import DataError
from crime_assets.cities.samples import Samples
from crime_assets.grids import study
from crime_assets.grids.judging import METRICS
from crime_assets.grids.methods import METHODS, NAIVE, Learning
from crime_assets.grids.report import methods_of, sentences, verdict
from crime_assets.grids.study import Experiment, ExperimentError, Results, run, write
from crime_assets_tests.grids.made import (
    CITY,
    TINY,
    P,
    answer,
    changed_from,
    made_samples,
    write_town,
)

DOCUMENTED = sorted((Path(__file__).parents[2] / "docs" / "experiments" / "grids").glob("*.yaml"))
SMALL = {"title": "A town", "city": CITY}


def read(folder: Path, content: Any) -> Experiment:
    path = folder / "made.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return Experiment.read(path)


def experiment(**changes: Any) -> Experiment:
    """All crime and theft on the grid of made samples, by two classifiers and the naive rules."""
    made = Experiment(
        "A town",
        CITY,
        cells=(P,),
        crime_types=("All crime", "Theft"),
        methods=("decision_tree", "naive_bayes"),
        learning=Learning(stride=50, parameters=TINY),
        reduction="everything",
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def samples() -> Samples:
    return made_samples()


@pytest.fixture(scope="module")
def results(samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Results:
    asked = experiment(
        methods=("decision_tree", "sftt_resnet"),
        variants={"at_once": {"of": "sftt_resnet", "title": "At once", "multi_label": True}},
    )
    return run(asked, {P: samples}, tmp_path_factory.mktemp("made"), train=answer)


# --- Configurations -------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTED, ids=lambda path: path.stem)
def test_the_experiments_of_the_documentation_can_be_read(path: Path) -> None:
    found = Experiment.read(path)
    assert {"persistence", "rolling_mean"} <= {method.name for method in found.compared}
    assert found.reduction


def test_the_experiments_are_those_of_the_study() -> None:
    names = {path.stem for path in DOCUMENTED}
    assert names == {
        "san-francisco-16", "minneapolis-16", "san-francisco-40", "bodies", "depth-and-width",
        "dropout", "channels", "multi-label", "cell-size", "minneapolis-40", "philadelphia-40",
    }  # fmt: skip
    found = {path.stem: Experiment.read(path) for path in DOCUMENTED}
    for name in ("san-francisco-16", "minneapolis-16", "minneapolis-40", "philadelphia-40"):
        assert {m.name for m in found[name].compared} == set(METHODS)
    depths = [m.parameters.get("lstm_layers") for m in found["depth-and-width"].compared]
    assert [d for d in depths if d] == list(range(1, 10))
    dropouts = [m.parameters.get("dropout") for m in found["dropout"].compared]
    assert [d for d in dropouts if d] == [k / 10 for k in range(1, 10)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"citty": 1}, "citty unknown; there are active"),
        ({"city": None}, ""),
        ({"cells": [17]}, "cells: 17; it must be a list of 16, 24, 32, 40"),
        ({"title": None}, "title is None; it must be text"),
        ({"first_day": 2010}, "first_day is 2010; it must be text"),
        (
            {"network": {"parameters": ["epochs"]}},
            "parameters is ['epochs']; it must be settings",
        ),
        ({"network": {"variants": ["a"]}}, "variants is ['a']; it must be settings by name"),
        ({"network": {"variants": {"a": None}}}, "variant a is None; it must be settings by name"),
        (
            {"network": {"variants": {"a": {"of": "tfts", "multi_label": "no"}}}},
            "variant a: multi_label is 'no', not true, false",
        ),
        ({"cells": 16}, "cells: 16; it must be a list of"),
        ({"cells": []}, "name at least one of cells"),
        ({"crime_types": ["Drugs"]}, "crime_types: Drugs; it must be a list of Homicide"),
        ({"methods": ["prophet"]}, "methods: prophet; it must be a list of ccrboost"),
        ({"mapping": "ours"}, "mapping is 'ours'; it must be one of study, corrected"),
        ({"active": "all"}, "active is 'all'; it must be one of study, training"),
        ({"seed": -1}, "seed is -1; it must be a whole number from 0"),
        ({"network": {"stride": 0}}, "stride is 0; it must be a whole number from 1"),
        ({"network": {"epochs": 3}}, "network: epochs unknown; there are parameters"),
        ({"network": {"parameters": {"depth": 2}}}, "there is no depth"),
        ({"network": {"variants": {"x": {"of": "svm"}}}}, "variant x: `of` must name the network"),
        ({"network": {"variants": {"tfts": {"of": "tfts"}}}}, "own name must be another"),
        ({"network": {"variants": {"x": {"of": "tfts", "dropout": 2}}}}, "dropout is 2"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_named(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    content = {**SMALL, **changes}
    if content["city"] is None:
        del content["city"]
        says = "city missing"
    with pytest.raises(ExperimentError, match=re.escape(says)) as raised:
        read(tmp_path, content)
    assert "made.yaml" in str(raised.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot be read"):
        Experiment.read(tmp_path / "none.yaml")
    with pytest.raises(ExperimentError, match="no settings of an experiment"):
        read(tmp_path, ["a", "list"])


def test_variants_change_a_network_and_naive_rules_are_always_there(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {
            **SMALL,
            "methods": ["svm"],
            "first_day": datetime.date(2012, 1, 1),
            "network": {"variants": {"shallow": {"of": "sftt_vgg", "lstm_layers": 1}}},
        },
    )
    assert [m.name for m in found.compared] == ["persistence", "rolling_mean", "svm", "shallow"]
    assert found.compared[-1].parameters == {"network": "sftt", "body": "vgg", "lstm_layers": 1}
    assert found.first_day == "2012-01-01"


# --- Runs -----------------------------------------------------------------------------------


def test_every_method_is_judged_on_each_month_and_against_the_naive(results: Results) -> None:
    rows = results.evaluations
    names = ["persistence", "rolling_mean", "decision_tree", "sftt_resnet", "at_once"]
    assert rows["method"].drop_duplicates().tolist() == names
    for (method, crime_type), group in rows.groupby(["method", "crime_type"]):
        months = group[group["origin"].notna()]
        assert months["origin"].nunique() == 12, method
        counts = (
            set() if METHODS.get(method, METHODS["tfts"]).kind != "classifier" else {"pai_by_count"}
        )
        assert set(group["metric"]) == set(METRICS) - counts
        means = group[group["origin"].isna() & group["against"].isna()].set_index("metric")
        for metric, of_metric in months.groupby("metric"):
            assert means.loc[metric, "value"] == pytest.approx(of_metric["value"].mean())
        against = set(group["against"].dropna())
        assert against == {"persistence", "rolling_mean"} - {method} - (
            {"rolling_mean"} if method == "persistence" else set()
        ), (method, crime_type)


def test_differences_to_a_naive_rule_are_those_of_the_means(results: Results) -> None:
    rows = results.evaluations
    rows = rows[rows["origin"].isna() & (rows["crime_type"] == "Theft")]
    means = rows[rows["against"].isna()].set_index(["method", "metric"])["value"]
    apart = rows[rows["against"] == "persistence"].set_index(["method", "metric"])["value"]
    for method, metric in apart.index:
        expected = means[method, metric] - means["persistence", metric]
        assert apart[method, metric] == pytest.approx(expected)


def test_the_manifest_says_what_was_reduced_and_on_what_it_rests(results: Results) -> None:
    manifest = results.manifest
    assert manifest["reduction"] == "everything"
    data = manifest["data"][str(P)]
    assert data["active_cells"] == P * P - 1
    assert data["origins"][0] == "2013-01-01"
    assert max(data["observed_days_foretold"]) < 30
    assert manifest["networks"]["sftt_resnet"]["epochs"] == 1
    assert set(manifest["packages"]) == {"numpy", "scipy", "scikit-learn", "tensorflow"}
    assert manifest["failed"] == {}
    effort = results.effort.set_index(["method", "crime_type"])
    assert effort.loc[("at_once", "Theft"), "parameters"] == 9
    assert pd.isna(effort.loc[("persistence", "Theft"), "parameters"])
    assert (effort["seconds"] >= 0).all()


def test_a_run_that_was_stopped_goes_on(samples: Samples, tmp_path: Path) -> None:
    asked, done = experiment(), []

    class Stopped(Exception):
        pass

    def advance(p: int, method: Any, crime_type: str) -> None:
        done.append((method.name, crime_type))
        if len(done) == 6:
            raise Stopped

    with pytest.raises(Stopped):
        run(asked, {P: samples}, tmp_path, advance=advance)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert len(kept) == 6
    first = run(asked, {P: samples}, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(tmp_path.rglob("*.npz"))) == 4 * 2
    again = run(asked, {P: samples}, tmp_path)
    pd.testing.assert_frame_equal(first.evaluations, again.evaluations)
    pd.testing.assert_frame_equal(first.effort, again.effort)


def test_other_data_seeds_or_code_are_done_anew(
    samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = experiment(methods=(), crime_types=("Theft",))

    def files() -> int:
        return len(list(tmp_path.rglob("*.npz")))

    run(asked, {P: samples}, tmp_path)
    assert files() == 2
    run(replace(asked, title="Another title"), {P: samples}, tmp_path)
    assert files() == 2
    run(asked, {P: changed_from(samples, 1400)}, tmp_path)
    assert files() == 4
    run(replace(asked, learning=Learning(seed=2)), {P: samples}, tmp_path)
    assert files() == 6
    run(replace(asked, active="training"), {P: samples}, tmp_path)
    same = (samples.active_cells("training") == samples.active_cells("study")).all()
    assert files() == (6 if same else 8)
    monkeypatch.setattr(study, "CODE", "another")
    run(asked, {P: samples}, tmp_path)
    assert files() >= 8


def test_variants_of_the_same_parameters_are_trained_once(samples: Samples, tmp_path: Path) -> None:
    trained = []

    def train(folder: Path) -> Any:
        trained.append(folder)
        return answer(folder)

    same = {"also": {"of": "sftt_resnet", "title": "Also", "dropout": 0.1}}
    asked = experiment(methods=("sftt_resnet",), variants=same)
    found = run(asked, {P: samples}, tmp_path, train=train)
    assert len(trained) == 1
    assert found.evaluations["method"].nunique() == 4


def test_a_method_that_fails_is_left_out_and_named(samples: Samples, tmp_path: Path) -> None:
    asked = experiment(methods=("tfts", "decision_tree"))
    found = run(
        asked, {P: samples}, tmp_path, train=lambda folder: answer(folder, "memory ran out")
    )
    assert found.manifest["failed"] == {
        f"tfts, {P} x {P}": "TFTS, ResNet, All crime: memory ran out; "
        "TFTS, ResNet, Theft: memory ran out"
    }
    assert "tfts" not in set(found.evaluations["method"])
    assert "decision_tree" in set(found.evaluations["method"])


def test_a_crime_type_without_a_crime_is_named_and_alone_it_is_an_error(
    samples: Samples, tmp_path: Path
) -> None:
    counts = samples.maps.counts.toarray().reshape(-1, P * P, 11)
    counts[..., samples.maps.crime_types.index("Theft")] = 0
    maps = replace(samples.maps, counts=csr_array(counts.reshape(len(counts), -1)))
    without = {P: Samples(maps, samples.period)}
    found = run(experiment(methods=("decision_tree",)), without, tmp_path)
    assert found.manifest["failed"] == {f"Theft, {P} x {P}": "no crime in the year of the test"}
    assert set(found.evaluations["crime_type"]) == {"All crime"}
    with pytest.raises(DataError, match="nothing can be judged: Theft, 5 x 5: no crime in the"):
        run(experiment(methods=("decision_tree",), crime_types=("Theft",)), without, tmp_path)


def test_without_the_naive_rules_nothing_is_judged(samples: Samples, tmp_path: Path) -> None:
    counts = samples.maps.counts.toarray()
    counts[:-300] = 0
    late = np.arange(len(counts)) >= len(counts) - 300
    short = replace(samples.maps, observed=late, counts=csr_array(counts))
    with pytest.raises(DataError, match="days of history, some of them observed"):
        run(experiment(), {P: Samples(short, samples.period)}, tmp_path)


# --- Pages ----------------------------------------------------------------------------------


def test_what_is_written_can_be_read_and_names_the_naive_and_the_published(
    results: Results, tmp_path: Path
) -> None:
    page = write(results, tmp_path)
    text = re.sub('data:image/png;base64,[^"]*', "picture", page.read_text(encoding="utf-8"))
    for words in (
        "Reduced here:</strong> everything",
        "Persistence",
        "At once",
        "Philadelphia, published: F1 at 0.5",
        "F1 at 0.5 − persistence",
        "PAI at 5 % − rolling mean",
        "Of this city it has pictures alone",
        "7,348,899",
        "0.94289",
    ):
        assert words in text, words
    assert not re.search(
        r"\b(nan|None|NaT)\b", re.sub(r"<details.*?</details>", "", text, flags=re.S)
    )
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert pictures == {
        "metrics-5-all-crime", "metrics-5-theft", "curves-5-all-crime", "crime-types"
    }  # fmt: skip
    assert text.count('src="picture"') == len(pictures)
    rows = duckdb.sql(f"from '{tmp_path}/evaluations.parquet'").df()
    assert len(rows) == len(results.evaluations)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["title"] == "A town"


def test_the_same_results_give_the_same_page(results: Results, tmp_path: Path) -> None:
    pages = [write(results, tmp_path / name).read_bytes() for name in ("one", "two")]
    assert pages[0] == pages[1]


def test_methods_stand_in_the_order_of_the_register(results: Results) -> None:
    assert list(methods_of(results)) == [
        "decision_tree", "sftt_resnet", "persistence", "rolling_mean", "at_once"
    ]  # fmt: skip


def test_sentences_name_the_best_against_the_naive(results: Results) -> None:
    found = list(sentences(results))
    assert len(found) == 2 * 4
    for sentence in found:
        naive = re.search(r": (Persistence|Rolling mean) \d", sentence)
        assert naive or all(f"against {METHODS[rule].title.lower()}" in sentence for rule in NAIVE)


def test_a_difference_is_one_where_its_interval_excludes_nought() -> None:
    assert verdict(0.01, 0.2) == "better"
    assert verdict(-0.2, -0.01) == "worse"
    assert verdict(-0.1, 0.1) == "no difference"


def test_the_benchmark_runs_every_experiment_and_shows_each_method(
    results: Results, tmp_path: Path
) -> None:
    assert {*grids.EXPERIMENTS, *grids.FURTHER} == {path.stem for path in DOCUMENTED}
    write(results, tmp_path)
    table = grids.table_of(tmp_path, "a-town", 90)
    assert table.title == "a-town: All crime, 5 x 5, in 1.5 min"
    assert list(table.columns[0].cells) == [
        "persistence", "rolling_mean", "decision_tree", "sftt_resnet", "at_once"
    ]  # fmt: skip


# --- The command line -----------------------------------------------------------------------


@pytest.mark.slow
def test_from_a_file_of_incidents_to_a_page_with_a_network(tmp_path: Path) -> None:
    write_town(tmp_path / "incidents")
    path = tmp_path / "town.yaml"
    content = {
        **SMALL,
        "crime_types": ["All crime"],
        "methods": ["naive_bayes", "sftt_resnet"],
        "reduction": "the network",
        "network": {"stride": 100, "parameters": TINY},
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    command = [sys.executable, "-m", "crime_assets.grids.study", str(path), "--out",
               str(tmp_path / "results")]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CRIME_")} | {
        "CRIME_INCIDENTS": str(tmp_path / "incidents"),
        "CRIME_DATA_DIR": str(tmp_path / "data"),
        "COLUMNS": "200",
    }

    def call() -> str:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    assert "All crime, 16 x 16, F1 at 0.5: " in call()
    rows = duckdb.sql(f"from '{tmp_path}/results/town/evaluations.parquet'").df()
    assert set(rows["method"]) == {"persistence", "rolling_mean", "naive_bayes", "sftt_resnet"}
    network = rows[(rows["method"] == "sftt_resnet") & rows["origin"].isna()]
    auroc = network[network["against"].isna() & (network["metric"] == "auroc")]["value"].item()
    assert auroc > 0.6  # the level that it starts from knows where it is busy
    effort = pd.read_csv(tmp_path / "results" / "town" / "effort.csv").set_index("method")
    assert effort.loc["sftt_resnet", "parameters"] > 1000
    written = (tmp_path / "results" / "town" / "index.html").read_text(encoding="utf-8")
    assert "epoch 1 of 1" not in call()  # it is done, and not done again
    assert (tmp_path / "results" / "town" / "index.html").read_text(encoding="utf-8") == written


def test_an_error_on_the_command_line_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRIME_INCIDENTS", str(tmp_path))
    path = tmp_path / "made.yaml"
    path.write_text(yaml.safe_dump({**SMALL, "city": "gotham"}), encoding="utf-8")
    assert study.main([str(path)]) == 1
    assert "there is no gotham.yaml" in " ".join(capsys.readouterr().out.split())
