/* Substitute for Frida around hooks/recorder.c: provides the recorder's memory and calls its two hooks. */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gum/guminterceptor.h"

#define PAGE __attribute__((aligned(4096)))

PAGE volatile uint64_t control[(64 << 20) / 8]; /* the shared buffer is mapped over it */
PAGE volatile uint32_t enabled[1024];
PAGE uint64_t state[512];
PAGE uint32_t plan[1 << 16];
PAGE uint8_t pool[8192 * 4096];

extern void onEnter(GumInvocationContext *ic);
extern void onLeave(GumInvocationContext *ic);
extern void recorder_start(void);
extern int recorder_stop(void);

void *thread_get(uint64_t key) { return pthread_getspecific((pthread_key_t)key); }
int thread_set(uint64_t key, void *value) { return pthread_setspecific((pthread_key_t)key, value); }
uint32_t thread_id(void) { return (uint32_t)gettid(); }
void *memory_map(void *address, size_t size, int protection, int flags, int file, long long offset) {
  return mmap(address, size, protection, flags, file, offset);
}
int memory_unmap(void *memory, size_t size) { return munmap(memory, size); }

int walker_start(const char *buffer, size_t offset, size_t size) {
  pthread_key_t key;
  int file = open(buffer, O_RDWR);
  if (file < 0 || size > sizeof control) return 1;
  if (mmap((void *)control, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, offset) == MAP_FAILED) return 2;
  close(file);
  if (pthread_key_create(&key, NULL) != 0) return 3;
  state[2] = key;
  recorder_start();
  enabled[0] = 1;
  return 0;
}

int walker_stop(void) { return recorder_stop(); }

/* Maps memory at a fixed address. */
int walker_map(void *address, size_t size) {
  return mmap(address, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != address;
}

void walker_call(uint32_t hook, const uint64_t *arguments, size_t count) {
  static _Thread_local uint64_t invocation[8];
  struct CpuContext registers = {0, 0, 0, 0, (size_t)&registers, 0};
  GumInvocationContext ic = {plan + hook, invocation, &registers, 0, 0, {0}};
  for (size_t i = 0; i < count; i++) ic.arguments[i] = arguments[i];
  onEnter(&ic);
  onLeave(&ic);
}
