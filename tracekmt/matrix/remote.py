"""Fetches traces from URLs. The library `fsspec` knows the protocols."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from tracekmt.edit.copy import replace_on_success
from tracekmt.errors import UsageError

_NAME_LIMIT = 100


def fetch(url: str, cache: Path) -> list[tuple[str, Path]]:
    """Fetch the traces at a URL: one file, those of a folder, or those that match a pattern.

    Args:
        url: The URL.
        cache: Folder for the fetched files. A file that it has already is not fetched again.

    Returns:
        URLs and local paths.

    Raises:
        UsageError: fsspec is not installed, or a trace cannot be fetched.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise UsageError(f"cannot fetch {url}: it requires fsspec (pip install 'tracekmt[remote]')") from None
    try:
        files, path = url_to_fs(url)
        if any(character in path for character in "*?["):
            paths = sorted(files.glob(path))
        elif files.isdir(path):
            paths = sorted(name for name in files.ls(path, detail=False) if name.endswith(".kmt"))
        else:
            paths = [path]
        fetched = [(str(files.unstrip_protocol(name)), _fetch_file(files, name, cache)) for name in paths]
    except UsageError:
        raise
    except Exception as error:  # each protocol has errors of another library
        raise UsageError(f"cannot fetch {url}: {str(error) or type(error).__name__}") from None
    if not fetched:
        raise UsageError(f"cannot fetch {url}: there is no trace (*.kmt)")
    return fetched


def _fetch_file(files: Any, name: str, cache: Path) -> Path:
    """Fetch a file unless the cache has it with the same size, time and tag."""
    state = json.dumps([files.unstrip_protocol(name), files.info(name)], default=str, sort_keys=True)
    plain = re.sub(r"[^\w.-]", "_", name.rpartition("/")[2])[-_NAME_LIMIT:]
    path = cache / f"{hashlib.sha256(state.encode()).hexdigest()[:16]}-{plain}"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with replace_on_success(path) as part:
            files.get_file(name, str(part))
    return path
