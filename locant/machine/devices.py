"""Where models are trained: the processor, a GPU, or whatever else PyTorch computes on here."""

import torch

PROCESSOR = "cpu"


def find(name: str) -> torch.device:
    """The device of that name, such as ``cpu``, ``cuda`` or ``cuda:1``. Raises ValueError if there is none here."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # also refuses a device without numbers
    except (RuntimeError, AssertionError, NotImplementedError, AttributeError):
        raise ValueError(f"expected a device that PyTorch has here ({', '.join(there())}), was: {name}") from None
    return torch.device(PROCESSOR) if device.type == PROCESSOR else device


def there() -> list[str]:
    """The processor, and the accelerators that PyTorch finds."""
    if not torch.accelerator.is_available():
        return [PROCESSOR]
    kind = str(torch.accelerator.current_accelerator())
    return [PROCESSOR, *(f"{kind}:{index}" for index in range(torch.accelerator.device_count()))]


def kind(name: str) -> str:
    """The device without its number: results do not depend on which of several equal ones computed them."""
    return name.partition(":")[0]


def describe(device: torch.device) -> str:
    """What the device calls itself, where it has a name."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
