"""M3a: how much of a token, and of a position, the best linear reader can still tell from their sum."""

from dataclasses import dataclass

import torch
from torch import Tensor

from locant.xray.metric import Metric, absent
from locant.xray.moments import Moments, haar
from locant.xray.overlap import check_widths

ROTATED = 1024  # columns up to which rotations are drawn
SAFE = 1e-10  # least over greatest square of a factor's diagonal for which the sum is inverted by it


@dataclass(frozen=True)
class Wiener:
    """Share of the variance of tokens, and of positions, that a linear reader recovers from the sum."""

    token: float
    position: float


def wiener(token_covariance: Tensor, position_covariance: Tensor) -> Wiener:
    """R^2 of the linear estimate of one part from x = W_v + P_p, with v and p drawn independently.

    `token` = tr(S_W (S_W + S_P)^+ S_W) / tr S_W, `position` likewise with S_P in front (Wiener filter); 1, 1 for
    orthogonal tables and 1/(1 + s^2), s^2/(1 + s^2) where P has the isotropic covariance of W scaled by s^2.
    Eigenvalues of the sum below d eps of the largest count as 0; where Cholesky's factor shows that there are none,
    it is what the sum is inverted by, in a tenth of the time.
    """
    whole = token_covariance + position_covariance
    factor, failed = torch.linalg.cholesky_ex(whole)
    least, most = factor.diagonal().min() ** 2, factor.diagonal().max() ** 2
    if int(failed) == 0 and float(least) > SAFE * float(most):

        def recovered(covariance: Tensor) -> float:
            rest = torch.linalg.solve_triangular(factor, covariance, upper=False)
            return float(rest.square().sum() / covariance.trace())
    else:
        energies, directions = torch.linalg.eigh(whole)
        kept = energies > len(energies) * torch.finfo(torch.float64).eps * energies[-1]
        scaled = directions[:, kept] / energies[kept].sqrt()

        def recovered(covariance: Tensor) -> float:
            return float((covariance @ scaled).square().sum() / covariance.trace())

    return Wiener(recovered(token_covariance), recovered(position_covariance))


def rotated_limit(token_energies: Tensor, position_energies: Tensor) -> Wiener:
    """`wiener` after a uniformly random rotation of the positions, in the limit of large d, from the eigenvalues alone.

    (A + U B U')^-1 is on average (A + a I)^-1, and U (B + b I)^-1 U', in the traces that count, where a and b solve
    mean 1/(A + a) = mean 1/(B + b) = 1/(a + b): the subordination of free sums (Biane 1998; Belinschi and
    Bercovici 2007) at 0. So token = sum A^2/(A + a) / sum A. Where the ranks of A and B do not exceed d together,
    nothing is lost. Off by about 1/d^2 at width d; rotations at d = 200 agree to 3 digits.
    """
    from scipy.optimize import brentq

    width = len(token_energies)
    floor = width * torch.finfo(torch.float64).eps
    a_energies, b_energies = (e.where(e > floor * e.max(), 0.0) for e in (token_energies, position_energies))
    if int((a_energies > 0).sum() + (b_energies > 0).sum()) <= width:
        return Wiener(1.0, 1.0)

    def shift(energies: Tensor, g: float) -> float:
        """The x of 0 to 1/g with mean 1/(energies + x) = g; 0 where even that is below g."""
        if float(energies[energies > 0].reciprocal().sum()) / width <= g and bool((energies > 0).all()):
            return 0.0
        return float(brentq(lambda x: float((energies + x).reciprocal().mean()) - g, 1e-15 / g, 1 / g, rtol=1e-14))

    def excess(g: float) -> float:
        return shift(a_energies, g) + shift(b_energies, g) - 1 / g

    low = 1 / float(a_energies.mean() + b_energies.mean())  # Jensen: the mean inverse is at least that
    high = 2 * low
    while excess(high) > 0:
        high *= 2
    g = float(brentq(excess, low, high, rtol=1e-12)) if excess(low) > 0 else low
    a, b = shift(a_energies, g), shift(b_energies, g)
    token, position = ((e.square() / (e + x).clamp(min=1e-300)).sum() / e.sum()
                       for e, x in ((a_energies, a), (b_energies, b)))  # fmt: skip
    return Wiener(float(token), float(position))


def loss_of_sum(tokens: Moments, positions: Moments, *, rotations: int = 10, seed: int = 0) -> dict[str, Metric]:
    """`wiener_token` and `wiener_position` (see `wiener`); baseline: the mean over uniformly random rotations of P.

    Above the baseline the two tables avoid each other more than their spectra alone would have them. The note gives
    the range over the rotations. Tables of more than 1024 columns have the limit of large d for a baseline
    (`rotated_limit`), as rotations take d^3 each and differ ever less.

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
    if tokens.width > ROTATED:
        limit, note = rotated_limit(tokens.energies, positions.energies), "R^2; chance: the limit of wide tables"
        return {
            "wiener_token": Metric(value.token, limit.token, rows, note=note),
            "wiener_position": Metric(value.position, limit.position, rows, note=note),
        }
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
