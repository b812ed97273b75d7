# %% [markdown]
# # A folder of sound
#
# A folder of sound files, a class a folder, becomes spikes of a silicon cochlea, and a model learns from them. Here
# the files are made: short whistles that rise or fall. Yours will do as well, `.wav`, `.flac` or `.ogg` of any rate.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pumice
import soundfile
import torch

torch.manual_seed(0)
torch.set_num_threads(1)
rng = np.random.default_rng(0)
RATE = 16_000
for name, direction in (("falling", -1), ("rising", 1)):
    folder = Path("whistles", name)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(16):
        time = np.arange(int(rng.uniform(0.2, 0.3) * RATE)) / RATE
        start = rng.uniform(900, 1500)
        pitch = start * 2 ** (direction * rng.uniform(2.5, 4) * time)
        sound = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.hanning(len(time)) + 0.01 * rng.normal(size=len(time))
        soundfile.write(folder / f"{number:02}.wav", 0.5 * sound, RATE)
print(sum(1 for _ in Path("whistles").rglob("*.wav")), "files")

# %% [markdown]
# ## Spikes
#
# The files are encoded once, on all cores, and kept in the cache folder by their content. A quarter of them is the
# test set, a quarter of the rest chooses the epoch.

# %%
data = pumice.load_data(
    "audio-folder",
    root="whistles",
    batch_size=6,
    files={"test": {"by": "sample", "fraction": 0.25, "seed": 1}},
    validation={"by": "sample", "fraction": 0.25, "seed": 0},
)
print(data.class_names, [len(data.samples(split)) for split in ("train", "validation", "test")])

# %% spikes
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, sharex=True, layout="constrained")
for label, axis in enumerate(axes):
    events = next(events for events, of in data.train_dataset if of == label)
    axis.plot((events["t"] - events["t"][0]) / 1000, events["x"], ".", markersize=1.5, alpha=0.6)
    axis.set(title=data.class_names[label], xlabel="time, ms")
axes[0].set_ylabel("channel of the cochlea")
plt.show()

# %% [markdown]
# ## Learning

# %%
model = pumice.build_model(
    "s5/tiny", num_classes=2, d_model=12, d_ssm=16, layers_per_stage=1, stride=8, seed=0, **data.model_inputs
)
optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3)
loader, losses = data.train_dataloader(), []
for epoch in range(10):
    loader.plan.set_epoch(epoch)
    for batch in loader:
        logits, targets = batch.apply(model)
        loss = torch.nn.functional.cross_entropy(logits, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
model.eval()
with torch.no_grad():
    logits, targets = (torch.cat(part) for part in zip(*(batch.apply(model) for batch in data.batches("test"))))
print(f"{(logits.argmax(1) == targets.argmax(1)).float().mean():.0%} of {len(targets)} test files are right")

# %% outcome
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.plot(np.arange(1, len(losses) + 1) * 10 / len(losses), losses)
left.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
margin, truth = (logits[:, 1] - logits[:, 0]).numpy(), targets.argmax(1).numpy()
for label, name in enumerate(data.class_names):
    right.plot(margin[truth == label], np.full((truth == label).sum(), label), "o", alpha=0.7, label=name)
right.axvline(0, color="0.6", linewidth=1)
right.set_yticks([0, 1], data.class_names)
right.set(
    ylim=(-0.5, 1.5), xlabel=f"logit of {data.class_names[1]} above that of {data.class_names[0]}", title="test files"
)
plt.show()

# %% [markdown]
# The command line does the same with validation, fine-tuning, integers and a report:
# `pumice run task=audio-folder task.root=whistles` ([data of your own](../own_data.md)).
