# %% [markdown]
# # From float to chip
#
# A trained model becomes one integer program; the same program goes to a simulator, to ONNX and to Lava, bit for bit,
# and tells what it costs.

# %% [markdown]
# ## A model
#
# A small one, trained in a few seconds to tell two words apart, as in [train on two classes](train.md).

# %%
import matplotlib.pyplot as plt
import numpy as np
import pumice
import torch

torch.manual_seed(0)
torch.set_num_threads(1)
words, chosen = pumice.load_data("spoken-digits"), ["one", "sechs"]


def of_two(split, stretch_ms=400):
    samples, names = words.samples(split), words.class_names
    kept = [index for index in range(len(samples)) if names[samples.labels[index]] in chosen]
    recordings = [samples[index][0] for index in kept]
    first = [events[events["t"] - events["t"][0] < 1000 * stretch_ms] for events in recordings]
    return first, [names[samples.labels[index]] for index in kept]


data = pumice.make_data(
    of_two("train"), of_two("test"), validation=of_two("validation"), sensor=[700], batch_size=8, name="two words"
)
model = pumice.build_model(
    "s5/tiny", num_classes=2, d_model=16, d_ssm=16, layers_per_stage=1, stride=16, seed=0, **data.model_inputs
)
optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
for _ in range(4):
    for batch in data.train_dataloader():
        logits, targets = batch.apply(model)
        torch.nn.functional.cross_entropy(logits, targets).backward()
        optimizer.step()
        optimizer.zero_grad()
model.eval()

# %% [markdown]
# ## Quantize and lower
#
# Calibration finds the formats of all states and activations; `w8a8` has 8-bit weights, `w4a8` weights of 4 bits,
# which fine-tuning (`fine_tune=True`) would bring closer still.

# %%
presets = ["w8a8", "w4a8"]
made = {
    name: pumice.quantize(model, data, {"name": name, "max_dead_zone": 1, "calibration": {"samples": 32}})
    for name in presets
}
samples, labels = data.program_samples("test"), data.labels("test")
with torch.no_grad():
    expected = torch.cat([batch.apply(model)[0] for batch in data.batches("test")]).numpy()
logits = {}
for name in presets:
    program = made[name].program
    traces = pumice.simulate(program, samples)
    logits[name] = np.array([trace.logits for trace in traces]) * program[program.logits].output.scale
    noise = ((logits[name] - expected) ** 2).sum()
    right = (logits[name].argmax(1) == labels).mean()
    print(f"{name}: {right:.0%} right, {10 * np.log10((expected**2).sum() / noise):.1f} dB to the float model's logits")

# %% logits
fig, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharex=True, sharey=True, layout="constrained")
for axis, name in zip(axes, presets):
    axis.plot(*[[expected.min(), expected.max()]] * 2, color="0.7", linewidth=1)
    for k, label in enumerate(data.class_names):
        axis.plot(expected[:, k], logits[name][:, k], "o", markersize=4, alpha=0.7, label=f"“{label}”")
    axis.set(title=name, xlabel="logit of the float model")
axes[0].set_ylabel("logit of the program")
axes[0].legend(title="class", loc="upper left")
plt.show()

# %% [markdown]
# ## The same bits everywhere
#
# The plain reference, the frozen model in PyTorch, the simulator over whole samples and event by event, and onnxruntime
# are compared, every edge and state of the first samples included. `"lava"` is one more name of a backend; it makes an
# interpreter of its own first, and is left out, with the reason, where there can be none.

# %%
program, few = made["w8a8"].program, samples[:4]
backends = ["reference", "twin", "run", "step", "onnx"]
parity = pumice.compare(program, few, backends, frozen=made["w8a8"].frozen, traced=2)
for name, verdict in parity.verdicts.items():
    if name != parity.oracle:
        print(f"{name:>4}: {verdict.values:>9,} values compared with the reference, {verdict.differing} differ")
assert parity.differing == 0

# %% [markdown]
# ## Models for other runtimes
#
# The ONNX step model takes one event and the state; any runtime of ONNX can run it on a stream. The Lava bundle is a
# folder with its own script.

# %%
from pathlib import Path

onnx_model = pumice.export_onnx(program, "chip/step.onnx", form="step")
pumice.save(program, "chip/program.npz")
pumice.export_lava(program, "chip/lava", few[:1])
for path in sorted(Path("chip").rglob("*")):
    if path.is_file() and len(path.parts) <= 3:
        print(f"{path.relative_to('chip')!s:<28} {path.stat().st_size / 1024:8.1f} KiB")

# %% [markdown]
# ## What it costs
#
# Operations are counted event by event on real samples; energy is an estimate from published figures of a 45 nm
# process, with its assumptions in [energy](../energy.md).

# %%
costs = {name: pumice.count(made[name].program, few) for name in presets}
kinds = ("mac", "gather", "multiply", "add", "round", "lookup")
for name, cost in costs.items():
    events = cost.integer.events
    print(f"{name}, an event:", ", ".join(f"{cost.integer.sum(kind) / events:,.0f} {kind}" for kind in kinds))

# %% costs
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", width_ratios=[1.15, 1])
energies = {name: cost.energy["integer"] for name, cost in costs.items()} | {"float32": costs["w8a8"].energy["float32"]}
for row, entry in enumerate(energies.values()):
    low, high = (bound / entry.events / 1e3 for bound in (entry.total.low, entry.total.high))
    middle, colour = (low + high) / 2, "tab:orange" if row == 2 else "tab:blue"
    right.barh(row, middle, xerr=(high - low) / 2, capsize=4, height=0.5, color=colour)
    right.text(high, row, f"  {low:,.2g} to {high:,.2g}", va="center", fontsize=9)
right.set(xlabel="nJ an event, 45 nm")
right.set_yticks(range(3), list(energies))
right.invert_yaxis()
right.set_xlim(0, 1.35 * right.get_xlim()[1])
integer = costs["w8a8"].integer
counted = {kind: integer.sum(kind) / integer.events for kind in kinds}
left.barh(range(len(kinds)), counted.values(), color="tab:blue", height=0.6)
for row, value in enumerate(counted.values()):
    left.text(value, row, f" {value:,.0f}", va="center", fontsize=9)
left.set_yticks(range(len(kinds)), kinds)
left.invert_yaxis()
left.set(xlabel="operations an event, w8a8", xlim=(0, 1.15 * max(counted.values())))
plt.show()

# %% [markdown]
# All of this is one command for a run folder: `pumice run`, or its stages one by one, with a report
# ([the command line](../command_line.md)).
