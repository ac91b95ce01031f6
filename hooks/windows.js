/*
 * What of the agent depends on the system: Windows. Not yet run there: no part of it can be run anywhere else.
 */
'use strict';

const GENERIC_READ_WRITE = 0xc0000000;
const FILE_SHARE_ALL = 7;
const OPEN_EXISTING = 3;
const FILE_MAP_READ_WRITE = 6;
const PAGE_READWRITE = 4;
const MEM_COMMIT_RESERVE = 0x3000;
const MEM_RELEASE = 0x8000;

// Where the process environment block has the table of API sets (its ApiSetMap), and where that has its size.
const API_SET_MAP = { x64: 0x68, ia32: 0x38 };
const API_SET_SIZE = 4;

const KERNEL = ['VirtualAlloc', 'VirtualFree', 'QueryPerformanceCounter', 'QueryPerformanceFrequency',
  'AddVectoredExceptionHandler', 'RemoveVectoredExceptionHandler'];

const win32 = (name, result, ...types) => new NativeFunction(
  Process.getModuleByName('kernel32.dll').getExportByName(name), result, types, { abi: Process.arch === 'ia32' ? 'stdcall' : 'default', exceptions: 'propagate' });

const windows = {
  mapped: [],
  views: [],

  /* Memory that is zero. */
  map(size) {
    const memory = win32('VirtualAlloc', 'pointer', 'pointer', 'size_t', 'uint32', 'uint32')(NULL, size, MEM_COMMIT_RESERVE, PAGE_READWRITE);
    if (memory.isNull()) throw new Error(`the process cannot allocate ${size} bytes`);
    this.mapped.push(memory);
    return memory;
  },

  /* Nothing forks. */
  mapWiped(size) { return this.map(size); },

  /* The memory that events are written to, as a file that both sides map. */
  share({ path, offset, size }) {
    const close = win32('CloseHandle', 'int', 'pointer');
    const file = win32('CreateFileW', 'pointer', 'pointer', 'uint32', 'uint32', 'pointer', 'uint32', 'uint32', 'pointer')(
      Memory.allocUtf16String(path), GENERIC_READ_WRITE, FILE_SHARE_ALL, NULL, OPEN_EXISTING, 0, NULL);
    if (file.equals(ptr(-1))) throw new Error(`the process cannot open ${path}`);
    const mapping = win32('CreateFileMappingW', 'pointer', 'pointer', 'pointer', 'uint32', 'uint32', 'uint32', 'pointer')(
      file, NULL, PAGE_READWRITE, 0, 0, NULL);
    const view = win32('MapViewOfFile', 'pointer', 'pointer', 'uint32', 'uint32', 'uint32', 'size_t')(
      mapping, FILE_MAP_READ_WRITE, 0, 0, offset + size);
    if (view.isNull()) throw new Error(`the process cannot map ${path}`);
    close(mapping);
    close(file);
    this.views.push(view);
    return view.add(offset);
  },

  /* What the recorder calls. */
  symbols() {
    const kernel = Process.getModuleByName('kernel32.dll');
    return Object.fromEntries(KERNEL.map(name => [name, kernel.getExportByName(name)]));
  },

  standIn() {},

  leave() {},

  /* Every end of the process by itself leads to it. */
  exit: () => Process.getModuleByName('ntdll.dll').getExportByName('RtlExitUserProcess'),

  release() {
    for (const view of this.views) win32('UnmapViewOfFile', 'int', 'pointer')(view);
    for (const memory of this.mapped) win32('VirtualFree', 'int', 'pointer', 'size_t', 'uint32')(memory, 0, MEM_RELEASE);
  },
};

/* A loaded module as the locator reads it. */
const imageOf = ({ name, base, size }) => new Image(name, size, (rva, count) => base.add(rva).readByteArray(count));

/* The table that says which module stands behind an API set's name. */
function apiSets() {
  const peb = new NativeFunction(Process.getModuleByName('ntdll.dll').getExportByName('RtlGetCurrentPeb'), 'pointer', [])();
  const map = peb.add(API_SET_MAP[Process.arch]).readPointer();
  return map.isNull() ? null : imageOf({ name: 'the table of API sets', base: map, size: map.add(API_SET_SIZE).readU32() });
}

/* Hooks what a module that was loaded has, or what it was that a wanted one's forwarders waited for. */
function hookWindows() {
  const loaded = Process.enumerateModules().map(module => ({ module, image: imageOf(module) }));
  const images = new Images(loaded.map(each => each.image), apiSets());
  for (const { module, image } of loaded) {
    if (!isWanted(module.name, module.path)) continue;
    hookModule(module.name, () => functionsOf(images, image, kind, name => hooks.has(name)).map(({ name, image: holder, rva }) => ({
      name, address: loaded.find(each => each.image === holder).module.base.add(rva),
    })));
  }
}
