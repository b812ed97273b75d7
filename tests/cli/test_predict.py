"""`pumice predict`: files that nobody has labelled get the logits that evaluation found, in every backend."""

import json

import h5py
import numpy as np
import pumice
import pytest
import soundfile
from pumice.cli.main import main
from pumice.program import reference
from pumice.train.data.audio.settings import AudioSettings
from pumice.train.data.audio.store import encode_file

RATE = 16_000


@pytest.fixture
def call(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["predict", *map(str, arguments)])
        out, err = capsys.readouterr()
        return ended.value.code, out.splitlines(), err

    return run


def recorded(path, index):
    with h5py.File(path) as file:
        times = (file["spikes/times"][index].astype(np.float64) * 1e6).astype(np.int64)
        return times, file["spikes/units"][index].astype(np.int64)


@pytest.fixture
def files(small_set, tmp_path):
    """The first recordings of the test set, a file each, in three formats."""
    times, units = zip(*(recorded(small_set / "test.h5", index) for index in range(3)), strict=True)
    np.save(tmp_path / "a b.npy", np.stack([times[0], units[0]], 1))
    np.savez(tmp_path / "c.npz", t=times[1], x=units[1])
    np.savetxt(tmp_path / "d.csv", np.stack([times[2], units[2]], 1), "%d", ",", header="t,x", comments="")
    return [tmp_path / "a b.npy", tmp_path / "c.npz", tmp_path / "d.csv"]


@pytest.mark.parametrize("backend", ["integer", "float", "onnx"])
def test_a_whole_test_set_is_answered_as_it_was_evaluated(small_finished, small_set, backend):
    folder = small_finished.folder
    found = list(pumice.predict(folder, [small_set / "test.h5"], backend=backend))
    assert [entry.name for entry in found[:2]] == [f"{small_set / 'test.h5'}#{index}" for index in range(2)]
    logits = np.stack([entry.logits for entry in found])
    if backend == "float":
        expected = np.load(folder / "predictions.npz")["test_logits"]
        np.testing.assert_allclose(logits, expected, atol=1e-4)
    else:
        program = pumice.load(folder / "program.npz")
        with h5py.File(small_set / "test.h5") as file:
            samples = [recorded(small_set / "test.h5", index)[::-1] for index in range(len(file["labels"]))]
        expected = np.stack([trace.logits for trace in reference.run(program, samples)])
        assert np.array_equal(logits, expected)
        assert np.array_equal(
            np.stack([entry.scores for entry in found]), expected * program[program.logits].output.scale
        )
    ordered = np.sort(logits * (found[0].scores[0] / logits[0, 0]), axis=1)
    assert [entry.index for entry in found] == logits.argmax(1).tolist()
    np.testing.assert_allclose([entry.margin for entry in found], ordered[:, -1] - ordered[:, -2], rtol=1e-4, atol=1e-6)


def test_files_of_their_own_and_arrays_are_the_same(small_finished, small_set, files):
    program = pumice.load(small_finished.folder / "program.npz")
    whole = list(pumice.predict(program, [small_set / "test.h5"]))[:3]
    arrays = [{"t": times, "x": units} for times, units in (recorded(small_set / "test.h5", i) for i in range(3))]
    for given in (files, arrays):
        for one, other in zip(pumice.predict(program, given), whole, strict=True):
            assert np.array_equal(one.logits, other.logits)
            assert (one.events, one.duration_us, one.class_name) == (other.events, other.duration_us, other.class_name)
    milliseconds = [{"t": entry["t"] / 1000, "x": entry["x"]} for entry in arrays]
    assert [entry.index for entry in pumice.predict(program, milliseconds, unit="ms")] == [e.index for e in whole]


def test_lines_for_people_and_for_programs(small_finished, files, call):
    code, lines, _ = call(f"run_dir={small_finished.folder}", *files, "top=2")
    assert code == 0
    found = list(pumice.predict(small_finished.folder, files))
    for line, entry in zip(lines, found, strict=True):
        best = sorted(range(20), key=lambda index: -entry.scores[index])[:2]
        told = ", ".join(f"word {index} {entry.scores[index]:.3f}" for index in best)
        assert line.startswith(f"{entry.name}: word {best[0]}  ({told})  {entry.events} events, ")
    code, lines, _ = call(f"program={small_finished.folder / 'program.npz'}", *files, "format=json")
    told = [json.loads(line) for line in lines]
    assert [entry["file"] for entry in told] == [str(path) for path in files]
    for entry, known in zip(told, found, strict=True):
        assert list(entry["scores"].values()) == known.scores.tolist()
        assert entry["class"] == known.class_name
        assert entry["latency_ms"] > 0


def test_sound_goes_through_the_cochlea(small_finished, tmp_path, monkeypatch):
    monkeypatch.setenv("PUMICE_CACHE", str(tmp_path / "cache"))
    time = np.arange(RATE // 4) / RATE
    soundfile.write(tmp_path / "chirp.wav", 0.5 * np.sin(2 * np.pi * (200 + 4000 * time) * time), RATE)
    (found,) = pumice.predict(small_finished.folder, [tmp_path / "chirp.wav"])
    seconds, channels = encode_file(tmp_path / "chirp.wav", AudioSettings())
    order = np.argsort(seconds, kind="stable")
    times = np.rint(seconds[order].astype(np.float64) * 1e6).astype(np.int64)
    (expected,) = pumice.predict(small_finished.folder, [{"t": times, "x": channels[order]}])
    assert np.array_equal(found.logits, expected.logits)
    assert found.events == len(seconds) > 100


def test_recordings_in_bins(small_set):
    data = pumice.load_data("spoken-digits-binned", root=str(small_set))
    model = pumice.build_model("adlif/tiny", num_classes=20, hidden=8, **data.model_inputs)
    task = {"kind": "binned", "name": "b", "source": "spoken-digits", "num_classes": 20, "channels": 700}
    found = list(pumice.predict(model, [small_set / "test.h5"], task=task, class_names=[str(i) for i in range(20)]))
    import torch

    with torch.inference_mode():
        expected = torch.cat([batch.apply(model.eval())[0] for batch in data.batches("test", 1)])
    np.testing.assert_allclose(np.stack([entry.logits for entry in found]), expected.numpy(), atol=1e-5)


def test_mistakes_are_sentences(small_finished, files, tmp_path, call):
    run_dir = f"run_dir={small_finished.folder}"
    (tmp_path / "words.txt").write_text("no numbers\n")
    (tmp_path / "picture.png").write_bytes(b"")
    np.save(tmp_path / "channel.npy", np.array([[0, 700]]))
    for arguments, part in (
        ([], "no model given"),
        ([run_dir], "no recordings are given"),
        ([run_dir, f"program={files[0]}", files[0]], "program and run_dir given"),
        ([run_dir, tmp_path / "nothing.npy"], "nothing.npy is no file"),
        ([run_dir, tmp_path / "picture.png"], "ends in none of"),
        ([run_dir, tmp_path / "words.txt"], "words.txt"),
        ([run_dir, tmp_path / "channel.npy"], "700"),
        ([run_dir, files[0], "backend=gpu"], "backend=gpu is unknown"),
        ([run_dir, files[0], "format=xml"], "format=xml is unknown"),
        ([run_dir, files[0], "unit=h"], "unit=h is unknown"),
        ([f"program={small_finished.folder / 'program.npz'}", files[0], "backend=onnx"], "name that"),
    ):
        code, _, err = call(*arguments)
        assert (code, err.count("\n"), err[:8]) == (2, 1, "pumice: "), err
        assert part in err


def test_an_export_of_another_program_is_refused(small_finished, files, tmp_path):
    import shutil

    shutil.copytree(small_finished.folder, tmp_path / "run")
    program = pumice.load(tmp_path / "run/program.npz")
    from dataclasses import replace

    pumice.save(
        replace(program, class_names=tuple(f"other {name}" for name in program.class_names)),
        tmp_path / "run/program.npz",
    )
    with pytest.raises(pumice.PumiceError, match="another program's"):
        list(pumice.predict(tmp_path / "run", files, backend="onnx"))
