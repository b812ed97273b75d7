"""The stages of a run, in order: verbs, targets of export, ``pumice run``, run folders and reports follow this list.

A stage is added here once it is built; nothing else needs to know. What is asked of a run folder now and then, and is
no step on the way to a program, stands in a list of its own.
"""

from __future__ import annotations

from ..hw_sim.report import FILES as REPORT_FILES
from .stage import Stage

STAGES: tuple[Stage, ...] = (
    Stage(
        name="train",
        summary="train the float model and keep the best weights",
        help=(
            "Reads the task's data; writes weights.safetensors (best epoch), logs/ and checkpoints/.\n"
            "An interrupted training continues from its last checkpoint and ends with the same weights."
        ),
        module="train",
        sections=("task", "model", "training", "seed"),
        writes=("weights.safetensors",),
        scratch=("checkpoints", "logs"),
    ),
    Stage(
        name="evaluate",
        summary="accuracy, loss and confusion matrix of the float model",
        help=(
            "Reads weights.safetensors of the run folder; writes metrics.json and predictions.npz.\n"
            "checkpoint=FILE [format=event-ssm|event-ssm-torch|se-adlif] imports weights first (docs/import.md)."
        ),
        module="evaluate",
        sections=("task", "model"),
        needs=("weights.safetensors",),
        writes=("predictions.npz",),
    ),
    Stage(
        name="quantize",
        summary="turn the float model into an integer program",
        help=(
            "Reads weights.safetensors; calibrates, fine-tunes, and keeps what is nearest to the float model on\n"
            "validation.\n"
            "Writes program.npz, quantized.safetensors and lowering.json. An interrupted fine-tuning continues from\n"
            "its last checkpoint."
        ),
        module="quantize",
        sections=("task", "model", "training", "quantize", "seed"),
        needs=("weights.safetensors",),
        writes=("program.npz", "quantized.safetensors", "lowering.json"),
        scratch=("quantize",),
    ),
    Stage(
        name="simulate",
        summary="compare the program bit for bit in every backend, and measure it",
        help=(
            "Reads program.npz, quantized.safetensors and weights.safetensors, and predictions.npz where it is there;\n"
            "writes simulate.json and simulate.npz. Ends with exit code 1 if a single value differs between backends."
        ),
        module="simulate",
        sections=("task", "simulate"),
        needs=("program.npz", "quantized.safetensors", "weights.safetensors"),
        uses=("predictions.npz",),
        writes=("simulate.json", "simulate.npz"),
    ),
    Stage(
        name="export-onnx",
        summary="write the program as ONNX models and check them in onnxruntime",
        help=(
            "Reads program.npz and weights.safetensors; writes onnx/step.onnx and onnx/sequence.onnx (exact),\n"
            "onnx/float.onnx (the float model), onnx/qdq.onnx (an approximation), onnx/export.json and\n"
            "onnx/check.py, which tries the exact models in any runtime, and onnx/run.py with encode.py, which with\n"
            "numpy and onnxruntime alone turn recordings into classes.\n"
            "Ends with exit code 1 if a single value differs from the program's."
        ),
        module="export_onnx",
        target="onnx",
        arithmetic="pumice",
        refusal="ONNX has no form of Loihi's own neurons (quantize=loihi); export them with target=netx, lava or c",
        sections=("task", "model", "export"),
        needs=("program.npz", "weights.safetensors"),
        writes=(
            "onnx/step.onnx",
            "onnx/sequence.onnx",
            "onnx/float.onnx",
            "onnx/qdq.onnx",
            "onnx/check.py",
            "onnx/run.py",
            "onnx/encode.py",
            "onnx/examples.npz",
            "onnx/export.json",
        ),
    ),
    Stage(
        name="export-lava",
        summary="write the program as a Lava network that runs on its own",
        help=(
            "Reads program.npz; writes the folder lava/ for a machine with only Python 3.10, lava-nc and numpy: the\n"
            "program, the process models, run.py, a few test samples and the simulator's logits, a README with the\n"
            "process graph. 'uv run run.py' there starts it as it is. Copy the folder before you change it."
        ),
        module="export_lava",
        target="lava",
        sections=("task", "lava"),
        needs=("program.npz",),
        writes=("lava/program.npz", "lava/inputs.npz", "lava/expected.npz", "lava/run.py", "lava/README.md"),
        scratch=("lava",),
    ),
    Stage(
        name="export-netx",
        summary="write a network of Loihi's own neurons as lava-dl reads it",
        help=(
            "Reads program.npz of a run with quantize=loihi; writes netx/network.net (HDF5), which lava-dl's netx\n"
            "loads, reads it back and compares."
        ),
        module="export_netx",
        target="netx",
        arithmetic="loihi",
        refusal=(
            "lava-dl's files hold Loihi's own neurons alone; quantize a network of LIF neurons with quantize=loihi"
        ),
        sections=("quantize.arithmetic",),
        needs=("program.npz",),
        writes=("netx/network.net",),
        silent=True,
    ),
    Stage(
        name="export-c",
        summary="write the program as C99 for microcontrollers",
        help=(
            "Reads program.npz; writes the folder c/: one .c and one .h without dependencies (c.name=... names them),\n"
            "a main that reads events, known answers of a few test samples, a Makefile, and a README with flash and\n"
            "RAM by node. Where this machine has a C compiler, the known answers are tried. c.pack=true packs weights\n"
            "of up to 4 bits; c.sparse=false keeps the zeros of matrices that would go without them."
        ),
        module="export_c",
        target="c",
        sections=("task", "c"),
        needs=("program.npz",),
        writes=("c/main.c", "c/known.c", "c/Makefile", "c/README.md"),
        scratch=("c",),
    ),
    Stage(
        name="count",
        summary="operations, memory and estimated energy of the program",
        help="Reads program.npz; writes counts.json, over the first test samples. hardware=... chooses the constants.",
        module="count",
        sections=("task", "hardware", "count"),
        needs=("program.npz",),
        writes=("counts.json",),
    ),
    Stage(
        name="report",
        summary="a page, JSON and CSV of all that has run",
        help=(
            "Reads the run folder; writes report.html (one file, needs no network), report.json and report/*.csv.\n"
            "What has not run is shown so. pumice report a/ b/ c/ [out=FOLDER] compares runs instead, and writes\n"
            "comparison.html, comparison.json and comparison.csv."
        ),
        module="report",
        sections=(),
        needs=("metrics.json",),
        writes=REPORT_FILES,
        compares="compare",
    ),
)

ASIDE: tuple[Stage, ...] = (
    Stage(
        name="export-nir",
        summary="write the float network as a NIR file for other frameworks",
        help=(
            "Reads weights.safetensors, and program.npz where it is there; writes nir/network.nir, which snnTorch and\n"
            "others read, and nir/network_io.npz, test samples with the spikes that are expected. It needs the extra\n"
            "'nir' and a network of LIF neurons (model.cell=lif); with nir.namespace=pumice other models are written\n"
            "with nodes of Pumice's own, which Pumice alone reads. 'pumice run' leaves it out."
        ),
        module="export_nir",
        target="nir",
        sections=("task", "model", "nir"),
        needs=("weights.safetensors",),
        uses=("program.npz",),
        writes=("nir/network.nir", "nir/network_io.npz"),
    ),
    Stage(
        name="export-qonnx",
        summary="write the parts of the program without a state for tools of quantized networks",
        help=(
            "Reads program.npz; writes the folder qonnx/: of each part a model, part_0.onnx, and its test vectors,\n"
            "part_0_io.npz, and parts.json, which says what each part holds and what is in none, and why.\n"
            "qonnx.dialect=qonnx, hls4ml or qcdq (for runtimes). Ends with exit code 1 if a single\n"
            "value differs from the program's in onnxruntime. 'pumice run' leaves it out."
        ),
        module="export_qonnx",
        target="qonnx",
        sections=("task", "qonnx"),
        needs=("program.npz",),
        writes=("qonnx/parts.json",),
        scratch=("qonnx",),
    ),
    Stage(
        name="shard",
        summary="compare the program in every backend on a part of the test set",
        help=(
            "Does what 'pumice simulate' does with one part of the test set, such as shard=2/8, and writes\n"
            "shards/2-of-8.safetensors. Any number of such commands may work at once on the same run folder, and one\n"
            "whose part is there ends at once. 'pumice simulate' then puts the parts together."
        ),
        module="shard",
        sections=("task", "simulate"),
        needs=("program.npz", "quantized.safetensors", "weights.safetensors"),
        scratch=("shards",),
        shared=True,
        once=("shard",),
    ),
    Stage(
        name="sensitivity",
        summary="lower the width of every tensor alone, and see what that costs and saves",
        help=(
            "Reads weights.safetensors; calibrates, does not fine-tune, and writes sensitivity.json: each width of\n"
            "section 'quantize', lowered alone, with what it does to the logits, and the bits it saves. What is done\n"
            "is kept: the same command goes on. system.jobs processes share the work. 'pumice run' leaves it out."
        ),
        module="sensitivity",
        sections=("task", "model", "quantize", "sensitivity", "hardware", "seed"),
        needs=("weights.safetensors",),
        writes=("sensitivity.json",),
        scratch=("sensitivity",),
    ),
    Stage(
        name="search",
        summary="search the widths of all tensors by what they lose and what they cost",
        help=(
            "Reads weights.safetensors and sensitivity.json; calibrates, does not fine-tune, and writes search.json:\n"
            "the points that no others dominate, and a file of settings of each, search/quantize/point-N.yaml.\n"
            "Any number of such commands may work at once on the same run folder, each in system.jobs processes, and\n"
            "one that was interrupted goes on. It needs the extra 'search'; 'pumice run' leaves it out."
        ),
        module="search",
        sections=(
            "task",
            "model",
            "quantize",
            "hardware",
            "seed",
            *(
                f"search.{name}"
                for name in (
                    "objectives",
                    "weights",
                    "constants",
                    "activations",
                    "states",
                    "methods",
                    "ticks_ms",
                    "limits",
                    "chip",
                    "chip_limits",
                    "sampler",
                    "samples",
                    "judged",
                    "counted",
                )
            ),
        ),
        needs=("weights.safetensors", "sensitivity.json"),
        writes=("search.json",),
        scratch=("search",),
        shared=True,
    ),
)
"""Stages that ``pumice run`` leaves out; one that another reads from comes before it."""

ALL: tuple[Stage, ...] = (*STAGES, *ASIDE)


def below(stage: Stage) -> tuple[Stage, ...]:
    """The stages whose settings what ``stage`` makes depends on, in order, itself the last.

    Of one on the way to a program and its report those are all before it; of another those that write what it reads.
    """
    if stage in STAGES:
        return STAGES[: STAGES.index(stage) + 1]
    writers = {other for other in ALL if other is not stage and set(other.writes) & set(stage.needs)}
    found = {further for writer in writers for further in below(writer)}
    return (*(other for other in ALL if other in found), stage)


def after(stage: Stage) -> tuple[Stage, ...]:
    """The stages that are to be done anew with ``stage``, in order, itself the first.

    Of one on the way to a report those are all after it, and what stands aside and builds on what these write.
    """
    first = STAGES[STAGES.index(stage) :] if stage in STAGES else (stage,)
    return (*first, *(other for other in ASIDE if other is not stage and set(below(other)) & set(first)))
