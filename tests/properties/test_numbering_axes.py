"""Positions on several axes: grids, text with images, and what encodings make of them."""

from types import MethodType, SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import decode, differs, named, refusal, same, some_tokens
from torch import Tensor

from locant.encodings import (
    Absent,
    Beside,
    Chain,
    Concat,
    Layout,
    Learned,
    OnAxis,
    PerLayer,
    PositionalEncoding,
    Rotary,
    abacus,
    build,
    contiguous,
    folded,
    grid,
    mrope,
    shifted,
    stacked,
    without,
)
from locant.model import Decoder

few = settings(max_examples=30, deadline=None)
sizes = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@few
@given(sizes)
def test_a_grid_is_read_as_it_is_flattened(shape: list[int]) -> None:
    layout = grid(*shape)
    assert layout.documents is None
    cells = torch.arange(int(torch.tensor(shape).prod())).reshape(shape)
    assert layout.positions.shape == (1, cells.numel(), len(shape))
    assert torch.equal(cells[tuple(layout.positions[0].unbind(-1))], cells.flatten())


def test_rows_come_before_columns() -> None:
    assert grid(2, 3).positions[0].tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


@few
@given(st.integers(1, 4), sizes)
def test_folding_a_line_is_the_grid(outer: int, inner: list[int]) -> None:
    expected = grid(outer, *inner)
    time = expected.positions.shape[1]
    assert torch.equal(folded(contiguous(time), *inner).positions, expected.positions)
    assert torch.equal(folded(Layout(torch.arange(time)[None].float()), *inner).positions, expected.positions.float())
    later = folded(contiguous(time, start=time), *inner).positions
    assert torch.equal(later[..., 1:], expected.positions[..., 1:])


segments = st.one_of(
    st.integers(1, 4),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)),
)


def triples(row: list[object]) -> list[list[int]]:
    """Wang et al. 2024, section 2.1: a segment starts one above the largest id before it."""
    ids: list[list[int]] = []
    for segment in row:
        start = max((max(token) for token in ids), default=-1) + 1
        if isinstance(segment, int):
            ids += [[start + index] * 3 for index in range(segment)]
            continue
        frames, height, width = segment if len(segment) == 3 else (1, *segment)
        ids += [[start + t, start + y, start + x] for t in range(frames) for y in range(height) for x in range(width)]
    return ids


@few
@given(st.lists(st.lists(segments, min_size=1, max_size=4), min_size=1, max_size=3))
def test_text_and_images(rows: list[list[object]]) -> None:
    layout, expected = mrope(rows), [triples(row) for row in rows]
    longest = max(map(len, expected))
    assert layout.positions.shape == (len(rows), longest, 3)
    assert (layout.documents is None) == (len({len(ids) for ids in expected}) == 1)
    for index, ids in enumerate(expected):
        assert layout.positions[index, : len(ids)].tolist() == ids
        if layout.documents is not None:
            assert layout.documents[index].tolist() == [0] * len(ids) + [-1] * (longest - len(ids))


def test_text_alone_has_one_id_on_every_axis() -> None:
    layout = mrope([[4, 3]])
    assert torch.equal(layout.positions, contiguous(7).positions[..., None].expand(-1, -1, 3))


def peer_triples(grids: list[tuple[int, int, int]], kinds: list[int]) -> Tensor:
    """The ids of transformers' Qwen2-VL; kinds: 0 text, 1 image, 2 video; patches are merged 2 by 2."""
    module = pytest.importorskip("transformers.models.qwen2_vl.modeling_qwen2_vl")
    model = SimpleNamespace(config=SimpleNamespace(vision_config=SimpleNamespace(spatial_merge_size=2)))
    model.get_vision_position_ids = MethodType(module.Qwen2VLModel.get_vision_position_ids, model)
    thw = torch.tensor(grids)
    ids, _ = module.Qwen2VLModel.get_rope_index(
        model, torch.tensor([kinds]), torch.tensor([kinds]), image_grid_thw=thw, video_grid_thw=thw
    )
    return ids[:, 0].T


@pytest.mark.parametrize(("height", "width"), [(2, 3), (3, 2), (1, 5), (4, 4)])
def test_images_agree_with_transformers(height: int, width: int) -> None:
    kinds = [0] * 5 + [1] * (height * width) + [0] * 4
    peer = peer_triples([(1, 2 * height, 2 * width)], kinds)
    assert torch.equal(mrope([[5, (height, width), 4]]).positions[0], peer)


def test_text_after_a_long_video_is_where_transformers_repeats_ids() -> None:
    """5 frames of 2 by 3 cells from id 2 end at id 6. transformers 5.23 goes on at 2 + max(2, 3) = 5, inside of the
    video, and says in the paper's name that it goes on at the largest id plus 1, which is 7."""
    ours = mrope([[2, (5, 2, 3), 2]]).positions[0]
    peer = peer_triples([(5, 4, 6)], [0] * 2 + [2] * 30 + [0] * 2)
    assert torch.equal(ours[:32], peer[:32])
    assert int(ours[:32].max()) == 6
    assert ours[32:, 0].tolist() == [7, 8]
    assert peer[32:, 0].tolist() == [5, 6]


SEVERAL = [
    "add(sinusoidal_nd)",
    "add(learned_axial)",
    "add(learned_grid(limit=16))",
    "concat(learnable_fourier(axes=2))",
    "beside(learned_axial(combine=sum))",
    "rotary_axial",
    "on_axis(rotary, axis=0) + on_axis(add(learned), axis=1)",
    "on_axis(t5, axis=1) + on_axis(inject(learned), axis=0)",
    "on_axis(shaw(furthest=5, values=True), axis=1) + on_axis(alibi, axis=0)",
]


@pytest.mark.parametrize("expression", SEVERAL)
@torch.no_grad()
def test_both_axes_are_read_and_cached(expression: str) -> None:
    model, tokens, layout = named(expression).model(), some_tokens(2, 12), grid(3, 4)
    whole = model(tokens, layout)
    for chunks in ([1] * 12, [5, 1, 6]):
        same(decode(model, tokens, layout, chunks), whole, f"chunks {chunks}")
    rows = Layout(torch.cat([layout.positions, layout.positions.flip(-1)]))
    same(model(tokens, rows)[:1], whole[:1])
    differs(model(tokens, rows)[1], whole[1], "axes swapped")
    for axis in (0, 1):
        moved = layout.positions.clone()
        moved[:, 6:, axis] += 3
        differs(model(tokens, Layout(moved)), whole, f"axis {axis}")
    lines = Layout(torch.arange(12)[None, :, None].expand(-1, -1, 2))
    same(model(tokens, lines), model(tokens), "one id for all axes, as text has")
    halves = Layout(torch.cat([layout.positions[:, :6]] * 2, dim=1), torch.tensor([[0] * 6 + [1] * 6]))
    same(model(tokens, halves)[:, 6:], model(tokens[:, 6:], Layout(layout.positions[:, :6])), "packed")


ONE_AXIS = [
    "add(learned)", "add(sinusoidal)", "add(random)", "add(fourier)", "add(binary)", "inject(learned)", "rotary",
    "alibi", "t5", "rerope(window=4)", "beside(learned)",
]  # fmt: skip


@pytest.mark.parametrize("expression", ONE_AXIS)
def test_encodings_of_one_axis_refuse_several(expression: str) -> None:
    model = named(expression).model(layers=1)
    message = refusal(lambda: model(some_tokens(1, 6), grid(2, 3)))
    assert "expected positions [rows, time]" in message


def test_a_cache_keeps_the_number_of_axes() -> None:
    model, tokens = named("rotary_axial").model(layers=1), some_tokens(1, 6)
    cache = model.cache()
    model(tokens, grid(2, 3), cache)
    with pytest.raises(ValueError, match=r"expected positions of 1 rows on 2 axes .*, was: \(1, 1\) torch.int64"):
        model(tokens[:, :1], None, cache)


def test_an_axis_for_each_encoding() -> None:
    """Abacus beside ordinary positions: the place in the number at the input, the place in the text in attention."""
    tokens = torch.tensor([[3, 1, 2, 4, 2, 2]])
    layout = stacked(contiguous(6), abacus(tokens, [1, 2]))
    both = build("on_axis(add(learned), axis=1) + on_axis(rotary, axis=0)", width=8, heads=2, layers=1, length=9)
    table = both.parts[0].encoding.code
    expected = table.weight[torch.tensor([[0, 1, 2, 0, 1, 2]])] * both.parts[0].encoding.scale
    torch.testing.assert_close(both.embed(torch.zeros(1, 6, 8), layout.positions), expected)
    q = torch.ones(1, 2, 6, 4)
    turned = both.qk(q, q, layout.positions, layout.positions)[0]
    assert torch.equal(turned, Rotary(4).qk(q, q, contiguous(6).positions, contiguous(6).positions)[0])
    assert not both.parts[1].defines("embed")
    PerLayer(OnAxis(Rotary(4), 0), PositionalEncoding())
    with pytest.raises(ValueError, match="expected encodings that act inside of layers, was: OnAxis"):
        PerLayer(OnAxis(Concat(Learned(4, 4)), 0))
    with pytest.raises(ValueError, match="expected an axis of at least 0, was: -1"):
        OnAxis(Rotary(4), -1)
    with pytest.raises(ValueError, match=r"expected positions with an axis 2, was: \[1, 6, 2\]"):
        OnAxis(Rotary(4), 2).qk(q, q, layout.positions, layout.positions)


def test_every_hook_is_passed_on() -> None:
    """A hook that is new must be forwarded here, or an encoding on an axis would lose it."""
    hooks = {name for name, value in vars(PositionalEncoding).items() if callable(value) and not name.startswith("_")}
    assert hooks - set(vars(OnAxis)) == {"reset_parameters"}
    said = {name for name in PositionalEncoding.__annotations__}
    one = OnAxis(build("shaw(furthest=5, values=True) + concat(learned)", width=16, heads=2, length=9), 0)
    assert all(getattr(one, name) == getattr(one.encoding, name) for name in said)


@torch.no_grad()
def test_a_dropped_encoding_leaves_the_trained_weights_in_their_shapes() -> None:
    tokens = some_tokens(2, 9)
    for expression in ("rotary", "per_layer(rotary, none) + t5", "concat(learned) + beside(learned) + rotary",
                       "per_layer(beside(learned), rotary)", "on_axis(concat(sinusoidal), axis=0)"):  # fmt: skip
        trained = named(expression).model()
        dropped = Decoder(without(trained.encoding), width=32, heads=4, layers=3, vocabulary=23)
        assert not list(dropped.encoding.parameters())
        weights = {name: value for name, value in trained.state_dict().items() if not name.startswith("encoding")}
        dropped.load_state_dict(weights)
        same(dropped(tokens, shifted(contiguous(9), 1000)), dropped(tokens), "positions are no longer read")
        if expression == "rotary":
            plain = Decoder(PositionalEncoding(), width=32, heads=4, layers=3, vocabulary=23)
            plain.load_state_dict(weights)
            assert torch.equal(dropped(tokens), plain(tokens))
        else:
            differs(dropped(tokens), trained(tokens))


def test_what_is_dropped_keeps_its_columns_as_zeros() -> None:
    absent = without(Chain(Concat(Learned(9, 3)), Beside(Learned(9, 2)), Rotary(4)))
    assert (absent.extra_width, absent.beside_width, absent.limit) == (3, 2, None)
    positions = contiguous(5).positions
    out = absent.embed(torch.ones(2, 5, 4), positions)
    assert torch.equal(out, torch.cat([torch.ones(2, 5, 4), torch.zeros(2, 5, 3)], dim=-1))
    assert torch.equal(absent.beside(positions), torch.zeros(1, 5, 2))
    assert without(Rotary(4)).beside(positions) is None
    assert [Absent(3, 2).defines(hook) for hook in ("embed", "beside", "enter")] == [True, True, False]


def test_what_is_refused() -> None:
    for call, message in [
        (lambda: grid(), r"expected sizes of at least 1, was: \[\]"),
        (lambda: grid(2, 0), r"expected sizes of at least 1, was: \[2, 0\]"),
        (lambda: folded(contiguous(3)), r"expected sizes of at least 1, was: \[\]"),
        (lambda: folded(Layout(torch.tensor([[0.5]])), 2), "expected whole positions to fold, was: fractional ones"),
        (lambda: mrope([]), r"expected rows of at least 1 segment, was: \[\]"),
        (lambda: mrope([[1], []]), r"expected rows of at least 1 segment, was: \[\[1\], \[\]\]"),
        (lambda: mrope([[0]]), r"\(frames, height, width\), all of at least 1, was: 0"),
        (lambda: mrope([[(2, 0)]]), r"all of at least 1, was: \(2, 0\)"),
        (lambda: mrope([[()]]), r"all of at least 1, was: \(\)"),
        (lambda: mrope([[(1, 1, 1, 1)]]), r"all of at least 1, was: \(1, 1, 1, 1\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
