# %% [markdown]
# # Online inference
#
# A program decides while the events come in. Here are the running decision, how sure it is, and how fast it goes.

# %% [markdown]
# ## A model and its program
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
program = pumice.quantize(model, data, {"name": "w8a8", "max_dead_zone": 1, "calibration": {"samples": 32}}).program
print(program.class_names)

# %% [markdown]
# ## A stream that does not end
#
# Eight recordings of voices that the model has never heard follow each other, with pauses of 0.2 s between them.

# %%
recordings = [data.test_dataset[index] for index in (0, 1, 4, 7, 9, 10, 12, 15)]
parts, starts, now = [], [], 0
for events, label in recordings:
    shifted = events.copy()
    shifted["t"] += now - events["t"][0]
    parts.append(shifted)
    starts.append((now / 1e6, data.class_names[label]))
    now = int(shifted["t"][-1]) + 200_000
everything = np.concatenate(parts)
blocks = [everything[at : at + 1000] for at in range(0, len(everything), 1000)]  # as they come from a sensor
print(f"{len(everything):,} events in {everything['t'][-1] / 1e6:.1f} s")

# %% [markdown]
# ## Confidence over time
#
# The model's own read-out is the mean over all that came: on a stream it grows deaf. A read-out that forgets over about
# 2^3 windows of 256 events follows the newest words, though it is slow to give up one that was clear. Both are integer
# nodes of the program.


# %%
def confidence(**settings):
    decisions = list(pumice.stream(program, blocks, every=128, **settings))
    scale = program[program.logits].output.scale
    logits = torch.tensor(np.array([decision.logits for decision in decisions]) * scale)
    return [decision.time_us / 1e6 for decision in decisions], logits.softmax(1)[:, 1].numpy(), decisions


mean, forgetting = confidence(), confidence(forget=3)

# %% confidence
fig, axes = plt.subplots(2, 1, figsize=(9, 4.6), sharex=True, sharey=True, layout="constrained")
named = zip(axes, (mean, forgetting), ("mean over all that came", "forgets over about 2³ windows"))
for axis, (seconds, probability, _), title in named:
    axis.axhline(0.5, color="0.7", linewidth=1)
    axis.plot(seconds, probability, color="tab:blue", linewidth=1.5)
    axis.set(ylim=(-0.03, 1.03), ylabel=f"p(“{data.class_names[1]}”)")
    axis.set_title(title, loc="left")
    for start, name in starts:
        axis.axvline(start, color="0.85", linewidth=1)
        axis.text(start + 0.03, 0.04, name, fontsize=9, color="0.35")
axes[1].set(xlabel="time of the stream, s", xlim=(0, everything["t"][-1] / 1e6))
plt.show()

# %% [markdown]
# The stream's integers are those of the same events in one piece, however they were cut:

# %%
tokens, times = everything["x"].astype(np.int64), everything["t"]
(trace,) = pumice.simulate(program, [(tokens, times)])
assert (mean[2][-1].logits == trace.logits).all()
print("the same:", trace.logits)

# %% [markdown]
# ## Throughput and latency
#
# What a block costs, in integers and in the float model, against the time that its events took to come.

# %%
import time


def speed(what, every, **settings):
    started = time.process_time()
    decisions = list(pumice.stream(what, blocks, every=every, **settings))
    return len(everything) / (time.process_time() - started), [1e3 * decision.seconds for decision in decisions]


task = {"name": "two words", "source": "event-folder", "num_classes": 2, "sensor": [700]}
found = {every: (speed(program, every), speed(model, every, task=task)) for every in (64, 256, 1024)}
for every, ((integer, _), (floating, _)) in found.items():
    print(f"a decision every {every:>4} events: {integer:>9,.0f} events/s in integers, {floating:>8,.0f} in float32")

# %% throughput
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
rate = len(everything) / (everything["t"][-1] / 1e6)
for number, name in enumerate(("integers", "float32")):
    left.bar(np.arange(3) + 0.4 * number - 0.2, [entry[number][0] for entry in found.values()], 0.38, label=name)
left.axhline(rate, color="0.4", linewidth=1, linestyle="--", label="the sensor")
left.set(yscale="log", ylabel="events a second", xlabel="events from decision to decision")
left.set_xticks(range(3), list(map(str, found)))
left.legend(fontsize=8, loc="upper left")
left.set_ylim(1e3, 2e7)
latencies = [latency for entry in found.values() for latency in (entry[0][1], entry[1][1])]
boxes = right.boxplot(latencies, whis=(5, 95), showfliers=False, patch_artist=True, medianprops={"color": "black"})
for number, box in enumerate(boxes["boxes"]):
    box.set_facecolor(("tab:blue", "tab:orange")[number % 2])
right.set(yscale="log", ylabel="computing a decision, ms", xlabel="events from decision to decision")
right.set_xticks([1.5, 3.5, 5.5], list(map(str, found)))
plt.show()

# %% [markdown]
# On the command line it is `pumice stream program=program.npz input=...`: a file, standard input, a file that grows,
# or a socket, with the state kept from sitting to sitting ([streaming](../streaming.md)).
