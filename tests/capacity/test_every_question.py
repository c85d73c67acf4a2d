"""Every goal with every code: which laws answer, and that they are what the decoders do."""

import numpy as np
import pytest
import torch

from locant.capacity import capacity
from locant.capacity.brute import brute_force
from locant.capacity.checks import checks
from locant.capacity.decoders import decode
from locant.capacity.explaining import stopping_error
from locant.capacity.laws import laws
from locant.capacity.membership import membership_probability, simulated_threshold
from locant.capacity.pursuit import omp_probability, successive_probability
from locant.capacity.question import Question
from locant.capacity.simulate import draw
from locant.capacity.two_codebooks import simulated_slots, successive_pair

ONE, PAIR = {"items": (120,), "members": 4}, {"items": (120, 9), "members": 2}


@pytest.mark.parametrize("code", ["gauss", "sphere", "sign"])
@pytest.mark.parametrize(("goal", "sizes"), [("set", ONE), ("set", PAIR), ("slot", ONE), ("slot", PAIR),
                                             ("membership", ONE)])  # fmt: skip
def test_laws_of_every_question(goal, sizes, code):
    question = Question(24, **sizes, code=code, goal=goal, number_format="int8")
    found = {law.key: law for law in laws(question)}
    explained = {"sic", "omp", "amp"} if goal != "slot" and sizes is ONE else {"first"} if sizes is PAIR else set()
    assert set(found) == {"dot", "best", "any"} | explained
    for law in found.values():
        known = law.probability(24, question.combinations, question.members)
        assert 0 <= known.low <= known.value <= known.high <= 1
    assert found["any"].value(24, question.combinations, question.members) == 1
    assert found["any"].value(1, question.combinations, question.members) == 0


@pytest.mark.parametrize("code", ["sphere", "sign"])
@pytest.mark.parametrize("goal", ["slot", "membership"])
def test_three_ways_for_other_codes(code, goal):
    rows = checks(Question(24, (120,), 3, code=code, goal=goal), brute=False)
    assert all(row["simulation"] and row["brute_force"] and row["agree"] for row in rows)


def test_two_tables_of_signs_and_their_slot():
    for goal in ("set", "slot"):
        rows = checks(Question(16, (120, 9), 2, code="sign", goal=goal), brute=False)
        assert all(row["agree"] for row in rows)


def test_coarse_rounding_is_flagged():
    rows = checks(Question(48, (300,), 6, number_format="int2"), brute=False)
    assert [row["agree"] for row in rows] == [True, True, False]
    assert rows[-1]["question"].endswith("rounded to int2")
    assert rows[-1]["simulation"].agrees(rows[-1]["brute_force"])


def decoded(code, width, items, members, noise, decoder, trials=600):
    """How often a decoder finds the members of a new table each time."""
    generator, right = torch.Generator().manual_seed(0), 0
    for _ in range(trials):
        table = draw(code, (items, width), generator, torch.float32)
        members_of = torch.randperm(items, generator=generator)[:members].sort().values
        total = table[members_of].sum(0) + noise**0.5 * torch.randn(width, generator=generator)
        right += bool((decode(total[None], table, members, decoder) == members_of).all())
    return right / trials


@pytest.mark.parametrize(("code", "noise"), [("sphere", 0.0), ("sign", 0.0), ("sign", 1.0)])
def test_greedy_decoders_of_equal_lengths(code, noise):
    generator = np.random.default_rng(0)
    subtracted = successive_probability(32, 200, 5, 150, generator, noise=noise, code=code)
    pursued = omp_probability(32, 200, 5, 150, generator, noise=noise, code=code, positive=True)
    assert subtracted.value == pytest.approx(decoded(code, 32, 200, 5, noise, "successive"), abs=0.09)
    assert pursued.value == pytest.approx(decoded(code, 32, 200, 5, noise, "omp"), abs=0.09)


def test_subtraction_in_one_coordinate():
    found = successive_probability(1, 6, 2, 1500, np.random.default_rng(0))
    assert found.value == pytest.approx(decoded("gauss", 1, 6, 2, 0.0, "successive", 1500), abs=0.05)
    with pytest.raises(ValueError, match=r"^expected the selection nearest for a width of 1, was: dot$"):
        successive_probability(1, 6, 2, 2, np.random.default_rng(0), selection="dot")


def test_codes_that_a_pursuit_does_not_know():
    with pytest.raises(ValueError, match=r"^expected a code of gauss, sphere, sign, was: turbo$"):
        successive_probability(9, 6, 2, 2, np.random.default_rng(0), code="turbo")
    with pytest.raises(ValueError, match=r"^expected the selection cosine for the code sign, was: dot$"):
        omp_probability(9, 6, 2, 2, np.random.default_rng(0), code="sign", selection="dot")


def test_simulated_slots_are_the_exact_law_and_what_happens():
    exact = successive_pair(20, 200, 30, noise=0.5)
    drawn = simulated_slots(20, (200, 30), noise=0.5, trials=4000)
    assert drawn.low - 0.01 <= exact <= drawn.high + 0.01


def test_threshold_of_equal_lengths():
    level = simulated_threshold(40, 100, 3, code="sphere")
    best = brute_force(40, 100, 3, code="sphere", goal="membership", threshold=level).value
    for other in (level - 0.12, level + 0.12):
        assert brute_force(40, 100, 3, code="sphere", goal="membership", threshold=other).value < best
    assert simulated_threshold(40, 100, 3, code="gauss") == membership_probability(40, 100, 3)[1]


def test_when_to_stop():
    assert stopping_error(64, 0.0) == 0
    generator = np.random.default_rng(0)
    power = generator.chisquare(64, 100_000) / 64
    wrong = (2.0 * power > 2.5).mean() + (3.0 * power < 2.5).mean()
    assert stopping_error(64, 2.0) == pytest.approx(wrong, abs=0.005)


@pytest.mark.parametrize(("what", "decoder"), [("items", "sic"), ("items", "omp"), ("width", "sic"), ("format", "omp"),
                                               ("members", "any"), ("probability", "sic")])  # fmt: skip
def test_simulated_decoders_are_solved_for_too(what, decoder):
    found = capacity(None if what == "width" else 40, 200, 5, solve=what, decoder=decoder, probability=0.9)
    assert found.solved is not None
    number = found.solved["number"]
    assert number.low <= number.value <= number.high
    if what == "items":
        assert number.low < number.high
        asked = next(law for law in laws(found.question) if law.key == decoder)
        assert asked.value(40, 50 * int(number.value), 5) < 0.9 < asked.value(40, int(number.value) // 50 + 6, 5)


def test_all_slots_are_never_more_than_fit():
    found = capacity(24, 120, 4, goal="slot", solve="members", decoder="any", number_format="int4")
    assert found.question.members == int(24 * 4 / np.log2(120))
