"""Rows of evaluations: the figures of scoring, told apart by group, and what they are compared to.

Also the audits of both tables, which must find what is broken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from crime_assets.classification.judging import (
    COLUMNS,
    DEPRIVATION_FIFTHS,
    evaluation_rows,
    fifths,
    moran_rows,
)
from crime_assets.classification.report import Result, compare
from crime_assets.classification.scoring import judge
from crime_assets.lake import DuckDB, create
from crime_assets.lsoa.labels import LABELS
from crime_assets.lsoa.moran import morans_i
from crime_assets.publication import AuditFailed, audit
from crime_assets.tables import LSOA_EVALUATIONS, LSOA_PREDICTIONS

Key = tuple[str, str, str]


def hand_made() -> Result:
    """Eight areas: three hotspots, of which two are found, and one false alarm."""
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    hot = np.array([0.9, 0.8, 0.3, 0.7, 0.2, 0.1, 0.1, 0.4])
    return Result(
        "random_forest", "gwent", "time", "is_hotspot",
        np.array([f"W{i}" for i in range(8)], dtype=object),
        truth, np.column_stack([1 - hot, hot]), (hot > 0.5).astype(int),
        np.column_stack([hot < 0.75, hot > 0.25]),
    )  # fmt: skip


def made(model: str, split: str = "time", label: str = "tier", right: float = 0.8) -> Result:
    n, k = 200, len(LABELS[label])
    rng = np.random.default_rng([k, n])
    truth = rng.integers(0, k, n)
    rng = np.random.default_rng(round(100 * right))
    predicted = np.where(rng.random(n) < right, truth, rng.integers(0, k, n))
    probabilities = np.eye(k)[predicted] + rng.random((n, k))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    sets = probabilities > 0.1 if split == "time" else None
    areas = np.array([f"E{i:08}" for i in range(n)], dtype=object)
    return Result(
        model, "study-area", split, label, areas, truth, probabilities, predicted, sets,
        np.arange(n) // 10,
    )  # fmt: skip


def by_key(*results: Result) -> dict[Key, Result]:
    return {(r.scope, r.split, r.label): r for r in results}


def value(rows: pd.DataFrame, metric: str, **where: Any) -> float:
    """The value of the one row of the metric that is so; what is not said is of all."""
    wanted = {"group_kind": "all", "group_name": None, "class": None} | where
    rows = rows[rows["metric"] == metric]
    for column, is_ in wanted.items():
        rows = rows[rows[column].isna() if is_ is None else rows[column] == is_]
    (found,) = rows["value"]
    return float(found)


# --- Figures --------------------------------------------------------------------------------


def test_figures_of_a_prediction_of_eight_areas_are_what_can_be_counted_by_hand() -> None:
    rows = evaluation_rows(by_key(hand_made()), {}, {}, 0)
    assert list(rows.columns) == list(COLUMNS)
    for metric, class_, expected in (
        ("accuracy", None, 6 / 8),
        ("precision", "1", 2 / 3),
        ("recall", "1", 2 / 3),
        ("f1", "1", 2 / 3),
        ("recall", "0", 4 / 5),
        ("false_positive_rate", "1", 1 / 5),
        ("macro_f1", None, (2 / 3 + 4 / 5) / 2),
        ("support", "1", 3),
        ("auroc", "1", 13 / 15),  # of the pairs of a hotspot and none, two stand the wrong way
        ("conformal_coverage", None, 1.0),
        ("conformal_size", None, 11 / 8),
    ):
        assert value(rows, metric, **{"class": class_}) == pytest.approx(expected), metric
    assert set(rows["areas"]) == {8}
    assert rows["low"].isna().all()
    assert set(rows["scope"]) == {"gwent"}


def test_every_figure_of_scoring_is_a_row_with_its_interval_and_the_name_of_its_class() -> None:
    result = made("random_forest")
    rows = evaluation_rows(by_key(result), {}, {}, 50)
    figures = judge(
        result.truth, result.probabilities, result.predicted, result.conformal,
        ordered=True, blocks=result.blocks, resamplings=50,
    )  # fmt: skip
    assert len(rows) == len(figures)
    for figure, (_, row) in zip(figures, rows.iterrows(), strict=True):
        name = None if figure.class_ is None else LABELS["tier"][figure.class_]
        assert row["metric"] == figure.metric
        assert row["class"] == name or (name is None and pd.isna(row["class"]))
        for column in ("value", "low", "high"):
            expected = getattr(figure, column)
            expected = math.nan if expected is None else expected
            assert row[column] == pytest.approx(expected, nan_ok=True)
    assert "kappa" in set(rows["metric"])  # tiers have an order


# --- Differences ----------------------------------------------------------------------------


def test_a_model_is_compared_with_last_years_class_on_the_same_scope_split_and_label() -> None:
    time, space = made("random_forest"), made("random_forest", "space")
    rule = made("same_class", right=0.5)
    rows = evaluation_rows(by_key(time, space), by_key(rule), {}, 50)
    differences = rows[rows["metric"].str.endswith("_difference")]
    assert set(differences["split"]) == {"time"}
    expected = {f"{d.metric}_difference": d for d in compare(time, rule, resamplings=50)}
    assert set(differences["metric"]) == set(expected)
    for _, row in differences.iterrows():
        found = expected[row["metric"]]
        assert (row["value"], row["low"], row["high"], row["p_value"]) == (
            found.value,
            found.low,
            found.high,
            found.p_value,
        )
    assert value(rows[rows["split"] == "time"], "accuracy_difference") > 0.2


def test_last_years_class_is_not_compared_with_itself() -> None:
    rule = by_key(made("same_class"))
    rows = evaluation_rows(rule, rule, {}, 0)
    assert not rows["metric"].str.endswith("_difference").any()
    assert rows["p_value"].isna().all()


# --- Groups ---------------------------------------------------------------------------------


def test_rates_of_the_highest_class_are_told_apart_by_group() -> None:
    groups = {"force": {f"W{i}": "gwent" if i < 4 else "dyfed-powys" for i in range(7)}}
    rows = evaluation_rows(by_key(hand_made()), {}, groups, 0)
    of_groups = rows[rows["group_kind"] == "force"]
    assert set(of_groups["group_name"]) == {"gwent", "dyfed-powys"}

    def rate(metric: str, name: str) -> float:
        where = {"group_kind": "force", "group_name": name}
        return value(rows, metric, **where, **({} if metric == "accuracy" else {"class": "1"}))

    # gwent: three hotspots, two found, one false alarm; dyfed-powys: three areas, none said to be
    assert rate("precision", "gwent") == pytest.approx(2 / 3)
    assert rate("recall", "gwent") == pytest.approx(2 / 3)
    assert rate("false_positive_rate", "gwent") == 1
    assert rate("selection_rate", "gwent") == pytest.approx(3 / 4)
    assert rate("accuracy", "gwent") == pytest.approx(2 / 4)
    assert rate("accuracy", "dyfed-powys") == 1
    assert math.isnan(rate("recall", "dyfed-powys"))
    areas = dict(zip(of_groups["group_name"], of_groups["areas"], strict=True))
    assert areas == {"gwent": 4, "dyfed-powys": 3}  # the eighth area is in no group


def test_only_the_split_in_time_is_told_apart_and_a_group_elsewhere_is_none() -> None:
    results = by_key(made("random_forest", "space"), hand_made())
    groups = {"force": {"E00000001": "kent"}}
    rows = evaluation_rows(results, {}, groups, 0)
    assert set(rows["group_kind"]) == {"all"}


def test_fifths_are_of_equal_size_the_most_deprived_first_and_no_rank_is_no_fifth() -> None:
    rank = np.random.default_rng(1).permutation(np.arange(1.0, 101.0))
    rank[:5] = np.nan
    found = fifths(rank)
    assert (found[:5] == "").all()
    names, sizes = np.unique(found[5:], return_counts=True)
    assert names.tolist() == sorted(DEPRIVATION_FIFTHS)
    assert sizes.tolist() == [19] * 5
    assert found[np.nanargmin(rank)] == DEPRIVATION_FIFTHS[0]
    assert found[np.nanargmax(rank)] == DEPRIVATION_FIFTHS[-1]
    assert (fifths(np.full(4, np.nan)) == "").all()


# --- Moran's I ------------------------------------------------------------------------------


def test_moran_tells_of_what_became_and_of_what_the_model_left_over() -> None:
    n = 60
    line = csr_array(np.eye(n, k=1) + np.eye(n, k=-1))
    hot = (np.arange(n) < 15).astype(int)
    rng = np.random.default_rng(1)
    said = np.clip(hot + rng.normal(0, 0.1, n), 0.01, 0.99)
    result = Result(
        "random_forest", "gwent", "time", "is_hotspot",
        np.array([f"W{i:03}" for i in range(n)], dtype=object),
        hot, np.column_stack([1 - said, said]), (said > 0.5).astype(int),
    )  # fmt: skip
    density, tier = 100.0 - np.arange(n), 3.0 * hot
    rows = {row["class"]: row for row in moran_rows(result, density, tier, line)}
    assert list(rows) == ["density", "tier", "is_hotspot", "residual"]
    assert {row["metric"] for row in rows.values()} == {"moran_i"}
    for name, values in (("density", density), ("residual", hot - said)):
        expected = morans_i(line, values)
        assert rows[name]["value"] == pytest.approx(expected.value)
        assert rows[name]["p_value"] == expected.p_value
    assert rows["is_hotspot"]["p_value"] == 0.002  # two-sided; none of 999 is as high
    assert rows["residual"]["p_value"] >= 0.05
    assert set(rows["density"]) <= set(COLUMNS)


# --- Audits ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as opened:
        yield opened


def table(connection: duckdb.DuckDBPyConnection, name: str, rows: list[dict[str, Any]]) -> None:
    contract = {"lsoa_predictions": LSOA_PREDICTIONS, "lsoa_evaluations": LSOA_EVALUATIONS}[name]
    columns = ", ".join(f'"{c.name}" {c.type}' for c in contract.columns)
    connection.execute(f"create or replace temp table {name} ({columns})")
    for row in rows:
        marks = ", ".join("?" * len(contract.columns))
        values = [row.get(c.name) for c in contract.columns]
        connection.execute(f"insert into {name} values ({marks})", values)


GOOD = {
    "scope": "gwent", "split": "time", "label": "is_hotspot", "lsoa21cd": "W01000001",
    "predicted": "1", "probabilities": [0.25, 0.75], "conformal_set": ["1"],
}  # fmt: skip


@pytest.mark.parametrize("broken", [
    [GOOD, GOOD],
    [GOOD | {"probabilities": [0.25, 0.7]}],
    [GOOD | {"probabilities": [-0.25, 1.25]}],
    [GOOD | {"probabilities": [math.nan, 1.0]}],
    [GOOD | {"probabilities": None}],
    [GOOD | {"probabilities": []}],
    [GOOD | {"conformal_set": None}],
    [GOOD | {"conformal_set": []}],
    [GOOD | {"split": "space"}],
], ids=["twice", "sum", "negative", "nan", "null", "none", "no-set", "empty", "space"])  # fmt: skip
def test_predictions_that_do_not_add_up_are_found(
    connection: duckdb.DuckDBPyConnection, broken: list[dict[str, Any]]
) -> None:
    name = "classification/audits/probabilities_add_up"
    good = [GOOD, GOOD | {"split": "space", "conformal_set": None}, GOOD | {"scope": "kent"}]
    table(connection, "lsoa_predictions", good)
    audit(connection, name)
    table(connection, "lsoa_predictions", [*broken, GOOD | {"scope": "kent"}])
    with pytest.raises(AuditFailed, match=r"1 rows.*gwent") as found:
        audit(connection, name)
    assert found.value.audit == "probabilities_add_up"


FIGURE = {
    "scope": "gwent", "split": "time", "label": "tier", "group_kind": "all", "group_name": None,
    "class": None, "metric": "accuracy", "value": 0.7, "low": 0.6, "high": 0.8, "p_value": None,
    "areas": 300,
}  # fmt: skip


@pytest.mark.parametrize("broken", [
    [FIGURE, FIGURE],
    [FIGURE | {"value": math.nan}],
    [FIGURE | {"value": math.inf, "metric": "log_loss"}],
    [FIGURE | {"value": 1.2}],
    [FIGURE | {"value": -0.1, "metric": "recall"}],
    [FIGURE | {"low": 0.9}],
    [FIGURE | {"p_value": 1.5}],
    [FIGURE | {"areas": 0}],
], ids=["twice", "nan", "infinite", "above", "below", "interval", "p", "areas"])  # fmt: skip
def test_figures_that_cannot_be_are_found(
    connection: duckdb.DuckDBPyConnection, broken: list[dict[str, Any]]
) -> None:
    name = "classification/audits/figures_fit"
    difference = {"metric": "macro_f1_difference", "value": -0.1, "low": -0.2, "p_value": 0.5}
    good = [FIGURE, FIGURE | difference | {"high": 0.0}, FIGURE | {"scope": "kent", "low": None}]
    table(connection, "lsoa_evaluations", good)
    audit(connection, name)
    table(connection, "lsoa_evaluations", [*broken, FIGURE | {"scope": "kent"}])
    with pytest.raises(AuditFailed, match=r"1 rows.*gwent") as found:
        audit(connection, name)
    assert found.value.audit == "figures_fit"


def test_a_figure_that_is_not_defined_is_no_row(connection: duckdb.DuckDBPyConnection) -> None:
    groups = {"force": {f"W{i}": "gwent" if i < 4 else "dyfed-powys" for i in range(8)}}
    rows = evaluation_rows(by_key(hand_made()), {}, groups, 0)
    assert rows["value"].isna().any()
    connection.register("evaluation_rows", rows)
    create(connection, "classification/lsoa_evaluations")
    audit(connection, "classification/audits/figures_fit")
    published = connection.execute("from lsoa_evaluations").df()
    assert len(published) == rows["value"].notna().sum()
    assert list(published.columns) == [c.name for c in LSOA_EVALUATIONS.columns]
