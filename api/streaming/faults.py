"""What is wrong with a stream: one sentence, or a count by kind."""

from __future__ import annotations

from collections import Counter

from ...errors import PumiceError

POLICIES = ("refuse", "skip")


class Faults:
    """Refuses or counts what cannot be taken.

    Args:
        policy: ``refuse``, the first is a `PumiceError`; ``skip``, they are left out and counted.

    Attributes:
        counts: by kind.

    Raises:
        PumiceError: another policy.
    """

    def __init__(self, policy: str) -> None:
        if policy not in POLICIES:
            raise PumiceError(f"faults={policy} is unknown; choose one of {', '.join(POLICIES)}")
        self.policy = policy
        self.counts: Counter[str] = Counter()

    def found(self, kind: str, sentence: str, count: int = 1) -> None:
        """Note ``count`` events or lines of a kind; ``sentence`` tells of the first.

        Raises:
            PumiceError: they are refused.
        """
        if self.policy == "refuse":
            raise PumiceError(f"{sentence}; mend the source, or leave such out with faults=skip")
        self.counts[kind] += count
