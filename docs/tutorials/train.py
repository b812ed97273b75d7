# %% [markdown]
# # Train on two classes
#
# A small S5 model learns to tell two spoken words apart, from the spikes of a silicon cochlea. Then we look at what
# the training did to the eigenvalues of its state spaces, and so to the times that it remembers.
#
# It needs `pip install pumice` and nothing else: the recordings come with the package.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pumice
import torch

torch.manual_seed(0)
torch.set_num_threads(1)

# %% [markdown]
# ## Two words
#
# The embedded set has the digits from zero to nine in English and German. The voices of its test set are heard in no
# other split. We take two words of it, as arrays, and make data of our own from them; any arrays of events will do.

# %%
words = pumice.load_data("spoken-digits")
chosen = ["one", "sechs"]


def of_two(split, stretch=400):
    samples, names = words.samples(split), words.class_names
    kept = [index for index in range(len(samples)) if names[samples.labels[index]] in chosen]
    recordings = [samples[index][0] for index in kept]
    first = [events[events["t"] - events["t"][0] < 1000 * stretch] for events in recordings]  # its first 400 ms
    return first, [names[samples.labels[index]] for index in kept]


data = pumice.make_data(
    of_two("train"),
    of_two("test"),
    validation=of_two("validation"),
    sensor=[700],
    batch_size=8,
    augmentation={"drop_event": {"p": 0.1}, "roll": {"p": 0.9, "most": 30}},
)
for split in ("train", "validation", "test"):
    samples = data.samples(split)
    print(f"{split}: {len(samples)} recordings of {samples.lengths.mean():,.0f} events")

# %% words
fig, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
for axis, label in zip(axes, range(2)):
    events = next(events for events, of in data.test_dataset if of == label)
    axis.plot((events["t"] - events["t"][0]) / 1000, events["x"], ".", markersize=1.2, color="tab:blue", alpha=0.5)
    axis.set(title=f"“{data.class_names[label]}”", xlabel="time, ms")
axes[0].set_ylabel("channel of the cochlea")
plt.show()

# %% [markdown]
# ## The model
#
# Two stages of one layer each. A layer takes every event into its state; its output leaves once in 16 events, so that
# the second layer works at a sixteenth of the rate.

# %%
model = pumice.build_model(
    "s5/tiny", num_classes=2, d_model=16, d_ssm=16, layers_per_stage=1, stride=16, seed=0, **data.model_inputs
)
print(sum(parameter.numel() for parameter in model.parameters()), "parameters")
layers = [stage.layers[0].ssm for stage in model.stages]


def rates():
    """Lambda times the step of each mode, in 1/ms: x(t) decays and turns by exp(rate t)."""
    return [layer.rates().detach().numpy().copy() for layer in layers]


before = rates()

# %% [markdown]
# ## Training
#
# A loop as in any torch program. The state space learns more slowly than the rest, as in the published recipes.

# %%
slow = [parameter for name, parameter in model.named_parameters() if "Lambda" in name or name.endswith("ssm.B")]
fast = [parameter for parameter in model.parameters() if all(parameter is not other for other in slow)]
optimizer = torch.optim.AdamW([{"params": slow, "lr": 3e-3}, {"params": fast, "lr": 8e-3}], weight_decay=0.01)
loader = data.train_dataloader()


def accuracy(split):
    model.eval()
    with torch.no_grad():
        right = [
            logits.argmax(1) == targets.argmax(1) for logits, targets in (b.apply(model) for b in data.batches(split))
        ]
    model.train()
    return float(torch.cat(right).float().mean())


epochs = 8
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
losses, validated = [], [accuracy("validation")]
for epoch in range(epochs):
    loader.plan.set_epoch(epoch)
    for batch in loader:
        logits, targets = batch.apply(model)
        loss = torch.nn.functional.cross_entropy(logits, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
    validated.append(accuracy("validation"))
print(f"accuracy on voices that it has never heard: {accuracy('test'):.0%}")

# %% loss
fig, left = plt.subplots(figsize=(6, 3), layout="constrained")
steps = np.arange(1, len(losses) + 1) * epochs / len(losses)
left.plot(steps, losses, color="tab:blue")
left.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
left.yaxis.label.set_color("tab:blue")
right = left.twinx()
right.plot(np.arange(epochs + 1), 100 * np.array(validated), "o-", color="tab:orange")
right.set(ylabel="right in validation, %", ylim=(0, 105))
right.yaxis.label.set_color("tab:orange")
plt.show()

# %% [markdown]
# ## Eigenvalues and time scales
#
# Each mode of a state space is a complex number that decays and turns: with the rate r it forgets over the time
# constant -1 / Re r, and turns once in 2 pi / |Im r|. Both come from the initial eigenvalues (HiPPO) and the step of
# the mode, and both are trained.

# %% eigenvalues
after = rates()
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True, layout="constrained")
for number, axis in enumerate(axes):
    old, new = ((-1000 * values[number].real, 500 / np.pi * np.abs(values[number].imag)) for values in (before, after))
    axis.plot(*np.stack([old, new], axis=1), color="0.7", linewidth=1, zorder=1)
    axis.plot(*old, "o", color="tab:blue", markersize=6, label="before", fillstyle="none")
    axis.plot(*new, "o", color="tab:orange", markersize=4, label="after")
    axis.set(title=f"stage {number}", xlabel="damping, −Re r, 1/s", xscale="log", yscale="log")
    axis.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    axis.set_yticks([0.5, 1, 2, 5, 10, 20, 50, 100], ["0.5", "1", "2", "5", "10", "20", "50", "100"])
    axis.minorticks_off()
axes[0].set_ylabel("frequency, |Im r| / 2π, Hz")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
plt.show()

# %% time-scales
fig, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for number, axis in enumerate(axes):
    for values, colour, label in ((before, "tab:blue", "before"), (after, "tab:orange", "after")):
        times = np.sort(-1 / values[number].real)
        axis.plot(np.arange(1, len(times) + 1), times, "o-", color=colour, label=label, markersize=4)
    axis.set(title=f"stage {number}", xlabel="mode, in order", yscale="log")
    axis.set_yticks([10, 20, 50, 100, 200, 500], [10, 20, 50, 100, 200, 500])
    axis.minorticks_off()
axes[0].set_ylabel("time constant, ms")
axes[0].legend()
plt.show()
moved = [np.abs(np.log(new.real / old.real)).mean() for old, new in zip(before, after)]
print("mean change of the time constants by stage:", ", ".join(f"{np.expm1(change):.0%}" for change in moved))

# %% [markdown]
# The command line trains with validation, augmentation and checkpoints: `pumice train`, and all that follows, in
# [the command line](../command_line.md). [Inside a trained model](inside.md) looks at the states themselves, and
# [from float to chip](chip.md) makes integers of such a model.
