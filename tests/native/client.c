/*
 * A program that calls thunks, for tests of the recorder: client LIBRARY JOURNAL MODE THREADS CALLS
 *
 * It loads the library late. Every thread counts its returned calls in its own word of JOURNAL, a file that the test maps. So
 * the test knows which calls must be in the trace, whenever the program is killed.
 *   work     every thread: open, create a device, CALLS allocations with 64 + thread bytes of data, destroy, close
 *   paced:N  work, with a pause of N microseconds after each allocation
 *   bad      one thread: every kind of bad pointer, while the program's own SIGSEGV handler is in use
 *   signal   CALLS calls from a signal handler that interrupts malloc and free
 *   late     work, after a second
 *   checked:N  allocations with random data, and a pause of N microseconds after 50 of them; from word 64 of JOURNAL, each
 *            thread's sums of data and handles
 *   crowd    CALLS times: THREADS threads, all alive, make one call each
 *   freed    one thread: CALLS allocations, while another thread unmaps and maps half of their data; prints the failed calls
 *   blocked  CALLS calls that take a second each
 *   cancel   CALLS threads that are cancelled while they wait in a function
 *   churn    CALLS times: THREADS threads that end after one call each
 *   others   functions of other signatures
 *   exit     calls before exit(), in an exit handler and, with 77 CALLS, in a destructor
 *   fork     work on one thread, then a child that calls too
 *   exec     work, then the same program again from its start
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

#include "allocation.h"

typedef int32_t (*Thunk)(void *);

static Thunk open_adapter, create_device, create_allocation, destroy_device, close_adapter;
enum { GATE = 500 };
static volatile uint64_t *journal;
static long calls, pause_us;
static sigjmp_buf resume;
static volatile int caught;

static int32_t call(long thread, Thunk thunk, void *arg) {
  int32_t status = thunk(arg);
  __atomic_add_fetch(&journal[thread], 1, __ATOMIC_RELAXED);  /* a signal handler may call too */
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
  long thread = (long)argument, i;
  uint32_t adapter[3] = {1, 0, 0}, device[16] = {0};
  uint8_t data[320];
  call(thread, open_adapter, adapter);
  device[0] = adapter[2];
  call(thread, create_device, device);
  for (i = 0; i < calls; i++) {
    Info info;
    memset(&info, 0, sizeof info);
    memset(data, (int)thread, sizeof data);
    memcpy(data, &i, sizeof i);
    info.pPrivateDriverData = data;
    info.PrivateDriverDataSize = (uint32_t)(64 + thread);
    create(thread, device[3], &info, 1);
    if (pause_us) usleep(pause_us);
  }
  call(thread, destroy_device, device + 3);
  call(thread, close_adapter, adapter + 2);
  return 0;
}

/* Random data, and sums that the test compares: of the bytes, each times its position, and of the handles. */
static void *checked(void *argument) {
  uint64_t thread = (uint64_t)argument, state = 0x9E3779B97F4A7C15ull * (thread + 1), i, k;
  uint8_t data[160];
  for (i = 0; i < (uint64_t)calls; i++) {
    Info info;
    uint64_t size = 32 + (state >> 33) % 128, sum = 0;
    memset(&info, 0, sizeof info);
    for (k = 0; k < sizeof data; k += 8) {
      state ^= state << 13; state ^= state >> 7; state ^= state << 17;
      memcpy(data + k, &state, 8);
    }
    memcpy(data, &thread, 8);
    memcpy(data + 8, &i, 8);
    for (k = 0; k < size; k++) sum += data[k] * (k + 1);
    info.pPrivateDriverData = data;
    info.PrivateDriverDataSize = (uint32_t)size;
    create((long)thread, 1, &info, 1);
    journal[64 + 2 * thread] += sum;
    journal[65 + 2 * thread] += info.hAllocation;
    if (i % 50 == 49) usleep((useconds_t)pause_us);
  }
  return 0;
}

static pthread_barrier_t barrier;

static void *crowd(void *argument) {
  long i;
  (void)argument;
  for (i = 0; i < calls; i++) {
    Info info;
    memset(&info, 0, sizeof info);
    pthread_barrier_wait(&barrier);
    create(0, 1, &info, 1);
  }
  pthread_barrier_wait(&barrier);
  return 0;
}

static uint8_t *page;
static volatile int unmapping = 1;

static void *unmap_and_map(void *nothing) {
  while (unmapping) {
    munmap(page, 4096);
    mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  }
  return nothing;
}

static void freed(void) {
  pthread_t unmapper;
  long i, failed = 0;
  page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  page += 4096;
  pthread_create(&unmapper, 0, unmap_and_map, 0);
  for (i = 0; i < calls; i++) {
    Info info;
    memset(&info, 0, sizeof info);
    info.pPrivateDriverData = page - 100;
    info.PrivateDriverDataSize = 200;
    failed += create(0, 1, &info, 1) != 0;
  }
  unmapping = 0;
  pthread_join(unmapper, 0);
  printf("%ld\n", failed);
}

static void *blocked(void *nothing) {
  uint32_t device = 0xB10C;
  call(0, destroy_device, &device);
  return nothing;
}

static void cancel(void) {
  while (calls--) {
    pthread_t thread;
    void *result;
    pthread_create(&thread, 0, blocked, 0);
    usleep(20000);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    printf("%d\n", result == PTHREAD_CANCELED);
  }
}

static void on_segv(int signal) {
  (void)signal;
  caught++;
  siglongjmp(resume, 1);
}

static void bad(void) {
  uint8_t *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Info info, *half = (Info *)(pages + 4096 - 2 * sizeof(Info));
  struct sigaction action;
  int i;
  memset(&info, 0, sizeof info);
  memset(&action, 0, sizeof action);
  action.sa_handler = on_segv;
  action.sa_flags = SA_NODEFER;
  sigaction(SIGSEGV, &action, 0);
  munmap(pages + 4096, 4096);
  printf("%08x\n", call(0, create_allocation, (void *)0x10));
  printf("%08x\n", call(0, create_allocation, pages + 4090));
  printf("%08x\n", create(0, 1, 0, 3));
  printf("%08x\n", create(0, 1, (Info *)0xdead0000, 3));
  printf("%08x\n", create(0, 1, half, 2));
  printf("%08x\n", create(0, 1, half, 3));
  printf("%08x\n", create(0, 1, half, 0xFFFFFFFF));
  info.pPrivateDriverData = pages + 4000;
  info.PrivateDriverDataSize = 200;
  printf("%08x\n", create(0, 1, &info, 1));
  for (i = 0; i < 3; i++)
    if (!sigsetjmp(resume, 1)) *(volatile int *)0x20 = 1;
  printf("caught %d\n", caught);
}

static volatile long alarms;

static void on_alarm(int signal) {
  Info info;
  (void)signal;
  memset(&info, 0, sizeof info);
  info.pPrivateDriverData = (void *)&alarms;
  info.PrivateDriverDataSize = sizeof alarms;
  create(0, 1, &info, 1);
  alarms++;
}

static void signals(void) {
  struct itimerval interval = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
  long i;
  signal(SIGALRM, on_alarm);
  setitimer(ITIMER_REAL, &interval, 0);
  while (alarms < calls) {
    void *blocks[64];
    for (i = 0; i < 64; i++) blocks[i] = malloc(100 + 700 * i);
    for (i = 0; i < 64; i++) free(blocks[i]);
  }
  setitimer(ITIMER_REAL, &off, 0);
}

/* Programs may still call functions while they exit. */
static void at_exit(void) {
  Info info;
  memset(&info, 0, sizeof info);
  create(0, 1, &info, 1);
}

__attribute__((destructor)) static void at_unload(void) {
  if (calls == 77) at_exit();
}

/* Functions with other signatures than one pointer to one described structure. */
static void others(void *library) {
  wchar_t name[] = {'\\', '\\', '?', '\\', 'P', 'C', 'I', 0xD800, 0};
  uint32_t objects[] = {0x40000000, 0x40000040};
  uint64_t shared = 0, device_name[3] = {(uint64_t)name, 0, 0};
  uint8_t data[16] = {1, 2, 3};
  int32_t (*share)(uint32_t, uint32_t *, void *, uint32_t, uint64_t *) = dlsym(library, "D3DKMTShareObjects");
  uint8_t (*owned)(void) = dlsym(library, "D3DKMTCheckExclusiveOwnership");
  Thunk by_name = (Thunk)dlsym(library, "D3DKMTOpenAdapterFromDeviceName");
  int32_t (*undescribed)(uint8_t *, uint64_t) = dlsym(library, "D3DKMTNotYetKnown");
  share(2, objects, 0, 0x10000001, &shared);
  owned();
  by_name(device_name);
  undescribed(data, 5);
  undescribed(data, 6);
}

static void *once(void *thread) {
  Info info;
  memset(&info, 0, sizeof info);
  create((long)thread, 1, &info, 1);
  return 0;
}

int main(int argc, char **argv) {
  static pthread_t threads[4096];
  long count, i;
  void *library;
  int file;
  if (argc != 6) return 2;
  file = open(argv[2], O_RDWR);
  journal = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  library = dlopen(argv[1], RTLD_NOW);
  if (file < 0 || !library) return 3;
  open_adapter = (Thunk)dlsym(library, "D3DKMTOpenAdapterFromLuid");
  create_device = (Thunk)dlsym(library, "D3DKMTCreateDevice");
  create_allocation = (Thunk)dlsym(library, "D3DKMTCreateAllocation2");
  destroy_device = (Thunk)dlsym(library, "D3DKMTDestroyDevice");
  close_adapter = (Thunk)dlsym(library, "D3DKMTCloseAdapter");
  count = atol(argv[4]);
  calls = atol(argv[5]);
  pause_us = strchr(argv[3], ':') ? atol(strchr(argv[3], ':') + 1) : 0;
  if (!strcmp(argv[3], "bad")) {
    bad();
    return 7;
  }
  if (!strcmp(argv[3], "exit")) {
    atexit(at_exit);
    at_exit();
    exit(7);
  }
  if (!strcmp(argv[3], "others")) {
    others(library);
    return 7;
  }
  if (!strcmp(argv[3], "blocked")) {
    uint32_t device = 0xB10C;
    while (calls--) call(0, destroy_device, &device);
    return 7;
  }
  if (!strcmp(argv[3], "signal")) {
    signals();
    return 7;
  }
  if (!strcmp(argv[3], "late")) sleep(1);
  if (!strcmp(argv[3], "waiting"))
    while (!journal[GATE]) usleep(1000);
  if (!strcmp(argv[3], "freed")) {
    freed();
    return 7;
  }
  if (!strcmp(argv[3], "cancel")) {
    cancel();
    return 7;
  }
  if (!strncmp(argv[3], "checked", 7) || !strcmp(argv[3], "crowd")) {
    pthread_barrier_init(&barrier, 0, (unsigned)count);
    for (i = 0; i < count; i++) pthread_create(threads + i, 0, argv[3][1] == 'h' ? checked : crowd, (void *)i);
    for (i = 0; i < count; i++) pthread_join(threads[i], 0);
    return 7;
  }
  if (!strcmp(argv[3], "churn")) {
    for (; calls; calls--) {
      for (i = 0; i < count; i++) pthread_create(threads + i, 0, once, (void *)i);
      for (i = 0; i < count; i++) pthread_join(threads[i], 0);
    }
    return 7;
  }
  for (i = 0; i < count; i++) pthread_create(threads + i, 0, work, (void *)i);
  for (i = 0; i < count; i++) pthread_join(threads[i], 0);
  if (!strcmp(argv[3], "exec")) {
    argv[3] = "work";
    execv(argv[0], argv);
  }
  if (!strcmp(argv[3], "fork")) {
    if (!fork()) {
      work((void *)1);
      _exit(0);
    }
    wait(0);
  }
  return 7;
}
