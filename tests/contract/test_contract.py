"""Every encoding times every check."""

from collections.abc import Callable

import pytest
from contract import checks, engineering
from contract.subjects import SUBJECTS
from support import Subject


@pytest.mark.parametrize("check", [*checks.CHECKS, *engineering.CHECKS], ids=lambda check: check.__name__[6:])
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_contract(subject: Subject, check: Callable[[Subject], None]) -> None:
    check(subject)
