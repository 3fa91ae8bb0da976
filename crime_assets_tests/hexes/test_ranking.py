"""Rankings, frequency and summary, against brute force in pandas and values worked by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crime_assets.hexes import ranking
from crime_assets.hexes.concentration import poisson_gini
from crime_assets.lake import DuckDB
from crime_assets.partitions import months_back
from crime_assets.register import ALL_CRIME, CRIME_TYPES
from crime_assets_tests.conftest import FORCES_2025, RealLake

TYPES_IN_USE = [t.crime_type for t in CRIME_TYPES.values() if not t.last_month]


def present(coverage: pd.DataFrame, months: list[str]) -> set[str]:
    """The forces that published in every one of these months."""
    there = coverage[coverage.status.isin(["published", "partial"]) & (coverage.rows > 0)]
    return set.intersection(*(set(there[there.month == m].force) for m in months))


def brute_force_hotspots(
    counts: pd.DataFrame,
    coverage: pd.DataFrame,
    scopes: pd.DataFrame,
    scope_cells: pd.DataFrame,
    month: str,
) -> pd.DataFrame:
    """Every ranking by itself: sum, sort, cut at k. Columns as in ``hotspots``, fewer of them."""
    members = {scope: set(cells.hex_id) for scope, cells in scope_cells.groupby("scope")}
    found = []
    for window in (1, 3, 12):
        months = months_back(month, window)
        if not set(months) <= set(coverage.month):
            continue
        forces = present(coverage, months)
        inside = counts[counts.month.isin(months)]
        by_type = {t: c.groupby("hex_id").crimes.sum() for t, c in inside.groupby("crime_type")}
        by_type[ALL_CRIME] = inside.groupby("hex_id").crimes.sum()
        for scope in scopes.itertuples():
            if not set(scope.forces) <= forces:
                continue
            if scope.kind == "nation" and not all(present(coverage, [m]) for m in months):
                continue
            for crime_type in [*TYPES_IN_USE, ALL_CRIME]:
                scores = by_type.get(crime_type, pd.Series(dtype=int))
                scores = scores[scores.index.isin(members[scope.scope])]
                order = sorted(scores.items(), key=lambda cell: (-cell[1], cell[0]))
                limit = order[: scope.k]
                left_out = {score for _, score in order[scope.k :]}
                found += [
                    (scope.scope, crime_type, window, rank, cell, score, score in left_out)
                    for rank, (cell, score) in enumerate(limit, 1)
                ]
    columns = ["scope", "crime_type", "window_months", "rank", "hex_id", "crimes", "tied"]
    return pd.DataFrame(found, columns=columns)


@pytest.mark.slow
@pytest.mark.parametrize("month", ["2025-12", "2025-08", "2024-02"])
def test_hotspots_equal_a_brute_force_ranking_of_real_data(real_lake: RealLake, month: str) -> None:
    with duckdb.connect() as connection:
        partitions = [{"month": m} for m in months_back(month, 12)]
        for table in ("hex_counts", "coverage"):
            real_lake.lake.view(connection, table, partitions)
        for table in ("scopes", "scope_cells"):
            real_lake.lake.view(connection, table)
        real_lake.lake.view(connection, "hotspots", [{"month": month}])
        tables = [
            connection.execute(f"from {t}").df()
            for t in ("hex_counts", "coverage", "scopes", "scope_cells")
        ]
        ours = connection.execute(
            "select scope, crime_type, window_months, rank, hex_id, crimes, tied from hotspots"
        ).df()
    expected = brute_force_hotspots(*tables, month)
    assert len(expected) > 5_000
    assert expected.tied.sum() > 100
    key = ["scope", "crime_type", "window_months", "rank"]
    ours = ours.sort_values(key, ignore_index=True)
    expected = expected.sort_values(key, ignore_index=True)
    pd.testing.assert_frame_equal(ours, expected, check_dtype=False)


@pytest.mark.slow
def test_a_short_window_is_not_ranked_as_a_full_one(real_lake: RealLake) -> None:
    """Avon and Somerset lacks months of 2025: its own rankings are missing, the nation's not."""
    with duckdb.connect() as connection:
        months = [{"month": m} for m in months_back("2025-12", 36)]
        for table in ("coverage", "hotspots", "hotspot_summary"):
            real_lake.lake.view(connection, table, months)
        gaps = connection.execute(
            "select month from coverage where force = 'avon-and-somerset' and status = "
            "'not_published' and month >= '2025-01'"
        ).fetchall()
        assert len(gaps) == 6
        ranked = connection.execute(
            "select distinct month, window_months from hotspots where scope = 'avon-and-somerset'"
        ).fetchall()
        for month, window in ranked:
            assert not {m for (m,) in gaps} & set(months_back(month, window))
        assert (min(m for m, w in ranked if w == 1)) >= "2025-01"
        assert not [m for m, w in ranked if w == 12]
        (reason,) = connection.execute(
            "select any_value(reason) from hotspot_summary where scope = 'avon-and-somerset' "
            "and month = '2025-12' and window_months = 12"
        ).fetchone() or ("",)
        assert reason == "avon-and-somerset did not publish every month"
        # the nation is ranked from the first month on that has twelve months behind it
        (first,) = connection.execute(
            "select min(month) from hotspots where scope = 'england-and-wales' "
            "and window_months = 12"
        ).fetchone() or ("",)
        assert first == "2023-12"
        (listed,) = connection.execute(
            "select any_value(forces_present) from hotspots where scope = 'england-and-wales' and "
            "window_months = 12 and month = '2025-12'"
        ).fetchone() or ([],)
        assert listed == sorted(set(FORCES_2025) - {"avon-and-somerset"})


@pytest.mark.slow
def test_frequency_equals_counting_windows_one_by_one(real_lake: RealLake) -> None:
    month = "2025-12"
    months = months_back(month, 36)
    with duckdb.connect() as connection:
        for table in ("hotspots", "coverage"):
            real_lake.lake.view(connection, table, [{"month": m} for m in months])
        real_lake.lake.view(connection, "hotspot_frequency", [{"month": month}])
        hotspots = connection.execute("from hotspots").df()
        coverage = connection.execute("from coverage").df()
        ours = connection.execute("from hotspot_frequency").df()
    expected = []
    for scope in ("england-and-wales", "gwent", "city-of-london", "essex"):
        for window in (1, 3, 12):
            ends = [
                end
                for first, end in zip(months, months[window - 1 :], strict=False)
                if scope == "england-and-wales"
                or scope in present(coverage, months_back(end, window))
            ]
            n = len(ends)
            if n < (37 - window) / 2:
                continue
            late = set(ends[n - int(np.ceil(n / 3)) :])
            for crime_type in [*TYPES_IN_USE, ALL_CRIME]:
                of = hotspots[
                    (hotspots.scope == scope)
                    & (hotspots.crime_type == crime_type)
                    & (hotspots.window_months == window)
                    & hotspots.month.isin(ends)
                ]
                cells = []
                for cell, rows in of.groupby("hex_id"):
                    hit_months = set(rows.month)
                    hits = len(hit_months)
                    if hits / n >= 0.8:
                        persistence = "persistent"
                    elif hit_months <= late and ends[-1] in hit_months:
                        persistence = "emerging"
                    elif not hit_months & late:
                        persistence = "former"
                    else:
                        persistence = "intermittent"
                    cells.append((-hits, cell, hits, n, persistence))
                expected += [
                    (scope, crime_type, window, rank, cell, hits, n, persistence)
                    for rank, (_, cell, hits, n, persistence) in enumerate(sorted(cells), 1)
                ]
    columns = [
        "scope", "crime_type", "window_months", "rank", "hex_id", "hits", "windows", "persistence",
    ]  # fmt: skip
    expected_frame = pd.DataFrame(expected, columns=columns)
    assert set(expected_frame.persistence) == {"persistent", "emerging", "former", "intermittent"}
    assert "essex" not in set(expected_frame.scope)  # published 12 of 36 months
    assert {34, 25} <= set(expected_frame.windows)
    ours = ours[ours.scope.isin(["england-and-wales", "gwent", "city-of-london", "essex"])]
    key = columns[:4]
    pd.testing.assert_frame_equal(
        ours[columns].sort_values(key, ignore_index=True),
        expected_frame.sort_values(key, ignore_index=True),
        check_dtype=False,
    )
    np.testing.assert_allclose(ours.frequency, ours.hits / ours.windows)


@pytest.mark.slow
def test_the_summary_equals_figures_from_whole_vectors_of_cells(real_lake: RealLake) -> None:
    """Captured, Jaccard, Gini and the tie band, from one number a cell, empty cells included."""
    with duckdb.connect() as connection:
        real_lake.lake.view(
            connection, "hex_counts", [{"month": m} for m in months_back("2025-12", 12)]
        )
        real_lake.lake.view(connection, "hotspots", [{"month": m} for m in ("2025-11", "2025-12")])
        real_lake.lake.view(connection, "hotspot_summary", [{"month": "2025-12"}])
        for table in ("scopes", "scope_cells"):
            real_lake.lake.view(connection, table)
        scopes = connection.execute("from scopes").df().set_index("scope")
        cases = [
            ("england-and-wales", "Burglary", 12),
            ("merseyside", "Possession of weapons", 3),
            ("gwent", ALL_CRIME, 12),
            ("city-of-london", "Robbery", 1),
        ]
        for scope, crime_type, window in cases:
            case = {"scope": scope, "type": crime_type, "window": window}
            first = months_back("2025-12", window)[0]
            crimes = connection.execute(
                "select sum(crimes)::double as n from hex_counts semi join (select hex_id from "
                "scope_cells where scope = $scope) using (hex_id) where month >= $first and "
                "(crime_type = $type or $type = 'All crime') group by hex_id",
                {"scope": scope, "type": crime_type, "first": first},
            ).fetchnumpy()["n"]
            cells, k = scopes.loc[scope, "cells"], scopes.loc[scope, "k"]
            vector = np.sort(np.concatenate([np.zeros(cells - len(crimes)), crimes]))
            lorenz = np.concatenate([[0], np.cumsum(vector)]) / vector.sum()
            gini = 1 - np.mean(lorenz[1:] + lorenz[:-1])
            null = poisson_gini(vector.mean())
            limit = vector[::-1][k - 1]
            band = int((vector == limit).sum()) if limit and (vector >= limit).sum() > k else 0
            now, before = (
                {
                    cell
                    for (cell,) in connection.execute(
                        "select hex_id from hotspots where scope = $scope and crime_type = $type "
                        "and window_months = $window and month = $month",
                        case | {"month": month},
                    ).fetchall()
                }
                for month in ("2025-12", "2025-11")
            )
            ours = connection.execute(
                "select crimes, captured, jaccard, gini, modified_gini, tie_band from "
                "hotspot_summary where scope = $scope and crime_type = $type and "
                "window_months = $window",
                case,
            ).fetchone()
            assert ours == pytest.approx(
                (
                    vector.sum(),
                    vector[::-1][:k].sum() / vector.sum(),
                    len(now & before) / len(now | before),
                    gini,
                    (gini - null) / (1 - null),
                    band,
                )
            ), case


# --- small worlds ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=2).get_connection() as connection:
        yield connection


def small_world(
    connection: duckdb.DuckDBPyConnection,
    counts: pd.DataFrame,
    coverage: list[tuple[str, str]],
    k: int = 2,
    cells: int = 20,
) -> None:
    """Views of a study area of one force, ``kent``, whose cells are 0 .. ``cells`` - 1.

    ``counts`` has month, crime_type, hex_id and crimes; ``coverage`` months and status.
    """
    connection.register("given_counts", counts)
    connection.execute(
        "create or replace temp table hex_counts as select 'kent' as force, * from given_counts"
    )
    connection.execute(
        "create or replace temp table snap_counts as select crime_type, hex_id, "
        "0.0::double as longitude, hex_id::double as latitude, crimes, month from given_counts"
    )
    rows = pd.DataFrame(coverage, columns=["month", "status"])
    connection.register("given_coverage", rows)
    connection.execute(
        "create or replace temp table coverage as select month, 'kent' as force, status, "
        "if(status = 'published', 100, null)::bigint as rows from given_coverage"
    )
    connection.execute(
        f"""
        create or replace temp table scopes as
        select 'study-area' as scope, 'nation' as kind, []::varchar[] as forces,
            {cells} as cells, {k} as k
        union all
        select 'kent', 'force', ['kent'], {cells}, {k}
        """
    )
    connection.execute(
        f"create or replace temp table scope_cells as select scope, hex_id::integer as hex_id "
        f"from scopes, range({cells}) as r(hex_id)"
    )


def frame(rows: list[tuple[str, str, int, int]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["month", "crime_type", "hex_id", "crimes"])


def test_equal_scores_stand_in_order_of_id_and_a_tie_is_said(
    database: duckdb.DuckDBPyConnection,
) -> None:
    rows = [("2025-09", "Burglary", cell, 3 if cell == 9 else 1) for cell in (9, 4, 7, 2)]
    small_world(database, frame(rows), [("2025-09", "published")])
    ranking.rank_hotspots(database, "2025-09", {})
    found = database.execute(
        "select rank, hex_id, crimes, tied from hotspots where scope = 'kent' "
        "and crime_type = 'Burglary'"
    ).fetchall()
    # k is 2: cell 9, then the first of the three cells with one crime, which tie
    assert found == [(1, 9, 3, False), (2, 2, 1, True)]


def test_a_cell_without_a_crime_is_no_hotspot(database: duckdb.DuckDBPyConnection) -> None:
    small_world(database, frame([("2025-09", "Drugs", 5, 1)]), [("2025-09", "published")], k=4)
    ranking.rank_hotspots(database, "2025-09", {})
    found = database.execute(
        "select hex_id, k, tied from hotspots where scope = 'kent' and crime_type = 'Drugs'"
    ).fetchall()
    assert found == [(5, 4, False)]


def test_a_legacy_type_counts_in_all_crime_only(database: duckdb.DuckDBPyConnection) -> None:
    rows = [("2012-03", "Violent crime", 1, 5), ("2012-03", "Burglary", 1, 1)]
    small_world(database, frame(rows), [("2012-03", "published")])
    ranking.rank_hotspots(database, "2012-03", {})
    found = database.execute(
        "select crime_type, crimes from hotspots where scope = 'kent' order by 1"
    ).fetchall()
    assert found == [("All crime", 6), ("Burglary", 1)]


def test_a_window_before_a_type_was_introduced_is_not_ranked(
    database: duckdb.DuckDBPyConnection,
) -> None:
    months = months_back("2013-06", 3)
    rows = [(m, "Bicycle theft", 1, 2) for m in months[1:]]
    rows += [(m, "Burglary", 1, 2) for m in months]
    small_world(database, frame(rows), [(m, "published") for m in months])
    ranking.rank_hotspots(database, "2013-06", {})
    ranked = database.execute(
        "select crime_type, window_months from hotspots where scope = 'kent' order by all"
    ).fetchall()
    assert ("Burglary", 3) in ranked
    assert ("Bicycle theft", 1) in ranked
    assert ("Bicycle theft", 3) not in ranked
    (reason,) = database.execute(
        "select reason from complete_windows where scope = 'kent' and window_months = 3 "
        "and crime_type = 'Bicycle theft'"
    ).fetchone() or ("",)
    assert reason == "police.uk has this type from 2013-05"


def test_harm_ranks_by_the_sum_of_weights(
    database: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    file = tmp_path / "harm.csv"
    file.write_text("crime_type,weight\nRobbery,365\nShoplifting,0.5\n")
    weights = ranking.read_weights(str(file))
    assert weights == {"Robbery": 365_000, "Shoplifting": 500}
    # burglary has no weight: it counts among the crimes of a cell, and weighs nothing
    rows = [
        ("2025-09", "Shoplifting", 3, 9),
        ("2025-09", "Robbery", 8, 1),
        ("2025-09", "Burglary", 8, 2),
        ("2025-09", "Burglary", 5, 4),
    ]
    small_world(database, frame(rows), [("2025-09", "published")], k=3)
    ranking.rank_hotspots(database, "2025-09", weights)
    found = database.execute(
        "select rank, hex_id, crimes, score::varchar, largest_share from hotspots "
        "where scope = 'kent' and crime_type = 'Crime harm' order by rank"
    ).fetchall()
    assert found == [(1, 8, 3, "365.000", 1.0), (2, 3, 9, "4.500", 1.0)]
    top = database.execute(
        "select hex_id from hotspots where scope = 'kent' and crime_type = 'All crime' and rank = 1"
    ).fetchone()
    assert top == (3,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crime_type,weight\nMurder,1\n", "line 2: police.uk has no crime type 'Murder'"),
        ("crime_type,weight\nRobbery,much\n", "line 2: the weight 'much' is no number"),
        ("crime_type,weight\nRobbery,-1\n", "line 2: the weight '-1' is no number"),
        ("crime_type,weight\nRobbery,0.0001\n", "at most three decimals"),
        ("crime_type,weight\nRobbery\n", "line 2: the weight None is no number"),
        ("crime_type,weight\nRobbery,1e400\n", "line 2: the weight '1e400' is no number"),
        ("crime_type,weight\nRobbery,nan\n", "line 2: the weight 'nan' is no number"),
        ("crime_type,weight\nRobbery,1\nRobbery,2\n", "line 3: Robbery has a weight already"),
        ("type,harm\nRobbery,1\n", "it needs a header crime_type,weight"),
    ],
)
def test_a_file_that_is_no_harm_index_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "harm.csv"
    file.write_text(text)
    with pytest.raises(ranking.WeightsError, match=message):
        ranking.read_weights(str(file))


@pytest.mark.parametrize(
    ("hot_months", "persistence"),
    [
        (range(36), "persistent"),
        (range(29), "persistent"),  # 29 of 36 is 80.6 %
        (range(28), "intermittent"),  # 28 of 36 is 77.8 %
        ([35], "emerging"),
        ([24, 35], "emerging"),  # late is the last 12: months 24..35
        ([23, 35], "intermittent"),
        ([24, 34], "intermittent"),  # late, but not in the last window
        ([23], "former"),
        ([0, 11, 23], "former"),
    ],
)
def test_persistence_by_hand(
    database: duckdb.DuckDBPyConnection, hot_months: range | list[int], persistence: str
) -> None:
    months = months_back("2025-12", 36)
    small_world(database, frame([]), [(m, "published") for m in months])
    hits = [{"month": months[i]} for i in hot_months]
    database.execute(
        "create or replace temp table hotspots as select 'kent' as scope, 'Drugs' as crime_type, "
        '1 as window_months, 7 as hex_id, unnest(from_json($hits, \'[{"month": "varchar"}]\'), '
        "recursive := true)",
        {"hits": json.dumps(hits)},
    )
    ranking.count_frequency(database, "2025-12", {})
    found = database.execute("select hits, windows, persistence from hotspot_frequency").fetchall()
    assert found == [(len(hits), 36, persistence)]


def test_below_half_of_the_windows_there_is_no_frequency(
    database: duckdb.DuckDBPyConnection,
) -> None:
    months = months_back("2025-12", 36)
    for published, expected in ((18, [(18, 18)]), (17, [])):
        cover = [
            (m, "published" if i < published else "not_published") for i, m in enumerate(months)
        ]
        small_world(database, frame([]), cover)
        hits = [{"month": m} for m in months[:published]]
        database.execute(
            "create or replace temp table hotspots as select 'kent' as scope, 'Drugs' as "
            "crime_type, 1 as window_months, 7 as hex_id, "
            'unnest(from_json($hits, \'[{"month": "varchar"}]\'), recursive := true)',
            {"hits": json.dumps(hits)},
        )
        ranking.count_frequency(database, "2025-12", {})
        found = database.execute("select hits, windows from hotspot_frequency").fetchall()
        assert found == expected


def ranked_alone(connection: duckdb.DuckDBPyConnection, month: str) -> list[list[Any]]:
    ranking.find_complete_windows(connection, [month], {})
    return ranking.rankings_made(connection, month)


def test_a_window_that_was_not_ranked_counts_neither_as_hit_nor_as_window(
    database: duckdb.DuckDBPyConnection,
) -> None:
    """A ward that came later: of the 36 months two were ranked with it."""
    months = months_back("2025-12", 36)
    rows = [(m, "Drugs", 7, 5) for m in months]
    cover = [(m, "published") for m in months]
    small_world(database, frame(rows), cover)
    without = {m: ranked_alone(database, m) for m in months[:-2]}
    database.execute(
        "insert into scopes values ('ward', 'polygon', ['kent'], 20, 2);"
        "insert into scope_cells select 'ward', hex_id from scope_cells where scope = 'kent'"
    )
    made = without | {m: ranked_alone(database, m) for m in months[-2:]}
    database.execute(
        "create or replace temp table hotspots as "
        "select scope, 'Drugs' as crime_type, 1 as window_months, 7 as hex_id, month "
        "from (select unnest($months) as month), (select distinct scope from scopes) "
        "where scope <> 'ward' or month >= $ward_from",
        {"months": months, "ward_from": months[-2]},
    )
    hits = (
        "select scope, hits, windows from hotspot_frequency where crime_type = 'Drugs' order by 1"
    )
    ranking.count_frequency(database, months[-1], {}, made)
    assert database.execute(hits).fetchall() == [("kent", 36, 36), ("study-area", 36, 36)]
    # of months of which it is not known, what could have been ranked counts
    ranking.count_frequency(database, months[-1], {})
    assert ("ward", 2, 36) in database.execute(hits).fetchall()
    # half of them: from then on it has a row, of the windows that were ranked
    half = {m: ranked_alone(database, m) for m in months[18:]}
    ranking.count_frequency(database, months[-1], {}, without | half)
    assert ("ward", 2, 18) in database.execute(hits).fetchall()


def test_stability_is_of_rankings_that_were_made(database: duckdb.DuckDBPyConnection) -> None:
    before, month = months_back("2025-12", 2)
    small_world(
        database,
        frame([(m, "Drugs", 7, 5) for m in (before, month)]),
        [(m, "published") for m in (before, month)],
    )
    without_kent = [
        [crime_type, w, [s for s in scopes if s != "kent"]]
        for crime_type, w, scopes in ranked_alone(database, before)
    ]
    hottest = []
    for of in (before, month):
        ranking.rank_hotspots(database, of, {})
        hottest.append(database.execute("select *, $m as month from hotspots", {"m": of}).df())
    found = pd.concat(hottest)
    found = found[(found["month"] == month) | (found["scope"] != "kent")]
    database.register("two_months", found)
    database.execute("create or replace temp table hotspots as select * from two_months")
    ranking.summarise_hotspots(database, month, {}, {before: without_kent})
    jaccard = dict(
        database.execute(
            "select scope, jaccard from hotspot_summary "
            "where crime_type = 'Drugs' and window_months = 1"
        ).fetchall()
    )
    assert jaccard == {"kent": None, "study-area": 1.0}


counts_of_a_month = st.lists(
    st.tuples(st.sampled_from(["Burglary", "Drugs"]), st.integers(0, 19), st.integers(1, 4)),
    max_size=30,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    published=st.lists(st.booleans(), min_size=12, max_size=12),
    months=st.lists(counts_of_a_month, min_size=12, max_size=12),
    k=st.integers(1, 6),
    shuffle=st.randoms(use_true_random=False),
)
def test_any_counts_rank_as_brute_force_does_in_any_order_of_rows(
    database: duckdb.DuckDBPyConnection,
    published: list[bool],
    months: list[list[tuple[str, int, int]]],
    k: int,
    shuffle: object,
) -> None:
    names = months_back("2025-12", 12)
    published = [*published[:-1], True]
    rows = [
        (name, crime_type, cell, crimes)
        for name, there, month in zip(names, published, months, strict=True)
        if there
        for crime_type, cell, crimes in month
    ]
    counts = frame(rows).groupby(["month", "crime_type", "hex_id"], as_index=False).sum()
    if counts.empty:
        counts = frame([])
        counts = counts.astype({"month": str, "crime_type": str, "hex_id": int, "crimes": int})
    order = list(range(len(counts)))
    shuffle.shuffle(order)  # type: ignore[attr-defined]
    cover = [
        (n, "published" if there else "not_published")
        for n, there in zip(names, published, strict=True)
    ]
    small_world(database, counts.iloc[order].reset_index(drop=True), cover, k=k)
    ranking.rank_hotspots(database, "2025-12", {})
    ours = database.execute(
        "select scope, crime_type, window_months, rank, hex_id, crimes, tied from hotspots"
    ).df()
    tables = [database.execute(f"from {t}").df() for t in ("coverage", "scopes", "scope_cells")]
    expected = brute_force_hotspots(counts, *tables, "2025-12")
    key = ["scope", "crime_type", "window_months", "rank"]
    pd.testing.assert_frame_equal(
        ours.sort_values(key, ignore_index=True),
        expected.sort_values(key, ignore_index=True),
        check_dtype=False,
    )


@pytest.mark.slow
def test_the_same_hotspots_on_any_number_of_threads(real_lake: RealLake, tmp_path: Path) -> None:
    digests = set()
    for threads in (1, 2, 5):
        with DuckDB(threads=threads).get_connection() as connection:
            months = [{"month": m} for m in months_back("2025-12", 12)]
            for table in ("coverage", "hex_counts", "snap_counts"):
                real_lake.lake.view(connection, table, months)
            for table in ("scopes", "scope_cells"):
                real_lake.lake.view(connection, table)
            ranking.rank_hotspots(connection, "2025-12", {})
            lake = type(real_lake.lake)(tmp_path / str(threads))
            made = {"rankings": ranking.rankings_made(connection, "2025-12")}
            published = lake.publish(connection, "hotspots", "hotspots", {"month": "2025-12"}, made)
            digests.add(published.sha256)
    with real_lake.lake.path("hotspots", {"month": "2025-12"}).open("rb") as file:
        import hashlib

        digests.add(hashlib.file_digest(file, "sha256").hexdigest())
    assert len(digests) == 1


# --- concentration ---------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [0.01, 0.3, 1.0, 7.5])
def test_the_gini_of_a_poisson_is_that_of_its_probabilities(mean: float) -> None:
    from scipy.stats import poisson

    values = np.arange(0, 200)
    weights = poisson.pmf(values, mean)
    difference = np.abs(values[:, None] - values[None, :]) * weights[:, None] * weights[None, :]
    assert poisson_gini(mean) == pytest.approx(difference.sum() / (2 * mean), rel=1e-9)


def test_rare_crimes_look_concentrated_by_chance() -> None:
    means = [0.001, 0.01, 0.1, 1, 10, 100]
    assert all(rarer > denser for rarer, denser in pairwise(map(poisson_gini, means)))
    assert poisson_gini(0.001) > 0.99


@pytest.mark.parametrize("mean", [0.0, -1.0, float("nan"), float("inf")])
def test_no_crimes_have_no_gini(mean: float) -> None:
    with pytest.raises(ValueError, match="has no Gini coefficient"):
        poisson_gini(mean)
