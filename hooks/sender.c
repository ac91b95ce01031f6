/*
 * The drain of tracekmt/record/buffer/shared_buffer.py, for a target process that cannot share memory with the recorder: in
 * another mount namespace or on another machine. It runs on the agent's thread, copies new data into one buffer and releases
 * closed blocks at once. Data that was sent is as safe as the connection. The layout, C_... and B_..., comes from
 * tracekmt/trace/buffer_format.py.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define MORE (~0ULL)

/* Symbols that the agent provides: the memory, the bytes sent of each block, and the state of a round through the blocks. A
   CModule cannot write its own variables. */
extern volatile u64 control[];
extern u32 sent[];
extern u64 state[];

#define NEXT state[0]    /* block at which the next call continues */
#define UPTO state[1]    /* sequence number below which no event is missing after this round */
#define ENDING state[2]  /* 1 in the last round */

static volatile u64 *block(u64 number) {
  return (volatile u64 *)((volatile u8 *)control + control[C_BLOCKS] + number * control[C_BLOCK_SIZE]);
}

/* Appends a block to the queue of free blocks. TAIL is written last: the target may take the block at once. */
static void release(u64 number) {
  volatile u64 *b = block(number);
  sent[number] = 0;
  b[B_USED] = b[B_COMMITTED] = b[B_CLOSED] = 0;
  b[B_ACTIVE] = IDLE;
  ((volatile u32 *)((volatile u8 *)control + control[C_QUEUE]))[(u32)control[C_TAIL] % (u32)control[C_BLOCK_COUNT]] = (u32)number;
  control[C_TAIL] = control[C_TAIL] + 1;
}

/* Initializes the memory, which is zero. */
void sender_prepare(u64 size, u64 block_size) {
  u64 count = (u32)(size - CONTROL_SIZE) / (u32)(block_size + 4), i;  /* 32-bit processors link no division of 64 bits */
  control[C_BLOCK_SIZE] = block_size;
  control[C_QUEUE] = CONTROL_SIZE;
  control[C_BLOCKS] = (u32)(CONTROL_SIZE + 4 * count + block_size - 1) / (u32)block_size * block_size;
  control[C_BLOCK_COUNT] = (u32)(size - control[C_BLOCKS]) / (u32)block_size;
  for (i = 0; i < control[C_BLOCK_COUNT]; i++) release(i);
}

/* Fills a buffer of `capacity` bytes, which is larger than a block, and returns the bytes written. The buffer begins with the
   sequence number below which no event is missing (MORE: the next call continues the round) and the exit status of the
   process. last: 1 if no thread writes any more. */
u64 sender_collect(u8 *out, u64 capacity, u32 last) {
  u64 size = 16, i;
  if (last && !ENDING) {  /* restart: data may have been committed to the blocks that this round has passed */
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
    u64 is_done, committed;
    if (!b[B_USED]) continue;
    /* The flags are read before COMMITTED. A closed block takes no new event. Once it is also idle, the event in which it was
       closed is complete. */
    is_done = b[B_CLOSED] && b[B_ACTIVE] == IDLE;
    committed = b[B_COMMITTED];
    if (size + committed - sent[NEXT] > capacity) break;
    for (i = sent[NEXT]; i < committed; i += 8) {
      *(u64 *)(out + size) = *(volatile u64 *)((volatile u8 *)b + BLOCK_HEADER + i);
      size += 8;
    }
    sent[NEXT] = (u32)committed;
    if (is_done && b[B_COMMITTED] == committed) release(NEXT);
  }
  ((u64 *)out)[0] = NEXT < control[C_BLOCK_COUNT] ? MORE : UPTO;
  ((u64 *)out)[1] = control[C_ENDED];
  if (NEXT == control[C_BLOCK_COUNT]) NEXT = 0;
  return size;
}
