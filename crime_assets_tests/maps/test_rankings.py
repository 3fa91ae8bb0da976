"""What the map says of cells, against hotspots counted month by month and values worked by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crime_assets.hexes import grid, ranking
from crime_assets.lake import DuckDB, create
from crime_assets.maps import rankings
from crime_assets.maps.rankings import Ranking, contradictions, month_crimes, show_cells
from crime_assets.partitions import months_back
from crime_assets.register import ALL_CRIME

MONTH = "2025-12"
SPAN = months_back(MONTH, 36)
WINDOWS = (1, 3, 12)
UNCOVERED, KENT_MISSING = SPAN[6], SPAN[2]
"""A month of which nobody published anything, and one of which Kent alone did not."""

WEIGHTS = {"Burglary": 2_500, "Drugs": 1_000}
NATION, KENT = "england-and-wales", "kent"
K = {NATION: 3, KENT: 2}
EAST, NORTH = np.meshgrid(np.arange(500_000, 502_000, 40), np.arange(150_000, 151_000, 40))
CELLS = np.unique(grid.hex_ids(EAST, NORTH))
CELLS = CELLS[(grid.centres(CELLS)[0] < 501_800) & (grid.centres(CELLS)[1] < 150_700)]
KENT_CELLS = CELLS[grid.centres(CELLS)[0] < 501_000]
COAST = int(CELLS[0])
"""A cell whose centre lies in no area."""

NO_PLACE, UNNAMED, TYPED = (int(cell) for cell in CELLS[:3])
"""Cells whose crimes lie on no place, on one without a name, and on one of 'No Location'."""


def drawn_counts() -> pd.DataFrame:
    """Few crimes by chance, so that many cells tie; none of the month that is not covered."""
    rng = np.random.default_rng(4)
    heat = rng.gamma(0.6, 1.5, size=len(CELLS))
    rows = [
        (month, "kent" if cell in KENT_CELLS else "essex", crime_type, cell, int(crimes))
        for month in SPAN
        if month != UNCOVERED
        for crime_type in ("Burglary", "Drugs", "Violent crime")
        for cell, crimes in zip(CELLS.tolist(), rng.poisson(heat), strict=True)
        if crimes and not (month == KENT_MISSING and cell in KENT_CELLS)
    ]
    return pd.DataFrame(rows, columns=["month", "force", "crime_type", "hex_id", "crimes"])


COUNTS = drawn_counts()


def make_world(connection: duckdb.DuckDBPyConnection) -> None:
    """The tables that a map is made of, of two forces and 36 months, ranked by the pipeline.

    Essex is no scope. Kent's cells end where Essex's begin, at an easting of 501 km.
    """
    easting, northing = grid.centres(CELLS)
    connection.register("given_counts", COUNTS)
    connection.register("given_cells", {"hex_id": CELLS, "easting": easting, "northing": northing})
    connection.execute(
        f"""
        create or replace temp table all_hex_counts as
        select month, force, crime_type, hex_id::integer as hex_id, crimes from given_counts
        order by all;
        create or replace temp table all_snap_counts as
        select month, crime_type, hex_id, 0.0 + hex_id as longitude, 51.0 as latitude,
            case
                when hex_id = {NO_PLACE} then null
                when hex_id = {UNNAMED} then 'On or near '
                when hex_id = {TYPED} then 'No Location'
                else 'On or near Street ' || hex_id % 3
            end as location,
            sum(crimes)::integer as crimes
        from all_hex_counts group by all order by all;
        create or replace temp table coverage as
        select month, force,
            case
                when force = 'kent' and month = '{KENT_MISSING}' then 'not_published'
                when force = 'essex' and month = '{SPAN[3]}' then 'partial'
                else 'published'
            end as status,
            if(month < '2025-07', '2025-06', '2025-12') as release, '2025-12' as newest_release,
            'x' as sha256, if(status = 'not_published', null, 100)::bigint as rows,
            rows as located, 0 as rejected
        from (select unnest({SPAN}) as month)
        cross join (select unnest(['kent', 'essex']) as force)
        where month != '{UNCOVERED}' order by all;
        create or replace temp table scopes as
        select '{NATION}' as scope, 'nation' as kind, []::varchar[] as forces,
            2e6 as area_m2, {len(CELLS)} as cells, {K[NATION]} as k
        union all
        select 'kent', 'force', ['kent'], 1e6, {len(KENT_CELLS)}, {K[KENT]};
        create or replace temp table hex_cells as
        select hex_id::integer as hex_id, easting, northing,
            case when hex_id = {COAST} then null when easting < 501000 then 'kent' else 'essex' end
                as force,
            case
                when hex_id = {COAST} then null when easting < 500500 then 'E01000001'
                when easting < 501000 then 'E01000002' else 'E01000003'
            end as lsoa21cd
        from given_cells order by hex_id;
        create or replace temp table scope_cells as
        select '{NATION}' as scope, hex_id from hex_cells
        union all select 'kent', hex_id from hex_cells where easting < 501000;
        create or replace temp table lsoa_areas as
        select 'E0100000' || i as lsoa21cd, 'Town 00' || i as lsoa21nm,
            if(i = 3, 'essex', 'kent') as force, 1.0 as area_km2,
            st_makeenvelope([500000, 500500, 501000][i], 150000, [500500, 501000, 502000][i],
                151000)::geometry('EPSG:27700') as geometry
        from range(1, 4) as area(i);
        """
    )
    for month in SPAN:
        if month == UNCOVERED:
            continue
        for table in ("hex_counts", "snap_counts"):
            connection.execute(
                f"create or replace temp table {table} as from all_{table} "
                f"where month between '{months_back(month, 12)[0]}' and '{month}'"
            )
        ranking.rank_hotspots(connection, month, WEIGHTS)
        into = "create or replace temp table" if month == SPAN[0] else "insert into"
        connection.execute(
            f"{into} all_hotspots {'as' if month == SPAN[0] else ''} "
            f"select *, '{month}' as month from hotspots"
        )
    for table in ("hotspots", "hex_counts", "snap_counts"):
        connection.execute(f"create or replace temp table {table} as from all_{table}")
    ranking.count_frequency(connection, MONTH, WEIGHTS)  # and complete_windows


@dataclass(frozen=True)
class World:
    """The tables in a connection, and the map of them by scope, type and window."""

    connection: duckdb.DuckDBPyConnection
    made: dict[tuple[str, str, int], Ranking]

    def of(self, scope: str, crime_type: str, window: int) -> dict[str, Any]:
        return self.made[scope, crime_type, window].ranking

    def history(self, scope: str, crime_type: str, window: int) -> np.ndarray:
        """Crimes of each cell in each month, shape (cells, 36)."""
        crimes = self.made[scope, crime_type, window].history["crimes"]
        return np.array(crimes).reshape(-1, len(SPAN))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with DuckDB(threads=1).get_connection() as connection:
        make_world(connection)
        assert show_cells(connection, SPAN) > 50
        made = rankings.rankings(connection, SPAN, month_crimes(connection, len(SPAN)))
        yield World(connection, {(r.scope, r.crime_type, r.window_months): r for r in made})


@pytest.fixture
def changed(world: World) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables of the world; what a test does to them is undone."""
    world.connection.begin()
    yield world.connection
    world.connection.rollback()


def counted_hotspots(scope: str, crime_type: str, window: int, end: int) -> tuple[list[int], bool]:
    """The hotspots of one window by sorting alone, the hottest first; and whether cells tie."""
    inside = COUNTS[COUNTS.month.isin(SPAN[end - window + 1 : end + 1])]
    if crime_type != ALL_CRIME:
        inside = inside[inside.crime_type == crime_type]
    if scope == KENT:
        inside = inside[inside.hex_id.isin(KENT_CELLS)]
    crimes = inside.groupby("hex_id").crimes.sum()
    order = sorted(crimes.items(), key=lambda cell: (-cell[1], cell[0]))
    hot, left = order[: K[scope]], order[K[scope] :]
    return [cell for cell, _ in hot], bool(left) and left[0][1] == hot[-1][1]


def complete_ends(scope: str, window: int) -> list[int]:
    """The months, by number, with which windows end of which all months are there."""
    gaps = {UNCOVERED} | ({KENT_MISSING} if scope == KENT else set())
    return [
        end
        for end in range(window - 1, len(SPAN))
        if not gaps & set(SPAN[end - window + 1 : end + 1])
    ]


def bits(numbers: Iterable[int]) -> int:
    return sum(1 << n for n in numbers)


CASES = list(product((NATION, KENT), (ALL_CRIME, "Burglary", "Drugs"), WINDOWS))


# --- Rankings -------------------------------------------------------------------------------


def test_there_is_a_file_of_each_ranking_of_the_table_with_its_cells_and_hits(
    world: World,
) -> None:
    table = world.connection.execute("from hotspot_frequency").df()
    names = rankings.PERSISTENCE
    groups = table.groupby(["scope", "crime_type", "window_months"])
    assert set(world.made) == set(groups.groups)
    assert set(world.made) == {*CASES, *product((NATION, KENT), ("Crime harm",), WINDOWS)}
    for key, rows in groups:
        made = world.of(*key)
        rows = rows.sort_values("rank")
        assert made["hex_id"] == rows.hex_id.tolist()
        assert made["hits"] == rows.hits.tolist()
        assert [names[n] for n in made["persistence"]] == rows.persistence.tolist()
        assert {made["windows"]} == set(rows.windows)
        names_of = {f"{kind}s" for kind in rankings.NAMED}
        columns = [v for c, v in made.items() if isinstance(v, list) and c not in names_of]
        assert [len(column) for column in columns] == [len(rows)] * 10
        assert (made["scope"], made["crime_type"], made["window_months"]) == key
        assert (made["month"], made["k"]) == (MONTH, K[key[0]])


@pytest.mark.parametrize(("scope", "crime_type", "window"), CASES)
def test_masks_equal_hotspots_counted_month_by_month(
    world: World, scope: str, crime_type: str, window: int
) -> None:
    ends = complete_ends(scope, window)
    counted = {end: counted_hotspots(scope, crime_type, window, end) for end in ends}
    made = world.of(scope, crime_type, window)
    assert made["complete"] == bits(ends)
    assert made["windows"] == len(ends)
    assert made["tied"] == bits(end for end in ends if counted[end][1])
    hot_in = {cell: bits(end for end in ends if cell in counted[end][0]) for cell in CELLS.tolist()}
    expected = {cell: hot for cell, hot in hot_in.items() if hot}
    assert dict(zip(made["hex_id"], made["hot"], strict=True)) == expected
    assert made["hits"] == [hot.bit_count() for hot in made["hot"]]


def test_the_world_has_what_the_masks_are_tested_on(world: World) -> None:
    masks = [world.of(*case)["tied"] for case in CASES]
    assert any(masks)
    assert any(mask != world.of(*case)["complete"] for mask, case in zip(masks, CASES, strict=True))
    kent, nation = (world.of(scope, "Drugs", 1)["complete"] for scope in (KENT, NATION))
    assert nation - kent == 1 << SPAN.index(KENT_MISSING)
    assert nation == 2**36 - 1 - (1 << SPAN.index(UNCOVERED))


@pytest.mark.parametrize(("scope", "crime_type", "window"), CASES)
def test_history_and_crimes_are_those_of_the_cells(
    world: World, scope: str, crime_type: str, window: int
) -> None:
    of_type = COUNTS if crime_type == ALL_CRIME else COUNTS[COUNTS.crime_type == crime_type]
    table = of_type.pivot_table(
        index="hex_id", columns="month", values="crimes", aggfunc="sum", fill_value=0
    )
    made = world.of(scope, crime_type, window)
    expected = table.reindex(made["hex_id"], columns=SPAN, fill_value=0).to_numpy()
    np.testing.assert_array_equal(world.history(scope, crime_type, window), expected)
    assert made["crimes"] == expected[:, -window:].sum(axis=1).tolist()


@pytest.mark.parametrize(("scope", "crime_type", "window"), CASES)
def test_the_rank_in_any_month_follows_from_the_files(
    world: World, scope: str, crime_type: str, window: int
) -> None:
    """As the page derives it: among the cells hot in the month, by crimes, then by id."""
    made, history = world.of(scope, crime_type, window), world.history(scope, crime_type, window)
    ranks = world.connection.execute(
        "select month, hex_id, rank from hotspots where scope = $scope and crime_type = $type "
        "and window_months = $window order by month, rank",
        {"scope": scope, "type": crime_type, "window": window},
    ).df()
    for end in complete_ends(scope, window):
        crimes = history[:, end - window + 1 : end + 1].sum(axis=1)
        hot = [
            (-count, cell)
            for cell, mask, count in zip(made["hex_id"], made["hot"], crimes, strict=True)
            if mask >> end & 1
        ]
        expected = ranks[ranks.month == SPAN[end]].hex_id.tolist()
        assert [cell for _, cell in sorted(hot)] == expected


def test_only_a_cell_that_is_hot_now_says_on_how_many_places_its_crimes_lie(world: World) -> None:
    for case in CASES:
        made = world.of(*case)
        now = [bool(mask >> 35) for mask in made["hot"]]
        assert [points is not None for points in made["points"]] == now
        # every cell of the world has one place
        assert {p for p in made["points"] if p is not None} == {1}
        assert [share for share in made["largest"] if share is not None] == [100] * sum(now)


def test_the_largest_share_is_in_whole_percent(changed: duckdb.DuckDBPyConnection) -> None:
    changed.execute("update hotspots set largest_share = 0.125, snap_points = 9")
    made = next(shown(changed))
    assert {*made.ranking["largest"]} <= {None, 12, 13}
    assert {*made.ranking["points"]} == {None, 9}


def test_what_is_ranked_by_harm_shows_the_crimes_of_all_types(world: World) -> None:
    for scope, window in product((NATION, KENT), WINDOWS):
        harm = world.of(scope, "Crime harm", window)
        everything = COUNTS.groupby("hex_id").crimes.sum()
        history = world.history(scope, "Crime harm", window)
        assert history.sum(axis=1).tolist() == everything[harm["hex_id"]].tolist()
        last = COUNTS[COUNTS.month.isin(SPAN[-window:])].groupby("hex_id").crimes.sum()
        assert harm["crimes"] == last.reindex(harm["hex_id"], fill_value=0).tolist()


def test_a_cell_that_was_hot_only_in_a_ranking_of_another_scope_is_not_shown(world: World) -> None:
    for crime_type, window in product((ALL_CRIME, "Drugs"), WINDOWS):
        assert set(world.of(KENT, crime_type, window)["hex_id"]) <= set(KENT_CELLS.tolist())


# --- Names ----------------------------------------------------------------------------------


def named(made: dict[str, Any], kind: str) -> list[str | None]:
    names = made[f"{kind}s"]
    return [None if n < 0 else names[n] for n in made[kind]]


def test_names_stand_once_in_a_file_and_only_those_of_its_cells(world: World) -> None:
    for made in (r.ranking for r in world.made.values()):
        for kind in rankings.NAMED:
            names = made[f"{kind}s"]
            assert len(set(names)) == len(names)
            assert {n for n in made[kind] if n >= 0} == set(range(len(names)))
            assert len(made[kind]) == len(made["hex_id"])
        assert made["forces"] == sorted(made["forces"])
        assert made["scope"] == NATION or made["forces"] == ["kent"]


def test_each_cell_has_the_names_of_where_it_lies_or_none(world: World) -> None:
    lsoas = ("Town 001", "Town 002", "Town 003", "Town 003")
    where: dict[int, tuple[str | None, str | None]] = {
        cell: ("kent" if east < 501_000 else "essex", lsoas[int(east - 500_000) // 500])
        for cell, east in zip(CELLS.tolist(), grid.centres(CELLS)[0], strict=True)
    }
    where[COAST] = (None, None)
    seen = set()
    for made in (r.ranking for r in world.made.values()):
        found = zip(made["hex_id"], *(named(made, kind) for kind in rankings.NAMED), strict=True)
        for cell, force, lsoa, place in found:
            assert (force, lsoa) == where[cell]
            unnamed = cell in (NO_PLACE, UNNAMED, TYPED)
            assert place == (None if unnamed else f"Street {cell % 3}")
            seen.add(cell)
    assert {COAST, NO_PLACE, UNNAMED, TYPED} <= seen


@pytest.mark.parametrize(
    ("crimes", "place"),
    [
        ([("On or near High Street", 3), ("On or near Mill Lane", 4)], "Mill Lane"),
        ([("On or near Mill Lane", 4), ("On or near High Street", 4)], "High Street"),
        # one place under the same name twice, at two points
        ([("On or near A", 2), ("On or near A", 2), ("On or near B", 3)], "A"),
        ([("On or near A", 1), ("A", 1), ("On or near B", 1)], "A"),
        ([("No Location", 9), ("On or near ", 8), (None, 7), ("On or near B", 1)], "B"),
        ([("No Location", 9), ("On or near ", 8), ("On or near", 8), (None, 7)], None),
        ([("On or nearby Farm", 2)], "On or nearby Farm"),
        ([("Turn on or near Left", 2)], "Turn on or near Left"),
        ([("On or near St Paul's Church", 1)], "St Paul's Church"),
    ],
)
def test_the_place_is_the_one_with_most_crimes_the_first_by_name_of_equals(
    world: World, crimes: list[tuple[str | None, int]], place: str | None
) -> None:
    with world.connection.cursor() as connection:
        connection.execute(
            "create temp table cell_pairs as select * from (values (0, 'All crime', 7), "
            "(1, 'Drugs', 7)) as pair(pair, crime_type, hex_id)"
        )
        connection.execute(
            "create temp table snap_counts as select 'Drugs' as crime_type, 7 as hex_id, "
            "''::varchar as location, 0 as crimes where false"
        )
        connection.executemany("insert into snap_counts values ('Drugs', 7, $1, $2)", crimes)
        create(connection, "maps/pair_places")
        found = dict(connection.execute("from pair_places").fetchall())
    assert found == ({0: place, 1: place} if place else {})


def test_the_place_of_all_crime_counts_every_type_and_that_of_a_type_its_own(
    world: World,
) -> None:
    with world.connection.cursor() as connection:
        connection.execute(
            """
            create temp table cell_pairs as from (values (0, 'All crime', 7), (1, 'Drugs', 7))
                as pair(pair, crime_type, hex_id);
            create temp table snap_counts as from (values
                ('Drugs', 7, 'On or near A', 3), ('Robbery', 7, 'On or near B', 2),
                ('Violent crime', 7, 'On or near B', 2), ('Drugs', 8, 'On or near C', 9)
            ) as counted(crime_type, hex_id, location, crimes)
            """
        )
        create(connection, "maps/pair_places")
        assert dict(connection.execute("from pair_places").fetchall()) == {0: "B", 1: "A"}


# --- Windows --------------------------------------------------------------------------------


@given(
    arrays(np.int32, st.tuples(st.integers(0, 4), st.integers(1, 40)), elements=st.integers(0, 99)),
    st.integers(1, 45),
)
def test_crimes_of_windows_are_sums_over_their_months(crimes: np.ndarray, window: int) -> None:
    before = crimes.copy()
    summed = rankings.window_crimes(crimes, window)
    assert summed.shape == crimes.shape
    for cell, end in np.ndindex(*crimes.shape):
        assert summed[cell, end] == sum(crimes[cell, max(0, end - window + 1) : end + 1].tolist())
    np.testing.assert_array_equal(crimes, before)


# --- Contradictions -------------------------------------------------------------------------


def shown(connection: duckdb.DuckDBPyConnection) -> Iterator[Ranking]:
    """The map of the tables as they now are."""
    show_cells(connection, SPAN)
    return rankings.rankings(connection, SPAN, month_crimes(connection, len(SPAN)))


def test_hotspots_that_were_ranked_from_these_counts_do_not_contradict_them(world: World) -> None:
    crimes = month_crimes(world.connection, len(SPAN))
    wrong, checked = contradictions(world.connection, crimes)
    inside = [(scope, window, SPAN[e]) for scope in K for window in WINDOWS
              for e in complete_ends(scope, window)]  # fmt: skip
    table = world.connection.execute("select scope, window_months, month from hotspots").df()
    expected = pd.MultiIndex.from_frame(table).isin(pd.MultiIndex.from_tuples(inside)).sum()
    assert (wrong, checked) == (0, expected)
    assert checked > 500


def test_each_hotspot_whose_crimes_changed_since_is_counted(
    changed: duckdb.DuckDBPyConnection,
) -> None:
    (cell, hot) = changed.execute(
        "select hex_id, count(*) from hotspots where crime_type in ('Drugs') and month = $month "
        "and scope = 'kent' and window_months = 1 group by hex_id order by hex_id limit 1",
        {"month": MONTH},
    ).fetchone() or (0, 0)
    assert hot == 1
    changed.execute(
        "update hex_counts set crimes = crimes + 1 where crime_type = 'Drugs' and hex_id = $cell "
        "and month = $month",
        {"cell": cell, "month": MONTH},
    )
    show_cells(changed, SPAN)
    wrong, _ = contradictions(changed, month_crimes(changed, len(SPAN)))
    # every ranking of the last month in which the cell is hot, but for those of burglaries
    (expected,) = changed.execute(
        "select count(*) from hotspots where month = $month and hex_id = $cell "
        "and crime_type != 'Burglary'",
        {"cell": cell, "month": MONTH},
    ).fetchone() or (0,)
    assert wrong == expected > 2
