"""The fields of a Space's and a model's README header, as the Hub documents them, and what is wrong with one.

Sources: https://huggingface.co/docs/hub/spaces-config-reference and https://huggingface.co/docs/hub/model-cards.
"""

import re
from collections.abc import Callable

COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
# The Hub cuts a longer one off in the list of Spaces, and refuses it in the form.
MAX_SHORT_DESCRIPTION = 60
LICENSES = ("apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-3.0", "bsd-3-clause")
REPO = re.compile(r"[\w.-]+(/[\w.-]+)?")
# "repo", "repo file,file" or "repo file,file commit".
PRELOAD = re.compile(r"[\w.-]+/[\w.-]+( [\w./,-]+( [0-9a-f]{40})?)?")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _matches(pattern: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _lists(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(check(item) for item in value)


SPACE_FIELDS: dict[str, Callable[[object], bool]] = {
    "title": _is_text,
    # One emoji: no letters, no digits.
    "emoji": lambda value: isinstance(value, str) and 0 < len(value) <= 8 and not re.search(r"[\x00-\x7f]", value),
    "colorFrom": lambda value: value in COLORS,
    "colorTo": lambda value: value in COLORS,
    "sdk": lambda value: value in ("gradio", "streamlit", "docker", "static"),
    "sdk_version": _matches(r"\d+\.\d+\.\d+"),
    "python_version": _matches(r"3\.\d+(\.\d+)?"),
    "app_file": _is_text,
    "suggested_hardware": _is_text,
    "fullWidth": lambda value: isinstance(value, bool),
    "header": lambda value: value in ("mini", "default"),
    "short_description": lambda value: _is_text(value) and len(value) <= MAX_SHORT_DESCRIPTION,
    "models": _lists(lambda value: isinstance(value, str) and REPO.fullmatch(value) is not None),
    "datasets": _lists(lambda value: isinstance(value, str) and REPO.fullmatch(value) is not None),
    "tags": _lists(_is_text),
    "license": lambda value: value in LICENSES,
    "pinned": lambda value: isinstance(value, bool),
    "thumbnail": _is_text,
    "disable_embedding": lambda value: isinstance(value, bool),
    "startup_duration_timeout": _matches(r"\d+(s|m|h)"),
    "preload_from_hub": _lists(lambda value: isinstance(value, str) and PRELOAD.fullmatch(value) is not None),
}


def find_space_errors(header: dict) -> list[str]:
    """A sentence for each field that the Hub does not know, or would not take so."""
    errors = [f'"{name}" is not a field of a Space' for name in header if name not in SPACE_FIELDS]
    errors += [
        f'"{name}" must not be {value!r}'
        for name, value in header.items()
        if name in SPACE_FIELDS and not SPACE_FIELDS[name](value)
    ]
    return errors


def find_card_errors(header: dict) -> list[str]:
    """A sentence for each thing wrong with a model card's header."""
    errors = []
    if "license" in header and header["license"] not in LICENSES:
        errors.append(f'"license" must not be {header["license"]!r}')
    for name in ("tags", "datasets", "metrics"):
        if not _lists(_is_text)(header.get(name, [])):
            errors.append(f'"{name}" must be a list of strings')
    for model in header.get("model-index", []):
        if not _is_text(model.get("name")):
            errors.append("a model-index entry needs a name")
        for result in model.get("results", []):
            if not _is_text(result.get("task", {}).get("type")):
                errors.append("a result needs a task with a type")
            if not {"type", "name"} <= set(result.get("dataset", {})):
                errors.append("a result needs a dataset with type and name")
            for metric in result.get("metrics", [{}]):
                if not _is_text(metric.get("type")) or not isinstance(metric.get("value"), (int, float)):
                    errors.append("a metric needs a type and a number")
    return errors
