"""`planish.layers` beside PyTorch and ONNX Runtime, which nobody here wrote."""

import numpy as np
import pytest
from planish import layers


def close(ours, theirs, dtype, n=1):
    """Within what sums of `n` terms in `dtype` may be off: theirs are taken in it, ours in double precision."""
    bound = 8 * np.sqrt(n) * np.finfo(dtype).eps
    assert ours.dtype == dtype
    assert np.abs(ours - theirs).max() <= bound * max(1.0, np.abs(theirs).max())


def samples(shape, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(
        a.astype(dtype) for a in (rng.normal(1, 2, shape), rng.normal(1, 0.5, shape[1]), rng.normal(size=shape[1]))
    )


# --- ONNX Runtime ----------------------------------------------------------------------------------------------------


def onnx_node(name, inputs, opset, outputs=1, **attributes):
    """Run one operator."""
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    helper = onnx.helper
    names = [f"i{i}" for i in range(len(inputs))]
    kinds = [helper.np_dtype_to_tensor_dtype(value.dtype) for value in inputs]
    results = [f"o{i}" for i in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(name, names, results, **attributes)],
        "one",
        [helper.make_tensor_value_info(n, kind, v.shape) for n, kind, v in zip(names, kinds, inputs, strict=True)],
        [helper.make_tensor_value_info(result, kinds[0], None) for result in results],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(names, inputs, strict=True)))


SHAPES = [(4, 6, 5, 7), (2, 8, 33), (3, 4, 5, 2, 6)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_onnx_batch_norm(shape):
    x, gamma, beta = samples(shape)
    mean, var = np.full(shape[1], 0.5, np.float32), np.linspace(1, 3, shape[1], dtype=np.float32)
    theirs = onnx_node("BatchNormalization", [x, gamma, beta, mean, var], 15, epsilon=1e-5)[0]
    ours = layers.batch_norm(x, gamma, beta, running_mean=mean, running_var=var, training=False)
    close(ours, theirs, np.float32)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_onnx_instance_norm(shape):
    x, gamma, beta = samples(shape)
    theirs = onnx_node("InstanceNormalization", [x, gamma, beta], 6, epsilon=1e-5)[0]
    close(layers.instance_norm(x, gamma, beta), theirs, np.float32, np.prod(shape[2:]))


@pytest.mark.parametrize("shape", [(4, 6, 5, 7), (2, 8, 33)], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_onnx_group_norm(shape, groups):
    x, gamma, beta = samples(shape)
    theirs = onnx_node("GroupNormalization", [x, gamma, beta], 21, epsilon=1e-5, num_groups=groups)[0]
    close(layers.group_norm(x, groups, gamma, beta), theirs, np.float32, np.prod(shape[1:]))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("last", [1, 2])
def test_onnx_layer_norm(shape, last):
    x, _, _ = samples(shape)
    rng = np.random.default_rng(1)
    gamma, beta = (rng.normal(size=shape[-last:]).astype(np.float32) for _ in range(2))
    theirs = onnx_node("LayerNormalization", [x, gamma, beta], 17, axis=-last, epsilon=1e-5)[0]
    ours = layers.layer_norm(x, gamma, beta, axis=tuple(range(-last, 0)))
    close(ours, theirs, np.float32, np.prod(shape[-last:]))


def test_onnx_rms_norm():
    x, _, _ = samples((4, 6, 50))
    gamma = np.linspace(-1, 2, 50, dtype=np.float32)
    theirs = onnx_node("RMSNormalization", [x, gamma], 23, axis=-1, epsilon=1e-5)[0]
    close(layers.rms_norm(x, gamma), theirs, np.float32, 50)


# --- PyTorch ---------------------------------------------------------------------------------------------------------


def torch_and_functional():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (several GB)")
    return torch, torch.nn.functional


@pytest.mark.parametrize("shape", [(4, 6), *SHAPES, (16, 8, 40, 41)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch(shape, dtype):
    torch, functional = torch_and_functional()
    x, gamma, beta = samples(shape, dtype)
    dy = np.random.default_rng(2).normal(size=shape).astype(dtype)
    weight, shift = (np.random.default_rng(3).normal(size=(2, shape[-1]))).astype(dtype)

    def tensors(*values):
        return [torch.from_numpy(value.copy()).requires_grad_() for value in values]

    def compare(y, found, inputs, result):
        n = x.size // min(shape)
        close(y, result.detach().numpy(), dtype, n)
        result.backward(torch.from_numpy(dy))
        for ours, tensor in zip(found, inputs, strict=False):
            close(ours.astype(dtype), tensor.grad.numpy(), dtype, n)

    mean, var = np.zeros(shape[1], dtype), np.ones(shape[1], dtype)
    their_mean, their_var = torch.from_numpy(mean.copy()), torch.from_numpy(var.copy())
    inputs = tensors(x, gamma, beta)
    result = functional.batch_norm(inputs[0], their_mean, their_var, *inputs[1:], True, 0.1, 1e-5)
    y = layers.batch_norm(x, gamma, beta, running_mean=mean, running_var=var)
    compare(y, layers.batch_norm_backward(dy, x, gamma), inputs, result)
    close(mean, their_mean.numpy(), dtype, x.size)
    close(var, their_var.numpy(), dtype, x.size)

    inputs = tensors(x, gamma, beta)
    result = functional.batch_norm(inputs[0], their_mean, their_var, *inputs[1:], False, 0.1, 1e-5)
    known = {"running_mean": their_mean.numpy(), "running_var": their_var.numpy(), "training": False}
    y = layers.batch_norm(x, gamma, beta, **known)
    compare(y, layers.batch_norm_backward(dy, x, gamma, **known), inputs, result)

    inputs = tensors(x, gamma, beta)
    result = functional.group_norm(inputs[0], 2, *inputs[1:])
    compare(layers.group_norm(x, 2, gamma, beta), layers.group_norm_backward(dy, x, 2, gamma), inputs, result)

    if len(shape) > 2:
        inputs = tensors(x, gamma, beta)
        result = functional.instance_norm(inputs[0], weight=inputs[1], bias=inputs[2])
        y = layers.instance_norm(x, gamma, beta)
        compare(y, layers.instance_norm_backward(dy, x, gamma), inputs, result)

    inputs = tensors(x, weight, shift)
    result = functional.layer_norm(inputs[0], shape[-1:], *inputs[1:])
    compare(layers.layer_norm(x, weight, shift), layers.layer_norm_backward(dy, x, weight), inputs, result)

    inputs = tensors(x, weight)
    result = functional.rms_norm(inputs[0], shape[-1:], inputs[1], eps=1e-5)
    compare(layers.rms_norm(x, weight), layers.rms_norm_backward(dy, x, weight)[:2], inputs, result)
