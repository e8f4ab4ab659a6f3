"""Normalisation layers of deep learning for NumPy arrays, forward and backward.

========================================= ===========================================================
`batch_norm`, `layer_norm`,               what networks are made of, on arrays of any strides
`instance_norm`, `group_norm`,
`rms_norm`, `ada_norm`
`standardize`                             the general case: any axes
`batch_norm_backward`, ...                gradients of each of them
`BatchNorm`                               batch normalisation that keeps its running statistics
`adaptive_grad_clip`, `clip_by_norm`      gradients that are kept from being too large
========================================= ===========================================================

Statistics are of float64 and results of the dtype of the input. The meaning of every parameter is PyTorch's.
"""

from planish._names import no_attribute
from planish.layers._ada_norm import ada_norm, ada_norm_backward
from planish.layers._batch_norm import BatchNorm
from planish.layers._clipping import adaptive_grad_clip, clip_by_norm
from planish.layers._forward import batch_norm, group_norm, instance_norm, layer_norm, rms_norm, standardize
from planish.layers._gradients import (
    Gradients,
    batch_norm_backward,
    group_norm_backward,
    instance_norm_backward,
    layer_norm_backward,
    rms_norm_backward,
    standardize_backward,
)

__all__ = [
    "BatchNorm",
    "Gradients",
    "ada_norm",
    "ada_norm_backward",
    "adaptive_grad_clip",
    "batch_norm",
    "batch_norm_backward",
    "clip_by_norm",
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "rms_norm",
    "rms_norm_backward",
    "standardize",
    "standardize_backward",
]


def __getattr__(name: str) -> object:
    raise no_attribute("planish.layers", __all__, name)


def __dir__() -> list[str]:
    return __all__
