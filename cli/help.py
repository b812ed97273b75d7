"""Help texts of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .verbs import Verb

USAGE = """\
usage: pumice <verb> [settings] [-m] [--cfg job] [--config-dir FOLDER] [--help]

Settings are Hydra overrides: group=option picks a file of a configuration group, a.b=value changes one value,
-m with comma-separated values runs every combination in a folder of its own, --cfg job prints the resulting
configuration and does nothing, --config-dir adds a folder with your own group/option.yaml files.

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
    """The head of ``pumice <verb> --help``; Hydra adds the groups and the configuration."""
    return f"pumice {verb.name}: {verb.summary}\n\n{verb.help}\n"
