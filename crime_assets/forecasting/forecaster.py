"""The protocol of every forecaster: counts up to a cut-off in, a score for every unit out.

To add one, write a class with these attributes in a file of ``forecasters/`` and add a line to
:data:`crime_assets.forecasting.forecasters.FORECASTERS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.forecasting.counts import Counts

Role = Literal["floor", "baseline", "model", "ceiling"]


class NoForecast(DataError):
    """A forecaster cannot be asked here: too little history, too many units, or not trained."""


@runtime_checkable
class Forecaster(Protocol):
    """What says where crimes will be, from what is known at the cut-off and nothing else.

    An instance is a frozen dataclass: its fields are its parameters, and its ``repr`` shows them.
    The code version of its assets holds that, and the text of its file.
    """

    title: ClassVar[str]
    """What people call it: ``Rolling mean``; the name in the register adds the parameters."""

    source: ClassVar[str]
    """Where it is described: author, year, journal, or that it is common practice."""

    role: ClassVar[Role]
    """``floor`` and ``ceiling`` bound the others, a ``baseline`` is what a ``model`` must beat."""

    expects_crimes: ClassVar[bool]
    """Whether a score is a number of crimes a step in a unit; else it only orders units."""

    limits: ClassVar[str]
    """What it cannot do, for its model card: one or two sentences."""

    @property
    def least_months(self) -> int:
        """The months of history that it needs (30 days each where steps are days)."""
        ...

    @property
    def most_units(self) -> int | None:
        """Study areas of more units than this are not for it; ``None``: any will do."""
        ...

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        """Scores of all units for the steps after ``history.cut_off``; higher is hotter.

        ``horizons`` are numbers of steps, such as 1, 3 and 12. Returns (horizons, n), or (n,)
        where the scores are the same for each of them. Where ``expects_crimes``, a score is the
        mean number of crimes a step over the horizon. All scores are finite, the same for the same
        history, and none depends on anything but the arguments.

        Raises :class:`NoForecast` where it knows nothing of this crime type: the others stand.
        """
        ...
