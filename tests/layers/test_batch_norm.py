"""`planish.layers.BatchNorm`."""

import copy
import json
import pickle

import numpy as np
import planish
import pytest
from planish.layers import BatchNorm, batch_norm, batch_norm_backward


def batches(count=5, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(2, 3, (8, channels, 4, 5)) for _ in range(count)]


def test_training_and_inference():
    norm = BatchNorm(3)
    mean, var = np.zeros(3), np.ones(3)
    for x in batches():
        assert np.array_equal(norm(x), batch_norm(x, np.ones(3), np.zeros(3), running_mean=mean, running_var=var))
    assert np.array_equal(norm.running_mean, mean)
    assert np.array_equal(norm.running_var, var)
    assert norm.num_batches == 5
    assert norm.eval() is norm
    x = batches(1, seed=9)[0]
    y = norm(x)
    known = {"running_mean": mean, "running_var": var, "training": False}
    assert np.array_equal(y, batch_norm(x, np.ones(3), np.zeros(3), **known))
    assert norm.num_batches == 5
    assert np.array_equal(norm.running_mean, mean)
    dy = np.ones_like(x)
    for ours, theirs in zip(norm.backward(dy, x), batch_norm_backward(dy, x, np.ones(3), **known), strict=True):
        assert np.array_equal(ours, theirs)
    norm.train()
    for ours, theirs in zip(norm.backward(dy, x), batch_norm_backward(dy, x, np.ones(3)), strict=True):
        assert np.array_equal(ours, theirs)


def test_mean_over_all_batches():
    norm = BatchNorm(3, momentum=None)
    data = batches()
    for x in data:
        norm(x)
    # Roundings of five steps.
    assert np.allclose(norm.running_mean, np.mean([x.mean((0, 2, 3)) for x in data], 0), rtol=1e-14)
    assert np.allclose(norm.running_var, np.mean([x.var((0, 2, 3), ddof=1) for x in data], 0), rtol=1e-14)


def test_empty_batches_do_not_count():
    norm = BatchNorm(3, momentum=None)
    norm(np.array([[5.0] * 3, [7.0] * 3]))
    norm(np.empty((0, 3)))
    norm(np.array([[11.0] * 3, [13.0] * 3]))
    assert norm.num_batches == 2
    assert np.array_equal(norm.running_mean, [9.0] * 3)


def test_merge_is_one_stream():
    data = batches(7)
    whole, first, second = (BatchNorm(3, momentum=None) for _ in range(3))
    for x in data:
        whole(x)
    for x in data[:3]:
        first(x)
    for x in data[3:]:
        second(x)
    assert first.merge(second) is first
    assert first.num_batches == 7
    assert np.allclose(first.running_mean, whole.running_mean, rtol=1e-14)
    assert np.allclose(first.running_var, whole.running_var, rtol=1e-14)
    before = copy.deepcopy(first)
    first.merge(BatchNorm(3))
    assert first == before
    empty = BatchNorm(3, momentum=None).merge(before)
    assert empty == before


def test_state():
    norm = BatchNorm(3, momentum=0.3)
    for x in batches(2):
        norm(x)
    norm.gamma[:] = [1.5, 0.1, 1 / 3]
    other = BatchNorm(3, momentum=0.3)
    other.state = json.loads(json.dumps(norm.state))
    assert other == norm
    x = batches(1, seed=4)[0]
    assert np.array_equal(other(x), norm(x))
    assert other == norm
    assert pickle.loads(pickle.dumps(norm)) == norm
    plain = BatchNorm(3, affine=False)
    assert plain.state["gamma"] is None
    again = BatchNorm(3, affine=False)
    again.state = plain.state
    assert again == plain
    assert again != norm
    for damage in (
        {"num_batches": -1},
        {"running_mean": [0.0]},
        {"beta": ["a", "b", "c"]},
        {"running_var": [1, -1, 1]},
        {"more": 1},
    ):
        with pytest.raises(ValueError, match=r"num_batches|running_mean|real numbers|a state has|negative"):
            other.state = {**norm.state, **damage}
    assert other == norm


def test_files(tmp_path):
    norm = BatchNorm(3, momentum=None, channel_axis=-1)
    norm(np.random.default_rng(1).normal(size=(50, 3)))
    path = tmp_path / "norm.json"
    planish.save({"first": norm.eval(), "second": BatchNorm(1, affine=False)}, path)
    again = planish.load(path)
    assert again == {"first": norm, "second": BatchNorm(1, affine=False)}
    assert np.array_equal(again["first"].running_var, norm.running_var)
    text = path.read_text()
    for old, new, says in (
        ('"training": false', '"training": 1', "training must be true or false"),
        ('"num_batches": 1', '"num_batches": -1', "num_batches must be an integer"),
        ('"eps": 1e-05', '"eps": -1', "eps must be"),
        ('"channel_axis": -1', '"channel_axis": 1e9', "channel_axis must be an integer"),
        ('"running_mean"', '"running"', "running_mean"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(ValueError, match=says):
            planish.load(path)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_folded_into_the_layer_before(dtype):
    rng = np.random.default_rng(5)
    weight, bias = rng.normal(size=(4, 6)).astype(dtype), rng.normal(size=4).astype(dtype)
    norm = BatchNorm(4)
    norm.gamma, norm.beta = rng.normal(size=4), rng.normal(size=4)
    x = rng.normal(size=(200, 6)).astype(dtype)
    for _ in range(3):
        norm(x @ weight.T + bias)
    norm.eval()
    folded, shift = norm.fold_into(weight, bias)
    assert folded.dtype == dtype
    assert shift.dtype == dtype
    # Products of six terms, each rounded; and those of the fold.
    bound = 40 * np.finfo(dtype).eps
    assert np.abs((x @ folded.T + shift) - norm(x @ weight.T + bias)).max() < bound * 10
    # A convolution of the other orientation.
    kernel = rng.normal(size=(6, 4, 3, 3))
    turned, _ = norm.fold_into(kernel, output_axis=1)
    scale = norm.gamma / np.sqrt(norm.running_var + norm.eps)
    assert np.allclose(turned, kernel * scale[None, :, None, None], rtol=1e-15)


def test_a_bias_before_is_absorbed():
    rng = np.random.default_rng(6)
    outputs, bias = rng.normal(size=(50, 4)), rng.normal(size=4) * 100
    with_bias, without = BatchNorm(4, momentum=1.0), BatchNorm(4, momentum=1.0)
    # The sum is rounded at the size of the bias.
    assert np.abs(with_bias(outputs + bias) - without(outputs)).max() < 1e3 * np.finfo(float).eps
    weight = rng.normal(size=(4, 6))
    ours, theirs = with_bias.fold_into(weight, bias), without.fold_into(weight)
    assert np.allclose(ours[0], theirs[0], rtol=1e-13)
    assert np.allclose(ours[1], theirs[1], atol=1e-12)


def test_bad_input():
    norm = BatchNorm(3)
    before = copy.deepcopy(norm)
    for call, error, says in (
        (lambda: norm(np.ones((2, 4))), ValueError, "this BatchNorm has 3"),
        (lambda: norm.backward(np.ones((2, 4)), np.ones((2, 4))), ValueError, "this BatchNorm has 3"),
        (lambda: norm(np.ones((1, 3))), ValueError, "more than one value"),
        (lambda: BatchNorm(0), ValueError, "num_channels"),
        (lambda: BatchNorm(2.0), TypeError, "num_channels"),
        (lambda: BatchNorm(2, momentum=2), ValueError, "momentum"),
        (lambda: BatchNorm(2, eps=-1), ValueError, "eps"),
        (lambda: BatchNorm(2, eps=None), TypeError, "eps must be a number"),
        (lambda: BatchNorm(2, momentum="a"), TypeError, "momentum must be a number"),
        (lambda: BatchNorm(2, channel_axis=1.5), TypeError, "channel_axis must be an int"),
        (lambda: BatchNorm(10**30), ValueError, "num_channels"),
        (lambda: norm.fold_into(np.ones((3, 3)), ["a"] * 3), ValueError, "bias must hold real numbers"),
        (lambda: norm.merge(BatchNorm(2)), ValueError, "channels"),
        (lambda: norm.merge(1), TypeError, "BatchNorm"),
        (lambda: norm.fold_into(np.ones((2, 3))), ValueError, "outputs along axis 0"),
        (lambda: norm.fold_into(np.ones((3, 3), int)), TypeError, "weight has dtype int64"),
        (lambda: norm.fold_into(np.ones((3, 3)), [1.0]), ValueError, "bias has shape"),
    ):
        with pytest.raises(error, match=says):
            call()
    assert norm == before


def test_repr():
    assert repr(BatchNorm(3)) == "BatchNorm(3, eps=1e-05, momentum=0.1, training=True)"
    expected = "BatchNorm(3, eps=1e-05, momentum=0.1, affine=False, channel_axis=-1, training=False)"
    assert repr(BatchNorm(3, affine=False, channel_axis=-1).eval()) == expected
