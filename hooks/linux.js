/*
 * What of the agent depends on the system: Linux. Memory, what the recorder calls, and the functions of libc that it stands
 * in for.
 */
'use strict';

const PROT_READ_WRITE = 3;
const MAP_SHARED_POPULATE = 0x8001;  // with all its pages at once: a first store into each would cost the program a fault
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_NORESERVE = 0x4000;
const MAP_POPULATE = 0x8000;
const O_RDWR_CLOEXEC = 0o2000002;
const MADV_WIPEONFORK = 18;

// Bytes into the recorder's state; S_KEY, S_SIGACTION and S_SIGNAL there.
const KEY = 2 * 8;
const SIGACTION = 56 * 8;
const SIGNAL = 57 * 8;

const libc = name => {
  const address = Module.findGlobalExportByName(name);
  if (address === null) throw new Error(`the process has no function ${name}`);
  return address;
};
const native = (name, result, ...types) => new NativeFunction(libc(name), result, types, { exceptions: 'propagate' });

/* The key of the threads' slots. When a thread ends, libc calls this code with its slot, to give it back. It is never
   unmapped. */
const AT_THREAD_END = {
  x64: [0xc7, 0x07, 0, 0, 0, 0, 0xc3],                             // mov dword [rdi], 0; ret
  ia32: [0x8b, 0x44, 0x24, 0x04, 0xc7, 0x00, 0, 0, 0, 0, 0xc3],    // mov eax, [esp + 4]; mov dword [eax], 0; ret
};

const linux = {
  mapped: [],  // [address, size] of what is unmapped in the end
  key: -1,  // of what libc keeps for each thread

  _map(size, flags, file = -1) {
    const mmap = native('mmap', 'pointer', 'pointer', 'size_t', 'int', 'int', 'int', 'int64');
    const memory = mmap(NULL, size, PROT_READ_WRITE, flags, file, 0);
    if (memory.equals(ptr(-1))) throw new Error(`the process cannot map ${size} bytes`);
    this.mapped.push([memory, size]);
    return memory;
  },

  /* Memory that is zero. all: it is all used, and soon. */
  map(size, all = false) {
    return this._map(size, MAP_PRIVATE_ANONYMOUS | (all ? MAP_POPULATE : MAP_NORESERVE));
  },

  /* The same, and zero again in a forked child. */
  mapWiped(size) {
    const memory = this.map(size);
    if (native('madvise', 'int', 'pointer', 'size_t', 'int')(memory, size, MADV_WIPEONFORK) !== 0)
      throw new Error('the system cannot tell hooks that they are in a forked child (Linux before 4.14)');
    return memory;
  },

  /* The memory that events are written to, as a file that both sides map. */
  share({ path, offset, size }) {
    const file = native('open', 'int', 'pointer', 'int')(Memory.allocUtf8String(path), O_RDWR_CLOEXEC);
    if (file < 0) throw new Error(`the process cannot open ${path}`);
    const memory = this._map(offset + size, MAP_SHARED_POPULATE, file).add(offset);
    native('close', 'int', 'int')(file);
    return memory;
  },

  _makeKey() {
    const made = Memory.alloc(8);
    const atExit = this.map(PAGE);
    this.mapped.pop();
    atExit.writeByteArray(AT_THREAD_END[Process.arch]);
    if (!Memory.protect(atExit, PAGE, 'r-x')) throw new Error('the process may not have executable memory');
    if (native('pthread_key_create', 'int', 'pointer', 'pointer')(made, atExit) !== 0)
      throw new Error('the process has no thread-specific key left');
    return made.readU32();
  },

  /* What the recorder calls; its state is made ready. */
  symbols(state) {
    this.key = this._makeKey();
    state.add(KEY).writeU64(this.key);
    return {
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
    };
  },

  /* Handlers that the program installs from now on come behind the recorder's. */
  standIn(recorder, state) {
    state.add(SIGACTION).writePointer(Interceptor.replaceFast(libc('sigaction'), recorder.recorder_sigaction));
    state.add(SIGNAL).writePointer(Interceptor.replaceFast(libc('signal'), recorder.recorder_signal));
  },

  leave() {
    for (const name of ['sigaction', 'signal']) Interceptor.revert(libc(name));
  },

  /* Every end of the process by itself leads to it. Frida has hooked it itself, so it cannot be replaced. */
  exit: () => libc('_exit'),

  release() {
    native('pthread_key_delete', 'int', 'uint')(this.key);
    for (const [memory, size] of this.mapped) native('munmap', 'int', 'pointer', 'size_t')(memory, size);
  },
};
