"""The folder in which a task is handed to the program that trains, and in which it answers.

Who asks need not have TensorFlow: arrays and JSON go in, JSON and arrays come out. The program is
:data:`PROGRAM`; :func:`run_task` runs it on this machine and waits.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PROGRAM = "crime_assets.models.train_gldnet"
PROGRAM_FILES = (
    "gldnet.py", "train_gldnet.py", "program.py", "windows.py", "gldnet_parameters.py",
    "parameters.py",
)  # fmt: skip
INPUTS, TASK, RESULTS, ERROR = "inputs.npz", "task.json", "results.json", "error.txt"


class TrainingFailed(DataError):
    """The program ended without results; the message is the reason that it gave."""


@dataclass(frozen=True)
class Training:
    """One network to train: its ``name`` (a file's), the feature that it foretells, its settings.

    ``parameters`` are the fields of ``GldnetParameters``. With ``model``, the path of one that was
    saved, nothing is trained, and that one is asked.
    """

    name: str
    target: str
    parameters: Mapping[str, Any]
    model: Path | None = None

    def to_dict(self, features: Sequence[str]) -> dict[str, Any]:
        """Its entry in the task; raises :class:`~crime_assets.DataError` if its model is gone."""
        if self.model and not self.model.is_file():
            raise DataError(f"{self.model} is gone, the model of {self.target}: train it again")
        return {
            "name": self.name,
            "target": list(features).index(self.target),
            "parameters": dict(self.parameters),
            "model": str(self.model) if self.model else None,
            "model_sha256": _sha256(self.model.read_bytes()) if self.model else None,
        }


@dataclass(frozen=True)
class Results:
    """What the program answered.

    ``machine`` says what it ran on; ``trainings`` are, by name, epochs, metrics and times
    (``failed`` is a reason, or ``None``); ``forecasts`` are, by name, what is expected at the
    origins: (origins, n). A training that failed has none.
    """

    machine: Mapping[str, Any]
    trainings: Mapping[str, Mapping[str, Any]]
    forecasts: Mapping[str, NDArray[np.float32]]


def write_task(
    folder: Path,
    counts: csr_array,
    *,
    features: Sequence[str],
    steps: Sequence[str],
    one: ArrayLike,
    other: ArrayLike,
    weight: ArrayLike,
    length: ArrayLike,
    trainings: Sequence[Training],
    split: tuple[int, int],
    origins: Sequence[int] = (),
    save: bool = False,
    seed: int = 1,
) -> Path:
    """Write a task into ``folder`` and return it.

    ``counts`` (T, n F) hold the F ``features`` of a segment side by side, a row for each of the T
    ``steps``; ``length`` (n,) is in metres; ``one``, ``other`` and ``weight`` (e,) are the pairs of
    segments that meet, each once. Targets at steps before ``split[0]`` are trained on, those from
    there to ``split[1]`` validate. For each of the ``origins``, steps from 0 to T, the program says
    what it expects from earlier steps alone.

    The same task again keeps what the program has done of it, so that it goes on from there; of
    another task, of other models or of another program nothing is kept. Raises ``ValueError`` where
    shapes or steps do not fit, and :class:`~crime_assets.DataError` where a model is gone.
    """
    length = np.asarray(length, dtype=np.float64)
    one, other = (np.asarray(each, dtype=np.int64) for each in (one, other))
    n, t = len(length), len(steps)
    if counts.shape != (t, n * len(features)):
        raise ValueError(
            f"counts of {counts.shape} for {t} steps, {n} segments and {len(features)} features"
        )
    if not (one < other).all():
        raise ValueError("of each pair of segments `one` must come before `other`")
    if not 0 < split[0] < split[1] <= t:
        raise ValueError(f"a split at {split} of {t} steps")
    if wrong := [at for at in origins if not 0 <= at <= t]:
        raise ValueError(f"origins {wrong} of {t} steps")
    if len({training.name for training in trainings}) < len(trainings):
        raise ValueError("two trainings of one name")
    written = io.BytesIO()
    np.savez_compressed(
        written,
        counts_data=np.asarray(counts.data, dtype=np.float32),
        counts_indices=counts.indices,
        counts_indptr=counts.indptr,
        shape=np.array([t, n, len(features)]),
        one=one,
        other=other,
        weight=np.asarray(weight, dtype=np.float32),
        length=length,
    )
    inputs = written.getvalue()
    task = {
        "features": list(features),
        "steps": list(steps),
        "trainings": [training.to_dict(features) for training in trainings],
        "split": list(split),
        "origins": [int(at) for at in origins],
        "save": save,
        "seed": seed,
        "inputs": _sha256(inputs),
        "code": code_of_program(),
    }
    return put_task(folder, task, {INPUTS: lambda path: path.write_bytes(inputs)})


def put_task(
    folder: Path, task: Mapping[str, Any], files: Mapping[str, Callable[[Path], object]]
) -> Path:
    """Let ``folder`` hold this task and what ``files`` write, by name, and return it.

    A folder that holds it already is left as it is; of another task nothing is kept. So the task
    must tell of all that the files hold.
    """
    text = json.dumps(task, indent=1) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / TASK).is_file() or (folder / TASK).read_text(encoding="utf-8") != text:
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        writers = {**files, TASK: lambda path: path.write_text(text, encoding="utf-8")}
        for name, write in writers.items():
            hidden = folder / f".{name}"
            write(hidden)
            os.replace(hidden, folder / name)
    (folder / ERROR).unlink(missing_ok=True)  # of an earlier attempt
    return folder


def read_results(folder: Path) -> Results:
    """What the program answered to the task in ``folder``.

    Raises :class:`TrainingFailed` where it did not come to its end, with the reason that it left.
    """
    task, machine, done = read_answer(folder)
    forecasts = {
        name: np.load(folder / f"{name}.npy")
        for name, training in done.items()
        if task["origins"] and not training["failed"]
    }
    return Results(machine, done, forecasts)


def read_answer(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]]:
    """The task in ``folder``, the machine that did it, and of each training what came of it.

    Raises :class:`TrainingFailed` where the program did not come to its end.
    """
    task = json.loads((folder / TASK).read_text(encoding="utf-8"))
    names = [training["name"] for training in task["trainings"]]
    found: dict[str, Any] = {"trainings": {}}
    if (folder / RESULTS).is_file():
        found = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    if missing := [name for name in names if name not in found["trainings"]]:
        left = folder / ERROR
        reason = left.read_text(encoding="utf-8").strip() if left.is_file() else "it left no reason"
        raise TrainingFailed(f"no results of {', '.join(missing)}: {reason}")
    return task, found.get("machine", {}), {name: found["trainings"][name] for name in names}


def run_task(folder: Path, progress: Callable[[str], None] = lambda line: None) -> Results:
    """Run the program on the task in ``folder``, here, and return its results.

    ``progress`` gets each line that it prints. The program is ended where this process is
    interrupted. Raises :class:`TrainingFailed` with the program's reason, or its exit code.
    """
    run_program(PROGRAM, folder, progress)
    return read_results(folder)


def run_program(program: str, folder: Path, progress: Callable[[str], None]) -> None:
    """Run ``program`` on the task in ``folder``, here, as :func:`run_task` does."""
    with subprocess.Popen(
        [sys.executable, "-m", program, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            for line in process.stdout or ():
                progress(line.rstrip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode and not (folder / ERROR).is_file():
        raise TrainingFailed(f"{program} ended with code {process.returncode}")


def hit_rate(training: Mapping[str, Any]) -> float | None:
    """What a search makes as high as it can: the hit rate of validation, on a tenth of the length.

    ``None`` for a training that failed, or validation steps without a crime.
    """
    if training["failed"]:
        return None
    return training["metrics"]["validation"]["hit_rate_length_10"]


def scores_of(
    predicted: NDArray[np.floating], length: NDArray[np.float64], loss: str
) -> NDArray[np.floating]:
    """What segments are ranked by, (.., n), from what a network of this ``loss`` predicted (.., n).

    One of the ``poisson`` loss expects crimes, so that the most are met where there are most to a
    metre: they are divided by ``length`` (n,), as a multiple of the mean. One of the ``weighted``
    loss exaggerates where there may be crimes, and ranks segments as it is, as its source does.
    """
    return predicted / (length / length.mean()) if loss == "poisson" else predicted


def validation_crimes(
    counts: csr_array, features: Sequence[str], target: str, split: tuple[int, int]
) -> int:
    """How many crimes of the ``target`` the validation steps hold; of none no search can learn.

    ``counts`` (T, n F), ``features`` and ``split`` are as in :func:`write_task`.
    """
    return int(counts[split[0] : split[1], list(features).index(target) :: len(features)].sum())


def code_of_program(files: Sequence[str] | None = None) -> str:
    """A hash of the program's ``files``, those of GLDNet by default; it may not be imported."""
    here = Path(__file__).parent
    return _sha256(b"".join((here / name).read_bytes() for name in files or PROGRAM_FILES))[:12]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digest_of(*parts: object) -> str:
    """A hash, 16 hexadecimal digits, of arrays, and of what else ``repr`` tells all of."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and not part.dtype.hasobject:
            digest.update(f"{part.dtype.str}{part.shape}".encode() + part.tobytes())
        else:
            digest.update(repr(part.tolist() if isinstance(part, np.ndarray) else part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]
