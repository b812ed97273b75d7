"""``pumice stream``: sources, lines for people and programs, states, ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pumice
import pytest
from pumice.cli.main import main
from pumice.program import reference, save
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program

LENGTH = 1200


@pytest.fixture(scope="module")
def program():
    return next(each for each in map(random_program, range(20)) if not each.value_input.event_shape)


@pytest.fixture(scope="module")
def events(program):
    rng = np.random.default_rng(0)
    return np.cumsum(rng.integers(0, 300, LENGTH)), rng.integers(0, program.value_input.vocab, LENGTH)


@pytest.fixture
def folder(tmp_path, monkeypatch, program, events):
    monkeypatch.chdir(tmp_path)
    save(program, "program.npz")
    np.savetxt("events.csv", np.stack(events, axis=1), fmt="%d", delimiter=",")
    np.save("events.npy", np.stack(events, axis=1))
    return tmp_path


@pytest.fixture
def call(folder, capfd):
    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(["stream", *words])
        out, error = capfd.readouterr()
        return ended.value.code, out, error

    return run


def whole(program, events, stop=None):
    t, x = events
    return reference.run(program, [(x[:stop], t[:stop])])[0].logits


def check(program, events, out):
    """JSON lines say what whole samples say."""
    scale = program[program.logits].output.scale
    for line in out.splitlines():
        told = json.loads(line)
        logits = whole(program, events, told["event"]) * scale
        best = int(logits.argmax())
        assert (told["index"], told["class"]) == (best, program.class_names[best])
        assert told["score"] == pytest.approx(logits[best])
        assert told["margin"] == pytest.approx(logits[best] - np.delete(logits, best).max())
        assert told["time_us"] == events[0][told["event"] - 1]
        assert told["latency_ms"] >= 0
    return [json.loads(line)["event"] for line in out.splitlines()]


@pytest.mark.parametrize("source", ["events.csv", "events.npy"])
def test_files(call, program, events, source):
    code, out, error = call("program=program.npz", f"input={source}", "every=500", "format=json")
    assert code == 0, error
    assert check(program, events, out) == [500, 1000, LENGTH]
    told = json.loads(error)
    assert (told["events"], told["left_out"], told["interrupted"]) == (LENGTH, {}, False)


def test_lines_for_people(call, program, events):
    code, out, error = call("program=program.npz", "input=events.csv", "every=1200")
    assert code == 0
    (line,) = out.splitlines()
    logits = whole(program, events)
    assert f"event     1,200  {program.class_names[logits.argmax()]}" in line
    assert line.lstrip().startswith(f"{events[0][-1] / 1e6:.3f} s")
    assert line.endswith(" ms")
    assert error.startswith("ended after 1,200 events, ")


def test_a_state_goes_on_in_another_sitting(call, folder, program, events):
    table = np.stack(events, axis=1)
    np.savetxt("first.csv", table[:700], fmt="%d", delimiter=",")
    np.savetxt("second.csv", table[700:], fmt="%d", delimiter=",")
    for number, expected in (("first", [500, 700]), ("second", [1000, LENGTH])):
        words = (f"input={number}.csv", "state=state.npz", "every=500", "format=json")
        code, out, error = call("program=program.npz", *words)
        assert code == 0, error
        assert check(program, events, out) == expected
        assert json.loads(error)["state"] == "state.npz"
    code, out, error = call("program=program.npz", "input=second.csv", "state=state.npz", "window=3")
    assert (code, out) == (2, "")
    assert "state of another program, read-out or version" in error
    assert [path.name for path in folder.glob(".partial*")] == []


def test_a_file_that_grows(call, folder, program, events):
    table = np.stack(events, axis=1)
    lines = [f"{t},{x}\n" for t, x in table]
    growing = folder / "growing.csv"
    growing.write_text("".join(lines[:300]) + lines[300][:3])

    def grow():
        time.sleep(0.3)
        with growing.open("a") as file:
            file.write(lines[300][3:] + "".join(lines[301:]))

    writer = threading.Thread(target=grow)
    writer.start()
    code, out, error = call("program=program.npz", "input=growing.csv", "follow=true", "idle_s=1.5", "format=json")
    writer.join()
    assert code == 0, error
    assert check(program, events, out)[-1] == LENGTH


def test_datagrams(call, program, events):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [f"{t},{x}" for t, x in zip(*events, strict=True)]

    def send():
        time.sleep(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for at in range(0, LENGTH, 100):
                out.sendto("\n".join(lines[at : at + 100]).encode(), ("127.0.0.1", port))
                time.sleep(0.01)

    sender = threading.Thread(target=send)
    sender.start()
    code, out, error = call("program=program.npz", f"input=udp:{port}", "idle_s=3", "format=json", "every=400")
    sender.join()
    assert code == 0, error
    assert check(program, events, out) == [400, 800, LENGTH]


def test_rows_of_a_clocked_network(call, folder):
    program = random_network(1, value="dense", inputs=6)
    save(program, "network.npz")
    rows = np.round(np.random.default_rng(0).random((50, 6)), 3)
    np.savetxt("rows.csv", rows, fmt="%.3f", delimiter=",")
    np.save("rows.npy", rows)
    (trace,) = reference.run(program, [(rows, (program.step_us or 1000) * np.arange(50))])
    for source in ("rows.csv", "rows.npy"):
        code, out, error = call("program=network.npz", f"input={source}", "format=json", "every=50")
        assert code == 0, error
        assert json.loads(out)["score"] == pytest.approx(trace.logits.max() * program[program.logits].output.scale)


MISTAKES = {
    ("input=none.csv",): "none.csv cannot be opened",
    ("input=events.csv", "format=xml"): "format=xml is unknown",
    ("input=events.csv", "every=0"): "raise every",
    ("input=events.csv", "backend=float"): "needs the float model of a run folder",
    ("input=events.npy", "follow=true"): "does not grow line by line",
    ("input=events.csv", "columns=[t,z]"): "are no columns of events",
    ("input=events.csv", "sensor=[3]"): "as many places as the model has tokens",
    ("input=udp:0",): "names no port",
    ("input=udp:example.org:9000",): "is no address",
    ("input=udp:203.0.113.7:9000",): "cannot be listened at",
    ("input=wrong.csv",): "wrong.csv: line 2 is 'x,1' and not 2 numbers",
    ("input=back.csv",): "event 1 at 5 us lies 5 us before",
    ("input=program.npz",): "cannot be read as a recording",
    ("input=film.mp4",): "convert it",
}


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_sentence(call, folder, words):
    (folder / "wrong.csv").write_text("1,1\nx,1\n")
    (folder / "back.csv").write_text("10,1\n5,1\n")
    code, out, error = call("program=program.npz", *words, "state=kept.npz")
    assert (code, out) == (2, "")
    assert MISTAKES[words] in error
    assert error.count("\n") == 1
    assert not (folder / "kept.npz").exists()


def test_what_is_left_out_is_counted(call, folder):
    (folder / "mixed.csv").write_text("1,1\nx,1\n5,1\n3,1\n6,999999\n7,1\n")
    code, out, error = call("program=program.npz", "input=mixed.csv", "faults=skip", "format=json")
    assert code == 0, error
    assert json.loads(out)["event"] == 3
    assert json.loads(error)["left_out"] == {"malformed": 1, "out of order": 1, "outside the sensor": 1}


@pytest.mark.thorough
def test_an_interrupt_and_a_reader_that_goes_away(folder, program, events):
    root = Path(pumice.__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root.parent), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "pumice", "stream", "program=program.npz", "every=100", "format=json"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment}
    text = (folder / "events.csv").read_bytes()
    running = subprocess.Popen([*command, "state=state.npz"], **pipes)
    running.stdin.write(text)
    running.stdin.flush()
    told = [running.stdout.readline().decode() for _ in range(LENGTH // 100)]
    running.send_signal(signal.SIGINT)
    out, error = running.communicate(timeout=60)
    assert running.returncode == 0, error
    assert check(program, events, "".join(told)) == list(range(100, LENGTH + 1, 100))
    summary = json.loads(error)
    assert (summary["interrupted"], summary["events"], out) == (True, LENGTH, b"")
    assert (folder / "state.npz").is_file()

    running = subprocess.Popen(command, **pipes)
    running.stdin.write(text)
    running.stdin.flush()
    running.stdout.readline()
    running.stdout.close()
    running.stdin.write(b"".join(b"%d,1\n" % (10**9 + k) for k in range(1000)))
    running.stdin.close()
    assert running.wait(60) == 0
    error = running.stderr.read().decode()
    running.stderr.close()
    assert error.count("\n") == 1
    assert json.loads(error)["events"] >= 100
