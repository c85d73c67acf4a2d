"""M12: how well position can be read from hidden states, by closed-form probes fitted and tested on different texts."""

import torch
from torch import Tensor

from locant.xray.metric import Metric, absent


class Probe:
    """A linear discriminant and a ridge regression for the slot of a state, in one pass over the texts.

    The first ``train`` contexts give slot means ``[time, width]`` and second moments ``[width, width]`` (float64); once
    they are in, the probes are solved and the other contexts are judged as they come. States wider than ``columns`` are
    projected on that many random directions. Split by context: neighbours of a token never stand on both sides.

    Discriminant: ``argmax_t x' A m_t - m_t' A m_t / 2``, ``A = (S + a tr(R) / d I)^-1`` with the covariances ``S``
    within slots and ``R`` in total. Ridge: ``t`` on ``x`` with ``R`` and the same ``a``.
    """

    def __init__(self, contexts: int, time: int, *, train: int | None = None, shrink: float = 1e-3, first: int = 0,
                 columns: int = 1024, seed: int = 0) -> None:  # fmt: skip
        self.train = contexts * 3 // 4 if train is None else train
        if not 2 <= self.train <= contexts - 2 or time - first < 3:
            raise ValueError(f"expected at least 2 texts to fit, 2 to test and 3 slots, was: {self.train}, "
                             f"{contexts - self.train} and {time - first}")  # fmt: skip
        self.contexts, self.time, self.first, self.shrink, self.columns = contexts, time - first, first, shrink, columns
        self.generator = torch.Generator().manual_seed(seed)
        self.origin: Tensor | None = None
        self.solved = False
        self.fitted = 0
        self.right: list[Tensor] = []
        self.missed: list[Tensor] = []
        self.ridge: list[Tensor] = []
        self.squared: list[Tensor] = []

    def add(self, x: Tensor, rows: slice) -> None:
        """Takes in the states ``[rows, time, width]`` of the contexts ``rows``, which come in order."""
        x = x[:, self.first :]
        known = self.train - rows.start
        x = self._narrow(x)
        if known > 0:
            self._fit(x[:known])
        if known < len(x):
            self._judge(x[max(0, known) :])

    def _narrow(self, x: Tensor) -> Tensor:
        if self.origin is None:
            width = x.shape[-1]
            self.project = None
            if width > self.columns:
                drawn = torch.randn(width, self.columns, generator=self.generator, dtype=torch.float64)
                self.project = (drawn / self.columns**0.5).to(x.device)
        x = x.double()
        x = x if self.project is None else x @ self.project
        if self.origin is None:
            self.origin = x.mean((0, 1))
            self.sums, self.moment = x.new_zeros(x.shape[1:]), x.new_zeros(x.shape[-1], x.shape[-1])
        return x - self.origin

    def _fit(self, x: Tensor) -> None:
        flat = x.flatten(0, 1)
        self.sums += x.sum(0)
        self.moment += flat.T @ flat
        self.fitted += len(x)

    def _solve(self) -> None:
        if self.fitted != self.train:
            raise ValueError(f"expected the {self.train} texts to fit first, was: {self.fitted}")
        n, width = self.train * self.time, self.moment.shape[0]
        means, centre = self.sums / self.train, self.sums.sum(0) / n
        slots = torch.arange(self.time, dtype=torch.float64, device=means.device)
        total = self.moment / n - torch.outer(centre, centre)
        between = (means - centre).T @ (means - centre) / self.time
        eye = torch.eye(width, dtype=torch.float64, device=means.device)
        scale = float(total.trace()) / width
        self.flat = not scale > 0
        ridge = self.shrink * (scale if scale > 0 else 1.0)
        self.weight = torch.linalg.solve(total - between + ridge * eye, means.T)  # [width, time]
        self.offset = -0.5 * (means.T * self.weight).sum(0)
        along = ((slots - slots.mean())[:, None] * means).mean(0)
        self.slope = torch.linalg.solve(total + ridge * eye, along)
        self.level = slots.mean() - centre @ self.slope
        self.solved = True

    def _judge(self, x: Tensor) -> None:
        if not self.solved:
            self._solve()
        slots = torch.arange(self.time, device=x.device)
        guess = (x @ self.weight + self.offset).argmax(-1)
        read = x @ self.slope + self.level
        self.right.append((guess == slots).double().mean(1))
        self.missed.append((guess - slots).abs().double().mean(1))
        self.ridge.append((read.round().clamp(0, self.time - 1) - slots).abs().mean(1))
        self.squared.append((read - slots).square().mean(1))


def probe_metrics(probe: Probe) -> dict[str, Metric]:
    """M12 for one layer: ``accuracy`` and ``error`` of the discriminant, ``ridge_error`` and ``ridge_r2``.

    Errors are mean absolute distances in slots, the ridge's guess rounded; chance is ``1 / T`` and
    ``(T^2 - 1) / (3 T)``, and 0 for R². Intervals: Student's t over the texts that were tested; none where all of them
    give the same, as from no spread nothing follows about other texts.
    """
    names = ("accuracy", "error", "ridge_error", "ridge_r2")
    if not probe.right:
        raise ValueError("expected texts to test, was: none")
    if probe.flat:
        return {name: absent("the states do not vary") for name in names}
    time = probe.time
    chance = (time**2 - 1) / (3 * time)
    variance = (time**2 - 1) / 12
    squared = 1 - torch.cat(probe.squared) / variance
    return {
        "accuracy": _over_texts(torch.cat(probe.right), 1 / time, "discriminant, on texts it was not fitted on"),
        "error": _over_texts(torch.cat(probe.missed), chance, "discriminant, mean absolute error in slots"),
        "ridge_error": _over_texts(torch.cat(probe.ridge), chance, "ridge, mean absolute error in slots"),
        "ridge_r2": _over_texts(squared, 0.0, "ridge, on texts it was not fitted on"),
    }


def _over_texts(values: Tensor, baseline: float, note: str) -> Metric:
    from scipy.special import stdtrit

    n, mean = len(values), float(values.mean())
    if not float(values.std()) > 0:
        return Metric(mean, baseline, n, None, f"{note}, the same in all {n}")
    half = float(values.std()) / n**0.5 * float(stdtrit(n - 1, 0.975))
    return Metric(mean, baseline, n, (mean - half, mean + half), note)
