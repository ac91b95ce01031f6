/*
 * A library with a small kernel, for tests of replays on real thunks. It counts live objects and returns addresses and fence
 * values that no recording has. On request, it misbehaves like a bad driver.
 *
 * KERNEL_LOG=FILE    appends every function called, and the number of live objects after each creation and destruction
 * KERNEL_BUILD=N     version of the driver
 * KERNEL_DO=FUNCTION:N:ACTION   action at the Nth call of a function: "crash", "hang", or a status in hexadecimal
 * KERNEL_ONCE=FILE   does this only if the file does not exist, and creates it
 */
#include <fcntl.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <sys/eventfd.h>
#include <sys/mman.h>
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "allocation.h"

#define SUCCESS 0
#undef PENDING
#define PENDING 0x103
#define INVALID_PARAMETER ((int32_t)0xC000000D)
#define AT(type, argument, offset) (*(type *)((uint8_t *)(argument) + (offset)))
#define OBJECT_LIMIT 65536

enum { NOTHING, ADAPTER, DEVICE, RESOURCE, ALLOCATION, QUEUE, FENCE };
static struct { int kind; uint32_t owner; uint64_t value; } objects[OBJECT_LIMIT];
static uint64_t issued_fences[OBJECT_LIMIT], next_fence = 1000, next_address = 0x200000000;
static uint32_t last = 0, fences = 0;

static void log_number(const char *name, long number) {
  const char *path = getenv("KERNEL_LOG");
  FILE *file = path ? fopen(path, "a") : NULL;
  if (!file) return;
  fprintf(file, "%s %ld\n", name, number);
  fclose(file);
}

static void log_live_objects(void) {
  long live = 0;
  for (uint32_t i = 1; i <= last; i++) live += objects[i].kind != NOTHING;
  log_number("live", live);
}

/* Logs a call and performs the requested action. Returns the status to return, SUCCESS to continue. */
static int32_t begin_call(const char *function) {
  static char names[64][64];
  static int counts[64];
  char requested[64], action[64];
  int number, i = 0;
  const char *request = getenv("KERNEL_DO"), *once = getenv("KERNEL_ONCE");
  log_number(function, 1);
  while (names[i][0] && strcmp(names[i], function)) i++;
  strcpy(names[i], function);
  counts[i]++;
  if (!request || sscanf(request, "%63[^:]:%d:%63s", requested, &number, action) != 3) return SUCCESS;
  if (strcmp(requested, function) || number != counts[i]) return SUCCESS;
  if (once) {
    int file = open(once, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (file < 0) return SUCCESS;
    close(file);
  }
  log_number("process", getpid());
  if (!strcmp(action, "crash")) *(volatile int *)8 = 1;
  while (!strcmp(action, "hang")) sleep(1);
  return (int32_t)strtoul(action, NULL, 16);
}

#define BEGIN(function) { int32_t status_ = begin_call(function); if (status_) return status_; }

static uint32_t create_object(int kind, uint32_t owner) {
  objects[++last].kind = kind;
  objects[last].owner = owner;
  log_live_objects();
  return 0x80000000u + last;
}

static int is_live(uint32_t handle, int kind) {
  uint32_t i = handle - 0x80000000u;
  return i > 0 && i <= last && objects[i].kind == kind;
}

static int32_t destroy_object(uint32_t handle, int kind) {
  if (!is_live(handle, kind)) { log_number("dead", kind); return INVALID_PARAMETER; }
  objects[handle - 0x80000000u].kind = NOTHING;
  for (uint32_t i = 1; i <= last; i++)
    if (objects[i].kind && objects[i].owner == handle) destroy_object(0x80000000u + i, objects[i].kind);
  log_live_objects();
  return SUCCESS;
}

int32_t D3DKMTEnumAdapters2(uint8_t *argument) {
  uint8_t *list = AT(uint8_t *, argument, 8);
  BEGIN("EnumAdapters2")
  AT(uint32_t, argument, 0) = 2;
  for (uint32_t i = 0; list && i < 2; i++) {
    AT(uint32_t, list, 20 * i) = create_object(ADAPTER, 0);
    AT(uint32_t, list, 20 * i + 4) = 0x11 * (i + 1);
    AT(uint32_t, list, 20 * i + 8) = 0;
  }
  return SUCCESS;
}

int32_t D3DKMTOpenAdapterFromLuid(uint8_t *argument) {
  BEGIN("OpenAdapterFromLuid")
  log_number("luid", AT(uint32_t, argument, 0));
  if (AT(uint32_t, argument, 0) != 0x11 && AT(uint32_t, argument, 0) != 0x22) return INVALID_PARAMETER;
  AT(uint32_t, argument, 8) = create_object(ADAPTER, 0);
  return SUCCESS;
}

/* The adapters have displays 2 and 3. */
int32_t D3DKMTOpenAdapterFromGdiDisplayName(uint8_t *argument) {
  uint32_t number = AT(wchar_t, argument, sizeof(wchar_t) * 11) - '0';
  BEGIN("OpenAdapterFromGdiDisplayName")
  log_number("display", number);
  if (number < 2 || number > 3 || AT(wchar_t, argument, sizeof(wchar_t) * 12)) return INVALID_PARAMETER;
  argument += sizeof(wchar_t) * 32;
  AT(uint32_t, argument, 0) = create_object(ADAPTER, 0);
  AT(uint32_t, argument, 4) = 0x11 * (number - 1);
  AT(uint32_t, argument, 8) = 0;
  AT(uint32_t, argument, 12) = 0;
  return SUCCESS;
}

int32_t D3DKMTCloseAdapter(uint32_t *argument) {
  BEGIN("CloseAdapter")
  return destroy_object(argument[0], ADAPTER);
}

int32_t D3DKMTQueryAdapterInfo(uint8_t *argument) {
  const char *build = getenv("KERNEL_BUILD");
  BEGIN("QueryAdapterInfo")
  if (!is_live(AT(uint32_t, argument, 0), ADAPTER) || AT(uint32_t, argument, 4) != 49) return INVALID_PARAMETER;
  AT(uint64_t, AT(uint8_t *, argument, 8), 0) = build ? strtoull(build, NULL, 10) : 77;
  return SUCCESS;
}

int32_t D3DKMTQueryVideoMemoryInfo(uint8_t *argument) {
  BEGIN("QueryVideoMemoryInfo")
  if (!is_live(AT(uint32_t, argument, 8), ADAPTER)) return INVALID_PARAMETER;
  AT(uint64_t, argument, 16) = 1 << 30;
  AT(uint64_t, argument, 24) = 0;
  for (uint32_t i = 1; i <= last; i++) AT(uint64_t, argument, 24) += objects[i].kind == ALLOCATION && !AT(uint32_t, argument, 12) ? 65536 : 0;
  return SUCCESS;
}

int32_t D3DKMTCreateDevice(uint8_t *argument) {
  BEGIN("CreateDevice")
  if (!is_live(AT(uint32_t, argument, 0), ADAPTER)) return INVALID_PARAMETER;
  AT(uint32_t, argument, 12) = create_object(DEVICE, 0);
  return SUCCESS;
}

int32_t D3DKMTDestroyDevice(uint32_t *argument) {
  BEGIN("DestroyDevice")
  return destroy_object(argument[0], DEVICE);
}

static int is_section(uintptr_t handle) {
#ifdef _WIN32
  void *view = MapViewOfFile((HANDLE)handle, FILE_MAP_WRITE, 0, 0, 0);
  if (view) UnmapViewOfFile(view);
  return view != NULL;
#else
  void *view = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, (int)handle, 0);
  if (view != MAP_FAILED) munmap(view, 4096);
  return view != MAP_FAILED;
#endif
}

int32_t D3DKMTCreateAllocation2(Create *argument) {
  BEGIN("CreateAllocation2")
  if (!is_live(argument->hDevice, DEVICE)) return INVALID_PARAMETER;
  if (argument->hResource && !is_live(argument->hResource, RESOURCE)) return INVALID_PARAMETER;
  if (argument->flags & 1) argument->hResource = create_object(RESOURCE, argument->hDevice);
  for (uint32_t i = 0; i < argument->NumAllocations; i++) {
    Info *info = argument->infos + i;
    if (argument->flags & 0x20000) {
      log_number("section", is_section((uintptr_t)info->pSystemMem));
    } else if (info->pSystemMem) {  /* all of that memory must be mapped */
      memset(info->pSystemMem, 0x5A, argument->flags & 0x10000 ? ((uint64_t *)argument->pDriver)[1] : 65536);
      log_number("memory", (long)((uintptr_t)info->pSystemMem & 4095));
    }
    info->hAllocation = create_object(ALLOCATION, argument->hResource ? argument->hResource : argument->hDevice);
  }
  return SUCCESS;
}

int32_t D3DKMTDestroyAllocation2(uint8_t *argument) {
  uint32_t *list = AT(uint32_t *, argument, 8), count = AT(uint32_t, argument, 16);
  BEGIN("DestroyAllocation2")
  if (AT(uint32_t, argument, 4)) return destroy_object(AT(uint32_t, argument, 4), RESOURCE);
  for (uint32_t i = 0; i < count; i++)
    if (destroy_object(list[i], ALLOCATION)) return INVALID_PARAMETER;
  return SUCCESS;
}

int32_t D3DKMTLock2(uint8_t *argument) {
  BEGIN("Lock2")
  if (!is_live(AT(uint32_t, argument, 4), ALLOCATION)) return INVALID_PARAMETER;
  AT(uint64_t, argument, 16) = next_address += 0x10000;
  return SUCCESS;
}

int32_t D3DKMTCreatePagingQueue(uint8_t *argument) {
  uint32_t queue;
  BEGIN("CreatePagingQueue")
  if (!is_live(AT(uint32_t, argument, 0), DEVICE)) return INVALID_PARAMETER;
  queue = AT(uint32_t, argument, 8) = create_object(QUEUE, AT(uint32_t, argument, 0));
  AT(uint32_t, argument, 12) = create_object(FENCE, queue);
  objects[last].value = 1 << 20;
  AT(uint64_t, argument, 16) = next_address += 0x10000;
  return SUCCESS;
}

int32_t D3DKMTDestroyPagingQueue(uint32_t *argument) {
  BEGIN("DestroyPagingQueue")
  return destroy_object(argument[0], QUEUE);
}

int32_t D3DKMTMapGpuVirtualAddress(uint8_t *argument) {
  BEGIN("MapGpuVirtualAddress")
  if (!is_live(AT(uint32_t, argument, 0), QUEUE) || !is_live(AT(uint32_t, argument, 32), ALLOCATION)) return INVALID_PARAMETER;
  AT(uint64_t, argument, 88) = next_address += 0x10000;
  AT(uint64_t, argument, 96) = issued_fences[fences++] = ++next_fence;
  return PENDING;
}

int32_t D3DKMTFreeGpuVirtualAddress(uint8_t *argument) {
  uint64_t address = AT(uint64_t, argument, 8);
  BEGIN("FreeGpuVirtualAddress")
  return address > 0x200000000 && address <= next_address && address % 0x10000 == 0 ? SUCCESS : INVALID_PARAMETER;
}

int32_t D3DKMTCreateSynchronizationObject2(uint8_t *argument) {
  BEGIN("CreateSynchronizationObject2")
  if (!is_live(AT(uint32_t, argument, 0), DEVICE)) return INVALID_PARAMETER;
  AT(uint32_t, argument, 88) = create_object(FENCE, AT(uint32_t, argument, 0));
  AT(uint64_t, argument, 24) = next_address += 0x10000;
  return SUCCESS;
}

int32_t D3DKMTDestroySynchronizationObject(uint32_t *argument) {
  BEGIN("DestroySynchronizationObject")
  return destroy_object(argument[0], FENCE);
}

int32_t D3DKMTSignalSynchronizationObjectFromCpu(uint8_t *argument) {
  uint32_t handle = AT(uint32_t *, argument, 8)[0];
  BEGIN("SignalSynchronizationObjectFromCpu")
  if (!is_live(handle, FENCE)) return INVALID_PARAMETER;
  objects[handle - 0x80000000u].value = AT(uint64_t *, argument, 16)[0];
  return SUCCESS;
}

static int is_event(uint64_t handle) {
#ifdef _WIN32
  return SetEvent((HANDLE)(uintptr_t)handle);
#else
  return fcntl((int)handle, F_GETFD) >= 0;
#endif
}

/* The handle of a shared object is the handle of an event. */
int32_t D3DKMTShareObjects(uint32_t count, uint32_t *list, void *attributes, uint32_t access, void **shared) {
  (void)attributes, (void)access;
  BEGIN("ShareObjects")
  for (uint32_t i = 0; i < count; i++)
    if (!is_live(list[i], FENCE)) return INVALID_PARAMETER;
#ifdef _WIN32
  *shared = CreateEventW(NULL, 0, 0, NULL);
#else
  *shared = (void *)(uintptr_t)eventfd(0, 0);
#endif
  return SUCCESS;
}

int32_t D3DKMTOpenSyncObjectFromNtHandle(uint8_t *argument) {
  BEGIN("OpenSyncObjectFromNtHandle")
  log_number("shared", is_event(AT(uintptr_t, argument, 0)));
  AT(uint32_t, argument, 8) = create_object(FENCE, 0);
  return SUCCESS;
}

/* Waits without a limit. A value of a paging fence must have been issued before. */
int32_t D3DKMTWaitForSynchronizationObjectFromCpu(uint8_t *argument) {
  uint32_t handle = AT(uint32_t *, argument, 8)[0];
  uint64_t value = AT(uint64_t *, argument, 16)[0];
  int is_issued = 0;
  BEGIN("WaitForSynchronizationObjectFromCpu")
  if (!is_live(handle, FENCE)) return INVALID_PARAMETER;
  if (objects[handle - 0x80000000u].value == 1 << 20) {
    for (uint32_t i = 0; i < fences; i++) is_issued |= issued_fences[i] == value;
    if (!is_issued) return INVALID_PARAMETER;
  }
  while (((volatile uint64_t *)&objects[handle - 0x80000000u].value)[0] < value) usleep(1000);
  if (AT(uint64_t, argument, 24)) log_number("event", is_event(AT(uint64_t, argument, 24)));
  return SUCCESS;
}

int32_t D3DKMTEscape(uint8_t *argument) {
  (void)argument;
  BEGIN("Escape")
  return SUCCESS;
}
