"""Pairs of papers from small files in the published format."""

import pytest
import torch
from pumice.api.data import load_data
from pumice.errors import PumiceError
from pumice.models.spikingssm.build import build_spikingssm

PAIRS = [("0.0", "one text", "another text, longer"), ("1.0", "cited", "it cites"), ("1.0", "x", "caf\u00e9")]


@pytest.fixture
def root(tmp_path):
    for name in ("train", "eval", "test"):
        lines = [f"{label}\t{number}\t{number + 9}\t{a}\t{b}" for number, (label, a, b) in enumerate(PAIRS * 2)]
        (tmp_path / f"new_aan_pairs.{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def build(**changes):
    settings = {"d_model": 8, "d_state": 4, "head": "retrieval"} | changes
    return build_spikingssm(settings, num_classes=2, vocab=257, seed=0).eval()


def test_pairs_and_splits(root):
    data = load_data("aan", root=str(root), batch_size=2)
    assert data.model_inputs == {"vocab": 257}
    assert [len(data.samples(split)) for split in ("train", "validation", "test")] == [6, 6, 6]
    batch = next(iter(data.batches("test", 3)))
    assert batch.inputs.shape == (3, 2, 21)
    for row, (label, *texts) in enumerate(PAIRS):
        for column, text in enumerate(texts):
            tokens = [*text.encode(), 256]
            assert batch.inputs[row, column].tolist() == tokens + [0] * (21 - len(tokens))
            assert batch.lengths[row, column] == len(tokens)
        assert batch.targets[row].tolist() == [float(label)]
    assert data.labels("test").tolist() == [0, 1, 1] * 2
    short = load_data("aan", root=str(root), most_tokens=5)
    assert next(iter(short.batches("test", 3))).lengths.max() == 5


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_model_compares_them(root, bidirectional):
    model = build(bidirectional=bidirectional)
    batch = next(iter(load_data("aan", root=str(root)).batches("test", 3)))
    logits, labels = batch.apply(model)
    assert labels.tolist() == [0, 1, 1]
    for row in range(3):
        alone = [batch.inputs[row : row + 1, k, : batch.lengths[row, k]] for k in (0, 1)]
        a, b = (model.features(tokens).mean(2).mT for tokens in alone)
        hidden = torch.relu(model.match(torch.cat([a, b, a - b, a * b], dim=1)))
        torch.testing.assert_close(logits[row : row + 1], model.decoder(hidden), atol=1e-5, rtol=1e-5)


def test_heads_and_inputs_that_do_not_fit_are_a_sentence(root):
    batch = next(iter(load_data("aan", root=str(root)).batches("test", 3)))
    with pytest.raises(PumiceError, match=r"model\.head=retrieval"):
        batch.apply(build(head="mean"))
    with pytest.raises(PumiceError, match=r"model\.head=retrieval"):
        batch.apply(torch.nn.Linear(1, 1))
    with pytest.raises(PumiceError, match=r"model\.head=mean"):
        build()(batch.inputs[:, 0], torch.ones(3, 21, dtype=torch.int64), 2)


@pytest.mark.parametrize("line", ["0.5\t1\t2\ta\tb", "1.0\t1\t2\ta", "x" * 100, "1.0\t1\t2\ta\tb\tc"])
def test_damaged_lines_are_named(root, line):
    path = root / "new_aan_pairs.test.tsv"
    path.write_text(path.read_text(encoding="utf-8") + line, encoding="utf-8")
    with pytest.raises(PumiceError, match=r"test\.tsv, line 7: it is no label"):
        load_data("aan", root=str(root)).samples("test")


def test_missing_files_are_a_sentence(tmp_path):
    with pytest.raises(PumiceError, match=r"new_aan_pairs\.train\.tsv does not exist; set task\.root"):
        load_data("aan", root=str(tmp_path)).samples("train")
