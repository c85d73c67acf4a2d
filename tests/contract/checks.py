"""What every encoding promises about its results. Each check takes a subject and raises AssertionError."""

import torch
from support import WIDTH, Subject, decode, differs, noise, part, refusal, same, some_tokens

from locant.encodings import Layout, Learned, Pairs, contiguous, left_padded, packed, shifted, stretched

TIME = 12
SPLITS = [[1] * TIME, [TIME], [5, 1, 1, 3, 2], [3, 9]]
SKIPPING = torch.tensor([[0, 0, 1, 1, 5, 9, 9, 20, 21, 40, 41, 55]])


@torch.no_grad()
def check_cached_decoding(subject: Subject) -> None:
    model, tokens = subject.model(), some_tokens(2, TIME)
    whole = model(tokens)
    for sizes in SPLITS:
        same(decode(model, tokens, None, sizes), whole, f"chunks {sizes}")
        same(decode(model, tokens, contiguous(TIME), sizes), whole, f"chunks {sizes}, given positions")


@torch.no_grad()
def check_rows_at_different_steps(subject: Subject) -> None:
    model, tokens = subject.model(), some_tokens(3, TIME)
    layout = shifted(contiguous(TIME), torch.tensor([[0], [5], [31]]))
    whole = model(tokens, layout)
    for row in range(3):
        same(whole[row : row + 1], model(tokens[row : row + 1], Layout(layout.positions[row : row + 1])), f"row {row}")
    for sizes in SPLITS:
        same(decode(model, tokens, layout, sizes), whole, f"chunks {sizes}")


@torch.no_grad()
def check_packed_is_separate(subject: Subject) -> None:
    model, lengths = subject.model(), [[4, 7, 3], [6, 5]]
    layout, tokens = packed(lengths), some_tokens(2, 14)
    together = model(tokens, layout)
    for row, row_lengths in enumerate(lengths):
        start = 0
        for length in row_lengths:
            alone = model(tokens[row : row + 1, start : start + length])
            same(together[row : row + 1, start : start + length], alone, f"row {row}, document at {start}")
            start += length
    same(decode(model, tokens, layout, [5, 1, 6, 2]), together, "in chunks")


@torch.no_grad()
def check_padded_is_unpadded(subject: Subject) -> None:
    model, lengths = subject.model(), [3, 9, TIME]
    layout, tokens = left_padded(lengths), some_tokens(3, TIME)
    padded = model(tokens, layout)
    assert padded.isfinite().all()
    for row, length in enumerate(lengths):
        same(padded[row : row + 1, -length:], model(tokens[row : row + 1, -length:]), f"row {row}")
    for sizes in ([10, 1, 1], [1] * TIME):
        same(decode(model, tokens, layout, sizes), padded, f"chunks {sizes}")


@torch.no_grad()
def check_future_has_no_effect(subject: Subject) -> None:
    model, tokens = subject.model(), some_tokens(2, TIME)
    for layout in (contiguous(TIME), Layout(torch.arange(TIME).flip(0)[None])):
        before = model(tokens, layout)
        for changed in (TIME - 1, 5):
            other = tokens.clone()
            other[:, changed] = (other[:, changed] + 1) % 23
            after = model(other, layout)
            same(after[:, :changed], before[:, :changed], f"token {changed} changed")
            differs(after[:, changed:], before[:, changed:], "the token itself is not read")


@torch.no_grad()
def check_other_document_has_no_effect(subject: Subject) -> None:
    model, tokens, layout = subject.model(), some_tokens(1, TIME), packed([[5, 7]])
    before = model(tokens, layout)
    other = torch.cat([(tokens[:, :5] + 3) % 23, tokens[:, 5:]], dim=1)
    after = model(other, layout)
    same(after[:, 5:], before[:, 5:])
    differs(after[:, :5], before[:, :5])


@torch.no_grad()
def check_positions_repeat_and_skip(subject: Subject) -> None:
    model, tokens = subject.model(), some_tokens(2, TIME)
    for layout in (Layout(SKIPPING), stretched(Layout(SKIPPING), 0.3)):
        shared = model(tokens, layout)
        assert shared.isfinite().all()
        same(model(tokens, Layout(layout.positions.expand(2, -1))), shared, "one row of positions or one for each")
        same(decode(model, tokens, layout, [4, 1, 7]), shared, "in chunks")
        for start in range(0, TIME, 5):
            alone = model(tokens[:, : start + 1], part(layout, 0, start + 1))
            same(shared[:, : start + 1], alone, "what follows changes nothing")
    same(model(tokens, Layout(SKIPPING.float())), model(tokens, Layout(SKIPPING)), "whole numbers as floats")
    same(model(tokens, Layout(SKIPPING.int())), model(tokens, Layout(SKIPPING)), "int32")


@torch.no_grad()
def check_position_matters(subject: Subject) -> None:
    model, tokens = subject.model(), some_tokens(2, TIME)
    moved, plain = model(tokens, Layout(SKIPPING)), model(tokens)
    if subject.sees_positions:
        differs(moved, plain, "positions are not read")
    else:
        same(moved, plain)


@torch.no_grad()
def check_shift_invariance_is_as_declared(subject: Subject) -> None:
    model, tokens = subject.model(), some_tokens(2, TIME)
    near, far = model(tokens), model(tokens, contiguous(TIME, start=40))
    rows = model(tokens, shifted(contiguous(TIME), torch.tensor([[3], [17]])))
    if model.encoding.shift_invariant:
        same(far, near, "declared invariant")
        same(rows, near, "declared invariant, rows moved apart")
    else:
        differs(far, near, "declared not to be invariant, and is")


@torch.no_grad()
def check_additive_is_as_declared(subject: Subject) -> None:
    model, positions = subject.model(), SKIPPING
    scores, worst = 3.0 * noise(2, 4, TIME, TIME, seed=3), 0.0
    grid = [torch.arange(n).view([-1] + [1] * (3 - axis)) for axis, n in enumerate(scores.shape)]
    for encoding in model.schedule:
        q, k = encoding.qk(noise(2, 4, TIME, 8, seed=1), noise(2, 4, TIME, 8, seed=2), positions, positions)
        notes = encoding.notes(noise(2, TIME, WIDTH), positions)
        mod = encoding.score_mod(Pairs(q, k, positions, positions, lambda b, h, i, j: j <= i, notes, notes))
        if mod is not None:
            worst = max(worst, float((mod(scores, *grid) - mod(torch.zeros(()), *grid) - scores).abs().max()))
    assert (worst < 1e-4) == model.encoding.additive, f"declared {model.encoding.additive}, off by {worst}"


@torch.no_grad()
def check_a_part_of_the_sequence_is_the_part_of_the_result(subject: Subject) -> None:
    """Sequences may be split over devices: what is done to a token depends on that token and its position only."""
    for encoding in subject.model().schedule:
        shard, positions = [1, 2, 7, 8], SKIPPING
        x, heads = noise(2, TIME, WIDTH), noise(2, 4, TIME, 8, seed=1)
        local, there = heads[:, :, shard], positions[:, shard]
        tokens = x[..., : WIDTH - encoding.extra_width]
        same(encoding.embed(tokens[:, shard], there), encoding.embed(tokens, positions)[:, shard])
        same(encoding.enter(x[:, shard], there), encoding.enter(x, positions)[:, shard])
        same(encoding.values(local, there), encoding.values(heads, positions)[:, :, shard])
        same(encoding.output(local, there), encoding.output(heads, positions)[:, :, shard])
        both = zip(
            encoding.qk(local, local, there, there), encoding.qk(heads, heads, positions, positions), strict=True
        )
        for part_of_it, whole in both:
            same(part_of_it, whole[:, :, shard])
        columns, notes = encoding.beside(positions), encoding.notes(x, positions)
        if columns is not None:
            same(encoding.beside(there), columns[:, shard])
        if notes is not None:
            same(encoding.notes(x[:, shard], there), notes[:, :, shard])


def check_every_parameter_learns(subject: Subject) -> None:
    model = subject.model(length=TIME)
    tokens = some_tokens(2, TIME + 1)
    torch.nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} is not used"
        assert parameter.grad.isfinite().all(), f"{name} has a gradient that is not finite"
        assert parameter.grad.abs().max() > 0, f"{name} has no gradient"
    for module in model.modules():
        if isinstance(module, Learned):
            assert (module.weight.grad.abs().amax(-1) > 0).all(), "a row of the table has no gradient"


def check_dense_is_sdpa(subject: Subject) -> None:
    encoding = subject.make(64)
    if not encoding.additive or encoding.reads_weights:
        return
    tokens, results = some_tokens(2, TIME), []
    layouts = [contiguous(TIME), packed([[5, 7], [9, 3]]), shifted(contiguous(TIME), torch.tensor([[0], [9]]))]
    for attention in ("dense", "sdpa"):
        model = subject.model(attention=attention)
        logits = torch.stack([model(tokens, layout) for layout in layouts])
        (logits * noise(*logits.shape, seed=5)).sum().backward()
        chunks = decode(model, tokens, layouts[1], [7, 1, 4])
        results.append([logits, chunks, *[p.grad for p in model.parameters()]])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=5e-4)


@torch.no_grad()
def check_nothing_is_remembered(subject: Subject) -> None:
    """Calls of other shapes, places and modes leave no trace: a used model equals a fresh one."""
    used, tokens = subject.model(), some_tokens(3, TIME)
    apart = shifted(contiguous(TIME), torch.tensor([[0], [9], [2]]))
    for layout in (contiguous(TIME, start=30), apart, packed([[12]] * 3)):
        fresh = subject.model()
        same(used(tokens, layout), fresh(tokens, layout))
        same(used(tokens[:1, :7]), subject.model()(tokens[:1, :7]))
    with torch.inference_mode():
        used(tokens)
    expected = used.train()(tokens)
    same(used.eval()(tokens), expected, "training mode changes nothing")


def check_positions_outside_are_refused(subject: Subject) -> None:
    model, tokens = subject.model(), some_tokens(2, TIME)
    limit = model.encoding.limit
    if limit is None:
        assert model(tokens, contiguous(TIME, start=50_000)).isfinite().all()
        return
    assert limit == 64
    model(tokens, contiguous(TIME, start=limit - TIME))
    for layout, offender in (
        (contiguous(TIME, start=limit), limit + TIME - 1),
        (Layout(SKIPPING.float() + 8.25), 63.25),
        (contiguous(TIME, start=-3), -3),
    ):
        message = refusal(lambda layout=layout: model(tokens, layout))
        assert f"was: {offender}" in message, f"expected {offender} in the message, was: {message}"


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]
