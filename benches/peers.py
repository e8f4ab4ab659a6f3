"""planish beside its peers and the machine's own limit, on the same arrays in one run.

Candidates take turns, so that a slow moment of the machine hits them all; best and median of several rounds are kept.
The limits are the time to read the input (`np.maximum.reduce` over its bytes) and to copy it (`np.copyto`), split over
as many threads as planish uses. Prints a Markdown table and writes ``benches/results.json``.

Each part is a process of its own: how fast a new array is depends on the memory that jobs before it have left behind.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import layers
import numpy as np
import pictures
import planish
import robust
import sklearn.preprocessing
from measuring import THREADS, Job, copy, cv2, fastest, measure, one_thread, optional, read, torch
from planish import StandardScaler
from planish.stats import Extrema
from scipy import sparse

#: scikit-learn's classes that have a twin here.
SCALERS = ["StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "Normalizer"]

numbagg, onedal = optional("numbagg"), optional("sklearnex.basic_statistics")


def fit_job(name, x, channel_axis=-1, table=True):
    """Mean and standard deviation of every channel."""
    axes = tuple(axis for axis in range(x.ndim) if axis != channel_axis % x.ndim)
    peers = {}
    if table:
        peers["scikit-learn"] = lambda: sklearn.preprocessing.StandardScaler().fit(x)
    peers["NumPy"] = lambda: (x.mean(axis=axes), x.var(axis=axes))
    if table and x.dtype.kind == "f":
        if numbagg is not None:
            peers["numbagg"] = lambda: (numbagg.nanmean(x, axis=axes), numbagg.nanvar(x, axis=axes))
        if onedal is not None:
            peers["oneDAL"] = lambda: onedal.BasicStatistics(result_options=["mean", "variance"]).fit(x)
    if torch is not None and x.dtype.kind == "f":
        tensor = torch.from_numpy(x)
        peers["PyTorch"] = lambda: torch.var_mean(tensor, dim=axes)
    if cv2 is not None and x.dtype == np.uint8 and x.ndim == 4:
        peers["OpenCV"] = lambda: [cv2.meanStdDev(image) for image in x]
    return Job(name, lambda: StandardScaler(channel_axis=channel_axis).fit(x), ("read", read(x)), peers, x.nbytes)


def transform_jobs(x):
    """The map, into an array at hand and into a new one."""
    ours, theirs = StandardScaler().fit(x), sklearn.preprocessing.StandardScaler().fit(x)
    out = np.empty_like(x)
    mean, scale = theirs.mean_.astype(x.dtype), theirs.scale_.astype(x.dtype)
    peers = {
        "scikit-learn": lambda: theirs.transform(x),
        "NumPy into out=": lambda: np.divide(np.subtract(x, mean, out=out), scale, out=out),
    }
    limit = ("copy", copy(x, out))
    yield Job(f"transform into out=, {x.dtype}", lambda: ours.transform(x, out=out), limit, peers, 2 * x.nbytes)
    yield Job(f"transform, new array, {x.dtype}", lambda: ours.transform(x), limit, peers, 2 * x.nbytes)


def family_jobs(x):
    """The other scalers of the family."""
    out = np.empty_like(x)
    for name in SCALERS[1:4]:
        ours, theirs = getattr(planish, name), getattr(sklearn.preprocessing, name)
        fits = {"scikit-learn": lambda theirs=theirs: theirs().fit(x)}
        yield Job(f"{name} fit, {x.dtype}", lambda ours=ours: ours().fit(x), ("read", read(x)), fits, x.nbytes)
        ours, theirs = ours().fit(x), theirs().fit(x)
        maps = {"scikit-learn": lambda theirs=theirs: theirs.transform(x)}
        run = partial(ours.transform, x, out=out)
        yield Job(f"{name} transform into out=, {x.dtype}", run, ("copy", copy(x, out)), maps, 2 * x.nbytes)
    for norm in ("l2", "l1", "max"):
        ours, theirs = planish.Normalizer(norm), sklearn.preprocessing.Normalizer(norm)
        maps = {"scikit-learn": lambda theirs=theirs: theirs.transform(x)}
        run = partial(ours.transform, x, out=out)
        yield Job(f"Normalizer {norm} into out=, {x.dtype}", run, ("copy", copy(x, out)), maps, 2 * x.nbytes)


def logarithm_jobs(x):
    """Logarithms of numbers that span decades, moved and scaled, and back."""
    offset, scale = x.dtype.type(1.5), x.dtype.type(2.5)
    out, logs = np.empty_like(x), np.empty_like(x)
    for name, base, log in (("LogScaler", "e", np.log), ("LogScaler to base 10", 10, np.log10)):
        ours = planish.LogScaler(base, offset, scale)
        ours.transform(x, out=logs)
        maps = {
            "NumPy": lambda log=log: np.divide(log(x) - offset, scale, out=out),
            "NumPy in place": lambda log=log: np.divide(np.subtract(log(x, out=out), offset, out=out), scale, out=out),
        }
        run = partial(ours.transform, x, out=out)
        yield Job(f"{name} into out=, {x.dtype}", run, ("copy", copy(x, out)), maps, 2 * x.nbytes)
        if base == "e":
            back = {"NumPy": lambda: np.exp(logs * scale + offset, out=out)}
            run = partial(ours.inverse_transform, logs, out=out)
            yield Job(f"{name} inverse into out=, {x.dtype}", run, ("copy", copy(x, out)), back, 2 * x.nbytes)


def sparse_jobs(scale):
    """CSR, one entry in a hundred."""
    x = sparse.random(int(1_000_000 * scale), 1000, density=0.01, format="csr", random_state=0)
    for name, parameters in (("StandardScaler", {"with_mean": False}), ("MaxAbsScaler", {})):
        ours, theirs = getattr(planish, name)(**parameters), getattr(sklearn.preprocessing, name)(**parameters)
        peers = {"scikit-learn": lambda theirs=theirs: theirs.fit(x)}
        size = x.data.nbytes + x.indices.nbytes
        yield Job(f"{name} fit, CSR", lambda ours=ours: ours.fit(x), ("read", read(x.data)), peers, size)


def jobs(scale):
    """Every comparison, one after the other, so that only one array is held at a time."""
    rng = np.random.default_rng(0)
    x32 = rng.normal(3, 2, size=(int(1_000_000 * scale), 64)).astype(np.float32)
    for x in (x32, x32.astype(np.float64)):
        yield fit_job(f"fit, {x.dtype}, C order", x)
        extrema = {"NumPy": lambda x=x: (x.min(axis=0), x.max(axis=0))}
        yield Job(f"extrema, {x.dtype}", lambda x=x: Extrema().update(x), ("read", read(x)), extrema, x.nbytes)
        yield from transform_jobs(x)
        yield from family_jobs(x)
        yield from logarithm_jobs(np.exp(x))
    del x
    yield fit_job("fit, float32, F order", np.asfortranarray(x32))
    images = max(int(256 * scale), 4)
    nchw = rng.normal(size=(images, 3, 224, 224)).astype(np.float32)
    yield fit_job("fit, float32, NCHW", nchw, channel_axis=1, table=False)
    yield fit_job("fit, float32, NHWC", np.ascontiguousarray(nchw.transpose(0, 2, 3, 1)), table=False)
    del nchw
    u8 = rng.integers(0, 256, size=(4 * images, 224, 224, 3), dtype=np.uint8)
    yield fit_job("fit, uint8, NHWC", u8, table=False)
    yield fit_job("fit, uint8, table", u8.reshape(-1, 64), table=False)
    del u8
    yield from sparse_jobs(scale)


def calls():
    """Seconds of small calls: one row of 30 through each fitted scaler; fit and transform of 100 x 10."""
    import timeit

    x, small = np.random.default_rng(0).normal(size=(100, 30)), np.random.default_rng(1).normal(size=(100, 10))
    row = x[:1].copy()
    for name in SCALERS:
        ours, theirs = (getattr(library, name) for library in (planish, sklearn.preprocessing))
        fitted = {"planish": ours().fit(x), "scikit-learn": theirs().fit(x)}
        yield f"{name}, one row of 30", {k: lambda s=s: s.transform(row) for k, s in fitted.items()}, timeit, 2000
        both = {"planish": ours, "scikit-learn": theirs}
        runs = {k: lambda c=c: c().fit(small).transform(small) for k, c in both.items()}
        yield f"{name}, fit and transform of 100 x 10", runs, timeit, 200


def small_calls():
    """Best and median seconds of each small call."""
    result = {}
    for name, runs, timeit, number in calls():
        times = {k: [t / number for t in timeit.repeat(run, number=number, repeat=7)] for k, run in runs.items()}
        result[name] = {k: {"best": min(t), "median": statistics.median(t)} for k, t in times.items()}
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


PARTS = {"tables": jobs, "robust": robust.jobs, "pictures": pictures.jobs, "layers": layers.jobs}


def run_part(name, scale, rounds):
    """Measure one part; prints its rows."""
    results = {}
    for job in PARTS[name](scale):
        limits = {} if job.limit is None else {job.limit[0]: job.limit[1]}
        with one_thread() if job.alone else nullcontext():
            times = measure({"planish": job.run, **limits, **job.peers}, rounds, job.number)
        results[job.name] = {"bytes": job.bytes, **times}
        mine = times.pop("planish")
        bounds = "".join(f"{mine['median'] / times.pop(kind)['median']:.2f} x {kind}" for kind in limits)
        faster = ", ".join(f"{peer} {t['median'] / mine['median']:.1f}" for peer, t in fastest(times).items())
        print(
            f"| {job.name} | {mine['best'] * 1e3:.3g} / {mine['median'] * 1e3:.3g} "
            f"| {job.bytes / mine['median'] / 1e9:.3g} | {bounds} | {faster} |",
            flush=True,
        )
    return results


def run_parts(scale, rounds):
    """Measure every part in a process of its own."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in PARTS:
            path = Path(folder) / f"{name}.json"
            options = ["--only", name, "--rounds", str(rounds), "--scale", str(scale), "--results", str(path)]
            subprocess.run([sys.executable, __file__, *options], check=True)
            results.update(json.loads(path.read_text()))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the arrays, 1 for those of the README")
    parser.add_argument("--only", choices=PARTS, help="a part of it")
    parser.add_argument("--results", type=Path, help="where a part writes what it measured, in place of a table's head")
    arguments = parser.parse_args()
    if arguments.results:
        results = run_part(arguments.only, arguments.scale, arguments.rounds)
        arguments.results.write_text(json.dumps(results))
        return
    versions = {m.__name__: m.__version__ for m in (np, sklearn, cv2, numbagg, torch) if m is not None}
    print(f"{THREADS} thread(s) of {os.cpu_count()}; " + ", ".join(f"{k} {v}" for k, v in versions.items()) + "\n")
    print("| job | planish, ms (best / median) | GB/s | time against the limit (median) | times faster than (median) |")
    print("|---|---|---|---|---|", flush=True)
    if arguments.only:
        run_part(arguments.only, arguments.scale, arguments.rounds)
        return
    results = {"threads": THREADS, "versions": versions, "jobs": run_parts(arguments.scale, arguments.rounds)}
    for name, times in small_calls().items():
        results["jobs"][name] = times
        ours = times["planish"]
        ratio = times["scikit-learn"]["median"] / ours["median"]
        best, median = (ours[k] * 1e6 for k in ("best", "median"))
        print(f"| {name} | {best / 1e3:.4f} / {median / 1e3:.4f} ({median:.1f} us) | | | scikit-learn {ratio:.1f} |")
    print()
    for dtype in ("float32", "uint8"):
        results[f"extra MiB, {dtype}"] = extra_memory(dtype)
        print(f"Extra memory of fit on 1 GB of {dtype}: {results[f'extra MiB, {dtype}']:.1f} MiB.")
    results["import ms"] = import_ms()
    print(f"`import planish` after `import numpy`: {results['import ms']:.1f} ms.")
    results["peak resident MiB"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    (Path(__file__).parent / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
