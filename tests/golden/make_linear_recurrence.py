"""Makes tests/golden/linear_recurrence: linear recurrences of every form by a loop in PyTorch, with autograd's gradients.

    pip install torch safetensors    (made with torch 2.13.0, safetensors 0.8.0)
    python tests/golden/make_linear_recurrence.py

Inputs are short binary fractions, so that f32 holds them as they are. `grad_*` are the gradients of sum(y * cotangent).
The files peer_*.npy beside them are the case of Martin & Cundy's own gradient test, made elsewhere.
"""

import pathlib

import safetensors.torch
import torch

OUT = pathlib.Path(__file__).parent / "linear_recurrence"
OUT.mkdir(exist_ok=True)
B, T, D = 2, 40, 6
generator = torch.Generator().manual_seed(7)


def random(shape, bound):
    values = bound * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)
    return (torch.round(values * 4096) / 4096).requires_grad_()


def apply(a, y, state, batched):
    """a of one step on y (B, D)."""
    rank = a.dim() - (1 if batched else 0)
    if rank == 0:
        return a.reshape(-1, 1) * y
    if rank == 1:
        return a.reshape(-1, state) * y
    if rank == 2:
        return torch.einsum("bij,bj->bi", a.reshape(-1, state, state), y)
    k = a.shape[-1]
    blocks = torch.einsum("buij,buj->bui", a.reshape(-1, state // k, k, k), y.reshape(-1, state // k, k))
    return blocks.reshape(-1, state)


def case(name, form, reverse, start, batched=True):
    lead = (B, T) if batched else (T,)
    shape = {"scalar": (), "diagonal": (D,), "dense": (D, D), "block2": (D // 2, 2, 2), "block3": (D // 3, 3, 3)}[form]
    a = random((*lead, *shape), 1 / max(1, (shape[-1] if len(shape) > 1 else 1)) ** 0.5)
    b = random((*lead, D), 1)
    h0 = {"none": None, "own": random((B, D), 1) if batched else random((D,), 1), "shared": random((D,), 1)}[start]
    cotangent = random((*lead, D), 1).detach()
    y = torch.zeros(B if batched else 1, D, dtype=torch.float64) if h0 is None else h0.expand(B if batched else 1, D)
    rows = {}
    for t in reversed(range(T)) if reverse else range(T):
        now = (lambda v: v[:, t]) if batched else (lambda v: v[t])
        y = apply(now(a), y, D, batched) + now(b).reshape(-1, D)
        rows[t] = y
    ys = torch.stack([rows[t] for t in range(T)], dim=1).reshape(*lead, D)
    (ys * cotangent).sum().backward()
    tensors = {"a": a, "b": b, "y": ys, "cotangent": cotangent, "grad_a": a.grad, "grad_b": b.grad}
    if h0 is not None:
        tensors |= {"h0": h0, "grad_h0": h0.grad}
    tensors = {key: value.detach().contiguous() for key, value in tensors.items()}
    metadata = {"library": f"torch {torch.__version__}", "reverse": str(reverse).lower(), "what": f"{form}, h0 {start}"}
    safetensors.torch.save_file(tensors, OUT / f"{name}.safetensors", metadata=metadata)


for form in ["scalar", "diagonal", "block2", "block3", "dense"]:
    case(f"{form}", form, False, "own")
    case(f"{form}_reverse", form, True, "shared")
case("diagonal_zeros", "diagonal", False, "none")
case("dense_unbatched", "dense", True, "own", batched=False)
case("scalar_unbatched", "scalar", False, "own", batched=False)
