/* What of the recorder depends on the processor: 32-bit x86. Compiled in front of recorder.c. Words of 64 bits that
   both sides share are never taken apart: what is only ever compared, or grows, may be read in two halves, since a reader
   that sees them mixed sees something larger. */
#include <gum/guminterceptor.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned int word;

/* struct sigaction, and struct ucontext's place of the instruction pointer, in words. */
enum { ACTION_WORDS = 35, PROGRAM_COUNTER = 19, MASK_WORDS = 32 };
/* Windows' CONTEXT: where Eip lies. */
enum { CONTEXT_COUNTER = 0xB8 };
#define A_FLAGS(action) ((u32 *)(action))[33]

static u64 compare_swap(volatile u64 *at, u64 expected, u64 wanted) {
  __asm__ volatile("lock cmpxchg8b (%3)"
                   : "+A"(expected) : "b"((u32)wanted), "c"((u32)(wanted >> 32)), "D"(at) : "memory");
  return expected;
}

static u64 fetch_add(volatile u64 *at, u64 n) {
  u64 seen = *at, before;
  do {
    before = seen;
    seen = compare_swap(at, before, before + n);
  } while (seen != before);
  return before;
}

/* The block that Windows keeps of the thread, and the thread's number in it. */
static u64 windows_block(void) {
  u32 block;
  __asm__ volatile("movl %%fs:0x18, %0" : "=r"(block));
  return block;
}

static u64 windows_number(u64 block) { return *(u32 *)((u32)block + 0x24); }

/* Copies n bytes and gives how many were NOT copied. A fault is moved by on_fault behind the copy; where that lies is told in
   place[0] to place[3]. */
static u64 guarded_copy(void *to, const void *from, u64 n, u64 *place) {
  u32 left = (u32)n;
  u32 *told = (u32 *)place;
  __asm__ volatile(
      "movl $3f, %%eax; movl %%eax, (%3); movl %%eax, 16(%3); movl $4f, %%eax; movl %%eax, 8(%3); movl %%eax, 24(%3);"
      "3: rep movsb; 4:"
      : "+c"(left), "+D"(to), "+S"(from) : "d"(told) : "eax", "memory");
  return left;
}

/* Four bytes, 0 where they cannot be read. */
static u32 guarded_load(const void *from, u64 *place) {
  u32 value = 0;
  u32 *told = (u32 *)place;
  __asm__ volatile(
      "movl $1f, %%eax; movl %%eax, (%2); movl $2f, %%eax; movl %%eax, 8(%2);"
      "xorl %%eax, %%eax; 1: movl (%1), %%eax; 2:"
      : "+a"(value) : "S"(from), "D"(told) : "memory");
  return value;
}

/* A parameter of a hooked function: on the stack, by every convention. */
static u64 argument(GumInvocationContext *ic, u32 i, u32 windows) {
  (void)windows;
  return (word)gum_invocation_context_get_nth_argument(ic, i);
}
