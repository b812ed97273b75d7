"""The ``pumice`` command: verbs, Hydra, and one clear sentence for every mistake.

Exit codes: 0 done, 1 backends that disagree (a sentence) or an unexpected failure (its traceback), 2 a mistake in
what was given, 130 interrupted.
"""

from __future__ import annotations

import errno
import io
import os
import re
import select
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..errors import PumiceError
from ..version import __version__
from .checkpoint import without_checkpoint
from .help import overview, verb_header, verb_help
from .known import did_you_mean, keys, nearest, options
from .overrides import (
    VALUE_FLAGS,
    multirun_arguments,
    open_mappings,
    split_arguments,
    with_recipe,
    with_saved_overrides,
    with_shorter_warmup,
)
from .replay import quoted
from .typed import for_hydra, with_home
from .verb import Verb
from .verbs import VERBS, find_verb

STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
"""A full or read-only disk, a quota or limit, a missing permission."""
LISTING_FLAGS = ("--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i")
FLAGS = (
    *LISTING_FLAGS,
    "--resolve",
    "--run",
    "-r",
    "--multirun",
    "-m",
    *VALUE_FLAGS,
    "--dry-run",
    "--verbose",
    "--version",
)
HELP = ("--help", "-h")
VERBOSE = ("--verbose", "-v")
DRY_RUN = "--dry-run"
VERSION = ("--version", "-V")
LISTED = "pumice <verb> --help lists groups, options and settings"
READER_LEFT = 141
"""The exit code that shells show where a program ends by SIGPIPE."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run ``pumice`` with ``argv`` (default: the process's arguments) and leave by ``SystemExit``."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Threads that wait for each other must sleep: spinning ones take the cores from other programs, and when the cores
    # are shared a training step becomes ten times slower. OpenMP reads this when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # letters that a locale lacks are shown as escapes
            stream.reconfigure(errors="backslashreplace")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and leaving
    try:
        _dispatch(with_home(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where the rest goes when Python ends
        sys.exit(READER_LEFT)
    except PumiceError as error:
        print(f"pumice: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in STORAGE_ERRORS:
            raise
        where = f" with {error.filename}" if error.filename else ""
        print(f"pumice: {error.strerror}{where}; free space or choose another folder", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("pumice: interrupted; the same command continues where it stopped", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def _dispatch(arguments: list[str]) -> None:
    if not arguments or arguments[0] in (*HELP, "help"):
        print(overview(VERBS))
        return
    if arguments[0] in VERSION:
        print(f"pumice {__version__}")
        return
    verb, rest = find_verb(arguments)
    if any(argument in VERSION for argument in rest):
        print(f"pumice {__version__}")
        return
    if any(argument in ("--shell-completion", "-sc") for argument in rest):
        raise PumiceError("completion is set up by 'pumice completion bash' (or zsh, fish), which tells how")
    verb = replace(verb, typed=shlex.join(["pumice", *arguments]), verbose=any(word in VERBOSE for word in rest))
    rest = [argument for argument in rest if argument not in VERBOSE]
    dry = DRY_RUN in rest
    if dry:
        verb, rest = verb.planned(), [argument for argument in rest if argument != DRY_RUN]
    if verb.config_name and any(argument in HELP for argument in rest):
        print(verb_help(verb, with_recipe(rest), shutil.get_terminal_size((120, 24)).columns))
        return
    if any(argument.startswith("--experimental-rerun") for argument in rest):
        raise PumiceError("--experimental-rerun reads a pickle, which Pumice never does; give run_dir=... instead")
    if verb.config_name:
        _check_flags(rest)
    listing = any(argument.split("=", 1)[0] in LISTING_FLAGS for argument in rest)
    if verb.name == "evaluate" and not listing:
        imported, rest = without_checkpoint(rest)
        if imported:
            _dispatch([*imported, VERBOSE[0]] if verb.verbose else imported)
    if verb.reads and not listing:
        verb, rest = verb.reading(rest)
    if verb.takes_plain(rest) and not listing:
        verb.call_plain(rest)
        return
    if not verb.config_name:
        print(verb_header(verb))
        return
    multirun = "-m" in rest or "--multirun" in rest
    if multirun and verb.config_name != "config":
        raise PumiceError(f"-m runs stages in folders of their own, which '{verb.name}' has not; call it once for each")
    rest = for_hydra(rest if multirun else with_saved_overrides(rest))
    rest = with_shorter_warmup(with_recipe(rest)) if verb.config_name == "config" else rest
    given = open_mappings(multirun_arguments(rest) if multirun else rest)
    if not (dry and multirun):
        _call_hydra(verb, given)
        return
    with tempfile.TemporaryDirectory() as elsewhere:  # Hydra writes a file about each multirun
        _call_hydra(verb, [*given, f"hydra.sweep.dir={quoted(elsewhere)}"])


def _check_flags(arguments: list[str]) -> None:
    flags, _ = split_arguments(arguments)
    for name in (flag.partition("=")[0] for flag in flags if flag.startswith("-")):
        if name not in FLAGS:
            raise PumiceError(f"there is no flag {name}{did_you_mean(name, FLAGS)} (pumice --help tells of them)")


def _nobody_reads() -> bool:
    """Whether standard output is a pipe that nobody reads any more, as behind ``| head`` that has had enough."""
    pipe = select.poll()
    pipe.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in pipe.poll(0))


def _call_hydra(verb: Verb, arguments: list[str]) -> None:
    """Compose the configuration and call the verb; errors of Hydra and OmegaConf become sentences."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from .composing import composed_once
    from .jobs import launched_jobs

    mistakes: list[PumiceError] = []

    def task(config: Any) -> Any:
        # Mistakes are returned: Hydra prints a note of its own for what is raised, and jobs may run in other processes.
        try:
            return verb.call(config)
        except PumiceError as error:
            mistake = error
        except OmegaConfBaseException as error:
            mistake = PumiceError(_sentence(error))
        if HydraConfig.get().mode == RunMode.RUN:
            mistakes.append(mistake)
        return mistake

    command, sys.argv = sys.argv, [f"pumice {verb.name}", *arguments]
    with launched_jobs() as values, composed_once(arguments):
        try:
            hydra.main(version_base="1.3", config_path="pkg://pumice.configs", config_name=verb.config_name)(task)()
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            raise PumiceError(_sentence(error)) from error
        except Exception:  # an optimizing sweeper cannot use the mistake that a job returned
            if not any(isinstance(value, PumiceError) for value in values):
                raise
        finally:
            sys.argv = command
    mistakes += [value for value in values if isinstance(value, PumiceError)]
    if mistakes:
        others = f" (and {len(mistakes) - 1} more jobs failed)" if len(mistakes) > 1 else ""
        raise type(mistakes[0])(f"{mistakes[0]}{others}") from mistakes[0]


def _sentence(error: Exception) -> str:
    """The parts of an error message of Hydra or OmegaConf that a user needs, in one line."""
    text = str(error)
    unknown = re.match(r"Could not override '([^']+)'", text)
    if unknown:
        return f"there is no setting '{unknown[1]}'{did_you_mean(unknown[1], keys())}; {LISTED}"
    missing = re.search(r"Could not find '([\w-]+)/([^']+)'", text)
    if missing and options(missing[1]):
        group, option = missing[1], missing[2]
        meant = nearest(option, options(group)) or options(group)
        return f"there is no {group}={option}; use {' or '.join(meant)}; {LISTED}"
    text = text.split("Config search path:")[0].split("See https://")[0]
    lines = [line.strip() for line in text.splitlines()]
    kept = [line for line in lines if line and not line.startswith(("object_type=", "full_key:", "reference_type="))]
    sentence = "; ".join(kept).replace(":;", ":") or type(error).__name__
    return f"{sentence}; {LISTED}"
