# %% [markdown]
# # Import weights and deploy them
#
# Weights that were trained elsewhere become a run folder, then an integer program, then something that runs by
# itself. Here "elsewhere" is a state dict that torch saved; [importing](../import.md) lists what else is read.

# %%
import json
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pumice
import torch

torch.set_num_threads(1)
sizes = {"d_model": 16, "d_ssm": 16, "layers_per_stage": 1, "stride": 16}
data = pumice.load_data("spoken-digits", batch_size=8)
elsewhere = pumice.build_model("s5/tiny", num_classes=20, seed=3, **sizes, **data.model_inputs)
optimizer = torch.optim.AdamW(elsewhere.parameters(), lr=1e-2)
for _, batch in zip(range(6), data.train_dataloader()):  # far too short to learn much
    logits, targets = batch.apply(elsewhere)
    torch.nn.functional.cross_entropy(logits, targets).backward()
    optimizer.step()
    optimizer.zero_grad()
torch.save(elsewhere.state_dict(), "theirs.pt")

# %% [markdown]
# ## A run folder
#
# The settings say which model it is; what does not fit is named. The file is read as data: nothing in it is executed.


# %%
def pumice_command(*words):
    done = subprocess.run([sys.executable, "-m", "pumice", *words], capture_output=True, text=True)
    return done.stdout + done.stderr.replace("pumice: ", "")


settings = ["task=spoken-digits", "model=s5/tiny", *(f"model.{name}={value}" for name, value in sizes.items())]
print(
    pumice_command("import", "weights", "theirs.pt", *settings[:-1], "model.stride=8", "model.d_model=24", "run_dir=no")
)
pumice_command("import", "weights", "theirs.pt", *settings, "run_dir=imported", "system.threads=1")
run = pumice.open_run("imported")
model = run.model
assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), elsewhere.state_dict().values()))
print(run)

# %% [markdown]
# ## An integer program
#
# Calibrated on some of the task's recordings. The logits of program and model are compared on recordings of the test
# set.

# %%
config = {"name": "w8a8", "max_dead_zone": 1, "calibration": {"samples": 8}}
program = pumice.quantize(model, data, config, class_names=data.class_names).program
digest = pumice.save(program, "deployed/program.npz")
samples = data.program_samples("test", 8)
traces = pumice.simulate(program, samples)
integers = np.array([trace.logits for trace in traces]) * program[program.logits].output.scale
with torch.no_grad():
    floats = next(iter(data.batches("test", 8))).apply(model)[0].numpy()
print(f"program {digest[:12]}, largest difference of a logit: {np.abs(integers - floats).max():.3f}")

# %% logits
fig, axis = plt.subplots(figsize=(5, 4), layout="constrained")
axis.plot([floats.min(), floats.max()], [floats.min(), floats.max()], color="0.7", linewidth=1)
axis.plot(floats.ravel(), integers.ravel(), ".", markersize=5, alpha=0.6)
axis.set(xlabel="logit of the imported model", ylabel="logit of the program", aspect="equal")
plt.show()

# %% [markdown]
# ## Deployed
#
# Two ways out. A device with onnxruntime takes the step model: one event and the state in, logits and the state out.
# It needs neither Pumice nor torch.

# %%
import onnxruntime

pumice.export_onnx(program, "deployed/step.onnx", form="step")
session = onnxruntime.InferenceSession("deployed/step.onnx", providers=["CPUExecutionProvider"])
for entry in session.get_inputs()[:4]:
    print(f"{entry.name:<10} {entry.type:<14} {entry.shape}")
print(len(session.get_inputs()), "inputs and", len(session.get_outputs()), "outputs, states among them")

# %% [markdown]
# And `pumice stream` takes events as they come, here the lines of a file:

# %%
tokens, times = samples[0]
np.savetxt("events.csv", np.stack([times, tokens], axis=1), fmt="%d", delimiter=",", header="t,x", comments="")
said = pumice_command("stream", "program=deployed/program.npz", "input=events.csv", "every=1000", "format=json")
decisions = [json.loads(line) for line in said.splitlines() if "class" in line]
for decision in decisions:
    print(f"{decision['time_us'] / 1e6:6.3f} s: “{decision['class']}”, {decision['margin']:.2f} ahead of the next")
assert decisions[-1]["index"] == integers[0].argmax()
