"""Help texts of the command line."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .known import COMMON, block, defaults, options, text_of
from .overrides import split_arguments

if TYPE_CHECKING:
    from .verb import Verb

USAGE = """\
usage: pumice <verb> [settings] [-m] [--dry-run] [--cfg job] [--config-dir FOLDER] [-v]
       [--help]

Settings are Hydra overrides: group=option picks a file of a configuration group, a.b=value changes one value,
-m with comma-separated values runs every combination in a folder of its own, --cfg job prints the resulting
configuration and does nothing, --dry-run tells which stages would run, --config-dir adds a folder with your own
group/option.yaml files, -v prints all that there is to say (run.log in the run folder has it in any case).

examples:
  pumice run                                           the main job on the embedded data set
  pumice run task=spoken-digits model=s5/tiny seed=3
  pumice evaluate run_dir=runs/spoken-digits/s5-tiny-seed3
  pumice train -m seed=0,1,2 training.epochs=5
"""


def overview(verbs: Sequence[Verb]) -> str:
    """What ``pumice --help`` prints."""
    width = max(len(verb.name) for verb in verbs)
    listing = "\n".join(f"  {verb.name:<{width}}  {verb.summary}" for verb in verbs)
    return f"{USAGE}\nverbs (pumice <verb> --help tells more):\n{listing}"


def verb_header(verb: Verb) -> str:
    """The head of ``pumice <verb> --help``."""
    return f"pumice {verb.name}: {verb.summary}\n\n{verb.help}\n"


def verb_help(verb: Verb, arguments: Sequence[str], width: int) -> str:
    """What ``pumice <verb> --help`` prints: the settings that the verb reads, with their defaults and meanings.

    Args:
        verb: of a configuration.
        arguments: settings and flags given with it: chosen options of groups are shown in place of the defaults.
        width: of a line, in which lists of options are wrapped.
    """
    flags, overrides = split_arguments(list(arguments))
    folder = next((Path(flag.partition("=")[2]) for flag in flags if flag.startswith("--config-dir=")), None)
    if "--config-dir" in flags:
        folder = Path(flags[flags.index("--config-dir") + 1])
    groups = defaults(verb.config_name)
    given = dict(item.split("=", 1) for item in overrides if "=" in item)
    chosen = {group: given.get(group, option) for group, option in groups.items()}
    sections = dict.fromkeys(section.split(".")[0] for section in verb.sections)
    own = [name for name in sections if name in chosen]
    parts = [verb_header(verb)]
    if own:
        parts.append("Groups (group=option picks a file, with its settings):\n")
        for group in (*own, *COMMON):
            listed = f"{group}: {', '.join(options(group))}"
            parts.append(
                textwrap.fill(listed, width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
            )
    if verb.is_run:
        parts.append(f"\n{_settings_of_stages(verb)}")
        own = []
    else:
        parts.append("\nSettings (change any of them by a.b=value):\n")
    for group in own:
        lines = text_of(group, chosen[group], folder).rstrip("\n").splitlines()
        parts += [f"{group}: # {chosen[group]}", *(f"  {line}".rstrip() for line in lines)]
    for section in (*(name for name in sections if name not in chosen and not verb.is_run), *verb.common):
        parts.append(block(section, verb.config_name).rstrip("\n"))
    parts.append("\nAll settings with their values: --cfg job. Of how a command runs: logging, system (configs/).")
    return "\n".join(parts)


def _settings_of_stages(verb: Verb) -> str:
    """Where the settings of the stages that ``pumice run`` goes through are told."""
    rows = [f"  {name:<14}{', '.join(sections)}" for name, sections in verb.stages if sections]
    return "\n".join(["Settings that its stages read; pumice <stage> --help shows them:\n", *rows, ""])
