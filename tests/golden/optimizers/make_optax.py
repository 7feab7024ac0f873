"""Makes optax.safetensors, parameters after each of ten steps of optax's optimizers in f64, and schedules.json.

    pip install numpy jax optax safetensors    (made with numpy 2.4.6, jax 0.10.2, optax 0.2.8, safetensors 0.8.0)
    python tests/golden/optimizers/make_optax.py

Parameters and gradients are those of torch.safetensors.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from safetensors.numpy import load_file, save_file

jax.config.update("jax_enable_x64", True)
HERE = pathlib.Path(__file__).parent
STEPS = 10

given = load_file(HERE / "torch.safetensors")
params = {name[6:]: jnp.asarray(value, jnp.float64) for name, value in given.items() if name.startswith("param.")}
grads = {name[5:]: jnp.asarray(value, jnp.float64) for name, value in given.items() if name.startswith("grad.")}

warm = {"init_value": 0.01, "peak_value": 0.1, "warmup_steps": 3, "decay_steps": 9, "end_value": 0.001}
# The count is an i32, of which optax makes f32.
exact = lambda schedule: lambda count: schedule(count.astype(jnp.float64))
matrices = {name: name == "w" for name in params}
CASES = {
    "clip_adam": optax.chain(optax.clip_by_global_norm(8.0), optax.adam(0.05)),
    "clip_nesterov": optax.chain(optax.clip_by_global_norm(2.5), optax.sgd(0.02, momentum=0.8, nesterov=True)),
    "adamw": optax.adamw(exact(optax.warmup_cosine_decay_schedule(**warm)), weight_decay=0.1, mask=matrices),
    "momentum": optax.sgd(exact(optax.exponential_decay(0.01, 4, 0.5)), momentum=0.9),
}
tensors = {}
for case, optimizer in CASES.items():
    current, state = params, optimizer.init(params)
    after = {name: [] for name in params}
    for step in range(STEPS):
        updates, state = optimizer.update({name: value[step] for name, value in grads.items()}, state, current)
        current = optax.apply_updates(current, updates)
        for name, value in current.items():
            after[name].append(np.asarray(value))
    tensors |= {f"{case}.{name}": np.stack(values) for name, values in after.items()}
assert min(np.abs(value).min() for value in tensors.values()) > 0.5
save_file(tensors, HERE / "optax.safetensors")

COUNTS = [0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 19, 20, 21, 30, 99, 100, 101, 1000]
decay = {"initValue": 0.3, "transitionSteps": 20, "decayRate": 0.7}
SCHEDULES = [
    ("constantSchedule", 0.25, optax.constant_schedule(0.25)),
    ("cosineDecaySchedule", {"initValue": 0.5, "decaySteps": 20}, optax.cosine_decay_schedule(0.5, 20)),
    (
        "cosineDecaySchedule",
        {"initValue": 0.5, "decaySteps": 100, "alpha": 0.1, "exponent": 1.5},
        optax.cosine_decay_schedule(0.5, 100, alpha=0.1, exponent=1.5),
    ),
    (
        "warmupCosineDecaySchedule",
        {"initValue": 0, "peakValue": 1, "warmupSteps": 10, "decaySteps": 100},
        optax.warmup_cosine_decay_schedule(0.0, 1.0, 10, 100),
    ),
    (
        "warmupCosineDecaySchedule",
        {"initValue": 0.2, "peakValue": 0.1, "warmupSteps": 3, "decaySteps": 30, "endValue": 0.01, "exponent": 2},
        optax.warmup_cosine_decay_schedule(0.2, 0.1, 3, 30, end_value=0.01, exponent=2.0),
    ),
    (
        "warmupCosineDecaySchedule",
        {"initValue": 0.2, "peakValue": 0.1, "warmupSteps": 0, "decaySteps": 30},
        optax.warmup_cosine_decay_schedule(0.2, 0.1, 0, 30),
    ),
    (
        "warmupCosineDecaySchedule",
        {"initValue": 0.2, "peakValue": 0, "warmupSteps": 5, "decaySteps": 30, "endValue": 1},
        optax.warmup_cosine_decay_schedule(0.2, 0.0, 5, 30, end_value=1.0),
    ),
    ("exponentialDecay", decay, optax.exponential_decay(0.3, 20, 0.7)),
    (
        "exponentialDecay",
        decay | {"transitionBegin": 5, "staircase": True},
        optax.exponential_decay(0.3, 20, 0.7, transition_begin=5, staircase=True),
    ),
    ("exponentialDecay", decay | {"endValue": 0.1}, optax.exponential_decay(0.3, 20, 0.7, end_value=0.1)),
    (
        "exponentialDecay",
        decay | {"decayRate": 1.2, "endValue": 0.9},
        optax.exponential_decay(0.3, 20, 1.2, end_value=0.9),
    ),
    (
        "piecewiseConstantSchedule",
        {"initValue": 0.8, "boundariesAndScales": {"10": 0.5, "3": 0.25, "100": 2}},
        optax.piecewise_constant_schedule(0.8, {10: 0.5, 3: 0.25, 100: 2.0}),
    ),
    ("piecewiseConstantSchedule", {"initValue": 0.8}, optax.piecewise_constant_schedule(0.8)),
]
table = [
    {"name": name, "options": options, "counts": COUNTS, "values": [float(schedule(count)) for count in COUNTS]}
    for name, options, schedule in SCHEDULES
]
(HERE / "schedules.json").write_text(json.dumps(table))
