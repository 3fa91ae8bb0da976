"""The parameters of networks on incident maps, and their bounds."""

from __future__ import annotations

from typing import Any

import pytest

from crime_assets.models.incident_parameters import PUBLISHED_PARAMETERS, IncidentParameters


def test_parameters_go_to_json_and_back() -> None:
    given = {
        "network": "tfts",
        "body": "vgg",
        "dropout": 0.9,
        "lstm_layers": 9,
        "channels": "target",
    }
    found = IncidentParameters.of(given)
    assert IncidentParameters.of(found.to_dict()) == found
    assert found.to_dict().items() >= given.items()
    assert found.learning_rate_of(0) == found.learning_rate_of(40) == 0.001


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"network": "lstm"}, "network is 'lstm', not one of"),
        ({"body": "u-net"}, "body is 'u-net', not one of"),
        ({"channels": 11}, "channels is 11, not one of"),
        ({"lstm_layers": 0}, "lstm_layers is 0; it is a whole number of 1 or more"),
        ({"lstm_layers": 10}, "lstm_layers is 10; it is at most 9"),
        ({"lstm_units": True}, "lstm_units is True; it is a whole number"),
        ({"blocks": 1.5}, "blocks is 1.5; it is a whole number"),
        ({"filters": 3}, "a ResNet block has a quarter of them"),
        ({"dropout": 0.95}, "dropout is 0.95; it is 0 to 0.9"),
        ({"dropout": "a little"}, "dropout is 'a little'; it is to be a number"),
        ({"batch_normalisation": 1}, "batch_normalisation is 1, not true, false"),
        ({"learning_rate": 0}, "learning_rate is 0; it is to be above 0"),
        ({"depth": 3}, "there is no depth; there are network, body"),
        ([], "they must be settings by name"),
    ],
)
def test_what_cannot_be_is_refused(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        IncidentParameters.of(given)


def test_the_published_counts_are_those_of_table_1() -> None:
    published = {name: count for name, (count, _) in PUBLISHED_PARAMETERS.items()}
    assert published == {
        "ST-ResNet": 1_343_043, "SFTT-VGG": 30_117_120, "TFTS": 10_260_016, "ParB": 31_942_280,
        "SFTT-ResNet": 7_348_899, "SFTT-FastMask": 6_917_264, "SFTT-FastResMask": 7_610_299,
    }  # fmt: skip
