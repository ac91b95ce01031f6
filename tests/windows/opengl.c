/*
 * A program that draws with OpenGL in a window. It copies a frame to memory and shows it again by GDI, with a device context of
 * D3DKMTCreateDCFromMemory. It prints what fails.
 */
#include <GL/gl.h>
#include <stdio.h>
#include <windows.h>

enum { SIDE = 16, X8R8G8B8 = 22 };

typedef struct {
  void *pMemory;
  int Format;
  UINT Width, Height, Pitch;
  HDC hDeviceDc;
  void *pColorTable;
  HDC hDc;
  HANDLE hBitmap;
} CreateDCFromMemory;

typedef struct {
  HDC hDc;
  HANDLE hBitmap;
} DestroyDCFromMemory;

static LONG call(const char *name, void *argument) {
  FARPROC function = GetProcAddress(GetModuleHandleA("gdi32.dll"), name);
  return ((LONG(WINAPI *)(void *))(void *)function)(argument);
}

int main(void) {
  static UINT pixels[SIDE * SIDE];
  PIXELFORMATDESCRIPTOR format = {sizeof format, 1, PFD_DRAW_TO_WINDOW | PFD_SUPPORT_OPENGL | PFD_DOUBLEBUFFER,
                                  .cColorBits = 32};
  HWND window = CreateWindowA("static", "", WS_OVERLAPPEDWINDOW | WS_VISIBLE, 0, 0, 64, 64, NULL, NULL, NULL, NULL);
  HDC hdc = GetDC(window);
  CreateDCFromMemory create = {pixels, X8R8G8B8, SIDE, SIDE, 4 * SIDE, hdc, NULL, NULL, NULL};
  DestroyDCFromMemory destroy;
  HGLRC context;
  if (!SetPixelFormat(hdc, ChoosePixelFormat(hdc, &format), &format)) return printf("no pixel format\n"), 1;
  context = wglCreateContext(hdc);
  if (!context || !wglMakeCurrent(hdc, context)) return printf("no context\n"), 1;
  for (int frame = 0; frame < 3; frame++) {
    glClear(GL_COLOR_BUFFER_BIT);
    SwapBuffers(hdc);
  }
  glReadPixels(0, 0, SIDE, SIDE, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
  wglMakeCurrent(NULL, NULL);
  wglDeleteContext(context);
  if (call("D3DKMTCreateDCFromMemory", &create)) return printf("no device context\n"), 1;
  BitBlt(hdc, 0, 0, SIDE, SIDE, create.hDc, 0, 0, SRCCOPY);
  destroy.hDc = create.hDc, destroy.hBitmap = create.hBitmap;
  if (call("D3DKMTDestroyDCFromMemory", &destroy)) return printf("the device context stays\n"), 1;
  printf("drawn\n");
  return 0;
}
