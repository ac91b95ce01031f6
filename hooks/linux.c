/*
 * The recorder's part for Linux, including Wine. Compiled after recorder.c.
 */
extern void *thread_get(word key);
extern int thread_set(word key, void *value);
extern u32 thread_id(void);
extern void *memory_map(void *where, size_t size, int protection, int flags, int file, long offset);
extern int memory_unmap(void *memory, size_t size);
extern int clock_gettime(int clock, word *time);
extern int nanosleep(const word *time, word *rest);
extern int sigaction(int signal, const void *action, void *old);
extern int pthread_sigmask(int how, const void *set, void *old);
extern int raise(int signal);
extern int getpid(void);
extern long system_call(long number, volatile void *at, word operation, word value, const word *time, word unused, word unused_too);

/* Indexes of the state: the key of thread-specific data, the program's own actions for the two signals (struct sigaction),
   the originals of the replaced functions, and the process id. */
enum { S_KEY = S_SYSTEM, S_SEGV = 8, S_BUS = 32, S_SIGACTION = 56, S_SIGNAL = 57, S_PROCESS = 58 };
enum { SEGV = 11, BUS = 7, S_SIGMASK = 62 };
enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1 };
#define F_SIGINFO 0x4u
#define F_ONSTACK 0x08000000u
#define F_RESTART 0x10000000u
#define F_NODEFER 0x40000000u
#define F_RESETHAND 0x80000000u

static u64 now(void) {
  word time[2];
  clock_gettime(1, time);
  return (u64)time[0] * 1000000000u + time[1];
}

static void pause_thread(u32 microseconds) {
  word time[2];
  u32 signals = 0;  /* which end the sleep early */
  time[0] = microseconds / 1000000;
  time[1] = microseconds % 1000000 * 1000;
  while (nanosleep(time, time) && signals++ < 1000) {}
}

static void *allocate_pages(u64 size) {
  void *memory = memory_map(0, size, 3, 0x22, -1, 0);
  return memory == (void *)-1 ? 0 : memory;
}

static void free_pages(void *memory, u64 size) { memory_unmap(memory, size); }

static int real_sigmask(int how, const void *set, void *old) {
  if (!state[S_SIGMASK]) return pthread_sigmask(how, set, old);
  return ((int (*)(int, const void *, void *))(word)state[S_SIGMASK])(how, set, old);
}

#define FAULTS (1u << (SEGV - 1) | 1u << (BUS - 1))

/* Notes whether a thread blocks the signals of a guarded read. A fault whose signal is blocked ends the process. Such threads are
   rare. They cost two system calls an event. */
static void note_mask(Thread *t) {
  word mask[MASK_WORDS] = {0};
  real_sigmask(0, 0, mask);
  t->masked = (mask[0] & FAULTS) != 0;
}

static void lift_mask(word *blocked) {
  word faults[MASK_WORDS] = {0};
  faults[0] = FAULTS;
  real_sigmask(1, faults, blocked);
}

static void restore_mask(const word *blocked) { real_sigmask(2, blocked, 0); }

/* A call may come from a signal handler that interrupted libc with its locks held. So nothing is allocated. */
static Thread *this_thread(void) {
  Thread *t;
  u32 i;
  if (state[S_WINDOWS]) return windows_thread();
  t = thread_get((word)state[S_KEY]);
  if (t) return t;
  for (i = 0; i < SLOTS; i++) {
    t = (Thread *)(pool + i * SLOT_SIZE);
    if (!t->taken && compare_swap(&t->taken, 0, 1) == 0) break;
  }
  if (i == SLOTS) return 0;
  note_mask(begin_thread(t, thread_id()));
  if (thread_set((word)state[S_KEY], t)) {
    t->taken = 0;
    return 0;
  }
  return t;
}

/* Returns the original of a replaced function. It may be called before the agent has stored the address. */
static u64 original(u32 slot) {
  volatile u64 *at = state + slot;
  while (!*at) {}
  return *at;
}

static int real_sigaction(int signal, const void *action, void *old) {
  if (!state[S_SIGACTION]) return sigaction(signal, action, old);
  return ((int (*)(int, const void *, void *))(word)state[S_SIGACTION])(signal, action, old);
}

static word *program_action(int signal) { return (word *)(state + (signal == SEGV ? S_SEGV : S_BUS)); }

/* Resumes guarded reads. Every other fault is passed to the program's own action, as the kernel would have delivered it. */
static void on_fault(int signal, int *info, word *context) {
  word *action = program_action(signal), handler = action[0], mask[MASK_WORDS];
  u32 flags = A_FLAGS(action), i;
  word resume = resume_address(context[PROGRAM_COUNTER]);
  if (resume) {
    context[PROGRAM_COUNTER] = resume;
    return;
  }
  if (handler > 1) {
    for (i = 0; i < MASK_WORDS; i++) mask[i] = action[1 + i];
    if (!(flags & F_NODEFER)) mask[0] |= 1u << (signal - 1);
    real_sigmask(0, mask, 0);
    if (flags & F_RESETHAND) action[0] = 0;
    if (flags & F_SIGINFO) ((void (*)(int, int *, word *))handler)(signal, info, context);
    else ((void (*)(int))handler)(signal);
  } else if (handler == 0 || info[2] > 0) {
    /* The default action, or an ignored fault, which ends the process as well: let it occur again without the handler. */
    word fallback[ACTION_WORDS] = {0};
    real_sigaction(signal, fallback, 0);
    if (info[2] <= 0) raise(signal);
  }
}

/* Replacements of sigaction and signal. The program reads and sets its own action. The recorder's handler stays installed. */
int recorder_sigaction(int signal, const word *action, word *old) {
  word new_action[ACTION_WORDS], *own = program_action(signal);
  u32 i;
  if (signal != SEGV && signal != BUS)
    return ((int (*)(int, const void *, void *))(word)original(S_SIGACTION))(signal, action, old);
  for (i = 0; action && i < ACTION_WORDS; i++) new_action[i] = action[i];
  for (i = 0; old && i < ACTION_WORDS; i++) old[i] = own[i];
  for (i = 0; action && i < ACTION_WORDS; i++) own[i] = new_action[i];
  return 0;
}

word recorder_signal(int signal, word handler) {
  word action[ACTION_WORDS] = {0}, old[ACTION_WORDS];
  if (signal != SEGV && signal != BUS) return ((word (*)(int, word))(word)original(S_SIGNAL))(signal, handler);
  action[0] = handler;
  action[1] = 1u << (signal - 1);
  A_FLAGS(action) = F_RESTART;
  recorder_sigaction(signal, action, old);
  return old[0];
}

/* Replaces pthread_sigmask, which libc's sigprocmask calls. */
int recorder_sigmask(int how, const void *set, void *old) {
  int result = ((int (*)(int, const void *, void *))(word)original(S_SIGMASK))(how, set, old);
  Thread *t;
  if (set && enabled[0] && !state[S_WINDOWS] && (u64)getpid() == state[S_PROCESS]) {
    t = thread_get((word)state[S_KEY]);
    if (t) note_mask(t);
  }
  return result;
}

void recorder_start(void) {
  word action[ACTION_WORDS] = {0};
  state[S_PROCESS] = (u64)getpid();
  state[S_START] = now();
  find_fixups();
  action[0] = (word)on_fault;
  A_FLAGS(action) = F_SIGINFO | F_ONSTACK | F_NODEFER;
  sigaction(SEGV, action, state + S_SEGV);
  sigaction(BUS, action, state + S_BUS);
}

/* Restores the signal actions. The replacements of sigaction and signal must be removed before. Returns 0 if the program has
   installed another handler by a direct system call. The recorder's handler must then stay. */
int recorder_stop(void) {
  word current[ACTION_WORDS];
  enabled[0] = 0;
  sigaction(SEGV, 0, current);
  if (current[0] != (word)on_fault) return 0;
  sigaction(BUS, 0, current);
  if (current[0] != (word)on_fault) return 0;
  sigaction(SEGV, state + S_SEGV, 0);
  sigaction(BUS, state + S_BUS, 0);
  return 1;
}
