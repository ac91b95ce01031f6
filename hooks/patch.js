/*
 * Jumps at the start of functions, written by the agent itself. Gum remembers every address that it hooks. It takes a library that is
 * unloaded and loaded again for the one it knows. It also replaces no function that makes a system call in its first bytes.
 */
'use strict';

const JUMP_SIZE = 5;

/* Makes a function jump to code near it. memory: RELOCATED_SIZE bytes near it for the overwritten instructions. Returns the address
   to call for the original and a function that removes the jump. Throws if the function is too short. */
function patchFunction(address, code, memory) {
  Memory.patchCode(memory, RELOCATED_SIZE, writable => {
    const writer = new X86Writer(writable, { pc: memory });
    writer.putJmpAddress(address.add(relocateEntry(address, writer)));
    writer.flush();
  });
  return { original: memory, unhook: writeJump(address, code) };
}

/* Copies the instructions that a jump overwrites and returns their size. */
function relocateEntry(address, writer) {
  const relocator = new X86Relocator(address, writer);
  let size = 0;
  while (size < JUMP_SIZE) {
    const read = relocator.eoi ? 0 : relocator.readOne();
    if (read === 0) throw new Error('the function is too short');
    size = read;
  }
  relocator.writeAll();
  return size;
}

/* Overwrites the start of a function with a jump. Returns a function that restores it. */
function writeJump(address, target) {
  const original = address.readByteArray(JUMP_SIZE);
  const write = bytes => Memory.patchCode(address, JUMP_SIZE, code => code.writeByteArray(bytes));
  write([0xe9, ...address32(target.sub(address.add(JUMP_SIZE)).toInt32())]);
  return () => write(original);
}
