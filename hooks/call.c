/* Standing in for functions, which costs least: x86-64 only. Compiled behind the system's part; the code that leads here is made by
   stubs.js. */
typedef struct { const u32 *entry; volatile u64 original, function; } Hook;  /* function: for the code that original is */
typedef u64 (*Function)(u64, u64, u64, u64, u64, u64);

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
  u64 best = ~0ULL, took, began, sequence = control[C_SEQUENCE], lost = control[C_LOST];
  Thread *t = 0;
  u32 round, i;
  for (round = 0; round < 8; round++) {
    began = now();
    for (i = 0; i < calls; i++) {
      stub(argument, argument, argument, argument, 0, 0);
      t = this_thread();
      if (t && t->block) t->used = 0;
    }
    took = now() - began;
    if (took < best) best = took;
    if (t && t->block) t->block[B_COMMITTED] = 0;
    control[C_SEQUENCE] = sequence;
    control[C_LOST] = lost;
  }
  return best / calls;
}
