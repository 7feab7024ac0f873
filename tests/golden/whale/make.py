"""Packs a trained network that broke DEER into tests/golden/whale/layers.safetensors.

    pip install numpy safetensors    (made with numpy 2.4.6, safetensors 0.8.0)
    python tests/golden/whale/make.py FOLDER

FOLDER holds .npy files: five GRUs of 32 units with layer norms, captured when training went NaN, and whale calls, from the
repository of ELK (Gonzalez et al. 2024, arXiv 2407.19115; BSD-3). Equinox's layout, gates r z n. Four of 16 calls are kept.
"""

import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).parent
load = lambda name: np.load(pathlib.Path(sys.argv[1]) / f"{name}.npy")

arrays = {"xs": load("xs")[:4]}
for layer in range(5):
    for name in ["weight_ih", "weight_hh", "bias", "bias_n"]:
        arrays[f"gru{layer}.{name}"] = load(f"gru{layer}_{name}")
    for name in ["weight", "bias"]:
        arrays[f"norm{layer}.{name}"] = load(f"ln{layer}_{name}")
save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, OUT / "layers.safetensors")
