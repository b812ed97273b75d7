"""ListOps and IMDB from small files in the published format."""

import numpy as np
import pytest
import torch
from pumice.api.data import load_data
from pumice.errors import PumiceError
from pumice.models.spikingssm.build import build_spikingssm
from pumice.train.data.text.listops import TOKENS, tokenize

EXPRESSIONS = [
    ("( ( ( [MAX 2 ) 9 ) ] )", 9),
    ("( ( ( ( [MIN 4 ) ( ( ( [SM 8 ) 7 ) ] ) ) 0 ) ] )", 0),
    ("( ( ( ( [MED 1 ) 5 ) 3 ) ] )", 3),
]


@pytest.fixture
def listops(tmp_path):
    for name in ("train", "val", "test"):
        lines = ["Source\tTarget", *(f"{source}\t{target}" for source, target in EXPRESSIONS * 2)]
        (tmp_path / f"basic_{name}.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def imdb(tmp_path):
    for split in ("train", "test"):
        for label, name in enumerate(("neg", "pos")):
            folder = tmp_path / "aclImdb" / split / name
            folder.mkdir(parents=True)
            for number in range(10):
                (folder / f"{number}_{3 + label * 5}.txt").write_text("caf\u00e9 " + "x" * number, encoding="utf-8")
    return tmp_path


def test_expressions(listops):
    data = load_data("listops", root=str(listops), batch_size=2)
    assert data.model_inputs == {"vocab": 16}
    assert [len(data.samples(split)) for split in ("train", "validation", "test")] == [6, 6, 6]
    batch = next(iter(data.batches("test", 3)))
    assert [TOKENS[number] for number in batch.inputs[0, :5]] == ["[MAX", "2", "9", "]", "<end>"]
    assert batch.lengths.tolist() == [5, 9, 6]
    assert batch.blocks.sum(1).tolist() == [5, 9, 6]
    assert batch.inputs[0, 5:].tolist() == [0] * 4
    assert batch.targets[:, 1].tolist() == [9, 0, 3]
    values, times = data.program_samples("test", 1)[0]
    assert values.tolist() == tokenize(EXPRESSIONS[0][0]).tolist()
    assert len(times) == 5
    short = load_data("listops", root=str(listops), most_tokens=4)
    assert short.test_dataset.lengths.max() == 4


def test_reviews(imdb):
    data = load_data("imdb", root=str(imdb), batch_size=2)
    assert data.model_inputs == {"vocab": 257}
    assert len(data.train_dataset) + len(data.val_dataset) == len(data.test_dataset) == 20
    batch = next(iter(data.batches("test", 2)))
    assert batch.inputs[1].tolist() == [*"caf\u00e9 x".encode(), 256]
    assert batch.inputs[0].tolist() == [*"caf\u00e9 ".encode(), 256, 0]
    assert data.labels("test").tolist() == [0] * 10 + [1] * 10


def test_a_model_reads_tokens(listops):
    data = load_data("listops", root=str(listops), batch_size=3)
    settings = {"d_model": 8, "d_state": 4, "bidirectional": True}
    model = build_spikingssm(settings, num_classes=10, seed=0, **data.model_inputs).eval()
    batch = next(iter(data.batches("test", 3)))
    logits, labels = batch.apply(model)
    assert logits.shape == (3, 10)
    assert labels.tolist() == [9, 0, 3]
    alone = next(iter(data.batches("test", 1)))
    torch.testing.assert_close(alone.apply(model)[0], logits[:1])
    one_way = build_spikingssm({"d_model": 8, "d_state": 4}, num_classes=10, seed=0, vocab=16).eval()
    decoded, states = [], one_way.initial_state(3)
    for tokens in batch.inputs.T:
        y, states = one_way.step(tokens, states)
        decoded.append(y)
    torch.testing.assert_close(torch.stack(decoded, 1), one_way.sequence(batch.inputs))
    with pytest.raises(PumiceError, match="tokens span 0 to 16"):
        model.encode(torch.tensor([[0, 16]]))
    with pytest.raises(PumiceError, match="the model reads tokens"):
        model.encode(torch.zeros(1, 4, 2))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"Source,Target\n", "its columns"),
        (b"Source\tTarget\n( [MAX 1 ] )\t12\n", "line 2 has no digit"),
        (b"Source\tTarget\n( [SUM 1 ] )\t1\n", "'\\[SUM' is no token"),
        (b"Source\tTarget\n\xff\t1\n", "cannot be read as ListOps"),
        (b"", "cannot be read as ListOps"),
    ],
)
def test_damaged_expressions_are_a_sentence(listops, content, part):
    (listops / "basic_test.tsv").write_bytes(content)
    with pytest.raises(PumiceError, match=part):
        load_data("listops", root=str(listops)).samples("test")


def test_missing_files_are_a_sentence(tmp_path):
    with pytest.raises(PumiceError, match=r"basic_train\.tsv does not exist; set task\.root"):
        load_data("listops", root=str(tmp_path)).samples("train")
    with pytest.raises(PumiceError, match="aclImdb"):
        load_data("imdb", root=str(tmp_path)).samples("train")
    with pytest.raises(PumiceError, match="not embedded"):
        load_data("imdb").samples("train")


def test_an_empty_folder_and_a_huge_review_are_refused(imdb):
    path = imdb / "aclImdb" / "test" / "pos" / "0_8.txt"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(PumiceError, match="more than 1,048,576 bytes"):
        load_data("imdb", root=str(imdb)).samples("test")
    for each in path.parent.glob("*.txt"):
        each.unlink()
    with pytest.raises(PumiceError, match="holds no reviews"):
        load_data("imdb", root=str(imdb)).samples("test")


def test_tokens_of_all_operations():
    assert np.unique(np.concatenate([tokenize(source) for source, _ in EXPRESSIONS])).max() == 15
    with pytest.raises(ValueError, match="is no token"):
        tokenize("( hello )")


def test_tokens_as_events(listops):
    """Padding is -1, and has no interval."""
    data = load_data("listops", root=str(listops), reads="events")
    batch = next(iter(data.batches("test", 3)))
    assert batch.tokens[1].ge(0).all()
    assert batch.tokens[0, 5:].tolist() == [-1] * 4
    assert batch.dt.tolist()[0] == [0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert batch.targets.argmax(1).tolist() == [9, 0, 3]
    assert data.check_windows(5) is None
    assert data.check_windows(6) == "2 of 6 training sequences have fewer steps than the model's window of 6"
