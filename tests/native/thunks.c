/*
 * A library that exports thunks, for tests of the recorder: it stands where libdxcore.so stands on WSL. Every call is
 * noted in a file mapping of the test's (THUNKS_LOG), after it was answered, so that the test knows what returned.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct { uint64_t count; } Log;
static volatile Log *journal;
static volatile uint32_t next_handle = 0x40000000;

__attribute__((constructor)) static void open_log(void) {
  const char *path = getenv("THUNKS_LOG");
  int file = path ? open(path, O_RDWR) : -1;
  if (file >= 0) journal = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
}

static uint32_t handle(void) { return __sync_fetch_and_add(&next_handle, 0x40); }

int32_t D3DKMTOpenAdapterFromLuid(uint32_t *arg) {
  arg[2] = handle();
  return 0;
}

int32_t D3DKMTCreateDevice(uint32_t *arg) {
  arg[3] = handle();
  return 0;
}

/* Reads and writes what the kernel would: a bad pointer is a status, never a crash. */
int32_t D3DKMTCreateAllocation2(uint8_t *arg) {
  int pipe_ends[2];
  uint32_t count, i;
  uint8_t *elements;
  int32_t status = 0;
  if (pipe(pipe_ends)) return 0xC0000001;
  if (write(pipe_ends[1], arg, 72) != 72) status = 0xC000000D;
  if (!status) {
    memcpy(&count, arg + 44, 4);
    memcpy(&elements, arg + 48, 8);
    for (i = 0; i < count && !status; i++)
      if (write(pipe_ends[1], elements + 96 * i, 96) != 96) status = 0xC000000D;
      else if (i % 64 == 63) while (i && read(pipe_ends[0], (uint8_t[4096]){0}, 4096) == 4096) {}
    for (i = 0; i < count && !status; i++) *(uint32_t *)(elements + 96 * i) = handle();
  }
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  return status;
}

int32_t D3DKMTDestroyAllocation2(void *arg) {
  (void)arg;
  return 0;
}

int32_t D3DKMTDestroyDevice(void *arg) {
  (void)arg;
  return 0;
}

int32_t D3DKMTCloseAdapter(void *arg) {
  (void)arg;
  if (journal) __sync_fetch_and_add(&journal->count, 1);
  return 0;
}
