/*
 * A program for tests of the simulator: simulated LIBRARY [MODE]. It checks what it gets from the simulator. A function of the library
 * returns 113, if it is called. Modes:
 *   (none)  everything; a second process of the program takes part
 *   other   the second process, with the handles of what is shared as further arguments
 *   wait    waits for a fence that nothing signals, and prints the status of the call
 *   calls N  N threads make 1000 calls each
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "allocation.h"

typedef int32_t (*Thunk)(void *);
typedef int32_t (*ShareObjects)(uint32_t, const uint32_t *, const void *, uint32_t, uint64_t *);
typedef struct { uint32_t hDevice, priority, hPagingQueue, hSyncObject; volatile uint64_t *value; uint32_t physical; } PagingQueue;
typedef struct { uint32_t hDevice, hAllocation, flags; volatile uint8_t *pData; } Lock;
typedef struct {
  uint32_t hPagingQueue;
  uint64_t base, minimum, maximum;
  uint32_t hAllocation;
  uint64_t offset, pages, protection, driver;
  uint32_t reserved;
  uint64_t reserved1, address, fence;
} Map;
typedef struct { uint32_t hDevice, node, engine, flags; void *data; uint32_t size, hint, hContext; } Context;
typedef struct {
  uint32_t hDevice, unused, type, flags;
  uint64_t initial;
  volatile uint64_t *value;
  uint64_t gpu;
  uint32_t engine, padding;
  uint8_t reserved[32];
  uint32_t shared, end, hSyncObject;
} CreateFence;
typedef struct { uint16_t length, maximum; const wchar_t *text; } Name;
typedef struct { uint32_t length; void *root; const Name *name; uint32_t attributes; void *security, *quality; } Attributes;
typedef struct { uint32_t access; const Attributes *attributes; uint64_t hNtHandle; } OpenName;
typedef struct {
  uint64_t hNtHandle;
  uint32_t hDevice, flags, hSyncObject;
  volatile uint64_t *value;
  uint64_t gpu, engine, reserved[5];
} OpenFence;
typedef struct { uint32_t hDevice, count; const uint32_t *objects; const uint64_t *values; uint64_t event; uint32_t flags; } Wait;
typedef struct { uint32_t hDevice, count; const uint32_t *objects; const uint64_t *values; uint32_t flags; } Signal;
typedef struct { uint32_t hContext, count; const uint32_t *objects; const uint64_t *values; uint8_t reserved[56]; } GpuSignal;
typedef struct {
  uint64_t commands;
  uint32_t length, flags;
  uint64_t token;
  uint32_t count, contexts[64];
  void *data;
  uint32_t size, primaries, written[16], buffers;
  void *history;
} Submit;
typedef struct {
  uint32_t hDevice, hGlobalShare, count;
  Info *infos;
  void *runtime;
  uint32_t runtime_size;
  void *driver;
  uint32_t driver_size;
  void *total;
  uint32_t total_size, hResource;
} OpenResource;
typedef struct { uint64_t value; uint32_t shared, hKeyedMutex; } CreateMutex;
typedef struct { uint32_t shared, hKeyedMutex; } OpenMutex;
typedef struct { uint32_t hKeyedMutex; uint64_t key; int64_t *timeout; uint64_t fence; } Acquire;
typedef struct { uint32_t hKeyedMutex; uint64_t key, fence; } Release;
typedef struct { uint32_t hDevice, hResource; const uint32_t *list; uint32_t count, flags; } Destroy;

_Static_assert(sizeof(PagingQueue) == 32 && sizeof(Lock) == 24 && sizeof(Map) == 104 && sizeof(Context) == 40, "layouts");
_Static_assert(sizeof(CreateFence) == 96 && sizeof(OpenFence) == 88 && sizeof(Wait) == 40 && sizeof(Signal) == 32, "layouts");
_Static_assert(sizeof(GpuSignal) == 80 && sizeof(Submit) == 384 && sizeof(OpenResource) == 72, "layouts");
_Static_assert(sizeof(Acquire) == 32 && sizeof(Release) == 24 && sizeof(Destroy) == 24, "layouts");

enum { CREATE_RESOURCE = 1, CREATE_SHARED = 2, MONITORED_FENCE = 5, FENCE_SHARED = 3, ALL_ACCESS = 0x1FFFFF, PENDING = 0x103, TIMEOUT = 0x102 };
enum { PATTERN = 0x5A, REPLY = 0xA5, REPLY_AT = 4096, SIZE = 65536 };

static const wchar_t fence_name[] = L"\\Sessions\\1\\BaseNamedObjects\\simulated";
static const Name name = {sizeof fence_name - sizeof(wchar_t), sizeof fence_name, fence_name};
static const Attributes attributes = {sizeof attributes, NULL, &name, 0, NULL, NULL};
static void *library;

#define CHECK(condition) \
  do { if (!(condition)) { fprintf(stderr, "simulated.c:%d: %s\n", __LINE__, #condition); exit(1); } } while (0)

static int32_t call(const char *name, void *argument) {
  Thunk thunk = (Thunk)dlsym(library, name);
  CHECK(thunk);
  return thunk(argument);
}

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

static uint32_t open_device(void) {
  uint32_t adapter[3] = {1, 0, 0}, device[16] = {0};
  errno = 77;
  CHECK(call("D3DKMTOpenAdapterFromLuid", adapter) == 0);
  CHECK(errno == 77);
  device[0] = adapter[2];
  CHECK(call("D3DKMTCreateDevice", device) == 0);
  return device[3];
}

static volatile uint8_t *lock(uint32_t device, uint32_t allocation) {
  Lock lock = {device, allocation, 0, NULL};
  CHECK(call("D3DKMTLock2", &lock) == 0 && lock.pData);
  return lock.pData;
}

static void unlock(uint32_t device, uint32_t allocation) {
  uint32_t unlock[2] = {device, allocation};
  CHECK(call("D3DKMTUnlock2", unlock) == 0);
}

static int32_t wait_for(uint32_t device, uint32_t fence, uint64_t value) {
  Wait wait = {device, 1, &fence, &value, 0, 0};
  return call("D3DKMTWaitForSynchronizationObjectFromCpu", &wait);
}

static CreateFence create_fence(uint32_t device, uint32_t flags, uint64_t initial) {
  CreateFence fence;
  memset(&fence, 0, sizeof fence);
  fence.hDevice = device;
  fence.type = MONITORED_FENCE;
  fence.flags = flags;
  fence.initial = initial;
  CHECK(call("D3DKMTCreateSynchronizationObject2", &fence) == 0);
  CHECK(*fence.value == initial);
  return fence;
}

static int32_t acquire(uint32_t mutex, uint64_t key, int64_t *timeout) {
  Acquire acquire = {mutex, key, timeout, 0};
  return call("D3DKMTAcquireKeyedMutex", &acquire);
}

static void release(uint32_t mutex, uint64_t key) {
  Release release = {mutex, key, 0};
  CHECK(call("D3DKMTReleaseKeyedMutex", &release) == 0);
}

typedef struct { uint32_t device, object; uint64_t value; volatile int done; } Waiter;

static void *wait_on_thread(void *argument) {
  Waiter *waiter = argument;
  CHECK(wait_for(waiter->device, waiter->object, waiter->value) == 0);
  waiter->done = 1;
  return NULL;
}

static void *acquire_on_thread(void *argument) {
  Waiter *waiter = argument;
  CHECK(acquire(waiter->object, waiter->value, NULL) == 0);
  waiter->done = 1;
  release(waiter->object, 0);
  return NULL;
}

/* The GPU signals a fence that a thread waits for. Other threads make calls meanwhile. */
static void signal_by_gpu(uint32_t device, CreateFence fence, uint64_t value) {
  Waiter waiter = {device, fence.hSyncObject, value, 0};
  Context context = {device, 0, 1, 0, NULL, 0, 0, 0};
  Submit submit;
  pthread_t thread;
  CHECK(call("D3DKMTCreateContextVirtual", &context) == 0);
  CHECK(pthread_create(&thread, NULL, wait_on_thread, &waiter) == 0);
  usleep(100000);
  CHECK(!waiter.done);
  memset(&submit, 0, sizeof submit);
  submit.count = 1;
  submit.contexts[0] = context.hContext;
  CHECK(call("D3DKMTSubmitCommand", &submit) == 0);
  usleep(50000);
  CHECK(!waiter.done);
  GpuSignal signal = {context.hContext, 1, &fence.hSyncObject, &value, {0}};
  CHECK(call("D3DKMTSignalSynchronizationObjectFromGpu", &signal) == 0);
  CHECK(pthread_join(thread, NULL) == 0 && waiter.done && *fence.value == value);
  CHECK(call("D3DKMTDestroyContext", &context.hContext) == 0);
}

/* A wait with an event returns at once, and the event is signalled later. */
static void wait_for_event(uint32_t device) {
  CreateFence fence = create_fence(device, 0, 0);
  uint64_t value = 1, count = 0;
  int event = eventfd(0, EFD_NONBLOCK);
  Wait wait = {device, 1, &fence.hSyncObject, &value, event, 0};
  Signal signal = {device, 1, &fence.hSyncObject, &value, 0};
  CHECK(call("D3DKMTWaitForSynchronizationObjectFromCpu", &wait) == 0);
  CHECK(read(event, &count, sizeof count) < 0 && errno == EAGAIN);
  CHECK(call("D3DKMTSignalSynchronizationObjectFromCpu", &signal) == 0);
  CHECK(read(event, &count, sizeof count) == sizeof count && count == 1);
  CHECK(call("D3DKMTDestroySynchronizationObject", &fence.hSyncObject) == 0);
}

/* A thread waits for a keyed mutex until it is released with its key. A wait with a time limit ends at the limit. */
static void use_mutex(uint32_t mutex) {
  Waiter waiter = {0, mutex, 1, 0};
  int64_t timeout = -500000;  /* 50 ms */
  double start;
  pthread_t thread;
  CHECK(acquire(mutex, 0, NULL) == 0);
  CHECK(pthread_create(&thread, NULL, acquire_on_thread, &waiter) == 0);
  start = seconds();
  CHECK(acquire(mutex, 0, &timeout) == TIMEOUT && seconds() - start > 0.045);
  CHECK(!waiter.done);
  release(mutex, 1);
  CHECK(pthread_join(thread, NULL) == 0 && waiter.done);
}

static void run_other_process(char **argv, uint32_t resource, uint32_t mutex, int expected) {
  char words[2][16], *arguments[] = {argv[0], argv[1], "other", words[0], words[1], NULL};
  int status;
  pid_t child;
  snprintf(words[0], 16, "%u", resource);
  snprintf(words[1], 16, "%u", mutex);
  child = fork();
  if (child == 0) {
    execv(argv[0], arguments);
    _exit(9);
  }
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == expected);
}

static int other_process(uint32_t resource, uint32_t shared_mutex) {
  uint32_t device = open_device();
  uint8_t total[64];
  Info info;
  OpenResource open = {device, resource, 1, &info, NULL, 0, NULL, 0, total, sizeof total, 0};
  OpenName open_name = {ALL_ACCESS, &attributes, 0};
  OpenFence fence;
  OpenMutex mutex = {shared_mutex, 0};
  uint64_t value = 9;
  volatile uint8_t *data;
  int i;
  memset(&info, 0, sizeof info);
  memset(&fence, 0, sizeof fence);
  CHECK(call("D3DKMTOpenResource", &open) == 0);
  data = lock(device, info.hAllocation);
  for (i = 0; i < REPLY_AT; i++) CHECK(data[i] == PATTERN);
  CHECK(call("D3DKMTOpenKeyedMutex", &mutex) == 0 && acquire(mutex.hKeyedMutex, 0, NULL) == 0);
  memset((void *)(data + REPLY_AT), REPLY, REPLY_AT);
  release(mutex.hKeyedMutex, 2);
  CHECK(call("D3DKMTOpenSyncObjectNtHandleFromName", &open_name) == 0);
  fence.hNtHandle = open_name.hNtHandle;
  fence.hDevice = device;
  CHECK(call("D3DKMTOpenSyncObjectFromNtHandle2", &fence) == 0 && *fence.value == 7);
  Signal signal = {device, 1, &fence.hSyncObject, &value, 0};
  CHECK(call("D3DKMTSignalSynchronizationObjectFromCpu", &signal) == 0 && *fence.value == 9);
  return 42;
}

static void do_everything(char **argv) {
  uint32_t device = open_device(), i;
  PagingQueue queue = {device, 0, 0, 0, NULL, 0};
  CreateMutex mutex = {0, 0, 0};
  CreateFence fence;
  Create create;
  Info info;
  Map map;
  volatile uint8_t *data;
  uint8_t private_data[64] = {0};
  CHECK(((int (*)(int))dlsym(library, "library_function"))(21) == 42);
  CHECK(call("D3DKMTCreatePagingQueue", &queue) == 0 && *queue.value == 0);
  memset(&create, 0, sizeof create);
  memset(&info, 0, sizeof info);
  create.hDevice = device;
  create.NumAllocations = 1;
  create.infos = &info;
  create.flags = CREATE_RESOURCE | CREATE_SHARED;
  info.pPrivateDriverData = private_data;
  info.PrivateDriverDataSize = sizeof private_data;
  CHECK(call("D3DKMTCreateAllocation2", &create) == 0 && info.hAllocation && create.hGlobalShare);

  data = lock(device, info.hAllocation);
  for (i = 0; i < SIZE; i++) CHECK(data[i] == 0);
  memset((void *)data, PATTERN, REPLY_AT);
  unlock(device, info.hAllocation);
  CHECK(lock(device, info.hAllocation) == data && data[17] == PATTERN);
  memset(&map, 0, sizeof map);
  map.hPagingQueue = queue.hPagingQueue;
  map.hAllocation = info.hAllocation;
  map.pages = SIZE / 4096;
  map.base = (uint64_t)(uintptr_t)data;
  int32_t status = call("D3DKMTMapGpuVirtualAddress", &map);
  CHECK(status == 0 || status == PENDING);
  while (*queue.value < map.fence) {}
  CHECK(map.address == map.base);

  fence = create_fence(device, FENCE_SHARED, 5);
  uint64_t shared = 0;
  CHECK(((ShareObjects)dlsym(library, "D3DKMTShareObjects"))(1, &fence.hSyncObject, &attributes, ALL_ACCESS, &shared) == 0);
  CHECK(shared > 1 << 16);  /* no descriptor of this process */
  CHECK(wait_for(device, fence.hSyncObject, 5) == 0);
  signal_by_gpu(device, fence, 7);
  wait_for_event(device);
  CHECK(call("D3DKMTCreateKeyedMutex", &mutex) == 0 && mutex.shared);
  use_mutex(mutex.hKeyedMutex);

  Waiter waiter = {device, fence.hSyncObject, 9, 0};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, wait_on_thread, &waiter) == 0);
  run_other_process(argv, create.hGlobalShare, mutex.shared, 42);
  CHECK(pthread_join(thread, NULL) == 0 && *fence.value == 9);
  CHECK(acquire(mutex.hKeyedMutex, 2, NULL) == 0);
  for (i = REPLY_AT; i < 2 * REPLY_AT; i++) CHECK(data[i] == REPLY);

  Destroy destroy = {device, create.hResource, NULL, 0, 0};
  CHECK(call("D3DKMTDestroyAllocation2", &destroy) == 0);
  CHECK(call("D3DKMTDestroySynchronizationObject", &fence.hSyncObject) == 0);
  CHECK(call("D3DKMTDestroyDevice", &device) == 0);
}

static void *make_calls(void *argument) {
  uint32_t *device = argument, i;
  for (i = 0; i < 250; i++) {
    CreateFence fence = create_fence(*device, 0, i);
    uint64_t value = i + 1;
    Signal signal = {*device, 1, &fence.hSyncObject, &value, 0};
    CHECK(call("D3DKMTSignalSynchronizationObjectFromCpu", &signal) == 0 && *fence.value == value);
    CHECK(wait_for(*device, fence.hSyncObject, value) == 0);
    CHECK(call("D3DKMTDestroySynchronizationObject", &fence.hSyncObject) == 0);
  }
  return NULL;
}

int main(int argc, char **argv) {
  const char *mode = argc > 2 ? argv[2] : "";
  uint32_t device, i;
  library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
  CHECK(library);
  if (!*mode) {
    do_everything(argv);
    return 0;
  }
  if (!strcmp(mode, "other")) return other_process(strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
  device = open_device();
  if (!strcmp(mode, "wait")) {
    CreateFence fence = create_fence(device, 0, 0);
    puts("waiting");
    fflush(stdout);
    printf("%d\n", wait_for(device, fence.hSyncObject, 1));
    return 0;
  }
  CHECK(!strcmp(mode, "calls"));
  pthread_t threads[64];
  uint32_t count = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
  CHECK(count <= 64);
  for (i = 0; i < count; i++) CHECK(pthread_create(threads + i, NULL, make_calls, &device) == 0);
  for (i = 0; i < count; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  return 0;
}
