/*
 * The agent: loads the recorder into the target process, hooks functions and removes the hooks again. It transfers no events,
 * except where memory is not shared. It contains no function names: the plan has the names, a locator finds the addresses.
 *
 * Messages to the host are {type, ...}: kmt:module, kmt:hooked, kmt:missed, kmt:uninjected, kmt:raw, kmt:rest and kmt:error.
 */
'use strict';

const PAGE = 4096;
const SLOTS_SIZE = 8192 * PAGE;  // SLOTS * SLOT_SIZE in recorder.c

// A thread may run in the recorder when the hooks are removed. Code and memory of the recorder stay for this time.
const GRACE_SECONDS = 0.1;

// Offset in the recorder's state: S_WINDOWS in recorder.c.
const WINDOWS = 1 * 8;
// The same: S_REPORTED in follow.c.
const REPORTED = 63 * 8;

const MORE = 0xffffffffffffffffn;  // MORE in sender.c

let recorder = null;
let sender = null;  // collects new data into a buffer if the memory is not shared
const keptAlive = [];  // memory that hooks use, kept from garbage collection
let hooks = null;  // function name -> address of its hook in the plan
let raw = null;  // {prefixes, patterns} of undescribed functions to hook, and {entries}: unused hooks in the plan for them
const rawHooks = new Map();  // name of an undescribed function -> its hook in the plan
let moduleNames = [];  // file names or paths of the modules whose exports are hooked
let naming = null;  // name prefixes of the functions, see functionsOf
const system = Process.platform === 'windows' ? windows : linux;
let convention = Process.platform === 'windows' ? windowsNative : Process.arch === 'x64' ? sysv : cdecl;  // calling convention, see stubs.js
let observer = null;
let moduleTimer = null;  // polls for modules that Wine maps
let recorderState = null;
let gate = null;  // see gate.c
const hooked = new Map();  // address -> {unhook(), isPatch}: what removes the hook, and if it is a jump of ours

/* Creates the memory that events are written to, for a host that cannot map it and fetches the events instead. */
const BUFFER_SIZE = 1 << 20;

let reported = 0;

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

/* Sends all remaining events, unasked. */
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
    throw new Error(`unsupported process: ${Process.platform} ${Process.arch} (expected x64 or ia32, on Linux or Windows)`);
  const control = config.memory.path === null ? ownMemory(config.memory) : system.share(config.memory);
  // A forked child inherits the mapping. `enabled` is zero in the child, so that its hooks do nothing.
  const enabled = system.mapWiped(PAGE);
  const plan = Memory.alloc(config.plan.length * 4);
  plan.writeByteArray(new Uint32Array(config.plan).buffer);
  const state = recorderState = zeroed(PAGE);
  gate = zeroed(PAGE);
  recorder = new CModule(source, {
    control, enabled, plan, state, gate, fault_counts: zeroed(PAGE), fault_callers: startCallers(config.callers),
    pool: system.mapWiped(SLOTS_SIZE), ...system.symbols(state),
  });
  hooks = new Map(Object.entries(config.hooks).map(([name, index]) => [name, plan.add(index * 4)]));
  raw = {
    prefixes: config.raw.prefixes,
    patterns: config.raw.patterns.map(pattern => new RegExp(pattern)),
    entries: config.raw.hooks.map(index => plan.add(index * 4)),
  };
  if (config.hasFaults && !canReplace()) throw new Error('faults cannot be injected into 32-bit Windows programs');
  new NativeFunction(recorder.recorder_start, 'void', [])();
  system.replaceFunctions(recorder, state, keptAlive);
  Interceptor.flush();
  enabled.writeU32(1);
  const overhead = raw.entries.length > 0 && canReplace() ? measure() : null;
  openMailbox(config, state);
  if (config.windows) {
    if (system === linux) convention = windowsUnderWine;
    state.add(WINDOWS).writeU64(1);  // after the measurement, because this thread is not a Windows thread under Wine
  }
  return overhead;
}

/* Sends a message that an exiting process waits for (await_reports in follow.c). Frida drops messages at an exit. */
function report(message) {
  if (recorder !== null) recorderState.add(REPORTED).writeU64(++reported);
  send(message);
}

/* Measures the cost of a call with its arguments only, and of each kilobyte copied, in nanoseconds. */
const MEASURED_CALLS = 150;
const MEASURED_COPIES = 10;

function measure() {
  // A raw call copies 256 bytes at each argument: none with NULL, a kilobyte with readable memory.
  const [{ stub, setOriginal }] = makeStubs(convention, [raw.entries[0]], system.exit(), recorder, keptAlive);
  setOriginal(recorder.recorder_nothing);
  const run = new NativeFunction(recorder.recorder_measure, 'uint64', ['pointer', 'pointer', 'uint']);
  const call = run(stub, NULL, MEASURED_CALLS).toNumber();
  const copied = run(stub, Memory.alloc(PAGE), MEASURED_COPIES).toNumber();
  return { call_ns: call, kilobyte_ns: Math.max(Math.round((copied - call) / 2), 0) };  // / 2: copied before and after
}

/* Takes a spare hook of the plan for an undescribed function. Returns null for a function that is not to be hooked. */
function takeSpare(name) {
  if (!raw.prefixes.some(prefix => name.startsWith(prefix))) return null;
  if (raw.patterns.length > 0 && !raw.patterns.some(pattern => pattern.test(name))) return null;
  if (rawHooks.has(name)) return rawHooks.get(name);
  const entry = raw.entries.shift();
  if (entry === undefined) throw new Error(`too many undescribed functions: no hook is left for ${name}`);
  rawHooks.set(name, entry);
  report({ type: 'kmt:raw', name, number: entry.readU32() });
  return entry;
}

function attach(name, address, entry) {
  try {
    const listener = Interceptor.attach(address, recorder, entry);
    if (entry.add(12).readU32() !== 0 || isAnswered(name)) report({ type: 'kmt:uninjected', name });  // a listener only watches
    hooked.set(address.toString(), { unhook: () => listener.detach(), isPatch: false });
  } catch (error) {  // the function is shorter than any jump
    report({ type: 'kmt:missed', name, reason: error.message });
  }
}

/* Hooks functions of the form {name, address}, each address once. A described function with all parameters in registers is
   replaced. All others get listeners. */
function hook(functions, source) {
  // One address may have several names.
  const addresses = new Set(hooked.keys());
  const fresh = functions.filter(({ address }) => addresses.size < addresses.add(address.toString()).size);
  const isReplaceable = name => canReplace() && hooks.has(name) && hooks.get(name).add(4).readU32() <= (convention.parameters ?? REGISTERS);
  const replaceable = fresh.filter(({ name }) => isReplaceable(name));
  if (replaceable.length > 0) {
    const entries = replaceable.map(({ name }) => hooks.get(name));
    const stubs = makeStubs(convention, entries, replaceable[0].address, recorder, keptAlive);
    replaceable.forEach(({ name, address }, index) => {
      const { stub, setOriginal, room } = stubs[index];
      try {
        // A thread may call the stub before the original is set. The recorder then waits for the address.
        if (patchesFunctions()) {
          const { original, unhook } = patchFunction(address, stub, room);
          setOriginal(answers[name] ?? original);
          hooked.set(address.toString(), { unhook, isPatch: true });
        } else {
          const original = Interceptor.replaceFast(address, stub);
          setOriginal(answers[name] ?? original);
          hooked.set(address.toString(), { unhook: () => Interceptor.revert(address), isPatch: false });
        }
      } catch {  // too short for this jump; a listener needs a shorter one
        attach(name, address, hooks.get(name));
      }
    });
  }
  for (const { name, address } of fresh.filter(({ name }) => !isReplaceable(name))) {
    const entry = hooks.get(name) ?? takeSpare(name);
    if (entry === null) continue;
    attach(name, address, entry);
  }
  for (const { name, address } of fresh)
    if (hooked.has(address.toString())) report({ type: 'kmt:hooked', name, address: address.toString(), source });
}

const isChosen = (name, path) => moduleNames.some(module => module === path || module.toLowerCase() === name.toLowerCase());

function hookModule(name, functions) {
  try {
    hook(functions(), name);
    Interceptor.flush();
  } catch (error) {
    report({ type: 'kmt:error', message: `cannot hook ${name}: ${error.message}` });
  }
}

/* Handles a module that the system's loader has loaded. */
function onAdded(module) {
  const { name, path, base, size } = module;
  report({ type: 'kmt:module', name, path, base: base.toString(), size });
  addCaller(name, base, size);
  if (isLinuxProgram()) registerPendingTables();
  if (convention === windowsUnderWine) {
    if (name === 'ntdll.so') watchWine(module);
  } else if (system === windows) {
    if (observer !== null) hookWindows();
  } else if (isChosen(name, path)) {
    hookModule(name, () => exportedFunctions(module));
  }
}

/* A library of this system is gone: on Windows it is about to go, on Linux nothing is left there. */
function onRemoved(module) {
  if (system === windows) {
    unhookRange(module.base, module.size);
    loadedImages.delete(module.base.toString());
  } else if (isLinuxProgram()) hooksIn(module.base, module.size).forEach(([key]) => hooked.delete(key));
}

/* A library of Linux may be about to be unmapped. Gum's hooks come off, since Gum must not touch them afterwards. Libraries that
   stay are hooked again when the loader is done. */
function onChanging() {
  for (const [key, { unhook, isPatch }] of hooked) {
    if (isPatch) continue;
    unhook();
    hooked.delete(key);
  }
  Interceptor.flush();
}

/* Returns the exported functions of a library, of the loader's list or of Frida. */
const exportedFunctions = module =>
  module.exports !== undefined ? module.exports() : module.enumerateExports().filter(({ type }) => type === 'function');

/* Hooks again what onChanging took off. */
function onUnchanged({ name, path, exports }) {
  if (isChosen(name, path)) hookModule(name, exports);
}

/* Removes the hooks from a module that is to be unmapped. */
function unhookRange(base, size) {
  for (const [key, { unhook }] of hooksIn(base, size)) {
    unhook();
    hooked.delete(key);
  }
  Interceptor.flush();
}

function hooksIn(base, size) {
  const end = base.add(size);
  return [...hooked].filter(([key]) => ptr(key).compare(base) >= 0 && ptr(key).compare(end) < 0);
}

/* Removes all hooks, once. Returns false if the recorder's code must stay loaded: a signal handler or an open call needs it. */
function stop() {
  if (recorder === null) return true;
  if (observer !== null) observer.detach();
  if (moduleTimer !== null) clearInterval(moduleTimer);
  for (const { unhook } of hooked.values()) unhook();
  system.restoreFunctions();
  Interceptor.flush();
  const unhooked = new NativeFunction(recorder.recorder_stop, 'int', [])() === 1;
  Thread.sleep(GRACE_SECONDS);
  sendRest();
  // A thread that waits in a replaced function returns through the recorder, however late, and finds it disabled.
  const inside = new NativeFunction(recorder.recorder_inside, 'uint', [])() !== 0;
  if (!inside) {
    unregisterUnwinding();
    system.release();
  }
  recorder = null;
  return unhooked && !inside;
}

rpc.exports = {
  /* Loads the recorder, and hooks the functions of the modules now or when they are loaded. Returns the measured cost of a
     call, and true as `early` if a Windows program had none of the modules loaded. */
  start(config) {
    const overhead = start(config);
    moduleNames = config.modules;
    naming = config.interface;
    if (isLinuxProgram()) observer = observeLoader(recorder, recorderState, { onAdded, onRemoved, onChanging, onUnchanged }, keptAlive);
    observer ??= Process.attachModuleObserver({ onAdded, onRemoved });  // which reports the loaded modules at once
    if (system === windows) hookWindows();
    const early = () => system === windows ? hooked.size === 0 : updateImages().length === 0;
    return { overhead, early: config.windows && early() };
  },

  /* Hooks functions by the addresses that the process has offered. */
  hookTable(functions) {
    const offered = Object.entries(functions).map(([name, address]) => ({ name, address: ptr(address) }));
    for (const { name, address } of offered) {
      const range = Process.findRangeByAddress(address);
      if (range === null || !range.protection.includes('x'))
        throw new Error(`invalid address of ${name}: ${address} (expected executable memory)`);
    }
    hook(offered, 'table');
    Interceptor.flush();
    return hooked.size;
  },

  /* Returns the next buffer of events if the memory is not shared, null once the hooks are removed. */
  collect: () => sender === null ? null : sender(false),

  stop,

  /* Ends a process of which only Frida's threads are left. status: exit status of its main thread. It is 0 after pthread_exit. Then
     libc runs the exit handlers with the last thread. */
  end: status => system.end(status),

  /* Frida calls this before it unloads the script, also after the host was killed. At exit() of the process the hooks stay,
     because destructors may still call functions. */
  dispose(reason) {
    if (reason === 'exit') sendRest();
    else stop();
  },
};
