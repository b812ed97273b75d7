# %% [markdown]
# # Inside a trained model
#
# One recording goes through a trained S5 event by event, and we watch its states, its decision, the times that its
# modes remember, and what its layers hear: their spectra.

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
with torch.no_grad():
    right = [
        logits.argmax(1) == targets.argmax(1) for logits, targets in (b.apply(model) for b in data.batches("test"))
    ]
print(f"{torch.cat(right).float().mean():.0%} right on new voices")

# %% [markdown]
# ## Event by event
#
# `model.step` takes one event and the state; `model.readout` says what the stream has shown so far. The state of a
# layer is `x`, real parts and then imaginary parts of its modes.

# %%
events, label = data.test_dataset[1]
events = events[:1500]
dt = np.diff(events["t"], prepend=events["t"][:1]) / 1000
state, magnitudes, scores = model.init_state(1), [], []
with torch.no_grad():
    for channel, gap in zip(events["x"].tolist(), dt.tolist()):
        _, _, state = model.step(torch.tensor([channel]), torch.tensor([gap]), state)
        re, im = state.layers[0].x[0].chunk(2)
        magnitudes.append(torch.hypot(re, im))
        scores.append(model.readout(state)[0])
time_ms = (events["t"] - events["t"][0]) / 1000
print(f"the word is “{data.class_names[label]}”, the decision “{data.class_names[int(scores[-1].argmax())]}”")

# %% states
order = np.argsort([-1 / rate for rate in model.layers[0].ssm.rates().real.tolist()])
shown = torch.stack(magnitudes).numpy()[:, order]
fig, (top, middle, low) = plt.subplots(
    3, 1, figsize=(8, 6.5), sharex=True, layout="constrained", height_ratios=[1.2, 1, 1]
)
top.plot(time_ms, events["x"], ".", markersize=1.5, color="tab:blue")
top.set(ylabel="channel", title=f"“{data.class_names[label]}”")
mesh = middle.pcolormesh(time_ms, np.arange(9), (shown / shown.max(0)).T[:, :-1], cmap="magma", rasterized=True)
middle.set(ylabel="mode of stage 0,\nslowest on top", yticks=[0.5, 7.5], yticklabels=["0", "7"])
fig.colorbar(mesh, ax=middle, label="|x|, of its peak", aspect=12)
for values, name in zip(torch.stack(scores).T, data.class_names):
    low.plot(time_ms, values, label=name)
low.set(xlabel="time, ms", ylabel="logit so far", xlim=(0, float(time_ms[-1])))
low.legend(loc="lower left")
plt.show()

# %% [markdown]
# ## What the modes remember
#
# A mode with the rate r forgets over -1 / Re r and turns once in 2 pi / |Im r|. Where the turn takes longer than the
# memory lasts, the mode is a plain leaky integrator; where it is shorter, the mode listens to a frequency.

# %% time-constants
fig, axis = plt.subplots(figsize=(6, 4), layout="constrained")
for number, layer in enumerate(model.layers):
    rate = layer.ssm.rates().detach().numpy()
    axis.plot(-1 / rate.real, 2 * np.pi / np.abs(rate.imag), "os"[number], markersize=6, label=f"stage {number}")
span = np.array([10, 1000])
axis.plot(span, span, color="0.6", linewidth=1)
axis.text(21, 25, "one turn in its memory", rotation=33, color="0.4", ha="center", fontsize=9)
axis.set(xscale="log", yscale="log", xlabel="forgets over, ms", ylabel="turns once in, ms", xlim=(10, 1000))
ticks = [10, 20, 50, 100, 200, 500, 1000]
axis.set_xticks(ticks, [str(tick) for tick in ticks])
axis.set_yticks([5, *ticks, 2000], [str(tick) for tick in [5, *ticks, 2000]])
axis.minorticks_off()
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## Spectra
#
# Between events a layer is a linear filter in time: from its input to its state and on to its output it passes the
# frequency f by C (2 pi i f - r)^-1 B. The largest singular value of that matrix is its gain; a single mode passes f
# by 1 / |2 pi i f - r|, which peaks where the mode turns.

# %% spectra
frequencies = np.geomspace(0.2, 100, 200)  # Hz
fig, (modes, whole) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for number, layer in enumerate(model.layers):
    ssm, colour = layer.ssm, f"C{number}"
    rate = ssm.rates().detach().numpy() * 1000  # 1/s
    b = torch.view_as_complex(ssm.B.detach()).numpy()
    c = torch.view_as_complex(ssm.C.detach()).numpy()
    gains = [np.linalg.svd((c / (2j * np.pi * f - rate)) @ b, compute_uv=False)[0] for f in frequencies]
    whole.plot(frequencies, 20 * np.log10(np.array(gains) / max(gains)), color=colour, label=f"stage {number}")
    for r in rate:
        passed = 1 / np.abs(2j * np.pi * frequencies - (r.real + 1j * abs(r.imag)))
        modes.plot(frequencies, 20 * np.log10(passed / passed.max()), color=colour, linewidth=1)
for axis, title in ((modes, "single modes"), (whole, "whole layers")):
    axis.set(xscale="log", xlabel="frequency of the input, Hz", title=title, ylim=(-42, 2))
    axis.set_xticks([0.2, 0.5, 1, 2, 5, 10, 20, 50, 100], ["0.2", "0.5", "1", "2", "5", "10", "20", "50", "100"])
    axis.minorticks_off()
    axis.grid(color="0.9")
modes.set_ylabel("gain, dB below its peak")
whole.legend()
plt.show()

# %% [markdown]
# The same figures of an integer program are in its [report](../report.md): `pumice report run_dir=...` shows the bits
# that the states use and the time constants that are left after quantization.
