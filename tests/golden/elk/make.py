"""Packs what other programs computed for ELK into tests/golden/elk.

    pip install numpy safetensors    (made with numpy 2.4.6, safetensors 0.8.0)
    python tests/golden/elk/make.py FOLDER

FOLDER holds two folders of .npy files. `argru` is a trained autoregressive GRU, its noises and its trajectories in f32,
from the repository of ELK (Gonzalez et al. 2024, arXiv 2407.19115; BSD-3). `elk_kalman` is one sweep of ELK by dynamax'
parallel filter and smoother (f64): dynamics F, b, start m0, observations y of variance `sigmasq`; filtered and smoothed
means, the solution of the normal equations (`lm_solution`), and the same with a scalar state.
"""

import json
import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).parent
peers = pathlib.Path(sys.argv[1])
load = lambda name: np.load(peers / f"{name}.npy")

names = ["weight_ih", "weight_hh", "bias", "bias_n", "dec_w", "dec_b"]
argru = {name: load(f"argru/{name}") for name in names}
for seed in range(4):
    argru[f"noise{seed}"] = load(f"argru/noise_seed{seed}")
    argru[f"start{seed}"] = load(f"argru/states_seed{seed}")[0]
argru["states0"] = load("argru/states_seed0")
save_file({name: np.ascontiguousarray(value) for name, value in argru.items()}, OUT / "argru.safetensors")

names = ["F", "b", "m0", "y", "filt_mean", "smooth_mean", "lm_solution", "scalar_F", "scalar_mean"]
kalman = {name: load(f"elk_kalman/{name}") for name in names}
scalars = json.loads((peers / "elk_kalman/manifest.json").read_text())["scalars"]
kalman["sigmasq"] = np.array([scalars["sigmasq"]])
save_file({name: np.ascontiguousarray(value) for name, value in kalman.items()}, OUT / "kalman.safetensors")
