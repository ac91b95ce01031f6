/*
 * The agent: loads the recorder into the traced process, puts its hooks on the functions, and takes them off again.
 * It moves no events and knows no function: names come with the plan, addresses from a locator.
 *
 * Messages to the recorder's side are {type: 'kmt:module' | 'kmt:hooked' | 'kmt:missed' | 'kmt:raw' | 'kmt:rest' | 'kmt:error', ...}.
 */
'use strict';

const libc = name => {
  const address = Module.findGlobalExportByName(name);
  if (address === null) throw new Error(`the process has no function ${name}`);
  return address;
};
const native = (name, result, ...types) => new NativeFunction(libc(name), result, types, { exceptions: 'propagate' });

const PAGE = 4096;
const SLOTS_SIZE = 8192 * PAGE;  // SLOTS and SLOT_SIZE in the recorder
const PROT_READ_WRITE = 3;
const MAP_SHARED_POPULATE = 0x8001;  // with all its pages at once: a first store into each would cost the program a fault
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_NORESERVE = 0x4000;
const MAP_POPULATE = 0x8000;
const O_RDWR_CLOEXEC = 0o2000002;
const MADV_WIPEONFORK = 18;

// A thread may be inside the recorder when the hooks come off; its code and memory stay until this has passed.
const GRACE_SECONDS = 0.1;

// Bytes into the recorder's state; S_WINDOWS, S_KEY, S_SIGACTION and S_SIGNAL there.
const WINDOWS = 1 * 8;
const KEY = 2 * 8;
const SIGACTION = 56 * 8;
const SIGNAL = 57 * 8;

const MORE = 0xffffffffffffffffn;  // in the sender, too

let recorder = null;
let sender = null;  // collects what is new into a buffer, where the memory is not shared
const keptAlive = [];  // memory that hooks use
let key = -1;  // of what libc keeps for each thread
const mapped = [];  // [address, size] of what is unmapped in the end
let hooks = null;  // name of a function -> address of its entry in the plan
let raw = null;  // {prefixes, patterns} of names that the plan does not know but may have to hook, {entries} left for them
let wanted = [];  // the modules whose exports are hooked, by file name or path
let kind = null;  // see functionsOf
let convention = sysv;  // of the functions
let observer = null;
let watch = null;  // the timer that looks for modules that Wine maps
let gate = null;  // see gate.c
const hooked = new Map();  // address -> what takes the hook off

function map(size, flags, file = -1) {
  const mmap = native('mmap', 'pointer', 'pointer', 'size_t', 'int', 'int', 'int', 'int64');
  const memory = mmap(NULL, size, PROT_READ_WRITE, flags, file, 0);
  if (memory.equals(ptr(-1))) throw new Error(`the process cannot map ${size} bytes`);
  mapped.push([memory, size]);
  return memory;
}

function wipedOnFork(size, flags) {
  const memory = map(size, flags);
  if (native('madvise', 'int', 'pointer', 'size_t', 'int')(memory, size, MADV_WIPEONFORK) !== 0)
    throw new Error('the system cannot tell hooks that they are in a forked child (Linux before 4.14)');
  return memory;
}

/* The memory that events are written to, as a file that both sides map. */
function sharedMemory({ path, offset, size }) {
  const file = native('open', 'int', 'pointer', 'int')(Memory.allocUtf8String(path), O_RDWR_CLOEXEC);
  if (file < 0) throw new Error(`the process cannot open ${path}`);
  const memory = map(offset + size, MAP_SHARED_POPULATE, file).add(offset);
  native('close', 'int', 'int')(file);
  return memory;
}

/* The same where the recorder's side cannot map it: it asks for what is there. */
const BUFFER_SIZE = 1 << 20;

function ownMemory({ size, blockSize, source }) {
  const control = map(size, MAP_PRIVATE_ANONYMOUS | MAP_POPULATE);
  const sent = map(Math.ceil(4 * size / blockSize / PAGE) * PAGE, MAP_PRIVATE_ANONYMOUS);
  const module = new CModule(source, { control, sent, state: map(PAGE, MAP_PRIVATE_ANONYMOUS) });
  const buffer = Memory.alloc(BUFFER_SIZE);
  const fill = new NativeFunction(module.sender_collect, 'uint64', ['pointer', 'uint64', 'uint']);
  new NativeFunction(module.sender_prepare, 'void', ['uint64', 'uint64'])(size, blockSize);
  keptAlive.push(module);
  sender = last => buffer.readByteArray(fill(buffer, BUFFER_SIZE, last ? 1 : 0).toNumber());
  return control;
}

/* Sends what is left, without being asked. */
function sendRest() {
  if (sender === null) return;
  for (let more = true; more;) {
    const data = sender(true);
    more = new DataView(data).getBigUint64(0, true) === MORE;
    send({ type: 'kmt:rest' }, data);
  }
  sender = null;
}

/* The key of the threads' slots. When a thread ends, libc calls this code with its slot, to give it back. It is never
   unmapped. */
const AT_THREAD_END = {
  x64: [0xc7, 0x07, 0, 0, 0, 0, 0xc3],                             // mov dword [rdi], 0; ret
  ia32: [0x8b, 0x44, 0x24, 0x04, 0xc7, 0x00, 0, 0, 0, 0, 0xc3],    // mov eax, [esp + 4]; mov dword [eax], 0; ret
};

function makeKey() {
  const made = Memory.alloc(8);
  const atExit = map(PAGE, MAP_PRIVATE_ANONYMOUS);
  mapped.pop();
  atExit.writeByteArray(AT_THREAD_END[Process.arch]);
  if (!Memory.protect(atExit, PAGE, 'r-x')) throw new Error('the process may not have executable memory');
  if (native('pthread_key_create', 'int', 'pointer', 'pointer')(made, atExit) !== 0)
    throw new Error('the process has no thread-specific key left');
  return made.readU32();
}

function start(config) {
  if (!(Process.arch in config.sources) || Process.platform !== 'linux')
    throw new Error(`processes of ${Process.platform} ${Process.arch} cannot be recorded yet, x64 and ia32 on Linux can`);
  const control = config.memory.path === null ? ownMemory(config.memory) : sharedMemory(config.memory);
  // A forked child has the mapping too: what leads there is zero for it, and its hooks do nothing.
  const enabled = wipedOnFork(PAGE, MAP_PRIVATE_ANONYMOUS);
  const plan = Memory.alloc(config.plan.length * 4);
  plan.writeByteArray(new Uint32Array(config.plan).buffer);
  const state = Memory.alloc(PAGE);
  state.writeByteArray(new Uint8Array(PAGE).buffer);
  key = makeKey();
  state.add(KEY).writeU64(key);
  gate = Memory.alloc(PAGE);
  gate.writeByteArray(new Uint8Array(PAGE).buffer);
  recorder = new CModule(config.sources[Process.arch], {
    control, enabled, plan, state, gate,
    pool: wipedOnFork(SLOTS_SIZE, MAP_PRIVATE_ANONYMOUS | MAP_NORESERVE),
    thread_get: libc('pthread_getspecific'),
    thread_set: libc('pthread_setspecific'),
    thread_id: libc('gettid'),
    memory_map: libc('mmap'),
    memory_unmap: libc('munmap'),
    clock_gettime: libc('clock_gettime'),
    sigaction: libc('sigaction'),
    pthread_sigmask: libc('pthread_sigmask'),
    raise: libc('raise'),
    getpid: libc('getpid'),
    usleep: libc('usleep'),
  });
  hooks = new Map(Object.entries(config.hooks).map(([name, index]) => [name, plan.add(index * 4)]));
  raw = {
    prefixes: config.raw.prefixes,
    patterns: config.raw.patterns.map(pattern => new RegExp(pattern)),
    entries: config.raw.hooks.map(index => plan.add(index * 4)),
  };
  new NativeFunction(recorder.recorder_start, 'void', [])();
  // Handlers that the program installs from now on come behind the recorder's.
  state.add(SIGACTION).writePointer(Interceptor.replaceFast(libc('sigaction'), recorder.recorder_sigaction));
  state.add(SIGNAL).writePointer(Interceptor.replaceFast(libc('signal'), recorder.recorder_signal));
  // Frida has hooked this one itself, so it cannot be replaced.
  const atExit = Interceptor.attach(libc('_exit'), { onEnter: recorder.recorder_exit });
  hooked.set('_exit', () => atExit.detach());
  Interceptor.flush();
  enabled.writeU32(1);
  const overhead = raw.entries.length > 0 && standsIn() ? measure() : null;
  if (config.windows) {  // from here on: this thread is none of Windows'
    convention = microsoft;
    state.add(WINDOWS).writeU64(1);
  }
  return overhead;
}

/* Whether functions are replaced, which costs least; on 32-bit processors Gum calls us for all of them. */
const standsIn = () => Process.arch === 'x64';

/* What a call costs with nothing but its arguments, and each kilobyte that is copied, in nanoseconds. */
const MEASURED_CALLS = 150;
const MEASURED_COPIES = 10;

function measure() {
  // Its arguments are looked at, 256 bytes of each.
  const [{ stub, setOriginal }] = makeStubs(sysv, [raw.entries[0]], libc('_exit'), recorder.recorder_call, keptAlive);
  setOriginal(recorder.recorder_nothing);
  const run = new NativeFunction(recorder.recorder_measure, 'uint64', ['pointer', 'pointer', 'uint']);
  const call = run(stub, NULL, MEASURED_CALLS).toNumber();
  const copied = run(stub, Memory.alloc(PAGE), MEASURED_COPIES).toNumber();
  return { call_ns: call, kilobyte_ns: Math.max(Math.round((copied - call) / 2), 0) };  // before, and after
}

/* A spare entry of the plan for a function that it does not know, under a number of its own. */
function spareFor(name) {
  if (!raw.prefixes.some(prefix => name.startsWith(prefix))) return null;
  if (raw.patterns.length > 0 && !raw.patterns.some(pattern => pattern.test(name))) return null;
  const entry = raw.entries.shift();
  if (entry === undefined) throw new Error(`more functions are unknown than there is room for (${name})`);
  send({ type: 'kmt:raw', name, number: entry.readU32() });
  return entry;
}

function attach(name, address, entry) {
  try {
    const listener = Interceptor.attach(address, recorder, entry);
    hooked.set(address.toString(), () => listener.detach());
  } catch (error) {  // shorter than any jump
    send({ type: 'kmt:missed', name, reason: error.message });
  }
}

/* Hooks the functions of {name, address} that are to be hooked. Those whose parameters are known, and all in registers,
   are replaced, which costs least; others Gum calls us for. */
function hook(functions, where) {
  // One address may have several names.
  const places = new Set(hooked.keys());
  const fresh = functions.filter(({ address }) => places.size < places.add(address.toString()).size);
  const inRegisters = name => standsIn() && hooks.has(name) && hooks.get(name).add(4).readU32() <= REGISTERS;
  const known = fresh.filter(({ name }) => inRegisters(name));
  if (known.length > 0) {
    const entries = known.map(({ name }) => hooks.get(name));
    const stubs = makeStubs(convention, entries, known[0].address, recorder.recorder_call, keptAlive);
    known.forEach(({ name, address }, index) => {
      const { stub, setOriginal } = stubs[index];
      try {
        // The recorder waits for the original's address where a thread is quicker than this line.
        setOriginal(Interceptor.replaceFast(address, stub));
        hooked.set(address.toString(), () => Interceptor.revert(address));
      } catch {  // too short for the jump that this takes; another way takes a shorter one
        attach(name, address, hooks.get(name));
      }
    });
  }
  for (const { name, address } of fresh.filter(({ name }) => !inRegisters(name))) {
    const entry = hooks.get(name) ?? spareFor(name);
    if (entry === null) continue;
    attach(name, address, entry);
  }
  for (const { name, address } of fresh)
    if (hooked.has(address.toString())) send({ type: 'kmt:hooked', name, address: address.toString(), where });
}

const isWanted = (name, path) => wanted.some(each => each === path || each.toLowerCase() === name.toLowerCase());

function hookModule(name, functions) {
  try {
    hook(functions(), name);
    Interceptor.flush();
  } catch (error) {
    send({ type: 'kmt:error', message: `${name} could not be hooked: ${error.message}` });
  }
}

/* A library of this system was loaded. */
function onAdded(module) {
  const { name, path, base, size } = module;
  send({ type: 'kmt:module', name, path, base: base.toString(), size });
  if (convention === microsoft) {
    if (name === 'ntdll.so') watchWine(module);
  } else if (isWanted(name, path)) {
    hookModule(name, () => module.enumerateExports().filter(each => each.type === 'function'));
  }
}

/* Takes the hooks off, once. False: the recorder's code has to stay loaded, a signal handler leads to it. */
function stop() {
  if (recorder === null) return true;
  if (observer !== null) observer.detach();
  if (watch !== null) clearInterval(watch);
  for (const takeOff of hooked.values()) takeOff();
  for (const name of ['sigaction', 'signal']) Interceptor.revert(libc(name));
  Interceptor.flush();
  const unhooked = new NativeFunction(recorder.recorder_stop, 'int', [])() === 1;
  Thread.sleep(GRACE_SECONDS);
  sendRest();
  // A thread that waits in a function comes back into the recorder, however late; it then finds it not enabled.
  const inside = new NativeFunction(recorder.recorder_inside, 'uint', [])() !== 0;
  if (!inside) {
    native('pthread_key_delete', 'int', 'uint')(key);
    for (const [memory, size] of mapped) native('munmap', 'int', 'pointer', 'size_t')(memory, size);
  }
  recorder = null;
  return unhooked && !inside;
}

rpc.exports = {
  /* Loads the recorder; hooks the module's functions now or whenever it is loaded. Gives what that costs. */
  start(config) {
    const overhead = start(config);
    wanted = config.modules;
    kind = config.interface;
    observer = Process.attachModuleObserver({ onAdded });
    return { overhead, early: config.windows && lookAround().length === 0 };
  },

  /* Hooks functions that the process has handed over by address. */
  hookTable(functions) {
    const found = Object.entries(functions).map(([name, address]) => ({ name, address: ptr(address) }));
    for (const { name, address } of found) {
      const range = Process.findRangeByAddress(address);
      if (range === null || !range.protection.includes('x')) throw new Error(`${address} of ${name} is not code`);
    }
    hook(found, 'table');
    Interceptor.flush();
    return hooked.size;
  },

  /* The next buffer of events, where the memory is not shared; null when the hooks are off. */
  collect: () => sender === null ? null : sender(false),

  stop,

  /* Frida's own call before it unloads this script: the recorder's side may have died without a word. At the process's
     exit() the hooks stay, since destructors go on calling. */
  dispose(reason) {
    if (reason === 'exit') sendRest();
    else stop();
  },
};
