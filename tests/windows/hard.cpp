/*
 * A library for tests of the recorder in its own process: it exports thunks, and functions that call them in hard ways.
 *
 * Each thunk probes its argument, as a kernel does, except where a test wants it to fault. The functions `run_...` call the thunks by
 * their exported addresses, so that hooks are on the way.
 */
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "../native/allocation.h"

namespace {

using Thunk = int32_t(WINAPI *)(void *);

constexpr uintptr_t BAD = 16;  /* an address that faults */
constexpr int32_t INVALID = int32_t(0xC000000D);
enum Device : uint32_t { PLAIN, THROWS, JUMPS, JUMPS_RAW, FAULTS, NESTS };

volatile LONG next_handle = 0x40000000;
jmp_buf landing;
void *raw_landing[5];
Thunk destroy_device, close_adapter, create_allocation;

/* Wine's ReadProcessMemory ignores protections, so they are queried. It reads memory that another thread may free at any time. */
bool copy_in(void *to, const void *from, size_t size) {
  SIZE_T copied = 0;
  MEMORY_BASIC_INFORMATION information;
  auto *start = static_cast<const uint8_t *>(from), *at = start;
  while (at < start + size) {
    if (!VirtualQuery(at, &information, sizeof information) || information.State != MEM_COMMIT) return false;
    if (information.Protect & (PAGE_NOACCESS | PAGE_GUARD)) return false;
    at = static_cast<uint8_t *>(information.BaseAddress) + information.RegionSize;
  }
  return ReadProcessMemory(GetCurrentProcess(), from, to, size, &copied) && copied == size;
}

Thunk find(const char *name) {
  return reinterpret_cast<Thunk>(reinterpret_cast<void *>(GetProcAddress(GetModuleHandleA("hard.dll"), name)));
}

void find_thunks() {
  destroy_device = find("D3DKMTDestroyDevice");
  close_adapter = find("D3DKMTCloseAdapter");
  create_allocation = find("D3DKMTCreateAllocation2");
}

int32_t create(Info *infos, uint32_t count) {
  Create argument = {};
  argument.hDevice = 1;
  argument.NumAllocations = count;
  argument.infos = infos;
  return create_allocation(&argument);
}

int32_t create_with(void *data, uint32_t size) {
  Info info = {};
  info.pPrivateDriverData = data;
  info.PrivateDriverDataSize = size;
  return create(&info, 1);
}

int32_t destroy(uint32_t device) { return destroy_device(&device); }

/* Calls a function with `bytes` more of the stack in use: every word of it is written, as by the frames of functions. */
template <typename F> __attribute__((noinline)) int deeper(size_t bytes, F function) {
  volatile char *room = static_cast<volatile char *>(alloca(bytes + 1));
  for (size_t i = 0; i < bytes; i += 8) room[i] = char(i);
  return function();
}

struct Checked { long thread, calls, pause; uint64_t *sums; };

DWORD WINAPI checked(void *argument) {
  Checked *mine = static_cast<Checked *>(argument);
  uint64_t state = 0x9E3779B97F4A7C15ull * uint64_t(mine->thread + 1);
  uint8_t data[160];
  for (long i = 0; i < mine->calls; i++) {
    uint64_t size = 32 + (state >> 33) % 128, sum = 0;
    for (size_t k = 0; k < sizeof data; k += 8) {
      state ^= state << 13; state ^= state >> 7; state ^= state << 17;
      memcpy(data + k, &state, 8);
    }
    memcpy(data, &mine->thread, sizeof mine->thread);
    memcpy(data + 8, &i, sizeof i);
    for (size_t k = 0; k < size; k++) sum += data[k] * (k + 1);
    Info info = {};
    info.pPrivateDriverData = data;
    info.PrivateDriverDataSize = uint32_t(size);
    create(&info, 1);
    mine->sums[0] += sum;
    mine->sums[1] += info.hAllocation;
    if (i % 50 == 49) Sleep(DWORD(mine->pause));
  }
  return 0;
}

volatile LONG running;
uint8_t *page;

DWORD WINAPI free_and_commit(void *) {
  while (running) {
    VirtualFree(page, 4096, MEM_DECOMMIT);
    VirtualAlloc(page, 4096, MEM_COMMIT, PAGE_READWRITE);
  }
  return 0;
}

volatile LONG handled;

LONG CALLBACK skip_fault(EXCEPTION_POINTERS *info) {
  EXCEPTION_RECORD *record = info->ExceptionRecord;
  if (record->ExceptionCode != EXCEPTION_ACCESS_VIOLATION || record->ExceptionInformation[1] != BAD) return EXCEPTION_CONTINUE_SEARCH;
  InterlockedIncrement(&handled);
  info->ContextRecord->Rip += 6;  /* movl $imm32, (%rdx) */
  return EXCEPTION_CONTINUE_EXECUTION;
}

void fault() { __asm__ volatile("movl $1, (%0)" : : "d"(BAD) : "memory"); }


}  // namespace

extern "C" {

#define EXPORT __declspec(dllexport)

EXPORT int32_t WINAPI D3DKMTCreateAllocation2(Create *argument) {
  Create create;
  Info info;
  uint8_t data[4096];
  if (!copy_in(&create, argument, sizeof create)) return INVALID;
  for (uint32_t i = 0; i < create.NumAllocations; i++) {
    if (!copy_in(&info, create.infos + i, sizeof info)) return INVALID;
    if (info.PrivateDriverDataSize > sizeof data || !copy_in(data, info.pPrivateDriverData, info.PrivateDriverDataSize))
      return INVALID;
    create.infos[i].hAllocation = uint32_t(InterlockedExchangeAdd(&next_handle, 0x40));
  }
  return 0;
}

EXPORT int32_t WINAPI D3DKMTCloseAdapter(uint32_t *adapter) { return adapter ? 0 : INVALID; }

/* Leaves in the way that the handle asks for. */
EXPORT int32_t WINAPI D3DKMTDestroyDevice(uint32_t *device) {
  switch (*device) {
    case THROWS: throw 42;
    case JUMPS: longjmp(landing, 1);
    case JUMPS_RAW: __builtin_longjmp(raw_landing, 1);
    case FAULTS: *reinterpret_cast<volatile int *>(BAD) = 1; return 0;
    case NESTS: { uint32_t adapter = 7; return close_adapter(&adapter); }
  }
  return 0;
}

/* An undescribed function, too short for any jump; the next one follows at once. */
EXPORT int32_t WINAPI D3DKMTTooShort(void);
EXPORT int32_t WINAPI D3DKMTNotYetKnown(void *argument);
__asm__(".globl D3DKMTTooShort\nD3DKMTTooShort: xor %eax, %eax\nret\n"
        ".globl D3DKMTNotYetKnown\nD3DKMTNotYetKnown: mov $0x103, %eax\nnop\nnop\nnop\nnop\nnop\nnop\nnop\nret\n"
        ".section .drectve\n.ascii \" -export:D3DKMTTooShort -export:D3DKMTNotYetKnown\"\n.text\n");

/* pause: milliseconds after 50 calls of a thread. sums: two words a thread, of the data and of the handles. */
EXPORT void run_checked(long threads, long calls, long pause, uint64_t *sums) {
  HANDLE handles[64];
  Checked arguments[64];
  find_thunks();
  for (long i = 0; i < threads; i++) {
    arguments[i] = {i, calls, pause, sums + 2 * i};
    handles[i] = CreateThread(nullptr, 0, checked, arguments + i, 0, nullptr);
  }
  WaitForMultipleObjects(DWORD(threads), handles, TRUE, INFINITE);
}

/* Calls with bad pointers and stores the statuses. Returns their number, negative if a guard page has lost its guard. */
EXPORT int run_bad(int32_t *statuses) {
  auto *pages = static_cast<uint8_t *>(VirtualAlloc(nullptr, 5 * 4096, MEM_RESERVE, PAGE_NOACCESS));
  DWORD old;
  MEMORY_BASIC_INFORMATION information;
  int count = 0;
  find_thunks();
  VirtualAlloc(pages, 4096, MEM_COMMIT, PAGE_READWRITE);                      /* followed by reserved memory */
  VirtualAlloc(pages + 2 * 4096, 4096, MEM_COMMIT, PAGE_NOACCESS);
  VirtualAlloc(pages + 3 * 4096, 4096, MEM_COMMIT, PAGE_READWRITE);           /* followed by a guard page */
  VirtualAlloc(pages + 4 * 4096, 4096, MEM_COMMIT, PAGE_READWRITE | PAGE_GUARD);
  statuses[count++] = create_allocation(reinterpret_cast<void *>(0x10));
  statuses[count++] = create_allocation(pages + 4090);
  statuses[count++] = create(reinterpret_cast<Info *>(0xdead0000), 3);
  statuses[count++] = create(reinterpret_cast<Info *>(0xFFFF800000000000), 1);
  statuses[count++] = create(reinterpret_cast<Info *>(0x8000000000000000), 1);  /* not canonical */
  statuses[count++] = create_with(pages + 4000, 200);
  statuses[count++] = create_with(pages + 2 * 4096, 64);
  for (int i = 0; i < 3; i++) {
    statuses[count++] = create_with(pages + 4 * 4096 - 100, 200);
    VirtualQuery(pages + 4 * 4096, &information, sizeof information);
    if (!(information.Protect & PAGE_GUARD)) return -1;
  }
  VirtualProtect(pages + 4 * 4096, 4096, PAGE_READWRITE, &old);
  VirtualFree(pages, 0, MEM_RELEASE);
  return count;
}

/* Creates allocations from memory that another thread frees. Returns the number of failed calls. */
EXPORT long run_freed(long calls) {
  long failed = 0;
  find_thunks();
  auto *pages = static_cast<uint8_t *>(VirtualAlloc(nullptr, 8192, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
  page = pages + 4096;
  running = 1;
  HANDLE thread = CreateThread(nullptr, 0, free_and_commit, nullptr, 0, nullptr);
  for (long i = 0; i < calls; i++) failed += create_with(page - 100, 200) != 0;
  running = 0;
  WaitForSingleObject(thread, INFINITE);
  return failed;
}

/* Lets C++ exceptions pass through a hooked function, at several depths of the stack. Returns the number of caught ones. */
EXPORT int run_exceptions(int rounds) {
  int caught = 0;
  find_thunks();
  for (int i = 0; i < rounds; i++) {
    try {
      caught += deeper(size_t(i % 7) * 4000, [] { return destroy(THROWS); });
    } catch (int number) {
      caught += number == 42;
    }
    /* This call is further down the stack than the one that was left. */
    deeper(8000, [] { return destroy(PLAIN); });
    try {
      throw 1L;
    } catch (long) {
    }
  }
  return caught;
}

/* Leaves a hooked function by longjmp, which unwinds the stack. Returns the number of landings. */
EXPORT int run_jumps(int rounds) {
  volatile int landed = 0;
  find_thunks();
  for (volatile int i = 0; i < rounds; i = i + 1) {
    if (setjmp(landing)) {
      landed = landed + 1;
    } else {
      deeper(4000, [] { return destroy(JUMPS); });
    }
    deeper(8000, [] { return destroy(PLAIN); });
  }
  return landed;
}

static __attribute__((noinline)) void jump_raw() { destroy(JUMPS_RAW); }

/* Leaves a hooked function by a jump that does not unwind. Returns the number of landings. */
EXPORT __attribute__((noinline)) int run_raw_jumps(int rounds) {
  volatile int landed = 0;
  find_thunks();
  for (volatile int i = 0; i < rounds; i = i + 1) {
    if (__builtin_setjmp(raw_landing)) {
      landed = landed + 1;
    } else {
      jump_raw();
    }
    deeper(8000, [] { return destroy(PLAIN); });
  }
  return landed;
}

/* Faults in a hooked function, under the program's own vectored handlers and under a structured one. Returns the handled faults. */
EXPORT int run_faults(int rounds) {
  handled = 0;
  find_thunks();
  void *first = AddVectoredExceptionHandler(1, skip_fault);
  for (int i = 0; i < rounds; i++) {
    fault();
    create_with(reinterpret_cast<void *>(0x1000), 64);
    destroy(PLAIN);
  }
  RemoveVectoredExceptionHandler(first);
  void *last = AddVectoredExceptionHandler(0, skip_fault);
  for (int i = 0; i < rounds; i++) {
    fault();
    create_with(reinterpret_cast<void *>(0x1000), 64);
  }
  RemoveVectoredExceptionHandler(last);
  return handled;
}


EXPORT int run_nested(int rounds) {
  int failed = 0;
  find_thunks();
  for (int i = 0; i < rounds; i++) failed += destroy(NESTS) != 0;
  return failed;
}

static DWORD WINAPI fault_in_thunk(void *) { return DWORD(destroy(FAULTS)); }

/* Makes calls and ends the process in the middle of them: "exit", "terminate", or a fault on another thread, "fault". */
EXPORT void run_to_end(long calls, const char *how) {
  find_thunks();
  uint8_t data[64] = {};
  for (long i = 0; i < calls; i++) create_with(data, sizeof data);
  if (!strcmp(how, "exit")) ExitProcess(7);
  if (!strcmp(how, "terminate")) TerminateProcess(GetCurrentProcess(), 7);
  SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
  WaitForSingleObject(CreateThread(nullptr, 0, fault_in_thunk, nullptr, 0, nullptr), INFINITE);
}

}  // extern "C"
