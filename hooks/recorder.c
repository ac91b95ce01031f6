/*
 * The recorder: what runs on the threads of the traced process. Compiled in the target; knows no function and no field.
 *
 * A call is written as two events, before and after it, into blocks of a shared file mapping that outlives the process.
 * What to copy is said by the plan, a small program of u32 words that tracekmt/record/agent/plan.py compiles:
 *
 *   word 0: bytes of a pointer and of an argument (4 or 8)
 *   hook:   number of the call, number of arguments, index of the shape of its arguments (0: none leads on)
 *   shape:  number of pointers, then for each: offset, bytes per element, how many elements more than the count says,
 *           count's level, count's offset, count's size (0: there is no count; BEHIND: a pointer leads to it), how many
 *           elements at least, shape of an element (0: plain bytes), number of conditions, then for each: level, offset,
 *           mask, value, expected: ((word & mask) == value) == expected
 *
 * A level is how many pointers outwards the field lies. The layout of the mapping, C_... and B_..., comes from
 * tracekmt/trace/buffer_format.py, what depends on the processor from x64.c or x86.c, on the system from linux.c or windows.c.
 * Nothing here waits, takes a lock, allocates, or makes a system call (but for a thread's id, once, and mapping more room
 * for a call with very many pointers).
 */
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

/* Given by the agent. */
extern volatile u64 control[];    /* the mapping: control words, queue of free blocks, blocks */
extern volatile u32 enabled[];    /* 1 while hooks record; on a page that a forked child finds zeroed */
extern u64 state[];               /* see the S_ constants */
extern u32 plan[];
extern u8 pool[];                 /* the threads' slots, zeroed at first */

/* Whether functions follow Windows' convention; where guarded reads fault and what then is next, in pairs. What lies between
   is the system's. */
enum { S_WINDOWS = 1, S_SYSTEM = 2, S_FIXUPS = 64, S_FIXUPS_END = 70 };

typedef struct { u64 address, wanted; } Region;

typedef struct {
  volatile u64 taken;             /* cleared when the thread ends; of Windows' threads, the block that Windows has of it */
  volatile u64 *block, *first;    /* the block written to, and the one where this event began */
  u32 used, cursor;               /* bytes of the block that are committed, and written */
  u32 id, busy, failed, part, budget, top, capacity;
  volatile u32 depth;             /* calls of functions that we stand in for, from which the thread has to return here */
  u64 sequence;
  Region *regions;                /* a stack: what each open call's enter event copied */
  Region own[FIRST_REGIONS];
} Thread;

typedef struct { u64 enter; u32 base, count, recorded, passed; } Invocation;
typedef struct Level { const u8 *base; struct Level *up; } Level;
typedef struct { u32 size; u8 kind, last; u16 part; u64 sequence; } Fragment;
typedef struct { u64 address; u32 wanted, got, continued, pad; } Piece;

/* What depends on the system: linux.c or windows.c, compiled behind this file. Nanoseconds of a clock that never goes back;
   memory, 0 where there is none; the state of the thread, from its first call on, 0 if it cannot have one. */
static u64 now(void);
static void *more_memory(u64 size);
static void less_memory(void *memory, u64 size);
static Thread *this_thread(void);

/* Where a guarded read goes on that faulted at a place; 0 where none is there. */
static word behind_fault(word place) {
  u32 i;
  for (i = S_FIXUPS; i < S_FIXUPS_END; i += 2)
    if (place == (word)state[i]) return (word)state[i + 1];
  return 0;
}

/* Notes where guarded reads may fault. */
static void find_fixups(void) {
  u8 byte = 0;
  u32 four = 0;
  guarded_copy(&byte, &byte, 1, state + S_FIXUPS);
  guarded_load(&four, state + S_FIXUPS + 4);
}

/* A slot for a thread that was not seen before. It goes on in the block of the thread that had the slot before it, so that
   threads which come and go cost nothing. */
static Thread *begin_thread(Thread *t, u32 id) {
  t->busy = t->top = t->depth = 0;
  t->id = id;
  if (!t->regions) {
    t->regions = t->own;
    t->capacity = FIRST_REGIONS;
  }
  return t;
}

/* Threads of Windows are told apart by their blocks, which later threads have again under another number. Nothing of libc
   is asked under Wine: 32-bit programs have a segment register of their own where libc's belongs. */
static Thread *windows_thread(void) {
  u64 block = windows_block();
  u32 id = (u32)windows_number(block), i;
  for (i = 0; i < SLOTS; i++) {
    Thread *t = (Thread *)(pool + ((u32)(block >> 12) + i) % SLOTS * SLOT_SIZE);
    if (!t->taken && compare_swap(&t->taken, 0, block) == 0) return begin_thread(t, id);
    if (t->taken == block) return t->id == id ? t : begin_thread(t, id);
  }
  return 0;
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
    Region *larger = more_memory(2 * size);
    if (!larger) return;
    for (i = 0; i < t->capacity; i++) larger[i] = t->regions[i];
    if (t->regions != t->own) less_memory(t->regions, size);
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
    id = queue[(u32)head % (u32)control[C_BLOCK_COUNT]];  /* 32 bits of blocks are 64 TB */
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
  put(t, now());
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
    piece->got = (u32)(n - guarded_copy(piece + 1, (void *)(word)(address + done), n, scratch));
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
    base = (const u8 *)(word)read_field(base, offset, plan[0]);
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
            inner.base = (const u8 *)(word)(pointer + offset);
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

/* Around a function that Gum calls us for: it may have any number of parameters, which stay where they are. */
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
  for (i = 0; i < hook[1]; i++) given[i] = argument(ic, i, (u32)state[S_WINDOWS]);
  enter(t, invocation, hook, given, (word)gum_invocation_context_get_return_address(ic));
}

void onLeave(GumInvocationContext *ic) {
  Invocation *invocation = GUM_IC_GET_INVOCATION_DATA(ic, Invocation);
  if (enabled[0] && !invocation->passed) leave(this_thread(), invocation, (word)gum_invocation_context_get_return_value(ic));
}
