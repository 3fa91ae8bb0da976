"""Figures of GLDNet: a step of training on a sparse graph, against the same network with a matrix.

A step is forward, backward and update, with the default parameters, 16 steps of 3 types at a time,
both forms compiled. Graphs are planar and have 2.95 edges a node, as streets have. Memory is what
a process needs beyond what it had with TensorFlow imported, its inputs made, and a network of 60
nodes trained: the peak less that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.measuring import Figure, Run, by_turns, peak_bytes, seconds_into

SMALL, MIDDLE, LARGE = 1_177, 10_000, 100_000
EDGES = 3_469 / SMALL
"""Edges a node: those of the source's graph of Baltimore."""

FEATURES, BATCH = 3, 16
ROUNDS = 10
"""Steps that are timed for each round of the benchmark."""

TIMES = LARGE // MIDDLE

LARGE_GIB = 6

FORMS = ("sparse", "dense", "columns")
MATRIX = "the same network with A as a full matrix: A H for each step of the batch"
COLUMNS = "the same, all steps of the batch side by side: the fastest form with a matrix"


def figures(run: Run) -> list[Figure]:
    """Measure a step of training on small, middling and large graphs."""
    middle, most = (round(run.share * nodes) for nodes in (MIDDLE, LARGE))
    graphs = {nodes: str(make_graph(run.folder, nodes)) for nodes in (SMALL, middle, most)}

    def steps(nodes: int, form: str, rounds: int) -> dict[str, float]:
        return run.measure(steps_of, graphs[nodes], nodes, form, rounds).value

    small = run.measure(small_steps, graphs[SMALL], ROUNDS * run.rounds).value
    ours = steps(middle, "sparse", ROUNDS * run.rounds)
    growing = run.measure(
        growing_steps, [graphs[middle], middle], [graphs[most], most], ROUNDS
    ).value
    dense, columns = (steps(middle, form, run.rounds) for form in ("dense", "columns"))
    large = steps(most, "sparse", run.rounds)
    for other in (dense, columns):
        if abs(ours["loss"] - other["loss"]) > 1e-4 * ours["loss"]:
            raise AssertionError(f"a loss of {ours['loss']}, and {other['loss']} with a matrix")
    step, ms, mib, gib = "GLDNet, a step on {:,} nodes".format, 1000, 2**20, 2**30
    found = [
        Figure(step(SMALL), ms * small["sparse"], "ms", ms * small["dense"], MATRIX, most_ratio=1),
        Figure(step(SMALL), ms * small["sparse"], "ms", ms * small["columns"], COLUMNS),
        Figure(
            step(middle),
            ms * ours["seconds"],
            "ms",
            ms * dense["seconds"],
            MATRIX,
            most_ratio=1 / 20,
        ),
        Figure(step(middle), ms * ours["seconds"], "ms", ms * columns["seconds"], COLUMNS),
        Figure(
            step(most),
            ms * growing["large"],
            "ms",
            ms * growing["middle"],
            f"{TIMES} steps on {middle:,} nodes, by turns",
            most_ratio=1,
        ),
    ]
    if not run.own_process:
        return found
    leaner = min(dense, columns, key=lambda form: form["growth"])
    memory = "the leaner of the two with a matrix"
    return [
        *found,
        Figure(
            f"memory of a step on {middle:,} nodes",
            ours["growth"] / mib,
            "MiB",
            leaner["growth"] / mib,
            memory,
            most_ratio=1 / 10,
        ),
        Figure(
            f"peak memory of its process, {middle:,} nodes",
            ours["peak"] / gib,
            "GiB",
            leaner["peak"] / gib,
            memory,
        ),
        Figure(
            f"peak memory of its process, {most:,} nodes",
            large["peak"] / gib,
            "GiB",
            most=LARGE_GIB,
        ),
    ]


def make_graph(folder: Path, nodes: int) -> Path:
    """A planar graph of so many nodes, in a file: neighbours in a plane, some of them taken out."""
    from scipy.spatial import Delaunay

    path = folder / f"graph-{nodes}.npz"
    if not path.exists():
        rng = np.random.default_rng(nodes)
        corners = np.sort(Delaunay(rng.random((nodes, 2))).simplices, axis=1)
        pairs = np.unique(
            np.concatenate([corners[:, at] for at in ([0, 1], [1, 2], [0, 2])]), axis=0
        )
        pairs = pairs[rng.permutation(len(pairs))[: round(EDGES * nodes)]]
        weight = rng.uniform(0.5, 1, len(pairs))
        np.savez(path, one=pairs[:, 0], other=pairs[:, 1], weight=weight)
    return path


# --- In a process of its own ----------------------------------------------------------------


def small_steps(graph: str, rounds: int) -> dict[str, float]:
    """Steps on a small graph, of each form by turns."""
    batch, read = _batch(SMALL), _read(graph, SMALL)
    return by_turns(rounds, **{form: _stepper(read, batch, form) for form in FORMS})


def growing_steps(middle: tuple[str, int], large: tuple[str, int], rounds: int) -> dict[str, float]:
    """A step on the large graph, and as many on the middling one as have its nodes, by turns."""
    one, other = (
        _stepper(_read(graph, nodes), _batch(nodes), "sparse") for graph, nodes in (middle, large)
    )
    # of equal length, since on a busy machine a short time is more likely to be a quiet one
    return by_turns(rounds, middle=lambda: [one() for _ in range(TIMES)], large=other)


def steps_of(graph: str, nodes: int, form: str, rounds: int) -> dict[str, float]:
    """Steps of one form."""
    from crime_assets.models.gldnet import Graph

    ring = np.arange(60)
    warm = Graph(60, ring, np.roll(ring, 1), np.ones(60))
    _stepper(warm, _batch(60), form)()
    batch, read = _batch(nodes), _read(graph, nodes)
    before = _resident_bytes()
    step = _stepper(read, batch, form)
    loss = step()
    times: list[float] = []
    for _ in range(rounds):
        with seconds_into(times):
            step()
    peak = peak_bytes()
    return {"seconds": min(times), "loss": loss, "growth": peak - before, "peak": peak}


def _read(path: str, nodes: int) -> Any:
    from crime_assets.models.gldnet import Graph

    with np.load(path) as found:
        return Graph(nodes, **{name: found[name] for name in ("one", "other", "weight")})


def _batch(nodes: int) -> tuple[Any, Any]:
    """Inputs and counts of one batch."""
    import tensorflow as tf

    from crime_assets.models.gldnet_parameters import GldnetParameters

    tf.random.set_seed(1)
    shape = (BATCH, nodes, GldnetParameters().steps * FEATURES)
    return tf.random.uniform(shape), tf.random.poisson((BATCH, nodes), 0.05)


def _stepper(graph: Any, batch: tuple[Any, Any], form: str) -> Callable[[], float]:
    """A function that trains one step on the batch and returns the loss before it."""
    import keras
    import tensorflow as tf

    from crime_assets.models import gldnet
    from crime_assets.models.gldnet_parameters import GldnetParameters

    def build() -> Any:
        keras.utils.set_random_seed(1)
        return gldnet.build_gldnet(GldnetParameters(), FEATURES, graph)

    if form == "sparse":
        compiled = gldnet.training_step(build())
        return lambda: float(compiled(*batch))

    class MatrixDiffusion(gldnet.LocalizedDiffusion):
        """The same layers, A being a full matrix; it is made where it lies, without a copy."""

        def call(self, inputs: Any) -> Any:
            h = inputs
            for self_kernel, local_kernel in self.kernels:
                h = tf.nn.relu(h @ self_kernel + self._near(h @ local_kernel))
            return h

        def _near(self, h: Any) -> Any:
            if form == "dense":
                return matrix @ h
            columns = tf.reshape(tf.transpose(h, (1, 0, 2)), (self.nodes, -1))
            near = tf.reshape(matrix @ columns, (self.nodes, -1, self.units))
            return tf.transpose(near, (1, 0, 2))

    places, values, _ = graph.adjacency()
    sparse = tf.SparseTensor(places, values.astype(np.float32), (graph.nodes, graph.nodes))
    matrix = tf.Variable(lambda: tf.sparse.to_dense(sparse), trainable=False)
    with mock.patch.object(gldnet, "LocalizedDiffusion", MatrixDiffusion):
        model = build()
    weights = model.trainable_variables

    @tf.function
    def step(inputs: Any, counts: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = model.loss(counts, model(inputs, training=True))
        model.optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    return lambda: float(step(*batch))


def _resident_bytes() -> int:
    """The memory that this process has resident now; where that is not told, the most it had."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return peak_bytes()
    import resource

    return int(statm.read_text().split()[1]) * resource.getpagesize()
