"""GLDNet against NumPy by hand, its gradients, its training, and the program that trains it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

from crime_assets.models.gldnet import (
    Gated,
    Graph,
    HitRate,
    LocalizedDiffusion,
    Scaled,
    WeightedSquaredError,
    build_gldnet,
    training_step,
)
from crime_assets.models.gldnet_parameters import GldnetParameters
from crime_assets.models.program import TrainingFailed, reason
from crime_assets.models.train_gldnet import Inputs, Training, train_folder
from crime_assets.models.windows import smooth, windows

ROOT = Path(__file__).parents[2]
SMALL = GldnetParameters(steps=3, epochs=4, batch_size=8, patience=4)
RNG = np.random.default_rng(7)


def a_graph(nodes: int = 12, alone: int = 1) -> Graph:
    """A ring with some chords, and nodes at the end that have no neighbour."""
    rng = np.random.default_rng(nodes)
    ring = np.arange(nodes - alone)
    one = np.concatenate([ring, ring[:3]])
    other = np.concatenate([np.roll(ring, -1), ring[:3] + 5])
    return Graph(nodes, one, other, rng.uniform(0.2, 1, len(one)))


def matrix_of(graph: Graph) -> NDArray[np.float64]:
    """The row-normalised adjacency as a full matrix, made pair by pair."""
    matrix = np.zeros((graph.nodes, graph.nodes))
    for i, j, weight in zip(graph.one, graph.other, graph.weight, strict=True):
        matrix[i, j] = matrix[j, i] = weight
    total = matrix.sum(axis=1, keepdims=True)
    return np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)


def a_diffusion(graph: Graph, **options: Any) -> LocalizedDiffusion:
    layer = LocalizedDiffusion(3, 2, graph.nodes, len(graph.one), **options)
    layer.build((None, graph.nodes, 4))
    layer.set_graph(graph)
    return layer


def some_inputs(steps: int = 40, graph: Graph | None = None) -> Inputs:
    """Counts of two types on a small graph: some segments have many."""
    graph = graph or a_graph()
    rng = np.random.default_rng(3)
    counts = rng.poisson(rng.gamma(0.4, 1, (graph.nodes, 2)), (steps, graph.nodes, 2))
    length = rng.uniform(20, 200, graph.nodes)
    return Inputs(counts.astype(np.uint8), graph.one, graph.other, graph.weight, length)


def a_training(folder: Path, inputs: Inputs | None = None, **options: Any) -> Training:
    given = {"target": 0, "split": (28, 32), "seed": 5, "say": lambda _: None} | options
    parameters = given.pop("parameters", SMALL)
    return Training(
        parameters, inputs or some_inputs(), checkpoint=folder / "checkpoint" / "state.npz", **given
    )


# --- Layers, loss and metric ----------------------------------------------------------------


def test_a_gated_layer_is_its_formula():
    layer = Gated(5)
    h = RNG.normal(size=(2, 6, 4)).astype(np.float32)
    found = layer(h)
    layer.bias.assign(RNG.normal(size=5))
    layer.gate_bias.assign(RNG.normal(size=5))
    w, b, u, c = (
        np.asarray(weights.numpy(), dtype=float)
        for weights in (layer.kernel, layer.bias, layer.gate_kernel, layer.gate_bias)
    )
    expected = np.maximum(h @ w + b, 0) / (1 + np.exp(-(h @ u + c)))
    np.testing.assert_allclose(layer(h), expected, rtol=1e-5, atol=1e-6)
    assert found.shape == (2, 6, 5)


def test_diffusion_is_its_formula_with_a_full_matrix():
    graph = a_graph()
    layer = a_diffusion(graph, dtype="float64")
    h = inputs = RNG.normal(size=(2, graph.nodes, 4))
    matrix = matrix_of(graph)
    for one, local in layer.kernels:
        h = np.maximum(h @ one.numpy() + matrix @ h @ local.numpy(), 0)
    np.testing.assert_allclose(layer(inputs), h, rtol=1e-12, atol=1e-12)


def test_a_graph_without_edges_diffuses_nothing():
    graph = Graph(3, np.array([], int), np.array([], int), np.array([]))
    layer = a_diffusion(graph, dtype="float64")
    h = inputs = RNG.normal(size=(2, 3, 4))
    for one, _ in layer.kernels:
        h = np.maximum(h @ one.numpy(), 0)
    np.testing.assert_allclose(layer(inputs), h)


def test_gradients_are_finite_differences():
    graph = a_graph(10)
    layer = a_diffusion(graph, dtype="float64")
    for weight in layer.trainable_weights:  # the identity has units at the kink of relu
        weight.assign(RNG.normal(size=weight.shape))
    gated = Gated(4, dtype="float64")
    inputs = tf.Variable(RNG.normal(size=(2, 10, 4)))
    aim = RNG.normal(size=(2, 10, 3))

    def loss() -> tf.Tensor:
        return tf.reduce_sum(layer(gated(inputs)) * aim)

    loss()
    weights = [inputs, *(w.value for w in gated.trainable_weights + layer.trainable_weights)]
    with tf.GradientTape() as tape:
        value = loss()
    for weight, gradient in zip(weights, tape.gradient(value, weights), strict=True):
        start = weight.numpy()
        for place in RNG.permutation(start.size)[:6]:
            ends = []
            for step in (1e-6, -1e-6):
                moved = start.copy()
                moved.flat[place] += step
                weight.assign(moved)
                ends.append(float(loss()))
            weight.assign(start)
            slope = (ends[0] - ends[1]) / 2e-6
            assert gradient.numpy().flat[place] == pytest.approx(slope, abs=1e-6)


def test_counts_are_scaled_by_their_logarithm():
    layer = Scaled([1.0, 2.0])
    found = layer(np.array([[[0.0, 0.0], [np.e - 1, 2 * (np.e - 1)]]])).numpy()
    np.testing.assert_allclose(found, [[[0, 0], [1, 1]]], rtol=1e-6)
    assert Scaled.from_config(layer.get_config()).scale.tolist() == [1, 2]


def test_an_untrained_network_says_the_level_where_nothing_was():
    model = build_gldnet(GldnetParameters(steps=2), 2, a_graph(), [1.0, 1.0], level=0.003)
    nothing = np.zeros((1, 12, 4))
    # the gates' biases are nought, so that nothing but the head's is left
    np.testing.assert_allclose(model(nothing), 0.003, rtol=1e-5)


@pytest.mark.parametrize(
    ("one", "other", "weight", "what"),
    [([0], [3], [1.0], "none of the 3"), ([1], [1], [1.0], "its own"), ([0], [1], [0.0], "above")],
)
def test_what_is_no_graph_is_refused(one: list, other: list, weight: list, what: str):
    with pytest.raises(ValueError, match=what):
        Graph(3, np.array(one), np.array(other), np.array(weight))


def test_the_loss_is_worked_by_hand():
    counts, expected = np.array([[0, 2], [1, 0]]), np.array([[0.5, 1.0], [1.5, 0.0]])
    by_hand = (0.03 * 0.25 + 2 * 1 + 1 * 0.25 + 0) / 4
    assert float(WeightedSquaredError(0.03)(counts, expected)) == pytest.approx(by_hand)


def hit_rate(coverage: float, size: list[float], counts: list, expected: list) -> float:
    metric = HitRate(coverage, size)
    metric.update_state(np.array(counts, float), np.array(expected, np.float32))
    return float(metric.result())


def test_the_hit_rate_is_worked_by_hand():
    # by number: two of four; the step without crimes does not count
    assert hit_rate(0.5, [1, 1, 1, 1], [[3, 0, 1, 0], [0] * 4], [[9, 8, 1, 0]] * 2) == 0.75
    # by length: 40 of 100 m are segment 2 (10 m) and 30 of the 60 m of segment 0
    assert hit_rate(0.4, [60, 30, 10], [[2, 1, 1]], [[5, 1, 9]]) == pytest.approx((1 + 1) / 4)
    # equal ones are taken in their order
    assert hit_rate(0.5, [1, 1, 1, 1], [[0, 1, 1, 1]], [[1, 1, 1, 1]]) == pytest.approx(1 / 3)
    assert np.isnan(hit_rate(0.5, [1, 1], [[0, 0]], [[1, 0]]))


# --- The network ----------------------------------------------------------------------------


def test_look_back_matters():
    smoothed = smooth(some_inputs().counts, 0.5)
    for steps in (1, 3):
        model = build_gldnet(GldnetParameters(steps=steps), 2, a_graph())
        assert model.input_shape == (None, 12, 2 * steps)
        before = smoothed.copy()
        before[10 - 2] += 1  # two rows before the last that step 10 sees
        x, y = (windows(s, [10], steps) for s in (smoothed, before))
        assert np.array_equal(x, y) == (steps == 1)
    first = model.layers[2]  # after the input, and what scales it
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(first(x))
    gradient = tape.gradient(total, first.gate_kernel.value).numpy()
    assert (np.abs(gradient.reshape(3, 2, -1)).sum(axis=(1, 2)) > 0).all()  # of every step


@pytest.mark.slow
def test_a_saved_model_foretells_the_same_where_only_the_package_is_imported(
    tmp_path: Path,
):
    model = build_gldnet(GldnetParameters(steps=3), 2, a_graph(), [0.5, 2.0], 0.1)
    x = RNG.random((2, 12, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", model(x))
    model.save(tmp_path / "model.keras")
    code = (
        "import sys, numpy as np, keras, crime_assets.models.gldnet\n"
        f"model = keras.models.load_model({str(tmp_path / 'model.keras')!r})\n"
        f"y = model(np.load({str(tmp_path / 'x.npy')!r})).numpy()\n"
        f"assert np.array_equal(y, np.load({str(tmp_path / 'y.npy')!r})), y\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)
    metric = HitRate.from_config(HitRate(0.2, [1.0, 2.0]).get_config())
    assert (metric.coverage, metric.size.tolist()) == (0.2, [1.0, 2.0])


@pytest.mark.slow
def test_a_batch_in_parts_is_trained_as_one(monkeypatch: pytest.MonkeyPatch):
    x = RNG.random((10, 12, 6)).astype(np.float32)
    y = RNG.poisson(0.5, (10, 12)).astype(np.float32)
    ends = []
    for rows in (10_000, 12):
        monkeypatch.setattr("crime_assets.models.gldnet.ROWS_AT_ONCE", rows)
        monkeypatch.setattr("crime_assets.models.gldnet.LEAST_AT_ONCE", 3)
        keras.utils.set_random_seed(1)
        model = build_gldnet(SMALL, 2, a_graph())
        step = training_step(model)
        losses = [float(step(x, y)) for _ in range(3)]
        ends.append((losses, model(x).numpy()))
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-5)
    np.testing.assert_allclose(ends[0][1], ends[1][1], rtol=1e-3)


# --- Training -------------------------------------------------------------------------------


@pytest.mark.slow
def test_equal_seeds_train_equal_networks_and_others_do_not(tmp_path: Path):
    ends = []
    for folder, seed in (("a", 5), ("b", 5), ("c", 6)):
        training = a_training(tmp_path / folder, seed=seed)
        (tmp_path / folder).mkdir()
        training.run()
        ends.append(training.expected([20, 40]))
    np.testing.assert_array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0], ends[2])


@pytest.mark.slow
def test_steps_to_come_change_nothing(tmp_path: Path):
    inputs = some_inputs()
    counts = inputs.counts.astype(np.float32)
    poisoned = counts.copy()
    poisoned[32:] = 1e6
    expected, losses = [], []
    for name, known in (("a", counts), ("b", poisoned)):
        (tmp_path / name).mkdir()
        training = a_training(
            tmp_path / name,
            Inputs(known, inputs.one, inputs.other, inputs.weight, inputs.length),
        )
        training.run()
        expected.append(training.expected([20, 32]))
        losses.append([epoch["validation_loss"] for epoch in training.epochs])
    np.testing.assert_array_equal(*expected)
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_a_training_that_goes_on_ends_as_one_that_was_never_stopped(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = a_training(tmp_path / "a")
    whole.run()
    stopped = a_training(tmp_path / "b")
    for _ in range(2):
        stopped._run_epoch()
        stopped._save()
    resumed = a_training(tmp_path / "b")
    resumed.run()
    assert len(resumed.epochs) == len(whole.epochs)
    assert [e["loss"] for e in resumed.epochs] == [e["loss"] for e in whole.epochs]
    for one, other in zip(whole.kept, resumed.kept, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_training_stops_early_and_keeps_the_best_epoch(tmp_path: Path):
    parameters = GldnetParameters(steps=3, epochs=30, patience=2, learning_rate=0.05, batch_size=4)
    training = a_training(tmp_path, parameters=parameters)
    training.run()
    losses = [epoch["validation_loss"] for epoch in training.epochs]
    assert len(losses) < 30
    assert training.kept_epoch == 1 + int(np.argmin(losses)) == len(losses) - 2
    judged = training.result()["metrics"]
    assert judged["validation"]["loss"] == pytest.approx(min(losses))
    assert 0 < judged["test"]["hit_rate_segments_20"] <= 1


@pytest.mark.slow
def test_a_loss_that_is_not_finite_fails_with_its_reason(tmp_path: Path):
    parameters = GldnetParameters(steps=3, epochs=4, learning_rate=1e30)
    with pytest.raises(TrainingFailed, match="not finite in epoch 1: try a lower learning_rate"):
        a_training(tmp_path, parameters=parameters).run()


# --- The program ----------------------------------------------------------------------------


def a_folder(folder: Path, trainings: list[dict[str, Any]], **task: Any) -> Path:
    """A training folder as an orchestrator writes it."""
    from scipy.sparse import csr_matrix

    inputs = some_inputs()
    flat = csr_matrix(inputs.counts.reshape(len(inputs.counts), -1))
    folder.mkdir()
    np.savez_compressed(
        folder / "inputs.npz",
        counts_data=flat.data,
        counts_indices=flat.indices,
        counts_indptr=flat.indptr,
        shape=inputs.counts.shape,
        one=inputs.one,
        other=inputs.other,
        weight=inputs.weight,
        length=inputs.length,
    )
    given = {
        "features": ["a", "b"],
        "steps": [str(t) for t in range(len(inputs.counts))],
        "trainings": trainings,
        "split": [28, 32],
        "origins": [32, 40],
        "save": True,
        "seed": 5,
    }
    (folder / "task.json").write_text(json.dumps(given | task))
    return folder


def program(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "crime_assets.models.train_gldnet", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_inputs_are_read_as_they_were_written(tmp_path: Path):
    read = Inputs.read(a_folder(tmp_path / "folder", []) / "inputs.npz")
    np.testing.assert_array_equal(read.counts, some_inputs().counts)
    assert read.counts.dtype == np.uint8


@pytest.mark.slow
def test_a_program_that_was_killed_goes_on_and_ends_the_same(tmp_path: Path):
    one = {"name": "one", "target": 0, "parameters": SMALL.to_dict()}
    bad = {"name": "bad", "target": 1, "parameters": SMALL.to_dict() | {"steps": 30}}
    whole, killed = (a_folder(tmp_path / name, [one, bad]) for name in ("whole", "killed"))
    running = program(killed)
    assert running.stdout
    for line in running.stdout:
        if "epoch 2 of" in line:
            running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not (killed / "results.json").exists()
    for folder in (killed, whole):
        output, errors = (running := program(folder)).communicate()
        assert running.returncode == 0, errors
        assert ("goes on after epoch" in output) == (folder == killed)
    found = [json.loads((folder / "results.json").read_text()) for folder in (whole, killed)]
    assert "no step to train on" in found[0]["trainings"]["bad"]["failed"]
    first, second = (results["trainings"]["one"] for results in found)
    assert [e["loss"] for e in first["epochs"]] == [e["loss"] for e in second["epochs"]]
    assert first["metrics"] == second["metrics"]
    assert first["failed"] is None
    assert first["peak_memory_bytes"] > 2**27
    assert found[0]["machine"]["devices"]
    expected = [np.load(folder / "one.npy") for folder in (whole, killed)]
    np.testing.assert_array_equal(*expected)
    assert expected[0].shape == (2, 12)
    assert expected[0].dtype == np.float32
    models = [keras.models.load_model(folder / "one.keras") for folder in (whole, killed)]
    for one_weight, other in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_array_equal(one_weight, other)
    assert not list(whole.glob("*checkpoint*")) + list(whole.glob("unfinished*"))


def test_memory_that_ran_out_is_said():
    for error in (MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM")):
        assert "memory ran out" in reason(error)


@pytest.mark.slow
def test_a_training_without_memory_fails_alone_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tried: list[int] = []

    def run(training: Training) -> None:
        tried.append(training.target)
        if len(tried) < 3:
            raise (MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM"))[
                len(tried) - 1
            ]

    monkeypatch.setattr(Training, "run", run)
    trainings = [{"name": n, "target": 0, "parameters": SMALL.to_dict()} for n in ("a", "b", "c")]
    folder = a_folder(tmp_path / "folder", trainings, origins=[], save=False)
    lines: list[str] = []
    for failed in (["a", "b"], []):
        train_folder(folder, lines.append)
        found = json.loads((folder / "results.json").read_text())["trainings"]
        assert sorted(name for name in found if found[name]["failed"]) == failed
        assert all("memory ran out" in found[name]["failed"] for name in failed)
    assert len(tried) == 5
    assert any(line.startswith("a: failed: memory ran out") for line in lines)


@pytest.mark.slow
def test_what_is_wrong_is_said_and_the_exit_code_is_not_nought(tmp_path: Path):
    folder = a_folder(tmp_path / "folder", [{"name": "one", "target": 9, "parameters": {}}])
    running = program(folder)
    running.communicate()
    assert running.returncode == 1
    assert "IndexError" in (folder / "error.txt").read_text()
    assert not (folder / "results.json").exists()


def test_the_program_ends_when_its_parent_is_gone():
    child = (
        "import time; from crime_assets.models.program import watch_parent; "
        "watch_parent(0.05); print('up', flush=True); time.sleep(60)"
    )
    parent = (
        f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {child!r}]); "
        "print(child.pid, flush=True); child.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as started:
        assert started.stdout
        pid = int(started.stdout.readline())
        assert started.stdout.readline() == "up\n"
        started.kill()
    with suppress(psutil.NoSuchProcess):
        orphan = psutil.Process(pid)
        for _ in range(100):
            if orphan.status() == psutil.STATUS_ZOMBIE:  # where nobody buries it
                return
            time.sleep(0.05)
        pytest.fail("the orphan lives")


def test_importing_the_program_imports_neither_dagster_nor_tensorflow():
    code = (
        "import sys, crime_assets.models.train_gldnet\n"
        "assert not {'dagster', 'tensorflow', 'keras', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
