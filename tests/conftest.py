"""What all tests share: one thread, so that equal runs are equal to the last bit."""

import pytest
import torch

pytest.register_assert_rewrite("support", "contract.checks", "contract.engineering", "contract.slow")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)
