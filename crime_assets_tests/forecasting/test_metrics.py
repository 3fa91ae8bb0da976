"""The metrics, against examples worked by hand, brute force over ties, scikit-learn and SciPy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.stats import spearmanr
from sklearn import metrics as sklearn_metrics

from crime_assets.forecasting import metrics
from crime_assets.forecasting.metrics import (
    COVERAGES,
    CURVE,
    Figure,
    Judgement,
    NotAScore,
    Outcome,
    Ranking,
    gini,
    jaccard,
    judge,
    judge_probabilities,
    judge_stability,
    mean_of,
    mean_poisson_deviance,
    modified_gini,
    rank_biased_overlap,
    spearman,
)

# Scores from a handful of numbers, so that ties abound; crimes that are mostly none.
SCORE = st.integers(0, 3).map(float)
CRIME = st.sampled_from([0, 0, 0, 1, 2, 7])
SIZE = st.sampled_from([0.5, 1.0, 3.0, 10.0])


def units(*columns: st.SearchStrategy, least: int = 1, most: int = 25) -> st.SearchStrategy:
    """The columns of some units: a tuple of arrays of one length."""
    return st.lists(st.tuples(*columns), min_size=least, max_size=most).map(
        lambda rows: tuple(np.array(column, dtype=float) for column in zip(*rows, strict=True))
    )


COVERAGE = st.one_of(
    st.floats(0.01, 1.0), st.sampled_from([0.05, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.75, 1.0])
)


def filled(scores: NDArray, size: NDArray, coverage: float) -> NDArray:
    """The share of each unit within the coverage, filled group by group; the mean over ties."""
    space = coverage * size.sum()
    share = np.zeros(len(scores))
    for score in sorted(set(scores), reverse=True):
        level = scores == score
        area = size[level].sum()
        share[level] = min(1.0, space / area)
        space -= min(space, area)
    return share


def most_and_least(
    scores: NDArray, size: NDArray, values: NDArray, coverage: float
) -> tuple[float, float]:
    """The least and the most that a coverage can capture, as a linear programme over the tie."""
    share = filled(scores, size, coverage)
    partly = (share > 0) & (share < 1)
    open_ = np.isin(scores, scores[partly])
    bounds = [(0, 1) if free else (s, s) for free, s in zip(open_, share, strict=True)]
    area = size / size.sum()
    found = [
        linprog(sign * values, A_eq=area[None], b_eq=[area @ share], bounds=bounds).fun * sign
        for sign in (1, -1)
    ]
    return found[0], found[1]


def resolutions(scores: NDArray) -> list[tuple[int, ...]]:
    """Every order of the units that the scores allow."""
    return [
        order
        for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]


def figure(figures: list[Figure], metric: str, coverage: float | None = None) -> Figure:
    (found,) = [f for f in figures if f.metric == metric and f.coverage == coverage]
    return found


def interval(of: Figure) -> tuple[float, float]:
    return tuple(math.nan if bound is None else bound for bound in (of.low, of.high))


# --- Worked by hand -------------------------------------------------------------------------

# Ten units, the hottest first. In the hottest two lie 3 of 10 crimes, and the best two would
# hold 4 + 3.
HAND_SCORES = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
HAND_CRIMES = [3, 0, 4, 0, 2, 0, 0, 1, 0, 0]
HAND_PAST = [4, 1, 0, 0, 0, 0, 0, 0, 0, 3]


@pytest.fixture
def by_hand() -> Judgement:
    return Judgement.of(HAND_SCORES, HAND_CRIMES)


def test_the_hit_rate_is_the_share_of_crimes_within_the_coverage(by_hand: Judgement) -> None:
    assert by_hand.captured(0.2) == 3
    assert by_hand.hit_rate(0.2) == pytest.approx(0.3)
    assert by_hand.hit_rate(0.5) == pytest.approx(0.9)
    assert by_hand.hit_rate(1.0) == pytest.approx(1)


def test_pai_is_the_hit_rate_over_the_share_of_the_area(by_hand: Judgement) -> None:
    assert by_hand.pai(0.2) == pytest.approx(1.5)
    assert by_hand.pai(0.1) == pytest.approx(3)
    assert by_hand.pai(1.0) == pytest.approx(1)


def test_pei_star_is_what_was_captured_over_the_most_there_was(by_hand: Judgement) -> None:
    assert by_hand.pei_star(0.2) == pytest.approx(3 / 7)
    assert by_hand.pei_star(0.5) == pytest.approx(9 / 10)


def test_the_recapture_rate_index_is_the_hit_rate_over_that_of_the_past(
    by_hand: Judgement,
) -> None:
    # then, 5 of 8 crimes lay in the hottest two
    assert by_hand.recapture_rate_index(0.2, HAND_PAST) == pytest.approx(0.3 / 0.625)
    assert math.isnan(by_hand.recapture_rate_index(0.2, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]))
    assert math.isnan(by_hand.recapture_rate_index(0.2, np.zeros(10)))


def test_f1_counts_units_not_crimes(by_hand: Judgement) -> None:
    # of two units taken one is hot, of four hot units one is taken
    precision, recall = 1 / 2, 1 / 4
    assert by_hand.f1(0.2) == pytest.approx(2 * precision * recall / (precision + recall))


def test_areas_under_curves_of_ten_units(by_hand: Judgement) -> None:
    # of 4 x 6 pairs of a hot and a cold unit, 6 + 5 + 4 + 2 are in order
    assert by_hand.auroc() == pytest.approx(17 / 24)
    # the hot units stand at 1, 3, 5 and 8
    assert by_hand.aucpr() == pytest.approx((1 / 1 + 2 / 3 + 3 / 5 + 4 / 8) / 4)
    # half-way through their own tenth, 3 crimes have 0.95 of the area left, 4 have 0.75, ...
    assert by_hand.hit_rate_area() == pytest.approx((3 * 0.95 + 4 * 0.75 + 2 * 0.55 + 0.25) / 10)


def test_a_unit_at_the_limit_counts_with_the_share_of_it_that_fits(by_hand: Judgement) -> None:
    assert by_hand.captured(0.25) == pytest.approx(3 + 4 / 2)
    assert by_hand.captured(0.01) == pytest.approx(0.3)
    assert by_hand.ranking.taken(0.25) == pytest.approx(2.5)
    assert by_hand.f1(0.25) == pytest.approx(2 * 1.5 / (2.5 + 4))


def test_units_of_unequal_size_fill_the_coverage_with_their_size() -> None:
    # by crimes a metre the street of 10 m is hottest; 20 m of 100 are it and half the next
    judgement = Judgement.of([3.0, 2.0, 1.0], [5, 4, 6], [10.0, 20.0, 70.0])
    assert judgement.captured(0.2) == pytest.approx(5 + 4 / 2)
    assert judgement.pai(0.2) == pytest.approx(7 / 15 / 0.2)
    assert judgement.ranking.taken(0.2) == pytest.approx(1.5)
    assert judgement.pei_star(0.2) == pytest.approx(1)
    assert judgement.pei_star(0.1) == pytest.approx(1)


def test_n_star_of_unequal_units_is_the_most_that_fits() -> None:
    # the forecast takes the long street; the best choice of 70 m are both short ones and 40 m
    judgement = Judgement.of([1.0, 2.0, 3.0], [5, 4, 6], [10.0, 20.0, 70.0])
    assert judgement.captured(0.7) == pytest.approx(6)
    assert judgement.pei_star(0.7) == pytest.approx(6 / (5 + 4 + 6 * 40 / 70))


# --- Ties -----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(units(SCORE, CRIME, least=2, most=6), st.data())
def test_a_tie_counts_as_the_mean_over_all_ways_to_resolve_it(
    columns: tuple[NDArray, NDArray], data: st.DataObject
) -> None:
    scores, crimes = columns
    taken = data.draw(st.integers(1, len(scores)))
    coverage = taken / len(scores)
    judgement = Judgement.of(scores, crimes)
    orders = resolutions(scores)
    captured = [crimes[list(order[:taken])].sum() for order in orders]
    hits = [(crimes[list(order[:taken])] > 0).sum() for order in orders]
    assert judgement.captured(coverage) == pytest.approx(np.mean(captured))
    assert judgement.resolved(coverage) == pytest.approx((min(captured), max(captured)))
    assert judgement.ranking.taken(coverage) == pytest.approx(taken)
    hot = (crimes > 0).sum()
    assert judgement.f1(coverage) == pytest.approx(np.mean(hits) * 2 / (taken + hot))
    ones = np.ones(hot)
    assert judgement.resolved(coverage, ones) == pytest.approx((min(hits), max(hits)))


@settings(max_examples=120, deadline=None)
@given(units(SCORE, CRIME, SIZE), COVERAGE)
def test_a_tie_of_unequal_units_fills_in_proportion_and_its_bounds_are_a_knapsacks(
    columns: tuple[NDArray, NDArray, NDArray], coverage: float
) -> None:
    scores, crimes, size = columns
    judgement = Judgement.of(scores, crimes, size)
    share = filled(scores, size, coverage)
    assert judgement.captured(coverage) == pytest.approx(crimes @ share)
    worst, best = judgement.resolved(coverage)
    least, most = most_and_least(scores, size, crimes, coverage)
    assert worst == pytest.approx(least, abs=1e-6)
    assert best == pytest.approx(most, abs=1e-6)
    assert worst <= judgement.captured(coverage) + 1e-9
    assert judgement.captured(coverage) <= best + 1e-9


@settings(max_examples=60, deadline=None)
@given(units(SCORE, CRIME, SIZE), COVERAGE)
def test_n_star_is_the_optimum_of_a_linear_programme(
    columns: tuple[NDArray, NDArray, NDArray], coverage: float
) -> None:
    scores, crimes, size = columns
    assume(crimes.any())
    judgement = Judgement.of(scores, crimes, size)
    most = -linprog(-crimes, A_ub=size[None] / size.sum(), b_ub=[coverage], bounds=(0, 1)).fun
    assert judgement.outcome.ideal.captured(coverage) == pytest.approx(most, abs=1e-6)
    assert judgement.pei_star(coverage) == pytest.approx(
        judgement.captured(coverage) / most, abs=1e-6
    )
    assert judgement.pei_star(coverage) <= 1 + 1e-9


@settings(max_examples=100, deadline=None)
@given(units(SCORE, SIZE), COVERAGE, st.booleans())
def test_units_taken_and_expected_crimes_are_those_of_filling_by_hand(
    columns: tuple[NDArray, NDArray], coverage: float, equal: bool
) -> None:
    scores, size = columns
    size = np.full(len(size), 2.5) if equal else size
    ranking = Ranking(scores, size)
    share = filled(scores, size, coverage)
    relative = size / size.mean()
    assert ranking.taken(coverage) == pytest.approx(share.sum())
    assert ranking.mass(coverage) == pytest.approx(scores * relative @ share, abs=1e-9)
    assert ranking.mean == pytest.approx((scores * relative).mean())


def test_no_order_of_ids_plays_a_part_where_all_units_are_level() -> None:
    crimes = np.array([0, 0, 5, 0, 1, 0, 0, 0, 0, 4])
    judgement = Judgement.of(np.zeros(10), crimes)
    assert judgement.hit_rate(0.2) == pytest.approx(0.2)
    assert judgement.pai(0.2) == pytest.approx(1)
    assert judgement.resolved(0.2) == (0, 9)
    assert judgement.auroc() == 0.5
    assert judgement.hit_rate_area() == pytest.approx(0.5)


# --- What holds for every forecast ----------------------------------------------------------


def ranking_metrics(judgement: Judgement, coverage: float) -> list[float]:
    return [
        judgement.captured(coverage),
        judgement.hit_rate(coverage),
        judgement.pai(coverage),
        judgement.pei_star(coverage),
        judgement.f1(coverage),
        judgement.recapture_rate_index(coverage, judgement.outcome.every[::-1]),
        judgement.ranking.taken(coverage),
        judgement.auroc(),
        judgement.aucpr(),
        judgement.hit_rate_area(),
        *judgement.resolved(coverage),
    ]


@settings(max_examples=60, deadline=None)
@given(units(SCORE, CRIME, SIZE), COVERAGE, st.booleans(), st.randoms(use_true_random=False))
def test_permuting_units_changes_nothing(
    columns: tuple[NDArray, NDArray, NDArray], coverage: float, equal: bool, random: object
) -> None:
    scores, crimes, size = columns
    sizes = None if equal else size
    order = list(range(len(scores)))
    random.shuffle(order)  # type: ignore[attr-defined]
    judgement = Judgement.of(scores, crimes, sizes)
    shuffled = Judgement.of(scores[order], crimes[order], None if equal else size[order])
    before, after = ranking_metrics(judgement, coverage), ranking_metrics(shuffled, coverage)
    before.pop(5), after.pop(5)  # its past is another
    assert after == pytest.approx(before, nan_ok=True)
    assert gini(crimes[order], None if equal else size[order]) == pytest.approx(
        gini(crimes, sizes), nan_ok=True
    )
    assert shuffled.ranking.mass(coverage) == pytest.approx(judgement.ranking.mass(coverage))


@settings(max_examples=60, deadline=None)
@given(
    units(SCORE, CRIME, SIZE),
    COVERAGE,
    st.booleans(),
    st.sampled_from([lambda s: 1000 * s, lambda s: s / 7 - 40, np.exp]),
)
def test_only_the_order_of_the_scores_matters_to_a_ranking(
    columns: tuple[NDArray, NDArray, NDArray],
    coverage: float,
    equal: bool,
    stretch: Callable[[NDArray], NDArray],
) -> None:
    scores, crimes, size = columns
    sizes = None if equal else size
    before = ranking_metrics(Judgement.of(scores, crimes, sizes), coverage)
    after = ranking_metrics(Judgement.of(stretch(scores), crimes, sizes), coverage)
    assert after == pytest.approx(before, nan_ok=True)


def test_chance_has_a_pai_of_one_in_the_mean() -> None:
    crimes = np.array([4, 0, 1, 0, 0, 2])
    every_order = [Judgement.of(order, crimes) for order in itertools.permutations(range(6))]
    for coverage in (0.05, 0.2, 0.5):
        assert np.mean([j.pai(coverage) for j in every_order]) == pytest.approx(1)
    assert np.mean([j.hit_rate_area() for j in every_order]) == pytest.approx(0.5)
    assert np.mean([j.auroc() for j in every_order]) == pytest.approx(0.5)


@settings(max_examples=60, deadline=None)
@given(units(CRIME, SIZE), COVERAGE, st.booleans())
def test_the_outcome_itself_has_a_pei_star_of_one_and_nothing_beats_it(
    columns: tuple[NDArray, NDArray], coverage: float, equal: bool
) -> None:
    crimes, size = columns
    assume(crimes.any())
    ideal = Outcome(crimes, None if equal else size).ideal
    assert ideal.pei_star(coverage) == pytest.approx(1)
    # a tie at its limit holds units of one density: it makes no difference how it is resolved
    assert ideal.resolved(coverage) == pytest.approx((ideal.captured(coverage),) * 2)
    if equal:
        assert ideal.auroc() == pytest.approx(1) or crimes.all()
        assert ideal.aucpr() == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(units(SCORE, CRIME, SIZE), st.booleans())
def test_the_hit_rate_area_is_the_area_under_the_hit_rate(
    columns: tuple[NDArray, NDArray, NDArray], equal: bool
) -> None:
    scores, crimes, size = columns
    assume(crimes.any())
    size = np.ones(len(size)) if equal else size
    judgement = Judgement.of(scores, crimes, size)
    limits = [0.0] + [size[scores >= s].sum() / size.sum() for s in sorted(set(scores))[::-1]]
    captured = [0.0] + [crimes[scores >= s].sum() for s in sorted(set(scores))[::-1]]
    area = np.trapezoid(np.array(captured) / crimes.sum(), limits)
    assert judgement.hit_rate_area() == pytest.approx(area)


# --- Against scikit-learn -------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(units(SCORE, CRIME, least=2, most=60))
def test_auroc_and_aucpr_are_those_of_scikit_learn(columns: tuple[NDArray, NDArray]) -> None:
    scores, crimes = columns
    hot = crimes > 0
    assume(hot.any() and not hot.all())
    judgement = Judgement.of(scores, crimes)
    assert judgement.auroc() == pytest.approx(sklearn_metrics.roc_auc_score(hot, scores))
    assert judgement.aucpr() == pytest.approx(sklearn_metrics.average_precision_score(hot, scores))


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(20)), st.lists(CRIME, min_size=20, max_size=20), st.integers(1, 20))
def test_f1_of_whole_units_is_that_of_scikit_learn(
    scores: list[int], crimes: list[int], taken: int
) -> None:
    within = np.array(scores) >= 20 - taken
    f1 = sklearn_metrics.f1_score(np.array(crimes) > 0, within, zero_division=0.0)
    assert Judgement.of(scores, crimes).f1(taken / 20) == pytest.approx(f1)


@settings(max_examples=60, deadline=None)
@given(units(st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), CRIME), st.sampled_from([0.2, 0.5, 0.6]))
def test_f1_at_a_threshold_is_that_of_scikit_learn(
    columns: tuple[NDArray, NDArray], threshold: float
) -> None:
    scores, crimes = columns
    f1 = Judgement.of(scores, crimes).f1_at(threshold)
    wanted = sklearn_metrics.f1_score(crimes > 0, scores >= threshold, zero_division=np.nan)
    assert f1 == pytest.approx(wanted, nan_ok=True)


def test_a_score_of_the_threshold_itself_is_foretold_hot() -> None:
    assert Judgement.of([0.5, 0.4], [1, 0]).f1_at() == 1
    assert math.isnan(Judgement.of([0.4, 0.4], [0, 0]).f1_at())


@settings(max_examples=80, deadline=None)
@given(units(SCORE, CRIME, SIZE, least=2, most=60))
def test_curves_are_those_of_scikit_learn(columns: tuple[NDArray, NDArray, NDArray]) -> None:
    scores, crimes, size = columns
    hot = crimes > 0
    assume(hot.any() and not hot.all())
    judgement = Judgement.of(scores, crimes, size)
    false, true, _ = sklearn_metrics.roc_curve(hot, scores, drop_intermediate=False)
    np.testing.assert_allclose(judgement.roc_curve(), (false, true))
    precision, recall, _ = sklearn_metrics.precision_recall_curve(hot, scores)
    np.testing.assert_allclose(judgement.pr_curve(), (recall[-2::-1], precision[-2::-1]))


@settings(max_examples=60, deadline=None)
@given(units(SCORE, CRIME, least=2, most=60))
def test_the_areas_below_the_curves_are_auroc_and_aucpr(columns: tuple[NDArray, NDArray]) -> None:
    scores, crimes = columns
    assume((crimes > 0).any() and not (crimes > 0).all())
    judgement = Judgement.of(scores, crimes)
    false, true = judgement.roc_curve()
    assert np.trapezoid(true, false) == pytest.approx(judgement.auroc())
    recall, precision = judgement.pr_curve()
    assert np.diff(recall, prepend=0) @ precision == pytest.approx(judgement.aucpr())


def test_the_rate_of_units_that_are_not_there_is_none() -> None:
    false, true = Judgement.of([2, 1], [1, 1]).roc_curve()
    assert np.isnan(false[1:]).all()
    np.testing.assert_array_equal(true, [0, 0.5, 1])
    recall, precision = Judgement.of([2, 1], [0, 0]).pr_curve()
    assert np.isnan(recall).all()
    np.testing.assert_array_equal(precision, [0, 0])


def test_expected_crimes_are_judged_as_scikit_learn_judges_them() -> None:
    random = np.random.default_rng(4)
    rate = random.gamma(0.3, 1.0, 500)
    scores = np.where(random.random(500) < 0.3, 0.0, rate)  # some units where none is expected
    crimes, horizon = random.poisson(3 * rate), 3
    figures = judge(
        Judgement.of(scores, crimes), Outcome(crimes), horizon, expects_crimes=True, seed=1
    )
    expected = horizon * (0.99 * scores + 0.01 * scores.mean())
    hot, probability = crimes > 0, 1 - np.exp(-expected)
    assert figure(figures, "poisson_deviance").value == pytest.approx(
        sklearn_metrics.mean_poisson_deviance(crimes, expected)
    )
    assert figure(figures, "brier").value == pytest.approx(
        sklearn_metrics.brier_score_loss(hot, probability)
    )
    assert figure(figures, "f1").value == pytest.approx(
        sklearn_metrics.f1_score(hot, probability >= 0.5)
    )


def test_expected_crimes_of_unequal_units_are_their_scores_times_their_relative_size() -> None:
    random = np.random.default_rng(5)
    size = random.uniform(10, 500, 300)
    relative = size / size.mean()
    per_size = random.gamma(0.5, 1.0, 300)
    crimes = random.poisson(2 * per_size * relative)
    figures = judge(
        Judgement.of(per_size, crimes, size),
        Outcome(crimes, size),
        2,
        expects_crimes=True,
        seed=1,
    )
    crimes_a_step = per_size * relative
    expected = 2 * (0.99 * crimes_a_step + 0.01 * crimes_a_step.mean() * relative)
    assert figure(figures, "poisson_deviance").value == pytest.approx(
        sklearn_metrics.mean_poisson_deviance(crimes, expected)
    )
    assert figure(figures, "brier").value == pytest.approx(
        sklearn_metrics.brier_score_loss(crimes > 0, 1 - np.exp(-expected))
    )
    assert figure(figures, "expected_crimes", 1.0).value == pytest.approx(2 * crimes_a_step.sum())


def test_poisson_deviance_is_that_of_scikit_learn_on_the_mixed_expectation() -> None:
    random = np.random.default_rng(6)
    expected = random.gamma(0.3, 1.0, 400) * (random.random(400) < 0.7)
    crimes = random.poisson(expected + 0.1)
    mixed = 0.99 * expected + 0.01 * expected.mean()
    assert mean_poisson_deviance(expected, crimes) == pytest.approx(
        sklearn_metrics.mean_poisson_deviance(crimes, mixed)
    )


def test_poisson_deviance_where_nothing_is_expected() -> None:
    assert mean_poisson_deviance([0, 0], [0, 0]) == 0
    assert mean_poisson_deviance([0, 0], [0, 1]) == math.inf
    assert mean_poisson_deviance([2, 2], [2, 2]) == pytest.approx(0)
    # 2 / 2 x (m - y + y ln(y / m)) with y = 1, 3 and m = 2: ln(1 / 2) + 3 ln(3 / 2)
    assert mean_poisson_deviance([2, 2], [1, 3]) == pytest.approx(math.log(0.5) + 3 * math.log(1.5))


# --- Concentration --------------------------------------------------------------------------


def gini_by_pairs(crimes: NDArray, size: NDArray) -> float:
    """Gini from its other definition: half the mean absolute difference of two pieces of area."""
    density, weight = crimes / size, size / size.sum()
    apart = np.abs(density[:, None] - density[None, :])
    return float(weight @ apart @ weight / (2 * weight @ density))


def test_gini_of_few_units_is_as_worked_by_hand() -> None:
    assert gini([0, 0, 0, 4]) == pytest.approx(3 / 4)
    assert gini([1, 2, 3, 4]) == pytest.approx(1 / 4)
    assert gini([2, 2, 2]) == pytest.approx(0)
    # a quarter of the street holds three quarters of the crimes: the curve's area is 3/4
    assert gini([3, 1], [1.0, 3.0]) == pytest.approx(1 / 2)
    assert gini([10, 30], [1.0, 3.0]) == pytest.approx(0)


@settings(max_examples=60, deadline=None)
@given(units(CRIME, SIZE), st.booleans())
def test_gini_is_half_the_relative_mean_difference(
    columns: tuple[NDArray, NDArray], equal: bool
) -> None:
    crimes, size = columns
    assume(crimes.any())
    size = np.ones(len(size)) if equal else size
    assert gini(crimes, size) == pytest.approx(gini_by_pairs(crimes, size), abs=1e-9)


@pytest.mark.parametrize("mean", [0.05, 1.0, 8.0])
def test_modified_gini_takes_off_what_poisson_numbers_show_by_chance(mean: float) -> None:
    random = np.random.default_rng(2)
    crimes = random.poisson(mean * random.gamma(0.5, 2.0, 800))
    null = [gini_by_pairs(random.poisson(crimes.mean(), 800), np.ones(800)) for _ in range(40)]
    by_chance = np.mean(null)
    assert modified_gini(crimes) == pytest.approx(
        (gini_by_pairs(crimes, np.ones(800)) - by_chance) / (1 - by_chance), abs=0.02
    )


def test_modified_gini_of_unequal_units_takes_off_crimes_in_proportion_to_size() -> None:
    random = np.random.default_rng(3)
    size = random.uniform(5, 300, 800)
    crimes = random.poisson(size / 100 * random.gamma(0.5, 2.0, 800))
    expected = crimes.sum() * size / size.sum()
    null = [gini_by_pairs(random.poisson(expected), size) for _ in range(40)]
    by_chance = np.mean(null)
    assert modified_gini(crimes, size) == pytest.approx(
        (gini_by_pairs(crimes, size) - by_chance) / (1 - by_chance), abs=0.02
    )


def test_modified_gini_runs_from_chance_to_one_unit() -> None:
    random = np.random.default_rng(4)
    assert modified_gini(random.poisson(0.2, 20_000)) == pytest.approx(0, abs=0.02)
    size = random.uniform(1, 3, 5_000)
    assert modified_gini(random.poisson(0.5 * size), size) == pytest.approx(0, abs=0.05)
    in_one = np.zeros(10_000)
    in_one[7] = 10_000
    assert modified_gini(in_one) == pytest.approx(1, abs=0.001)


def test_concentration_without_a_crime_is_none() -> None:
    assert math.isnan(gini([0, 0]))
    assert math.isnan(modified_gini([0, 0]))
    assert math.isnan(modified_gini([0, 0], [1.0, 2.0]))


# --- Stability of rankings ------------------------------------------------------------------


def test_rank_biased_overlap_is_as_worked_by_hand() -> None:
    # the first 1, 2, 3 and 4 ranks share 0, 2, 2 and 3; equation 32 with p = 0.9 and both lists
    # of 4: 3/4 x 0.9^4 + 1/9 x (0 x 0.9 + 2/2 x 0.81 + 2/3 x 0.729 + 3/4 x 0.6561)
    overlap = rank_biased_overlap([1, 2, 3, 4], [2, 1, 4, 5], persistence=0.9)
    assert overlap == pytest.approx(0.492075 + 0.198675)


def test_rank_biased_overlap_is_one_for_the_same_and_nought_for_other_lists() -> None:
    assert rank_biased_overlap(range(100), range(100)) == pytest.approx(1)
    assert rank_biased_overlap(range(100), range(100, 200)) == 0
    assert rank_biased_overlap(["a", "b"], ["a", "b"]) == pytest.approx(1)
    assert math.isnan(rank_biased_overlap([], [1]))


def test_rank_biased_overlap_cuts_to_the_shorter_list() -> None:
    assert rank_biased_overlap([1, 2], [1, 3, 2]) == rank_biased_overlap([1, 2], [1, 3])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 15), unique=True, min_size=1),
    st.lists(st.integers(0, 15), unique=True, min_size=1),
    st.sampled_from([0.5, 0.9, 0.98]),
)
def test_rank_biased_overlap_is_the_sum_over_depths(
    one: list[int], other: list[int], p: float
) -> None:
    k = min(len(one), len(other))
    agreement = [len(set(one[:d]) & set(other[:d])) / d for d in range(1, k + 1)]
    # beyond the lists the agreement goes on: the sum over all depths, nearly
    agreement += [agreement[-1]] * 2_000
    by_depth = (1 - p) * sum(a * p**d for d, a in enumerate(agreement))
    assert rank_biased_overlap(one, other, p) == pytest.approx(by_depth)
    assert rank_biased_overlap(other, one, p) == pytest.approx(by_depth)


def test_jaccard_is_the_share_of_units_in_both_lists() -> None:
    assert jaccard([1, 2, 3], [3, 2, 9, 8]) == pytest.approx(2 / 5)
    assert jaccard([1, 2], [2, 1]) == 1
    assert jaccard([1, 2], [3]) == 0
    assert jaccard([1, 2], []) == 0
    assert math.isnan(jaccard([], []))


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(12)))
def test_spearman_of_lists_of_the_same_units_is_scipys(other: list[int]) -> None:
    positions = [other.index(unit) for unit in range(12)]
    expected = spearmanr(range(12), positions).statistic
    assert spearman(range(12), other) == pytest.approx(expected)


def test_spearman_puts_a_unit_that_a_list_lacks_behind_its_own() -> None:
    # a, b, c have ranks 1, 2, 3 and 1, 3, 2: 1 - 6 x 2 / (3 x 8)
    assert spearman(["a", "b"], ["a", "c"]) == pytest.approx(0.5)
    # nothing in common: ranks 1, 2, 3.5, 3.5 and 3.5, 3.5, 1, 2: -4 / 4.5
    assert spearman([1, 2], [3, 4]) == pytest.approx(-8 / 9)
    assert spearman([4, 2, 7], [7, 2, 4]) == pytest.approx(-1)


def test_spearman_of_less_than_two_units_or_an_empty_list_is_none() -> None:
    assert math.isnan(spearman([1], [1]))
    assert math.isnan(spearman([], []))
    assert math.isnan(spearman([1, 2], []))


def test_stability_is_judged_by_three_figures_that_are_finite() -> None:
    now, before = [1, 2, 3, 4], [2, 1, 4, 5]
    figures = judge_stability(now, before)
    assert {f.metric: f.value for f in figures} == {
        "jaccard": jaccard(now, before),
        "spearman": spearman(now, before),
        "rank_biased_overlap": rank_biased_overlap(now, before),
    }
    assert judge_stability([], []) == []


# --- What is refused, and the edges ---------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "size", "message"),
    [
        ([1.0, math.nan, 2.0], None, "1 of 3 scores are not finite"),
        ([math.inf, -math.inf], None, "2 of 2 scores are not finite"),
        ([[1.0, 2.0]], None, r"shape \(1, 2\)"),
        (3.0, None, r"shape \(\)"),
        ([], None, r"shape \(0,\)"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "2 scores for 3 units"),
    ],
)
def test_what_is_not_one_finite_score_for_every_unit_is_refused(
    scores: ArrayLike, size: ArrayLike | None, message: str
) -> None:
    with pytest.raises(NotAScore, match=message):
        Ranking(scores, size)


def test_scores_and_crimes_of_other_units_are_refused() -> None:
    with pytest.raises(ValueError, match="crimes of 3 units, scores of 2"):
        Judgement.of([1, 2], [1, 2, 3])


@pytest.mark.parametrize("crimes", [[1, -1], [1, math.nan], [1, math.inf]])
def test_crimes_that_are_no_counts_are_refused(crimes: list[float]) -> None:
    with pytest.raises(ValueError, match="fewer than no crimes, or a number of them that is none"):
        Outcome(crimes)


def test_fewer_than_no_crimes_cannot_be_expected() -> None:
    judgement = Judgement.of([3, -1, 2], [1, 0, 0])
    with pytest.raises(NotAScore, match="fewer than no crimes"):
        judge(judgement, Outcome([1, 0, 0]), 1, expects_crimes=True, seed=1)
    assert judge(judgement, Outcome([1, 0, 0]), 1, expects_crimes=False, seed=1)


def test_without_a_crime_there_are_only_the_counts() -> None:
    judgement = Judgement.of([3, 1, 2], [0, 0, 0])
    for value in (
        judgement.hit_rate(0.5),
        judgement.pei_star(0.5),
        judgement.auroc(),
        judgement.aucpr(),
        judgement.hit_rate_area(),
    ):
        assert math.isnan(value)
    figures = judge(judgement, Outcome([0, 1, 0]), 2, expects_crimes=True, seed=1)
    assert {f.metric for f in figures} == {"crimes", "expected_crimes"}
    assert all(f.value == 0 for f in figures if f.metric == "crimes")
    assert figure(figures, "expected_crimes", 1.0).value == pytest.approx(12)


def test_where_all_units_are_hot_there_is_no_auroc() -> None:
    judgement = Judgement.of([3, 1, 2], [1, 5, 2])
    assert math.isnan(judgement.auroc())
    assert judgement.aucpr() == 1
    figures = judge(judgement, Outcome([1, 1, 1]), 1, expects_crimes=True, seed=1)
    assert "auroc" not in {f.metric for f in figures}
    assert all(math.isfinite(f.value) for f in figures)


@pytest.mark.parametrize("size", [None, [40.0]])
def test_one_unit_is_taken_in_part(size: list[float] | None) -> None:
    judgement = Judgement.of([2.0], [4], size)
    assert judgement.hit_rate(0.2) == pytest.approx(0.2)
    assert judgement.pai(0.2) == pytest.approx(1)
    assert judgement.pei_star(0.2) == pytest.approx(1)
    assert judgement.ranking.taken(0.2) == pytest.approx(0.2)
    assert judgement.ranking.mass(0.2) == pytest.approx(0.4)
    assert judgement.ranking.hottest(5).tolist() == [0]
    assert gini([4], size) == pytest.approx(0)
    figures = judge(judgement, Outcome([1], size), 1, expects_crimes=True, seed=1)
    assert all(math.isfinite(f.value) for f in figures)


def test_a_forecast_of_no_crimes_at_all_has_no_deviance() -> None:
    figures = judge(
        Judgement.of(np.zeros(4), [1, 0, 0, 0]), Outcome(np.ones(4)), 1, expects_crimes=True, seed=1
    )
    assert "poisson_deviance" not in {f.metric for f in figures}
    assert figure(figures, "pai", 0.1).value == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(units(SCORE), st.integers(0, 30))
def test_the_hottest_are_in_order_of_score_then_position(columns: tuple[NDArray], k: int) -> None:
    (scores,) = columns
    expected = sorted(range(len(scores)), key=lambda unit: (-scores[unit], unit))[:k]
    assert Ranking(scores).hottest(k).tolist() == expected
    unequal = Ranking(scores, np.arange(1.0, len(scores) + 1))
    assert unequal.hottest(k).tolist() == expected


# --- All figures of a forecast --------------------------------------------------------------


def example(equal: bool = True, seed: int = 8, n: int = 1_500) -> tuple[Judgement, Outcome]:
    """A forecast with ties that knows something, and the outcome before."""
    random = np.random.default_rng(seed)
    size = None if equal else random.choice([50.0, 100.0, 400.0], n)
    rate = random.gamma(0.3, 1.0, n)
    scores = random.poisson(3 * rate) / 3
    if size is not None:
        scores = scores / (size / size.mean())
    return Judgement.of(scores, random.poisson(rate), size), Outcome(random.poisson(rate), size)


@pytest.mark.parametrize("equal", [True, False])
def test_judge_gives_each_metric_once_a_coverage_as_the_methods_give_it(equal: bool) -> None:
    judgement, past = example(equal)
    figures = judge(judgement, past, 1, expects_crimes=True, seed=1)
    found = {(f.metric, f.coverage): f.value for f in figures}
    assert len(found) == len(figures)
    expected: dict[tuple[str, float | None], float] = {
        ("auroc", None): judgement.auroc(),
        ("aucpr", None): judgement.aucpr(),
        ("hit_rate_area", None): judgement.hit_rate_area(),
        ("gini", None): gini(judgement.outcome.every, judgement.outcome.size),
        ("modified_gini", None): modified_gini(judgement.outcome.every, judgement.outcome.size),
    }
    for c in (*CURVE, 1.0):
        expected["crimes", c] = judgement.captured(c)
        expected["expected_crimes", c] = judgement.ranking.mass(c)
    for c in CURVE:
        expected["hit_rate", c] = judgement.hit_rate(c)
    for c in COVERAGES:
        expected["pai", c] = judgement.pai(c)
        expected["pei_star", c] = judgement.pei_star(c)
        expected["f1", c] = judgement.f1(c)
        expected["recapture_rate_index", c] = judgement.recapture_rate_index(c, past.every)
    of_probability = {("brier", None), ("poisson_deviance", None), ("f1", None)}
    assert set(found) == set(expected) | of_probability
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("equal", [True, False])
def test_every_value_lies_between_the_worst_and_the_best_resolution(equal: bool) -> None:
    judgement, past = example(equal)
    figures = judge(judgement, past, 1, expects_crimes=True, seed=1)
    bounded = [f for f in figures if f.tie_best is not None and f.tie_worst is not None]
    assert {f.metric for f in bounded} == {
        "hit_rate", "pai", "pei_star", "f1", "recapture_rate_index",
    }  # fmt: skip
    for f in bounded:
        assert f.tie_worst - 1e-12 <= f.value <= f.tie_best + 1e-12
    total = judgement.outcome.total
    for c in COVERAGES:
        worst, best = judgement.resolved(c)
        hit_rate, pai = figure(figures, "hit_rate", c), figure(figures, "pai", c)
        assert (hit_rate.tie_worst, hit_rate.tie_best) == pytest.approx(
            (worst / total, best / total)
        )
        assert (pai.tie_worst, pai.tie_best) == pytest.approx((worst / total / c, best / total / c))
    # this one has a tie to speak of
    assert figure(figures, "hit_rate", 0.2).tie_worst < figure(figures, "hit_rate", 0.2).tie_best


def test_the_bounds_of_f1_are_those_of_the_resolutions() -> None:
    scores, crimes = np.array([5, 2, 2, 2, 1, 1, 1, 1, 1, 1]), np.array([1, 0, 9, 0] + [0] * 6)
    figures = judge(Judgement.of(scores, crimes), Outcome(crimes), 1, expects_crimes=False, seed=1)
    f1 = figure(figures, "f1", 0.2)
    # one unit of three that tie is the second taken; the hot one of them or a cold one
    assert (f1.tie_worst, f1.tie_best) == pytest.approx((2 * 1 / (2 + 2), 2 * 2 / (2 + 2)))
    assert f1.value == pytest.approx(2 * (1 + 1 / 3) / (2 + 2))


def test_the_best_f1_of_unequal_units_takes_few_of_those_without_a_crime() -> None:
    judgement = Judgement.of([1, 1, 1], [1, 0, 0], [1.0, 1.0, 8.0])
    # 20 %: at best the hot unit and an eighth of the large one, at worst all but the hot one
    assert judgement.resolved_f1(0.2) == pytest.approx((0, 2 * 1 / (1 + 1 / 8 + 1)))
    # 95 %: at best all but half of the small cold one, at worst all but half of the hot one
    assert judgement.resolved_f1(0.95) == pytest.approx((2 * 0.5 / 3.5, 2 * 1 / 3.5))


@settings(max_examples=60, deadline=None)
@given(units(SCORE, CRIME, SIZE, most=6), COVERAGE, st.booleans())
def test_the_bounds_of_f1_are_its_extremes_over_all_orders_of_the_tie(
    columns: tuple[NDArray, NDArray, NDArray], coverage: float, equal: bool
) -> None:
    scores, crimes, size = columns
    assume(crimes.any())
    size = np.ones(len(size)) if equal else size
    hot, area = crimes > 0, size / size.sum()
    found = []
    for order in map(list, resolutions(scores)):
        start = np.cumsum(area[order]) - area[order]
        part = np.clip((coverage - start) / area[order], 0, 1)
        found.append(2 * (part @ hot[order]) / (part.sum() + hot.sum()))
    judgement = Judgement.of(scores, crimes, size)
    assert judgement.resolved_f1(coverage) == pytest.approx((min(found), max(found)))
    assert min(found) - 1e-9 <= judgement.f1(coverage) <= max(found) + 1e-9
    figures = judge(judgement, Outcome(crimes, size), 1, expects_crimes=False, seed=1)
    for c in COVERAGES:
        f1 = figure(figures, "f1", c)
        assert (f1.tie_worst, f1.tie_best) == pytest.approx(judgement.resolved_f1(c))


def test_scores_that_are_no_expectation_are_not_judged_as_one() -> None:
    judgement, past = example()
    figures = judge(judgement, past, 1, expects_crimes=False, seed=1)
    everything = judge(judgement, past, 1, expects_crimes=True, seed=1)
    of_probability = {("brier", None), ("poisson_deviance", None), ("f1", None)}
    left_out = of_probability | {("expected_crimes", c) for c in (*CURVE, 1.0)}
    shared = [f for f in everything if (f.metric, f.coverage) not in left_out]
    for one, other in zip(figures, shared, strict=True):
        assert (one.metric, one.coverage, one.value) == (other.metric, other.coverage, other.value)
        assert interval(one) == pytest.approx(interval(other), rel=1e-5, nan_ok=True)


def test_the_interval_of_the_hit_rate_is_a_poisson_bootstraps() -> None:
    judgement, past = example(n=600)
    figures = judge(judgement, past, 1, expects_crimes=False, seed=1, resamplings=4_000)
    random = np.random.default_rng(99)
    crimes = judgement.outcome.every
    drawn = random.poisson(1.0, (4_000, len(crimes)))
    for c in (0.05, 0.2):
        share = filled(judgement.ranking.scores, np.ones(len(crimes)), c)
        rates = drawn @ (crimes * share) / (drawn @ crimes)
        found = figure(figures, "hit_rate", c)
        assert (found.low, found.high) == pytest.approx(
            tuple(np.quantile(rates, [0.025, 0.975])), abs=0.006
        )
        assert found.low < found.value < found.high
        pai = figure(figures, "pai", c)
        assert (pai.low, pai.high) == pytest.approx((found.low / c, found.high / c))


def test_every_interval_surrounds_its_value() -> None:
    judgement, past = example()
    for f in judge(judgement, past, 1, expects_crimes=True, seed=1):
        if f.low is not None and f.high is not None:
            assert f.low <= f.value <= f.high, f


@given(st.integers(0, 50))
@settings(max_examples=15, deadline=None)
def test_no_interval_of_a_share_goes_beyond_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crimes = rng.poisson(rng.gamma(0.3, 1.0, 200))
    for scores in (crimes.astype(float), crimes + rng.normal(0, 2, 200)):
        figures = judge(
            Judgement.of(scores - scores.min(), crimes), None, 1, expects_crimes=True, seed=seed
        )
        for f in figures:
            if f.metric in ("f1", "pei_star", "hit_rate") and f.high is not None:
                assert f.low <= f.high <= 1.0, f


def test_the_same_seed_gives_the_same_intervals_to_every_model() -> None:
    judgement, past = example()
    other = Judgement(Ranking(-judgement.ranking.scores), judgement.outcome)
    first = judge(judgement, past, 1, expects_crimes=True, seed=3)
    judge(other, past, 1, expects_crimes=False, seed=4)
    assert judge(judgement, past, 1, expects_crimes=True, seed=3) == first
    afresh = Judgement.of(judgement.ranking.scores, judgement.outcome.every)
    assert judge(afresh, past, 1, expects_crimes=True, seed=3) == first
    assert judge(judgement, past, 1, expects_crimes=True, seed=4) != first


def test_without_resamplings_there_are_no_intervals() -> None:
    judgement, past = example()
    figures = judge(judgement, past, 1, expects_crimes=True, seed=3, resamplings=0)
    assert all(f.low is None and f.high is None for f in figures)
    assert [f.value for f in figures] == [
        f.value for f in judge(judgement, past, 1, expects_crimes=True, seed=3)
    ]


def test_resampling_in_chunks_is_resampling_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judgement, past = example()
    at_once = judge(judgement, past, 1, expects_crimes=True, seed=1)
    monkeypatch.setattr(metrics, "_UNITS_AT_ONCE", 37)
    assert len(judgement.outcome.hot) > 3 * 37
    chunked = judge(judgement, past, 1, expects_crimes=True, seed=1)
    for one, other in zip(at_once, chunked, strict=True):
        assert other.value == one.value
        assert interval(other) == pytest.approx(interval(one), rel=1e-5, nan_ok=True)


def test_units_are_drawn_as_poisson_numbers_of_mean_one() -> None:
    table = metrics._poisson_table().astype(float)
    assert table.mean() == pytest.approx(1, abs=1e-4)
    assert table.var() == pytest.approx(1, abs=1e-3)
    assert (table == 0).mean() == pytest.approx(math.exp(-1), abs=1e-4)
    drawn = Outcome(np.ones(2_000)).resampled(seed=5, resamplings=50)
    assert drawn.shape == (50, 2_000)
    assert drawn.mean() == pytest.approx(1, abs=0.02)


# --- The mean of several predictions --------------------------------------------------------


def test_a_grid_is_judged_by_five_figures_as_the_methods_give_them() -> None:
    judgement = Judgement.of(np.linspace(1, 0, 40), [3, 0, 4, 0, 2, 0, 0, 1] * 5)
    assert judge_probabilities(judgement) == [
        Figure("f1", None, judgement.f1_at(0.5)),
        Figure("aucpr", None, judgement.aucpr()),
        Figure("auroc", None, judgement.auroc()),
        Figure("pai", 0.05, judgement.pai(0.05)),
        Figure("pei_star", 0.05, judgement.pei_star(0.05)),
    ]
    every = judge_probabilities(Judgement.of([0.9, 0.8], [1, 2]))
    assert [f.metric for f in every] == ["f1", "aucpr", "pai", "pei_star"]
    assert judge_probabilities(Judgement.of([0.1, 0.2], [0, 0])) == []
    # false alarms of such a month would be no F1 for one method, and one of 0 for another
    assert judge_probabilities(Judgement.of([0.9, 0.2], [0, 0])) == []


def months(values: ArrayLike, metric: str = "pai") -> list[list[Figure]]:
    return [[Figure(metric, 0.05, float(value))] for value in np.asarray(values)]


def test_the_interval_of_a_mean_is_a_bootstrap_over_predictions() -> None:
    values = np.random.default_rng(3).normal(4, 0.5, 12)
    (mean,) = mean_of(months(values), resamplings=20_000)
    assert (mean.metric, mean.coverage) == ("pai", 0.05)
    assert mean.value == pytest.approx(values.mean())
    error = values.std() / np.sqrt(12)  # of the mean of twelve drawn with replacement
    assert interval(mean) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.15 * error
    )


def test_the_mean_of_equal_predictions_is_certain_and_of_one_there_is_no_interval() -> None:
    (mean,) = mean_of(months([2.0] * 12))
    assert (mean.value, mean.low, mean.high) == (2, 2, 2)
    (single,) = mean_of(months([2.0]))
    assert (single.value, single.low, single.high) == (2, None, None)


def test_methods_are_compared_on_the_same_months() -> None:
    values = np.random.default_rng(5).normal(4, 2, 12)
    (difference,) = mean_of(months(values + 0.25), months(values))
    assert difference.value == pytest.approx(0.25)
    assert interval(difference) == pytest.approx((0.25, 0.25))  # however much the months differ
    (one,), (other,) = mean_of(months(values)), mean_of(months(values + 1))
    assert interval(other) == pytest.approx([bound + 1 for bound in interval(one)])
    assert mean_of(months(values), seed=2) != mean_of(months(values), seed=1)


def test_a_prediction_without_a_figure_is_left_out_of_its_mean() -> None:
    predictions = [*months([1.0, 3.0] * 3), []]
    for at in range(5):  # too few for an interval
        predictions[at].append(Figure("auroc", None, 0.7))
    pai, auroc = mean_of(predictions)
    assert pai.value == 2
    assert pai.low is not None
    assert pai.high is not None
    assert 1 <= pai.low < 2 < pai.high <= 3
    assert auroc.value == pytest.approx(0.7)
    assert (auroc.low, auroc.high) == (None, None)
    assert mean_of(months([1.0]), months([1.0], "f1")) == []


@pytest.mark.parametrize(("of", "against"), [([], None), ([1.0], [1.0, 2.0])])
def test_no_predictions_or_not_as_many_are_refused(
    of: list[float], against: list[float] | None
) -> None:
    with pytest.raises(ValueError, match="predictions"):
        mean_of(months(of), None if against is None else months(against))
