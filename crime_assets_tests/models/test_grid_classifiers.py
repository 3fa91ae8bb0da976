"""The classical methods of the grid, against formulas, scikit-learn and a planted pattern."""

from __future__ import annotations

import re
import warnings
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from crime_assets.models import ccrboost, grid_classifiers
from crime_assets.models.grid_classifiers import (
    GRID_CLASSIFIERS,
    FittedGridClassifier,
    features_of,
    fit_logit_boost,
    linear_svm,
    prune,
    slope_of,
    upper_error_rate,
)

DAYS, TYPES = 30, 11
NAMES = tuple(GRID_CLASSIFIERS)
Rows = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]


@cache
def rows(n: int = 700, seed: int = 1) -> Rows:
    """Rows of which those with many crimes of the first type in the last ten days are mostly hot.

    Features, hot and count; the busy rows are two in five, the label of one in twenty is turned.
    """
    rng = np.random.default_rng(seed)
    daily = rng.poisson(0.03, (n, DAYS, TYPES)).astype(np.float32)
    busy = rng.random(n) < 0.4
    daily[busy, -10:, 0] += rng.poisson(0.8, (busy.sum(), 10))
    hot = busy ^ (rng.random(n) < 0.05)
    return daily.reshape(n, -1), hot, hot * rng.integers(1, 4, n)


@cache
def fitted(name: str) -> FittedGridClassifier:
    return GRID_CLASSIFIERS[name].fit(*rows(), seed=3)


# --- Features -------------------------------------------------------------------------------

WINDOW = np.random.default_rng(4).poisson(0.6, (3, 5, 4, 2))  # samples, days, cells, types


def test_a_row_is_a_cell_at_an_origin_and_a_feature_a_type_on_a_day() -> None:
    found = features_of(WINDOW)
    assert found.shape == (3 * 4, 5 * 2)
    assert found.dtype == np.float32
    for s, day, i, c in np.ndindex(WINDOW.shape):
        assert found[s * 4 + i, day * 2 + c] == WINDOW[s, day, i, c]


def test_an_unobserved_day_holds_the_mean_of_the_observed_ones() -> None:
    observed = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], dtype=bool)
    found = features_of(WINDOW, observed).reshape(3, 4, 5, 2)
    mean = WINDOW[0, [0, 1, 3]].mean(axis=0)
    assert_allclose(found[0, :, 2], mean, rtol=1e-6)
    assert_allclose(found[0, :, 4], mean, rtol=1e-6)
    assert_array_equal(found[0, :, 3], WINDOW[0, 3])
    assert_array_equal(found[1], WINDOW[1].transpose(1, 0, 2))
    assert_array_equal(found[2], 0)  # nothing is known of it
    other = np.where(observed[:, :, None, None], WINDOW, 99)
    assert_array_equal(features_of(other, observed), features_of(WINDOW, observed))


# --- Every method ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_some_and_beat_chance_on_rows_never_seen(name: str) -> None:
    features, hot, _ = rows(500, seed=2)
    found = fitted(name).probability(features)
    assert found.shape == hot.shape
    assert found.min() >= 0
    assert found.max() <= 1
    assert roc_auc_score(hot, found) > 0.75
    assert f1_score(hot, found >= 0.5) > f1_score(hot, np.ones(len(hot), dtype=bool)) + 0.05


@pytest.mark.parametrize("name", NAMES)
def test_a_probability_is_that_of_the_seed_and_not_of_the_threads(name: str) -> None:
    features = rows(500, seed=2)[0]
    with threadpool_limits(2):
        again = GRID_CLASSIFIERS[name].fit(*rows(), seed=3).probability(features)
    assert again.tobytes() == fitted(name).probability(features).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_few_hot_rows_are_learned_from_as_well(name: str) -> None:
    features = rows()[0][:80]
    hot = np.arange(80) < 3
    found = GRID_CLASSIFIERS[name].fit(features, hot).probability(features)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [True, False])
def test_rows_of_one_class_teach_that_class(name: str, value: bool) -> None:
    features = rows()[0][:20]
    found = GRID_CLASSIFIERS[name].fit(features, np.full(20, value)).probability(features)
    assert_array_equal(found, float(value))


def test_every_method_is_named_with_its_source_and_what_is_substituted() -> None:
    assert len({method.title for method in GRID_CLASSIFIERS.values()}) == len(GRID_CLASSIFIERS) == 9
    for method in GRID_CLASSIFIERS.values():
        assert re.search(r"\b(19|20)\d\d\b", method.source)
        assert method.substitution.endswith(".")


def test_what_is_no_sample_is_refused() -> None:
    method, (features, hot, count) = GRID_CLASSIFIERS["naive_bayes"], rows()
    with pytest.raises(ValueError, match="no count"):
        method.fit(features - 1, hot)
    with pytest.raises(ValueError, match="700 rows of features"):
        method.fit(features, hot[1:])
    with pytest.raises(ValueError, match="700 rows of features"):
        method.fit(features, hot, count[1:])
    with pytest.raises(ValueError, match="no rows"):
        method.fit(features[:0], hot[:0])
    with pytest.raises(ValueError, match="not \\(rows, f\\)"):
        method.fit(features[0], hot)
    with pytest.raises(ValueError, match="learned from 330"):
        fitted("naive_bayes").probability(features[:, 1:])


# --- C4.5 -----------------------------------------------------------------------------------


def test_the_upper_limits_are_those_of_quinlans_book() -> None:
    found = upper_error_rate([0, 0, 0, 1], [6, 9, 1, 16], 0.25)
    assert_allclose(found[:3], [0.206, 0.143, 0.750], atol=5e-4)
    assert found[3] == pytest.approx(0.157, abs=0.003)  # which is his approximate formula's


@pytest.mark.parametrize("confidence", [0.1, 0.25, 0.5])
def test_at_the_upper_limit_so_few_errors_are_as_rare_as_the_confidence_says(
    confidence: float,
) -> None:
    errors, cases = np.array([0, 1, 5, 40, 2.0]), np.array([1, 8, 11, 400, 40_000.0])
    limit = upper_error_rate(errors, cases, confidence)
    assert_allclose(binom.cdf(errors, cases, limit), confidence)
    assert upper_error_rate(7, 7, confidence) == 1


def test_the_subtree_of_quinlans_book_makes_way_for_a_leaf() -> None:
    # leaves of 6, 9 and 1 cases without an error: 3.273 errors against 2.512 of one leaf
    left, right = np.array([1, -1, 3, -1, -1]), np.array([2, -1, 4, -1, -1])
    cases, errors = [16, 6, 10, 9, 1], [1, 0, 1, 0, 0]
    assert_array_equal(prune(left, right, cases, errors), 0)


def test_a_subtree_that_pays_stays_and_one_below_it_may_go() -> None:
    # the first split parts 50 of each class; below it one splits off a single case
    left, right = np.array([1, 2, -1, -1, -1]), np.array([4, 3, -1, -1, -1])
    cases, errors = [100, 50, 49, 1, 50], [50, 1, 0, 0, 0]
    gone = 49 * upper_error_rate(0, 49) + upper_error_rate(0, 1)
    assert gone < 50 * upper_error_rate(1, 50)  # 1.37 + 0.75 errors against 2.67: it stays
    assert_array_equal(prune(left, right, cases, errors), range(5))
    errors[2] = 1  # both children err as the parent does
    errors[1] = 1
    assert_array_equal(prune(left, right, cases, errors), [0, 1, 1, 1, 4])


def test_pruning_is_that_of_the_recursive_definition() -> None:
    features, hot, _ = rows()
    hot = hot ^ (np.random.default_rng(5).random(len(hot)) < 0.3)
    model = DecisionTreeClassifier(criterion="entropy", min_samples_leaf=2, random_state=0)
    tree = model.fit(features, hot).tree_
    left, right, cases = tree.children_left, tree.children_right, tree.n_node_samples
    share = tree.value[:, 0, 1]
    errors = np.rint(np.minimum(share, 1 - share) * cases)
    wanted = np.empty(tree.node_count, dtype=int)

    def estimate(node: int) -> float:
        return float(cases[node] * upper_error_rate(errors[node], cases[node]))

    def walk(node: int) -> float:
        """Pessimistic errors of the pruned subtree; fills in where its nodes end."""
        wanted[node] = node
        if left[node] < 0:
            return estimate(node)
        below = walk(left[node]) + walk(right[node])
        if below < estimate(node):
            return below
        gone = [left[node], right[node]]
        while gone:
            each = gone.pop()
            wanted[each] = node
            gone += [c for c in (left[each], right[each]) if c >= 0]
        return estimate(node)

    walk(0)
    ends = prune(left, right, cases, errors)
    assert_array_equal(ends, wanted)
    assert_array_equal(ends[ends], ends)
    leaves = np.unique(ends[left < 0])
    assert 1 < len(leaves) < 0.9 * (left < 0).sum()


def test_a_leaf_of_c45_says_the_share_of_hot_rows_in_it() -> None:
    features, hot, _ = rows()
    found = fitted("decision_tree").probability(features)
    for value in np.unique(found):
        assert hot[found == value].mean() == pytest.approx(value)


# --- LogitBoost -----------------------------------------------------------------------------


def by_hand(x: NDArray, hot: NDArray, rounds: int) -> NDArray:
    """F after some rounds: every stump tried, on responses and weights from the paper."""
    y, score = hot.astype(float), np.zeros(len(hot))
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-2 * score))
        w = p * (1 - p)
        z = np.clip((y - p) / w, -4, 4)
        best, fit = np.inf, score
        for column in x.T:
            for cut in np.unique(column)[:-1]:
                low = column <= cut
                means = [np.average(z[side], weights=w[side]) for side in (low, ~low)]
                trial = np.where(low, *means)
                if (loss := w @ (z - trial) ** 2) < best:
                    best, fit = loss, trial
        score = score + fit / 2
    return score


def test_logit_boost_is_the_papers_algorithm() -> None:
    rng = np.random.default_rng(6)
    x = rng.random((60, 3)).astype(np.float32)
    hot = x[:, 0] + 0.3 * rng.normal(size=60) > 0.5
    for rounds in (1, 2, 12):
        model = fit_logit_boost(x, hot, seed=1, rounds=rounds)
        assert len(model.threshold) == rounds
        assert_allclose(model.score(x), by_hand(x, hot, rounds), rtol=1e-5, atol=1e-7)
    assert_allclose(model.probability(x), 1 / (1 + np.exp(-2 * model.score(x))))


def test_the_first_round_of_logit_boost_is_the_mean_of_each_side() -> None:
    x = np.array([[0], [0], [0], [1], [1], [1]], dtype=np.float32)
    hot = np.array([0, 0, 1, 1, 1, 1], dtype=bool)
    model = fit_logit_boost(x, hot, seed=1, rounds=1)  # responses of -2 and 2, all weights equal
    assert_allclose(model.score(x), [-1 / 3, -1 / 3, -1 / 3, 1, 1, 1])


def test_logit_boost_without_a_telling_feature_comes_to_the_share_of_hot() -> None:
    x, hot = np.ones((50, 2)), np.arange(50) < 15
    assert_allclose(fit_logit_boost(x, hot, seed=1).probability(x), 0.3, rtol=1e-6)


# --- Support vectors ------------------------------------------------------------------------


def test_the_margin_of_nought_is_a_probability_of_one_half() -> None:
    features = rows(500, seed=2)[0]
    margin = linear_svm(3).fit(*rows()[:2]).decision_function(features)
    found = fitted("svm").probability(features)
    assert_array_equal(found > 0.5, margin > 0)
    assert_allclose(
        np.diff(found[np.argsort(margin)]).min(), 0, atol=1e-6
    )  # one orders as the other
    slope = np.log(found / (1 - found)) / margin
    assert_allclose(slope, slope[0], rtol=1e-6)


def test_the_slope_is_that_of_a_logistic_regression_through_the_origin() -> None:
    rng = np.random.default_rng(7)
    margin = rng.normal(size=4000)
    hot = rng.random(4000) < 1 / (1 + np.exp(-1.7 * margin))
    wanted = LogisticRegression(C=1e9, fit_intercept=False).fit(margin[:, None], hot).coef_[0, 0]
    assert slope_of(margin, hot) == pytest.approx(wanted, rel=1e-3)
    assert slope_of(margin, margin > 0) == pytest.approx(np.exp(5), rel=1e-2)
    assert slope_of(margin, margin < 0) == pytest.approx(np.exp(-5), rel=1e-2)


# --- The others -----------------------------------------------------------------------------


def test_naive_bayes_is_multinomial() -> None:
    features, hot, _ = rows()
    asked = rows(50, seed=2)[0]
    logs = []
    for side in (~hot, hot):
        sums = features[side].sum(axis=0, dtype=float) + 1
        logs.append(np.log(side.mean()) + asked @ np.log(sums / sums.sum()))
    found = fitted("naive_bayes").probability(asked)
    assert_allclose(found, 1 / (1 + np.exp(logs[0] - logs[1])), rtol=1e-3, atol=1e-6)


def test_three_neighbours_vote() -> None:
    rng = np.random.default_rng(8)
    x, asked = rng.random((200, 6)), rng.random((30, 6))  # no two are equally near
    hot = rng.random(200) < 0.5
    distance = np.square(asked[:, None] - x[None]).sum(axis=2)
    nearest = np.argsort(distance, axis=1)[:, :3]
    found = GRID_CLASSIFIERS["nearest_neighbours"].fit(x, hot).probability(asked)
    assert_allclose(found, hot[nearest].mean(axis=1))


def test_the_forest_has_ten_trees() -> None:
    found = fitted("random_forest").probability(rows(500, seed=2)[0])
    assert_allclose(found * 10, np.rint(found * 10), atol=1e-9)  # each is grown to pure leaves
    assert len(np.unique(found)) > 8


@pytest.mark.parametrize(("name", "layers"), [("mlp", (150,)), ("deep_mlp", (150, 300, 150, 50))])
def test_a_perceptron_has_the_layers_of_the_study(name: str, layers: tuple[int, ...]) -> None:
    features, hot, _ = rows()
    network = MLPClassifier(layers, max_iter=50, random_state=3)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        wanted = make_pipeline(StandardScaler(), network).fit(features, hot)
        assert_allclose(
            fitted(name).probability(features), wanted.predict_proba(features)[:, 1], rtol=1e-6
        )


def test_nothing_heavy_is_imported_with_the_register() -> None:
    for module in (grid_classifiers, ccrboost):
        assert not {"sklearn", "scipy", "threadpoolctl"} & set(vars(module))
