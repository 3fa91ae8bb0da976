"""Kinds of areas by their mix of crime: k-means on standardised densities of the crime types."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLUSTERS = 5
SEED = 42


def clusters(densities: ArrayLike, starts: int = 1) -> NDArray[np.int64]:
    """The cluster (n,) of each area by its densities (n, types), numbered as k-means has them.

    Each type is standardised, so that a rare one weighs as much as a frequent one. Of ``starts``
    the tightest clustering is taken. The numbers are arbitrary: see :func:`in_order`.
    """
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    standardised = StandardScaler().fit_transform(np.asarray(densities, dtype=float))
    with threadpool_limits(1):  # sums in one order: the same clusters on any machine
        found = KMeans(CLUSTERS, random_state=SEED, n_init=starts).fit_predict(standardised)
    return found.astype(np.int64)


def in_order(labels: ArrayLike, density: ArrayLike) -> NDArray[np.int64]:
    """The same clusters (n,), renumbered from the lowest mean ``density`` (n,) to the highest.

    Without it, "a higher cluster than last year" means nothing.
    """
    labels = np.asarray(labels)
    names, at = np.unique(labels, return_inverse=True)
    mean = np.bincount(at, weights=np.asarray(density, dtype=float)) / np.bincount(at)
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.argsort(mean, kind="stable")] = np.arange(len(names))
    return rank[at]


def trends(yearly: ArrayLike) -> dict[str, NDArray[np.bool_]]:
    """Whether the clusters of the years (n, years) rise, stay or fall, from the earliest on.

    ``increasing`` never falls and rises once at least, ``decreasing`` the other way round,
    ``stable`` is the same in all years. One that goes up and down is none of them.
    """
    yearly = np.asarray(yearly)
    steps = np.diff(yearly, axis=1)
    stable = (steps == 0).all(axis=1)
    return {
        "increasing": (steps >= 0).all(axis=1) & ~stable,
        "stable": stable,
        "decreasing": (steps <= 0).all(axis=1) & ~stable,
    }
