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

/* Overwrites the start of a function with a jump. Returns a function that restores it. Throws if the jump does not reach. */
function writeJump(address, target) {
  const original = new Uint8Array(address.readByteArray(JUMP_SIZE));
  const distance = target.sub(address.add(JUMP_SIZE));
  if (!ptr(distance.toInt32()).equals(distance)) throw new Error('the code is too far away');
  writeCode(address, [0xe9, ...address32(distance.toInt32())]);
  return () => writeCode(address, [...original]);
}

/* Writes JUMP_SIZE bytes at once where an aligned word has them all, because other threads may run the function. */
function writeCode(address, bytes) {
  const offset = Number(address.and(7));
  Memory.patchCode(address, JUMP_SIZE, code => {
    if (offset + JUMP_SIZE > 8) {
      code.writeByteArray(bytes);
      return;
    }
    const word = new Uint8Array(code.sub(offset).readByteArray(8));
    word.set(bytes, offset);
    code.sub(offset).writeU64(uint64(`0x${[...word].reverse().map(byte => byte.toString(16).padStart(2, '0')).join('')}`));
  });
}
