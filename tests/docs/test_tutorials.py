"""Every tutorial runs from first to last cell in a kernel of its own, in little time, and draws what is shown."""

import io
import json

import numpy as np
import pytest

jupytext = pytest.importorskip("jupytext", reason="tutorials need the extra test: pip install 'pumice[test]'")
import tutorials  # noqa: E402  (docs/tools)
from PIL import Image  # noqa: E402
from pumice.hw_sim.simulator import run  # noqa: E402
from pumice.program.random.programs import random_program, random_sample  # noqa: E402

MOST_CPU_S = 45


@pytest.fixture(scope="module")
def machine():
    """The simulator is compiled before anybody looks at the clock."""
    program = random_program(8)
    run(program, [random_sample(program, 0, 20)])


@pytest.mark.thorough
@pytest.mark.parametrize("name", tutorials.names())
def test_a_tutorial_runs_in_little_time(name, machine, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = tutorials.execute(name, tmp_path)
    assert done.cpu_s < MOST_CPU_S
    kept = {path.stem.removeprefix(f"{name}-") for path in tutorials.SHOWN.glob(f"{name}-*.png")}
    assert set(done.pictures) == kept, f"draw them anew: python docs/tools/tutorials.py {name}"
    for title, picture in done.pictures.items():
        drawn = np.asarray(Image.open(io.BytesIO(picture)).convert("L"), dtype=float)
        shown = np.asarray(Image.open(tutorials.SHOWN / f"{name}-{title}.png").convert("L"), dtype=float)
        assert min(drawn.std(), shown.std()) > 8, title  # a blank page has 0, empty axes 5
        assert abs(drawn.shape[1] - shown.shape[1]) < 40, title
    printed = json.loads((tutorials.SHOWN / f"{name}.json").read_text(encoding="utf-8"))
    assert set(done.printed) == set(printed), f"print them anew: python docs/tools/tutorials.py {name}"


@pytest.mark.parametrize("name", tutorials.names())
def test_a_page_shows_every_cell_and_picture(name):
    page, cells = tutorials.page(name), tutorials.notebook(name).cells
    assert page.startswith("# ")
    assert all(cell.source in page for cell in cells)
    titles = [cell.metadata["title"] for cell in cells if "title" in cell.metadata]
    assert titles
    assert [title for title in titles if f"tutorials/{name}-{title}.png)" not in page] == []
    assert page.count("```text") == len(json.loads((tutorials.SHOWN / f"{name}.json").read_text(encoding="utf-8")))


def test_the_same_file_is_the_same_notebook():
    name = tutorials.names()[0]
    assert jupytext.writes(tutorials.notebook(name), "ipynb") == jupytext.writes(tutorials.notebook(name), "ipynb")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("# %%\n1 / 0", "ZeroDivisionError"),
        ("# %% plot\n1 + 1", "draws 0 pictures"),
        ("# %%\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()", "draws 1 pictures"),
        ("# %%\nimport sys\nprint('odd', file=sys.stderr)", "warns: odd"),
    ],
)
def test_a_tutorial_that_fails_is_noticed(cell, reason, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(f"# %% [markdown]\n# # Broken\n\n{cell}\n")
    monkeypatch.setattr(tutorials, "SOURCES", tmp_path)
    with pytest.raises(Exception, match=reason):
        tutorials.execute("broken", tmp_path)
