"""What the programs that train networks share: a folder of trainings, epochs, a process that ends.

Such a program runs in a process of its own, on any machine that sees its folder, and knows nothing
of Dagster but Pipes: ``python -m crime_assets.models.<program> FOLDER``. The folder holds
``task.json``, whose ``trainings`` have a ``name`` each; the program writes ``results.json``.
Started over Pipes it reports there, and may be given the folder as the extra ``folder``.

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
from pathlib import Path
from typing import Any, ClassVar, Protocol

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import dagster_pipes
import numpy as np
from numpy.typing import NDArray

Say = Callable[[str], None]
TrainOne = Callable[[Mapping[str, Any], Mapping[str, Any], Path, Say], dict[str, Any]]
"""Does one training: of the task, its entry, where its checkpoint may lie, and how to report, it
makes its entry of ``results.json``."""

ORPHANED = 3
"""The exit code where the parent process is gone."""


class TrainingFailed(Exception):
    """A training that came to nothing, for a reason that is its own: others go on."""


# --- The folder -----------------------------------------------------------------------------


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write a file that is then there as a whole, or not at all."""
    # the name keeps its end, by which numpy and Keras tell what a file is
    unfinished = path.with_name(f"unfinished-{path.name}")
    write(unfinished)
    os.replace(unfinished, path)


def train_all(folder: Path, say: Say, train_one: TrainOne) -> None:
    """Do all trainings of ``folder`` that its ``results.json`` does not hold yet, or as failed.

    One that raises :class:`TrainingFailed` or ``ValueError``, or for which memory does not suffice,
    has failed for that reason, and the others go on.
    """
    import tensorflow as tf

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
    for one in todo:
        name = one["name"]
        checkpoint = folder / f"checkpoint-{name}"
        try:
            result = train_one(task, one, checkpoint / "state.npz", say)
        except (
            TrainingFailed, ValueError, MemoryError, tf.errors.ResourceExhaustedError
        ) as error:  # fmt: skip
            if one.get("model"):  # it was asked, and not trained: others will fail as it did
                raise
            its_own = isinstance(error, TrainingFailed | ValueError)
            result = {"failed": " ".join(str(error).split()) if its_own else reason(error)}
        if result["failed"]:
            say(f"{name}: failed: {result['failed']}")
        shutil.rmtree(checkpoint, ignore_errors=True)
        results["trainings"][name] = result
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


# --- One training ---------------------------------------------------------------------------


class EpochParameters(Protocol):
    """What a training asks of its parameters: when to end, and how fast to learn."""

    @property
    def epochs(self) -> int:
        """The most epochs."""

    @property
    def patience(self) -> int:
        """After so many epochs without a lower loss in validation it ends."""

    def learning_rate_of(self, epoch: int) -> float:
        """The learning rate in an epoch, the first being 0."""


@dataclass(kw_only=True)
class EpochTraining:
    """One network, trained epoch by epoch, its best epoch told by the loss in validation.

    The loss moves with every place, unlike a hit rate, so that a few steps are enough to tell.
    Where no step validates, the last epoch is kept. A class of this has ``parameters``, gives
    ``model``, ``metrics`` by name, ``parts``, what trains and what judges a batch by the metrics
    that are ``told``, and then calls :meth:`start`. The order of an epoch is drawn from the seed
    and its number alone, so that a training that goes on has the same.
    """

    seed: int
    checkpoint: Path
    say: Say = print
    epochs: list[dict[str, Any]] = field(default_factory=list)

    told: ClassVar[Mapping[str, tuple[str, int]]] = {"loss": ("loss", 5)}
    """The metrics that are told by epoch: what each is called, and its digits."""
    parameters: EpochParameters = field(init=False, repr=False)
    model: Any = field(init=False, repr=False)
    metrics: dict[str, Any] = field(init=False, repr=False)
    parts: Mapping[str, NDArray] = field(init=False, repr=False)
    """The steps, or origins, of ``training`` and of ``validation``."""
    train_batch: Callable[..., object] = field(init=False, repr=False)
    judge_batch: Callable[..., object] = field(init=False, repr=False)

    def _batches(self, steps: NDArray) -> Iterable[tuple[Any, ...]]:
        """The arguments of ``train_batch``, batch by batch, in this order of steps."""
        raise NotImplementedError

    def _order(self, random: np.random.Generator) -> NDArray:
        """The order of one epoch's training."""
        return random.permutation(self.parts["training"])

    def _variables(self) -> list[Any]:
        """What of the model training changes."""
        return self.model.trainable_variables

    def start(self) -> None:
        """Keep the first weights, and give the optimiser its variables."""
        self.model.optimizer.build(self.model.trainable_variables)
        self.kept = self._state()

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
        order = self._order(np.random.default_rng([self.seed, number]))
        epoch: dict[str, Any] = {"epoch": number}
        for prefix, steps, function in (
            ("", order, self.train_batch),
            ("validation_", self.parts["validation"], self.judge_batch),
        ):
            found = self._measure(steps, function)
            for name, (called, _) in self.told.items():
                epoch[f"{prefix}{called.replace(' ', '_')}"] = found[name]
            if len(steps) and found["loss"] is None:
                raise TrainingFailed(
                    f"the loss was not finite in epoch {number}: try a lower learning_rate than "
                    f"{p.learning_rate_of(0):g}"
                )
        epoch |= {"learning_rate": rate, "seconds": round(time.monotonic() - started, 3)}
        self.epochs.append(epoch)
        if self.kept_epoch == number:
            self.kept = self._state()
        figures = [
            f"{called} {_figure(epoch[key], digits)}, "
            f"validation {_figure(epoch[f'validation_{key}'], digits)}"
            for called, digits in self.told.values()
            for key in [called.replace(" ", "_")]
        ]
        self.say(
            f"epoch {number} of {p.epochs}: {'; '.join(figures)}; {epoch['seconds']:.1f} s"
        )  # fmt: skip

    def _measure(self, steps: NDArray, function: Callable[..., object]) -> dict[str, float | None]:
        """Call ``function`` with each batch of steps; then the metrics, ``None`` for not finite."""
        for metric in self.metrics.values():
            metric.reset_state()
        if not len(steps):
            return dict.fromkeys(self.metrics)
        for batch in self._batches(steps):
            function(*batch)
        values = {name: float(metric.result()) for name, metric in self.metrics.items()}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}

    def result(self) -> dict[str, Any]:
        """The entry of ``results.json``; call it after :meth:`run`."""
        return {
            "epochs": self.epochs,
            "kept_epoch": self.kept_epoch,
            "seconds": round(sum(epoch["seconds"] for epoch in self.epochs), 3),
            "peak_memory_bytes": peak_memory_bytes(),
            "parameters": sum(math.prod(w.shape) for w in self.model.trainable_variables),
            "failed": None,
        }

    # Checkpoints

    def _state(self) -> list[NDArray]:
        return [variable.numpy() for variable in self._variables()]

    def _assign(self, state: Sequence[NDArray]) -> None:
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def _save(self) -> None:
        """Write all that the next epoch depends on."""
        arrays: dict[str, Any] = {"epochs": np.array(json.dumps(self.epochs))}
        optimizer = [variable.numpy() for variable in self.model.optimizer.variables]
        for kind, values in (
            ("weights", self._state()), ("kept", self.kept), ("optimizer", optimizer)
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


def _figure(value: float | None, digits: int) -> str:
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


def prepare_tensorflow() -> None:
    """The same result for the same seed, and no more of a GPU's memory than is needed."""
    import keras
    import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)
    keras.utils.set_random_seed(0)  # each training sets its own
    tf.config.experimental.enable_op_determinism()


def reason(error: Exception) -> str:
    """Why it failed, in one paragraph."""
    import tensorflow as tf

    if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
        gib = peak_memory_bytes() / 2**30
        return (
            f"memory ran out ({type(error).__name__}; the process had {gib:.1f} GiB): give it "
            "more, or lower batch_size, steps or units"
        )
    return " ".join(f"{type(error).__name__}: {error}".split())


def main(
    program: str, train_folder: Callable[[Path, Say], None], arguments: Sequence[str]
) -> int:  # fmt: skip
    """Train what the folder asks for; 0 only if ``results.json`` is then complete."""
    watch_parent()
    try:
        with _reporting() as (say, given):
            if not (named := [*arguments[:1], *([given] if given else [])]):
                raise SystemExit(f"usage: python -m {program} FOLDER")
            folder = Path(named[0])
            (folder / "error.txt").unlink(missing_ok=True)
            try:
                prepare_tensorflow()
                train_folder(folder, say)
            except Exception as error:
                (folder / "error.txt").write_text(reason(error))
                raise
    except Exception as error:
        print(reason(error), file=sys.stderr, flush=True)
        return 1
    return 0
