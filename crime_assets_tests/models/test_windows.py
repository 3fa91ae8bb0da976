"""What a network sees: nothing of the step it foretells, smoothed, the earliest first."""

from __future__ import annotations

import numpy as np
import pytest

from crime_assets.models.windows import smooth, split_steps, windows


def test_smoothing_is_the_recursion_written_out():
    smoothed = smooth([[4.0], [0.0], [2.0]], alpha=0.5)
    np.testing.assert_allclose(smoothed[:, 0], [0, 2, 1, 1.5])


def test_the_last_row_is_the_input_of_the_step_to_come():
    counts = np.random.default_rng(1).poisson(1, (6, 4, 2))
    assert smooth(counts, 0.3).shape == (7, 4, 2)
    np.testing.assert_array_equal(smooth(counts[:4], 0.3), smooth(counts, 0.3)[:5])


def test_an_alpha_of_one_is_the_step_before():
    counts = np.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(smooth(counts, 1)[1:], counts)


def test_small_whole_numbers_are_not_smoothed_as_such():
    counts = np.full((3, 1), 200, dtype=np.uint8)
    np.testing.assert_allclose(smooth(counts, 0.5)[:, 0], [0, 100, 150, 175])


@pytest.mark.parametrize("alpha", [0, -0.1, 1.1, float("nan")])
def test_an_alpha_out_of_bounds_is_refused(alpha: float):
    with pytest.raises(ValueError, match="alpha"):
        smooth([[1.0]], alpha)


def test_a_window_holds_the_last_steps_the_earliest_first():
    smoothed = np.arange(5 * 3 * 2).reshape(5, 3, 2)  # rows 0 to 4, 3 nodes, 2 features
    found = windows(smoothed, [2, 4], steps=2)
    assert found.shape == (2, 3, 4)
    for position, t in enumerate([2, 4]):
        for m in range(2):
            for f in range(2):
                np.testing.assert_array_equal(
                    found[position, :, m * 2 + f], smoothed[t - 1 + m, :, f]
                )


def test_nothing_of_the_step_or_later_is_in_its_window():
    counts = np.random.default_rng(2).poisson(1, (9, 5, 3))
    poisoned = counts.copy()
    poisoned[6:] = 1_000_000
    before, after = (windows(smooth(x, 0.4), [6], 3) for x in (counts, poisoned))
    np.testing.assert_array_equal(before, after)
    assert not np.array_equal(before, windows(smooth(poisoned, 0.4), [7], 3))


@pytest.mark.parametrize("target", [2, 6])
def test_a_target_without_its_steps_is_refused(target: int):
    with pytest.raises(ValueError, match=f"step {target} has no input of 3 steps: .* 3 to 5"):
        windows(np.zeros((6, 2, 1)), [4, target], steps=3)


def test_steps_are_split_in_time():
    assert split_steps(100) == (70, 80)
    assert split_steps(97) == (68, 78)
    assert split_steps(24, (0.5, 0.0, 0.5)) == (12, 12)
    with pytest.raises(ValueError, match="add up to 1"):
        split_steps(10, (0.7, 0.2, 0.2))
