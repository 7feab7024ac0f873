"""PyTorch as a peer of examples/ecg_train.ts: the same network, data, loss and schedule, with other random numbers.

    python bench/peers/torch_train_ecg.py --threads 1

Prints one JSON object: seconds of training, and the error of the next sample over the record and over the part that is held
out, to compare with what examples/ecg_train.ts prints. Needs torch and numpy. The network tells the increment from sample
to sample, so that an untrained readout of zeros is the predictor that repeats the last value, with u[t] the normalised sample:

    u[t] = (x[t] - mean) / std,   h[t] = GRU(u[t], h[t-1]),   h[-1] = 0
    prediction of x[t+1] = x[t] + std * (readout.weight h[t] + readout.bias)
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

SEED = 0
HIDDEN = 16
TRAINED_SAMPLES = 80_000  # the rest of the record is held out
CHUNK = 512
WARM_UP = 32  # a chunk starts at h = 0 in mid-record: its first predictions say nothing about the weights
BATCH = 32
UPDATES = 2_000
LEARNING_RATE = 1e-2
RECURRENT_PENALTY = 3e-4  # weight of |weight_hh|^2 in the loss; see examples/lib/train_ecg.ts
RECORD = Path(__file__).resolve().parents[2] / "examples" / "data" / "ecg_mitbih208_360hz.npy"


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
    for _ in range(UPDATES):
        chunk = windows[torch.randint(len(windows), (BATCH,), generator=generator)].unsqueeze(-1)
        loss = (model(chunk[:, :-1]) - chunk[:, 1:])[:, WARM_UP:].square().mean()
        optimizer.zero_grad()
        (loss + RECURRENT_PENALTY * model.rnn.weight_hh_l0.square().sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    x = np.load(RECORD).astype(np.float32)
    # Statistics of the training part alone: the held-out samples take no part in anything.
    mean = float(np.float32(x[:TRAINED_SAMPLES].mean(dtype=np.float64)))
    std = float(np.float32(x[:TRAINED_SAMPLES].std(dtype=np.float64)))
    u = torch.from_numpy((x - np.float32(mean)) / np.float32(std))
    started = time.perf_counter()
    model = train(u[:TRAINED_SAMPLES])
    seconds = time.perf_counter() - started

    with torch.no_grad():
        predicted = model(u[None, :-1, None])[0, :, 0].double().numpy() * std + mean
    error = predicted - x[1:].astype(np.float64)
    rmse = {
        name: float(np.sqrt(np.mean(np.square(error[part]))))
        # Position t holds the prediction of sample t + 1.
        for name, part in (("rmseMv", slice(None)), ("heldOutRmseMv", slice(TRAINED_SAMPLES - 1, None)))
    }
    threads = torch.get_num_threads()
    print(json.dumps({"peer": f"PyTorch {torch.__version__}", "threads": threads, "seconds": seconds, **rmse}))


if __name__ == "__main__":
    main()
