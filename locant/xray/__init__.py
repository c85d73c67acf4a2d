"""What a trained model does with position: ``locant.xray(model, ...)``, or ``locant.xray.xray(model, ...)``.

The package itself can be called. Its names are imported when they are used, as torch takes its time.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from locant.xray.look import xray
    from locant.xray.metric import Metric
    from locant.xray.result import XRay

__all__ = ["Metric", "XRay", "xray"]

_HOMES = {"Metric": "metric", "XRay": "result", "xray": "look"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"locant.xray.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'locant.xray' has no attribute {name!r}")


class _Callable(ModuleType):
    """This package as a function: ``locant.xray(model)`` is ``locant.xray.xray(model)``."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from locant.xray.look import xray

        return xray(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
