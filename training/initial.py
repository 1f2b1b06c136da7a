"""Weights to begin with, for every parameter: transformers leaves the experts and their routers as they are."""

import math

import torch
from torch import nn

EMBEDDING = 0.05
GAIN = 0.6


@torch.no_grad()
def initialise(model: nn.Module) -> None:
    """Normal with a deviation of 0.6 / sqrt(inputs); embeddings 0.05; norms one, biases zero."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.ndim == 1:
            parameter.fill_(1.0)
        elif "embed" in name:
            parameter.normal_(0, EMBEDDING)
        else:  # experts are (experts, out, in)
            inputs = parameter.shape[-1] if parameter.ndim == 3 else parameter[0].numel()
            parameter.normal_(0, GAIN / math.sqrt(inputs))
