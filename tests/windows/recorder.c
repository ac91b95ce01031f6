/* Stands in for Frida around the recorder as Windows gets it: maps its memory, and calls stubs as the agent makes them.
 *
 *   recorder SPOOL OFFSET SIZE HOOK STUBS   one thread after the other, each CALLS calls: with a structure that is there,
 *                                           with a pointer to nothing, and with the program's own exceptions in between
 *
 * Prints what the function that is called was given and gave, and how many exceptions the program took itself. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

#include "gum/guminterceptor.h"

#define PAGE __attribute__((aligned(4096)))
#define CALLS 50
#define OWN 0xE0000001u

typedef struct { const uint32_t *entry; volatile uint64_t original, function; } Hook;
typedef NTSTATUS (WINAPI *Thunk)(void *, uint64_t, uint64_t, uint64_t, uint64_t);
typedef struct { HANDLE handle; uint32_t hDevice; } Destroy;

PAGE volatile uint64_t control[(4 << 20) / 8];
PAGE volatile uint32_t enabled[1024];
PAGE uint64_t state[512];
PAGE uint32_t plan[1 << 16];
PAGE uint8_t pool[8192 * 4096];

extern void recorder_start(void);
extern int recorder_stop(void);
extern uint64_t recorder_call(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, Hook *, uint64_t);

static Thunk stub;
static volatile long taken, wrong;

/* Writes into what it is given where that can be written to, as a thunk does; its fifth parameter lies on the stack. */
static NTSTATUS WINAPI function(void *argument, uint64_t b, uint64_t c, uint64_t d, uint64_t e) {
  if (b != 2 || c != 3 || d != 4 || e != 5) wrong++;
  if ((uintptr_t)argument < 0x10000) return (NTSTATUS)0xC000000D;
  *(uint32_t *)argument += 1;
  return 0;
}

static LONG WINAPI handler(EXCEPTION_POINTERS *pointers) {
  if (pointers->ExceptionRecord->ExceptionCode != OWN) return EXCEPTION_CONTINUE_SEARCH;
  taken++;
  return EXCEPTION_CONTINUE_EXECUTION;
}

static DWORD WINAPI work(void *unused) {
  (void)unused;
  for (uint32_t i = 0; i < CALLS; i++) {
    uint32_t hDevice = 100 + i;
    NTSTATUS there = stub(&hDevice, 2, 3, 4, 5), nowhere = stub((void *)0x10, 2, 3, 4, 5);
    RaiseException(OWN, 0, 0, NULL);
    printf("%lu %u %08x %u %08x\n", GetCurrentThreadId(), 100 + i, (unsigned)there, hDevice, (unsigned)nowhere);
  }
  return 0;
}

static void read_into(const char *path, volatile void *memory, long offset, size_t size) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, offset, SEEK_SET) || fread((void *)memory, 1, size, file) != size) exit(3);
  fclose(file);
}

int main(int count, char **given) {
  if (count != 7) return 2;
  size_t size = strtoul(given[3], NULL, 10);
  if (size > sizeof control) return 2;
  read_into(given[1], control, atol(given[2]), size);
  read_into(given[4], plan, 0, strtoul(given[5], NULL, 10));
  static Hook hook;
  hook.entry = plan + strtoul(given[6], NULL, 10);
  hook.original = (uint64_t)(uintptr_t)function;
  /* The agent's stub for Windows, byte for byte, with its two addresses. */
  static const uint8_t code[] = {STUB};
  uint8_t *made = VirtualAlloc(NULL, 4096, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE);
  for (size_t i = 0; i < sizeof code; i++) made[i] = code[i];
  *(uint64_t *)(made + RECORD) = (uint64_t)(uintptr_t)&hook;
  *(uint64_t *)(made + CALL) = (uint64_t)(uintptr_t)recorder_call;
  stub = (Thunk)(void *)made;
  AddVectoredExceptionHandler(1, handler);
  state[1] = 1;
  recorder_start();
  enabled[0] = 1;
  for (int i = 0; i < 2; i++) {
    HANDLE thread = CreateThread(NULL, 0, work, NULL, 0, NULL);
    WaitForSingleObject(thread, INFINITE);
  }
  if (!recorder_stop()) return 4;
  FILE *file = fopen(given[1], "r+b");
  if (!file || fseek(file, atol(given[2]), SEEK_SET) || fwrite((void *)control, 1, size, file) != size) return 5;
  fclose(file);
  printf("taken %ld wrong %ld\n", taken, wrong);
  return 0;
}
