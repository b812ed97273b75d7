"""Completion: what is offered, and that a real bash offers it."""

import os
import shutil
import subprocess
import sys

import pytest
from pumice.cli.completion import SCRIPTS, candidates, run
from pumice.cli.main import main
from pumice.errors import PumiceError


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pumice tr", ["train"]),
        ("pumice import event", ["event-ssm", "event-ssm-torch"]),
        ("pumice train training.ep", ["training.epochs="]),
        ("pumice train model=spikings5/", ["model=spikings5/tiny"]),
        ("pumice train seed=1 --c", ["--cfg", "--config-dir"]),
        ("pumice train seed=", []),
        ("pumice completion f", ["fish"]),
        ("pumice inspect ", []),
        ("pumice nothing ", []),
    ],
)
def test_candidates(line, offered):
    assert candidates(line) == offered


def test_groups_and_sections_come_one_level_at_a_time():
    offered = candidates("pumice run ")
    assert {"model=", "model.", "seed=", "simulate."} <= set(offered)
    assert not [word for word in offered if "." in word[:-1]]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes(tmp_path):
    command = tmp_path / "pumice"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pumice "$@"\n')
    command.chmod(0o755)
    script = f"""{SCRIPTS["bash"]}
COMP_LINE='pumice train model=spikings5/'; COMP_POINT=${{#COMP_LINE}}; _pumice_completion; echo "${{COMPREPLY[@]}}"
"""
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["spikings5/tiny"], done.stderr


@pytest.mark.parametrize("arguments", [[], ["tcsh"], ["query"]])
def test_other_shells_are_refused(arguments):
    with pytest.raises(PumiceError, match="bash, zsh, fish"):
        run(arguments)


def test_the_script_is_printed(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["completion", "zsh"])
    assert (ended.value.code, capsys.readouterr().out) == (0, SCRIPTS["zsh"])
