"""Makes torch.safetensors: parameters after each of ten steps of PyTorch's optimizers, for given gradients.

    pip install numpy torch safetensors    (made with numpy 2.4.6, torch 2.13.0, safetensors 0.8.0)
    python tests/golden/optimizers/make_torch.py

Tensors: param.NAME and grad.NAME (10, ...), which f32 holds exactly; CASE.f32.NAME and CASE.f64.NAME (10, ...).
Of the gradient of w column 0 is always 0: there the root of Adam's second mean is 0. No parameter comes near 0.
"""

import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).parent / "torch.safetensors"
STEPS = 10
SHAPES = {"w": (3, 4), "layer.bias": (5,), "layer.scale": ()}

random = np.random.default_rng(6)
params = {name: np.float32(random.uniform(2, 4, shape) * random.choice([-1, 1], shape)) for name, shape in SHAPES.items()}
sizes = random.uniform(0.1, 10, STEPS)
grads = {
    name: np.float32(np.stack([size * random.normal(size=shape) for size in sizes])) for name, shape in SHAPES.items()
}
grads["w"][:, :, 0] = 0

# Each makes an optimizer, with what is done to gradients before a step and the learning rate at step k as a part of the first.
CASES = {
    "adam": (lambda p: torch.optim.Adam(p, lr=0.05), None, None),
    "adam_settings": (lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-3), None, None),
    "adamw": (lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1), None, lambda k: 0.9**k),
    "sgd": (lambda p: torch.optim.SGD(p, lr=0.005), None, None),
    "momentum": (lambda p: torch.optim.SGD(p, lr=0.005, momentum=0.9), None, None),
    "nesterov": (lambda p: torch.optim.SGD(p, lr=0.005, momentum=0.9, nesterov=True), None, lambda k: 0.5**k),
    "clip_adam": (lambda p: torch.optim.Adam(p, lr=0.05), lambda p: torch.nn.utils.clip_grad_norm_(p, 8.0), None),
}

tensors = {f"param.{name}": value for name, value in params.items()}
tensors |= {f"grad.{name}": value for name, value in grads.items()}
for case, (make, prepare, schedule) in CASES.items():
    for kind, dtype in {"f32": torch.float32, "f64": torch.float64}.items():
        current = {name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in params.items()}
        optimizer = make(current.values())
        scheduler = None if schedule is None else torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
        after = {name: [] for name in params}
        for step in range(STEPS):
            for name, tensor in current.items():
                tensor.grad = torch.tensor(grads[name][step], dtype=dtype)
            if prepare is not None:
                prepare(list(current.values()))
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            for name, tensor in current.items():
                after[name].append(tensor.detach().numpy().copy())
        tensors |= {f"{case}.{kind}.{name}": np.stack(values) for name, values in after.items()}

assert min(np.abs(value).min() for name, value in tensors.items() if not name.startswith("grad")) > 0.5
norms = np.sqrt(sum((grads[name].reshape(STEPS, -1).astype(np.float64) ** 2).sum(1) for name in grads))
print("norms of the gradients", norms)
save_file({name: np.array(value, order="C") for name, value in tensors.items()}, OUT)
