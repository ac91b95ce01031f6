"""Keys of results: a hash of all that a result depends on. What has a result with its key is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracekmt.differ.policy import PROJECT
from tracekmt.errors import UsageError
from tracekmt.objects.adapters import answer_lines
from tracekmt.system import describe_system
from tracekmt.text.toml import read_toml
from tracekmt.thunks.host import DRIVER_VERSIONS, list_adapters
from tracekmt.thunks.library import Library
from tracekmt.thunks.process import LibraryProcessDied
from tracekmt.version import VERSION

_BLOCK = 1 << 20


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        UsageError: The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return digest.hexdigest()


def hash_rules(path: Path) -> str | None:
    """Return a hash of the rules in a file, None if it has none.

    Raises:
        UsageError: The file cannot be read.
    """
    document = read_toml(path)
    if path.name == PROJECT.name:
        document = document.get("tool", {}).get("tracekmt", {})
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest() if document else None


def describe(on: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a target: its settings; for thunks also the library, its adapters and the system.

    Args:
        on: "simulator", "thunks" or "thunks:LIBRARY".
        settings: Settings of the replay.

    Raises:
        UsageError: The library cannot be loaded.
    """
    kind, _, path = on.partition(":")
    description: dict[str, Any] = {"on": kind, "settings": dict(settings)}
    if kind == "simulator":
        return description
    library = Library(Path(path) if path else None)
    try:
        answers = [dict(adapter.answers) for adapter in list_adapters(library)]
    except LibraryProcessDied as died:
        answers = [{"problem": str(died)}]
    finally:
        library.close()
    content = hash_file(Path(path)) if path else None
    return {**description, "library": content, "adapters": answers, "system": describe_system()}


def driver_text(adapters: list[Mapping[str, Any]]) -> str | None:
    """Return the driver versions in answers of adapters, None without one."""
    versions = [
        line.partition(": ")[2]
        for answers in adapters
        for line in answer_lines({query: answers[query] for query in DRIVER_VERSIONS if query in answers})
    ]
    return ", ".join(dict.fromkeys(versions)) or None


def key_of(trace_hash: str, description: Mapping[str, Any], rules_hash: str | None) -> str:
    """Return the key of a trace on a target.

    Args:
        trace_hash: Hash of the trace.
        description: Description of the target.
        rules_hash: Hash of the rules, if there are any.
    """
    parts = [trace_hash, description, rules_hash, VERSION]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
