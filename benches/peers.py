"""planish beside its peers and the machine's own limit, on the same arrays in one run.

Candidates take turns, so that a slow moment of the machine hits them all; best and median of several rounds are kept.
The limits are the time to read the input (`np.maximum.reduce` over its bytes) and to copy it (`np.copyto`), split over as
many threads as planish uses. Prints a Markdown table and writes ``benches/results.json``.
"""

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import planish
import sklearn.preprocessing
from planish import StandardScaler
from planish.stats import Extrema, Moments

THREADS = planish.get_num_threads()
POOL = ThreadPoolExecutor(THREADS)


def optional(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


cv2, numbagg, torch = optional("cv2"), optional("numbagg"), optional("torch")
intelex = optional("sklearnex.preprocessing") or optional("onedal.basic_statistics")


def flat_bytes(x):
    order = "F" if x.flags.f_contiguous and not x.flags.c_contiguous else "C"
    return x.ravel(order=order).view(np.uint8)


def read(x):
    """Read every byte of a contiguous array once."""
    parts = np.array_split(flat_bytes(x), THREADS)
    return lambda: list(POOL.map(np.maximum.reduce, parts))


def copy(x, y):
    """Copy every byte once."""
    source, target = (np.array_split(a.reshape(-1), THREADS) for a in (x, y))
    return lambda: list(POOL.map(np.copyto, target, source))


def measure(candidates, rounds):
    """Best and median seconds of each candidate, taking turns."""
    times = {name: [] for name in candidates}
    for function in candidates.values():
        function()
    for _ in range(rounds):
        for name, function in candidates.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: {"best": min(t), "median": statistics.median(t)} for name, t in times.items()}


def fit_peers(x, axes):
    """Who else computes per-channel moments of this array."""
    peers = {"NumPy": lambda: (x.mean(axis=axes), x.var(axis=axes))}
    if numbagg is not None and x.dtype.kind == "f" and x.ndim == 2:
        peers["numbagg"] = lambda: (numbagg.nanmean(x, axis=axes), numbagg.nanvar(x, axis=axes))
    if torch is not None and x.dtype.kind == "f":
        tensor = torch.from_numpy(x)
        peers["PyTorch"] = lambda: torch.var_mean(tensor, dim=axes)
    if cv2 is not None and x.dtype == np.uint8 and x.ndim == 4:
        peers["OpenCV"] = lambda: [cv2.meanStdDev(image) for image in x]
    return peers


def jobs(scale):
    """Name, what planish does, the limit, the peers, bytes, and what the result must reach."""
    rng = np.random.default_rng(0)
    rows = int(1_000_000 * scale)
    x32 = rng.normal(3, 2, size=(rows, 64)).astype(np.float32)
    for x in (x32, x32.astype(np.float64)):
        theirs = sklearn.preprocessing.StandardScaler()
        peers = {"scikit-learn": lambda x=x: theirs.fit(x), **fit_peers(x, (0,))}
        if intelex is not None and hasattr(intelex, "StandardScaler"):
            peers["oneDAL"] = lambda x=x: intelex.StandardScaler().fit(x)
        yield (
            f"fit, {x.dtype}, C order",
            lambda x=x: StandardScaler().fit(x),
            ("read", read(x)),
            peers,
            x.nbytes,
        )
        extrema = {"NumPy": lambda x=x: (x.min(axis=0), x.max(axis=0))}
        yield f"extrema, {x.dtype}", lambda x=x: Extrema().update(x), ("read", read(x)), extrema, x.nbytes
        fitted, out = StandardScaler().fit(x), np.empty_like(x)
        theirs = sklearn.preprocessing.StandardScaler().fit(x)
        peers = {
            "scikit-learn": lambda x=x, t=theirs: t.transform(x),
            "NumPy": lambda x=x, t=theirs, o=out: np.divide(
                np.subtract(x, t.mean_.astype(x.dtype), out=o), t.scale_.astype(x.dtype), out=o
            ),
        }
        limit = ("copy", copy(x, out))
        yield (
            f"transform into out=, {x.dtype}",
            lambda x=x, f=fitted, o=out: f.transform(x, out=o),
            limit,
            peers,
            2 * x.nbytes,
        )
        yield (
            f"transform, new array, {x.dtype}",
            lambda x=x, f=fitted: f.transform(x),
            limit,
            peers,
            2 * x.nbytes,
        )
        del out, limit, peers
    f = np.asfortranarray(x32)
    peers = {"scikit-learn": lambda: sklearn.preprocessing.StandardScaler().fit(f), **fit_peers(f, (0,))}
    yield "fit, float32, F order", lambda: StandardScaler().fit(f), ("read", read(f)), peers, f.nbytes
    del f
    images = max(int(256 * scale), 4)
    nchw = rng.normal(size=(images, 3, 224, 224)).astype(np.float32)
    yield (
        "fit, float32, NCHW",
        lambda: StandardScaler(channel_axis=1).fit(nchw),
        ("read", read(nchw)),
        fit_peers(nchw, (0, 2, 3)),
        nchw.nbytes,
    )
    nhwc = np.ascontiguousarray(nchw.transpose(0, 2, 3, 1))
    yield (
        "fit, float32, NHWC",
        lambda: StandardScaler().fit(nhwc),
        ("read", read(nhwc)),
        fit_peers(nhwc, (0, 1, 2)),
        nhwc.nbytes,
    )
    u8 = rng.integers(0, 256, size=(4 * images, 224, 224, 3), dtype=np.uint8)
    yield (
        "fit, uint8, NHWC",
        lambda: StandardScaler().fit(u8),
        ("read", read(u8)),
        fit_peers(u8, (0, 1, 2)),
        u8.nbytes,
    )
    table = u8.reshape(-1, 64)
    peers = (
        {"scikit-learn": lambda: sklearn.preprocessing.StandardScaler().fit(table)} if scale <= 0.1 else {}
    )
    yield "fit, uint8, table", lambda: Moments().update(table), ("read", read(table)), peers, table.nbytes


def one_row():
    """Microseconds for one row of 30 through a fitted scaler."""
    import timeit

    x = np.random.default_rng(0).normal(size=(100, 30))
    row, result = x[:1].copy(), {}
    for name, scaler in [
        ("planish", StandardScaler()),
        ("scikit-learn", sklearn.preprocessing.StandardScaler()),
    ]:
        scaler.fit(x)
        times = timeit.repeat(lambda s=scaler: s.transform(row), number=5000, repeat=7)
        result[name] = {"best": min(times) / 5000, "median": statistics.median(times) / 5000}
    return result


MEMORY = """
import resource, numpy as np, sys
from planish import StandardScaler
StandardScaler().fit(np.ones((100_000, 64), sys.argv[1]))
x = np.ones((10**9 // 64 // np.dtype(sys.argv[1]).itemsize, 64), sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
StandardScaler().fit(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def extra_memory(dtype):
    """MiB by which the peak resident size grows in a fit of 1 GB."""
    done = subprocess.run([sys.executable, "-c", MEMORY, dtype], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def import_ms(rounds=15):
    """Milliseconds that `import planish` takes after `import numpy`."""
    code = "import numpy, time; t = time.perf_counter(); import planish; print(time.perf_counter() - t)"
    times = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(rounds)]
    return 1e3 * statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="size of the arrays, 1 for those of the README"
    )
    arguments = parser.parse_args()
    versions = {m.__name__: m.__version__ for m in (np, sklearn, cv2, numbagg, torch) if m is not None}
    print(
        f"{THREADS} thread(s) of {os.cpu_count()}; "
        + ", ".join(f"{k} {v}" for k, v in versions.items())
        + "\n"
    )
    print(
        "| job | planish, ms (best / median) | GB/s | time against the limit (median) | times faster than (median) |"
    )
    print("|---|---|---|---|---|")
    results = {"threads": THREADS, "versions": versions, "jobs": {}}
    for name, ours, (kind, limit), peers, size in jobs(arguments.scale):
        times = measure({"planish": ours, kind: limit, **peers}, arguments.rounds)
        results["jobs"][name] = {"bytes": size, **times}
        mine = times.pop("planish")
        bound = times.pop(kind)
        faster = ", ".join(f"{peer} {t['median'] / mine['median']:.1f}" for peer, t in times.items())
        print(
            f"| {name} | {mine['best'] * 1e3:.2f} / {mine['median'] * 1e3:.2f} | {size / mine['median'] / 1e9:.0f} "
            f"| {mine['median'] / bound['median']:.2f} x {kind} | {faster} |",
            flush=True,
        )
    row = one_row()
    results["one row"] = row
    ratio = row["scikit-learn"]["median"] / row["planish"]["median"]
    best, median = (row["planish"][k] * 1e6 for k in ("best", "median"))
    print(
        f"| transform one row of 30 | {best / 1e3:.5f} / {median / 1e3:.5f} | | | scikit-learn {ratio:.1f} |"
    )
    print()
    for dtype in ("float32", "uint8"):
        results[f"extra MiB, {dtype}"] = extra_memory(dtype)
        print(f"Extra memory of fit on 1 GB of {dtype}: {results[f'extra MiB, {dtype}']:.1f} MiB.")
    results["import ms"] = import_ms()
    print(f"`import planish` after `import numpy`: {results['import ms']:.1f} ms.")
    results["peak resident MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (Path(__file__).parent / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
