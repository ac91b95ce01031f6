/*
 * The drain of tracekmt/record/buffer/shared_buffer.py for where the recorder's side cannot map the memory: in another mount namespace,
 * on another machine. It runs on the agent's thread, copies what is new into one buffer, and gives closed blocks back at
 * once: what has been sent is as safe as the connection. The layout, C_... and B_..., comes from trace/spooled.py.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define MORE (~0ULL)

/* Given by the agent: the memory, how much of each block has been sent, and the block that the next call goes on with,
   with what was told when the first was looked at. A variable of our own could not be written. */
extern volatile u64 control[];
extern u32 sent[];
extern u64 state[];

#define NEXT state[0]
#define UPTO state[1]
#define ENDING state[2]

static volatile u64 *block(u64 number) {
  return (volatile u64 *)((volatile u8 *)control + control[C_BLOCKS] + number * control[C_BLOCK_SIZE]);
}

/* The order matters: the target may take it at once. */
static void release(u64 number) {
  volatile u64 *b = block(number);
  sent[number] = 0;
  b[B_USED] = b[B_COMMITTED] = b[B_CLOSED] = 0;
  b[B_ACTIVE] = IDLE;
  ((volatile u32 *)((volatile u8 *)control + control[C_QUEUE]))[control[C_TAIL] % control[C_BLOCK_COUNT]] = (u32)number;
  control[C_TAIL] = control[C_TAIL] + 1;
}

/* Lays out memory of so many bytes, which are zero. */
void sender_prepare(u64 size, u64 block_size) {
  u64 count = (size - CONTROL_SIZE) / (block_size + 4), i;
  control[C_BLOCK_SIZE] = block_size;
  control[C_QUEUE] = CONTROL_SIZE;
  control[C_BLOCKS] = (CONTROL_SIZE + 4 * count + block_size - 1) / block_size * block_size;
  control[C_BLOCK_COUNT] = (size - control[C_BLOCKS]) / block_size;
  for (i = 0; i < control[C_BLOCK_COUNT]; i++) release(i);
}

/* Fills a buffer of so many bytes, of which a block has fewer; gives how many. It begins with the sequence number below
   which nothing is missing once this has arrived (MORE: the next call goes on), and what the process ended with. last:
   nobody writes. */
u64 sender_collect(u8 *out, u64 room, u32 last) {
  u64 size = 16, i;
  if (last && !ENDING) {  /* begin anew: what was committed behind a round that was under way is not to be missed */
    NEXT = 0;
    ENDING = 1;
  }
  if (NEXT == 0) {
    UPTO = control[C_SEQUENCE];
    for (i = 0; i < control[C_BLOCK_COUNT] && !last; i++)
      if (block(i)[B_USED] && block(i)[B_ACTIVE] < UPTO) UPTO = block(i)[B_ACTIVE];
  }
  for (; NEXT < control[C_BLOCK_COUNT]; NEXT++) {
    volatile u64 *b = block(NEXT);
    u64 done, committed;
    if (!b[B_USED]) continue;
    /* In this order: a closed block takes no new event, and the one that it was closed in is no longer written. */
    done = b[B_CLOSED] && b[B_ACTIVE] == IDLE;
    committed = b[B_COMMITTED];
    if (size + committed - sent[NEXT] > room) break;
    for (i = sent[NEXT]; i < committed; i += 8) {
      *(u64 *)(out + size) = *(volatile u64 *)((volatile u8 *)b + BLOCK_HEADER + i);
      size += 8;
    }
    sent[NEXT] = (u32)committed;
    if (done && b[B_COMMITTED] == committed) release(NEXT);
  }
  ((u64 *)out)[0] = NEXT < control[C_BLOCK_COUNT] ? MORE : UPTO;
  ((u64 *)out)[1] = control[C_ENDED];
  if (NEXT == control[C_BLOCK_COUNT]) NEXT = 0;
  return size;
}
