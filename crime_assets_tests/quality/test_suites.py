"""Each suite: sound data meets it, data with a trap breaks the one expectation that names it.

``SOUND`` holds a sound partition of every table; ``TRAPS`` what is done to it, and the column of
the profile whose expectation must break: that one, and no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from crime_assets.forecasting.forecasters import NAIVE_RULE
from crime_assets.lake import DuckDB, Lake
from crime_assets.lsoa.assets import lsoa_areas, lsoa_counts, lsoa_features, lsoa_labels
from crime_assets.models.classifiers import NAIVE_CLASS
from crime_assets.partitions import months_back
from crime_assets.quality import runner
from crime_assets.quality.checks import models_of
from crime_assets.settings import Settings
from crime_assets.tables import TABLES
from crime_assets_tests.conftest import CITY, EARLY_FORCES, FORCES_2025, FORECAST_MONTHS, RealLake

MONTH = "2025-09"
BEFORE = months_back(MONTH, 4)[:-1]

# 1,000 crimes at 250 places: 2 % without a location, 20 % anti-social behaviour, ten of an id twice
CRIMES = """
    select
        i + 1 as row,
        if(i % 5 = 0, null, md5((i // 2)::varchar) || md5('second half')) as crime_id,
        'Kent Police' as reported_by,
        if(i % 50 = 1, null, 0.5 + i % 250 / 1000) as longitude,
        if(i % 50 = 1, null, 51.2) as latitude,
        if(i % 50 = 1, null, 1000 + i % 90) as hex_id,
        case i % 5
            when 0 then 'Anti-social behaviour' when 1 then 'Drugs' else 'Burglary'
        end as crime_type
    from range({crimes}) as crime(i)
"""

REJECTED = "select i as row, 'torn line' as line, 'torn: 3 fields, not 12' as reason"

COVERAGE = """
    select * from (values
        ('essex', 'published', '2025-12', '2025-12', 'e5', 13000, 12800, 0),
        ('kent', 'published', '2025-12', '2025-12', 'ce', 15000, 14700, 3),
        ('greater-manchester', 'not_published', '2025-12', '2025-12', null, null, null, null)
    ) as covered(force, status, release, newest_release, sha256, rows, located, rejected)
"""

# columns of the even lattice: the centre of cell 1886 i + j lies at 82400 + 600 i, 5000 + ..
CELLS = """
    select
        (1886 * i)::integer as hex_id,
        82400 + 600 * i as easting,
        5000 as northing,
        if(i < 950, 'kent', null) as force,
        if(i < 950, 'E01000001', null) as lsoa21cd
    from range(957) as cell(i)
"""

SCOPES = """
    select * from (values
        ('study-area', 'nation', []::varchar[], 3e8, 2990, 2),
        ('kent', 'force', ['kent'], 2.6e8, 2500, 2),
        ('Dover', 'polygon', ['kent'], 1e6, 10, 1)
    ) as scope(scope, kind, forces, area_m2, cells, k)
"""

SCOPE_CELLS = """
    select 'study-area' as scope, (1886 * i)::integer as hex_id from range(957) as cell(i)
    union all select 'kent', (1886 * i)::integer from range(950) as cell(i)
    union all select 'essex', (1886 * i)::integer from range(950, 955) as cell(i)
"""

# what SCOPE_CELLS has
SMALL_SCOPES = """
    select * from (values
        ('study-area', 'nation', 957, 1), ('kent', 'force', 950, 1), ('essex', 'force', 5, 1)
    ) as scope(scope, kind, cells, k)
"""

HEX_COUNTS = """
    select 'kent' as force, 'Drugs' as crime_type, (1000 + i)::integer as hex_id, 2 as crimes
    from range(100) as cell(i)
"""

SNAP_COUNTS = """
    select
        'Drugs' as crime_type,
        (1000 + i)::integer as hex_id,
        0.5 + i / 1000 as longitude,
        51.2 as latitude,
        2 as crimes
    from range(100) as place(i)
"""

RECONCILIATION = """
    select * from (values
        ('kent', 'Drugs', 500, 10, 0, 2, 488),
        ('kent', 'Burglary', 400, 8, 1, 0, 391)
    ) as kept(force, crime_type, crimes, unlocated, outside_grid, outside_cells, in_cells)
"""

HOTSPOTS = """
    select
        'kent' as scope,
        crime_type,
        window_months,
        ['kent'] as forces_present,
        2 as k,
        rank,
        1000 + rank as hex_id,
        20 - rank as crimes,
        20 - rank as score,
        false as tied,
        3 as snap_points,
        0.5 as largest_share
    from (values ('All crime'), ('Drugs')) as series(crime_type)
    cross join (values (1), (3)) as span(window_months)
    cross join (values (1), (2)) as place(rank)
"""

FREQUENCY = """
    select
        'study-area' as scope,
        'All crime' as crime_type,
        12 as window_months,
        rank,
        1000 + rank as hex_id,
        hits,
        25 as windows,
        hits / 25 as frequency,
        persistence
    from (values (1, 25, 'persistent'), (2, 20, 'persistent'), (3, 19, 'intermittent'))
        as cell(rank, hits, persistence)
"""

SUMMARY = """
    select * from (values
        ('study-area', 'All crime', 12, true, null, 9000, 0.14, 0.93, 0.9, 0.8, 4),
        ('study-area', 'Robbery', 12, true, null, 0, null, null, null, null, 0),
        ('kent', 'All crime', 12, false, 'kent did not publish', null, null, null, null, null, null)
    ) as summary(scope, crime_type, window_months, complete, reason, crimes, captured, jaccard,
        gini, modified_gini, tie_band)
"""

# hotter by one crime from rank to rank, 20 units a ranking
FORECASTS = """
    select
        scope,
        (1000 + rank)::varchar as unit_id,
        crime_type,
        'month' as step,
        horizon_steps,
        rank,
        21 - rank as score,
        (21 - rank) * horizon_steps as expected_crimes
    from (values ('study-area'), ('kent')) as area(scope)
    cross join (values ('All crime'), ('Drugs')) as series(crime_type)
    cross join (values (1), (3)) as horizon(horizon_steps)
    cross join range(1, 21) as place(rank)
"""

# sound for each role: chance has a PAI near 1, foresight a PEI* of 1, others no worse than the rule
EVALUATIONS = """
    select
        scope,
        crime_type,
        'month' as step,
        horizon_steps,
        'time' as split,
        metric,
        coverage,
        value,
        value - spread as low,
        value + spread as high,
        value + tie as tie_best,
        value - tie as tie_worst,
        20 as units,
        400 as crimes
    from (values ('study-area'), ('kent')) as area(scope)
    cross join (values ('All crime'), ('Drugs')) as series(crime_type)
    cross join (values (1), (3)) as horizon(horizon_steps)
    cross join (values
        ('hit_rate', 0.05, 0.4, 0.1, 0.02),
        ('hit_rate', 0.2, 0.5, 0.1, 0.02),
        ('pai', 0.2, 1.2, 0.1, 0.02),
        ('pei_star', 0.05, 1, 0, 0),
        ('auroc', null, 0.8, null, null)
    ) as figure(metric, coverage, value, spread, tie)
"""

LEADERBOARD = """
    select
        'hex' as unit,
        scope,
        crime_type,
        'month' as step,
        horizon_steps,
        metric,
        coverage,
        rank,
        model,
        role,
        12 as cut_offs,
        '2024-09' as first_cut_off,
        '2025-08' as last_cut_off,
        value,
        value - 0.01 as low,
        value + 0.01 as high,
        value as tie_best,
        value as tie_worst,
        if(model = 'rolling_mean_12', 'last_month', 'rolling_mean_12') as against,
        value - 0.4 as difference,
        value - 0.41 as difference_low,
        value - 0.39 as difference_high,
        0.04 as p_value,
        if(value > 0.4, 'better', 'no difference') as verdict
    from (values ('study-area'), ('kent')) as area(scope)
    cross join (values ('All crime'), ('Drugs')) as series(crime_type)
    cross join (values (1), (3)) as horizon(horizon_steps)
    cross join (values ('hit_rate', 0.05), ('hit_rate', 0.2), ('auroc', null))
        as judged(metric, coverage)
    cross join (values
        (1, 'rolling_mean_12', 'baseline', 0.4),
        (2, 'last_month', 'baseline', 0.3),
        (null, 'chance', 'floor', 0.2),
        (null, 'perfect_foresight', 'ceiling', 0.9)
    ) as place(rank, model, role, value)
"""

# a hundred squares of a square kilometre, with 27,400 of the 27,500 located crimes
LSOA_AREAS = """
    select
        printf('E01%06d', i) as lsoa21cd,
        printf('Square %03d', i) as lsoa21nm,
        'kent' as force,
        1.0 as area_km2,
        st_makeenvelope(1000 * i, 0, 1000 * i + 1000, 1000)::geometry('EPSG:27700') as geometry
    from range(100) as area(i)
"""

LSOA_COUNTS = """
    select
        printf('E01%06d', i) as lsoa21cd,
        unnest(['Burglary', 'Drugs']) as crime_type,
        137 as crimes,
        134 as same_code
    from range(100) as area(i)
"""

# the squares of LSOA_AREAS, ten a step hotter than those before; all stable, all but the last ten
# like their neighbours, and those the only ones with hotspot cells
_FEATURES = {
    column.name: {
        "varchar": "'kent'",
        "boolean": "false",
        "integer": "i // 20",
        "double": "(i + 1) / 100",
    }[column.type]
    for column in TABLES["lsoa_features"].columns
} | {
    "scope": "scope",
    "lsoa21cd": "printf('E01%06d', i)",
    "years": "3",
    "density_last_year": "100.0 + i",
    "density_mean": "100.0 + i",
    "density_change": "i - 50",
    "cluster_stable": "true",
    "lisa": "if(i < 90, 'low-low', 'not significant')",
    "hot_cells": "if(i < 90, 0, 2)",
    "area_km2": "1.0 + i",
    "imd_rank": "100 - i",
}
LSOA_FEATURES = (
    "select "
    + ", ".join(f"{value} as {name}" for name, value in _FEATURES.items())
    + " from range(100) as area(i), (values ('study-area'), ('kent')) as part(scope)"
)

# limits at the ranks of 50, 75 and 90 of 100; four areas of a silent force
LSOA_LABELS = """
    select
        scope,
        printf('E01%06d', i) as lsoa21cd,
        'kent' as force,
        if(i < 100, 10.0 + i, null) as crime_density,
        if(i < 100, i >= 75, null) as is_hotspot,
        if(i < 100, (i >= 50)::int + (i >= 75)::int + (i >= 90)::int, null) as tier,
        if(i < 100, if(i >= 50, '2_1', '0_0'), null) as bivariate
    from range(104) as area(i), (values ('study-area'), ('kent')) as part(scope)
"""

LSOA_PREDICTIONS = """
    select
        scope,
        split,
        label,
        printf('E01%06d', i) as lsoa21cd,
        if(i < 75, classes[1], classes[2]) as predicted,
        [if(position = 1, 0.5, 0.5 / (len(classes) - 1)) for x, position in classes]
            as probabilities,
        if(split = 'time', classes[:1 + (i > 80)::int], null) as conformal_set
    from (values
        ('is_hotspot', ['0', '1']),
        ('tier', ['0', '1', '2', '3']),
        ('bivariate', ['0_0', '0_1', '0_2', '1_0', '1_1', '1_2', '2_0', '2_1', '2_2'])
    ) as label(label, classes)
    cross join (values ('study-area'), ('kent')) as part(scope)
    cross join (values ('time'), ('space'), ('random')) as way(split)
    cross join range(100) as area(i)
"""

# no worse than the class of the year before in any scope or label
LSOA_EVALUATIONS = """
    select
        scope,
        split,
        label,
        group_kind,
        if(group_kind = 'force', 'kent', null) as group_name,
        class,
        metric,
        value,
        value - spread as low,
        value + spread as high,
        p_value,
        100 as areas
    from (values ('study-area'), ('kent')) as area(scope)
    cross join (values ('time'), ('random')) as way(split)
    cross join (values ('is_hotspot'), ('tier'), ('bivariate')) as asked(label)
    cross join (values ('all'), ('force')) as grouped(group_kind)
    cross join (values
        (null, 'accuracy', 0.9, 0.02, null),
        (null, 'macro_f1', 0.8, 0.02, null),
        (null, 'kappa', -0.1, 0.02, null),
        (null, 'log_loss', 11.0, 0.02, null),
        (null, 'brier', 0.2, 0.02, null),
        (null, 'auroc', 0.95, 0.02, null),
        ('0', 'recall', 'nan'::double, null, null),
        (null, 'conformal_coverage', 0.9, 0.02, null),
        (null, 'conformal_size', 1.2, 0.02, null),
        ('residual', 'moran_i', 0.2, null, 0.001),
        (null, 'accuracy_difference', -0.01, 0.02, 0.3)
    ) as figure(class, metric, value, spread, p_value)
"""

# London is what AROUND says: a hundred squares, of which the City has the first six
MPS_LSOA_YEARS = """
    select
        printf('E01%06d', area) as lsoa21cd,
        year,
        'TYPE ' || type as crime_type,
        if(type = 7, 0, 3) as crimes,
        if(type = 7, 0, 1) as lines
    from range(100) as area(area), range(2011, 2025) as year(year), range(30) as type(type)
    where area not in (1, 2, 3, 5)
"""

# twenty segments in a row, 100 m each, of which each meets the next; 26,000 of the 27,500 located
# crimes lie on them
STREET_SEGMENTS = """
    select
        printf('s%02d-1', i) as segment_id,
        'High Street' as name,
        'residential' as kind,
        100.0 as length_m,
        st_makeline(st_point(100 * i, 0), st_point(100 * i + 100, 0))::geometry('EPSG:27700')
            as geometry
    from range(20) as segment(i)
"""

STREET_GRAPH = """
    select
        printf('s%02d-1', i) as segment_id,
        printf('s%02d-1', i + 1) as neighbour_id,
        100.0 as distance_m,
        exp(-10000 / 1125000) as weight
    from range(19) as segment(i)
"""

SEGMENT_COUNTS = """
    select
        'kent' as force,
        printf('s%02d-1', i) as segment_id,
        unnest(['Burglary', 'Drugs']) as crime_type,
        330 as crimes,
        10.0 as distance_m
    from range(20) as segment(i)
"""

SEGMENT_STEPS = """
    select
        printf('s%02d-1', i) as segment_id,
        crime_type,
        '2025-09' as step,
        crimes,
        crimes * 1.1 as smoothed
    from range(20) as segment(i)
    cross join (values ('All crime', 9), ('Burglary', 4), ('Drugs', 5)) as type(crime_type, crimes)
"""

# one incident in 36 hours, at a hundred places, of two categories
CITY_INCIDENTS = """
    select
        i + 1 as row,
        timestamp '2013-01-01' + to_hours(36 * i) as time,
        if(i % 4 = 0, 'ROBBERY', 'CAR PROWL') as category,
        if(i % 4 = 0, 'Robbery', 'Vice') as study,
        if(i % 4 = 0, 'Robbery', 'Theft') as corrected,
        -122.4 + i % 100 / 1000 as longitude,
        47.6 as latitude
    from range(1200) as incident(i)
"""

REJECTED_INCIDENTS = "select i as row, ['x', ''] as fields, 'no place' as reason"

INCIDENT_CATEGORIES = f"""
    select category, count(*) as incidents, study, corrected, true as known
    from ({CITY_INCIDENTS})
    group by all
"""

INCIDENT_DAYS = f"""
    select day, count(row) as incidents, true as observed
    from range(date '2013-01-01', date '2017-12-05', interval 1 day) as listed(day)
    left join ({CITY_INCIDENTS}) on time::date = day
    group by day
"""

INCIDENT_MAPS = f"""
    select time::date as day, (row - 1) % 100 as cell, study, corrected, count(*) as incidents
    from ({CITY_INCIDENTS})
    group by all
"""

# two crime types in forty cells, at twelve origins; fewer crimes are expected as cells go on
GRID_FORECASTS = """
    select
        'study' as mapping,
        crime_type,
        (date '2013-01-01' + to_months(o::integer))::date as origin,
        c as cell,
        1 - exp(-40.0 / (1 + c)) as probability,
        40.0 / (1 + c) as expected
    from (values ('All crime'), ('Theft')) as type(crime_type)
    cross join range(12) as origins(o)
    cross join range(40) as cells(c)
"""

# each metric of two crime types: twelve months, their mean, and what persistence has less
GRID_EVALUATIONS = """
    with months as (
        select
            'study' as mapping,
            crime_type,
            (date '2013-01-01' + to_months(o::integer))::date as origin,
            metric,
            0.7 + o / 100 as value
        from (values ('All crime'), ('Theft')) as type(crime_type)
        cross join (values ('f1'), ('auroc'), ('pai')) as figure(metric)
        cross join range(12) as origins(o)
    )

    select mapping, crime_type, origin, null as against, metric, value, null as low, null as high
    from months
    union all
    select mapping, crime_type, null, null, metric, avg(value), 0.73, 0.78
    from months
    group by all
    union all
    select mapping, crime_type, null, 'persistence', metric, 0.02, -0.01, 0.05
    from months
    group by all
"""

GRID_LEADERBOARD = """
    select
        'study' as mapping,
        crime_type,
        metric,
        rank,
        model,
        kind,
        0.9 - rank / 10 as value,
        0.85 - rank / 10 as low,
        0.95 - rank / 10 as high,
        if(model = 'persistence', null, 0.1) as difference,
        if(model = 'persistence', null, -0.1) as difference_low,
        if(model = 'persistence', null, 0.3) as difference_high
    from (values ('All crime'), ('Theft')) as type(crime_type)
    cross join (values ('f1'), ('pai')) as figure(metric)
    cross join (
        values (1, 'sftt_resnet', 'network'), (2, 'persistence', 'rule'), (3, 'svm', 'classifier')
    ) as place(rank, model, kind)
"""

# three trials a crime type, of which the middle one did best
GLDNET_TRIALS = """
    select
        crime_type,
        trial,
        'complete' as state,
        value,
        trial = 1 as best,
        '{"steps": 14}' as parameters
    from (values ('All crime'), ('Drugs')) as type(crime_type)
    cross join (values (0, 0.4), (1, 0.5), (2, 0.3)) as tried(trial, value)
"""

# the loss falls from epoch to epoch; the last one is kept
GLDNET = """
    select
        crime_type,
        epoch,
        1.0 / epoch as loss,
        1.1 / epoch as validation_loss,
        0.1 * epoch as hit_rate,
        0.09 * epoch as validation_hit_rate,
        epoch = 5 as kept
    from (values ('All crime'), ('Drugs')) as type(crime_type)
    cross join range(1, 6) as training(epoch)
"""

# the segments of AROUND, asked of a model of two months before
GLDNET_FORECASTS = """
    select
        printf('s%02d-1', i) as segment_id,
        crime_type,
        'month' as step,
        0.01 * i as score,
        '2025-07' as trained_at
    from range(40) as segment(i)
    cross join (values ('All crime'), ('Drugs')) as type(crime_type)
"""

# three forces in each of five months; Northern Ireland is read by nobody
ARCHIVE_INDEX = """
    select
        strftime(date '2025-05-01' + to_months(i::integer), '%Y-%m') as crime_month,
        force,
        bytes + 1000 * i as bytes,
        bytes // 10 as packed_bytes,
        4294967295 - i as crc32
    from range(5) as month(i)
    cross join (values ('essex', 2000000), ('kent', 3000000), ('northern-ireland', 1000000))
        as file(force, bytes)
"""

# a first issue, and a second one that differs in few crimes; CRIMES has 1,000
STREET_CRIME_ISSUES = """
    select * from (values
        (1, '2025-10', 'ce', true, 'All crime', 990),
        (1, '2025-10', 'ce', true, 'Burglary', 590),
        (1, '2025-10', 'ce', true, 'Drugs', 400),
        (2, '2025-11', 'e5', true, 'All crime', 1000),
        (2, '2025-11', 'e5', true, 'Burglary', 600),
        (2, '2025-11', 'e5', true, 'Drugs', 400)
    ) as counted(issue, release, sha256, published, crime_type, crimes)
"""

# a new month of two forces, and two earlier files that were revised: 300 crimes, now 297
RELEASE_CHANGES = """
    select * from (values
        ('2025-09', 'essex', 'All crime', 1, 'new', null, null, 120),
        ('2025-09', 'essex', 'Drugs', 1, 'new', null, null, 120),
        ('2025-09', 'kent', 'All crime', 1, 'new', null, null, 150),
        ('2025-09', 'kent', 'Drugs', 1, 'new', null, null, 150),
        ('2025-08', 'kent', 'All crime', 2, 'revised', '2025-08', 200, 197),
        ('2025-08', 'kent', 'Burglary', 2, 'revised', '2025-08', 15, 0),
        ('2025-08', 'kent', 'Drugs', 2, 'revised', '2025-08', 185, 197),
        ('2025-07', 'essex', 'All crime', 2, 'revised', '2025-08', 100, 100),
        ('2025-07', 'essex', 'Drugs', 2, 'revised', '2025-08', 100, 100)
    ) as changed(crime_month, force, crime_type, issue, change, release_before, rows_before,
        rows_after)
"""

INVENTORY = """
    select * from (values
        ('street_crimes', '2025-08', 'kent', 'failed', 'its last run failed'),
        ('hotspots', '2025-08', null, 'missing', 'run rank_hotspots'),
        ('archive_index', '2025-10', null, 'late', 'police.uk has published it')
    ) as found(name, month, force, state, reason)
"""

SOUND = {
    "archive_index": ARCHIVE_INDEX,
    "street_crime_issues": STREET_CRIME_ISSUES,
    "release_changes": RELEASE_CHANGES,
    "inventory": INVENTORY,
    "street_crimes": CRIMES.format(crimes=1000),
    "rejected_crimes": f"{REJECTED} from range(0) as line(i)",
    "coverage": COVERAGE,
    "hex_cells": CELLS,
    "lsoa_areas": LSOA_AREAS,
    "lsoa_counts": LSOA_COUNTS,
    "scopes": SCOPES,
    "scope_cells": SCOPE_CELLS,
    "hex_counts": HEX_COUNTS,
    "snap_counts": SNAP_COUNTS,
    "reconciliation": RECONCILIATION,
    "hotspots": HOTSPOTS,
    "hotspot_frequency": FREQUENCY,
    "hotspot_summary": SUMMARY,
    "forecasts": FORECASTS,
    "evaluations": EVALUATIONS,
    "leaderboard": LEADERBOARD,
    "lsoa_features": LSOA_FEATURES,
    "lsoa_labels": LSOA_LABELS,
    "lsoa_predictions": LSOA_PREDICTIONS,
    "lsoa_evaluations": LSOA_EVALUATIONS,
    "mps_lsoa_years": MPS_LSOA_YEARS,
    "street_segments": STREET_SEGMENTS,
    "street_graph": STREET_GRAPH,
    "segment_counts": SEGMENT_COUNTS,
    "segment_steps": SEGMENT_STEPS,
    "city_incidents": CITY_INCIDENTS,
    "rejected_incidents": f"{REJECTED_INCIDENTS} from range(5) as line(i)",
    "incident_categories": INCIDENT_CATEGORIES,
    "incident_days": INCIDENT_DAYS,
    "incident_maps": INCIDENT_MAPS,
    "grid_forecasts": GRID_FORECASTS,
    "grid_evaluations": GRID_EVALUATIONS,
    "grid_leaderboard": GRID_LEADERBOARD,
    "gldnet_trials": GLDNET_TRIALS,
    "gldnet": GLDNET,
    "gldnet_forecasts": GLDNET_FORECASTS,
}

AROUND = {
    ("scope_cells", "scopes"): SMALL_SCOPES,
    ("gldnet_forecasts", "street_segments"): STREET_SEGMENTS.replace("range(20)", "range(40)"),
    ("mps_lsoa_years", "lsoa_areas"): f"""
        select * replace (if(lsoa21cd < 'E01000006', 'city-of-london', 'metropolitan') as force)
        from ({LSOA_AREAS})
    """,
}
"""What another table holds beside a table of ``SOUND``, where it is not its own sound data."""


def changed(where: str = "true", **columns: str) -> str:
    """The sound partition with other values in some columns of the rows that ``where`` names."""
    values = ", ".join(f"if({where}, {value}, {name}) as {name}" for name, value in columns.items())
    return f"select * replace ({values}) from sound"


NONE = "from sound where false"

TRAPS: dict[str, dict[str, tuple[str, str]]] = {
    "archive_index": {
        # the release before holds three files of each of its five months
        "an archive of something else": ("files", NONE),
        "a month that was left out": (
            "months_missing withdrawn_files",
            "from sound where crime_month <> '2025-07'",
        ),
        "an archive that ends before its month": (
            "months_missing forces_gone withdrawn_files",
            "from sound where crime_month <> '2025-09'",
        ),
        "a force that stops publishing": (
            "forces_gone least_forces_ratio withdrawn_files",
            "from sound where not (force = 'kent' and crime_month = '2025-09')",
        ),
        "a month of few forces": (
            "least_forces_ratio withdrawn_files",
            "from sound where not (force = 'kent' and crime_month = '2025-08')",
        ),
        "a file that is cut short": (
            "least_size",
            changed("force = 'kent' and crime_month = '2025-09'", bytes="1000000"),
        ),
        "two months in one file": (
            "greatest_size",
            changed("force = 'kent' and crime_month = '2025-09'", bytes="7000000"),
        ),
        "a force that is withdrawn": ("withdrawn_files", "from sound where force <> 'kent'"),
        "forces that were merged": (
            "unknown_forces withdrawn_files",
            changed("force = 'kent'", force="'kent-and-essex'"),
        ),
        "a file without a checksum": (
            "impossible_files",
            changed("force = 'kent' and crime_month = '2025-07'", crc32="null"),
        ),
    },
    "street_crime_issues": {
        "no issue": ("issues", NONE),
        "an issue that was lost": ("broken_numbers", "from sound where issue = 2"),
        "a type that stands twice": (
            "repeated_types issues_not_adding_up",
            "from sound union all (from sound where issue = 2 and crime_type = 'Drugs')",
        ),
        "a type that is missing": (
            "issues_not_adding_up",
            "from sound where issue <> 1 or crime_type <> 'Drugs'",
        ),
        "a file that was counted twice": (
            "issues_without_a_difference",
            changed(sha256="'ce'"),
        ),
        "an older archive read over a newer one": (
            "older_after_newer",
            changed("issue = 2", release="'2025-09'"),
        ),
        "a run that was killed before the crimes were published": (
            "crimes_missing_or_added",
            changed("issue = 2", crimes="if(crime_type = 'Drugs', crimes - 7, crimes)").replace(
                "from sound",
                "from (select * replace (if(issue = 2 and crime_type = 'All crime', crimes - 7, "
                "crimes) as crimes) from sound)",
            ),
        ),
        "a file that doubles and more": (
            "volume_against_issue_before",
            changed("issue = 1", crimes="crimes // 10"),
        ),
        "a file that shrinks to less than half": (
            "volume_against_issue_before",
            changed("issue = 1", crimes="crimes * 3"),
        ),
        "a file that is withdrawn": (
            "withdrawn_by",
            changed("issue = 2", published="false"),
        ),
    },
    "release_changes": {
        "a file that is withdrawn": (
            "withdrawn_files",
            changed("crime_month = '2025-08'", change="'withdrawn'", rows_after="0"),
        ),
        "a file that is revised by more than half": (
            "greatest_revision revised_volume",
            changed("crime_month = '2025-07'", rows_after="40"),
        ),
        "forces that publish late what they had left out": (
            "revised_volume",
            changed("crime_month = '2025-07'", rows_after="130"),
        ),
        "crimes under another type": (
            "gone_types_crimes",
            changed(
                "crime_month = '2025-08' and crime_type <> 'All crime'",
                rows_before="if(crime_type = 'Burglary', 25, 175)",
            ),
        ),
        "a type that stands twice": (
            "repeated_types files_not_adding_up",
            "from sound union all (from sound where crime_month = '2025-07' "
            "and crime_type = 'Drugs')",
        ),
        "types that do not add up": (
            "files_not_adding_up",
            "from sound where crime_month <> '2025-09' or crime_type <> 'Drugs'",
        ),
        "a month that was not yet": (
            "impossible_files",
            changed("crime_month = '2025-09' and force = 'kent'", crime_month="'2025-10'"),
        ),
        "a revision of nothing": (
            "impossible_files",
            changed("crime_month = '2025-07'", rows_before="null"),
        ),
    },
    "inventory": {
        "a full disk": (
            "failed_tables",
            "from sound union all by name select unnest(['hotspots', 'coverage']) as name, "
            "'2025-08' as month, 'failed' as state, 'its last run failed' as reason",
        ),
        "a release that cannot be read": (
            "failed",
            "from sound union all by name select 'street_crimes' as name, '2025-09' as month, "
            "'kent ' || i as force, 'failed' as state, 'its last run failed' as reason "
            "from range(44) as force(i)",
        ),
        "months that nothing follows": (
            "months_behind",
            "from sound union all by name select 'hotspots' as name, '2025-0' || i as month, "
            "'outdated' as state, 'run rank_hotspots' as reason from range(1, 4) as month(i)",
        ),
        "a finding that stands twice": (
            "repeated_findings",
            "from sound union all (from sound where state = 'late')",
        ),
    },
    "street_crimes": {
        "a month at less than half its volume": ("volume", CRIMES.format(crimes=450)),
        "a month without a crime": ("volume", NONE),
        "two months in one file": ("volume", CRIMES.format(crimes=2100)),
        "a type left out": ("gone_types_crimes", "from sound where crime_type <> 'Drugs'"),
        "a type of other years": (
            "types_out_of_months",
            changed("row = 3", crime_type="'Violent crime'"),
        ),
        "a jump in missing locations": (
            "unlocated_jump",
            changed("row % 10 = 0", longitude="null", hex_id="null"),
        ),
        "a fifth without a location": (
            "unlocated_jump unlocated_share",
            changed("row % 5 = 0", longitude="null", hex_id="null"),
        ),
        "crimes outside the grid": ("outside_grid_share", changed("row % 20 = 0", hex_id="null")),
        "an absurd snap point": ("busiest_point_share", changed("row % 8 = 0", longitude="0.5")),
        "rows that stand twice": (
            "repeats_share",
            "from sound union all from sound where crime_id is not null and row < 50",
        ),
        "an id that was cut": ("malformed_ids", changed("row = 5", crime_id="crime_id[:60]")),
        "anti-social behaviour with an id": (
            "asb_with_id",
            changed("row = 1", crime_id="md5('a') || md5('b')"),
        ),
        "two forces in one file": (
            "reporting_forces",
            changed("row > 900", reported_by="'Essex Police'"),
        ),
    },
    "rejected_crimes": {
        "a type that is in no list": (
            "unlisted_types",
            "select 1 as row, '..' as line, 'crime type \"Fly-tipping\" is in no list' as reason",
        ),
        "five torn lines": ("rejected_share", f"{REJECTED} from range(5) as line(i)"),
        "a line without a reason": ("unexplained_lines", "select 1 as row, '..' as line"),
    },
    "coverage": {
        "a force that stops publishing": (
            "forces_gone",
            changed(
                "force = 'kent'",
                status="'not_published'",
                rows="null",
                located="null",
                rejected="null",
            ),
        ),
        "a force that is no longer loaded": ("forces_gone", "from sound where force <> 'kent'"),
        "a file without a crime": (
            "forces_gone",
            changed("force = 'kent'", rows="0", located="0", rejected="0"),
        ),
        "a file at less than half": (
            "least_volume",
            changed("force = 'kent'", rows="7000", located="6900"),
        ),
        "a file that is not whole": (
            "forces_partial least_volume",
            changed("force = 'kent'", status="'partial'", rows="1000", located="900"),
        ),
        "two months in one file": (
            "greatest_volume",
            changed("force = 'kent'", rows="31000", located="30000"),
        ),
        "a third without a location": ("unlocated_share", changed(located="rows * 2 // 3")),
        "no force at all": ("forces_gone forces_with_crimes", "from sound where rows is null"),
        "a force that stands twice": (
            "repeated_forces",
            "from sound union all from sound where force = 'kent'",
        ),
        "a file without its hash": ("untraced_files", changed("force = 'kent'", sha256="null")),
        "more located than rows": ("impossible_files", changed("force = 'kent'", located="15001")),
    },
    "hex_cells": {
        "no cell": ("cells", NONE),
        "a cell that stands twice": ("repeated_cells", "from sound union all from sound limit 958"),
        "another grid": ("misplaced_cells", changed(easting="easting + 300")),
        "boundaries of one small force": (
            "without_force_share",
            changed("hex_id > 1886 * 400", force="null", lsoa21cd="null"),
        ),
        "boundaries that do not fit": (
            "disagreeing_share",
            changed("hex_id < 1886 * 20", force="null"),
        ),
    },
    "lsoa_areas": {
        "no area": ("areas", NONE),
        "an area that stands twice": (
            "repeated_areas",
            "from sound union all (from sound limit 1)",
        ),
        "an area of no size": (
            "areas_without_size",
            changed("lsoa21cd = 'E01000007'", area_km2="null"),
        ),
        "sizes of other boundaries": ("largest_difference_of_size", changed(area_km2="1.01")),
        "areas beyond the forces": (
            "without_force_share",
            changed("lsoa21cd < 'E01000002'", force="null"),
        ),
    },
    "street_segments": {
        "no street": ("segments", NONE),
        "a segment that stands twice": (
            "repeated_segments",
            "from sound union all from sound where segment_id = 's03-1'",
        ),
        "a segment without a line": (
            "segments_without_line",
            changed("segment_id = 's03-1'", geometry="null"),
        ),
        "a segment without a length": (
            "segments_without_line largest_difference_of_length",
            changed("segment_id = 's03-1'", length_m="0"),
        ),
        "lengths in another unit": (
            "largest_difference_of_length",
            changed(length_m="length_m * 1.1"),
        ),
        "streets that were not split": (
            "median_length_m",
            changed(
                length_m="length_m * 4",
                geometry="st_makeline(st_point(0, 0), st_point(400, 0))::geometry('EPSG:27700')",
            ),
        ),
    },
    "street_graph": {
        "nothing that meets": ("edges alone_share", NONE),
        "a pair that stands twice": (
            "repeated_pairs",
            "from sound union all from sound where segment_id = 's03-1'",
        ),
        "a pair in the other order": (
            "unordered_pairs",
            changed("segment_id = 's03-1'", segment_id="neighbour_id", neighbour_id="segment_id"),
        ),
        "a segment that is its own neighbour": (
            "unordered_pairs",
            changed("segment_id = 's03-1'", neighbour_id="segment_id"),
        ),
        "weights of another width": ("impossible_weights", changed(weight="weight * 0.9")),
        "a segment that is none": (
            "unknown_segments",
            changed("segment_id = 's03-1'", neighbour_id="'s99-1'"),
        ),
        "segments that meet no other": (
            "alone_share",
            "from sound where segment_id < 's16-1'",
        ),
    },
    "segment_counts": {
        "no crime": ("crimes", NONE),
        "a count in two rows": (
            "repeated_counts",
            "from sound union all select * replace (1 as crimes) from sound where "
            "segment_id = 's03-1'",
        ),
        "a count of nought": (
            "impossible_counts",
            changed("segment_id = 's03-1' and crime_type = 'Drugs'", crimes="0"),
        ),
        "a distance below nought": (
            "impossible_counts",
            changed("segment_id = 's03-1'", distance_m="-1.0"),
        ),
        "half of the crimes away from streets": (
            "beyond_limit_share",
            changed(crimes="crimes // 2"),
        ),
        "streets that are shifted": ("mean_distance_m", changed(distance_m="45.0")),
    },
    "segment_steps": {
        "no segment": ("segments segments_added_or_missing", NONE),
        "a segment left out": (
            "segments_added_or_missing",
            "from sound where segment_id <> 's03-1'",
        ),
        "a type left out of a segment": (
            "incomplete_segments",
            "from sound where not (segment_id = 's03-1' and crime_type = 'Drugs')",
        ),
        "a type that stands twice": (
            "incomplete_segments",
            "from sound where not (segment_id = 's03-1' and crime_type = 'Drugs') union all "
            "from sound where segment_id = 's03-1' and crime_type = 'Burglary'",
        ),
        "what went before is no number": (
            "impossible_steps",
            changed("segment_id = 's03-1' and crime_type = 'Drugs'", smoothed="'nan'::double"),
        ),
        "the step of another month": ("impossible_steps", changed(step="'2025-08'")),
        "all crime that is less than a type": (
            "all_crime_too_low",
            changed("segment_id = 's03-1' and crime_type = 'All crime'", crimes="3"),
        ),
        "a month that is doubled and more": (
            "crimes_against_smoothed",
            changed(crimes="3 * crimes"),
        ),
        "a month that is short": (
            "crimes_against_smoothed",
            changed(smoothed="3 * smoothed"),
        ),
    },
    "gldnet_trials": {
        "no trial": ("trials", NONE),
        "a trial that stands twice": (
            "repeated_trials",
            "from sound union all from sound where trial = 2",
        ),
        "no best trial of a type": (
            "without_a_best",
            changed("crime_type = 'Drugs'", best="false"),
        ),
        "the best trials of one type, none of the other": (
            "without_a_best",
            changed(best="crime_type = 'Drugs' and trial in (0, 1)"),
        ),
        "a best trial that failed": (
            "without_a_best",
            changed("trial = 1", state="'failed'", value="null"),
        ),
        "a share of more than all": ("impossible_values", changed("best", value="1.2")),
        "a complete trial without a value": (
            "impossible_values",
            changed("trial = 2", value="null"),
        ),
        "a failed trial with a value": (
            "impossible_values",
            changed("trial = 2", state="'failed'"),
        ),
        "a trial that is not yet over": (
            "impossible_values",
            changed("trial = 2", state="'running'", value="null"),
        ),
        "two of three trials that failed": (
            "failed_share",
            changed("trial != 1", state="'failed'", value="null"),
        ),
        "the second best that is marked": (
            "better_than_the_best",
            changed("crime_type = 'Drugs'", best="trial = 0"),
        ),
    },
    "gldnet": {
        "no epoch": ("epochs", NONE),
        "a model of no epoch": (
            "without_one_kept_epoch",
            changed("crime_type = 'Drugs'", kept="false"),
        ),
        "a model of two epochs": (
            "without_one_kept_epoch",
            changed("crime_type = 'Drugs'", kept="epoch > 3"),
        ),
        "a loss that is no number": (
            "losses_not_finite",
            changed("epoch = 3", loss="'nan'::double"),
        ),
        "a validation that is missing": (
            "losses_not_finite",
            changed("epoch = 3", validation_loss="null"),
        ),
        "more than all crimes that are hit": (
            "impossible_hit_rates",
            changed("epoch = 5", hit_rate="1.1"),
        ),
        "hits below nought": (
            "impossible_hit_rates",
            changed("epoch = 1", validation_hit_rate="-0.1"),
        ),
        "a loss that only rises": (
            "never_learnt",
            changed("crime_type = 'Drugs'", loss="epoch"),
        ),
        "a model that is as good as chance": (
            "lowest_hit_rate",
            changed("crime_type = 'Drugs'", validation_hit_rate="0.1"),
        ),
    },
    "gldnet_forecasts": {
        "no score": ("scores", NONE),
        "a segment that stands twice": (
            "repeated_scores",
            "from sound union all from sound where segment_id = 's03-1'",
        ),
        "a segment without a score": (
            "segments_added_or_missing",
            "from sound where segment_id <> 's03-1' or crime_type <> 'Drugs'",
        ),
        "as many segments of other streets": (
            "segments_added_or_missing",
            changed(segment_id="'way ' || segment_id"),
        ),
        "a score that is no number": (
            "scores_not_finite",
            changed("segment_id = 's03-1'", score="'nan'::double"),
        ),
        "a model of the next month": ("trained_later", changed(trained_at="'2025-10'")),
        "a model of no known month": (
            "trained_later",
            changed("crime_type = 'Drugs'", trained_at="null"),
        ),
        "a network that has died": (
            "distinct_share",
            changed("crime_type = 'Drugs'", score="0"),
        ),
    },
    "lsoa_counts": {
        "no crime": ("crimes", NONE),
        "a count that stands twice": (
            "repeated_counts",
            "from sound union all (from sound limit 1)",
        ),
        "an area that is none": (
            "unknown_areas",
            changed("lsoa21cd = 'E01000007'", lsoa21cd="'E01999999'"),
        ),
        "a row without a crime": (
            "impossible_counts",
            "from sound union all select 'E01000007', 'Robbery', 0, 0",
        ),
        "more of its own code than there are": (
            "impossible_counts",
            changed("lsoa21cd = 'E01000007'", same_code="138"),
        ),
        "boundaries that end at a border": (
            "outside_areas_share",
            "from sound where lsoa21cd > 'E01000003'",
        ),
        "codes of another vintage": ("same_code_share", changed(same_code="120")),
    },
    "scopes": {
        "no nation": ("nations", changed(kind="'force'")),
        "two areas of one name": ("repeated_scopes", changed("scope = 'Dover'", scope="'kent'")),
        "an area of nothing": ("empty_scopes", changed("scope = 'Dover'", area_m2="0")),
        "more hotspots than cells": ("overfull_scopes", changed("scope = 'Dover'", k="11")),
        "a force beyond the LSOAs": (
            "least_extent_ratio",
            changed("scope = 'kent'", area_m2="3e8"),
        ),
        "cells of other boundaries": (
            "greatest_extent_ratio",
            changed("scope = 'kent'", area_m2="1.5e8"),
        ),
        "too few hotspots": ("least_k_share", changed("scope = 'kent'", k="1")),
        "too many hotspots": ("greatest_k_share", changed("scope = 'kent'", k="8")),
        "another England and Wales": (
            "england_and_wales_cells england_and_wales_k",
            changed("kind = 'nation'", scope="'england-and-wales'"),
        ),
    },
    "scope_cells": {
        "a cell that stands twice": (
            "repeated_cells scopes_of_another_size",
            "from sound union all from sound limit 1913",
        ),
        "a cell that is missing": (
            "scopes_of_another_size",
            "from sound where not (scope = 'kent' and hex_id = 0)",
        ),
        "a cell at sea": (
            "cells_outside_the_study_area",
            changed("scope = 'essex' and hex_id = 1886 * 950", hex_id="7"),
        ),
        "forces that overlap": (
            "cells_of_two_forces",
            changed("scope = 'essex' and hex_id = 1886 * 950", hex_id="0"),
        ),
    },
    "hex_counts": {
        "no crime": ("crimes", NONE),
        "a count that stands twice": ("repeated_counts", "from sound union all from sound"),
        "a cell without a crime": ("counts_below_one", changed("hex_id = 1000", crimes="0")),
        "a cell that is not in the grid": (
            "counts_off_the_grid",
            changed("hex_id = 1000", hex_id="3609804"),
        ),
        "places that moved": ("known_cells_share", changed("hex_id < 1040", hex_id="hex_id + 500")),
        "an absurd cell": ("busiest_cell_share", changed("hex_id = 1000", crimes="100")),
    },
    "snap_counts": {
        "no crime": ("crimes", NONE),
        "a count that stands twice": ("repeated_counts", "from sound union all from sound"),
        "a place without a crime": ("counts_below_one", changed("hex_id = 1000", crimes="0")),
        "coordinates that are swapped": (
            "misplaced_points",
            changed(longitude="latitude", latitude="longitude"),
        ),
        "an absurd snap point": ("busiest_point_share", changed("hex_id = 1000", crimes="50")),
        "exact addresses": ("crimes_per_point", changed(crimes="1")),
    },
    "reconciliation": {
        "crimes that are lost": ("broken_rows", changed("crime_type = 'Drugs'", in_cells="1")),
        "a fifth without a location": (
            "unlocated_share",
            changed(
                unlocated="crimes // 5",
                in_cells="crimes - crimes // 5 - outside_grid - outside_cells",
            ),
        ),
        "a type without locations": (
            "unlocated_type_share",
            changed("crime_type = 'Burglary'", unlocated="124", in_cells="275"),
        ),
        "crimes outside the grid": (
            "outside_grid_share",
            changed("crime_type = 'Drugs'", outside_grid="20", in_cells="468"),
        ),
        "a force beyond the study area": (
            "abroad_share",
            changed("crime_type = 'Drugs'", outside_cells="102", in_cells="388"),
        ),
    },
    "hotspots": {
        "no ranking": ("rankings scopes_gone", NONE),
        "a rank that is missing": (
            "broken_rankings",
            changed("crime_type = 'Drugs' and rank = 2", rank="3"),
        ),
        "more hotspots than k": (
            "broken_rankings",
            "from sound union all by name select * replace (3 as rank, 7 as hex_id) from sound "
            "where crime_type = 'Drugs' and rank = 2",
        ),
        "a hotter one below": (
            "hotspots_out_of_order",
            changed("rank = 2", crimes="40", score="40"),
        ),
        "a hotspot without a crime": (
            "cold_hotspots impossible_shares",
            changed("rank = 2", crimes="0", score="0"),
        ),
        "another score than its crimes": ("other_scores", changed("rank = 2", score="18.5")),
        "a share above one": ("impossible_shares", changed("rank = 2", largest_share="1.5")),
        "another study area": ("scopes_of_another_k", changed("crime_type = 'Drugs'", k="5")),
        "rows below k": (
            "scopes_not_filled",
            "from sound where crime_type <> 'All crime' or rank = 1",
        ),
        "months of different forces": ("scopes_of_changing_forces", changed(forces_present="[]")),
        "a force that is not ranked": ("scopes_gone", "from sound where window_months = 1"),
    },
    "hotspot_frequency": {
        "a rank that is missing": ("broken_rankings", changed("rank = 3", rank="4")),
        "a frequency above one": (
            "impossible_frequencies",
            changed("rank = 1", hits="26", frequency="1.04"),
        ),
        "too few windows": (
            "impossible_frequencies",
            changed(windows="12", hits="12", frequency="1", persistence="'persistent'"),
        ),
        "a lasting cell called emerging": (
            "misnamed_cells",
            changed("rank = 1", persistence="'emerging'"),
        ),
        "nothing that lasts": (
            "persistent_cells_of_the_nation",
            changed(hits="10", frequency="0.4", persistence="'intermittent'"),
        ),
        "an area that falls out": ("scopes_gone", NONE),
    },
    "hotspot_summary": {
        "no ranking": ("rankings", NONE),
        "a ranking that stands twice": ("repeated_rankings", "from sound union all from sound"),
        "a share above one": (
            "impossible_figures",
            changed("crime_type = 'Robbery'", captured="1.2"),
        ),
        "a share that is no number": (
            "impossible_figures",
            changed("crime_type = 'Robbery'", gini="'nan'::double"),
        ),
        "a ranking without its Gini": ("missing_figures", changed("crimes = 9000", gini="null")),
        "a gap without a reason": ("unexplained_rankings", changed(reason="null")),
        "other hotspots than last month": (
            "jaccard_of_the_nation",
            changed("crimes = 9000", jaccard="0.2"),
        ),
        "crimes spread at random": (
            "captured_in_the_nation",
            changed("crimes = 9000", captured="0.002"),
        ),
    },
    "forecasts": {
        "no ranking": ("rankings scopes_lost", NONE),
        "a rank that is missing": (
            "broken_rankings",
            changed("crime_type = 'Drugs' and rank = 20", rank="21"),
        ),
        "a unit that stands twice": (
            "broken_rankings",
            changed("crime_type = 'Drugs' and rank = 20", unit_id="'1019'"),
        ),
        "a score that is no number": (
            "scores_not_finite",
            changed("rank = 20", score="'nan'::double"),
        ),
        "a unit without a score": ("scores_not_finite", changed("rank = 20", score="null")),
        "fewer than no crimes": (
            "impossible_expectations",
            changed("rank = 20", expected_crimes="-0.1"),
        ),
        "a model that knows nothing": (
            "share_without_order",
            changed("scope = 'kent' and horizon_steps = 1", score="5"),
        ),
        "an area that falls out": ("scopes_lost", "from sound where scope = 'study-area'"),
        # 2 of the 20 hottest units again: 2 / 38
        "other units than last month": (
            "jaccard_with_month_before",
            changed("rank > 2", unit_id="(2000 + rank)::varchar"),
        ),
    },
    "evaluations": {
        "no figure": ("figures", NONE),
        "a figure that is no number": (
            "figures_not_finite",
            changed("metric = 'auroc'", value="'nan'::double"),
        ),
        "a figure that is missing": (
            "figures_not_finite",
            changed("metric = 'auroc'", value="null"),
        ),
        "a value above its best tie": (
            "figures_beyond_ties",
            changed("metric = 'hit_rate'", tie_best="value - 0.001"),
        ),
        "a value below its worst tie": (
            "figures_beyond_ties",
            changed("metric = 'hit_rate'", tie_worst="value + 0.001"),
        ),
        "a ceiling that is not reached": (
            "ceilings_not_reached",
            changed("metric = 'pei_star'", value="0.99", tie_worst="0.99"),
        ),
        "chance that finds crimes": (
            "pai_of_chance",
            changed("metric = 'pai'", value="1.6", tie_best="1.6"),
        ),
        "chance that misses crimes": (
            "pai_of_chance",
            changed("metric = 'pai'", value="0.4", tie_worst="0.4"),
        ),
        # one of two scopes
        "a model that misleads": (
            "share_below_chance",
            changed("metric = 'pai' and scope = 'kent'", value="0.9", tie_worst="0.9"),
        ),
        # five of its eight hit rates in 5 % end below the rule's 0.4
        "a model that loses to the naive rule": (
            "share_lost_to_naive_rule",
            changed(
                "metric = 'hit_rate' and coverage = 0.05 and (scope = 'kent' "
                "or crime_type = 'Drugs' and horizon_steps = 1)",
                high="0.39",
            ),
        ),
    },
    "leaderboard": {
        "no ranking": ("rankings", NONE),
        "a model that stands twice": (
            "broken_rankings",
            "from sound union all from sound where model = 'last_month'",
        ),
        "nobody who is ranked": (
            "broken_rankings",
            changed("metric = 'auroc'", rank="null"),
        ),
        "a value that is no number": (
            "impossible_figures",
            changed("metric = 'auroc' and rank = 2", value="'nan'::double"),
        ),
        "an interval upside down": (
            "impossible_figures",
            changed("metric = 'auroc' and rank = 2", low="0.9"),
        ),
        "a difference upside down": (
            "impossible_figures",
            changed("metric = 'auroc' and rank = 2", difference_low="0.9"),
        ),
        "a chance above one": (
            "impossible_figures",
            changed("metric = 'auroc' and rank = 2", p_value="1.1"),
        ),
        "a model that beats foresight": (
            "rankings_beyond_ceiling",
            changed("metric = 'hit_rate' and crime_type = 'Drugs' and rank = 1", value="0.95"),
        ),
        "models no better than chance": (
            "share_no_better_than_chance",
            changed("scope = 'kent' and rank is not null", value="0.2"),
        ),
    },
    "lsoa_features": {
        "no area": ("areas areas_ratio scopes_gone", NONE),
        "an area that stands twice": (
            "repeated_areas",
            "from sound union all (from sound limit 1)",
        ),
        "an area of another force": (
            "unknown_areas",
            changed("lsoa21cd = 'E01000007'", force="'essex'"),
        ),
        "an area that is none": (
            "unknown_areas",
            changed("lsoa21cd = 'E01000007'", lsoa21cd="'E01999999'"),
        ),
        "a force of few areas": (
            "small_scopes",
            "from sound where scope = 'study-area' or lsoa21cd < 'E01000049'",
        ),
        "an area without a size": (
            "features_with_gaps",
            changed("lsoa21cd = 'E01000007'", area_km2="null"),
        ),
        "fewer than no crimes": (
            "impossible_features",
            changed("lsoa21cd = 'E01000000'", density_drugs="-0.1"),
        ),
        "a density that is no number": (
            "impossible_features",
            changed("lsoa21cd = 'E01000007'", neighbours_density_drugs="'nan'::double"),
        ),
        "a sixth cluster": (
            "impossible_features",
            changed("lsoa21cd = 'E01000007'", cluster_long_run="5"),
        ),
        "a share above one": (
            "impossible_features",
            changed("lsoa21cd = 'E01000007'", summer_share="1.01"),
        ),
        "a fourth year": ("impossible_features", changed(years="4")),
        "a rank of nought": (
            "impossible_features",
            changed("lsoa21cd = 'E01000007'", imd_rank="0"),
        ),
        # the types' mean is 14 x 0.505
        "types of more than all crime": (
            "share_of_types",
            changed(density_drugs="density_last_year - 6"),
        ),
        "a cluster that rises and stays": (
            "contradicting_trends",
            changed("lsoa21cd = 'E01000007'", cluster_increasing="true"),
        ),
        "a kind of area that is none": (
            "unknown_lisa",
            changed("lsoa21cd = 'E01000007'", lisa="'hot'"),
        ),
        "a kind without its local Moran's I": (
            "unknown_lisa",
            changed("lsoa21cd = 'E01000007'", local_moran="null"),
        ),
        "a type of which nothing is counted": (
            "constant_features",
            changed(density_drugs="0", neighbours_density_drugs="0"),
        ),
        "deprivation of one country": (
            "features_known_in_part",
            changed("lsoa21cd < 'E01000020'", imd_rank="null"),
        ),
        "outlines that do not touch": (
            "significant_share",
            changed("lsoa21cd < 'E01000086'", lisa="'not significant'"),
        ),
        "hotspots of other boundaries": (
            "density_ratio_of_hot_areas",
            changed(hot_cells="if(lsoa21cd < 'E01000010', 2, 0)"),
        ),
        "a force that falls silent": (
            "areas_ratio",
            "from sound where lsoa21cd > 'E01000014'",
        ),
        "a month of half the crimes": (
            "density_ratio",
            changed(density_last_year="density_last_year * 23 / 24"),
        ),
        "a scope that falls out": ("scopes_gone", "from sound where scope = 'study-area'"),
    },
    "lsoa_labels": {
        "no area": ("areas scopes_gone", NONE),
        "an area that stands twice": (
            "repeated_areas",
            "from sound union all (from sound limit 1)",
        ),
        "a label that is missing": (
            "impossible_labels",
            changed("lsoa21cd = 'E01000007'", bivariate="null"),
        ),
        "a label without a density": (
            "impossible_labels",
            changed("lsoa21cd = 'E01000103'", tier="0"),
        ),
        "a fifth tier": ("impossible_labels", changed("lsoa21cd = 'E01000099'", tier="4")),
        "a tenth class": ("impossible_labels", changed("tier = 3", bivariate="'3_0'")),
        "fewer than no crimes": (
            "impossible_labels",
            changed("lsoa21cd = 'E01000000'", crime_density="-1.0"),
        ),
        # tier 2, and no hotspot
        "a high tier that is no hotspot": (
            "impossible_labels",
            changed("lsoa21cd = 'E01000075'", is_hotspot="false"),
        ),
        "a cool area in a high tier": (
            "scopes_out_of_order",
            changed("lsoa21cd = 'E01000099'", crime_density="61.5"),
        ),
        "a hotspot cooler than others": (
            "scopes_out_of_order",
            changed("lsoa21cd = 'E01000060'", is_hotspot="true"),
        ),
        "many areas at the limit": (
            "scopes_of_odd_hotspots changed_hotspots_share",
            changed("tier = 1 and lsoa21cd > 'E01000068'", is_hotspot="true"),
        ),
        "tiers of other limits": (
            "scopes_of_odd_tiers",
            changed("tier = 2 and lsoa21cd > 'E01000085'", tier="3"),
        ),
        "a type that few areas have": (
            "scopes_of_few_crimes",
            changed("lsoa21cd > 'E01000009' and tier is not null", bivariate="'0_2'"),
        ),
        "a large silent force": (
            "unknown_share",
            changed(
                "lsoa21cd between 'E01000040' and 'E01000047'",
                crime_density="null",
                is_hotspot="null",
                tier="null",
                bivariate="null",
            ),
        ),
        # four areas have become hotspots or are hotspots no more
        "other hotspots than last month": (
            "changed_hotspots_share",
            changed(
                "crime_density is not null",
                lsoa21cd="printf('E01%06d', (right(lsoa21cd, 6)::int + 2) % 100)",
            ),
        ),
        "a month of half the crimes": (
            "density_ratio",
            changed(crime_density="crime_density * 23 / 24"),
        ),
        "a scope that falls out": ("scopes_gone", "from sound where scope = 'study-area'"),
    },
    "lsoa_predictions": {
        "no area": ("predictions", NONE),
        "a prediction that stands twice": (
            "repeated_predictions",
            "from sound union all (from sound limit 1)",
        ),
        "an area left out": (
            "areas_not_foretold",
            "from sound where lsoa21cd != 'E01000007' or split != 'time' or scope != 'kent'",
        ),
        "a label left out": (
            "areas_not_foretold",
            "from sound where label != 'tier' or split != 'time'",
        ),
        "a class of another label": (
            "unknown_classes",
            changed("label = 'tier' and lsoa21cd = 'E01000007'", predicted="'0_0'"),
        ),
        "a split that is none": ("unknown_classes", changed("split = 'space'", split="'luck'")),
        "probabilities that do not sum to one": (
            "impossible_probabilities",
            changed("label = 'is_hotspot'", probabilities="[0.5, 0.4]"),
        ),
        "a probability below nought": (
            "impossible_probabilities",
            changed("label = 'is_hotspot'", probabilities="[1.1, -0.1]"),
        ),
        "a class without a probability": (
            "impossible_probabilities",
            changed("label = 'tier'", probabilities="[0.5, 0.5]"),
        ),
        "an empty set": (
            "broken_sets",
            changed("split = 'time' and lsoa21cd = 'E01000007'", conformal_set="[]::varchar[]"),
        ),
        "a set of another label": (
            "broken_sets",
            changed("split = 'time' and label = 'tier'", conformal_set="['0_0']"),
        ),
        "a set that nothing was calibrated for": (
            "broken_sets",
            changed("split = 'random'", conformal_set="[predicted]"),
        ),
        "sets of all classes": (
            "largest_share_of_classes_in_sets",
            changed("label = 'is_hotspot' and split = 'time'", conformal_set="['0', '1']"),
        ),
        "hardly a hotspot": (
            "hotspot_share",
            changed("label = 'is_hotspot' and lsoa21cd < 'E01000090'", predicted="'0'"),
        ),
        "hotspots everywhere": (
            "hotspot_share",
            changed("label = 'is_hotspot' and lsoa21cd > 'E01000050'", predicted="'1'"),
        ),
    },
    "lsoa_evaluations": {
        "no figure": ("figures", NONE),
        "a figure that stands twice": (
            "repeated_figures",
            "from sound union all (from sound limit 1)",
        ),
        "a figure that is no number": (
            "figures_not_finite",
            changed("metric = 'macro_f1'", value="'nan'::double", low="null", high="null"),
        ),
        "a figure that is missing": (
            "figures_not_finite",
            "from sound where metric != 'log_loss' or split != 'time' or label != 'tier'",
        ),
        "an accuracy above one": (
            "impossible_figures",
            changed("metric = 'accuracy' and group_kind = 'force'", value="1.1", high="1.1"),
        ),
        "a chance above one": (
            "impossible_figures",
            changed("metric = 'moran_i'", p_value="1.1"),
        ),
        "sets of ten classes": (
            "impossible_figures",
            changed("metric = 'conformal_size'", value="9.5", high="9.6"),
        ),
        "an interval upside down": (
            "broken_intervals share_beyond_interval",
            changed("metric = 'kappa'", low="high", high="low"),
        ),
        "half an interval": ("broken_intervals", changed("metric = 'kappa'", low="null")),
        "values beyond their interval": (
            "share_beyond_interval",
            changed("metric = 'brier'", low="0.3", high="0.4"),
        ),
        "sets that miss the truth": (
            "conformal_coverage",
            changed("metric = 'conformal_coverage' and label = 'tier'", value="0.84", low="0.8"),
        ),
        "a feature that knows the future": (
            "greatest_accuracy",
            changed("metric = 'accuracy'", value="0.995", high="1"),
        ),
        "a random split that flatters": (
            "gain_of_random_split",
            changed("metric = 'accuracy' and split = 'random'", value="0.96", high="0.97"),
        ),
        "a model that misleads": (
            "share_below_chance",
            changed("metric = 'auroc' and scope = 'kent'", value="0.4", low="0.3"),
        ),
        "a model that loses to the class of last year": (
            "labels_lost_to_same_class",
            changed("metric = 'accuracy_difference' and scope = 'study-area'", high="-0.001"),
        ),
        # four of its six accuracies
        "a model that loses in most scopes": (
            "labels_lost_to_same_class share_lost_to_same_class",
            changed(
                "metric = 'accuracy_difference' and (scope = 'kent' or label = 'tier')",
                high="-0.001",
            ),
        ),
    },
    "mps_lsoa_years": {
        "no area": ("areas areas_missing crime_types", NONE),
        "a count that stands twice": (
            "repeated_counts",
            "from sound union all (from sound limit 1)",
        ),
        "a hole in the grid": (
            "gaps",
            "from sound where lsoa21cd != 'E01000007' or year != 2020 or crime_type != 'TYPE 1'",
        ),
        "an area that vanished": ("areas_missing", "from sound where lsoa21cd != 'E01000007'"),
        "an area that the study takes out": (
            "areas_outside_london",
            "from sound union all by name select * replace ('E01000005' as lsoa21cd) from sound "
            "where lsoa21cd = 'E01000004'",
        ),
        "a year that is missing": ("years_missing", "from sound where year != 2020"),
        "fewer than no crimes": (
            "impossible_counts",
            changed("lsoa21cd = 'E01000007' and crime_type = 'TYPE 1'", crimes="-1"),
        ),
        "crimes of no line": (
            "impossible_counts",
            changed("lsoa21cd = 'E01000007' and crime_type = 'TYPE 1'", lines="0"),
        ),
        "types that were left out": (
            "crime_types",
            "from sound where crime_type < 'TYPE 26' or length(crime_type) = 6",
        ),
        "codes of another vintage": (
            "share_without_crime",
            changed("lsoa21cd < 'E01000007'", crimes="0"),
        ),
        "a year of half a file": (
            "least_change",
            changed("year = 2024 and right(crime_type, 1)::int > 5", crimes="0"),
        ),
        "a year of two files": ("greatest_change", changed("year = 2024", crimes="crimes * 2")),
    },
    "city_incidents": {
        "no incident": ("incidents", NONE),
        "a line that stands twice": (
            "repeated_rows",
            "from sound union all (from sound limit 1)",
        ),
        "an incident without a time": (
            "incomplete_incidents",
            changed("row = 7", time="null"),
        ),
        "a type that is none of the ten": (
            "unlisted_types",
            changed("row = 7", study="'Drunkenness'"),
        ),
        "a type in one mapping alone": (
            "unlisted_types",
            changed("row = 7", corrected="null"),
        ),
        "categories that nobody knows": (
            "unknown_share",
            changed("row <= 20", category="'NEW'", study="null", corrected="null"),
        ),
        "a police station for a place": (
            "busiest_place_share",
            changed("row % 10 = 0", longitude="-122.4", latitude="47.7"),
        ),
        "a year of half a file": (
            "least_volume",
            "from sound where year(time) <> 2015 or month(time) < 5",
        ),
    },
    "rejected_incidents": {
        "places that are kept back": (
            "rejected_share",
            f"{REJECTED_INCIDENTS} from range(100) as line(i)",
        ),
        "a format that is not known": (
            "unreadable_share",
            changed("row < 2", reason="'time in no known format'"),
        ),
        "a line without a reason": ("unexplained_lines", changed("row = 1", reason="null")),
        "a line that is lost": ("unexplained_lines", changed("row = 1", fields="null")),
    },
    "incident_categories": {
        "no category": ("categories incidents_missing_or_added", NONE),
        "a category that stands twice": (
            "repeated_categories incidents_missing_or_added",
            "from sound union all from sound",
        ),
        "a known category without a type": (
            "impossible_categories",
            changed("category = 'ROBBERY'", corrected="null"),
        ),
        "incidents of another reading": (
            "incidents_missing_or_added",
            changed("category = 'ROBBERY'", incidents="incidents + 1"),
        ),
        "a category that nobody knows": (
            "unknown_categories",
            changed("category = 'ROBBERY'", study="null", corrected="null", known="false"),
        ),
    },
    "incident_days": {
        "no day": ("days incidents_missing_or_added", NONE),
        "a day that stands twice": (
            "repeated_days",
            "from sound union all (from sound where incidents = 0 order by day limit 1)",
        ),
        "a day that is left out": (
            "days_left_out",
            "from sound where day <> (select max(day) from sound where incidents = 0)",
        ),
        "fewer than no incidents": (
            "impossible_days",
            changed(
                "day = '2013-01-01' or day = '2013-01-02'",
                incidents="if(day = '2013-01-01', -1, 3)",
            ),
        ),
        "incidents of another reading": (
            "incidents_missing_or_added",
            changed("day = '2013-01-01'", incidents="5"),
        ),
        "alternate weeks": (
            "unobserved_share",
            changed("incidents = 0 and week(day) % 2 = 0", observed="false"),
        ),
        "days that are held in part": (
            "share_on_unobserved",
            changed("day < '2013-01-05'", observed="false"),
        ),
    },
    "incident_maps": {
        "no map": ("incidents incidents_missing_or_added", NONE),
        "an entry that stands twice": (
            "repeated_entries incidents_missing_or_added",
            "from sound union all (from sound limit 1)",
        ),
        "a cell beyond the grid": (
            "impossible_entries",
            changed("cell = 99", cell="256"),
        ),
        "incidents of another reading": (
            "incidents_missing_or_added",
            "from sound where cell > 0",
        ),
        "a box much larger than the city": ("active_share", changed(cell="cell % 40")),
        "a police station for a cell": (
            "busiest_cell_share",
            changed("cell % 3 = 0", cell="100"),
        ),
    },
    "grid_forecasts": {
        "nothing foretold": ("predictions", NONE),
        "a cell that stands twice": (
            "repeated_cells",
            "from sound union all (from sound limit 1)",
        ),
        "a probability that is none": (
            "impossible_probabilities",
            changed("cell = 3 and origin = '2013-04-01'", probability="1.5"),
        ),
        "fewer than no crimes": (
            "impossible_expectations",
            changed("cell = 3", expected="-1"),
        ),
        "a month of fewer cells": (
            "uneven_predictions",
            "from sound where cell <> 3 or origin <> '2013-04-01'",
        ),
        "a method that learned nothing": (
            "predictions_without_order",
            changed("crime_type = 'Theft'", probability="0.1"),
        ),
    },
    "grid_evaluations": {
        "nothing judged": ("figures", NONE),
        "a figure that stands twice": (
            "repeated_figures",
            "from sound union all (from sound where against is not null limit 1)",
        ),
        "a share above one": (
            "impossible_figures",
            changed(
                "crime_type = 'Theft' and metric = 'f1' and against is null",
                value="value + 0.5",
            ),
        ),
        "an interval that ends before it begins": (
            "broken_intervals",
            changed("against is not null and metric = 'f1'", low="0.06"),
        ),
        "a mean of other months": (
            "means_not_of_months",
            "from sound where origin is null or origin < '2013-07-01'",
        ),
        "a method that misleads": (
            "least_auroc",
            changed("metric = 'auroc' and against is null", value="value - 0.5"),
        ),
        "a method that loses to persistence": (
            "lost_to_persistence",
            changed("against is not null and metric = 'pai'", high="-0.001"),
        ),
    },
    "grid_leaderboard": {
        "nobody ranked": ("rankings", NONE),
        "a method that stands twice": (
            "broken_rankings",
            "from sound union all (from sound where model = 'svm' limit 1)",
        ),
        "a value that is none": (
            "impossible_figures",
            changed("model = 'svm'", value="'nan'::double"),
        ),
        "a board without persistence": (
            "rankings_without_persistence",
            "from sound where model <> 'persistence'",
        ),
        "rules that need no training": (
            "share_led_by_naive_rules",
            changed("rank < 3", rank="3 - rank"),
        ),
    },
}

BY_MODEL = {
    "a ceiling that is not reached": "perfect_foresight",
    "chance that finds crimes": "chance",
    "chance that misses crimes": "chance",
}
"""The traps that only a floor or a ceiling falls into; all others are made of a usual model."""

MODEL = "last_month"
CLASSIFIER = "random_forest"
METHOD = "sftt_resnet"


def usual_model(table: str) -> str:
    """The model whose partition of a table by model is made, where a test names none."""
    if table in ("grid_forecasts", "grid_evaluations"):
        return METHOD
    return CLASSIFIER if table in ("lsoa_predictions", "lsoa_evaluations") else MODEL


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB().get_connection() as connection:
        yield connection


@dataclass
class SmallLake:
    """A lake of kent: ``MONTH`` as a test makes it, the months before and other tables sound."""

    lake: Lake
    connection: duckdb.DuckDBPyConnection

    def publish(
        self, table: str, month: str, sound: str, made: str = "from sound", model: str | None = None
    ) -> None:
        """Publish what ``made`` selects, from ``sound`` where it likes."""
        contract = TABLES[table]
        empty = ", ".join(f'null::{c.type} as "{c.name}"' for c in contract.columns)
        for relation, query in (("sound", sound), ("made", made)):
            self.connection.execute(
                f"create or replace temp table {relation} as "
                f"(select {empty} where false) union all by name ({query})"
            )
        self.lake.publish(self.connection, "made", table, partition_of(table, month, model))

    def broken(self, table: str, made: str, model: str | None = None) -> list[runner.Expectation]:
        """The expectations that ``made`` breaks as the partition of ``MONTH``.

        Of a table by model, it is what ``model`` has; the naive rule has sound data beside it.
        """
        suite = runner.read_suite(table)
        model = model or usual_model(table)
        for other in suite.reads:
            self.publish(other, MONTH, AROUND.get((table, other), SOUND[other]))
        for month in BEFORE if TABLES[table].partitions else []:
            self.publish(table, month, SOUND[table], model=model)
        by_model = "model" in TABLES[table].partitions
        if by_model:
            naive = NAIVE_RULE if "unit" in TABLES[table].partitions else NAIVE_CLASS
            self.publish(table, MONTH, SOUND[table], model=naive)
        self.publish(table, MONTH, SOUND[table], made, model)
        partition = partition_of(table, MONTH, model)
        profile = runner.profile(
            self.connection, self.lake, suite, [partition], model if by_model else None
        )
        (outcomes,) = runner.judge(suite, profile)
        return [outcome.expectation for outcome in outcomes if not outcome.passed]


@pytest.fixture
def small_lake(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> SmallLake:
    return SmallLake(Lake(tmp_path), connection)


def partition_of(table: str, month: str, model: str | None = None) -> dict[str, str]:
    model = model or usual_model(table)
    values = {"month": month, "force": "kent", "model": model, "unit": "hex"}
    values |= {"cells": "16", "city": "seattle"}
    return {column: values[column] for column in TABLES[table].partitions}


def test_each_table_has_a_suite_and_a_profile_and_each_suite_a_table() -> None:
    assert set(runner.suite_tables()) == set(TABLES)
    for table in TABLES:
        assert runner.sql(f"quality/{table}").startswith(f"-- {table}: the profile of {table}")


def test_each_expectation_has_a_trap_that_breaks_it() -> None:
    expected = {
        (table, expectation.kwargs["column"])
        for table in runner.suite_tables()
        for expectation in runner.read_suite(table).expectations
    }
    trapped = {
        (table, column)
        for table, traps in TRAPS.items()
        for columns, _ in traps.values()
        for column in columns.split()
    }
    assert trapped == expected


@pytest.mark.parametrize("table", runner.suite_tables())
def test_each_expectation_says_in_a_sentence_what_it_means(table: str) -> None:
    for expectation in runner.read_suite(table).expectations:
        assert expectation.severity in ("critical", "warning")
        assert expectation.sentence.endswith(".")
        assert len(expectation.sentence) > 25


@pytest.mark.parametrize("table", SOUND)
def test_sound_data_meets_its_suite(table: str, small_lake: SmallLake) -> None:
    assert small_lake.broken(table, "from sound") == []


@pytest.mark.parametrize("model", ["chance", NAIVE_RULE, "perfect_foresight"])
@pytest.mark.parametrize("table", ["forecasts", "evaluations"])
def test_sound_data_of_every_role_meets_its_suite(
    table: str, model: str, small_lake: SmallLake
) -> None:
    assert small_lake.broken(table, "from sound", model) == []


@pytest.mark.parametrize(
    ("table", "trap"),
    [pytest.param(table, trap, id=f"{table}: {trap}") for table in TRAPS for trap in TRAPS[table]],
)
def test_a_trap_breaks_the_expectation_that_names_it(
    table: str, trap: str, small_lake: SmallLake
) -> None:
    columns, made = TRAPS[table][trap]
    broken = small_lake.broken(table, made, BY_MODEL.get(trap))
    assert {e.kwargs["column"] for e in broken} == set(columns.split())


@pytest.mark.parametrize(
    ("table", "trap", "spared"),
    [
        ("forecasts", "other units than last month", "chance"),
        ("evaluations", "a ceiling that is not reached", MODEL),
        ("evaluations", "chance that finds crimes", MODEL),
        ("evaluations", "a model that misleads", "chance"),
        ("evaluations", "a model that loses to the naive rule", "chance"),
        ("evaluations", "a model that loses to the naive rule", "perfect_foresight"),
        ("evaluations", "a model that loses to the naive rule", NAIVE_RULE),
        ("lsoa_evaluations", "a model that loses in most scopes", NAIVE_CLASS),
    ],
)
def test_a_model_is_judged_by_its_role(
    table: str, trap: str, spared: str, small_lake: SmallLake
) -> None:
    assert small_lake.broken(table, TRAPS[table][trap][1], spared) == []


def test_the_other_unit_kinds_of_a_model_are_judged_with_it(small_lake: SmallLake) -> None:
    broken_lsoas = changed("rank = 20", score="null")
    small_lake.publish("forecasts", MONTH, FORECASTS)
    connection, lake = small_lake.connection, small_lake.lake
    connection.execute(f"create or replace temp table made as {broken_lsoas}")
    place = {"month": MONTH, "model": MODEL, "unit": "lsoa"}
    lake.publish(connection, "made", "forecasts", place)
    (row,) = runner.profile(
        connection, lake, runner.read_suite("forecasts"), [{"month": MONTH}], MODEL
    )
    assert (row["rankings"], row["broken_rankings"], row["scores_not_finite"]) == (16, 0, 8)


def test_half_a_file_that_cannot_be_read_is_critical(small_lake: SmallLake) -> None:
    expectations = small_lake.broken("rejected_crimes", f"{REJECTED} from range(1000) as line(i)")
    assert [e.severity for e in expectations] == ["warning", "critical"]


# --- Real data ------------------------------------------------------------------------------

MONTHS_2023_2025 = months_back("2025-12", 36)
GAPS = [f"2025-{m:02d}" for m in (5, 6, 7, 8, 10, 11)]  # Avon and Somerset's

KNOWN_WARNINGS = {
    # 289 of 4,639 rows of Gwent's first month in the archive 2025-12 stand in it twice
    ("street_crimes", "2023-01", "gwent", "repeats_share"),
    *(("street_crimes", month, "avon-and-somerset", "volume") for month in GAPS),
    *(("coverage", month, None, "forces_gone") for month in GAPS),
    # the first month of each of its two gaps
    ("hotspots", "2025-05", None, "scopes_gone"),
    ("hotspots", "2025-10", None, "scopes_gone"),
    # the rules that rest on few months, or rank few cells, do lose to the mean of twelve
    *(
        ("evaluations", month, model, "share_lost_to_naive_rule")
        for model in ("last_month", "same_month_last_year", "hotspot_frequency")
        for month in FORECAST_MONTHS[:-1]
    ),
    ("evaluations", "2025-10", "rolling_mean_3", "share_lost_to_naive_rule"),
}
"""What warns in three years of real data, and is worth it; nothing is critical."""


MONTHS_OF = {
    "archive_index": FORECAST_MONTHS[-1:],
    "release_changes": FORECAST_MONTHS[-1:],
    "lsoa_counts": FORECAST_MONTHS,
    "forecasts": FORECAST_MONTHS,
    "evaluations": FORECAST_MONTHS[:-1],
    "leaderboard": FORECAST_MONTHS[-1:],
    "segment_counts": FORECAST_MONTHS,
    "segment_steps": FORECAST_MONTHS,
}
"""The months that tables have which are not there from 2023 on."""

NOT_THERE = (
    "inventory",
    "lsoa_features",
    "lsoa_labels",
    "lsoa_predictions",
    "lsoa_evaluations",
    "mps_lsoa_years",
    "city_incidents",
    "rejected_incidents",
    "incident_categories",
    "incident_days",
    "incident_maps",
    "grid_forecasts",
    "grid_evaluations",
    "grid_leaderboard",
    "gldnet_trials",
    "gldnet",
    "gldnet_forecasts",
)
"""The tables (and the model) that need more years, or more, than the real lake is made of; and the
inventory, which would find eight forces missing in its first two years. Of cities there are tests
of their own."""


def partitions_there(table: str) -> list[dict[str, str]]:
    """The partitions of a table in the real lake, but for its models and units."""
    there: list[dict[str, str]] = [{}]
    if "month" in TABLES[table].partitions:
        there = [{"month": month} for month in MONTHS_OF.get(table, MONTHS_2023_2025)]
    if "force" not in TABLES[table].partitions:
        return there
    if table in ("street_segments", "street_graph", "segment_steps"):
        return [{**p, "force": CITY} for p in there]
    return [
        {**p, "force": force}
        for p in there
        for force in (FORCES_2025 if p["month"] >= "2025" else EARLY_FORCES)
    ]


@pytest.mark.parametrize(
    ("table", "model"),
    [
        (table, model)
        for table in runner.suite_tables()
        for model in models_of(table) or (None,)
        if table not in NOT_THERE and model not in NOT_THERE
    ],
)
def test_real_data_meets_its_suite_but_for_what_is_known(
    table: str, model: str | None, real_lake: RealLake
) -> None:
    partitions = partitions_there(table)
    suite = runner.read_suite(table)
    with DuckDB().get_connection() as connection:
        profile = runner.profile(connection, real_lake.lake, suite, partitions, model)
    found = {
        (table, row.get("month"), model or row.get("force"), outcome.expectation.kwargs["column"])
        for row, outcomes in zip(profile, runner.judge(suite, profile), strict=True)
        for outcome in outcomes
        if not outcome.passed
    }
    assert len(profile) == len(partitions)
    known = {w for w in KNOWN_WARNINGS if w[0] == table and (model is None or w[2] == model)}
    assert found == known


@pytest.mark.slow
def test_real_areas_of_london_meet_their_suites(shared_data: Path, tmp_path: Path) -> None:
    boundaries = shared_data / "boundaries"
    counts = shared_data / "lsoa" / "england_wales_lsoa_month_type_2023-05_2026-04.parquet"
    settings = Settings.from_environment(
        {
            "CRIME_DATA_DIR": str(tmp_path),
            "CRIME_LSOA_BOUNDARIES": str(boundaries / "london_lsoa_2021.gpkg"),
            "CRIME_FORCE_BOUNDARIES": str(boundaries / "police_force_areas_2023.parquet"),
            "CRIME_LSOA_COUNTS": str(counts),
            "CRIME_LSOA_LOOKUP": str(boundaries / "lsoa_2011_to_2021.csv.gz"),
        }
    )
    lake = Lake(tmp_path / "lake")
    resources = {"settings": settings, "lake": lake, "engine": DuckDB()}
    for asset, first, last in (
        (lsoa_areas, None, None),
        (lsoa_counts, "2023-05", "2026-04"),
        (lsoa_features, "2025-03", "2025-04"),
        (lsoa_labels, "2025-03", "2025-04"),
    ):
        start, end = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
        dg.materialize(
            [asset],
            instance=dg.DagsterInstance.ephemeral(),
            resources=resources,
            tags={start: first, end: last} if first and last else {},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    with DuckDB().get_connection() as connection:
        for table in ("lsoa_features", "lsoa_labels"):
            suite = runner.read_suite(table)
            profile = runner.profile(connection, lake, suite, [{"month": "2025-04"}])
            (outcomes,) = runner.judge(suite, profile)
            assert profile[0]["areas"] >= 4_988
            assert profile[0]["density_ratio"] is not None
            assert [o.observed for o in outcomes if not o.passed] == []
