/*
 * The recorder's part for Windows. Compiled after recorder.c. It has run in Windows processes of Wine, and not on Microsoft's
 * Windows yet.
 */
#ifdef __i386__
#define WINAPI __attribute__((stdcall))
#else
#define WINAPI
#endif

extern WINAPI void *VirtualAlloc(void *where, size_t size, u32 sort, u32 protection);
extern WINAPI int VirtualFree(void *memory, size_t size, u32 sort);
extern WINAPI size_t VirtualQuery(const void *address, void *information, size_t size);
extern WINAPI int VirtualProtect(void *address, size_t size, u32 protection, u32 *old);
extern WINAPI int QueryPerformanceCounter(u64 *counter);
extern WINAPI int QueryPerformanceFrequency(u64 *frequency);
extern WINAPI void Sleep(u32 milliseconds);
extern WINAPI void *AddVectoredExceptionHandler(u32 first, void *handler);
extern WINAPI u32 RemoveVectoredExceptionHandler(void *registration);

/* The frequency of the clock, the registration of on_exception, and the original of RtlAddVectoredExceptionHandler. */
enum { S_FREQUENCY = S_SYSTEM, S_HANDLER, S_ADD_HANDLER };
enum { MEM_COMMIT_RESERVE = 0x3000, MEM_RELEASE = 0x8000, PAGE_READWRITE = 4, PAGE_GUARD = 0x100 };
enum { EXCEPTION_CONTINUE_EXECUTION = -1, EXCEPTION_CONTINUE_SEARCH = 0, CONTINUE_SEARCH = 1 };
/* Size of MEMORY_BASIC_INFORMATION and offset of Protect in it, and offset of ExceptionInformation in EXCEPTION_RECORD. */
enum { MEMORY_INFORMATION = 48, PROTECT = sizeof(word) == 8 ? 36 : 20, EXCEPTION_INFORMATION = sizeof(word) == 8 ? 32 : 20 };
#define STATUS_GUARD_PAGE_VIOLATION 0x80000001u
#define STATUS_ACCESS_VIOLATION 0xC0000005u
#define STATUS_IN_PAGE_ERROR 0xC0000006u

/* In two steps, because the product of counter and 10^9 overflows after half an hour. */
static u64 now(void) {
  u64 counter, frequency = state[S_FREQUENCY];
  QueryPerformanceCounter(&counter);
  return counter / frequency * 1000000000u + counter % frequency * 1000000000u / frequency;
}

static void pause_thread(u32 microseconds) { Sleep((microseconds + 999) / 1000); }

static void *allocate_pages(u64 size) { return VirtualAlloc(0, size, MEM_COMMIT_RESERVE, PAGE_READWRITE); }

static void free_pages(void *memory, u64 size) {
  (void)size;
  VirtualFree(memory, 0, MEM_RELEASE);
}

static Thread *this_thread(void) { return windows_thread(); }

/* mailbox.c answers calls on Linux. Here, a simulator in the same process takes the place of the function. */
static int answer_call(const u32 *hook, const u64 *parameters, const Thread *t, u64 *result) {
  (void)hook, (void)parameters, (void)t, (void)result;
  return 0;
}

static void lift_mask(word *blocked) { (void)blocked; }
static void restore_mask(const word *blocked) { (void)blocked; }

/* Guards a page again. A fault at a guard page has removed the guard, which the program still relies on. */
static void guard_again(void *address) {
  u64 information[MEMORY_INFORMATION / 8];
  u32 old;
  if (VirtualQuery(address, information, sizeof information))
    VirtualProtect(address, 1, *(u32 *)((u8 *)information + PROTECT) | PAGE_GUARD, &old);
}

/* Returns the address whose access failed, from an EXCEPTION_RECORD. */
static void *faulting_address(const u32 *record) {
  return *(void **)((u8 *)record + EXCEPTION_INFORMATION + sizeof(word));
}

/* First vectored exception handler. It resumes guarded reads and passes every other exception on. pointers:
   EXCEPTION_POINTERS. */
static WINAPI int on_exception(void **pointers) {
  u32 code = *(u32 *)pointers[0];
  word *counter = (word *)((u8 *)pointers[1] + CONTEXT_COUNTER), resume;
  if (code != STATUS_ACCESS_VIOLATION && code != STATUS_IN_PAGE_ERROR && code != STATUS_GUARD_PAGE_VIOLATION)
    return EXCEPTION_CONTINUE_SEARCH;
  resume = resume_address(*counter);
  if (!resume) return EXCEPTION_CONTINUE_SEARCH;
  if (code == STATUS_GUARD_PAGE_VIOLATION) guard_again(faulting_address(pointers[0]));
  *counter = resume;
  return EXCEPTION_CONTINUE_EXECUTION;
}

void recorder_start(void) {
  QueryPerformanceFrequency(state + S_FREQUENCY);
  state[S_START] = now();
  find_fixups();
  state[S_HANDLER] = (u64)(word)AddVectoredExceptionHandler(1, on_exception);
}

typedef WINAPI void *(*AddHandler)(u32 first, void *handler);

/* Replaces RtlAddVectoredExceptionHandler. on_exception stays in front of the program's handlers, which would take the fault of a
   guarded read for a fault of the program. */
WINAPI void *recorder_add_handler(u32 first, void *handler) {
  volatile u64 *at = state + S_ADD_HANDLER;
  void *registration;
  AddHandler add;
  while (!*at) {}  /* it may be called before the agent has stored the address */
  add = (AddHandler)(word)*at;
  registration = add(first, handler);
  if (first && enabled[0]) {
    u64 own = (u64)(word)add(1, on_exception), previous;
    do previous = state[S_HANDLER];
    while (compare_swap(state + S_HANDLER, previous, own) != previous);
    RemoveVectoredExceptionHandler((void *)(word)previous);
  }
  return registration;
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

/* Handler of the stubs' frames, which Windows calls when an exception or a jump leaves them. frame: the stub's frame pointer, above
   the frames of the calls that are open in it. */
int recorder_unwound(void *record, word frame, void *context, void *dispatcher) {
  Thread *t = this_thread();
  (void)record, (void)context, (void)dispatcher;
  while (t && t->depth && t->depth <= OPEN_CALLS && t->open[t->depth - 1].frame < frame) {
    t->top = t->open[t->depth - 1].base;
    t->depth--;
  }
  return CONTINUE_SEARCH;
}
