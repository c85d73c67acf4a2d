"""The answer in plain words: separable or not, by which decoder, what would break it, and what binds."""

from collections.abc import Sequence
from typing import Any

from locant.capacity.estimate import Estimate
from locant.capacity.ladder import Rung
from locant.capacity.law import Law
from locant.capacity.question import Question
from locant.capacity.real import BREAKING, Real
from locant.report.capacity_words import figure, share, whole
from locant.report.words import listed

SURE = 0.99  # a probability that counts as yes
EFFICIENT = ("dot", "first", "sic", "omp", "amp")  # decoders that one can run at any size
Limits = list[tuple[Law, tuple[Estimate | None, ...]]]


def verdict(rungs: Sequence[Rung]) -> str:
    """One word: "separable" by an efficient decoder, "in principle" by the best one, or "not separable"."""
    known = {rung.law.key: rung.probability.value for rung in rungs if rung.probability is not None}
    if any(known.get(key, 0.0) >= SURE for key in EFFICIENT):
        return "separable"
    return "in principle" if known.get("best", 0.0) >= SURE else "not separable"


def binding(question: Question, rungs: Sequence[Rung], bits: dict[str, Estimate], exact: Estimate) -> tuple[str, str]:
    """Which limit is met first, as a name and a sentence. `exact` is the dot product's probability without rounding."""
    known = {rung.law.key: rung.probability for rung in rungs if rung.probability is not None}
    dot, name = known["dot"], question.number_format
    used = f"{figure(bits['needed'].value)} of {figure(bits['available'].value)} bits"
    if bits["used"].value > 1:
        return "pigeonhole", (
            f"What binds is the count of values: {figure(bits['needed'].value)} bits are needed and {question.width} "
            f"numbers in {name} hold {figure(bits['available'].value)}: two sums must be the same; no decoder helps."
        )
    if "best" in known and known["best"].value < SURE:
        return "precision", (
            f"What binds is the precision: {used} are used, which a designed code could do, but of random vectors even "
            f"the best decoder recovers only a share of {share(known['best'].value)}."
        )
    if dot.value >= SURE:
        return "nothing", (
            f"Nothing binds yet: {used} are used. What would bind first is cross-talk, the other members acting as "
            f"noise on each; {_cost(dot, exact, name)}."
        )
    better = [rung.law.decoder for rung in rungs if rung.law.key in EFFICIENT[1:] and rung.probability is not None
              and rung.probability.value >= SURE]  # fmt: skip
    if exact.value - dot.value > 0.05:
        return "precision", (
            f"What binds is the precision: rounding to {name} lowers the dot product's probability from "
            f"{share(exact.value)} to {share(dot.value)}."
        )
    if better:
        return "cross-talk", (
            f"What binds is the decoder, not the precision: the dot product takes the other members for noise "
            f"(cross-talk), which {listed(better)} take into account; {_cost(dot, exact, name)}."
        )
    if "best" in known:
        return "computation", (
            "What binds is computation: the sum determines its members, but of these decoders only trying every "
            "combination finds them."
        )
    return "cross-talk", "What binds is cross-talk: the other members act as noise on each."


def _cost(dot: Estimate, exact: Estimate, name: str) -> str:
    lost = exact.value - dot.value
    cost = f"{share(lost)} of probability" if lost > 1e-4 else "practically nothing"
    return f"rounding to {name} costs the dot product {cost}"


def answer(
    question: Question, rungs: Sequence[Rung], limits: Limits, bound: tuple[str, str], noise: float | None
) -> list[str]:
    """The sentences of the report's head."""
    return [_first(question, rungs), *_breaks(question, limits, noise), bound[1]]


def _first(question: Question, rungs: Sequence[Rung]) -> str:
    found: list[str] = []
    missed: list[str] = []
    for rung in rungs:
        if rung.law.key == "any" or rung.probability is None:
            continue
        sure, target = rung.widths[-1], question.targets[-1]
        enough = "" if sure is None else f" ({whole(sure.value)} numbers would give {target:g})"
        kind = found if rung.probability.value >= SURE else missed
        kind.append(f"{rung.law.decoder}, with probability {share(rung.probability.value)}{enough}")
    start = {
        "separable": "Yes, separable",
        "in principle": "In principle",
        "not separable": "No, not safely separable",
    }[verdict(rungs)]
    text = f"{start}. {_all(question)} is recovered by {'; '.join(found)}." if found else f"{start}."
    return text + (f" Not safely by {'; '.join(missed)}." if missed else "")


def _all(question: Question) -> str:
    if question.pair:
        return "One vector of each table"
    return "One slot" if question.goal == "slot" else "The whole set"


def _breaks(question: Question, limits: Limits, noise: float | None) -> list[str]:
    sentences = []
    if limits:
        level = f"{question.targets[0]:g}"
        found = [f"{law.decoder} {whole(numbers[0].value)}" for law, numbers in limits if numbers[0] is not None]
        slots = question.goal == "slot" and not question.pair
        start = f"Keep adding {'slots filled from one' if slots else 'vectors of one'} table of"
        end = "this many can still be read" if slots else "this many are still recovered"
        sentences.append(f"{start} {whole(question.items[0])}: with probability {level} {end}: {'; '.join(found)}.")
    if noise is not None:
        sentences.append(f"What would break it: noise of variance {figure(noise)} per number, where entries of vectors "
                         f"have variance 1, brings the dot product down to 0.5.")  # fmt: skip
    return sentences


def of_real(found: Real) -> list[str]:
    """The sentences about real tables."""
    if not found.decoders:
        return []
    names = " and ".join(table["name"] for table in found.tables)
    verb = "separable" if real_verdict(found) == "separable" else "not safely separable"
    best, worst = (choose(found.decoders, key=_recovered) for choose in (max, min))
    sure = [row["decoder"] for row in found.decoders if _recovered(row) >= SURE]
    also = f"; so do {'; '.join(others)}" if (others := [name for name in sure if name != best["decoder"]]) else ""
    text = f"The real tables ({names}) are {verb}: {_share_of(best)}{also}."
    text += "" if worst["decoder"] in sure else f" Worst: {_share_of(worst)}."
    facts = [row for row in found.facts if row["fact"] == BREAKING]
    if facts:
        text += (f" What would break it: noise of {figure(facts[0]['number'].value)} per number, at which the nearest "
                 "sampled sums are confused one time in four.")  # fmt: skip
    return [text, "What follows is the law of random tables of the same sizes."]


def real_verdict(found: Real) -> str:
    """As `verdict`, by what the decoders did on real sums: separable if one of them missed at most one in a hundred."""
    return "separable" if max(map(_recovered, found.decoders), default=0.0) >= SURE else "not separable"


def _recovered(row: dict[str, Any]) -> float:
    return float(row["probability"].value)


def _share_of(row: dict[str, Any]) -> str:
    trials = row["probability"].trials
    return f"{row['decoder']} recovers {round(_recovered(row) * trials)} of {trials} sums"
