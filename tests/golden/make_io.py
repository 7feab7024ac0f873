"""Makes tests/golden/io: files written by NumPy, safetensors and PyTorch, with what they hold as plain numbers.

    pip install numpy torch safetensors    (made with numpy 2.4.6, torch 2.13.0, safetensors 0.8.0)
    python tests/golden/make_io.py && deno fmt tests/golden/io
"""

import base64
import io
import json
import pathlib
import re

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch

OUT = pathlib.Path(__file__).parent / "io"
OUT.mkdir(exist_ok=True)
HELD_AS = {"f2": "Float32Array", "f4": "Float32Array", "f8": "Float64Array", "bf": "Float32Array"}
HELD_AS |= {"i1": "Int32Array", "i2": "Int32Array", "i4": "Int32Array", "i8": "Int32Array"}
HELD_AS |= {"u1": "Uint32Array", "u2": "Uint32Array", "u4": "Uint32Array", "b1": "Uint32Array"}


def plain(values):
    """What JSON has no number for travels as a string that JavaScript's Number() reads."""
    special = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity", "-0.0": "-0"}
    return [special.get(str(v), v) for v in values]


def expectation(array, kind):
    values = [int(v) for v in array.flat] if array.dtype.kind in "iub" else [float(v) for v in array.flat]
    return {"array": HELD_AS[kind], "shape": list(array.shape), "values": plain(values)}


def npy(array, version=None, allow_pickle=False):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version, allow_pickle)
    return base64.b64encode(file.getvalue()).decode()


def npy_cases():
    cases = {}

    def add(name, array, version=None):
        kind = array.dtype.kind + str(array.dtype.itemsize)
        cases[name] = {"file": npy(array, version), **expectation(array, kind)}

    numbers = {"f": [0.5, -1.25, 3, 1e-3, -7, 100], "i": [0, -1, 2, 127, -128, 5], "u": [0, 1, 2, 255, 128, 5]}
    for code in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4"]:
        for order in "<>":
            dtype = np.dtype(order + code)
            add(f"{order}{code}", np.array(numbers[code[0]]).astype(dtype).reshape(2, 3))
    add("|b1", np.array([True, False, True]))
    add("<f8 Fortran", np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)))
    add(">i2 Fortran", np.asfortranarray(np.arange(6, dtype=">i2").reshape(3, 2)))
    add("|u1 Fortran, 4 axes", np.asfortranarray(np.arange(60, dtype="u1").reshape(5, 2, 3, 2)))
    add("scalar", np.array(2.5))
    add("one element", np.array([7], np.int32))
    add("empty", np.zeros((0, 3), np.float32))
    add("empty Fortran", np.zeros((2, 0, 3), np.float64, order="F"))
    add("extremes <f2", np.array([np.inf, -np.inf, np.nan, 2**-24, 1023 * 2**-24, 65504, -0.0], np.float16))
    add("extremes <f4", np.array([np.inf, -np.inf, np.nan, 1e-45, -0.0], np.float32))
    add("extremes <f8", np.array([np.inf, -np.inf, np.nan, 5e-324, -0.0]))
    add("extremes <i8", np.array([2**31 - 1, -(2**31)], np.int64))
    add("extremes <u4", np.array([2**32 - 1], np.uint32))
    add("version 2", np.arange(4.0), (2, 0))
    add("version 3", np.arange(4.0), (3, 0))
    refused = {
        "objects": npy(np.array([None, 1], object), allow_pickle=True),
        "strings": npy(np.array(["a", "bc"])),
        "bytes": npy(np.array([b"a", b"bc"])),
        "complex": npy(np.array([1j])),
        "structured": npy(np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")])),
        "dates": npy(np.array(["2024-01-01"], "M8[D]")),
        "durations": npy(np.array([1], "m8[s]")),
        "raw": npy(np.array([b"ab"], "V2")),
        "u8": npy(np.array([1], np.uint64)),
        "large i8": npy(np.array([1, 2, 2**31, 4], np.int64)),
        "small i8": npy(np.array([-(2**40)], ">i8")),
    }
    return {"read": cases, "refused": refused}


def safetensors_cases():
    by_torch = {
        "float": torch.tensor([[1.5, -2.25]], dtype=torch.float32),
        "half": torch.tensor([1.5, float("inf"), -0.0, 2**-24], dtype=torch.float16),
        "brain": torch.tensor([1.5, float("-inf"), float("nan"), 1e30, -3], dtype=torch.bfloat16),
        "double": torch.tensor(0.1, dtype=torch.float64),
        "int": torch.tensor([-1, 2**31 - 1], dtype=torch.int32),
        "long": torch.tensor([-1, 2**31 - 1, -(2**31)], dtype=torch.int64),
        "bool": torch.tensor([True, False, True]),
        "byte": torch.tensor([0, 255, 7], dtype=torch.uint8),
        "empty": torch.zeros(0, 3),
    }
    kinds = {"half": "f2", "brain": "bf", "int": "i4", "long": "i8", "bool": "b1", "byte": "u1", "double": "f8"}
    as_numpy = {name: t.float().numpy() if t.dtype == torch.bfloat16 else t.numpy() for name, t in by_torch.items()}
    by_numpy = {
        "b": np.array([0.5, -0.5, np.nan], np.float32),
        "10": np.array([[2**32 - 1]], np.uint32),
        "9": np.array([-(2**31)], np.int32),
        "a": np.array([1 / 3, 5e-324]),
        "__proto__": np.array([1, 2], np.int32),
        'é"\n': np.array(4, np.float32),
        "none": np.zeros((2, 0, 3)),
    }

    def expect(tensors):
        return {name: expectation(t, kinds.get(name, t.dtype.kind + str(t.dtype.itemsize))) for name, t in tensors.items()}

    def case(file, tensors, metadata):
        return {"file": base64.b64encode(file).decode(), "metadata": metadata, "tensors": expect(tensors)}

    metadata = {"fruit": "pêche / 桃"}
    return {
        "torch": case(safetensors.torch.save(by_torch, {"format": "pt"}), as_numpy, {"format": "pt"}),
        "numpy": case(safetensors.numpy.save(by_numpy, metadata), by_numpy, metadata),
        "nothing": case(safetensors.numpy.save({}), {}, {}),
    }


def torch_stack(name, module, xs):
    """Both directions of two layers, as one finds them in a model: under a path, beside other parameters."""
    module = module.double()
    with torch.no_grad():
        ys, _ = module(xs)
    tensors = {f"encoder.rnn.{key}": value for key, value in module.state_dict().items()}
    tensors |= {"head.weight": torch.ones(1, 6, dtype=torch.float64), "xs": xs, "ys": ys}
    file = safetensors.torch.save({key: value.contiguous() for key, value in tensors.items()})
    (OUT / f"torch_stack_{name}.safetensors").write_bytes(file)


def main():
    for name, cases in [("npy", npy_cases()), ("safetensors", safetensors_cases())]:
        text = json.dumps(cases, indent=2, ensure_ascii=False)
        one_line = re.sub(r"\[[^\[\]]*\]", lambda match: " ".join(match[0].split()).replace("[ ", "[").replace(" ]", "]"), text)
        (OUT / f"{name}.json").write_text(one_line + "\n")
    torch.manual_seed(0)
    xs = torch.randn(2, 5, 4, dtype=torch.float64)
    shape = {"input_size": 4, "hidden_size": 3, "num_layers": 2, "bidirectional": True, "batch_first": True}
    torch_stack("gru", torch.nn.GRU(**shape), xs)
    torch_stack("lstm", torch.nn.LSTM(**shape, bias=False), xs)
    torch_stack("elman", torch.nn.RNN(**shape, nonlinearity="relu"), xs)


main()
