/*
 * The recorder's part for Windows. Compiled after recorder.c. Frida has not run it on Windows yet. Tests build it with MinGW
 * and run it under Wine.
 */
#ifdef __i386__
#define WINAPI __attribute__((stdcall))
#else
#define WINAPI
#endif

extern WINAPI void *VirtualAlloc(void *where, size_t size, u32 sort, u32 protection);
extern WINAPI int VirtualFree(void *memory, size_t size, u32 sort);
extern WINAPI int QueryPerformanceCounter(u64 *counter);
extern WINAPI int QueryPerformanceFrequency(u64 *frequency);
extern WINAPI void *AddVectoredExceptionHandler(u32 first, void *handler);
extern WINAPI u32 RemoveVectoredExceptionHandler(void *registration);

enum { S_FREQUENCY = S_SYSTEM, S_HANDLER };
enum { MEM_COMMIT_RESERVE = 0x3000, MEM_RELEASE = 0x8000, PAGE_READWRITE = 4 };
enum { EXCEPTION_CONTINUE_EXECUTION = -1, EXCEPTION_CONTINUE_SEARCH = 0 };
#define STATUS_GUARD_PAGE_VIOLATION 0x80000001u
#define STATUS_ACCESS_VIOLATION 0xC0000005u
#define STATUS_IN_PAGE_ERROR 0xC0000006u

/* In two steps, because the product of counter and 10^9 overflows after half an hour. */
static u64 now(void) {
  u64 counter, frequency = state[S_FREQUENCY];
  QueryPerformanceCounter(&counter);
  return counter / frequency * 1000000000u + counter % frequency * 1000000000u / frequency;
}

static void *allocate_pages(u64 size) { return VirtualAlloc(0, size, MEM_COMMIT_RESERVE, PAGE_READWRITE); }

static void free_pages(void *memory, u64 size) {
  (void)size;
  VirtualFree(memory, 0, MEM_RELEASE);
}

static Thread *this_thread(void) { return windows_thread(); }

static void lift_mask(word *blocked) { (void)blocked; }
static void restore_mask(const word *blocked) { (void)blocked; }

/* First vectored exception handler. It resumes guarded reads and passes every other exception on. pointers:
   EXCEPTION_POINTERS. */
static WINAPI int on_exception(void **pointers) {
  u32 code = *(u32 *)pointers[0];
  word *counter = (word *)((u8 *)pointers[1] + CONTEXT_COUNTER), resume;
  if (code != STATUS_ACCESS_VIOLATION && code != STATUS_IN_PAGE_ERROR && code != STATUS_GUARD_PAGE_VIOLATION)
    return EXCEPTION_CONTINUE_SEARCH;
  resume = resume_address(*counter);
  if (!resume) return EXCEPTION_CONTINUE_SEARCH;
  *counter = resume;
  return EXCEPTION_CONTINUE_EXECUTION;
}

void recorder_start(void) {
  QueryPerformanceFrequency(state + S_FREQUENCY);
  find_fixups();
  state[S_HANDLER] = (u64)(word)AddVectoredExceptionHandler(1, on_exception);
}

/* Returns 1: no handler refers to the code any more. */
int recorder_stop(void) {
  enabled[0] = 0;
  RemoveVectoredExceptionHandler((void *)(word)state[S_HANDLER]);
  return 1;
}

/* Listener of RtlExitUserProcess, which every process calls that ends by itself. */
void recorder_exit(GumInvocationContext *ic) {
  if (enabled[0]) control[C_ENDED] = 1ULL << 32 | (u32)argument(ic, 0, 1);
}
