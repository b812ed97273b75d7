"""What a verb of the command line is: its words, what it calls, and with what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import PumiceError
from ..stages.table import STAGES
from ..terminal import Level, running, shown
from .words import SOURCES

RUN_WHOLE, RUN_STAGES, RUN_EXPORT = "run:whole", "run:stages", "run:export"


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        name: as typed, such as ``train`` or ``data build``.
        summary: one line of help.
        help: what it reads and writes, shown by ``pumice <verb> --help``.
        target: ``module:function`` inside the package, imported when called; takes (config, *extra).
        extra: further arguments for the target.
        config_name: the primary configuration.
        files: ``module:function`` that takes plain arguments, names of files and flags, or "".
        folders: ``module:function`` that takes plain folders and settings in place of a configuration, or "".
        program: ``module:function`` that takes settings where one of them names a program file, or "".
        reads: whether its first argument is a file, which the target takes as its last argument.
        own: ``module:function`` that makes settings of the file itself, given those that were typed, or "".
        settings: ``module:function`` that makes settings of a second file, that of another program, or "".
        sections: of the configuration, that its results depend on; its help shows them.
        common: further settings in the primary configuration that concern it.
        typed: the command, for logs.
        verbose: whether to print all that there is to say.
    """

    name: str
    summary: str
    help: str
    target: str
    extra: tuple[Any, ...] = ()
    config_name: str = "config"
    files: str = ""
    folders: str = ""
    program: str = ""
    reads: bool = False
    own: str = ""
    settings: str = ""
    sections: tuple[str, ...] = ()
    common: tuple[str, ...] = ("run_dir", "redo")
    typed: str = ""
    verbose: bool = False

    @property
    def is_run(self) -> bool:
        """Whether it goes through all stages."""
        return self.name == "run"

    @property
    def level(self) -> Level:
        """How much of what it has to say is printed: a whole run is told in brief."""
        return Level.ALL if self.verbose else Level.BRIEF if self.is_run else Level.USUAL

    @property
    def stages(self) -> list[tuple[str, tuple[str, ...]]]:
        """The stages that ``run`` goes through, each with its sections."""
        return [(stage.name, stage.sections) for stage in STAGES]

    def reading(self, arguments: Sequence[str]) -> tuple[Verb, list[str]]:
        """The verb with the files that ``arguments`` begin with, and the settings, those of the second file first.

        Raises:
            PumiceError: no file, or a second one that it cannot read.
        """
        source, *rest = arguments or [""]
        if not source or source.startswith("-") or (rest and "=" in source and not Path(source).exists()):
            raise PumiceError(f"'{self.name}' needs a file; usage: {self.help.splitlines()[0].partition(': ')[2]}")
        found: list[str] = []
        if self.own:
            typed = dict(item.lstrip("+~").split("=", 1) for item in rest if "=" in item)
            found = [item for item in _imported(self.own)(Path(source), typed) if item.split("=", 1)[0] not in typed]
        if self.settings and rest and "=" not in rest[0] and not rest[0].startswith("-"):
            found = _imported(self.settings)(Path(rest[0]))
            rest = rest[1:]
            given = {item.lstrip("+~").split("=", 1)[0] for item in rest}
            found = [item for item in found if item.split("=", 1)[0] not in given]
        return replace(self, extra=(*self.extra, source)), [*found, *rest]

    def planned(self) -> Verb:
        """The verb that tells what this one would do.

        Raises:
            PumiceError: it is no verb of stages.
        """
        if self.target not in (RUN_WHOLE, RUN_STAGES, RUN_EXPORT):
            raise PumiceError(f"--dry-run tells which stages would run, and '{self.name}' has none; leave it out")
        return replace(self, target="run:planned", folders="", program="")

    def call(self, config: Any) -> Any:
        """Import the target and call it; returns what sweepers optimize, where it has that."""
        with running(self.typed, self.level), shown():
            return _imported(self.target)(config, *self.extra)

    def takes_plain(self, arguments: Sequence[str]) -> bool:
        """Whether ``arguments`` are for `call_plain`: files or folders are among them, or it takes no others."""
        if self.program and any(argument.split("=", 1)[0] in SOURCES for argument in arguments):
            return True
        names = any("=" not in argument and not argument.startswith(("-", "~")) for argument in arguments)  # ~: deletes
        return bool(self.files or self.folders) and (names or not self.config_name)

    def call_plain(self, arguments: Sequence[str]) -> None:
        """Import the target for plain arguments and call it."""
        with running(self.typed, self.level), shown(stderr=True):
            if target := self.program or self.files:
                _imported(target)(arguments)
                return
            settings = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
            _imported(self.folders)([Path(argument) for argument in arguments if "=" not in argument], settings)


def _imported(target: str) -> Callable[..., Any]:
    module, _, function = target.partition(":")
    name = module if module.startswith(".") else f".{module}"
    return getattr(import_module(name, __package__), function)
