"""The contract catches each known mistake, in the checks that are meant for it."""

from collections.abc import Callable

import pytest
from contract import checks, engineering
from mutants import faulty
from support import HEADS, WIDTH, Subject

from locant.encodings import Add, PositionalEncoding, Sinusoidal

HEAD_WIDTH = WIDTH // HEADS
CAUGHT: list[tuple[Callable[[int], PositionalEncoding], list[Callable[[Subject], None]]]] = [
    (
        lambda length: faulty.IndexForPosition(HEADS),
        [checks.check_position_matters],
    ),
    (
        lambda length: faulty.ArangeInside(),
        [
            checks.check_cached_decoding,
            checks.check_packed_is_separate,
            checks.check_padded_is_unpadded,
            checks.check_rows_at_different_steps,
            checks.check_position_matters,
            checks.check_shift_invariance_is_as_declared,
            checks.check_a_part_of_the_sequence_is_the_part_of_the_result,
        ],
    ),
    (
        lambda length: Add(faulty.ScaledByLength(WIDTH)),
        [checks.check_cached_decoding, checks.check_packed_is_separate, checks.check_positions_repeat_and_skip],
    ),
    (
        lambda length: Add(faulty.CachedByShape(WIDTH)),
        [checks.check_cached_decoding, checks.check_nothing_is_remembered, checks.check_position_matters],
    ),
    (
        lambda length: faulty.PositionsInModelPrecision(HEAD_WIDTH),
        [engineering.check_low_precision_is_exact_far_out, engineering.check_autocast_is_exact_far_out],
    ),
    (
        lambda length: faulty.GateOfEverything(),
        [
            checks.check_cached_decoding,
            checks.check_packed_is_separate,
            checks.check_padded_is_unpadded,
            checks.check_future_has_no_effect,
        ],
    ),
    (
        lambda length: Add(faulty.Clamped(length, WIDTH)),
        [checks.check_positions_outside_are_refused],
    ),
    (
        lambda length: faulty.FollowsTheModule(),
        [engineering.check_low_precision_is_exact_far_out, engineering.check_state_is_what_was_learned],
    ),
    (
        lambda length: faulty.FollowsTheModuleUnsaved(),
        [engineering.check_low_precision_is_exact_far_out, engineering.check_meta_construction],
    ),
    (
        lambda length: faulty.WrongPromise(Sinusoidal(WIDTH)),
        [checks.check_shift_invariance_is_as_declared],
    ),
    (
        lambda length: faulty.NotReallyAdditive(),
        [checks.check_additive_is_as_declared, checks.check_dense_is_sdpa],
    ),
    (
        lambda length: faulty.Unused(),
        [checks.check_every_parameter_learns],
    ),
    (
        lambda length: faulty.Noisy(),
        [engineering.check_global_randomness_is_left_alone, checks.check_cached_decoding],
    ),
    (
        lambda length: faulty.FromTheFuture(),
        [checks.check_future_has_no_effect, checks.check_other_document_has_no_effect, checks.check_cached_decoding],
    ),
]
CASES = [
    pytest.param(make, check, id=f"{make.__code__.co_names[1]}-{check.__name__[6:]}")
    for make, meant in CAUGHT
    for check in meant
]


@pytest.mark.parametrize(("make", "check"), CASES)
def test_mutant_is_caught(make: Callable[[int], PositionalEncoding], check: Callable[[Subject], None]) -> None:
    with pytest.raises(AssertionError):
        check(Subject("mutant", make))


def test_every_mutant_is_here() -> None:
    named = {name for make, _ in CAUGHT for name in make.__code__.co_names}
    assert {
        name for name, value in vars(faulty).items() if getattr(value, "__module__", "") == "mutants.faulty"
    } <= named
