"""The verbs of the command line: stages of a run folder, ``run`` for all of them, and ``data``."""

from __future__ import annotations

from dataclasses import replace

from ..errors import PumiceError
from ..stages.table import ALL, STAGES
from .known import did_you_mean
from .verb import RUN_EXPORT, RUN_STAGES, RUN_WHOLE, Verb
from .words import PREDICT_USAGE, STREAM_USAGE

FEED = "[steps=N] [columns=[channel,time]] [input_bits=N] [signed=BOOL] [class_names=[...]] [step_us=N] [threads=N]"
PLAIN = {
    "simulate": "net=FILE input=FILE [backends=[...]] [out=FOLDER] [traces=FOLDER]",
    "count": "net=FILE input=FILE [hardware=NAME] [out=FILE.json]",
    "export": "target=lava|netx|onnx|c|qonnx net=FILE [input=FILE] [c.name=NAME] [c.pack=BOOL] "
    "[c.sparse=BOOL] out=PATH",
}
"""Verbs that take a program file as well, and what they take with it."""


def _with_plain(verb: Verb) -> Verb:
    """The verb, which takes a program file where `PLAIN` says so."""
    name = verb.name
    if name not in PLAIN:
        return verb
    usage = f"pumice {name} {PLAIN[name]}"
    more = (
        f"Without a run folder: {usage}\n{FEED}\n"
        "net: a .net file of lava-dl (docs/loihi.md); program=FILE.npz: a program; input: a .npy or .npz file."
    )
    return replace(verb, help=f"{verb.help}\n\n{more}", program=f"plain:{name}")


def _stage_verbs() -> list[Verb]:
    """One verb a stage; the exports share one, which chooses by target."""
    verbs = []
    for stage in ALL:
        if not stage.target:
            plain = f"..stages.{stage.module}:{stage.compares}" if stage.compares else ""
            verb = Verb(stage.name, stage.summary, stage.help, RUN_STAGES, ((stage.name,),), folders=plain)
            verbs.append(_with_plain(replace(verb, sections=stage.sections, common=(*stage.once, *verb.common))))
    exports = [stage for stage in ALL if stage.target]
    listed = "\n\n".join(f"target={stage.target}: {stage.help}" for stage in exports)
    *first, last = [stage.target for stage in exports]
    summary = f"write the program for another runtime (target={', '.join(first)} or {last})"
    sections = tuple(dict.fromkeys(section for stage in exports for section in stage.sections))
    return [*verbs, _with_plain(Verb("export", summary, listed, RUN_EXPORT, sections=("target", *sections)))]


IMPORTED = (
    "Writes weights.safetensors to the run folder, as 'train' does; evaluate, quantize and all others go on from\n"
    "there. The settings choose the model and the task, as those of 'train'."
)
IMPORTS = (
    (
        "weights",
        "a run folder of weights that have Pumice's own names",
        "FILE",
        f"FILE: safetensors, a state dict that torch saved, or a .npz.\n{IMPORTED}",
        "",
    ),
    (
        "event-ssm",
        "a run folder of weights of the JAX code of event-SSM",
        "FILE.npz [CONFIG.yaml]",
        "FILE.npz: the tree of flax, its keys joined by '/' (docs/import.md); CONFIG.yaml: the configuration of\n"
        f"its training, which gives the settings of the model.\n{IMPORTED}",
        "..stages.foreign_settings:event_ssm",
    ),
    (
        "event-ssm-torch",
        "a run folder of weights of the PyTorch port of event-SSM, with real decays",
        "model.pt [CONFIG.yaml]",
        "model.pt: a state dict; CONFIG.yaml: the resolved configuration beside it. Where the data is there, the test\n"
        f"set is evaluated by the exact recurrence and by the one of the training.\n{IMPORTED}",
        "..stages.foreign_settings:event_ssm_torch",
    ),
    (
        "se-adlif",
        "a run folder of a checkpoint of the reference code of adaptive LIF networks",
        "CHECKPOINT",
        f"CHECKPOINT: as Lightning wrote it; the classes that it names are never loaded.\n{IMPORTED}",
        "",
    ),
)
"""Name, summary, usage, what it reads, and what makes settings of a second file."""

COMPLETION_HELP = """\
usage: pumice completion bash|zsh|fish

Prints a script. Let the shell read it when it starts:
  bash   echo 'eval "$(pumice completion bash)"' >> ~/.bashrc
  zsh    echo 'eval "$(pumice completion zsh)"' >> ~/.zshrc, behind compinit
  fish   pumice completion fish | source, in ~/.config/fish/config.fish"""

SDN_VERBS = (
    Verb(
        "sdn generate",
        "training data of a spiking neuron for a surrogate dynamic network",
        "usage: pumice sdn generate FOLDER [name=training] [samples=50000] [steps=1024] [mean=0.0] [std=1.0]\n"
        "       [tau=0.2] [kind=normal|near|mixed] [seed=0] [device=cpu]\n\n"
        "The defaults, the file's name and its layout are the published ones (docs/sdn.md).",
        "",
        config_name="",
        files="sdn:generate",
    ),
    Verb(
        "sdn train",
        "train a surrogate dynamic network; the same command continues",
        "usage: pumice sdn train training=FILE [test=FILE] save=FOLDER [n_layers=1] [d_model=8] [kernel_size=8]\n"
        "       [lr=0.01] [weight_decay=0.01] [epochs=100] [batch_size=64] [beta=1.0] [near=0.0] [validation=0.1]\n"
        "       [seed=0] [device=cpu] [threads=N] [tau=...]",
        "",
        config_name="",
        files="sdn:train",
    ),
    Verb(
        "sdn reduce",
        "fold a trained surrogate network into its reduced form, and check that",
        "usage: pumice sdn reduce FOLDER [out=FILE.safetensors] [sweeps=0]",
        "",
        config_name="",
        files="sdn:reduce",
    ),
    Verb(
        "sdn evaluate",
        "agreement of a reduced network with its neuron, beside the baselines",
        "usage: pumice sdn evaluate FILE.safetensors [out=FILE.json] [sequences=200] [steps=1024] [seed=0] [sweeps=N]\n"
        "       pumice sdn evaluate tau=0.125: the network that comes with Pumice",
        "",
        config_name="",
        files="sdn:evaluate",
    ),
    Verb(
        "sdn import",
        "a published surrogate network, checkpoint or TorchScript archive, as a file of Pumice",
        "usage: pumice sdn import FILE tau=0.125 out=FILE.safetensors [sweeps=0]",
        "",
        config_name="",
        files="sdn:import_network",
    ),
)

VERBS: tuple[Verb, ...] = (
    Verb(
        "run",
        f"all stages in order: {', '.join(stage.name for stage in STAGES)}",
        "Runs every stage that the run folder has not finished yet; an interrupted one continues.\n"
        "Prints a summary; -v all that the stages print, which run.log in the run folder keeps in any case.",
        RUN_WHOLE,
        (tuple(stage.name for stage in STAGES),),
        sections=tuple(dict.fromkeys(section for stage in STAGES for section in stage.sections)),
    ),
    *_stage_verbs(),
    Verb(
        "inspect",
        "what a program holds: graph, widths, memory, dead zones",
        "usage: pumice inspect program.npz [--json], or a .net file of lava-dl",
        "",
        config_name="",
        files="programs:inspect_file",
    ),
    Verb(
        "check",
        "whether a program fits a chip: widths, fans, neurons, memory, cores, nodes that the chip lacks",
        "usage: pumice check program=FILE.npz|net=FILE.net|run_dir=FOLDER [hardware=NAME|FILE.yaml] [flash=512k]\n"
        "       [ram=128k] [out=FILE.json] [--json]\n\n"
        "hardware: one of configs/chip (docs/chips.md); without it every chip in a line each. Ends with exit code 1\n"
        "where the program does not fit.",
        "",
        config_name="",
        files="check:run",
    ),
    Verb(
        "predict",
        "the class of recordings or sound files, by the float model, the program or onnxruntime",
        f"usage: {PREDICT_USAGE}\n\n"
        "FILE: a recording of any format that task=event-folder and task=audio-folder read, or many in one file of\n"
        "SHD's layout. It is read as the model's own test recordings are. format=json prints one line of JSON each.",
        "",
        config_name="",
        files="predict:run",
    ),
    Verb(
        "stream",
        "a running decision on events that keep coming: file, standard input, socket",
        f"usage: {STREAM_USAGE}\n\n"
        "input: a recording of any known format, lines t,x[,y,p] of a .csv or .txt (follow=true waits for more), of\n"
        "standard input (-, the default), or of datagrams at a UDP port of this machine. The state is carried over\n"
        "for ever; state=FILE goes on from an earlier sitting. docs/streaming.md tells more.",
        "",
        config_name="",
        files="stream:run",
    ),
    Verb(
        "import net",
        "a program of a .net file of lava-dl: dense layers of CUBA neurons",
        "usage: pumice import net FILE.net out=FILE.npz [input_bits=N] [signed=BOOL] [class_names=[...]] [step_us=N]",
        "",
        config_name="",
        files="plain:import_net",
    ),
    Verb(
        "import nir",
        "a run folder of a NIR file: chains of LIF, CubaLIF or IF neurons, or what Pumice wrote",
        "usage: pumice import nir FILE.nir [nir.reset=zero|subtract] [nir.writer=snntorch|other] [nir.dt=1e-4] "
        "[nir.refractory=STEPS] [settings]\n\n"
        "FILE.nir: as nir.write wrote it, by snnTorch or others (docs/nir.md); it gives the settings of the model.\n"
        f"{IMPORTED}",
        "run:imported",
        ("nir",),
        reads=True,
        own="..stages.foreign_settings:nir",
        sections=("task", "model", "nir"),
    ),
    *(
        Verb(
            f"import {name}",
            summary,
            f"usage: pumice import {name} {usage} [settings]\n\n{more}",
            "run:imported",
            (name,),
            reads=True,
            settings=settings,
            sections=("task", "model"),
        )
        for name, summary, usage, more, settings in IMPORTS
    ),
    Verb(
        "diff",
        "in what two programs differ",
        "usage: pumice diff a.npz b.npz [--json]\n\nEnds with exit code 1 where they differ.",
        "",
        config_name="",
        files="programs:diff_files",
    ),
    Verb(
        "data build",
        "synthesise the spoken-digits set anew, or a larger one",
        "Writes train.h5 and test.h5 in SHD's layout to the folder 'out'; needs the optional extra 'synthesis'.",
        "data:build",
        config_name="data-build",
        common=("out", "train", "test", "seed", "workers"),
    ),
    Verb(
        "data show",
        "draw rasters of a data set and print its statistics",
        "Reads the data set of the chosen task; writes PNG rasters to the folder 'out'.",
        "data:show",
        config_name="data-show",
        sections=("task",),
        common=("out", "samples", "seed"),
    ),
    *SDN_VERBS,
    Verb(
        "doctor",
        "what this machine has and lacks: versions, processor, compilers, Lava, extras, disk",
        "usage: pumice doctor [--json]\n\nNothing is built or changed. Ends with exit code 2 where Pumice cannot work.",
        "",
        config_name="",
        files="doctor:run",
    ),
    Verb(
        "completion",
        "what a shell needs to complete verbs, settings and options",
        COMPLETION_HELP,
        "",
        config_name="",
        files="completion:run",
    ),
)


def find_verb(arguments: list[str]) -> tuple[Verb, list[str]]:
    """The verb that ``arguments`` begin with (one or two words) and the arguments after it.

    Raises:
        PumiceError: no such verb.
    """
    for words in (2, 1):
        name = " ".join(arguments[:words])
        for verb in VERBS:
            if verb.name == name:
                return verb, arguments[words:]
    actions = [verb.name for verb in VERBS if verb.name.split()[0] == arguments[0]]
    if actions:
        raise PumiceError(f"'{arguments[0]}' needs an action; use one of: {', '.join(f'pumice {a}' for a in actions)}")
    names = [verb.name for verb in VERBS]
    meant = did_you_mean(arguments[0], names) or f"; use one of: {', '.join(names)}"
    raise PumiceError(f"unknown verb '{arguments[0]}'{meant} (pumice --help explains)")
