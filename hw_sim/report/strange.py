"""Results that hold other things than a stage writes: a run folder may come from anybody."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from jinja2 import TemplateError

from ...errors import PumiceError
from ...program import ProgramError

STRANGE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, TemplateError)
"""What reading them raises."""


@contextlib.contextmanager
def results_of(folder: Path) -> Iterator[None]:
    """Say that the results in ``folder`` are strange where reading them fails.

    Raises:
        PumiceError: naming the folder and what went wrong.
    """
    try:
        yield
    except ProgramError:
        raise
    except STRANGE as error:
        reason = (str(error).splitlines() or [""])[0]
        raise PumiceError(
            f"{folder} holds a result that no stage wrote ({type(error).__name__}: {reason}); "
            "write it anew with redo=all"
        ) from error
