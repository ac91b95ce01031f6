/* Replacement of functions, the cheapest kind of hook. Compiled after the system's part. stubs.js generates the
   code that calls recorder_call. */

/* entry: the hook in the plan. original: address to call for the function. It is an adapter for Windows functions, which then
   finds the function's own address in `function`. */
typedef struct { volatile u64 entry, original, function; } Hook;
#define COOKIE 0xC00C1E0000000000ULL
typedef word (*Function)(word, word, word, word, word, word);
typedef word (*LongFunction)(word, word, word, word, word, word, word);

/* Faults: calls that the recorder answers itself, or delays, for the user. The words of a function's faults in the plan: their
   number, then for each: its number in the recording, the first call (0: every call), the distance to each further call (0: none),
   the status, the delay in microseconds, FAULT_ flags, numbers of conditions and of outputs, then for each condition: level (0: the
   parameters, 1: the structure behind the first one, 2: Facts), offset, size, comparison, mask and value in two words each; and for
   each output: offset in the structure, size, value in two words. */
enum { FAULT_WORDS = 8, CONDITION_WORDS = 8, OUTPUT_WORDS = 4, FAULT_MAKES_CALL = 1, FAULT_HAS_STATUS = 2, FAULT_MARKS = 4 };
enum { EQUAL, NOT_EQUAL, LESS, AT_MOST, GREATER, AT_LEAST };
/* The high half of a recorded NTSTATUS, with the number of the fault; see docs/format.md. FAULT_MARKS: the function returns one. */
#define ANSWERED 0x494E4A00u
#define REPLACED 0x494E4B00u
#define DELAYED 0x494E4C00u

extern volatile u64 fault_counts[];  /* calls of each fault so far, in all threads */
extern volatile u64 fault_callers[]; /* ranges of the modules that conditions name, see faults.js */
enum { MAX_CALLERS = 4, CALLER_WORDS = 128 };

/* What conditions can ask about a call besides its inputs. callers: a bit for each module pattern that the caller matches. */
typedef struct { u64 time, thread, callers; } Facts;

static u64 two_words(const u32 *words) { return (u64)words[1] << 32 | words[0]; }

static void find_facts(Facts *facts, const Thread *t, u64 caller) {
  u32 pattern, range;
  facts->time = now() - state[S_START];
  facts->thread = t ? t->number : 0;
  facts->callers = 0;
  for (pattern = 0; pattern < MAX_CALLERS; pattern++) {
    volatile u64 *ranges = fault_callers + pattern * CALLER_WORDS;
    for (range = 0; range < (u32)ranges[0]; range++)
      if (caller >= ranges[1 + 2 * range] && caller < ranges[2 + 2 * range]) facts->callers |= 1u << pattern;
  }
}

static int condition_holds(const u32 *condition, const u64 *parameters, const Thread *t, u64 caller) {
  const u8 *base = condition[0] == 1 ? (const u8 *)(word)parameters[0] : (const u8 *)parameters;
  u64 value, expected = two_words(condition + 6);
  Facts facts;
  if (condition[0] == 2) {
    find_facts(&facts, t, caller);
    base = (const u8 *)&facts;
  }
  if (!base) return 0;
  value = read_field(base, condition[1], condition[2]) & two_words(condition + 4);
  switch (condition[3]) {
    case EQUAL: return value == expected;
    case NOT_EQUAL: return value != expected;
    case LESS: return value < expected;
    case AT_MOST: return value <= expected;
    case GREATER: return value > expected;
    default: return value >= expected;
  }
}

/* Counts a call of a function with faults, and returns the fault that it gets, 0 for none. */
static const u32 *find_fault(const u32 *hook, const u64 *parameters, const Thread *t, u64 caller) {
  const u32 *fault, *found = 0;
  word blocked[MASK_WORDS];
  u32 faults;
  if (t && t->masked) lift_mask(blocked);  /* the conditions read the program's memory */
  faults = plan[hook[3]];
  for (fault = plan + hook[3] + 1; faults--; fault += FAULT_WORDS + fault[6] * CONDITION_WORDS + fault[7] * OUTPUT_WORDS) {
    const u32 *condition = fault + FAULT_WORDS;
    u32 conditions = fault[6], holds = 1, count;
    for (; conditions--; condition += CONDITION_WORDS) holds = holds && condition_holds(condition, parameters, t, caller);
    if (!holds) continue;
    count = (u32)fetch_add(fault_counts + fault[0], 1) + 1;
    if (found || count < fault[1]) continue;
    if (!fault[1] || count == fault[1] || (fault[2] && (count - fault[1]) % fault[2] == 0)) found = fault;
  }
  if (t && t->masked) restore_mask(blocked);
  return found;
}

/* Makes a call for the program: the recorder's side answers it, or the function. An answer may be marked like that of a fault. */
static u64 make_call(Hook *hook, const u64 *p, const Thread *t) {
  u64 result;
  const u32 *entry = (const u32 *)(word)hook->entry;
  if (answer_call(entry, p, t, &result)) return result;
  if (entry[1] > 6)
    return ((LongFunction)(word)hook->original)((word)p[0], (word)p[1], (word)p[2], (word)p[3], (word)p[4], (word)p[5], (word)p[6]);
  return ((Function)(word)hook->original)((word)p[0], (word)p[1], (word)p[2], (word)p[3], (word)p[4], (word)p[5]);
}

/* Answers a call with a fault. Returns the value that is recorded. The program gets its low half. */
static u64 apply_fault(const u32 *fault, Hook *hook, const u64 *p, const Thread *t) {
  const u32 *output = fault + FAULT_WORDS + fault[6] * CONDITION_WORDS;
  u32 outputs = fault[7], mark = ANSWERED, i;
  u64 result = fault[3], scratch[6];
  if (fault[4]) pause_thread(fault[4]);
  if (fault[5] & FAULT_MAKES_CALL) {
    result = make_call(hook, p, t);
    mark = fault[5] & FAULT_HAS_STATUS ? REPLACED : DELAYED;
    if (mark == REPLACED) result = fault[3];
  }
  for (; outputs-- && p[0]; output += OUTPUT_WORDS) {
    u8 *to = (u8 *)(word)p[0] + output[0];
    if (guarded_copy(scratch, to, output[1], scratch + 2)) continue;  /* a bad pointer */
    for (i = 0; i < output[1]; i++) to[i] = (u8)(output[2 + i / 4] >> 8 * (i % 4));
  }
  return fault[5] & FAULT_MARKS ? (u32)result | (u64)(mark | fault[0]) << 32 : result;
}

/* Replaces a function with known parameters, all of them words. A stub of the agent calls it with the first six parameters, the
   hook, and the return address of the function's caller. On 64-bit Linux, the stack has a seventh parameter above that address;
   elsewhere, no hooked function has one, and g is any word. */
word recorder_call(word a, word b, word c, word d, word e, word f, Hook *hook, word caller, word g) {
  u64 parameters[7];
  u64 result;
  const u32 *entry, *fault;
  int is_marked;  /* the result may have a mark above the status */
  Invocation invocation;
  Function function;
  Thread *t;
  while (!hook->original) {}  /* the stub may be called before the agent has stored the address */
  function = (Function)(word)hook->original;
  entry = (const u32 *)(word)hook->entry;
  if (!enabled[0]) return entry[1] > 6 ? ((LongFunction)function)(a, b, c, d, e, f, g) : function(a, b, c, d, e, f);
  parameters[0] = a; parameters[1] = b; parameters[2] = c; parameters[3] = d; parameters[4] = e; parameters[5] = f; parameters[6] = g;
  t = this_thread();
  if (t) forget_abandoned(t, (word)&invocation);
  /* A Windows function may call another hooked function. Only the program's own call is recorded. */
  if (t && t->depth && state[S_WINDOWS]) return function(a, b, c, d, e, f);
  if (t) {
    invocation.cookie = COOKIE | ++t->cookie;
    open_call(t, (word)&invocation, invocation.cookie);
  }
  is_marked = state[S_MAILBOX] != 0;
  fault = entry[3] ? find_fault(entry, parameters, t, caller) : 0;
  enter(t, &invocation, entry, parameters, caller);
  if (fault) {
    result = apply_fault(fault, hook, parameters, t);
    is_marked = is_marked || (fault[5] & FAULT_MARKS);
  } else if (is_marked || entry[1] > 6) {
    result = make_call(hook, parameters, t);
  } else {
    result = function(a, b, c, d, e, f);
  }
  if (enabled[0]) leave(t, &invocation, result);
  if (t) close_call(t, (word)&invocation);
  return is_marked ? (word)(u32)result : (word)result;
}

word recorder_nothing(void) { return 0; }

/* Returns the nanoseconds of a call through a stub, the minimum of eight rounds. It must run before anything else is recorded.
   The events of these calls are discarded in the thread's first block. */
u64 recorder_measure(Function stub, word argument, u32 calls) {
  u64 best = ~0ULL, elapsed, start, sequence = control[C_SEQUENCE], lost = control[C_LOST];
  Thread *t = 0;
  u32 round, i;
  for (round = 0; round < 8; round++) {
    start = now();
    for (i = 0; i < calls; i++) {
      stub(argument, argument, argument, argument, 0, 0);
      t = this_thread();
      if (t && t->block) t->used = 0;
    }
    elapsed = now() - start;
    if (elapsed < best) best = elapsed;
    if (t && t->block) t->block[B_COMMITTED] = 0;
    control[C_SEQUENCE] = sequence;
    control[C_LOST] = lost;
  }
  state[S_THREADS] = 0;  /* the agent's thread made no calls of the program */
  return (u32)best / calls;  /* 32-bit processors link no division of 64 bits */
}
