/*
 * The agent: loads the recorder into the traced process, puts its hooks on the functions, and takes them off again.
 * It moves no events and knows no function: names come with the plan, addresses from a locator.
 *
 * Messages to the recorder's side are {type: 'kmt:module' | 'kmt:hooked' | 'kmt:missed' | 'kmt:raw' | 'kmt:rest' | 'kmt:error', ...}.
 */
'use strict';

const PAGE = 4096;
const SLOTS_SIZE = 8192 * PAGE;  // SLOTS and SLOT_SIZE in the recorder

// A thread may be inside the recorder when the hooks come off; its code and memory stay until this has passed.
const GRACE_SECONDS = 0.1;

// Bytes into the recorder's state; S_WINDOWS there.
const WINDOWS = 1 * 8;

const MORE = 0xffffffffffffffffn;  // in the sender, too

let recorder = null;
let sender = null;  // collects what is new into a buffer, where the memory is not shared
const keptAlive = [];  // memory that hooks use
let hooks = null;  // name of a function -> address of its entry in the plan
let raw = null;  // {prefixes, patterns} of names that the plan does not know but may have to hook, {entries} left for them
let wanted = [];  // the modules whose exports are hooked, by file name or path
let kind = null;  // see functionsOf
const system = Process.platform === 'windows' ? windows : linux;
let convention = Process.platform === 'windows' ? microsoftItself : sysv;  // of the functions
let observer = null;
let watch = null;  // the timer that looks for modules that Wine maps
let gate = null;  // see gate.c
const EXIT = 'exit';
const hooked = new Map();  // address -> what takes the hook off

/* The memory that events are written to, where the recorder's side cannot map it: it asks for what is there. */
const BUFFER_SIZE = 1 << 20;

function ownMemory({ size, blockSize, source }) {
  const control = system.map(size, true);
  const sent = system.map(Math.ceil(4 * size / blockSize / PAGE) * PAGE);
  const module = new CModule(source, { control, sent, state: system.map(PAGE) });
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

function start(config) {
  const source = config.sources[`${Process.platform} ${Process.arch}`];
  if (source === undefined)
    throw new Error(`processes of ${Process.platform} ${Process.arch} cannot be recorded, x64 and ia32 of Linux and Windows can`);
  const control = config.memory.path === null ? ownMemory(config.memory) : system.share(config.memory);
  // A forked child has the mapping too: what leads there is zero for it, and its hooks do nothing.
  const enabled = system.mapWiped(PAGE);
  const plan = Memory.alloc(config.plan.length * 4);
  plan.writeByteArray(new Uint32Array(config.plan).buffer);
  const state = Memory.alloc(PAGE);
  state.writeByteArray(new Uint8Array(PAGE).buffer);
  gate = Memory.alloc(PAGE);
  gate.writeByteArray(new Uint8Array(PAGE).buffer);
  recorder = new CModule(source, {
    control, enabled, plan, state, gate, pool: system.mapWiped(SLOTS_SIZE), ...system.symbols(state),
  });
  hooks = new Map(Object.entries(config.hooks).map(([name, index]) => [name, plan.add(index * 4)]));
  raw = {
    prefixes: config.raw.prefixes,
    patterns: config.raw.patterns.map(pattern => new RegExp(pattern)),
    entries: config.raw.hooks.map(index => plan.add(index * 4)),
  };
  new NativeFunction(recorder.recorder_start, 'void', [])();
  system.standIn(recorder, state);
  const atExit = Interceptor.attach(system.exit(), { onEnter: recorder.recorder_exit });
  hooked.set(EXIT, () => atExit.detach());
  Interceptor.flush();
  enabled.writeU32(1);
  const overhead = raw.entries.length > 0 && standsIn() ? measure() : null;
  if (config.windows) {
    if (system === linux) convention = microsoft;
    state.add(WINDOWS).writeU64(1);  // from here on: under Wine, this thread is none of Windows'
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
  const [{ stub, setOriginal }] = makeStubs(convention, [raw.entries[0]], system.exit(), recorder.recorder_call, keptAlive);
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
  } else if (system === windows) {
    hookWindows(module);
  } else if (isWanted(name, path)) {
    hookModule(name, () => module.enumerateExports().filter(each => each.type === 'function'));
  }
}

function onRemoved(module) {
  if (system === windows) leaveRange(module.base, module.size);
}

/* Takes the hooks off what is about to go away. */
function leaveRange(base, size) {
  const end = base.add(size);
  for (const [address, takeOff] of hooked) {
    const at = ptr(address === EXIT ? 0 : address);
    if (at.compare(base) < 0 || at.compare(end) >= 0) continue;
    takeOff();
    hooked.delete(address);
  }
  Interceptor.flush();
}

/* Takes the hooks off, once. False: the recorder's code has to stay loaded, a signal handler leads to it. */
function stop() {
  if (recorder === null) return true;
  if (observer !== null) observer.detach();
  if (watch !== null) clearInterval(watch);
  for (const takeOff of hooked.values()) takeOff();
  system.leave();
  Interceptor.flush();
  const unhooked = new NativeFunction(recorder.recorder_stop, 'int', [])() === 1;
  Thread.sleep(GRACE_SECONDS);
  sendRest();
  // A thread that waits in a function comes back into the recorder, however late; it then finds it not enabled.
  const inside = new NativeFunction(recorder.recorder_inside, 'uint', [])() !== 0;
  if (!inside) system.release();
  recorder = null;
  return unhooked && !inside;
}

rpc.exports = {
  /* Loads the recorder; hooks the module's functions now or whenever it is loaded. Gives what that costs. */
  start(config) {
    const overhead = start(config);
    wanted = config.modules;
    kind = config.interface;
    observer = Process.attachModuleObserver({ onAdded, onRemoved });
    const early = () => system === windows ? hooked.size === 1 : lookAround().length === 0;  // one: the process's exit
    return { overhead, early: config.windows && early() };
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
