/* Substitute for Frida around the recorder for Windows: provides its memory, and calls a stub like those of the agent.
 *
 *   recorder BUFFER OFFSET SIZE PLAN PLAN_SIZE HOOK
 *
 * Two threads run one after the other. Each makes CALLS calls with a valid structure and as many with a bad pointer, with
 * exceptions of the program in between. The program prints the arguments and results of the calls, and the number of exceptions
 * that it handled itself. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

#include "gum/guminterceptor.h"

#define PAGE __attribute__((aligned(4096)))
#define CALLS 50
#define PROGRAM_EXCEPTION 0xE0000001u

typedef struct { volatile uint64_t entry, original, function; } Hook;
typedef NTSTATUS (WINAPI *Thunk)(void *, uint64_t, uint64_t, uint64_t, uint64_t);
typedef struct { HANDLE handle; uint32_t hDevice; } Destroy;

PAGE volatile uint64_t control[(4 << 20) / 8];
PAGE volatile uint32_t enabled[1024];
PAGE uint64_t state[512];
PAGE uint32_t plan[1 << 16];
PAGE uint8_t pool[8192 * 4096];
PAGE volatile uint64_t fault_counts[512], fault_callers[512]; /* no faults */

extern void recorder_start(void);
extern int recorder_stop(void);
extern uint64_t recorder_call(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, Hook *, uint64_t);

static Thunk stub;
static volatile long handled, wrong;

/* Changes its argument like a thunk, unless the pointer is bad. Its fifth parameter is on the stack. */
static NTSTATUS WINAPI function(void *argument, uint64_t b, uint64_t c, uint64_t d, uint64_t e) {
  if (b != 2 || c != 3 || d != 4 || e != 5) wrong++;
  if ((uintptr_t)argument < 0x10000) return (NTSTATUS)0xC000000D;
  *(uint32_t *)argument += 1;
  return 0;
}

static LONG WINAPI handler(EXCEPTION_POINTERS *pointers) {
  if (pointers->ExceptionRecord->ExceptionCode != PROGRAM_EXCEPTION) return EXCEPTION_CONTINUE_SEARCH;
  handled++;
  return EXCEPTION_CONTINUE_EXECUTION;
}

static DWORD WINAPI work(void *unused) {
  (void)unused;
  for (uint32_t i = 0; i < CALLS; i++) {
    uint32_t hDevice = 100 + i;
    NTSTATUS good = stub(&hDevice, 2, 3, 4, 5), bad = stub((void *)0x10, 2, 3, 4, 5);
    RaiseException(PROGRAM_EXCEPTION, 0, 0, NULL);
    printf("%lu %u %08x %u %08x\n", GetCurrentThreadId(), 100 + i, (unsigned)good, hDevice, (unsigned)bad);
  }
  return 0;
}

static void read_into(const char *path, volatile void *memory, long offset, size_t size) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, offset, SEEK_SET) || fread((void *)memory, 1, size, file) != size) exit(3);
  fclose(file);
}

int main(int argc, char **argv) {
  if (argc != 7) return 2;
  size_t size = strtoul(argv[3], NULL, 10);
  if (size > sizeof control) return 2;
  read_into(argv[1], control, atol(argv[2]), size);
  read_into(argv[4], plan, 0, strtoul(argv[5], NULL, 10));
  static Hook hook;
  hook.entry = (uint64_t)(uintptr_t)(plan + strtoul(argv[6], NULL, 10));
  hook.original = (uint64_t)(uintptr_t)function;
  /* The agent's stub for Windows. Two addresses in it are replaced. */
  static const uint8_t code[] = {STUB};
  uint8_t *memory = VirtualAlloc(NULL, 4096, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE);
  for (size_t i = 0; i < sizeof code; i++) memory[i] = code[i];
  *(uint64_t *)(memory + RECORD) = (uint64_t)(uintptr_t)&hook;
  *(uint64_t *)(memory + CALL) = (uint64_t)(uintptr_t)recorder_call;
  stub = (Thunk)(void *)memory;
  AddVectoredExceptionHandler(1, handler);
  state[1] = 1;
  recorder_start();
  enabled[0] = 1;
  for (int i = 0; i < 2; i++) {
    HANDLE thread = CreateThread(NULL, 0, work, NULL, 0, NULL);
    WaitForSingleObject(thread, INFINITE);
  }
  if (!recorder_stop()) return 4;
  FILE *file = fopen(argv[1], "r+b");
  if (!file || fseek(file, atol(argv[2]), SEEK_SET) || fwrite((void *)control, 1, size, file) != size) return 5;
  fclose(file);
  printf("handled %ld wrong %ld\n", handled, wrong);
  return 0;
}
