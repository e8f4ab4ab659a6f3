"""Objects in files: the same bits after loading, and files that are whole at any time."""

import json
import os
import pickle
import stat
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from planish import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
    dumps,
    load,
    loads,
    save,
)
from planish.stats import Extrema, Moments
from saved_objects import RNG, STATES, TABLE, assert_same, bits, doubled, exercise, named, quietly

pytestmark = pytest.mark.dependencies


@pytest.fixture(params=STATES)
def obj(request):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return STATES[request.param]()


# --- round trips -----------------------------------------------------------------------------------------------------


def test_the_same_object_comes_back(obj, tmp_path):
    path = tmp_path / "object.json"
    before = bits(obj)
    assert save(obj, path) is None
    assert bits(obj) == before
    text = dumps(obj)
    assert bits(obj) == before
    assert text.encode() == path.read_bytes()
    assert_same(obj, load(path))
    assert_same(obj, load(str(path)))
    json.loads(path.read_text("utf-8"), parse_constant=pytest.fail)
    again = tmp_path / "again.json"
    save(load(path), again)
    assert again.read_bytes() == path.read_bytes()
    assert_same(obj, loads(text))
    assert dumps(loads(text)) == text


def test_it_goes_on_with_the_same_bits(obj, tmp_path):
    save(obj, tmp_path / "object.json")
    loaded = load(tmp_path / "object.json")
    if isinstance(obj, MinMaxScaler) and "_exact" not in vars(loaded):
        vars(obj).pop("_exact", None)
    assert quietly(exercise, obj) == quietly(exercise, loaded)


#: Squares of larger numbers overflow, and such moments cannot be put back.
SIDES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=5)
FLOATS = hnp.arrays(np.float64, SIDES, elements=st.floats(-1e150, 1e150) | st.just(np.nan)) | hnp.arrays(
    st.sampled_from([np.float16, np.float32]), SIDES, elements={"allow_infinity": False}
)
INTEGERS = hnp.arrays(
    st.sampled_from([np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64, np.bool_]),
    SIDES,
)


@settings(max_examples=150, deadline=None)
@given(X=FLOATS | INTEGERS, axis=st.sampled_from([-1, 0, None, (0, 1)]))
def test_of_any_numbers(X, axis):
    for cls in (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler):
        scaler = quietly(cls(channel_axis=axis).fit, X)
        loaded = loads(dumps(scaler))
        assert_same(scaler, loaded)
        assert bits(quietly(scaler.transform, X)) == bits(quietly(loaded.transform, X))
        if cls is not RobustScaler:
            assert_same(quietly(scaler.partial_fit, X), quietly(loaded.partial_fit, X))
    for cls in (Moments, Extrema):
        state = cls(axis).update(X)
        loaded = loads(dumps(state))
        assert_same(state, loaded)
        assert_same(state + state, loaded + state)
        assert_same(state.update(X), loaded.update(X))


@given(st.lists(st.floats(width=64), min_size=1, max_size=20), st.sampled_from(["float64", "float32", "float16"]))
def test_every_float_has_its_bits(values, dtype):
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        center = np.array(values).astype(dtype)
    scaler = RobustScaler.from_stats(np.zeros(len(values)))
    scaler.center_ = center
    # NaN has many bits, of which the sign is kept.
    loaded = loads(dumps(scaler)).center_
    assert np.array_equal(loaded, center, equal_nan=True)
    assert np.array_equal(np.signbit(loaded), np.signbit(center))
    assert loaded.dtype == dtype


def test_shapes_of_scalars(tmp_path):
    scaler = StandardScaler.from_stats(0.5, 2.0, channel_axis=None)
    for value in (np.float64(0.5), np.array(0.5)):
        scaler.mean_ = value
        save(scaler, tmp_path / "s.json")
        assert type(load(tmp_path / "s.json").mean_) is type(value)


def test_sums_of_128_bits_are_exact_and_readable(tmp_path):
    moments = doubled(Moments(None).update(np.full(3, -(2**31), np.int32)), 50)
    save(moments, tmp_path / "m.json")
    sums = json.loads((tmp_path / "m.json").read_text())["state"]["sums"]
    assert sums == {"count": [3 * 2**50], "sum": [-3 * 2**81], "sum_of_squares": [3 * 2**112]}
    save(Moments().update(np.array([[0.5, -(2.0**-149)], [0.75, 0.0]])), tmp_path / "m.json")
    sums = json.loads((tmp_path / "m.json").read_text())["state"]["sums"]
    assert sums == {"count": [2, 2], "sum": ["0x5p-2", "-0x1p-149"], "sum_of_squares": ["0xdp-4", "0x1p-298"]}


def test_names_can_be_read(tmp_path):
    save(named(StandardScaler()), tmp_path / "s.json")
    assert "größe" in (tmp_path / "s.json").read_text("utf-8")
    assert load(tmp_path / "s.json").get_feature_names_out().tolist() == ["a", "größe", 'x"[{:\\', ""]
    scaler = StandardScaler().fit(TABLE)
    scaler.feature_names_in_ = np.array(["\ud800", "\U0001f600", "\0", "\n"], dtype=object)
    save(scaler, tmp_path / "s.json")
    assert load(tmp_path / "s.json").feature_names_in_.tolist() == scaler.feature_names_in_.tolist()


def test_files_of_the_first_version(tmp_path):
    """Files that people have: they must be read for ever."""
    scaler = """{"planish": 1, "class": "StandardScaler",
        "parameters": {"channel_axis": -1, "copy": true, "dtype": null, "with_mean": true, "with_std": true},
        "state": {"n_features_in_": 2, "feature_names_in_": ["a", "b"], "set_output": {"transform": "default"},
        "n_samples_seen_": {"dtype": "int64", "value": 2},
        "mean_": {"dtype": "float64", "shape": [2], "values": [2.0, "nan"]},
        "var_": {"dtype": "float64", "shape": [2], "values": [1.0, "nan"]},
        "scale_": {"dtype": "float64", "shape": [2], "values": [1.0, "nan"]},
        "statistics": {"parameters": {"channel_axis": -1, "ddof": 0.0}, "state": {"shape": [2], "weighted": false,
        "floats": {"weight": [2.0, 0.0], "weight_low": [0.0, 0.0], "mean": [2.0, 0.0], "mean_low": [0.0, 0.0],
        "m2": [2.0, 0.0], "m2_low": [0.0, 0.0]},
        "integers": {"count": [1, 0], "sum": [5, 0], "sum_of_squares": [25, 0]}}}}}"""
    (tmp_path / "s.json").write_text(scaler)
    loaded = load(tmp_path / "s.json")
    assert loaded.mean_[0] == 2
    assert loaded._statistics.mean[0] == 3
    extrema = """{"planish": 1, "class": "Extrema", "parameters": {"channel_axis": [0, -1]},
        "state": {"shape": [1, 2], "count": [3, 0], "min": [-1.5, "inf"], "max": ["inf", "-inf"]}}"""
    (tmp_path / "e.json").write_text(extrema)
    assert load(tmp_path / "e.json").max[0, 0] == np.inf


# --- what is accepted ------------------------------------------------------------------------------------------------


class Mine(StandardScaler):
    pass


def test_only_objects_of_planish(tmp_path):
    from sklearn.preprocessing import StandardScaler as Theirs

    path = tmp_path / "x.json"
    for wrong in (Mine(), Theirs(), StandardScaler, None, 3, "x", np.ones(3), [Moments()]):
        with pytest.raises(TypeError, match="obj must be one of planish's StandardScaler, .*Moments.*; got a"):
            save(wrong, path)
    assert not path.exists()


@pytest.mark.parametrize("wrong", [3, b"x.json", None, 1.5, ["x"]])
def test_only_paths(wrong):
    for function in (lambda: save(Moments(), wrong), lambda: load(wrong)):
        with pytest.raises(TypeError, match="path must be a str"):
            function()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (StandardScaler(copy="yes"), "copy"),
        (StandardScaler(channel_axis=[1]), "channel_axis"),
        (StandardScaler(channel_axis=(1, 1)), "channel_axis"),
        (StandardScaler(dtype="int8"), "int8"),
        (MinMaxScaler((1, 0)), "feature range"),
        (MinMaxScaler([0, 1]), "feature_range"),
        (MinMaxScaler((0, np.inf)), "feature_range"),
        (RobustScaler(quantile_range=(-1, 50)), "quantile_range"),
        (Normalizer("l3"), "norm"),
        (StandardScaler().fit(TABLE).set_params(channel_axis=None), "channel_axis"),
        (StandardScaler(with_mean=False, with_std=False).fit(TABLE).set_params(with_std=True), "fitted without"),
    ],
)
def test_broken_objects_are_not_saved(tmp_path, wrong, says):
    path = tmp_path / "x.json"
    with pytest.raises(ValueError, match=f"cannot be saved: .*{says}"):
        save(wrong, path)
    assert not list(tmp_path.iterdir())


def test_attributes_of_the_wrong_kind_are_not_saved(tmp_path):
    for name, value in {
        "mean_": [1.0] * 4,
        "scale_": np.ones(3),
        "var_": np.ones(4, int),
        "n_samples_seen_": -1,
    }.items():
        scaler = StandardScaler().fit(TABLE)
        setattr(scaler, name, value)
        with pytest.raises(ValueError, match=f"this StandardScaler cannot be saved: .*{name}"):
            save(scaler, tmp_path / "x.json")


def test_accumulators_and_images_need_no_scikit_learn(tmp_path):
    code = """
import sys, planish
assert "planish.files.saving" not in sys.modules
from planish.stats import Extrema, MedianOfMeans, Moments
for obj in (Moments().update([[1.0]]), Extrema(), planish.ImageNormalizer.imagenet()):
    planish.save(obj, sys.argv[1])
    assert planish.load(sys.argv[1]) == obj
assert "sklearn" not in sys.modules and "pickle" not in dir(sys.modules["planish.files.saving"])
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.json")], check=True, timeout=60)


# --- whole files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_a_failing_write_changes_nothing(tmp_path, monkeypatch, call, error):
    path = tmp_path / "object.json"
    save(Moments().update([[1.0]]), path)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)):
        save(Moments().update([[2.0]]), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["object.json"]


def test_it_is_on_disk_before_it_has_the_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, _name=name, _real=real: (calls.append(_name), _real(*args))[1])
    save(Moments(), tmp_path / "x.json")
    assert calls == ["fsync", "replace", *["fsync"] * (os.name == "posix")]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_are_kept(tmp_path):
    path = tmp_path / "object.json"
    save(Moments(), path)
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode
    for mode in (0o600, 0o640, 0o444):
        path.chmod(mode)
        save(Moments().update([[1.0]]), path)
        assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
def test_links_stay_links(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real" / "object.json")
    save(Moments(), link)
    assert link.is_symlink()
    assert load(tmp_path / "real" / "object.json") == Moments()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no regular file"):
        load(tmp_path / "pipe")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        load(tmp_path / "x.json")
    assert raised.value.filename == str(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError) as raised:
        save(Moments(), tmp_path / "folder" / "x.json")
    assert raised.value.filename == str(tmp_path / "folder" / "x.json")
    for function in (lambda: load(tmp_path), lambda: save(Moments(), tmp_path)):
        with pytest.raises(OSError):  # noqa: PT011 (which one depends on the system)
            function()


def test_readers_never_see_half_a_file(tmp_path):
    path = tmp_path / "object.json"
    states = [Moments().update(RNG.normal(size=(3, n))) for n in (1, 500)]
    save(states[0], path)
    done = threading.Event()

    def write():
        try:
            for turn in range(40):
                save(states[turn % 2], path)
        finally:
            done.set()

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    while not done.is_set():
        assert load(path) in states
    for writer in writers:
        writer.join()
    assert [entry.name for entry in tmp_path.iterdir()] == ["object.json"]


def test_names_that_look_like_structure(tmp_path):
    """What is in strings is no part of the file, wherever it is cut while its parts are counted."""
    names = [f'{"[{:" * 9}\\"{i}\\\\' for i in range(50_000)]
    pd = pytest.importorskip("pandas")
    scaler = StandardScaler().fit(pd.DataFrame(np.eye(2, 50_000), columns=names))
    save(scaler, tmp_path / "names.json")
    assert load(tmp_path / "names.json").feature_names_in_.tolist() == names


def test_sums_that_overflowed(tmp_path):
    with np.errstate(all="ignore"):
        moments = Moments().update([[1.797e308], [0.0], [-1.797e308]])
    save(moments, tmp_path / "moments.json")
    np.testing.assert_array_equal(load(tmp_path / "moments.json").var, moments.var)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(moments)).mean, moments.mean)
