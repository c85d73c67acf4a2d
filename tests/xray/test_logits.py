"""M6 on logits of known make, through plain loops, and through models whose scheme is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from support import noise, perturbed

import locant
from locant.xray.attended import logits
from locant.xray.logits import LogitSums, logit_split, row_centred
from locant.xray.reach import reach_model
from locant.xray.terms import TermSums, by_heads, six_terms, term_energies
from locant.xray.windows import Windows

C, H, T = 24, 2, 9


def causal(logits: torch.Tensor) -> torch.Tensor:
    time = logits.shape[-1]
    return logits.masked_fill(torch.ones(time, time, dtype=torch.bool).triu(1), -torch.inf)


def summed(logits: torch.Tensor) -> LogitSums:
    sums = LogitSums(len(logits))
    for start in range(0, len(logits), 10):
        rows = slice(start, min(start + 10, len(logits)))
        sums.add(logits[rows], rows)
    return sums


def of_distance(seed: int = 0) -> torch.Tensor:
    i, j = torch.arange(T)[:, None], torch.arange(T)
    return noise(H, 2 * T - 1, seed=seed)[:, i - j + T - 1].expand(C, H, T, T)


@pytest.mark.parametrize("masked", [True, False])
def test_logits_of_distance_only_are_relative(masked: bool) -> None:
    found = logit_split(summed(causal(of_distance()) if masked else of_distance()))
    assert found["position"].value == pytest.approx(1)
    assert found["relative"].value == pytest.approx(1, abs=1e-9)
    assert found["absolute"].value == pytest.approx(0, abs=1e-9)
    assert found["head.1.relative"].value == pytest.approx(1, abs=1e-9)


def test_logits_of_the_key_s_place_are_mostly_absolute() -> None:
    keys = noise(H, 1, T, seed=3).expand(C, H, T, T)
    found = logit_split(summed(keys))
    assert found["position"].value == pytest.approx(1)
    assert found["absolute"].value > 0.5


def test_random_logits_have_no_position() -> None:
    values = []
    for seed in range(40):
        sums = summed(causal(noise(C, H, T, T, seed=seed)))
        position, relative, _, content = sums.split().sum(1)
        values.append([float(position / (position + content)), float(relative / (position + content))])
    error = np.std(values, 0) / 40**0.5
    assert (np.abs(np.mean(values, 0)) < 3 * error).all()
    assert (error < 0.1 / C).all()
    found = logit_split(sums)
    assert found["content"].value + found["position"].value == pytest.approx(1, abs=1 / C)


def test_shares_of_a_known_mixture() -> None:
    """Distance, place and noise with variances that are known after centring."""
    relative, absolute = row_centre(of_distance(1)[0]), row_centre(noise(H, T, T, seed=2))
    many = 600
    x = relative + absolute + noise(many, H, T, T, seed=4)
    used = torch.ones(T, T, dtype=torch.bool)
    used[0] = False
    content = H * (T - 1) * (T - 1)  # one degree of freedom less in each of T - 1 rows
    fixed = float(row_centred((relative + absolute).double(), used).square().sum())
    found = logit_split(summed(x))
    assert found["position"].value == pytest.approx(fixed / (fixed + content), abs=0.01)
    low, high = found["position"].interval
    assert low < fixed / (fixed + content) < high


def row_centre(x: torch.Tensor) -> torch.Tensor:
    return x - x.mean(-1, keepdim=True)


def test_the_projection_is_least_squares() -> None:
    x = causal(noise(C, 1, T, T, dtype=torch.float64))
    sums = summed(x)
    mean = (sums.cells.sum(0) / C)[0].numpy()
    columns, target = [], []
    for i in range(2, T):
        for j in range(i + 1):
            row = np.zeros(T)
            row[: i + 1] -= 1 / (i + 1)
            row[i - j] += 1
            columns.append(row)
            target.append(mean[i, j])
    fit = np.array(columns) @ np.linalg.lstsq(np.array(columns), np.array(target), rcond=None)[0]
    assert float(sums._energy(sums.by_distance.sum(0) / C)) == pytest.approx(float((fit**2).sum()), rel=1e-9)


def test_what_the_softmax_does_not_see_changes_nothing() -> None:
    x = causal(noise(C, H, T, T))
    a = logit_split(summed(x))
    b = logit_split(summed(x.log_softmax(-1)))
    c = logit_split(summed(x + 5 * noise(C, H, T, 1, seed=9)))
    for name in a:
        assert a[name].value == pytest.approx(b[name].value, abs=1e-6)
        assert a[name].value == pytest.approx(c[name].value, abs=1e-6)


def test_bad_logits_have_one_clear_line() -> None:
    sums = LogitSums(8)
    sums.add(causal(noise(4, H, T, T)), slice(0, 4))
    with pytest.raises(ValueError, match="expected the same pairs to be visible"):
        sums.add(noise(4, H, T, T), slice(4, 8))
    with pytest.raises(ValueError, match="expected queries that see at least 3 keys"):
        LogitSums(8).add(causal(noise(8, H, 2, 2)), slice(0, 8))
    assert logit_split(summed(torch.zeros(C, H, T, T)))["position"].value is None


def model_logits(expression: str) -> dict:
    reach = reach_model(perturbed(locant.decoder(expression, width=16, heads=2, layers=1, length=32, vocabulary=20)))
    tokens = torch.randint(20, (200, 12), generator=torch.Generator().manual_seed(0))
    sums = LogitSums(200)
    reach.run(tokens, lambda name, layer, x, rows: sums.add(x, rows), capture=("logits",), batch=50)
    return logit_split(sums)


def test_schemes_are_told_apart() -> None:
    none, added, biased = (model_logits(name) for name in ("none", "add(learned)", "alibi"))
    assert none["position"].value < 0.02
    assert added["position"].value > 0.05
    assert added["absolute"].value > added["relative"].value
    assert biased["head.0.relative"].interval[0] > 0
    assert biased["head.0.absolute"].value < 0.5 * biased["head.0.relative"].value


def test_six_terms_add_up_to_the_logits() -> None:
    model = perturbed(locant.decoder("none", width=16, heads=2, layers=1, length=32, vocabulary=20)).double()
    reach = reach_model(model)
    tokens = torch.randint(20, (5, T), generator=torch.Generator().manual_seed(0))
    states: dict[str, torch.Tensor] = {}
    reach.run(tokens, lambda name, layer, x, rows: states.update({name: x}), capture=("normed", "logits"))
    x, logits = states["normed"], states["logits"]
    q, k = reach.readers(0)[:2]
    used = logits[0, 0] > -torch.inf
    constant, position = noise(16, dtype=torch.float64), noise(T, 16, dtype=torch.float64)  # any split will do
    terms = six_terms(constant, x - constant - position, position, by_heads(q), by_heads(k), used)
    assert len(terms) == 6
    whole = torch.stack(list(terms.values())).sum(0) * 8**-0.5
    torch.testing.assert_close(whole, row_centred(logits, used), rtol=0, atol=1e-10)


def test_six_terms_of_a_model_with_biases() -> None:
    """BERT's queries and keys have biases: that of the query asks every key, that of the key nobody notices."""
    shape = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = transformers.BertModel(transformers.BertConfig(**shape, intermediate_size=32, max_position_embeddings=32))
    reach = reach_model(perturbed(model, size=0.5))
    tokens = torch.randint(20, (5, T), generator=torch.Generator().manual_seed(0))
    states: dict[str, torch.Tensor] = {}
    reach.run(tokens, lambda name, layer, x, rows: states.update({name: x}), capture=("normed", "logits"))
    x, used = states["normed"], torch.ones(T, T, dtype=torch.bool)
    sums = TermSums(x.mean((0, 1)), x.mean(0) - x.mean((0, 1)), *reach.readers(0)[:2])
    terms = six_terms(sums.mean, x - sums.mean - sums.position, sums.position, sums.q, sums.k, used)
    whole = torch.stack(list(terms.values())).sum(0) * 8**-0.5
    torch.testing.assert_close(whole, row_centred(states["logits"].double(), used), rtol=0, atol=1e-4)


def test_energies_of_terms_find_where_position_is() -> None:
    model = locant.decoder("add(learned)", width=16, heads=2, layers=1, length=32, vocabulary=20)
    q, k = reach_model(model).readers(0)[:2]
    x, used = noise(4, T, 16), torch.ones(T, T, dtype=torch.bool)
    sums = TermSums(torch.zeros(16), torch.zeros(T, 16), q, k)
    sums.add(x, used)
    found = term_energies(sums)
    assert found["content_to_content"].value == pytest.approx(1)
    assert found["together"].value == pytest.approx(1)
    position = noise(T, 16, seed=1)
    only = TermSums(torch.zeros(16), position, q, k)
    only.add(position.expand(4, T, 16), used)
    assert term_energies(only)["position_to_position"].value == pytest.approx(1)
    both = TermSums(torch.zeros(16), position, q, k)
    both.add(x + position, used)
    assert all(0.05 < term_energies(both)[f"{a}_to_{b}"].value < 0.6
               for a in ("content", "position") for b in ("content", "position"))  # fmt: skip


def test_a_sink_at_slot_0_is_position_only_with_slot_0() -> None:
    """Logits that are content but for slot 0, where every query of every text puts the same."""
    made = noise(60, H, T, T)
    made[..., 0] = 3.0

    def run(tokens, visit, *, capture, layers) -> None:
        rows = slice(0, len(tokens))
        first = int(tokens[0, 0])  # each text's first token is its number
        visit("logits", 0, causal(made[first : first + len(tokens)]), rows)
        visit("normed", 0, noise(len(tokens), T, 4), rows)

    reach = SimpleNamespace(run=run, readers=lambda layer: ())
    tokens = torch.arange(60)[:, None].expand(60, T)
    found = logits(reach, Windows(tokens, 0, 0, tokens.unique(), "ids"), [0], lambda done, of: None)
    whole, without = (found[f"M6.layer.0.absolute{suffix}"].value for suffix in ("", ".without_0"))
    assert whole > 0.4
    assert without < 0.03
