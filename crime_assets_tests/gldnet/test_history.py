"""What GLDNet learns from, read from a lake that is made here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from crime_assets import DataError
from crime_assets.gldnet.history import HistoryTooShort, read_history
from crime_assets.lake import DuckDB, MissingPartition
from crime_assets_tests.gldnet.made import (
    CUT_OFF,
    IDS,
    LENGTH,
    MONTHS,
    TYPES,
    VIOLENCE,
    Streets,
    crimes_of,
)


@pytest.fixture
def streets(tmp_path: Path) -> Iterator[Streets]:
    with DuckDB(threads=1).get_connection() as connection:
        yield Streets.make(tmp_path, connection, MONTHS[-6:], ["kent"])


def test_crimes_stand_by_month_then_by_segment_then_by_type(streets: Streets) -> None:
    history = read_history(streets.connection, streets.lake, CUT_OFF, "kent", least=6)
    assert history.months == tuple(MONTHS[-6:])
    assert history.features == TYPES
    assert history.network.ids.tolist() == IDS
    assert np.array_equal(history.network.length, LENGTH)
    counts = history.counts.toarray().reshape(6, len(IDS), len(TYPES))
    for at, month in enumerate(history.months):
        assert np.array_equal(counts[at, :, TYPES.index(VIOLENCE)], crimes_of(month, "kent"))
    assert counts[:, :, TYPES.index("Drugs")].sum() == 0


def test_segments_that_meet_stand_once_with_their_weight(streets: Streets) -> None:
    network = read_history(streets.connection, streets.lake, CUT_OFF, "kent", least=6).network
    assert (network.one < network.other).all()
    assert len({*zip(network.one, network.other, strict=True)}) == len(network.one)
    # a corner segment of the plan meets the one that goes on, and the two at its inner crossing
    assert np.bincount(network.one, minlength=len(IDS))[0] == 4 - 1
    assert np.allclose(
        network.weight,
        np.exp(-(((LENGTH[network.one] + LENGTH[network.other]) / 2) ** 2) / (2 * 750**2)),
    )


def test_months_before_a_gap_are_left_out(streets: Streets) -> None:
    gap = streets.lake.path("segment_steps", {"month": MONTHS[-4], "force": "kent"})
    gap.unlink()
    history = read_history(streets.connection, streets.lake, CUT_OFF, "kent", least=2)
    assert history.months == tuple(MONTHS[-3:])


def test_too_few_months_are_refused_with_the_command_that_helps(streets: Streets) -> None:
    with pytest.raises(HistoryTooShort, match=r"6 months in a row up to 2024-12.*needs 18"):
        read_history(streets.connection, streets.lake, CUT_OFF, "kent", least=18)
    with pytest.raises(MissingPartition, match="segment_steps"):
        read_history(streets.connection, streets.lake, "2025-01", "kent", least=2)


def test_streets_that_changed_since_are_refused(streets: Streets) -> None:
    streets.lay("kent", segments=40)
    with pytest.raises(DataError, match="other streets than street_segments holds now"):
        read_history(streets.connection, streets.lake, CUT_OFF, "kent", least=6)


def test_a_graph_of_other_streets_is_refused(streets: Streets) -> None:
    graph = streets.lake.path("street_graph", {"force": "kent"}).read_bytes()
    streets.lay("kent", segments=40)
    streets.lake.path("street_graph", {"force": "kent"}).write_bytes(graph)
    with pytest.raises(DataError, match="street_graph of kent was made before"):
        read_history(streets.connection, streets.lake, CUT_OFF, "kent", least=6)
