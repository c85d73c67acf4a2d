"""Several seeds of one encoding as one program: small models leave a core waiting for instructions, not for numbers.

The parameters of all models stand in one tensor per name, with the model first; ``torch.func.vmap`` runs the model
that we have over them. Every model keeps its batches, its clipping, its curve and its record.
"""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from locant.lab.adamw import AdamW
from locant.lab.run import Run
from locant.lab.store import write_tensors
from locant.lab.train import BETAS, CLIP, Training, finite, rate
from locant.machine.arithmetic import narrowed

LARGEST = 8  # models in one program
TOLERANCE = 1e-5  # of the first loss, between a model in the stack and alone
ELSEWHERE = {"fp32": 1e-4, "bf16": 1e-2}  # on a GPU, whose products of stacks are other kernels with other sums


class Stack:
    """Runs that differ in their seed only, in progress together. The models of the trainings are views into the stack.

    Raises ValueError for runs that differ in more, and for an encoding that cannot be stacked.
    """

    def __init__(self, members: Sequence[Training], out: Path) -> None:
        self.members = list(members)
        if len({_but_for_the_seed(member.run) for member in members}) != 1:
            raise ValueError("expected runs that differ in their seed only, was: other differences")
        self.run, self.device = members[0].run, members[0].device
        self.checkpoint = checkpoint(out, [member.run for member in members])
        models = [member.model for member in members]
        try:
            parameters, self.buffers = stack_module_state(models)
        except RuntimeError as error:
            raise ValueError(f"expected models that can be stacked, was: {_line(error)}") from error
        self.parameters = {name: nn.Parameter(tensor.detach().clone()) for name, tensor in parameters.items()}
        self.base = models[0]
        self._check()
        for index, model in enumerate(models):
            for name, parameter in model.named_parameters():
                parameter.data = self.parameters[name].data[index]
        matrices = [p for p in self.parameters.values() if p.ndim > 2]
        others = [p for p in self.parameters.values() if p.ndim <= 2]
        self.optimiser = AdamW([(matrices, self.run.weight_decay), (others, 0.0)], BETAS)

    @property
    def done(self) -> int:
        return self.members[0].done

    def resume(self) -> None:
        """Goes back to the last common checkpoint, if there is one."""
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, weights_only=True)
            with torch.no_grad():
                for name, parameter in self.parameters.items():
                    parameter.copy_(state["parameters"][name])
            self.optimiser.load_state_dict(state["optimiser"])
            for member, seconds, curve in zip(self.members, state["seconds"], state["curves"], strict=True):
                member.done, member.seconds, member.curve = state["done"], seconds, curve
        for member in self.members:
            member.folder.rewind(member.done)

    def save(self) -> None:
        parameters = {name: parameter.detach() for name, parameter in self.parameters.items()}
        state = {"parameters": parameters, "optimiser": self.optimiser.state_dict(), "done": self.done,
                 "seconds": [m.seconds for m in self.members], "curves": [m.curve for m in self.members]}  # fmt: skip
        write_tensors(self.checkpoint, state)

    def step(self) -> list[float]:
        """One update of every model, on the processor; returns the losses before it, and gives each run its time.

        Raises FloatingPointError if one of the losses is not finite.
        """
        run, started = self.run, time.perf_counter()
        losses = self.update(*self.batch(self.done), run.learning_rate * rate(self.done, run.steps))
        self.count(1, time.perf_counter() - started)
        return [finite(value, self.done) for value in losses.tolist()]

    def update(self, tokens: Tensor, targets: Tensor, learning_rate: float | Tensor) -> Tensor:
        """One update of every model on its own batch, ``[model, batch, time]``; the losses before it, ``[model]``.

        On another device than the processor it only says what is to be done there, and waits for none of it.
        """
        losses = self._losses(tokens, targets)
        self.optimiser.forget_gradients()
        losses.sum().backward()
        self._clip()
        self.optimiser.step(learning_rate)
        return losses.detach()

    def count(self, steps: int, seconds: float) -> None:
        """Notes steps that were made, and gives each run its share of the time that they took."""
        for member in self.members:
            member.done += steps
            member.seconds += seconds / len(self.members)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Tokens and targets of a step, ``[model, batch, time]``, on the processor."""
        run = self.run
        each = [m.problem.batch(m.run.seed, step, run.batch, run.context) for m in self.members]
        tokens, targets = (torch.stack(some) for some in zip(*each, strict=True))
        return tokens, targets

    def _losses(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """The training loss of every model on its own batch."""

        def logits(parameters: dict[str, Tensor], buffers: dict[str, Tensor], tokens: Tensor) -> Any:
            return functional_call(self.base, (parameters, buffers), (tokens,))

        with narrowed(self.run.precision, self.device.type):
            every: Tensor = vmap(logits)(dict(self.parameters), self.buffers, tokens)
        pairs = zip(every.float().unbind(0), targets.unbind(0), strict=True)
        return torch.stack([F.cross_entropy(one.flatten(0, 1), wanted.flatten()) for one, wanted in pairs])

    def _clip(self) -> None:
        """Each model's gradient to a norm of at most ``CLIP``, as torch does it."""
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norms = torch.stack([g.reshape(len(g), -1).norm(dim=1) for g in gradients]).norm(dim=0)
        shares = (CLIP / (norms + 1e-6)).clamp(max=1.0)
        # Elsewhere, to ask would be to wait.
        if self.device.type != "cpu" or not bool((shares == 1.0).all()):
            for gradient in gradients:
                gradient.mul_(shares.view(-1, *[1] * (gradient.ndim - 1)))

    @torch.no_grad()
    def _check(self) -> None:
        """Raises ValueError if vmap cannot run the encoding, or if the models do something else than alone."""
        tokens, targets = (each.to(self.device) for each in self.batch(0))
        try:
            stacked = self._losses(tokens, targets)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise ValueError(f"expected an encoding that can be stacked, was: {_line(error)}") from error
        close = TOLERANCE if self.device.type == "cpu" else ELSEWHERE[self.run.precision]
        for index, (member, loss) in enumerate(zip(self.members, stacked, strict=True)):
            with narrowed(self.run.precision, self.device.type):
                logits = member.model(tokens[index]).float()
            alone = F.cross_entropy(logits.flatten(0, 1), targets[index].flatten())
            if not torch.allclose(loss, alone, rtol=close, atol=close):
                raise ValueError(f"expected the loss {alone:.7g} of the model alone in the stack too, was: {loss:.7g}")


def checkpoint(out: Path, runs: Sequence[Run]) -> Path:
    """Where runs that train together keep their common state."""
    name = hashlib.sha256("/".join(run.id for run in runs).encode()).hexdigest()[:20]
    return out / "stacks" / f"{name}.pt"


def _but_for_the_seed(run: Run) -> tuple[Any, ...]:
    return tuple(value for name, value in vars(run).items() if name != "seed")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
