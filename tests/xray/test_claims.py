"""Sentences never say more than the interval: each verdict from numbers that are set by hand."""

from types import SimpleNamespace

import pytest

from locant.xray import claims
from locant.xray.metric import Metric, absent


def setting(kind="sum", layers=(0, 1), rows=8):
    tables = SimpleNamespace(kind=kind, positions=None if kind != "sum" else [0] * rows, width=16)
    return SimpleNamespace(tables=tables, layers=layers, space="normed", beside=0, source=SimpleNamespace(facts={}))


def numbers(**given):
    """Metrics by name, `__` for a point, given as (value, low, high), as a value, or as None."""
    made = {}
    for name, each in given.items():
        name = name.replace("__", ".")
        if each is None:
            made[name] = absent("not measured").to_dict()
        elif isinstance(each, tuple):
            made[name] = Metric(each[0], 0.5, 10, each[1:]).to_dict()
        else:
            made[name] = Metric(each, 0.5, 10).to_dict()
    return made


def overlap(value, low=0.4, high=0.6):
    chance = Metric(0.5, 0.5, 10, (low, high)).to_dict()
    return {"M2.overlap": Metric(value, 0.5, 10).to_dict(), "M2.overlap_chance": chance,
            **numbers(M3__wiener_token=0.9, M3__wiener_position=0.8)}  # fmt: skip


@pytest.mark.parametrize(("value", "verdict"), [
    (0.1, "holds"), (0.39, "holds"), (0.45, "undecided"), (0.5, "undecided"), (0.7, "fails"),
])  # fmt: skip
def test_tables_are_apart_only_below_the_range_of_chance(value, verdict):
    found, text, _ = claims.learned_mixture(setting(), overlap(value))
    assert found == verdict
    assert f"{value / 0.5:.2g} times as much as by chance" in text
    assert "90 % of the tokens' variance and 80 % of the positions'" in text


@pytest.mark.parametrize(("value", "pair", "verdict"), [
    (0.1, (1.0, 0.995, 1.0), "holds"), (0.1, (0.9, 0.85, 0.95), "partly"), (0.5, (1.0, 0.995, 1.0), "partly"),
    (0.5, (0.9, 0.85, 0.995), "undecided"), (0.7, (0.5, 0.4, 0.6), "fails"), (0.7, (0.99, 0.98, 0.995), "undecided"),
])  # fmt: skip
def test_nothing_is_lost_needs_both_orthogonality_and_recovery(value, pair, verdict):
    found, text, _ = claims.nothing_lost(setting(), overlap(value) | numbers(M3__pair=pair))
    assert found == verdict
    assert "The nearest pair of rows is the right one for" in text


def test_the_tables_speak_of_readers_noise_and_directions():
    more = numbers(M3__position__lda=(0.9, 0.88, 0.92), M3__cost_of_summing=(0.02, 0.01, 0.04), M11__k95=3.0)
    _, lost, names = claims.nothing_lost(setting(), overlap(0.1) | more)
    assert "A linear reader fitted on other tokens finds the position in 90 % [88, 92] of them." in lost
    assert "Under noise 2 % [1, 4] of the sums are misread though each part alone could be read." in lost
    assert {"M3.position.lda", "M3.cost_of_summing"} <= set(names)
    _, mixed, _ = claims.learned_mixture(setting(), overlap(0.1) | more)
    assert "95 % of the positions' variance lies in 3 of 16 directions; noise would take 0." in mixed


@pytest.mark.parametrize(("margins", "said"), [
    ((0.1, 0.2), "Each word that was asked for stays closer to itself than to the others wherever they stand."),
    ((-0.1, 0.2), "stays closer to itself wherever they stand, but does without position 0."),
    ((-0.1, -0.2), "Not every word that was asked for stays closer to itself wherever they stand."),
])  # fmt: skip
def test_the_words_that_were_asked_for(margins, said):
    given = numbers(M8__auc=(0.9, 0.8, 1.0), M8__words_margin=margins[0], M8__words_margin__without_0=margins[1])
    verdict, text, names = claims.fixed_push(setting(layers=()), given)
    assert verdict == "undecided"
    assert text.endswith(said)
    assert "nearer to itself than another word is in 90 % [80, 100] of comparisons" in text
    assert names == ["M8.auc", "M8.words_margin", "M8.words_margin.without_0"]


def shift(start, end, **more):
    return numbers(
        M5__layer__0__size=0.1, M5__layer__0__bias=start, M5__layer__1__size=0.2, M5__layer__1__bias=end, **more
    )


@pytest.mark.parametrize(("start", "end", "verdict"), [
    ((0.99, 0.98, 1.0), (0.97, 0.96, 0.98), "holds"), ((0.99, 0.98, 1.0), (0.3, 0.2, 0.4), "partly"),
    ((0.94, 0.9, 0.96), (0.3, 0.2, 0.4), "undecided"), ((0.5, 0.4, 0.6), (0.3, 0.2, 0.4), "fails"),
    (None, None, "does not apply"),
])  # fmt: skip
def test_a_push_is_fixed_only_if_its_interval_says_so(start, end, verdict):
    assert claims.fixed_push(setting(), shift(start, end))[0] == verdict


@pytest.mark.parametrize(("end", "reliability", "verdict"), [
    ((0.3, 0.2, 0.4), 0.8, "holds"), ((0.3, 0.2, 0.4), 0.3, "partly"), ((0.3, 0.2, 0.4), None, "partly"),
    ((0.94, 0.9, 0.96), 0.8, "undecided"), ((0.99, 0.98, 1.0), 0.8, "fails"), (None, 0.8, "fails"),
])  # fmt: skip
def test_another_meaning_needs_a_change_of_its_own_and_words_that_differ(end, reliability, verdict):
    rows = {"ranking": {"ranking": [{"token": " cat"}, {"token": "dog"}]}}
    metrics = shift((0.99, 0.98, 1.0), end, M9__layer__1__reliability=reliability)
    found, text, _ = claims.other_meaning(setting(), metrics, rows)
    assert found == verdict
    assert ("`cat`, `dog`" in text) == (end is not None and reliability == 0.8)


@pytest.mark.parametrize(("gain", "verdict"), [((5.0, 4.0, 6.0), "holds"), ((1.0, 0.9, 1.1), "undecided"),
                                               ((0.5, 0.4, 0.6), "fails"), (None, "undecided")])  # fmt: skip
def test_the_first_layer_reads_position_only_if_its_gain_is_above_one(gain, verdict):
    metrics = numbers(M4__layer__0__position_share__without_0=(0.1, 0.09, 0.11),
                      M4__layer__1__position_share__without_0=(0.02, 0.01, 0.03),
                      M1__layer__0__q__gain__without_0=gain,
                      M6__layer__0__relative__without_0=(0.4, 0.3, 0.5))  # fmt: skip
    found, text, _ = claims.first_layer(setting(), metrics)
    assert found == verdict
    assert "10 % [9, 11] of the variance in layer 0 is position, and 2 % [1, 3] in layer 1" in text


def test_keys_that_read_position_and_queries_that_do_not_are_part_of_it():
    metrics = numbers(M4__layer__0__position_share__without_0=0.1, M4__layer__1__position_share__without_0=0.1,
                      M1__layer__0__q__gain__without_0=(0.6, 0.5, 0.7),
                      M1__layer__0__k__gain__without_0=(1.1, 1.05, 1.15))  # fmt: skip
    assert claims.first_layer(setting(), metrics)[0] == "partly"


def test_columns_set_apart_are_told_of():
    metrics = numbers(M4__layer__0__position_share__without_0=0.1, M4__layer__1__position_share__without_0=0.1,
                      M1__layer__0__q__gain__without_0=None)  # fmt: skip
    for side, values in (("inside", (1, 0.8)), ("outside", (0, 0.3))):
        for layer, value in enumerate(values):
            metrics[f"M10.raw.layer.{layer}.{side}.without_0"] = Metric(value).to_dict()
    verdict, text, names = claims.first_layer(setting(), metrics)
    assert verdict == "undecided"
    assert "of the variance is position in layer 0 and 80 % in layer 1; in the other columns 0 % and 30 %." in text
    assert text.endswith("of it could not be measured (not measured).")
    assert "M10.raw.layer.1.outside.without_0" in names


def test_position_beside_the_stream_is_not_called_absent():
    beside = SimpleNamespace(**{**vars(setting("none")), "beside": 16})
    assert claims.nothing_lost(beside, {})[1].startswith("Position stands in 16 columns beside the stream: every layer")
    assert claims.learned_mixture(beside, {})[0] == "does not apply"


def test_spaces_that_share_nothing_but_rounding():
    assert claims.learned_mixture(setting(), overlap(1e-32))[1].startswith("Token and position space do not overlap")


def test_values_alone_do_not_read_position():
    metrics = numbers(M4__layer__0__position_share__without_0=0.1, M4__layer__1__position_share__without_0=0.1,
                      M1__layer__0__k__gain__without_0=(0.5, 0.4, 0.6),
                      M1__layer__0__v__gain__without_0=(5.0, 4.0, 6.0))  # fmt: skip
    assert claims.first_layer(setting(), metrics)[0] == "fails"


def test_without_position_at_the_input_none_can_be_read():
    metrics = numbers(M4__layer__0__position_share__without_0=0.0, M4__layer__1__position_share__without_0=0.0,
                      M1__layer__0__q__gain__without_0=None,
                      M6__layer__0__relative__without_0=(0.4, 0.3, 0.5))  # fmt: skip
    found, text, names = claims.first_layer(setting("none"), metrics)
    assert found == "does not apply"
    assert "40 % [30, 50] of the logits there hang on distance" in text
    assert "M6.layer.0.relative.without_0" in names


def test_models_without_tables_or_layers():
    for kind in ("none", "mixed"):
        assert claims.nothing_lost(setting(kind), {})[0] == "does not apply"
        assert claims.learned_mixture(setting(kind), {})[0] == "does not apply"
    only = setting(layers=())
    for call in (claims.fixed_push, claims.first_layer):
        assert call(only, {})[:2] == ("undecided", "Hidden states were not looked at.")
    assert claims.other_meaning(only, {}, {})[0] == "undecided"
    cannot = numbers(M5__size=None)
    assert claims.fixed_push(setting(), cannot)[:2] == ("does not apply", "Not measured.")


def test_ends_that_differ_look_different():
    both = {"value": 0.99684, "interval": [0.99672, 0.99691]}
    assert claims._percent(both) == "99.68 % [99.67, 99.69]"
    assert claims._percent({"value": 1.0, "interval": [0.992, 1.0]}) == "100 % [99.2, 100]"
    assert claims._percent({"value": 0.0, "interval": [0.0, 0.0]}) == "0 % [0, 0]"
    assert claims._percent({"value": 0.25, "interval": None}) == "25 %"


def test_a_text_whose_numbers_mean_nothing_is_said_to_be_whole():
    found, text, _ = claims.other_meaning(setting(), shift(None, None), {})
    assert found == "fails"
    assert "no word means something else at another number. What its distances to other words" in text
