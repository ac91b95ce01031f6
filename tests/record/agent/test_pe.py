"""Where functions are in Windows' modules: real PE files with every kind of forwarder, and such as are no PE files."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.windows import compile_windows
from tracekmt.calls import INTERFACE
from tracekmt.resources import resource

HARNESS = """
const laid = (name, hex) => {
  const bytes = new Uint8Array(hex.match(/../g) === null ? [] : hex.match(/../g).map(each => parseInt(each, 16)));
  return new Image(name, bytes.length, (rva, size) => bytes.buffer.slice(rva, rva + size));
};
rpc.exports = {
  functions(files, wanted, apiSets, kind, known) {
    try {
      const images = Object.entries(files).map(([name, hex]) => laid(name, hex));
      const schema = apiSets === null ? null : laid('the schema', apiSets);
      const all = new Images(images, schema);
      const found = functionsOf(all, all.get(wanted), kind, name => known.includes(name));
      return found.map(({ name, image, rva }) => [name, image.name, rva]);
    } catch (error) {
      return error.message;
    }
  },
};
"""
CODE = """
#define EXPORT __declspec(dllexport)
{functions}
"""


class Locator:
    """hooks/pe.js, running in a process of its own."""

    def __init__(self) -> None:
        frida = pytest.importorskip("frida")
        waits = "print('ready', flush=True); input()"
        self.process = subprocess.Popen([sys.executable, "-c", waits], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"  # not while it is being loaded, which may end it
        self.session = frida.attach(self.process.pid, exceptor="off")
        source = resource("hooks", "pe.js").read_text("utf-8") + HARNESS
        self.script = self.session.create_script(source, runtime="qjs")
        self.script.load()

    def __call__(self, files: dict[str, bytes], wanted: str, schema: bytes | None = None, known: Any = ()) -> Any:
        told = {name: data.hex() for name, data in files.items()}
        api_sets = None if schema is None else schema.hex()
        return self.script.exports_sync.functions(told, wanted, api_sets, INTERFACE, list(known))

    def close(self) -> None:
        self.session.detach()
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def locator() -> Iterator[Locator]:
    found = Locator()
    yield found
    found.close()


def as_mapped(path: Path) -> bytes:
    """A PE file as it lies in memory."""
    data = path.read_bytes()
    (at,) = struct.unpack_from("<I", data, 60)
    sections, optional = struct.unpack_from("<H", data, at + 6)[0], struct.unpack_from("<H", data, at + 20)[0]
    size, headers = struct.unpack_from("<II", data, at + 24 + 56)
    image = bytearray(size)
    image[:headers] = data[:headers]
    for number in range(sections):
        _, rva, length, start = struct.unpack_from("<IIII", data, at + 24 + optional + 40 * number + 8)
        image[rva : rva + length] = data[start : start + length]
    return bytes(image)


def library(folder: Path, name: str, functions: list[str], exports: list[str], abi: str = "x64") -> bytes:
    """A library with functions of its own, and with exports as a .def file has them."""
    source, definitions = folder / f"{name}.c", folder / f"{name}.def"
    code = "".join(f"EXPORT int {each}(void *x) {{ return x != 0; }}\n" for each in functions)
    source.write_text(CODE.replace("{functions}", code))
    # The linker takes no forwarder with these two characters; Windows' own have them.
    plain = [line.replace("-", "_").replace("#", "n") for line in exports]
    definitions.write_text("EXPORTS\n" + "".join(f"  {line}\n" for line in [*functions, *plain]))
    image = as_mapped(compile_windows(abi, folder / f"{name}.dll", source, definitions))
    for line, given in zip(exports, plain, strict=True):
        forward, stood_in = line.partition("=")[2], given.partition("=")[2]
        image = image.replace(stood_in.encode() + b"\0", forward.encode() + b"\0") if line != given else image
    return image


def rva_of(image: bytes, name: str) -> int:
    """Where an export is, as another reader finds it."""
    (at,) = struct.unpack_from("<I", image, 60)
    (magic,) = struct.unpack_from("<H", image, at + 24)
    (where,) = struct.unpack_from("<I", image, at + 24 + (112 if magic == 0x20B else 96))
    count, functions, names, ordinals = struct.unpack_from("<IIII", image, where + 24)
    for index in range(count):
        (text,) = struct.unpack_from("<I", image, names + 4 * index)
        if image[text : text + len(name) + 1] == name.encode() + b"\0":
            (ordinal,) = struct.unpack_from("<H", image, ordinals + 2 * index)
            return int(struct.unpack_from("<I", image, functions + 4 * ordinal)[0])
    raise KeyError(name)


def api_sets(hosts: dict[str, str]) -> bytes:
    """A schema of API sets, version 6, as the process environment block leads to it."""
    head, entries, values, texts = 28, b"", b"", b""
    values_at = head + 24 * len(hosts)
    texts_at = values_at + 20 * len(hosts)
    for number, (name, host) in enumerate(hosts.items()):
        name_at = texts_at + len(texts)
        texts += name.encode("utf-16-le")
        host_at = texts_at + len(texts)
        texts += host.encode("utf-16-le")
        hashed = 2 * len(name.rpartition("-")[0])
        entries += struct.pack("<6I", 0, name_at, 2 * len(name), hashed, values_at + 20 * number, 1)
        values += struct.pack("<5I", 0, 0, 0, host_at, 2 * len(host))
    whole = texts_at + len(texts)
    return struct.pack("<7I", 6, whole, 0, len(hosts), head, 0, 31) + entries + values + texts


def test_functions_are_found_where_their_code_is(locator: Locator, tmp_path: Path, abi: str) -> None:
    """A module's own code; behind a forwarder by name; by ordinal through an API set; and a chain of both."""
    dxcore = library(tmp_path, "dxcore", ["AcquireKeyedMutex", "Other"], ["Hidden=AcquireKeyedMutex @73 NONAME"], abi)
    win32u = library(tmp_path, "win32u", ["NtGdiDdDDICreateDevice", "NtGdiDdDDINotYetKnown", "NtUserOther"], [], abi)
    between = library(tmp_path, "between", ["Filler"], ["Lock2Again=win32u.NtGdiDdDDICreateDevice"], abi)
    gdi32 = library(
        tmp_path,
        "gdi32",
        ["D3DKMTOwn", "CreateDCW"],
        [
            "D3DKMTCreateDevice=win32u.NtGdiDdDDICreateDevice",
            "D3DKMTAcquireKeyedMutex=ext-ms-win-dx-d3dkmt-dxcore-l1-1-5.#73",
            "D3DKMTLock2=between.Lock2Again",
            "D3DKMTEscape=missing.Escape",
            "D3DKMTNowhere=win32u.IsNotThere",
        ],
        abi,
    )
    files = {"gdi32.dll": gdi32, "dxcore.dll": dxcore, "win32u.dll": win32u, "between.dll": between}
    schema = api_sets({"ext-ms-win-other-l1-1-0": "other.dll", "ext-ms-win-dx-d3dkmt-dxcore-l1-1-3": "dxcore.dll"})
    found = {name: (holder, rva) for name, holder, rva in locator(files, "gdi32", schema, ["D3DKMTCreateDevice"])}
    assert found == {
        "D3DKMTOwn": ("gdi32.dll", rva_of(gdi32, "D3DKMTOwn")),
        "D3DKMTCreateDevice": ("win32u.dll", rva_of(win32u, "NtGdiDdDDICreateDevice")),
        "NtGdiDdDDINotYetKnown": ("win32u.dll", rva_of(win32u, "NtGdiDdDDINotYetKnown")),
        "D3DKMTAcquireKeyedMutex": ("dxcore.dll", rva_of(dxcore, "AcquireKeyedMutex")),
        "D3DKMTLock2": ("win32u.dll", rva_of(win32u, "NtGdiDdDDICreateDevice")),
    }
    without = {name: holder for name, holder, _ in locator(files, "gdi32", None, [])}
    assert "D3DKMTAcquireKeyedMutex" not in without, "its module is known by an API set's name only"
    assert without["NtGdiDdDDICreateDevice"] == "win32u.dll", "a name that no description has stays what it is"


def test_one_layer_of_a_function_is_taken(locator: Locator, tmp_path: Path) -> None:
    """Code of gdi32 that comes down to a system call is not hooked beside it."""
    gdi32 = library(tmp_path, "gdi32", ["D3DKMTCreateDevice"], [])
    win32u = library(tmp_path, "win32u", ["NtGdiDdDDICreateDevice"], [])
    files = {"gdi32.dll": gdi32, "win32u.dll": win32u}
    assert locator(files, "gdi32.dll", None, ["D3DKMTCreateDevice"]) == [
        ["D3DKMTCreateDevice", "win32u.dll", rva_of(win32u, "NtGdiDdDDICreateDevice")]
    ]
    assert locator({"gdi32.dll": gdi32}, "GDI32", None, ["D3DKMTCreateDevice"]) == [
        ["D3DKMTCreateDevice", "gdi32.dll", rva_of(gdi32, "D3DKMTCreateDevice")]
    ]


def test_forwarders_that_go_round(locator: Locator, tmp_path: Path) -> None:
    one = library(tmp_path, "one", ["Filler"], ["D3DKMTLock2=two.D3DKMTLock2"])
    two = library(tmp_path, "two", ["Filler"], ["D3DKMTLock2=one.D3DKMTLock2"])
    said = locator({"one.dll": one, "two.dll": two}, "one")
    assert said.endswith("is no sound PE image: D3DKMTLock2 is forwarded without an end")


def test_what_is_no_pe_image_is_said_plainly(locator: Locator, tmp_path: Path) -> None:
    sound = library(tmp_path, "gdi32", ["D3DKMTOwn"], ["D3DKMTLock2=win32u.Lock2"])
    chance = random.Random(7)
    damaged = [b"", b"MZ", bytes(4096), b"\x7fELF" + bytes(4092), sound[:200], sound[:4096]]
    (at,) = struct.unpack_from("<I", sound, 60)
    (where,) = struct.unpack_from("<I", sound, at + 24 + 112)
    for offset, size in ((60, 4), (at, 4), (at + 24, 2), (at + 132, 4), (at + 136, 8), (where + 16, 24)):
        for _ in range(25):
            image = bytearray(sound)
            image[offset : offset + size] = chance.randbytes(size)
            damaged.append(bytes(image))
    said = [locator({"gdi32.dll": image}, "gdi32") for image in damaged]
    errors = [each for each in said if isinstance(each, str)]
    assert errors[:5] == said[:5], "what is cut off is an error"
    assert len(errors) > len(damaged) / 2
    assert {each.partition(":")[0] for each in errors} == {"gdi32.dll"}
    assert all(": is no" in each for each in errors)
    found = [function for each in said if not isinstance(each, str) for function in each]
    assert {(name[:6], holder) for name, holder, _ in found} == {("D3DKMT", "gdi32.dll")}


def test_a_schema_that_is_none(locator: Locator, tmp_path: Path) -> None:
    gdi32 = library(tmp_path, "gdi32", ["D3DKMTOwn"], ["D3DKMTLock2=ext-ms-win-dx-d3dkmt-dxcore-l1-1-5.#73"])
    assert [name for name, *_ in locator({"gdi32.dll": gdi32}, "gdi32", struct.pack("<7I", 2, *[0] * 6))] == [
        "D3DKMTOwn"
    ]
    assert "is no sound" in locator({"gdi32.dll": gdi32}, "gdi32", struct.pack("<7I", 6, 0, 0, 1 << 20, 0, 0, 0))
