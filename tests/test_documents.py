"""The documents tell the truth: their examples run, their links lead somewhere, their names exist."""

import re
from pathlib import Path

import pytest
import torch

import locant
from locant.lab.plan import load_builders

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(ROOT.glob("docs/*.md"))
EXAMPLES = [
    pytest.param(code, id=f"{page.name}-{index}")
    for page in PAGES
    for index, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]


def test_there_are_examples():
    assert len(EXAMPLES) >= 3


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")  # the examples show the plain call
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # by a peer package as it is imported
@pytest.mark.parametrize("code", EXAMPLES)
def test_example_runs(code):
    names = {}
    exec(compile(code, "example", "exec"), names)
    assert names


def test_first_example_hides_the_future():
    code = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    names = {}
    exec(compile(code, "example", "exec"), names)
    assert names["out"].shape == (2, 4, 10, 16)
    assert torch.isfinite(names["out"]).all()
    torch.testing.assert_close(names["out"][:, :, 0], names["v"][:, :, 0])


def test_contributed_encoding_trains(tmp_path):
    code = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)[0]
    path = tmp_path / "mine.py"
    path.write_text(code)
    builders, digest = load_builders(path)
    assert set(builders) == {"temperature"}
    assert len(digest) == 64
    from locant.encodings import build

    encoding = build("temperature + rotary", width=16, heads=2, extra=builders)
    model = locant.decoder(encoding, 16, 2, 2, 8, 5)
    model(torch.randint(0, 5, (2, 8))).sum().backward()
    assert encoding.parts[0].rate.grad.abs() > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_commands_in_the_readme_are_targets_of_the_makefile():
    used = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text()))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert used <= targets
    assert {"run", "test", "check", "bench", "docs", "models"} <= targets


def test_options_in_the_readme_exist():
    from dataclasses import fields

    from locant.bench.options import Options as Bench
    from locant.capacity.options import Options as Sums
    from locant.lab.settings import Settings
    from locant.xray.options import Options as Xray

    known = {field.name.replace("_", "-") for kind in (Settings, Sums, Xray, Bench) for field in fields(kind)}
    known |= {"preset", "json", "index-url"}
    used = set(re.findall(r"--([a-z][a-z-]*)", (ROOT / "README.md").read_text()))
    assert used <= known


def test_changelog_names_the_version():
    assert f"## {locant.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_page_of_encodings_is_up_to_date():
    import runpy

    written = runpy.run_path(str(ROOT / "docs" / "catalogue.py"))
    assert written["PAGE"].read_text(encoding="utf-8") == written["page"](), "run python docs/catalogue.py"


def test_peers_and_their_defects_exist():
    import runpy

    known = runpy.run_path(str(ROOT / "docs" / "peers.py"))
    names = set(locant.encodings.catalogue())
    assert set(known["PEERS"]) <= names
    assert set(known["DEFECTS"]) <= set(known["PEERS"])
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "peers").glob("*.py"))
    for defects in known["DEFECTS"].values():
        for _, test in defects:
            assert f"def {test}(" in tests
