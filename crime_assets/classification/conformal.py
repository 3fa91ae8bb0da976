"""Sets of classes that hold the true one as often as promised, whatever the model is worth.

Split conformal prediction (Vovk, Gammerman and Shafer 2005; Sadinle, Lei and Wasserman 2019,
Journal of the American Statistical Association 114:223-234). A class is in the set of an area if
its probability is not lower than nine in ten of the probabilities that the true classes had in
areas which the model had not seen. The promise, at least nine in ten, holds for areas like those; a
year later it is a hope, and the evaluations say how it went. A model that is right more often than
that needs no second class: its sets are single, and hold the truth as often as it is right.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MISSED = 0.1
"""The share of the sets that may miss the true class."""


def threshold(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], missed: float = MISSED
) -> float:
    """The probability that a class needs, from held-out areas (n, k) and their classes (n,).

    With fewer areas than could show that share, it is nought: every class is in every set.
    """
    n = len(truth)
    of_true = np.sort(probabilities[np.arange(n), truth])
    # so many of the true classes may lie below; the smallest sample that allows one is 1/missed - 1
    below = math.floor(missed * (n + 1))
    return float(of_true[below - 1]) if below else 0.0


def sets(probabilities: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """The classes (n, k) that cannot be excluded; the most probable one is in every set."""
    found = probabilities >= least
    found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
    return found
