"""CCRBoost: boosted spatio-temporal patterns (cluster-confidence-rate boosting), our reading.

Yu, Ding, Morabito and Chen 2016, "Hierarchical spatio-temporal pattern discovery and predictive
modeling", IEEE Transactions on Knowledge and Data Engineering 28:979-993; first as Yu, Ding, Chen
and Morabito 2014, "Crime forecasting using spatio-temporal pattern with ensemble learning", PAKDD.
No program of it is public.

**Certain**, from the abstracts and from the grid study that implemented it again:

- Indicators of each location are made within different spatio-temporal spaces.
- A distributed spatio-temporal pattern (DSTP) comes of a distribution: the locations with similar
  indicators in the same time period, found by multi-clustering and then local feature learning, for
  distributions of different shapes, sizes and periods.
- A greedy search with pruning combines DSTPs to an ensemble pattern (ESTP).
- The model is layers of weighted ESTPs, by boosting with confidences; the sum of what applies to a
  location is its class. The paper of 2014 cites SLIPPER (Cohen and Singer 1999), which rests on the
  boosting of Schapire and Singer 1999.

**Our reading**, where we know no more:

- A space is a period before the origin (:data:`PERIODS`); its indicators are the square roots of
  the sums of each crime type over it, since roots make counts of any size vary alike.
- Multi-clustering is k-means with each of :data:`CLUSTERS` in each space; it stands for whatever
  the authors cluster by. Distributions of other shapes are cut out where ESTPs meet several.
- Local feature learning is a small decision tree on the space's indicators within a cluster. A
  cluster is a DSTP, and so is each leaf of its tree.
- An ESTP is a conjunction of at most :data:`MOST_PATTERNS` DSTPs. It is grown on two thirds of the
  rows, DSTP by DSTP, while |sqrt(W+) - sqrt(W-)| grows; on the other third its tail is cut off
  where that lowers the loss: both as SLIPPER has it. An ESTP of no DSTP covers every row: it is
  SLIPPER's default rule. Unlike there, ESTPs may speak for cold as well as for hot.
- The confidence is ln((W+ + s) / (W- + s)) / 2 with s = 1 / (2 rows), and the weights of the rows
  it covers are multiplied by exp(-y x confidence). W+ and W- are the weights of the hot and the
  cold rows that it covers, all weights adding up to 1.
- The probability of hot is 1 / (1 + exp(-2F)), F the sum of confidences: the exponential loss has
  its minimum there (Friedman, Hastie and Tibshirani 2000). Above one half is F above nought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CRIME_TYPES = 11
"""Crime types in the features of a day: the ten of the study, and all crimes."""

PERIODS = ((1, 7), (8, 14), (15, 30), (1, 30))
"""First and last day of each period, counted back from the origin."""

CLUSTERS = (4, 8, 16, 32)
MOST_PATTERNS = 4
LAYERS = 100
LEAST_LEAF = 20
CLUSTERED = 10_000
"""Rows that clusters are found on; all rows are then assigned."""

ROWS_AT_ONCE = 16_384


def spaces_of(features: NDArray) -> list[NDArray[np.float32]]:
    """The indicators of rows in each space: (rows, types) a period.

    ``features`` (rows, days x types) hold the counts of each day, the earliest first, the types of
    a day side by side. Features that are no whole number of days of :data:`CRIME_TYPES` are one
    space as they are.
    """
    rows, f = features.shape
    days, rest = divmod(f, CRIME_TYPES)
    if rest:
        return [np.sqrt(features, dtype=np.float32)]
    daily = features.reshape(rows, days, CRIME_TYPES)
    spans = {(max(days - last, 0), days - first + 1) for first, last in PERIODS if first <= days}
    return [
        np.sqrt(daily[:, start:end].sum(axis=1), dtype=np.float32) for start, end in sorted(spans)
    ]


@dataclass(frozen=True)
class Clustering:
    """The distributions of one space, and what was learned within each.

    ``centres`` (k, indicators); a tree for each cluster, ``None`` for one that no row is in.
    Patterns are numbered: first the clusters, then the nodes of each tree.
    """

    space: int
    centres: NDArray[np.float32]
    trees: tuple[Any, ...]

    @property
    def first_node(self) -> NDArray[np.intp]:
        """The number of each tree's first node, and after the last the number of patterns."""
        nodes = [tree.node_count if tree else 0 for tree in self.trees]
        return len(self.centres) + np.concatenate([[0], np.cumsum(nodes)])

    def patterns(self, indicators: NDArray[np.float32]) -> NDArray[np.int32]:
        """The two patterns that each row is in: its cluster and the leaf there, (rows, 2)."""
        nearest = nearest_centre(indicators, self.centres)
        first = self.first_node
        found = np.stack([nearest, nearest], axis=1).astype(np.int32)
        for cluster, tree in enumerate(self.trees):
            inside = np.flatnonzero(nearest == cluster)
            if tree and len(inside):
                found[inside, 1] = first[cluster] + tree.apply(indicators[inside])
        return found


def nearest_centre(points: NDArray, centres: NDArray) -> NDArray[np.intp]:
    """The position of the centre nearest to each point: (rows,); the first of equals."""
    return np.argmin(np.square(centres).sum(axis=1) - 2 * points @ centres.T, axis=1)


def find_clusterings(
    spaces: Sequence[NDArray[np.float32]],
    hot: NDArray[np.bool_],
    seed: int,
    clusters: Sequence[int] = CLUSTERS,
) -> list[Clustering]:
    """All distributions: each space clustered into each number of ``clusters``, a tree in each.

    Fewer than ``clusters`` where there are not so many distinct rows.
    """
    from sklearn.cluster import KMeans
    from sklearn.tree import DecisionTreeClassifier

    drawn = np.sort(np.random.default_rng(seed).permutation(len(hot))[:CLUSTERED])
    found = []
    for position, indicators in enumerate(spaces):
        some = indicators[drawn]
        distinct = len(np.unique(some, axis=0))
        for k in sorted({min(k, distinct) for k in clusters}):
            means = KMeans(k, n_init=1, random_state=seed).fit(some)
            centres = means.cluster_centers_.astype(np.float32)
            nearest = nearest_centre(indicators, centres)
            trees: list[Any] = []
            for cluster in range(k):
                inside = nearest == cluster
                tree = None
                if inside.any():
                    learner = DecisionTreeClassifier(
                        criterion="entropy",
                        max_depth=2,
                        min_samples_leaf=LEAST_LEAF,
                        random_state=seed,
                    )
                    tree = learner.fit(indicators[inside], hot[inside]).tree_
                trees.append(tree)
            found.append(Clustering(position, centres, tuple(trees)))
    return found


@dataclass(frozen=True)
class Ensemble:
    """An ESTP: the rows that are in all of its ``patterns``, (partition, number) each."""

    patterns: tuple[tuple[int, int], ...]
    confidence: float

    def covers(self, codes: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which rows of ``codes`` (rows, partitions) it covers: (rows,)."""
        inside = np.ones(len(codes), dtype=bool)
        for partition, number in self.patterns:
            inside &= codes[:, partition] == number
        return inside


@dataclass(frozen=True)
class CCRBoost:
    """Layers of ensemble patterns over clusterings of rows; see the module."""

    clusterings: tuple[Clustering, ...]
    layers: tuple[Ensemble, ...]

    def score(self, features: NDArray) -> NDArray[np.float64]:
        """F (rows,), the sum of the confidences of what covers each row; above nought is hot."""
        found = np.zeros(len(features))
        for first in range(0, len(features), ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            codes = _codes(self.clusterings, spaces_of(features[part]))
            for layer in self.layers:
                found[part] += layer.confidence * layer.covers(codes)
        return found

    def probability(self, features: NDArray) -> NDArray[np.float64]:
        """1 / (1 + exp(-2F)): (rows,)."""
        from scipy.special import expit

        return expit(2 * self.score(features))


def fit_ccrboost(
    features: NDArray, hot: NDArray[np.bool_], seed: int, layers: int = LAYERS
) -> CCRBoost:
    """Learn from features (rows, days x types) and whether each row is hot.

    In memory there are, beside the features, some 300 bytes a row. The same arguments give the same
    model.
    """
    spaces = spaces_of(features)
    clusterings = find_clusterings(spaces, hot, seed)
    codes = _codes(clusterings, spaces)
    return CCRBoost(tuple(clusterings), tuple(boost(codes, hot, seed, layers)))


def _codes(
    clusterings: Sequence[Clustering], spaces: Sequence[NDArray[np.float32]]
) -> NDArray[np.int32]:
    """The pattern of each row in each partition: (rows, 2 x clusterings)."""
    return np.hstack([each.patterns(spaces[each.space]) for each in clusterings])


def confidence(hot: float, cold: float, rows: int) -> float:
    """ln((W+ + s) / (W- + s)) / 2 with s = 1 / (2 rows), which keeps it finite."""
    smoothing = 1 / (2 * rows)
    return float(np.log((hot + smoothing) / (cold + smoothing)) / 2)


def boost(
    codes: NDArray[np.int32], hot: NDArray[np.bool_], seed: int, layers: int
) -> list[Ensemble]:
    """Layers of ensemble patterns from ``codes`` (rows, partitions): the pattern in each partition.

    A layer is grown, pruned and weighted as the module says, on the weights that those before it
    left.
    """
    rng = np.random.default_rng(seed)
    n = len(codes)
    columns = [np.ascontiguousarray(column) for column in codes.T]
    sizes = [int(column.max()) + 1 for column in columns]
    weight = np.full(n, 1 / n)
    found = []
    for _ in range(layers):
        growing = np.zeros(n, dtype=bool)
        growing[rng.permutation(n)[: max(1, 2 * n // 3)]] = True
        patterns = _grow(columns, sizes, hot, weight, np.flatnonzero(growing))
        patterns = _prune(patterns, columns, hot, weight, growing)
        covered = Ensemble(patterns, 0.0).covers(codes)
        sums = weight[covered & hot].sum(), weight[covered & ~hot].sum()
        layer = Ensemble(patterns, confidence(*sums, n))
        weight[covered] *= np.exp(np.where(hot[covered], -1, 1) * layer.confidence)
        weight /= weight.sum()
        found.append(layer)
    return found


def _grow(
    columns: Sequence[NDArray[np.int32]],
    sizes: Sequence[int],
    hot: NDArray[np.bool_],
    weight: NDArray[np.float64],
    rows: NDArray[np.intp],
) -> tuple[tuple[int, int], ...]:
    """Patterns added one by one while |sqrt(W+) - sqrt(W-)| of what all of them cover grows."""
    found: list[tuple[int, int]] = []
    for_hot = np.where(hot, weight, 0.0)
    for_cold = np.where(hot, 0.0, weight)
    best = abs(np.sqrt(for_hot[rows].sum()) - np.sqrt(for_cold[rows].sum()))
    sign = 0
    while len(found) < MOST_PATTERNS:
        plus, minus = for_hot[rows], for_cold[rows]
        leader: tuple[int, int] | None = None
        for partition, (column, size) in enumerate(zip(columns, sizes, strict=True)):
            inside = column[rows]
            gain = np.sqrt(np.bincount(inside, plus, size)) - np.sqrt(
                np.bincount(inside, minus, size)
            )
            gain = sign * gain if sign else np.abs(gain)
            number = int(np.argmax(gain))
            if gain[number] > best * (1 + 1e-9):
                best, leader = float(gain[number]), (partition, number)
        if leader is None:
            break
        found.append(leader)
        rows = rows[columns[leader[0]][rows] == leader[1]]
        sign = sign or (1 if for_hot[rows].sum() > for_cold[rows].sum() else -1)
    return tuple(found)


def _prune(
    patterns: tuple[tuple[int, int], ...],
    columns: Sequence[NDArray[np.int32]],
    hot: NDArray[np.bool_],
    weight: NDArray[np.float64],
    growing: NDArray[np.bool_],
) -> tuple[tuple[int, int], ...]:
    """The first so many patterns that have the least loss on the rows that did not grow them.

    The loss is 1 - V+ - V- + V+ exp(-c) + V- exp(c): V their weights there, c the confidence that
    the growing rows give; of equal ones the shorter.
    """
    kept, held = weight[growing].sum(), weight[~growing].sum()
    if not held > 0:
        return patterns
    covered = np.ones(len(hot), dtype=bool)
    losses = []
    for length in range(len(patterns) + 1):
        if length:
            partition, number = patterns[length - 1]
            covered &= columns[partition] == number
        sums = [
            float(weight[covered & side & part].sum() / total)
            for part, total in ((growing, kept), (~growing, held))
            for side in (hot, ~hot)
        ]
        c = confidence(sums[0], sums[1], int(growing.sum()))
        plus, minus = sums[2:]
        losses.append(1 - plus - minus + plus * np.exp(-c) + minus * np.exp(c))
    return patterns[: int(np.argmin(losses))]
