"""M3a: how much of a token, and of a position, the best linear reader can still tell from their sum."""

from dataclasses import dataclass

import torch
from torch import Tensor

from locant.xray.metric import Metric, absent
from locant.xray.moments import Moments, haar
from locant.xray.overlap import check_widths


@dataclass(frozen=True)
class Wiener:
    """Share of the variance of tokens, and of positions, that a linear reader recovers from the sum."""

    token: float
    position: float


def wiener(token_covariance: Tensor, position_covariance: Tensor) -> Wiener:
    """R^2 of the linear estimate of one part from x = W_v + P_p, with v and p drawn independently.

    `token` = tr(S_W (S_W + S_P)^+ S_W) / tr S_W, `position` likewise with S_P in front (Wiener filter); 1, 1 for
    orthogonal tables and 1/(1 + s^2), s^2/(1 + s^2) where P has the isotropic covariance of W scaled by s^2.
    Eigenvalues of the sum below d eps of the largest count as 0.
    """
    energies, directions = torch.linalg.eigh(token_covariance + position_covariance)
    kept = energies > len(energies) * torch.finfo(torch.float64).eps * energies[-1]
    scaled = directions[:, kept] / energies[kept].sqrt()

    def recovered(covariance: Tensor) -> float:
        return float((covariance @ scaled).square().sum() / covariance.trace())

    return Wiener(recovered(token_covariance), recovered(position_covariance))


def loss_of_sum(tokens: Moments, positions: Moments, *, rotations: int = 10, seed: int = 0) -> dict[str, Metric]:
    """`wiener_token` and `wiener_position` (see `wiener`); baseline: the mean over uniformly random rotations of P.

    Above the baseline the two tables avoid each other more than their spectra alone would have them. The note gives
    the range over the rotations.

    Raises:
        ValueError: for tables of unequal width or fewer than 1 rotation.
    """
    check_widths(tokens, positions)
    if rotations < 1:
        raise ValueError(f"expected at least 1 rotation, was: {rotations}")
    rows = tokens.rows + positions.rows
    if tokens.total == 0 or positions.total == 0:
        return {name: absent("all rows of a table are equal", n=rows) for name in ("wiener_token", "wiener_position")}
    value, chances = wiener(tokens.covariance, positions.covariance), []
    generator = torch.Generator().manual_seed(seed)
    for _ in range(rotations):
        turn = haar(tokens.width, generator)
        chances.append(wiener(tokens.covariance, turn @ positions.covariance @ turn.T))
    return {
        "wiener_token": _against(value.token, [chance.token for chance in chances], rows),
        "wiener_position": _against(value.position, [chance.position for chance in chances], rows),
    }


def _against(value: float, chances: list[float], rows: int) -> Metric:
    note = f"R^2; {len(chances)} random rotations of the positions give {min(chances):.4g} to {max(chances):.4g}"
    return Metric(value, sum(chances) / len(chances), rows, note=note)
