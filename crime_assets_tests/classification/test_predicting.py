"""Forecasts of classes: nothing of the outcome leaks in, and what is there to learn is learnt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from threadpoolctl import threadpool_limits

from crime_assets.classification import predicting
from crime_assets.classification.design import Areas
from crime_assets.classification.predicting import NoClasses, Predicted, foretell, held_out
from crime_assets.lsoa.labels import LABELS, classes_of
from crime_assets.models.classifiers import CLASSIFIERS, NAIVE_CLASS, Classifier

QUICK = CLASSIFIERS["logistic_regression"]
RULE = CLASSIFIERS[NAIVE_CLASS]
NAMES = ("signal", "noise", "gaps", "of_before_only", "density_mean")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def classes(density: np.ndarray) -> dict[str, np.ndarray]:
    spelled = classes_of(density, density, -density)
    return {
        label: np.searchsorted(LABELS[label], found.astype(str)) for label, found in spelled.items()
    }


def areas(n: int = 300, seed: int = 1, years: int = 3) -> Areas:
    """Areas over 60 x 60 km and six forces. The first feature says which of them get worse."""
    rng = np.random.default_rng(seed)
    density = rng.gamma(1.0, 50.0, n)
    signal = rng.normal(size=n)
    gaps = np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))
    only = np.full(n, np.nan if seed > 1 else 1.0)
    return Areas(
        np.array([f"E{i:08}" for i in range(n)]),
        np.array([f"force-{i}" for i in rng.integers(0, 6, n)]),
        rng.uniform(0, 60_000, (n, 2)),
        NAMES,
        np.column_stack([signal + np.log(density) / 3, rng.normal(size=n), gaps, only, density]),
        years,
        classes(density),
        classes(density * np.exp(3 * signal)),
    )


BEFORE, NOW = areas(seed=1), areas(seed=2)


def same(one: Predicted, other: Predicted) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("split", "label", "codes", "predicted", "probabilities", "sets")
    )


# --- In time --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("random_forest", "is_hotspot"),
        ("logistic_regression", "tier"),
        ("logistic_regression", "bivariate"),
        (NAIVE_CLASS, "tier"),
    ],
)
def test_what_becomes_of_areas_changes_nothing_that_is_foretold(name: str, label: str) -> None:
    rng = np.random.default_rng(0)
    k = len(LABELS[label])
    poisoned = replace(NOW, truth={label: rng.integers(-1, k, len(NOW.codes))})
    none = replace(NOW, truth={})
    expected, _ = foretell(CLASSIFIERS[name], BEFORE, NOW, label)
    for changed in (poisoned, none):
        found, _ = foretell(CLASSIFIERS[name], BEFORE, changed, label)
        assert same(found, expected)


@pytest.mark.parametrize("label", LABELS)
def test_each_area_of_the_cut_off_has_a_class_probabilities_and_a_set(label: str) -> None:
    found, explained = foretell(QUICK, BEFORE, NOW, label)
    n, k = len(NOW.codes), len(LABELS[label])
    assert explained is None
    assert (found.split, found.label) == ("time", label)
    assert_array_equal(found.codes, NOW.codes)
    assert found.probabilities.shape == (n, k)
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(n))
    assert_array_equal(found.predicted, found.probabilities.argmax(axis=1))
    assert found.sets is not None
    assert found.sets[np.arange(n), found.predicted].all()


@pytest.mark.parametrize("label", ["is_hotspot", "tier"])
def test_a_planted_pattern_is_learnt_and_last_years_class_does_worse(label: str) -> None:
    truth = NOW.truth[label]
    learnt, _ = foretell(QUICK, BEFORE, NOW, label)
    rule, _ = foretell(RULE, BEFORE, NOW, label)
    assert_array_equal(rule.predicted, NOW.last[label])
    assert (learnt.predicted == truth).mean() > (rule.predicted == truth).mean() + 0.1


@pytest.mark.parametrize("classifier", [QUICK, RULE], ids=["model", "rule"])
@pytest.mark.parametrize("label", LABELS)
def test_sets_that_are_calibrated_a_year_before_hold_the_class_nine_times_in_ten(
    classifier: Classifier, label: str
) -> None:
    """Where the two years are alike, as they are here."""
    found, _ = foretell(classifier, BEFORE, NOW, label)
    assert found.sets is not None
    assert 0.84 < found.sets[np.arange(len(NOW.codes)), NOW.truth[label]].mean() <= 1
    assert classifier is RULE or found.sets.mean() < 1


def test_areas_that_cannot_be_held_out_block_by_block_have_sets_of_all_classes() -> None:
    village = replace(BEFORE, place=BEFORE.place / 60)
    found, explained = foretell(QUICK, village, NOW, "tier", explain=True)
    assert found.sets is not None
    assert found.sets.all()
    assert explained is not None
    assert np.isnan(explained.permutation).all()


def test_features_that_one_of_the_cut_offs_has_not_are_not_used() -> None:
    _, explained = foretell(QUICK, BEFORE, NOW, "tier", explain=True)
    assert explained is not None
    assert explained.names == ("signal", "noise", "gaps", "density_mean")
    _, explained = foretell(QUICK, replace(BEFORE, years=2), NOW, "tier", explain=True)
    assert explained is not None
    assert explained.names == ("signal", "noise", "gaps")


def test_areas_before_whose_class_is_not_known_teach_nothing() -> None:
    unknown = np.arange(300) < 40
    truth = np.where(unknown, -1, BEFORE.truth["tier"])
    odd = BEFORE.features.copy()
    odd[unknown] = 1e6
    expected, _ = foretell(QUICK, replace(BEFORE, truth={"tier": truth}), NOW, "tier")
    found, _ = foretell(QUICK, replace(BEFORE, truth={"tier": truth}, features=odd), NOW, "tier")
    assert same(found, expected)


@pytest.mark.parametrize(("class_", "said"), [(2, "all 300 areas"), (-1, "no class")])
def test_a_scope_of_one_class_cannot_be_classified_and_says_so(class_: int, said: str) -> None:
    alike = replace(BEFORE, truth={"tier": np.full(300, class_)})
    with pytest.raises(NoClasses, match=f"tier: .*{said}"):
        foretell(QUICK, alike, NOW, "tier")


@pytest.mark.parametrize("name", ["logistic_regression", "random_forest"])
def test_hotspots_that_all_lie_in_one_block_do_not_stop_the_model(name: str) -> None:
    """Where the block is held out, all that is left to learn from is of one class."""
    north = np.argsort(-BEFORE.place[:, 1])[:75]
    hot = np.zeros(300, dtype=np.int64)
    hot[north] = 1
    place = BEFORE.place.copy()
    place[north] = 5_000.0  # one town
    town = replace(BEFORE, place=place, truth={"is_hotspot": hot})
    found, _ = foretell(CLASSIFIERS[name], town, NOW, "is_hotspot", explain=True)
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(300))


@pytest.mark.parametrize(
    ("name", "impurity"), [("random_forest", True), ("logistic_regression", False)]
)
def test_what_explains_a_model_is_its_features_worth(name: str, impurity: bool) -> None:
    _, explained = foretell(CLASSIFIERS[name], BEFORE, NOW, "is_hotspot", explain=True)
    assert explained is not None
    worth = dict(zip(explained.names, explained.permutation, strict=True))
    assert max(worth, key=lambda feature: worth[feature]) == "signal"
    assert abs(worth["noise"]) < 0.05
    assert len(explained.impurity) == len(explained.names)
    assert np.isfinite(explained.impurity).all() == impurity
    assert explained.fitted.estimator.n_features_in_ == len(explained.names)


# --- By parts -------------------------------------------------------------------------------


@pytest.fixture
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predicting, "LEAST_OF_SPLITS", 200)


@pytest.mark.usefixtures("few_are_enough")
@pytest.mark.parametrize("classifier", [QUICK, RULE], ids=["model", "rule"])
def test_each_area_is_asked_about_once_by_space_by_force_and_at_random(
    classifier: Classifier,
) -> None:
    found = list(held_out(classifier, NOW, "tier"))
    assert [p.split for p in found] == ["space", "force", "random"]
    for predicted in found:
        n = len(predicted.codes)
        assert predicted.sets is None
        assert predicted.probabilities.sum(axis=1) == pytest.approx(np.ones(n))
        assert_array_equal(predicted.codes, NOW.codes)
        assert len(predicted.predicted) == n


@pytest.mark.usefixtures("few_are_enough")
def test_an_area_does_not_teach_the_model_that_is_asked_about_it() -> None:
    """Turning the class of one area round changes what is said of others, not of itself."""
    turned = NOW.truth["is_hotspot"].copy()
    turned[7] = 1 - turned[7]
    other = replace(NOW, truth={"is_hotspot": turned})
    for one, two in zip(
        held_out(QUICK, NOW, "is_hotspot"), held_out(QUICK, other, "is_hotspot"), strict=True
    ):
        changed = (one.probabilities != two.probabilities).any(axis=1)
        assert changed.any(), one.split
        assert not changed[one.codes == "E00000007"].any()


def test_scopes_of_few_areas_are_not_split_in_other_ways() -> None:
    assert list(held_out(QUICK, NOW, "tier")) == []


@pytest.mark.usefixtures("few_are_enough")
def test_scopes_of_few_areas_whose_class_is_known_are_not_either() -> None:
    truth = np.where(np.arange(300) < 150, -1, NOW.truth["tier"])
    assert list(held_out(QUICK, replace(NOW, truth={"tier": truth}), "tier")) == []
    nothing = replace(NOW, truth={"tier": np.full(300, -1)})
    assert list(held_out(QUICK, nothing, "tier")) == []


@pytest.mark.usefixtures("few_are_enough")
def test_a_scope_of_one_force_is_not_split_by_force() -> None:
    alone = replace(NOW, force=np.full(300, "gwent"))
    assert [p.split for p in held_out(RULE, alone, "tier")] == ["space", "random"]
