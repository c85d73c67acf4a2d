"""AdamW by PyTorch's fused kernel, without its ``Optimizer``, which loads the compiler and asks a lot every step."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

EPSILON = 1e-8


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2), in groups.

    groups: parameters, and how much of them decays in a step at a learning rate of 1. A parameter without gradient
    stays as it is and is not counted as updated, as in ``torch.optim.AdamW(..., fused=True)``, with which it agrees to
    the last bit.
    """

    def __init__(self, groups: Iterable[tuple[Iterable[Tensor], float]], betas: tuple[float, float]) -> None:
        self.groups = [(list(parameters), decay) for parameters, decay in groups]
        self.betas = betas
        self.state: list[tuple[Tensor, Tensor, Tensor]] = []
        """For every parameter in order: number of updates, mean of gradients, mean of their squares."""
        for parameter in self._parameters():
            steps = torch.zeros((), dtype=torch.float32, device=parameter.device)
            self.state.append((steps, torch.zeros_like(parameter), torch.zeros_like(parameter)))

    def _parameters(self) -> list[Tensor]:
        return [parameter for parameters, _ in self.groups for parameter in parameters]

    @torch.no_grad()
    def step(self, rate: float | Tensor) -> None:
        """One update of all parameters that have a gradient. rate: where they are, if it is a tensor."""
        states = iter(self.state)
        for parameters, decay in self.groups:
            mine = [(p, next(states)) for p in parameters]
            with_gradient = [(p, p.grad, *state) for p, state in mine if p.grad is not None]
            if with_gradient:
                some, gradients, steps, means, squares = (list(each) for each in zip(*with_gradient, strict=True))
                adamw(some, gradients, means, squares, [], steps, fused=True, amsgrad=False, beta1=self.betas[0],
                      beta2=self.betas[1], lr=rate, weight_decay=decay, eps=EPSILON, maximize=False)  # fmt: skip

    def forget_gradients(self) -> None:
        """Gradients are made anew in the next backward pass."""
        for parameters, _ in self.groups:
            for parameter in parameters:
                parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """What goes on from here: for every parameter the number of updates and both means."""
        return {"state": [list(each) for each in self.state]}

    def load_state_dict(self, found: dict[str, Any]) -> None:
        """The state of ``state_dict``, copied. Raises ValueError for another number of parameters."""
        if len(found["state"]) != len(self.state):
            raise ValueError(f"expected a state of {len(self.state)} parameters, was: {len(found['state'])}")
        for mine, theirs in zip(self.state, found["state"], strict=True):
            for one, other in zip(mine, theirs, strict=True):
                one.copy_(other)
