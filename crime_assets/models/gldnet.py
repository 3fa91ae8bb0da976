"""GLDNet: a network that foretells events on the segments of a street graph, for sparse graphs.

Zhang and Cheng 2020, Computers, Environment and Urban Systems 79:101403: gated layers find what
matters in the last steps of each segment, diffusion layers what comes from its neighbours. Written
for Keras 3 on TensorFlow. Importing this module registers all that a saved model is made of, so
that ``keras.models.load_model`` needs nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from tensorflow.python.ops.linalg.sparse import sparse_csr_matrix_ops as csr_ops

from crime_assets.models.gldnet_parameters import GldnetParameters

PACKAGE = "crime_assets"

ROWS_AT_ONCE, LEAST_AT_ONCE = 60_000, 6
"""How much of a batch goes through the network at once: rows (steps x nodes), and steps at least.

More would need more memory, for at most a tenth of the time; fewer steps would need more time.
"""


@dataclass(frozen=True)
class Graph:
    """Which nodes are neighbours: pairs of positions ``one`` and ``other`` (e,), each once.

    ``weight`` (e,) says how near they are, above 0. Raises ``ValueError`` for positions that are no
    node, for a node that is its own neighbour and for weights that are not above 0.
    """

    nodes: int
    one: NDArray[np.integer]
    other: NDArray[np.integer]
    weight: NDArray[np.floating]

    def __post_init__(self) -> None:
        if not len(self.one) == len(self.other) == len(self.weight):
            raise ValueError("a pair of neighbours is two positions and a weight")
        if not len(self.one):
            return
        ends = np.stack([self.one, self.other])
        if ends.min() < 0 or ends.max() >= self.nodes:
            raise ValueError(f"a neighbour is none of the {self.nodes:,} nodes")
        if (ends[0] == ends[1]).any():
            raise ValueError("a node is its own neighbour")
        if not (self.weight > 0).all():
            raise ValueError("a weight is not above 0")

    def adjacency(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """The row-normalised adjacency A: places (2e, 2) by row, values (2e,), and their mirrors.

        The values of a row add up to 1. The mirror of the entry (i, j) is the position of (j, i):
        A transposed has the same places and the values of the mirrors.
        """
        rows = np.concatenate([self.one, self.other]).astype(np.int64)
        columns = np.concatenate([self.other, self.one]).astype(np.int64)
        weight = np.tile(np.asarray(self.weight, dtype=float), 2)
        total = np.bincount(rows, weight, minlength=self.nodes)
        by_row = np.lexsort((columns, rows))
        places = np.stack([rows, columns], axis=1)[by_row]
        position = np.empty(len(rows), dtype=np.int64)
        position[by_row] = np.arange(len(rows))
        mirror = np.roll(position, len(self.one))[by_row]
        return places, (weight / total[rows])[by_row], mirror


@keras.saving.register_keras_serializable(PACKAGE)
class Scaled(keras.layers.Layer):
    """log(1 + x / ``scale``): counts of any size as numbers that a network can weigh.

    ``scale`` (channels,) is above 0. Nought stays nought. Input and output (batch, nodes,
    channels).
    """

    def __init__(self, scale: ArrayLike, **options: Any) -> None:
        super().__init__(**options)
        self.scale = np.asarray(scale, dtype=np.float32)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The scaled channels of each node."""
        return tf.math.log1p(inputs / tf.constant(self.scale))

    def get_config(self) -> dict[str, Any]:
        """What the layer is made of."""
        return {**super().get_config(), "scale": self.scale.tolist()}


@keras.saving.register_keras_serializable(PACKAGE)
class Gated(keras.layers.Layer):
    """relu(H W + b) * sigmoid(H U + c): features, and a gate that lets them through or not.

    Input (batch, nodes, channels), output (batch, nodes, ``units``). Zhang and Cheng 2020.
    """

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make W and U (channels, units), b and c (units,)."""
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight(name="kernel", shape=shape)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.gate_kernel = self.add_weight(name="gate_kernel", shape=shape)
        self.gate_bias = self.add_weight(name="gate_bias", shape=(self.units,), initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The gated features of each node."""
        features = tf.nn.relu(inputs @ self.kernel + self.bias)
        return features * tf.sigmoid(inputs @ self.gate_kernel + self.gate_bias)

    def get_config(self) -> dict[str, Any]:
        """What the layer is made of."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(PACKAGE)
class LocalizedDiffusion(keras.layers.Layer):
    """``layers`` times relu(H W_self + A H W_local): what is at a node, and what comes from near.

    A is the row-normalised weighted adjacency of a graph of ``nodes`` nodes and ``edges`` pairs of
    neighbours. It is held sparse, once for all layers, and is saved with the model; give it by
    :meth:`set_graph`. A node without neighbours has an empty row. So many layers reach so many
    junctions. W_self starts as the identity: what is at a node goes through, and no unit is dead
    before it has learnt anything.

    Input (batch, nodes, channels), output (batch, nodes, ``units``). Zhang and Cheng 2020.
    """

    def __init__(self, units: int, layers: int, nodes: int, edges: int, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.layers, self.nodes, self.edges = units, layers, nodes, edges
        self.supports_jit = False  # XLA knows no sparse matrices

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the kernels of each layer, (channels, units), and room for the graph."""
        channels = [input_shape[-1], *[self.units] * (self.layers - 1)][: self.layers]
        self.kernels = [
            tuple(
                self.add_weight(
                    name=f"{name}_kernel_{layer}", shape=(size, self.units), initializer=start
                )
                for name, start in (("self", "identity"), ("local", "glorot_uniform"))
            )
            for layer, size in enumerate(channels)
        ]
        held: dict[str, Any] = {"initializer": "zeros", "trainable": False}
        entries = 2 * self.edges
        self.places = self.add_weight(name="places", shape=(entries, 2), dtype="int64", **held)
        self.mirror = self.add_weight(name="mirror", shape=(entries,), dtype="int64", **held)
        self.values = self.add_weight(name="values", shape=(entries,), **held)

    def set_graph(self, graph: Graph) -> None:
        """Take the neighbours of ``graph``; raises ``ValueError`` where it has another size."""
        if (graph.nodes, len(graph.one)) != (self.nodes, self.edges):
            raise ValueError(
                f"a graph of {graph.nodes:,} nodes and {len(graph.one):,} edges for a layer of "
                f"{self.nodes:,} and {self.edges:,}"
            )
        places, values, mirror = graph.adjacency()
        self.places.assign(places)
        self.values.assign(values)
        self.mirror.assign(mirror)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The features of each node after so many layers."""
        diffuse = self._diffusion()
        # the rows of a node stand together, so that A meets one long row for each
        h = tf.reshape(tf.transpose(inputs, (1, 0, 2)), (-1, inputs.shape[-1]))
        for self_kernel, local_kernel in self.kernels:
            h = tf.nn.relu(h @ self_kernel + diffuse(h @ local_kernel))
        return tf.transpose(tf.reshape(h, (self.nodes, -1, h.shape[-1])), (1, 0, 2))

    def _diffusion(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The function that multiplies (nodes x batch, channels) by A."""
        places, mirror = tf.convert_to_tensor(self.places), tf.convert_to_tensor(self.mirror)
        values, shape = tf.convert_to_tensor(self.values), (self.nodes, self.nodes)
        forward = csr_ops.sparse_tensor_to_csr_sparse_matrix(places, values, shape)
        backward = csr_ops.sparse_tensor_to_csr_sparse_matrix(
            places, tf.gather(values, mirror), shape
        )

        @tf.custom_gradient
        def multiply(h: tf.Tensor) -> Any:
            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                return csr_ops.sparse_matrix_mat_mul(backward, upstream)

            return csr_ops.sparse_matrix_mat_mul(forward, h), gradient

        def diffuse(h: tf.Tensor) -> tf.Tensor:
            flat = tf.reshape(h, (self.nodes, -1))
            return tf.reshape(multiply(flat), tf.shape(h))

        return diffuse

    def get_config(self) -> dict[str, Any]:
        """What the layer is made of, without the graph."""
        names = ("units", "layers", "nodes", "edges")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(PACKAGE)
class WeightedSquaredError(keras.losses.Loss):
    """The mean of w (prediction - count)^2 with w = count, or ``rho`` where there was no crime.

    Nearly all segments have no crime in a step, and would outweigh the others. Zhang and Cheng
    2020.
    """

    def __init__(self, rho: float = 0.03, **options: Any) -> None:
        super().__init__(**options)
        self.rho = rho

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The weighted squared error of each node; the mean is taken by Keras."""
        counts = tf.cast(y_true, y_pred.dtype)
        return tf.where(counts > 0, counts, self.rho) * tf.square(y_pred - counts)

    def get_config(self) -> dict[str, Any]:
        """What the loss is made of."""
        return {**super().get_config(), "rho": self.rho}


@keras.saving.register_keras_serializable(PACKAGE)
class HitRate(keras.metrics.Metric):
    """The share of a step's crimes on the segments that fill ``coverage`` of the total ``size``.

    Segments are taken by falling prediction (with ``by_density``, prediction by size), those with
    equal ones in their order; of the one at the limit, the share that fits. ``size`` (nodes,) holds
    lengths, or ones to count segments. The mean over the steps that have crimes; nan before there
    is one. Zhang and Cheng 2020.
    """

    def __init__(
        self, coverage: float, size: ArrayLike, by_density: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self.coverage, self.by_density = coverage, by_density
        self.size = np.asarray(size, dtype=float)
        self.rates = self.add_weight(name="rates", dtype="float64", initializer="zeros")
        self.steps = self.add_weight(name="steps", dtype="float64", initializer="zeros")

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: None = None
    ) -> None:
        """Take in steps: counts and predictions, both (batch, nodes)."""
        crimes = tf.cast(y_true, "float64")
        score = y_pred / tf.constant(self.size, y_pred.dtype) if self.by_density else y_pred
        order = tf.argsort(score, direction="DESCENDING", stable=True)
        size = tf.gather(tf.constant(self.size / self.size.sum()), order)
        room = self.coverage - (tf.cumsum(size, axis=1) - size)
        inside = tf.clip_by_value(tf.math.divide_no_nan(room, size), 0.0, 1.0)
        hits = tf.reduce_sum(tf.gather(crimes, order, batch_dims=1) * inside, axis=1)
        total = tf.reduce_sum(crimes, axis=1)
        self.rates.assign_add(tf.reduce_sum(tf.math.divide_no_nan(hits, total)))
        self.steps.assign_add(tf.reduce_sum(tf.cast(total > 0, "float64")))

    def result(self) -> tf.Tensor:
        """The mean hit rate, 0 to 1."""
        return tf.convert_to_tensor(self.rates) / tf.convert_to_tensor(self.steps)

    def get_config(self) -> dict[str, Any]:
        """What the metric is made of."""
        about = {"coverage": self.coverage, "size": self.size.tolist()}
        return {**super().get_config(), **about, "by_density": self.by_density}


def loss_of(parameters: GldnetParameters) -> keras.losses.Loss:
    """The loss that the parameters name."""
    if parameters.loss == "poisson":
        return keras.losses.Poisson()
    return WeightedSquaredError(parameters.rho)


def build_gldnet(
    parameters: GldnetParameters,
    features: int,
    graph: Graph,
    scale: ArrayLike | None = None,
    level: float = math.log(2),
) -> keras.Model:
    """An untrained GLDNet of ``features`` types of crime on a graph, compiled for training.

    Input (batch, nodes, steps x features), see :func:`crime_assets.models.windows.windows`; output
    (batch, nodes), crimes of the next step, 0 or more. ``scale`` (features,) is what each feature
    is divided by (default: 1), ``level`` what an untrained network says of a node where all is
    nought: it starts where a constant is best, else it first has to unlearn so much that its units
    die.
    """
    inputs = keras.Input((graph.nodes, parameters.steps * features))
    scale = np.ones(features) if scale is None else np.asarray(scale)
    h = Scaled(np.tile(scale, parameters.steps))(inputs)
    for _ in range(parameters.gated_layers):
        h = Gated(parameters.gated_units)(h)
    if parameters.diffusion_layers:
        diffusion = LocalizedDiffusion(
            parameters.diffusion_units,
            parameters.diffusion_layers,
            graph.nodes,
            len(graph.one),
        )
        h = diffusion(h)
        diffusion.set_graph(graph)
    start = keras.initializers.Constant(math.log(math.expm1(level)))
    h = keras.layers.Dense(1, activation="softplus", bias_initializer=start)(h)
    model = keras.Model(inputs, keras.layers.Reshape((graph.nodes,))(h), name="gldnet")
    model.compile(keras.optimizers.Adam(parameters.learning_rate), loss_of(parameters))
    return model


def training_step(
    model: keras.Model, observe: Callable[[tf.Tensor, tf.Tensor], None] = lambda *_: None
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A compiled function that trains one batch: inputs and counts in, the loss before it out.

    The batch goes through the network in parts (see :data:`ROWS_AT_ONCE`), whose gradients are
    added up; ``observe`` is given the counts and predictions of each part.
    """
    nodes = model.output_shape[-1]
    at_once = max(LEAST_AT_ONCE, ROWS_AT_ONCE // nodes)
    weights = model.trainable_variables
    model.optimizer.build(weights)

    @tf.function(input_signature=signature(model))
    def step(inputs: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        size = tf.shape(inputs)[0]
        total = tf.zeros((), inputs.dtype)
        gradients = [tf.zeros_like(weight) for weight in weights]
        for first in tf.range(0, size, at_once):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            part = counts[first : first + at_once]
            with tf.GradientTape() as tape:
                expected = model(inputs[first : first + at_once], training=True)
                loss = model.loss(part, expected) * tf.cast(tf.shape(part)[0] / size, inputs.dtype)
            total += loss
            found = tape.gradient(loss, weights)
            gradients = [one + other for one, other in zip(gradients, found, strict=True)]
            observe(part, expected)
        model.optimizer.apply(gradients, weights)
        return total

    return step


def signature(model: keras.Model) -> list[tf.TensorSpec]:
    """What a batch looks like: inputs (steps, nodes, channels) and counts (steps, nodes)."""
    shapes = (model.input_shape, model.output_shape)
    return [tf.TensorSpec((None, *shape[1:]), tf.float32) for shape in shapes]
