/*
 * Calls that the recorder's side answers instead of the function. Linux x86-64 only; compiled after linux.c.
 *
 * A thread writes its call into a letter of the mailbox, memory that both sides map, and waits until the letter is answered. The
 * layout is that of tracekmt/run/mailbox.py. In words: the bell, which counts letters and wakes the other side; a nonzero word once the
 * other side has left; from BOX_WRITTEN, a byte for each letter that has been written. A letter: its state, the thread, the
 * description id, six parameters, the result, the seventh parameter.
 */
enum { BOX_BELL = 0, BOX_CLOSED = 1, BOX_WRITTEN = 8, BOX_LETTERS = 512, LETTERS = 512, LETTER_WORDS = 16 };
enum { LETTER_FREE, LETTER_TAKEN, LETTER_WRITTEN, LETTER_ANSWERED, LETTER_DECLINED };
#define ANSWER_ROUND 50000000u  /* nanoseconds between checks for the end of the recording */

/* Takes a free letter. More threads than letters wait here. */
static volatile u64 *take_letter(volatile u64 *box, u32 first) {
  u32 i;
  for (i = 0;; i++) {
    volatile u64 *letter = box + BOX_LETTERS + (first + i) % LETTERS * LETTER_WORDS;
    if (compare_swap(letter, LETTER_FREE, LETTER_TAKEN) == LETTER_FREE) return letter;
    if (i % LETTERS == LETTERS - 1) {
      if (!enabled[0] || box[BOX_CLOSED]) return 0;
      pause_thread(1000);
    }
  }
}

/* Has a call answered by the other side. Returns 0 if the function itself is to be called. */
static int answer_call(const u32 *hook, const u64 *parameters, const Thread *t, u64 *result) {
  volatile u64 *box = (volatile u64 *)(word)state[S_MAILBOX], *letter;
  int saved_errno;
  u64 outcome;
  word round[2] = {0, ANSWER_ROUND};
  u32 i;
  if (!box || box[BOX_CLOSED] || !(letter = take_letter(box, t ? t->number : 0))) return 0;
  saved_errno = *errno_location();
  letter[1] = thread_id();
  letter[2] = hook[0];
  for (i = 0; i < 6; i++) letter[3 + i] = parameters[i];
  letter[10] = parameters[6];
  letter[0] = LETTER_WRITTEN;
  ((volatile u8 *)(box + BOX_WRITTEN))[(letter - box - BOX_LETTERS) / LETTER_WORDS] = 1;
  fetch_add(box + BOX_BELL, 1);
  system_call(SYS_FUTEX, box + BOX_BELL, FUTEX_WAKE, 1, 0, 0, 0);
  while (letter[0] == LETTER_WRITTEN) {
    /* An unanswered letter stays taken: the other side may still answer it. */
    if (!enabled[0] || box[BOX_CLOSED]) break;
    system_call(SYS_FUTEX, letter, FUTEX_WAIT, LETTER_WRITTEN, round, 0, 0);
  }
  outcome = letter[0];
  *result = letter[9];
  if (outcome != LETTER_WRITTEN) letter[0] = LETTER_FREE;
  *errno_location() = saved_errno;
  return outcome == LETTER_ANSWERED;
}
