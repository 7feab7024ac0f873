"""Makes tests/golden/linear_rnn_layers/gradients.safetensors: layers on linear recurrences written in PyTorch, one step after
the other, with the gradients of a weighted sum of their outputs with respect to parameters, inputs and initial states.

    pip install torch safetensors    (made with torch 2.13.0, safetensors 0.8.0)
    python tests/golden/make_linear_rnn_layers.py

Names: <layer>.<what>, where what is xs (B, T, I), h0 (B, D), weights (B, T, H), ys, p.<parameter>, or d.<any of these>.
"""

import pathlib

import safetensors.torch
import torch

OUT = pathlib.Path(__file__).parent / "linear_rnn_layers" / "gradients.safetensors"
I, H, B, T = 5, 4, 2, 9
generator = torch.Generator().manual_seed(20260713)
sigmoid, tanh = torch.sigmoid, torch.tanh


def draw(*shape, scale=1.0):
    return (torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1) * scale


def gates(p, x, prefix=""):
    return (x @ p[prefix + "weight_ih"].T + p[prefix + "bias"]).split(H, dim=-1)


def sru(g):
    def step(p, window, before):
        x = window[-1]
        tilde, f, r = gates(p, x)
        f, r = sigmoid(f), sigmoid(r)
        c = f * before + (1 - f) * tilde
        skip = x @ p["weight_skip"].T if "weight_skip" in p else x
        return c, r * g(c) + (1 - r) * skip

    return step


def qrnn(pooling):
    def step(p, window, before):
        z, f, *rest = gates(p, torch.cat(window, dim=-1))
        f = sigmoid(f)
        c = f * before + (sigmoid(rest[1]) if pooling == "ifo" else 1 - f) * tanh(z)
        return c, c if pooling == "f" else sigmoid(rest[0]) * c

    return step


def typed(kind):
    def step(p, window, before):
        z, f, *rest = gates(p, torch.cat(window, dim=-1))
        f = sigmoid(f)
        c = f * before + (z * tanh(rest[0]) if kind == "t-gru" else (1 - f) * z)
        return c, c * tanh(rest[0]) if kind == "t-lstm" else c

    return step


def min_gru(p, window, before):
    z, candidate = gates(p, window[-1])
    z = sigmoid(z)
    h = (1 - z) * before + z * candidate
    return h, h


def min_lstm(p, window, before):
    f, i, candidate = gates(p, window[-1])
    f, i = sigmoid(f), sigmoid(i)
    h = f / (f + i) * before + i / (f + i) * candidate
    return h, h


def gilr(tau):
    def step(p, window, before, prefix=""):
        g, i = gates(p, window[-1], prefix)
        g = sigmoid(g)
        h = g * before + (1 - g) * tau(i)
        return h, h

    return step


def gilr_lstm(current):
    def step(p, window, before):
        surrogate, c = before.split(H, dim=-1)
        now, _ = gilr(tanh)(p, window, surrogate, "surrogate.")
        x, seen = window[-1], now if current else surrogate
        f, i, o, z = (x @ p["weight_ih"].T + seen @ p["weight_hh"].T + p["bias"]).split(H, dim=-1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(z)
        return torch.cat([now, c], dim=-1), sigmoid(o) * c

    return step


def stacked(count, window=1, input=I, **more):
    return {"weight_ih": (count * H, window * input), "bias": (count * H,), **more}


SURROGATE = {"surrogate.weight_ih": (2 * H, I), "surrogate.bias": (2 * H,)}
LSTM = {**SURROGATE, **stacked(4), "weight_hh": (4 * H, H)}
elu = torch.nn.functional.elu
# The names of tests/layers/cases.ts: step, parameters, I, window, D.
LAYERS = {
    "sru": (sru(lambda c: c), stacked(3, input=4), 4, 1, H),
    "sru, tanh, projected skip": (sru(tanh), stacked(3, weight_skip=(H, I)), I, 1, H),
    "qrnn": (qrnn("fo"), stacked(3), I, 1, H),
    "qrnn, window 2": (qrnn("fo"), stacked(3, 2), I, 2, H),
    "qrnn, window 10": (qrnn("fo"), stacked(3, 10), I, 10, H),
    "qrnn, f-pooling": (qrnn("f"), stacked(2), I, 1, H),
    "qrnn, ifo-pooling, window 3": (qrnn("ifo"), stacked(4, 3), I, 3, H),
    "t-rnn": (typed("t-rnn"), stacked(2), I, 1, H),
    "t-lstm": (typed("t-lstm"), stacked(3, 2), I, 2, H),
    "t-gru": (typed("t-gru"), stacked(3, 2), I, 2, H),
    "minGru": (min_gru, stacked(2), I, 1, H),
    "minLstm": (min_lstm, stacked(3), I, 1, H),
    "gilr": (gilr(tanh), stacked(2), I, 1, H),
    "gilr, elu": (gilr(elu), stacked(2), I, 1, H),
    "gilr, identity": (gilr(lambda i: i), stacked(2), I, 1, H),
    "gilrLstm": (gilr_lstm(False), LSTM, I, 1, 2 * H),
    "gilrLstm, current": (gilr_lstm(True), LSTM, I, 1, 2 * H),
}


def run(step, p, xs, h0, window, reverse):
    """Outputs (B, T, H) and the last states; time runs backward with reverse."""
    rows = list(xs.unbind(1))
    if reverse:
        rows.reverse()
    padded = [torch.zeros_like(rows[0])] * (window - 1) + rows
    state, ys = h0, []
    for t in range(len(rows)):
        state, y = step(p, padded[t : t + window], state)
        ys.append(y)
    if reverse:
        ys.reverse()
    return torch.stack(ys, dim=1), state


tensors = {}
for name, (step, shapes, inputs, window, states) in LAYERS.items():
    for reverse in (False, True):
        leaves = {
            **{f"p.{path}": draw(*shape, scale=2 / shape[-1] ** 0.5 if len(shape) == 2 else 1.0) for path, shape in shapes.items()},
            "xs": draw(B, T, inputs),
            "h0": draw(B, states),
        }
        for leaf in leaves.values():
            leaf.requires_grad_()
        weights, weights_end = draw(B, T, H), draw(B, states)
        p = {path[2:]: leaf for path, leaf in leaves.items() if path.startswith("p.")}
        ys, end = run(step, p, leaves["xs"], leaves["h0"], window, reverse)
        ((ys * weights).sum() + (end * weights_end).sum()).backward()
        prefix = f"{name}{', reversed' if reverse else ''}."
        results = {**leaves, "weights": weights, "weights_end": weights_end, "ys": ys, "hT": end}
        results |= {f"d.{path}": leaf.grad for path, leaf in leaves.items()}
        tensors |= {prefix + key: value.detach().contiguous().clone() for key, value in results.items()}

safetensors.torch.save_file(tensors, OUT)
