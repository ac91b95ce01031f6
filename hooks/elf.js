/*
 * Libraries of a Linux process as its loader lists them, and their exported functions.
 *
 * Frida's module observer misses a library now and then: 3 of 60 under load, Frida 17.26. The loader calls an empty function whenever
 * its list changes, for debuggers. A listener there runs on the thread that loads.
 */
'use strict';

const WIDTH = Process.pointerSize;
const RT_CONSISTENT = 0, RT_DELETE = 2;
const DT_HASH = 4, DT_STRTAB = 5, DT_SYMTAB = 6, DT_GNU_HASH = 0x6ffffef5;
const STT_FUNC = 2;
const PT_LOAD = 1;
const VIRTUAL = new Set(['', 'linux-vdso.so.1', 'linux-gate.so.1']);  // the program itself, and the kernel's library

const isElf = base => base.readU32() === 0x464c457f;

/* Returns the size of a mapped library in bytes. */
function imageSize(base) {
  const wide = WIDTH === 8;
  const headers = base.add(wide ? base.add(32).readU64() : base.add(28).readU32());
  const entrySize = base.add(wide ? 54 : 42).readU16(), count = base.add(wide ? 56 : 44).readU16();
  let end = 0;
  for (let index = 0; index < count; index++) {
    const header = headers.add(index * entrySize);
    if (header.readU32() !== PT_LOAD) continue;
    const address = Number(header.add(wide ? 16 : 8).readPointer()), size = Number(header.add(wide ? 40 : 20).readPointer());
    end = Math.max(end, address + size);
  }
  return Math.ceil(end / PAGE) * PAGE;
}

/* Returns the loader's list: base as text -> {path, base, dynamic}. debug: its struct r_debug. */
function loadedLibraries(debug) {
  const libraries = new Map();
  for (let link = debug.add(WIDTH).readPointer(); !link.isNull(); link = link.add(3 * WIDTH).readPointer()) {
    const base = link.readPointer(), path = link.add(WIDTH).readPointer().readUtf8String();
    if (VIRTUAL.has(path) || base.isNull() || libraries.has(base.toString())) continue;
    libraries.set(base.toString(), { path, base, dynamic: link.add(2 * WIDTH).readPointer() });
  }
  return libraries;
}

/* Returns the functions that a library exports: [{name, address}]. */
function exportsOf({ base, dynamic }) {
  const table = new Map();
  for (let entry = dynamic; ; entry = entry.add(2 * WIDTH)) {
    const tag = Number(entry.readPointer());
    if (tag === 0) break;
    const value = entry.add(WIDTH).readPointer();
    table.set(tag, value.compare(base) < 0 ? base.add(value) : value);  // glibc relocates the addresses, musl does not
  }
  const symbols = table.get(DT_SYMTAB), strings = table.get(DT_STRTAB);
  if (symbols === undefined || strings === undefined) return [];
  const functions = [], size = WIDTH === 8 ? 24 : 16, count = symbolCount(table);
  for (let index = 1; index < count; index++) {
    const symbol = symbols.add(index * size);
    const info = symbol.add(WIDTH === 8 ? 4 : 12).readU8(), section = symbol.add(WIDTH === 8 ? 6 : 14).readU16();
    if (section === 0 || (info & 15) !== STT_FUNC || info >> 4 === 0) continue;
    const value = symbol.add(WIDTH === 8 ? 8 : 4).readPointer();
    functions.push({ name: strings.add(symbol.readU32()).readUtf8String(), address: base.add(value) });
  }
  return functions;
}

function symbolCount(table) {
  if (table.has(DT_HASH)) return table.get(DT_HASH).add(4).readU32();
  const hash = table.get(DT_GNU_HASH);
  if (hash === undefined) return 0;
  const bucketCount = hash.readU32(), first = hash.add(4).readU32(), bloomSize = hash.add(8).readU32();
  const buckets = hash.add(16 + bloomSize * WIDTH), chain = buckets.add(4 * bucketCount);
  let last = 0;
  for (let index = 0; index < bucketCount; index++) last = Math.max(last, buckets.add(4 * index).readU32());
  if (last < first) return first;
  while ((chain.add(4 * (last - first)).readU32() & 1) === 0) last++;
  return last + 1;
}

/* Observes the libraries of the process. The callbacks run on the loading thread: onAdded and onRemoved with {name, path, base, size,
   exports()}, onUnchanged with each library that stays, onChanging before a library may be unmapped. Returns null if the loader has no
   list for debuggers. */
function observeLoader(recorder, state, { onAdded, onRemoved, onUnchanged, onChanging }, keep) {
  const debug = Module.findGlobalExportByName('_r_debug');
  const notifier = debug === null ? NULL : debug.add(2 * WIDTH).readPointer();
  if (notifier.isNull()) return null;
  const known = new Map();
  let unmapping = false;
  const update = () => {
    const phase = debug.add(3 * WIDTH).readU32();
    if (phase === RT_DELETE) onChanging();
    unmapping ||= phase === RT_DELETE;
    if (phase !== RT_CONSISTENT) return;
    const libraries = loadedLibraries(debug);
    for (const [key, library] of known) {
      if (libraries.get(key)?.path !== library.listedPath) {
        known.delete(key);
        onRemoved(library);
      } else if (unmapping) {
        onUnchanged(library);
      }
    }
    for (const [key, library] of libraries) {
      if (known.has(key) || !isElf(library.base)) continue;
      known.set(key, describe(library));
      onAdded(library);
    }
    unmapping = false;
  };
  const callback = new NativeCallback(update, 'void', []);
  keep.push(callback);
  state.add(LOADER).writePointer(callback);
  const listener = Interceptor.attach(notifier, { onEnter: recorder.recorder_loader });
  Interceptor.flush();
  onAdded(Process.mainModule);
  update();
  return listener;
}

/* Completes an entry of the loader's list. The list may have a relative path. */
function describe(library) {
  library.listedPath = library.path;
  const file = library.path.startsWith('/') ? undefined : Process.findRangeByAddress(library.base)?.file;
  if (file !== undefined) library.path = file.path;
  library.name = library.path.slice(library.path.lastIndexOf('/') + 1);
  library.size = imageSize(library.base);
  library.exports = () => exportsOf(library);
  return library;
}
