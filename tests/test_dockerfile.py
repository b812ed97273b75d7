"""The Dockerfile, as far as it can be held against the tree without a docker."""

import re
from pathlib import Path

import tomllib

SOURCE = Path(__file__).resolve().parents[1]
LINES = (SOURCE / "Dockerfile").read_text().splitlines()
COMMANDS = [line for line in LINES if line and not line.startswith(("#", " "))]


def test_it_ends_as_a_user_of_its_own_with_the_command():
    last = COMMANDS[max(number for number, line in enumerate(COMMANDS) if line.startswith("FROM")) :]
    assert "USER pumice" in last
    assert last.index("USER pumice") < last.index('ENTRYPOINT ["pumice"]')
    assert not any(line.startswith("RUN") for line in last[last.index("USER pumice") :])


def test_what_is_copied_is_there():
    stages = [match[1] for line in COMMANDS if (match := re.match(r"FROM \S+ AS (\w+)", line))]
    for line in COMMANDS:
        if match := re.match(r"COPY --from=(\w+) ", line):
            assert match[1] in stages
        elif match := re.match(r"COPY (\S+) ", line):
            assert (SOURCE / match[1]).exists()


def test_its_python_and_what_it_installs_are_those_of_the_project():
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    bases = {line.split()[1] for line in COMMANDS if line.startswith("FROM")}
    assert bases == {f"python:{project['requires-python'].removeprefix('>=')}-slim"}
    text = "\n".join(LINES)
    pinned = {line.split("==")[0].lower() for line in (SOURCE / "constraints.txt").read_text().splitlines()}
    for name in re.search(r"--constraint constraints.txt (.*) \\", text)[1].split():
        assert name in pinned
    assert "--torch-backend=cpu" in text
    assert "COPY . ." in text  # less what .dockerignore names:
    ignored = (SOURCE / ".dockerignore").read_text().split()
    assert {".git", "runs", ".venv*"} <= set(ignored)
    assert not {"README.md", "LICENSE", "constraints.txt", "pyproject.toml", "train", "configs"} & set(ignored)
