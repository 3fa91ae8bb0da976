"""Samples: what is told lies before the origin, what is foretold from it on; days not observed."""

from __future__ import annotations

import datetime
from dataclasses import replace

import duckdb
import numpy as np
import pytest
from scipy.sparse import csr_array

from crime_assets import DataError
from crime_assets.cities.city import CRIME_TYPES
from crime_assets.cities.samples import CHANNELS, IncidentMaps, Period, Samples, read_maps
from crime_assets.cities.study_table import PUBLISHED, PUBLISHED_CELLS, hot_cells

FIRST = datetime.date(2009, 12, 30)
PERIOD = Period(datetime.date(2010, 1, 1))
P, TYPES = 3, len(CHANNELS)


def made_maps(seed: int = 5, days: int = 1466) -> IncidentMaps:
    """Maps of a grid of 3 x 3, from two days before the period on; every third week unobserved."""
    random = np.random.default_rng(seed)
    counts = random.poisson(0.05, (days, P * P, TYPES)).astype(np.int32)
    counts[:, 4] = 0  # a cell that never is active
    counts[:1100, 8] = 0  # and one that becomes so in the year of the test
    counts[1200, 8] = 2
    counts[..., -1] = counts[..., :-1].sum(axis=-1)
    observed = np.arange(days) // 7 % 3 > 0
    counts[~observed] = 0
    names = tuple(str(FIRST + datetime.timedelta(days=i)) for i in range(days))
    return IncidentMaps(names, observed, csr_array(counts.reshape(days, -1)), CHANNELS, P)


@pytest.fixture(scope="module")
def samples() -> Samples:
    return Samples(made_maps(), PERIOD)


def test_a_period_is_three_years_and_the_twelve_months_after_them() -> None:
    period = Period(datetime.date(2010, 6, 1))
    assert (period.test_day, period.end_day) == (
        datetime.date(2013, 6, 1),
        datetime.date(2014, 6, 1),
    )
    months = period.test_months
    assert (len(months), months[0], months[7]) == (12, period.test_day, datetime.date(2014, 1, 1))
    with pytest.raises(ValueError, match="2010-06-02 is not the first of a month"):
        Period(datetime.date(2010, 6, 2))


def test_training_origins_end_before_the_year_of_the_test(samples: Samples) -> None:
    origins = samples.training_origins()
    assert samples.maps.days[origins[0]] == "2010-01-31"  # thirty days of January before it
    assert samples.maps.days[origins[-1] + 29] == "2012-12-31"
    assert len(origins) == 1096 - 30 - 30 + 1
    assert (np.diff(origins) == 1).all()
    weekly = samples.training_origins(stride=7)
    assert (np.diff(weekly) == 7).all()
    assert (weekly[-1], weekly[0] >= origins[0]) == (origins[-1], True)


def test_test_origins_are_the_first_days_of_its_months(samples: Samples) -> None:
    days = [samples.maps.days[i] for i in samples.test_origins()]
    assert days == [f"2013-{month:02d}-01" for month in range(1, 13)]


def test_no_sample_sees_a_day_from_its_origin_on(samples: Samples) -> None:
    origins = np.concatenate([samples.training_origins(stride=100), samples.test_origins()])
    for origin in origins:
        told, before = samples.inputs(origin), samples.observed_before(origin)
        for later in (origin, origin + 1, len(samples.maps.days) - 1):
            other = changed_from(samples, later)
            assert (other.inputs(origin) == told).all()
            assert (other.observed_before(origin) == before).all()
        assert (changed_from(samples, origin - 1).inputs(origin) != told).any()
        assert told.shape == (1, 30, P, P, TYPES)


def changed_from(samples: Samples, day: int) -> Samples:
    """The samples with other incidents from a day on, and all of its days observed."""
    counts = samples.maps.counts.toarray()
    counts[day:] += 3
    observed = samples.maps.observed.copy()
    observed[day:] = True
    return Samples(replace(samples.maps, counts=csr_array(counts), observed=observed), PERIOD)


def test_what_is_foretold_does_not_lie_before_the_origin(samples: Samples) -> None:
    for origin in samples.test_origins():
        foretold = samples.targets(origin)
        counts = samples.maps.counts.toarray()
        counts[:origin] = counts[origin + 30 :] = 7
        other = Samples(replace(samples.maps, counts=csr_array(counts)), PERIOD)
        assert (other.targets(origin) == foretold).all()


def test_inputs_and_targets_are_what_a_loop_says(samples: Samples) -> None:
    dense = samples.maps.dense(0, len(samples.maps.days))
    assert dense.dtype == np.float32
    assert dense.shape == (1466, P, P, TYPES)
    assert (dense[5, 2, 1] == samples.maps.counts.toarray()[5].reshape(9, TYPES)[7]).all()
    origins = samples.test_origins()[:3]
    told, foretold = samples.inputs(origins, days=10), samples.targets(origins, days=10)
    for s, origin in enumerate(origins):
        assert (told[s] == dense[origin - 10 : origin]).all()
        expected = sum(dense[d] for d in range(origin, origin + 10) if samples.maps.observed[d])
        assert (foretold[s] == expected.reshape(9, TYPES)).all()
        observed = samples.maps.observed
        assert samples.observed_days(origins, days=10)[s] == observed[origin : origin + 10].sum()
        assert (
            samples.observed_before(origins, days=10)[s] == observed[origin - 10 : origin]
        ).all()


def test_stray_incidents_of_days_that_were_not_observed_say_nothing(samples: Samples) -> None:
    counts = samples.maps.counts.toarray()
    counts[~samples.maps.observed] = 9
    other = Samples(replace(samples.maps, counts=csr_array(counts)), PERIOD)
    origins = samples.test_origins()
    assert (other.inputs(origins) == samples.inputs(origins)).all()
    assert (other.targets(origins) == samples.targets(origins)).all()
    assert (other.active_cells("study") == samples.active_cells("study")).all()


def test_cells_that_never_are_active_are_outside(samples: Samples) -> None:
    assert np.flatnonzero(~samples.active_cells("study")).tolist() == [4]
    assert np.flatnonzero(~samples.active_cells("training")).tolist() == [4, 8]
    with pytest.raises(ValueError, match="'test' is neither study nor training"):
        samples.active_cells("test")  # type: ignore[arg-type]


def test_a_period_that_is_not_in_the_data_is_refused(samples: Samples) -> None:
    with pytest.raises(DataError, match="period from 2011-01-01 to 2015-01-01 is not in the data"):
        Samples(samples.maps, Period(datetime.date(2011, 1, 1)))
    with pytest.raises(DataError, match="which reaches from 2009-12-30 to 2014-01-03"):
        Samples(samples.maps, Period(datetime.date(2009, 12, 1)))
    with pytest.raises(DataError, match="some are not in the data"):
        samples.inputs([3])
    with pytest.raises(DataError, match="some are not in the data"):
        samples.targets([1460])


def test_a_week_may_be_missing_at_the_beginning_of_the_data(samples: Samples) -> None:
    maps = samples.maps
    late = IncidentMaps(maps.days[5:], maps.observed[5:], maps.counts[5:], CHANNELS, P)
    begun = Samples(late, PERIOD)
    assert (begun.first, late.days[0]) == (0, "2010-01-04")
    assert begun.maps.days[begun.training_origins()[0]] == "2010-02-03"


# --- From the lake ---------------------------------------------------------------------------


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        "create table incident_days as select date '2015-01-01' + i::integer as day, "
        "i <> 1 as observed from range(4) as listed(i)"
    )
    connection.execute(
        """
        create table incident_maps as select * from (values
            (date '2015-01-01', 0, 'Robbery', 'Theft', 2),
            (date '2015-01-01', 0, 'Vice', 'Theft', 1),
            (date '2015-01-03', 3, null, null, 5)
        ) as entry(day, cell, study, corrected, incidents)
        """
    )
    return connection


def test_maps_are_read_in_either_mapping(connection: duckdb.DuckDBPyConnection) -> None:
    study = read_maps(connection, 2, "study")
    assert study.days == ("2015-01-01", "2015-01-02", "2015-01-03", "2015-01-04")
    assert study.observed.tolist() == [True, False, True, True]
    assert study.crime_types == (*CRIME_TYPES, "All crime")
    dense = study.dense(0, 4)
    assert dense.sum() == 2 + 1 + 3 + 5
    assert {CHANNELS[c]: dense[0, 0, 0, c] for c in np.flatnonzero(dense[0, 0, 0])} == {
        "Robbery": 2, "Vice": 1, "All crime": 3,
    }  # fmt: skip
    assert dense[2, 1, 1].tolist() == [0] * 10 + [5]  # a category that nobody knows
    corrected = read_maps(connection, 2, "corrected").dense(0, 1)[0, 0, 0]
    assert corrected[CHANNELS.index("Theft")] == 3
    assert corrected.sum() == 6


def test_maps_that_do_not_fit_their_days_are_refused(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    with pytest.raises(ValueError, match="'stdy' is no mapping"):
        read_maps(connection, 2, "stdy")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="cells beyond 1 x 1: materialise both again"):
        read_maps(connection, 1, "study")
    connection.execute("delete from incident_days where day > '2015-01-02'")
    with pytest.raises(DataError, match="days that incident_days has not"):
        read_maps(connection, 2, "study")
    connection.execute("delete from incident_days")
    with pytest.raises(DataError, match="holds no day"):
        read_maps(connection, 2, "study")


# --- Table 3 ---------------------------------------------------------------------------------


def test_hot_cells_are_counted_over_the_years_to_learn_from(samples: Samples) -> None:
    days = slice(2, 2 + 1096)
    hot = (samples.maps.counts.toarray()[days].reshape(1096, 9, TYPES) > 0).sum(axis=(0, 1))
    observed = samples.maps.observed[days].sum()
    table = hot_cells(samples, "seattle")
    assert [row.crime_type for row in table] == list(CHANNELS)
    assert [row.a_day for row in table] == pytest.approx((hot / 1096).tolist())
    assert [row.an_observed_day for row in table] == pytest.approx((hot / observed).tolist())
    assert table[CHANNELS.index("Vice")].published == 22.59
    assert table[-1].published is None
    assert hot_cells(samples, "gotham")[0].published is None


def test_the_published_table_is_of_all_cities_and_types() -> None:
    assert set(PUBLISHED) == set(PUBLISHED_CELLS)
    assert all(set(of_city) == set(CRIME_TYPES) for of_city in PUBLISHED.values())
