"""Short curves; and one small comparison, trained once, that several files look at."""

import pytest
from lab.support_lab import in_process, settings

import locant.lab.compare as comparing


@pytest.fixture(autouse=True)
def short_curves(request, monkeypatch):
    """Most of a small run's time goes into its curve. Workers know nothing of this, so their tests keep it whole."""
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr("locant.lab.train.CURVE_TOKENS", 256)


@pytest.fixture(scope="session")
def compared(tmp_path_factory):
    """The settings and the document of a comparison that chose its learning rates."""
    made = settings(tmp_path_factory.mktemp("compared"), learning_rates=(0.003, 0.01))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "execute", in_process)
        patch.setattr("locant.lab.train.CURVE_TOKENS", 256)
        return made, comparing.compare(made)
