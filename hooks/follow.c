/*
 * Reports forks and execs to the recorder's side. Linux only; compiled after linux.c.
 *
 * A thread that is about to exec, or to start a process that shares its memory, claims a slot in the control words. It waits until the
 * recorder traces it. The kernel then stops the new program before its first instruction. A forked child has its own memory and reports
 * itself, except under Wine, where it only executes Wine's loader. A child that shares memory (vfork, posix_spawn, CLONE_VM) never waits here, because its process id is not the recorded one.
 *
 * A slot has the thread id in its low 32 bits and the request in the high ones. FOLLOW_GRANTED is set when the thread may continue.
 * C_REQUESTS counts the requests, and its low half wakes the recorder's side.
 */
#define FOLLOW_SLOTS 16
#define FOLLOW_EXEC 1
#define FOLLOW_START 2
#define FOLLOW_FORKED 3
#define FOLLOW_GRANTED (1ULL << 63)
#define FOLLOW_ROUNDS 10000  /* of 200 microseconds each, in case the recorder hangs */
#define FORKED_ROUNDS 150000
#define REPORT_ROUNDS 2500
#define NO_SUCH_PROCESS 3

extern int usleep(u32 microseconds);
extern int kill(int process, int signal);
extern int *errno_location(void);

enum { S_FORK = 59, S_EXIT = 60, S_LOADER = 61, S_REPORTED = 63 };

/* Makes a request and waits until it is granted. */
static void request(u64 kind, u64 id, u32 rounds) {
  volatile u64 *slot = 0;
  u32 i, round;
  int saved_errno = *errno_location();
  for (i = 0; i < FOLLOW_SLOTS && !slot; i++)
    if (compare_swap(control + C_FOLLOW + i, 0, kind << 32 | id) == 0) slot = control + C_FOLLOW + i;
  if (slot) {
    fetch_add(control + C_REQUESTS, 1);
    system_call(SYS_FUTEX, control + C_REQUESTS, FUTEX_WAKE, 1, 0, 0, 0);
  }
  for (round = 0; slot && round < rounds && control[C_FOLLOWER] && !(*slot & FOLLOW_GRANTED); round++) {
    usleep(200);
    if (round % 64 == 63 && kill((int)control[C_FOLLOWER], 0) != 0 && *errno_location() == NO_SUCH_PROCESS) break;
  }
  if (slot) *slot = 0;
  *errno_location() = saved_errno;
}

static int is_followed(u64 children) {
  return enabled[0] && control[C_FOLLOWER] && (!children || control[C_CHILDREN]) && (u64)getpid() == state[S_PROCESS];
}

/* Precedes a function of the exec family. */
void recorder_before_exec(void) {
  if (is_followed(0)) request(FOLLOW_EXEC, thread_id(), FOLLOW_ROUNDS);
}

/* Precedes a function that starts a process, which may share this one's memory. */
void recorder_before_start(void) {
  if (is_followed(1)) request(FOLLOW_START, thread_id(), FOLLOW_ROUNDS);
}

/* Replaces fork. In the child `enabled` is zero, so the child's own calls are not recorded by this process's hooks. */
int recorder_fork(void) {
  int followed = is_followed(1), windows = state[S_WINDOWS] != 0, child;
  if (windows) recorder_before_start();
  child = ((int (*)(void))(word)original(S_FORK))();
  if (child == 0 && followed && !windows) request(FOLLOW_FORKED, (u64)getpid(), FORKED_ROUNDS);
  return child;
}

/* An exit waits until the recorder has the names of the functions that were just hooked. S_REPORTED counts the messages of the
   agent, C_RECEIVED those that the recorder has received. */
static void await_reports(void) {
  int round;
  for (round = 0; round < REPORT_ROUNDS && control[C_FOLLOWER] && control[C_RECEIVED] < state[S_REPORTED]; round++) usleep(200);
}

/* Replaces _exit, which every process calls that is not ended by a signal or a raw system call. */
static void note_exit(u32 status) {
  if (!enabled[0] || (u64)getpid() != state[S_PROCESS]) return;
  control[C_ENDED] = 1ULL << 32 | (status & 0xFF);
  await_reports();
}

void recorder_exit_listener(GumInvocationContext *ic) { note_exit((u32)(word)gum_invocation_context_get_nth_argument(ic, 0)); }

void recorder_exit(int status) {
  note_exit((u32)status);
  ((void (*)(int))(word)original(S_EXIT))(status);
}

/* Listener of the loader's notifier. A child process has no agent to call. */
void recorder_loader(GumInvocationContext *ic) {
  if (enabled[0] && (u64)getpid() == state[S_PROCESS]) ((void (*)(void))(word)state[S_LOADER])();
}
