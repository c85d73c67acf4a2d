"""Two real tables: shape, nearest rows, angles, margins and collisions, against all pairs written out."""

import math

import pytest
import torch

from locant.capacity.collisions import collisions
from locant.capacity.geometry import shape, sines
from locant.capacity.margins import margins, nearest_pair, runners_up


def drawn(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def distances(rows):
    all_pairs = torch.cdist(rows.double(), rows.double())
    return all_pairs.fill_diagonal_(math.inf)


def test_shape_of_gaussian_rows():
    found = shape(3 * drawn(4000, 16))
    assert found.norm == pytest.approx(3 * 4 * (1 - 1 / 64), rel=0.01)  # E chi_d = sqrt(d) (1 - 1/4d + ...)
    assert found.common < 0.002
    assert found.effective == pytest.approx(16, rel=0.02)
    assert (found.rank, found.directions) == (16, 16)


def test_shape_sees_a_common_mean_and_few_directions():
    rows = drawn(500, 3) @ drawn(3, 16, seed=1) + 10
    found = shape(rows)
    assert found.rank == 3
    assert found.common == pytest.approx(float((rows.mean(0) ** 2).sum() / (rows**2).sum(1).mean()), rel=1e-6)
    assert found.common > 0.9


@pytest.mark.parametrize("scale", [torch.ones(80), torch.arange(1, 81) ** -1.0], ids=["all alike", "few directions"])
def test_nearest_pair_is_that_of_all_pairs(scale):
    rows = drawn(1500, 80) * scale
    found, (i, j) = nearest_pair(rows)
    everything = distances(rows)
    assert found.value == pytest.approx(float(everything.min()), rel=1e-6)
    assert float(everything[i, j]) == pytest.approx(found.value, rel=1e-6)
    assert found.low == found.high == found.value


def test_nearest_pair_without_a_budget_still_certifies():
    rows = drawn(3000, 200)
    found, _ = nearest_pair(rows, work=0)
    least = float(distances(rows).min())
    assert 0 < found.low < least <= found.high
    assert found.method == "search within a budget"


def test_sines_of_known_planes():
    angle = 0.01
    first = torch.tensor([[1.0, 0, 0, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, -1, 0, 0]])
    second = torch.tensor([[math.cos(angle), 0, math.sin(angle), 0], [-math.cos(angle), 0, -math.sin(angle), 0],
                           [0, 0, 0, 1], [0, 0, 0, -1]])  # fmt: skip
    assert sines(first, second).tolist() == pytest.approx([math.sin(angle), 1], rel=1e-5)
    assert sines(drawn(50, 6), drawn(50, 6, seed=1)).tolist() == pytest.approx([0] * 6, abs=1e-12)


def test_runners_up_are_the_nearest_of_all_sums():
    tokens, positions = drawn(60, 5) + 4, 0.3 * drawn(20, 5, seed=1)
    pairs = torch.stack([torch.arange(60), torch.arange(60) % 20], 1)
    rival, distance = runners_up(tokens, positions, pairs)
    everything = distances((tokens[:, None] + positions).flatten(0, 1))
    mine = pairs[:, 0] * 20 + pairs[:, 1]
    assert distance.tolist() == pytest.approx(everything[mine].min(1).values.tolist(), rel=1e-5)
    assert torch.equal(rival[:, 0] * 20 + rival[:, 1], everything[mine].min(1).indices)


def test_the_certificate_holds():
    tokens = torch.cat([drawn(40, 5), 0.2 * drawn(40, 3, seed=2)], 1)
    positions = torch.cat([0.4 * drawn(20, 5, seed=1) * 0.1, drawn(20, 3, seed=3)], 1)
    tokens[:, 5:] = tokens[:, :3] * 0.2  # 5 directions, which lean towards those of the positions
    positions[:, :5] = 0
    found = margins(tokens, positions, 16, torch.Generator().manual_seed(0))
    least = float(distances((tokens[:, None] + positions).flatten(0, 1)).min())
    assert 0 < found.certificate <= least * (1 + 1e-6)
    assert found.least.low <= least * (1 + 1e-6)
    assert found.least.high >= least * (1 - 1e-6)


def test_margins_refuse():
    with pytest.raises(ValueError, match="expected tables of one width, was: 4 and 5"):
        margins(drawn(3, 4), drawn(3, 5), 1, torch.Generator())
    with pytest.raises(ValueError, match="expected at least 1 sample, was: 0"):
        margins(drawn(3, 4), drawn(3, 4), 0, torch.Generator())


@pytest.mark.parametrize(
    ("name", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)]
)
def test_collisions_are_counted_over_all_sums(name, dtype):
    tokens, positions = drawn(300, 2), drawn(40, 2, seed=1)
    found = collisions(tokens, positions, name)
    sums = (tokens[:, None] + positions).flatten(0, 1).to(dtype).float()
    _, group, size = torch.unique(sums, dim=0, return_inverse=True, return_counts=True)
    assert (found.sums, found.shared) == (12000, int((size[group] > 1).sum()))
    if name == "bf16":
        (i, j), (k, m) = found.example
        assert (i, j) != (k, m)
        assert torch.equal((tokens[i] + positions[j]).bfloat16(), (tokens[k] + positions[m]).bfloat16())


def test_collisions_in_levels_and_in_passes(monkeypatch):
    tokens, positions = drawn(50, 3), drawn(7, 3, seed=1)
    once = collisions(tokens, positions, "int4")
    sums = (tokens[:, None] + positions).flatten(0, 1)
    codes = torch.round(sums / (sums.abs().max() / 7))
    _, group, size = torch.unique(codes, dim=0, return_inverse=True, return_counts=True)
    assert once.shared == int((size[group] > 1).sum()) > 0
    monkeypatch.setattr("locant.capacity.collisions.KEYS", 40)
    assert collisions(tokens, positions, "int4").shared == once.shared


def test_collisions_refuse_an_unknown_format():
    with pytest.raises(ValueError, match=r"expected a number format of fp64, .*, was: fp7"):
        collisions(drawn(3, 2), drawn(3, 2), "fp7")
