"""A random forest: what followed counts like these is expected to follow them again.

For each horizon the forest learns from one origin, so many steps before the cut-off (a month at
least: what one day brings is chance). The features of each unit are made from the steps up to the
origin, the target is the mean crimes a step of those between it and the cut-off. Then it is asked
for the steps after the cut-off, with features made in the same way from the steps up to there.

The features are the unit's mean crimes a step over the last :data:`SPANS`, those of its neighbours,
the same of all crime, and the size of the unit, which says how much of its surroundings a count
speaks of. A tree splits by order alone, so that no logarithm is needed. Units without a crime in
any feature cannot be told apart by counts: they are expected to have the mean of their like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.counts import DAY, MONTH, Counts, HistoryTooShort
from crime_assets.forecasting.forecaster import Role
from crime_assets.register import ALL_CRIME

SPANS: dict[str, tuple[int, ...]] = {MONTH: (1, 3, 6, 12, 24), DAY: (7, 30, 90, 180, 360)}
"""Steps up to an origin whose crimes are features; those longer than what is known are left out."""

SEED = 42


def features(history: Counts, crime_type: str, spans: Sequence[int], before: int) -> NDArray:
    """What is known of all units without the last ``before`` steps: (n, features), in crimes a
    step; the last feature is the size as a multiple of the mean one.
    """
    near = history.units.neighbours
    degree = np.maximum(np.diff(near.indptr), 1)
    columns = []
    for name in dict.fromkeys((crime_type, ALL_CRIME)):
        if name in history.crimes:
            for span in spans:
                rate = history.recent(name, span, before) / span
                columns += [rate, near @ rate / degree]
    return np.column_stack([*columns, history.units.relative_size]).astype(np.float32)


@dataclass(frozen=True)
class RandomForest:
    """A random forest on the past crimes of a unit, of its neighbours, and of all types.

    It learns from units with a crime in their features; their rows are put in order first, so that
    the draws of the trees do not depend on the order of the units. A leaf of ``least_leaf`` units
    or more (of a fortieth of them, where there are few), and half of the units for each tree, keep
    it from learning single counts by heart.
    """

    title: ClassVar[str] = "Random forest"
    source: ClassVar[str] = (
        "Breiman 2001, Machine Learning 45:5; for places of crime Wheeler and Steenbeek 2021, "
        "Journal of Quantitative Criminology 37:445"
    )
    role: ClassVar[Role] = "baseline"
    expects_crimes: ClassVar[bool] = True
    limits: ClassVar[str] = (
        "Learns from one outcome, that of the months just before the cut-off, and takes what was "
        "odd about them for a rule; expects no more of a unit than its hottest leaf had on average."
    )

    trees: int = 40
    least_leaf: int = 10
    least_months: int = 24
    most_units: int | None = 200_000

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """Expected crimes a step: (horizons, n).

        Raises :class:`HistoryTooShort` for a horizon that leaves no step to make features of.
        """
        scores = np.zeros((len(horizons), len(history.units)))
        for row, horizon in enumerate(horizons):
            after = max(horizon, history.month_steps)
            known = len(history.steps) - after
            if known < 1:
                raise HistoryTooShort(
                    f"to learn what {after} {history.step}s bring, {after + 1} are needed; there "
                    f"are {len(history.steps)} up to {history.cut_off}"
                )
            spans = [s for s in SPANS[history.step] if s <= known] or [known]
            scores[row] = self._expect(
                features(history, crime_type, spans, before=after),
                history.recent(crime_type, after) / after,
                features(history, crime_type, spans, before=0),
            )
        return scores

    def _expect(
        self, past: NDArray, outcome: NDArray[np.float64], now: NDArray
    ) -> NDArray[np.float64]:
        """What the features ``now`` (n, features) lead to, if as those of the ``past`` did."""
        from sklearn.ensemble import RandomForestRegressor

        learnt, asked = (each[:, :-1].any(axis=1) for each in (past, now))
        expected = np.full(len(now), outcome[~learnt].mean() if not learnt.all() else 0.0)
        if not learnt.any() or not asked.any() or not outcome[learnt].any():
            return expected
        rows, target = past[learnt], outcome[learnt]
        order = np.lexsort((target, *rows.T))
        forest = RandomForestRegressor(
            self.trees,
            min_samples_leaf=min(self.least_leaf, max(1, len(target) // 40)),
            max_features=1 / 3,
            max_samples=-(-len(target) // 2),
            random_state=SEED,
            n_jobs=1,  # trees summed by several threads differ in the last bit; types have threads
        ).fit(rows[order], target[order])
        expected[asked] = forest.predict(now[asked])
        return expected
