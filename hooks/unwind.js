/*
 * Unwind tables for the recorder's frames, so that exceptions pass through hooked functions. On Linux the tables have the format of
 * .eh_frame and are registered with the unwinder of the process. Frames of Gum's listeners cannot be unwound.
 */
'use strict';

const WIDE = Process.arch === 'x64';
const [FRAME, STACK, RETURN_ADDRESS] = WIDE ? [6, 7, 16] : [5, 4, 8];  // DWARF register numbers
const DATA_ALIGN = WIDE ? 0x78 : 0x7c;  // -8, -4
const DEF_CFA = 0x0c, OFFSET = 0x80;  // DW_CFA_def_cfa, DW_CFA_offset
const CODE_SIZE = 2048;  // more than the code of recorder_call

const RULES = {
  // A stub at its call: the registers that it pushed, and the return address.
  stub: [DEF_CFA, STACK, WIDE ? 16 : 48, OFFSET | RETURN_ADDRESS, 1],
  // Code with a frame pointer: compiled C, and adapters.
  frame: [DEF_CFA, FRAME, WIDE ? 16 : 8, OFFSET | RETURN_ADDRESS, 1, OFFSET | FRAME, 2],
};

let registerFrame = null;
const pendingTables = [], registeredTables = [];

/* Returns the code ranges of stubs, their adapters and recorder_call. */
function unwindRanges(code, size, stubSize, count, recorderCall) {
  const ranges = [{ start: recorderCall, size: CODE_SIZE, rule: 'frame' }];
  if (WIDE) return [...ranges, { start: code, size, rule: 'stub' }];
  for (let index = 0; index < count; index++) {
    const stub = code.add(index * stubSize);
    ranges.push({ start: stub, size: cdecl.adapterOffset, rule: 'stub' });
    ranges.push({ start: stub.add(cdecl.adapterOffset), size: stubSize - cdecl.adapterOffset, rule: 'frame' });
  }
  return ranges;
}

const pointerBytes = address => WIDE ? address64(address) : address32(Number(address));
const padded = bytes => [...bytes, ...Array((8 - (bytes.length + 4) % 8) % 8).fill(0)];
const tableEntry = bytes => [...address32(padded(bytes).length), ...padded(bytes)];

function unwindTable(ranges) {
  const table = [];
  for (const { start, size, rule } of ranges) {
    const common = table.length;
    table.push(...tableEntry([0, 0, 0, 0, 1, 0, 1, DATA_ALIGN, RETURN_ADDRESS, ...RULES[rule]]));
    table.push(...tableEntry([...address32(table.length + 4 - common), ...pointerBytes(start), ...pointerBytes(ptr(size))]));
  }
  return [...table, 0, 0, 0, 0];
}

/* Registers a table, now or when the process has loaded an unwinder. */
function registerUnwinding(ranges, keep) {
  const bytes = unwindTable(ranges), memory = Memory.alloc(bytes.length);
  memory.writeByteArray(bytes);
  keep.push(memory);
  pendingTables.push(memory);
  registerPendingTables();
}

function registerPendingTables() {
  if (registerFrame === null) {
    const address = Module.findGlobalExportByName('__register_frame');
    if (address === null) return;
    registerFrame = new NativeFunction(address, 'void', ['pointer'], { exceptions: 'propagate' });
  }
  for (const table of pendingTables.splice(0)) {
    registerFrame(table);
    registeredTables.push(table);
  }
}

/* Removes the tables before their memory is freed. */
function unregisterUnwinding() {
  if (registeredTables.length === 0) return;
  const unregister = new NativeFunction(Module.findGlobalExportByName('__deregister_frame'), 'void', ['pointer']);
  registeredTables.splice(0).forEach(table => unregister(table));
}

// UNWIND_INFO of code with a frame pointer: version 1 with UNW_FLAG_UHANDLER, no prolog, two codes, frame register rbp;
// UWOP_SET_FPREG, UWOP_PUSH_NONVOL rbp. The address of the handler follows.
const FRAME_INFO = [1 | 2 << 3, 0, 2, 5, 0, 0x03, 0, 0x50];
const HANDLER_OFFSET = 16;  // of a jump to the handler, which may be far from the code

const functionTables = [];

/* Tells Windows how to unwind stubs, which have a frame pointer. TCC does so for the code that it compiles.
   ranges: [{start, size}] in ascending order, near each other. handler: function to call when an exception or a jump leaves a frame. */
function addFunctionTable(ranges, handler, keep) {
  const info = Memory.alloc(PAGE, { near: ranges[0].start, ...NEAR });
  const base = info.compare(ranges[0].start) < 0 ? info : ranges[0].start;
  const offset = address => address32(Number(address.sub(base)));
  info.writeByteArray([...FRAME_INFO, ...offset(info.add(HANDLER_OFFSET))]);
  info.add(HANDLER_OFFSET).writeByteArray([0x48, 0xb8, ...address64(handler), 0xff, 0xe0]);  // mov rax, handler; jmp rax
  if (!Memory.protect(info, PAGE, 'r-x')) throw new Error('the process cannot map executable memory');
  const entries = ranges.flatMap(({ start, size }) => [...offset(start), ...offset(start.add(size)), ...offset(info)]);
  const table = Memory.alloc(entries.length);
  table.writeByteArray(entries);
  keep.push(info, table);
  ntdll('RtlAddFunctionTable', 'uint8', 'pointer', 'uint32', 'pointer')(table, ranges.length, base);
  functionTables.push(table);
}

function removeFunctionTables() {
  functionTables.splice(0).forEach(table => ntdll('RtlDeleteFunctionTable', 'uint8', 'pointer')(table));
}
