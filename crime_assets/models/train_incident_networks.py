"""The program that trains networks on incident maps.

``python -m crime_assets.models.train_incident_networks FOLDER``.

``FOLDER`` holds ``maps.npy``, ``inputs.npz`` and ``task.json`` (see
:func:`crime_assets.models.incident_task.write_task`); it writes ``results.json`` and, for each
training, ``<name>.npz``: ``probability`` and ``expected`` of the test origins. How it runs,
reports, ends and goes on after it was killed: :mod:`crime_assets.models.program`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crime_assets.models.incident_parameters import IncidentParameters
from crime_assets.models.program import EpochTraining, Say, main, train_all, write_whole

DAYS_AT_ONCE = 64
"""Days that are read at a time where all of them are."""


@dataclass(frozen=True)
class Incidents:
    """The maps (T, p, p, C), which stay in their file, which days were observed, and the cells."""

    maps: NDArray
    first_day: str
    observed: NDArray[np.bool_]
    cells: NDArray[np.int64]

    @classmethod
    def read(cls, folder: Path, first_day: str) -> Incidents:
        """Those of a training folder."""
        with np.load(folder / "inputs.npz") as found:
            observed, cells = found["observed"], found["cells"]
        return cls(np.load(folder / "maps.npy", mmap_mode="r"), first_day, observed, cells)

    def sums(self, channels: slice) -> NDArray[np.float64]:
        """Incidents of the cells before each day, observed days only: (T + 1, n, channels)."""
        total, side, _, _ = self.maps.shape
        kinds = len(range(self.maps.shape[3])[channels])
        sums = np.zeros((total + 1, len(self.cells), kinds), dtype=np.float64)
        row, column = np.divmod(self.cells, side)
        for first in range(0, total, DAYS_AT_ONCE):
            days = slice(first, min(first + DAYS_AT_ONCE, total))
            part = self.maps[days][:, row, column, channels] * self.observed[days, None, None]
            sums[days.start + 1 : days.stop + 1] = part
        return np.cumsum(sums, axis=0, out=sums)

    def scale(self, channels: slice, end: int) -> NDArray[np.float64]:
        """The root mean square of each channel in the observed days before ``end``: (channels,)."""
        days = np.flatnonzero(self.observed[:end])
        square: Any = 0.0
        for first in range(0, len(days), DAYS_AT_ONCE):
            part = self.maps[days[first : first + DAYS_AT_ONCE]][..., channels]
            square = square + np.square(part, dtype=np.float64).sum(axis=(0, 1, 2))
        square = np.atleast_1d(square) / max(len(days) * self.maps.shape[1] ** 2, 1)
        return np.sqrt(np.where(square > 0, square, 1.0))

    def windows(self, origins: Sequence[int], days: int) -> NDArray[np.int64]:
        """The observed ones of the ``days`` days before each origin: (origins, most of them).

        They stand at the end of a row, what is left at its beginning is -1.
        """
        found = [
            np.flatnonzero(self.observed[max(at - days, 0) : at]) + max(at - days, 0)
            for at in origins
        ]
        return _rows(found, max((len(row) for row in found), default=1) or 1)

    def calendar(self, origins: Sequence[int], maps: int) -> NDArray[np.int64]:
        """The last observed days, same weekdays and same days of the month: (origins, 3 ``maps``).

        Of each the last ``maps`` before the origin; -1 where there are fewer.
        """
        day = np.datetime64(self.first_day, "D") + np.arange(len(self.observed) + 1)
        weekday = day.astype(np.int64) % 7
        of_month = (day - day.astype("datetime64[M]")).astype(np.int64)
        rows = []
        for at in origins:
            seen = np.flatnonzero(self.observed[:at])
            for like in (seen, seen[weekday[seen] == weekday[at]],
                         seen[of_month[seen] == of_month[at]]):  # fmt: skip
                rows.append(like[-maps:])
        return _rows(rows, maps).reshape(len(origins), 3 * maps)


def _rows(found: Sequence[NDArray], width: int) -> NDArray[np.int64]:
    rows = np.full((len(found), width), -1, dtype=np.int64)
    for row, days in zip(rows, found, strict=True):
        row[width - len(days) :] = days
    return rows


@dataclass
class Training(EpochTraining):
    """One network on incident maps, of one crime type or, ``target`` being ``None``, of all."""

    parameters: IncidentParameters
    incidents: Incidents
    target: int | None
    task: Mapping[str, Any]

    told = {"loss": ("loss", 5), "entropy": ("cross-entropy", 5), "error": ("squared error", 5)}  # noqa: RUF012

    def __post_init__(self) -> None:
        import keras

        from crime_assets.models.incident_networks import build_network

        p, task, total = self.parameters, self.task, self.incidents.maps.shape[3]
        self.parts = {part: np.array(task[part], dtype=int) for part in ("training", "validation")}
        told = slice(None) if self.target is None else slice(self.target, self.target + 1)
        self.seen = told if p.channels == "target" else slice(None)
        self.sums = self.incidents.sums(told)
        keras.backend.clear_session()
        keras.utils.set_random_seed(self.seed)
        end = self.parts["training"].max() + task["days_out"]
        self.model = build_network(
            p,
            self.incidents.maps.shape[1],
            len(range(total)[self.seen]),
            self.incidents.cells,
            self.sums.shape[2],
            scale=self.incidents.scale(self.seen, end),
            **self._level(),
        )
        self.metrics = {name: keras.metrics.Mean() for name in self.told}
        self._make_functions()
        self.start()

    def _days(self, origins: Sequence[int] | NDArray) -> NDArray[np.int64]:
        """The days that each origin's window has, or -1."""
        if self.parameters.network == "st-resnet":
            from crime_assets.models.incident_networks import MAPS

            return self.incidents.calendar(list(origins), MAPS)
        return self.incidents.windows(list(origins), self.task["days_in"])

    def _counts(self, origins: NDArray) -> NDArray[np.float32]:
        """What the observed target days of each origin hold: (origins, n, outputs)."""
        found = self.sums[origins + self.task["days_out"]] - self.sums[origins]
        return found.astype(np.float32)

    def _level(self) -> dict[str, NDArray]:
        """Of the training's targets: the log odds of being hot, mean counts, and their spread."""
        counts = self._counts(self.parts["training"])
        hot, origins = (counts > 0).sum(axis=0), len(counts)
        spread = counts.std(axis=(0, 1), dtype=np.float64)
        return {
            "logit": np.log((hot + 1) / (origins - hot + 1)),
            "count": counts.mean(axis=0, dtype=np.float64),
            "unit": np.where(spread > 0, spread, 1.0),
        }

    def _make_functions(self) -> None:
        """Compile what trains a batch, what judges one, and what foretells."""
        import tensorflow as tf

        model, maps = self.model, self.incidents.maps
        channels, n = len(range(maps.shape[3])[self.seen]), len(self.incidents.cells)
        signature = (
            tf.TensorSpec((None, *maps.shape[1:3], channels), tf.float32),
            tf.TensorSpec((None, None), tf.int32),
            tf.TensorSpec((None, n, self.sums.shape[2]), tf.float32),
        )
        weights = model.trainable_variables

        def observe(entropy: Any, error: Any, size: Any) -> None:
            values = {"loss": entropy + error, "entropy": entropy, "error": error}
            for name, value in values.items():
                self.metrics[name].update_state(value, size)

        @tf.function(input_signature=signature)
        def train(maps: Any, positions: Any, counts: Any) -> None:
            with tf.GradientTape() as tape:
                told = model((maps, positions), training=True)
                entropy, error = model.losses_of(counts, *told)
                loss = entropy + error
            model.optimizer.apply(tape.gradient(loss, weights), weights)
            observe(entropy, error, tf.shape(counts)[0])

        @tf.function(input_signature=signature)
        def judge(maps: Any, positions: Any, counts: Any) -> None:
            told = model((maps, positions), training=False)
            entropy, error = model.losses_of(counts, *told)
            observe(entropy, error, tf.shape(counts)[0])

        @tf.function(input_signature=signature[:2])
        def foretell(maps: Any, positions: Any) -> Any:
            logit, count = model((maps, positions), training=False)
            return tf.sigmoid(logit), tf.maximum(count, 0.0)

        self.train_batch, self.judge_batch, self._foretell = train, judge, foretell

    def _variables(self) -> list[Any]:
        """With the moments of batch normalisation and the state of dropout."""
        return self.model.variables

    def _order(self, random: np.random.Generator) -> NDArray:
        """Blocks of consecutive origins in random order: their windows share most of their days."""
        training, block = self.parts["training"], self.parameters.block
        first = int(random.integers(1, block + 1))
        blocks = np.split(training, range(first, len(training), block))
        return np.concatenate([blocks[at] for at in random.permutation(len(blocks))])

    def _inputs(self, origins: NDArray) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """The maps of the days that the windows of the origins have, each once, and where they are.

        The maps are (D, p, p, C) and the positions (origins, L), -1 for no day.
        """
        windows = self._days(origins)
        days, positions = np.unique(windows, return_inverse=True)
        positions = positions.reshape(windows.shape)
        if days[0] < 0:
            days, positions = days[1:], positions - 1
        if not len(days):
            days = np.zeros(1, dtype=int)  # a network wants a map, if only to skip it
        maps = self.incidents.maps[days][..., self.seen].astype(np.float32)
        return maps, positions.astype(np.int32)

    def _batches(self, steps: NDArray) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
        """Maps, positions and counts of the origins, batch by batch."""
        size = self.parameters.batch_size
        for first in range(0, len(steps), size):
            origins = steps[first : first + size]
            yield *self._inputs(origins), self._counts(origins)

    def foretold(self, origins: Sequence[int]) -> list[NDArray[np.float32]]:
        """How likely cells are hot, and expected counts, of each origin, from earlier days alone.

        Both (origins, n), or (origins, n, C) where all crime types are foretold.
        """
        size = self.parameters.batch_size
        ordered = np.array(origins, dtype=int)
        parts = [
            [told.numpy() for told in self._foretell(*self._inputs(ordered[first : first + size]))]
            for first in range(0, len(ordered), size)
        ]
        whole = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return whole if self.target is None else [part[..., 0] for part in whole]


def train_folder(folder: Path, say: Say) -> None:
    """Do all trainings of ``folder`` that its ``results.json`` does not hold yet, or as failed."""

    def train_one(
        task: Mapping[str, Any], one: Mapping[str, Any], checkpoint: Path, say: Say
    ) -> dict[str, Any]:
        name = one["name"]
        training = Training(
            IncidentParameters.of(one["parameters"]),
            Incidents.read(folder, task["first_day"]),
            one["target"],
            task,
            seed=task["seed"],
            checkpoint=checkpoint,
            say=lambda text: say(f"{name}: {text}"),
        )
        training.run()
        if task["test"]:
            told = training.foretold(task["test"])
            write_whole(
                folder / f"{name}.npz",
                lambda path: np.savez(path, probability=told[0], expected=told[1]),
            )
        return training.result()

    train_all(folder, say, train_one)


if __name__ == "__main__":
    sys.exit(main("crime_assets.models.train_incident_networks", train_folder, sys.argv[1:]))
