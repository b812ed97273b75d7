"""A process that has imported the large packages once, and runs each pytest in a fork of itself.

Its arguments are their names. Reads lines of JSON: the arguments of pytest, environment variables, and a file for its
output; answers with the number of the process that runs it, then with its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import sys


def run(arguments: list[str], environment: dict[str, str], output: str) -> int:
    """In the fork: pytest, with everything that it and what it starts print going to the file ``output``."""
    os.setsid()  # all that it starts can be stopped with it
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(environment)
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    if "numba" in sys.modules:
        sys.modules["numba"].core.config.reload_config()  # where compiled code is kept
    if "hypothesis" in sys.modules:
        hypothesis = sys.modules["hypothesis"]
        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]  # a failure need not be made small
        hypothesis.settings.register_profile("notice", phases=phases, database=None)
        arguments = ["--hypothesis-profile=notice", *arguments]
    code = importlib.import_module("pytest").main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code)


def main() -> None:
    """Answer until the input ends."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 3
            try:
                code = run(**request)
            finally:
                os._exit(code)
        answers.write(f"{child}\n")
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")


if __name__ == "__main__":
    main()
