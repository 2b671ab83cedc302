"""The linear head on fixed features, shared by the contestants that cache them."""

import numpy
from scipy.optimize import minimize
from scipy.special import logsumexp

# The objective of ec2train: mean cross-entropy + L2 / 2 * |W|^2 on centred and scaled features.
L2_PENALTY = 1e-3
MAX_ITERATIONS = 100
# Largest element of the gradient at which the fit has converged.
TOLERANCE = 1e-4


def fit(features, targets, num_classes):
    """Fits `[N, 2048] f32` features; returns weight `[classes, 2048] f32` and bias `[classes] f32`.

    Full-batch L-BFGS: the problem is convex and smooth, and a step is two matrix products over all rows.
    SciPy's, because torch.optim loads torch's compiler first, which takes two seconds. Centring and
    scaling are folded back into the layer.
    """
    mean = features.mean(0)
    inputs = features - mean
    scale = numpy.sqrt(numpy.square(inputs).mean()) + 1e-12
    inputs /= scale
    shape = num_classes, features.shape[1]
    rows = numpy.arange(len(targets))

    def objective(parameters):
        parameters = parameters.astype("f4")
        weight, bias = parameters[num_classes:].reshape(shape), parameters[:num_classes]
        logits = inputs @ weight.T + bias
        log_probabilities = logits - logsumexp(logits, axis=1, keepdims=True)
        loss = -log_probabilities[rows, targets].mean() + L2_PENALTY / 2 * numpy.vdot(weight, weight)
        by_logits = numpy.exp(log_probabilities)
        by_logits[rows, targets] -= 1
        by_logits /= len(targets)
        by_weight = by_logits.T @ inputs + L2_PENALTY * weight
        return float(loss), numpy.concatenate([by_logits.sum(0), by_weight.ravel()]).astype("f8")

    start = numpy.zeros(num_classes + num_classes * features.shape[1])
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS, "gtol": TOLERANCE})
    weight = (found.x[num_classes:].reshape(shape) / scale).astype("f4")
    return weight, found.x[:num_classes].astype("f4") - weight @ mean


def top1(features, targets, weight, bias):
    """Fraction of rows whose largest logit is the target's."""
    return float(((features @ weight.T + bias).argmax(1) == targets).mean())
