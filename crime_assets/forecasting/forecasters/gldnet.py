"""GLDNet: a graph network that was trained elsewhere; here it is only asked for what it said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.counts import Counts
from crime_assets.forecasting.forecaster import NoForecast, Role

Scores = Mapping[tuple[str, str], NDArray[np.floating]]
"""Of each crime type and cut-off, the scores (n,) of the segments for the step after it."""

KINDS = ("segment", "equal-segment")


@dataclass(frozen=True)
class Gldnet:
    """Gated localised diffusion network: what streets near one another tell of the next step.

    It learns on the street graph from the last steps of all crime types. It does not compute here:
    ``scores`` are what a process that has TensorFlow found out, put here by :meth:`told`.
    """

    title: ClassVar[str] = "GLDNet"
    source: ClassVar[str] = (
        "Zhang and Cheng 2020, Computers, Environment and Urban Systems 79:101403"
    )
    role: ClassVar[Role] = "model"
    expects_crimes: ClassVar[bool] = False
    limits: ClassVar[str] = (
        "For street segments only; looks one step ahead, and ranks them alike for all horizons; "
        "its loss weighs errors where crimes were, so that its scores are no expected crimes; "
        "knows no season."
    )

    least_months: int = 1
    most_units: int | None = None
    scores: Scores = field(default_factory=dict, repr=False, compare=False)

    def told(self, scores: Scores) -> Gldnet:
        """The same with ``scores`` to answer from."""
        return replace(self, scores=scores)

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """The scores (n,) that it was told, the same for each horizon.

        Raises :class:`~crime_assets.forecasting.forecaster.NoForecast` for other units than street
        segments, and where it was told nothing of the crime type and the cut-off.
        """
        if history.units.kind not in KINDS:
            raise NoForecast("is for street segments")
        try:
            return self.scores[crime_type, history.cut_off]
        except KeyError:
            raise NoForecast(
                f"no GLDNet was trained for {crime_type} at {history.cut_off}"
            ) from None
