/*
 * A Windows program that calls thunks, for tests of the recorder: client.exe MODE THREADS CALLS JOURNAL
 *
 * It opens the adapter and the device with gdi32. Allocations come from thunks.dll beside the program, which it loads late. At
 * the end, it writes a line per call to JOURNAL: thread, function, status, handle.
 *   work    every thread: an adapter and a device, CALLS allocations with own data and some bad pointers, with exceptions of
 *           the program in between; then all objects are destroyed
 *   forever work, without an end
 *   late    work, after a second
 *   twice   CALLS calls of thunks.dll, which is unloaded and loaded again in between
 *   start   runs client.exe late in another process, and ends before it
 */
#include <windows.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../native/allocation.h"

typedef int32_t (WINAPI *Thunk)(void *);
typedef struct { uint32_t hDevice, hResource; void *list; uint32_t count, flags; } Destroy;
typedef struct { WCHAR name[32]; uint32_t hAdapter, luid[2], source; } OpenAdapter;
typedef struct { union { uint32_t hAdapter; void *pAdapter; } u; uint32_t flags, hDevice; void *commands; uint32_t a; void *b; uint32_t c; void *d; uint32_t e; } CreateDevice;
typedef struct { const char *function; int32_t status; uint32_t handle; } Line;
typedef struct { long number, lines, caught; Line *line; } Thread;

static Thunk open_adapter, create_device, destroy_device, close_adapter, create_allocation, destroy_allocation;
static int32_t (WINAPI *share)(uint32_t, const uint32_t *, void *, uint32_t, HANDLE *);
static long calls, forever;

static Thunk find(HMODULE library, const char *name) {
  Thunk function = (Thunk)(void *)GetProcAddress(library, name);
  if (!function) {
    fprintf(stderr, "%s is not exported\n", name);
    exit(3);
  }
  return function;
}

static void note(Thread *t, const char *function, int32_t status, uint32_t handle) {
  Line line = {function, status, handle};
  if (!forever) t->line[t->lines++] = line;
}

/* The program's own exceptions: a bad store. The handler repairs it by another address for the instruction. */
static DWORD expecting;
static uint32_t valid_word;

static LONG CALLBACK handler(EXCEPTION_POINTERS *info) {
  CONTEXT *context = info->ContextRecord;
  if (info->ExceptionRecord->ExceptionCode != EXCEPTION_ACCESS_VIOLATION || !TlsGetValue(expecting)) return EXCEPTION_CONTINUE_SEARCH;
  TlsSetValue(expecting, 0);
#ifdef _WIN64
  context->Rdx = (uintptr_t)&valid_word;
#else
  context->Edx = (uintptr_t)&valid_word;
#endif
  return EXCEPTION_CONTINUE_EXECUTION;
}

static void fault(Thread *t) {
  TlsSetValue(expecting, (void *)1);
  __asm__ volatile("movl $1, (%0)" : : "d"((void *)(uintptr_t)16) : "memory");
  t->caught += !TlsGetValue(expecting);
}

static int32_t create(Thread *t, uint32_t device, Info *infos, uint32_t count) {
  Create arg;
  int32_t status;
  memset(&arg, 0, sizeof arg);
  arg.hDevice = device;
  arg.NumAllocations = count;
  arg.infos = infos;
  status = create_allocation(&arg);
  note(t, "D3DKMTCreateAllocation2", status, status ? 0 : infos->hAllocation);
  return status;
}

static DWORD WINAPI work(void *argument) {
  Thread *t = argument;
  OpenAdapter adapter;
  CreateDevice device;
  uint8_t data[320];
  int32_t status;
  long i;
  memset(&adapter, 0, sizeof adapter);
  memset(&device, 0, sizeof device);
  wcscpy(adapter.name, L"\\\\.\\DISPLAY1");
  status = open_adapter(&adapter);
  note(t, "D3DKMTOpenAdapterFromGdiDisplayName", status, adapter.hAdapter);
  device.u.hAdapter = adapter.hAdapter;
  status = create_device(&device);
  note(t, "D3DKMTCreateDevice", status, device.hDevice);
  for (i = 0; i < calls || forever; i++) {
    Destroy destroy = {device.hDevice, 0, 0, 1, 0};
    Info info;
    memset(&info, 0, sizeof info);
    memset(data, (int)t->number, sizeof data);
    memcpy(data, &i, sizeof i);
    info.pPrivateDriverData = data;
    info.PrivateDriverDataSize = (uint32_t)(64 + t->number);
    create(t, device.hDevice, &info, 1);
    destroy.list = &info.hAllocation;
    note(t, "D3DKMTDestroyAllocation2", destroy_allocation(&destroy), 0);
    if (i % 8 == 3) {
      info.pPrivateDriverData = (void *)(uintptr_t)(0x1000 + 8 * i);
      create(t, device.hDevice, &info, 1);
      create(t, device.hDevice, (Info *)(uintptr_t)0x10, 3);
      note(t, "D3DKMTDestroyAllocation2", destroy_allocation((void *)(uintptr_t)0x7), 0);
    }
    if (i % 8 == 5) fault(t);
    if (i % 8 == 7) {
      HANDLE shared = 0;
      status = share(1, &info.hAllocation, 0, 7, &shared);
      note(t, "D3DKMTShareObjects", status, (uint32_t)(uintptr_t)shared);
    }
    if (forever) Sleep(1);
  }
  note(t, "D3DKMTDestroyDevice", destroy_device(&device.hDevice), 0);
  note(t, "D3DKMTCloseAdapter", close_adapter(&adapter.hAdapter), 0);
  return 0;
}

static int twice(const char *journal) {
  FILE *file = fopen(journal, "w");
  long i;
  for (i = 0; i < calls; i++) {
    HMODULE thunks = LoadLibraryA("thunks.dll");
    Thunk destroy = find(thunks, "D3DKMTDestroyAllocation2");
    Destroy argument = {(uint32_t)i, 0, 0, 0, 0};
    fprintf(file, "0 D3DKMTDestroyAllocation2 0x%08x 0x0\n", (unsigned)destroy(&argument));
    FreeLibrary(thunks);
    fflush(file);
    if (GetModuleHandleA("thunks.dll")) return 5;
  }
  fclose(file);
  return 7;
}

static int start(char **argv) {
  STARTUPINFOA startup = {.cb = sizeof startup};
  PROCESS_INFORMATION process;
  char line[1024];
  snprintf(line, sizeof line, "\"%s\" late %s %s \"%s\"", argv[0], argv[2], argv[3], argv[4]);
  if (!CreateProcessA(0, line, 0, 0, FALSE, 0, 0, 0, &startup, &process)) return 4;
  return 0;
}

int main(int argc, char **argv) {
  HMODULE gdi32, thunks;
  Thread threads[64];
  HANDLE handles[64];
  long count, i, k, caught = 0;
  FILE *journal;
  if (argc != 5) return 2;
  if (!strcmp(argv[1], "start")) return start(argv);
  if (!strcmp(argv[1], "late")) Sleep(1000);
  forever = !strcmp(argv[1], "forever");
  count = atol(argv[2]);
  calls = atol(argv[3]);
  if (!strcmp(argv[1], "twice")) return twice(argv[4]);
  gdi32 = LoadLibraryA("gdi32.dll");
  thunks = LoadLibraryA("thunks.dll");
  open_adapter = find(gdi32, "D3DKMTOpenAdapterFromGdiDisplayName");
  create_device = find(gdi32, "D3DKMTCreateDevice");
  destroy_device = find(gdi32, "D3DKMTDestroyDevice");
  close_adapter = find(gdi32, "D3DKMTCloseAdapter");
  create_allocation = find(thunks, "D3DKMTCreateAllocation2");
  destroy_allocation = find(thunks, "D3DKMTDestroyAllocation2");
  share = (void *)find(thunks, "D3DKMTShareObjects");
  expecting = TlsAlloc();
  AddVectoredExceptionHandler(1, handler);
  for (i = 0; i < count; i++) {
    threads[i] = (Thread){i, 0, 0, calloc(4 * calls + 16, sizeof(Line))};
    handles[i] = CreateThread(0, 0, work, threads + i, 0, 0);
  }
  WaitForMultipleObjects((DWORD)count, handles, TRUE, INFINITE);
  journal = fopen(argv[4], "w");
  for (i = 0; i < count; i++) {
    caught += threads[i].caught;
    for (k = 0; k < threads[i].lines; k++) {
      Line *line = threads[i].line + k;
      fprintf(journal, "%ld %s 0x%08x 0x%x\n", i, line->function, (unsigned)line->status, line->handle);
    }
  }
  fprintf(journal, "caught %ld\n", caught);
  fclose(journal);
  return 7;
}
