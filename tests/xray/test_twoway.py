"""M4 and the sums behind it, against plain loops, exact designs and noise."""

import numpy as np
import pytest
import torch
from support import noise

import locant
from locant.xray.additive import TokenSums, additive_fit
from locant.xray.reach import reach_model
from locant.xray.twoway import Sums, in_groups, variance_shares

C, T, D = 24, 10, 6


def summed(x: torch.Tensor, batch: int = 5, **options: int) -> Sums:
    sums = Sums(x.shape[0], x.shape[1], **options)
    for start in range(0, len(x), batch):
        rows = slice(start, min(start + batch, len(x)))
        sums.add(x[rows], rows)
    return sums


def orthogonal_effects(position: float, context: float, rest: float) -> torch.Tensor:
    """Effects that are exactly centred, so that sums of squares are known without estimation."""
    pos = noise(T, D, seed=1, dtype=torch.float64)
    ctx = noise(C, D, seed=2, dtype=torch.float64)
    res = noise(C, T, D, seed=3, dtype=torch.float64)
    pos, ctx = pos - pos.mean(0), ctx - ctx.mean(0)
    res = res - res.mean(0) - res.mean(1, keepdim=True) + res.mean((0, 1))
    return 7 + position * pos + context * ctx[:, None] + rest * res


def test_sums_of_squares_are_those_of_plain_loops() -> None:
    x = orthogonal_effects(2.0, 1.0, 0.5)
    for start in (0, 1):
        part = x[:, start:].numpy()
        mean = part.mean((0, 1))
        pos = C * sum(((part[:, t].mean(0) - mean) ** 2) for t in range(T - start))
        ctx = (T - start) * sum(((part[c].mean(0) - mean) ** 2) for c in range(C))
        rest = sum((part[c, t] - part[:, t].mean(0) - part[c].mean(0) + mean) ** 2
                   for c in range(C) for t in range(T - start))  # fmt: skip
        for actual, expected in zip(summed(x).parts(start).squares(), (pos, ctx, rest), strict=True):
            np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-9)


def test_exact_effects_have_their_sums_of_squares() -> None:
    x = orthogonal_effects(2.0, 0.0, 0.0)
    position, context, rest = summed(x).parts(0).squares()
    pos = noise(T, D, seed=1, dtype=torch.float64)
    expected = C * 4 * (pos - pos.mean(0)).square().sum()
    assert float(position.sum()) == pytest.approx(float(expected), rel=1e-12)
    assert float(context.sum()) == pytest.approx(0, abs=1e-9)
    assert float(rest.sum()) == pytest.approx(0, abs=1e-9)
    found = variance_shares(summed(x))
    assert found["position_share"].value == pytest.approx(1)


def test_noise_has_no_position_though_the_naive_share_says_so() -> None:
    values, naive = [], []
    for seed in range(40):
        parts = summed(noise(C, T, D, seed=seed)).parts(0)
        position, _, rest = parts.variances().sum(1)
        values.append(float(position / (position + rest)))
        found = parts.squares()
        naive.append(float(found[0].sum() / sum(each.sum() for each in found)))
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error  # unbiased: around 0, negative values included
    assert np.mean(naive) == pytest.approx((T - 1) / (C * T - 1), rel=0.1)
    metric = variance_shares(summed(noise(C, T, D)))["position_share_naive"]
    assert metric.baseline == pytest.approx((T - 1) / (C * T - 1))


def test_three_variances_are_found_without_bias() -> None:
    found = []
    for seed in range(60):
        x = 2 * noise(T, D, seed=seed) + 0.7 * noise(C, 1, D, seed=1000 + seed) + noise(C, T, D, seed=2000 + seed)
        found.append((summed(x).parts(0).variances().sum(1) / D).tolist())
    mean, error = np.mean(found, 0), np.std(found, 0) / np.sqrt(len(found))
    assert (np.abs(mean - [4, 0.49, 1]) < 3 * error).all()
    assert (error < [0.3, 0.03, 0.02]).all()


def test_the_interval_covers_the_true_share() -> None:
    covered = 0
    pos = noise(T, D, seed=99)
    pos = pos - pos.mean(0)
    true = float(pos.square().sum() / (T - 1))
    true = true / (true + D)
    for seed in range(60):
        metric = variance_shares(summed(pos + noise(C, T, D, seed=seed), groups=8))["position_share"]
        assert metric.interval is not None
        covered += metric.interval[0] <= true <= metric.interval[1]
    assert covered >= 50


def test_the_interval_of_nothing_does_not_claim_to_be_sure() -> None:
    highs = []
    for seed in range(20):
        metric = variance_shares(summed(noise(C, T, D, seed=seed), groups=8))["position_share"]
        assert metric.value >= 0
        assert metric.interval[0] < 0.02
        highs.append(metric.interval[1])
    assert sum(high > 0.002 for high in highs) >= 15


def test_position_0_is_left_out_in_the_second_figures() -> None:
    x = noise(C, T, D)
    x[:, 0] += 1000
    found = variance_shares(summed(x))
    assert found["position_share"].value > 0.99
    assert found["position_share.without_0"].value < 0.1


def test_a_large_mean_costs_no_digits() -> None:
    x = orthogonal_effects(1.0, 1.0, 1.0)
    a, b = variance_shares(summed(x)), variance_shares(summed(x + 1e6))
    assert a["position_share"].value == pytest.approx(b["position_share"].value, rel=1e-6)


def test_relative_norm_and_ranks_against_numpy() -> None:
    x = orthogonal_effects(2.0, 1.0, 0.5)
    found = variance_shares(summed(x, moments=64))
    part = x[:, 1:].numpy()
    pos = part.mean(0) - part.mean((0, 1))
    full = np.broadcast_to(pos, part.shape).reshape(-1, D)
    expected = np.linalg.norm(full, 2) / np.linalg.norm(part.reshape(-1, D), 2)
    assert found["relative_norm"].value == pytest.approx(expected, rel=1e-9)
    values = np.linalg.svd(pos, compute_uv=False) ** 2
    assert found["stable_rank.without_0"].value == pytest.approx(values.sum() / values[0])
    assert variance_shares(summed(x))["relative_norm"].value is None


def test_the_additive_fit_is_least_squares() -> None:
    tokens = torch.randint(7, (C, T), generator=torch.Generator().manual_seed(0))
    x = noise(C, T, D, dtype=torch.float64) + noise(7, D, seed=5)[tokens] + noise(T, D, seed=6)
    sums = TokenSums(tokens)
    for start in range(0, C, 5):
        sums.add(x[start : start + 5], slice(start, min(start + 5, C)))
    design = np.concatenate([np.eye(7)[tokens.numpy().ravel()], np.tile(np.eye(T), (C, 1))], 1)
    flat = x.reshape(-1, D).numpy()
    n, r = len(flat), 7 + T - 1

    def adjusted(columns: np.ndarray, rank: int) -> float:
        fit = columns @ np.linalg.lstsq(columns, flat, rcond=None)[0]
        return 1 - ((flat - fit) ** 2).sum() / ((flat - flat.mean(0)) ** 2).sum() * (n - 1) / (n - rank)

    found = additive_fit(sums)
    whole = adjusted(design, r)
    assert found["additive_r2"].value == pytest.approx(whole, rel=1e-9)
    assert found["token_beyond_position"].value == pytest.approx(whole - adjusted(design[:, 7:], T), rel=1e-9)
    assert found["position_beyond_token"].value == pytest.approx(whole - adjusted(design[:, :7], 7), rel=1e-9)


def test_rare_tokens_take_no_part_and_disconnected_designs_are_counted() -> None:
    tokens = torch.arange(C * T).view(C, T)  # each type once: no row is left to judge by
    sums = TokenSums(tokens)
    sums.add(noise(C, T, D), slice(0, C))
    assert additive_fit(sums)["additive_r2"].value is None
    kept = TokenSums(torch.tensor([[0, 0, 1], [0, 0, 2]]), types=1)
    kept.add(noise(2, 3, D), slice(0, 2))
    assert float(kept.counts(0).sum()) == 4


@pytest.mark.parametrize(("expression", "share"), [("add(learned)", None), ("rotary", 0), ("alibi", 0), ("none", 0)])
def test_at_the_input_of_a_model(expression: str, share: float | None) -> None:
    """Any additive model has R2 = 1 there, and what acts inside of attention leaves no position."""
    reach = reach_model(locant.decoder(expression, width=16, heads=2, layers=1, length=32, vocabulary=20))
    tokens = torch.randint(20, (64, 16), generator=torch.Generator().manual_seed(1))
    sums, fit = Sums(64, 16), TokenSums(tokens)

    def visit(name: str, layer: int, x: torch.Tensor, rows: slice) -> None:
        sums.add(x, rows)
        fit.add(x, rows)

    reach.run(tokens, visit, capture=("raw",), layers=[0])
    assert additive_fit(fit)["additive_r2"].value == pytest.approx(1, abs=1e-9)
    if share == 0:
        metric = variance_shares(sums)["position_share"]
        assert metric.value < 0.02
        assert metric.interval[0] == 0


@pytest.mark.parametrize(("contexts", "most", "groups"), [(3, 16, 1), (9, 16, 4), (40, 16, 16), (40, 1, 1)])
def test_groups_have_at_least_two_contexts(contexts: int, most: int, groups: int) -> None:
    sizes = in_groups(contexts, most).bincount()
    assert len(sizes) == groups
    assert sizes.min() >= 2
    assert sizes.max() <= sizes.min() + 1


def test_bad_input_has_one_clear_line() -> None:
    with pytest.raises(ValueError, match="expected at least 2 contexts and 3 slots, was: 1 and 10"):
        Sums(1, 10)
    with pytest.raises(ValueError, match="expected 10 slots of contexts"):
        Sums(4, 10).add(noise(2, 9, 3), slice(0, 2))
    half = Sums(4, 10)
    half.add(noise(2, 10, 3), slice(0, 2))
    with pytest.raises(ValueError, match="expected 4 contexts, was: 2"):
        half.parts(0)
