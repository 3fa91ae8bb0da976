"""The parameters of GLDNet: what cannot be is refused, and said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crime_assets.models.gldnet_parameters import SEARCH_SPACE, GldnetParameters


def test_parameters_go_through_json():
    parameters = GldnetParameters(steps=3, loss="poisson")
    assert GldnetParameters.of(json.loads(json.dumps(parameters.to_dict()))) == parameters


@pytest.mark.parametrize(
    "given",
    [
        {"steps": 0},
        {"steps": 2.0},
        {"epochs": True},
        {"diffusion_layers": -1},
        {"alpha": 0},
        {"alpha": 1.2},
        {"alpha": None},
        {"decay": True},
        {"rho": [0.1]},
        {"steps": "7"},
        {"loss": ["poisson"]},
        {"rho": float("nan")},
        {"learning_rate": float("inf")},
        {"loss": "squared"},
    ],
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(given))):
        GldnetParameters.of(given)


def test_a_number_that_yaml_reads_as_a_text_is_refused_and_said():
    with pytest.raises(ValueError, match=r"learning_rate is '1e-3'; .*YAML reads 1e-3 as a text"):
        GldnetParameters.of({"learning_rate": "1e-3"})


def test_what_is_no_mapping_is_refused():
    with pytest.raises(ValueError, match=r"parameters are \[1\]; they must be settings by name"):
        GldnetParameters.of([1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="GLDNet has no 1, layers"):
        GldnetParameters.of({"layers": 2, 1: 3})  # type: ignore[dict-item]


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="no layers; there are steps, alpha"):
        GldnetParameters.of({"layers": 2})


def test_the_learning_rate_is_a_staircase():
    parameters = GldnetParameters(learning_rate=0.04, decay=0.5, decay_epochs=2)
    assert [parameters.learning_rate_of(epoch) for epoch in range(5)] == [
        0.04, 0.04, 0.02, 0.02, 0.01,
    ]  # fmt: skip


def test_the_whole_search_space_is_allowed():
    for name, (kind, *where) in SEARCH_SPACE.items():
        values = where[0] if kind == "choice" else where[:2]
        assert where[-1] in (True, False) if kind == "float" else True
        for value in values:
            GldnetParameters.of({name: value})
