"""Every encoding compiled, exported, and in FlexAttention."""

from collections.abc import Callable

import pytest
from contract import slow
from contract.subjects import SUBJECTS
from support import Subject, named

pytestmark = [
    pytest.mark.slow,
    # Compiled FlexAttention is the same mathematics and takes minutes on a CPU.
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile"),
]


@pytest.mark.parametrize("check", slow.CHECKS, ids=lambda check: check.__name__[6:])
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_contract_when_compiled(subject: Subject, check: Callable[[Subject], None]) -> None:
    check(subject)


@pytest.mark.parametrize("expression", ["add(learned)", "beside(random)", "xpos"])
def test_a_compiled_table_refuses_positions_outside(expression: str) -> None:
    slow.check_compiled_table_refuses(named(expression))
