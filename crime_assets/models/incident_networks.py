"""Networks that foretell incidents on a grid: SFTT, TFTS, ParB and ST-ResNet, for Keras 3.

Maps (p, p, C) hold a day's incidents of C crime types; of the cells of the grid those at ``cells``
are foretold. Stalidis, Semertzidis and Daras 2021: a body finds the spatial features of each day
and LSTMs what they lead to (SFTT); or LSTMs find what each cell's days lead to and a body the
spatial features of that (TFTS); or both (ParB). Zhang, Zheng and Qi 2017: ST-ResNet, with days of
the month and of the week in the place of its hours. All end in two heads: how likely a cell is hot,
and how many incidents it will have.

Windows overlap: a network is given each day's map once, and for each window the positions of its
days, so that a body meets a day once, however many windows hold it. A position of -1 is a day that
was not observed: LSTMs skip it, ST-ResNet sees a map of noughts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import ArrayLike

from crime_assets.models.gldnet import Scaled
from crime_assets.models.incident_parameters import PUBLISHED_PARAMETERS, IncidentParameters

MOMENTUM = 0.9
"""Of the running moments of batch normalisation: an epoch has few batches."""

BRANCHES, MAPS = 3, 4
"""ST-ResNet sees recent days, days of the same weekday and of the same day of the month: four each.
"""

# --- Bodies ---------------------------------------------------------------------------------


def build_body(p: int, channels: int, parameters: IncidentParameters) -> keras.Model:
    """The spatial features of a map: (.., p, p, ``channels``) in, a vector out.

    Pools halve the map, rounding up. Batch normalisation and dropout follow each of them.
    """
    inputs = keras.Input((p, p, channels))
    if parameters.body == "vgg":
        h = _vgg(inputs, parameters)
    elif parameters.body == "resnet":
        h = inputs
        for block in range(parameters.blocks):
            h = _resnet_block(h, parameters.filters * 2**block, parameters)
    else:
        h = _necks(inputs, parameters)
    return keras.Model(inputs, layers.Flatten()(h), name=parameters.body)


def _convolution(h: Any, filters: int, size: int, stride: int = 1) -> Any:
    return layers.Conv2D(
        filters, size, stride, padding="same", activation="relu", kernel_initializer="he_normal"
    )(h)


def _regularised(h: Any, parameters: IncidentParameters) -> Any:
    if parameters.batch_normalisation:
        h = layers.BatchNormalization(momentum=MOMENTUM)(h)
    return layers.Dropout(parameters.dropout)(h) if parameters.dropout else h


def _vgg(h: Any, parameters: IncidentParameters) -> Any:
    """Five pairs of convolutions; the first three end in a pool of maxima."""
    for pair, (size, filters) in enumerate([(3, 32), (3, 32), (3, 64), (3, 64), (1, 256)]):
        h = _convolution(_convolution(h, filters, size), filters, size)
        if pair < 3:
            h = _regularised(layers.MaxPooling2D(2, padding="same")(h), parameters)
    return h


def _resnet_block(h: Any, filters: int, parameters: IncidentParameters) -> Any:
    """3x3, 1x1 and 3x3 of f/4, f/4 and f filters, averaged with a parallel 3x3; then a pool."""
    main = _convolution(_convolution(h, filters // 4, 3), filters // 4, 1)
    main, residual = _convolution(main, filters, 3), _convolution(h, filters, 3)
    h = layers.MaxPooling2D(2, padding="same")(layers.Average()([main, residual]))
    return _regularised(h, parameters)


def _necks(h: Any, parameters: IncidentParameters) -> Any:
    """Necks one after the other; what comes of each is brought to the last one's scale and joined.

    A neck of FastMask sets two convolutions, the second of which halves the map, beside the average
    of what it was given. A neck of FastResMask is a block of ResNet.
    """
    found = []
    for neck in range(parameters.blocks):
        if parameters.body == "fastresmask":
            h = _resnet_block(h, parameters.filters * 2**neck, parameters)
        else:
            new = _convolution(_convolution(h, parameters.filters, 3), parameters.filters, 3, 2)
            pooled = layers.AveragePooling2D(2, padding="same")(h)
            h = _regularised(layers.Concatenate()([pooled, new]), parameters)
        found.append(h)
    last = h.shape[1]
    at_scale = []
    for each in found:
        while each.shape[1] > last:
            each = layers.AveragePooling2D(2, padding="same")(each)
        at_scale.append(each)
    return layers.Concatenate()(at_scale) if len(at_scale) > 1 else at_scale[0]


# --- LSTMs ----------------------------------------------------------------------------------


class Recurrence(layers.Layer):
    """A step of an LSTM of ``units`` whose four gates (.., 4 units) already hold their inputs."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = self.output_size = units
        self.state_size = [units, units]

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make U (units, 4 units), by which the last output comes to the gates."""
        self.kernel = self.add_weight(
            name="kernel", shape=(self.units, 4 * self.units), initializer="orthogonal"
        )

    def call(
        self, gates: tf.Tensor, states: Sequence[tf.Tensor], training: bool | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The output of the step, and the states: the output and what is remembered."""
        output, memory = states
        entry, keep, new, leave = tf.split(gates + output @ self.kernel, 4, axis=-1)
        memory = tf.sigmoid(keep) * memory + tf.sigmoid(entry) * tf.tanh(new)
        output = tf.sigmoid(leave) * tf.tanh(memory)
        return output, [output, memory]


class Lstms(layers.Layer):
    """LSTMs one upon the other, ``units`` wide each, on sequences of days that are shared.

    Input days (D, m, features) of m places, and positions (B, L) of the days of each sequence, -1
    for a day to skip; output (B, m, ``units[-1]``), the last of each. Inputs are weighed once for
    each day. A sequence of nothing but -1 gives noughts.
    """

    def __init__(self, units: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.units = list(units)
        self.weighing = [
            layers.Dense(4 * width, bias_initializer=_remember, name=f"gates_{at}")
            for at, width in enumerate(self.units)
        ]
        self.stepping = [
            layers.RNN(Recurrence(width), return_sequences=True, name=f"steps_{at}")
            for at, width in enumerate(self.units)
        ]

    def call(self, days: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """The last output of the last layer, for each sequence and place."""
        places, length = days.shape[1], tf.shape(positions)[1]
        mask = tf.repeat(positions >= 0, places, axis=0)
        h = tf.gather(self.weighing[0](days), tf.maximum(positions, 0))
        h = tf.transpose(h, (0, 2, 1, 3))  # a sequence for each place
        h = tf.reshape(h, (-1, length, h.shape[-1]))
        h = self.stepping[0](h, mask=mask)
        for weighing, stepping in zip(self.weighing[1:], self.stepping[1:], strict=True):
            h = stepping(weighing(h), mask=mask)
        return tf.reshape(h[:, -1], (-1, places, self.units[-1]))


def _remember(shape: Sequence[int], dtype: Any = None) -> tf.Tensor:
    """Biases of gates that at first keep what they have: 1 for the second, 0 for the others."""
    width = shape[0] // 4
    return tf.concat([tf.zeros(width), tf.ones(width), tf.zeros(2 * width)], 0)


# --- ST-ResNet ------------------------------------------------------------------------------


class Fusion(layers.Layer):
    """The sum of some maps (B, p, p, k), each cell of each weighed by a weight of its own."""

    def build(self, input_shape: Sequence[Sequence[int | None]]) -> None:
        """Make the weights of each map, (p, p, k)."""
        self.kernels = [
            self.add_weight(name=f"weight_{at}", shape=shape[1:], initializer="glorot_uniform")
            for at, shape in enumerate(input_shape)
        ]

    def call(self, maps: Sequence[tf.Tensor]) -> tf.Tensor:
        """The weighed sum."""
        return tf.add_n([one * kernel for one, kernel in zip(maps, self.kernels, strict=True)])


def build_st_resnet(
    p: int, channels: int, maps_out: int, parameters: IncidentParameters
) -> keras.Model:
    """ST-ResNet: three inputs (B, p, p, 4 ``channels``), one for each branch; (B, p, p, maps_out).

    A branch is a convolution of 64 filters, residual units of two of them, and a convolution to
    the maps that come out; the branches are fused. Zhang, Zheng and Qi 2017.
    """

    def activated(h: Any) -> Any:
        if parameters.batch_normalisation:
            h = layers.BatchNormalization(momentum=MOMENTUM)(h)
        return layers.Activation("relu")(h)

    inputs = [keras.Input((p, p, MAPS * channels)) for _ in range(BRANCHES)]
    branches = []
    for h in inputs:
        h = layers.Conv2D(64, 3, padding="same")(h)
        for _ in range(parameters.residual_units):
            change = h
            for _ in range(2):
                change = layers.Conv2D(64, 3, padding="same")(activated(change))
            h = layers.Add()([h, change])
        branches.append(layers.Conv2D(maps_out, 3, padding="same")(layers.Activation("relu")(h)))
    return keras.Model(inputs, Fusion()(branches), name="st_resnet")


# --- The network ----------------------------------------------------------------------------


def _head(width: int, name: str) -> layers.Dense:
    """What a network adds to the level, at first next to nothing: it would have to unlearn it."""
    small = keras.initializers.VarianceScaling(0.01)
    return layers.Dense(width, kernel_initializer=small, name=name)


class IncidentNetwork(keras.Model):
    """A network on p x p maps of ``channels`` crime types, of which it foretells ``outputs``.

    Inputs: maps (D, p, p, channels), counts of each day, and positions (B, L) in them, the days of
    each window in their order, -1 for one that was not observed. Of ST-ResNet L is 12: recent days,
    same weekdays, same days of the month. Outputs: logits of being hot and counts, (B, n, outputs)
    both, n being the number of ``cells``, positions in p x p.

    ``scale`` (channels,) is what each channel is divided by. ``logit`` and ``count`` (n, outputs)
    are what an untrained network would do best to say whatever it sees, it learns how much to add;
    counts are learnt in units of ``unit`` (outputs,).
    """

    def __init__(
        self,
        parameters: IncidentParameters,
        p: int,
        channels: int,
        cells: ArrayLike,
        outputs: int = 1,
        *,
        scale: ArrayLike | None = None,
        logit: ArrayLike = 0.0,
        count: ArrayLike = 0.0,
        unit: ArrayLike = 1.0,
    ) -> None:
        super().__init__(name=parameters.network.replace("-", "_"))
        self.kind, self.side, self.outputs = parameters.network, p, outputs
        self.cells = np.asarray(cells, dtype=np.int32)
        n = len(self.cells)
        shapes = {"logit": (n, outputs), "count": (n, outputs), "unit": (outputs,)}
        given = {"logit": logit, "count": count, "unit": unit}
        self.level = {
            name: np.broadcast_to(np.asarray(given[name], dtype=np.float32), shape).copy()
            for name, shape in shapes.items()
        }
        self.scaled = Scaled(np.ones(channels) if scale is None else scale)
        if self.kind == "st-resnet":
            self.residual = build_st_resnet(p, channels, 2 * outputs, parameters)
            return
        if self.kind in ("sftt", "parb"):
            self.day_body = build_body(p, channels, parameters)
            self.lstms = Lstms([*[parameters.lstm_units] * (parameters.lstm_layers - 1), n])
        if self.kind in ("tfts", "parb"):
            self.cell_lstms = Lstms([parameters.cell_units] * parameters.cell_layers)
            self.feature_body = build_body(p, parameters.cell_units, parameters)
        self.probability_head = _head(n * outputs, "probability")
        self.count_head = _head(n * outputs, "count")

    def call(
        self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits and counts, both (B, n, outputs)."""
        maps, positions = inputs
        maps = self.scaled(maps)
        if self.kind == "st-resnet":
            fused = self._fused(maps, positions, training)
            logit, count = tf.split(tf.gather(fused, self.cells, axis=1), 2, axis=-1)
        else:
            found = []
            if self.kind in ("sftt", "parb"):
                days = self.day_body(maps, training=training)[:, None]
                found.append(self.lstms(days, positions)[:, 0])
            if self.kind in ("tfts", "parb"):
                found.append(self._temporal_first(maps, positions, training))
            h = tf.concat(found, axis=-1)
            shape = (-1, len(self.cells), self.outputs)
            logit = tf.reshape(self.probability_head(h), shape)
            count = tf.reshape(self.count_head(h), shape)
        level = self.level
        return logit + level["logit"], level["count"] + level["unit"] * count

    def _temporal_first(self, maps: tf.Tensor, positions: tf.Tensor, training: Any) -> tf.Tensor:
        """The features of the map of what each cell's days lead to; other cells hold noughts."""
        area = self.side**2
        days = tf.gather(tf.reshape(maps, (-1, area, maps.shape[-1])), self.cells, axis=1)
        features = self.cell_lstms(days, positions)
        place = np.full(area, len(self.cells))
        place[self.cells] = np.arange(len(self.cells))
        features = tf.gather(tf.pad(features, ((0, 0), (0, 1), (0, 0))), place, axis=1)
        shape = (-1, self.side, self.side, features.shape[-1])
        return self.feature_body(tf.reshape(features, shape), training=training)

    def _fused(self, maps: tf.Tensor, positions: tf.Tensor, training: Any) -> tf.Tensor:
        """What ST-ResNet makes of the twelve days of each window: (B, p p, 2 outputs)."""
        days = tf.gather(maps, tf.maximum(positions, 0))
        days *= tf.cast(positions >= 0, days.dtype)[:, :, None, None, None]
        days = tf.transpose(days, (0, 2, 3, 1, 4))
        shape = (-1, self.side, self.side, MAPS * maps.shape[-1])
        branches = [tf.reshape(part, shape) for part in tf.split(days, BRANCHES, axis=3)]
        fused = self.residual(branches, training=training)
        return tf.reshape(fused, (-1, self.side**2, 2 * self.outputs))

    def losses_of(
        self, counts: tf.Tensor, logit: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Of true counts (B, n, outputs): cross-entropy of being hot, squared error of counts.

        Both are means; the second is in units of ``unit``, so that neither drowns the other.
        """
        hot = tf.cast(counts > 0, logit.dtype)
        entropy = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(hot, logit))
        return entropy, tf.reduce_mean(tf.square((count - counts) / self.level["unit"]))


def build_network(
    parameters: IncidentParameters, p: int, channels: int, cells: ArrayLike, outputs: int = 1,
    **level: Any,
) -> IncidentNetwork:  # fmt: skip
    """An untrained network with all its weights; see :class:`IncidentNetwork`."""
    model = IncidentNetwork(parameters, p, channels, cells, outputs, **level)
    length = BRANCHES * MAPS if parameters.network == "st-resnet" else 1
    model((np.zeros((1, p, p, channels), np.float32), np.zeros((1, length), np.int32)))
    model.optimizer = keras.optimizers.Adam(parameters.learning_rate)
    return model


def count_parameters(model: keras.Model) -> int:
    """The number of trainable parameters."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)


def our_parameters(p: int = 40, cells: int = 752, channels: int = 11) -> dict[str, int]:
    """How many ours have, for each of :data:`PUBLISHED_PARAMETERS`: two heads, one crime type.

    ST-ResNet is counted as it was published: one channel, and one map of counts.
    """
    found = {}
    for name, (_, parameters) in PUBLISHED_PARAMETERS.items():
        if parameters.network == "st-resnet":
            found[name] = count_parameters(build_st_resnet(p, 1, 1, parameters))
        else:
            model = build_network(parameters, p, channels, np.arange(cells))
            found[name] = count_parameters(model)
    return found
