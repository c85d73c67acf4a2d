"""M10 and M12 on states whose answer is known."""

import numpy as np
import pytest
import torch
from support import noise

import locant
from locant.xray.probe import Probe, probe_metrics
from locant.xray.purity import energies, purity
from locant.xray.reach import reach_model
from locant.xray.twoway import Sums

C, T = 40, 10


def probed(x: torch.Tensor, **options: object) -> dict:
    probe = Probe(len(x), x.shape[1], **options)
    for start in range(0, len(x), 7):
        rows = slice(start, min(start + 7, len(x)))
        probe.add(x[rows], rows)
    return probe_metrics(probe)


def test_positions_that_stand_there_are_read() -> None:
    line = torch.arange(T)[:, None] * noise(1, 6, seed=1)
    found = probed(line + 0.01 * noise(C, T, 6))
    assert (found["accuracy"].value, found["accuracy"].interval) == (1, None)  # no spread, so nothing is sure of others
    assert found["accuracy"].note.endswith(", the same in all 10")
    assert found["ridge_r2"].interval is not None
    assert found["error"].value == found["ridge_error"].value == 0
    assert found["ridge_r2"].value > 0.98


def test_noise_is_at_chance() -> None:
    found = probed(noise(400, T, 6))
    assert found["accuracy"].baseline == 1 / T
    assert found["accuracy"].interval[0] < 1 / T < found["accuracy"].interval[1]
    assert abs(found["ridge_r2"].value) < 0.05
    pairs = np.abs(np.arange(T)[:, None] - np.arange(T)).mean()
    assert found["error"].baseline == pytest.approx(pairs)
    assert found["error"].value == pytest.approx(pairs, rel=0.1)


def test_agrees_with_an_independent_discriminant() -> None:
    """The same rule from numpy's covariances, on data where neither is perfect."""
    x = noise(C, T, 5) + 1.5 * noise(T, 5, seed=1)
    found = probed(x, shrink=1e-9)
    train, test = x[:30].double().numpy(), x[30:].double().numpy()
    means = train.mean(0)
    inverse = np.linalg.inv(np.cov((train - means).reshape(-1, 5).T, bias=True))
    distance = test[:, :, None] - means
    guess = np.einsum("ctsd,de,ctse->cts", distance, inverse, distance).argmin(-1)
    assert 0.3 < found["accuracy"].value < 1
    assert found["accuracy"].value == pytest.approx((guess == np.arange(T)).mean())
    slots = np.tile(np.arange(T), 30)
    design = np.c_[train.reshape(-1, 5), np.ones(300)]
    fit = np.linalg.lstsq(design, slots, rcond=None)[0]
    read = test.reshape(-1, 5) @ fit[:5] + fit[5]
    assert found["ridge_r2"].value == pytest.approx(1 - ((read - np.tile(np.arange(T), 10)) ** 2).mean() / 8.25)


def test_texts_are_not_remembered() -> None:
    """A mark that tells each text's slots apart, anew in each text, helps nobody on other texts."""
    marks = 5 * noise(C, T, 30, seed=3)
    assert probed(marks)["accuracy"].value < 0.25


def test_wide_states_are_projected_and_slot_0_may_be_left_out() -> None:
    line = torch.arange(T)[:, None] * noise(1, 64, seed=1) + 0.01 * noise(C, T, 64)
    assert probed(line, columns=8)["accuracy"].value == 1
    assert probed(line, first=1)["accuracy"].baseline == 1 / (T - 1)


def test_bad_probes_have_one_clear_line() -> None:
    with pytest.raises(ValueError, match="expected at least 2 texts to fit"):
        Probe(3, T)
    with pytest.raises(ValueError, match="expected the 30 texts to fit first, was: 0"):
        Probe(C, T).add(noise(2, T, 3), slice(35, 37))
    with pytest.raises(ValueError, match="expected texts to test, was: none"):
        probe_metrics(Probe(C, T))
    assert probed(torch.zeros(C, T, 4))["accuracy"].value is None


@pytest.mark.parametrize("capture", ["raw", "normed"])
def test_columns_of_a_model_that_concatenates(capture: str) -> None:
    """At the input they are pure: all position inside, none outside. Blocks that write nothing keep them so.

    The norm divides all columns by one length, which depends a little on both.
    """
    model = locant.decoder("concat(learned, width=8)", width=32, heads=4, layers=2, length=32, vocabulary=30)
    for block in model.blocks:
        torch.nn.init.zeros_(block.attention.out.weight)
        torch.nn.init.zeros_(block.down.weight)
    reach = reach_model(model)
    tokens = torch.randint(30, (64, 16), generator=torch.Generator().manual_seed(0))
    sums = {layer: Sums(64, 16) for layer in range(3)}
    reach.run(tokens, lambda name, layer, x, rows: sums[layer].add(x, rows), capture=(capture,))
    for layer in range(3 if capture == "raw" else 2):
        found = purity(sums[layer], reach.position_columns[capture])
        assert found["inside"].value == pytest.approx(1, abs=1e-6 if capture == "raw" else 0.05)
        assert found["outside"].value < (0.005 if capture == "raw" else 0.05)
        assert found["energy"].baseline == 0.25


def test_columns_beside_the_stream_stay_pure() -> None:
    model = locant.decoder("beside(learned, width=8)", width=32, heads=4, layers=2, length=32, vocabulary=30)
    reach = reach_model(model)
    tokens = torch.randint(30, (64, 16), generator=torch.Generator().manual_seed(0))
    sums = {layer: Sums(64, 16) for layer in range(2)}
    reach.run(tokens, lambda name, layer, x, rows: sums[layer].add(x, rows))
    for layer in sums:
        assert purity(sums[layer], reach.position_columns["normed"])["inside"].value == pytest.approx(1, abs=1e-6)


def test_energy_is_that_of_the_states() -> None:
    x = noise(12, 5, 6) + 3
    sums = Sums(12, 5)
    sums.add(x[:5], slice(0, 5))
    sums.add(x[5:], slice(5, 12))
    torch.testing.assert_close(energies(sums).float(), x.square().sum((0, 1)))
    with pytest.raises(ValueError, match="expected some but not all of 6 columns, was: 6"):
        purity(sums, slice(0, 6))
