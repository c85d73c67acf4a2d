"""The laws of decoders that take the other members into account: for sets of one table."""

import numpy as np
from scipy import special

from locant.capacity import pursuit
from locant.capacity.estimate import Estimate
from locant.capacity.law import Items, Law, total_noise
from locant.capacity.question import Question
from locant.capacity.scoring import dot
from locant.capacity.state_evolution import amp_recovers

TRIALS = 12
DEAR = 2e8  # third powers of members that all trials together may take
MOST = 500  # members for which the two are simulated
FEWEST = 4  # members from which state evolution, a law of large numbers, is shown


def explaining(question: Question) -> tuple[Law, ...]:
    """Subtraction, OMP and AMP.

    Where nobody knows the number of members, the first two go on until what is left is no larger than noise.
    """
    until = ", until nothing is left" if question.goal == "membership" else ""

    def subtract(width: int, items: Items, members: int) -> Estimate:
        return _pursued(question, "sic", width, items, members)

    def pursue(width: int, items: Items, members: int) -> Estimate:
        return _pursued(question, "omp", width, items, members)

    def pass_messages(width: int, items: Items, members: int) -> Estimate:
        assert isinstance(items, int)
        noise = total_noise(question, width, members) / width  # the columns of state evolution have length 1
        held = float(amp_recovers(width, items, members, noise))
        return Estimate(held, held, held, "state evolution")

    derived = "a law without the items, derived here"
    messages = Law(
        "amp", "message passing (AMP)", "weighs all vectors at once and refines, round by round",
        "Bayati and Montanari 2011; sharp in the limit of large sizes", pass_messages, "state evolution", least=FEWEST,
    )  # fmt: skip
    near = (dot(question), messages)
    return (
        Law("sic", "subtract one by one", f"takes the best vector, subtracts it, and goes on{until}", derived, subtract,
            "simulation", cheap=False, near=near, most=MOST),
        Law("omp", "matching pursuit (OMP)", f"as before, but fits all it has by least squares each time{until}",
            derived, pursue, "simulation", cheap=False, near=near, most=MOST),
        messages,
    )  # fmt: skip


def _pursued(question: Question, kind: str, width: int, items: Items, members: int) -> Estimate:
    assert isinstance(items, int)
    if members == items:
        return Estimate(1.0, 1.0, 1.0, "formula")
    noise, generator = total_noise(question, width, members), np.random.default_rng(question.seed)
    trials = max(4, min(TRIALS, int(DEAR / members**3)))
    if kind == "sic":
        found = pursuit.successive_probability(width, items, members, trials, generator, noise=noise,
                                               code=question.code)  # fmt: skip
    else:
        found = pursuit.omp_probability(width, items, members, trials, generator, noise=noise, positive=True,
                                        code=question.code)  # fmt: skip
    loss = stopping_error(width, noise) if question.goal == "membership" else 0.0
    if loss == 0:
        return found
    low, value = max(0.0, found.low - loss), max(0.0, found.value - loss)
    return Estimate(value, low, found.high, found.method, found.trials)


def stopping_error(width: int, noise: float) -> float:
    """At most this often the mean square of what is left, held against ``σ² + 1/2``, tells wrongly whether it is noise.

    ``P(σ² χ²_d > d (σ² + ½)) + P((1 + σ²) χ²_d < d (σ² + ½))``: noise taken for one more member, and one member for
    noise; with more members left the second is rarer still.
    """
    if noise <= 0:
        return 0.0
    early = special.gammainc(width / 2, width / 2 * (noise + 0.5) / (noise + 1))
    late = special.gammaincc(width / 2, width / 2 * (1 + 0.5 / noise))
    return min(1.0, float(early + late))
