/*
 * The recorder. It runs on the threads of the target process and is compiled there. It contains no function or field names.
 *
 * Each call is written as two events, before and after it, into blocks of a shared file mapping that outlives the process.
 * The plan selects the memory to copy. It is a program of u32 words that tracekmt/record/agent/plan.py compiles:
 *
 *   word 0: bytes of a pointer and of an argument (4 or 8)
 *   hook:   description id, number of arguments, index of the shape of the arguments (0: no pointers), index of its faults in
 *           call.c (0: none)
 *   shape:  number of pointers, then for each: offset of the pointer, bytes per element, number of elements to add to the
 *           length, level of the length, offset of the length, size of the length (0: no length; DEREFERENCE: the field is a
 *           pointer to it), minimum number of elements, shape of an element (0: no pointers), number of conditions, then for
 *           each: level, offset, mask, value, expected: ((word & mask) == value) == expected
 *
 * A level is the number of pointers from the current structure outwards to the one that has the field. The layout of the
 * mapping, C_... and B_..., comes from tracekmt/trace/buffer_format.py. x64.c or x86.c is the processor's part, linux.c or
 * windows.c the system's part.
 *
 * The code never waits, takes a lock or allocates. It makes a system call only for a thread's id, once, and to map memory for
 * the regions of a call with very many pointers.
 */
#define ENTER 1
#define LEAVE 2
#define MIN_FREE 512              /* bytes for a fragment's header and its arguments */
#define MAX_ARGUMENTS 16
#define REGION_LIMIT (8u << 20)   /* bytes copied of one region, because a length may be invalid */
#define EVENT_LIMIT (16u << 20)   /* bytes copied of one event */
#define SLOT_SIZE 4096            /* bytes of one thread's state; the agent reserves SLOTS of them */
#define SLOTS 8192
#define FIRST_REGIONS 200
#define OPEN_CALLS 24             /* nested calls of a thread whose frames are kept */
#define NEARBY (1u << 20)         /* bytes within which two frames are assumed to be on one stack */
#define DEREFERENCE 0x100

/* Symbols that the agent provides. */
extern volatile u64 control[];    /* the mapping: control words, queue of free blocks, blocks */
extern volatile u32 enabled[];    /* 1 while hooks record; on a page that is zero in a forked child */
extern u64 state[];               /* indexed by the S_ constants */
extern u32 plan[];
extern u8 pool[];                 /* slots of the threads' states, initially zero */

/* S_WINDOWS: 1 if functions follow the calling convention of Windows. From S_FIXUPS: pairs of an instruction of a guarded
   read that may fault, and the address to resume at. S_THREADS: number of threads that made calls so far. S_START: time of the
   start. S_MAILBOX: the mailbox of mailbox.c, 0 if the functions answer. The indexes from S_SYSTEM belong to the system's part. */
enum { S_WINDOWS = 1, S_SYSTEM = 2, S_FIXUPS = 64, S_FIXUPS_END = 70, S_THREADS = 72, S_START = 73, S_MAILBOX = 74 };

typedef struct { u64 address, requested; } Region;
typedef struct { word frame; u64 cookie; u32 base, pad; } OpenCall;

typedef struct {
  volatile u64 taken;             /* nonzero while a thread has the slot; the address of its TEB for a Windows thread */
  volatile u64 *block, *first;    /* the block being written, and the one where the current event began */
  u32 used, cursor;               /* bytes of the block that are committed, and that are written */
  u32 id, busy, failed, part, budget, top, capacity, number;  /* number: of the thread, by its first call */
  volatile u32 depth;             /* open calls, which return through the recorder; open[] has the first of them */
  u32 masked;                     /* the thread blocks the signals that a guarded read may raise */
  u64 sequence, cookie;
  OpenCall open[OPEN_CALLS];
  Region *regions;                /* a stack: the regions that the enter event of each open call copied */
  Region own[FIRST_REGIONS];
} Thread;

typedef struct { u64 cookie, enter; u32 base, count, recorded, is_nested; word frame; } Invocation;
typedef struct Level { const u8 *base; struct Level *up; } Level;
typedef struct { u32 size; u8 kind, last; u16 part; u64 sequence; } Fragment;
typedef struct { u64 address; u32 requested, copied, continued, pad; } Piece;

/* The system's part: linux.c or windows.c, compiled after this file.
   now: nanoseconds of a monotonic clock. pause_thread: lets the thread sleep. allocate_pages: 0 without memory. this_thread: the state of the calling thread,
   created at its first call, 0 without a free slot. */
static u64 now(void);
static void pause_thread(u32 microseconds);
static void *allocate_pages(u64 size);
static void free_pages(void *memory, u64 size);
static Thread *this_thread(void);
/* Lets the thread take the signals that a guarded read may raise; gives back what it blocked, for the way back. */
static void lift_mask(word *blocked);
static void restore_mask(const word *blocked);

/* Returns the address at which to resume a guarded read that faulted at an instruction, 0 for other instructions. */
static word resume_address(word instruction) {
  u32 i;
  for (i = S_FIXUPS; i < S_FIXUPS_END; i += 2)
    if (instruction == (word)state[i]) return (word)state[i + 1];
  return 0;
}

/* Stores the instructions at which guarded reads may fault. */
static void find_fixups(void) {
  u8 byte = 0;
  u32 four = 0;
  guarded_copy(&byte, &byte, 1, state + S_FIXUPS);
  guarded_load(&four, state + S_FIXUPS + 4);
}

/* Initializes the slot of a new thread. The thread continues in the block of the slot's previous thread, so that short-lived
   threads do not use up blocks. */
static Thread *begin_thread(Thread *t, u32 id) {
  t->busy = t->top = t->depth = 0;
  t->id = id;
  t->number = (u32)fetch_add((volatile u64 *)state + S_THREADS, 1);
  if (!t->regions) {
    t->regions = t->own;
    t->capacity = FIRST_REGIONS;
  }
  return t;
}

/* Finds the slot of a Windows thread by its TEB. A later thread may have the same TEB with another id. libc cannot be used
   under Wine, because a 32-bit program changes the segment register that libc needs. */
static Thread *windows_thread(void) {
  u64 teb = current_teb();
  u32 id = (u32)teb_thread_id(teb), i;
  for (i = 0; i < SLOTS; i++) {
    Thread *t = (Thread *)(pool + ((u32)(teb >> 12) + i) % SLOTS * SLOT_SIZE);
    if (!t->taken && compare_swap(&t->taken, 0, teb) == 0) return begin_thread(t, id);
    if (t->taken == teb) return t->id == id ? t : begin_thread(t, id);
  }
  return 0;
}

/* Returns the number of open calls that return through the recorder. Its code must stay loaded while there are any. */
u32 recorder_inside(void) {
  u32 i, open_calls = 0;
  for (i = 0; i < SLOTS; i++) {
    Thread *t = (Thread *)(pool + i * SLOT_SIZE);
    if (t->taken) open_calls += t->depth;
  }
  return open_calls;
}

/* Closes the calls that the thread has left by a jump or an exception: their frames are below a frame in use, or their cookie has
   been overwritten. A frame far away belongs to another stack, of a fiber or of a signal handler. */
static void forget_abandoned(Thread *t, word frame) {
  while (t->depth && t->depth <= OPEN_CALLS) {
    OpenCall *call = t->open + t->depth - 1;
    u64 cookie = 0, scratch[4];
    if (call->frame > frame) {
      if (!call->cookie || call->frame - frame > NEARBY) return;
      guarded_copy(&cookie, (void *)call->frame, sizeof cookie, scratch);
      if (cookie == call->cookie) return;
    } else if (frame - call->frame > NEARBY) {
      return;
    }
    t->top = call->base;
    t->depth--;
  }
}

/* cookie: what the first word of the frame has while the call is open, 0 if the frame has no cookie. */
static void open_call(Thread *t, word frame, u64 cookie) {
  if (t->depth < OPEN_CALLS) {
    t->open[t->depth].frame = frame;
    t->open[t->depth].cookie = cookie;
    t->open[t->depth].base = t->top;
  }
  t->depth++;
}

static void close_call(Thread *t, word frame) {
  u32 i;
  for (i = t->depth < OPEN_CALLS ? t->depth : OPEN_CALLS; i; i--)
    if (t->open[i - 1].frame == frame) {
      t->depth = i - 1;
      return;
    }
  if (t->depth > OPEN_CALLS) t->depth--;
}

/* Appends a region to the thread's stack of regions. */
static void push_region(Thread *t, u64 address, u64 requested) {
  if (t->top == t->capacity) {
    u64 size = t->capacity * sizeof(Region), i;
    Region *larger = allocate_pages(2 * size);
    if (!larger) return;
    for (i = 0; i < t->capacity; i++) larger[i] = t->regions[i];
    if (t->regions != t->own) free_pages(t->regions, size);
    t->regions = larger;
    t->capacity *= 2;
  }
  t->regions[t->top].address = address;
  t->regions[t->top++].requested = requested;
}

/* Closes the thread's block, if it has one, and takes a free block. Returns 0 if none is free. */
static int take_block(Thread *t) {
  volatile u32 *queue = (volatile u32 *)((volatile u8 *)control + control[C_QUEUE]);
  u64 head, id;
  if (t->block) t->block[B_CLOSED] = 1;
  t->block = 0;
  do {
    head = control[C_HEAD];
    if (head >= control[C_TAIL]) return 0;
    id = queue[(u32)head % (u32)control[C_BLOCK_COUNT]];  /* 32 bits are enough: 2^32 blocks are 64 TB */
  } while (compare_swap(control + C_HEAD, head, head + 1) != head);
  t->block = (volatile u64 *)((volatile u8 *)control + control[C_BLOCKS] + id * control[C_BLOCK_SIZE]);
  t->block[B_USED] = 1;
  t->used = 0;
  return 1;
}

static u32 free_bytes(Thread *t) { return (u32)control[C_BLOCK_SIZE] - BLOCK_HEADER - t->cursor; }

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

/* Counts a lost event. */
static void count_lost_event(void) {
  fetch_add(control + C_SEQUENCE, 1);
  fetch_add(control + C_LOST, 1);
}

/* Begins an event with its time. Returns 0 and counts the event as lost if there is no free block. */
static int begin(Thread *t, u8 kind) {
  if ((!t->block || (u32)control[C_BLOCK_SIZE] - BLOCK_HEADER - t->used < MIN_FREE) && !take_block(t)) {
    count_lost_event();
    return 0;
  }
  /* ACTIVE is published before the sequence number is taken, so that the reader waits for this event. */
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

/* Copies a region into the event, in several pieces if blocks end. Returns the number of bytes that could be read. */
static u64 copy_region(Thread *t, u8 kind, u64 address, u64 requested) {
  u64 scratch[4], done = 0, limit = requested < REGION_LIMIT ? requested : REGION_LIMIT;
  if (limit > t->budget) limit = t->budget;
  do {
    Piece *piece;
    u64 n = limit - done;
    if (t->failed) return done;
    if (free_bytes(t) < sizeof(Piece) + 64) {
      close_fragment(t, 0);
      if (!take_block(t)) {
        t->failed = 1;
        return done;
      }
      open_fragment(t, kind);
    }
    piece = (Piece *)at_cursor(t);
    if (n > (free_bytes(t) - sizeof(Piece) & ~7u)) n = free_bytes(t) - sizeof(Piece) & ~7u;
    piece->address = address + done;
    piece->continued = done != 0;
    piece->copied = (u32)(n - guarded_copy(piece + 1, (void *)(word)(address + done), n, scratch));
    piece->requested = requested - done > 0xFFFFFFFFu ? 0xFFFFFFFFu : (u32)(requested - done);
    done += piece->copied;
    t->cursor += sizeof(Piece) + (piece->copied + 7 & ~7u);
    if (piece->copied < n) break;
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

static const u8 *outer_base(const Level *level, u32 steps) {
  while (steps--) level = level->up;
  return level->base;
}

static u64 read_count(const u32 *pointer, const Level *level) {
  const u8 *base;
  u32 offset = pointer[4], size = pointer[5];
  u64 count;
  if (!size) return pointer[2];
  base = outer_base(level, pointer[3]);
  if (size & DEREFERENCE) {
    base = (const u8 *)(word)read_field(base, offset, plan[0]);
    size ^= DEREFERENCE;
    offset = 0;
  }
  count = read_field(base, offset, size) + pointer[2];
  return count < pointer[6] ? pointer[6] : count;
}

/* Copies the memory behind the pointers of one structure, recursively. */
static void walk(Thread *t, const u32 *shape, Level *level) {
  u32 pointers = *shape++;
  while (pointers--) {
    u32 conditions = shape[8], holds = 1;
    const u32 *condition = shape + 9;
    for (; conditions--; condition += 5) {
      u32 value = (u32)read_field(outer_base(level, condition[0]), condition[1], 4);
      if (((value & condition[2]) == condition[3]) != condition[4]) holds = 0;
    }
    if (holds) {
      u64 pointer = read_field(level->base, shape[0], plan[0]), count = read_count(shape, level), copied;
      u64 requested = count > 0xFFFFFFFFu ? 0xFFFFFFFFu : count * shape[1];
      if (pointer && requested) {
        push_region(t, pointer, requested);
        copied = copy_region(t, ENTER, pointer, requested);
        if (shape[7]) {
          Level inner;
          u64 offset;
          inner.up = level;
          for (offset = 0; offset + shape[1] <= copied; offset += shape[1]) {
            inner.base = (const u8 *)(word)(pointer + offset);
            walk(t, plan + shape[7], &inner);
          }
        }
      }
    }
    shape = condition;
  }
}

/* Writes the enter event of a call, and stores in the invocation what the leave event needs. */
static void enter(Thread *t, Invocation *invocation, const u32 *hook, const u64 *parameters, u64 caller) {
  u8 arguments[MAX_ARGUMENTS * 8];
  word blocked[MASK_WORDS];
  Level level;
  u32 i;
  invocation->recorded = 0;
  if (!t || t->busy) {  /* busy: a signal handler makes a call while the recorder runs */
    count_lost_event();
    return;
  }
  t->busy = 1;
  if (t->masked) lift_mask(blocked);
  if (begin(t, ENTER)) {
    invocation->enter = t->sequence;
    invocation->base = t->top;
    put(t, hook[0]);
    put(t, caller);
    put(t, t->id);
    put(t, hook[1]);
    for (i = 0; i < hook[1]; i++) {
      if (plan[0] == 8) *(u64 *)(arguments + 8 * i) = parameters[i];
      else *(u32 *)(arguments + 4 * i) = (u32)parameters[i];
      put(t, parameters[i]);
    }
    level.base = arguments;
    level.up = 0;
    if (hook[2]) walk(t, plan + hook[2], &level);
    end(t);
    invocation->count = t->top - invocation->base;
    invocation->recorded = !t->failed;
    if (t->failed) t->top = invocation->base;
  }
  if (t->masked) restore_mask(blocked);
  t->busy = 0;
}

/* Writes the leave event of a call. It copies the regions of the enter event again, with the pointers and lengths of then. */
static void leave(Thread *t, Invocation *invocation, u64 result) {
  word blocked[MASK_WORDS];
  u32 i;
  if (!invocation->recorded || !t || t->busy || invocation->base + invocation->count > t->top) {
    count_lost_event();
    return;
  }
  t->busy = 1;
  if (t->masked) lift_mask(blocked);
  if (begin(t, LEAVE)) {
    put(t, invocation->enter);
    put(t, result);
    for (i = 0; i < invocation->count; i++) {
      Region *region = t->regions + invocation->base + i;
      copy_region(t, LEAVE, region->address, region->requested);
    }
    end(t);
  }
  if (t->masked) restore_mask(blocked);
  t->top = invocation->base;
  t->busy = 0;
}

/* Listener of a hooked function. The function may have any number of parameters, which stay in place. */
void onEnter(GumInvocationContext *ic) {
  const u32 *hook = GUM_IC_GET_FUNC_DATA(ic, const u32 *);
  Invocation *invocation = GUM_IC_GET_INVOCATION_DATA(ic, Invocation);
  u64 parameters[MAX_ARGUMENTS];
  Thread *t;
  u32 i;
  invocation->recorded = 0;
  invocation->is_nested = 0;
  if (!enabled[0]) return;
  t = this_thread();
  invocation->frame = stack_pointer(ic);
  if (t) forget_abandoned(t, invocation->frame);
  if (t && t->depth && state[S_WINDOWS]) {
    invocation->is_nested = 1;
    return;
  }
  if (t) open_call(t, invocation->frame, 0);
  for (i = 0; i < hook[1]; i++) parameters[i] = argument(ic, i, (u32)state[S_WINDOWS]);
  enter(t, invocation, hook, parameters, (word)gum_invocation_context_get_return_address(ic));
}

void onLeave(GumInvocationContext *ic) {
  Invocation *invocation = GUM_IC_GET_INVOCATION_DATA(ic, Invocation);
  Thread *t;
  if (!enabled[0] || invocation->is_nested) return;
  t = this_thread();
  leave(t, invocation, (word)gum_invocation_context_get_return_value(ic));
  if (t) close_call(t, invocation->frame);
}
