"""Figures of classifiers: the same as scikit-learn's, with intervals that mean what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn import metrics

from crime_assets import DataError
from crime_assets.classification import scoring
from crime_assets.classification.scoring import (
    Difference,
    Figure,
    bins_of,
    by_group,
    calibration_error,
    confusion,
    difference,
    judge,
)

Prediction = tuple[NDArray, NDArray, NDArray]


def example(n: int = 400, k: int = 4, seed: int = 1, decimals: int = 2) -> Prediction:
    """Truth, probabilities with ties, and predicted classes that are not always the likeliest."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(k, 0.6), n)
    truth = (rng.random(n)[:, None] > np.cumsum(probabilities, axis=1)).sum(axis=1)
    rough = np.round(probabilities, decimals)
    rough[:, -1] = 1 - rough[:, :-1].sum(axis=1)
    rough = np.abs(rough) / np.abs(rough).sum(axis=1, keepdims=True)
    predicted = np.where(rng.random(n) < 0.1, rng.integers(0, k, n), rough.argmax(axis=1))
    return np.minimum(truth, k - 1), rough, predicted


def value(figures: list[Figure], metric: str, class_: int | None = None) -> float:
    (found,) = (f for f in figures if (f.metric, f.class_) == (metric, class_))
    return found.value


def named(differences: list[Difference]) -> dict[str, Difference]:
    return {d.metric: d for d in differences}


# --- The same as scikit-learn ---------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 4, 9])
def test_every_figure_is_scikit_learns(k: int) -> None:
    truth, probabilities, predicted = example(k=k)
    figures = judge(truth, probabilities, predicted, ordered=True, resamplings=0)
    labels = list(range(k))
    expected: dict[tuple[str, int | None], float] = {
        ("accuracy", None): metrics.accuracy_score(truth, predicted),
        ("balanced_accuracy", None): metrics.balanced_accuracy_score(truth, predicted),
        ("macro_f1", None): metrics.f1_score(truth, predicted, average="macro"),
        ("weighted_f1", None): metrics.f1_score(truth, predicted, average="weighted"),
        ("kappa", None): metrics.cohen_kappa_score(truth, predicted, weights="quadratic"),
        ("log_loss", None): metrics.log_loss(truth, probabilities, labels=labels),
        ("brier", None): metrics.brier_score_loss(
            truth, probabilities, labels=labels, scale_by_half=False
        ),
        ("calibration_error", None): calibration_error(truth, probabilities, predicted),
        ("auroc", None): metrics.roc_auc_score(
            np.eye(k)[truth], probabilities, average="macro", multi_class="ovr"
        ),
    }
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=np.nan
    )
    for c in labels:
        own, score = truth == c, probabilities[:, c]
        (_, false_positives), _ = metrics.confusion_matrix(own, predicted == c)
        expected |= {
            ("precision", c): precision[c],
            ("recall", c): recall[c],
            ("f1", c): f1[c],
            ("support", c): support[c],
            ("auroc", c): metrics.roc_auc_score(own, score),
            ("average_precision", c): metrics.average_precision_score(own, score),
            ("brier", c): metrics.brier_score_loss(own, score),
            ("false_positive_rate", c): false_positives / (~own).sum(),
        }
    found = {(f.metric, f.class_): f.value for f in figures}
    assert len(found) == len(figures)
    assert found == pytest.approx(expected)
    assert confusion(truth, predicted, k).tolist() == (
        metrics.confusion_matrix(truth, predicted).tolist()
    )


def test_kappa_is_there_for_ordered_classes_only() -> None:
    assert "kappa" not in {f.metric for f in judge(*example(), resamplings=0)}


def test_certain_and_wrong_loses_what_scikit_learn_says() -> None:
    truth, predicted = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
    certain = np.eye(2)[predicted]
    figures = judge(truth, certain, predicted, resamplings=0)
    assert value(figures, "log_loss") == pytest.approx(metrics.log_loss(truth, certain))
    assert value(figures, "brier") == pytest.approx(2 / 4)
    assert value(figures, "calibration_error") == pytest.approx(1 / 4)


@pytest.mark.parametrize("weighted_by", ["areas", "blocks"])
def test_a_resampled_auroc_is_scikit_learns_with_weights(weighted_by: str) -> None:
    truth, probabilities, _ = example()
    blocks = np.arange(len(truth)) // 7 if weighted_by == "blocks" else None
    draw = scoring._Draw(len(truth), blocks, resamplings=5, seed=3)
    (weights,) = draw
    assert (weights.sum(axis=1) == draw.units).all()
    weights = draw.of_areas(weights)
    own, score = truth == 2, probabilities[:, 2]
    for auroc, average, weight in zip(
        *scoring._Ranking(own, score).judge(weights), weights, strict=True
    ):
        with_weights = {"sample_weight": weight}
        assert auroc == pytest.approx(metrics.roc_auc_score(own, score, **with_weights))
        assert average == pytest.approx(metrics.average_precision_score(own, score, **with_weights))


# --- Calibration and sets -------------------------------------------------------------------


def test_bins_hold_equal_numbers_and_never_part_equal_confidences() -> None:
    assert np.bincount(bins_of(np.arange(100.0))).tolist() == [10] * 10
    ties = np.array([0.5] * 55 + [0.9] * 45)
    assert np.bincount(bins_of(ties)).tolist() == [55, 45]
    assert bins_of(np.ones(7)).tolist() == [0] * 7


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    confidence = np.array([0.6] * 5 + [0.9] * 5)
    truth = np.array([1, 1, 0, 0, 0, 1, 1, 1, 1, 0])  # 40 % right where 60 % were said, then 80
    probabilities = np.stack([1 - confidence, confidence], axis=1)
    assert calibration_error(truth, probabilities, np.ones(10, int)) == pytest.approx(
        (0.2 + 0.1) / 2
    )


def test_confidence_is_that_of_the_class_that_was_predicted() -> None:
    probabilities = np.array([[0.7, 0.3]] * 10)
    assert calibration_error([1] * 10, probabilities, [1] * 10) == pytest.approx(0.7)


def test_sets_are_judged_by_what_they_hold_and_how_large_they_are() -> None:
    sets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=bool)
    truth = np.array([0, 1, 2, 1])
    figures = judge(truth, np.full((4, 3), 1 / 3), truth, sets, resamplings=0)
    found = {
        (f.metric.removeprefix("conformal_"), f.class_): f.value
        for f in figures
        if f.metric.startswith("conformal_")
    }
    assert found == {
        ("coverage", None): 0.5, ("size", None): 1.0, ("singletons", None): 0.5,
        ("empty", None): 0.25, ("coverage", 0): 1.0, ("coverage", 1): 0.5, ("coverage", 2): 0.0,
    }  # fmt: skip


# --- What is not defined --------------------------------------------------------------------


def test_a_class_that_no_area_has_has_no_figures_of_its_own() -> None:
    truth, probabilities, predicted = example()
    truth = np.where(truth == 3, 0, truth)
    figures = judge(truth, probabilities, predicted, probabilities > 0.1, resamplings=30)
    for metric in ("recall", "auroc", "average_precision", "conformal_coverage"):
        assert math.isnan(value(figures, metric, 3))
    assert value(figures, "support", 3) == 0
    assert value(figures, "f1", 3) == value(figures, "precision", 3) == 0  # wrongly predicted
    assert value(figures, "macro_f1") == pytest.approx(
        metrics.f1_score(truth, predicted, average="macro")
    )
    assert value(figures, "auroc") == pytest.approx(
        np.mean([value(figures, "auroc", c) for c in range(3)])
    )
    assert all(f.low is None and f.high is None for f in figures if math.isnan(f.value))


def test_a_class_that_is_never_predicted_has_no_precision() -> None:
    figures = judge([0, 1, 1], np.full((3, 2), 0.5), [0, 0, 0], resamplings=0)
    assert math.isnan(value(figures, "precision", 1))
    assert value(figures, "f1", 1) == 0
    assert value(figures, "auroc", 1) == 0.5


def test_where_all_areas_have_one_class_there_is_nothing_to_rank() -> None:
    figures = judge(np.zeros(20, int), np.full((20, 2), 0.5), np.zeros(20, int), ordered=True)
    assert value(figures, "accuracy") == 1
    assert math.isnan(value(figures, "auroc"))
    assert math.isnan(value(figures, "kappa"))
    assert math.isnan(value(figures, "false_positive_rate", 0))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"truth": []}, "no areas"),
        ({"truth": [0, 1, 5]}, "classes from 0 to 5"),
        ({"predicted": [0, -1, 1]}, "classes from -1"),
        ({"predicted": [0, 1]}, "2 predicted"),
        ({"truth": ["0", "1", "1"]}, "give positions"),
        ({"probabilities": [[0.5, 0.6]] * 3}, "3 of 3 areas"),
        ({"probabilities": [[np.nan, 1]] * 3}, "3 of 3 areas"),
        ({"probabilities": [0.5] * 3}, "shape"),
        ({"conformal": [[1, 0]] * 3}, "not booleans"),
        ({"blocks": [1, 2]}, "3 areas, blocks"),
    ],
)
def test_what_does_not_fit_together_is_said(change: dict, says: str) -> None:
    given = {"truth": [0, 1, 1], "probabilities": [[0.5, 0.5]] * 3, "predicted": [0, 0, 1]}
    with pytest.raises(DataError, match=says):
        judge(**(given | change))


# --- Intervals ------------------------------------------------------------------------------


def test_intervals_surround_what_they_are_of_and_have_the_right_width() -> None:
    truth, probabilities, predicted = example(n=1000)
    figures = judge(truth, probabilities, predicted, probabilities > 0.4, ordered=True)
    for f in figures:
        if f.metric in ("support", "calibration_error"):
            assert f.low is None
        else:
            assert f.low < f.value < f.high, f
    (accuracy,) = (f for f in figures if f.metric == "accuracy")
    exact = binomtest(int((truth == predicted).sum()), 1000).proportion_ci(method="wilson")
    assert (accuracy.low, accuracy.high) == pytest.approx(exact, abs=0.004)


def test_alike_neighbours_make_wider_intervals_when_blocks_are_drawn() -> None:
    truth, probabilities, predicted = (np.repeat(part, 10, axis=0) for part in example(n=200))
    blocks = np.repeat(np.arange(200), 10)

    def width(blocks: NDArray | None) -> float:
        figures = judge(truth, probabilities, predicted, blocks=blocks)
        return next(f.high - f.low for f in figures if f.metric == "accuracy")

    # ten copies of an area are one area: the width is that of 200, not of 2,000
    assert width(blocks) / width(None) == pytest.approx(math.sqrt(10), rel=0.15)


def test_blocks_of_one_area_are_areas() -> None:
    truth, probabilities, predicted = example()
    assert judge(truth, probabilities, predicted, blocks=np.arange(400), resamplings=50) == judge(
        truth, probabilities, predicted, resamplings=50
    )


def test_too_few_blocks_have_no_interval() -> None:
    truth, probabilities, predicted = example()
    blocks = np.arange(400) % 9
    assert all(f.low is None for f in judge(truth, probabilities, predicted, blocks=blocks))
    other = (probabilities, truth)
    found = difference(truth, (probabilities, predicted), other, blocks=blocks)
    assert {(d.low, d.high, d.p_value) for d in found} == {(None, None, None)}
    assert named(found)["accuracy"].value < 0


def test_the_same_seed_resamples_alike() -> None:
    first, again, other = (judge(*example(), resamplings=30, seed=s) for s in (1, 1, 2))
    assert first == again != other


def test_resampling_in_parts_is_resampling_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = *example(), None
    at_once = judge(*arguments, resamplings=250)
    monkeypatch.setattr(scoring, "_UNITS_AT_ONCE", 90 * 400)
    in_parts = judge(*arguments, resamplings=250)
    for one, other in zip(at_once, in_parts, strict=True):
        assert (other.metric, other.class_) == (one.metric, one.class_)
        assert (other.value, other.low, other.high) == pytest.approx(
            (one.value, one.low, one.high), nan_ok=True
        )


# --- Differences ----------------------------------------------------------------------------


def test_the_difference_is_that_of_the_figures() -> None:
    truth, probabilities, predicted = example()
    flat = np.full_like(probabilities, 0.25), np.roll(predicted, 1)
    found = named(difference(truth, (probabilities, predicted), flat, resamplings=100))
    one = judge(truth, probabilities, predicted, resamplings=0)
    other = judge(truth, *flat, resamplings=0)
    for metric, d in found.items():
        assert d.value == pytest.approx(value(one, metric) - value(other, metric))
        assert d.low < d.value < d.high
        assert d.p_value == pytest.approx(2 / 101)  # none of the resamplings says otherwise
    swapped = named(difference(truth, flat, (probabilities, predicted), resamplings=100))
    for metric, d in found.items():
        other_way = swapped[metric]
        assert (other_way.value, other_way.low) == pytest.approx((-d.value, -d.high))


def test_a_prediction_does_not_differ_from_itself() -> None:
    truth, *prediction = example()
    for d in difference(truth, tuple(prediction), tuple(prediction), resamplings=50):
        assert (d.value, d.low, d.high, d.p_value) == (0, 0, 0, 1)


def test_two_that_are_equally_good_are_called_different_one_time_in_twenty() -> None:
    rng = np.random.default_rng(8)
    p_values = []
    for _ in range(120):
        truth = rng.integers(0, 2, 150)
        sides = []
        for _ in range(2):
            said = np.where(rng.random(150) < 0.3, 1 - truth, truth)
            sides.append((np.eye(2)[said], said))
        p_values.append(named(difference(truth, *sides, resamplings=200))["accuracy"].p_value)
    assert np.mean(np.array(p_values) < 0.05) < 0.12
    assert 0.3 < np.mean(p_values) < 0.7


# --- Groups ---------------------------------------------------------------------------------


def test_groups_are_judged_each_by_itself() -> None:
    truth = np.array([1, 1, 0, 0, 1, 0, 0, 0, 2])
    predicted = np.array([1, 0, 1, 0, 1, 0, 0, 2, 1])
    groups = np.array(["b", "b", "b", "b", "a", "a", "a", "a", "a"])
    a, b = by_group(truth, predicted, positive=1, groups=groups)
    assert (a.name, a.n, a.positives) == ("a", 5, 1)
    assert (b.name, b.n, b.positives) == ("b", 4, 2)
    assert (a.precision.value, a.recall.value) == (1 / 2, 1)
    assert (a.false_positive_rate.value, a.selection_rate.value) == (1 / 4, 2 / 5)
    assert (b.precision.value, b.recall.value, b.selection_rate.value) == (1 / 2, 1 / 2, 1 / 2)


def test_rates_of_groups_have_wilsons_interval() -> None:
    truth, _, predicted = example()
    (group,) = by_group(truth, predicted, 2, np.zeros(400, int))
    right, said = int(((truth == 2) & (predicted == 2)).sum()), int((predicted == 2).sum())
    for rate, part, whole in (
        (group.precision, right, said),
        (group.recall, right, int((truth == 2).sum())),
        (group.selection_rate, said, 400),
    ):
        assert rate.value == pytest.approx(part / whole)
        assert rate[1:] == pytest.approx(binomtest(part, whole).proportion_ci(method="wilson"))


def test_rates_of_nothing_are_nan_and_of_all_or_none_stay_within_bounds() -> None:
    none, every = by_group([0, 0, 1, 1], [0, 0, 1, 1], 1, ["x", "x", "y", "y"])
    assert all(map(math.isnan, none.precision))
    assert all(map(math.isnan, none.recall))
    assert none.selection_rate[:2] == (0, 0)
    assert every.recall[::2] == (1, 1)
    assert 0 < every.recall.low < 1


def test_groups_of_other_areas_are_refused() -> None:
    with pytest.raises(DataError, match="3 groups"):
        by_group([0, 1], [0, 1], 1, ["x", "y", "z"])
