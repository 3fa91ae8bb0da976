"""The leaderboard: who is ranked, on which cut-offs, and which differences are called real."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from crime_assets import DataError
from crime_assets.forecasting.leaderboard import (
    COLUMNS,
    GROUP,
    LEADERBOARD_METRICS,
    block_length,
    block_weights,
    headlines,
    holm,
    rank_models,
    skill_over_time,
    verdict_sentence,
)
from crime_assets.tables import EVALUATIONS, LEADERBOARD

ROLES = {
    "chance": "floor",
    "rolling": "baseline",
    "ewma": "baseline",
    "kernel": "model",
    "poisson": "model",
    "foresight": "ceiling",
}


def month(number: int) -> str:
    return f"{2020 + number // 12}-{number % 12 + 1:02}"


def evaluations(
    values: Mapping[str, Sequence[float]],
    metric: str = "hit_rate",
    coverage: float | None = 0.05,
    horizon: int = 1,
    scope: str = "gwent",
    step: str = "month",
) -> pd.DataFrame:
    """Values of each model at the cut-offs 2020-01, 2020-02 and so on."""
    rows = [
        {
            "scope": scope,
            "crime_type": "Drugs",
            "step": step,
            "horizon_steps": horizon,
            "split": "time",
            "metric": metric,
            "coverage": math.nan if coverage is None else coverage,
            "value": value,
            "low": value - 0.1,
            "high": value + 0.1,
            "tie_best": value + 0.02,
            "tie_worst": value - 0.03,
            "units": 1000,
            "crimes": 200,
            "month": month(number),
            "model": model,
            "unit": "hex",
        }
        for model, series in values.items()
        for number, value in enumerate(series)
    ]
    return pd.DataFrame(rows)


def by_model(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("model")


def noise(seed: int, n: int, size: float = 0.03) -> np.ndarray:
    return size * np.random.default_rng(seed).standard_normal(n)


# --- Ranks and means ------------------------------------------------------------------------


def test_means_ranks_and_differences_are_those_worked_out_by_hand() -> None:
    table = rank_models(
        evaluations(
            {
                "chance": [0.05, 0.05, 0.05],
                "rolling": [0.2, 0.3, 0.4],  # mean 0.3
                "ewma": [0.3, 0.3, 0.33],  # 0.31
                "kernel": [0.3, 0.4, 0.44],  # 0.38
                "foresight": [0.9, 0.9, 0.9],
            }
        ),
        ROLES,
    )
    assert table["model"].tolist() == ["kernel", "ewma", "rolling", "chance", "foresight"]
    assert table["rank"].isna().tolist() == [False, False, False, True, True]
    assert table["rank"].tolist()[:3] == [1, 2, 3]
    assert table["value"].tolist() == pytest.approx([0.38, 0.31, 0.3, 0.05, 0.9])
    # against the best baseline, which itself is held against the next best
    assert table["against"].tolist() == ["ewma", "rolling", "ewma", "ewma", "ewma"]
    assert table["difference"].tolist() == pytest.approx([0.07, 0.01, -0.01, -0.26, 0.59])
    assert table["tie_best"].tolist() == pytest.approx([0.40, 0.33, 0.32, 0.07, 0.92])
    assert table["tie_worst"].tolist() == pytest.approx([0.35, 0.28, 0.27, 0.02, 0.87])
    assert set(table["cut_offs"]) == {3}
    assert set(table["first_cut_off"]) == {"2020-01"}
    assert set(table["last_cut_off"]) == {"2020-03"}


def test_less_is_better_for_brier_and_deviance() -> None:
    values = {"rolling": 0.3 + noise(1, 24), "ewma": 0.31 + noise(2, 24), "kernel": np.zeros(24)}
    values["kernel"] = values["rolling"] - 0.1 + noise(3, 24, 0.01)
    more = by_model(rank_models(evaluations(values, "pai"), ROLES))
    for metric in ("brier", "poisson_deviance"):
        less = by_model(rank_models(evaluations(values, metric), ROLES))
        assert less.loc["kernel", "rank"] == 1
        assert less.loc["kernel", "verdict"] == "better"
        assert less.loc["kernel", "against"] == "rolling"  # the lower of the two
        assert less.loc["kernel", "difference"] < 0  # the sign is the metric's
        assert less.loc["kernel", "difference_high"] < 0
    assert more.loc["kernel", "rank"] == 3
    assert more.loc["kernel", "verdict"] == "worse"
    assert more.loc["kernel", "against"] == "ewma"


def test_a_deviance_that_was_infinite_once_costs_the_others_no_cut_off() -> None:
    """It is missing then: left out for all, the easy months would be left, and it could win."""
    hard = np.arange(24) % 3 == 0
    values = {
        "ewma": np.where(hard, 2.0, 1.0),
        "rolling": np.where(hard, 1.9, 1.04),
        "kernel": np.where(hard, math.nan, 0.9),
    }
    rows = evaluations(values, "poisson_deviance").dropna(subset="value")
    table = by_model(rank_models(rows, ROLES))
    assert table.loc[["rolling", "ewma"], "rank"].tolist() == [1, 2]
    assert table.loc[["rolling", "ewma"], "cut_offs"].tolist() == [24, 24]
    assert pd.isna(table.loc["kernel", "rank"])
    # of another metric two thirds of the cut-offs are enough
    others = by_model(rank_models(rows.assign(metric="pai", value=-rows["value"]), ROLES))
    assert others.loc["kernel", "rank"] == 1


def test_equal_means_share_a_rank_and_the_next_one_is_left_out() -> None:
    table = rank_models(
        evaluations({"ewma": [0.5, 0.5], "rolling": [0.5, 0.5], "kernel": [0.25, 0.5]}), ROLES
    )
    assert table["rank"].tolist() == [1, 1, 3]
    assert table["model"].tolist() == ["ewma", "rolling", "kernel"]


def test_what_describes_the_outcome_is_not_ranked() -> None:
    found = pd.concat(
        [evaluations({"ewma": [1.0] * 6}, metric) for metric in ("gini", "crimes", "pai")]
    )
    assert set(rank_models(found, ROLES)["metric"]) == {"pai"}


def test_rankings_are_kept_apart_and_ordered_with_null_coverage_first() -> None:
    parts = [
        evaluations({"ewma": [0.4] * 6, "kernel": [0.5] * 6}, coverage=coverage, horizon=horizon)
        for horizon in (3, 1)
        for coverage in (0.1, 0.05)
    ]
    parts.append(evaluations({"ewma": [0.7] * 6}, "auroc", coverage=None))
    parts.append(evaluations({"ewma": [0.6] * 6}, "auroc", coverage=0.5))
    table = rank_models(pd.concat(parts), ROLES)
    rankings = table[["horizon_steps", "metric", "coverage"]].drop_duplicates()
    assert rankings["horizon_steps"].tolist() == [1, 1, 1, 1, 3, 3]
    assert rankings["metric"].tolist() == ["auroc"] * 2 + ["hit_rate"] * 4
    assert math.isnan(rankings["coverage"].iloc[0])
    assert rankings["coverage"].tolist()[1:] == [0.5, 0.05, 0.1, 0.05, 0.1]


# --- Which cut-offs -------------------------------------------------------------------------


def test_models_are_judged_on_the_cut_offs_they_share() -> None:
    nan = math.nan
    table = by_model(
        rank_models(
            evaluations({"ewma": [0.9, 0.2, 0.4, 0.3], "kernel": [nan, 0.4, 0.4, nan]}), ROLES
        )
    )
    assert table.loc["ewma", "value"] == pytest.approx(0.3)
    assert table.loc["kernel", "value"] == pytest.approx(0.4)
    assert table.loc["kernel", "difference"] == pytest.approx(0.1)
    assert table.loc["ewma", ["cut_offs", "first_cut_off", "last_cut_off"]].tolist() == [
        2,
        "2020-02",
        "2020-03",
    ]


def test_a_model_with_few_cut_offs_shrinks_nobody_and_has_no_rank() -> None:
    nan = math.nan
    table = rank_models(
        evaluations(
            {
                "ewma": [0.2, 0.2, 0.3, 0.3, 0.6],
                "rolling": [0.1] * 5,
                "poisson": [nan, nan, nan, 0.5, 0.5],  # 2 of 5 are less than half
            }
        ),
        ROLES,
    )
    assert table["model"].tolist() == ["ewma", "rolling", "poisson"]
    rows = by_model(table)
    assert rows.loc["ewma", "cut_offs"] == 5
    assert rows.loc["ewma", "value"] == pytest.approx(0.32)
    assert pd.isna(rows.loc["poisson", "rank"])
    assert rows.loc["poisson", "cut_offs"] == 2
    assert rows.loc["poisson", "value"] == pytest.approx(0.5)
    assert rows.loc["poisson", "against"] == "ewma"
    assert rows.loc["poisson", "difference"] == pytest.approx(0.5 - 0.45)  # over those two


def test_a_baseline_with_few_cut_offs_is_not_what_others_are_held_against() -> None:
    nan = math.nan
    table = by_model(
        rank_models(
            evaluations(
                {"ewma": [0.2] * 5, "rolling": [nan, nan, nan, nan, 0.9], "kernel": [0.3] * 5}
            ),
            ROLES,
        )
    )
    assert table.loc["kernel", "against"] == "ewma"
    assert pd.isna(table.loc["ewma", "against"])
    assert pd.isna(table.loc["ewma", "verdict"])


def test_values_that_are_not_finite_play_no_part() -> None:
    table = by_model(
        rank_models(
            evaluations({"ewma": [1.0, math.inf, 3.0], "kernel": [2.0, 2.0, 2.0]}, "pai"), ROLES
        )
    )
    assert table.loc["ewma", "value"] == 2
    assert table.loc["kernel", "cut_offs"] == 2


@pytest.mark.parametrize(("cut_offs", "horizon", "enough"), [
    (5, 1, False),
    (6, 1, True),
    (24, 12, False),  # two outcomes that do not overlap
    (36, 12, True),
])  # fmt: skip
def test_too_few_cut_offs_have_a_mean_but_neither_interval_nor_verdict(
    cut_offs: int, horizon: int, enough: bool
) -> None:
    values = {"ewma": 0.3 + noise(1, cut_offs), "kernel": 0.6 + noise(2, cut_offs)}
    row = by_model(rank_models(evaluations(values, horizon=horizon), ROLES)).loc["kernel"]
    assert row["value"] == pytest.approx(values["kernel"].mean())
    assert row["difference"] == pytest.approx((values["kernel"] - values["ewma"]).mean())
    given = row[["low", "high", "difference_low", "difference_high", "p_value"]].notna()
    assert given.all() == given.any() == enough
    assert row["verdict"] == ("better" if enough else "too few cut-offs")


# --- Which differences are real -------------------------------------------------------------


def test_a_planted_better_model_is_called_better_and_a_worse_one_worse() -> None:
    months = noise(1, 24, 0.05)  # good and bad months, the same for all
    table = by_model(
        rank_models(
            evaluations(
                {
                    "chance": 0.05 + noise(2, 24, 0.001),
                    "ewma": 0.3 + months + noise(3, 24, 0.01),
                    "rolling": 0.29 + months + noise(4, 24, 0.01),
                    "kernel": 0.33 + months + noise(5, 24, 0.01),
                    "poisson": 0.27 + months + noise(6, 24, 0.01),
                }
            ),
            ROLES,
        )
    )
    assert table.loc["kernel", "verdict"] == "better"
    assert table.loc["poisson", "verdict"] == "worse"
    assert table.loc["chance", "verdict"] == "worse"
    kernel = table.loc["kernel"]
    # paired: months move both alike, so the difference is surer than either value
    assert kernel["high"] - kernel["low"] > 2 * (
        kernel["difference_high"] - kernel["difference_low"]
    )
    assert 0 < kernel["difference_low"] < kernel["difference"] < kernel["difference_high"]


def test_equal_models_do_not_differ() -> None:
    series = 0.3 + noise(1, 24)
    table = by_model(rank_models(evaluations({"ewma": series, "kernel": series}), ROLES))
    assert table.loc["kernel", "verdict"] == "no difference"
    assert table.loc["kernel", ["difference", "difference_low", "difference_high"]].tolist() == [
        0,
        0,
        0,
    ]
    assert table.loc["kernel", "p_value"] == 1


def test_a_difference_that_is_the_same_at_every_cut_off_is_real() -> None:
    series = 0.3 + noise(1, 12)
    table = by_model(rank_models(evaluations({"ewma": series, "kernel": series + 0.25}), ROLES))
    assert table.loc["kernel", "verdict"] == "better"
    assert table.loc["kernel", "p_value"] == pytest.approx(0, abs=1e-9)


def test_holm_agrees_with_a_worked_example() -> None:
    # Holm's steps by hand for 0.01, 0.02, 0.03, 0.04: x 4, x 3, x 2, x 1, never falling
    found = holm(np.array([[0.04, 0.01, math.nan, 0.03, 0.02], [0.5, 0.6, math.nan, 0.7, 0.8]]))
    assert found[0] == pytest.approx([0.06, 0.04, math.nan, 0.06, 0.06], nan_ok=True)
    assert found[1] == pytest.approx([1, 1, math.nan, 1, 1], nan_ok=True)


def test_more_models_make_the_same_difference_less_certain() -> None:
    series = {"ewma": 0.3 + noise(1, 24), "kernel": 0.322 + noise(9, 24)}
    alone = by_model(rank_models(evaluations(series), ROLES)).loc["kernel"]
    others = {f"also_{i}": 0.3 + noise(20 + i, 24) for i in range(8)}
    roles = ROLES | dict.fromkeys(others, "model")
    among = by_model(rank_models(evaluations(series | others), roles)).loc["kernel"]
    assert (alone["verdict"], among["verdict"]) == ("better", "no difference")
    assert alone["p_value"] < among["p_value"] <= 10 * alone["p_value"]
    assert alone["difference_low"] == among["difference_low"] > 0


# --- Intervals ------------------------------------------------------------------------------


def test_the_interval_of_independent_cut_offs_is_that_of_student() -> None:
    series = 0.5 + noise(7, 120, 0.05)
    row = rank_models(evaluations({"ewma": series}), ROLES, resamplings=4000).iloc[0]
    half = student.ppf(0.975, 119) * series.std(ddof=1) / math.sqrt(120)
    assert row["value"] == pytest.approx(series.mean())
    # blocks of 5 lose some certainty, and find what dependence chance has put into the draw
    assert row["high"] - row["low"] == pytest.approx(2 * half, rel=0.2)
    assert row["low"] + row["high"] == pytest.approx(2 * series.mean(), abs=0.2 * half)


@pytest.mark.parametrize(("cut_offs", "horizon", "least", "most"), [
    (24, 1, 0.93, 0.985),
    (24, 3, 0.87, 0.96),
    (60, 12, 0.87, 0.97),
])  # fmt: skip
def test_95_percent_intervals_cover_about_that(
    cut_offs: int, horizon: int, least: float, most: float
) -> None:
    draws = np.random.default_rng(5).standard_normal((800, cut_offs + horizon))
    # outcomes of neighbouring cut-offs overlap, as sums over the next months do
    series = sum(draws[:, i : i + cut_offs] for i in range(horizon)) * (0.02 / horizon) + 0.5
    parts = [
        evaluations({"ewma": row}, horizon=horizon, scope=f"{i:03}") for i, row in enumerate(series)
    ]
    table = rank_models(pd.concat(parts), ROLES, resamplings=400)
    covered = ((table["low"] <= 0.5) & (table["high"] >= 0.5)).mean()
    assert least < covered < most


def test_where_nothing_differs_a_difference_is_rarely_called_real() -> None:
    draws = np.random.default_rng(6).standard_normal((300, 6, 24)) * 0.03 + 0.3
    names = ["ewma", "rolling", "a", "b", "c", "d"]
    parts = [
        evaluations(dict(zip(names, row, strict=True)), scope=f"{i:03}")
        for i, row in enumerate(draws)
    ]
    table = rank_models(pd.concat(parts), ROLES | dict.fromkeys("abcd", "model"), resamplings=400)
    better = (table["verdict"] == "better").groupby(table["scope"]).any()
    assert better.mean() < 0.05


def test_intervals_of_a_share_stay_between_nought_and_one() -> None:
    series = np.tile([0.0, 0.0, 0.0, 0.02], 3)
    low = rank_models(evaluations({"ewma": series}), ROLES).iloc[0]
    high = rank_models(evaluations({"ewma": 1 - series}), ROLES).iloc[0]
    assert low["low"] == 0
    assert high["high"] == 1


def test_a_block_spans_the_cut_offs_whose_outcomes_overlap() -> None:
    monthly, quarterly = list(range(24)), list(range(0, 72, 3))
    assert block_length(monthly, 1) == 3  # the cube root of 24, rounded up
    assert block_length(monthly, 6) == 6
    assert block_length(quarterly, 6) == 3  # two of them overlap
    assert block_length(quarterly, 12) == 4
    assert block_length(list(range(27)), 1) == 3
    assert block_length([0, 30, 60, 90, 120, 150], 7) == 2  # a week ahead, every month
    assert block_length([0, 1, 2], 12) == 3
    assert block_length([], 12) == 1


def test_resampled_blocks_are_runs_that_close_into_a_circle() -> None:
    weights = block_weights(10, 5, 500, 1)
    assert weights.sum(axis=1) == pytest.approx(np.ones(500))
    counts = np.rint(weights * 10).astype(int)
    starts = {tuple(np.flatnonzero(row == 2)) for row in counts if row.max() == 2 == row.sum() / 5}
    assert weights.mean(axis=0) == pytest.approx(np.full(10, 0.1), abs=0.02)
    # the same block twice: five in a row, of which some run over the end
    assert (0, 1, 2, 3, 9) in starts
    assert all(
        any(set(run) == {(first + i) % 10 for i in range(5)} for first in range(10))
        for run in starts
        if len(run) == 5
    )


# --- The table as a whole -------------------------------------------------------------------


def several() -> pd.DataFrame:
    parts = []
    for i, (metric, coverage) in enumerate([("hit_rate", 0.05), ("auroc", None), ("brier", None)]):
        for j, horizon in enumerate((1, 3)):
            seed = 10 * i + j
            parts.append(
                evaluations(
                    {
                        name: 0.2 + 0.01 * k + noise(100 * seed + k, 30)
                        for k, name in enumerate(ROLES)
                    },
                    metric,
                    coverage,
                    horizon,
                )
            )
    return pd.concat(parts, ignore_index=True)


def test_the_table_is_what_its_contract_says() -> None:
    table = rank_models(several(), ROLES)
    assert list(table.columns) == [column.name for column in LEADERBOARD.columns]
    assert list(COLUMNS) == list(table.columns)
    with duckdb.connect() as connection:
        connection.register("found", table)
        stored = connection.sql(f"select {LEADERBOARD.select_list()} from found").df()
        nulls = connection.sql("select count(*) from found where rank is null").fetchone()
    assert nulls == (2 * 6,)
    assert stored["model"].tolist() == table["model"].tolist()
    assert {column.name for column in EVALUATIONS.columns} < set(several().columns)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_rows_and_their_types_change_nothing(seed: int) -> None:
    rows = several()
    mixed = rows.sample(frac=1, random_state=seed)
    for name in ("model", "month", "metric", "scope", "unit", "step", "crime_type"):
        mixed[name] = mixed[name].astype("category")
    pd.testing.assert_frame_equal(rank_models(mixed, ROLES), rank_models(rows, ROLES))


def test_a_ranking_is_the_same_whatever_stands_beside_it() -> None:
    rows = several()
    of_brier = rows["metric"] == "brier"
    alone = rank_models(rows[of_brier], ROLES)
    beside = rank_models(rows, ROLES)
    beside = beside[beside["metric"] == "brier"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, beside)


def test_another_seed_moves_intervals_a_little_and_nothing_else() -> None:
    one, other = rank_models(several(), ROLES), rank_models(several(), ROLES, seed=2)
    assert one["value"].equals(other["value"])
    assert one["low"].tolist() != other["low"].tolist()
    assert one["low"].tolist() == pytest.approx(other["low"].tolist(), abs=0.005)


def test_no_evaluations_make_an_empty_table() -> None:
    rows = several()
    for none in (rows[:0], rows[rows["metric"] == "gini"]):
        table = rank_models(none, ROLES)
        assert list(table.columns) == list(COLUMNS)
        assert not len(table)
        assert not len(skill_over_time(none, ROLES, "hit_rate", 0.05))


def test_a_model_without_a_role_is_named() -> None:
    with pytest.raises(DataError, match="kernel"):
        rank_models(evaluations({"ewma": [1.0], "kernel": [1.0]}), {"ewma": "baseline"})


def test_two_values_of_one_model_at_one_cut_off_are_refused() -> None:
    rows = evaluations({"ewma": [1.0, 2.0]})
    with pytest.raises(DataError, match=r"1 evaluations are there twice.*ewma, month 2020-02"):
        rank_models(pd.concat([rows, rows[1:]]), ROLES)


def test_half_a_million_rows_take_seconds() -> None:
    rows = several()
    tall = pd.concat(
        [rows.assign(scope=f"scope {i}", month=rows["month"]) for i in range(460)],
        ignore_index=True,
    )
    start = time.perf_counter()
    table = rank_models(tall, ROLES)
    assert len(tall) == 460 * 6 * 6 * 30
    assert len(table) == 460 * 36
    assert time.perf_counter() - start < 15


def test_every_metric_of_the_leaderboard_can_be_put_in_words() -> None:
    for metric in LEADERBOARD_METRICS:
        for coverage in (0.05, None):
            values = {"ewma": 0.3 + noise(1, 12), "kernel": 0.32 + noise(2, 12)}
            table = rank_models(evaluations(values, metric, coverage), ROLES)
            sentence = verdict_sentence(table)
            assert sentence.endswith(".")
            assert "nan" not in sentence
            assert len(table[list(GROUP)].drop_duplicates()) == 1


# --- Skill over time ------------------------------------------------------------------------


def test_skill_over_time_is_the_difference_to_one_baseline_at_each_cut_off() -> None:
    nan = math.nan
    rows = pd.concat(
        [
            evaluations(
                {"ewma": [0.3, 0.5], "rolling": [0.4, 0.3], "kernel": [0.5, 0.2], "chance": [0, 0]}
            ),
            evaluations({"ewma": [9, 9], "kernel": [8, 8]}, coverage=0.1),
            evaluations({"ewma": [0.4, 0.6], "kernel": [nan, 0.6]}, scope="kent"),
        ]
    )
    skill = skill_over_time(rows, ROLES, "hit_rate", 0.05)
    gwent = skill[skill["scope"] == "gwent"]
    kernel = gwent[gwent["model"] == "kernel"]
    assert kernel["month"].tolist() == ["2020-01", "2020-02"]
    assert kernel["against"].tolist() == ["ewma", "ewma"]  # 0.4 on average, rolling 0.35
    assert kernel["difference"].tolist() == pytest.approx([0.2, -0.3])
    assert gwent.loc[gwent["model"] == "ewma", "against"].tolist() == ["rolling", "rolling"]
    kent = skill[skill["scope"] == "kent"]
    assert kent[["model", "month"]].to_numpy().tolist() == [["kernel", "2020-02"]]


# --- Sentences ------------------------------------------------------------------------------


def row(**changed: object) -> dict[str, object]:
    return {
        "unit": "hex",
        "scope": "gwent",
        "crime_type": "Drugs",
        "step": "month",
        "horizon_steps": 1,
        "metric": "hit_rate",
        "coverage": 0.05,
        "rank": 1,
        "model": "rolling_mean_12",
        "cut_offs": 24,
        "value": 0.312,
        "low": 0.298,
        "high": 0.325,
        "against": "ewma",
        "difference": 0.004,
        "difference_low": 0.001,
        "difference_high": 0.007,
        "verdict": "better",
    } | changed


def test_a_sentence_says_what_won_by_how_much_and_that_it_is_real() -> None:
    rows = pd.DataFrame([row(), row(rank=2, model="ewma", value=0.308)])
    assert verdict_sentence(rows) == (
        "Rolling mean 12 captured 31.2 % (29.8 to 32.5) of the crimes in 5 % of the area, "
        "0.4 points (0.1 to 0.7) more than ewma; the difference is real."
    )
    assert verdict_sentence(rows, {"ewma": "Exponential mean"}).endswith(
        "more than Exponential mean; the difference is real."
    )


def test_a_sentence_is_honest_about_chance_and_about_too_few_cut_offs() -> None:
    by_chance = row(verdict="no difference", difference_low=-0.002)
    assert verdict_sentence(pd.DataFrame([by_chance])).endswith(
        "0.4 points (−0.2 to 0.7) more than ewma; the difference may be chance."
    )
    few = dict.fromkeys(("low", "high", "difference_low", "difference_high"), math.nan)
    assert verdict_sentence(pd.DataFrame([row(verdict="too few cut-offs", cut_offs=4, **few)])) == (
        "Rolling mean 12 captured 31.2 % of the crimes in 5 % of the area, 0.4 points more than "
        "ewma; 4 cut-offs are too few to say whether the difference is real."
    )


def test_a_sentence_knows_ties_a_lack_of_baselines_and_other_metrics() -> None:
    level = pd.DataFrame([row(), row(model="ewma")])
    assert verdict_sentence(level) == (
        "Ewma and rolling mean 12 captured 31.2 % (29.8 to 32.5) of the crimes in 5 % of the area "
        "each; there is no telling them apart."
    )
    alone = pd.DataFrame([row(against=None, verdict=None)])
    assert verdict_sentence(alone).endswith("there is no other baseline to compare it with.")
    brier = row(
        metric="brier",
        coverage=math.nan,
        value=0.0123,
        low=0.0121,
        high=0.0125,
        difference=-0.001,
        difference_low=-0.0015,
        difference_high=-0.0005,
    )
    assert verdict_sentence(pd.DataFrame([brier])) == (
        "Rolling mean 12 had the lowest Brier score, 0.0123 (0.0121 to 0.0125), 0.00100 (0.000500 "
        "to 0.00150) less than ewma; the difference is real."
    )
    streets = row(unit="segment", metric="pai", value=6.24, low=5.9, high=6.5, coverage=0.005)
    assert verdict_sentence(pd.DataFrame([streets])).startswith(
        "Rolling mean 12 had the highest PAI in 0.5 % of the street length, 6.24 (5.90 to 6.50), "
    )
    nobody = pd.DataFrame([row(rank=None)])
    assert verdict_sentence(nobody) == "No forecaster could be ranked."


def test_a_sentence_is_for_one_ranking() -> None:
    with pytest.raises(ValueError, match="rows of 2 rankings"):
        verdict_sentence(pd.DataFrame([row(), row(horizon_steps=3)]))


# --- Against the naive rule -----------------------------------------------------------------


def test_each_model_is_compared_with_the_naive_rule_whatever_is_best() -> None:
    base = 0.5 + noise(1, 24)
    table = by_model(
        rank_models(
            evaluations(
                {
                    "rolling": base,
                    "ewma": base + 0.02 + noise(2, 24, 0.002),
                    "kernel": base - 0.03 + noise(3, 24, 0.002),
                }
            ),
            ROLES,
            naive="rolling",
        )
    )
    for model, apart in (("ewma", 0.02), ("kernel", -0.03)):
        row = table.loc[model]
        assert row["naive_difference"] == pytest.approx(apart, abs=0.002)
        assert row["naive_low"] < row["naive_difference"] < row["naive_high"]
        assert row["naive_verdict"] == ("better" if apart > 0 else "worse")
    assert table.loc["kernel", "against"] == "ewma"
    assert table.loc["kernel", "difference"] == pytest.approx(-0.05, abs=0.003)
    rule = table.loc["rolling"]
    assert math.isnan(rule["naive_difference"])
    assert pd.isna(rule["naive_verdict"])


def test_without_the_naive_rule_nothing_is_said_of_it() -> None:
    table = rank_models(evaluations({"ewma": [0.5] * 8, "kernel": [0.4] * 8}), ROLES)
    assert table["naive_difference"].isna().all()
    assert table["naive_verdict"].isna().all()


def test_models_without_a_cut_off_in_common_have_no_ranking() -> None:
    apart = evaluations({"rolling": [0.5, math.nan] * 4, "ewma": [math.nan, 0.4] * 4})
    together = evaluations({"rolling": [0.5] * 8, "ewma": [0.4] * 8}, metric="pai")
    table = rank_models(pd.concat([apart, together]), ROLES)
    assert set(table["metric"]) == {"pai"}
    assert table["value"].notna().all()


@pytest.mark.parametrize("metric", ["recapture_rate_index", "jaccard"])
def test_no_model_is_ranked_by_what_is_not_better_for_being_more(metric: str) -> None:
    base = 0.5 + noise(1, 24)
    table = rank_models(
        evaluations({"rolling": base, "ewma": base + 0.1}, metric=metric), ROLES, naive="rolling"
    )
    assert table["rank"].isna().all()
    assert table["verdict"].isna().all()
    assert table["naive_verdict"].isna().all()
    assert (table["low"] < table["value"]).all()
    assert by_model(table).loc["ewma", "difference"] == pytest.approx(0.1)


def test_without_all_crime_there_is_a_sentence_for_each_type() -> None:
    table = rank_models(evaluations({"rolling": [0.5] * 8, "ewma": [0.4] * 8}), ROLES)
    (sentence,) = headlines(table, "hit_rate", 0.05)
    assert sentence.startswith("gwent, Drugs, 1 month: Rolling captured 50.0 %")
    assert headlines(table, "hit_rate", 0.01) == []
