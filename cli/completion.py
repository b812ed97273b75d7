"""``pumice completion``: scripts for shells, and the candidates that they ask for."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ..errors import PumiceError
from .known import groups, keys, options
from .verbs import VERBS

FLAGS = ("--help", "--dry-run", "--cfg", "--config-dir", "-m")
SCRIPTS = {
    # bash parts words at '=', so candidates are what stands behind the last one
    "bash": """\
_pumice_completion() {
    local IFS=$'\\n'
    COMPREPLY=($(pumice completion query-tail "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _pumice_completion pumice
""",
    "zsh": """\
_pumice_completion() {
    local -a found ends
    found=(${(f)"$(pumice completion query "${words[1,CURRENT]}" 2>/dev/null)"})
    ends=(${(M)found:#*=})
    found=(${found:#*=})
    compadd -Q -S '' -a ends
    compadd -Q -a found
    (( ${#ends} + ${#found} )) || _files
}
compdef _pumice_completion pumice
""",
    "fish": """\
complete -c pumice -a '(pumice completion query (commandline -cp) 2>/dev/null)'
""",
}


def run(arguments: Sequence[str]) -> None:
    """Print the script of a shell, or the candidates for a line.

    Raises:
        PumiceError: another shell.
    """
    match list(arguments):
        case [shell] if shell in SCRIPTS:
            print(SCRIPTS[shell], end="")
        case ["query", line]:
            print("\n".join(candidates(line)))
        case ["query-tail", line]:
            print("\n".join(word.rpartition("=")[2] if "=" in word[:-1] else word for word in candidates(line)))
        case _:
            raise PumiceError(f"'completion' takes one of {', '.join(SCRIPTS)}; 'pumice completion --help' tells more")


def candidates(line: str) -> list[str]:
    """What the last word of ``line`` may become: verbs, then settings, and behind ``group=`` the group's options."""
    words = _words(line)
    given, word = words[1:-1], words[-1]
    verb = next((verb for verb in VERBS if verb.name.split() == given[: len(verb.name.split())]), None)
    if verb is None:
        following = [verb.name.split() for verb in VERBS if verb.name.split()[: len(given)] == given]
        found = dict.fromkeys(names[len(given)] for names in following if len(names) > len(given))
        return [name for name in found if name.startswith(word)]
    if not verb.config_name:
        return [shell for shell in SCRIPTS if verb.name == "completion" and shell.startswith(word)]
    key, equals, value = word.partition("=")
    if equals:
        return [f"{key}={option}" for option in (options(key) if key in groups() else ()) if option.startswith(value)]
    chosen = groups()
    settings = [f"{name}=" for name in keys() if name.startswith(word)]
    if "." not in word:  # one level at a time: there are hundreds
        top = dict.fromkeys(f"{name.partition('.')[0]}{'.' if '.' in name else '='}" for name in keys())
        settings = [name for name in top if name.startswith(word) and name.rstrip(".=")]
        settings += [f"{name}=" for name in chosen if name.startswith(word) and f"{name}=" not in settings]
    return [*settings, *(flag for flag in FLAGS if word.startswith("-") and flag.startswith(word))]


def _words(line: str) -> list[str]:
    """The words of a line as far as it is typed; the last one may be empty."""
    try:
        words = shlex.split(line)
    except ValueError:  # within quotes
        words = line.split()
    return [*words, ""] if line[-1:].isspace() or not words else words
