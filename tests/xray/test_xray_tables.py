"""What is said of the tables of a setting: every family with both variants, cards of words, and what cannot be said."""

from types import SimpleNamespace

import pytest
import torch
from xray.support_sources import refused

from locant.xray.detect import Tables
from locant.xray.sources import Words
from locant.xray.tables import LACKING, frame, samples_of, tables


def noise(rows, width, seed):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def words_of(rows):
    return Words(lambda text: [int(text.strip().removeprefix("w"))], lambda token: f"w{token}")


def setting(w, p, *, kind="sum", words=(), vocabulary="all", seen=None, tied=None, scale=1.0, constant=None, notes=()):
    width = w.shape[1]
    found = Tables(kind, "here", w, scale, p, torch.zeros(width) if constant is None else constant, 0.0, width, notes)
    source = SimpleNamespace(words=words_of(len(w)), model=torch.nn.LayerNorm(width),
                             facts={} if tied is None else {"tie_word_embeddings": tied})  # fmt: skip
    windows = SimpleNamespace(seen=torch.arange(len(w)) if seen is None else seen)
    return SimpleNamespace(tables=found, source=source, windows=windows, words=words, vocabulary=vocabulary,
                           quick=True, seed=0)  # fmt: skip


@pytest.fixture(scope="module")
def part():
    w, p = 3 * noise(80, 12, 0), noise(24, 12, 1)
    w[:, 6:], p[:, :6] = 0, 0
    return tables(setting(w, p, words=("w3", "w7")))


def value(part, name):
    return part["metrics"][name]["value"]


def test_every_measure_comes_with_and_without_position_0(part):
    names = set(part["metrics"])
    assert set(LACKING) <= names
    assert {f"{name}.without_0" for name in names if not name.endswith(".without_0")} <= names
    assert {name.partition(".")[0] for name in names} == {"M2", "M3", "M8", "M9", "M11", "T3"}


def test_tables_of_their_own_columns_lose_nothing(part):
    for name in ("M2.overlap", "M2.coherence_max", "M3.cost_of_summing"):
        assert value(part, name) == pytest.approx(0, abs=1e-9)
    for name in ("M3.wiener_token", "M3.wiener_position", "M3.pair", "M3.position.lda", "M3.token.lda"):
        assert value(part, name) == pytest.approx(1, abs=1e-6), name
    assert value(part, "M3.kappa") == pytest.approx(part["metrics"]["M3.kappa"]["baseline"])
    assert value(part, "T3.tied_logit") == pytest.approx(0, abs=1e-9)


def test_positions_keep_their_numbers_without_position_0():
    w, p = noise(40, 6, 0), noise(12, 6, 1)
    p[7] = p[8] + 1e-3
    notes = {name: metric["note"] for name, metric in tables(setting(w, p))["metrics"].items()}
    for suffix in ("", ".without_0"):
        assert notes[f"M3.separation_position{suffix}"].startswith("positions 7 and 8;")


def test_the_card_of_words(part):
    listed = {each["id"]: each for each in part["lists"]}
    assert [row[0].partition(",")[0] for row in listed["words"]["rows"]] == [
        "w3 with itself", "w7 with itself", "w3 with w7"]  # fmt: skip
    assert float(listed["words"]["rows"][0][1]) == pytest.approx(value(part, "M8.within.w3"), abs=1e-4)
    assert float(listed["words"]["rows"][2][3]) == pytest.approx(value(part, "M8.between.w3.w7.without_0"), abs=1e-4)
    assert ("Every word stays closer" in listed["words"]["caption"]) == (value(part, "M8.words_margin") > 0)
    assert [row[0] for row in listed["favourites"]["rows"]] == ["0", "1", "2", "5", "11", "23"]


def test_the_constant_of_the_sum_counts_for_cosines():
    w, p = noise(40, 6, 0), noise(12, 6, 1)
    near = tables(setting(w, p, words=("w3", "w7"), constant=torch.full((6,), 1e4)))
    assert value(near, "M8.between.w3.w7") > 0.999
    far = tables(setting(w, p, words=("w3", "w7")))
    assert value(far, "M8.between.w3.w7") < 0.999
    assert value(near, "M3.kappa") == pytest.approx(value(far, "M3.kappa"))


def test_every_figure_has_points_and_a_caption(part):
    assert [figure["id"] for figure in part["figures"]] == ["noise", "spectrum", "cosines", "waves", "lengths"]
    for figure in part["figures"]:
        assert figure["points"], figure["id"]
        assert figure["caption"], figure["id"]
    held = [point["value"] for point in part["figures"][1]["points"] if point["series"] == "positions"]
    assert held == sorted(held)
    assert held[-1] == pytest.approx(1)


@pytest.mark.parametrize(("given", "reason"), [
    ({"kind": "none", "notes": ("no position reaches the first layer",)}, "no position reaches the first layer"),
    ({"kind": "mixed"}, "no table of positions is added at the input"),
    ({"vocabulary": "seen", "seen": torch.tensor([3, 4])},
     "expected more than 2 rows of both tables, was: 2 of tokens and 12 of positions"),
])  # fmt: skip
def test_without_a_pair_of_tables_everything_has_a_reason(given, reason):
    part = tables(setting(noise(20, 4, 0), noise(12, 4, 1), words=("w3",), **given))
    assert set(LACKING) <= set(part["metrics"])
    for name, metric in part["metrics"].items():
        assert metric["value"] is None, name
        assert metric["note"] == reason


def test_positions_that_are_all_0_have_reasons():
    part = tables(setting(noise(30, 6, 0), torch.zeros(12, 6)))
    for name in ("M2.overlap", "M3.wiener_position", "M3.kappa", "M8.ratio", "M11.stable_rank", "M11.helix_fit",
                 "T3.tied_logit"):  # fmt: skip
        assert value(part, name) is None, name
        assert part["metrics"][name]["note"], name


def test_a_head_of_its_own_has_no_favourites():
    part = tables(setting(noise(30, 6, 0), noise(12, 6, 1), tied=False))
    assert part["metrics"]["T3.tied_logit"]["note"] == "the output head is not tied to the token table"
    assert "favourites" not in {each["id"] for each in part["lists"]}


def test_sixteen_bits_do_not_overflow():
    """60 000 x 3 is beyond float16; the table is made wider before it is scaled."""
    w, p = (noise(30, 6, 0) * 2e4).clamp(-6e4, 6e4), noise(12, 6, 1) * 1e4
    wide = tables(setting(w.half().float(), p.half().float(), scale=3.0))
    narrow = tables(setting(w.half(), p.half(), scale=3.0))
    for name, metric in wide["metrics"].items():
        if metric["value"] is not None:
            assert value(narrow, name) == pytest.approx(metric["value"], rel=1e-4, abs=1e-6), name


def test_tables_that_cannot_be_measured_are_refused():
    w, p = noise(30, 6, 0), noise(12, 6, 1)
    w[4, 2] = torch.nan
    assert refused(tables, setting(w, p)) == "expected finite numbers in the token table, was: nan in row 4"
    assert refused(tables, setting(noise(30, 6, 0), noise(12, 5, 1))).startswith("expected tables of equal width")
    told = refused(tables, setting(noise(30, 6, 0), p, words=("w3", "w03")))
    assert told == "expected words of different tokens, was: w3, w03"
    told = refused(tables, setting(noise(30, 6, 0), p, words=("w40",)))
    assert told == "expected a token id below 30 for 'w40', was: 40"


def test_large_tables_are_sampled_less():
    few = samples_of(setting(noise(30, 6, 0), noise(12, 6, 1)), torch.empty(1 << 18, 1 << 13, device="meta"),
                     torch.empty(1 << 17, 1 << 13, device="meta"))  # fmt: skip
    assert (few.positions, few.tokens, few.pairs, few.noisy) == (64, 64, 64, 64)
    usual = samples_of(setting(noise(30, 6, 0), noise(12, 6, 1)), torch.empty(30_522, 384), torch.empty(512, 384))
    assert (usual.positions, usual.tokens, usual.pairs, usual.noisy) == (2_000, 300, 500, 64)


def test_a_frame_of_the_movie():
    one = setting(noise(30, 6, 0), noise(12, 6, 1))
    found = frame(one.tables, one)
    assert {"M2.overlap_ratio", "M3.wiener_token", "M11.effective_dimension", "M11.helix_fit"} <= set(found)
    assert frame(setting(noise(30, 6, 0), noise(12, 6, 1), kind="none").tables, one) == {}
