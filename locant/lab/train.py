"""The one training loop: the same for every encoding, and the same again after a kill."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from locant.encodings import Builder, build
from locant.lab.adamw import AdamW
from locant.lab.evaluate import by_length, measure
from locant.lab.problems import Problem
from locant.lab.run import LATER, Run
from locant.lab.store import RunFolder, write_json, write_tensors
from locant.machine.arithmetic import computing, narrowed
from locant.model import Decoder

BETAS = (0.9, 0.98)
WARM_UP = 0.1  # share of the steps over which the learning rate rises
CLIP = 1.0  # largest norm of the gradient
LOG_EVERY = 10  # steps between two lines of training loss
CURVE_TOKENS = 4096  # targets of the test part on which the curve is measured

Progress = Callable[[int, float], None]
"""Called after each step with the number of steps done and the training loss in nats."""


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate at a step from 0: a linear rise, then half a cosine down to 0."""
    rise = max(1, round(WARM_UP * steps))
    return min((step + 1) / rise, 0.5 * (1 + math.cos(math.pi * step / steps)))


def finite(loss: float, step: int) -> float:
    """The loss. Raises FloatingPointError if it is not finite."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"expected a finite loss, was: {loss} at step {step}")
    return loss


class Training:
    """A run in progress: the model, the optimiser, and how far it is."""

    def __init__(self, run: Run, problem: Problem, folder: RunFolder, extra: dict[str, Builder] | None = None,
                 device: str | None = None) -> None:  # fmt: skip
        """device: the very one, where there are several of the run's kind."""
        self.run, self.problem, self.folder = run, problem, folder
        self.device = torch.device(device or run.device)
        encoding = build(run.encoding, width=run.width, heads=run.heads, layers=run.layers, length=run.context,
                         columns=run.columns, extra=extra)  # fmt: skip
        self.model = Decoder(encoding, width=run.width, heads=run.heads, layers=run.layers, hidden=run.hidden,
                             vocabulary=problem.vocabulary, attention=run.attention)  # fmt: skip
        self.model.reset_parameters(run.seed)  # on the processor, so that all devices start from the same numbers
        self.model.to(self.device)
        self.parameters = list(self.model.parameters())
        matrices = [p for p in self.parameters if p.ndim > 1]
        others = [p for p in self.parameters if p.ndim <= 1]
        self.optimiser = AdamW([(matrices, run.weight_decay), (others, 0.0)], BETAS)
        self.done, self.seconds = 0, 0.0
        self.curve: list[dict[str, float]] = []

    def resume(self) -> None:
        """Goes back to the last checkpoint, if there is one."""
        if self.folder.checkpoint.exists():
            state = torch.load(self.folder.checkpoint, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.done, self.seconds, self.curve = state["done"], state["seconds"], state["curve"]
        self.folder.rewind(self.done)

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "done": self.done,
                 "seconds": self.seconds, "curve": self.curve}  # fmt: skip
        write_tensors(self.folder.checkpoint, state)

    def step(self) -> float:
        """One update; returns the loss in nats before it. Raises FloatingPointError if the loss is not finite."""
        run, started = self.run, time.perf_counter()
        batch = self.problem.batch(run.seed, self.done, run.batch, run.context)
        tokens, targets = (each.to(self.device) for each in batch)
        with narrowed(run.precision, run.device):
            logits = self.model(tokens).float()
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        self.optimiser.forget_gradients()
        loss.backward()
        self._clip()
        self.optimiser.step(run.learning_rate * rate(self.done, run.steps))
        self.done += 1
        self.seconds += time.perf_counter() - started
        return finite(loss.item(), self.done)

    def _clip(self) -> None:
        """``clip_grad_norm_``, without its multiplication by 1 where nothing is clipped."""
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        # Elsewhere, to ask would be to wait. That epsilon is torch's; a norm that is not finite goes this way.
        if self.device.type != "cpu" or not norm + 1e-6 <= CLIP:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, CLIP, norm)

    def begin(self, snapshots: int) -> None:
        """Keeps the weights of the start, if they are to be kept and this is it."""
        if self.done == 0 and 0 in _snapshot_steps(self.run.steps, snapshots):
            self.folder.keep(0, self.model.state_dict())

    def pause(self, snapshots: int) -> int:
        """The next step after which something besides the loss is due, or a line of it."""
        run = self.run
        due = self._points() | _snapshot_steps(run.steps, snapshots) | {run.steps}
        return min({step for step in due if step > self.done} | {(self.done // LOG_EVERY + 1) * LOG_EVERY})

    def _points(self) -> set[int]:
        """The steps after which the test value is measured."""
        return {round(self.run.steps * (i + 1) / self.run.curve_points) for i in range(self.run.curve_points)}

    def note(self, loss: float, snapshots: int) -> None:
        """Writes down what is due after this step: the training loss, a point of the curve, the weights."""
        run, lines = self.run, []
        if self.done % LOG_EVERY == 0 or self.done == run.steps:
            lines.append({"step": self.done, "training_loss": loss})
        if self.done in self._points():
            self.point()
            lines.append(self.curve[-1])
        if lines:
            self.folder.log(lines)
        if self.done in _snapshot_steps(run.steps, snapshots):
            self.folder.keep(self.done, self.model.state_dict())

    def point(self) -> None:
        """Adds the test value at this step to the curve."""
        run = self.run
        found = measure(self.model, self.problem, run.part, run.context, CURVE_TOKENS, run.precision)
        self.curve.append({"step": self.done, "value": found["value"]})


def train(run: Run, problem: Problem, out: Path, *, progress: Progress = lambda done, loss: None,
          checkpoint_seconds: float = 10.0, extra: dict[str, Builder] | None = None,
          snapshots: int = 0, machine: Mapping[str, Any] | None = None,
          device: str | None = None) -> dict[str, Any]:  # fmt: skip
    """Trains a run to its end, from the last checkpoint if there is one, and records the result.

    Every checkpoint holds all that the rest of the run depends on, so that a run which was killed ends with the very
    numbers of one that was not. ``snapshots``: how often the weights are kept, evenly over the steps; the last are
    those of the trained model, and with more than one the first are those of the start. machine: choices that the
    record is to name beside the run's own. device: the very one, where there are several of the run's kind.
    Returns the result, which is also in ``result.json``.
    """
    folder = RunFolder(out, run)
    if (found := folder.result()) is not None:
        return found
    write_json(folder.path / "run.json", {"id": run.id, **asdict(run)})
    training = Training(run, problem, folder, extra, device)
    training.resume()
    training.begin(snapshots)
    saved = time.monotonic()
    with computing(run.gemm, run.kernels):
        while training.done < run.steps:
            loss = training.step()
            progress(training.done, loss)
            training.note(loss, snapshots)
            if time.monotonic() - saved > checkpoint_seconds and training.done < run.steps:
                training.save()
                saved = time.monotonic()
        return finish(training, machine or {})


def _snapshot_steps(steps: int, count: int) -> set[int]:
    if count < 2:
        return {steps} if count else set()
    return {round(steps * i / (count - 1)) for i in range(count)}


def finish(training: Training, machine: Mapping[str, Any]) -> dict[str, Any]:
    """Measures a trained model and records the result. machine: choices beside the run's own."""
    run, model = training.run, training.model
    lengths = by_length(model, training.problem, run.part, run.eval_lengths, run.eval_tokens, run.precision)
    value = next((row["value"] for row in lengths if row["length"] == run.context), None)
    if value is None:
        value = measure(model, training.problem, run.part, run.context, run.eval_tokens, run.precision)["value"]
    result = {
        "id": run.id,
        "run": asdict(run),
        "metric": training.problem.metric,
        "value": value,
        "by_length": lengths,
        "curve": training.curve,
        "parameters": sum(p.numel() for p in model.parameters()),
        "attention": model.attention,
        "choices": {**{name: getattr(run, name) for name in LATER}, "attention": model.attention, **machine},
        "seconds": training.seconds,
        "tokens_per_second": run.tokens / training.seconds,
        "torch": torch.__version__,
    }
    training.folder.finish(result)
    return result
