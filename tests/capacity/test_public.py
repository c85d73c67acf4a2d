"""The public names of the package: all there, all documented, and none imported before it is asked for."""

import subprocess
import sys
from pathlib import Path

import locant.capacity


def test_the_names():
    assert set(locant.capacity._HOME) == set(locant.capacity.__all__)
    modules = {path.stem for path in Path(locant.capacity.__file__).parent.iterdir()}
    assert not modules & set(locant.capacity.__all__)  # importing the module would hide the name
    documented = [name for name in locant.capacity.__all__ if name != "FORMATS"]
    assert all(getattr(locant.capacity, name).__doc__ for name in documented)


def test_an_unknown_name_is_refused():
    assert not hasattr(locant.capacity, "capacities")


def test_the_package_imports_nothing_heavy_and_the_law_no_torch():
    code = (
        "import sys, locant.capacity; assert not {'torch', 'numpy', 'scipy'} & set(sys.modules);"
        "print(round(locant.capacity.recovery_probability(1024, 50257, 26), 3));"
        "assert 'torch' not in sys.modules"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout.strip()) == (0, "0.576"), found.stderr
