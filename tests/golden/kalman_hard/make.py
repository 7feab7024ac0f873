"""Kalman's filter and smoother with 100 digits, on models that double precision finds hard.

    pip install numpy mpmath safetensors    (made with numpy 2.4.6, mpmath 1.3.0, safetensors 0.8.0)
    python tests/golden/kalman_hard/make.py

States without noise that decay or grow, moving averages, measurements without noise, diffuse priors, transients beside
levels. All numbers of the models are those of f32, so that every device has the same problem. The smoother is that of Bryson
& Frazier (as in Durbin & Koopman, "Time Series Analysis by State Space Methods", 2012, section 4.4), whose cancellation the
digits make harmless. Truth is rounded to double precision at the end.
"""

import pathlib

import mpmath as mp
import numpy as np
from safetensors.numpy import save_file

mp.mp.dps = 100
OUT = pathlib.Path(__file__).parent / "models.safetensors"
matrix = lambda a: mp.matrix(np.asarray(a, float).tolist())
to_numpy = lambda a: np.array(a.tolist(), dtype=float)


def smooth(m0, p0, f, b, q, h, r, ys):
    x, p, log_lik = m0, p0, mp.mpf(0)
    predicted, filtered = [], []
    for t, y in enumerate(ys):
        if t > 0:
            x, p = f * x + b, f * p * f.T + q
        s = h * p * h.T + r
        inverse, v = s**-1, y - h * x
        predicted.append((x, p, inverse, v))
        log_lik -= (len(y) * mp.log(2 * mp.pi) + mp.log(mp.det(s)) + (v.T * inverse * v)[0]) / 2
        x, p = x + p * h.T * inverse * v, p - p * h.T * inverse * h * p
        filtered.append((x, p))
    n = len(m0)
    score, information = mp.zeros(n, 1), mp.zeros(n, n)
    smoothed = []
    for x, p, inverse, v in reversed(predicted):
        rest = mp.eye(n) - p * h.T * inverse * h
        score = h.T * inverse * v + rest.T * score
        information = h.T * inverse * h + rest.T * information * rest
        smoothed.append((x + p * score, p - p * information * p))
        score, information = f.T * score, f.T * information * f
    return filtered, smoothed[::-1], log_lik


tensors = {}


def add(name, m0, p0, f, b, q, h, r, ys):
    n, e = len(m0), len(h)
    single = lambda a: np.asarray(a, np.float32).astype(float)
    given = dict(m0=single(m0), p0=single(p0), f=single(f), b=single(b), q=single(q), h=single(h), r=single(r))
    ys = single(ys).reshape(-1, e)
    arguments = {key: matrix(value if value.ndim == 2 else value[:, None]) for key, value in given.items()}
    filtered, smoothed, log_lik = smooth(**arguments, ys=[matrix(y[:, None]) for y in ys])
    arrays = given | dict(
        ys=ys,
        filtered_means=np.array([to_numpy(x)[:, 0] for x, _ in filtered]),
        filtered_covariances=np.array([to_numpy(p) for _, p in filtered]),
        smoothed_means=np.array([to_numpy(x)[:, 0] for x, _ in smoothed]),
        smoothed_covariances=np.array([to_numpy(p) for _, p in smoothed]),
        log_lik=np.array([float(log_lik)]),
    )
    for key, value in arrays.items():
        tensors[f"{name}/{key}"] = np.ascontiguousarray(value, dtype=float)


steps = np.arange
wave = lambda time: np.sin(7 * steps(time))
eye, zeros = np.eye, lambda *shape: np.zeros(shape)


def decay(name, f, bias, noise, time):
    ys = 2 * f ** steps(time) + wave(time) / 2
    add(name, [0], [[1]], [[f]], [bias], [[noise]], [[1]], [[1]], ys)


decay("decay", 0.3, 0.1, 0, 60)
decay("decay, biased", 0.3, 1, 0, 60)
decay("decay to less than f32 has", 0.5, 0.1, 0, 100)
decay("decay to less than f64 has", 0.25, 0.1, 0, 600)
decay("slow decay", 0.9, 0.1, 0, 400)
decay("slow decay, hardly any noise", 0.9, 0.1, 1e-20, 400)
decay("slow decay, little noise", 0.9, 0.1, 1e-14, 400)

for name, f in [("0.9, 0.5", [[0.9, 0.2], [0.3, 0.5]]), ("1, 0.6", [[1, 0.3], [0, 0.6]])]:
    add(f"two modes, {name}", [0, 0], eye(2), f, [0, 0], zeros(2, 2), [[1, 0]], [[1]], wave(60))
c, s = np.cos(0.7), np.sin(0.7)
turn = np.array([[c, -s], [s, c]])
turned = lambda *modes: turn @ np.diag(modes) @ turn.T
for other in [0.5, 0.1]:
    add(f"a constant and a transient, {other}", [0, 0], eye(2), turned(1, other), [0.1, 0], zeros(2, 2), [[c - s, s + c]], [[1]], wave(60))
t = steps(200)
level = 5 + np.sin(t / 9) + 3 * 0.3**t + 0.3 * np.sin(7 * t)
add("a level and a transient", [5, 0], eye(2), np.diag([1, 0.3]), [0, 0.1], np.diag([0.1, 0]), [[1, 1]], [[0.1]], level)

for time in [20, 40, 80]:
    for noise in [0, 1e-6]:
        ys = 0.3 * 1.5 ** steps(time) * (noise == 0) + wave(time)
        add(f"growth, T {time}, noise {noise}", [0, 0], eye(2), turned(1.5, 0.9), [0, 0], noise * eye(2), [[c - s, s + c]], [[1]], ys)

# The covariance of the noise is exact: g gᵀ of short binary fractions.
g = np.array([[1], [0.375]])
for noise in [0, 1e-6]:
    add(f"ARMA(2, 1), R {noise}", [0, 0], [[2, 0.5], [0.5, 1]], [[0.6, 1], [0.2, 0]], [0, 0], g @ g.T, [[1, 0]], [[noise]], wave(60))
add("one state seen exactly", [0, 0], eye(2), [[0.9, 0.2], [0.3, 0.5]], [0, 0], np.diag([0, 0.1]), [[1, 0]], [[0]], wave(30))
add("two constants of three seen", [0] * 3, eye(3), eye(3), [0] * 3, zeros(3, 3), [[1, 1, 0], [0, 1, 1]], eye(2), np.stack([wave(40) + 1, 2 - wave(40)], 1))

t = steps(40)
for prior in [1e4, 1e6, 1e8]:
    q = np.diag([0.1, 0.01])
    add(f"a trend, prior {prior:g}", [0, 0], prior * eye(2), [[1, 1], [0, 1]], [0, 0], q, [[1, 0]], [[1]], 5 + 0.3 * t + wave(40))
    f = zeros(5, 5)
    f[0, 0] = f[0, 1] = f[1, 1] = f[3, 2] = f[4, 3] = 1
    f[2, 2:] = -1
    q = np.diag([0.1, 0.01, 0.05, 0, 0])
    ys = 5 + 0.3 * t + wave(40) + 3 * np.cos(np.pi / 2 * t)
    add(f"seasons, prior {prior:g}", [0] * 5, prior * eye(5), f, [0] * 5, q, [[1, 0, 1, 0, 0]], [[1]], ys)

save_file(tensors, OUT)
print(sorted({name.split("/")[0] for name in tensors}), OUT.stat().st_size)
