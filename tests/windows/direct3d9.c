/* A program that draws with Direct3D 9 in a window, and with GDI on a surface. It prints what fails. */
#include <d3d9.h>
#include <stdio.h>
#include <windows.h>

#define CHECK(call) do { HRESULT result = call; if (FAILED(result)) { printf("%s: %08lx\n", #call, result); return 1; } } while (0)

int main(void) {
  D3DPRESENT_PARAMETERS parameters = {.Windowed = TRUE, .SwapEffect = D3DSWAPEFFECT_DISCARD};
  IDirect3DDevice9 *device;
  IDirect3DSurface9 *surface;
  D3DRASTER_STATUS status;
  HDC hdc;
  HWND window = CreateWindowA("static", "", WS_OVERLAPPEDWINDOW | WS_VISIBLE, 0, 0, 64, 64, NULL, NULL, NULL, NULL);
  IDirect3D9 *d3d = Direct3DCreate9(D3D_SDK_VERSION);
  if (!window || !d3d) return printf("no window or no Direct3D 9\n"), 1;
  parameters.hDeviceWindow = window;
  CHECK(IDirect3D9_CreateDevice(d3d, D3DADAPTER_DEFAULT, D3DDEVTYPE_HAL, window, D3DCREATE_SOFTWARE_VERTEXPROCESSING,
                                &parameters, &device));
  CHECK(IDirect3DDevice9_CreateOffscreenPlainSurface(device, 16, 16, D3DFMT_X8R8G8B8, D3DPOOL_SYSTEMMEM, &surface, NULL));
  CHECK(IDirect3DSurface9_GetDC(surface, &hdc));
  PatBlt(hdc, 0, 0, 16, 16, WHITENESS);
  CHECK(IDirect3DSurface9_ReleaseDC(surface, hdc));
  for (int frame = 0; frame < 3; frame++) {
    CHECK(IDirect3DDevice9_Clear(device, 0, NULL, D3DCLEAR_TARGET, 0xFF00FF00, 1, 0));
    CHECK(IDirect3DDevice9_Present(device, NULL, NULL, NULL, NULL));
  }
  IDirect3DDevice9_GetRasterStatus(device, 0, &status);
  IDirect3DSurface9_Release(surface);
  IDirect3DDevice9_Release(device);
  IDirect3D9_Release(d3d);
  printf("drawn\n");
  return 0;
}
