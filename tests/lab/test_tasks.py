"""Every task against an oracle that re-derives its targets from prefixes by plain loops."""

import itertools
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.lab.tasks import Batch, build, catalogue
from locant.lab.tasks.base import expected_largest_counts

NAMES = ("copy", "reverse", "recall", "induction", "sort", "parity", "shift", "what_at_index")
MINIMUM = {
    "copy": 2,
    "reverse": 2,
    "recall": 3,
    "induction": 17,
    "sort": 2,
    "parity": 1,
    "shift": 8,
    "what_at_index": 2,
}


def drawn(name: str, size: int, length: int, seed: int, **options: int) -> Batch:
    return build(name, **options).batch(size, length, torch.Generator().manual_seed(seed))


def after_separator(prefix: list[int], separator: int, answer: Callable[[list[int]], list[int]]) -> int:
    if separator not in prefix:
        return -100
    cut = prefix.index(separator)
    string, shown = prefix[:cut], prefix[cut + 1 :]
    wanted = answer(string)
    assert shown[: len(wanted)] == wanted[: len(shown)], "the row shows another answer than the oracle's"
    assert all(token == separator + 1 for token in shown[len(wanted) :]), "filler follows the answer"
    return wanted[len(shown)] if len(shown) < len(wanted) else -100


def recall_oracle(prefix: list[int]) -> int:
    told: dict[int, int] = {}
    for key, value in zip(prefix[::2], prefix[1::2], strict=False):
        assert told.setdefault(key, value) == value, "a key is told two values"
    return told.get(prefix[-1], -100) if len(prefix) % 2 else -100


def induction_oracle(prefix: list[int]) -> int:
    for place in range(len(prefix) - 2, -1, -1):
        if prefix[place] == prefix[-1]:
            return prefix[place + 1]
    return -100


ORACLES: dict[str, Callable[[list[int]], int]] = {
    "copy": lambda prefix: after_separator(prefix, 16, list),
    "reverse": lambda prefix: after_separator(prefix, 16, lambda string: string[::-1]),
    "sort": lambda prefix: after_separator(prefix, 64, sorted),
    "recall": recall_oracle,
    "induction": induction_oracle,
    "parity": lambda prefix: prefix.count(1) % 2,
    "shift": lambda prefix: prefix[-8] if len(prefix) >= 8 else -100,
    "what_at_index": lambda prefix: -100 if prefix[-1] < 16 else prefix[prefix[-1] - 16],
}


def test_the_catalogue_holds_every_task_by_name() -> None:
    tasks = catalogue()
    assert tuple(tasks) == NAMES
    for name, task in tasks.items():
        assert task.name == name
        assert task == build(name)
        assert task.description.endswith(".")
        assert task.description.count(".") == 1


@pytest.mark.parametrize("name", NAMES)
@given(extra=st.integers(0, 70), seed=st.integers(0, 2**31))
@settings(max_examples=12, deadline=None)
def test_targets_follow_from_the_prefix_alone(name: str, extra: int, seed: int) -> None:
    length = MINIMUM[name] + extra
    tokens, targets, slices = drawn(name, 3, length, seed)
    assert tokens.shape == targets.shape == (3, length)
    assert tokens.dtype == targets.dtype == torch.long
    assert tokens.min() >= 0
    assert tokens.max() < build(name).vocabulary
    assert all(factor.shape == (3,) and factor.dtype == torch.long for factor in slices.values())
    for row, wanted in zip(tokens.tolist(), targets.tolist(), strict=True):
        derived = [ORACLES[name](row[: place + 1]) for place in range(length)]
        assert derived == wanted
        assert any(target != -100 for target in wanted)


@pytest.mark.parametrize("name", NAMES)
def test_batches_are_a_function_of_size_length_and_generator(name: str) -> None:
    state = torch.random.get_rng_state()
    first, again, other = drawn(name, 4, 33, 1), drawn(name, 4, 33, 1), drawn(name, 4, 33, 2)
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.targets, again.targets)
    assert not torch.equal(first.tokens, other.tokens)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
def test_too_short_a_length_is_refused(name: str) -> None:
    message = f"expected a length of at least {MINIMUM[name]}, was: {MINIMUM[name] - 1}"
    with pytest.raises(ValueError, match=message):
        drawn(name, 1, MINIMUM[name] - 1, 0)
    with pytest.raises(ValueError, match=message):
        build(name).chance(MINIMUM[name] - 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_symbol_and_size_occurs(name: str) -> None:
    tokens, _, slices = drawn(name, 2000, 64, 3)
    assert tokens.unique().tolist() == list(range(build(name).vocabulary))
    sizes = {"copy": range(16, 33), "reverse": range(16, 33), "sort": range(16, 33), "recall": range(4, 9)}
    if name in sizes:
        assert next(iter(slices.values())).unique().tolist() == list(sizes[name])


def test_slices_say_what_the_rows_hold() -> None:
    copies, recalls, bits = drawn("copy", 5, 31, 4), drawn("recall", 5, 31, 4), drawn("parity", 5, 31, 4)
    assert copies.slices["length"].tolist() == [row.index(16) for row in copies.tokens.tolist()]
    assert recalls.slices["pairs"].tolist() == [len(set(row[::2])) for row in recalls.tokens.tolist()]
    assert bits.slices["ones"].tolist() == [row.count(1) for row in bits.tokens.tolist()]
    assert drawn("shift", 2, 31, 4, by=3).slices["distance"].tolist() == [3, 3]


def test_the_distance_of_induction_is_the_mean_over_the_row() -> None:
    tokens, _, slices = drawn("induction", 5, 40, 5)
    for row, distance in zip(tokens.tolist(), slices["distance"].tolist(), strict=True):
        back = [min(t - s for s in range(t) if row[s] == row[t]) for t in range(len(row)) if row[t] in row[:t]]
        assert abs(distance - sum(back) / len(back)) <= 0.5


@pytest.mark.parametrize(
    ("length", "keys", "most"), [(3, 8, 1), (6, 8, 1), (7, 8, 2), (64, 8, 8), (64, 32, 16), (200, 32, 32)]
)
def test_pairs_are_told_before_they_are_asked_for(length: int, keys: int, most: int) -> None:
    tokens, targets, slices = drawn("recall", 400, length, 6, keys=keys)
    assert slices["pairs"].unique().tolist() == list(range((most + 1) // 2, most + 1))
    for row, wanted, pairs in zip(tokens.tolist(), targets.tolist(), slices["pairs"].tolist(), strict=True):
        asked = [place for place, target in enumerate(wanted) if target != -100]
        assert asked == list(range(2 * pairs, length, 2))
        assert len(set(row[: 2 * pairs : 2])) == pairs


@pytest.mark.parametrize(("length", "existing"), [(2, 1), (11, 5), (64, 32), (65, 32), (256, 32)])
def test_questions_name_only_indices_that_exist_and_one_quarter_of_them_a_row(length: int, existing: int) -> None:
    tokens, _, slices = drawn("what_at_index", 400, length, 7)
    asked = tokens[:, length // 2 :] - 16
    assert asked.unique().tolist() == list(range(existing))
    bounds = [*(band * existing // 4 for band in range(4)), existing] if existing >= 4 else list(range(existing + 1))
    for row, first in zip(asked.tolist(), slices["index"].tolist(), strict=True):
        stop = bounds[bounds.index(first) + 1]
        assert all(first <= index < stop for index in row)


def test_the_largest_count_agrees_with_enumeration() -> None:
    for symbols, length in [(2, 1), (2, 7), (3, 5), (5, 4)]:
        strings = list(itertools.product(range(symbols), repeat=length))
        mean = sum(max(Counter(string).values()) for string in strings) / len(strings)
        assert expected_largest_counts([length], symbols) == pytest.approx([mean], rel=1e-9)
    assert expected_largest_counts([3, 5, 7], 2)[1] == pytest.approx(expected_largest_counts([5], 2)[0])


def test_the_largest_count_of_many_stays_near_the_mean() -> None:
    assert 2000 / 16 < expected_largest_counts([2000], 16)[0] < 2000 / 16 + 40


def most_frequent(tokens: list[int]) -> int:
    return Counter(tokens).most_common(1)[0][0]


@pytest.mark.parametrize("length", [21, 64])
@pytest.mark.parametrize("name", ["copy", "reverse", "recall", "what_at_index"])
def test_chance_is_what_naming_the_most_frequent_scores(name: str, length: int) -> None:
    right = asked = 0
    tokens, targets, _ = drawn(name, 20_000, length, 8)
    for row, wanted in zip(tokens.tolist(), targets.tolist(), strict=True):
        start = next(place for place, target in enumerate(wanted) if target != -100)
        told = row[1:start:2] if name == "recall" else row[:start]
        answers = [target for target in wanted if target != -100]
        asked += len(answers)
        right += answers.count(most_frequent([token for token in told if token != 16 or name == "recall"]))
    assert build(name).chance(length) == pytest.approx(right / asked, abs=0.006)


def test_chance_of_recall_weighs_rows_by_their_questions() -> None:
    # One pair: 3 questions, all right. Two pairs: 2 questions, of which the larger of two counts gets 3 in 4.
    assert build("recall", keys=2, values=2).chance(7) == pytest.approx((3 * 1 + 2 * 3 / 4) / 5)


@pytest.mark.parametrize(("symbols", "length"), [(3, 8), (4, 9), (2, 10), (6, 3)])
def test_chance_of_sort_is_the_best_guess_from_rank_and_previous_answer(symbols: int, length: int) -> None:
    right = asked = 0.0
    for count in range((length // 2 + 1) // 2, length // 2 + 1):
        answers = [sorted(string) for string in itertools.product(range(symbols), repeat=count)]
        for rank in range(count):
            seen = Counter((answer[rank - 1] if rank else None, answer[rank]) for answer in answers)
            contexts = {context for context, _ in seen}
            best = sum(max(n for (before, _), n in seen.items() if before == context) for context in contexts)
            right += best / len(answers)
        asked += count
    assert build("sort", symbols=symbols).chance(length) == pytest.approx(right / asked, rel=1e-9)


@pytest.mark.parametrize("name", ["induction", "parity", "shift"])
def test_targets_of_the_remaining_tasks_are_uniform(name: str) -> None:
    _, targets, _ = drawn(name, 500, 64, 9)
    shares = torch.bincount(targets[targets >= 0]) / (targets >= 0).sum()
    assert shares.max().item() == pytest.approx(build(name).chance(64), rel=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_chance_is_a_share_at_every_length(name: str) -> None:
    for length in (MINIMUM[name], 40, 257, 512):
        assert 0 < build(name).chance(length) <= 1


def test_options_reach_the_task() -> None:
    assert build("shift", by=3).description.startswith("Repeat the token seen 3 steps ago")
    assert drawn("shift", 1, 4, 0, by=3).targets[0, 3] == drawn("shift", 1, 4, 0, by=3).tokens[0, 0]
    assert build("recall", keys=5, values=3).vocabulary == 8
    assert build("copy", symbols=9).vocabulary == 11


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cpy", {}, f"expected a task among {', '.join(NAMES)}, was: 'cpy'"),
        ("recall", {"symbols": 3}, "expected options of recall among keys, values, was: symbols"),
        ("parity", {"symbols": 3}, "expected options of parity among none, was: symbols"),
        ("copy", {"symbols": 1}, "expected a number of symbols of at least 2, was: 1"),
        ("reverse", {"symbols": 1}, "expected a number of symbols of at least 2, was: 1"),
        ("sort", {"symbols": 1}, "expected a number of symbols of at least 2, was: 1"),
        ("induction", {"symbols": 0}, "expected a number of symbols of at least 2, was: 0"),
        ("shift", {"symbols": 1}, "expected a number of symbols of at least 2, was: 1"),
        ("shift", {"by": 0}, "expected a shift of at least 1, was: 0"),
        ("recall", {"keys": 0}, "expected a number of keys of at least 1, was: 0"),
        ("recall", {"values": 1}, "expected a number of values of at least 2, was: 1"),
        ("what_at_index", {"symbols": 1}, "expected a number of symbols of at least 2, was: 1"),
        ("what_at_index", {"indices": 0}, "expected a number of indices of at least 1, was: 0"),
    ],
)
def test_wrong_names_and_options_are_refused(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, **options)
