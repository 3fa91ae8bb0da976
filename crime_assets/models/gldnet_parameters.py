"""What a GLDNet is made of and how it is trained: the parameters, their bounds, where to search.

Source of the defaults, which are :data:`SOURCE`: Zhang and Cheng 2020, Computers, Environment and
Urban Systems 79:101403.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from crime_assets.models.parameters import TrainingParameters

LOSSES = ("weighted", "poisson")

SEARCH_SPACE: dict[str, tuple[Any, ...]] = {
    "alpha": ("float", 0.05, 0.9, False),
    "steps": ("int", 1, 14),
    "gated_layers": ("int", 2, 4),
    "gated_units": ("choice", [4, 8, 16]),
    "diffusion_layers": ("int", 1, 5),
    "diffusion_units": ("choice", [4, 8, 16]),
    "rho": ("float", 0.03, 0.37, True),
    "learning_rate": ("float", 0.001, 0.05, True),
    "loss": ("choice", list(LOSSES)),
    "batch_size": ("choice", [4, 16]),
    "epochs": ("choice", [15, 60]),
    "decay_epochs": ("choice", [5, 15]),
    "patience": ("choice", [5, 15]),
}
"""Where to look for better parameters than the defaults, by their names.

``("float", low, high, log)`` with ``log`` true where the logarithm is to be searched evenly;
``("int", low, high)`` with both ends; ``("choice", [values])``.
"""


@dataclass(frozen=True)
class GldnetParameters(TrainingParameters):
    """The parameters of one training; raises ``ValueError`` for what cannot be.

    ``steps`` (M): how many steps before the target the network sees. ``alpha``: the weight of the
    last step in the smoothing of counts. ``gated_layers`` (L) of ``gated_units``, then
    ``diffusion_layers`` (K) of ``diffusion_units``: the network sees as many junctions far.
    ``loss``: "weighted" (squared errors, where there was no crime times ``rho``) or "poisson".
    The ``learning_rate`` of Adam is multiplied by ``decay`` after every ``decay_epochs`` epochs.
    Training ends after ``epochs``, or where the loss in validation has not fallen for ``patience``
    of them.
    """

    subject: ClassVar[str] = "GLDNet has"

    steps: int = 7
    alpha: float = 0.5
    gated_layers: int = 2
    gated_units: int = 8
    diffusion_layers: int = 5
    diffusion_units: int = 4
    loss: str = "weighted"
    rho: float = 0.03
    learning_rate: float = 0.03
    decay: float = 0.5
    decay_epochs: int = 5
    batch_size: int = 16
    epochs: int = 15
    patience: int = 5

    def __post_init__(self) -> None:
        for name in (
            "steps", "gated_units", "diffusion_units", "decay_epochs", "batch_size", "epochs",
            "patience",
        ):  # fmt: skip
            self._whole(name, 1)
        for name in ("gated_layers", "diffusion_layers"):
            self._whole(name, 0)
        for name, most in (
            ("alpha", 1.0),
            ("rho", 1.0),
            ("decay", 1.0),
            ("learning_rate", math.inf),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise ValueError(
                    f"{name} is {value!r}; it is to be a number (YAML reads 1e-3 as a text: write "
                    "1.0e-3 or 0.001)"
                )
            if not 0 < value <= most or math.isinf(value):
                bounds = "above 0" if math.isinf(most) else f"above 0 and at most {most:g}"
                raise ValueError(f"{name} is {value}; it is to be {bounds}")
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}, not one of {LOSSES}")

    def learning_rate_of(self, epoch: int) -> float:
        """The learning rate in an epoch, the first being 0: a staircase that goes down."""
        return self.learning_rate * self.decay ** (epoch // self.decay_epochs)


SOURCE = GldnetParameters()
"""The settings of Zhang and Cheng 2020."""

USUAL = GldnetParameters(
    alpha=0.2,
    steps=4,
    loss="poisson",
    learning_rate=0.01,
    batch_size=4,
    epochs=60,
    decay_epochs=15,
    patience=15,
)
"""What does well without a search where steps are months: few of them, so small batches for long,
a longer memory, and Poisson's loss."""
