"""What every encoding promises about formats, devices, copies and randomness, as checks on a subject."""

import copy
import pickle
from collections.abc import Callable

import torch
from support import HEADS, LAYERS, VOCABULARY, WIDTH, Subject, same, some_tokens
from torch import Tensor

import locant
from locant.encodings import Layout, contiguous
from locant.encodings.derived import Derived
from locant.model import Decoder

TIME, FAR, LONG = 12, 4096, 4200


def tables(model: torch.nn.Module) -> list[Tensor]:
    return [module() for module in model.modules() if isinstance(module, Derived)]


def check_derived_tables_survive(subject: Subject) -> None:
    """Formulas keep their numbers and their precision whatever the module is cast to."""
    before = [table.clone() for table in tables(subject.model())]
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        for after, table in zip(tables(subject.model().to(dtype)), before, strict=True):
            assert after.dtype == table.dtype == torch.float32
            assert torch.equal(after, table)


@torch.no_grad()
def check_low_precision_is_exact_far_out(subject: Subject) -> None:
    """Against its float32 twin with the same rounded parameters, a model loses no more at 4096 than at 0."""
    for dtype in (torch.bfloat16, torch.float16):
        low = subject.model(length=LONG).to(dtype)
        twin = subject.model(length=LONG)
        for parameter, rounded in zip(twin.parameters(), low.parameters(), strict=True):
            parameter.copy_(rounded)
        _no_worse_far_out(lambda t, where, low=low: low(t, where).float(), twin)


@torch.no_grad()
def check_autocast_is_exact_far_out(subject: Subject) -> None:
    model = subject.model(length=LONG)

    def cast(tokens: Tensor, where: Layout) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return model(tokens, where).float()

    _no_worse_far_out(cast, model)


def _no_worse_far_out(low: Callable[[Tensor, Layout], Tensor], twin: Decoder) -> None:
    """The error is measured where positions are small, and may grow to four times that where they are large."""
    tokens, near = some_tokens(4, TIME), contiguous(TIME)
    far = contiguous(TIME, start=FAR)
    ends = near._replace(positions=torch.cat([near.positions[:, :6], far.positions[:, :6]], dim=1))

    def error(where: Layout) -> float:
        return float((low(tokens, where) - twin(tokens, where)).square().mean().sqrt())

    allowed = 4 * error(near)
    assert 0 < allowed < 0.4
    assert error(far) < allowed, f"at {FAR}: {error(far)}, near 0: {allowed / 4}"
    assert error(ends) < allowed, f"from 0 to {FAR}: {error(ends)}, near 0: {allowed / 4}"


def check_meta_construction(subject: Subject) -> None:
    def made() -> Decoder:
        return Decoder(subject.make(64), width=WIDTH, heads=HEADS, layers=LAYERS, vocabulary=VOCABULARY)

    with torch.device("meta"):
        model = made()
    assert all(parameter.is_meta for parameter in model.parameters())
    model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(torch.nan)
    model.reset_parameters(3)
    direct = made()
    direct.reset_parameters(3)
    for name, value in direct.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    for one, other in zip(tables(model), tables(direct), strict=True):
        assert torch.equal(one, other)
    tokens = some_tokens(2, TIME)
    assert torch.equal(model(tokens), direct(tokens))


def check_runs_on_the_meta_device(subject: Subject) -> None:
    """Where costs are counted: forward and backward, with shapes and no numbers."""
    with torch.device("meta"):
        model = Decoder(subject.make(64), width=WIDTH, heads=HEADS, layers=LAYERS, vocabulary=VOCABULARY)
        logits = model(torch.zeros(2, TIME, dtype=torch.long))
        logits.sum().backward()
    assert logits.is_meta
    assert logits.shape == (2, TIME, VOCABULARY)


@torch.no_grad()
def check_state_is_what_was_learned(subject: Subject) -> None:
    model, tokens = subject.model(), some_tokens(2, TIME)
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}
    other = Decoder(subject.make(64), width=WIDTH, heads=HEADS, layers=LAYERS, vocabulary=VOCABULARY)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(tokens), model(tokens))


@torch.no_grad()
def check_copies_are_equal_and_separate(subject: Subject) -> None:
    model, tokens = subject.model(), some_tokens(2, TIME)
    expected = model(tokens)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(tokens), expected)
        for parameter in other.parameters():
            parameter.zero_()
        assert not torch.equal(other(tokens), expected)
        assert torch.equal(model(tokens), expected)


def check_global_randomness_is_left_alone(subject: Subject) -> None:
    def parameters(state: int) -> list[Tensor]:
        torch.manual_seed(state)
        encoding = subject.make(64)  # draws from the global state, as torch's modules do
        before = torch.get_rng_state()
        model = locant.decoder(encoding, WIDTH, HEADS, LAYERS, 64, VOCABULARY, seed=5)
        model(some_tokens(2, TIME)).sum().backward()
        assert torch.equal(torch.get_rng_state(), before), "the global random state was used"
        return list(model.parameters())

    for one, other in zip(parameters(0), parameters(1), strict=True):
        assert torch.equal(one, other), "equal seeds, other parameters"


def check_moves_keep_results(subject: Subject) -> None:
    """To float64 and back, and to the device where it already is: the same model."""
    model, tokens = subject.model(), some_tokens(2, TIME)
    same(model.double()(tokens).float(), subject.model()(tokens))
    same(model.float().to("cpu")(tokens), subject.model()(tokens))


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]
