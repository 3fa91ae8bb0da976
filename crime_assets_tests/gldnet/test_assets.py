"""GLDNet as Dagster makes it, on streets that are made here.

Most tests hand in a trainer that answers at once what a training could have found; the last ones
train, in a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from crime_assets.gldnet import assets
from crime_assets.lake import DuckDB
from crime_assets.models.gldnet_parameters import GldnetParameters
from crime_assets.register import ALL_CRIME
from crime_assets.settings import Settings
from crime_assets.trainer import Trainer, TrainingFailed
from crime_assets_tests.conftest import NO_COMPUTE_LOGS
from crime_assets_tests.gldnet.made import CUT_OFF, FORCES, IDS, MONTHS, VIOLENCE, Streets

pytestmark = pytest.mark.slow  # each test is a run of Dagster: seconds

KEY = f"kent|{CUT_OFF}"


@dataclass
class Oracle(Trainer):
    """A trainer that trains nothing: the best is an alpha of 0.2, and the scores are the lengths.

    ``fails`` makes it raise, as a process that was killed does; ``asked`` are the tasks it got.
    """

    fails: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)

    def train(self, context: Any, folder: Path, program: str = "") -> None:
        task = json.loads((folder / "task.json").read_text())
        self.asked.append(task)
        if self.fails:
            raise TrainingFailed(self.fails)
        with np.load(folder / "inputs.npz") as inputs:
            length = inputs["length"]
        trainings = {}
        for training in task["trainings"]:
            name, alpha = training["name"], training["parameters"]["alpha"]
            rates = {
                f"hit_rate_{kind}_{p}": 0.9 - alpha
                for kind in ("length", "segments")
                for p in (10, 20)
            }
            if alpha > 0.85:
                trainings[name] = {"failed": "the loss was not finite"}
                continue
            np.save(folder / f"{name}.npy", np.tile(length, (len(task["origins"]), 1)))
            if task["save"]:
                (folder / f"{name}.keras").write_text(name)
            epochs = [
                {"epoch": e, "loss": 1 / e, "validation_loss": 1 / e, "hit_rate": 0.5,
                 "validation_hit_rate": None}
                for e in (1, 2, 3)
            ]  # fmt: skip
            trainings[name] = {
                "epochs": epochs, "kept_epoch": 3, "metrics": {"validation": rates, "test": rates},
                "seconds": 1.0, "peak_memory_bytes": 2**20, "parameters": 9, "failed": None,
            }  # fmt: skip
        (folder / "results.json").write_text(
            json.dumps({"machine": {"devices": ["CPU:0"]}, "trainings": trainings})
        )


@pytest.fixture
def streets(tmp_path: Path) -> Iterator[Streets]:
    with DuckDB(threads=1).get_connection() as connection:
        yield Streets.make(tmp_path, connection)


def make(
    streets: Streets,
    asset: str,
    trainer: Trainer,
    *keys: str,
    config: Mapping[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialise an asset for some partitions, Kent's cut-off if none is named."""
    keys = keys or (KEY,)
    settings = Settings.from_environment({"CRIME_DATA_DIR": str(streets.lake.root.parent)})
    with dg.DagsterInstance.local_temp(overrides={"compute_logs": NO_COMPUTE_LOGS}) as instance:
        return dg.materialize(
            [getattr(assets, asset)],
            instance=instance,
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": keys[0],
                "dagster/asset_partition_range_end": keys[-1],
            },
            run_config={
                "ops": {asset: {"config": {"crime_types": [VIOLENCE], **(config or {})}}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            }
            if asset != "gldnet_forecasts"
            else {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            resources={
                "engine": DuckDB(threads=1),
                "lake": streets.lake,
                "settings": settings,
                "trainer": trainer,
            },
        )


def reason(result: dg.ExecuteInProcessResult) -> str:
    """Why a step failed, as the UI shows it."""
    (event,) = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    return event.step_failure_data.user_failure_data.description


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = [e for e in result.all_events if e.event_type_value == "ASSET_MATERIALIZATION"]
    return {name: value.value for name, value in event.materialization.metadata.items()}


# --- The search -----------------------------------------------------------------------------


def test_a_search_starts_with_the_settings_of_the_source_and_marks_the_best(
    streets: Streets,
) -> None:
    result = make(streets, "gldnet_trials", Oracle(), config={"trials": 9, "at_a_time": 4})
    assert result.success
    trials = streets.rows("gldnet_trials")
    assert [trial["trial"] for trial in trials] == list(range(9))
    source = json.loads(trials[0]["parameters"])
    assert source == {**GldnetParameters().to_dict(), "steps": 7}
    assert trials[0]["value"] == pytest.approx(0.4)
    for trial in trials:
        alpha = json.loads(trial["parameters"])["alpha"]
        if trial["state"] == "complete":
            assert trial["value"] == pytest.approx(0.9 - alpha)
        else:
            assert alpha > 0.85
    (best,) = [trial for trial in trials if trial["best"]]
    assert best["value"] == max(t["value"] for t in trials if t["state"] == "complete")
    assert best["value"] > 0.4


def test_a_search_looks_neither_at_the_last_months_nor_beyond_what_is_there(
    streets: Streets,
) -> None:
    oracle = Oracle()
    make(streets, "gldnet_trials", oracle, config={"trials": 12})
    assert {tuple(task["split"]) for task in oracle.asked} == {(17, 19)}  # of 24 months
    assert all(not task["origins"] and not task["save"] for task in oracle.asked)
    looked_back = [t["parameters"]["steps"] for task in oracle.asked for t in task["trainings"]]
    assert max(looked_back) <= 17 // 2


def test_a_type_without_a_crime_to_judge_by_is_not_searched_for(streets: Streets) -> None:
    oracle = Oracle()
    result = make(streets, "gldnet_trials", oracle, config={"crime_types": ["Drugs"]})
    assert "no crime of Drugs from 2024-06 to 2024-07" in reason(result)
    assert not oracle.asked


def test_a_search_that_was_cut_off_goes_on_where_it_was(streets: Streets) -> None:
    whole = make(streets, "gldnet_trials", Oracle(), config={"trials": 6, "at_a_time": 2})
    assert whole.success
    expected = streets.rows("gldnet_trials")
    for log in (streets.lake.root.parent / "gldnet" / "trials").iterdir():
        log.unlink()

    @dataclass
    class CutOff(Oracle):
        def train(self, context: Any, folder: Path, program: str = "") -> None:
            self.fails = "the power went" if len(self.asked) == 2 else ""
            super().train(context, folder, program)

    first = make(streets, "gldnet_trials", CutOff(), config={"trials": 6, "at_a_time": 2})
    assert not first.success
    assert "the power went" in reason(first)
    second = Oracle()
    assert make(streets, "gldnet_trials", second, config={"trials": 6, "at_a_time": 2}).success
    assert len(second.asked) == 2  # the two that were cut off, one by one
    assert streets.rows("gldnet_trials") == expected


# --- Training -------------------------------------------------------------------------------


def test_a_model_is_kept_with_its_epochs_and_with_what_it_was_trained_on(streets: Streets) -> None:
    oracle = Oracle()
    result = make(streets, "gldnet", oracle, config={"crime_types": [ALL_CRIME, VIOLENCE]})
    assert result.success
    rows = streets.rows("gldnet")
    assert [(row["crime_type"], row["epoch"]) for row in rows] == [
        (name, epoch) for name in (ALL_CRIME, VIOLENCE) for epoch in (1, 2, 3)
    ]
    assert [row["kept"] for row in rows] == [False, False, True] * 2
    folder = streets.lake.root.parent / "gldnet" / CUT_OFF / "kent"
    assert (folder / "all_crime.keras").read_text() == "all_crime"
    told = json.loads((folder / "all_crime.json").read_text())
    assert told["months"] == [MONTHS[0], CUT_OFF]
    assert told["seed"] == 1
    shown = metadata(result)
    assert shown["devices"] == "CPU:0"
    assert shown["peak_memory_bytes"] == 2**20
    assert shown["learning"].startswith("![")
    assert "the usual ones: no gldnet_trials" in shown["settings"]
    assert not list((streets.lake.root.parent / "training").iterdir())


def test_the_best_settings_of_the_newest_search_are_taken(streets: Streets) -> None:
    searched = f"kent|{MONTHS[-3]}"
    for key in (f"kent|{MONTHS[-4]}", searched):
        assert make(streets, "gldnet_trials", Oracle(), key, config={"trials": 6}).success
    (best,) = [r for r in streets.rows("gldnet_trials", month=MONTHS[-3]) if r["best"]]
    oracle = Oracle()
    result = make(streets, "gldnet", oracle)
    assert oracle.asked[0]["trainings"][0]["parameters"] == json.loads(best["parameters"])
    assert f"gldnet_trials {MONTHS[-3]}" in metadata(result)["settings"]


def test_a_killed_training_fails_with_its_reason_and_nothing_is_published(
    streets: Streets,
) -> None:
    assert make(streets, "gldnet", Oracle()).success
    before = streets.lake.path("gldnet", {"month": CUT_OFF, "force": "kent"}).read_bytes()
    result = make(streets, "gldnet", Oracle(fails="was killed by signal 9"), config={"seed": 2})
    assert not result.success
    assert "was killed by signal 9" in reason(result)
    assert "stays as it was" in reason(result)
    assert streets.lake.path("gldnet", {"month": CUT_OFF, "force": "kent"}).read_bytes() == before


def test_settings_of_a_longer_history_are_fitted_to_a_shorter_one(streets: Streets) -> None:
    assert make(streets, "gldnet_trials", Oracle(), config={"trials": 12}).success
    streets.lake.path("segment_steps", {"month": MONTHS[3], "force": "kent"}).unlink()
    oracle = Oracle()
    assert make(streets, "gldnet", oracle).success
    (task,) = oracle.asked
    assert len(task["steps"]) == 20
    assert task["trainings"][0]["parameters"]["steps"] <= 14 // 2


def test_a_type_that_is_none_is_named(streets: Streets) -> None:
    result = make(streets, "gldnet", Oracle(), config={"crime_types": ["Fly-tipping"]})
    assert "Fly-tipping: police.uk had no such type" in reason(result)


def test_all_forces_of_a_month_are_trained_in_one_run(streets: Streets) -> None:
    oracle = Oracle(jobs=2)
    result = make(streets, "gldnet", oracle, f"essex|{CUT_OFF}", f"kent|{CUT_OFF}")
    # the range holds forces that have no streets, too: they are named, the others are there
    assert not result.success
    assert "segment_steps" in reason(result)
    for force in FORCES:
        assert len(streets.rows("gldnet", force=force)) == 3


# --- Forecasts ------------------------------------------------------------------------------


def test_every_segment_is_scored_by_the_newest_model(streets: Streets) -> None:
    assert make(streets, "gldnet", Oracle(), f"kent|{MONTHS[-5]}").success
    assert make(streets, "gldnet", Oracle(), f"kent|{MONTHS[-3]}").success
    oracle = Oracle()
    result = make(streets, "gldnet_forecasts", oracle)
    assert result.success
    assert metadata(result)["map"].startswith("![")
    rows = streets.rows("gldnet_forecasts")
    assert [row["segment_id"] for row in rows] == IDS
    assert {row["trained_at"] for row in rows} == {MONTHS[-3]}
    (task,) = oracle.asked
    assert task["origins"] == [len(MONTHS)]
    assert task["trainings"][0]["model"].endswith(
        f"{MONTHS[-3]}/kent/violence_and_sexual_offences.keras"
    )


def test_without_a_model_of_the_last_year_nothing_is_forecast(streets: Streets) -> None:
    assert make(streets, "gldnet", Oracle()).success
    result = make(streets, "gldnet_forecasts", Oracle(), f"kent|{MONTHS[-2]}")
    assert "no gldnet of kent is in the lake that was trained at 2024-11" in reason(result)


def test_a_model_that_is_gone_or_of_other_streets_is_refused(streets: Streets) -> None:
    assert make(streets, "gldnet", Oracle()).success
    told = (
        streets.lake.root.parent / "gldnet" / CUT_OFF / "kent" / "violence_and_sexual_offences.json"
    )
    content = json.loads(told.read_text())
    told.write_text(json.dumps(content | {"made_on": "others"}))
    assert "changed since GLDNet was trained" in reason(make(streets, "gldnet_forecasts", Oracle()))
    told.unlink()
    assert "is gone" in reason(make(streets, "gldnet_forecasts", Oracle()))


# --- With a process that trains -------------------------------------------------------------


@pytest.mark.slow
def test_a_network_is_searched_trained_and_asked_in_a_process_of_its_own(
    streets: Streets,
) -> None:
    trainer = Trainer()
    config = {"trials": 3, "at_a_time": 3}
    assert make(streets, "gldnet_trials", trainer, config=config).success
    trained = make(streets, "gldnet", trainer)
    assert trained.success
    assert f"gldnet_trials {CUT_OFF}" in metadata(trained)["settings"]
    lines = [e.message for e in trained.all_events]
    assert lines
    assert make(streets, "gldnet_forecasts", trainer).success
    scores = [row["score"] for row in streets.rows("gldnet_forecasts")]
    assert len(set(scores)) > 10


@pytest.mark.slow
def test_a_forecast_does_not_know_what_comes_after_its_cut_off(streets: Streets) -> None:
    trainer = Trainer()
    key = f"kent|{MONTHS[-3]}"

    def forecast() -> Sequence[float]:
        assert make(streets, "gldnet", trainer, key).success
        assert make(streets, "gldnet_forecasts", trainer, key).success
        return [row["score"] for row in streets.rows("gldnet_forecasts", month=MONTHS[-3])]

    before = forecast()
    for month in MONTHS[-2:]:  # poison the future
        place = {"month": month, "force": "kent"}
        path = streets.lake.path("segment_steps", place)
        rows = streets.connection.sql(
            f"from read_parquet('{path}', hive_partitioning = false)"
        ).df()
        made_on = streets.made_on("kent")
        streets.publish("segment_steps", rows.assign(crimes=10**6), place, provenance=made_on)
    assert forecast() == before
