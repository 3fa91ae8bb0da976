"""What is handed to the program that trains, and what is read of its answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from crime_assets import DataError
from crime_assets.models import task
from crime_assets.models.task import (
    Training,
    TrainingFailed,
    code_of_program,
    digest_of,
    read_results,
    run_task,
    validation_crimes,
    write_task,
)

COUNTS = np.array([[0, 1, 0, 2, 0, 0], [3, 0, 0, 0, 0, 1]])
"""Two steps of three segments with two features each."""


def written(folder: Path, **changed: Any) -> Path:
    asked: dict[str, Any] = {
        "counts": csr_array(COUNTS),
        "features": ["Drugs", "All crime"],
        "steps": ["2025-01", "2025-02"],
        "one": [0, 1],
        "other": [1, 2],
        "weight": [0.5, 0.9],
        "length": [10.0, 20.0, 30.0],
        "trainings": [Training("all-crime", "All crime", {"steps": 1})],
        "split": (1, 2),
        "origins": [1, 2],
    } | changed
    return write_task(folder, **asked)


def answer(folder: Path, failed: str | None = None) -> None:
    results = {"machine": {"devices": ["CPU"]}, "trainings": {"all-crime": {"failed": failed}}}
    (folder / "results.json").write_text(json.dumps(results))
    if not failed:
        np.save(folder / "all-crime.npy", np.ones((2, 3), dtype=np.float32))


def test_a_task_is_written_as_the_program_reads_it(tmp_path: Path) -> None:
    folder = written(tmp_path / "task")
    with np.load(folder / "inputs.npz") as found:
        shape = tuple(found["shape"])
        assert shape == (2, 3, 2)
        parts = (found["counts_data"], found["counts_indices"], found["counts_indptr"])
        assert (csr_array(parts, shape=(2, 6)).toarray() == COUNTS).all()
        assert found["one"].tolist() == [0, 1]
        assert found["other"].tolist() == [1, 2]
        assert found["weight"].tolist() == pytest.approx([0.5, 0.9])
        assert found["length"].tolist() == [10, 20, 30]
    content = json.loads((folder / "task.json").read_text())
    content.pop("inputs")
    assert content == {
        "features": ["Drugs", "All crime"],
        "steps": ["2025-01", "2025-02"],
        "trainings": [
            {
                "name": "all-crime", "target": 1, "parameters": {"steps": 1}, "model": None,
                "model_sha256": None,
            }
        ],
        "split": [1, 2],
        "origins": [1, 2],
        "save": False,
        "seed": 1,
        "code": code_of_program(),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"length": [1.0, 2.0]}, "2 segments and 2 features"),
        ({"one": [1, 1]}, "`one` must come before"),
        ({"split": (2, 2)}, "a split at"),
        ({"origins": [3]}, r"origins \[3\] of 2 steps"),
        ({"trainings": [Training("a", "Drugs", {})] * 2}, "two trainings of one name"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        written(tmp_path, **changed)


def test_the_same_task_again_keeps_what_was_done_of_it(tmp_path: Path) -> None:
    answer(written(tmp_path))
    (tmp_path / "error.txt").write_text("The network is down.")
    written(tmp_path)
    assert read_results(tmp_path).forecasts["all-crime"].shape == (2, 3)
    assert not (tmp_path / "error.txt").exists()


@pytest.mark.parametrize("changed", [{"seed": 2}, {"weight": [0.5, 0.8]}])
def test_of_another_task_nothing_is_kept(changed: dict[str, Any], tmp_path: Path) -> None:
    answer(written(tmp_path))
    (tmp_path / "checkpoint-all-crime").mkdir()
    written(tmp_path, **changed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inputs.npz", "task.json"]


def test_of_other_code_or_another_model_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, folder = tmp_path / "model.keras", tmp_path / "task"
    asked = {"trainings": [Training("all-crime", "All crime", {}, model)]}
    with pytest.raises(DataError, match=r"model\.keras is gone, the model of All crime"):
        written(folder, **asked)
    model.write_bytes(b"of 2024")
    answer(written(folder, **asked))
    assert (written(folder, **asked) / "results.json").exists()
    model.write_bytes(b"of 2025")
    assert not (written(folder, **asked) / "results.json").exists()
    answer(folder)
    monkeypatch.setattr(task, "PROGRAM_FILES", ("gldnet.py",))
    assert not (written(folder, **asked) / "results.json").exists()


def test_the_crimes_of_the_target_in_validation_are_counted() -> None:
    features = ["Drugs", "All crime"]
    of_split = {
        (target, split): validation_crimes(csr_array(COUNTS), features, target, split)
        for target in features for split in ((0, 1), (1, 2))
    }  # fmt: skip
    assert list(of_split.values()) == [0, 3, 3, 1]


def test_a_digest_is_of_values_types_shapes_and_order() -> None:
    parts = (
        [[1, 2]], [[1], [2]], ["1", "2"], [1.0, 2.0], [2, 1], [1, 2]
    )  # fmt: skip
    arrays = [np.array(part) for part in parts]
    found = {digest_of(array) for array in arrays} | {digest_of(*arrays[:2]), digest_of(1, "a")}
    assert len(found) == len(parts) + 2
    assert digest_of(np.array(["a", 1], dtype=object)) == digest_of(["a", 1])
    assert digest_of(*arrays) == digest_of(*(array.copy() for array in arrays))


def test_results_are_read_with_their_forecasts(tmp_path: Path) -> None:
    answer(written(tmp_path))
    found = read_results(tmp_path)
    assert found.machine == {"devices": ["CPU"]}
    assert found.trainings == {"all-crime": {"failed": None}}
    assert found.forecasts["all-crime"].tolist() == [[1, 1, 1], [1, 1, 1]]


def test_a_training_that_failed_has_a_reason_and_no_forecasts(tmp_path: Path) -> None:
    answer(written(tmp_path), failed="the loss is no number")
    found = read_results(tmp_path)
    assert found.trainings["all-crime"]["failed"] == "the loss is no number"
    assert not found.forecasts


def test_a_program_that_did_not_end_is_an_error_with_its_reason(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(TrainingFailed, match="no results of all-crime: it left no reason"):
        read_results(tmp_path)
    (tmp_path / "error.txt").write_text("Out of memory.\n")
    with pytest.raises(TrainingFailed, match=r"no results of all-crime: Out of memory\."):
        read_results(tmp_path)


def test_the_program_is_run_and_what_it_prints_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "made_program.py"
    program.write_text(
        "import sys, json, numpy, pathlib\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "print('epoch 1')\n"
        "json.dump({'trainings': {'all-crime': {'failed': None}}},"
        " (folder / 'results.json').open('w'))\n"
        "numpy.save(folder / 'all-crime.npy', numpy.zeros((2, 3)))\n"
    )
    monkeypatch.setattr(task, "PROGRAM", "made_program")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    lines: list[str] = []
    found = run_task(written(tmp_path / "task"), lines.append)
    assert lines == ["epoch 1"]
    assert found.forecasts["all-crime"].shape == (2, 3)
    program.write_text("import sys\nsys.exit(7)\n")
    with pytest.raises(TrainingFailed, match="made_program ended with code 7"):
        run_task(written(tmp_path / "other"))
