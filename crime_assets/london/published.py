"""The figures that the London study printed, as data: on 998 test areas of 4,990."""

from __future__ import annotations

import numpy as np

from crime_assets.london.study import RANDOM, Verdict

AREAS = 4990
TYPES = 27
FEATURES = 39

PUBLISHED: dict[str, Verdict] = {
    "is_hotspot": Verdict(
        label="is_hotspot",
        method=RANDOM,
        rows="test",
        areas=998,
        accuracy=0.951904,
        weighted_f1=0.952048,
        macro_f1=0.932610,
        confusion=np.array([[742, 26], [22, 208]]),
    ),
    "tier": Verdict(
        label="tier",
        method=RANDOM,
        rows="test",
        areas=998,
        accuracy=0.848697,
        weighted_f1=0.850054,
        macro_f1=0.806062,
        confusion=np.array([[486, 42, 0, 0], [30, 187, 23, 0], [1, 21, 102, 12], [0, 1, 21, 72]]),
        auc=(0.98, 0.94, 0.95, 0.99),
    ),
    "bivariate": Verdict(
        label="bivariate",
        method=RANDOM,
        rows="test",
        areas=998,
        accuracy=0.6413,
        weighted_f1=0.6173,
        macro_f1=0.4276,
        confusion=np.array(
            [
                [356, 12, 0, 10, 6, 0, 0, 0, 0],
                [34, 30, 0, 5, 19, 1, 0, 1, 0],
                [1, 7, 2, 0, 8, 6, 0, 0, 1],
                [38, 7, 0, 21, 17, 3, 0, 2, 0],
                [8, 11, 0, 5, 43, 14, 1, 6, 8],
                [0, 4, 0, 0, 12, 29, 1, 1, 18],
                [1, 0, 0, 10, 0, 1, 2, 10, 3],
                [0, 1, 0, 2, 12, 3, 0, 27, 18],
                [0, 0, 0, 1, 5, 11, 0, 13, 130],
            ]
        ),
    ),
}
"""By label. Truth in rows, prediction in columns, in the order of the classes."""
