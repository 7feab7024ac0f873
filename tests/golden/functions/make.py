"""Makes functions.safetensors: a model of cervid's tensor functions and its gradients, by PyTorch in f64.

    pip install numpy torch safetensors    (made with numpy 2.4.6, torch 2.13.0, safetensors 0.8.0)
    python tests/golden/functions/make.py

Symbols (2, 5) through an embedding, beside x (2, 5, 3), through a dense layer; its mean over the steps of each sequence and
its last step through a head: the cross entropy with labels (2), beside that of each step, and a squared error.
"""

import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).parent / "functions.safetensors"
random = np.random.default_rng(7)
SHAPES = {"table": (7, 4), "x": (2, 5, 3), "w": (7, 6), "head": (12, 3), "steps": (6, 4)}
values = {name: np.float32(random.uniform(-1, 1, shape)) for name, shape in SHAPES.items()}
# Logits that would overflow without care.
values["steps"] *= 200
symbols = np.array([[0, 6, 2, 2, 3], [5, 2, 0, 0, 6]], np.uint32)
lengths = np.array([5, 3], np.uint32)
labels = np.array([2, 0], np.uint32)
step_labels = np.array([[0, 3, 1, 1, 2], [3, 3, 0, 1, 2]], np.uint32)
target = np.float32(random.uniform(-1, 1, (2, 5, 6)))

p = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in values.items()}
index = lambda array: torch.tensor(array.astype(np.int64))
embedded = torch.nn.functional.embedding(index(symbols), p["table"])
hidden = torch.tanh(torch.cat([embedded, p["x"]], -1) @ p["w"])
mask = (torch.arange(5)[None, :] < index(lengths)[:, None])[..., None]
pooled = (hidden * mask).sum(1) / index(lengths)[:, None]
logits = torch.cat([pooled, hidden[:, -1]], -1) @ p["head"]
losses = {
    "label_loss": torch.nn.functional.cross_entropy(logits, index(labels)),
    "step_loss": torch.nn.functional.cross_entropy((hidden @ p["steps"]).reshape(-1, 4), index(step_labels).reshape(-1)),
    "squared_error": torch.nn.functional.mse_loss(hidden, torch.tensor(target, dtype=torch.float64)),
}
tensors = {**values, "symbols": symbols, "lengths": lengths, "labels": labels, "step_labels": step_labels, "target": target}
for loss, value in losses.items():
    gradients = torch.autograd.grad(value, list(p.values()), retain_graph=True, allow_unused=True)
    tensors[loss] = value.detach().numpy()
    for name, gradient in zip(p, gradients):
        if gradient is not None:
            tensors[f"{loss}.{name}"] = gradient.numpy()
save_file({name: np.array(value, order="C") for name, value in tensors.items()}, OUT)
print({name: value.item() for name, value in losses.items()})
