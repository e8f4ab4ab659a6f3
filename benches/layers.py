"""Jobs of the normalisation layers."""

from functools import partial

import numpy as np
from measuring import Job, copy, optional, read, torch
from planish import layers

#: A layer of a network for pictures, and one of a language model.
PICTURES, TOKENS = (64, 256, 56, 56), (16384, 768)


def numpy_layer_norm(x, gamma, beta):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gamma + beta


def numpy_rms_norm(x, gamma):
    return x / np.sqrt(np.mean(np.square(x), -1, keepdims=True) + 1e-5) * gamma


def onnx_session(name, opset, inputs, **attributes):
    """Run one operator of ONNX Runtime, where PyTorch is not installed."""
    onnx, runtime = optional("onnx"), optional("onnxruntime")
    if onnx is None or runtime is None or torch is not None:
        return {}
    from onnx import TensorProto, helper

    names = [f"i{i}" for i in range(len(inputs))]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in zip(names, inputs, strict=True)]
    result = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node(name, names, ["o"], **attributes)], "one", infos, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = dict(zip(names, inputs, strict=True))
    return {"ONNX Runtime": lambda: session.run(None, feed)}


def torch_forward(x, gamma, beta):
    """PyTorch's functions, by the name of the layer."""
    if torch is None:
        return {}
    functional = torch.nn.functional
    x, gamma, beta = (torch.from_numpy(value) for value in (x, gamma, beta))
    mean, var = torch.zeros_like(gamma), torch.ones_like(gamma)
    last = x.shape[-1:]
    functions = {
        "batch_norm, training": lambda: functional.batch_norm(x, mean, var, gamma, beta, True),
        "batch_norm, inference": lambda: functional.batch_norm(x, mean, var, gamma, beta, False),
        "instance_norm": lambda: functional.instance_norm(x, weight=gamma, bias=beta),
        "group_norm": lambda: functional.group_norm(x, 32, gamma, beta),
        "layer_norm": lambda: functional.layer_norm(x, last, gamma, beta),
        "rms_norm": lambda: functional.rms_norm(x, last, gamma),
    }

    def without_gradients(function):
        with torch.no_grad():
            return function()

    return {name: {"PyTorch": partial(without_gradients, function)} for name, function in functions.items()}


def torch_backward(x, dy, gamma):
    """PyTorch's gradients: what autograd does after the forward pass, by the name of the layer."""
    if torch is None:
        return {}
    functional = torch.nn.functional
    x, gamma = (torch.from_numpy(value).requires_grad_() for value in (x, gamma))
    dy = torch.from_numpy(dy)
    beta = torch.zeros_like(gamma).requires_grad_()

    def peer(forward, inputs):
        result = []

        def run():
            if not result:
                result.append(forward())
            return torch.autograd.grad(result[0], inputs, dy, retain_graph=True)

        return {"PyTorch": run}

    last, all_of_them = x.shape[-1:], (x, gamma, beta)
    return {
        "batch_norm": peer(lambda: functional.batch_norm(x, None, None, gamma, beta, True), all_of_them),
        "instance_norm": peer(lambda: functional.instance_norm(x, weight=gamma, bias=beta), all_of_them),
        "group_norm": peer(lambda: functional.group_norm(x, 32, gamma, beta), all_of_them),
        "layer_norm": peer(lambda: functional.layer_norm(x, last, gamma, beta), all_of_them),
        "rms_norm": peer(lambda: functional.rms_norm(x, last, gamma), (x, gamma)),
    }


def into_and_new(name, function, out, limit, peers, size):
    """The same job into a given array and into a new one."""
    yield Job(f"{name}, into out=", lambda: function(out=out), limit, peers, size)
    yield Job(f"{name}, new array", function, None, peers, size)


def picture_jobs(scale, rng):
    x = rng.normal(size=(max(int(PICTURES[0] * scale), 2), *PICTURES[1:])).astype(np.float32)
    gamma, beta = rng.normal(1, 0.1, (2, x.shape[1])).astype(np.float32)
    mean, var = np.zeros_like(gamma), np.ones_like(gamma)
    out, size = np.empty_like(x), 2 * x.nbytes
    theirs = torch_forward(x, gamma, beta)
    running = {"running_mean": mean, "running_var": var}
    train, infer = (partial(layers.batch_norm, x, gamma, beta, training=mode, **running) for mode in (True, False))
    reading, copying = read(x), copy(x, out)

    def read_and_copy():
        reading()
        copying()

    limit = ("read + copy", read_and_copy)
    yield from into_and_new("batch_norm, training", train, out, limit, theirs.get("batch_norm, training", {}), size)
    peers = theirs.get("batch_norm, inference") or onnx_session(
        "BatchNormalization", 15, [x, gamma, beta, mean, var], epsilon=1e-5
    )
    yield from into_and_new("batch_norm, inference", infer, out, ("copy", copying), peers, size)
    peers = theirs.get("instance_norm") or onnx_session("InstanceNormalization", 6, [x, gamma, beta], epsilon=1e-5)
    run = partial(layers.instance_norm, x, gamma, beta)
    yield from into_and_new("instance_norm", run, out, ("copy", copying), peers, size)
    peers = theirs.get("group_norm") or onnx_session(
        "GroupNormalization", 21, [x, gamma, beta], epsilon=1e-5, num_groups=32
    )
    run = partial(layers.group_norm, x, 32, gamma, beta)
    yield from into_and_new("group_norm, 32 groups", run, out, ("copy", copying), peers, size)
    dy = rng.normal(size=x.shape).astype(np.float32)
    theirs = torch_backward(x, dy, gamma)
    for name, backward in (
        ("batch_norm", partial(layers.batch_norm_backward, dy, x, gamma)),
        ("instance_norm", partial(layers.instance_norm_backward, dy, x, gamma)),
        ("group_norm", partial(layers.group_norm_backward, dy, x, 32, gamma)),
    ):
        yield Job(f"{name} backward, into out=", partial(backward, out=out), None, theirs.get(name, {}), 3 * x.nbytes)


def token_jobs(scale, rng):
    x = rng.normal(size=(max(int(TOKENS[0] * scale), 2), TOKENS[1])).astype(np.float32)
    gamma, beta = rng.normal(1, 0.1, (2, x.shape[1])).astype(np.float32)
    out, size = np.empty_like(x), 2 * x.nbytes
    theirs, limit = torch_forward(x, gamma, beta), ("copy", copy(x, out))
    peers = theirs.get("layer_norm") or onnx_session("LayerNormalization", 17, [x, gamma, beta], epsilon=1e-5)
    peers = {**peers, "NumPy": partial(numpy_layer_norm, x, gamma, beta)}
    yield from into_and_new("layer_norm", partial(layers.layer_norm, x, gamma, beta), out, limit, peers, size)
    peers = theirs.get("rms_norm") or onnx_session("RMSNormalization", 23, [x, gamma], epsilon=1e-5)
    peers = {**peers, "NumPy": partial(numpy_rms_norm, x, gamma)}
    yield from into_and_new("rms_norm", partial(layers.rms_norm, x, gamma), out, limit, peers, size)
    dy = rng.normal(size=x.shape).astype(np.float32)
    theirs = torch_backward(x, dy, gamma)
    for name, backward in (
        ("layer_norm", partial(layers.layer_norm_backward, dy, x, gamma)),
        ("rms_norm", partial(layers.rms_norm_backward, dy, x, gamma)),
    ):
        yield Job(f"{name} backward, into out=", partial(backward, out=out), None, theirs.get(name, {}), 3 * x.nbytes)
    row = x[:1].copy()
    yield Job("layer_norm of one row of 768", lambda: layers.layer_norm(row, gamma, beta), None, {}, row.nbytes, 5000)


def jobs(scale):
    """Every comparison of layers."""
    rng = np.random.default_rng(0)
    yield from picture_jobs(scale, rng)
    yield from token_jobs(scale, rng)
