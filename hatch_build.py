"""Builds the core where a C compiler is there. Without one, the wheel is pure Python."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("tracekmt", "core")


class CoreBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles the C files of tracekmt/core for the stable ABI."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the core and add it to the wheel.

        Args:
            version: "editable" for an editable installation, which has the core beside its source.
            build_data: Properties of the wheel.
        """
        self._folder = tempfile.mkdtemp()
        folder = Path(self.root) / FOLDER
        library = build(folder, folder if version == "editable" else Path(self._folder), self._folder)
        if library is None:
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"cp310-abi3-{platform}"
        build_data["pure_python"] = False
        if version != "editable":
            build_data["force_include"][str(library)] = str(FOLDER / library.name)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary files."""
        shutil.rmtree(self._folder, ignore_errors=True)


def build(folder: Path, output: Path, temporary: str) -> Path | None:
    """Compile the core. Return its path, None without a compiler or if it fails."""
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    sources = [str(path) for path in sorted(folder.glob("*.c"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.[ch]")))).hexdigest()[:16]
    extension = Extension(
        "_core", sources, define_macros=[("CORE_SOURCE", f'"{digest}"')], py_limited_api=True, optional=True
    )
    logging.getLogger().setLevel(logging.CRITICAL)
    command = build_ext(Distribution({"name": "core", "ext_modules": [extension]}))
    command.build_lib, command.build_temp = str(output), temporary
    command.ensure_finalized()
    library = output / command.get_ext_filename("_core")
    library.unlink(missing_ok=True)
    with contextlib.redirect_stdout(io.StringIO()):
        command.run()
    return library if library.exists() else None
