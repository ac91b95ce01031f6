/* The recorder's part for x86-64. Compiled before recorder.c. */
#include <gum/guminterceptor.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef __SIZE_TYPE__ word;

/* In words: sizes of struct sigaction and of its mask, and index of the instruction pointer in struct ucontext. */
enum { ACTION_WORDS = 19, PROGRAM_COUNTER = 21, MASK_WORDS = 16 };
/* Number of Linux's system call futex. */
enum { SYS_FUTEX = 202 };
/* Offset of Rip in Windows' CONTEXT. */
enum { CONTEXT_COUNTER = 0xF8 };
#define A_FLAGS(action) ((u32 *)(action))[34]

static u64 fetch_add(volatile u64 *at, u64 n) {
  __asm__ volatile("lock xaddq %0, (%1)" : "+r"(n) : "r"(at) : "memory");
  return n;
}

static u64 compare_swap(volatile u64 *at, u64 expected, u64 desired) {
  u64 previous;
  __asm__ volatile("lock cmpxchgq %2, (%3)" : "=a"(previous) : "0"(expected), "r"(desired), "r"(at) : "memory");
  return previous;
}

/* The thread environment block (TEB) of the calling Windows thread, and the thread id in it. */
static u64 current_teb(void) {
  u64 teb;
  __asm__ volatile("mov %%gs:0x30, %0" : "=r"(teb));
  return teb;
}

static u64 teb_thread_id(u64 teb) { return *(u64 *)(teb + 0x48); }

#define WORDS_LIMIT 512           /* up to this size, copying words is faster than rep movsb */

/* Copies n bytes and returns how many were NOT copied. It copies words if they are few, then the rest as bytes. After a fault
   in the words, on_fault resumes at the bytes; after a fault in the bytes, at the end. fixups[0] to fixups[3] receive these
   two pairs of a faulting and a resuming address. */
static u64 guarded_copy(void *to, const void *from, u64 n, u64 *fixups) {
  u64 words = n <= WORDS_LIMIT ? n >> 3 : 0, left = n - (words << 3);
  __asm__ volatile(
      "lea 1f(%%rip), %%rax; mov %%rax, (%4); lea 2f(%%rip), %%rax; mov %%rax, 8(%4);"
      "lea 3f(%%rip), %%rax; mov %%rax, 16(%4); lea 4f(%%rip), %%rax; mov %%rax, 24(%4);"
      "test %3, %3; jz 2f;"
      "1: mov (%2), %%rax; mov %%rax, (%1); add $8, %2; add $8, %1; dec %3; jnz 1b;"
      "2: lea (%0, %3, 8), %0; test %0, %0; jz 4f;"
      "3: rep movsb; 4:"
      : "+c"(left), "+D"(to), "+S"(from), "+d"(words) : "r"(fixups) : "rax", "memory");
  return left;
}

/* Reads four bytes. Returns 0 if they are not readable. */
static u32 guarded_load(const void *from, u64 *fixups) {
  u64 value = 0;
  __asm__ volatile(
      "lea 1f(%%rip), %%rax; mov %%rax, (%2); lea 2f(%%rip), %%rax; mov %%rax, 8(%2);"
      "xor %%eax, %%eax; 1: mov (%1), %%eax; 2:"
      : "+a"(value) : "S"(from), "D"(fixups) : "memory");
  return (u32)value;
}

/* Returns a parameter of a hooked function. Gum's own getter follows the calling convention of Linux. */
static u64 argument(GumInvocationContext *ic, u32 i, u32 windows) {
  u64 scratch[4], value = 0;
  if (!windows) return (word)gum_invocation_context_get_nth_argument(ic, i);
  switch (i) {
    case 0: return ic->cpu_context->rcx;
    case 1: return ic->cpu_context->rdx;
    case 2: return ic->cpu_context->r8;
    case 3: return ic->cpu_context->r9;
  }
  guarded_copy(&value, (u8 *)ic->cpu_context->rsp + 8 + 8 * i, 8, scratch);
  return value;
}

/* Where the caller's frame ends. */
static word stack_pointer(GumInvocationContext *ic) { return (word)ic->cpu_context->rsp; }
