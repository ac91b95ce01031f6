"""Sources of many descriptions. Each call also names the pages of its documentation."""

from __future__ import annotations

HEADER = "d3dkmthk.h, WDDM 3.0"
KIT_26100 = "d3dkmthk.h, kit 10.0.26100"
KIT_28000 = "d3dkmthk.h, kit 10.0.28000"
WINE_TESTS = "Wine dlls/win32u/tests/d3dkmt.c, run on Windows"
WSL_KERNEL = "WSL2-Linux-Kernel drivers/hv/dxgkrnl"
LIBDXG = "libdxg, Microsoft's library for WSL"
FUNCTION_POINTER = "d3dkmthk.h, type of the function's pointer (no prototype)"
PHNT = "System Informer phnt/include/ntd3dkmt.h (reverse engineered)"
