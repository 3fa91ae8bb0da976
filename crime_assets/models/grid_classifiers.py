"""The classical methods of the grid study: will a cell be hot, by its last 30 days.

A row is a cell at an origin. Its features are the daily counts of all crime types before it; it is
hot if a crime follows. The methods are those that Stalidis, Semertzidis and Daras 2021 compare
their networks with; what they left unsaid, and what scikit-learn does another way than the source,
is named with each. To add one, give it a line in :data:`GRID_CLASSIFIERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets.models.ccrboost import fit_ccrboost

Probability = Callable[[NDArray], NDArray[np.float64]]
"""Features (rows, f) to the probability of hot (rows,)."""

CONFIDENCE = 0.25
"""Of C4.5's pruning; its default, and the study's."""

ROUNDS = 100
LARGEST_RESPONSE = 4.0
"""Where LogitBoost's working responses are cut; Friedman and others advise 2 to 4."""


# --- Features -------------------------------------------------------------------------------


def features_of(window: ArrayLike, observed: ArrayLike | None = None) -> NDArray[np.float32]:
    """Windows (S, days, n, C) of daily counts as features: (S x n, days x C).

    Row s x n + i is cell i of window s; column d x C + c is crime type c on day d, the earliest
    first. A day that is not ``observed`` (S, days) holds the mean of the days that are.
    """
    filled = _filled(window, observed)
    samples, days, n, types = filled.shape
    return filled.transpose(0, 2, 1, 3).reshape(samples * n, days * types)


def _filled(window: ArrayLike, observed: ArrayLike | None) -> NDArray[np.float32]:
    """The window, unobserved days replaced by the mean of the observed ones; nought without any."""
    counts = np.asarray(window, dtype=np.float32)
    if observed is None:
        return counts
    there = np.asarray(observed, dtype=bool)[:, :, None, None]
    days = np.maximum(there.sum(axis=1, keepdims=True), 1).astype(np.float32)
    mean = np.where(there, counts, 0).sum(axis=1, keepdims=True) / days
    return np.where(there, counts, mean)


# --- What a method is -----------------------------------------------------------------------


@dataclass(frozen=True)
class FittedGridClassifier:
    """A method that has learned, of rows with so many ``features``."""

    features: int
    says: Probability

    def probability(self, features: ArrayLike) -> NDArray[np.float64]:
        """The probability (rows,) that each row is hot, 0 to 1; one half and more is "hot".

        Raises ``ValueError`` for rows with other features than it has learned from.
        """
        from threadpoolctl import threadpool_limits

        rows = _rows(features)
        if rows.shape[1] != self.features:
            raise ValueError(f"{rows.shape[1]} features; it has learned from {self.features}")
        with threadpool_limits(1):
            found = np.asarray(self.says(rows), dtype=np.float64)
        return np.clip(found, 0.0, 1.0)


@dataclass(frozen=True)
class GridClassifier:
    """One way to say whether a cell will be hot.

    ``source`` is where it is described, ``substitution`` what is done another way than there or
    than the study has it. ``learn`` takes features (rows, f), hot (rows,) and a seed.
    """

    title: str
    source: str
    substitution: str
    learn: Callable[[NDArray, NDArray[np.bool_], int], Probability]

    def fit(
        self, features: ArrayLike, hot: ArrayLike, count: ArrayLike | None = None, seed: int = 1
    ) -> FittedGridClassifier:
        """Learn from features (rows, f), counts of nought and more, and whether each row is hot.

        ``count`` (rows,), the crimes that followed, belongs to a sample; none of these methods
        looks at it. Rows that are all hot, or none, teach a probability of 1 or 0. The same
        arguments give the same result on any number of threads: it computes on one. Raises
        ``ValueError`` for features that are no counts and for lengths that differ.
        """
        from threadpoolctl import threadpool_limits

        rows, truth = _rows(features), np.asarray(hot, dtype=bool)
        if truth.shape != (len(rows),) or (count is not None and np.shape(count) != truth.shape):
            raise ValueError(f"{len(rows)} rows of features, {truth.shape} of what followed")
        if not len(rows):
            raise ValueError("no rows to learn from")
        if truth.all() or not truth.any():
            says = _always(float(truth[0]))
        else:
            with threadpool_limits(1):
                says = self.learn(rows, truth, seed)
        return FittedGridClassifier(rows.shape[1], says)


def _rows(features: ArrayLike) -> NDArray[np.float32]:
    rows = np.asarray(features, dtype=np.float32)
    if rows.ndim != 2:
        raise ValueError(f"features of shape {rows.shape}, not (rows, f)")
    if rows.size and not (np.isfinite(rows).all() and rows.min() >= 0):
        raise ValueError("a feature is no count of nought or more")
    return rows


def _always(value: float) -> Probability:
    return lambda rows: np.full(len(rows), value)


def _of_estimator(estimator: Any) -> Probability:
    """The probability of the second of two classes, hot, by an estimator of scikit-learn."""
    return lambda rows: estimator.predict_proba(rows)[:, 1]


# --- C4.5 -----------------------------------------------------------------------------------


def upper_error_rate(
    errors: ArrayLike, cases: ArrayLike, confidence: float = CONFIDENCE
) -> NDArray[np.float64]:
    """The highest error rate that ``errors`` in ``cases`` leave credible: U_CF(E, N), 0 to 1.

    At that rate so few errors or fewer have the probability ``confidence`` (Quinlan 1993, C4.5,
    section 4.2): the upper limit of Clopper and Pearson 1934. Quinlan's program has an approximate
    formula in its place.
    """
    from scipy.special import betaincinv

    e, n = np.asarray(errors, dtype=float), np.asarray(cases, dtype=float)
    with np.errstate(invalid="ignore"):
        limit = betaincinv(e + 1, np.maximum(n - e, 0), 1 - confidence)
    return np.where(e >= n, 1.0, limit)


def prune(
    left: NDArray[np.integer],
    right: NDArray[np.integer],
    cases: ArrayLike,
    errors: ArrayLike,
    confidence: float = CONFIDENCE,
) -> NDArray[np.intp]:
    """Where a row that reaches a node of a tree ends once the tree is pruned: nodes (nodes,).

    ``left`` and ``right`` are the children of each node, -1 at leaves, and stand after it;
    ``cases`` and ``errors`` what the node would have as a leaf. From the leaves up, a subtree makes
    way for a leaf where its pessimistic errors, the sum of N x U_CF(E, N) over its leaves, are not
    fewer than those of that leaf. A node that stays ends in itself, one below a new leaf in that.
    """
    cases = np.asarray(cases, dtype=float)
    as_leaf = cases * upper_error_rate(errors, cases, confidence)
    estimate = as_leaf.copy()
    inner = np.flatnonzero(left >= 0)
    ends = np.arange(len(left))
    stays = np.zeros(len(left), dtype=bool)
    for node in inner[::-1]:
        below = estimate[left[node]] + estimate[right[node]]
        stays[node] = below < as_leaf[node]
        if stays[node]:
            estimate[node] = below
    for node in inner:
        if not stays[node] or ends[node] != node:
            ends[left[node]] = ends[right[node]] = ends[node]
    return ends


def _c45(rows: NDArray, hot: NDArray[np.bool_], seed: int) -> Probability:
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(criterion="entropy", min_samples_leaf=2, random_state=seed)
    tree = model.fit(rows, hot).tree_
    share = tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1)
    errors = np.rint(np.minimum(share, 1 - share) * tree.n_node_samples)
    ends = prune(tree.children_left, tree.children_right, tree.n_node_samples, errors)
    return lambda rows: share[ends[model.apply(rows)]]


# --- LogitBoost -----------------------------------------------------------------------------


@dataclass(frozen=True)
class LogitBoost:
    """Regression stumps (rounds,) whose halves add up to half the log odds of hot.

    A stump is ``low`` where the feature at position ``feature`` is at most ``threshold``, else
    ``high``.
    """

    feature: NDArray[np.intp]
    threshold: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def score(self, features: NDArray) -> NDArray[np.float64]:
        """F (rows,), above nought where hot is likelier than not."""
        total = np.zeros(len(features))
        stumps = zip(self.feature, self.threshold, self.low, self.high, strict=True)
        for feature, threshold, low, high in stumps:
            total += np.where(features[:, feature] <= threshold, low, high) / 2
        return total

    def probability(self, features: NDArray) -> NDArray[np.float64]:
        """1 / (1 + exp(-2F)): (rows,)."""
        from scipy.special import expit

        return expit(2 * self.score(features))


def fit_logit_boost(
    features: NDArray, hot: NDArray[np.bool_], seed: int, rounds: int = ROUNDS
) -> LogitBoost:
    """LogitBoost for two classes: Friedman, Hastie and Tibshirani 2000, algorithm 3.

    Each round a stump is fitted by weighted least squares to the working responses
    (y - p) / (p (1 - p)), cut at :data:`LARGEST_RESPONSE`, with weights p (1 - p): a Newton step of
    the binomial likelihood. Of equally good stumps the ``seed`` takes one.
    """
    from scipy.special import expit
    from sklearn.tree import DecisionTreeRegressor

    rows = np.asarray(features, dtype=np.float32)
    score = np.zeros(len(rows))
    stumps: list[tuple[int, float, float, float]] = []
    for turn in range(rounds):
        p = expit(2 * score)
        weight = np.maximum(p * (1 - p), 1e-10)
        response = np.where(hot, 1.0, -1.0) / np.maximum(np.where(hot, p, 1 - p), 1e-10)
        response = np.clip(response, -LARGEST_RESPONSE, LARGEST_RESPONSE)
        stump = DecisionTreeRegressor(max_depth=1, random_state=seed + turn)
        tree = stump.fit(rows, response, sample_weight=weight).tree_
        value = tree.value[:, 0, 0]
        if tree.node_count == 1:  # no feature tells any two rows apart
            stumps.append((0, np.inf, value[0], value[0]))
        else:
            low, high = value[tree.children_left[0]], value[tree.children_right[0]]
            stumps.append((tree.feature[0], tree.threshold[0], low, high))
        feature, threshold, low, high = stumps[-1]
        score += np.where(rows[:, feature] <= threshold, low, high) / 2
    return LogitBoost(*(np.array(column) for column in zip(*stumps, strict=True)))


# --- Support vectors ------------------------------------------------------------------------

LEAST_HELD = 10
"""Rows of the rarer class that there must be to fit a slope."""


def slope_of(margins: ArrayLike, hot: ArrayLike) -> float:
    """The slope a for which 1 / (1 + exp(-a x margin)) fits best: most likely, exp(-5) to exp(5).

    Platt 1999 has an intercept too; without one a margin of nought stays a probability of one half.
    """
    from scipy.optimize import minimize_scalar

    signed = np.where(hot, 1.0, -1.0) * np.asarray(margins, dtype=float)
    found = minimize_scalar(
        lambda log: float(np.logaddexp(0, -np.exp(log) * signed).mean()),
        bounds=(-5, 5),
        method="bounded",
    )
    return float(np.exp(found.x))


def _linear_svm(rows: NDArray, hot: NDArray[np.bool_], seed: int) -> Probability:
    from scipy.special import expit
    from sklearn.model_selection import train_test_split

    slope = 1.0
    if min(hot.sum(), (~hot).sum()) >= LEAST_HELD:
        at = np.arange(len(rows))
        kept, held = train_test_split(at, test_size=0.2, random_state=seed, stratify=hot)
        trial = linear_svm(seed).fit(rows[kept], hot[kept])
        slope = slope_of(trial.decision_function(rows[held]), hot[held])
    model = linear_svm(seed).fit(rows, hot)
    return lambda rows: expit(slope * model.decision_function(rows))


def linear_svm(seed: int) -> Any:
    """A linear support vector machine on features of mean 0 and variance 1, to be fitted."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    return make_pipeline(
        StandardScaler(), LinearSVC(dual=False, tol=1e-3, max_iter=10_000, random_state=seed)
    )


# --- The others -----------------------------------------------------------------------------


def _naive_bayes(rows: NDArray, hot: NDArray[np.bool_], seed: int) -> Probability:
    from sklearn.naive_bayes import MultinomialNB

    return _of_estimator(MultinomialNB().fit(rows, hot))


def _logit_boost(rows: NDArray, hot: NDArray[np.bool_], seed: int) -> Probability:
    return fit_logit_boost(rows, hot, seed).probability


def _random_forest(rows: NDArray, hot: NDArray[np.bool_], seed: int) -> Probability:
    from sklearn.ensemble import RandomForestClassifier

    return _of_estimator(RandomForestClassifier(n_estimators=10, random_state=seed).fit(rows, hot))


def _nearest(rows: NDArray, hot: NDArray[np.bool_], seed: int) -> Probability:
    from sklearn.neighbors import KNeighborsClassifier

    return _of_estimator(KNeighborsClassifier(n_neighbors=3, algorithm="brute").fit(rows, hot))


def _perceptron(*layers: int) -> Callable[[NDArray, NDArray[np.bool_], int], Probability]:
    def learn(rows: NDArray, hot: NDArray[np.bool_], seed: int) -> Probability:
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        network = MLPClassifier(layers, max_iter=50, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 50 passes are meant to be enough
            return _of_estimator(make_pipeline(StandardScaler(), network).fit(rows, hot))

    return learn


def _ccrboost(rows: NDArray, hot: NDArray[np.bool_], seed: int) -> Probability:
    return fit_ccrboost(rows, hot, seed).probability


_MLP = (
    "Ours beyond the study: features of mean 0 and variance 1, at most 50 passes. Else "
    "scikit-learn's: ReLU, Adam, batches of 200. No row is held out to stop on: where most cells "
    "are hot, accuracy tells nothing of when to."
)

GRID_CLASSIFIERS: dict[str, GridClassifier] = {
    "ccrboost": GridClassifier(
        "CCRBoost",
        "Yu, Ding, Morabito and Chen 2016, IEEE Transactions on Knowledge and Data Engineering "
        "28:979-993",
        "Our reading of it, since no program is public: see crime_assets.models.ccrboost.",
        _ccrboost,
    ),
    "decision_tree": GridClassifier(
        "Decision tree (C4.5)",
        "Quinlan 1993, C4.5: Programs for Machine Learning",
        "scikit-learn's CART by entropy, at least two rows a leaf, pruned by C4.5's pessimistic "
        "errors with confidence 0.25. Not C4.5: splits are chosen by gain and not by gain ratio, "
        "the limit is the exact binomial one, and no subtree is raised to its parent's place. C4.5 "
        "splits in more than two what has categories; counts it splits in two as well.",
        _c45,
    ),
    "naive_bayes": GridClassifier(
        "Naive Bayes",
        "McCallum and Nigam 1998, AAAI Workshop on Learning for Text Categorization",
        "The study's \"polynomial kernel\" is read as multinomial; a count of one is added to each "
        "feature (Laplace).",
        _naive_bayes,
    ),
    "logit_boost": GridClassifier(
        "LogitBoost",
        "Friedman, Hastie and Tibshirani 2000, Annals of Statistics 28:337-407",
        "Our own: scikit-learn has none. The study's \"100 as its weight threshold\" is read as "
        "100 rounds; as Weka's option of that name it would mean that the rows with all of the "
        "weight are used, and they are.",
        _logit_boost,
    ),
    "random_forest": GridClassifier(
        "Random forest",
        "Breiman 2001, Machine Learning 45:5-32",
        "scikit-learn's, 10 trees; it takes the mean of their probabilities, not votes.",
        _random_forest,
    ),
    "svm": GridClassifier(
        "Support vector machine",
        "Cortes and Vapnik 1995, Machine Learning 20:273-297",
        "scikit-learn's LinearSVC on features of mean 0 and variance 1: squared hinge loss, C = 1, "
        "solved to a tolerance of 0.001. "
        "The probability is a sigmoid of the margin, its slope fitted on a fifth of the rows held "
        "out (Platt 1999) and no intercept: a margin of nought is one half.",
        _linear_svm,
    ),
    "nearest_neighbours": GridClassifier(
        "Nearest neighbours",
        "Cover and Hart 1967, IEEE Transactions on Information Theory 13:21-27",
        "scikit-learn's, 3 neighbours by Euclidean distance of the counts; which of equally near "
        "rows are taken depends on their order.",
        _nearest,
    ),
    "mlp": GridClassifier(
        "Multilayer perceptron (150)",
        "Olligschlaeger 1997, Artificial neural networks and crime mapping",
        _MLP,
        _perceptron(150),
    ),
    "deep_mlp": GridClassifier(
        "Multilayer perceptron (150, 300, 150, 50)",
        "Rumelhart, Hinton and Williams 1986, Nature 323:533-536",
        _MLP,
        _perceptron(150, 300, 150, 50),
    ),
}  # fmt: skip
"""The classical methods of the grid study by name; ST-ResNet, its tenth, is a network."""
