"""The rules of the house, read from the source."""

import ast
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

import locant
from locant import encodings
from locant.encodings import Code, PositionalEncoding

ROOT = Path(locant.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]
# What each package may import of the others. Files at the top (the command line and the like) may import any. A report
# is given plain data and imports nothing, so that whoever has results may ask for one.
MAY_IMPORT = {
    "encodings": set(),
    "maths": set(),
    "model": {"encodings"},
    "machine": {"encodings", "model"},
    "lab": {"encodings", "model", "machine", "report"},
    # Of the lab: its texts, its tasks, and what its runs left.
    "xray": {"encodings", "maths", "model", "lab", "report"},
    "capacity": {"encodings", "maths", "report"},
    "bench": {"encodings", "model", "machine"},
    "report": set(),
}
EXPORTED = [
    "LEFT_OUT",
    "PADDING",
    "T5",
    "Absent",
    "Add",
    "Alibi",
    "Axial",
    "Bam",
    "Beside",
    "Binary",
    "Bind",
    "Builder",
    "CayleyString",
    "Chain",
    "Code",
    "Concat",
    "ConcatMlp",
    "ConcatProject",
    "ContextualRotary",
    "Cope",
    "Dape",
    "DapeConvolution",
    "Deberta",
    "Decoupled",
    "DecoupledRotary",
    "DietAbs",
    "DietRel",
    "DistanceBank",
    "Entry",
    "Fire",
    "Forgetting",
    "Fourier",
    "FourierRotary",
    "Gate",
    "Grape",
    "GrapeAdditive",
    "Inject",
    "KerpleLog",
    "KerplePower",
    "Layout",
    "LearnableFourier",
    "Learned",
    "LearnedGrid",
    "LengthTemperature",
    "Liere",
    "MaskMod",
    "MatchedAdd",
    "Mix",
    "MlpBias",
    "Multiply",
    "OnAxis",
    "Pairs",
    "Path",
    "PerLayer",
    "PoPE",
    "PositionalEncoding",
    "QueryScale",
    "Random",
    "Rotary",
    "RotaryByContent",
    "RotaryMixed",
    "RotaryValues",
    "Sandwich",
    "ScalableSoftmax",
    "ScaledAdd",
    "ScoreMod",
    "SelectiveRotary",
    "SelfExtend",
    "Shape",
    "Shaw",
    "Sinusoidal",
    "TransformerXL",
    "Tupe",
    "XPos",
    "abacus",
    "alibi_slopes",
    "bilevel",
    "bind",
    "build",
    "canonical",
    "cape",
    "catalogue",
    "centred",
    "contiguous",
    "deberta_bucket",
    "folded",
    "from_config",
    "from_mask",
    "grid",
    "half_to_interleaved",
    "interleaved_to_half",
    "left_padded",
    "mrope",
    "on_axes",
    "one_axis",
    "packed",
    "randomised",
    "randomly_shifted",
    "rotary_from_parameters",
    "rotate",
    "shifted",
    "stacked",
    "stretched",
    "stretched_to",
    "t5_bucket",
    "unbind",
    "without",
]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(path: Path) -> set[str]:
    """Full names of all modules that a file imports, also inside of functions."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            assert node.module is not None
            found.add(node.module)
            if node.module == "locant":
                found |= {f"locant.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_one_way(name: str) -> None:
    package = name.split("/")[0]
    if package not in MAY_IMPORT:
        assert "/" not in name, f"expected a package of {sorted(MAY_IMPORT)}, was: {package}"
        return
    for module in imported(ROOT / name):
        first, _, rest = module.partition(".")
        part = rest.split(".")[0]
        if first == "locant" and part not in {"", "_version", "__version__", package}:
            assert part in MAY_IMPORT[package], f"{name} imports {module}"


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("encodings/")])
def test_the_encodings_need_torch_and_nothing_else(name: str) -> None:
    outside = {module.split(".")[0] for module in imported(ROOT / name)} - set(sys.stdlib_module_names)
    assert outside <= {"torch", "locant"}


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("report/")])
def test_reports_are_made_without_torch(name: str) -> None:
    assert not {module for module in imported(ROOT / name) if module.split(".")[0] == "torch"}


@pytest.mark.parametrize("name", NAMES)
def test_files_and_functions_fit_on_a_screen(name: str) -> None:
    path = ROOT / name
    assert len(path.read_text().splitlines()) <= 300
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 60, f"{node.name} is too long"


@pytest.mark.parametrize("name", NAMES)
def test_every_module_imports_and_says_what_it_is(name: str) -> None:
    if name == "__main__.py":
        return
    parts = ["locant", *name.removesuffix(".py").split("/")]
    import_module(".".join(part for part in parts if part != "__init__"))
    if name != "_version.py":
        assert ast.get_docstring(tree(ROOT / name))


GLOBAL = {"manual_seed", "seed", "set_rng_state", "initial_seed"}
DRAWS = {"rand", "randn", "randint", "randperm", "bernoulli", "multinomial", "normal", "poisson"}
DRAWS |= {f"{draw}_" for draw in ("normal", "uniform", "bernoulli", "random", "exponential", "trunc_normal")}
NEVER = {"rand_like", "randn_like", "randint_like"}  # they take no generator


@pytest.mark.parametrize("name", NAMES)
def test_randomness_comes_from_generators(name: str) -> None:
    """No state that all share: neither of torch, nor of numpy, nor of the standard library."""
    modules = imported(ROOT / name)
    for node in ast.walk(tree(ROOT / name)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        called = ast.unparse(node.func)
        owner, _, method = called.rpartition(".")
        given = {keyword.arg for keyword in node.keywords}
        assert not (owner in {"torch", "torch.random", "torch.cuda"} and method in GLOBAL), called
        assert not (owner == "random" and "random" in modules and method != "Random"), called
        if owner in {"np.random", "numpy.random"}:
            assert method in {"default_rng", "Generator", "SeedSequence", "PCG64"}, called
            assert node.args or given, f"{called} without a seed"
        if owner == "torch" or owner.startswith(("nn.init", "torch.nn.init")) or method.endswith("_"):
            assert method not in NEVER, called
            if method in DRAWS:
                assert "generator" in given, f"{called} without a generator"


def test_no_file_names_a_machine() -> None:
    homes = re.compile("|".join(rf"(?<![\w.])/{folder}(?![\w.-])" for folder in ("work", "root", "home", "tmp", "mnt")))
    files = [*FILES, *Path(__file__).parent.rglob("*.py"), *ROOT.rglob("*.j2"), *ROOT.rglob("*.css")]
    assert not [str(path) for path in files if homes.search(path.read_text()) and path != Path(__file__)]


def test_one_level_of_classes() -> None:
    """Every encoding subclasses the abstraction, and nothing subclasses an encoding; the same holds for codes."""
    for base in (PositionalEncoding, Code):
        ours = [kind for kind in base.__subclasses__() if kind.__module__.startswith("locant.")]
        assert ours
        for kind in ours:
            assert kind.__bases__ == (base,)
            assert not [sub for sub in kind.__subclasses__() if sub.__module__.startswith("locant.")]


def test_the_public_names_are_these() -> None:
    assert encodings.__all__ == EXPORTED
    assert all(hasattr(encodings, name) for name in EXPORTED)
    assert set(locant.__all__) == {"Decoder", "__version__", "decoder", "generate"}
    assert all(getattr(locant, name) is not None for name in locant.__all__)


def test_what_is_public_is_documented() -> None:
    for name in EXPORTED:
        value = getattr(encodings, name)
        if callable(value) and str(getattr(value, "__module__", "")).startswith("locant."):
            assert value.__doc__, name
            assert not value.__doc__.startswith(f"{name}("), f"{name} has only the docstring of a dataclass"
    for hook, value in vars(PositionalEncoding).items():
        if callable(value) and not hook.startswith("_"):
            assert value.__doc__, hook


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("encodings/")])
def test_public_classes_and_functions_of_the_encodings_have_docstrings(name: str) -> None:
    if "/entries/" in name and not name.endswith("entry.py"):
        return  # its builders are described by the entries of the catalogue
    for node in tree(ROOT / name).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


def test_sources_are_named() -> None:
    for kind in PositionalEncoding.__subclasses__():
        if kind.__module__.startswith("locant.") and kind.__name__ != "Chain":
            assert "Source" in (kind.__doc__ or ""), kind.__name__
