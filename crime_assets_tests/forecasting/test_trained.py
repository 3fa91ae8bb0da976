"""GLDNet in an experiment: what it is given, what it may know, and what comes of its search."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crime_assets import DataError
from crime_assets.forecasting import trained
from crime_assets.forecasting.backtest import Ask
from crime_assets.forecasting.counts import Counts, Units
from crime_assets.forecasting.experiment import Experiment, run
from crime_assets.forecasting.forecaster import NoForecast
from crime_assets.forecasting.trained import Asked, edges_of, side_by_side, train
from crime_assets.lsoa.neighbours import link
from crime_assets.models.task import Results
from crime_assets.partitions import months_after
from crime_assets.register import ALL_CRIME

N, MONTHS = 12, 40
SPLIT = (28, 32)
"""70 and 80 % of the months."""


def street(months: int = MONTHS) -> Counts:
    """Segments in a row, of crimes that are the same each month: one more on each segment."""
    units = Units(
        "segment", np.arange(N), np.linspace(20, 240, N), link(N, range(11), range(1, 12))
    )
    unit, at = np.meshgrid(np.arange(N), np.arange(months))
    rows = {
        "Drugs": (unit.ravel(), at.ravel(), unit.ravel()),
        "Burglary": ([3], [1], [9]),
        ALL_CRIME: (unit.ravel(), at.ravel(), unit.ravel()),
    }
    return Counts.of(units, months_after("2022-12", months), rows)


COUNTS = street()


class Program:
    """Stands for the program: answers at once, and keeps what it was asked."""

    def __init__(self, value: Callable[[dict[str, Any]], float | None] = lambda p: 0.5) -> None:
        self.value = value
        self.tasks: list[dict[str, Any]] = []
        self.folders: list[Path] = []

    def __call__(self, folder: Path) -> Results:
        task = json.loads((folder / "task.json").read_text())
        self.tasks.append(task)
        self.folders.append(folder)
        done, forecasts = {}, {}
        for training in task["trainings"]:
            value = self.value(training["parameters"])
            done[training["name"]] = {
                "failed": None if value is not None else "the loss is no number",
                "metrics": {
                    "validation": {"hit_rate_length_10": value, "hit_rate_length_20": value}
                },
                "kept_epoch": 3,
            }
            if value is not None and task["origins"]:
                # at each origin, as much as its position for each segment
                forecasts[training["name"]] = np.repeat(
                    np.array(task["origins"], dtype=np.float32)[:, None], N, axis=1
                )
        return Results({}, done, forecasts)


# --- What it is given -----------------------------------------------------------------------


def test_the_features_of_a_segment_stand_side_by_side() -> None:
    found = side_by_side(COUNTS, ("Burglary", "Drugs"))
    assert found.shape == (MONTHS, 2 * N)
    dense = found.toarray().reshape(MONTHS, N, 2)
    assert (dense[:, :, 0] == COUNTS.crimes["Burglary"].toarray().T).all()
    assert (dense[:, :, 1] == COUNTS.crimes["Drugs"].toarray().T).all()


def test_segments_that_meet_are_weighted_by_the_distance_of_their_middles() -> None:
    one, other, weight = edges_of(COUNTS.units)
    assert one.tolist() == list(range(11))
    assert other.tolist() == list(range(1, 12))
    assert weight[0] == pytest.approx(np.exp(-(30.0**2) / (2 * 750**2)))


def test_the_program_gets_the_split_the_features_and_the_steps_after_the_cut_offs(
    tmp_path: Path,
) -> None:
    program = Program()
    asked = Asked(("Drugs",), features=("Burglary",), parameters={"epochs": 2}, seed=5)
    train(asked, COUNTS, COUNTS.steps[31:34], tmp_path, run=program)
    (task,) = program.tasks
    assert task["features"] == ["Burglary", "Drugs"]  # a target is always looked at
    assert task["steps"] == list(COUNTS.steps)
    assert task["split"] == [*SPLIT]
    assert task["origins"] == [32, 33, 34]
    assert task["seed"] == 5
    (training,) = task["trainings"]
    assert (training["name"], training["target"]) == ("0-drugs", 1)
    assert training["parameters"]["epochs"] == 2
    with np.load(program.folders[0] / "inputs.npz") as inputs:
        assert inputs["length"].tolist() == COUNTS.units.size.tolist()


def test_all_types_are_looked_at_where_none_is_named(tmp_path: Path) -> None:
    program = Program()
    train(Asked(("Drugs", ALL_CRIME)), COUNTS, COUNTS.steps[35:36], tmp_path, run=program)
    assert program.tasks[0]["features"] == ["Drugs", "Burglary", ALL_CRIME]
    assert [training["target"] for training in program.tasks[0]["trainings"]] == [0, 2]


def test_it_looks_back_no_further_than_half_of_what_it_learns_from(tmp_path: Path) -> None:
    program = Program()
    counts = street(12)  # it learns from eight
    train(Asked(("Drugs",)), counts, counts.steps[10:11], tmp_path, run=program)
    assert program.tasks[0]["trainings"][0]["parameters"]["steps"] == 4
    found = Asked(("Drugs",), trials=12)
    train(found, counts, counts.steps[10:11], tmp_path / "searched", run=program)
    tried = [t["parameters"]["steps"] for task in program.tasks for t in task["trainings"]]
    assert max(tried) == 4


# --- What it may know -----------------------------------------------------------------------


def test_it_says_nothing_of_steps_that_it_learnt_from(tmp_path: Path) -> None:
    program = Program()
    told, _ = train(Asked(("Drugs",)), COUNTS, COUNTS.steps[25:36], tmp_path, run=program)
    assert program.tasks[0]["origins"] == [32, 33, 34, 35, 36]
    history = COUNTS.until(COUNTS.steps[31])
    assert told.forecast(history, "Drugs", [1]).tolist() == [32.0] * N
    with pytest.raises(NoForecast):
        told.forecast(COUNTS.until(COUNTS.steps[30]), "Drugs", [1])


def test_predictions_of_a_poisson_loss_are_ranked_by_length_and_where_that_is_meant(
    tmp_path: Path,
) -> None:
    history = COUNTS.until(COUNTS.steps[31])
    by_loss = {
        (loss, alike): train(
            Asked(("Drugs",), parameters={"loss": loss}),
            COUNTS, COUNTS.steps[31:32], tmp_path / f"{loss}{alike}",
            each_alike=alike, run=Program(),
        )[0].forecast(history, "Drugs", [1])
        for loss in ("weighted", "poisson") for alike in (False, True)
    }  # fmt: skip
    for key, scores in by_loss.items():
        expected = 32 / COUNTS.units.relative_size if key == ("poisson", False) else np.full(N, 32)
        assert scores == pytest.approx(expected), key


@pytest.mark.parametrize(
    ("counts", "asked", "words"),
    [
        (COUNTS, Asked(("Robbery",)), "gldnet: no crimes of Robbery in these counts"),
        (COUNTS, Asked(("Drugs",), features=("Theft",)), "no crimes of Theft"),
        (street(2), Asked(("Drugs",)), "2 months are too few to train on"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    counts: Counts, asked: Asked, words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=words):
        train(asked, counts, counts.steps[-2:-1], tmp_path, run=Program())


# --- The search -----------------------------------------------------------------------------


def test_the_best_of_the_trials_is_trained_again_to_forecast(tmp_path: Path) -> None:
    program = Program(lambda p: -abs(p["alpha"] - 0.3))
    asked = Asked(("Drugs",), trials=10, batch=3)
    _, found = train(asked, COUNTS, COUNTS.steps[33:34], tmp_path, run=program)
    *searched, last = program.tasks
    assert [len(task["trainings"]) for task in searched] == [3, 3, 3, 1]
    assert all(task["origins"] == [] for task in searched)
    trials = found["Drugs"]["trials"]
    assert len(trials) == 10
    assert trials[0]["parameters"]["alpha"] == 0.5  # the defaults
    best = min(trials, key=lambda trial: abs(trial["parameters"]["alpha"] - 0.3))
    assert last["trainings"][0]["parameters"] == best["parameters"]
    assert found["Drugs"]["parameters"] == best["parameters"]
    assert found["Drugs"]["kept_epoch"] == 3


def test_a_second_run_makes_no_trial_again(tmp_path: Path) -> None:
    asked = Asked(("Drugs",), trials=5)
    first = train(asked, COUNTS, COUNTS.steps[33:34], tmp_path, run=Program())
    program = Program()
    again = train(asked, COUNTS, COUNTS.steps[33:34], tmp_path, run=program)
    assert len(program.tasks) == 1
    assert again[1] == first[1]


@pytest.mark.parametrize("other", ["counts", "lengths", "objective", "features", "code"])
def test_of_other_data_a_search_takes_no_trial(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"trials": 3, "features": ("Drugs",)}
    train(Asked(("Drugs",), **options), COUNTS, COUNTS.steps[33:34], tmp_path, run=Program())
    counts = COUNTS
    if other == "counts":
        counts = replace(counts, crimes={t: 2 * of for t, of in counts.crimes.items()})
    elif other == "lengths":
        counts = replace(counts, units=replace(counts.units, size=counts.units.size + 1))
    elif other == "code":
        monkeypatch.setattr(trained, "code_of_program", lambda: "changed")
    else:
        options[other] = {"objective": "hit_rate_length_20", "features": ("Burglary",)}[other]
    program = Program()
    train(Asked(("Drugs",), **options), counts, counts.steps[33:34], tmp_path, run=program)
    assert len(program.tasks) == 2  # the trials, and what came of them


def test_a_search_without_a_crime_to_be_judged_by_is_refused_before_it_starts(
    tmp_path: Path,
) -> None:
    program = Program()
    asked = Asked(("Drugs", "Burglary"), trials=3)
    words = f"no crime of Burglary from {COUNTS.steps[28]} to {COUNTS.steps[31]}, which are to"
    with pytest.raises(DataError, match=words):
        train(asked, COUNTS, COUNTS.steps[33:34], tmp_path, run=program)
    assert not program.tasks
    train(replace(asked, trials=0), COUNTS, COUNTS.steps[33:34], tmp_path, run=program)


def test_types_that_differ_in_their_digits_have_trainings_of_their_own(tmp_path: Path) -> None:
    crimes = dict.fromkeys(("Part 1", "Part 2", ALL_CRIME), COUNTS.crimes["Drugs"])
    program = Program()
    asked = Asked(("Part 1", "Part 2"), trials=2)
    counts = replace(COUNTS, crimes=crimes)
    _, found = train(asked, counts, COUNTS.steps[33:34], tmp_path, run=program)
    assert [len(found[name]["trials"]) for name in asked.targets] == [2, 2]
    assert len(set(program.folders)) == 3
    assert [t["name"] for t in program.tasks[-1]["trainings"]] == ["0-part", "1-part"]


def test_a_training_that_failed_leaves_gldnet_without_a_word(tmp_path: Path) -> None:
    program = Program(lambda p: None)
    told, found = train(Asked(("Drugs",)), COUNTS, COUNTS.steps[33:34], tmp_path, run=program)
    assert found["Drugs"]["failed"] == "the loss is no number"
    assert not told.scores


@pytest.mark.slow
def test_the_real_program_finds_the_street_that_is_always_hot(tmp_path: Path) -> None:
    experiment = Experiment(
        "A street", {"incidents": "-"}, ("last_month", "perfect_foresight"), ("Drugs",),
        last_share=0.2, headline=("hit_rate", 0.2), gldnet={"targets": ["Drugs"], "trials": 2},
        ask=Ask((1,), least_months=12, resamplings=5),
    )  # fmt: skip
    gldnet = experiment.train(COUNTS, tmp_path)
    assert gldnet is not None
    found = run(experiment, COUNTS, {}, scope="street", gldnet=gldnet).evaluations
    assert found.query("model == 'gldnet'")["month"].nunique() == 8
    scores = next(iter(gldnet[0].scores.values()))
    assert scores[6:].mean() > scores[:6].mean()
