"""Scores keep the order and the threshold, means are means, and differences are to the naive."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from crime_assets.forecasting.metrics import Figure
from crime_assets.grids.judging import METRICS, compared, curves, in_order, judge


def test_scores_are_in_the_order_of_probability_and_then_of_expected_crimes() -> None:
    probability = np.array([1.0, 0.2, 1.0, 0.5, 0.4999])
    expected = np.array([50.0, 9.0, 40.0, 0.0, 0.0])
    scores = in_order(probability, expected)
    assert np.argsort(-scores).tolist() == [0, 2, 3, 4, 1]
    assert ((scores >= 0.5) == (probability >= 0.5)).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_methods_that_count_are_ranked_by_what_they_expect_too() -> None:
    """A network's sure cells differ by chance, its counts tell which of them is busiest."""
    probability = np.full((1, 40), 0.4)
    probability[0, :4] = 0.9991, 0.9999, 0.9992, 0.9993
    expected = np.array([[50.0, 3.0, 40.0, 4.0] + [0.5] * 36])
    (told,) = judge(probability, expected, expected)
    pai = {f.metric: f.value for f in told}
    total = expected.sum()
    assert pai["pai"] == pytest.approx((3 + 4) / total / 0.05)
    assert pai["pai_by_count"] == pytest.approx((50 + 40) / total / 0.05)
    assert {f.metric: f.coverage for f in told}["pai_by_count"] == 0.05
    (quiet,) = judge(probability, expected, np.zeros((1, 40)))
    assert "pai_by_count" not in {f.metric for f in quiet}


@pytest.mark.parametrize("value", [0.0, 0.3, 0.5, 1.0])
def test_equal_cells_stay_level(value: float) -> None:
    scores = in_order(np.full((2, 3), value), None)
    assert scores.shape == (2, 3)
    assert len(np.unique(scores)) == 1
    assert (scores >= 0.5).all() == (value >= 0.5)


def test_a_chance_that_rounds_to_one_does_not_hide_the_busiest_cell() -> None:
    expected = np.array([[100.0, 50.0, 60.0, 45.0] + [1.0] * 36])
    probability = -np.expm1(-expected)
    assert (probability[0, :4] == 1).all()
    crimes = np.where(expected == 100, 80, 1.0)
    (told,) = judge(probability, expected, crimes)
    (blind,) = judge(probability, None, crimes)
    pai = {name: f.value for name, found in (("told", told), ("blind", blind))
           for f in found if f.metric == "pai"}  # fmt: skip
    assert pai["told"] == pytest.approx((81 / 119) / 0.05)  # two cells of forty
    assert pai["blind"] < pai["told"]


def test_figures_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(2)
    probability = random.random((3, 200)).round(2)
    crimes = random.poisson(probability)
    for p, y, figures in zip(probability, crimes, judge(probability, None, crimes), strict=True):
        found = {f.metric: f.value for f in figures}
        assert list(found) == [metric for metric in METRICS if metric != "pai_by_count"]
        assert found["f1"] == pytest.approx(f1_score(y > 0, p >= 0.5))
        assert found["auroc"] == pytest.approx(roc_auc_score(y > 0, p))
        assert found["aucpr"] == pytest.approx(average_precision_score(y > 0, p))


def test_differences_are_of_the_same_months() -> None:
    own = [[Figure("f1", None, v), Figure("pai", 0.05, 2.0)] for v in (0.5, 0.7, 0.9) * 2]
    naive = [[Figure("f1", None, v), Figure("pai", 0.05, 3.0)] for v in (0.4, 0.6, 0.8) * 2]
    rows = list(compared(own, {"persistence": naive}, list("abcdef")))
    of_months = [r["value"] for r in rows if r["origin"] and r["metric"] == "f1"]
    assert of_months == [0.5, 0.7, 0.9] * 2
    (mean,) = [r for r in rows if (r["origin"], r["against"], r["metric"]) == (None, None, "f1")]
    assert mean["value"] == pytest.approx(0.7)
    assert mean["low"] < 0.7 < mean["high"]
    apart = {r["metric"]: r for r in rows if r["against"] == "persistence"}
    assert apart["f1"]["value"] == pytest.approx(0.1)
    assert (apart["f1"]["low"], apart["f1"]["high"]) == pytest.approx((0.1, 0.1))
    assert (apart["pai"]["value"], apart["pai"]["coverage"]) == (-1.0, 0.05)
    assert len(rows) == 6 * 2 + 2 + 2


def test_curves_are_of_all_months_together_and_hold_their_area() -> None:
    random = np.random.default_rng(4)
    probability = random.random((12, 300))
    crimes = random.poisson(probability**2)
    found = {name: (x, y) for name, x, y in curves(probability, None, crimes)}
    x, y = found["roc"]
    assert len(x) <= 200
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    area = roc_auc_score(crimes.ravel() > 0, probability.ravel())
    assert np.trapezoid(y, x) == pytest.approx(area, abs=0.005)
    recall, precision = found["pr"]
    assert (np.diff(recall) >= 0).all()
    assert precision[-1] == pytest.approx((crimes > 0).mean())
