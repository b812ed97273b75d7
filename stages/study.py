"""The optimizer of a search over widths: one Optuna study in one journal file that any number of processes share."""

from __future__ import annotations

import contextlib
import fcntl
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..api.bench import Measured
from ..api.width_space import Space
from ..errors import PumiceError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

JOURNAL = "journal.log"
MOST_JOURNAL = 1 << 26
"""Bytes of a journal that is read: some ten thousand trials."""
FIGURES, LIMITED = "figures", "limited"
NAME = "widths"
SAMPLERS = ("tpe", "nsga2")
MISSING = "pumice search needs Optuna, which is not installed; pip install 'pumice[search]'"


def require_optuna() -> None:
    """Refuse to start without the extra.

    Raises:
        PumiceError: naming it.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise PumiceError(MISSING) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


class Journal:
    """The study of one search, in the folder that holds its journal.

    Every process opens its own. Locks are those of the system: they go with the process that holds them.

    Args:
        folder: of the journal; made where it does not exist.
        objectives: how many values a trial has, the less the better.
        limits: how many constraints it has.
        sampler: one of `SAMPLERS`.
        seed: of what is suggested.
        space: what may be chosen.
        first: trials to begin with, where this is the first process of all.

    Raises:
        PumiceError: a journal that cannot be read, or of another search.
    """

    def __init__(
        self,
        folder: Path,
        *,
        objectives: int,
        limits: int,
        sampler: str,
        seed: int,
        space: Space,
        first: Sequence[Mapping[str, int]],
    ) -> None:
        require_optuna()
        from optuna.distributions import BaseDistribution, IntDistribution

        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._sampler, self._seed, self._limits = folder, sampler, seed, limits
        self._distributions: dict[str, BaseDistribution] = {
            name: IntDistribution(0, len(values) - 1) for name, values in space.choices.items() if len(values) > 1
        }
        self._fixed = {name: 0 for name, values in space.choices.items() if len(values) == 1}
        self._alive = (folder / "alive.lock").open("a")
        with self.locked():
            self.study = self._opened(objectives)
            told = json.dumps({"choices": space.choices, "base": space.base, "objectives": objectives}, sort_keys=True)
            known = self.study.user_attrs.get("space")
            if known is None:
                for point in first:
                    self.study.enqueue_trial({name: point[name] for name in self._distributions})
                self.study.set_user_attr("space", told)
            elif known != told:
                raise PumiceError(f"{folder / JOURNAL} is of another search; do the stage anew with redo=[search]")
            self._take_over()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """What one process at a time does."""
        with (self.folder / "turn.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def close(self) -> None:
        """Take part no longer."""
        self._alive.close()

    def trials(self) -> list[tuple[FrozenTrial, Measured]]:
        """What has been tried, in order, that which was refused as well.

        Raises:
            PumiceError: the journal holds something else.
        """
        found = []
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state.is_finished() and FIGURES in trial.user_attrs:
                try:
                    found.append((trial, Measured.read(trial.user_attrs[FIGURES])))
                    if not trial.params.keys() >= self._distributions.keys():
                        raise TypeError("a choice is missing")
                except (TypeError, AttributeError) as error:
                    raise self._damaged(error) from error
        return found

    def point(self, trial: FrozenTrial) -> dict[str, int]:
        """What a trial has chosen."""
        return {**self._fixed, **{name: trial.params[name] for name in self._distributions}}

    def step(
        self,
        most: int,
        measure: Callable[[dict[str, int]], Measured],
        judged: Callable[[Measured], tuple[Sequence[float], Sequence[float]]],
    ) -> bool:
        """Try one point more, unless ``most`` have been tried or are being tried: then False.

        Args:
            most: trials in all.
            measure: what a point gives.
            judged: its objectives, and its constraints, which are kept where none is above 0.
        """
        from optuna.trial import TrialState

        with self.locked():
            trials = self.study.get_trials(deepcopy=False)
            counted = sum(trial.state not in (TrialState.WAITING, TrialState.FAIL) for trial in trials)
            counted += sum(trial.state == TrialState.FAIL and FIGURES in trial.user_attrs for trial in trials)
            if counted >= most:
                return False
            self.study.sampler = self._sampled_by(len(trials))
            trial = self.study.ask(self._distributions)
        found = measure({**self._fixed, **{name: trial.params[name] for name in self._distributions}})
        trial.set_user_attr(FIGURES, found.figures())
        if found.refused is not None:
            self.study.tell(trial, state=TrialState.FAIL)
            return True
        values, above = judged(found)
        trial.set_user_attr(LIMITED, list(above))
        self.study.tell(trial, list(values))
        return True

    def _opened(self, objectives: int) -> Study:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
        from optuna.study import StudyDirection

        path = self.folder / JOURNAL

        class Lock(JournalFileOpenLock):
            """The system's own: Optuna's leave a file behind where a process is killed."""

            def acquire(self) -> bool:
                self._file = (path.parent / "journal.lock").open("a")
                fcntl.flock(self._file, fcntl.LOCK_EX)
                return True

            def release(self) -> None:
                self._file.close()

        lock = Lock(str(path))
        lock.acquire()
        try:
            _mend(path)
        finally:
            lock.release()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                storage = JournalStorage(JournalFileBackend(str(path), lock))
                directions = [StudyDirection.MINIMIZE] * objectives
                return optuna.create_study(storage=storage, study_name=NAME, directions=directions, load_if_exists=True)
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> PumiceError:
        reason = (str(error).splitlines() or [""])[0]
        return PumiceError(
            f"{self.folder / JOURNAL} is damaged ({reason or type(error).__name__}); do the stage anew with "
            "redo=[search]"
        )

    def _take_over(self) -> None:
        """Put what others left half done back into the queue, where no other process is at work."""
        from optuna.trial import TrialState

        try:
            fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._alive, fcntl.LOCK_SH)
            return
        for trial in self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            self.study.tell(trial.number, state=TrialState.FAIL)
            if trial.params:
                self.study.enqueue_trial(dict(trial.params))
        fcntl.flock(self._alive, fcntl.LOCK_SH)

    def _sampled_by(self, number: int) -> BaseSampler:
        """The sampler of one trial, seeded by its number: an interrupted search goes on as it would have."""
        from optuna.samplers import NSGAIISampler, TPESampler

        constraints = (lambda trial: trial.user_attrs[LIMITED]) if self._limits else None
        seed = (self._seed * 1_000_003 + number) % (1 << 32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of arguments that Optuna calls experimental
            if self._sampler == "nsga2":
                return NSGAIISampler(seed=seed, constraints_func=constraints)
            return TPESampler(seed=seed, multivariate=True, constant_liar=True, constraints_func=constraints)


def _mend(path: Path) -> None:
    """Cut off the half line that a killed process left at the end of a journal.

    Raises:
        PumiceError: it is larger than `MOST_JOURNAL`.
    """
    if not path.exists():
        return
    if path.stat().st_size > MOST_JOURNAL:
        raise PumiceError(f"{path} is larger than {MOST_JOURNAL >> 20} MiB; do the stage anew with redo=[search]")
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
