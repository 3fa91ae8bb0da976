"""The page on a classifier: it stands alone, and says what the figures say."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from crime_assets import DataError
from crime_assets.classification import report as module
from crime_assets.classification.report import (
    Result,
    classification_table,
    compare,
    report,
    verdict,
)
from crime_assets.classification.scoring import Difference, judge
from crime_assets.forecasting.report import LICENCE
from crime_assets.lsoa.labels import LABELS
from crime_assets_tests.classification.test_charts import features
from crime_assets_tests.forecasting.test_report import check_page

SPLITS = {"time": 0.35, "space": 0.3, "force": 0.5, "random": 0.15}
N = 240


def result(model: str, label: str, split: str, scope: str = "gwent", noise: float = 0.3) -> Result:
    """A model that is wrong the more often the more ``noise`` there is."""
    k = len(LABELS[label])
    rng = np.random.default_rng([N, k])
    truth = rng.integers(0, k, N)
    rng = np.random.default_rng([k, round(100 * noise)])
    predicted = np.where(rng.random(N) < noise, rng.integers(0, k, N), truth)
    probabilities = (np.eye(k)[predicted] + 0.3 * rng.random((N, k))) / 1
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Result(
        model, scope, split, label, np.array([f"E{i:08}" for i in range(N)], dtype=object),
        truth, probabilities, predicted, probabilities > 0.1, np.arange(N) // 4,
    )  # fmt: skip


def results(better: float = 0.2, labels: tuple[str, ...] = ("is_hotspot", "tier")) -> list[Result]:
    """A forest that is better than last year's class by ``better``, or worse."""
    found = []
    for label in labels:
        for split, noise in SPLITS.items():
            found.append(result("random_forest", label, split, noise=noise))
            found.append(result("same_class", label, split, noise=noise + better))
    return found


GROUPS = {
    "police force": {f"E{i:08}": "abc"[i % 3] for i in range(N)},
    "deprivation quintile": {f"E{i:08}": f"quintile {1 + i // 60}" for i in range(N)},
}
MORAN = [{"scope": "gwent", "what": "errors of the tier", "value": 0.123, "p_value": 0.0001}]


def page_of(found: list[Result], **more: object) -> str:
    return report(found, model="random_forest", cut_off="2025-04", resamplings=60, **more)


@cache
def whole_page() -> str:
    return page_of(
        results(),
        pair=("theft", "violence"),
        importances={("gwent", "tier"): features(20)},
        feature_titles={"density_12m_19": "All crime, a year"},
        groups=GROUPS,
        moran=MORAN,
        provenance={"release": "2026-04 <b>"},
    )


def words(html: str) -> str:
    return " ".join(" ".join(check_page(html).text).split())


# --- The page -------------------------------------------------------------------------------


def test_the_page_stands_alone_and_can_be_read_by_all() -> None:
    read = check_page(whole_page())
    # four pictures a label and what the split is worth, and importances of one
    assert sum(tag == "img" for tag, _ in read.tags) == 5 * 2 + 1
    assert len(whole_page()) < 1_500_000


def test_the_page_opens_with_whether_last_years_class_is_beaten() -> None:
    found = results()
    opening = words(whole_page()).partition("What is told")[0]
    assert "In Gwent, random forest beats “same class as last year” for 2 of 2 labels" in opening
    for label in ("is_hotspot", "tier"):
        one, other = (
            next(r for r in found if (r.model, r.label, r.split) == (model, label, "time"))
            for model in ("random_forest", "same_class")
        )
        (macro,) = (d for d in compare(one, other, resamplings=60) if d.metric == "macro_f1")
        assert verdict("random_forest", macro) in opening


def test_the_page_says_plainly_that_a_model_is_not_better() -> None:
    found = [r for r in results(better=-0.12) if r.split == "time"]
    opening = words(page_of(found)).partition("What is told")[0]
    assert "does not beat “same class as last year” for any of 2 labels" in opening
    assert "needs no model" in opening


def test_the_page_has_the_figures_of_every_split_and_model() -> None:
    text = words(whole_page())
    for r in results():
        figures = judge(r.truth, r.probabilities, r.predicted, blocks=r.blocks, resamplings=60)
        for f in figures[:1]:
            assert f.metric == "accuracy"
            assert f"{100 * f.value:.1f} {100 * f.low:.1f} to {100 * f.high:.1f}" in text
    for split in ("next year", "other forces", "other places", "random parts (optimistic)"):
        assert split in text


def test_the_random_split_is_called_optimistic_wherever_it_is_named() -> None:
    text = words(whole_page())
    assert text.lower().count("random parts") > 3
    for part in text.lower().split("random parts")[1:]:
        assert "optimistic" in part[:120]


def test_the_page_says_what_labels_sets_groups_and_morans_i_are() -> None:
    text = words(whole_page())
    for said in (
        "theft and by violence", "the highest tenth", "Conformal prediction", "quintile 4",
        "By police force, recall of “very high” runs from", "errors of the tier", "0.123",
        "< 0.001", "most: All crime, a year", "Recorded crime is not crime",
        "modifiable areal unit", "not for decisions about persons", "2026-04 <b>", LICENCE,
    ):  # fmt: skip
        assert said in text, said


@pytest.mark.slow
def test_nine_classes_make_a_page_too() -> None:
    text = words(page_of(results(labels=("bivariate",))))
    assert "medium / high" in text
    assert "for 1 of 1 labels" in text


def test_only_the_first_places_have_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PICTURED_SCOPES", 1)
    found = [result("random_forest", "is_hotspot", "time", scope) for scope in "ab"]
    read = check_page(page_of(found))
    assert sum(tag == "img" for tag, _ in read.tags) == 5


def test_a_model_alone_without_sets_or_blocks_makes_a_page_too() -> None:
    alone = replace(result("random_forest", "is_hotspot", "random"), conformal=None, blocks=None)
    text = words(page_of([alone]))
    assert "not compared with “same class as last year”" in text
    assert "Prediction sets (" not in text


def test_all_text_is_escaped() -> None:
    nasty = '<script>alert("x")</script>'
    one = replace(result("random_forest", "is_hotspot", "time"), scope=nasty)
    groups = {nasty: dict.fromkeys(one.areas, nasty)}
    moran = [{"scope": nasty, "what": nasty, "value": 0.1, "p_value": 1}]
    check_page(
        page_of([one], groups=groups, moran=moran, pair=(nasty, nasty), provenance={nasty: nasty})
    )


def test_the_same_results_make_the_same_page() -> None:
    found = [result("random_forest", "is_hotspot", "time")]
    assert page_of(found) == page_of(found)


def test_what_cannot_be_reported_is_said() -> None:
    one = result("random_forest", "tier", "time")
    with pytest.raises(DataError, match="no result of random_forest"):
        page_of([replace(one, model="other")])
    with pytest.raises(DataError, match="two results"):
        page_of([one, one])
    with pytest.raises(DataError, match="unknown splits"):
        page_of([replace(one, split="by_lot")])


# --- Verdicts and comparisons ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (
            0.01,
            0.03,
            "beats “same class as last year” by 2.0 points of macro F1 (95 % interval +1.0",
        ),
        (-0.01, 0.05, "does not beat “same class as last year”: the difference is +2.0 points"),
        (None, None, "too few blocks"),
    ],
)
def test_a_verdict_says_no_more_than_its_interval(
    low: float | None, high: float | None, says: str
) -> None:
    assert says in verdict("random_forest", Difference("macro_f1", 0.02, low, high, 0.01))


def test_a_worse_model_is_called_worse() -> None:
    said = verdict("random_forest", Difference("macro_f1", -0.02, -0.03, -0.01, 0.01))
    assert "is worse than “same class as last year”, by 2.0 points" in said


def test_models_are_compared_on_the_areas_that_both_have() -> None:
    one, other = (result("m", "tier", "time", noise=noise) for noise in (0.2, 0.5))
    order = np.random.default_rng(1).permutation(N)[: N // 2]
    some = Result(
        "n", "gwent", "time", "tier", other.areas[order], other.truth[order],
        other.probabilities[order], other.predicted[order],
    )  # fmt: skip
    (found, *_) = compare(one, some, resamplings=20)
    right = [(r.predicted == r.truth)[np.sort(order)].mean() for r in (one, other)]
    assert found.value == pytest.approx(right[0] - right[1])


def test_models_that_disagree_about_what_was_are_not_compared() -> None:
    one = result("m", "tier", "time")
    with pytest.raises(DataError, match="do not have the same classes"):
        compare(one, replace(one, model="n", truth=3 - one.truth))
    with pytest.raises(DataError, match="no areas"):
        compare(one, replace(one, areas=np.char.add("W", one.areas.astype(str)).astype(object)))


# --- From the lake --------------------------------------------------------------------------


def predictions() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "lsoa21cd": ["E1", "E2", "E3"],
            "predicted": ["0", "3", "1"],
            "probabilities": [[0.7, 0.1, 0.1, 0.1], [0, 0, 0.2, 0.8], [0.2, 0.6, 0.2, 0]],
            "conformal_set": [["0"], ["2", "3"], []],
        }
    )


def test_a_result_is_read_from_rows_of_predictions() -> None:
    where = {"model": "m", "scope": "gwent", "split": "time", "label": "tier"}
    truth = {"E1": "0", "E2": "2", "E9": "1"}  # that of E3 is not known
    found = Result.from_table(predictions(), truth, blocks={"E1": 4, "E2": 5}, **where)
    assert found.areas.tolist() == ["E1", "E2"]
    assert found.truth.tolist() == [0, 2]
    assert found.predicted.tolist() == [0, 3]
    assert found.probabilities.tolist() == [[0.7, 0.1, 0.1, 0.1], [0, 0, 0.2, 0.8]]
    assert found.conformal.tolist() == [[True, False, False, False], [False, False, True, True]]
    assert found.blocks.tolist() == [4, 5]
    bare = Result.from_table(predictions().drop(columns="conformal_set"), truth, **where)
    assert bare.conformal is None
    assert bare.blocks is None


def test_rows_that_are_no_predictions_of_the_label_are_refused() -> None:
    where = {"model": "m", "scope": "gwent", "split": "time"}
    with pytest.raises(DataError, match="no prediction of tier in gwent"):
        Result.from_table(predictions(), {"E9": "1"}, label="tier", **where)
    with pytest.raises(DataError, match="is_hotspot has no class '2'"):
        Result.from_table(predictions(), {"E1": "0", "E2": "1"}, label="is_hotspot", **where)


def test_the_classification_table_names_classes_and_counts_areas() -> None:
    text = classification_table(result("m", "tier", "time"))
    for name in ("low", "very high", "accuracy", "macro avg", "weighted avg"):
        assert name in text
    assert str(N) in text
