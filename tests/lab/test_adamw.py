"""The update is that of torch's own optimiser, to the last bit, and goes on from its state."""

import pytest
import torch
from support import noise

from locant.lab.adamw import EPSILON, AdamW

BETAS, DECAY, RATES = (0.9, 0.98), 0.1, (0.01, 0.02, 0.005, 0.001)


def parameters() -> list[torch.Tensor]:
    return [noise(*shape, seed=3).requires_grad_() for shape in ((4, 3), (5,), (2, 2), (3, 3, 2))]


def feed(made: list[torch.Tensor], step: int) -> None:
    """Gradients; the third parameter has none at first, and the second none in one step later."""
    for index, parameter in enumerate(made):
        missing = (index == 2 and step < 2) or (index == 1 and step == 2)
        parameter.grad = None if missing else noise(*parameter.shape, seed=10 * step + index)


def test_it_is_that_of_torch_to_the_last_bit() -> None:
    ours, theirs = parameters(), parameters()
    groups = [{"params": theirs[:2], "weight_decay": DECAY}, {"params": theirs[2:], "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, betas=BETAS, eps=EPSILON, fused=True)
    mine = AdamW([(ours[:2], DECAY), (ours[2:], 0.0)], BETAS)
    for step, rate in enumerate(RATES):
        for made in (ours, theirs):
            feed(made, step)
        for group in reference.param_groups:
            group["lr"] = rate
        reference.step()
        mine.step(rate)
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    mine.forget_gradients()
    assert all(parameter.grad is None for parameter in ours)


def test_it_goes_on_from_its_state() -> None:
    whole, first = parameters(), parameters()
    straight, begun = (AdamW([(made, DECAY)], BETAS) for made in (whole, first))
    for step, rate in enumerate(RATES):
        feed(whole, step)
        straight.step(rate)
    for step, rate in enumerate(RATES[:2]):
        feed(first, step)
        begun.step(rate)
    second = [parameter.detach().clone().requires_grad_() for parameter in first]
    after = AdamW([(second, DECAY)], BETAS)
    after.load_state_dict(begun.state_dict())
    for step, rate in enumerate(RATES[2:], start=2):
        feed(second, step)
        after.step(rate)
    assert all(torch.equal(one, other) for one, other in zip(whole, second, strict=True))


def test_a_state_of_other_parameters_is_refused() -> None:
    state = AdamW([(parameters(), DECAY)], BETAS).state_dict()
    with pytest.raises(ValueError, match="expected a state of 2 parameters, was: 4"):
        AdamW([(parameters()[:2], DECAY)], BETAS).load_state_dict(state)
