"""Sources of many descriptions. Each call also names the pages of its documentation."""

from __future__ import annotations

HEADER = "d3dkmthk.h, WDDM 3.0"
WINE_TESTS = "Wine dlls/win32u/tests/d3dkmt.c, run on Windows"
WSL_KERNEL = "WSL2-Linux-Kernel drivers/hv/dxgkrnl"
