"""Networks on incident maps: their shapes and sizes, and what they do against slow ways to it."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf

from crime_assets.models.incident_networks import (
    Lstms,
    build_body,
    build_network,
    build_st_resnet,
    count_parameters,
)
from crime_assets.models.incident_parameters import (
    BODIES,
    NETWORKS,
    PUBLISHED_PARAMETERS,
    IncidentParameters,
)

SMALL: dict[str, Any] = {
    "filters": 4, "blocks": 2, "lstm_units": 5, "cell_units": 3, "residual_units": 1,
}  # fmt: skip
CELLS = np.array([0, 7, 8, 20, 35])


def a_network(network: str, outputs: int = 1, **parameters: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    return build_network(
        IncidentParameters(network, **SMALL | parameters), 6, 3, CELLS, outputs, logit=-1, unit=2
    )


def some_days(days: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).poisson(0.7, (days, 6, 6, 3)).astype(np.float32)


def lstm(inputs: int, units: int) -> int:
    return 4 * units * (inputs + units + 1)


def convolution(size: int, inputs: int, filters: int) -> int:
    return size * size * inputs * filters + filters


# --- Sizes ----------------------------------------------------------------------------------


def test_st_resnet_has_as_many_parameters_as_was_published() -> None:
    count, parameters = PUBLISHED_PARAMETERS["ST-ResNet"]
    model = build_st_resnet(40, 1, 1, parameters)
    assert model.output_shape == (None, 40, 40, 1)
    units, first, last, fusion = 3 * 6 * 73_856, 576 * 12 + 3 * 64, 3 * 577, 3 * 1_600
    assert count_parameters(model) == count == units + first + last + fusion


@pytest.mark.parametrize(
    ("body", "features", "parameters"),
    [
        (
            "vgg",
            5 * 5 * 256,
            convolution(3, 11, 32) + 3 * convolution(3, 32, 32) + convolution(3, 32, 64)
            + 3 * convolution(3, 64, 64) + convolution(1, 64, 256) + convolution(1, 256, 256)
            + 2 * (32 + 32 + 64),
        ),
        (
            "resnet",
            10 * 10 * 16,
            convolution(3, 11, 2) + convolution(1, 2, 2) + convolution(3, 2, 8)
            + convolution(3, 11, 8) + convolution(3, 8, 4) + convolution(1, 4, 4)
            + convolution(3, 4, 16) + convolution(3, 8, 16) + 2 * (8 + 16),
        ),
        (
            "fastmask",
            10 * 10 * (11 + 8 + 11 + 8 + 8),
            convolution(3, 11, 8) + convolution(3, 19, 8) + 2 * convolution(3, 8, 8)
            + 2 * (19 + 27),
        ),
        (
            "fastresmask",
            10 * 10 * (8 + 16),
            convolution(3, 11, 2) + convolution(1, 2, 2) + convolution(3, 2, 8)
            + convolution(3, 11, 8) + convolution(3, 8, 4) + convolution(1, 4, 4)
            + convolution(3, 4, 16) + convolution(3, 8, 16) + 2 * (8 + 16),
        ),
    ],
)  # fmt: skip
def test_bodies_have_the_layers_that_they_should(body: str, features: int, parameters: int) -> None:
    model = build_body(40, 11, IncidentParameters(body=body, filters=8, blocks=2))
    assert model.output_shape == (None, features)
    assert count_parameters(model) == parameters
    bare = IncidentParameters(
        body=body, filters=8, blocks=2, batch_normalisation=False, dropout=0.0
    )
    kinds = {type(layer).__name__ for layer in build_body(40, 11, bare).layers}
    assert not {"BatchNormalization", "Dropout"} & kinds
    regularised = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert len(regularised) == (3 if body == "vgg" else 2)


@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize("network", ["sftt", "tfts", "parb"])
def test_networks_have_the_layers_that_they_should(network: str, depth: int) -> None:
    n, by = len(CELLS), IncidentParameters(network, **SMALL)
    day, feature = (
        (count_parameters(body), body.output_shape[-1])
        for body in (build_body(6, 3, by), build_body(6, 3, by))
    )
    wide = [day[1], *[5] * (depth - 1), n]
    spatial = day[0] + sum(lstm(*pair) for pair in pairwise(wide))
    temporal = feature[0] + lstm(3, 3) + 2 * lstm(3, 3)
    read = {"sftt": n, "tfts": feature[1], "parb": n + feature[1]}[network]
    expected = {"sftt": spatial, "tfts": temporal, "parb": spatial + temporal}[network]
    for outputs in (1, 3):
        model = a_network(network, outputs, lstm_layers=depth)
        assert count_parameters(model) == expected + 2 * (read + 1) * n * outputs


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("network", NETWORKS)
def test_outputs_are_of_windows_cells_and_crime_types(network: str, outputs: int) -> None:
    length = 12 if network == "st-resnet" else 4
    positions = np.random.default_rng(1).integers(-1, 9, (2, length)).astype(np.int32)
    logit, count = a_network(network, outputs)((some_days(9), positions))
    assert logit.shape == count.shape == (2, len(CELLS), outputs)
    assert np.isfinite(logit).all()
    assert np.std(count) > 0


# --- What they do ---------------------------------------------------------------------------


@pytest.mark.parametrize("skipped", [False, True])
def test_shared_lstms_are_keras_own(skipped: bool) -> None:
    days = np.random.default_rng(2).normal(size=(7, 2, 4)).astype(np.float32)
    positions = np.array([[0, 1, 2, 3], [2, 3, 4, 6]], dtype=np.int32)
    if skipped:
        positions[0, 0] = positions[1, 1] = positions[1, 3] = -1
    layer = Lstms([5, 3])
    found = layer(days, positions).numpy()
    assert found.shape == (2, 2, 3)
    h = days[np.maximum(positions, 0)].transpose(0, 2, 1, 3).reshape(4, 4, 4)
    mask = np.repeat(positions >= 0, 2, axis=0)
    for weighing, stepping in zip(layer.weighing, layer.stepping, strict=True):
        own = keras.layers.LSTM(stepping.cell.units, return_sequences=True)
        own.build(h.shape)
        own.set_weights([weighing.kernel, stepping.cell.kernel, weighing.bias])
        h = own(h, mask=mask)
    np.testing.assert_allclose(found.reshape(4, 3), h[:, -1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("network", ["sftt", "tfts", "parb"])
def test_windows_that_share_days_are_foretold_as_each_by_itself(network: str) -> None:
    model = a_network(network)
    days = some_days(9)
    starts = [0, 1, 4]
    positions = np.array([range(s, s + 5) for s in starts], dtype=np.int32)
    together = model((days, positions))
    for at, start in enumerate(starts):
        alone = model((days[start : start + 5], np.arange(5, dtype=np.int32)[None]))
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_allclose(one[at], other[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("body", BODIES)
def test_sftt_is_a_body_on_each_day_then_lstms(body: str) -> None:
    model = a_network("sftt", body=body, lstm_layers=1)
    days = some_days(3)
    features = model.day_body(np.log1p(days), training=False)
    own = keras.layers.LSTM(len(CELLS))
    own.build((1, 3, features.shape[-1]))
    gates, steps = model.lstms.weighing[0], model.lstms.stepping[0].cell
    own.set_weights([gates.kernel, steps.kernel, gates.bias])
    h = own(features[None])
    logit, count = model((days, np.array([[0, 1, 2]], np.int32)))
    np.testing.assert_allclose(logit[..., 0], model.probability_head(h) - 1, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(count[..., 0], 2 * model.count_head(h), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", ["sftt", "tfts", "parb"])
def test_days_that_were_not_observed_change_nothing(network: str) -> None:
    model = a_network(network)
    days = some_days(6)
    whole = model((days, np.array([[1, 3, 4]], np.int32)))
    for positions in ([-1, -1, 1, 3, 4], [1, -1, 3, 4, -1], [1, 3, -1, -1, 4]):
        masked = model((days, np.array([positions], np.int32)))
        for one, other in zip(whole, masked, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    nothing = model((days, np.full((1, 4), -1, np.int32)))
    assert np.isfinite(nothing[0]).all()


def test_tfts_sees_the_cells_where_they_are() -> None:
    model = a_network("tfts")
    days = some_days(4)
    positions = np.array([[0, 1, 2, 3]], np.int32)
    outside = days.copy()
    rows, columns = np.divmod(np.setdiff1d(np.arange(36), CELLS), 6)
    outside[:, rows, columns] += 5
    logit = model((days, positions))[0]
    np.testing.assert_array_equal(logit, model((outside, positions))[0])
    moved = days.copy()
    moved[:, 0, 0], moved[:, 3, 2] = days[:, 3, 2], days[:, 0, 0]
    assert np.abs(logit - model((moved, positions))[0]).max() > 1e-6


def test_st_resnet_sees_noughts_for_days_that_are_not_there() -> None:
    model = a_network("st-resnet")
    days = some_days(13)
    days[12] = 0
    positions = np.arange(12, dtype=np.int32)[None]
    missing, nought = positions.copy(), positions.copy()
    missing[0, 5], nought[0, 5] = -1, 12
    logit = model((days, missing))[0]
    np.testing.assert_allclose(logit, model((days, nought))[0], rtol=1e-6)
    assert np.abs(logit - model((days, positions))[0]).max() > 1e-6


def test_the_losses_are_worked_by_hand() -> None:
    model = a_network("sftt", 1)
    counts = np.array([0, 3, 0, 1, 0], np.float32).reshape(1, 5, 1)
    logit = np.array([-1, 2, 1, 0, 0], np.float32).reshape(1, 5, 1)
    count = np.array([1, 1, 0, 1, 0], np.float32).reshape(1, 5, 1)
    entropy, error = model.losses_of(*(tf.constant(each) for each in (counts, logit, count)))
    likely = 1 / (1 + np.exp(-np.array([-1, 2, 1, 0, 0.0])))
    true = np.array([1 - likely[0], likely[1], 1 - likely[2], likely[3], 1 - likely[4]])
    assert float(entropy) == pytest.approx(-np.log(true).mean(), rel=1e-5)
    assert float(error) == pytest.approx((1 + 4) / 4 / 5)  # in units of 2


def test_gradients_reach_every_weight() -> None:
    for network in NETWORKS:
        model = a_network(network, dropout=0.0)
        length = 12 if network == "st-resnet" else 4
        positions = np.arange(2 * length, dtype=np.int32).reshape(2, length) % 9
        counts = np.ones((2, len(CELLS), 1), np.float32)
        with tf.GradientTape() as tape:
            loss = tf.add_n(model.losses_of(counts, *model((some_days(9), positions))))
        gradients = tape.gradient(loss, model.trainable_variables)
        names = [
            weight.path
            for weight, gradient in zip(model.trainable_variables, gradients, strict=True)
            if gradient is None
        ]
        assert not names
