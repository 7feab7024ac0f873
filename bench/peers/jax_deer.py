"""JAX as a peer: DEER for a GRU by jax.lax.associative_scan, and a diagonal linear recurrence by the same.

    python bench/peers/jax_deer.py gru --batch 1 --time 100000 --input 4 --hidden 16
    python bench/peers/jax_deer.py scan --time 1000000 --channels 16

Prints one JSON object: milliseconds per call, compilation excluded, arrays on the device; sizes; numbers of the answer
by which peers can be compared. Needs jax and numpy, and takes JAX's default device, of a CPU all cores. `gru --check`
adds the largest difference from lax.scan, `gru --sequential` times lax.scan instead. Products are in f32, where JAX's
default on a GPU is TF32.

DEER (Lim et al. 2024, arXiv 2309.12252) with equations and weights of torch_gru.py: from h = 0 repeat, until
max |h+ - h| <= atol + rtol |h+|,

    h+[t] = J[t] h+[t-1] + (f(h[t-1], x[t]) - J[t] h[t-1]),  J[t] = df/dh at (h[t-1], x[t]) by jax.jacfwd

Bytes of `scan` are counted as 3 numbers an element (a, b, y), of `copy`, which stands beside it, as 2.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

RTOL, ATOL = 1e-5, 1e-6  # cervid's own in f32
MAX_SWEEPS = 100


def fill(shape: tuple[int, ...], bound: float, seed: int) -> jax.Array:
    """Numbers in +-bound, the same in every peer: those of bench/cpu_bench.ts."""
    i = np.arange(1, np.prod(shape, dtype=np.int64) + 1, dtype=np.float64)
    return jnp.asarray((bound * np.sin(12.9898 * i + 78.233 * seed)).astype(np.float32).reshape(shape))


def cell(weight_hh: jax.Array, bias_n: jax.Array, h: jax.Array, projected: jax.Array) -> jax.Array:
    """One step of one sequence; `projected` is W_ih x + bias."""
    xr, xz, xn = jnp.split(projected, 3)
    hr, hz, hn = jnp.split(weight_hh @ h, 3)
    r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
    n = jnp.tanh(xn + r * (hn + bias_n))
    return (1 - z) * n + z * h


def combine(earlier: tuple, later: tuple) -> tuple:
    """Affine maps, the later one after the earlier one; leading axes are JAX's."""
    (a, b), (c, d) = earlier, later
    return c @ a, (c @ b[..., None])[..., 0] + d


def deer(weights: dict, xs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """States (B, T, H) from h0 = 0, and the number of sweeps."""
    step = lambda h, x: cell(weights["weight_hh"], weights["bias_n"], h, x)
    over_all = lambda f: jax.vmap(jax.vmap(f))
    projected = xs @ weights["weight_ih"].T + weights["bias"]

    def sweep(carry: tuple) -> tuple:
        h, sweeps, _ = carry
        previous = jnp.pad(h[:, :-1], ((0, 0), (1, 0), (0, 0)))
        jacobian = over_all(jax.jacfwd(step))(previous, projected)
        rest = over_all(step)(previous, projected) - jnp.einsum("btij,btj->bti", jacobian, previous)
        updated = jax.lax.associative_scan(combine, (jacobian, rest), axis=1)[1]
        error = jnp.max(jnp.abs(updated - h) / (ATOL + RTOL * jnp.abs(updated)))
        return updated, sweeps + 1, error

    running = lambda carry: ~(carry[2] <= 1) & (carry[1] < MAX_SWEEPS)
    start = jnp.zeros((*xs.shape[:2], weights["bias_n"].size), xs.dtype)
    states, sweeps, _ = jax.lax.while_loop(running, sweep, (start, 0, jnp.inf))
    return states, sweeps


def sequential(weights: dict, xs: jax.Array) -> tuple[jax.Array, int]:
    """The same states by lax.scan."""
    projected = xs @ weights["weight_ih"].T + weights["bias"]
    step = jax.vmap(lambda h, x: cell(weights["weight_hh"], weights["bias_n"], h, x))
    start = jnp.zeros((xs.shape[0], weights["bias_n"].size), xs.dtype)
    states = jax.lax.scan(lambda h, x: (step(h, x),) * 2, start, projected.swapaxes(0, 1))[1]
    return states.swapaxes(0, 1), 0


def diagonal_scan(a: jax.Array, b: jax.Array) -> jax.Array:
    """y[t] = a[t] y[t-1] + b[t] over the first axis."""
    return jax.lax.associative_scan(lambda p, q: (q[0] * p[0], q[0] * p[1] + q[1]), (a, b))[1]


def measure(repeats: int, call: Callable, *inputs: object) -> tuple[object, dict]:
    """The answer, and milliseconds of calls after the first, which compiles."""
    answer, timings = jax.block_until_ready(call(*inputs)), []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call(*inputs))
        timings.append(1000 * (time.perf_counter() - start))
    return answer, {"min": min(timings), "median": statistics.median(timings), "n": repeats}


def run_gru(args: argparse.Namespace) -> dict:
    hidden, inputs, bound = args.hidden, args.input, args.hidden**-0.5
    shapes = {"weight_ih": (3 * hidden, inputs), "weight_hh": (3 * hidden, hidden), "bias": (3 * hidden,)}
    weights = {name: fill(shape, bound, seed) for seed, (name, shape) in enumerate(shapes.items(), 1)}
    weights["bias_n"] = fill((hidden,), bound, 5)
    xs = fill((args.batch, args.time, inputs), 1.0, 4)
    (ys, sweeps), ms = measure(args.repeats, jax.jit(sequential if args.sequential else deer), weights, xs)
    answer = {"mean_abs": float(np.abs(np.asarray(ys, np.float64)).mean()), "yT": ys[-1, -1, :4].tolist()}
    if args.check:
        answer["from_scan"] = float(jnp.abs(ys - jax.jit(sequential)(weights, xs)[0]).max())
    sizes = {"B": args.batch, "T": args.time, "I": inputs, "H": hidden}
    name = "lax.scan GRU" if args.sequential else "DEER GRU, associative_scan"
    return {"name": name, "sizes": sizes, "ms": ms, "sweeps": int(sweeps), "answer": answer}


def run_scan(args: argparse.Namespace) -> dict:
    shape = (args.time, args.channels)
    a, b = fill(shape, 0.99, 1), fill(shape, 1.0, 2)
    y, ms = measure(args.repeats, jax.jit(diagonal_scan), a, b)
    _, copied = measure(args.repeats, jax.jit(jnp.negative), b)
    gigabytes = 4e-9 * a.size
    rates = {"scan": 3 * gigabytes / ms["min"] * 1000, "copy": 2 * gigabytes / copied["min"] * 1000}
    sizes = {"T": args.time, "C": args.channels}
    answer = {"yT": y[-1, :4].tolist()}
    return {"name": "diagonal associative_scan", "sizes": sizes, "ms": ms, "gb_per_s": rates, "answer": answer}


def main() -> None:
    parser = argparse.ArgumentParser(description="Times JAX")
    commands = parser.add_subparsers(required=True)
    gru, scan = commands.add_parser("gru"), commands.add_parser("scan")
    gru_sizes = {"batch": 1, "time": 10_000, "input": 4, "hidden": 16}
    scan_sizes = {"time": 1_000_000, "channels": 16}
    for command, sizes in [(gru, gru_sizes), (scan, scan_sizes)]:
        for name, default in {**sizes, "repeats": 10}.items():
            command.add_argument(f"--{name}", type=int, default=default)
    for flag in ["--check", "--sequential"]:
        gru.add_argument(flag, action="store_true")
    gru.set_defaults(run=run_gru)
    scan.set_defaults(run=run_scan)
    args = parser.parse_args()
    jax.config.update("jax_default_matmul_precision", "highest")
    machine = {"version": f"jax {jax.__version__}", "device": jax.devices()[0].device_kind}
    print(json.dumps({**machine, **args.run(args)}))


if __name__ == "__main__":
    main()
