"""Labels that NumPy does not keep as they are, and what belongs to a group whatever its label."""

import numpy as np
import pandas as pd
import planish
import pytest
from planish import GroupedScaler, RobustScaler, StandardScaler

pytestmark = pytest.mark.dependencies

X = np.array([[1.0], [2.0], [3.0], [4.0]])
LARGE = [0xF000000000000001, 0xF000000000000002, 0x1000000000000001, 0x1000000000000002]


@pytest.mark.parametrize("make", [lambda y: np.array(y, np.uint64), lambda y: np.array(y, object), list, tuple])
def test_integers_on_both_sides_of_63_bits(make, tmp_path):
    scaler = GroupedScaler(StandardScaler()).fit(X, groups=make(LARGE))
    assert scaler.groups_.tolist() == sorted(LARGE)
    assert [scaler.scalers_[label].mean_.item() for label in LARGE] == [1, 2, 3, 4]
    assert not scaler.transform(X, groups=make(LARGE)).any()
    planish.save(scaler, tmp_path / "x.json")
    assert list(planish.load(tmp_path / "x.json").scalers_) == sorted(LARGE)


def test_lists_of_large_numbers():
    near = [2**53, 2**53 + 1, 2**53, 2**53 + 1]
    assert len(GroupedScaler(StandardScaler()).fit(X, groups=near).groups_) == 2
    assert len(GroupedScaler(StandardScaler()).fit(X, groups=[*near[:3], 0.5]).groups_) == 3
    assert len(GroupedScaler(StandardScaler()).fit(X, groups=[2**70, -(2**70), 2**70, 5]).groups_) == 3


def test_large_integers_later():
    scaler = GroupedScaler(StandardScaler()).fit(X, groups=np.full(4, LARGE[0], np.uint64))
    scaler.partial_fit(X, groups=np.full(4, 5, np.uint64)).merge(scaler)
    assert scaler.groups_.tolist() == list(scaler.scalers_) == [5, LARGE[0]]


@pytest.mark.parametrize("labels", [["a\0", "a", "a\0", "a"], ["", "\0", "", "\0"]])
def test_strings_that_end_in_zeros(labels):
    scaler = GroupedScaler(StandardScaler()).fit(X, groups=labels)
    assert list(scaler.scalers_) == sorted(set(labels))
    assert scaler.scalers_[labels[0]].mean_ == 2


def test_masked_labels_are_missing():
    with pytest.raises(ValueError, match=r"groups has 1 missing label"):
        GroupedScaler(StandardScaler()).fit(X, groups=np.ma.array([1, 2, 1, 2], mask=[0, 0, 0, 1]))
    fitted = GroupedScaler(StandardScaler()).fit(X, groups=np.ma.array([1, 2, 1, 2]))
    assert fitted.groups_.tolist() == [1, 2]


DATES = np.array(["2020-01-01", "2021-01-01"] * 2, "M8[D]")


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
@pytest.mark.parametrize("make", [np.asarray, pd.Series, pd.Categorical])
def test_dates_are_the_same_in_any_unit(unit, make):
    scaler = GroupedScaler(StandardScaler()).fit(X, groups=make(DATES.astype(f"M8[{unit}]")))
    for other in ("D", "ms", "ns"):
        assert scaler.transform(X, groups=DATES.astype(f"M8[{other}]")).shape == X.shape
    with pytest.raises(ValueError, match="not fitted"):
        scaler.transform(X, groups=DATES.astype("M8[ns]").astype(int))
    spans = DATES - DATES[0]
    scaler = GroupedScaler(StandardScaler()).fit(X, groups=make(spans.astype(f"m8[{unit}]")))
    assert scaler.transform(X, groups=spans).shape == X.shape


def test_dates_that_are_no_microseconds():
    with pytest.raises(ValueError, match="whole microseconds"):
        GroupedScaler(StandardScaler()).fit(X, groups=np.array([1, 2, 1, 2], "M8[ns]"))


def test_infinite_labels_in_files(tmp_path):
    for labels in ([np.inf, -np.inf] * 2, [1.0, np.inf] * 2):
        scaler = GroupedScaler(StandardScaler()).fit(X, groups=labels)
        planish.save(scaler, tmp_path / "x.json")
        again = planish.load(tmp_path / "x.json")
        assert list(again.scalers_) == sorted(set(labels))
        assert again.transform(X, groups=labels).tobytes() == scaler.transform(X, groups=labels).tobytes()


@pytest.mark.parametrize("more", [{}, {"mask": np.ones((4, 1), bool)}])
@pytest.mark.parametrize("blocks", [None, 2])
def test_group_without_weight(more, blocks):
    scaler = GroupedScaler(StandardScaler(n_blocks=blocks))
    with pytest.raises(ValueError, match="all weights are zero in the groups 2; a sample of positive weight"):
        scaler.fit(X, groups=[1, 2, 1, 2], sample_weight=[1, 0, 1, 0], **more)
    assert not vars(scaler).keys() & {"scalers_", "groups_"}


@pytest.mark.parametrize("way", ["fit", "partial_fit"])
def test_blocks_of_all_samples(way):
    """They are dealt as if there were no groups: a few bad ones reach a few blocks."""
    x = np.random.default_rng(0).normal(5, 2, size=(1000, 1))
    x[17] = 1e8
    scaler = getattr(GroupedScaler(StandardScaler(n_blocks=10), unseen="global"), way)(x, groups=np.arange(1000) // 50)
    assert scaler.global_scaler_.mean_ == StandardScaler(n_blocks=10).fit(x).mean_


def test_a_process_forked_meanwhile(tmp_path):
    """No lock is held that a child would wait for."""
    import os
    import threading

    if not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    x, y = np.random.default_rng(0).normal(size=(50_000, 4)), np.arange(50_000) % 300
    scaler, stop = GroupedScaler(RobustScaler()).fit(x, groups=y), threading.Event()

    def loop():
        while not stop.is_set():
            scaler.transform(x, groups=y)

    threads = [threading.Thread(target=loop) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            child = os.fork()
            if child == 0:
                import signal

                signal.alarm(20)  # a child that hangs is killed
                os._exit(0 if scaler.transform(x, groups=y).shape == x.shape else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
