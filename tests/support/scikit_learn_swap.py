"""A pytest plugin that puts planish in scikit-learn's place, for scikit-learn's own tests."""

import sklearn.preprocessing
from planish import _functions, _maxabs, _minmax, _normalizer, _robust, _standard

CLASSES = [
    _standard.StandardScaler,
    _minmax.MinMaxScaler,
    _maxabs.MaxAbsScaler,
    _robust.RobustScaler,
    _normalizer.Normalizer,
]
FUNCTIONS = [
    _functions.scale,
    _functions.minmax_scale,
    _functions.maxabs_scale,
    _functions.robust_scale,
    _functions.normalize,
]


def pytest_configure():
    for thing in CLASSES + FUNCTIONS:
        setattr(sklearn.preprocessing, thing.__name__, thing)
