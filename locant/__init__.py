"""How should a transformer be told what a token is and where it is?"""

from typing import TYPE_CHECKING, Any

from locant._version import __version__

if TYPE_CHECKING:
    from locant.model import Decoder, decoder, generate

__all__ = ["Decoder", "__version__", "decoder", "generate"]


def __getattr__(name: str) -> Any:
    # torch takes two seconds to import; `locant --help` and reading a report do not need it.
    if name in ("Decoder", "decoder", "generate"):
        import locant.model

        return getattr(locant.model, name)
    raise AttributeError(f"module 'locant' has no attribute {name!r}")
