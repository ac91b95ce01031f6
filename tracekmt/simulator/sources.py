"""Where rules are known from, as they name it."""

WINE_TEST = "Wine dlls/win32u/tests/d3dkmt.c"
REVERSED = "third-party notes on a decompiled dxgkrnl.sys"
WSL = "WSL2-Linux-Kernel drivers/hv/dxgkrnl/ioctl.c"
OTHER_TYPES = "as the system answers for handles of other types"
LIKE_OTHERS = "as the calls for which Wine's conformance test saw it"


def page(name: str) -> str:
    """Microsoft's page about a function or a structure."""
    return f"Microsoft documentation: {name}"
