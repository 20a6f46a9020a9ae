"""The arrows between modules go one way: the table in the README, held to by parsing every import."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"

# What each module may import, beside what those may import in turn.
ARROWS = {
    "errors": (),
    "results": ("errors",),
    "robustness_reports": ("results",),
    "reports": ("robustness_reports",),
    "corruptions": ("errors",),
    "strokes": ("errors",),
    "imaging": ("results",),
    "device": ("results",),
    "drawing": ("imaging",),
    "preprocessing": ("imaging", "device"),
    "segmentation": ("imaging", "device"),
    "splitting": ("imaging", "device"),
    "cropping": ("imaging", "device"),
    "fusion": ("imaging", "device"),
    "layout": ("imaging", "device"),
    "model": ("imaging", "device"),
    "regions": ("imaging", "device"),
    "region_net": ("model",),
    "detector": ("region_net",),
    "merging": ("detector",),
    "detection": ("checkpoint", "regions"),
    "context": ("detection",),
    "orientation": ("detection",),
    "finding": ("context", "orientation"),
    "data": ("preprocessing",),
    "checkpoint": (
        "preprocessing",
        "segmentation",
        "splitting",
        "model",
        "detector",
        "merging",
        "cropping",
        "fusion",
        "layout",
    ),
    "classifier": ("checkpoint",),
    "hub_errors": ("errors",),
    "hub": ("checkpoint", "hub_errors"),
    "hub_push": ("hub_errors",),
    "reader": ("classifier", "finding", "hub"),
    "live": ("reader",),
    "metrics": ("reports",),
    "label_errors": ("data",),
    "labeled_pictures": ("data", "segmentation", "cropping"),
    "mnist_download": ("data",),
    "evaluation": ("reader", "label_errors", "metrics", "strokes"),
    "robustness": ("evaluation", "corruptions"),
    "training": ("segmentation", "data", "context", "metrics"),
    "ui": ("live", "robustness", "mnist_download", "labeled_pictures", "drawing"),
    "app": ("ui",),
    "train": ("robustness", "labeled_pictures", "training", "hub", "hub_push"),
    "benchmarks": ("robustness", "training", "drawing"),
    "examples": ("imaging",),
}
# The package's own face: it names what users import.
FACE = "digitcore/__init__.py"
AT_START_NEVER = ("torchvision", "sklearn", "scipy", "fastparquet", "digitcore.training", "kornia")


def _source_files() -> list[Path]:
    folders = ("digitcore", "train", "benchmarks", "examples")
    files = [ROOT / "app.py", *(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))]
    return [path for path in files if path.exists() and str(path.relative_to(ROOT)) != FACE]


def _unit(dotted: str) -> str | None:
    """digitcore.reader → reader, digitcore.ui.pad → ui, train.train → train; None for what is not ours."""
    parts = dotted.split(".")
    if parts[0] == "digitcore":
        return parts[1] if len(parts) > 1 else "reader"
    return parts[0] if parts[0] in ARROWS else None


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _allowed(unit: str) -> set[str]:
    reached, todo = set(), list(ARROWS[unit])
    while todo:
        other = todo.pop()
        if other not in reached:
            reached.add(other)
            todo += ARROWS[other]
    return reached


@pytest.mark.parametrize("path", _source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_arrows(path):
    own = _unit(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert own in ARROWS, f"{path.name} has no place in the table"
    package_names = {p.stem for p in (ROOT / "digitcore").iterdir()}
    for name in _imports(path):
        unit = _unit(name)
        if unit is None or unit == own or (name.startswith("digitcore.") and unit not in package_names):
            continue
        assert unit in _allowed(own), f"{path.relative_to(ROOT)} imports {name}: {own} may not reach {unit}"


@pytest.mark.parametrize("path", _source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_gradio_stays_in_the_app(path):
    relative = path.relative_to(ROOT).as_posix()
    uses_gradio = any(name.split(".")[0] == "gradio" for name in _imports(path))
    assert not uses_gradio or relative == "app.py" or relative.startswith("digitcore/ui/")


@pytest.mark.parametrize("path", _source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_device_knows_zerogpu(path):
    uses_spaces = any(name.split(".")[0] == "spaces" for name in _imports(path))
    assert not uses_spaces or path.relative_to(ROOT).as_posix() == "digitcore/device.py"


def test_the_readme_names_every_module():
    tree, _, rest = README.read_text(encoding="utf-8").partition("## What is where")[2].partition("Imports go one way")
    folders = [ROOT / "digitcore", ROOT / "digitcore" / "ui", ROOT / "train"]
    modules = {path.name for folder in folders for path in folder.glob("*.py")} - {"__init__.py"}
    helpers = {path.name for path in (ROOT / "tests").glob("*.py")} - {"__init__.py", "conftest.py"}
    helpers = {name for name in helpers if not name.startswith("test_")}
    commands = re.search("python -m train.NAME: (.*)", tree)[1]
    named = set(re.findall(r"\w+\.py", tree)) | {f"{name}.py" for name in re.findall(r"\w+", commands)}
    assert (modules | helpers) - named == set()
    arrows = set(re.findall(r"\w+", rest.partition("## ")[0]))
    assert set(ARROWS) - arrows == set()


def test_serving_starts_without_the_learning_side():
    code = (
        "import sys; import digitcore.reader, digitcore.ui.build; "
        f"print([name for name in {AT_START_NEVER!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
