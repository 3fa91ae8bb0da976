"""What a network on incident maps is made of and how it is trained: the parameters, their bounds.

Source of the architectures, and of the counts in :data:`PUBLISHED_PARAMETERS`: Stalidis,
Semertzidis and Daras 2021, "Examining Deep Learning Architectures for Crime Classification and
Prediction", Forecasting 3:46.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from crime_assets.models.parameters import TrainingParameters

NETWORKS = ("sftt", "tfts", "parb", "st-resnet")
BODIES = ("vgg", "resnet", "fastmask", "fastresmask")
CHANNELS = ("all", "target")


@dataclass(frozen=True)
class IncidentParameters(TrainingParameters):
    """The parameters of one training; raises ``ValueError`` for what cannot be.

    ``network``: "sftt", "tfts", "parb" or "st-resnet". ``body`` finds spatial features, in all but
    the last: "vgg", "resnet", "fastmask" or "fastresmask"; all but VGG have ``blocks`` of them, and
    ``filters`` in the first. ``lstm_layers`` is the depth of SFTT's LSTM, 1 to 9, its last layer
    being of as many units as there are cells; those before it are ``lstm_units`` wide.
    ``cell_layers`` of ``cell_units`` are the LSTM on each cell, of TFTS and ParB.
    ``residual_units`` are those of each branch of ST-ResNet, which has no dropout.

    ``channels``: "all" crime types are seen, or the one that is foretold, "target". ``batch_size``
    windows are trained at a time, in blocks of ``block`` consecutive ones, whose days are shared.
    TFTS and ParB, which run an LSTM on each cell, take 3 to 4 GiB with 16 and 8 windows at p = 40.
    The ``learning_rate`` is Adam's. Training ends after ``epochs``, or where the loss in validation
    has not fallen for ``patience`` of them.
    """

    network: str = "sftt"
    body: str = "resnet"
    filters: int = 16
    blocks: int = 4
    lstm_layers: int = 3
    lstm_units: int = 500
    cell_layers: int = 3
    cell_units: int = 32
    residual_units: int = 6
    batch_normalisation: bool = True
    dropout: float = 0.1
    channels: str = "all"
    learning_rate: float = 0.001
    batch_size: int = 32
    block: int = 8
    epochs: int = 50
    patience: int = 8

    def __post_init__(self) -> None:
        for name, known in (("network", NETWORKS), ("body", BODIES), ("channels", CHANNELS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not one of {known}")
        for name, least, most in (
            ("filters", 1, None), ("blocks", 1, None), ("lstm_layers", 1, 9),
            ("lstm_units", 1, None), ("cell_layers", 1, 9), ("cell_units", 1, None),
            ("residual_units", 0, None), ("batch_size", 1, None), ("block", 1, None),
            ("epochs", 1, None), ("patience", 1, None),
        ):  # fmt: skip
            self._whole(name, least, most)
        if self.body in ("resnet", "fastresmask") and self.filters < 4:
            raise ValueError(f"filters is {self.filters}; a ResNet block has a quarter of them")
        if not isinstance(self.batch_normalisation, bool):
            raise ValueError(
                f"batch_normalisation is {self.batch_normalisation!r}, not true, false"
            )
        if not 0 <= _number("dropout", self.dropout) <= 0.9:
            raise ValueError(f"dropout is {self.dropout}; it is 0 to 0.9")
        if not 0 < _number("learning_rate", self.learning_rate) < math.inf:
            raise ValueError(f"learning_rate is {self.learning_rate}; it is to be above 0")

    def learning_rate_of(self, epoch: int) -> float:
        """The learning rate in an epoch, the first being 0: always the same."""
        return self.learning_rate


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r}; it is to be a number")
    return value


PUBLISHED_PARAMETERS: dict[str, tuple[int, IncidentParameters]] = {
    "ST-ResNet": (1_343_043, IncidentParameters("st-resnet", batch_normalisation=False)),
    "SFTT-VGG": (30_117_120, IncidentParameters("sftt", "vgg")),
    "TFTS": (10_260_016, IncidentParameters("tfts", "vgg")),
    "ParB": (31_942_280, IncidentParameters("parb", "vgg")),
    "SFTT-ResNet": (7_348_899, IncidentParameters("sftt", "resnet")),
    "SFTT-FastMask": (6_917_264, IncidentParameters("sftt", "fastmask")),
    "SFTT-FastResMask": (7_610_299, IncidentParameters("sftt", "fastresmask")),
}
"""Trainable parameters as published (table 1: Philadelphia, p = 40), and what we hold for the same.

Only ST-ResNet's follows from what is written, as its source builds it: one channel, one map out.
The others depend on choices that the study does not state (first filters, number of blocks, how
scales are joined, what the heads read, cells that are foretold: its table 3 has 752): none of those
that we tried gave the published count of more than two of the networks at once.
"""
