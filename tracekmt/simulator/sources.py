"""Sources of validation rules."""

WINE_TEST = "Wine dlls/win32u/tests/d3dkmt.c"
REVERSED = "third-party notes on a decompiled dxgkrnl.sys"
WSL = "WSL2-Linux-Kernel drivers/hv/dxgkrnl/ioctl.c"
OTHER_TYPES = "by analogy with handles of other types"
LIKE_OTHERS = "by analogy with calls in Wine's conformance test"


def page(name: str) -> str:
    """Return the source for Microsoft's page about a function or a structure."""
    return f"Microsoft documentation: {name}"
