"""Simulators without the items, against tables drawn in full, enumerated signs and the exact law."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from locant.capacity.exact import recovery_probability
from locant.capacity.formats import FORMATS
from locant.capacity.membership import membership_probability
from locant.capacity.sign_tail import log_below_real, log_below_whole
from locant.capacity.simulate import law_sample, simulate

TRIALS = 6000


def tables(code: str, sizes: tuple[int, ...], width: int, generator: torch.Generator) -> list[Tensor]:
    """A table of each size for each trial, `[trial, item, width]`, by other means than the simulators'."""
    made = []
    for size in sizes:
        table = torch.randn(TRIALS, size, width, generator=generator, dtype=torch.float64)
        if code == "sign":
            table = torch.where(table < 0, -1.0, 1.0).double()
        if code == "sphere":
            table = table / table.square().mean(2, keepdim=True).sqrt()
        made.append(table)
    return made


def counted(code: str, sizes: tuple[int, ...], width: int, members: int, noise: float, form: str | None) -> np.ndarray:
    """Which trials recover the whole set, and the first slot alone, ties counted as failures: `[2, trial]`."""
    generator = torch.Generator().manual_seed(5)
    books = tables(code, sizes, width, generator)
    added = books[0][:, :members].sum(1) + sum(book[:, 0] for book in books[1:])
    added = added + math.sqrt(noise) * torch.randn(added.shape, generator=generator, dtype=torch.float64)
    if form is not None:
        added = FORMATS[form].round(added)
    won = []
    for book in books:
        # Whole codes times one scale: without it, rounding to 1e-16 would break ties between whole scores.
        scale = 1.0 if form is None or FORMATS[form].dtype is not None else FORMATS[form].scale(added)[:, :, None]
        scores = ((book @ (added[:, :, None] / scale))[:, :, 0] * 2**20).round()
        taken = members if book is books[0] else 1
        won.append(scores[:, :taken].amin(1) > scores[:, taken:].amax(1))
    return np.stack([torch.stack(won).all(0).numpy(), won[0].numpy()])


def close(found: float, right: np.ndarray) -> bool:
    """Within four standard errors of counting, which is the coarser of the two."""
    return abs(found - right.mean()) < 4 * math.sqrt(max(right.mean() * (1 - right.mean()), 0.01) / len(right))


@pytest.mark.parametrize("code", ["gauss", "sphere", "sign"])
@pytest.mark.parametrize("form", [None, "bf16", "e4m3", "int3", "int2", "1bit"])
@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_sets_in_every_code_and_format(code: str, form: str | None, noise: float) -> None:
    """Twenty signs tie often: a law of sign codes without ties would be off by ten points."""
    right = counted(code, (24,), 20, 3, noise, form)[0]
    assert 0.02 < right.mean() < 0.95
    found = simulate(20, 24, 3, code=code, noise=noise, format_name=form, trials=TRIALS)
    assert close(found.value, right)
    assert found.trials == TRIALS
    assert found.low < found.value < found.high


@pytest.mark.parametrize("code", ["gauss", "sphere", "sign"])
def test_one_item_of_each_of_several_codebooks(code: str) -> None:
    both, first = counted(code, (40, 9), 16, 1, 0.0, None)
    assert close(simulate(16, (40, 9), code=code, trials=TRIALS).value, both)
    assert close(simulate(16, (40, 9), code=code, trials=TRIALS, goal="slot").value, first)
    assert close(simulate(16, (9, 40), code=code, trials=TRIALS).value, both)
    equal = counted(code, (15, 15, 15), 16, 1, 0.0, None)[1]
    assert close(simulate(16, 15, 3, code=code, trials=TRIALS, goal="slot").value, equal)


@pytest.mark.parametrize("noise", [0.0, 0.7])
@pytest.mark.parametrize(
    ("items", "members", "goal"),
    [
        (10**12, 1, "set"),
        (5000, 5, "set"),
        (700, 4, "slot"),
        ((5000, 300), 1, "set"),
        ((5000, 300, 20), 1, "slot"),
        (4096, 3, "membership"),
    ],
)
def test_both_simulators_agree_with_the_exact_law(noise: float, items, members: int, goal: str) -> None:
    threshold = None
    law = recovery_probability(90, items, members, noise=noise, goal=goal)
    if goal == "membership":
        law, threshold = membership_probability(90, items, members, noise=noise)
    drawn = np.random.default_rng(1)
    sampled = law_sample(90, items, members, noise, 40_000, drawn, goal=goal, threshold=threshold)
    generator = torch.Generator().manual_seed(2)
    made = simulate(90, items, members, noise=noise, goal=goal, threshold=threshold, trials=6000, generator=generator)
    assert 0.005 < law < 0.9999
    assert sampled.value == pytest.approx(law, abs=2.5 * (sampled.high - sampled.low) / 2)
    assert made.value == pytest.approx(law, abs=2.5 * (made.high - made.low) / 2)
    assert sampled.high - sampled.low < 0.01


def test_threshold_of_other_codes_is_counted_strictly() -> None:
    """At 16 signs and a lone member, others exceed 0.5 where they share 12 or more; exactly 12 does too."""
    found = simulate(16, 50, 1, code="sign", goal="membership", threshold=0.5, trials=50)
    below = stats.binom.cdf(11, 16, 0.5)  # a score of 8 is a tie with the threshold
    assert found.value == pytest.approx(below**49, rel=1e-9)
    assert simulate(16, 50, 1, code="sign", goal="membership", threshold=1.0, trials=50).value == 0.0


def test_running_sums_in_a_format_lose_more() -> None:
    ways = [
        simulate(256, 4096, 8, format_name="e5m2", accumulate=accumulate, trials=3000).value
        for accumulate in (False, True)
    ]
    assert ways[1] < ways[0] - 0.01
    alike = [simulate(256, 4096, 8, format_name="fp32", accumulate=way, trials=500).value for way in (False, True)]
    assert alike[0] == pytest.approx(alike[1], abs=1e-4)


def test_extremes() -> None:
    for code in ("gauss", "sphere", "sign"):
        assert simulate(3, 7, 7, code=code, trials=50).value == 1.0
        assert simulate(64, 10**12, 1, code=code, trials=200).value > (0.99 if code == "sphere" else 0.4)
    assert simulate(1, 3, 1, code="sphere", trials=4000).value == simulate(1, 3, 1, code="sign", trials=4000).value
    assert simulate(1, 3, 1, code="sign", trials=4000).value == pytest.approx(0.25)
    assert law_sample(8192, 10**6, 100, 0.0, 2000, np.random.default_rng(0)).value > 0.9


def test_the_generator_decides() -> None:
    def drawn(seed: int) -> float:
        return simulate(20, 100, 3, trials=100, generator=torch.Generator().manual_seed(seed)).value

    assert drawn(1) == drawn(1) != drawn(2)


def every_sign(sums: Tensor) -> Tensor:
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=sums.shape[1])), dtype=torch.float64)
    return sums @ signs.T


@pytest.mark.parametrize("width", [1, 2, 5, 12])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_whole_sign_tails_by_enumeration(width: int, step: int) -> None:
    """Steps of 2 and 3 leave gaps on the lattice; zeros, ties and unreachable scores are among the cases."""
    generator = torch.Generator().manual_seed(width)
    sums = torch.randint(-3, 4, (40, width), generator=generator).double() * step
    law = every_sign(sums)
    drawn = law[torch.arange(40), torch.randint(0, law.shape[1], (40,), generator=generator)]
    ends = (law.amin(1) - 1, law.amin(1), law.amax(1), law.amax(1) + 1)
    for scores in (drawn, *ends, torch.zeros(40), torch.full((40,), 0.5)):
        wanted = (law < scores[:, None]).double().mean(1)
        assert torch.allclose(log_below_whole(sums, scores).exp(), wanted, atol=1e-12, rtol=0)


def test_small_tails_are_as_precise_as_large_ones() -> None:
    wins = torch.tensor([200, 230, 260, 300])
    found = -torch.expm1(log_below_whole(torch.ones(4, 400), 2.0 * wins - 400))
    assert found.numpy()[:3] == pytest.approx(stats.binom.sf(wins.numpy() - 1, 400, 0.5)[:3], rel=1e-6)
    one_by_one = [float(log_below_whole(torch.ones(1, 400), 2.0 * win[None] - 400)) for win in wins]
    assert -np.expm1(one_by_one) == pytest.approx(stats.binom.sf(wins.numpy() - 1, 400, 0.5), rel=1e-6, abs=1e-16)


def test_a_shared_tilt_serves_scores_that_lie_far_apart() -> None:
    generator = torch.Generator().manual_seed(1)
    sums = torch.randint(-3, 4, (60, 300), generator=generator).double()
    scores = torch.linspace(-300, 600, 60).round()
    together = log_below_whole(sums, scores)
    alone = torch.cat([log_below_whole(sums[[row]], scores[[row]]) for row in range(60)])
    assert torch.allclose(together.exp(), alone.exp(), atol=1e-11, rtol=0)


def test_real_sign_tails_by_enumeration_and_on_a_fine_lattice() -> None:
    generator = torch.Generator().manual_seed(2)
    sums = torch.randn(300, 14, generator=generator, dtype=torch.float64)
    law, length = every_sign(sums), sums.norm(dim=1)
    for height in (-2.0, -0.5, 0.0, 0.5, 1.0, 2.0):
        wanted = (law < height * length[:, None]).double().mean()
        assert log_below_real(sums, height * length).exp().mean() == pytest.approx(float(wanted), abs=0.002)
    fine = (torch.randn(25, 200, generator=generator, dtype=torch.float64) * 64).round()
    for height in (-1, 2, 4, 5):
        scores = height * fine.norm(dim=1)
        wanted = -torch.expm1(log_below_whole(fine, scores)).mean()
        assert float(-torch.expm1(log_below_real(fine, scores)).mean()) == pytest.approx(float(wanted), rel=0.005)
    assert log_below_real(sums[:1], sums[:1].abs().sum(1) + 1).tolist() == [0.0]
    assert log_below_real(sums[:1], -sums[:1].abs().sum(1) - 1).tolist() == [-math.inf]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simulate(8, 10, 2, code="signs"), "expected a code of gauss, sphere, sign, was: signs"),
        (lambda: simulate(8, 10, 2, format_name="fp4"), "expected a number format of fp64, .*, was: fp4"),
        (lambda: simulate(8, 10, 2, accumulate=True), "expected a format to accumulate in, was: None"),
        (lambda: simulate(8, 10, 2, goal="sets"), "expected a goal of set, slot, membership, was: sets"),
        (lambda: simulate(8, 10, 2, goal="membership"), "expected a threshold for goal membership.*None"),
        (lambda: simulate(8, 10, 2, threshold=0.5), "expected a threshold for goal membership.*0.5 for set"),
        (lambda: simulate(8, (5, 5), goal="membership", threshold=0.5), "expected one codebook for goal membership"),
        (lambda: simulate(8, (5, 5), 2), "expected members=1, one item of each of 2 codebooks, was: 2"),
        (lambda: simulate(8, 10, 11), "expected members between 1 and 10 items, was: 11"),
        (lambda: simulate(8, 10, 0, goal="slot"), "expected at least 1 item and 1 member, was: 10 and 0"),
        (lambda: simulate(8, 10, 2, trials=1), "expected at least 2 trials, was: 1"),
        (lambda: simulate(8, 10, 2, noise=-1), "expected a noise variance of at least 0, was: -1"),
        (lambda: law_sample(0, 10, 2, 0.0, 9, np.random.default_rng(0)), "expected a width of at least 1, was: 0"),
        (lambda: law_sample(8, 10, 2, 0.0, 1, np.random.default_rng(0)), "expected at least 2 trials, was: 1"),
    ],
)
def test_refusals(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
