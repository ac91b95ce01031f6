/*
 * The agent's part for Windows. It has run in a Windows process of Wine, and not on Microsoft's Windows yet.
 */
'use strict';

const GENERIC_READ_WRITE = 0xc0000000;
const FILE_SHARE_ALL = 7;
const OPEN_EXISTING = 3;
const FILE_MAP_READ_WRITE = 6;
const PAGE_READWRITE = 4;
const MEM_COMMIT_RESERVE = 0x3000;
const MEM_RELEASE = 0x8000;
const LONG_PATH = 248;

// Offset in the recorder's state: S_ADD_HANDLER in windows.c.
const ADD_HANDLER = 4 * 8;

// Offset of ApiSetMap, the API set schema, in the process environment block, and offset of the size in the schema.
const API_SET_MAP = { x64: 0x68, ia32: 0x38 };
const API_SET_SIZE = 4;

const KERNEL = ['VirtualAlloc', 'VirtualFree', 'VirtualQuery', 'VirtualProtect', 'QueryPerformanceCounter', 'QueryPerformanceFrequency', 'Sleep',
  'AddVectoredExceptionHandler', 'RemoveVectoredExceptionHandler'];

const exportedBy = module => (name, result, ...types) => new NativeFunction(
  Process.getModuleByName(module).getExportByName(name), result, types,
  { abi: Process.arch === 'ia32' ? 'stdcall' : 'default', exceptions: 'propagate' });
const win32 = exportedBy('kernel32.dll'), ntdll = exportedBy('ntdll.dll');

/* Returns a path that may have more than 260 characters. */
const extended = path => path.length < LONG_PATH || path.startsWith('\\\\') ? path : `\\\\?\\${path}`;

const windows = {
  mapped: [],
  views: [],

  /* Allocates zeroed memory. */
  map(size) {
    const allocate = win32('VirtualAlloc', 'pointer', 'pointer', 'size_t', 'uint32', 'uint32');
    const memory = allocate(NULL, size, MEM_COMMIT_RESERVE, PAGE_READWRITE);
    if (memory.isNull()) throw new Error(`the process cannot allocate ${size} bytes`);
    this.mapped.push(memory);
    return memory;
  },

  /* Allocates zeroed memory. No process forks on Windows. */
  mapWiped(size) { return this.map(size); },

  /* Maps the shared buffer, a file that the host maps too. */
  share({ path, offset, size }) {
    const close = win32('CloseHandle', 'int', 'pointer');
    const file = win32('CreateFileW', 'pointer', 'pointer', 'uint32', 'uint32', 'pointer', 'uint32', 'uint32', 'pointer')(
      Memory.allocUtf16String(extended(path)), GENERIC_READ_WRITE, FILE_SHARE_ALL, NULL, OPEN_EXISTING, 0, NULL);
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

  /* Returns the functions that the recorder calls. */
  symbols() {
    const kernel = Process.getModuleByName('kernel32.dll');
    return Object.fromEntries(KERNEL.map(name => [name, kernel.getExportByName(name)]));
  },

  _restored: [],  // functions that undo what was replaced

  /* Notes the exit status before the process exits, and keeps the recorder's exception handler in front of the program's. */
  replaceFunctions(recorder, state) {
    const listener = Interceptor.attach(this.exit(), { onEnter: recorder.recorder_exit });
    const addHandler = Process.getModuleByName('ntdll.dll').getExportByName('RtlAddVectoredExceptionHandler');
    state.add(ADD_HANDLER).writePointer(Interceptor.replaceFast(addHandler, recorder.recorder_add_handler));
    this._restored.push(() => listener.detach(), () => Interceptor.revert(addHandler));
  },

  restoreFunctions() {
    for (const restore of this._restored.splice(0)) restore();
  },

  /* The function that every process calls that ends by itself. */
  exit: () => Process.getModuleByName('ntdll.dll').getExportByName('RtlExitUserProcess'),

  release() {
    removeFunctionTables();
    for (const view of this.views) win32('UnmapViewOfFile', 'int', 'pointer')(view);
    for (const memory of this.mapped) win32('VirtualFree', 'int', 'pointer', 'size_t', 'uint32')(memory, 0, MEM_RELEASE);
  },
};

/* Images of the loaded modules by base, whose exports are parsed once. */
const loadedImages = new Map();

/* Returns a loaded module as an image for the locator. */
const imageOf = ({ name, base, size }) => new Image(name, size, (rva, count) => base.add(rva).readByteArray(count));

/* Returns the loaded modules as {module, image}. */
function updateLoadedImages() {
  const modules = Process.enumerateModules();
  const bases = new Set(modules.map(({ base }) => base.toString()));
  [...loadedImages.keys()].filter(base => !bases.has(base)).forEach(base => loadedImages.delete(base));
  for (const module of modules) {
    const base = module.base.toString();
    if (!loadedImages.has(base)) loadedImages.set(base, { module, image: imageOf(module) });
  }
  return [...loadedImages.values()];
}

/* Returns the API set schema of the process, which maps names of API sets to modules. */
function apiSetSchema() {
  const peb = new NativeFunction(Process.getModuleByName('ntdll.dll').getExportByName('RtlGetCurrentPeb'), 'pointer', [])();
  const map = peb.add(API_SET_MAP[Process.arch]).readPointer();
  return map.isNull() ? null : imageOf({ name: 'API set schema', base: map, size: map.add(API_SET_SIZE).readU32() });
}

/* Hooks the functions of the chosen modules. A newly loaded module may be chosen, or resolve a forwarder of a chosen one. */
function hookWindows() {
  const loaded = updateLoadedImages();
  const images = new Images(loaded.map(({ image }) => image), apiSetSchema());
  for (const { module, image } of loaded) {
    if (!isChosen(module.name, module.path)) continue;
    const functions = () => functionsOf(images, image, naming, name => hooks.has(name));
    hookModule(module.name, () => functions().map(({ name, image: holder, rva }) => ({
      name, address: loaded.find(entry => entry.image === holder).module.base.add(rva),
    })));
  }
}
