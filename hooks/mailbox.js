/*
 * Answers to calls that do not come from the functions: from a mailbox (mailbox.c), or from code in this process.
 */
'use strict';

const MAP_SHARED_NORESERVE = 0x4001;
const MAILBOX = 74 * 8;  // S_MAILBOX in recorder.c
const HEAP_WORD = 2 * 8;  // where the other side finds the address of the heap in this process

let hasMailbox = false;
let answers = {};  // function name -> address that is called instead of the function

/* Opens the mailbox of the configuration, and maps the memory that its answers point to. That memory is the program's, and stays. */
function openMailbox({ mailbox, answers: addresses }, state) {
  answers = Object.fromEntries(Object.entries(addresses).map(([name, address]) => [name, ptr(address)]));
  hasMailbox = mailbox !== null;
  if (!hasMailbox) return;
  if (Process.arch !== 'x64' || Process.platform !== 'linux')
    throw new Error('only 64-bit programs on Linux can run on the simulator');
  const box = system.share(mailbox);
  box.add(HEAP_WORD).writePointer(system.share(mailbox.heap, MAP_SHARED_NORESERVE));
  system.mapped.pop();
  state.add(MAILBOX).writePointer(box);
}

/* Returns true if the calls of a described function are answered instead of made. */
const isAnswered = name => hooks.has(name) && (hasMailbox || name in answers);
