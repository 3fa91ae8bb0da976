"""What is handed to the program that trains on incident maps, and what is read of its answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crime_assets.models import incident_task
from crime_assets.models.incident_task import (
    Training,
    read_results,
    run_task,
    split_origins,
    write_task,
)
from crime_assets.models.task import TrainingFailed

MAPS = np.random.default_rng(1).poisson(0.5, (60, 4, 4, 2)).astype(np.uint8)


def written(folder: Path, **changed: Any) -> Path:
    asked: dict[str, Any] = {
        "first_day": "2015-01-01",
        "observed": np.arange(60) % 7 > 0,
        "crime_types": ["Theft", "All crime"],
        "cells": [1, 5, 6],
        "trainings": [
            Training("all", "All crime", {"network": "sftt"}), Training("each", None, {}),
        ],
        "training": range(5, 40),
        "test": [50, 60],
        "days_in": 5,
        "days_out": 3,
        "validation": 0.2,
    } | changed  # fmt: skip
    return write_task(folder, asked.pop("maps", MAPS), **asked)


def answer(folder: Path, failed: str | None = None) -> None:
    done = {"all": {"failed": failed}, "each": {"failed": None}}
    results = {"machine": {"devices": ["CPU"]}, "trainings": done}
    (folder / "results.json").write_text(json.dumps(results))
    for name, shape in (("all", (2, 3)), ("each", (2, 3, 2))):
        if not done[name]["failed"]:
            parts = np.full(shape, 0.25, np.float32), np.full(shape, 2, np.float32)
            np.savez(folder / f"{name}.npz", probability=parts[0], expected=parts[1])


def test_a_task_is_written_as_the_program_reads_it(tmp_path: Path) -> None:
    folder = written(tmp_path / "task")
    maps = np.load(folder / "maps.npy", mmap_mode="r")
    np.testing.assert_array_equal(maps, MAPS)
    with np.load(folder / "inputs.npz") as found:
        assert found["observed"].sum() == 51
        assert found["cells"].tolist() == [1, 5, 6]
    task = json.loads((folder / "task.json").read_text())
    assert task["trainings"] == [
        {"name": "all", "target": 1, "parameters": {"network": "sftt"}},
        {"name": "each", "target": None, "parameters": {}},
    ]
    assert task["validation"] == list(range(33, 40))
    assert task["training"] == list(range(5, 31))
    assert (task["test"], task["days_in"], task["days_out"]) == ([50, 60], 5, 3)


def test_no_target_of_the_training_is_one_of_the_validation() -> None:
    for share in (0.1, 0.35):
        training, held = split_origins(range(100, 0, -2), share, 7)
        assert len(held) == round(share * 50)
        assert held == sorted(held)
        assert held[-1] == 100
        assert max(training) + 7 <= min(held)
        assert min(held) - max(training) < 7 + 2  # and no more is left out than must be
    assert split_origins([1, 2, 3], 0, 30) == ([1, 2, 3], [])
    with pytest.raises(ValueError, match="of 4 origins none is left to train on"):
        split_origins([1, 2, 3, 4], 0.5, 30)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"maps": MAPS.astype(np.int64)}, "int64: uint8, uint16, float32"),
        ({"maps": MAPS[:, :3]}, r"maps of \(60, 3, 4, 2\)"),
        ({"observed": np.ones(59)}, "60 days and 2 types"),
        ({"crime_types": ["Theft"]}, "1 crime types"),
        ({"cells": [1, 1]}, "different positions in 4 x 4"),
        ({"cells": [16]}, "different positions in 4 x 4"),
        ({"cells": []}, "different positions in 4 x 4"),
        ({"training": [4, 20]}, r"training origins \[4\]: they are 5 to 57"),
        ({"test": [61]}, r"test origins \[61\]: they are 5 to 60"),
        ({"training": range(5, 52)}, "a target day of the training is one of the test"),
        ({"trainings": [Training("a", None, {})] * 2}, "two trainings of one name"),
        ({"trainings": [Training("a", "Arson", {})]}, "'Arson' is not in list"),
        ({"first_day": "January"}, "Invalid isoformat"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        written(tmp_path / "task", **changed)


def test_the_same_task_again_keeps_what_was_done_and_another_nothing(tmp_path: Path) -> None:
    answer(written(tmp_path))
    (tmp_path / "error.txt").write_text("The disk is full.")
    written(tmp_path)
    assert read_results(tmp_path).expected["all"].shape == (2, 3)
    assert not (tmp_path / "error.txt").exists()
    other = MAPS.copy()
    other[3, 2, 1, 0] += 1
    for changed in ({"maps": other}, {"seed": 2}, {"observed": np.ones(60)}):
        written(tmp_path, **changed)
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "inputs.npz", "maps.npy", "task.json",
        ]  # fmt: skip
        answer(tmp_path)


def test_results_are_read_and_a_training_that_failed_has_a_reason(tmp_path: Path) -> None:
    answer(written(tmp_path))
    found = read_results(tmp_path)
    assert found.machine == {"devices": ["CPU"]}
    assert found.probability["each"].shape == (2, 3, 2)
    assert found.expected["all"].tolist() == [[2, 2, 2], [2, 2, 2]]
    answer(tmp_path, failed="memory ran out")
    found = read_results(tmp_path)
    assert found.trainings["all"]["failed"] == "memory ran out"
    assert set(found.probability) == set(found.expected) == {"each"}
    (tmp_path / "results.json").unlink()
    with pytest.raises(TrainingFailed, match="no results of all, each: it left no reason"):
        read_results(tmp_path)


def test_a_program_that_ends_badly_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_program.py").write_text("import sys\nprint('so far')\nsys.exit(7)\n")
    monkeypatch.setattr(incident_task, "PROGRAM", "made_program")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    lines: list[str] = []
    with pytest.raises(TrainingFailed, match="made_program ended with code 7"):
        run_task(written(tmp_path / "task"), lines.append)
    assert lines == ["so far"]


def test_importing_neither_side_imports_dagster_or_tensorflow() -> None:
    code = (
        "import sys, crime_assets.models.incident_task as _\n"
        "import crime_assets.models.train_incident_networks\n"
        "assert not {'dagster', 'tensorflow', 'keras', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
