"""Plain sentences about the five claims, C1 to C5, made from metrics: none says more than its interval does."""

from collections.abc import Mapping
from typing import Any

from locant.xray.setting import Setting

CLAIMS = {
    "C1": "In high dimension token and position vectors can be nearly orthogonal, so nothing need be lost by adding "
          "them.",
    "C2": "A position is a fixed push in some direction: a word differs from itself elsewhere, and yet stays closer to "
          "itself than to other words.",
    "C3": "Some words may take another meaning in another place.",
    "C4": "The tables are learned, so the model decides how much to mix, and can keep the two apart.",
    "C5": "Position is carried along as a static part, and reading it is the first thing that the first layer learns.",
}  # fmt: skip
MOST = 0.99  # pairs that must be told apart before "nothing is lost" is said
NOTHING = 1e-9  # below this ratio to chance two spaces share nothing but rounding
FIXED = 0.95  # share of a push that texts must have in common before it is called fixed
APART = "does not apply"
ITSELF = ("M8.auc", "M8.dprime", "M8.words_margin", "M8.words_margin.without_0")
Metrics = Mapping[str, Mapping[str, Any]]
Said = tuple[str, str, list[str]]  # verdict, sentence, the metrics that it rests on


def sentences(setting: Setting, metrics: Metrics, parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each claim its words, a verdict, what was found, and the names of the metrics behind it."""
    found = {
        "C1": nothing_lost(setting, metrics),
        "C2": fixed_push(setting, metrics),
        "C3": other_meaning(setting, metrics, parts),
        "C4": learned_mixture(setting, metrics),
        "C5": first_layer(setting, metrics),
    }
    return [
        {
            "id": key,
            "claim": CLAIMS[key],
            "verdict": verdict,
            "finding": finding,
            "metrics": [n for n in names if n in metrics],
        }
        for key, (verdict, finding, names) in found.items()
    ]


def nothing_lost(setting: Setting, metrics: Metrics) -> Said:
    """C1: is the overlap below chance, and are token and position recovered from their sum?"""
    names = ["M2.overlap_ratio", "M2.overlap", "M2.coherence_mean", "M2.coherence_rms", "M2.coherence_max",
             "M3.wiener_token", "M3.wiener_position", "M3.pair", "M3.position.lda", "M3.token.lda", "M3.kappa",
             "M3.separation_mixed", "M3.cost_of_summing"]  # fmt: skip
    if setting.tables.kind != "sum":
        return APART, f"{_how(setting)} There is no sum to take apart.", names[:1]
    side, apart = _against_chance(metrics)
    pair = metrics.get("M3.pair", {})
    lost = _side(pair, MOST)
    parts = [apart]
    if pair.get("value") is not None:
        parts.append(f"The nearest pair of rows is the right one for {_percent(pair)} of the sums.")
    linear = metrics.get("M3.position.lda", {})
    if linear.get("value") is not None:
        parts.append(f"A linear reader fitted on other tokens finds the position in {_percent(linear)} of them.")
    if (kappa := value(metrics, "M3.kappa")) is not None:
        parts.append(f"The closest two sums are {kappa:.3g} times as far apart as the closest two tokens or positions.")
    cost = metrics.get("M3.cost_of_summing", {})
    if cost.get("value") is not None:
        parts.append(f"Under noise {_percent(cost)} of the sums are misread though each part alone could be read.")
    return _both(side == "below", lost == "above", undecided="inside" in (side, lost)), " ".join(parts), names


def fixed_push(setting: Setting, metrics: Metrics) -> Said:
    """C2: is the push the same for all texts at the input and at the last layer, and is a word still itself?"""
    if not setting.layers:
        return "undecided", f"Hidden states were not looked at.{itself(metrics)}", [n for n in ITSELF if n in metrics]
    first, last = f"M5.layer.{setting.layers[0]}", f"M5.layer.{setting.layers[-1]}"
    names = [f"{first}.size", f"{first}.bias", f"{last}.size", f"{last}.bias", *ITSELF]
    if (reason := _cannot_shift(setting, metrics)) is not None:
        return APART, reason, [name for name in ["M5.size", *names] if name in metrics]
    start, end = metrics[f"{first}.bias"], metrics[f"{last}.bias"]
    if start["value"] is None and end["value"] is None:
        nothing = "Moving a text changes nothing in any layer: the model sees distances, and no position pushes."
        return APART, nothing, names
    where = [(start, f"at the input of layer {setting.layers[0]}"), (end, f"in layer {setting.layers[-1]}")]
    told = ", ".join(f"{_percent(bias)} {at}" for bias, at in where if bias["value"] is not None)
    text = f"Of what moving a text changes, this share is common to all texts: {told}."
    sides = [_side(start, FIXED), _side(end, FIXED)]
    verdict = _both(sides[0] == "above", sides[1] == "above", undecided="inside" in sides)
    return verdict, f"{text}{itself(metrics)}", names


def itself(metrics: Metrics) -> str:
    """Whether sums of a word at two places are closer than sums of two words, in general and for the given words."""
    auc, text = metrics.get("M8.auc", {}), ""
    if auc.get("value") is not None:
        text = (f" At the input a word elsewhere is nearer to itself than another word is in {_percent(auc)} of "
                "comparisons.")  # fmt: skip
    margins = [value(metrics, f"M8.words_margin{suffix}") for suffix in ("", ".without_0")]
    if margins[0] is None:
        return text
    if margins[0] > 0:
        return f"{text} Each word that was asked for stays closer to itself than to the others wherever they stand."
    but = ", but does without position 0" if margins[1] is not None and margins[1] > 0 else ""
    return f"{text} Not every word that was asked for stays closer to itself wherever they stand{but}."


def other_meaning(setting: Setting, metrics: Metrics, parts: Mapping[str, Any]) -> Said:
    """C3: does moving a text change it in a way of its own, and do words differ in it reliably?"""
    if not setting.layers:
        return "undecided", "Hidden states were not looked at.", []
    last = setting.layers[-1]
    names = [f"M5.layer.{last}.size", f"M5.layer.{last}.bias", f"M9.layer.{last}.reliability"]
    if (reason := _cannot_shift(setting, metrics)) is not None:
        return APART, reason, [name for name in ["M5.size", *names] if name in metrics]
    bias, reliability = metrics[names[1]], metrics.get(names[2], {})
    if bias["value"] is None:
        text = "Moving a whole text changes nothing, so no word means something else at another number."
        return "fails", f"{text} What its distances to other words do to it is not asked here.", names
    own = 1 - bias["value"]
    size = value(metrics, names[0]) or 0.0
    text = (f"In layer {last} moving a text changes its states by {_share(size)} of the squared distance between "
            f"unrelated ones, and {_share(own)} of that change is different for each text.")  # fmt: skip
    reliable = reliability.get("value") is not None and reliability["value"] >= 0.5
    rows = parts.get("ranking", {}).get("ranking", [])
    if reliable and rows:
        most = ", ".join(f"`{row['token'].strip() or row['token']}`" for row in rows[:5])
        text += f" The words that change most are {most} (split-half reliability {reliability['value']:.2f})."
    else:
        text += " Which words change most could not be told reliably."
    side = _side(bias, FIXED)
    verdict = "undecided" if side == "inside" else "fails" if side == "above" else "holds" if reliable else "partly"
    return verdict, text, names


def learned_mixture(setting: Setting, metrics: Metrics) -> Said:
    """C4: does the trained model keep the two tables further apart than chance?"""
    names = ["M2.overlap", "M2.overlap_chance", "M2.overlap_ratio", "M2.principal.10", "M3.wiener_token",
             "M3.wiener_position", "M8.ratio", "M11.effective_dimension", "M11.k95"]  # fmt: skip
    if setting.tables.kind != "sum":
        return APART, f"{_how(setting)} Nothing is mixed by a table.", names[:1]
    side, text = _against_chance(metrics)
    token, position = metrics["M3.wiener_token"], metrics["M3.wiener_position"]
    if token["value"] is not None and position["value"] is not None:
        text += (f" A linear reader recovers {_share(token['value'])} of the tokens' variance and "
                 f"{_share(position['value'])} of the positions' from the sum; after a random rotation it would be "
                 f"{_share(token['baseline'])} and {_share(position['baseline'])}.")  # fmt: skip
    needed = metrics.get("M11.k95", {})
    if needed.get("value") is not None:
        text += (f" 95 % of the positions' variance lies in {needed['value']:.0f} of {setting.tables.width} "
                 f"directions; noise would take {needed['baseline']:.0f}.")  # fmt: skip
    tied = setting.source.facts.get("tie_word_embeddings")
    text += "" if tied is None else f" Its output head {'is' if tied else 'is not'} tied to the token table."
    return {"below": "holds", "above": "fails", "inside": "undecided"}[side], text, names


def first_layer(setting: Setting, metrics: Metrics) -> Said:
    """C5: does the first layer read position more than what else is there, and what becomes of it by depth?"""
    if not setting.layers:
        return "undecided", "Hidden states were not looked at.", []
    first, last = setting.layers[0], setting.layers[-1]
    raw = "raw." if setting.space == "raw" else ""
    share = [f"M4.{raw}layer.{layer}.position_share.without_0" for layer in (first, last)]
    gains = [name for q in "qkv" if (name := f"M1.layer.{first}.{q}.gain.without_0") in metrics]
    names = [*share, *gains, *(f"M7.untrained.{name}" for name in gains if f"M7.untrained.{name}" in metrics)]
    before, after = metrics[share[0]], metrics[share[1]]
    text = (f"Without position 0, {_percent(before)} of the variance in layer {first} is position, and "
            f"{_percent(after)} in layer {last}.")  # fmt: skip
    pure = _purity(setting, metrics)
    names += pure
    if pure:
        shown = [_percent(metrics[name]) for name in pure]
        text += (f" In the columns set apart for position {shown[0]} of the variance is position in layer {first} and "
                 f"{shown[1]} in layer {last}; in the other columns {shown[2]} and {shown[3]}.")  # fmt: skip
    known = [name for name in gains if metrics[name]["value"] is not None]
    if not known and (setting.tables.kind != "none" or pure):
        why = f" ({metrics[gains[0]]['note']})" if gains else ""
        return "undecided", f"{text} How much its projections read of it could not be measured{why}.", names
    if not known:
        split = f"M6.layer.{first}.relative.without_0"
        if value(metrics, split) is not None:
            text += f" It enters inside of attention: {_percent(metrics[split])} of the logits there hang on distance."
            names.append(split)
        return APART, text + " So there is no part of the first layer's input that could be read as position.", names
    read = ", ".join(f"{_module(name)} {metrics[name]['value']:.3g}" for name in known)
    text += f" Its projections read position with a gain of {read}, where 1 is what a map without regard to it has."
    sides = [_side(metrics[name], 1.0) for name in known if _module(name) != "values"]
    verdict = "fails" if set(sides) == {"below"} else "undecided"
    if "above" in sides:  # queries and keys
        verdict = "holds" if set(sides) == {"above"} else "partly"
    return verdict, text, names


def _purity(setting: Setting, metrics: Metrics) -> list[str]:
    """The metrics of declared position columns and of the others, in the first and the last layer; empty without."""
    for capture in ("raw", "normed"):
        names = [f"M10.{capture}.layer.{layer}.{side}.without_0" for side in ("inside", "outside")
                 for layer in (setting.layers[0], setting.layers[-1])]  # fmt: skip
        if all(value(metrics, name) is not None for name in names):
            return names
    return []


def summary(setting: Setting, metrics: Metrics) -> str:
    """One sentence for the top of the page."""
    text = _how(setting)
    if setting.layers:
        first, last = setting.layers[0], setting.layers[-1]
        raw = "raw." if setting.space == "raw" else ""
        shares = [metrics.get(f"M4.{raw}layer.{layer}.position_share.without_0", {}) for layer in (first, last)]
        split = value(metrics, f"M6.layer.{first}.position.without_0")
        if all(share.get("value") is not None for share in shares):
            text += (f" Position 0 left out, position makes up {_percent(shares[0])} of the variance of what layer "
                     f"{first} reads and {_percent(shares[1])} in layer {last}")  # fmt: skip
            text += "." if split is None else f"; {_share(split)} of layer {first}'s attention logits hang on it."
    return text


def value(metrics: Metrics, name: str) -> float | None:
    """The value of a metric, None if it has none or is not there."""
    found: float | None = metrics.get(name, {}).get("value")
    return found


def _how(setting: Setting) -> str:
    tables = setting.tables
    if tables.kind == "sum" and tables.positions is not None:
        return f"Position is added to the token vectors at the input, from a table of {len(tables.positions)} rows."
    if tables.kind == "mixed":
        return "Token and position meet at the input, but not by a sum."
    if setting.beside:
        return f"Position stands in {setting.beside} columns beside the stream: every layer reads them and none writes."
    return "No position reaches the input of the first layer."


def _cannot_shift(setting: Setting, metrics: Metrics) -> str | None:
    if "M5.size" not in metrics:
        return None
    note = metrics["M5.size"]["note"]
    return f"{note[0].upper()}{note[1:]}."


def _against_chance(metrics: Metrics) -> tuple[str, str]:
    """Whether the overlap lies below, inside or above the range of chance, and the sentence that says so."""
    overlap, chance = metrics["M2.overlap"], metrics["M2.overlap_chance"]
    if overlap["value"] is None:
        return "inside", f"The overlap of the tables is not defined: {overlap['note']}."
    low, high = chance["interval"]
    side = "below" if overlap["value"] < low else "above" if overlap["value"] > high else "inside"
    how = f"{side} the range" if side != "inside" else "inside the range"
    ratio = overlap["value"] / chance["value"]
    if ratio < NOTHING:
        return side, "Token and position space do not overlap at all; after a random rotation they would."
    return side, (f"Token and position space overlap {ratio:.2g} times as much as by chance, {how} in which 95 % of "
                  "random rotations lie.")  # fmt: skip


def _side(metric: Mapping[str, Any], threshold: float) -> str:
    """Where the interval lies: above or below the threshold, or inside if it is not on one side or not known."""
    if metric.get("value") is None or metric.get("interval") is None:
        return "inside"
    low, high = metric["interval"]
    return "above" if low >= threshold else "below" if high < threshold else "inside"


def _both(first: bool, second: bool, *, undecided: bool) -> str:
    if first and second:
        return "holds"
    return "partly" if first or second else "undecided" if undecided else "fails"


def _percent(metric: Mapping[str, Any]) -> str:
    low, high = metric["interval"] or (None, None)
    if low is None or high is None:
        return _share(metric["value"])
    digits = next((n for n in (3, 4, 5) if _plain(low, n) != _plain(high, n)), 3)  # ends that differ look different
    return f"{_plain(metric['value'], digits)} % [{_plain(low, digits)}, {_plain(high, digits)}]"


def _share(x: float) -> str:
    return f"{_plain(x)} %"


def _plain(x: float, digits: int = 3) -> str:
    percent = 100 * x
    if 99.995 <= percent < 100:
        return "over 99.99"  # rounded to 100 it would claim certainty
    return "100" if percent == 100 else f"{percent:.{digits}g}"


def _module(name: str) -> str:
    return {"q": "queries", "k": "keys", "v": "values"}[name.split(".")[3]]
