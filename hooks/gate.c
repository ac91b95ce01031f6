/*
 * The gate: between a program that maps and unmaps modules, and the agent, which hooks them, or takes its hooks off, before
 * the program goes on. Compiled behind recorder.c, for systems whose loader tells nobody.
 *
 * gate[0] counts what was asked, gate[1] what was answered; then come the bases of what goes away, 0 where something came,
 * and behind these, for each, its number counted from 1 once it stands there.
 */
#define GATE_FIRST 2
#define GATE_PLACES 64
#define GATE_ROUNDS 50000  /* a wait has an end, since the agent may be gone */

extern int usleep(u32 microseconds);
extern volatile u64 gate[];

static void pass_gate(u64 base) {
  u64 ticket = fetch_add(gate, 1);
  u32 i;
  gate[GATE_FIRST + (u32)ticket % GATE_PLACES] = base;
  gate[GATE_FIRST + GATE_PLACES + (u32)ticket % GATE_PLACES] = ticket + 1;
  for (i = 0; i < GATE_ROUNDS && enabled[0] && gate[1] <= ticket; i++) usleep(100);
}

static int is_image(u64 base) {
  u64 scratch[4];
  return (guarded_load((void *)(word)base, scratch) & 0xFFFF) == 0x5A4D;  /* MZ */
}

/* A parameter of a function that acts on a process, of which parameter number `process` is the handle; 0 where it acts on
   another than this one. Wine's own functions follow Windows' convention up to Wine 8, and Linux's since (seen in 10.0):
   the handle that means this process is found where it stands. */
static u64 own_argument(GumInvocationContext *ic, u32 process, u32 i) {
  u32 windows = 2;
  while (windows--)
    if (argument(ic, process, windows) == (word)-1) return argument(ic, i, windows);
  return 0;
}

/* NtMapViewOfSection(section, process, where the base is put, ...). */
void gate_mapping(GumInvocationContext *ic) { *GUM_IC_GET_INVOCATION_DATA(ic, u64) = own_argument(ic, 1, 2); }

void gate_mapped(GumInvocationContext *ic) {
  u64 base = 0, scratch[4];
  guarded_copy(&base, (void *)(word)*GUM_IC_GET_INVOCATION_DATA(ic, u64), sizeof(word), scratch);
  if (enabled[0] && is_image(base)) pass_gate(0);
}

/* NtUnmapViewOfSection(process, base). */
void gate_unmapping(GumInvocationContext *ic) {
  u64 base = own_argument(ic, 0, 1);
  if (enabled[0] && is_image(base)) pass_gate(base);
}
