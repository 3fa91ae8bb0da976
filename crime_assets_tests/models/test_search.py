"""The search for settings: it starts as it is told, gets better, and goes on where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from crime_assets import DataError
from crime_assets.models.gldnet_parameters import SEARCH_SPACE, SOURCE, USUAL, GldnetParameters
from crime_assets.models.search import BY_CHANCE, Trial, best_of, search

SPACE = {
    "alpha": ("float", 0.05, 0.9, False),
    "learning_rate": ("float", 0.001, 0.05, True),
    "steps": ("int", 1, 14),
    "gated_units": ("choice", [4, 8, 16]),
}


def height(parameters: GldnetParameters) -> float:
    """Highest, 0, at an alpha of 0.2 and 10 steps."""
    return -((parameters.alpha - 0.2) ** 2) - (parameters.steps - 10) ** 2 / 100


def climb(parameters: list[GldnetParameters]) -> list[float | None]:
    return [height(each) for each in parameters]


def test_the_first_settings_are_tried_first_and_what_the_space_does_not_name_stays(
    tmp_path: Path,
) -> None:
    defaults = GldnetParameters(alpha=0.4, epochs=3)
    found = search(climb, 6, tmp_path / "trials", space=SPACE, first=[defaults])
    assert [trial.number for trial in found] == list(range(6))
    assert found[0] == Trial(0, defaults, height(defaults))
    assert {trial.parameters.epochs for trial in found} == {3}
    assert len({trial.parameters for trial in found}) == 6
    for trial in found:
        assert 0.05 <= trial.parameters.alpha <= 0.9
        assert 1 <= trial.parameters.steps <= 14
        assert trial.parameters.gated_units in (4, 8, 16)


def test_settings_of_the_whole_space_can_be_trained(tmp_path: Path) -> None:
    found = search(lambda asked: [1.0] * len(asked), 10, tmp_path / "trials")
    assert {*SEARCH_SPACE} <= {*found[0].parameters.to_dict()}
    assert [trial.parameters for trial in found[:2]] == [SOURCE, USUAL]


def test_trials_are_run_in_batches(tmp_path: Path) -> None:
    sizes: list[int] = []

    def run(asked: list[GldnetParameters]) -> list[float | None]:
        sizes.append(len(asked))
        return climb(asked)

    search(run, 8, tmp_path / "trials", space=SPACE, batch=3)
    assert sizes == [3, 3, 2]


def test_it_learns_from_its_trials(tmp_path: Path) -> None:
    found = search(climb, 40, tmp_path / "trials", space=SPACE)
    heights = [height(trial.parameters) for trial in found]
    assert max(heights[BY_CHANCE:]) > max(heights[:BY_CHANCE])
    assert sum(heights[-15:]) / 15 > sum(heights[:15]) / 15


def test_the_same_seed_makes_the_same_trials_and_another_one_others(tmp_path: Path) -> None:
    one, other, third = (
        search(climb, 12, tmp_path / name, seed=seed, space=SPACE)
        for name, seed in (("one", 1), ("other", 1), ("third", 2))
    )
    assert one == other
    assert third[0] == one[0]
    assert third[1:] != one[1:]


@pytest.mark.parametrize("killed_in", [1, 2, 4])
def test_a_search_that_was_cut_off_ends_as_one_that_was_not(killed_in: int, tmp_path: Path) -> None:
    runs = 0

    def run(asked: list[GldnetParameters]) -> list[float | None]:
        nonlocal runs
        runs += 1
        if runs == killed_in:
            raise KeyboardInterrupt
        return climb(asked)

    storage = tmp_path / "trials"
    with pytest.raises(KeyboardInterrupt):
        search(run, 16, storage, space=SPACE)
    resumed = search(run, 16, storage, space=SPACE)
    assert runs == 5  # four batches, of which one was run again
    assert resumed == search(climb, 16, tmp_path / "whole", space=SPACE)


def test_a_trial_that_ends_its_process_twice_has_failed_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    storage, sizes = tmp_path / "trials", []
    deadly = search(climb, 4, tmp_path / "whole", space=SPACE)[2].parameters

    def run(asked: list[GldnetParameters]) -> list[float | None]:
        sizes.append(len(asked))
        if deadly in asked:
            raise RuntimeError("it was killed")
        return climb(asked)

    for _ in range(2):
        with pytest.raises(RuntimeError):
            search(run, 6, storage, space=SPACE)
    found = search(run, 6, storage, space=SPACE)
    assert sizes == [4, 1, 1, 1, 1, 2]
    assert [trial.value is None for trial in found] == [False, False, True, False, False, False]
    assert found[2].parameters == deadly


def test_what_is_done_is_not_done_again_and_more_trials_are_added(tmp_path: Path) -> None:
    storage = tmp_path / "trials"
    first = search(climb, 8, storage, space=SPACE)

    def never(asked: list[GldnetParameters]) -> list[float | None]:
        raise AssertionError

    assert search(never, 8, storage, space=SPACE) == first
    assert search(never, 5, storage, space=SPACE) == first[:5]
    assert search(climb, 12, storage, space=SPACE)[:8] == first


def test_of_another_space_or_other_first_settings_nothing_is_taken(tmp_path: Path) -> None:
    storage = tmp_path / "trials"
    search(climb, 4, storage, space=SPACE)
    narrow = {"alpha": ("float", 0.1, 0.6, False)}
    found = search(climb, 4, storage, space=narrow)
    assert {trial.parameters.steps for trial in found} == {7}
    changed = GldnetParameters(rho=0.2)
    assert search(climb, 4, storage, space=narrow, first=[changed])[0].parameters == changed


def test_a_trial_that_fails_has_no_value_and_is_not_the_best(tmp_path: Path) -> None:
    def run(asked: list[GldnetParameters]) -> list[float | None]:
        return [None, float("nan"), *climb(asked[2:])]

    found = search(run, 4, tmp_path / "trials", space=SPACE)
    assert [trial.value is None for trial in found] == [True, True, False, False]
    assert best_of(found) == max(found[2:], key=lambda trial: trial.value or 0)
    with pytest.raises(DataError, match="all 2 trials failed"):
        best_of(found[:2])


def test_of_equal_trials_the_first_is_the_best() -> None:
    trials = [Trial(i, GldnetParameters(), value) for i, value in enumerate([0.1, 0.3, 0.3])]
    assert best_of(trials).number == 1


def test_a_space_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no entry of a search space"):
        search(climb, 2, tmp_path / "trials", space={"alpha": ("real", 0, 1)})
