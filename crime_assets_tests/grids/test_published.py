"""The printed figures: whole, and those that others quote of them."""

from __future__ import annotations

from crime_assets.grids.methods import METHODS
from crime_assets.grids.published import CELLS, COSTS, METRICS, PUBLISHED
from crime_assets.models.incident_parameters import PUBLISHED_PARAMETERS


def test_table_4_has_thirteen_methods_four_grids_and_four_metrics() -> None:
    methods = {method for method, *_ in PUBLISHED}
    assert methods <= set(METHODS)
    assert len(methods) == 13
    assert len(PUBLISHED) == 13 * len(CELLS) * len(METRICS)
    assert all(0 < value <= (5 if key[2] == "pai" else 1) for key, value in PUBLISHED.items())


def test_the_figures_that_the_abstracts_of_it_quote_are_these() -> None:
    quoted = {
        "sftt_resnet": (0.94, 0.99, 0.97, 4.33),
        "tfts": (0.94, 0.99, 0.96, 4.12),
        "parb": (0.92, 0.99, 0.94, 3.31),
        "st_resnet": (0.82, 0.99, 0.96, 2.56),
        "ccrboost": (0.88, 0.97, 0.91, 2.00),
        "random_forest": (0.89, 0.98, 0.92, 1.98),
    }
    for method, values in quoted.items():
        assert tuple(PUBLISHED[method, 40, metric] for metric in METRICS) == values, method


def test_table_1_has_the_parameters_of_each_network() -> None:
    names = {
        "ST-ResNet": "st_resnet", "SFTT-VGG": "sftt_vgg", "TFTS": "tfts", "ParB": "parb",
        "SFTT-ResNet": "sftt_resnet", "SFTT-FastMask": "sftt_fastmask",
        "SFTT-FastResMask": "sftt_fastresmask",
    }  # fmt: skip
    assert {COSTS[names[title]].parameters for title in names} == {
        count for count, _ in PUBLISHED_PARAMETERS.values()
    }
    learning = {m.name for m in METHODS.values() if m.kind != "rule"}
    assert set(COSTS) == learning
    assert COSTS["parb"].seconds == 11_705
