"""What the contracts of accumulators and scalers share: how the classes are found, and what is tried on each."""

import copy
import inspect
import io
import itertools
import pickle
import warnings

import joblib
import numpy as np
import planish
import pytest


def exported(module):
    """List the classes that a module exports."""
    values = (getattr(module, name) for name in module.__all__)
    return [value for value in values if inspect.isclass(value)]


def with_methods(modules, *methods):
    """List the exported classes that have all of these methods."""
    classes = itertools.chain.from_iterable(map(exported, modules))
    return [cls for cls in classes if all(hasattr(cls, method) for method in methods)]


def accumulators(*modules):
    """List the classes to which the contract of accumulators applies."""
    return with_methods(modules, "update", "merge")


def scalers(*modules):
    """List the classes to which the contract of scalers applies."""
    return with_methods(modules, "fit", "transform")


def of_planish(cls):
    """Whether a class is one of planish's own, which files can hold, and not a subclass made by a test."""
    return cls.__module__.split(".")[0] == "planish"


def takes(function, *names):
    """Whether a function has all of these parameters."""
    return set(names) <= set(inspect.signature(function).parameters)


def quietly(function, *args, **kwargs):
    """Call a function whose warnings are not what the test is about."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


# --- copies ----------------------------------------------------------------------------------------------------------


def through_joblib(thing):
    file = io.BytesIO()
    joblib.dump(thing, file)
    file.seek(0)
    return joblib.load(file)


def through_skops(thing):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        skops = pytest.importorskip("skops.io")
    data = skops.dumps(thing)
    types = skops.get_untrusted_types(data=data)
    assert all(name.startswith("planish.") for name in types if of_planish(type(thing)))
    return skops.loads(data, trusted=types)


def through_a_file(thing, path):
    if not of_planish(type(thing)):
        with pytest.raises(TypeError, match="obj must be one of planish's"):
            planish.save(thing, path)
        assert not path.exists()
        pytest.skip("files hold planish's own classes")
    planish.save(thing, path)
    loaded = planish.load(path)
    text = path.read_text("utf-8")
    assert planish.dumps(thing) == planish.dumps(loaded) == planish.dumps(planish.loads(text)) == text
    return loaded


#: Ways to copy an object, each a function of the object and of a path that may be written to.
WAYS = {
    **{
        f"pickle {protocol}": lambda thing, path, protocol=protocol: pickle.loads(pickle.dumps(thing, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "Python's pickle": lambda thing, path: pickle._loads(pickle._dumps(thing)),
    "copy": lambda thing, path: copy.copy(thing),
    "deepcopy": lambda thing, path: copy.deepcopy(thing),
    "joblib": lambda thing, path: through_joblib(thing),
    "skops": lambda thing, path: through_skops(thing),
    "save": through_a_file,
}

# --- bad input -------------------------------------------------------------------------------------------------------


class Interrupting:
    """Data whose reading is interrupted."""

    shape, ndim, dtype = (6, 5, 4, 3), 4, np.dtype(float)

    def __len__(self):
        return 6

    def __array__(self, dtype=None, copy=None):
        raise KeyboardInterrupt


#: What no class takes; the last has other channels than the data of the contracts.
BAD = {
    "text": np.full((6, 5, 4, 3), "a"),
    "complex": np.full((6, 5, 4, 3), 1j),
    "dates": np.zeros((6, 5, 4, 3), "M8[s]"),
    "objects": np.full((6, 5, 4, 3), object()),
    "ragged": [[1.0, 2.0], [3.0]],
    "nothing": None,
    "a dict": {},
    "interrupted": Interrupting(),
    "other channels": np.ones((6, 5, 4, 7)),
}
REFUSALS = (TypeError, ValueError, KeyboardInterrupt)

# --- views -----------------------------------------------------------------------------------------------------------


def misaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(x.tobytes(), np.uint8)
    return np.ndarray(x.shape, x.dtype, raw.data, offset=1)


def field(x):
    record = np.zeros(x.shape, np.dtype([("before", "u1"), ("x", x.dtype)]))
    record["x"] = x
    return record["x"]


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


#: Other ways to have the elements of an array in memory.
VIEWS = {
    "F order": np.asfortranarray,
    "flipped": lambda x: x[::-1, ..., ::-1].copy()[::-1, ..., ::-1],
    "turned": lambda x: np.ascontiguousarray(x.swapaxes(0, -1)).swapaxes(0, -1),
    "gaps between channels": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "gaps between samples": lambda x: np.repeat(x, 3, axis=0)[::3],
    "misaligned": misaligned,
    "a field of records": field,
    "read-only": read_only,
}
