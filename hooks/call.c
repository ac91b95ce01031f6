/* Replacement of functions, the cheapest kind of hook. Compiled after the system's part. stubs.js generates the
   code that calls recorder_call. */

/* entry: the hook in the plan. original: address to call for the function. It is an adapter for Windows functions, which then
   finds the function's own address in `function`. */
typedef struct { volatile u64 entry, original, function; } Hook;
#define COOKIE 0xC00C1E0000000000ULL
typedef word (*Function)(word, word, word, word, word, word);

/* Replaces a function with known parameters, all of them words in registers. A stub of the agent calls it with these
   parameters, the hook, and the return address of the function's caller. */
word recorder_call(word a, word b, word c, word d, word e, word f, Hook *hook, word caller) {
  u64 parameters[6];
  word result;
  Invocation invocation;
  Function function;
  Thread *t;
  while (!hook->original) {}  /* the stub may be called before the agent has stored the address */
  function = (Function)(word)hook->original;
  if (!enabled[0]) return function(a, b, c, d, e, f);
  parameters[0] = a; parameters[1] = b; parameters[2] = c; parameters[3] = d; parameters[4] = e; parameters[5] = f;
  t = this_thread();
  if (t) forget_abandoned(t, (word)&invocation);
  /* A Windows function may call another hooked function. Only the program's own call is recorded. */
  if (t && t->depth && state[S_WINDOWS]) return function(a, b, c, d, e, f);
  if (t) {
    invocation.cookie = COOKIE | ++t->cookie;
    open_call(t, (word)&invocation, invocation.cookie);
  }
  enter(t, &invocation, (const u32 *)(word)hook->entry, parameters, caller);
  result = function(a, b, c, d, e, f);
  if (enabled[0]) leave(t, &invocation, result);
  if (t) close_call(t, (word)&invocation);
  return result;
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
  return (u32)best / calls;  /* 32-bit processors link no division of 64 bits */
}
