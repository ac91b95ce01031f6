"""Windows programs that tests build with MinGW and run under Wine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL

from tests.native import skip_without
from tests.windows.host import has_on_host, run_on_host, runs_under_wine

FOLDER = Path(__file__).parent
COMPILERS = {"x64": "x86_64-w64-mingw32-gcc", "x86": "i686-w64-mingw32-gcc"}


def compile_windows(abi: str, output: Path, *sources: Path | str) -> Path:
    """Build a Windows program or library, by the ending of `output`. Skip the test without MinGW.

    In a Windows Python under Wine, the compiler of the host does it.
    """
    compiler = COMPILERS[abi]
    if any(str(source).endswith(".cpp") for source in sources):
        compiler = compiler.replace("gcc", "g++")
    # Windows libraries export 32-bit functions without the size of the parameters in their names.
    shared = ["-shared", "-static", "-Wl,--kill-at"] if output.suffix in (".dll", ".so") else []
    command = [compiler, "-O1", "-s", "-Wall", "-Wextra", *shared, "-o", output, *sources]
    if shutil.which(compiler) is None and runs_under_wine() and has_on_host(compiler):
        run_on_host(command, output.parent)
    elif shutil.which(compiler) is None:
        skip_without(compiler)
    else:
        subprocess.run(command, check=True)
    return output


def compile_exports(output: Path, functions: Sequence[str], exports: Sequence[str], abi: str = "x64") -> Path:
    """Build a library with functions and with further exports in the form of a .def file, such as forwarders."""
    source, definitions = output.with_suffix(".c"), output.with_suffix(".def")
    code = [f"__declspec(dllexport) int {function}(void *x) {{ return x != 0; }}\n" for function in functions]
    source.write_text("".join(code) or "typedef int nothing;\n")
    # The linker does not accept these two characters in a forwarder. The modules of Windows have them.
    accepted = [line.replace("-", "_").replace("#", "n") for line in exports]
    definitions.write_text("EXPORTS\n" + "".join(f"  {line}\n" for line in [*functions, *accepted]))
    image = compile_windows(abi, output, source, definitions).read_bytes()
    for line, accepted_line in zip(exports, accepted, strict=True):
        forward, linked = line.partition("=")[2], accepted_line.partition("=")[2]
        image = image.replace(linked.encode() + b"\0", forward.encode() + b"\0") if line != accepted_line else image
    output.write_bytes(image)
    return output


def compile_hard(folder: Path) -> Path:
    """Build the library of hard calls."""
    return compile_windows("x64", folder / "hard.dll", FOLDER / "hard.cpp")


def wine_environment(prefix: Path) -> dict[str, str]:
    """Create a Wine prefix and return the environment to use it. Skip the test without Wine.

    Wine 8.0's wineboot was seen to wait forever, once in several hundred times on a busy machine. It gets a second try.

    Wine's server stays for a minute after the last program. Debian's ends at once, so each program starts it anew.
    A recorded program was seen to end silently with status 1 there, once: Wine's loader does so if its server ends.
    """
    if shutil.which("wine") is None:
        skip_without("wine")
    environment = {**os.environ, "WINEPREFIX": str(prefix), "WINEDEBUG": "-all", "DISPLAY": ""}
    boot = ["wine", "wineboot", "-i"]
    prefix.mkdir(exist_ok=True)
    subprocess.run(["wineserver", "-p60"], env=environment, check=True)
    try:
        subprocess.run(boot, env=environment, check=True, stdout=DEVNULL, stderr=DEVNULL, timeout=90)
    except subprocess.TimeoutExpired:
        subprocess.run(["wineserver", "-k"], env=environment, check=False)
        shutil.rmtree(prefix)
        prefix.mkdir()
        subprocess.run(boot, env=environment, check=True, stdout=DEVNULL, stderr=DEVNULL, timeout=180)
    return environment
