"""What many descriptions rest on. Documentation is named beside each call by the page it is on."""

from __future__ import annotations

HEADER = "d3dkmthk.h, WDDM 3.0"
WINE_TESTS = "Wine dlls/win32u/tests/d3dkmt.c, run on Windows"
WSL_KERNEL = "WSL2-Linux-Kernel drivers/hv/dxgkrnl"
