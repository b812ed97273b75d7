"""How much is tried: a share of the random examples always, all of them by ``make thorough``."""

import os

SHARE = 3


def examples(count: int) -> int:
    """How many random examples a test draws, of the ``count`` that a thorough run draws."""
    return count if os.environ.get("PUMICE_THOROUGH") else max(count // SHARE, 5)
