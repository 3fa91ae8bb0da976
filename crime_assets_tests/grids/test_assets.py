"""The grid study as Dagster makes it: forecasts, evaluations against the naive, a leaderboard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import numpy as np
import pytest

from crime_assets.cities.assets import city_incidents, incident_days, incident_maps
from crime_assets.grids.assets import (
    grid_evaluation_assets,
    grid_forecast_assets,
    grid_leaderboard,
)
from crime_assets.grids.methods import METHODS
from crime_assets.lake import DuckDB, Lake
from crime_assets.publication import AuditFailed, audit
from crime_assets.quality.checks import expectation_checks
from crime_assets.settings import Settings
from crime_assets.trainer import Trainer, TrainingFailed
from crime_assets_tests.conftest import NO_COMPUTE_LOGS
from crime_assets_tests.grids.made import CITY, answer, write_town

PLACE = {"cells": "16", "city": CITY}
KEY = f"16|{CITY}"
ASSETS = {
    asset.key.to_user_string(): asset
    for asset in [*grid_forecast_assets, *grid_evaluation_assets, grid_leaderboard]
}


@dataclass
class Oracle(Trainer):
    """A trainer that trains nothing; ``asked`` are the tasks it got."""

    fails: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)

    def train(self, context: Any, folder: Path, program: str = "") -> None:
        self.asked.append(json.loads((folder / "task.json").read_text()))
        if self.fails:
            raise TrainingFailed(self.fails)
        assert program == "crime_assets.models.train_incident_networks"
        answer(folder)


@dataclass
class Town:
    """A city whose maps are in the lake, at p = 16."""

    settings: Settings
    trainer: Trainer

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.data_dir / "lake")

    def make(
        self,
        *assets: dg.AssetsDefinition,
        key: str = KEY,
        config: Mapping[str, Any] | None = None,
        checks: bool = False,
    ) -> dg.ExecuteInProcessResult:
        names = {asset.key for asset in assets}
        judged = [
            check
            for check in (expectation_checks() if checks else [])
            if names & {k.asset_key for k in check.check_keys}
        ]
        ops = {asset.op.name: {"config": dict(config)} for asset in assets} if config else {}
        with dg.DagsterInstance.local_temp(overrides={"compute_logs": NO_COMPUTE_LOGS}) as instance:
            return dg.materialize(
                [*assets, *judged],
                instance=instance,
                raise_on_error=False,
                partition_key=key,
                resources={
                    "settings": self.settings,
                    "lake": self.lake,
                    "engine": DuckDB(threads=1),
                    "trainer": self.trainer,
                },
                run_config={
                    "ops": ops,
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
            )

    def rows(self, table: str, model: str | None = None) -> list[dict[str, Any]]:
        with DuckDB(threads=1).get_connection() as connection:
            place = {**PLACE, **({"model": model} if model else {})}
            self.lake.view(connection, table, [place])
            found = connection.execute(f"from {table}").df()
            return found.replace({np.nan: None}).to_dict("records")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Town:
    folder = tmp_path_factory.mktemp("town")
    write_town(folder / "incidents")
    settings = Settings.from_environment(
        {"CRIME_DATA_DIR": str(folder / "data"), "CRIME_INCIDENTS": str(folder / "incidents")}
    )
    town = Town(settings, Oracle())
    assert town.make(city_incidents, key=CITY).success
    assert town.make(incident_days, key=CITY).success
    assert town.make(incident_maps).success
    return town


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = [e for e in result.all_events if e.event_type_value == "ASSET_MATERIALIZATION"]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def reason(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    return event.step_failure_data.user_failure_data.description


def forecasts(model: str) -> dg.AssetsDefinition:
    return ASSETS[f"grid_forecasts/{model}"]


def evaluations(model: str) -> dg.AssetsDefinition:
    return ASSETS[f"grid_evaluations/{model}"]


def test_each_method_has_both_assets_and_networks_wait_in_the_pool() -> None:
    for method in METHODS.values():
        asset = forecasts(method.name)
        assert f"**{method.title}** (`{method.name}`), a {method.kind}." in str(
            asset.descriptions_by_key[asset.key]
        )
        assert (asset.op.pool == "gpu") == (method.kind == "network"), method.name
        assert evaluations(method.name).op.pool is None
    versions = {asset.code_versions_by_key[asset.key] for asset in grid_forecast_assets}
    assert len(versions) == len(METHODS)


@pytest.mark.slow
def test_from_maps_to_a_leaderboard(made: Town) -> None:
    config = {"crime_types": ["All crime", "Robbery"]}
    models = ("persistence", "rolling_mean", "decision_tree", "sftt_resnet")
    for model in models:
        result = made.make(forecasts(model), config=config, checks=True)
        assert result.success, model
        rows = made.rows("grid_forecasts", model)
        found = metadata(result)
        assert len(rows) == 2 * 12 * found["active_cells"]
        assert {str(row["origin"])[:10] for row in rows} >= {"2013-01-01", "2013-12-01"}
        assert {row["mapping"] for row in rows} == {"study"}
        assert all(0 <= row["probability"] <= 1 for row in rows)
        counts = [row["expected"] for row in rows]
        assert (model == "decision_tree") == all(count is None for count in counts)
        assert found["map"].startswith("![")
        checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
        assert checks["probabilities_are_whole"].passed
        assert checks["expectations"].passed == (model != "sftt_resnet"), model  # it says one half
    assert isinstance(made.trainer, Oracle)
    asked = made.trainer.asked[-1]["trainings"]
    assert [training["name"] for training in asked] == ["all_crime", "robbery"]
    assert asked[0]["parameters"]["epochs"] == 50

    for model in models:
        result = made.make(evaluations(model), checks=True)
        assert result.success, model
        rows = made.rows("grid_evaluations", model)
        naive = {"persistence", "rolling_mean"} - {model}
        assert {row["against"] for row in rows} - {None} == naive
        figures = 5 if model == "decision_tree" else 6
        assert len([r for r in rows if r["origin"] is not None]) == 2 * 12 * figures
        assert "All crime | F1 at 0.5 |  |" in metadata(result)["figures"]
        checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
        assert checks["figures_fit"].passed
        said = str(checks["expectations"].description)
        assert ("lost_to_persistence" in said) == (model in models[2:]), said

    result = made.make(grid_leaderboard, checks=True)
    assert result.success
    board = made.rows("grid_leaderboard")
    assert len(board) == 2 * (6 * len(models) - 1)
    place = {(r["crime_type"], r["metric"], r["model"]): r for r in board}
    for crime_type in config["crime_types"]:
        values = {m: place[crime_type, "auroc", m]["value"] for m in models}
        order = sorted(models, key=lambda m: -values[m])
        assert place[crime_type, "auroc", order[0]]["rank"] == 1
        assert place[crime_type, "auroc", "persistence"]["difference"] is None
        tree = place[crime_type, "auroc", "decision_tree"]
        assert tree["difference"] == pytest.approx(values["decision_tree"] - values["persistence"])
        apart = values["decision_tree"] - values["rolling_mean"]
        assert tree["rolling_difference"] == pytest.approx(apart)
    assert {row["published"] for row in board} == {None}  # it is not Philadelphia
    found = metadata(result)
    assert found["methods"] == 4
    assert "ccrboost" in found["not_judged"]
    assert "Decision tree (C4.5)" in found["board"]
    assert found["picture"].startswith("![")
    checks = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert checks["places_fit"]


@pytest.mark.slow
def test_methods_that_were_asked_other_things_are_not_compared(made: Town) -> None:
    for model in ("persistence", "rolling_mean"):
        assert made.make(forecasts(model), config={"crime_types": ["All crime"]}).success
    for config in ({"active": "training"}, {"crime_types": ["Robbery"]}, {"mapping": "corrected"}):
        assert made.make(forecasts("naive_bayes"), config=config).success
        result = made.make(evaluations("naive_bayes"))
        assert "persistence was asked something else than naive_bayes" in reason(result), config


@pytest.mark.slow
def test_without_the_naive_rules_it_is_said_what_to_make(made: Town) -> None:
    with DuckDB(threads=1).get_connection():
        path = made.lake.path("grid_forecasts", {**PLACE, "model": "rolling_mean"})
    path.unlink(missing_ok=True)
    assert made.make(forecasts("persistence")).success
    says = reason(made.make(evaluations("persistence")))
    assert "grid_forecasts rolling_mean 16|seattle is not in the lake" in says


@pytest.mark.slow
def test_a_training_that_was_killed_is_told_of_and_publishes_nothing(made: Town) -> None:
    killed = Town(made.settings, Oracle(fails="the training was killed by signal 9"))
    result = killed.make(forecasts("tfts"))
    assert "killed by signal 9" in reason(result)
    assert not made.lake.has("grid_forecasts", {**PLACE, "model": "tfts"})
    again = Oracle()
    assert (
        Town(made.settings, again)
        .make(forecasts("tfts"), config={"epochs": 3, "stride": 40})
        .success
    )
    (task,) = again.asked
    assert {t["parameters"]["epochs"] for t in task["trainings"]} == {3}
    assert set(np.diff(task["training"])) == {40}


@pytest.mark.slow
def test_a_network_is_trained_in_a_process_of_its_own(made: Town) -> None:
    town, trainings = Town(made.settings, Trainer()), made.settings.work_dir / "training"
    before = set(trainings.glob("*"))
    result = town.make(forecasts("sftt_fastmask"), config={"epochs": 1, "stride": 150})
    assert result.success
    found = metadata(result)
    assert found["parameters"] > 1_000_000
    assert found["seconds_to_learn"] > 0
    rows = made.rows("grid_forecasts", "sftt_fastmask")
    assert len({row["probability"] for row in rows}) > found["active_cells"]
    assert set(trainings.glob("*")) == before  # it is tidied up


# --- Audits ----------------------------------------------------------------------------------

FORECASTS = """
    select 'study' as mapping, 'Theft' as crime_type, date '2013-01-01' + o::integer as origin,
        c as cell, 0.5 as probability, null::double as expected
    from range(12) as origins(o) cross join range(3) as cells(c)
"""
FIGURES = """
    select 'study' as mapping, 'Theft' as crime_type, null::date as origin,
        null::varchar as against, 'f1' as metric, 0.5 as value, 0.4 as low, 0.6 as high
"""
PLACES = """
    select 'study' as mapping, 'Theft' as crime_type, 'f1' as metric, r::integer as rank,
        ['persistence', 'svm'][r] as model from range(1, 3) as ranks(r)
"""


@pytest.mark.parametrize(
    ("name", "sound", "made", "says"),
    [
        ("probabilities_are_whole", FORECASTS, "from sound where cell > 0", "rows_of_cells 2"),
        (
            "probabilities_are_whole",
            FORECASTS,
            "select * replace (if(cell = 1, 0, cell) as cell) from sound",
            "distinct_cells 2",
        ),
        (
            "probabilities_are_whole",
            FORECASTS,
            "select * replace (if(cell = 1, 9, cell) as cell) from sound",
            "other_cells 1",
        ),
        (
            "probabilities_are_whole",
            FORECASTS,
            "select * replace (1.1 as probability) from sound",
            "no_probabilities 3",
        ),
        (
            "probabilities_are_whole",
            FORECASTS,
            "select * replace ('nan'::double as probability) from sound",
            "no_probabilities 3",
        ),
        (
            "probabilities_are_whole",
            FORECASTS,
            "select * replace (-1 as expected) from sound",
            "impossible_expectations 3",
        ),
        (
            "probabilities_are_whole",
            FORECASTS,
            "from sound where origin > '2013-01-01'",
            "rows_of_cells 11",
        ),
        ("figures_fit", FIGURES, "from sound union all from sound", "times 2"),
        ("figures_fit", FIGURES, "select * replace (1.2 as value) from sound", "value 1.2"),
        ("figures_fit", FIGURES, "select * replace ('nan'::double as value) from sound", "nan"),
        ("figures_fit", FIGURES, "select * replace (0.7 as low) from sound", "low 0.7"),
        ("figures_fit", FIGURES, "select * replace ('mae' as metric) from sound", "metric mae"),
        ("places_fit", PLACES, "from sound where model = 'svm'", "first_rank 2"),
        ("places_fit", PLACES, "from sound union all from sound", "methods 4"),
        ("places_fit", PLACES, "from sound where model <> 'persistence'", "naive 0"),
    ],
)
def test_audits_name_what_does_not_fit(name: str, sound: str, made: str, says: str) -> None:
    table = {
        "probabilities_are_whole": "grid_forecasts",
        "figures_fit": "grid_evaluations",
        "places_fit": "grid_leaderboard",
    }[name]
    parameters = {"origins": 12} if table == "grid_forecasts" else {}
    with duckdb.connect() as connection:
        connection.execute("create table active_cells as select range as cell from range(3)")
        connection.execute(f"create table sound as {sound}")
        connection.execute(f"create view {table} as from sound")
        audit(connection, f"grids/audits/{name}", **parameters)
        connection.execute(f"create or replace view {table} as {made}")
        with pytest.raises(AuditFailed, match=says):
            audit(connection, f"grids/audits/{name}", **parameters)
