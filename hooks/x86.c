/* The recorder's part for 32-bit x86. Compiled before recorder.c. Shared words of 64 bits are changed atomically. A word that
   only grows, or is only compared, may be read in two halves: a reader that mixes two values sees a larger one. */
#include <gum/guminterceptor.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned int word;

/* In words: sizes of struct sigaction and of its mask, and index of the instruction pointer in struct ucontext. */
enum { ACTION_WORDS = 35, PROGRAM_COUNTER = 19, MASK_WORDS = 32 };
/* Number of Linux's system call futex. */
enum { SYS_FUTEX = 240 };
/* Offset of Eip in Windows' CONTEXT. */
enum { CONTEXT_COUNTER = 0xB8 };
#define A_FLAGS(action) ((u32 *)(action))[33]

static u64 compare_swap(volatile u64 *at, u64 expected, u64 desired) {
  __asm__ volatile("lock cmpxchg8b (%3)"
                   : "+A"(expected) : "b"((u32)desired), "c"((u32)(desired >> 32)), "D"(at) : "memory");
  return expected;
}

static u64 fetch_add(volatile u64 *at, u64 n) {
  u64 current = *at, previous;
  do {
    previous = current;
    current = compare_swap(at, previous, previous + n);
  } while (current != previous);
  return previous;
}

/* The thread environment block (TEB) of the calling Windows thread, and the thread id in it. */
static u64 current_teb(void) {
  u32 teb;
  __asm__ volatile("movl %%fs:0x18, %0" : "=r"(teb));
  return teb;
}

static u64 teb_thread_id(u64 teb) { return *(u32 *)((u32)teb + 0x24); }

/* Copies n bytes and returns how many were NOT copied. After a fault, on_fault resumes after the copy. fixups[0] to fixups[3]
   receive two equal pairs of the faulting and the resuming address. */
static u64 guarded_copy(void *to, const void *from, u64 n, u64 *fixups) {
  u32 left = (u32)n;
  u32 *words = (u32 *)fixups;
  __asm__ volatile(
      "movl $3f, %%eax; movl %%eax, (%3); movl %%eax, 16(%3); movl $4f, %%eax; movl %%eax, 8(%3); movl %%eax, 24(%3);"
      "3: rep movsb; 4:"
      : "+c"(left), "+D"(to), "+S"(from) : "d"(words) : "eax", "memory");
  return left;
}

/* Reads four bytes. Returns 0 if they are not readable. */
static u32 guarded_load(const void *from, u64 *fixups) {
  u32 value = 0;
  u32 *words = (u32 *)fixups;
  __asm__ volatile(
      "movl $1f, %%eax; movl %%eax, (%2); movl $2f, %%eax; movl %%eax, 8(%2);"
      "xorl %%eax, %%eax; 1: movl (%1), %%eax; 2:"
      : "+a"(value) : "S"(from), "D"(words) : "memory");
  return value;
}

/* Returns a parameter of a hooked function, which is on the stack in every calling convention. */
static u64 argument(GumInvocationContext *ic, u32 i, u32 windows) {
  (void)windows;
  return (word)gum_invocation_context_get_nth_argument(ic, i);
}

/* Where the caller's frame ends. */
static word stack_pointer(GumInvocationContext *ic) { return (word)ic->cpu_context->esp; }
