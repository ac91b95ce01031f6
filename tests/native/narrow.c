/*
 * A library that exports thunks, for 32-bit processes, with the structures of 32-bit Windows. With CLIENT defined, the program
 * that calls them: client LIBRARY JOURNAL MODE THREADS CALLS. Modes: work, forever, bad; see client.c.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "allocation.h"

#define INVALID ((int32_t)0xC000000D)

#ifndef CLIENT

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
  arg[2] = handle();
  return 0;
}

int32_t D3DKMTCreateAllocation2(Create *arg) {
  Create create;
  Info info;
  uint8_t data[4096];
  uint32_t i;
  if (!copy_in(&create, arg, sizeof create)) return INVALID;
  for (i = 0; i < create.NumAllocations; i++) {
    if (!copy_in(&info, create.infos + i, sizeof info)) return INVALID;
    if (info.PrivateDriverDataSize > sizeof data || !copy_in(data, info.pPrivateDriverData, info.PrivateDriverDataSize)) return INVALID;
    create.infos[i].hAllocation = handle();
  }
  return 0;
}

int32_t D3DKMTDestroyDevice(uint32_t *arg) { return arg ? 0 : INVALID; }
int32_t D3DKMTCloseAdapter(uint32_t *arg) { return arg ? 0 : INVALID; }

#else

typedef int32_t (*Thunk)(void *);

static Thunk open_adapter, create_device, create_allocation, destroy_device, close_adapter;
static volatile uint64_t *journal;
static long calls;
static int forever;
static sigjmp_buf back;
static volatile int caught;

static int32_t call(long thread, Thunk thunk, void *arg) {
  int32_t status = thunk(arg);
  journal[thread]++;
  return status;
}

static int32_t create(long thread, uint32_t device, Info *infos, uint32_t count) {
  Create arg;
  memset(&arg, 0, sizeof arg);
  arg.hDevice = device;
  arg.NumAllocations = count;
  arg.infos = infos;
  return call(thread, create_allocation, &arg);
}

static void *work(void *argument) {
  long thread = (long)argument;
  uint32_t adapter[3] = {1, 0, 0}, device[9] = {0}, i;
  uint8_t data[320];
  call(thread, open_adapter, adapter);
  device[0] = adapter[2];
  call(thread, create_device, device);
  for (i = 0; i < (uint32_t)calls || forever; i++) {
    Info info;
    memset(&info, 0, sizeof info);
    memset(data, (int)thread, sizeof data);
    memcpy(data, &i, sizeof i);
    info.GpuVirtualAddress = 0x1234567890;
    info.pPrivateDriverData = data;
    info.PrivateDriverDataSize = (uint32_t)(64 + thread);
    create(thread, device[2], &info, 1);
    if (forever) usleep(1000);
  }
  call(thread, destroy_device, device + 2);
  call(thread, close_adapter, adapter + 2);
  return 0;
}

static void on_segv(int signal) {
  (void)signal;
  caught++;
  siglongjmp(back, 1);
}

static int bad(void) {
  uint8_t *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Info info;
  int i;
  memset(&info, 0, sizeof info);
  signal(SIGSEGV, on_segv);
  munmap(pages + 4096, 4096);
  call(0, create_allocation, (void *)0x10);
  create(0, 1, (Info *)0xdead0000, 3);
  info.pPrivateDriverData = pages + 4000;
  info.PrivateDriverDataSize = 200;
  create(0, 1, &info, 1);
  for (i = 0; i < 3; i++)
    if (!sigsetjmp(back, 1)) *(volatile int *)0x20 = 1;
  return caught == 3 ? 7 : 5;
}

int main(int argc, char **argv) {
  pthread_t threads[64];
  long count, i;
  void *library;
  if (argc != 6) return 2;
  journal = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(argv[2], O_RDWR), 0);
  library = dlopen(argv[1], RTLD_NOW);
  if (!library) return 3;
  open_adapter = (Thunk)dlsym(library, "D3DKMTOpenAdapterFromLuid");
  create_device = (Thunk)dlsym(library, "D3DKMTCreateDevice");
  create_allocation = (Thunk)dlsym(library, "D3DKMTCreateAllocation2");
  destroy_device = (Thunk)dlsym(library, "D3DKMTDestroyDevice");
  close_adapter = (Thunk)dlsym(library, "D3DKMTCloseAdapter");
  count = atol(argv[4]);
  calls = atol(argv[5]);
  if (!strcmp(argv[3], "bad")) return bad();
  forever = !strcmp(argv[3], "forever");
  for (i = 0; i < count; i++) pthread_create(threads + i, 0, work, (void *)i);
  for (i = 0; i < count; i++) pthread_join(threads[i], 0);
  return 7;
}

#endif
