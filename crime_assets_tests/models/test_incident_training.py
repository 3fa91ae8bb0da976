"""Networks on incident maps learn patterns that are planted, and go on where they were stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crime_assets.models.grid_classifiers import GRID_CLASSIFIERS, features_of
from crime_assets.models.incident_parameters import BODIES, NETWORKS, IncidentParameters
from crime_assets.models.incident_task import Training as Asked
from crime_assets.models.incident_task import read_results, split_origins, write_task
from crime_assets.models.program import TrainingFailed
from crime_assets.models.train_incident_networks import Incidents, Training, train_folder

ROOT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {
    "filters": 8, "blocks": 1, "lstm_layers": 2, "lstm_units": 16, "cell_units": 8,
    "residual_units": 1, "dropout": 0.0, "learning_rate": 0.01, "batch_size": 16, "block": 4,
    "epochs": 20, "patience": 20,
}  # fmt: skip


def incidents(maps: NDArray, observed: NDArray | None = None, cells: Any = None) -> Incidents:
    days, p = maps.shape[:2]
    return Incidents(
        maps,
        "2015-01-01",
        np.ones(days, bool) if observed is None else observed,
        np.arange(p * p) if cells is None else np.asarray(cells),
    )


def a_training(
    given: Incidents,
    folder: Path,
    target: int | None = 0,
    origins: tuple[int, int] = (5, 110),
    days: tuple[int, int] = (5, 1),
    seed: int = 4,
    **parameters: Any,
) -> Training:
    training, validation = split_origins(range(*origins), 0.15, days[1])
    task = {
        "training": training, "validation": validation, "days_in": days[0], "days_out": days[1],
    }  # fmt: skip
    return Training(
        IncidentParameters(**SMALL | parameters),
        given,
        target,
        task,
        seed=seed,
        checkpoint=folder / "checkpoint" / "state.npz",
        say=lambda _: None,
    )


def some_incidents(days: int = 60, **options: Any) -> Incidents:
    rng = np.random.default_rng(9)
    rate = rng.gamma(0.5, 1, (6, 6, 2))
    maps = rng.poisson(rate, (days, 6, 6, 2)).astype(np.uint8)
    return incidents(maps, **options)


# --- What a window holds --------------------------------------------------------------------


def test_windows_hold_the_observed_days_before_their_origin() -> None:
    observed = np.arange(30) // 7 % 2 == 0
    given = some_incidents(30, observed=observed)
    assert given.windows([2, 16, 30], 10).tolist() == [[-1, 0, 1], [6, 14, 15], [20, 28, 29]]
    # 2015-01-01 was a Thursday
    found = given.calendar([29], 4).reshape(3, 4)
    assert found.tolist() == [[18, 19, 20, 28], [-1, -1, 1, 15], [-1, -1, -1, -1]]
    long = some_incidents(130).calendar([130], 4).reshape(3, 4)  # 2015-05-11, a Monday
    assert long.tolist() == [[126, 127, 128, 129], [102, 109, 116, 123], [10, 41, 69, 100]]


def test_targets_are_counts_of_observed_days_alone() -> None:
    observed = np.arange(60) % 3 > 0
    given = some_incidents(observed=observed, cells=[2, 33])
    training = a_training(given, Path(), None, (5, 40), (5, 4), network="st-resnet")
    found = training._counts(np.array([7, 20]))
    for row, at in zip(found, (7, 20), strict=True):
        days = [day for day in range(at, at + 4) if observed[day]]
        by_hand = given.maps[days].reshape(len(days), 36, 2)[:, [2, 33]].sum(axis=0)
        np.testing.assert_array_equal(row, by_hand)


def test_a_batch_holds_each_day_once_and_no_day_to_come() -> None:
    given = some_incidents()
    for network in ("sftt", "st-resnet"):
        training = a_training(given, Path(), origins=(5, 50), network=network, channels="target")
        maps, positions = training._inputs(np.array([20, 22, 6]))
        assert maps.shape[1:] == (6, 6, 1)
        days = training._days([20, 22, 6])
        assert (days < np.array([[20], [22], [6]])).all()
        assert len(maps) == len(np.unique(days[days >= 0]))
        np.testing.assert_array_equal(positions < 0, days < 0)
        seen = positions >= 0
        np.testing.assert_array_equal(maps[positions[seen]], given.maps[days[seen]][..., :1])


def test_an_epoch_is_blocks_of_all_origins_in_an_order_of_its_own() -> None:
    training = a_training(some_incidents(), Path(), origins=(5, 50))
    orders = [training._order(np.random.default_rng([4, epoch])) for epoch in (1, 2)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), training.parts["training"])
        assert (np.diff(order) == 1).mean() > 0.6
    assert orders[0].tolist() != orders[1].tolist()


def test_what_is_to_come_changes_nothing() -> None:
    given = some_incidents()
    poisoned = given.maps.copy()
    poisoned[46:] = 200
    told = []
    for maps in (given.maps, poisoned):
        training = a_training(replace(given, maps=maps), Path(), origins=(5, 40), days=(5, 6))
        told.append(training.foretold([30, 46]))
    np.testing.assert_array_equal(*told)


@pytest.mark.parametrize("target", [1, None])
def test_an_untrained_network_starts_at_what_each_cell_had(target: int | None) -> None:
    given = some_incidents()
    training = a_training(given, Path(), target, days=(5, 7), origins=(5, 50))
    counts = training._counts(training.parts["training"])
    level = training.model.level
    np.testing.assert_allclose(level["count"], counts.mean(axis=0), rtol=1e-5)
    likely = 1 / (1 + np.exp(-level["logit"]))
    np.testing.assert_allclose(likely, (counts > 0).mean(axis=0), atol=1 / len(counts))
    probability, expected = training.foretold([50, 52, 60])
    assert probability.shape == expected.shape == ((3, 36) if target else (3, 36, 2))
    assert probability.min() >= 0
    assert probability.max() <= 1
    assert expected.min() >= 0


# --- Patterns -------------------------------------------------------------------------------


def moving_hotspot(days: int = 220) -> NDArray[np.uint8]:
    """A hotspot that moves by one cell a day, to and fro along twelve of 36 cells.

    Where it was today does not say where it will be tomorrow: that takes yesterday as well.
    """
    maps = np.zeros((days, 6, 6, 1), np.uint8)
    row, column = np.divmod(11 - np.abs(11 - np.arange(days) % 22), 6)
    maps[np.arange(days), 2 * row + 1, column] = 3
    return maps


def rings(days: int = 300) -> NDArray[np.uint8]:
    """Crimes on the eight cells round a centre, which the other channel has the day before."""
    maps = np.zeros((days, 6, 6, 2), np.uint8)
    centres = np.random.default_rng(2).integers(1, 5, (days, 2))
    for day, (row, column) in enumerate(centres):
        maps[day, row, column, 1] = 1
        if day + 1 < days:
            maps[day + 1, row - 1 : row + 2, column - 1 : column + 2, 0] = 1
            maps[day + 1, row, column, 0] = 0
    return maps


def found_share(scores: NDArray, truth: NDArray) -> float:
    """The mean share of hot cells among as many cells with the highest scores."""
    shares = []
    for score, hot in zip(scores, truth > 0, strict=True):
        first = np.argsort(-score, kind="stable")[: hot.sum()]
        shares.append(hot[first].mean())
    return float(np.mean(shares))


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_a_hotspot_that_moves_is_foretold(network: str, tmp_path: Path) -> None:
    maps = moving_hotspot()
    flat = maps[..., 0].reshape(len(maps), -1)
    test = np.arange(190, 219)
    training = a_training(incidents(maps), tmp_path, network=network, origins=(5, 185))
    training.run()
    probability, expected = training.foretold(test)
    assert found_share(probability, flat[test]) > 0.9
    assert found_share(expected, flat[test]) > 0.9


def test_no_baseline_foretells_a_hotspot_that_moves_nor_does_a_day_alone() -> None:
    maps = moving_hotspot()
    flat = maps[..., 0].reshape(len(maps), -1)
    test = np.arange(190, 219)
    truth = flat[test]
    told = {
        "persistence": np.stack([flat[at - 1] for at in test]),
        "rolling mean": np.stack([flat[:at].mean(axis=0) for at in test]),
    }
    known = np.array([flat[at - 1].argmax() for at in range(1, 186)])
    told["the day before"] = np.stack(
        [flat[1:186][known == flat[at - 1].argmax()].mean(axis=0) for at in test]
    )
    learned = np.arange(5, 186)
    windows = [maps[at - 5 : at].reshape(5, 36, 1) for at in (*learned, *test)]
    rows = features_of(np.stack(windows)).reshape(len(windows), 36, -1)
    hot = flat[learned].ravel() > 0
    for name, classifier in GRID_CLASSIFIERS.items():
        fitted = classifier.fit(rows[: len(learned)].reshape(len(hot), -1), hot)
        of_test = fitted.probability(rows[len(learned) :].reshape(truth.size, -1))
        told[name] = of_test.reshape(truth.shape)
    shares = {name: found_share(scores, truth) for name, scores in told.items()}
    assert shares["persistence"] == 0
    assert shares["rolling mean"] < 0.2
    assert max(shares.values()) < 0.7, shares


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES)
def test_a_ring_round_a_centre_is_foretold(body: str, tmp_path: Path) -> None:
    maps = rings()
    flat = maps[..., 0].reshape(len(maps), -1)
    test = np.arange(255, 299)
    truth = flat[test]
    persistence = np.stack([flat[at - 1] for at in test])
    rolling = np.stack([flat[:at].mean(axis=0) for at in test])
    assert max(found_share(persistence, truth), found_share(rolling, truth)) < 0.6
    # VGG is the deepest by far
    by = {"learning_rate": 0.001, "epochs": 40} if body == "vgg" else {"epochs": 12}
    training = a_training(
        incidents(maps), tmp_path, origins=(5, 250), days=(2, 1), body=body, lstm_layers=1, **by
    )
    training.run()
    probability, expected = training.foretold(test)
    assert found_share(probability, truth) > 0.9
    assert found_share(expected, truth) > 0.9


# --- Going on -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_training_that_goes_on_ends_as_one_that_was_never_stopped(tmp_path: Path) -> None:
    options = {"target": None, "dropout": 0.3, "epochs": 4}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = a_training(some_incidents(120), tmp_path / "a", **options)
    whole.run()
    stopped = a_training(some_incidents(120), tmp_path / "b", **options)
    for _ in range(2):
        stopped._run_epoch()
        stopped._save()
    resumed = a_training(some_incidents(120), tmp_path / "b", **options)
    resumed.run()
    assert [e["loss"] for e in resumed.epochs] == [e["loss"] for e in whole.epochs]
    for one, other in zip(whole.kept, resumed.kept, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_fails_with_its_reason(tmp_path: Path) -> None:
    training = a_training(some_incidents(120), tmp_path, learning_rate=1e30, epochs=3)
    with pytest.raises(TrainingFailed, match=r"not finite in epoch \d: try a lower learning_rate"):
        training.run()


def a_folder(folder: Path, trainings: list[Asked]) -> Path:
    given = some_incidents(90)
    return write_task(
        folder,
        given.maps,
        first_day=given.first_day,
        observed=given.observed,
        crime_types=["Theft", "All crime"],
        cells=given.cells,
        trainings=trainings,
        training=range(10, 70),
        test=[75, 90],
        days_in=10,
        days_out=5,
    )


def program(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "crime_assets.models.train_incident_networks", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )


@pytest.mark.slow
def test_a_program_that_was_killed_goes_on_and_answers(tmp_path: Path) -> None:
    asked = [
        Asked("one", "All crime", SMALL | {"epochs": 4, "dropout": 0.2}),
        Asked("bad", "Theft", {"depth": 3}),
    ]
    folder = a_folder(tmp_path, asked)
    running = program(folder)
    assert running.stdout
    for line in running.stdout:
        if "epoch 2 of" in line:
            running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not (folder / "results.json").exists()
    output, errors = (running := program(folder)).communicate()
    assert running.returncode == 0, errors
    assert "one: goes on after epoch" in output
    found = read_results(folder)
    assert "there is no depth" in found.trainings["bad"]["failed"]
    one = found.trainings["one"]
    assert [epoch["epoch"] for epoch in one["epochs"]] == [1, 2, 3, 4]
    assert one["epochs"][-1]["loss"] < one["epochs"][0]["loss"]
    assert one["parameters"] > 1000
    assert one["peak_memory_bytes"] > 2**27
    assert one["seconds"] > 0
    assert found.probability["one"].shape == found.expected["one"].shape == (2, 36)
    assert found.machine["devices"]
    assert not list(folder.glob("*checkpoint*")) + list(folder.glob("unfinished*"))


def test_a_folder_that_is_not_whole_is_an_error_and_a_training_that_cannot_be_is_not(
    tmp_path: Path,
) -> None:
    folder = a_folder(tmp_path, [Asked("one", None, {"body": "u-net"})])
    lines: list[str] = []
    train_folder(folder, lines.append)
    assert "body is 'u-net'" in read_results(folder).trainings["one"]["failed"]
    assert any(line.startswith("one: failed: body is 'u-net'") for line in lines)
    (folder / "results.json").unlink()
    folder = a_folder(tmp_path, [Asked("one", None, SMALL)])
    (folder / "inputs.npz").unlink()
    with pytest.raises(FileNotFoundError):
        train_folder(folder, lines.append)
    assert not (folder / "results.json").exists()
