"""Decoders that solve for the amplitudes of all rows: least squares and a linear programme in the box."""

import numpy as np
import torch
from torch import Tensor

from locant.capacity.decoders.inputs import check


def least_squares(sums: Tensor, table: Tensor, members: int) -> Tensor:
    """The K largest of ``x = argmin |y - A x|²``: ascending ``[batch, members]``.

    Where the rows are independent (V <= d), ``x = (G⁻¹ A' y)`` is 1 for members and 0 otherwise for every K, without
    noise. Cost: 2dV² flops once, 2dV for each sum; V² numbers. Solved by QR in the type of the table.

    Raises:
        ValueError: for more rows than columns, dependent rows, and as `inputs.check`.
    """
    sums, table = check(sums, table, members)
    if len(table) > table.shape[1]:
        raise ValueError(f"expected at most {table.shape[1]} rows, one for each column, was: {len(table)}")
    basis, triangle = torch.linalg.qr(table.T)
    diagonal = triangle.diagonal().abs()
    if float(diagonal.min()) <= float(diagonal.max()) * len(table) * torch.finfo(table.dtype).eps:
        raise ValueError(f"expected independent rows, was: row {int(diagonal.argmin())} in the span of those before it")
    amplitudes = torch.linalg.solve_triangular(triangle, basis.T @ sums.T, upper=True)
    return amplitudes.T.topk(members, dim=1).indices.sort(dim=1).values


def box(sums: Tensor, table: Tensor, members: int) -> Tensor:
    """The K largest of some x in the box ``0 <= x <= 1`` with the least ``|y - A x|_1``: ``[batch, members]``.

    Without noise that least is 0, and x is unique, hence right, with probability ``P(Bin(V-1, ½) >= V-d)`` for rows in
    general position and *any* K: the threshold is ``d = V/2`` (Donoho and Tanner 2010). Members beyond the reach of
    every greedy decoder are found there. K is used only to round x, which finds some sets where x is not unique too.

    One linear programme for each sum by HiGHS, in float64 on the CPU whatever the device; ``V + 2d`` variables, some
    milliseconds at V=100 and minutes at V=5000. Memory ``16 d (V + 2)`` bytes.

    Raises:
        ValueError: as `inputs.check`.
        RuntimeError: where HiGHS gives up, with its words.
    """
    from scipy import sparse
    from scipy.optimize import linprog

    exact, table = check(sums, table, members)
    width, items = table.shape[1], len(table)
    matrix = table.T.double().numpy(force=True)
    sides = sparse.hstack([sparse.csc_array(matrix), sparse.eye_array(width), -sparse.eye_array(width)], format="csc")
    cost = np.concatenate([np.zeros(items), np.ones(2 * width)])
    bounds = np.stack([np.zeros_like(cost), np.where(cost == 0, 1.0, np.inf)], axis=1)
    found = []
    for target in exact.double().numpy(force=True):
        result = linprog(cost, A_eq=sides, b_eq=target, bounds=bounds, method="highs")
        if result.status != 0:
            raise RuntimeError(f"expected HiGHS to find an optimum, was: {result.message}")
        found.append(np.sort(np.argpartition(-result.x[:items], members - 1)[:members]))
    return torch.from_numpy(np.stack(found)).to(sums.device)
