# %% [markdown]
# # Spikes from a surrogate
#
# A spiking neuron that resets has to be computed step by step, which makes training slow. A
# [surrogate dynamic network](../sdn.md) predicts its membrane for all steps at once. Here we train one, train a
# [SpikingSSM](../spikingssm.md) through it, and follow that to integers, in which nothing of the surrogate is left.
#
# Every step is a line of the command line; we give them from Python to look at what they write.

# %%
import contextlib
import gzip
import io
import json
import shlex
import struct
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from pumice.cli.main import main

torch.set_num_threads(1)


def command(line):
    """One line of the command line, in this process; what it prints is kept for the case that it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(shlex.split(line)[1:])
        except SystemExit as ended:
            if ended.code:
                raise RuntimeError(said.getvalue()) from ended


# %% [markdown]
# ## The surrogate: generate, train, reduce
#
# The neuron keeps an eighth of its potential from step to step (tau 0.125), fires where it reaches 1, and is reset
# to 0. `generate` writes drives with their exact membranes; the published set has 50,000 sequences, hundreds do for
# a look. `reduce` folds what was trained into three small convolutions: 153 numbers.

# %%
command("pumice sdn generate neuron tau=0.125 samples=400 steps=512")
(drives,) = Path("neuron").glob("*.pt")
command(f"pumice sdn train 'training={drives}' save=sdn epochs=8 batch_size=8 beta=0.02")
command("pumice sdn reduce sdn sweeps=3")

# %% membrane
from pumice.models.sdn import lif_membrane, load_sdn

drive = 0.7 + 0.35 * torch.randn(60, generator=torch.Generator().manual_seed(3))
exact, _ = lif_membrane(drive, 0.125)
network = load_sdn("sdn/sdn.safetensors")
fig, axis = plt.subplots(figsize=(9, 2.8), layout="constrained")
axis.step(range(60), exact, color="0.6", where="mid", linewidth=3, label="exact")
axis.step(range(60), network(drive), color="tab:orange", where="mid", label="surrogate, all steps at once")
axis.set(xlabel="step", ylabel="what the potential keeps", ylim=(-0.005, 0.16))
axis.legend(loc="upper right", ncols=2)
plt.show()
long = torch.randn(200, 1024, generator=torch.Generator().manual_seed(4))
spikes = lif_membrane(long, 0.125)[1].bool()
same, forgetful = ((guess == spikes).float().mean() for guess in (network(long) + long >= 1, long >= 1))
print(f"the same spike or none at {same:.3%} of the steps, a neuron without memory at {forgetful:.3%}")

# %% [markdown]
# ## Images in the format of MNIST
#
# The task `smnist` reads MNIST's four files as they are published, and gives an image as 784 steps of one value, row by
# row. In place of the download we write small files of the same format: rings and strokes of any size and place.

# %% images
rng = np.random.default_rng(0)
y, x = np.mgrid[:28, :28]


def ring():
    radius, across, down = rng.uniform(5, 8), *rng.uniform(11, 17, 2)
    return np.exp(-((np.hypot(x - across, y - down) - radius) ** 2) / 2)


def stroke():
    lean, across = rng.uniform(-0.35, 0.35), rng.uniform(10, 18)
    return np.exp(-((x - across - lean * (y - 14)) ** 2) / 3) * (abs(y - 14) < rng.uniform(7, 11))


Path("mnist").mkdir()
for prefix, count in (("train", 160), ("t10k", 40)):
    labels = (np.arange(count) % 2).astype(np.uint8)
    drawn = np.array([(ring, stroke)[label]() for label in labels]) + rng.normal(0, 0.08, (count, 28, 28))
    images = np.clip(255 * drawn, 0, 255).astype(np.uint8)
    for name, values in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
        head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
        Path("mnist", f"{name}.gz").write_bytes(gzip.compress(head + values.tobytes()))
fig, axes = plt.subplots(2, 4, figsize=(9, 3), layout="constrained", width_ratios=[1, 3, 1, 3])
for axis, image in zip(axes.reshape(-1, 2), images[:4]):
    axis[0].imshow(image, cmap="gray")
    axis[0].axis("off")
    axis[1].plot(image.ravel() / 255, linewidth=0.6)
    axis[1].set(ylim=(0, 1.05), yticks=[0, 1])
fig.supxlabel("step")
plt.show()

# %% [markdown]
# ## From files to integers
#
# The model is that of sequential MNIST, made small. `pumice run` trains it through our surrogate, evaluates it by the
# exact neuron, calibrates and fine-tunes the integers, compares the backends value by value, exports and counts.

# %%
command(
    "pumice run task=smnist task.root=mnist model=spikingssm/smnist model.d_model=16 model.d_state=8 "
    "model.neuron=sdn model.sdn=sdn/sdn.safetensors run_dir=run training.epochs=9 training.batch_size=16 "
    "training.norm_samples=100 quantize.qat.epochs=1 simulate.backends=[reference,twin,run,step] "
    "simulate.samples.step=10 "
    "export.step_samples=2 logging.progress=false logging.tensorboard=false system.threads=1"
)
metrics = json.loads(Path("run/metrics.json").read_text())
parity = json.loads(Path("run/simulate.json").read_text())
print(f"float model on test images: {metrics['evaluate']['test']['accuracy']:.1%}")
print(f"integers on test images:    {metrics['simulate']['accuracy']['run']:.1%}")
print(f"values that differ between {', '.join(parity['backends'])}: {parity['differing']}")

# %% [markdown]
# ## What spikes
#
# The program is one file. Each block is a norm, a `ChannelSSM` that keeps real numbers, and neurons, whose spikes alone
# the next linear layer sees: it adds rows of weights where a neuron fires, and multiplies nothing.

# %% spikes
from pumice.program import load, reference

program = load("run/program.npz")
samples = [(image.reshape(-1, 1) / 255, 1000 * np.arange(784)) for image in images[:2]]
traces = reference.run(program, samples)
fig, axes = plt.subplots(2, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained")
for column, (trace, what) in enumerate(zip(traces, ("a ring", "a stroke"))):
    for block in range(2):
        steps, neurons = np.nonzero(trace.values[f"blocks/{block}/neurons"])
        axes[block, column].plot(steps, neurons, "|", color="tab:blue", markersize=3, alpha=0.6)
        axes[block, column].set(ylabel=f"block {block}, neuron" if column == 0 else "")
    axes[0, column].set_title(what)
fig.supxlabel("step")
plt.show()
for block in range(2):
    print(f"block {block}: {parity['spike_rates'][f'blocks/{block}/neurons']:.1%} of its neurons spike at a step")

# %%
counts = json.loads(Path("run/counts.json").read_text())["integer"]
steps = counts["events"]
for node in counts["nodes"]:
    products = [item for item in node["operations"] if item["kind"] == "mac" and item["effective"]]
    macs = sum(item["effective"] - item["accumulate"] for item in products) / steps
    acs = sum(item["accumulate"] for item in products) / steps
    if products:
        print(f"{node['name']:16} {macs:7.1f} products and {acs:7.1f} additions of weights a step")

# %% [markdown]
# The report lies in `run/report.html`. On MNIST itself the same commands reach 99 % ([SpikingSSM](../spikingssm.md));
# [the simulator](../simulator.md), [ONNX](../onnx.md) and [Lava](../backends.md) run the program.
