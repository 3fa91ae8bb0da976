"""Classifiers of areas: what each is, how it is fitted, and the register of them all.

To add one: give it a line in :data:`CLASSIFIERS`. Its predictions, evaluations, report and model
card follow from the line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SEED = 42
TREES = 100
SHUFFLED = 4000
"""Areas that importances are measured on: their error is then half a point."""


@dataclass(frozen=True)
class Classifier:
    """One way to foretell the class of an area.

    ``make`` builds an estimator of scikit-learn for features that may be nan; ``None`` stands for
    the rule that nothing changes, which needs none. A ``baseline`` is what a ``model`` must beat.
    """

    title: str
    what: str
    source: str
    limits: str
    role: Literal["baseline", "model"]
    make: Callable[[int], Any] | None = None


def _random_forest(threads: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=TREES, random_state=SEED, n_jobs=threads)


def _gradient_boosting(threads: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # smaller trees and slower learning than the default: classes blur, and it would follow noise
    return HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=150, max_leaf_nodes=15, min_samples_leaf=40, random_state=SEED
    )


def _logistic_regression(threads: int) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=2000),
    )


CLASSIFIERS: dict[str, Classifier] = {
    "random_forest": Classifier(
        "Random forest",
        f"{TREES} trees, each grown to the end on a resample of the areas, a random part of the "
        "features at each fork.",
        "Breiman 2001, Machine Learning 45:5-32; on these labels the London study",
        "Cannot say anything beyond the values that it has seen; its probabilities are votes and "
        "shy away from 0 and 1.",
        "model",
        _random_forest,
    ),
    "gradient_boosting": Classifier(
        "Gradient boosting",
        "Small trees on binned features, each mending what those before left over.",
        "Friedman 2001, Annals of Statistics 29:1189-1232; Ke and others 2017 (LightGBM), NeurIPS",
        "Many settings, chosen by hand and not searched; like any tree it cannot go beyond the "
        "values that it has seen.",
        "model",
        _gradient_boosting,
    ),
    "logistic_regression": Classifier(
        "Logistic regression",
        "A weighted sum of the features for each class, with a penalty on large weights.",
        "Cox 1958, Journal of the Royal Statistical Society B 20:215-242",
        "Knows no interplay of features; strongly correlated ones share their weight by chance.",
        "baseline",
        _logistic_regression,
    ),
    "same_class": Classifier(
        "Same class as last year",
        "Each area keeps the class of the year before the cut-off, by the same quantiles. Its "
        "probabilities are how often areas of that class went to each class a year earlier.",
        "Common practice",
        "Never foresees a change.",
        "baseline",
    ),
}
"""Every classifier by its name, which is ``model`` in the path of its tables."""

NAIVE_CLASS = "same_class"
"""What a model must beat to be worth its cost."""


@dataclass(frozen=True)
class Fitted:
    """A classifier that has seen its areas; ``estimator`` is ``None`` for the rule."""

    estimator: Any
    classes: NDArray[np.int64]
    transitions: NDArray[np.float64]

    def probabilities(
        self, features: NDArray[np.float64], last: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The probability (n, k) of each class; a class that it has never seen has none.

        ``last`` (n,) is the class of the year before, which only the rule looks at.
        """
        if self.estimator is None:
            return self.transitions[last]
        found = np.zeros((len(features), len(self.transitions)))
        found[:, self.classes] = self.estimator.predict_proba(features)
        return found

    def predict(
        self, probabilities: NDArray[np.float64], last: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The most probable class (n,); by the rule the class of last year, whatever it is."""
        return last if self.estimator is None else probabilities.argmax(axis=1)


def fit(
    classifier: Classifier,
    features: NDArray[np.float64],
    last: NDArray[np.int64],
    truth: NDArray[np.int64],
    k: int,
    threads: int = 1,
) -> Fitted:
    """Fit on areas: features (n, p), their class of last year (n,) and the true one (n,).

    Areas that are all of one class teach that class and no other. The same arguments give the same
    result, whatever ``threads``.
    """
    from sklearn.dummy import DummyClassifier

    # a quarter of a count of each change, so that none is impossible
    transitions = np.full((k, k), 0.25)
    np.add.at(transitions, (last, truth), 1.0)
    transitions /= transitions.sum(axis=1, keepdims=True)
    if classifier.make is None:
        return Fitted(None, np.arange(k), transitions)
    several = len(np.unique(truth)) > 1
    estimator = classifier.make(threads) if several else DummyClassifier(strategy="prior")
    estimator.fit(features, truth)
    if hasattr(estimator, "n_jobs"):
        estimator.n_jobs = 1  # several threads would add up the votes in any order
    return Fitted(estimator, np.asarray(estimator.classes_), transitions)


# --- Importances ----------------------------------------------------------------------------


def impurity_importances(fitted: Fitted, p: int) -> NDArray[np.float64]:
    """The share (p,) of the fall in impurity that each feature brought; nan for what has none.

    Biased towards features with many values (Strobl and others 2007, BMC Bioinformatics 8:25).
    """
    return np.asarray(getattr(fitted.estimator, "feature_importances_", np.full(p, np.nan)))


def permutation_importances(
    fitted: Fitted,
    features: NDArray[np.float64],
    truth: NDArray[np.int64],
    repeats: int = 5,
    seed: int = SEED,
) -> NDArray[np.float64]:
    """How much accuracy is lost (p,) when a feature is shuffled among areas that it never saw.

    Of at most ``SHUFFLED`` areas. Features that say the same share what they are worth, and each
    may seem worth nothing (Breiman 2001). nan for the rule that looks at no feature.
    """
    from threadpoolctl import threadpool_limits

    if fitted.estimator is None:
        return np.full(features.shape[1], np.nan)
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.permutation(len(features))[:SHUFFLED])
    features, truth = features[drawn], truth[drawn]
    lost = np.zeros(features.shape[1])
    with threadpool_limits(1):  # many short predictions: threads would wait for each other
        base = (fitted.estimator.predict(features) == truth).mean()
        for at in range(features.shape[1]):
            shuffled = features.copy()
            for _ in range(repeats):
                shuffled[:, at] = rng.permutation(features[:, at])
                lost[at] += base - (fitted.estimator.predict(shuffled) == truth).mean()
    return lost / repeats


# --- Files ----------------------------------------------------------------------------------

TRUSTED = (
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
"""Types of fitted models beside those that skops trusts by itself."""


def save(fitted: Fitted, names: Sequence[str], path: Path) -> None:
    """Write an estimator and the names of its features with skops: data, no code that runs."""
    from zipfile import ZIP_DEFLATED

    from skops import io

    content = {"estimator": fitted.estimator, "features": list(names)}
    io.dump(content, path, compression=ZIP_DEFLATED, compresslevel=1)


def load(path: Path) -> tuple[Any, list[str]]:
    """The estimator and the names of its features, as :func:`save` wrote them.

    Only types that skops trusts, and the ``TRUSTED``, are built; raises ``skops.io.exceptions`` for
    others.
    """
    from skops import io

    content = io.load(path, trusted=list(TRUSTED))
    return content["estimator"], content["features"]
