"""Pathfinder from small files in the published format."""

import numpy as np
import pytest
from PIL import Image
from pumice.api.data import load_data
from pumice.errors import PumiceError


@pytest.fixture
def root(tmp_path):
    base = tmp_path / "pathfinder32" / "curv_contour_length_14"
    (base / "metadata").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for group in range(2):
        (base / "imgs" / str(group)).mkdir(parents=True)
        lines = []
        for number in range(10):
            pixels = rng.integers(0, 256, (32, 32), dtype=np.uint8)
            pixels[0, 0] = 10 * group + number
            Image.fromarray(pixels).save(base / "imgs" / str(group) / f"sample_{number}.png")
            lines.append(f"imgs/{group} sample_{number}.png {number} {number % 2} 1.8 6 2.0 5 1.5 2 1")
        (base / "metadata" / f"{group}.npy").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_images_labels_and_splits(root):
    data = load_data("pathfinder", root=str(root), batch_size=4)
    sizes = [len(data.samples(split)) for split in ("train", "validation", "test")]
    assert sizes == [17, 1, 2]
    seen = []
    for split in ("train", "validation", "test"):
        for batch in data.batches(split, 1):
            number = round(float((batch.inputs[0, 0, 0] + 1) * 127.5))
            assert batch.targets[0].tolist() == [-1, number % 2]
            assert batch.inputs.shape == (1, 1024, 1)
            seen.append(number)
    assert sorted(seen) == list(range(20))
    again = load_data("pathfinder", root=str(root), batch_size=4)
    assert again.test_dataset.paths == data.test_dataset.paths


def test_an_empty_image_is_left_out(root):
    (root / "pathfinder32" / "curv_contour_length_14" / "imgs" / "0" / "sample_3.png").write_bytes(b"")
    data = load_data("pathfinder", root=str(root))
    assert len(data.train_dataset) + len(data.val_dataset) + len(data.test_dataset) == 19


def test_missing_and_damaged_files_are_a_sentence(root, tmp_path):
    with pytest.raises(PumiceError, match=r"pathfinder32/curv_baseline does not exist; set task\.root"):
        load_data("pathfinder", root=str(root), level="easy").samples("test")
    with pytest.raises(PumiceError, match=r"task\.side=33"):
        load_data("pathfinder", side=33)
    base = root / "pathfinder32" / "curv_contour_length_14"
    Image.fromarray(np.zeros((31, 32), np.uint8)).save(base / "imgs" / "0" / "sample_0.png")
    (base / "imgs" / "0" / "sample_1.png").write_bytes(b"no image")
    data = load_data("pathfinder", root=str(root))
    for number, part in ((0, "32 x 31 pixels"), (1, "cannot be read as an image")):
        for split in ("train", "validation", "test"):
            names = [path.parts[-2:] for path in data.samples(split).paths]
            if ("0", f"sample_{number}.png") in names:
                with pytest.raises(PumiceError, match=part):
                    data.samples(split).batch([names.index(("0", f"sample_{number}.png"))], None)


@pytest.mark.parametrize(
    "line",
    ["imgs/0 sample_0.png 0", "../../imgs sample_0.png 0 1", "imgs/0 ../x.png 0 1", "/etc passwd 0 1", "a b 0 7"],
)
def test_lists_that_name_other_files_are_refused(root, line):
    (root / "pathfinder32" / "curv_contour_length_14" / "metadata" / "0.npy").write_text(line)
    with pytest.raises(PumiceError, match="line 1"):
        load_data("pathfinder", root=str(root)).samples("test")
