/*
 * The gate between a program that maps and unmaps modules, and the agent. The program waits until the agent has hooked a
 * mapped module, or unhooked one that is to be unmapped. Compiled after recorder.c, for systems whose loader reports nothing.
 *
 * gate[0] counts the requests and gate[1] the answers. From GATE_FIRST, a ring of GATE_PLACES entries has the base of each
 * module to unmap, 0 for a mapped module. A second ring of the same size has the number of each request, counted from 1, once
 * its base is written.
 */
#define GATE_FIRST 2
#define GATE_PLACES 64
#define GATE_ROUNDS 50000  /* limit of a wait, because the agent may be gone */

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

/* Returns parameter i of a function that acts on a process, 0 if it acts on another process than this one. Parameter number
   `process` is the handle of the process. Wine's own functions follow the calling convention of Windows up to Wine 8, and that
   of Linux since (seen in 10.0). So the handle of the current process, -1, is looked for in both places. */
static u64 argument_for_this_process(GumInvocationContext *ic, u32 process, u32 i) {
  u32 windows = 2;
  while (windows--)
    if (argument(ic, process, windows) == (word)-1) return argument(ic, i, windows);
  return 0;
}

/* NtMapViewOfSection(section, process, address of the base, ...). */
void gate_mapping(GumInvocationContext *ic) { *GUM_IC_GET_INVOCATION_DATA(ic, u64) = argument_for_this_process(ic, 1, 2); }

void gate_mapped(GumInvocationContext *ic) {
  u64 base = 0, scratch[4];
  guarded_copy(&base, (void *)(word)*GUM_IC_GET_INVOCATION_DATA(ic, u64), sizeof(word), scratch);
  if (enabled[0] && is_image(base)) pass_gate(0);
}

/* NtUnmapViewOfSection(process, base). */
void gate_unmapping(GumInvocationContext *ic) {
  u64 base = argument_for_this_process(ic, 0, 1);
  if (enabled[0] && is_image(base)) pass_gate(base);
}
