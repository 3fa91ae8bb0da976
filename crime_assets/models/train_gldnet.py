"""The program that trains GLDNets: ``python -m crime_assets.models.train_gldnet FOLDER``.

``FOLDER`` holds ``inputs.npz`` and ``task.json``; it writes ``results.json`` and, for each
training, what the task asks for: ``<name>.keras`` and ``<name>.npy``. How it runs, reports, ends
and goes on after it was killed: :mod:`crime_assets.models.program`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crime_assets.models.gldnet_parameters import GldnetParameters
from crime_assets.models.program import (
    EpochTraining,
    Say,
    TrainingFailed,
    main,
    peak_memory_bytes,
    train_all,
    write_whole,
)
from crime_assets.models.windows import smooth, windows

HIT_RATE = "hit_rate_length_10"
"""The hit rate that is told by epoch."""

COVERAGES = (10, 20)
"""Hit rates are judged on so many percent of the length, and of the number of segments."""


# --- The folder -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Inputs:
    """``inputs.npz``: counts (T, n, F), pairs of neighbours (e,), their weights, lengths (n,)."""

    counts: NDArray
    one: NDArray
    other: NDArray
    weight: NDArray
    length: NDArray

    @classmethod
    def read(cls, path: Path) -> Inputs:
        """Counts are held in as few bytes as the largest of them needs."""
        with np.load(path) as found:
            steps, nodes, features = found["shape"].tolist()
            data = found["counts_data"]
            whole = np.equal(data, np.round(data)).all() and (not len(data) or data.min() >= 0)
            kind = np.min_scalar_type(int(data.max(initial=0))) if whole else np.dtype(np.float32)
            counts = np.zeros((steps, nodes * features), dtype=kind)
            step = np.repeat(np.arange(steps), np.diff(found["counts_indptr"]))
            counts[step, found["counts_indices"]] = data
            others = {name: found[name] for name in ("one", "other", "weight", "length")}
        return cls(counts.reshape(steps, nodes, features), **others)


def train_folder(folder: Path, say: Say) -> None:
    """Do all trainings of ``folder`` that its ``results.json`` does not hold yet, or as failed."""
    inputs = Inputs.read(folder / "inputs.npz")

    def train_one(
        task: Mapping[str, Any], one: Mapping[str, Any], checkpoint: Path, say: Say
    ) -> dict[str, Any]:
        name = one["name"]
        if one.get("model"):
            return _ask(folder, task, one, inputs, say)
        training = Training(
            GldnetParameters.of(one["parameters"]),
            inputs,
            target=one["target"],
            split=tuple(task["split"]),
            seed=task["seed"],
            checkpoint=checkpoint,
            say=lambda text: say(f"{name}: {text}"),
        )
        training.run()
        if task["origins"]:
            expected = training.expected(task["origins"])
            write_whole(folder / f"{name}.npy", lambda path: np.save(path, expected))
        if task["save"]:
            write_whole(folder / f"{name}.keras", lambda path: training.model.save(path))
        return training.result()

    train_all(folder, say, train_one)


def _ask(
    folder: Path, task: Mapping[str, Any], one: Mapping[str, Any], inputs: Inputs, say: Say
) -> dict[str, Any]:
    """What a network that was saved expects at the origins of the task; nothing is trained."""
    import keras

    import crime_assets.models.gldnet  # noqa: F401  (what a saved model is made of)

    started = time.monotonic()
    p = GldnetParameters.of(one["parameters"])
    model = keras.models.load_model(one["model"], compile=False)
    expected = _expected(model, smooth(inputs.counts, p.alpha), task["origins"], p)
    write_whole(folder / f"{one['name']}.npy", lambda path: np.save(path, expected))
    say(f"{one['name']}: asked for {len(task['origins'])} steps")
    seconds = round(time.monotonic() - started, 3)
    return {"seconds": seconds, "peak_memory_bytes": peak_memory_bytes(), "failed": None}


def _expected(
    model: Any, smoothed: NDArray, origins: Sequence[int], p: GldnetParameters
) -> NDArray[np.float32]:
    """The expected crimes of each step of ``origins``, from earlier steps: (origins, n)."""
    import tensorflow as tf

    from crime_assets.models.gldnet import signature

    expect = tf.function(lambda inputs: model(inputs), input_signature=signature(model)[:1])
    parts = (
        origins[first : first + p.batch_size] for first in range(0, len(origins), p.batch_size)
    )
    return np.concatenate([expect(windows(smoothed, part, p.steps)).numpy() for part in parts])


# --- One training ---------------------------------------------------------------------------


@dataclass
class Training(EpochTraining):
    """One network, trained on the steps before ``split[0]``, its best epoch told by validation.

    Steps from ``split[0]`` validate, from ``split[1]`` they test.
    """

    parameters: GldnetParameters
    inputs: Inputs
    target: int
    split: tuple[int, int]

    told = {"loss": ("loss", 5), HIT_RATE: ("hit rate", 3)}  # noqa: RUF012

    def __post_init__(self) -> None:
        import keras

        from crime_assets.models.gldnet import Graph, build_gldnet

        p, counts, (a, b) = self.parameters, self.inputs.counts, self.split
        total, nodes, features = counts.shape
        if p.steps >= a:
            raise TrainingFailed(
                f"no step to train on: {a} steps before validation, of which {p.steps} are looked "
                "back on; give a longer history or fewer `steps`"
            )
        self.parts = {
            "training": np.arange(p.steps, a),
            "validation": np.arange(a, b),
            "test": np.arange(b, total),
        }
        self.smoothed = smooth(counts, p.alpha)
        keras.backend.clear_session()
        keras.utils.set_random_seed(self.seed)
        graph = Graph(nodes, self.inputs.one, self.inputs.other, self.inputs.weight)
        scale, level = self._of_the_past()
        self.model = build_gldnet(p, features, graph, scale, level)
        self.metrics = self._metrics()
        self._make_functions()
        self.start()

    def _of_the_past(self) -> tuple[NDArray[np.float64], float]:
        """Of the training steps: what features are scaled by (F,), and the best constant."""
        seen = self.smoothed[self.parts["training"]]
        square = np.square(seen, dtype=np.float64).mean(axis=(0, 1))
        counts = self.inputs.counts[self.parts["training"], :, self.target].astype(np.float64)
        if self.parameters.loss == "poisson":
            level = counts.mean()
        else:
            weight = np.where(counts > 0, counts, self.parameters.rho)
            level = (weight * counts).sum() / weight.sum()
        return np.sqrt(np.where(square > 0, square, 1.0)), max(float(level), 1e-6)

    def _metrics(self) -> dict[str, Any]:
        """The hit rates by name, and the mean loss."""
        import keras

        from crime_assets.models.gldnet import HitRate

        length = self.inputs.length
        metrics: dict[str, Any] = {"loss": keras.metrics.Mean()}
        for kind, size in (("length", length), ("segments", np.ones(len(length)))):
            for percent in COVERAGES:
                metrics[f"hit_rate_{kind}_{percent}"] = HitRate(
                    percent / 100, size, by_density=self.parameters.loss == "poisson"
                )
        return metrics

    def _make_functions(self) -> None:
        """Compile one step of training, and one of judging."""
        import tensorflow as tf

        from crime_assets.models.gldnet import signature, training_step

        model = self.model
        self.signature = signature(model)

        def observe(names: Iterable[str], counts: Any, expected: Any) -> None:
            for name in names:
                if name == "loss":
                    loss = model.loss(counts, expected)
                    self.metrics[name].update_state(loss, tf.shape(counts)[0])
                else:
                    self.metrics[name].update_state(counts, expected)

        def judging(names: Sequence[str]) -> Any:
            @tf.function(input_signature=self.signature)
            def judge(inputs: Any, counts: Any) -> None:
                observe(names, counts, model(inputs))

            return judge

        self.train_batch = training_step(model, partial(observe, self.told))
        self.judge_batch, self._judge = judging(list(self.told)), judging(list(self.metrics))

    def _batches(self, steps: NDArray) -> Iterable[tuple[Any, Any]]:
        """Inputs and counts of the steps, batch by batch; the next is made while one is used."""
        import tensorflow as tf

        size = self.parameters.batch_size

        def make() -> Iterator[tuple[NDArray, NDArray]]:
            for first in range(0, len(steps), size):
                batch = steps[first : first + size]
                counts = self.inputs.counts[batch, :, self.target].astype(np.float32)
                yield windows(self.smoothed, batch, self.parameters.steps), counts

        shapes = tuple(self.signature)
        return tf.data.Dataset.from_generator(make, output_signature=shapes).prefetch(1)

    def expected(self, origins: Sequence[int]) -> NDArray[np.float32]:
        """The expected crimes of each step of ``origins``, from earlier steps: (origins, n)."""
        return _expected(self.model, self.smoothed, origins, self.parameters)

    def result(self) -> dict[str, Any]:
        """The entry of ``results.json``; call it after :meth:`run`."""
        judged = {
            part: self._measure(self.parts[part], self._judge) for part in ("validation", "test")
        }
        return super().result() | {"metrics": judged}


if __name__ == "__main__":
    sys.exit(main("crime_assets.models.train_gldnet", train_folder, sys.argv[1:]))
