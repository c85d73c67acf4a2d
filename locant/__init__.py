"""How should a transformer be told what a token is and where it is?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from locant._version import __version__

if TYPE_CHECKING:
    from locant.model.decoder import Decoder, decoder
    from locant.model.generate import generate

__all__ = ["Decoder", "__version__", "decoder", "generate"]

_HOMES = {"Decoder": "decoder", "decoder": "decoder", "generate": "generate"}


def __getattr__(name: str) -> Any:
    # torch takes two seconds to import; `locant --help` and reading a report do not need it.
    if name in _HOMES:
        return getattr(import_module(f"locant.model.{_HOMES[name]}"), name)
    if name == "xray":  # a package that can be called
        return import_module("locant.xray")
    raise AttributeError(f"module 'locant' has no attribute {name!r}")
