"""Errors that a user can mend: one clear sentence, exit code 2."""

from __future__ import annotations


class PumiceError(Exception):
    """A mistake in what the user gave; the message names the thing, the limit and the fix in one sentence.

    It stays one line, whatever it repeats of a file: control characters are escaped.
    """

    exit_code = 2

    def __str__(self) -> str:
        return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in super().__str__())


class BackendUnavailable(PumiceError):
    """A backend that cannot run a program, or not on this machine: comparisons go on without it and say so."""


class ProgramsDiffer(PumiceError):
    """Two programs are not the same: no mistake of the user."""

    exit_code = 1


class ParityError(PumiceError):
    """Backends disagree: no mistake of the user."""

    exit_code = 1


class FiguresError(PumiceError):
    """Figures of a run contradict themselves: no mistake of the user."""

    exit_code = 1


class DoesNotFit(PumiceError):
    """A program does not fit the chip that it was checked for: no mistake of the user."""

    exit_code = 1
