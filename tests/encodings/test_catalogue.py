"""The catalogue says what is true of the modules that it builds."""

import json
import re

import pytest
import torch

from locant.encodings import LEFT_OUT, Code, Entry, PositionalEncoding, Rotary, Shape, Sinusoidal, build, catalogue

SIZES = {"width": 16, "heads": 2, "layers": 3, "length": 12}
# Of the example, codes included, at the sizes above.
PARAMETERS = {
    "none": 0,
    "add": 12 * 16,
    "scaled_add": 1,
    "concat": 12 * 4,
    "concat_project": 12 * 16 + 16 * 32,
    "gate": 12 * 16 + 2 * 16 + 1,
    "mix": 12 * 16 + 16 * 32,
    "concat_mlp": 12 * 16 + 16 * (32 + 1) + 16 * (16 + 1),
    "matched_add": 12 * 16,
    "multiply": 12 * 16,
    "bind": 12 * 16,
    "inject": 12 * 16,
    "beside": 12 * 4,
    "rotary": 0,
    "interpolation": 0,
    "ntk": 0,
    "dynamic_ntk": 0,
    "yarn": 0,
    "longrope": 0,
    "llama3": 0,
    "proportional": 0,
    "hope": 0,
    "resonance": 0,
    "xpos": 0,
    "fope": 0,
    "liere": 2 * 8 * 8,
    "cayley_string": 2 * 8 * 8 + 2 * 4,
    "grape": 2 * 2 * 8,
    "selective_rotary": 2 * 4 * 16,
    "carope": 2 * (16 + 1),
    "repo": 2 * (2 * 16 + 2),
    "path": 16 * 16 + 2 * (16 + 1),
    "bipe": 12 * 16,
    "bam": 3 * 2,
    "grape_additive": 2 * (8 + 1),
    "dape_v2": 2 * 2 + 32 * (3 * 3 * 2 + 1) + 2,
    "rotary_axial": 0,
    "mrope": 0,
    "rotary_mixed": 2 * 2 * 4,
    "rotary_values": 0,
    "pope": 2 * 8,
    "decoupled": 2 * (2 * 4) * 16,
    "decoupled_rotary": (2 + 1) * 4 * 16,
    "alibi": 0,
    "t5": 32 * 2,
    "kerple_log": 2 * 2,
    "kerple_power": 2 * 2,
    "sandwich": 0,
    "fire": 32 * (2 + 2) + 2 + 2,
    "mlp_bias": 32 * (2 + 2) + 2,
    "dape": 2 * 2 + 32 * (3 * 2 + 1) + 2,
    "diet_rel": 12 * 2,
    "diet_abs": 2 * 12 * 4 * 2,
    "tupe": 12 * 16 + 2 * 16 * 16,
    "shaw": 17 * 8,
    "transformer_xl": 2 * 8 * (16 + 2),
    "deberta": 2 * 8 * 16 + 2 * 16 * 16,
    "cope": 65 * 8,
    "distance_bank": 16 * (2 * 16 + 128),
    "forgetting": 2 * (16 + 1),
    "ssmax": 2,
    "length_temperature": 0,
    "self_extend": 0,
    "rerope": 0,
    "per_layer": 0,
    "on_axis": 0,
    "without": 0,
    "sinusoidal": 0,
    "learned": 12 * 16,
    "random": 0,
    "fourier": 0,
    "binary": 0,
    "learnable_fourier": 32 + 32 * 65 + 16 * 33,
    "sinusoidal_nd": 0,
    "learned_axial": 12 * 16,
    "learned_grid": 12 * 16,
}


OF_THE_CODE_ONLY = {"add", "concat", "matched_add", "multiply", "bind", "inject"}


@pytest.mark.parametrize("entry", catalogue().values(), ids=catalogue().keys())
def test_an_entry_describes_what_its_example_builds(entry: Entry) -> None:
    encoding = build(entry.example, **SIZES)
    assert isinstance(encoding, PositionalEncoding)
    assert entry.name in entry.example
    assert sum(p.numel() for p in encoding.parameters()) == PARAMETERS[entry.name]
    if entry.shift_invariant is not None:
        assert encoding.shift_invariant == entry.shift_invariant
    of_code = [module.limit for module in encoding.modules() if isinstance(module, Code)]
    limits = {"none": None, "limit": 12, "that of the code": of_code[0] if of_code else None}
    assert encoding.limit == limits.get(entry.limit)
    assert (entry.parameters == "0") == (PARAMETERS[entry.name] == 0 or entry.name in OF_THE_CODE_ONLY) or (
        entry.name in {"beside", "learned", "per_layer", "on_axis"}
    )


def test_what_is_left_out_is_not_in_the_catalogue_and_has_a_reason() -> None:
    names, sources, reasons = zip(*LEFT_OUT, strict=True)
    assert len(set(names)) == len(names)
    assert all(sources)
    assert not {name.lower() for name in names} & set(catalogue())
    for reason in reasons:
        assert len(reason.split()) >= 5
        for expression in re.findall(r"`([^`]+)`", reason):
            assert re.match(r"\w+", expression)[0] in catalogue(), expression


def test_the_catalogue_is_plain_data() -> None:
    summaries = [entry.summary() for entry in catalogue().values()]
    assert json.loads(json.dumps(summaries)) == summaries
    keys = {"name", "example", "formula", "source", "acts_on", "parameters", "limit", "shift_invariant"}
    assert all(set(summary) == keys for summary in summaries)
    assert set(catalogue()) == set(PARAMETERS)


def test_columns_apart_are_an_even_quarter_of_the_width_unless_said_otherwise() -> None:
    for width, columns in ((16, 4), (32, 8), (24, 6), (4, 2), (8, 2)):
        assert build("concat(sinusoidal)", width=width, heads=2).extra_width == columns
        assert build("beside(sinusoidal)", width=width, heads=2).beside_width == columns
    assert build("beside(sinusoidal, width=50)", **SIZES).beside_width == 50


@pytest.mark.parametrize("code", ["learned", "sinusoidal", "random", "fourier"])
def test_positions_start_as_large_as_tokens(code: str) -> None:
    """Unless a scale is given; then it is the formula of the paper."""
    sizes = {"width": 64, "heads": 2, "length": 512}
    nothing, positions = torch.zeros(1, 512, 64), torch.arange(512)[None]
    for name in ("add", "scaled_add"):
        made = build(f"{name}({code})", **sizes).embed(nothing, positions).detach()
        assert float(made.square().mean().sqrt()) == pytest.approx(64**-0.5, rel=0.1)
    columns = build(f"concat({code})", **sizes).embed(nothing[..., :48], positions).detach()[..., 48:]
    assert float(columns.square().mean().sqrt()) == pytest.approx(64**-0.5, rel=0.1)
    plain = build("add(sinusoidal, scale=1)", **sizes).embed(nothing, positions)
    assert torch.equal(plain, Sinusoidal(64)(positions))


def test_a_builder_of_ones_own() -> None:
    def faster(shape: Shape, *, times: float = 2.0) -> Rotary:
        return Rotary(shape.head_width, base=10_000.0 / times)

    encoding = build("add(learned) + faster(times=4)", **SIZES, extra={"faster": faster})
    assert torch.equal(encoding.parts[1].frequencies(), Rotary(8, base=2500.0).frequencies())
    with pytest.raises(ValueError, match="expected a name that is still free, was: 'rotary'"):
        build("rotary", **SIZES, extra={"rotary": faster})
    with pytest.raises(ValueError, match=r"faster.*was: 'fastr' \(did you mean 'faster'\?\)"):
        build("fastr", **SIZES, extra={"faster": faster})
    with pytest.raises(ValueError, match="expected the options times of faster, was: 'time'"):
        build("faster(time=2.0)", **SIZES, extra={"faster": faster})


def test_options_reach_the_module() -> None:
    rotary = build("rotary(base=500.0, fraction=0.5, layout=interleaved)", **SIZES)
    assert rotary.layout == "interleaved"
    assert torch.equal(rotary.frequencies(), Rotary(4, base=500.0).frequencies())
    t5 = build("t5(buckets=8, max_distance=20)", **SIZES)
    assert (t5.buckets, t5.max_distance) == (8, 20)
    one, other = (build(f"add(random(limit=30, std=2.0, seed={seed}))", **SIZES) for seed in (1, 2))
    assert one.limit == 30
    assert float(one.code.vectors().std()) == pytest.approx(2.0, rel=0.15)
    assert not torch.equal(one.code.vectors(), other.code.vectors())
    assert build("add(sinusoidal(base=50.0, layout=halves), scale=0.25)", **SIZES).scale == 0.25
    assert float(build("scaled_add(sinusoidal, initial=0.5)", **SIZES).gain.detach()) == 0.5
