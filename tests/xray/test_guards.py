"""What would mislead a reader is said in the notes, with its numbers, and nothing is said where nothing would."""

import pytest

from locant.xray.guards import _layers, guard_notes


def norms(**values):
    return {f"M7.layer.{key[1:]}.{name}": {"value": value} for name, each in values.items()
            for key, value in each.items()}  # fmt: skip


def test_nothing_to_warn_of():
    assert guard_notes(64, norms(largest_norm={"l0": 2.0, "l1": 19.9}, norm_of_position_0={"l0": 0.5, "l1": 2.9})) == []
    assert guard_notes(64, {"M7.layer.0.largest_norm": {"value": None}}) == []


def test_each_trap_is_named_with_its_numbers():
    metrics = norms(largest_norm={"l0": 2.0, "l1": 202.1, "l2": 149.0}, norm_of_position_0={"l1": 174.1, "l2": 0.2})
    few, spikes, first = guard_notes(24, metrics)
    assert few.startswith("24 windows are few: intervals are wide below 64, and shares of noise are about 1/24 before")
    assert spikes.startswith("massive activations in layers 1 to 2: norms of the raw stream of up to 202 ti")
    assert "in layer 1; what modules read" in spikes
    assert first == (
        "position 0 is unlike the others in layers 1 to 2: in layer 1 its norm is 174 times theirs; "
        "read the numbers named .without_0"
    )
    assert "in layer 0 its norm is 0 times" in guard_notes(64, norms(norm_of_position_0={"l0": 0.0}))[0]


@pytest.mark.parametrize(("layers", "text"), [
    ([3], "layer 3"), ([3, 4, 5], "layers 3 to 5"), ([3, 5, 9], "layers 3, 5 and 9"),
    ([1, 2, 3, 5, 9], "5 layers from 1 to 9"),
])  # fmt: skip
def test_layers_as_text(layers, text):
    assert _layers(dict.fromkeys(layers, 1.0)) == text
