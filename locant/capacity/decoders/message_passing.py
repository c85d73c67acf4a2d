"""Approximate message passing for sums of K rows: the best decoder known that is not a search."""

import math

import torch
from torch import Tensor

from locant.capacity.decoders.inputs import check, check_noise, check_rows, parts
from locant.capacity.decoders.scores import rounding

SURE = 80.0  # log-odds beyond which a probability is 0 or 1; keeps denormals out of the products
SETTLED = 1e-3  # a sum whose probabilities all move by less has settled


def amp(sums: Tensor, table: Tensor, members: int, *, iterations: int = 50, chunk: int | None = None) -> Tensor:
    """The K most probable rows by AMP with the Bernoulli prior K/V: ascending ``[batch, members]``.

    With ``n_j = |a_j|²/s`` and z, y in units of ``√s``, s the mean of ``|a_j|²``:

        z <- y - Σ x_j a_j + z_old Σ_j n_j x_j (1 - x_j) / (d τ²_old),      τ² = |z|²/d
        x_j <- sigmoid(n_j ((x_j + <a_j, z>/n_j) - 1/2)/τ² - ln((1 - ε)/ε)),    ε = K/V

    from ``x = ε, z = y - ε Σ a_j`` until no x moves (Donoho, Maleki and Montanari 2009; Bayes-optimal denoiser: Barbier
    and Krzakala 2015). For equal norms this is theirs; ours divides by the norm of each row, so that unequal norms are
    known and not fought. Its success on iid tables follows from state evolution. Correlated rows break it: `whiten`
    first, or use `vamp`.

    Cost: 4dV flops for each iteration (8 to 40 of them) and 5V numbers for each sum; less than OMP once K exceeds
    twice the iterations. Sums that have settled leave the batch. `chunk` sums are decoded at a time.

    Raises:
        ValueError: for fewer than 1 iteration, rows of zeros, and as `inputs.check`.
    """
    _check_iterations(iterations)
    sums, table = check(sums, table, members)
    if members == len(table):
        return _everything(sums, table)
    scale = 1 / math.sqrt(float(check_rows(table).square().mean()))
    table, sums = table * scale, sums * scale
    squares = table.square().sum(1)
    return torch.cat([_amp(sums[rows], table, squares, members, iterations) for rows in parts(len(sums), chunk)])


def _amp(sums: Tensor, table: Tensor, squares: Tensor, members: int, iterations: int) -> Tensor:
    items, width = table.shape
    share, prior = members / items, math.log((items - members) / members)
    found = torch.empty(len(sums), members, dtype=torch.long, device=sums.device)
    active = torch.arange(len(sums), device=sums.device)
    kind = torch.finfo(sums.dtype)
    smallest = sums.square().mean(1, keepdim=True) * kind.eps**2 + kind.tiny
    x, rest = sums.new_full((1, 1), share).expand(len(sums), items), sums - share * table.sum(0)
    for turn in range(iterations):
        variance = rest.square().mean(1, keepdim=True).maximum(smallest)
        odds = (rest @ table.T).addcmul_(x - 0.5, squares).div_(variance).sub_(prior).clamp_(-SURE, SURE)
        old, x = x, odds.sigmoid()
        moving = torch.linalg.vector_norm(x - old, ord=torch.inf, dim=1) > SETTLED
        if turn == iterations - 1 or not moving.all():
            found[active] = odds.topk(members, dim=1).indices
            active, sums, smallest = active[moving], sums[moving], smallest[moving]
            x, rest, variance = x[moving], rest[moving], variance[moving]
        if len(active) == 0:
            break
        memory = ((x - x * x) @ squares)[:, None] / (width * variance)
        rest = sums - x @ table + memory * rest
    return found.sort(dim=1).values


def vamp(
    sums: Tensor,
    table: Tensor,
    members: int,
    *,
    noise: float = 0.0,
    precision: torch.dtype | None = None,
    iterations: int = 50,
    chunk: int | None = None,
) -> Tensor:
    """The K most probable rows by vector AMP: ascending ``[batch, members]``.

    Alternates the posterior mean of each entry, given ``r1_j`` with Gaussian noise of precision ``g1_j``, with the
    linear estimate of all entries, given the sum and r2 of precision ``g2`` (Rangan, Schniter and Fletcher 2019,
    algorithm 3; also called OAMP). With ``A = U S V'``, D the gains ``s²/(s² + g2 σ²)`` and ``h = diag(V D V')``:

        r1 = (x_lin - (1-h) r2) / h,    g1 = g2 h / (1-h);    r2 = (x - k r1) / (1-k),    k = mean(g1 x (1-x))

    Theirs has the mean of h in place of each ``h_j``; with rows of unequal length that fails (0.0 instead of 1.0 of
    the sums at length spread 0.3, d=256, V=4096, K=30). Right for ill-conditioned tables, where AMP diverges; without
    noise it needs no whitening. `noise` is the variance for each coordinate; the rounding of a sum in `precision` (the
    type of the sums by default) is added to it.

    Cost: one decomposition, 6dV flops for each iteration and 8V numbers for each sum, and three copies of the table.

    Raises:
        ValueError: for bad noise or fewer than 1 iteration, and as `inputs.check`.
    """
    _check_iterations(iterations)
    check_noise(noise)
    precision = precision or sums.dtype
    sums, table = check(sums, table, members)
    if members == len(table):
        return _everything(sums, table)
    values, left = torch.linalg.eigh(table.double().T @ table.double())  # y = A x with A = table', left = its columns U
    keep = values > values[-1] * len(values) * torch.finfo(torch.float64).eps
    values, left = values[keep], left[:, keep]
    size = torch.diag(values.mean().expand(len(values))) * (members / len(table))
    floor = noise + rounding(sums.new_zeros(1), size, precision, table.dtype)
    right = (table.double() @ (left / values.sqrt())).to(table.dtype)  # [items, rank], orthonormal columns
    seen = ((sums.double() @ left) / values.sqrt()).to(table.dtype)
    precisions = (values / floor).to(table.dtype)
    found = [_vamp(seen[rows], right, precisions, members, iterations) for rows in parts(len(sums), chunk)]
    return torch.cat(found)


def _vamp(seen: Tensor, right: Tensor, precisions: Tensor, members: int, iterations: int) -> Tensor:
    """`seen` is what the sum says about each right singular direction, with noise of variance ``1 / precisions``."""
    items, share = len(right), members / len(right)
    prior, tiny = math.log((1 - share) / share), 1e-6
    squares = right.square().T.contiguous()
    r2, odds = seen.new_full((len(seen), items), share), seen
    g2 = seen.new_full((len(seen), 1), 1 / (share * (1 - share)))
    for _ in range(iterations):
        gain = precisions / (precisions + g2)
        linear = r2 + ((seen - r2 @ right) * gain) @ right.T
        kept = (1 - gain @ squares).clamp_(tiny, 1 - tiny)
        r1, g1 = (linear - kept * r2) / (1 - kept), g2 * (1 - kept) / kept
        odds = ((r1 - 0.5) * g1 - prior).clamp_(-SURE, SURE)
        x = odds.sigmoid()
        variance = x - x * x
        spread = variance.mean(1, keepdim=True)
        if bool((spread < tiny * share).all()):
            break
        kept = (g1 * variance).mean(1, keepdim=True).clamp(tiny, 1 - tiny)
        r2, g2 = (x - kept * r1) / (1 - kept), (1 - kept) / spread.clamp_min(tiny * share)
    return odds.topk(members, dim=1).indices.sort(dim=1).values


def _check_iterations(iterations: int) -> None:
    if iterations < 1:
        raise ValueError(f"expected at least 1 iteration, was: {iterations}")


def _everything(sums: Tensor, table: Tensor) -> Tensor:
    return torch.arange(len(table), device=sums.device).expand(len(sums), -1).clone()
