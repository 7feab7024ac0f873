"""Trains the small GRU that the ECG example evaluates: the next sample of an electrocardiogram from the past.

    python examples/train_ecg_torch.py        (about two minutes on one core; needs numpy, torch, safetensors)

Reads data/ecg_mitbih208_360hz.npy (mV, 360 Hz) and writes data/ecg_gru16.safetensors beside it. With u[t] the
normalised sample,

    u[t] = (x[t] - mean) / std,   h[t] = GRU(u[t], h[t-1]),   h[-1] = 0
    prediction of x[t+1] = x[t] + std * (readout.weight h[t] + readout.bias)

The network predicts the increment, so that an untrained readout is already the last-value predictor x[t+1] = x[t],
which is the one to beat: at 360 samples a second it is a strong one.
"""

import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

SEED = 0
HIDDEN = 16
TRAINED_SAMPLES = 80_000  # the rest of the record is held out
CHUNK = 512
WARM_UP = 32  # a chunk starts at h = 0 in mid-record: its first predictions say nothing about the weights
BATCH = 32
UPDATES = 2_000
LEARNING_RATE = 1e-2
# Weight of |weight_hh|^2 in the loss. Without it the fit is closer (held-out RMSE 0.018 mV after 3000 updates, 0.023
# with it), but products of the Jacobians dh[t]/dh[t-1] grow before they decay, and Newton's sweeps over the whole record
# blow up. With it every step contracts, and a handful of sweeps suffice.
RECURRENT_PENALTY = 3e-4
DATA = Path(__file__).resolve().parent / "data"


class NextSample(torch.nn.Module):
    """A GRU and a linear readout of the increment, in units of the record's standard deviation."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.rnn = torch.nn.GRU(1, hidden, batch_first=True)
        self.readout = torch.nn.Linear(hidden, 1)
        # Starts as the last-value predictor.
        torch.nn.init.zeros_(self.readout.weight)
        torch.nn.init.zeros_(self.readout.bias)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """(B, T, 1) normalised samples to the (B, T, 1) normalised predictions of the samples that follow."""
        return u + self.readout(self.rnn(u)[0])


def train(u: torch.Tensor) -> NextSample:
    """Adam with a cosine decay on random chunks of the normalised samples `u`, shape (T,)."""
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    model = NextSample(HIDDEN)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, UPDATES, eta_min=1e-5)
    windows = u.unfold(0, CHUNK + 1, 1)
    started, running = time.time(), 0.0
    for update in range(1, UPDATES + 1):
        chunk = windows[torch.randint(len(windows), (BATCH,), generator=generator)].unsqueeze(-1)
        loss = (model(chunk[:, :-1]) - chunk[:, 1:])[:, WARM_UP:].square().mean()
        optimizer.zero_grad()
        (loss + RECURRENT_PENALTY * model.rnn.weight_hh_l0.square().sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        running += loss.item()
        if update % 250 == 0:
            seconds = time.time() - started
            print(f"update {update:5d}  MSE {running / 250:.6f} (normalised)  {seconds:.0f} s", flush=True)
            running = 0.0
    return model


def main() -> None:
    # One thread sums in one order: a second run on the same machine gives the same weights.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    x = np.load(DATA / "ecg_mitbih208_360hz.npy").astype(np.float32)
    # Statistics of the training part alone: the held-out samples take no part in anything.
    mean = float(np.float32(x[:TRAINED_SAMPLES].mean(dtype=np.float64)))
    std = float(np.float32(x[:TRAINED_SAMPLES].std(dtype=np.float64)))
    u = torch.from_numpy((x - np.float32(mean)) / np.float32(std))
    model = train(u[:TRAINED_SAMPLES])

    with torch.no_grad():
        predicted = model(u[None, :-1, None])[0, :, 0].double().numpy() * std + mean
    target = x[1:].astype(np.float64)
    error, error_last = predicted - target, x[:-1].astype(np.float64) - target
    held_out = slice(TRAINED_SAMPLES - 1, None)  # position t holds the prediction of sample t + 1

    def mse(e: np.ndarray) -> float:
        return float(np.mean(np.square(e)))

    for name, part in (("held out", held_out), ("entire record", slice(None))):
        print(f"{name}: RMSE {mse(error[part]) ** 0.5:.5f} mV, last value {mse(error_last[part]) ** 0.5:.5f} mV")
    metadata = {
        "what": "One-layer GRU (input 1, hidden 16) and linear readout: the next sample of an ECG, "
        "MIT-BIH record 208 at 360 Hz, in mV",
        "mean": repr(mean),
        "std": repr(std),
        "predicts": "x[t+1] = x[t] + std * (readout.weight h[t] + readout.bias), "
        "h[t] = GRU((x[t] - mean) / std, h[t-1]), h[-1] = 0",
        "trained_with": f"PyTorch {torch.__version__.split('+')[0]}",
        "trained_on": f"samples 0 to {TRAINED_SAMPLES - 1}; the rest is held out",
        "seed": str(SEED),
        "mse_heldout": f"{mse(error[held_out]):.8f}",
        "mse_last_value_heldout": f"{mse(error_last[held_out]):.8f}",
    }
    tensors = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, DATA / "ecg_gru16.safetensors", metadata)


if __name__ == "__main__":
    main()
