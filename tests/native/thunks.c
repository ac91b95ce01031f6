/*
 * A library that exports thunks, for tests of the recorder. It takes the place of libdxcore.so on WSL. Like a kernel, it probes
 * its arguments: a bad pointer results in an error status, never in a crash.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCKS 0xB10C
#define STATUS_INVALID_PARAMETER ((int32_t)0xC000000D)

static uint32_t next_handle = 0x40000000;

static uint32_t handle(void) { return __sync_fetch_and_add(&next_handle, 0x40); }

static int copy_in(void *to, const void *from, size_t size) {
  struct iovec local = {to, size}, remote = {(void *)from, size};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size;
}

int32_t D3DKMTOpenAdapterFromLuid(uint32_t *arg) {
  arg[2] = handle();
  return 0;
}

int32_t D3DKMTCreateDevice(uint32_t *arg) {
  arg[3] = handle();
  return 0;
}

int32_t D3DKMTCreateAllocation2(uint8_t *arg) {
  uint8_t create[72], element[96], data[65536];
  uint32_t count, size, i;
  if (!copy_in(create, arg, sizeof create)) return STATUS_INVALID_PARAMETER;
  count = *(uint32_t *)(create + 44);
  for (i = 0; i < count; i++) {
    uint8_t *source = *(uint8_t **)(create + 48) + 96ul * i;
    if (!copy_in(element, source, sizeof element)) return STATUS_INVALID_PARAMETER;
    size = *(uint32_t *)(element + 24);
    if (size > sizeof data || !copy_in(data, *(void **)(element + 16), size)) return STATUS_INVALID_PARAMETER;
    *(uint32_t *)source = handle();
  }
  return 0;
}

int32_t D3DKMTDestroyAllocation2(void *arg) { return arg ? 0 : STATUS_INVALID_PARAMETER; }
int32_t D3DKMTDestroyDevice(uint32_t *arg) {
  if (arg && *arg == BLOCKS) usleep(1000000);
  return arg ? 0 : STATUS_INVALID_PARAMETER;
}
int32_t D3DKMTCloseAdapter(void *arg) { return arg ? 0 : STATUS_INVALID_PARAMETER; }

/* A function with plain parameters. */
int32_t D3DKMTShareObjects(uint32_t count, const uint32_t *objects, void *attributes, uint32_t access, uint64_t *shared) {
  (void)attributes;
  *shared = 0x100 + count + objects[0] % 16 + access % 16;
  return 0;
}

/* A function without a status. */
uint8_t D3DKMTCheckExclusiveOwnership(void) { return 1; }

int32_t D3DKMTOpenAdapterFromDeviceName(uint8_t *arg) {
  *(uint32_t *)(arg + 8) = handle();
  return 0;
}

/* An undescribed function. */
int32_t D3DKMTNotYetKnown(uint8_t *arg, uint64_t number) {
  arg[0] += (uint8_t)number;
  return 0;
}
