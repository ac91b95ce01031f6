"""A fixed sequence of calls of gdi32, for self-tests: as a Windows program of one page, and in this process.

The program needs no compiler.
It opens the first display's adapter, creates a device, destroys the device twice and closes the adapter. gdi32 exports
these functions since Windows 7, and in Wine since 8.0.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Sequence

_SECTION, _RAW, _SIZE = 0x1000, 0x200, 0x1000
_MACHINE_X64, _PE32_PLUS = 0x8664, 0x20B
_EXECUTABLE, _LARGE = 0x0002, 0x0020
_CONSOLE = 3
_CODE_DATA_RWX = 0xE0000060
_IMAGE_BASE = 0x140000000

_OPEN, _CREATE, _DESTROY, _CLOSE = (
    f"D3DKMT{name}" for name in ("OpenAdapterFromGdiDisplayName", "CreateDevice", "DestroyDevice", "CloseAdapter")
)
CALLS = (_OPEN, _CREATE, _DESTROY, _DESTROY, _CLOSE)
"""The calls of the program in order. The second DestroyDevice gets a destroyed handle."""

_OPEN_ARGUMENT = r"\\.\DISPLAY1".encode("utf-16-le").ljust(80, b"\0")
_ADAPTER_OFFSET, _DEVICE_OFFSET = 64, 12
"""Offsets of hAdapter in the argument of OpenAdapterFromGdiDisplayName, and of hDevice in that of CreateDevice."""

STATUS = 42
"""Exit status of the program."""

_IMPORTS = {"gdi32.dll": sorted(set(CALLS)), "kernel32.dll": ["ExitProcess"]}


class _Page:
    """The only section of the program: data, then code.

    Attributes:
        offsets: Offset of each named item in the section.
        fixups: Operands to fill in: position in the code, name of the item and offset in it.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.code = bytearray()
        self.fixups: list[tuple[int, str, int]] = []
        self.offsets: dict[str, int] = {}

    def put(self, name: str, content: bytes) -> None:
        self.data += bytes(-len(self.data) % 8)
        self.offsets[name] = len(self.data)
        self.data += content

    def append_relative(self, opcode: bytes, name: str, offset: int = 0) -> None:
        """Append an instruction whose operand is an item, relative to the instruction pointer."""
        self.code += opcode
        self.fixups.append((len(self.code), name, offset))
        self.code += bytes(4)

    def call(self, function: str, argument: str) -> None:
        self.append_relative(b"\x48\x8d\x0d", argument)  # lea rcx, [rip + argument]
        self.append_relative(b"\xff\x15", f"&{function}")  # call [rip + the import]

    def copy(self, source: str, offset: int, to: str, to_offset: int) -> None:
        self.append_relative(b"\x8b\x05", source, offset)  # mov eax, [rip + source]
        self.append_relative(b"\x89\x05", to, to_offset)  # mov [rip + to], eax

    def finish(self) -> tuple[bytes, int]:
        """Return the bytes of the section and the offset of its code."""
        start = len(self.data) + -len(self.data) % 16
        for position, name, offset in self.fixups:
            distance = self.offsets[name] + offset - (start + position + 4)
            self.code[position : position + 4] = struct.pack("<i", distance)
        return (bytes(self.data).ljust(start, b"\0") + bytes(self.code)).ljust(_SIZE, b"\0"), start


def call_gdi32() -> None:
    """Make the calls in this process. Only for Windows."""
    if sys.platform != "win32":
        raise NotImplementedError
    gdi32 = ctypes.WinDLL("gdi32")
    opened, device = ctypes.create_string_buffer(_OPEN_ARGUMENT), (ctypes.c_uint32 * 16)()
    adapter = ctypes.c_uint32.from_buffer(opened, _ADAPTER_OFFSET)
    getattr(gdi32, _OPEN)(opened)
    device[0] = adapter.value
    getattr(gdi32, _CREATE)(device)
    destroyed = ctypes.c_uint32.from_buffer(device, _DEVICE_OFFSET)
    for _ in range(2):
        getattr(gdi32, _DESTROY)(ctypes.byref(destroyed))
    getattr(gdi32, _CLOSE)(ctypes.byref(adapter))


def program() -> bytes:
    """Return the program file (x64)."""
    page = _Page()
    imports = _put_imports(page)
    page.put("open", _OPEN_ARGUMENT)
    page.put("device", bytes(64))
    page.put("close", bytes(4))
    page.code += b"\x48\x83\xec\x28"  # sub rsp, 40: space for four parameters, and alignment
    page.call(_OPEN, "open")
    page.copy("open", _ADAPTER_OFFSET, "device", 0)
    page.copy("open", _ADAPTER_OFFSET, "close", 0)
    page.call(_CREATE, "device")
    page.copy("device", _DEVICE_OFFSET, "device", 0)
    page.call(_DESTROY, "device")
    page.call(_DESTROY, "device")
    page.call(_CLOSE, "close")
    page.code += b"\xb9" + struct.pack("<I", STATUS)  # mov ecx, STATUS
    page.append_relative(b"\xff\x15", "&ExitProcess")
    section, start = page.finish()
    return _headers(_SECTION + start, imports).ljust(_RAW, b"\0") + section


def _put_imports(page: _Page) -> tuple[int, int]:
    """Append the import directory and return its address in the image and its size."""
    page.put("directory", bytes(20 * (len(_IMPORTS) + 1)))
    entries = b""
    for library, functions in _IMPORTS.items():
        page.put(library, library.encode() + b"\0")
        for function in functions:
            page.put(f"name of {function}", b"\0\0" + function.encode() + b"\0")
        names = [_SECTION + page.offsets[f"name of {function}"] for function in functions]
        table = b"".join(struct.pack("<Q", name) for name in [*names, 0])
        page.put(f"names of {library}", table)
        page.put(f"addresses of {library}", table)
        for index, function in enumerate(functions):
            page.offsets[f"&{function}"] = page.offsets[f"addresses of {library}"] + 8 * index
        entries += _import_entry(page, library)
    offset = page.offsets["directory"]
    page.data[offset : offset + len(entries)] = entries
    return _SECTION + offset, len(entries) + 20


def _import_entry(page: _Page, library: str) -> bytes:
    items = (f"names of {library}", library, f"addresses of {library}")
    names, library_name, addresses = (_SECTION + page.offsets[item] for item in items)
    return struct.pack("<5I", names, 0, 0, library_name, addresses)


def _headers(entry: int, imports: Sequence[int]) -> bytes:
    stub = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", _MACHINE_X64, 1, 0, 0, 0, 240, _EXECUTABLE | _LARGE)
    optional = struct.pack("<HBBIIIII", _PE32_PLUS, 0, 0, _SIZE, 0, 0, entry, _SECTION)
    optional += struct.pack("<QIIHHHHHHIIII", _IMAGE_BASE, 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0, 0x2000, _RAW, 0)
    optional += struct.pack("<HHQQQQII", _CONSOLE, 0, 0x100000, 0x1000, 0x100000, 0x1000, 0, 16)
    optional += bytes(8) + struct.pack("<II", *imports) + bytes(14 * 8)
    section = struct.pack("<8sIIIIIIHHI", b".page", _SIZE, _SECTION, _SIZE, _RAW, 0, 0, 0, 0, _CODE_DATA_RWX)
    return stub + coff + optional + section
