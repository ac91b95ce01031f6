/*
 * Programs of benchmarks/capture.py. A definition selects the part to compile.
 *
 * (none): A program that makes calls in bursts and prints the nanoseconds per call of each burst. Or it makes a number
 *         of calls a second (0: as many as possible) and prints the number of calls.
 * THUNK:  The library with the called function.
 * SHIM:   A function for LD_PRELOAD that copies the same memory as the recorder, before and after the call, into a
 *         buffer of the thread.
 * LTTNG:  The same with LTTng-UST tracepoints, one for the call and one for the data of each allocation.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  uint32_t hAllocation, pad;
  void *pSystemMem, *pPrivateDriverData;
  uint32_t PrivateDriverDataSize, rest[17];
} Info;

typedef struct {
  uint32_t hDevice, hResource, hGlobalShare, pad;
  void *pPrivateRuntimeData;
  uint32_t PrivateRuntimeDataSize, pad2;
  void *pPrivateDriverData;
  uint32_t PrivateDriverDataSize, NumAllocations;
  Info *infos;
  uint64_t Flags, handle;
} Create;

int32_t D3DKMTCreateAllocation2(Create *arg);

#if defined(THUNK)

__attribute__((noinline)) int32_t D3DKMTCreateAllocation2(Create *arg) {
  static volatile uint32_t handle = 0x40000000;
  arg->infos[0].hAllocation = handle += 0x40;
  return 0;
}

#elif defined(LTTNG)

#define LTTNG_UST_TRACEPOINT_DEFINE
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#include "capture_lttng.h"

static void trace_call(const Create *arg) {
  uint32_t i;
  lttng_ust_tracepoint(kmt, call, (void *)arg, sizeof *arg, arg->pPrivateDriverData, arg->PrivateDriverDataSize,
                       (void *)arg->infos, arg->NumAllocations * sizeof(Info));
  for (i = 0; i < arg->NumAllocations; i++)
    lttng_ust_tracepoint(kmt, data, arg->infos[i].pPrivateDriverData, arg->infos[i].PrivateDriverDataSize);
}

int32_t D3DKMTCreateAllocation2(Create *arg) {
  static int32_t (*next)(Create *);
  int32_t status;
  if (!next) next = dlsym(RTLD_NEXT, "D3DKMTCreateAllocation2");
  trace_call(arg);
  status = next(arg);
  trace_call(arg);
  return status;
}

#elif defined(SHIM)

#define RING (4 << 20)

static uint8_t *copy(uint8_t *at, const void *from, size_t size) {
  memcpy(at, from, size);
  return at + size;
}

static uint8_t *copy_all(uint8_t *at, const Create *arg) {
  uint32_t i;
  at = copy(at, arg, sizeof *arg);
  at = copy(at, arg->pPrivateDriverData, arg->PrivateDriverDataSize);
  at = copy(at, arg->infos, arg->NumAllocations * sizeof(Info));
  for (i = 0; i < arg->NumAllocations; i++)
    at = copy(at, arg->infos[i].pPrivateDriverData, arg->infos[i].PrivateDriverDataSize);
  return at;
}

int32_t D3DKMTCreateAllocation2(Create *arg) {
  static int32_t (*next)(Create *);
  static _Thread_local uint8_t *ring, *at;
  int32_t status;
  if (!next) next = dlsym(RTLD_NEXT, "D3DKMTCreateAllocation2");
  if (!ring) ring = at = malloc(RING + (1 << 20));
  at = copy_all(at, arg);
  status = next(arg);
  at = copy_all(at, arg);
  if (at > ring + RING) at = ring;
  return status;
}

#else

static long calls, bursts;
static int large, steady;
static pthread_barrier_t barrier;

/* Make the calls that are due and sleep until more are due, like a program that draws frames. */
static long call_steadily(Create *arg) {
  struct timespec now, begin, interval = {0, 10000000};
  long count = 0;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (;;) {
    double passed;
    long due;
    clock_gettime(CLOCK_MONOTONIC, &now);
    passed = (now.tv_sec - begin.tv_sec) + (now.tv_nsec - begin.tv_nsec) * 1e-9;
    if (passed > bursts) return count;
    due = calls ? (long)(passed * calls) : count + 1000;
    for (; count < due; count++) D3DKMTCreateAllocation2(arg);
    if (calls) nanosleep(&interval, 0);
  }
}

static void *work(void *unused) {
  uint8_t data[128], *pages = malloc(16 * 4096), global[64];
  Info infos[16];
  Create arg;
  long i, burst;
  memset(infos, 0, sizeof infos);
  memset(&arg, 0, sizeof arg);
  memset(data, 0x5A, sizeof data);
  memset(pages, 0xA5, 16 * 4096);
  memset(global, 0x11, sizeof global);
  arg.NumAllocations = large ? 16 : 1;
  arg.infos = infos;
  arg.pPrivateDriverData = global;
  arg.PrivateDriverDataSize = sizeof global;
  for (i = 0; i < 16; i++) {
    infos[i].pPrivateDriverData = large ? pages + 4096 * i : data;
    infos[i].PrivateDriverDataSize = large ? 4096 : sizeof data;
  }
  if (steady) {
    printf("%ld\n", call_steadily(&arg));
    return 0;
  }
  for (burst = 0; burst < bursts; burst++) {
    struct timespec begin, end;
    pthread_barrier_wait(&barrier);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (i = 0; i < calls; i++) D3DKMTCreateAllocation2(&arg);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.1f\n", ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / calls);
    usleep(600000); /* The recorder drains its memory in this time. */
  }
  (void)unused;
  return 0;
}

int main(int argc, char **argv) {
  pthread_t threads[64];
  long count, i;
  if (argc != 5) return 2;
  large = !strcmp(argv[1], "large");
  steady = !strcmp(argv[1], "steady");
  count = atol(argv[2]);
  calls = atol(argv[3]);
  bursts = atol(argv[4]);
  pthread_barrier_init(&barrier, 0, (unsigned)count);
  for (i = 0; i < count; i++) pthread_create(threads + i, 0, work, 0);
  for (i = 0; i < count; i++) pthread_join(threads[i], 0);
  return 0;
}

#endif
