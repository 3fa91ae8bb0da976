"""Whether like areas lie together: Moran's I of all areas, and of each area with its neighbours.

Weights are row-standardised: the neighbours of an area count together as much as those of any
other. Both tests permute, since counts of crimes are nowhere near normal. Their p values are
two-sided: twice the share of permutations, with what was observed among them, in the smaller tail.
Of values without any pattern 5 % have p <= 0.05. GeoDa and esda give the smaller tail alone, which
is half of it: their map at 0.05 is one of p <= 0.1 here.

Sources: P. A. P. Moran, "Notes on continuous stochastic phenomena", Biometrika 37 (1950); A. D.
Cliff and J. K. Ord, "Spatial Processes" (1981); L. Anselin, "Local indicators of spatial
association: LISA", Geographical Analysis 27 (1995).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PERMUTATIONS = 999
SEED = 42

LEVEL = 0.05
"""An area is in a LISA class where its p value is no larger. Areas are not corrected for being
many: where nothing is to be found, one in twenty has a class all the same."""

QUADRANTS = ("low-low", "low-high", "high-low", "high-high")
"""An area, and its neighbours: each above the mean of all areas, or not."""

NOT_SIGNIFICANT = "not significant"

_ROUNDING = 1e-9
"""Sums of the same values in another order are the same."""


@dataclass(frozen=True)
class MoranI:
    """Moran's I of some areas, and how it stands among permutations of their values.

    ``value`` is near 1 where like areas touch, near ``expected`` (-1 / (n - 1)) where values have
    no pattern, below it where unlike areas touch. ``z`` is its distance from the mean of the
    permutations in their standard deviations.
    """

    value: float
    expected: float
    z: float
    p_value: float


@dataclass(frozen=True)
class LocalMoran:
    """Moran's I of each area: arrays (n,).

    ``value`` is high where an area and its neighbours differ from the mean to the same side, below
    nought where they differ to opposite sides. ``quadrant`` is one of :data:`QUADRANTS`. An area
    that was left out (no data, or no neighbour with data) has value nan, p value 1, quadrant "".
    """

    value: NDArray[np.float64]
    p_value: NDArray[np.float64]
    quadrant: NDArray[np.str_]

    @property
    def lisa(self) -> NDArray[np.str_]:
        """The quadrant where it is significant (see :data:`LEVEL`), else "not significant".

        That of an area that was left out is "".
        """
        insignificant = (self.p_value > LEVEL) & (self.quadrant != "")
        return np.where(insignificant, NOT_SIGNIFICANT, self.quadrant)


def spatial_lag(neighbours: csr_array, values: ArrayLike) -> NDArray[np.float64]:
    """The mean of the neighbours' values: (n,), or (n, k) for k columns of values.

    ``neighbours`` (n, n) holds 1 where two areas touch, symmetric, nothing on the diagonal (see
    :func:`crime_assets.lsoa.neighbours.link`). Values that are not finite are left out of the
    mean; it is nan for an area without a neighbour that has a value. Raises ``ValueError`` for
    values that are not n.
    """
    values = np.asarray(values, dtype=float)
    known = np.isfinite(values)
    counted = neighbours @ known.astype(float)
    sums = neighbours @ np.where(known, values, 0.0)
    return np.divide(sums, counted, out=np.full(values.shape, np.nan), where=counted > 0)


def morans_i(
    neighbours: csr_array, values: ArrayLike, permutations: int = PERMUTATIONS, seed: int = SEED
) -> MoranI:
    """Moran's I of values (n,) under all permutations alike; ``neighbours`` as in `spatial_lag`.

    Areas without a finite value are left out, then those that have no neighbour. Where all values
    are the same, or no area is left, I is undefined: value and z are nan, and p is 1.
    """
    weights, _, z = _centred(neighbours, values)
    n = len(z)
    expected = -1.0 / (n - 1) if n > 1 else np.nan
    if not z.any():
        return MoranI(np.nan, expected, np.nan, 1.0)
    rng = np.random.default_rng(seed)
    scale = (z * z).sum()  # z @ z would be summed by threads, in any order

    def of(z: NDArray[np.float64]) -> float:
        return float((z * (weights @ z)).sum() / scale)

    value = of(z)
    simulated = np.array([of(rng.permutation(z)) for _ in range(permutations)])
    spread = simulated.std()
    p = _p_value(
        np.count_nonzero(simulated >= value - _ROUNDING),
        np.count_nonzero(simulated <= value + _ROUNDING),
        permutations,
    )
    standing = float((value - simulated.mean()) / spread) if spread > _ROUNDING else np.nan
    return MoranI(value, expected, standing, float(p))


def local_moran(
    neighbours: csr_array, values: ArrayLike, permutations: int = PERMUTATIONS, seed: int = SEED
) -> LocalMoran:
    """Moran's I of each area (n,) by conditional permutation; arguments as in `morans_i`.

    The value of an area stays, and its neighbours are drawn from all others without replacement.
    The mean of the local values, of those areas that are not left out, is Moran's I of all. Where
    all values are the same, they are nan and p is 1.

    All areas of one permutation are drawn together: they stand in a circle in random order, and
    the neighbours of one are those that follow it. For each area that is a uniform draw.
    """
    weights, kept, z = _centred(neighbours, values)
    n = len(z)
    value = np.full(len(kept), np.nan)
    p_value = np.ones(len(kept))
    quadrant = np.full(len(kept), "", dtype=f"<U{max(map(len, QUADRANTS))}")
    lag = weights @ z
    # what differs from the mean by rounding alone is at the mean
    variance = (z * z).sum() / max(n, 1)
    limit = _ROUNDING * np.sqrt(variance)
    quadrant[kept] = np.array(QUADRANTS)[2 * (z > limit) + (lag > limit)]
    if not z.any():
        return LocalMoran(value, p_value, quadrant)
    value[kept] = z * lag / variance

    degree = np.diff(weights.indptr)
    limit_of_sum = limit * degree
    total = lag * degree
    more, less = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    rng = np.random.default_rng(seed)
    place = np.empty(n, dtype=np.int64)
    for _ in range(permutations):
        order = rng.permutation(n)
        place[order] = np.arange(1, n + 1)
        until = np.zeros(2 * n + 1)
        np.cumsum(z[np.concatenate([order, order])], out=until[1:])
        surplus = until[place + degree] - until[place] - total
        more += surplus >= -limit_of_sum
        less += surplus <= limit_of_sum
    p_value[kept] = _p_value(more, less, permutations)
    return LocalMoran(value, p_value, quadrant)


def _centred(
    neighbours: csr_array, values: ArrayLike
) -> tuple[csr_array, NDArray[np.bool_], NDArray[np.float64]]:
    """Weights and differences from the mean of the areas that are kept, and which those are.

    Differences are nought exactly where all values are the same.
    """
    values = np.asarray(values, dtype=float)
    if neighbours.shape != (len(values), len(values)):
        raise ValueError(f"{len(values)} values, neighbours of {neighbours.shape}")
    kept = np.isfinite(values)
    kept &= neighbours @ kept.astype(float) > 0
    weights = neighbours[kept][:, kept].astype(float)
    degree = np.diff(weights.indptr)
    weights.data = np.repeat(1.0 / degree, degree)
    z = values[kept]
    if len(z):
        z = np.zeros(len(z)) if z.min() == z.max() else z - z.mean()
    return weights, kept, z


def _p_value(more: ArrayLike, less: ArrayLike, permutations: int) -> NDArray[np.float64]:
    """From how many permutations are as high or higher, and as low or lower, as observed."""
    tail = (np.minimum(more, less) + 1.0) / (permutations + 1.0)
    return np.minimum(1.0, 2.0 * tail)
