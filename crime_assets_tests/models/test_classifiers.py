"""Classifiers: probabilities that are some, the same ones each time, and files that are data."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from skops import io
from skops.io.exceptions import UntrustedTypesFoundException
from threadpoolctl import threadpool_limits

from crime_assets.models import classifiers
from crime_assets.models.classifiers import (
    CLASSIFIERS,
    NAIVE_CLASS,
    Fitted,
    fit,
    impurity_importances,
    load,
    permutation_importances,
    save,
)

FITTED = [name for name in CLASSIFIERS if name != NAIVE_CLASS]
N, K = 240, 4


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Boosting so few areas on several threads of a busy machine takes twenty times as long."""
    with threadpool_limits(1):
        yield


Example = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]


@cache
def example() -> Example:
    """Features of which the first alone decides, the class of last year (noise), the true class."""
    rng = np.random.default_rng(7)
    features = rng.normal(size=(N, 5))
    truth = np.digitize(features[:, 0], [0.0, 0.7, 1.3])
    features[rng.random((N, 5)) < np.array([0, 0, 0, 0.2, 0.2])] = np.nan
    return features, rng.integers(0, K, N), truth


@cache
def fitted(name: str) -> Fitted:
    return fit(CLASSIFIERS[name], *example(), K)


# --- Probabilities --------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_each_gives_a_probability_for_every_class_also_where_features_are_not_known(
    name: str,
) -> None:
    features, last, _ = example()
    found = fitted(name).probabilities(features, last)
    assert found.shape == (N, K)
    assert found.min() >= 0
    assert found.sum(axis=1) == pytest.approx(np.ones(N))
    nowhere = fitted(name).probabilities(np.full((2, 5), np.nan), last[:2])
    assert nowhere.sum(axis=1) == pytest.approx(np.ones(2))


@pytest.mark.parametrize("name", FITTED)
def test_each_learns_what_there_is_to_learn(name: str) -> None:
    features, last, truth = example()
    half = N // 2
    learnt = fit(CLASSIFIERS[name], features[:half], last[:half], truth[:half], K)
    found = learnt.probabilities(features[half:], last[half:])
    most_common = np.bincount(truth[half:]).max() / half
    assert (learnt.predict(found, last[half:]) == truth[half:]).mean() > most_common + 0.1


@pytest.mark.parametrize("name", FITTED)
def test_a_class_that_was_never_seen_has_no_probability_and_the_others_keep_their_places(
    name: str,
) -> None:
    features, last, truth = example()
    seen = truth != 1
    learnt = fit(CLASSIFIERS[name], features[seen], last[seen], truth[seen], K)
    found = learnt.probabilities(features, last)
    assert found.shape == (N, K)
    assert (found[:, 1] == 0).all()
    assert found.sum(axis=1) == pytest.approx(np.ones(N))
    assert (learnt.predict(found, last)[seen] == truth[seen]).mean() > 0.8


@pytest.mark.parametrize("name", FITTED)
def test_areas_of_one_class_teach_that_class(name: str) -> None:
    features, last, _ = example()
    learnt = fit(CLASSIFIERS[name], features, last, np.full(N, 2), K)
    found = learnt.probabilities(features, last)
    assert_array_equal(found, np.tile([0.0, 0.0, 1.0, 0.0], (N, 1)))


@pytest.mark.parametrize("name", FITTED)
def test_what_is_predicted_is_the_most_probable_class(name: str) -> None:
    features, last, _ = example()
    found = fitted(name).probabilities(features, last)
    assert_array_equal(fitted(name).predict(found, last), found.argmax(axis=1))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_same_areas_give_the_same_bits_each_time(name: str) -> None:
    features, last, _ = example()
    again = fit(CLASSIFIERS[name], *example(), K)
    assert_array_equal(
        again.probabilities(features, last), fitted(name).probabilities(features, last)
    )


def test_a_forest_is_the_same_to_the_bit_whatever_the_threads() -> None:
    """Also where areas are alike and their classes are not: then votes are fractions."""
    features, last, truth = example()
    alike = np.nan_to_num(np.round(features[:, :2]))
    one, two = (
        fit(CLASSIFIERS["random_forest"], alike, last, truth, K, threads) for threads in (1, 2)
    )
    expected = one.probabilities(alike, last)
    assert (expected % 0.01 > 1e-9).any()  # else the order of a sum would not matter
    for _ in range(5):
        assert_array_equal(two.probabilities(alike, last), expected)


# --- The rule -------------------------------------------------------------------------------


def test_the_rule_keeps_last_years_class_and_says_how_often_classes_moved() -> None:
    last = np.array([0, 0, 0, 1])
    became = np.array([0, 0, 1, 0])
    rule = fit(CLASSIFIERS[NAIVE_CLASS], np.empty((4, 0)), last, became, 3)
    asked = np.array([0, 1, 2])
    found = rule.probabilities(np.empty((3, 0)), asked)
    # a quarter of a change to each class on top of those that were counted
    expected = [[2.25 / 3.75, 1.25 / 3.75, 0.25 / 3.75], [1.25 / 1.75, 0.25 / 1.75, 0.25 / 1.75]]
    assert found[:2] == pytest.approx(np.array(expected))
    assert found[2] == pytest.approx([1 / 3] * 3)  # nothing is known of a class that none had
    assert_array_equal(rule.predict(found, asked), asked)
    assert found[1].argmax() == 0  # it keeps the class although a move is likelier


def test_the_register_has_one_rule_and_something_to_compare_it_with() -> None:
    assert [name for name, c in CLASSIFIERS.items() if c.make is None] == [NAIVE_CLASS]
    assert CLASSIFIERS[NAIVE_CLASS].role == "baseline"
    assert {c.role for c in CLASSIFIERS.values()} == {"baseline", "model"}
    for classifier in CLASSIFIERS.values():
        assert all((classifier.title, classifier.what, classifier.source, classifier.limits))


# --- Importances ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["random_forest", "logistic_regression"])
def test_shuffling_the_feature_that_decides_costs_most_and_noise_costs_nothing(name: str) -> None:
    features, last, truth = example()
    half = N // 2
    learnt = fit(CLASSIFIERS[name], features[:half], last[:half], truth[:half], K)
    asked = features[half:].copy()
    lost = permutation_importances(learnt, features[half:], truth[half:])
    assert lost.shape == (5,)
    assert lost[0] > 0.2
    assert np.abs(lost[1:]).max() < 0.1
    assert_array_equal(features[half:], asked)  # the features themselves are not shuffled
    again = permutation_importances(learnt, features[half:], truth[half:])
    assert_array_equal(again, lost)


def test_permutation_importance_is_the_mean_loss_of_accuracy() -> None:
    class Threshold:
        def predict(self, features: NDArray[np.float64]) -> NDArray[np.int64]:
            return (features[:, 0] > 0).astype(int)

    features = np.random.default_rng(1).normal(size=(200, 2)) - 0.5
    truth = (features[:, 0] > 0).astype(int)
    learnt = Fitted(Threshold(), np.arange(2), np.eye(2))
    lost = permutation_importances(learnt, features, truth, repeats=100)
    share = truth.mean()
    assert lost[0] == pytest.approx(2 * share * (1 - share), abs=0.01)  # two areas that differ
    assert lost[1] == 0


def test_importances_are_measured_on_a_sample_of_many_areas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[NDArray[np.float64]] = []

    class Listening:
        def predict(self, features: NDArray[np.float64]) -> NDArray[np.int64]:
            asked.append(features.copy())
            return np.zeros(len(features), dtype=int)

    monkeypatch.setattr(classifiers, "SHUFFLED", 30)
    features = np.arange(200.0).reshape(100, 2)
    learnt = Fitted(Listening(), np.arange(2), np.eye(2))
    permutation_importances(learnt, features, np.zeros(100, dtype=int), repeats=2)
    assert len(asked) == 1 + 2 * 2
    assert {len(part) for part in asked} == {30}
    assert len(np.unique(asked[0], axis=0)) == 30
    for part in asked:
        assert_array_equal(np.sort(part, axis=0), asked[0])


def test_only_forests_have_importances_by_impurity() -> None:
    forest = impurity_importances(fitted("random_forest"), 5)
    assert forest.sum() == pytest.approx(1)
    assert forest.argmax() == 0
    for name in ("gradient_boosting", "logistic_regression", NAIVE_CLASS):
        assert np.isnan(impurity_importances(fitted(name), 5)).all()
        assert len(impurity_importances(fitted(name), 5)) == 5


def test_the_rule_has_no_importances() -> None:
    features, _, truth = example()
    assert np.isnan(permutation_importances(fitted(NAIVE_CLASS), features, truth)).all()


# --- Files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FITTED)
def test_a_model_that_is_read_back_says_the_same(name: str, tmp_path: Path) -> None:
    features, last, _ = example()
    names = ["a", "b", "c", "d", "e"]
    save(fitted(name), names, tmp_path / "model.skops")
    estimator, found = load(tmp_path / "model.skops")
    assert found == names
    read = Fitted(estimator, np.asarray(estimator.classes_), fitted(name).transitions)
    assert_array_equal(
        read.probabilities(features, last), fitted(name).probabilities(features, last)
    )


def test_the_file_of_a_forest_is_of_the_areas_not_of_the_threads(tmp_path: Path) -> None:
    for threads in (1, 2):
        learnt = fit(CLASSIFIERS["random_forest"], *example(), K, threads)
        save(learnt, ["a"], tmp_path / f"{threads}.skops")
    one, two = (load(tmp_path / f"{threads}.skops")[0].get_params() for threads in (1, 2))
    assert one == two


class Foreign:
    """A class that is neither of scikit-learn nor of NumPy."""


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (Foreign(), "test_classifiers.Foreign"),
        (fit, "crime_assets.models.classifiers.fit"),
        (subprocess.check_output, "subprocess.check_output"),
    ],
    ids=["class", "function", "program"],
)
def test_a_file_with_anything_else_is_refused(content: Any, named: str, tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    io.dump({"estimator": content, "features": []}, path)
    with pytest.raises(UntrustedTypesFoundException, match=named):
        load(path)


def test_nothing_heavy_is_imported_with_the_register() -> None:
    assert not {"sklearn", "skops", "scipy"} & set(vars(classifiers))
