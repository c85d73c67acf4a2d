"""M1 on maps whose gain is known."""

import pytest
import torch
from support import noise
from torch import nn

import locant
from locant.xray.gain import Images, read_gain
from locant.xray.reach import reach_model
from locant.xray.site import Reader
from locant.xray.twoway import Sums

C, T, D = 40, 12, 8


def states() -> torch.Tensor:
    """Position in columns 0 and 1 only, tokens in the others."""
    x = torch.zeros(C, T, D)
    x[..., :2] = noise(T, 2, seed=1)
    tokens = noise(C, T, D - 2, seed=2)
    x[..., 2:] = tokens - tokens.mean(0)
    return x


def gains(weight: torch.Tensor, x: torch.Tensor, heads: torch.Tensor | None = None) -> dict[str, object]:
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    module.weight.data = weight
    images = Images(Sums(len(x), x.shape[1], groups=8), (Reader("q", "", "", "normed", module, heads=heads),))
    for start in range(0, len(x), 16):
        rows = slice(start, min(start + 16, len(x)))
        images.add(x[rows], rows)
    return read_gain(images)


def test_a_map_of_position_columns_only() -> None:
    weight = torch.zeros(3, D)
    weight[:, :2] = noise(3, 2)
    assert gains(weight, states())["q.share_out"].value == pytest.approx(1, abs=1e-5)


def test_a_map_of_token_columns_only() -> None:
    weight = torch.zeros(3, D)
    weight[:, 2:] = noise(3, D - 2)
    assert gains(weight, states())["q.share_out"].value == pytest.approx(0, abs=1e-6)


def test_a_rotation_has_gain_1() -> None:
    weight = torch.linalg.qr(noise(D, D)).Q
    found = gains(weight, states())
    for name in ("q.gain", "q.gain.without_0"):
        assert found[name].value == pytest.approx(1, abs=1e-5)
        assert found[name].baseline == 1


def test_heads_are_their_rows() -> None:
    weight = torch.eye(D)
    found = gains(weight, states(), heads=torch.tensor([[0, 1], [2, 3]]))
    assert found["q.head.0.share_out"].value == pytest.approx(1, abs=1e-5)
    assert found["q.head.1.share_out"].value < 0.05
    share = found["share_in"].value
    assert found["q.head.0.gain"].value == pytest.approx(1 / share, rel=1e-4)


def test_equals_the_matrices_of_the_definition() -> None:
    x, weight = states() + 0.3 * noise(C, 1, D, seed=3), noise(5, D)
    found = gains(weight, x)
    y = x.double() @ weight.double().T
    plain = gains(torch.eye(5), y)
    assert found["q.share_out"].value == pytest.approx(plain["share_in"].value, rel=1e-5)


def test_no_ratio_to_nothing() -> None:
    found = gains(torch.eye(D), noise(C, T, D))
    assert found["q.gain"].value is None
    assert "too small" in found["q.gain"].note


def test_an_untrained_model_has_gain_1() -> None:
    model = locant.decoder("add(learned)", width=256, heads=4, layers=1, length=32, vocabulary=500, seed=1)
    reach = reach_model(model)
    tokens = torch.randint(500, (64, 32), generator=torch.Generator().manual_seed(1))
    for source in ("normed", "mlp"):
        readers = tuple(reader for reader in reach.readers(0) if reader.source == source)
        images = Images(Sums(64, 32), readers)
        reach.run(tokens, lambda name, layer, x, rows, images=images: images.add(x, rows), capture=(source,))
        found = read_gain(images)
        for reader in readers:
            assert found[f"{reader.name}.gain"].value == pytest.approx(1, abs=0.02)
