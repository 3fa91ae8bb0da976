"""Splits: what is asked about was not learnt from, nor its block, nor its force."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from crime_assets.classification.design import Areas
from crime_assets.classification.splits import FOLDS, SPLITS, TIME, Fold, folds_of, part_of
from crime_assets.lsoa.labels import LABELS

PARTED = [split for split in SPLITS if split != TIME]


def areas(n: int = 400, forces: int = 12, seed: int = 3) -> Areas:
    """Areas strewn over 80 x 80 km, a tenth of them of unknown class."""
    rng = np.random.default_rng(seed)
    unknown = rng.random(n) < 0.1
    truth = {
        label: np.where(unknown, -1, rng.integers(0, len(names), n))
        for label, names in LABELS.items()
    }
    return Areas(
        np.array([f"E{i:08}" for i in range(n)]),
        np.array([f"force-{i}" for i in rng.integers(0, forces, n)]),
        rng.uniform(0, 80_000, (n, 2)),
        ("noise",),
        rng.normal(size=(n, 1)),
        3,
        truth,
        truth,
    )


def folds(split: str, of: Areas, label: str = "tier") -> list[Fold]:
    return list(folds_of(split, of, label))


def groups_of(split: str, of: Areas) -> NDArray:
    return of.blocks if split == "space" else of.force


# --- By whole groups ------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["space", "force"])
def test_no_group_is_both_learnt_from_and_asked_about(split: str) -> None:
    made = areas()
    group = groups_of(split, made)
    assert len(folds(split, made)) == FOLDS
    for learnt, asked in folds(split, made):
        assert not set(group[learnt]) & set(group[asked])
        assert not (learnt & asked).any()


@pytest.mark.parametrize("split", ["space", "force"])
def test_every_area_whose_class_is_known_is_asked_about_once_and_no_other(split: str) -> None:
    made = areas()
    known = made.truth["tier"] >= 0
    times = np.sum([asked for _, asked in folds(split, made)], axis=0)
    assert_array_equal(times, known.astype(int))
    for learnt, asked in folds(split, made):
        assert_array_equal(learnt | asked, known)


def test_parts_are_of_about_equal_size() -> None:
    sizes = [asked.sum() for _, asked in folds("space", areas(2_000))]
    assert max(sizes) - min(sizes) <= 0.05 * sum(sizes)


def test_neighbouring_blocks_are_torn_apart() -> None:
    """Parts are not five regions: most blocks touch one of another part."""
    side = 10
    blocks = np.arange(side * side)
    part = part_of(blocks, np.ones(side * side, dtype=bool)).reshape(side, side)
    assert (part[:, 1:] == part[:, :-1]).mean() < 0.4
    assert_array_equal(np.bincount(part.ravel()), [20] * FOLDS)


def test_the_largest_group_goes_first_each_to_the_emptiest_part() -> None:
    groups = np.repeat(np.arange(7), [100, 60, 50, 40, 30, 20, 5])
    part = part_of(groups, np.ones(len(groups), dtype=bool))
    of_group = [int(part[groups == g][0]) for g in range(7)]
    assert of_group == [0, 1, 2, 3, 4, 4, 3]  # 30 + 20, then 40 + 5


def test_only_areas_whose_class_is_known_fill_a_part() -> None:
    groups = np.repeat(np.arange(10), 10)
    counted = np.ones(100, dtype=bool)
    counted[groups < 5] = np.arange(50) % 10 == 0  # one area of each of the first five
    part = part_of(groups, counted)
    filled = np.bincount(part, weights=counted, minlength=FOLDS)
    assert filled.tolist() == [11.0] * FOLDS


@pytest.mark.parametrize("split", ["space", "force"])
def test_with_fewer_groups_than_parts_there_is_no_fold(split: str) -> None:
    made = areas(forces=4)
    few = Areas(**{**vars(made), "place": made.place / 4})  # four blocks
    assert len(np.unique(groups_of(split, few))) == 4
    assert folds(split, few) == []


def test_a_force_whose_classes_are_not_known_is_no_group() -> None:
    made = areas(forces=5)
    truth = np.where(made.force == "force-0", -1, made.truth["tier"])
    silent = Areas(**{**vars(made), "truth": {"tier": truth}})
    assert folds("force", silent) == []
    assert len(folds("space", silent)) == FOLDS


# --- At random ------------------------------------------------------------------------------


@pytest.mark.parametrize("label", LABELS)
def test_at_random_each_area_whose_class_is_known_is_asked_about_once_with_others_around(
    label: str,
) -> None:
    made = areas()
    known = made.truth[label] >= 0
    found = folds("random", made, label)
    assert len(found) == FOLDS
    assert_array_equal(sum(asked.astype(int) for _, asked in found), known.astype(int))
    for learnt, asked in found:
        assert abs(asked.sum() - known.sum() / FOLDS) < 1
        assert_array_equal(learnt | asked, known)
        both = set(made.blocks[learnt]) & set(made.blocks[asked])
        assert len(both) > len(set(made.blocks)) / 2  # neighbours on both sides: it flatters


# --- All of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("split", PARTED)
def test_folds_are_the_same_each_time(split: str) -> None:
    once, again = folds(split, areas()), folds(split, areas())
    assert_array_equal(np.array(once), np.array(again))


@pytest.mark.parametrize("split", PARTED)
def test_areas_of_unknown_class_are_neither_learnt_from_nor_asked_about(split: str) -> None:
    made = areas()
    unknown = made.truth["is_hotspot"] < 0
    assert unknown.any()
    for learnt, asked in folds(split, made, "is_hotspot"):
        assert not (learnt | asked)[unknown].any()
