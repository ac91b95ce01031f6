/*
 * A library with a small kernel of its own, for tests of replays on real thunks. It counts what lives, hands out
 * addresses and fence values that no recording has, and does on demand what drivers do at their worst.
 *
 * KERNEL_LOG=FILE    appends what lives after each call that makes or ends something, and what was sent
 * KERNEL_BUILD=N     the driver's version
 * KERNEL_DO=FUNCTION:N:WHAT   at the Nth call of a function: "crash", "hang", or a status in hexadecimal
 * KERNEL_ONCE=FILE   only if this file is not there; it is made then
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocation.h"

#define SUCCESS 0
#define PENDING 0x103
#define INVALID_PARAMETER ((int32_t)0xC000000D)
#define AT(type, argument, offset) (*(type *)((uint8_t *)(argument) + (offset)))
#define MOST 65536

enum { NOTHING, ADAPTER, DEVICE, RESOURCE, ALLOCATION, QUEUE, FENCE };
static struct { int kind; uint32_t owner; uint64_t value; } objects[MOST];
static uint64_t handed_out[MOST], next_fence = 1000, next_address = 0x200000000;
static uint32_t last = 0, fences = 0;

static void told(const char *what, long number) {
  const char *path = getenv("KERNEL_LOG");
  FILE *file = path ? fopen(path, "a") : NULL;
  if (!file) return;
  fprintf(file, "%s %ld\n", what, number);
  fclose(file);
}

static void told_living(void) {
  long living = 0;
  for (uint32_t i = 1; i <= last; i++) living += objects[i].kind != NOTHING;
  told("live", living);
}

static int32_t demanded(const char *function) {
  static char names[64][64];
  static int counts[64];
  char wanted[64], what[64];
  int number, i = 0;
  const char *order = getenv("KERNEL_DO"), *once = getenv("KERNEL_ONCE");
  told(function, 1);
  while (names[i][0] && strcmp(names[i], function)) i++;
  strcpy(names[i], function);
  counts[i]++;
  if (!order || sscanf(order, "%63[^:]:%d:%63s", wanted, &number, what) != 3) return SUCCESS;
  if (strcmp(wanted, function) || number != counts[i]) return SUCCESS;
  if (once) {
    int file = open(once, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (file < 0) return SUCCESS;
    close(file);
  }
  if (!strcmp(what, "crash")) *(volatile int *)8 = 1;
  while (!strcmp(what, "hang")) sleep(1);
  return (int32_t)strtoul(what, NULL, 16);
}

#define BEGIN(function) { int32_t status_ = demanded(function); if (status_) return status_; }

static uint32_t make(int kind, uint32_t owner) {
  objects[++last].kind = kind;
  objects[last].owner = owner;
  told_living();
  return 0x80000000u + last;
}

static int lives(uint32_t handle, int kind) {
  uint32_t i = handle - 0x80000000u;
  return i > 0 && i <= last && objects[i].kind == kind;
}

static int32_t end(uint32_t handle, int kind) {
  if (!lives(handle, kind)) { told("dead", kind); return INVALID_PARAMETER; }
  objects[handle - 0x80000000u].kind = NOTHING;
  for (uint32_t i = 1; i <= last; i++)
    if (objects[i].kind && objects[i].owner == handle) end(0x80000000u + i, objects[i].kind);
  told_living();
  return SUCCESS;
}

int32_t D3DKMTEnumAdapters2(uint8_t *argument) {
  uint8_t *list = AT(uint8_t *, argument, 8);
  BEGIN("EnumAdapters2")
  AT(uint32_t, argument, 0) = 2;
  for (uint32_t i = 0; list && i < 2; i++) {
    AT(uint32_t, list, 20 * i) = make(ADAPTER, 0);
    AT(uint32_t, list, 20 * i + 4) = 0x11 * (i + 1);
    AT(uint32_t, list, 20 * i + 8) = 0;
  }
  return SUCCESS;
}

int32_t D3DKMTOpenAdapterFromLuid(uint8_t *argument) {
  BEGIN("OpenAdapterFromLuid")
  told("luid", AT(uint32_t, argument, 0));
  if (AT(uint32_t, argument, 0) != 0x11 && AT(uint32_t, argument, 0) != 0x22) return INVALID_PARAMETER;
  AT(uint32_t, argument, 8) = make(ADAPTER, 0);
  return SUCCESS;
}

/* Displays 2 and 3 are the adapters' here; names are of characters of four bytes. */
int32_t D3DKMTOpenAdapterFromGdiDisplayName(uint8_t *argument) {
  uint32_t number = AT(uint32_t, argument, 4 * 11) - '0';
  BEGIN("OpenAdapterFromGdiDisplayName")
  told("display", number);
  if (number < 2 || number > 3 || AT(uint32_t, argument, 4 * 12)) return INVALID_PARAMETER;
  AT(uint32_t, argument, 128) = make(ADAPTER, 0);
  AT(uint32_t, argument, 132) = 0x11 * (number - 1);
  AT(uint32_t, argument, 136) = 0;
  AT(uint32_t, argument, 140) = 0;
  return SUCCESS;
}

int32_t D3DKMTCloseAdapter(uint32_t *argument) {
  BEGIN("CloseAdapter")
  return end(argument[0], ADAPTER);
}

int32_t D3DKMTQueryAdapterInfo(uint8_t *argument) {
  const char *build = getenv("KERNEL_BUILD");
  BEGIN("QueryAdapterInfo")
  if (!lives(AT(uint32_t, argument, 0), ADAPTER) || AT(uint32_t, argument, 4) != 49) return INVALID_PARAMETER;
  AT(uint64_t, AT(uint8_t *, argument, 8), 0) = build ? strtoull(build, NULL, 10) : 77;
  return SUCCESS;
}

int32_t D3DKMTQueryVideoMemoryInfo(uint8_t *argument) {
  BEGIN("QueryVideoMemoryInfo")
  if (!lives(AT(uint32_t, argument, 8), ADAPTER)) return INVALID_PARAMETER;
  AT(uint64_t, argument, 16) = 1 << 30;
  AT(uint64_t, argument, 24) = 0;
  for (uint32_t i = 1; i <= last; i++) AT(uint64_t, argument, 24) += objects[i].kind == ALLOCATION && !AT(uint32_t, argument, 12) ? 65536 : 0;
  return SUCCESS;
}

int32_t D3DKMTCreateDevice(uint8_t *argument) {
  BEGIN("CreateDevice")
  if (!lives(AT(uint32_t, argument, 0), ADAPTER)) return INVALID_PARAMETER;
  AT(uint32_t, argument, 12) = make(DEVICE, 0);
  return SUCCESS;
}

int32_t D3DKMTDestroyDevice(uint32_t *argument) {
  BEGIN("DestroyDevice")
  return end(argument[0], DEVICE);
}

int32_t D3DKMTCreateAllocation2(Create *argument) {
  BEGIN("CreateAllocation2")
  if (!lives(argument->hDevice, DEVICE)) return INVALID_PARAMETER;
  if (argument->hResource && !lives(argument->hResource, RESOURCE)) return INVALID_PARAMETER;
  if (argument->flags & 1) argument->hResource = make(RESOURCE, argument->hDevice);
  for (uint32_t i = 0; i < argument->NumAllocations; i++) {
    Info *info = argument->infos + i;
    if (info->pSystemMem) {  /* that memory must really be there, all of it */
      memset(info->pSystemMem, 0x5A, argument->flags & 0x10000 ? ((uint64_t *)argument->pDriver)[1] : 65536);
      told("memory", (long)((uintptr_t)info->pSystemMem & 4095));
    }
    info->hAllocation = make(ALLOCATION, argument->hResource ? argument->hResource : argument->hDevice);
  }
  return SUCCESS;
}

int32_t D3DKMTDestroyAllocation2(uint8_t *argument) {
  uint32_t *list = AT(uint32_t *, argument, 8), count = AT(uint32_t, argument, 16);
  BEGIN("DestroyAllocation2")
  if (AT(uint32_t, argument, 4)) return end(AT(uint32_t, argument, 4), RESOURCE);
  for (uint32_t i = 0; i < count; i++)
    if (end(list[i], ALLOCATION)) return INVALID_PARAMETER;
  return SUCCESS;
}

int32_t D3DKMTLock2(uint8_t *argument) {
  BEGIN("Lock2")
  if (!lives(AT(uint32_t, argument, 4), ALLOCATION)) return INVALID_PARAMETER;
  AT(uint64_t, argument, 16) = next_address += 0x10000;
  return SUCCESS;
}

int32_t D3DKMTCreatePagingQueue(uint8_t *argument) {
  uint32_t queue;
  BEGIN("CreatePagingQueue")
  if (!lives(AT(uint32_t, argument, 0), DEVICE)) return INVALID_PARAMETER;
  queue = AT(uint32_t, argument, 8) = make(QUEUE, AT(uint32_t, argument, 0));
  AT(uint32_t, argument, 12) = make(FENCE, queue);
  objects[last].value = 1 << 20;
  AT(uint64_t, argument, 16) = next_address += 0x10000;
  return SUCCESS;
}

int32_t D3DKMTDestroyPagingQueue(uint32_t *argument) {
  BEGIN("DestroyPagingQueue")
  return end(argument[0], QUEUE);
}

int32_t D3DKMTMapGpuVirtualAddress(uint8_t *argument) {
  BEGIN("MapGpuVirtualAddress")
  if (!lives(AT(uint32_t, argument, 0), QUEUE) || !lives(AT(uint32_t, argument, 32), ALLOCATION)) return INVALID_PARAMETER;
  AT(uint64_t, argument, 88) = next_address += 0x10000;
  AT(uint64_t, argument, 96) = handed_out[fences++] = ++next_fence;
  return PENDING;
}

int32_t D3DKMTFreeGpuVirtualAddress(uint8_t *argument) {
  uint64_t address = AT(uint64_t, argument, 8);
  BEGIN("FreeGpuVirtualAddress")
  return address > 0x200000000 && address <= next_address && address % 0x10000 == 0 ? SUCCESS : INVALID_PARAMETER;
}

int32_t D3DKMTCreateSynchronizationObject2(uint8_t *argument) {
  BEGIN("CreateSynchronizationObject2")
  if (!lives(AT(uint32_t, argument, 0), DEVICE)) return INVALID_PARAMETER;
  AT(uint32_t, argument, 88) = make(FENCE, AT(uint32_t, argument, 0));
  AT(uint64_t, argument, 24) = next_address += 0x10000;
  return SUCCESS;
}

int32_t D3DKMTDestroySynchronizationObject(uint32_t *argument) {
  BEGIN("DestroySynchronizationObject")
  return end(argument[0], FENCE);
}

int32_t D3DKMTSignalSynchronizationObjectFromCpu(uint8_t *argument) {
  uint32_t handle = AT(uint32_t *, argument, 8)[0];
  BEGIN("SignalSynchronizationObjectFromCpu")
  if (!lives(handle, FENCE)) return INVALID_PARAMETER;
  objects[handle - 0x80000000u].value = AT(uint64_t *, argument, 16)[0];
  return SUCCESS;
}

/* Waits as long as it takes; a value of the paging fence must be one that was handed out. */
int32_t D3DKMTWaitForSynchronizationObjectFromCpu(uint8_t *argument) {
  uint32_t handle = AT(uint32_t *, argument, 8)[0];
  uint64_t value = AT(uint64_t *, argument, 16)[0];
  int known = 0;
  BEGIN("WaitForSynchronizationObjectFromCpu")
  if (!lives(handle, FENCE)) return INVALID_PARAMETER;
  if (objects[handle - 0x80000000u].value == 1 << 20) {
    for (uint32_t i = 0; i < fences; i++) known |= handed_out[i] == value;
    if (!known) return INVALID_PARAMETER;
  }
  while (((volatile uint64_t *)&objects[handle - 0x80000000u].value)[0] < value) usleep(1000);
  if (AT(uint64_t, argument, 24)) told("event", fcntl((int)AT(uint64_t, argument, 24), F_GETFD) >= 0);
  return SUCCESS;
}

int32_t D3DKMTEscape(uint8_t *argument) {
  (void)argument;
  BEGIN("Escape")
  return SUCCESS;
}
