"""A search for better settings of GLDNet: which to try next, and what came of those tried.

The trainings themselves are the caller's, a batch at a time, so that they may run on a cluster. The
sampler is a tree of Parzen estimators.

Source: Bergstra, Bardenet, Bengio and Kégl 2011, Advances in Neural Information Processing Systems
24, as Optuna has it (Akiba and others 2019, KDD).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crime_assets import DataError
from crime_assets.models.gldnet_parameters import (
    SEARCH_SPACE,
    SOURCE,
    USUAL,
    GldnetParameters,
)

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

BY_CHANCE = 8
"""Trials, the defaults among them, before any is learnt from; the others are drawn by chance."""

RAISED = "raised"
"""Where a study keeps the numbers of the trials in whose batch ``run`` raised."""

Run = Callable[[list[GldnetParameters]], Sequence[float | None]]


@dataclass(frozen=True)
class Trial:
    """What was tried, and its ``value``: more is better, ``None`` if it failed."""

    number: int
    parameters: GldnetParameters
    value: float | None


def search(
    run: Run,
    trials: int,
    storage: Path,
    seed: int = 1,
    space: Mapping[str, Sequence[Any]] = SEARCH_SPACE,
    first: Sequence[GldnetParameters] = (SOURCE, USUAL),
    batch: int = 4,
) -> list[Trial]:
    """Try so many settings, and return what came of each; the ``first`` are tried first.

    ``run`` gets up to ``batch`` settings and gives their values in the same order: more is better,
    ``None`` (or no number) is a failure. ``space`` is as ``SEARCH_SPACE``; what it does not name
    stays as in ``first[0]``. All is kept in the file ``storage`` as it comes: a search that was cut
    off goes on from there with the trials that it was about to make, and ends with the same result;
    of another space, seed or other first settings nothing is taken from it.

    Where ``run`` raises, so does the search. Asked again, it runs the trials of that batch one by
    one: the one that makes ``run`` raise again has failed, and a third call goes on without it.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import TrialState

    quiet = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage.parent.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(storage))),
            study_name=_name(space, seed, first),
            direction="maximize",
            load_if_exists=True,
        )
        distributions = {name: _distribution(bounds) for name, bounds in space.items()}

        def known(*states: TrialState) -> list[FrozenTrial]:
            """Those that were asked for to the last setting: a kill may have come before that."""
            return [t for t in study.get_trials(states=states) if {*t.params} == {*space}]

        def settings(trial: FrozenTrial) -> GldnetParameters:
            return replace(first[0], **trial.params)

        for one in first[len(study.trials) :]:
            study.enqueue_trial({name: getattr(one, name) for name in space})
        ended = (TrialState.COMPLETE, TrialState.FAIL)
        while True:
            pending = known(TrialState.RUNNING)
            done = len(known(*ended))
            if not pending and done >= trials:
                break
            if not pending:
                study.sampler = optuna.samplers.TPESampler(
                    n_startup_trials=BY_CHANCE, constant_liar=True, seed=_seed(seed, done)
                )
                for _ in range(min(batch, trials - done)):
                    study.ask(distributions)
                pending = known(TrialState.RUNNING)
            raised = study.user_attrs.get(RAISED, [])
            alone = [trial for trial in pending if trial.number in raised][:1]
            pending = alone or pending
            try:
                values = run([settings(trial) for trial in pending])
            except Exception:
                study.set_user_attr(RAISED, [trial.number for trial in pending] + raised)
                for trial in alone:
                    study.tell(trial.number, state=TrialState.FAIL)
                raise
            for trial, value in zip(pending, values, strict=True):
                if value is None or not math.isfinite(value):
                    study.tell(trial.number, state=TrialState.FAIL)
                else:
                    study.tell(trial.number, value)
        return [
            Trial(number, settings(trial), trial.value)
            for number, trial in enumerate(known(*ended)[:trials])
        ]
    finally:
        optuna.logging.set_verbosity(quiet)


def best_of(trials: Sequence[Trial]) -> Trial:
    """The trial of the highest value, the first of equals.

    Raises :class:`~crime_assets.DataError` where all failed.
    """
    worked = [(trial.value, -trial.number) for trial in trials if trial.value is not None]
    if not worked:
        raise DataError(
            f"all {len(trials)} trials failed: what the trainings printed says why; give a longer "
            "history, or more memory"
        )
    return next(trial for trial in trials if trial.number == -max(worked)[1])


def _distribution(bounds: Sequence[Any]) -> BaseDistribution:
    """What Optuna draws from, of an entry of the space; ``ValueError`` for what is none."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    match bounds:
        case ("float", low, high, log):
            return FloatDistribution(low, high, log=log)
        case ("int", low, high):
            return IntDistribution(low, high)
        case ("choice", values):
            return CategoricalDistribution(values)
    raise ValueError(f"{tuple(bounds)} is no entry of a search space")


def _name(space: Mapping[str, Sequence[Any]], seed: int, first: Sequence[GldnetParameters]) -> str:
    """A name of the study that no other space, seed or first settings have."""
    asked = json.dumps(
        [{k: list(v) for k, v in space.items()}, seed, [one.to_dict() for one in first]]
    )
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def _seed(*parts: int) -> int:
    """A seed for the batch that starts with a trial, whatever was interrupted before it."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4])
