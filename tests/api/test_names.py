"""The names of the front door: lazy, complete, and known to type checkers."""

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pumice
import pytest
import tomllib

ROOT = Path(pumice.__file__).parent
NAMES = sorted(set(pumice._WHERE) - {"__version__"})
HEAVY = {"numpy", "torch", "brevitas", "hydra", "omegaconf", "onnx", "numba", "rich", "yaml"}


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent)


def test_importing_the_package_loads_nothing():
    done = python(
        "import sys, pumice\n"
        f"heavy = {HEAVY} & set(sys.modules)\nassert not heavy, heavy\n"
        "assert {name for name in sys.modules if name.startswith('pumice')} == {'pumice'}"
    )
    assert done.returncode == 0, done.stderr


def test_a_program_is_run_and_counted_without_torch_at_hand(made, tmp_path):
    """The simulator's name alone does not load torch: streams run on small machines."""
    pumice.save(made.program, tmp_path / "program.npz")
    done = python(
        "import sys; sys.modules['torch'] = sys.modules['brevitas'] = None\n"
        "from pumice.program import load\nimport pumice\n"
        f"pumice.Simulator(load({str(tmp_path / 'program.npz')!r}))"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_told(name):
    found = getattr(pumice, name)
    assert found.__name__.rpartition(".")[2] == name
    assert inspect.getdoc(found)
    assert name in dir(pumice)
    found = inspect.unwrap(found)
    if inspect.isfunction(found):
        assert "Raises:" in found.__doc__
        assert all(
            item.annotation is not inspect.Parameter.empty for item in inspect.signature(found).parameters.values()
        )


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_names_stay_whatever_was_imported_before():
    """In a fork, which has the large packages at hand and imports the package anew."""
    child = os.fork()
    if child == 0:
        hidden = ["the imports failed"]
        try:
            for name in [name for name in sys.modules if name.partition(".")[0] == "pumice"]:
                del sys.modules[name]
            for room in ("quantize.families", "api.quantize", "api.compare", "api.count"):
                importlib.import_module(f"pumice.{room}")
            anew = importlib.import_module("pumice")
            assert anew is not pumice
            hidden = [name for name in NAMES if not callable(getattr(anew, name))]
        finally:
            os._exit(len(hidden))
    assert os.waitpid(child, 0)[1] == 0, "a module hides a function"


def test_the_room_of_quantization_is_the_function_too():
    assert pumice.quantize.config.QuantizationConfig is pumice.QuantizationConfig
    assert inspect.signature(pumice.quantize) == inspect.signature(
        importlib.import_module("pumice.api.quantize").quantize
    )


def test_the_version_is_that_of_the_package():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == pumice.__version__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        pumice.fly  # noqa: B018
    with pytest.raises(ImportError):
        from pumice import fly  # noqa: F401


@pytest.mark.thorough
def test_type_checkers_see_the_names(tmp_path):
    assert (ROOT / "py.typed").is_file()
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "pumice").symlink_to(ROOT)  # whatever the checkout's folder is called
    source = tmp_path / "user.py"
    source.write_text("import pumice\n" + "".join(f"reveal_type(pumice.{name})\n" for name in NAMES))
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "--ignore-missing-imports", "--config-file="]
    command.append("--no-site-packages")  # types of torch and others are not asked for, and take half a minute
    done = subprocess.run(
        [*command, str(source)], capture_output=True, text=True, cwd=tmp_path, env={"MYPYPATH": str(tmp_path / "path")}
    )
    revealed = [line for line in done.stdout.splitlines() if "Revealed type" in line]
    assert len(revealed) == len(NAMES), done.stdout + done.stderr
    assert not [line for line in revealed if '"Any"' in line or "object" in line.split("Revealed type is")[1][:9]]
