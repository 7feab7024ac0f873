"""Makes the goldens of models beside this file, by PyTorch in f64.

    pip install numpy torch safetensors    (made with numpy 2.4.6, torch 2.13.0, safetensors 0.8.0)
    python tests/golden/models/make.py [folder of the EigenWorms checkpoint]

All numbers given are short enough for f32, so that devices of f32 have the same problem.

two_layers: x (2, 9, 3), dense 3 -> 6 and tanh, a GRU of 6 whose input is added, layer norm, a GRU of 5, the mean over steps, dense
    5 -> 4, cross entropy with labels (2): the loss, the logits, and the gradient of every parameter and of x.
bidirectional: GRUs of 4 over x (3, 7, 3), and over the same padded to lengths (7, 3, 5): outputs, last states and gradients of
    the sum of outputs and weights.
heads: three GRUs of 4 (each reads all of x) and three LSTMs of 2 (each reads its own part), side by side: states and gradients.
activations: each function of dense layers.
eigenworms: a trained classifier of the DEER repository (BSD-3): encoder 6 -> 32 -> 32 with relu, five times [norm, GRU of 32, add
    what it read, norm, 32 -> 32 -> 32 with relu, add what it read], head 32 -> 32 -> 5, the mean over steps; layer norm per step,
    no affine part. Its parameters (f32), x (2, 200, 6), and its logits. Written where its folder is given.
"""

import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
random = np.random.default_rng(11)
torch.set_default_dtype(torch.float64)


def draw(*shape, bound=1.0):
    """Leaves with gradients."""
    return torch.tensor(np.float32(random.uniform(-bound, bound, shape)).astype(np.float64), requires_grad=True)


def save(name, tensors):
    arrays = {key: np.array(value.detach().numpy() if torch.is_tensor(value) else value, order="C") for key, value in tensors.items()}
    save_file(arrays, HERE / f"{name}.safetensors")


def gradients(value, leaves):
    return {f"d.{name}": g for name, g in zip(leaves, torch.autograd.grad(value, list(leaves.values())))}


def dense(inputs, outputs):
    return {"weight": draw(outputs, inputs, bound=1.5 / inputs**0.5), "bias": draw(outputs)}


def gru(inputs, hidden):
    """Biases folded: those of the hidden side only where they are multiplied by r."""
    return {
        "weight_ih": draw(3 * hidden, inputs, bound=1.5 / inputs**0.5),
        "weight_hh": draw(3 * hidden, hidden, bound=2 / hidden**0.5),
        "bias": draw(3 * hidden),
        "bias_n": draw(hidden),
    }


def lstm(inputs, hidden):
    return {
        "weight_ih": draw(4 * hidden, inputs, bound=1.5 / inputs**0.5),
        "weight_hh": draw(4 * hidden, hidden, bound=2 / hidden**0.5),
        "bias": draw(4 * hidden),
    }


def weights_of(cell):
    """The tensors that PyTorch's functions take, of one direction."""
    bias = cell["bias"]
    if "bias_n" in cell:
        hidden = torch.cat([torch.zeros(len(bias) - len(cell["bias_n"])), cell["bias_n"]])
    else:
        hidden = torch.zeros_like(bias)
    return [cell["weight_ih"], cell["weight_hh"], bias, hidden]


def run_gru(cell, x, h0=None):
    h = torch.zeros(1, x.shape[0], len(cell["bias_n"])) if h0 is None else h0[None]
    ys, last = torch._VF.gru(x, h, weights_of(cell), True, 1, 0.0, False, False, True)
    return ys, last[0]


def run_lstm(cell, x, h0):
    n = cell["weight_hh"].shape[1]
    h, c = h0[:, :n], h0[:, n:]
    states = []
    for t in range(x.shape[1]):
        h, c = torch._VF.lstm_cell(x[:, t], (h, c), *weights_of(cell))
        states.append(torch.cat([h, c], -1))
    return torch.stack(states, 1)


def flatten(tree, prefix=""):
    flat = {}
    for name, value in tree.items():
        flat |= {prefix + name: value} if torch.is_tensor(value) else flatten(value, f"{prefix}{name}.")
    return flat


# ---- two layers and a head
norm = {"weight": draw(6), "bias": draw(6)}
tree = {"layer0": dense(3, 6), "layer1": gru(6, 6), "layer2": norm, "layer3": gru(6, 5), "layer5": dense(5, 4)}
x = draw(2, 9, 3)
labels = np.array([2, 0], np.uint32)
h = torch.tanh(torch.nn.functional.linear(x, tree["layer0"]["weight"], tree["layer0"]["bias"]))
h = run_gru(tree["layer1"], h)[0] + h
h = torch.nn.functional.layer_norm(h, (6,), norm["weight"], norm["bias"])
h = run_gru(tree["layer3"], h)[0].mean(1)
logits = torch.nn.functional.linear(h, tree["layer5"]["weight"], tree["layer5"]["bias"])
loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels.astype(np.int64)))
leaves = {"x": x, **flatten(tree, "p.")}
save("two_layers", {**leaves, "labels": labels, "logits": logits, "loss": loss, **gradients(loss, leaves)})

# ---- both directions
cells = {"forward": gru(3, 4), "backward": gru(3, 4)}
x, h0, weights, weights_end = draw(3, 7, 3), draw(3, 8), draw(3, 7, 8), draw(3, 8)
lengths = [7, 3, 5]
leaves = {"x": x, "h0": h0, **flatten(cells, "p.")}
start = torch.stack([h0[:, :4], h0[:, 4:]])
all_weights = weights_of(cells["forward"]) + weights_of(cells["backward"])
ys, last = torch._VF.gru(x, start, all_weights, True, 1, 0.0, False, True, True)
end = torch.cat([last[0], last[1]], -1)
loss = (ys * weights).sum() + (end * weights_end).sum()
results = {**leaves, "weights": weights, "weights_end": weights_end, "ys": ys, "hT": end, **gradients(loss, leaves)}
module = torch.nn.GRU(3, 4, batch_first=True, bidirectional=True)
packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
order = packed.sorted_indices
ys, _ = torch._VF.gru(packed.data, packed.batch_sizes, start[:, order], all_weights, True, 1, 0.0, False, True)
packed = torch.nn.utils.rnn.PackedSequence(ys, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
ys, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
mask = (torch.arange(7)[None, :] < torch.tensor(lengths)[:, None])[..., None]
loss = (ys * weights * mask).sum()
padded = {f"padded.{name}": value for name, value in gradients(loss, leaves).items()}
save("bidirectional", {**results, "padded.ys": ys * mask, "lengths": np.array(lengths, np.uint32), **padded})

# ---- heads
tensors = {}
for name, width, run, head_input in (("gru", 4, run_gru, 6), ("lstm", 4, run_lstm, 2)):
    heads = {f"head{k}": gru(6, 4) if name == "gru" else lstm(2, 2) for k in range(3)}
    x, h0, weights = draw(2, 8, 6), draw(2, 12), draw(2, 8, 12)
    parts = []
    for k, cell in enumerate(heads.values()):
        inputs = x if head_input == 6 else x[..., 2 * k : 2 * k + 2]
        states = run(cell, inputs, h0[:, k * width : (k + 1) * width])
        parts.append(states[0] if name == "gru" else states)
    ys = torch.cat(parts, -1)
    leaves = {"x": x, "h0": h0, **flatten(heads, "p.")}
    results = {**leaves, "weights": weights, "ys": ys, **gradients((ys * weights).sum(), leaves)}
    tensors |= {f"{name}.{key}": value for key, value in results.items()}
save("heads", tensors)

# ---- activations
F = torch.nn.functional
functions = {"identity": lambda a: a, "tanh": torch.tanh, "elu": F.elu, "relu": F.relu, "gelu": lambda a: F.gelu(a, approximate="tanh")}
functions |= {"sigmoid": torch.sigmoid, "softplus": F.softplus}
layer = dense(3, 5)
x, weights = draw(4, 3, bound=3.0), draw(4, 5)
tensors = {"x": x, **{f"p.{name}": leaf for name, leaf in layer.items()}, "weights": weights}
for name, function in functions.items():
    leaves = {"x": x, **{f"p.{key}": leaf for key, leaf in layer.items()}}
    ys = function(F.linear(x, layer["weight"], layer["bias"]))
    results = {"ys": ys, **gradients((ys * weights).sum(), leaves)}
    tensors |= {f"{name}.{key}": value for key, value in results.items()}
save("activations", tensors)

# ---- EigenWorms
if len(sys.argv) > 1:
    folder = pathlib.Path(sys.argv[1])
    p = {path.stem: np.load(path) for path in folder.glob("*.npy") if path.stem != "dropout_key"}
    t = {name: torch.tensor(value.astype(np.float64)) for name, value in p.items()}
    # Worms bend slowly: a sum of a few waves for each channel.
    time = np.arange(200)[None, :, None]
    waves = [random.uniform(0.2, 1, (2, 1, 6)) * np.sin(random.uniform(0.02, 0.3, (2, 1, 6)) * time + random.uniform(0, 6, (2, 1, 6))) for _ in range(3)]
    x = torch.tensor(np.float32(sum(waves)).astype(np.float64))
    mlp = lambda name, v: F.linear(torch.relu(F.linear(v, t[f"{name}0_w"], t[f"{name}0_b"])), t[f"{name}1_w"], t[f"{name}1_b"])
    h = mlp("enc", x)
    for k in range(5):
        h = F.layer_norm(h, (32,))
        cell = {key: t[f"gru{k}_{key}"] for key in ("weight_ih", "weight_hh", "bias", "bias_n")}
        h = F.layer_norm(run_gru(cell, h)[0] + h, (32,))
        h = mlp(f"mlp{k}_", h) + h
    save("eigenworms", {**{f"p.{name}": value for name, value in p.items()}, "x": np.float32(x.numpy()), "logits": mlp("cls", h).mean(1)})
