/*
 * A program that starts, loads, ends and jumps in every way, each by name: behaviours LIBRARY START LOAD END.
 * It prints how many calls it made itself, and its children's statuses. With -DLIBRARY it is the library.
 */
#include <csetjmp>
#include <cstdint>

#ifdef LIBRARY

extern "C" uint32_t D3DKMTCloseAdapter(uint32_t *argument) {
  uintptr_t address = (uintptr_t)argument;
  return address < 4096 ? 0xC000000Du : 0;
}
extern "C" uint32_t D3DKMTDestroyDevice(uint32_t *argument) { longjmp(*(jmp_buf *)(uintptr_t)(void *)argument, 1); }
extern "C" uint32_t D3DKMTDestroyContext(uint32_t *) { throw 1; }

#else

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

typedef uint32_t (*Function)(void *);
static const char *library;
static char *self;
static Function close_adapter, destroy_device, destroy_context;
static int made;
static uint32_t handle[64] = {64};

static void load(void) {
  void *loaded = dlopen(library, RTLD_NOW);
  if (!loaded) abort();
  close_adapter = (Function)dlsym(loaded, "D3DKMTCloseAdapter");
  destroy_device = (Function)dlsym(loaded, "D3DKMTDestroyDevice");
  destroy_context = (Function)dlsym(loaded, "D3DKMTDestroyContext");
}

static void calls(int count) {
  for (int i = 0; i < count; i++) {
    __sync_fetch_and_add(&made, 1);
    close_adapter(handle);
  }
}

static int status_of(pid_t child) {
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

static int exec_in_child(void *) {
  char *argv[] = {(char *)"sh", (char *)"-c", (char *)"exit 4", nullptr};
  execv("/bin/sh", argv);
  _exit(9);
}

static int start_one(const char *how) {
  char *argv[] = {(char *)"sh", (char *)"-c", (char *)"exit 4", nullptr};
  static char stack[1 << 16];
  pid_t child = -1;
  if (!strcmp(how, "posix_spawn")) posix_spawn(&child, "/bin/sh", nullptr, nullptr, argv, environ);
  else if (!strcmp(how, "posix_spawnp")) posix_spawnp(&child, "sh", nullptr, nullptr, argv, environ);
  else if (!strcmp(how, "system")) return system("exit 4");
  else if (!strcmp(how, "popen")) return pclose(popen("exit 4", "r"));
  else if (!strcmp(how, "fork_exit")) { if (!(child = fork())) _exit(4); }
  else if (!strcmp(how, "fork_exec")) { if (!(child = fork())) exec_in_child(nullptr); }
  else if (!strcmp(how, "vfork_exit")) { if (!(child = vfork())) _exit(4); }
  else if (!strcmp(how, "vfork_exec")) { if (!(child = vfork())) { execv("/bin/sh", argv); _exit(9); } }
  else if (!strcmp(how, "vfork_no_program")) { if (!(child = vfork())) { execv("/nothing", argv); _exit(4); } }
  else if (!strcmp(how, "clone")) child = clone(exec_in_child, stack + sizeof stack, SIGCHLD, nullptr);
  else if (!strcmp(how, "clone_vm")) child = clone(exec_in_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr);
  else if (!strcmp(how, "raw_fork")) { if (!(child = (pid_t)syscall(SYS_fork))) syscall(SYS_exit_group, 4); }
  else if (!strcmp(how, "no_program")) { execv("/nothing", argv); return 4 << 8; }
  else return 0;
  return status_of(child);
}

static void *start_in_thread(void *how) {
  for (int i = 0; i < 3; i++) {
    int status = start_one((const char *)how);
    if (status != 4 << 8) printf("a child's status is %x\n", status);
    calls(10);
  }
  return nullptr;
}

static void start(const char *how) {
  if (!strncmp(how, "threads_", 8)) {
    pthread_t threads[3];
    for (auto &thread : threads) pthread_create(&thread, nullptr, start_in_thread, (void *)(how + 8));
    for (auto &thread : threads) pthread_join(thread, nullptr);
  } else if (!strcmp(how, "exec") || !strcmp(how, "exec_thread")) {
    char *argv[] = {self, (char *)library, (char *)"none", (char *)"once", (char *)"return", nullptr};
    fflush(stdout);
    if (!strcmp(how, "exec")) execv("/proc/self/exe", argv);
    pthread_t thread;
    pthread_create(&thread, nullptr, [](void *words) -> void * { execv("/proc/self/exe", (char **)words); return nullptr; }, argv);
    pthread_join(thread, nullptr);
  } else if (strcmp(how, "none")) {
    for (int i = 0; i < 3; i++) {
      printf("%x ", start_one(how));
      calls(10);
    }
  }
}

static void load_and_unload(const char *how) {
  int rounds = strcmp(how, "reload") ? 0 : 5;
  for (int i = 0; i < rounds; i++) {
    void *loaded = dlopen(library, RTLD_NOW);
    Function function = (Function)dlsym(loaded, "D3DKMTCloseAdapter");
    for (int call = 0; call < 10; call++, made++) function(handle);
    dlclose(loaded);
  }
}

static void *bad_pointer(void *) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  unsigned refused = 0;
  for (int i = 0; i < 5; i++, made++) refused += close_adapter((void *)16) == 0xC000000Du;
  printf("%u refused ", refused);
  return nullptr;
}

static void jump(const char *how) {
  for (int i = 0; i < 200; i++) {
    jmp_buf there;
    if (!strcmp(how, "longjmp")) {
      made++;
      if (!setjmp(there)) destroy_device(&there);
      calls(1);
    } else if (!strcmp(how, "throw")) {
      made++;
      try { destroy_context(handle); } catch (int) {}
      calls(1);
    }
  }
}

static void *work(void *) {
  calls(10);
  usleep(50000);
  printf("calls %d\n", made);
  return nullptr;
}

int main(int argc, char **argv) {
  if (argc != 5) return 1;
  const char *end = argv[4];
  // A recorder that attaches says when it has.
  if (const char *begin = getenv("BEGIN"))
    while (access(begin, F_OK)) usleep(1000);
  self = argv[0];
  library = argv[1];
  pthread_t thread;
  load_and_unload(argv[3]);
  load();
  calls(10);
  start(argv[2]);
  if (!strcmp(argv[3], "bad_pointer")) {
    pthread_create(&thread, nullptr, bad_pointer, nullptr);
    pthread_join(thread, nullptr);
  }
  jump(argv[3]);
  if (!strcmp(end, "pthread_exit")) {
    pthread_create(&thread, nullptr, work, nullptr);
    pthread_exit(nullptr);
  }
  if (!strcmp(end, "close_range")) {
    syscall(SYS_close_range, 3, ~0u, 0);
    calls(10);
  }
  printf("calls %d\n", made);
  fflush(stdout);
  if (!strcmp(end, "exit")) exit(7);
  if (!strcmp(end, "_exit")) _exit(7);
  if (!strcmp(end, "raw_exit")) syscall(SYS_exit, 7);
  if (!strcmp(end, "raw_exit_group")) syscall(SYS_exit_group, 7);
  if (!strcmp(end, "abort")) abort();
  if (!strcmp(end, "fault")) *(volatile int *)8 = 1;
  if (!strcmp(end, "kill")) kill(getpid(), SIGKILL);
  if (!strcmp(end, "terminate")) { kill(getpid(), SIGTERM); pause(); }
  return 5;
}

#endif
