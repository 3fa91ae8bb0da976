"""Pictures of classifiers: they show the numbers that they are about."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import metrics

from crime_assets.classification import charts
from crime_assets.hexes.pictures import png
from crime_assets_tests.classification.test_scoring import example

TITLES = ("low", "medium", "high", "very high")
CURVES = (charts.roc_curves, charts.precision_recall_curves, charts.calibration_curves)


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def legend(axes: Axes) -> list[str]:
    return axes.get_legend_handles_labels()[1]


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


def test_the_confusion_matrix_has_counts_and_shares_of_the_row() -> None:
    truth = np.array([0] * 10 + [1] * 4)
    predicted = np.array([0] * 9 + [1] + [1] * 4)
    (axes,) = charts.confusion_matrix(truth, predicted, ("cold", "hot")).axes
    assert texts(axes) == ["9\n90 %", "1\n10 %", "4\n100 %"]
    assert axes.images[0].get_array().tolist() == [[0.9, 0.1], [0, 1]]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["cold (10)", "hot (4)"]


def test_roc_curves_end_at_the_corners_and_say_scikit_learns_auc() -> None:
    truth, probabilities, _ = example(n=3000, decimals=6)
    (axes,) = charts.roc_curves(truth, probabilities, TITLES).axes
    for c, said in enumerate(legend(axes)):
        auc = metrics.roc_auc_score(truth == c, probabilities[:, c])
        assert said == f"{TITLES[c]}: AUC {auc:.3f}"
    for line in axes.lines[:4]:
        x, y = line.get_data()
        assert (x[0], y[0], x[-1], y[-1]) == pytest.approx((0, 0, 100, 100))
        assert len(x) <= 402
        assert (np.diff(x) >= 0).all()
        assert np.trapezoid(y, x) / 1e4 == pytest.approx(
            float(legend(axes)[axes.lines.index(line)].split()[-1]), abs=0.003
        )


def test_precision_and_recall_say_average_precision_and_the_base_rate() -> None:
    truth, probabilities, _ = example()
    (axes,) = charts.precision_recall_curves(truth, probabilities, TITLES).axes
    average = metrics.average_precision_score(truth == 1, probabilities[:, 1])
    base = (truth == 1).mean()
    assert legend(axes)[1] == f"medium: AP {average:.2f}, base {base:.2f}"
    assert 100 * base in [line.get_ydata()[0] for line in axes.lines]


def test_calibration_shows_how_often_what_was_said_came() -> None:
    said = np.repeat([0.2, 0.8], 100)
    came = np.r_[np.arange(100) < 30, np.arange(100) < 80].astype(int)
    probabilities = np.stack([1 - said, said], axis=1)
    (axes,) = charts.calibration_curves(came, probabilities, ("cold", "hot")).axes
    assert axes.lines[0].get_xydata().tolist() == pytest.approx(np.array([[20, 30], [80, 80]]))
    assert legend(axes) == ["hot: mean gap 5.0 points"]


@pytest.mark.parametrize("draw", CURVES)
def test_two_classes_have_one_curve_and_nine_have_a_panel_each(draw: object) -> None:
    truth, probabilities, _ = example(k=2)
    (axes,) = draw(truth, probabilities, ("cold", "hot")).axes
    assert [said.split(":")[0] for said in legend(axes)] == ["hot"]
    truth, probabilities, _ = example(k=9)
    names = [f"class {c}" for c in range(9)]
    shown = panels(draw(truth, probabilities, names))
    assert [axes.get_title().split(" (")[0] for axes in shown] == names
    assert all(len(legend(axes)) == 1 for axes in shown)


@pytest.mark.parametrize("draw", CURVES)
@pytest.mark.parametrize("k", [2, 4, 9])
def test_a_class_that_no_area_has_has_no_curve(draw: object, k: int) -> None:
    truth, probabilities, _ = example(k=k)
    figure = draw(np.where(truth == 1, 0, truth), probabilities, [f"class {c}" for c in range(k)])
    assert "class 1" not in " ".join(said for axes in panels(figure) for said in legend(axes))
    assert sum(len(legend(axes)) for axes in panels(figure)) == k - (2 if k == 2 else 1)
    png(figure)


def features(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "feature": [f"density_12m_{i}" for i in range(n)],
            "permutation": np.arange(n) / 100,
            "spread": 0.01,
            "impurity": np.full(n, 1 / n),
        }
    )


def test_importances_show_the_fifteen_that_matter_most_with_readable_names() -> None:
    left, right = charts.importances(features(20), {"density_12m_19": "All crime, a year"}).axes
    names = [text.get_text() for text in left.get_yticklabels()]
    assert names[:2] == ["All crime, a year", "density 12m 18"]
    assert len(names) == len(right.patches) == 15
    assert [bar.get_width() for bar in right.patches] == [100 / 20] * 15
    top, bottom = left.get_ylim()[::-1]
    assert top < bottom  # the most important one stands at the top


def test_importances_without_impurity_have_one_panel() -> None:
    table = features(3)
    assert len(charts.importances(table.drop(columns=["impurity", "spread"])).axes) == 1
    assert len(charts.importances(table.assign(impurity=np.nan)).axes) == 1


def worth() -> pd.DataFrame:
    rows = [
        (model, split, metric, value + gain, value + gain - 0.01, value + gain + 0.01)
        for model, gain in (("random_forest", 0.02), ("same_class", 0.0))
        for split, value in (("random", 0.9), ("time", 0.8))
        for metric in ("accuracy", "macro_f1")
    ]
    return pd.DataFrame(rows, columns=["model", "split", "metric", "value", "low", "high"])


def test_the_random_split_is_named_optimistic_and_stands_last() -> None:
    accuracy, macro = charts.split_worth(worth()).axes
    names = [text.get_text() for text in accuracy.get_yticklabels()]
    assert names == ["next year", "random parts\n(optimistic)"]
    assert texts(accuracy) == texts(macro) == ["92.0", "82.0", "90.0", "80.0"]
    assert legend(accuracy) == ["random forest", "same class"]


def test_values_without_an_interval_are_drawn_too() -> None:
    table = worth().assign(low=np.nan, high=np.nan)
    assert len(png(charts.split_worth(table))) > 1000


def test_the_same_numbers_make_the_same_picture() -> None:
    first, again = (png(charts.roc_curves(*example()[:2], TITLES)) for _ in range(2))
    assert first == again
