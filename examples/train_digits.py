"""A small network learns handwritten digits, without and with normalisation.

How fast gradient descent converges depends on the condition number of the Hessian. For a layer of weights it is, but
for the error behind it, the Gram matrix of what the layer is given (Y. LeCun, L. Bottou, G. Orr, K.-R. Mueller,
"Efficient BackProp", 1998, section 5). Batch norm makes the inputs of each layer alike, and that number small: fewer
steps to the same loss. (Layer norm makes samples alike, not inputs: it helps by allowing a larger rate.)
"""

from itertools import pairwise

import numpy as np
from planish.layers import BatchNorm, layer_norm, layer_norm_backward
from sklearn.datasets import load_digits

WIDTHS = [64, 32, 32, 32, 32, 32, 10]
TARGET = 0.1
RATES = [0.03, 0.1, 0.3, 1.0]
STEPS = 200


class Network:
    """Linear layers with rectifiers between them; before each rectifier comes the normalisation, if any."""

    def __init__(self, kind, seed=0):
        rng = np.random.default_rng(seed)
        self.kind = kind
        self.weights = [rng.normal(size=(n, m)) / np.sqrt(n) for n, m in pairwise(WIDTHS)]
        self.biases = [np.zeros(m) for m in WIDTHS[1:]]
        self.norms = [BatchNorm(m) for m in WIDTHS[1:-1]]

    def normalize(self, i, x):
        if self.kind == "batch norm":
            return self.norms[i](x)
        return layer_norm(x) if self.kind == "layer norm" else x

    def differentiate(self, i, dy, x):
        if self.kind == "batch norm":
            return self.norms[i].backward(dy, x).dx
        return layer_norm_backward(dy, x).dx if self.kind == "layer norm" else dy

    def inputs(self, x):
        """What every linear layer is given, and what it gives."""
        given, linear = [x], []
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            linear.append(given[-1] @ weight + bias)
            if i < len(self.weights) - 1:
                given.append(np.maximum(self.normalize(i, linear[-1]), 0))
        return given, linear

    def step(self, x, labels, rate):
        """One step of gradient descent; the loss before it (cross entropy)."""
        given, linear = self.inputs(x)
        scores = linear[-1] - linear[-1].max(1, keepdims=True)
        probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        rows = np.arange(len(x))
        loss = -np.log(probabilities[rows, labels] + 1e-300).mean()
        dy = probabilities
        dy[rows, labels] -= 1
        dy /= len(x)
        for i in reversed(range(len(self.weights))):
            dx = dy @ self.weights[i].T
            self.weights[i] -= rate * (given[i].T @ dy)
            self.biases[i] -= rate * dy.sum(0)
            if i:
                dy = self.differentiate(i - 1, dx * (given[i] > 0), linear[i - 1])
        return loss


def condition(x):
    """Condition number of the Gram matrix of `x`, of the directions in which there is anything."""
    spectrum = np.linalg.eigvalsh(x.T @ x / len(x))
    spectrum = spectrum[spectrum > spectrum[-1] * 1e-12]
    return spectrum[-1] / spectrum[0]


def steps_to_target(kind, x, labels):
    """The fewest steps to the target over all rates, and the rate that took them."""
    best = STEPS, None
    for rate in RATES:
        network = Network(kind)
        for step in range(best[0]):
            with np.errstate(all="ignore"):
                loss = network.step(x, labels, rate)
            if not loss < 10:  # it diverges
                break
            if loss < TARGET:
                best = step, rate
                break
    return best


def main():
    images, labels = load_digits(return_X_y=True)
    images, labels = images[:600], labels[:600]
    print(f"steps of gradient descent to a loss of {TARGET} with {len(images)} digits, at the best of some rates, and")
    print("the largest condition number of the Gram matrices of what the layers are given, before training")
    steps = {}
    for kind in ("nothing", "layer norm", "batch norm"):
        steps[kind], rate = steps_to_target(kind, images, labels)
        number = max(condition(x) for x in Network(kind).inputs(images)[0][1:])
        reached = f"{steps[kind]:4d} steps at rate {rate}" if rate else f"not within {STEPS} steps"
        print(f"{kind:10}  {reached:24}  condition number {number:.2g}")
    assert steps["batch norm"] < steps["layer norm"] < steps["nothing"]


if __name__ == "__main__":
    main()
