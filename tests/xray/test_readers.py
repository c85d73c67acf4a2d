"""Readers of sums: cases that are known, formulas by plain loops, and the noise that sums stand."""

import pytest
import torch
from torch import Tensor

from locant.xray import moments as streams
from locant.xray.linear_readers import discriminant, linear_readers, oblique, read, right_everywhere
from locant.xray.moments import moments
from locant.xray.noise import noise_curve
from locant.xray.readers import readers, share


def noise(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def orthogonal(v: int = 60, n: int = 24) -> tuple[Tensor, Tensor]:
    w, p = torch.zeros(v, 16).double(), torch.zeros(n, 16).double()
    w[:, :8], p[:, 8:] = noise(v, 8, 0), noise(n, 8, 1)
    return w, p


def line(count: int) -> Tensor:
    return torch.arange(float(count)).double()[:, None] * torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)


def test_a_colliding_progression_has_two_unique_pairs_of_thirty() -> None:
    found = readers(line(6), line(5), pairs=3000).metrics["pair"]
    low, high = found.interval
    assert low < 2 / 30 < high
    assert found.baseline == 1 / 30


def test_orthogonal_tables_are_read_without_error() -> None:
    found = readers(*orthogonal(), samples=500, token_samples=500, pairs=200)
    for name in ("pair", "position.lda", "token.lda", "position.lda.worst_token", "position.lda.worst_position"):
        assert found.metrics[name].value == 1
    assert found.metrics["position.lda.mae"].value == 0
    assert found.metrics["position.lda.mae"].baseline == pytest.approx((24**2 - 1) / (3 * 24))
    assert found.metrics["pair_tokens_tried"].value < 10
    assert len(found.worst_tokens) == len(found.worst_positions) == 10


def test_without_positions_readers_are_at_chance() -> None:
    """Rows of P that differ by next to nothing, below noise of tokens that fill all directions."""
    found = readers(noise(4000, 6, 0), 1e-3 * noise(10, 6, 1), samples=4000, token_samples=10, pairs=10).metrics
    for name in ("matched", "lda", "oblique"):
        assert found[f"position.{name}"].value == pytest.approx(0.1, abs=0.03)
    assert found["position.lda.worst_token"].value <= 0.1


def test_the_discriminant_beats_the_matched_filter_under_a_strong_token_direction() -> None:
    w, p = noise(400, 8, 0), 0.5 * noise(12, 8, 1)
    w *= torch.tensor([30, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02])
    found = readers(w, p, samples=1000, token_samples=10, pairs=10).metrics
    assert found["position.lda"].value > 0.98
    assert found["position.oblique"].value > 0.98
    assert found["position.matched"].value < 0.5


def test_read_is_the_argmax_of_the_formula() -> None:
    w, p = noise(30, 5, 0), noise(11, 5, 1)
    covariance, ridge = moments(w).covariance, 1e-6 * moments(w).total / 5
    a = torch.linalg.inv(covariance + ridge * torch.eye(5))
    sums = w[:7, None] + p
    centred, middle = p - p.mean(0), w.mean(0) + p.mean(0)
    expected = [
        [
            max(range(11), key=lambda k: float((x - middle) @ a @ centred[k] - centred[k] @ a @ centred[k] / 2))
            for x in xs
        ]
        for xs in sums
    ]
    reader = linear_readers(p, p.mean(0), moments(w), {"lda": discriminant(moments(w))})["lda"]
    torch.testing.assert_close(reader.applied(p), p @ a, rtol=1e-6, atol=1e-8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams.blocks, "__defaults__", (7,))
        assert read(sums.reshape(-1, 5), reader).reshape(7, 11).tolist() == expected
    right = right_everywhere(w[:7], p, reader)
    assert right.tolist() == [[found == k for k, found in enumerate(row)] for row in expected]
    some = torch.tensor([9, 2])
    assert right_everywhere(w[:7], p, reader, some).tolist() == right[:, some].tolist()


def test_the_ridge_is_larger_for_few_rows() -> None:
    few, many = moments(noise(8, 4, 0)), moments(noise(9, 4, 0))
    torch.testing.assert_close(discriminant(few), discriminant(few, 0.05))
    torch.testing.assert_close(discriminant(many), discriminant(many, 1e-6))


def test_the_oblique_reader_ignores_the_directions_of_the_other_table() -> None:
    known, rows = moments(noise(50, 6, 0)), noise(9, 6, 1)
    made = linear_readers(rows, rows.mean(0), known, {"one": oblique(known, 2), "two": torch.ones(6).double()})
    across, whole = known.directions[:, :2].T, known.directions.T
    assert float(made["one"].applied(across).abs().max()) < 1e-12
    torch.testing.assert_close(made["one"].applied(whole[2:]), whole[2:])
    u, centred = known.directions[:, :2], rows - rows.mean(0)
    expected = ((centred @ (torch.eye(6).double() - u @ u.T)) * centred).sum(1) / 2
    torch.testing.assert_close(made["one"].halves, expected)
    torch.testing.assert_close(made["two"].halves, centred.square().sum(1) / 2)


def test_equal_seeds_give_equal_readings() -> None:
    w, p = noise(60, 4, 0), noise(20, 4, 1)
    first, second, third = (readers(w, p, samples=200, token_samples=50, pairs=20, seed=seed) for seed in (1, 1, 2))
    assert first == second
    assert first != third


def test_ids_name_the_tokens() -> None:
    w, p = orthogonal(20, 8)
    assert {token for token, _ in readers(w, p, ids=torch.arange(500, 520), pairs=5).worst_tokens} <= set(
        range(500, 520)
    )


def test_few_rows_are_no_readings() -> None:
    found = readers(noise(3, 4, 0), noise(9, 4, 1)).metrics["position.lda"]
    assert found.note == "expected at least 4 rows in both tables, was: 3 and 9"


def test_summing_orthogonal_tables_costs_nothing_at_any_noise() -> None:
    w, p = orthogonal()
    found = noise_curve(w, p, 1.0, multiples=(0.5, 4, 16), pairs=200)
    assert found["cost_of_summing"].value == 0
    assert found["cost_of_summing"].interval[1] < 0.01
    assert found["noise.0.5.pair"].value == 1
    assert found["noise.16.pair"].value < 0.3 < 0.5 < found["noise.4.position_given_token"].value


def test_summing_on_a_line_costs_all_but_the_ends() -> None:
    """Without noise each part is read given the other; of the sums only 2 of 30 are unique."""
    found = noise_curve(line(6), line(5), 1.0, multiples=(1e-6,), pairs=2000)
    assert found["noise.1e-06.position_given_token"].value == 1
    assert found["noise.1e-06.token_given_position"].value == 1
    assert found["cost_of_summing"].value == pytest.approx(28 / 30, abs=0.03)


def test_noise_is_that_of_theory() -> None:
    """Two positions a step apart: an error where the noise along the step exceeds half of it."""
    p = torch.tensor([[0.0, 0.0], [1.0, 0.0]]).double()
    found = noise_curve(torch.tensor([[0.0, 50.0], [0.0, 90.0]]).double(), p, 1.0, multiples=(2.0,), pairs=20_000)
    deviation = 2 / 2**0.5
    expected = float(torch.special.ndtr(torch.tensor(0.5 / deviation)))
    low, high = found["noise.2.position_given_token"].interval
    assert low - 0.005 < expected < high + 0.005


def test_equal_positions_have_no_noise_curve() -> None:
    note = noise_curve(noise(4, 3, 0), torch.zeros(4, 3), 0.0)["cost_of_summing"].note
    assert note == "two positions are equal: no position is decodable"


def test_noise_refusals() -> None:
    with pytest.raises(ValueError, match=r"expected multiples above 0, was: \[0.0\]"):
        noise_curve(noise(4, 3, 0), noise(4, 3, 1), 1.0, multiples=(0.0,))


def test_share_is_wilsons() -> None:
    metric = share(8, 10, 0.5, "tries")
    z, n = 1.959964, 10
    middle = (0.8 + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (0.8 * 0.2 / n + z * z / (4 * n * n)) ** 0.5
    assert metric.interval == pytest.approx((middle - half, middle + half), abs=1e-6)
