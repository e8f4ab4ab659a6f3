"""Every class is described whole: its parameters, and what it learns."""

import inspect

import numpy as np
import planish
import pytest
from planish.files import objects
from planish.stats._state import FORMS
from sklearn.base import BaseEstimator

CLASSES = [objects.find(name) for name in objects.names()]
ESTIMATORS = [cls for cls in CLASSES if issubclass(cls, BaseEstimator) and cls is not planish.GroupedScaler]
X = np.arange(1.0, 13.0).reshape(4, 3)


def test_every_class_is_found():
    public = [getattr(m, n) for m in (planish, planish.stats, planish.layers) for n in m.__all__]
    classes = {thing for thing in public if inspect.isclass(thing) and thing.__name__[0].isupper()}
    assert classes - set(CLASSES) == {planish.layers.Gradients}


@pytest.mark.parametrize("cls", CLASSES)
def test_parameters(cls):
    given = FORMS[cls].given if cls in FORMS else cls._given
    if cls is not planish.layers.BatchNorm:  # which has two more, that its state tells
        assert {part.field for part in given.parts} == set(inspect.signature(cls).parameters)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_everything_learnt_is_described_and_forgotten(cls):
    scaler = cls().fit(X)
    parameters = set(scaler.get_params())
    described = {*cls._learned, "n_features_in_"}
    assert vars(scaler).keys() - parameters <= described
    cls._learned.reset(scaler)
    assert vars(scaler).keys() - parameters == {"n_features_in_"}


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_subclass_has_the_description(cls):
    class Mine(cls):
        pass

    assert Mine._given is cls._given
    assert Mine._parameter_constraints == cls._parameter_constraints
    assert Mine().fit(X).transform(X).tobytes() == cls().fit(X).transform(X).tobytes()
