/*
 * A PE library with the thunks that Wine's gdi32 lacks, for tests of the recorder. Like a kernel, it probes its arguments: a bad
 * pointer results in an error status, never in a crash.
 */
#include <windows.h>
#include <stdint.h>

#include "../native/allocation.h"

#define INVALID ((int32_t)0xC000000D)
#define EXPORT __declspec(dllexport)

static volatile LONG next_handle = 0x40000000;

static uint32_t handle(void) { return (uint32_t)InterlockedExchangeAdd(&next_handle, 0x40); }

/* ReadProcessMemory is not used: Wine's server would trace the process meanwhile, so that the recorder could not attach. */
static int copy_in(void *to, const void *from, size_t size) {
  if (IsBadReadPtr(from, size)) return 0;
  memcpy(to, from, size);
  return 1;
}

EXPORT int32_t WINAPI D3DKMTCreateAllocation2(Create *arg) {
  Create create;
  Info info;
  uint8_t data[4096];
  uint32_t i;
  if (!copy_in(&create, arg, sizeof create)) return INVALID;
  for (i = 0; i < create.NumAllocations; i++) {
    if (!copy_in(&info, create.infos + i, sizeof info)) return INVALID;
    if (info.PrivateDriverDataSize > sizeof data || !copy_in(data, info.pPrivateDriverData, info.PrivateDriverDataSize))
      return INVALID;
    create.infos[i].hAllocation = handle();
  }
  return 0;
}

EXPORT int32_t WINAPI D3DKMTDestroyAllocation2(void *arg) {
  uint8_t destroy[16];
  return copy_in(destroy, arg, sizeof destroy) ? 0 : INVALID;
}

/* A function with plain parameters. On the stack are the fifth one in x64, and all of them in x86. */
EXPORT int32_t WINAPI D3DKMTShareObjects(uint32_t count, const uint32_t *objects, void *attributes, uint32_t access, HANDLE *shared) {
  (void)attributes;
  *shared = (HANDLE)(uintptr_t)(0x100 + count + objects[0] % 16 + access % 16);
  return 0;
}

/* A function that lets an exception propagate to its caller. */
EXPORT int32_t WINAPI D3DKMTCreateAllocation(void *arg) {
  volatile int32_t *words = arg;
  words[1] = words[0] + 1;
  return words[1] - words[0] - 1;
}

/* An undescribed function. */
EXPORT int32_t WINAPI D3DKMTNotYetKnown(uint8_t *arg, uintptr_t number) {
  arg[0] += (uint8_t)number;
  return 0;
}
