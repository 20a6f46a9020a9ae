"""What a Space needs of this repository: found by following the app's imports, and nothing beside it."""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from digitcore.errors import ConfigError

APP_NAME, README_NAME = "app.py", "README.md"
# Beside the code: what is installed, the licence, the checkpoints that are shipped, the Photo tab's examples.
OTHER_PATTERNS = (
    "requirements.txt",
    "LICENSE",
    "checkpoints/*/model.safetensors",
    "checkpoints/*/config.json",
    "checkpoints/*/metrics.json",
    "checkpoints/*/README.md",
    "examples/*.jpg",
)
# What the page is made of, and fusion.json, lie beside the modules that read them.
ASSET_SUFFIXES = {".js", ".css", ".html", ".svg", ".json"}
FENCE = "---\n"
PRELOADED = "model.safetensors,config.json,metrics.json,README.md"


def find_space_files(root: Path) -> dict[str, bytes]:
    """The files of a Space, but for its README.

    Args:
        root: of this repository.

    Returns:
        Contents by path with forward slashes, sorted.

    Raises:
        ConfigError: if `root` has no app, or a pattern finds nothing: a Space without it would not start.
    """
    if not (root / APP_NAME).is_file():
        raise ConfigError(f"There is no {APP_NAME} in {root}. Run this from the root of the repository.")
    modules = find_modules(root)
    folders = {path.parent for path in modules if path.parent != root}
    found = {path for folder in folders for path in folder.iterdir() if path.suffix in ASSET_SUFFIXES}
    for pattern in OTHER_PATTERNS:
        matches = sorted(root.glob(pattern))
        if not matches:
            raise ConfigError(f"There is no {pattern} in {root}, which the app needs.")
        found |= set(matches)
    paths = sorted(found | modules)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def find_modules(root: Path) -> set[Path]:
    """The app's module and all of ours that it imports, directly or not, at its start or later."""
    found: set[Path] = set()
    todo = [root / APP_NAME]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        for name in _imported_names(path):
            todo += _locate(root, name)
    return found


def _imported_names(path: Path) -> set[str]:
    """Dotted names; of `from a import b` both a and a.b, since b may be a module."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _locate(root: Path, name: str) -> list[Path]:
    """A module's file and its packages' `__init__.py`; nothing for what is installed."""
    parts = name.split(".")
    base = root.joinpath(*parts)
    files = [candidate for candidate in (base.with_suffix(".py"), base / "__init__.py") if candidate.is_file()]
    packages = [root.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts))]
    return files + [package for package in packages if files and package.is_file()]


def make_space_readme(readme: str, title: str | None, models: Mapping[str, str | None]) -> str:
    """The README for a Space: this repository's, its header completed.

    Args:
        readme: this repository's README.md, with a header.
        title: of the Space; None leaves what stands there.
        models: repos on the Hub that the app loads, each with the commit to fetch when the Space is built; None for
            what is newest then.

    Raises:
        ConfigError: if there is no header.
    """
    header, body = split_header(readme)
    if title is not None:
        header["title"] = title
    header["models"] = sorted(models)
    if models:
        header["preload_from_hub"] = [
            " ".join([repo, PRELOADED, *([commit] if commit else [])]) for repo, commit in sorted(models.items())
        ]
    return f"{FENCE}{dump_header(header)}{FENCE}{body}"


def split_header(readme: str) -> tuple[dict[str, Any], str]:
    """A README's YAML header and what follows it.

    Raises:
        ConfigError: if there is none.
    """
    parts = readme.split(FENCE, 2)
    if len(parts) != 3 or parts[0]:
        raise ConfigError(f"{README_NAME} has no YAML header between two lines of three dashes; a Space needs one.")
    return yaml.safe_load(parts[1]), parts[2]


def dump_header(header: Mapping[str, Any]) -> str:
    """A header as YAML, its keys in their order, its emoji as they are."""
    return yaml.safe_dump(dict(header), allow_unicode=True, sort_keys=False, default_style=None, width=1000)


def describe_files(files: Mapping[str, bytes]) -> Sequence[str]:
    """A line a file, with its size, and one of all."""
    width = max((len(path) for path in files), default=0)
    lines = [f"{path:<{width}}  {len(content):>10,}" for path, content in files.items()]
    return [*lines, f"{f'{len(files)} files':<{width}}  {sum(map(len, files.values())):>10,} bytes"]
