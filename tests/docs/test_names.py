"""Public names are documented, with shapes and equations, and what the pages name exists."""

import importlib
import inspect
import re
from importlib.util import find_spec
from pathlib import Path

import griffe
import pumice
import pytest
from hooks import package_folder
from pumice.program.nodes import REGISTRY, Neurons

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
SOURCES = ["/" + path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if ".venv" not in path.parts]
ROOMS = ["", "docs", "export/c", "export/onnx", "export/lava", "hw_sim", "hw_sim/simulator"]
"""Where folders named in pages lie."""
WRITTEN = [
    "onnx",
    "lava",
    "netx",
    "c",
    "nir",
    "qonnx",
    "runs",
    "checkpoints",
    "failures",
    "stages",
    "report",
    "site",
    "logs",
]
"""Folders that are written: of run folders and bundles, and the site."""
DOCUMENTED = ["program", "program.nodes", "program.samples", "program.clock"]
DOCUMENTED += [f"api.{name}" for name in ("batches", "export", "quantize", "programs")]


@pytest.fixture(scope="module")
def package():
    """The package as mkdocstrings reads it, docstrings of constants included."""
    loader = griffe.GriffeLoader(search_paths=[str(package_folder())])
    read = loader.load("pumice")
    loader.resolve_aliases()
    return read


@pytest.mark.parametrize("module", DOCUMENTED)
def test_every_public_name_has_a_docstring(package, module):
    read = package[module]
    own = [name for name, what in read.members.items() if not (what.is_alias or what.is_module or name[0] == "_")]
    names = [str(name) for name in read.exports or own]
    assert len(names) >= 3
    for name in names:
        public = read[name].final_target if read[name].is_alias else read[name]
        assert public.has_docstring, f"{public.path} has no docstring"
        for key, member in public.members.items() if public.is_class else ():
            if key[0] == "_" or not (member.is_function or "property" in member.labels):
                continue  # attributes are told in the docstring of their class
            inherited = any(key in base.members and base[key].has_docstring for base in public.mro())
            assert member.has_docstring or inherited, f"{member.path} has no docstring"


@pytest.mark.parametrize("name", sorted(pumice._WHERE))
def test_every_argument_of_the_front_door_is_told(name):
    what = getattr(pumice, name)
    text = inspect.getdoc(what) or ""
    if not inspect.isfunction(what):
        return
    for argument in inspect.signature(what).parameters:
        assert re.search(rf"(?m)^\s*\*{{0,2}}{argument}: |``{argument}``", text), f"{name} does not tell of {argument}"


@pytest.mark.parametrize("node", [*REGISTRY.values(), Neurons])
def test_every_array_of_a_node_is_told_with_its_shape(node):
    _, _, shapes = (node.__doc__ or "").partition("Shapes:")
    for name, annotation in inspect.get_annotations(node).items():
        if "ndarray" in annotation:
            assert re.search(rf"``{name}(\[i\])?``", shapes), f"{node.__name__} does not tell the shape of {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_and_modules_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:[\w-]+/)*\w+\.py)`", text):
        assert any(source.endswith("/" + name) for source in SOURCES), name
    for name in re.findall(r"`((?:[\w-]+/)+)`", text):
        assert any((ROOT / room / name).is_dir() for room in ROOMS) or name.split("/")[0] in WRITTEN, name
    for name in set(re.findall(r"\bpumice\.(?:\w+\.)*\w+", text)):
        assert exists(name), name


def exists(name):
    """Whether a dotted name is something in a module, or a module."""
    path, *rest = name.split(".")
    found = importlib.import_module(path)
    for part in rest:
        path = f"{path}.{part}"
        if not hasattr(found, part) and (not hasattr(found, "__path__") or find_spec(path) is None):
            return False
        found = getattr(found, part) if hasattr(found, part) else importlib.import_module(path)
    return True


def test_new_places_in_the_changelog_exist():
    rows = re.findall(r"^ *\|.*\|(.*)\|$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"\bpumice\.(?:\w+\.)*\w+", row)}
    assert len(names) > 10
    assert all(map(exists, names)), sorted(name for name in names if not exists(name))
