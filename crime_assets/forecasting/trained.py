"""GLDNet in an experiment: trained once on the first steps, asked at the cut-offs after them.

Unlike the pipeline, which trains anew, one network of each target is trained on the first 70 % of
the steps and validated on the next 10 %, as its source does. It is asked for each step after a
cut-off of the rest, from the steps before alone; at earlier cut-offs it would know the future, and
says nothing. The trainings run here, in processes of their own, and what is done is not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crime_assets import DataError
from crime_assets.forecasting.counts import Counts, Units
from crime_assets.forecasting.forecasters.gldnet import Gldnet
from crime_assets.models.gldnet_parameters import SEARCH_SPACE, SOURCE, USUAL, GldnetParameters
from crime_assets.models.search import best_of, search
from crime_assets.models.task import (
    Results,
    Training,
    code_of_program,
    digest_of,
    run_task,
    scores_of,
    validation_crimes,
    write_task,
)
from crime_assets.models.windows import split_steps
from crime_assets.register import type_column
from crime_assets.streets.graph import SIGMA_M

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Run = Callable[[Path], Results]


@dataclass(frozen=True)
class Asked:
    """What is trained: the setting ``gldnet`` of an experiment.

    ``targets`` are the crime types that are foretold, ``features`` those that are looked at (empty:
    all). ``parameters`` are settings of ``GldnetParameters`` that are set: of a network the others
    are those of its source; with ``trials`` the others are searched for. ``objective`` is the
    metric of the validation steps that it searches the highest value of, ``batch`` how many trials
    a process makes.
    """

    targets: tuple[str, ...]
    features: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    trials: int = 0
    objective: str = "hit_rate_length_10"
    batch: int = 4
    seed: int = 1

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Asked:
        """From the setting; raises ``ValueError`` that says what is wrong with it."""
        if unknown := sorted(map(str, set(given) - set(cls.__dataclass_fields__))):
            names = ", ".join(cls.__dataclass_fields__)
            raise ValueError(f"{', '.join(unknown)} unknown; there are {names}")
        if not given.get("targets"):
            raise ValueError("targets missing: the crime types to foretell")
        content: dict[str, Any] = dict(given)
        for name in {"targets", "features"} & content.keys():
            names = content[name]
            if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
                raise ValueError(f"{name} is {names!r}; it must be a list of names")
            content[name] = tuple(dict.fromkeys(names))
        found = cls(**content)
        for name, least in (("trials", 0), ("batch", 1), ("seed", 0)):
            value = getattr(found, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} is {value!r}; it must be a whole number from {least} on")
        if found.objective not in OBJECTIVES:
            raise ValueError(
                f"objective is {found.objective!r}; it must be one of {', '.join(OBJECTIVES)}"
            )
        GldnetParameters.of(found.parameters)
        return found


OBJECTIVES = tuple(f"hit_rate_{of}_{share}" for of in ("length", "segments") for share in (10, 20))


def train(
    asked: Asked,
    counts: Counts,
    cut_offs: Sequence[str],
    folder: Path,
    *,
    each_alike: bool = False,
    run: Run = run_task,
) -> tuple[Gldnet, dict[str, Any]]:
    """A GLDNet that was told its scores at ``cut_offs``, and what was found out on the way.

    ``counts`` are of segments with their lengths; ``each_alike`` says that they will be judged by
    their number, not by their length. ``folder`` keeps the trainings. Returned too, by target, are
    the settings, the metrics and the trials. Raises :class:`~crime_assets.DataError` for a crime
    type that is not there, or that a search could not be judged by; for other units than segments,
    and too few steps.
    """
    if counts.units.kind != "segment":
        raise DataError(f"gldnet is for street segments, not for {counts.units.kind}s")
    if unknown := sorted({*asked.targets, *asked.features} - {*counts.crime_types}):
        raise DataError(
            f"gldnet: no crimes of {', '.join(unknown)} in these counts; there are "
            f"{', '.join(counts.crime_types)}"
        )
    features = asked.features or counts.crime_types
    features = (*features, *(t for t in asked.targets if t not in features))
    first, end = split_steps(len(counts.steps))
    longest = first // 2
    if longest < 1 or end <= first:
        raise DataError(f"gldnet: {len(counts.steps)} {counts.step}s are too few to train on")
    origin = {c: counts.steps.index(c) + 1 for c in cut_offs}
    origin = {c: at for c, at in origin.items() if at >= end}
    space = {**SEARCH_SPACE, "steps": ("int", 1, min(SEARCH_SPACE["steps"][2], longest))}
    if counts.month_steps > 1:  # a memory of days that is as long as one of months
        low, high = SEARCH_SPACE["alpha"][1:3]
        space["alpha"] = ("float", low / counts.month_steps, high, True)
    space = {name: bounds for name, bounds in space.items() if name not in asked.parameters}
    starts = [
        GldnetParameters.of({**one.to_dict(), "steps": min(one.steps, longest), **asked.parameters})
        for one in (SOURCE, USUAL)
    ]
    matrix = side_by_side(counts, features)
    one, other, weight = edges_of(counts.units)
    for target in asked.targets if asked.trials else ():
        if not validation_crimes(matrix, features, target, (first, end)):
            raise DataError(
                f"gldnet: no crime of {target} from {counts.steps[first]} to "
                f"{counts.steps[end - 1]}, which are to judge the trials: set trials to 0, or give "
                "a longer history"
            )
    data = (matrix.data, matrix.indices, matrix.indptr, one, other, weight, counts.units.size)
    made_of = (*data, counts.steps, features, first, end, asked.objective, code_of_program())

    def trained(place: Path, trainings: Sequence[Training], origins: Sequence[int] = ()) -> Results:
        return run(
            write_task(
                place,
                matrix,
                features=features,
                steps=counts.steps,
                one=one,
                other=other,
                weight=weight,
                length=counts.units.size,
                trainings=trainings,
                split=(first, end),
                origins=origins,
                seed=asked.seed,
            )
        )

    # types of a city may be called alike but for their digits
    names = {target: f"{at}-{type_column(target)}" for at, target in enumerate(asked.targets)}
    chosen: dict[str, GldnetParameters] = {}
    found: dict[str, Any] = {}
    for target in asked.targets:
        place = folder / names[target]

        def values(
            tried: list[GldnetParameters], target: str = target, place: Path = place
        ) -> list[float | None]:
            settings = [parameters.to_dict() for parameters in tried]
            batch = [Training(f"trial-{i}", target, each) for i, each in enumerate(settings)]
            done = trained(place / digest_of(settings), batch).trainings
            return [
                None if of["failed"] else of["metrics"]["validation"][asked.objective]
                for of in (done[training.name] for training in batch)
            ]

        chosen[target] = starts[0]
        found[target] = {"trials": []}
        if asked.trials:
            # of other data, or by other code, a trial would have come to something else
            kept = place / f"trials-{digest_of(target, *made_of)}"
            trials = search(values, asked.trials, kept, asked.seed, space, starts, asked.batch)
            chosen[target] = best_of(trials).parameters
            found[target]["trials"] = [
                {"value": trial.value, "parameters": trial.parameters.to_dict()} for trial in trials
            ]
        found[target]["parameters"] = chosen[target].to_dict()

    last = [Training(names[t], t, chosen[t].to_dict()) for t in asked.targets]
    results = trained(folder / "chosen", last, [*origin.values()])
    scores = {}
    for training in last:
        of = results.trainings[training.name]
        found[training.target] |= {k: of.get(k) for k in ("metrics", "kept_epoch", "failed")}
        for cut_off, expected in zip(
            origin, results.forecasts.get(training.name, ()), strict=False
        ):
            loss = "" if each_alike else chosen[training.target].loss
            scores[training.target, cut_off] = scores_of(expected, counts.units.size, loss)
    return Gldnet().told(scores), found


def side_by_side(counts: Counts, features: Sequence[str]) -> csr_array:
    """Crimes as the program reads them: (T, n F), the F features of a segment side by side."""
    from scipy.sparse import coo_array

    parts = [counts.crimes[name].tocoo() for name in features]
    row = np.concatenate([part.coords[1] for part in parts])
    column = np.concatenate(
        [part.coords[0].astype(np.int64) * len(parts) + f for f, part in enumerate(parts)]
    )
    data = np.concatenate([part.data for part in parts])
    shape = (len(counts.steps), len(counts.units) * len(parts))
    return coo_array((data, (row, column)), shape=shape).tocsr()


def edges_of(units: Units) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of segments that meet, each once (e,), and what the one says of the other (e,).

    The weight is that of the table ``street_graph``: a Gaussian of the distance from middle to
    middle.
    """
    one, other = units.neighbours.nonzero()
    one, other = one[one < other], other[one < other]
    distance = (units.size[one] + units.size[other]) / 2
    return one, other, np.exp(-(distance**2) / (2 * SIGMA_M**2))
