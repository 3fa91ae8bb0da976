"""The program that trains GLDNets: ``python -m crime_assets.models.train_gldnet FOLDER``.

It runs in a process of its own, on any machine that sees the folder, and knows nothing of Dagster
but Pipes. ``FOLDER`` holds ``inputs.npz`` and ``task.json``; it writes ``results.json`` and, for
each training, what the task asks for: ``<name>.keras`` and ``<name>.npy``. Started over Pipes it
reports there, and may be given the folder as the extra ``folder``.

A program that was killed goes on where it was, and ends with the same weights as one that was not:
trainings in ``results.json`` are done, unless they failed, and the last epoch of the one that was
interrupted lies in ``checkpoint-<name>``. If it fails, ``error.txt`` says why. It ends when its
parent does.
"""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import dagster_pipes
import numpy as np
from numpy.typing import NDArray

from crime_assets.models.gldnet_parameters import GldnetParameters
from crime_assets.models.windows import smooth, windows

Say = Callable[[str], None]

HIT_RATE = "hit_rate_length_10"
"""The hit rate that is told by epoch."""

COVERAGES = (10, 20)
"""Hit rates are judged on so many percent of the length, and of the number of segments."""

ORPHANED = 3
"""The exit code where the parent process is gone."""


class TrainingFailed(Exception):
    """A training that came to nothing, for a reason that is its own: others go on."""


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


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write a file that is then there as a whole, or not at all."""
    # the name keeps its end, by which numpy and Keras tell what a file is
    unfinished = path.with_name(f"unfinished-{path.name}")
    write(unfinished)
    os.replace(unfinished, path)


def train_folder(folder: Path, say: Say) -> None:
    """Do all trainings of ``folder`` that its ``results.json`` does not hold yet, or as failed."""
    task = json.loads((folder / "task.json").read_text())
    done = folder / "results.json"
    results = json.loads(done.read_text()) if done.exists() else {"trainings": {}}
    # there may be more memory now
    results["trainings"] = {n: of for n, of in results["trainings"].items() if not of["failed"]}
    todo = [one for one in task["trainings"] if one["name"] not in results["trainings"]]
    results["machine"] = machine()
    say(f"{len(todo)} of {len(task['trainings'])} to train on {', '.join(machine()['devices'])}")

    def keep() -> None:
        write_whole(done, lambda path: path.write_text(json.dumps(results, indent=1)))

    if done.exists() or not todo:
        keep()
    inputs = Inputs.read(folder / "inputs.npz")
    for one in todo:
        results["trainings"][one["name"]] = _train_one(folder, task, one, inputs, say)
        keep()


def machine() -> dict[str, Any]:
    """What the training runs on: devices, versions, threads."""
    import keras
    import tensorflow as tf

    found = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device)
        name = device.name.removeprefix("/physical_device:")
        found.append(" ".join([name, details.get("device_name", "")]).strip())
    return {
        "devices": found,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "threads": os.cpu_count(),
    }


def _train_one(
    folder: Path, task: Mapping[str, Any], one: Mapping[str, Any], inputs: Inputs, say: Say
) -> dict[str, Any]:
    """One training of the task: its entry in ``results.json``."""
    import tensorflow as tf

    name = one["name"]
    checkpoint = folder / f"checkpoint-{name}"
    if one.get("model"):
        return _ask(folder, task, one, inputs, say)
    try:
        training = Training(
            GldnetParameters.of(one["parameters"]),
            inputs,
            target=one["target"],
            split=tuple(task["split"]),
            seed=task["seed"],
            checkpoint=checkpoint / "state.npz",
            say=lambda text: say(f"{name}: {text}"),
        )
        training.run()
        if task["origins"]:
            expected = training.expected(task["origins"])
            write_whole(folder / f"{name}.npy", lambda path: np.save(path, expected))
        if task["save"]:
            write_whole(folder / f"{name}.keras", lambda path: training.model.save(path))
        result = training.result()
    except (TrainingFailed, ValueError) as error:
        result = {"failed": " ".join(str(error).split())}
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        result = {"failed": _reason(error)}
    if result["failed"]:
        say(f"{name}: failed: {result['failed']}")
    shutil.rmtree(checkpoint, ignore_errors=True)
    return result


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
class Training:
    """One network, trained on the steps before ``split[0]``, its best epoch told by validation.

    Steps from ``split[0]`` validate, from ``split[1]`` they test. The best epoch is the one with
    the least loss in validation: unlike the hit rate it moves with every segment, so that a few
    steps are enough to tell. Where no step validates, the last epoch is kept.
    """

    parameters: GldnetParameters
    inputs: Inputs
    target: int
    split: tuple[int, int]
    seed: int
    checkpoint: Path
    say: Say = print
    epochs: list[dict[str, Any]] = field(default_factory=list)

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
        self.kept = self._trained()

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

        by_epoch = ("loss", HIT_RATE)
        self._train = training_step(model, partial(observe, by_epoch))
        self._judge_epoch, self._judge = judging(by_epoch), judging(list(self.metrics))

    def run(self) -> None:
        """Train to the end, from the checkpoint if there is one, and keep the best epoch."""
        self._resume()
        p = self.parameters
        while len(self.epochs) < p.epochs and self.kept_epoch > len(self.epochs) - p.patience:
            self._run_epoch()
            self._save()
        self._assign(self.kept)

    @property
    def kept_epoch(self) -> int:
        """The epoch whose weights are kept, the first being 1; 0 before there is one."""
        losses = [epoch["validation_loss"] for epoch in self.epochs]
        if not losses or losses[0] is None:
            return len(losses)
        return 1 + int(np.argmin(losses))

    def _run_epoch(self) -> None:
        p, number = self.parameters, len(self.epochs) + 1
        started = time.monotonic()
        rate = p.learning_rate_of(number - 1)
        self.model.optimizer.learning_rate = rate
        # the order depends on the epoch only, so that a training that goes on has the same
        order = np.random.default_rng([self.seed, number]).permutation(self.parts["training"])
        epoch: dict[str, Any] = {"epoch": number}
        for prefix, steps, function in (
            ("", order, self._train),
            ("validation_", self.parts["validation"], self._judge_epoch),
        ):
            found = self._measure(steps, function)
            epoch[f"{prefix}loss"] = found["loss"]
            epoch[f"{prefix}hit_rate"] = found[HIT_RATE]
            if len(steps) and found["loss"] is None:
                raise TrainingFailed(
                    f"the loss was not finite in epoch {number}: try a lower learning_rate than "
                    f"{p.learning_rate:g}"
                )
        epoch |= {"learning_rate": rate, "seconds": round(time.monotonic() - started, 3)}
        self.epochs.append(epoch)
        if self.kept_epoch == number:
            self.kept = self._trained()
        self.say(
            f"epoch {number} of {p.epochs}: loss {_figure(epoch['loss'])}, validation "
            f"{_figure(epoch['validation_loss'])}; hit rate {_figure(epoch['hit_rate'], 3)}, "
            f"validation {_figure(epoch['validation_hit_rate'], 3)}; {epoch['seconds']:.1f} s"
        )

    def _measure(self, steps: NDArray, function: Callable[..., object]) -> dict[str, float | None]:
        """Call ``function`` with each batch of steps; then the metrics, ``None`` for not finite."""
        for metric in self.metrics.values():
            metric.reset_state()
        for batch in self._batches(steps):
            function(*batch)
        if not len(steps):
            return dict.fromkeys(self.metrics)
        values = {name: float(metric.result()) for name, metric in self.metrics.items()}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}

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
        return {
            "epochs": self.epochs,
            "kept_epoch": self.kept_epoch,
            "metrics": judged,
            "seconds": round(sum(epoch["seconds"] for epoch in self.epochs), 3),
            "peak_memory_bytes": peak_memory_bytes(),
            "parameters": sum(weights.size for weights in self.kept),
            "failed": None,
        }

    # Checkpoints

    def _trained(self) -> list[NDArray]:
        return [weights.numpy() for weights in self.model.trainable_variables]

    def _assign(self, weights: Sequence[NDArray]) -> None:
        for variable, value in zip(self.model.trainable_variables, weights, strict=True):
            variable.assign(value)

    def _save(self) -> None:
        """Write all that the next epoch depends on."""
        arrays: dict[str, Any] = {"epochs": np.array(json.dumps(self.epochs))}
        optimizer = [variable.numpy() for variable in self.model.optimizer.variables]
        for kind, values in (
            ("weights", self._trained()), ("kept", self.kept), ("optimizer", optimizer)
        ):  # fmt: skip
            arrays |= {f"{kind}_{position}": value for position, value in enumerate(values)}
        self.checkpoint.parent.mkdir(exist_ok=True)
        write_whole(self.checkpoint, lambda path: np.savez(path, **arrays))

    def _resume(self) -> None:
        """Read the checkpoint, if there is one."""
        if not self.checkpoint.exists():
            return
        with np.load(self.checkpoint) as found:
            self.epochs = json.loads(str(found["epochs"]))
            self.kept = [found[f"kept_{i}"] for i in range(len(self.kept))]
            self._assign([found[f"weights_{i}"] for i in range(len(self.kept))])
            for position, variable in enumerate(self.model.optimizer.variables):
                variable.assign(found[f"optimizer_{position}"])
        self.say(f"goes on after epoch {len(self.epochs)}")


def _figure(value: float | None, digits: int = 5) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


def peak_memory_bytes() -> int:
    """The most memory that this process has had resident."""
    # Linux hands a process the peak of its parent in `getrusage`, but not in /proc
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


# --- The process ----------------------------------------------------------------------------


def watch_parent(every: float = 0.5) -> None:
    """End this process, from a thread of its own, as soon as the one that started it is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os._exit(ORPHANED)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _reporting() -> Iterator[tuple[Say, str | None]]:
    """How to report, and the folder that Pipes gave; without Pipes it is printed."""
    if dagster_pipes.PipesEnvVarParamsLoader().is_dagster_pipes_process():
        with dagster_pipes.open_dagster_pipes() as pipes:
            yield pipes.log.info, pipes.extras.get("folder")
    else:
        yield lambda text: print(text, flush=True), None


def _prepare_tensorflow() -> None:
    """The same result for the same seed, and no more of a GPU's memory than is needed."""
    import keras
    import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)
    keras.utils.set_random_seed(0)  # each training sets its own
    tf.config.experimental.enable_op_determinism()


def _reason(error: Exception) -> str:
    """Why it failed, in one paragraph."""
    import tensorflow as tf

    if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
        gib = peak_memory_bytes() / 2**30
        return (
            f"memory ran out ({type(error).__name__}; the process had {gib:.1f} GiB): give it "
            "more, or lower batch_size, steps or units"
        )
    return " ".join(f"{type(error).__name__}: {error}".split())


def main(arguments: Sequence[str]) -> int:
    """Train what the folder asks for; 0 only if ``results.json`` is then complete."""
    watch_parent()
    try:
        with _reporting() as (say, given):
            if not (named := [*arguments[:1], *([given] if given else [])]):
                raise SystemExit("usage: python -m crime_assets.models.train_gldnet FOLDER")
            folder = Path(named[0])
            (folder / "error.txt").unlink(missing_ok=True)
            try:
                _prepare_tensorflow()
                train_folder(folder, say)
            except Exception as error:
                (folder / "error.txt").write_text(_reason(error))
                raise
    except Exception as error:
        print(_reason(error), file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
