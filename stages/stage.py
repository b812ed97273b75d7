"""What the table of stages says of each stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a run.

    Attributes:
        name: in run folders; also the verb, where there is no ``target``.
        summary: one line of help.
        help: what it reads and writes.
        module: in this room; imported when needed. It defines ``check(config)``, which validates the configuration
            without touching the disk, and ``run(config, folder) -> figures``. It may define ``unavailable(config)``: a
            sentence that says why the stage cannot take the model or task, or None.
        sections: configuration keys (dotted where only a part counts) that its outputs depend on.
        needs: files of the run folder that earlier stages write.
        uses: more of them, which it does without where they are missing.
        writes: files of the run folder that it writes; all exist when it has finished.
        scratch: files or folders of unfinished work, deleted when the stage is done anew.
        target: of an export, what ``pumice export target=...`` calls it; empty for all else.
        arithmetic: of the programs that it takes, as in ``quantize.arithmetic``; empty for all.
        refusal: a sentence that says what takes the other programs.
        silent: where it takes other programs, ``run`` leaves it out without a word.
        shared: whether several processes may run it in the same folder at once. Each goes on where all of them were,
            and so does one that comes when it has finished.
        once: settings of one command alone, which the run folder does not remember.
        compares: function of ``module`` that takes plain folders in place of a configuration: ``(folders, settings)``;
            empty for none.
    """

    name: str
    summary: str
    help: str
    module: str
    sections: tuple[str, ...]
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    target: str = ""
    arithmetic: str = ""
    refusal: str = ""
    silent: bool = False
    shared: bool = False
    once: tuple[str, ...] = ()
    compares: str = ""

    def takes(self, config: Mapping[str, Any]) -> bool:
        """Whether it takes programs of the arithmetic that ``config`` quantizes to."""
        return self.arithmetic in ("", arithmetic_of(config))


def arithmetic_of(config: Mapping[str, Any]) -> str:
    """The arithmetic of section ``quantize``; configurations from before there were two do not name it."""
    return config.get("quantize", {}).get("arithmetic", "pumice")
