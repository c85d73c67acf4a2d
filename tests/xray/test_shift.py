"""M5 and the part of M9 that rests on it."""

import pytest
import torch
from scipy.stats import spearmanr
from support import noise, perturbed

import locant
from locant.xray.interaction import interaction_energy, interaction_ranking, rank
from locant.xray.reach import reach_model
from locant.xray.shift import ShiftSums, moved, shift_metrics, shift_test

C, T, D = 40, 6, 5
MODEL = {"width": 16, "heads": 2, "layers": 2, "length": 64, "vocabulary": 20}


def metrics(before: torch.Tensor, after: torch.Tensor) -> dict:
    sums = ShiftSums(len(before), groups=8)
    for start in range(0, len(before), 16):
        rows = slice(start, min(start + 16, len(before)))
        sums.add(before[rows], after[rows], rows)
    return shift_metrics(sums, note="by 8")


def tokens(contexts: int = 12, time: int = 10) -> torch.Tensor:
    return torch.randint(20, (contexts, time), generator=torch.Generator().manual_seed(1))


def test_one_push_for_all_is_a_bias() -> None:
    before = noise(C, T, D)
    assert metrics(before, before + noise(T, D, seed=1))["bias"].value == pytest.approx(1, abs=1e-9)


def test_a_push_whose_sign_hangs_on_the_text_is_an_interaction() -> None:
    before, sign = noise(C, T, D), torch.tensor([1.0, -1.0]).repeat(C // 2)[:, None, None]
    assert metrics(before, before + sign * noise(T, D, seed=1))["bias"].value == 0


def test_a_known_mixture() -> None:
    """A shared push of energy b and a private one of energy w, large sample: B = b / (b + w)."""
    before = noise(4000, 3, D)
    push = noise(3, D, seed=1)
    after = before + push + 2 * noise(4000, 3, D, seed=2)
    shared = float(push.square().sum(-1).mean())
    assert metrics(before, after)["bias"].value == pytest.approx(shared / (shared + 4 * D), abs=0.01)


def test_unrelated_states_have_size_1() -> None:
    assert metrics(noise(4000, 3, D), noise(4000, 3, D, seed=1))["size"].value == pytest.approx(1, abs=0.03)


def test_plain_loops_agree() -> None:
    before, after = noise(C, T, D, dtype=torch.float64) + 3, noise(C, T, D, seed=1, dtype=torch.float64)
    change = after - before
    m = sum(float(change[c, t].square().sum()) for c in range(C) for t in range(T)) / (C * T)
    b = sum(float((sum(change[c, t] for c in range(C)) / C).square().sum()) for t in range(T)) / T
    w = m - b
    corrected = max(0.0, b - w / (C - 1))
    spread = (before - before.mean((0, 1))).square().sum(-1).mean()
    found = metrics(before, after)
    assert found["size"].value == pytest.approx(m / (2 * float(spread)))
    assert found["bias"].value == pytest.approx(corrected / (corrected + w * C / (C - 1)))


def test_an_additive_model_at_its_input() -> None:
    reach = reach_model(locant.decoder("add(learned)", **MODEL))
    found = shift_metrics(shift_test(reach, tokens(), shift=5, capture="raw")[0], note="by 5")
    assert found["bias"].value == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("expression", ["rotary", "alibi", "t5", "none"])
def test_what_knows_distances_only_is_not_moved(expression: str) -> None:
    reach = reach_model(perturbed(locant.decoder(expression, **MODEL)))
    for sums in shift_test(reach, tokens(), shift=16, capture="raw").values():
        found = shift_metrics(sums, note="by 16")
        assert found["size"].value < 1e-8
        assert found["bias"].value is None


def test_holding_the_first_token_is_seen_by_rotary() -> None:
    reach = reach_model(perturbed(locant.decoder("rotary", **MODEL)))
    held = shift_test(reach, tokens(), shift=16, hold_first=True, capture="raw")
    assert shift_metrics(held[2], note="")["size"].value > 1e-6
    assert moved(3, 5, hold_first=True).tolist() == [0, 6, 7]


def test_batches_make_no_difference() -> None:
    reach = reach_model(perturbed(locant.decoder("add(learned)", **MODEL)))
    a, b = (shift_metrics(shift_test(reach, tokens(), batch=batch)[1], note="") for batch in (3, 12))
    assert a["size"].value == pytest.approx(b["size"].value, rel=1e-6)
    assert a["bias"].value == pytest.approx(b["bias"].value, rel=1e-6)


def test_a_shift_beyond_the_table_is_refused() -> None:
    reach = reach_model(locant.decoder("add(learned)", **MODEL))
    with pytest.raises(ValueError, match="expected"):
        shift_test(reach, tokens(), shift=60)
    with pytest.raises(ValueError, match="expected at least 3 contexts, was: 2"):
        ShiftSums(2)


def test_words_that_move_are_ranked_first() -> None:
    """Types have private pushes of known size: 0, 1, 2, ... times noise."""
    ids = torch.arange(8).repeat(100, 4)
    energy = interaction_energy(ids[..., None] * noise(100, 32, 6))
    found = rank(ids, energy)
    assert found.tokens == tuple(range(7, -1, -1))
    assert found.energies[0] == pytest.approx(49 * 6, rel=0.1)
    assert found.reliability.value > 0.95


def test_energy_and_reliability_by_their_definitions() -> None:
    energy = interaction_energy(noise(10, 5, 3, dtype=torch.float64))
    change = noise(10, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(energy.sum(0) / 10, change.var(0).sum(-1))
    ids = torch.arange(6).repeat(60, 2)
    values = ids.double() + 8 * noise(60, 12, dtype=torch.float64)
    halves = [[float(values[start::2][ids[start::2] == token].mean()) for token in range(6)] for start in (0, 1)]
    r = spearmanr(*halves).statistic
    assert 0.5 < r < 1
    assert rank(ids, values).reliability.value == pytest.approx(2 * r / (1 + r))


def test_noise_is_not_ranked() -> None:
    ids = torch.randint(50, (60, 40), generator=torch.Generator().manual_seed(0))
    found = rank(ids, interaction_energy(noise(60, 40, 8)))
    assert found.reliability.value < 0.5
    assert found.tokens == ()
    assert "no ranking" in found.reliability.note
    assert rank(ids, noise(60, 40), least=1000).reliability.value is None


def test_ranking_through_a_model() -> None:
    reach = reach_model(perturbed(locant.decoder("add(learned)", **MODEL)))
    many = torch.randint(20, (40, 12), generator=torch.Generator().manual_seed(1))
    found = interaction_ranking(reach, many, layer=1, least=10)
    narrow = interaction_ranking(reach, many, layer=1, least=10, columns=8)
    assert found.reliability.n == narrow.reliability.n == 20
    still = interaction_ranking(reach_model(locant.decoder("none", **MODEL)), many, layer=1, least=10)
    assert still.tokens == ()


def test_special_tokens_around_a_text_are_not_ranked() -> None:
    reach = reach_model(perturbed(locant.decoder("add(learned)", **MODEL)))
    many = torch.randint(19, (40, 12), generator=torch.Generator().manual_seed(1))
    many[:, 0] = 19
    counted = [interaction_ranking(reach, many, layer=1, least=10, inside=inside).reliability.n
               for inside in (slice(None), slice(1, None))]  # fmt: skip
    assert counted == [20, 19]
