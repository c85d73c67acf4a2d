"""The decoders that answer a question, each with what it does and where its law comes from."""

from locant.capacity.explaining import explaining
from locant.capacity.hard_limits import hard_limits
from locant.capacity.law import Law
from locant.capacity.question import Question
from locant.capacity.scoring import dot, smallest_first


def laws(question: Question) -> tuple[Law, ...]:
    """From the cheapest decoder to the limits that none passes."""
    if question.pair:
        return (dot(question), smallest_first(question), *hard_limits(question))
    if question.goal == "slot":
        return (dot(question), *hard_limits(question))
    return (dot(question), *explaining(question), *hard_limits(question))
