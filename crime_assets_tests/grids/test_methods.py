"""Each method says something of the twelve months, and none from a day that was to come."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from crime_assets import DataError
from crime_assets.cities.samples import CHANNELS, Samples
from crime_assets.forecasting.metrics import Judgement
from crime_assets.grids.methods import METHODS, NAIVE, Learning, parameters_of, predict
from crime_assets.models.grid_classifiers import GRID_CLASSIFIERS
from crime_assets_tests.grids.made import DAYS, TINY, P, answer, changed_from, made_samples

CLASSIFIERS = [m.name for m in METHODS.values() if m.kind == "classifier"]
RULES = [m.name for m in METHODS.values() if m.kind == "rule"]
NETWORKS = [m.name for m in METHODS.values() if m.kind == "network"]
ALL = "All crime"


@pytest.fixture(scope="module")
def samples() -> Samples:
    return made_samples()


def cells(samples: Samples) -> np.ndarray:
    return samples.active_cells("study")


def test_the_register_has_the_ten_in_the_order_of_the_study_and_then_the_others() -> None:
    assert list(METHODS) == [
        "ccrboost", "st_resnet", "decision_tree", "naive_bayes", "logit_boost", "random_forest",
        "svm", "nearest_neighbours", "mlp", "deep_mlp",
        "sftt_resnet", "tfts", "parb", "sftt_vgg", "sftt_fastmask", "sftt_fastresmask",
        "persistence", "rolling_mean", "exponential_mean", "kernel_density",
    ]  # fmt: skip
    assert set(CLASSIFIERS) == set(GRID_CLASSIFIERS)
    assert {METHODS[name].kind for name in NAIVE} == {"rule"}
    assert len({method.title for method in METHODS.values()}) == len(METHODS)
    for method in METHODS.values():
        assert len(method.source) > 20, method.name
        assert method.substitution.endswith("."), method.name


@pytest.mark.parametrize("name", NETWORKS)
def test_each_network_can_be_built_and_keeps_its_own_settings(name: str) -> None:
    found = parameters_of(METHODS[name], Learning(parameters={"epochs": 3, "network": "tfts"}))
    assert found.epochs == 3
    assert found.network == METHODS[name].parameters["network"]


@pytest.mark.parametrize("name", [*RULES, "decision_tree", "naive_bayes"])
def test_a_prediction_is_a_chance_for_each_cell_and_month(name: str, samples: Samples) -> None:
    found = dict(predict(METHODS[name], samples, [ALL, "Theft"], cells(samples)))
    assert list(found) == [ALL, "Theft"]
    for prediction in found.values():
        assert prediction.probability.shape == (12, P * P - 1)
        assert ((prediction.probability >= 0) & (prediction.probability <= 1)).all()
        assert (prediction.expected is not None) == (name in RULES)
        assert prediction.seconds >= 0


@pytest.mark.parametrize("name", [*RULES, "decision_tree", "svm", "ccrboost"])
def test_no_method_sees_a_day_from_the_origin_on(name: str, samples: Samples) -> None:
    origins = samples.test_origins()
    ((_, told),) = predict(METHODS[name], samples, [ALL], cells(samples))
    ((_, other),) = predict(
        METHODS[name], changed_from(samples, int(origins[4])), [ALL], cells(samples)
    )
    assert (other.probability[:5] == told.probability[:5]).all()
    assert (other.probability[5:] != told.probability[5:]).any()


def test_busy_cells_are_found(samples: Samples) -> None:
    """Rates do not change, so that the mean of a year ranks best."""
    truth = samples.targets(samples.test_origins())[:, cells(samples), -1]
    for name, least in (("rolling_mean", 0.8), ("random_forest", 0.7), ("logit_boost", 0.7)):
        ((_, told),) = predict(METHODS[name], samples, [ALL], cells(samples))
        auroc = [Judgement.of(p, y).auroc() for p, y in zip(told.probability, truth, strict=True)]
        assert np.mean(auroc) > least, name


def test_persistence_is_the_observed_ones_of_the_last_thirty_days(samples: Samples) -> None:
    ((_, told),) = predict(METHODS["persistence"], samples, ["Theft"], cells(samples))
    maps = samples.maps.counts.toarray().reshape(DAYS, P * P, -1)[..., CHANNELS.index("Theft")]
    for row, origin in zip(range(12), samples.test_origins(), strict=True):
        seen = np.flatnonzero(samples.maps.observed[origin - 30 : origin]) + origin - 30
        next_days = samples.maps.observed[origin : origin + 30].sum()
        expected = maps[seen][:, cells(samples)].sum(axis=0) * next_days / len(seen)
        assert told.expected is not None
        assert told.expected[row] == pytest.approx(expected)
        assert told.probability[row] == pytest.approx(1 - np.exp(-expected))


def test_stray_crimes_of_unobserved_days_say_nothing_to_rules(samples: Samples) -> None:
    counts = samples.maps.counts.toarray()
    counts[~samples.maps.observed] = 5
    stray = changed_from(samples, DAYS)
    object.__setattr__(stray.maps, "counts", type(samples.maps.counts)(counts))
    for name in RULES:
        ((_, told),) = predict(METHODS[name], samples, [ALL], cells(samples))
        ((_, other),) = predict(METHODS[name], stray, [ALL], cells(samples))
        assert (told.probability == other.probability).all(), name


def test_an_unknown_crime_type_is_refused(samples: Samples) -> None:
    with pytest.raises(DataError, match="no crime type Littering; there are Homicide"):
        list(predict(METHODS["persistence"], samples, ["Littering"], cells(samples)))


# --- Networks -------------------------------------------------------------------------------


def test_a_network_is_handed_no_day_from_the_last_origin_on(
    samples: Samples, tmp_path: Path
) -> None:
    learning = Learning(stride=50, parameters=TINY, seed=6)
    found = dict(
        predict(
            METHODS["sftt_vgg"], samples, [ALL, "Theft"], cells(samples), learning,
            folder=tmp_path, train=answer,
        )
    )  # fmt: skip
    task = json.loads((tmp_path / "task.json").read_text())
    maps = np.load(tmp_path / "maps.npy")
    origins = samples.test_origins()
    assert maps.dtype == np.uint8
    assert (maps == samples.maps.dense(0, origins[-1])).all()
    assert task["first_day"] == "2009-12-30"
    assert task["test"] == origins.tolist()
    known = [*task["training"], *task["validation"]]
    assert np.isin(known, samples.training_origins(50)).all()
    assert max(known) + 30 == origins[0]
    assert (task["seed"], [t["name"] for t in task["trainings"]]) == (6, ["all_crime", "theft"])
    assert task["trainings"][0]["parameters"]["body"] == "vgg"
    assert task["trainings"][1]["target"] == CHANNELS.index("Theft")
    assert found["Theft"].probability.shape == (12, P * P - 1)
    assert (found["Theft"].seconds, found["Theft"].parameters) == (2.0, 9)
    with np.load(tmp_path / "inputs.npz") as inputs:
        assert inputs["cells"].tolist() == np.flatnonzero(cells(samples)).tolist()


def test_one_network_of_all_types_is_asked_for_each_of_them(
    samples: Samples, tmp_path: Path
) -> None:
    from dataclasses import replace

    method = replace(METHODS["sftt_resnet"], multi_label=True)
    found = dict(
        predict(
            method, samples, ["Theft", ALL], cells(samples), Learning(stride=50, parameters=TINY),
            folder=tmp_path, train=answer,
        )
    )  # fmt: skip
    (training,) = json.loads((tmp_path / "task.json").read_text())["trainings"]
    assert training["target"] is None
    assert found["Theft"].probability == pytest.approx((CHANNELS.index("Theft") + 1) / 100)
    assert found[ALL].probability == pytest.approx(0.11)


def test_a_training_that_failed_says_why(samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="TFTS, ResNet, All crime: the loss was not finite"):
        list(
            predict(
                METHODS["tfts"], samples, [ALL], cells(samples), Learning(50, TINY),
                folder=tmp_path, train=lambda folder: answer(folder, "the loss was not finite"),
            )
        )  # fmt: skip
    with pytest.raises(ValueError, match="needs a folder"):
        list(predict(METHODS["tfts"], samples, [ALL], cells(samples)))


def test_busier_cells_than_a_byte_holds_are_handed_over_whole(tmp_path: Path) -> None:
    samples = made_samples()
    counts = samples.maps.counts.toarray()
    counts[40, 0] = 300
    object.__setattr__(samples.maps, "counts", type(samples.maps.counts)(counts))
    learning = Learning(50, TINY)
    asked = predict(
        METHODS["st_resnet"], samples, [ALL], cells(samples), learning, folder=tmp_path,
        train=answer,
    )  # fmt: skip
    assert list(asked)
    maps = np.load(tmp_path / "maps.npy")
    assert (maps.dtype, maps[40, 0, 0, 0]) == (np.uint16, 300)
