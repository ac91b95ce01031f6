/*
 * Generates the code that replaces functions, one stub for each Hook of the recorder. A stub calls recorder_call, which follows
 * the calling convention of Linux, with the first six parameters, the Hook, and the return address of the function's caller.
 * Stubs are allocated near the hooked functions, so that a short jump reaches them: a function may have a few bytes only.
 */
'use strict';

const HOOK_SIZE = 24;  // Hook in call.c: hook in the plan, address to call for the function, address of the function
const STUB_SIZE = 32;
const RELOCATED_SIZE = 64;  // room for the instructions that a jump overwrites, and a jump back
const REGISTERS = 6;  // parameters that a stub passes on; functions with more get listeners, except for sysv's seventh
const NEAR = { maxDistance: 0x7f000000 };

const address64 = address => {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setBigUint64(0, BigInt(address.toString()), true);
  return [...new Uint8Array(bytes.buffer)];
};
const address32 = distance => {
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setInt32(0, distance, true);
  return [...new Uint8Array(bytes.buffer)];
};

/* Functions with the calling convention of Linux. The registers stay as they are, and recorder_call finds a seventh parameter on
   the stack, above the record and the return address. */
const sysv = {
  parameters: 7,
  stub: (record, recorderCall) => [
    0x48, 0xb8, ...address64(record),        // mov rax, record
    0x50,                                    // push rax
    0x48, 0xb8, ...address64(recorderCall),  // mov rax, recorder_call
    0xff, 0xd0,                              // call rax
    0x48, 0x83, 0xc4, 0x08,                  // add rsp, 8
    0xc3,                                    // ret
  ],
  stubSize: STUB_SIZE,
  common: () => [],
  commonSize: 0,
  adapter: null,  // the recorder calls the function directly
};

/* Functions of 32-bit Linux. All parameters are on the stack. Six words are copied, even if the function has fewer parameters. The
   recorder's code does not align the stack, so an adapter does before the function runs. */
const pushWords = (register, first) => Array(REGISTERS).fill(0).flatMap(() => [...register, first]);
const cdecl = {
  stub: (record, recorderCall) => [
    0x83, 0xec, 0x0c,                        // sub esp, 12
    0xff, 0x74, 0x24, 0x0c,                  // push [esp + 12]
    0x68, ...address32(Number(record)),      // push record
    ...pushWords([0xff, 0x74, 0x24], 0x2c),  // push [esp + 44] six times, the last parameter first
    0xb8, ...address32(Number(recorderCall)), 0xff, 0xd0,  // mov eax, recorder_call; call eax
    0x83, 0xc4, 0x2c, 0xc3,                  // add esp, 44; ret
  ],
  stubSize: 128,  // with its adapter
  common: () => [],
  commonSize: 0,
  adapterOffset: 64,
  adapter: record => [
    0x55, 0x89, 0xe5, 0x83, 0xe4, 0xf0, 0x83, 0xec, 0x08,  // push ebp; mov ebp, esp; and esp, -16; sub esp, 8
    ...[0x1c, 0x18, 0x14, 0x10, 0x0c, 0x08].flatMap(offset => [0xff, 0x75, offset]),  // push [ebp + offset]
    0xff, 0x15, ...address32(Number(record.add(16))),      // call [&record->function]
    0xc9, 0xc3,                                            // leave; ret
  ],
};

/* Functions with the calling convention of Windows, in a process of Wine. Four parameters are in rcx, rdx, r8 and r9. Further
   ones are on the stack above 32 bytes of shadow space. rdi, rsi and xmm6 to xmm15 are callee-saved. */
const SAVED = 0xa0;
const moveRegisters = opcode => [
  0x0f, opcode, 0x34, 0x24,                                    // movups [rsp], xmm6, or the reverse
  0x0f, opcode, 0x7c, 0x24, 0x10,
  ...[0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c].flatMap(
    (register, index) => [0x44, 0x0f, opcode, register, 0x24, 0x20 + 0x10 * index]),
  0x44, 0x0f, opcode, 0xb4, 0x24, 0x80, 0, 0, 0,
  0x44, 0x0f, opcode, 0xbc, 0x24, 0x90, 0, 0, 0,
];
const COMMON_SIZE = 256;
const CALL_OUT = 224;  // offset of the second part of the common code
const windowsUnderWine = {
  stub: (record, recorderCall, distance) => [
    0x48, 0xb8, ...address64(record),        // mov rax, record
    0xe9, ...address32(distance - 15),       // jmp common
  ],
  common: recorderCall => {
    const enter = [
      0x55, 0x48, 0x89, 0xe5,                // push rbp; mov rbp, rsp
      0x57, 0x56,                            // push rdi; push rsi
      0x48, 0x81, 0xec, SAVED, 0, 0, 0,      // sub rsp, SAVED
      ...moveRegisters(0x11),
      0x48, 0x89, 0xcf, 0x48, 0x89, 0xd6,    // mov rdi, rcx; mov rsi, rdx
      0x4c, 0x89, 0xc2, 0x4c, 0x89, 0xc9,    // mov rdx, r8; mov rcx, r9
      0x4c, 0x8b, 0x45, 0x30,                // mov r8, [rbp + 0x30]
      0x4c, 0x8b, 0x4d, 0x38,                // mov r9, [rbp + 0x38]
      0xff, 0x75, 0x08, 0x50,                // push [rbp + 8]; push rax
      0x48, 0xb8, ...address64(recorderCall),
      0xff, 0xd0,                            // call rax
      0x48, 0x83, 0xc4, 0x10,                // add rsp, 16
      ...moveRegisters(0x10),
      0x48, 0x81, 0xc4, SAVED, 0, 0, 0,      // add rsp, SAVED
      0x5e, 0x5f, 0x5d, 0xc3,                // pop rsi; pop rdi; pop rbp; ret
    ];
    const callOut = [                        // calls the Windows function at rax with the recorder's parameters
      0x55, 0x48, 0x89, 0xe5,                // push rbp; mov rbp, rsp
      0x48, 0x83, 0xec, 0x30,                // sub rsp, 0x30
      0x4c, 0x89, 0x44, 0x24, 0x20,          // mov [rsp + 0x20], r8
      0x4c, 0x89, 0x4c, 0x24, 0x28,          // mov [rsp + 0x28], r9
      0x49, 0x89, 0xc9, 0x49, 0x89, 0xd0,    // mov r9, rcx; mov r8, rdx
      0x48, 0x89, 0xf2, 0x48, 0x89, 0xf9,    // mov rdx, rsi; mov rcx, rdi
      0xff, 0xd0, 0xc9, 0xc3,                // call rax; leave; ret
    ];
    return [...enter, ...Array(CALL_OUT - enter.length).fill(0xcc), ...callOut];
  },
  stubSize: 2 * STUB_SIZE,  // with its adapter
  commonSize: COMMON_SIZE + 64,
  adapter: (record, distance) => [
    0x48, 0xb8, ...address64(record.add(16)),  // mov rax, &record->function
    0x48, 0x8b, 0x00,                          // mov rax, [rax]
    0xe9, ...address32(distance + CALL_OUT - 18),
  ],
};

/* Functions of Windows itself, where the recorder has the same calling convention. */
const windowsNative = {
  stub: (record, recorderCall) => [
    0x55, 0x48, 0x89, 0xe5,                  // push rbp; mov rbp, rsp
    0x48, 0x83, 0xec, 0x40,                  // sub rsp, 0x40
    0x48, 0x8b, 0x45, 0x30, 0x48, 0x89, 0x44, 0x24, 0x20,  // mov rax, [rbp + 0x30]; mov [rsp + 0x20], rax
    0x48, 0x8b, 0x45, 0x38, 0x48, 0x89, 0x44, 0x24, 0x28,  // mov rax, [rbp + 0x38]; mov [rsp + 0x28], rax
    0x48, 0xb8, ...address64(record),        // mov rax, record
    0x48, 0x89, 0x44, 0x24, 0x30,            // mov [rsp + 0x30], rax
    0x48, 0x8b, 0x45, 0x08, 0x48, 0x89, 0x44, 0x24, 0x38,  // mov rax, [rbp + 8]; mov [rsp + 0x38], rax
    0x48, 0xb8, ...address64(recorderCall),  // mov rax, recorder_call
    0xff, 0xd0, 0xc9, 0xc3,                  // call rax; leave; ret
  ],
  stubSize: 96,
  common: () => [],
  commonSize: 0,
  adapter: null,  // the recorder calls the function directly
};

/* Generates stubs for hooks of the plan and returns [{stub, setOriginal(address)}]. keep: list that gets the memory in use. */
function makeStubs(convention, entries, near, recorder, keep) {
  const recorderCall = recorder.recorder_call;
  const stubSize = convention.stubSize + RELOCATED_SIZE;
  // Whole pages, so that no other memory becomes executable.
  const size = Math.ceil((convention.commonSize + entries.length * stubSize) / PAGE) * PAGE;
  let code;
  try {
    code = Memory.alloc(size, { near, ...NEAR });
  } catch {  // no free memory nearby; a longer jump may fit too
    code = Memory.alloc(size);
  }
  const records = Memory.alloc(entries.length * HOOK_SIZE);
  keep.push(code, records);
  if (convention.commonSize > 0) code.writeByteArray(convention.common(recorderCall));
  const stubs = entries.map((entry, index) => {
    const offset = convention.commonSize + index * stubSize;
    const record = records.add(index * HOOK_SIZE);
    record.writeU64(uint64(entry.toString())).add(8).writeU64(0).add(8).writeU64(0);
    const stub = code.add(offset);
    stub.writeByteArray(convention.stub(record, recorderCall, -offset));
    if (convention.adapter === null)
      return { stub, room: stub.add(convention.stubSize), setOriginal: address => { record.add(8).writePointer(address); } };
    const adapter = stub.add(convention.adapterOffset ?? STUB_SIZE);
    adapter.writeByteArray(convention.adapter(record, -offset - STUB_SIZE));
    return { stub, room: stub.add(convention.stubSize), setOriginal: address => { record.add(16).writePointer(address); record.add(8).writePointer(adapter); } };
  });
  if (convention === sysv || convention === cdecl)
    registerUnwinding(unwindRanges(code, size, stubSize, entries.length, recorderCall), keep);
  if (convention === windowsNative)
    addFunctionTable(stubs.map(({ stub }) => ({ start: stub, size: convention.stubSize })), recorder.recorder_unwound, keep);
  if (!Memory.protect(code, size, 'r-x')) throw new Error('the process cannot map executable memory');
  return stubs;
}

/* Returns true in a Linux program. Its loader reports its libraries, see elf.js. */
const isLinuxProgram = () => convention === sysv || convention === cdecl;

/* Returns true if functions get jumps of our own, see patch.js. */
const patchesFunctions = () => isLinuxProgram() || (convention === windowsNative && Process.arch === 'x64');

/* Returns true if functions can be replaced, which is the cheapest hook. In 32-bit Windows programs, all hooks are listeners. */
const canReplace = () => Process.arch === 'x64' || isLinuxProgram();
