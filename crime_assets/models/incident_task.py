"""The folder in which maps of incidents are handed to the program that trains networks on them.

As in :mod:`crime_assets.models.task`, who asks need not have TensorFlow: arrays and JSON go in,
JSON and arrays come out. The program is :data:`PROGRAM`; :func:`run_task` runs it on this machine
and waits. Maps lie in a file of their own, of which the program reads what a batch needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets.models.task import code_of_program, digest_of, put_task, read_answer, run_program

PROGRAM = "crime_assets.models.train_incident_networks"
PROGRAM_FILES = (
    "gldnet.py", "incident_networks.py", "incident_parameters.py", "parameters.py",
    "program.py", "train_incident_networks.py",
)  # fmt: skip
MAPS, INPUTS = "maps.npy", "inputs.npz"
KINDS = (np.uint8, np.uint16, np.float32)


@dataclass(frozen=True)
class Training:
    """One network to train: its ``name`` (a file's), the crime type it foretells, its settings.

    Without a ``target`` it foretells all crime types at once. ``parameters`` are the fields of
    ``IncidentParameters``.
    """

    name: str
    target: str | None
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """What the program answered.

    ``machine`` says what it ran on; ``trainings`` are, by name, epochs, seconds, parameters and
    peak memory (``failed`` is a reason, or ``None``); ``probability`` of being hot and ``expected``
    incidents are, by name, (origins, n), or (origins, n, C) of a training without a target. One
    that failed has neither.
    """

    machine: Mapping[str, Any]
    trainings: Mapping[str, Mapping[str, Any]]
    probability: Mapping[str, NDArray[np.float32]]
    expected: Mapping[str, NDArray[np.float32]]


def split_origins(
    origins: Sequence[int], share: float, days_out: int
) -> tuple[list[int], list[int]]:
    """Origins that are trained on, and those that validate: the last ``share`` of them.

    Those whose ``days_out`` target days reach into the validation's are left out of both. Raises
    ``ValueError`` where no origin is left to train on.
    """
    ordered = sorted(int(at) for at in origins)
    held = ordered[len(ordered) - round(share * len(ordered)) :]
    training = [at for at in ordered if not held or at + days_out <= held[0]]
    if not training:
        raise ValueError(f"of {len(ordered)} origins none is left to train on")
    return training, held


def write_task(
    folder: Path,
    maps: NDArray,
    *,
    first_day: str,
    observed: ArrayLike,
    crime_types: Sequence[str],
    cells: ArrayLike,
    trainings: Sequence[Training],
    training: Sequence[int],
    test: Sequence[int],
    days_in: int = 30,
    days_out: int = 30,
    validation: float = 0.15,
    seed: int = 1,
) -> Path:
    """Write a task into ``folder`` and return it.

    ``maps`` (T, p, p, C) hold the incidents of each day from ``first_day``, of the C
    ``crime_types``, as uint8, uint16 or float32; they may be mapped from a file. ``observed`` (T,)
    says which days were; ``cells`` (n,) are the positions in p x p that are foretold. An origin is
    the first day that is foretold, from 0 to T: a network sees the ``days_in`` days before it, and
    foretells the incidents of the observed ones of ``days_out`` days. The last ``validation`` share
    of the ``training`` origins tells which epoch is best (see :func:`split_origins`); for the
    ``test`` origins the program says what it expects.

    The same task again keeps what the program has done of it, so that it goes on from there; of
    another task or of another program nothing is kept. Raises ``ValueError`` where shapes or
    origins do not fit, or a target day of ``training`` lies in those of ``test``.
    """
    observed, cells = np.asarray(observed, dtype=bool), np.asarray(cells, dtype=np.int64)
    if maps.ndim != 4 or maps.shape[1] != maps.shape[2] or maps.dtype.type not in KINDS:
        raise ValueError(f"maps of {maps.shape}, {maps.dtype}: uint8, uint16, float32 (T, p, p, C)")
    t, p, _, channels = maps.shape
    if observed.shape != (t,) or channels != len(crime_types):
        raise ValueError(
            f"maps of {t} days and {channels} types, {observed.shape} observed, "
            f"{len(crime_types)} crime types"
        )
    if (
        not len(cells)
        or len(np.unique(cells)) < len(cells)
        or not 0 <= min(cells) <= max(cells) < p * p
    ):
        raise ValueError(f"cells must be different positions in {p} x {p}")
    for origins, last, of in ((training, t - days_out, "training"), (test, t, "test")):
        if wrong := [at for at in origins if not days_in <= at <= last]:
            raise ValueError(f"{of} origins {wrong[:5]}: they are {days_in} to {last}")
    if len(test) and max(training, default=0) + days_out > min(test):
        raise ValueError("a target day of the training is one of the test")
    if len({one.name for one in trainings}) < len(trainings):
        raise ValueError("two trainings of one name")
    trained, held = split_origins(training, validation, days_out)
    types = list(crime_types)
    task = {
        "first_day": date.fromisoformat(first_day).isoformat(),
        "crime_types": types,
        "trainings": [
            {
                "name": one.name,
                "target": None if one.target is None else types.index(one.target),
                "parameters": dict(one.parameters),
            }
            for one in trainings
        ],
        "days_in": days_in,
        "days_out": days_out,
        "training": trained,
        "validation": held,
        "test": [int(at) for at in test],
        "seed": seed,
        "inputs": digest_of(maps, observed, cells),
        "code": code_of_program(PROGRAM_FILES),
    }
    files: dict[str, Callable[[Path], object]] = {
        MAPS: lambda path: np.save(path, maps),
        INPUTS: lambda path: np.savez(path, observed=observed, cells=cells),
    }
    return put_task(folder, task, files)


def read_results(folder: Path) -> Results:
    """What the program answered to the task in ``folder``.

    Raises :class:`~crime_assets.models.task.TrainingFailed` where it did not come to its end, with
    the reason that it left.
    """
    task, machine, done = read_answer(folder)
    found: dict[str, dict[str, NDArray[np.float32]]] = {"probability": {}, "expected": {}}
    for name, of in done.items():
        if task["test"] and not of["failed"]:
            with np.load(folder / f"{name}.npz") as told:
                for what, by_name in found.items():
                    by_name[name] = told[what]
    return Results(machine, done, **found)


def run_task(folder: Path, progress: Callable[[str], None] = lambda line: None) -> Results:
    """Run the program on the task in ``folder``, here, and return its results.

    ``progress`` gets each line that it prints. Raises
    :class:`~crime_assets.models.task.TrainingFailed` with the program's reason, or its exit code.
    """
    run_program(PROGRAM, folder, progress)
    return read_results(folder)
