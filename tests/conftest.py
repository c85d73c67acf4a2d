"""What all tests share: one thread, so that equal runs are equal to the last bit."""

from collections.abc import Iterator

import elsewhere  # noqa: F401  before the first backward pass
import pytest
import torch

from locant.encodings import native

pytest.register_assert_rewrite("support", "contract.checks", "contract.engineering", "contract.slow")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def torch_kernels() -> Iterator[None]:
    """For tests of what PyTorch's operations do where there are no compiled kernels."""
    with native.kernels("torch"):
        yield
