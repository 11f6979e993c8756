"""YAML that remembers where each value stood, so that an error can name file and line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .errors import LabError

Location = tuple[str | int, ...]

MAX_SIZE = 4 * 1024 * 1024
MAX_NODES = 200_000


def load(path: Path) -> tuple[Any, Mapping[Location, int]]:
    """The document in `path` and, for every value and key in it, its line (from 1).

    Raises:
        LabError: the file can't be read, is not YAML, holds a key twice, or uses an alias (an alias has no line of its
            own and lets a small file grow without bound).
    """
    try:
        if not path.is_file() and path.exists():
            raise LabError(f"{path}: expected a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
        if len(data) > MAX_SIZE:
            raise LabError(f"{path}: expected a lab file of at most {MAX_SIZE} bytes")
        text = data.decode("utf-8")
    except OSError as error:
        raise LabError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise LabError(f"{path}: expected UTF-8 text, found another encoding at byte {error.start}") from error
    try:
        _check_events(path, text)
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise LabError(f"{path}:{mark.line + 1 if mark else 1}: not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise LabError(f"{path}:1: not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise LabError(f"{path}:1: nested too deeply for a lab file") from error
    if root is None:
        raise LabError(f"{path}:1: expected a lab, found an empty file")
    lines: dict[Location, int] = {}
    return _construct(path, loader, root, (), lines), lines


def _check_events(path: Path, text: str) -> None:
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise LabError(f"{path}:{_line(event)}: aliases (*{event.anchor}) are not accepted in a lab file")
        if count > MAX_NODES:
            raise LabError(f"{path}: expected at most {MAX_NODES} values")


def _line(event: yaml.AliasEvent) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def _construct(
    path: Path, loader: yaml.SafeLoader, node: yaml.Node, location: Location, lines: dict[Location, int]
) -> Any:
    lines[location] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise LabError(f"{path}:{key_node.start_mark.line + 1}: expected a word as key")
            key = str(key_node.value)
            if key in mapping:
                raise LabError(f"{path}:{key_node.start_mark.line + 1}: {key} stands here twice")
            mapping[key] = _construct(path, loader, value_node, (*location, key), lines)
            lines[(*location, key)] = key_node.start_mark.line + 1
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(path, loader, item, (*location, index), lines) for index, item in enumerate(node.value)]
    try:
        return loader.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        raise LabError(f"{path}:{node.start_mark.line + 1}: not a value: {' '.join(str(error).split())}") from error
