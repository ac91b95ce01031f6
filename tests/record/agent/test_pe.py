"""The locator of functions in Windows modules, on real PE files with every kind of forwarder, and on invalid files."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.windows import compile_exports
from tracekmt.calls import INTERFACE
from tracekmt.resources import resource

HARNESS = """
const imageFrom = (name, hex) => {
  const bytes = new Uint8Array((hex.match(/../g) ?? []).map(digits => parseInt(digits, 16)));
  return new Image(name, bytes.length, (rva, size) => bytes.buffer.slice(rva, rva + size));
};
rpc.exports = {
  functions(files, moduleName, apiSets, naming, described) {
    try {
      const images = Object.entries(files).map(([name, hex]) => imageFrom(name, hex));
      const schema = apiSets === null ? null : imageFrom('the schema', apiSets);
      const all = new Images(images, schema);
      const functions = functionsOf(all, all.get(moduleName), naming, name => described.includes(name));
      return functions.map(({ name, image, rva }) => [name, image.name, rva]);
    } catch (error) {
      return error.message;
    }
  },
};
"""


class Locator:
    """hooks/pe.js, running in Frida's session with this process."""

    def __init__(self) -> None:
        frida = pytest.importorskip("frida")
        self.session = frida.attach(0, exceptor="off")
        source = resource("hooks", "pe.js").read_text("utf-8") + HARNESS
        self.script = self.session.create_script(source, runtime="qjs")
        self.script.load()

    def __call__(self, files: dict[str, bytes], module: str, schema: bytes | None = None, described: Any = ()) -> Any:
        images = {name: data.hex() for name, data in files.items()}
        api_sets = None if schema is None else schema.hex()
        return self.script.exports_sync.functions(images, module, api_sets, INTERFACE, list(described))

    def close(self) -> None:
        self.session.detach()


@pytest.fixture(scope="module")
def locator() -> Iterator[Locator]:
    created = Locator()
    yield created
    created.close()


def as_mapped(path: Path) -> bytes:
    """Return a PE file as it is mapped into memory."""
    data = path.read_bytes()
    (header,) = struct.unpack_from("<I", data, 60)
    sections, optional = struct.unpack_from("<H", data, header + 6)[0], struct.unpack_from("<H", data, header + 20)[0]
    size, headers = struct.unpack_from("<II", data, header + 24 + 56)
    image = bytearray(size)
    image[:headers] = data[:headers]
    for number in range(sections):
        _, rva, length, start = struct.unpack_from("<IIII", data, header + 24 + optional + 40 * number + 8)
        image[rva : rva + length] = data[start : start + length]
    return bytes(image)


def library(folder: Path, name: str, functions: list[str], exports: list[str], abi: str = "x64") -> bytes:
    """Build a library as it is mapped, with functions and with further exports in the form of a .def file."""
    return as_mapped(compile_exports(folder / f"{name}.dll", functions, exports, abi))


def rva_of(image: bytes, name: str) -> int:
    """Return the rva of an export, found by another reader."""
    (header,) = struct.unpack_from("<I", image, 60)
    (magic,) = struct.unpack_from("<H", image, header + 24)
    (directory,) = struct.unpack_from("<I", image, header + 24 + (112 if magic == 0x20B else 96))
    count, functions, names, ordinals = struct.unpack_from("<IIII", image, directory + 24)
    for index in range(count):
        (text,) = struct.unpack_from("<I", image, names + 4 * index)
        if image[text : text + len(name) + 1] == name.encode() + b"\0":
            (ordinal,) = struct.unpack_from("<H", image, ordinals + 2 * index)
            return int(struct.unpack_from("<I", image, functions + 4 * ordinal)[0])
    raise KeyError(name)


def api_sets(hosts: dict[str, str]) -> bytes:
    """Build an API set schema of version 6, as the process environment block refers to it."""
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
    """Covers own code, a forwarder by name, one by ordinal through an API set, and a chain of forwarders."""
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
    functions = {name: (holder, rva) for name, holder, rva in locator(files, "gdi32", schema, ["D3DKMTCreateDevice"])}
    assert functions == {
        "D3DKMTOwn": ("gdi32.dll", rva_of(gdi32, "D3DKMTOwn")),
        "D3DKMTCreateDevice": ("win32u.dll", rva_of(win32u, "NtGdiDdDDICreateDevice")),
        "NtGdiDdDDINotYetKnown": ("win32u.dll", rva_of(win32u, "NtGdiDdDDINotYetKnown")),
        "D3DKMTAcquireKeyedMutex": ("dxcore.dll", rva_of(dxcore, "AcquireKeyedMutex")),
        "D3DKMTLock2": ("win32u.dll", rva_of(win32u, "NtGdiDdDDICreateDevice")),
    }
    without = {name: holder for name, holder, _ in locator(files, "gdi32", None, [])}
    assert "D3DKMTAcquireKeyedMutex" not in without, "its module has only the name of an API set"
    assert without["NtGdiDdDDICreateDevice"] == "win32u.dll", "an undescribed system call keeps its name"


def test_one_layer_of_a_function_is_hooked(locator: Locator, tmp_path: Path) -> None:
    """A function of gdi32 that forwards to a system call is not hooked beside it."""
    gdi32 = library(tmp_path, "gdi32", ["D3DKMTCreateDevice"], [])
    win32u = library(tmp_path, "win32u", ["NtGdiDdDDICreateDevice"], [])
    files = {"gdi32.dll": gdi32, "win32u.dll": win32u}
    assert locator(files, "gdi32.dll", None, ["D3DKMTCreateDevice"]) == [
        ["D3DKMTCreateDevice", "win32u.dll", rva_of(win32u, "NtGdiDdDDICreateDevice")]
    ]
    assert locator({"gdi32.dll": gdi32}, "GDI32", None, ["D3DKMTCreateDevice"]) == [
        ["D3DKMTCreateDevice", "gdi32.dll", rva_of(gdi32, "D3DKMTCreateDevice")]
    ]


def test_a_loop_of_forwarders(locator: Locator, tmp_path: Path) -> None:
    one = library(tmp_path, "one", ["Filler"], ["D3DKMTLock2=two.D3DKMTLock2"])
    two = library(tmp_path, "two", ["Filler"], ["D3DKMTLock2=one.D3DKMTLock2"])
    error = locator({"one.dll": one, "two.dll": two}, "one")
    assert error.endswith("invalid PE image: D3DKMTLock2 is forwarded endlessly")


def test_invalid_pe_images_are_plain_errors(locator: Locator, tmp_path: Path) -> None:
    valid = library(tmp_path, "gdi32", ["D3DKMTOwn"], ["D3DKMTLock2=win32u.Lock2"])
    chance = random.Random(7)
    damaged = [b"", b"MZ", bytes(4096), b"\x7fELF" + bytes(4092), valid[:200], valid[:4096]]
    (header,) = struct.unpack_from("<I", valid, 60)
    (directory,) = struct.unpack_from("<I", valid, header + 24 + 112)
    fields = ((60, 4), (header, 4), (header + 24, 2), (header + 132, 4), (header + 136, 8), (directory + 16, 24))
    for offset, size in fields:
        for _ in range(25):
            image = bytearray(valid)
            image[offset : offset + size] = chance.randbytes(size)
            damaged.append(bytes(image))
    results = [locator({"gdi32.dll": image}, "gdi32") for image in damaged]
    errors = [result for result in results if isinstance(result, str)]
    assert errors[:5] == results[:5], "a truncated image is not an error"
    assert len(errors) > len(damaged) / 2
    assert all(error.startswith("gdi32.dll: invalid PE image: ") for error in errors)
    functions = [function for result in results if not isinstance(result, str) for function in result]
    assert {(name[:6], holder) for name, holder, _ in functions} == {("D3DKMT", "gdi32.dll")}


def test_an_invalid_api_set_schema(locator: Locator, tmp_path: Path) -> None:
    gdi32 = library(tmp_path, "gdi32", ["D3DKMTOwn"], ["D3DKMTLock2=ext-ms-win-dx-d3dkmt-dxcore-l1-1-5.#73"])
    assert [name for name, *_ in locator({"gdi32.dll": gdi32}, "gdi32", struct.pack("<7I", 2, *[0] * 6))] == [
        "D3DKMTOwn"
    ]
    assert "invalid API set schema" in locator(
        {"gdi32.dll": gdi32}, "gdi32", struct.pack("<7I", 6, 0, 0, 1 << 20, 0, 0, 0)
    )
