"""PyTorch's GRU, cuDNN's on a GPU, as a peer of cervid's sequential and parallel GRUs.

    python bench/peers/torch_gru.py --batch 1 --time 100000 --input 4 --hidden 16 --device cuda

Prints one JSON object: milliseconds per call (forward only, states of all steps, weights and inputs on the device),
sizes, device, and numbers of the answer by which peers can be compared. Needs torch and numpy. Arithmetic is f32: TF32,
which cuDNN would use for matrix products, is off unless --tf32 is given. The equations are those of src/cells/gru.ts:

    r = sigmoid(W_ir x + b_r + W_hr h),  z = sigmoid(W_iz x + b_z + W_hz h)
    n = tanh(W_in x + b_n + r (W_hn h + bias_n)),  h' = (1 - z) n + z h
"""

import argparse
import json
import statistics
import time

import numpy as np
import torch


def fill(shape: tuple[int, ...], bound: float, seed: int) -> np.ndarray:
    """Numbers in +-bound, the same in every peer: those of bench/cpu_bench.ts."""
    i = np.arange(1, np.prod(shape, dtype=np.int64) + 1, dtype=np.float64)
    return (bound * np.sin(12.9898 * i + 78.233 * seed)).astype(np.float32).reshape(shape)


def make_gru(inputs: int, hidden: int) -> torch.nn.GRU:
    """A layer with cervid's parameters: PyTorch's second bias holds bias_n, and zeros for the two gates."""
    bound = hidden**-0.5
    bias_hh = np.concatenate([np.zeros(2 * hidden, np.float32), fill((hidden,), bound, 5)])
    weights = {
        "weight_ih_l0": fill((3 * hidden, inputs), bound, 1),
        "weight_hh_l0": fill((3 * hidden, hidden), bound, 2),
        "bias_ih_l0": fill((3 * hidden,), bound, 3),
        "bias_hh_l0": bias_hh,
    }
    gru = torch.nn.GRU(inputs, hidden, batch_first=True)
    gru.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return gru


def main() -> None:
    parser = argparse.ArgumentParser(description="Times torch.nn.GRU")
    sizes = {"batch": 1, "time": 10_000, "input": 4, "hidden": 16, "repeats": 10, "threads": 1}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tf32", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = args.tf32

    device = torch.device(args.device)
    gru = make_gru(args.input, args.hidden).to(device)
    xs = torch.from_numpy(fill((args.batch, args.time, args.input), 1.0, 4)).to(device)

    def finish() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    timings = []
    with torch.inference_mode():
        ys, _ = gru(xs)  # warms up: kernels are chosen and memory is taken at the first call
        for _ in range(args.repeats):
            finish()
            start = time.perf_counter()
            ys, _ = gru(xs)
            finish()
            timings.append(1000 * (time.perf_counter() - start))

    on_gpu = device.type == "cuda"
    result = {
        "name": "torch.nn.GRU",
        "version": f"torch {torch.__version__}" + (f", cuDNN {torch.backends.cudnn.version()}" if on_gpu else ""),
        "device": torch.cuda.get_device_name(device) if on_gpu else f"cpu, threads: {args.threads}",
        "precision": "tf32" if args.tf32 and on_gpu else "f32",
        "sizes": {"B": args.batch, "T": args.time, "I": args.input, "H": args.hidden},
        "ms": {"min": min(timings), "median": statistics.median(timings), "n": args.repeats},
        "answer": {"mean_abs": ys.abs().double().mean().item(), "yT": ys[-1, -1, :4].tolist()},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
