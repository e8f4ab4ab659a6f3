"""A pytest plugin that puts planish in scikit-learn's place, for scikit-learn's own tests."""

import sklearn.preprocessing
from planish.scalers import functions as _functions
from planish.scalers import maxabs as _maxabs
from planish.scalers import minmax as _minmax
from planish.scalers import normalizer as _normalizer
from planish.scalers import robust as _robust
from planish.scalers import standard as _standard

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
