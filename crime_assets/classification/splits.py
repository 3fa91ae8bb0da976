"""Which areas a classifier learns from, and which it is asked about.

Only the split in time is a forecast: what it learns from was known at the cut-off. The others ask
how far a model carries: to land that it has not seen, to forces that it has not seen. A random
split is what much of the literature reports; each area that is asked about has its neighbours among
those learnt from, in the very year that is foretold, so it flatters.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from crime_assets.classification.design import Areas

TIME, SPACE, FORCE, RANDOM = "time", "space", "force", "random"
SPLITS = (TIME, SPACE, FORCE, RANDOM)
FOLDS = 5
SEED = 42

Fold = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Learnt from and asked about: areas (n,)."""


def folds_of(split: str, areas: Areas, label: str) -> Iterator[Fold]:
    """The folds of a split within one cut-off, of areas whose class is known.

    ``space``: five parts of whole blocks of 10 km; ``force``: five parts of whole forces; nothing
    where there are fewer than five of them. ``random``: five parts of areas.
    """
    known = areas.truth[label] >= 0
    groups = {
        SPACE: areas.blocks,
        FORCE: np.unique(areas.force, return_inverse=True)[1],
        RANDOM: np.arange(len(known)),
    }[split]
    parts = part_of(groups, known)
    for part in range(FOLDS if len(np.unique(parts[known])) == FOLDS else 0):
        yield known & (parts != part), known & (parts == part)


def part_of(groups: NDArray[np.int64], counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """One of ``FOLDS`` parts (n,) for each area, a group whole in one, of about equal size.

    The largest group goes first, each to the part that has the fewest of the areas that are
    ``counted``; equal ones in a shuffled order, so that neighbouring groups are torn apart.
    """
    names, at = np.unique(groups, return_inverse=True)
    size = np.bincount(at, weights=counted, minlength=len(names))
    shuffled = np.random.default_rng(SEED).permutation(len(names))
    order = shuffled[np.argsort(-size[shuffled], kind="stable")]
    part = np.empty(len(names), dtype=np.int64)
    filled = np.zeros(FOLDS)
    for group in order:
        part[group] = filled.argmin()
        filled[part[group]] += size[group]
    return part[at]
