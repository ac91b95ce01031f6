/*
 * The recorder: what runs on the threads of the traced process. Compiled in the target; knows no function and no field.
 *
 * A call is written as two events, before and after it, into blocks of a shared file mapping that outlives the process.
 * What to copy is said by the plan, a small program of u32 words that tracekmt/record/plan.py compiles:
 *
 *   word 0: bytes of a pointer and of an argument (4 or 8)
 *   hook:   number of the call, number of arguments, index of the shape of its arguments (0: none leads on)
 *   shape:  number of pointers, then for each: offset, bytes per element, how many elements more than the count says,
 *           count's level, count's offset, count's size (0: there is no count; BEHIND: a pointer leads to it), how many
 *           elements at least, shape of an element (0: plain bytes), number of conditions, then for each: level, offset,
 *           mask, value, expected: ((word & mask) == value) == expected
 *
 * A level is how many pointers outwards the field lies. The layout of the mapping, C_... and B_..., comes from
 * tracekmt/trace/spooled.py.
 * Nothing here waits, takes a lock, allocates, or makes a system call (but for a thread's id, once, and mapping more room
 * for a call with very many pointers).
 */
#include <gum/guminterceptor.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef size_t word;

#define ENTER 1
#define LEAVE 2
#define MIN_ROOM 512              /* a fragment's header with its arguments fits */
#define MAX_ARGUMENTS 16
#define REGION_LIMIT (8u << 20)   /* bytes copied of one region; a count may be absurd */
#define EVENT_LIMIT (16u << 20)   /* bytes copied of one event */
#define SLOT_SIZE 4096            /* one thread's state; the agent reserves room for SLOTS of them */
#define SLOTS 8192
#define FIRST_REGIONS 240
#define BEHIND 0x100
#define WORDS_LIMIT 512           /* up to so many bytes words are quicker than one instruction for all bytes */

/* Given by the agent. */
extern volatile u64 control[];    /* the mapping: control words, queue of free blocks, blocks */
extern volatile u32 enabled[];    /* 1 while hooks record; on a page that a forked child finds zeroed */
extern u64 state[];               /* see the S_ constants */
extern u32 plan[];
extern u8 pool[];                 /* the threads' slots, zeroed at first */
extern void *thread_get(u64 key);
extern int thread_set(u64 key, void *value);
extern u32 thread_id(void);
extern void *memory_map(void *where, size_t size, int protection, int flags, int file, long long offset);
extern int memory_unmap(void *memory, size_t size);
extern int clock_gettime(int clock, u64 *time);
extern int sigaction(int signal, const void *action, void *old);
extern int pthread_sigmask(int how, const void *set, void *old);
extern int raise(int signal);
extern int getpid(void);

/* Where guarded reads fault and what then is next, in pairs, the key of threads, the program's own actions for the two signals (struct sigaction),
   where its replaced functions have gone, and whether functions follow Windows' convention. */
enum { S_WINDOWS = 1, S_KEY = 2, S_SEGV = 8, S_BUS = 32, S_SIGACTION = 56, S_SIGNAL = 57, S_PROCESS = 58, S_FIXUPS = 64, S_FIXUPS_END = 70 };
enum { SEGV = 11, BUS = 7, ACTION_WORDS = 19 };
#define A_FLAGS(action) ((u32 *)(action))[34]
#define F_SIGINFO 0x4u
#define F_ONSTACK 0x08000000u
#define F_RESTART 0x10000000u
#define F_NODEFER 0x40000000u
#define F_RESETHAND 0x80000000u

typedef struct { u64 address, wanted; } Region;

typedef struct {
  volatile u64 taken;             /* cleared when the thread ends */
  volatile u64 *block, *first;    /* the block written to, and the one where this event began */
  u32 used, cursor;               /* bytes of the block that are committed, and written */
  u32 id, busy, failed, part, budget, top, capacity;
  volatile u32 depth;             /* calls of functions that we stand in for, from which the thread has to return here */
  u64 sequence;
  Region *regions;                /* a stack: what each open call's enter event copied */
  Region own[FIRST_REGIONS];
} Thread;

typedef struct { u64 enter; u32 base, count, recorded, passed; } Invocation;
typedef struct { const u32 *entry; volatile u64 original, function; } Hook;  /* function: for the code that original is */
typedef u64 (*Function)(u64, u64, u64, u64, u64, u64);
typedef struct Level { const u8 *base; struct Level *up; } Level;
typedef struct { u32 size; u8 kind, last; u16 part; u64 sequence; } Fragment;
typedef struct { u64 address; u32 wanted, got, continued, pad; } Piece;

static u64 fetch_add(volatile u64 *at, u64 n) {
  __asm__ volatile("lock xaddq %0, (%1)" : "+r"(n) : "r"(at) : "memory");
  return n;
}

static u64 compare_swap(volatile u64 *at, u64 expected, u64 wanted) {
  u64 seen;
  __asm__ volatile("lock cmpxchgq %2, (%3)" : "=a"(seen) : "0"(expected), "r"(wanted), "r"(at) : "memory");
  return seen;
}

/* Copies n bytes and gives how many were NOT copied: words while they are few, then bytes. A fault at either is moved by
   on_fault to where the next is tried; where those places lie is told in place[0] to place[3]. */
static u64 guarded_copy(void *to, const void *from, u64 n, u64 *place) {
  u64 words = n <= WORDS_LIMIT ? n >> 3 : 0, left = n - (words << 3);
  __asm__ volatile(
      "lea 1f(%%rip), %%rax; mov %%rax, (%4); lea 2f(%%rip), %%rax; mov %%rax, 8(%4);"
      "lea 3f(%%rip), %%rax; mov %%rax, 16(%4); lea 4f(%%rip), %%rax; mov %%rax, 24(%4);"
      "test %3, %3; jz 2f;"
      "1: mov (%2), %%rax; mov %%rax, (%1); add $8, %2; add $8, %1; dec %3; jnz 1b;"
      "2: lea (%0, %3, 8), %0; test %0, %0; jz 4f;"
      "3: rep movsb; 4:"
      : "+c"(left), "+D"(to), "+S"(from), "+d"(words) : "r"(place) : "rax", "memory");
  return left;
}

/* Four bytes, 0 where they cannot be read. */
static u32 guarded_load(const void *from, u64 *place) {
  u64 value = 0;
  __asm__ volatile(
      "lea 1f(%%rip), %%rax; mov %%rax, (%2); lea 2f(%%rip), %%rax; mov %%rax, 8(%2);"
      "xor %%eax, %%eax; 1: mov (%1), %%eax; 2:"
      : "+a"(value) : "S"(from), "D"(place) : "memory");
  return (u32)value;
}

/* The original of a replaced function; it may be called before the agent could note where that is. */
static u64 original(u32 slot) {
  volatile u64 *at = state + slot;
  while (!*at) {}
  return *at;
}

static int real_sigaction(int signal, const void *action, void *old) {
  if (!state[S_SIGACTION]) return sigaction(signal, action, old);
  return ((int (*)(int, const void *, void *))state[S_SIGACTION])(signal, action, old);
}

static u64 *program_action(int signal) { return state + (signal == SEGV ? S_SEGV : S_BUS); }

/* Every fault that is not ours goes on to the program's own action, as the kernel would have delivered it. */
static void on_fault(int signal, int *info, u64 *context) {
  u64 *registers = context + 5, *action = program_action(signal), handler = action[0], mask[16];
  u32 flags = A_FLAGS(action), i;
  for (i = S_FIXUPS; i < S_FIXUPS_END; i += 2)
    if (registers[16] == state[i]) {
      registers[16] = state[i + 1];
      return;
    }
  if (handler > 1) {
    for (i = 0; i < 16; i++) mask[i] = action[1 + i];
    if (!(flags & F_NODEFER)) mask[0] |= 1ULL << (signal - 1);
    pthread_sigmask(0, mask, 0);
    if (flags & F_RESETHAND) action[0] = 0;
    if (flags & F_SIGINFO) ((void (*)(int, int *, u64 *))handler)(signal, info, context);
    else ((void (*)(int))handler)(signal);
  } else if (handler == 0 || info[2] > 0) {
    /* The default, or an ignored fault, which ends the process all the same: let it happen again without us. */
    u64 fallback[ACTION_WORDS] = {0};
    real_sigaction(signal, fallback, 0);
    if (info[2] <= 0) raise(signal);
  }
}

/* Stand in for sigaction and signal: the program sees and sets its own action, ours stays in front of it. */
int recorder_sigaction(int signal, const u64 *action, u64 *old) {
  u64 given[ACTION_WORDS], *mine = program_action(signal);
  u32 i;
  if (signal != SEGV && signal != BUS)
    return ((int (*)(int, const void *, void *))original(S_SIGACTION))(signal, action, old);
  for (i = 0; action && i < ACTION_WORDS; i++) given[i] = action[i];
  for (i = 0; old && i < ACTION_WORDS; i++) old[i] = mine[i];
  for (i = 0; action && i < ACTION_WORDS; i++) mine[i] = given[i];
  return 0;
}

u64 recorder_signal(int signal, u64 handler) {
  u64 action[ACTION_WORDS] = {0}, old[ACTION_WORDS];
  if (signal != SEGV && signal != BUS) return ((u64 (*)(int, u64))original(S_SIGNAL))(signal, handler);
  action[0] = handler;
  action[1] = 1ULL << (signal - 1);
  A_FLAGS(action) = F_RESTART;
  recorder_sigaction(signal, action, old);
  return old[0];
}

/* Before _exit, which every end of a process leads to that is no signal's: the system tells its status to nobody but the
   parent. A child that was made by vfork comes here too. */
void recorder_exit(GumInvocationContext *ic) {
  u32 status = (u32)(word)gum_invocation_context_get_nth_argument(ic, 0) & 0xFF;
  if (enabled[0] && (u64)getpid() == state[S_PROCESS]) control[C_ENDED] = 1ULL << 32 | status;
}

void recorder_start(void) {
  u64 action[ACTION_WORDS] = {0};
  u8 byte = 0;
  state[S_PROCESS] = (u64)getpid();
  guarded_copy(&byte, &byte, 1, state + S_FIXUPS);
  guarded_load(action, state + S_FIXUPS + 4);
  action[0] = (u64)on_fault;
  A_FLAGS(action) = F_SIGINFO | F_ONSTACK | F_NODEFER;
  sigaction(SEGV, action, state + S_SEGV);
  sigaction(BUS, action, state + S_BUS);
}

/* Gives the signals back, after sigaction and signal are themselves again; 0 if somebody has put a handler on top of
   ours by a system call of its own: then ours has to stay. */
int recorder_stop(void) {
  u64 current[ACTION_WORDS];
  enabled[0] = 0;
  sigaction(SEGV, 0, current);
  if (current[0] != (u64)on_fault) return 0;
  sigaction(BUS, 0, current);
  if (current[0] != (u64)on_fault) return 0;
  sigaction(SEGV, state + S_SEGV, 0);
  sigaction(BUS, state + S_BUS, 0);
  return 1;
}

/* The state of the thread, from its first call on; 0 if it cannot have one. It goes on in the block of the thread that had
   the slot before it, so that threads which come and go cost nothing. The call may come from a signal handler, so
   nothing is allocated: libc's own locks may be held. */
static Thread *this_thread(void) {
  Thread *t = thread_get(state[S_KEY]);
  u32 i;
  if (t) return t;
  for (i = 0; i < SLOTS; i++) {
    t = (Thread *)(pool + i * SLOT_SIZE);
    if (!t->taken && compare_swap(&t->taken, 0, 1) == 0) break;
  }
  if (i == SLOTS) return 0;
  t->busy = t->top = t->depth = 0;
  t->id = thread_id();
  if (!t->regions) {
    t->regions = t->own;
    t->capacity = FIRST_REGIONS;
  }
  if (thread_set(state[S_KEY], t)) {
    t->taken = 0;
    return 0;
  }
  return t;
}

/* Whether a thread has to return here: then the code has to stay. */
u32 recorder_inside(void) {
  u32 i, found = 0;
  for (i = 0; i < SLOTS; i++) {
    Thread *t = (Thread *)(pool + i * SLOT_SIZE);
    if (t->taken) found += t->depth;
  }
  return found;
}

static void remember(Thread *t, u64 address, u64 wanted) {
  if (t->top == t->capacity) {
    u64 size = t->capacity * sizeof(Region), i;
    Region *larger = memory_map(0, 2 * size, 3, 0x22, -1, 0);
    if (larger == (Region *)-1) return;
    for (i = 0; i < t->capacity; i++) larger[i] = t->regions[i];
    if (t->regions != t->own) memory_unmap(t->regions, size);
    t->regions = larger;
    t->capacity *= 2;
  }
  t->regions[t->top].address = address;
  t->regions[t->top++].wanted = wanted;
}

/* Leaves the thread's block, if it has one, for a free one; 0 if none is free. */
static int take_block(Thread *t) {
  volatile u32 *queue = (volatile u32 *)((volatile u8 *)control + control[C_QUEUE]);
  u64 head, id;
  if (t->block) t->block[B_CLOSED] = 1;
  t->block = 0;
  do {
    head = control[C_HEAD];
    if (head >= control[C_TAIL]) return 0;
    id = queue[head % control[C_BLOCK_COUNT]];
  } while (compare_swap(control + C_HEAD, head, head + 1) != head);
  t->block = (volatile u64 *)((volatile u8 *)control + control[C_BLOCKS] + id * control[C_BLOCK_SIZE]);
  t->block[B_USED] = 1;
  t->used = 0;
  return 1;
}

static u32 room(Thread *t) { return (u32)control[C_BLOCK_SIZE] - BLOCK_HEADER - t->cursor; }

static u8 *at_cursor(Thread *t) { return (u8 *)t->block + BLOCK_HEADER + t->cursor; }

static void open_fragment(Thread *t, u8 kind) {
  Fragment *f;
  t->cursor = t->used;
  f = (Fragment *)at_cursor(t);
  f->kind = kind;
  f->part = (u16)t->part++;
  f->sequence = t->sequence;
  t->cursor += sizeof(Fragment);
}

static void close_fragment(Thread *t, u8 last) {
  Fragment *f = (Fragment *)((u8 *)t->block + BLOCK_HEADER + t->used);
  f->size = t->cursor - t->used;
  f->last = last;
  t->used = t->cursor;
  t->block[B_COMMITTED] = t->used;
}

static void put(Thread *t, u64 value) {
  *(u64 *)at_cursor(t) = value;
  t->cursor += 8;
}

static void lose(void) {
  fetch_add(control + C_SEQUENCE, 1);
  fetch_add(control + C_LOST, 1);
}

static int begin(Thread *t, u8 kind) {
  u64 time[2];
  if ((!t->block || (u32)control[C_BLOCK_SIZE] - BLOCK_HEADER - t->used < MIN_ROOM) && !take_block(t)) {
    lose();
    return 0;
  }
  /* Published before the number is taken, so that the reader knows from where on to wait for this thread. */
  t->first = t->block;
  t->first[B_ACTIVE] = control[C_SEQUENCE];
  t->sequence = fetch_add(control + C_SEQUENCE, 1);
  t->part = t->failed = 0;
  t->budget = EVENT_LIMIT;
  open_fragment(t, kind);
  clock_gettime(1, time);
  put(t, time[0] * 1000000000ULL + time[1]);
  return 1;
}

static void end(Thread *t) {
  if (t->failed) fetch_add(control + C_LOST, 1);
  else close_fragment(t, 1);
  t->first[B_ACTIVE] = IDLE;
}

/* Copies a region into the event, in pieces where a block ends; gives the bytes that could be read. */
static u64 copy_region(Thread *t, u8 kind, u64 address, u64 wanted) {
  u64 scratch[4], done = 0, limit = wanted < REGION_LIMIT ? wanted : REGION_LIMIT;
  if (limit > t->budget) limit = t->budget;
  do {
    Piece *piece;
    u64 n = limit - done;
    if (t->failed) return done;
    if (room(t) < sizeof(Piece) + 64) {
      close_fragment(t, 0);
      if (!take_block(t)) {
        t->failed = 1;
        return done;
      }
      open_fragment(t, kind);
    }
    piece = (Piece *)at_cursor(t);
    if (n > (room(t) - sizeof(Piece) & ~7u)) n = room(t) - sizeof(Piece) & ~7u;
    piece->address = address + done;
    piece->continued = done != 0;
    piece->got = (u32)(n - guarded_copy(piece + 1, (void *)(address + done), n, scratch));
    piece->wanted = wanted - done > 0xFFFFFFFFu ? 0xFFFFFFFFu : (u32)(wanted - done);
    done += piece->got;
    t->cursor += sizeof(Piece) + (piece->got + 7 & ~7u);
    if (piece->got < n) break;
  } while (done < limit);
  t->budget -= (u32)done;
  return done;
}

static u64 read_field(const u8 *base, u32 offset, u32 size) {
  u64 value = 0, scratch[4];
  if (size == 4) return guarded_load(base + offset, scratch);
  guarded_copy(&value, base + offset, size, scratch);
  return value;
}

static const u8 *outwards(const Level *level, u32 steps) {
  while (steps--) level = level->up;
  return level->base;
}

static u64 read_count(const u32 *pointer, const Level *level) {
  const u8 *base;
  u32 offset = pointer[4], size = pointer[5];
  u64 count;
  if (!size) return pointer[2];
  base = outwards(level, pointer[3]);
  if (size & BEHIND) {
    base = (const u8 *)read_field(base, offset, plan[0]);
    size ^= BEHIND;
    offset = 0;
  }
  count = read_field(base, offset, size) + pointer[2];
  return count < pointer[6] ? pointer[6] : count;
}

/* Copies what the pointers of one structure lead to, and what that leads to. */
static void walk(Thread *t, const u32 *shape, Level *level) {
  u32 pointers = *shape++;
  while (pointers--) {
    u32 conditions = shape[8], holds = 1;
    const u32 *condition = shape + 9;
    for (; conditions--; condition += 5) {
      u32 found = (u32)read_field(outwards(level, condition[0]), condition[1], 4);
      if (((found & condition[2]) == condition[3]) != condition[4]) holds = 0;
    }
    if (holds) {
      u64 pointer = read_field(level->base, shape[0], plan[0]), count = read_count(shape, level), got;
      u64 wanted = count > 0xFFFFFFFFu ? 0xFFFFFFFFu : count * shape[1];
      if (pointer && wanted) {
        remember(t, pointer, wanted);
        got = copy_region(t, ENTER, pointer, wanted);
        if (shape[7]) {
          Level inner;
          u64 offset;
          inner.up = level;
          for (offset = 0; offset + shape[1] <= got; offset += shape[1]) {
            inner.base = (const u8 *)pointer + offset;
            walk(t, plan + shape[7], &inner);
          }
        }
      }
    }
    shape = condition;
  }
}

/* Writes the enter event of a call; the invocation remembers what the leave event needs. */
static void enter(Thread *t, Invocation *invocation, const u32 *hook, const u64 *given, u64 caller) {
  u8 arguments[MAX_ARGUMENTS * 8];
  Level level;
  u32 i;
  invocation->recorded = 0;
  if (!t || t->busy) {  /* busy: a signal handler's call in the middle of ours */
    lose();
    return;
  }
  t->busy = 1;
  if (begin(t, ENTER)) {
    invocation->enter = t->sequence;
    invocation->base = t->top;
    put(t, hook[0]);
    put(t, caller);
    put(t, t->id);
    put(t, hook[1]);
    for (i = 0; i < hook[1]; i++) {
      if (plan[0] == 8) *(u64 *)(arguments + 8 * i) = given[i];
      else *(u32 *)(arguments + 4 * i) = (u32)given[i];
      put(t, given[i]);
    }
    level.base = arguments;
    level.up = 0;
    if (hook[2]) walk(t, plan + hook[2], &level);
    end(t);
    invocation->count = t->top - invocation->base;
    invocation->recorded = !t->failed;
    if (t->failed) t->top = invocation->base;
  }
  t->busy = 0;
}

/* Copies the same regions again: pointers and counts are those that the call was entered with. */
static void leave(Thread *t, Invocation *invocation, u64 result) {
  u32 i;
  if (!invocation->recorded || !t || t->busy) {
    lose();
    return;
  }
  t->busy = 1;
  if (begin(t, LEAVE)) {
    put(t, invocation->enter);
    put(t, result);
    for (i = 0; i < invocation->count; i++) {
      Region *region = t->regions + invocation->base + i;
      copy_region(t, LEAVE, region->address, region->wanted);
    }
    end(t);
  }
  t->top = invocation->base;
  t->busy = 0;
}

/* Stands in for a function whose parameters are known, all of them words in registers. A stub that the agent makes calls
   it with the hook, and with the address that the function was called from, behind them. */
u64 recorder_call(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f, Hook *hook, u64 caller) {
  u64 given[6], result;
  Invocation invocation;
  Function function;
  Thread *t;
  while (!hook->original) {}  /* the stub may be called before the agent could note it */
  function = (Function)hook->original;
  if (!enabled[0]) return function(a, b, c, d, e, f);
  given[0] = a; given[1] = b; given[2] = c; given[3] = d; given[4] = e; given[5] = f;
  t = this_thread();
  /* A function of Windows may call another that is hooked too; what the program asked for is recorded, once. */
  if (t && t->depth && state[S_WINDOWS]) return function(a, b, c, d, e, f);
  if (t) t->depth++;
  enter(t, &invocation, hook->entry, given, caller);
  result = function(a, b, c, d, e, f);
  if (enabled[0]) leave(t, &invocation, result);
  if (t) t->depth--;
  return result;
}

u64 recorder_nothing(void) { return 0; }

/* Nanoseconds that a call of a stub takes, the least of some rounds, before anything else is recorded. What a call writes
   is forgotten at once: it never leaves the thread's first block. */
u64 recorder_measure(Function stub, u64 argument, u32 calls) {
  u64 best = ~0ULL, begin[2], end[2], took, sequence = control[C_SEQUENCE], lost = control[C_LOST];
  Thread *t = 0;
  u32 round, i;
  for (round = 0; round < 8; round++) {
    clock_gettime(1, begin);
    for (i = 0; i < calls; i++) {
      stub(argument, argument, argument, argument, 0, 0);
      t = this_thread();
      if (t && t->block) t->used = 0;
    }
    clock_gettime(1, end);
    took = (end[0] - begin[0]) * 1000000000ULL + end[1] - begin[1];
    if (took < best) best = took;
    if (t && t->block) t->block[B_COMMITTED] = 0;
    control[C_SEQUENCE] = sequence;
    control[C_LOST] = lost;
  }
  return best / calls;
}

/* A parameter of a function of Windows: Gum's own getter follows the convention of Linux. */
static u64 windows_argument(GumInvocationContext *ic, u32 i) {
  u64 scratch[4], value = 0;
  switch (i) {
    case 0: return ic->cpu_context->rcx;
    case 1: return ic->cpu_context->rdx;
    case 2: return ic->cpu_context->r8;
    case 3: return ic->cpu_context->r9;
  }
  guarded_copy(&value, (u8 *)ic->cpu_context->rsp + 8 + 8 * i, 8, scratch);
  return value;
}

/* The same for a function that nobody has described, which may have more parameters: Gum leaves them where they are. */
void onEnter(GumInvocationContext *ic) {
  const u32 *hook = GUM_IC_GET_FUNC_DATA(ic, const u32 *);
  Invocation *invocation = GUM_IC_GET_INVOCATION_DATA(ic, Invocation);
  u64 given[MAX_ARGUMENTS];
  Thread *t;
  u32 i;
  invocation->recorded = 0;
  invocation->passed = 0;
  if (!enabled[0]) return;
  t = this_thread();
  if (t && t->depth && state[S_WINDOWS]) {
    invocation->passed = 1;
    return;
  }
  for (i = 0; i < hook[1]; i++)
    given[i] = state[S_WINDOWS] ? windows_argument(ic, i) : (word)gum_invocation_context_get_nth_argument(ic, i);
  enter(t, invocation, hook, given, (u64)gum_invocation_context_get_return_address(ic));
}

void onLeave(GumInvocationContext *ic) {
  Invocation *invocation = GUM_IC_GET_INVOCATION_DATA(ic, Invocation);
  if (enabled[0] && !invocation->passed) leave(this_thread(), invocation, (u64)gum_invocation_context_get_return_value(ic));
}
