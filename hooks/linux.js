/*
 * The agent's part for Linux: memory, the functions that the recorder calls, and the libc functions that it replaces.
 */
'use strict';

const PROT_READ_WRITE = 3;
const MAP_SHARED_POPULATE = 0x8001;  // all pages at once, to spare the program page faults
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_NORESERVE = 0x4000;
const MAP_POPULATE = 0x8000;
const O_RDWR_CLOEXEC = 0o2000002;
const MADV_WIPEONFORK = 18;

// Offsets in the recorder's state: S_KEY, S_SIGACTION and S_SIGNAL in linux.c.
const KEY = 2 * 8;
const SIGACTION = 56 * 8;
const SIGNAL = 57 * 8;
const FORK = 59 * 8;
const EXIT = 60 * 8;
const LOADER = 61 * 8;
const SIGMASK = 62 * 8;

/* Writes a call that preserves all registers that may hold parameters. */
const CALL_WITH_REGISTERS_KEPT = {
  x64(writer, code) {
    const registers = ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9', 'rax'];
    registers.forEach(register => writer.putPushReg(register));
    writer.putMovRegAddress('rax', code);
    writer.putCallReg('rax');
    registers.reverse().forEach(register => writer.putPopReg(register));
  },
  ia32(writer, code) {
    writer.putSubRegImm('esp', 12);
    writer.putMovRegAddress('eax', code);
    writer.putCallReg('eax');
    writer.putAddRegImm('esp', 12);
  },
};

const libc = name => {
  const address = Module.findGlobalExportByName(name);
  if (address === null) throw new Error(`libc function ${name} not found in the process`);
  return address;
};
const native = (name, result, ...types) => new NativeFunction(libc(name), result, types, { exceptions: 'propagate' });

/* Destructor of the key of the threads' slots. When a thread ends, libc calls this code with the thread's slot. The code frees
   the slot. It is never unmapped. */
const AT_THREAD_END = {
  x64: [0xc7, 0x07, 0, 0, 0, 0, 0xc3],                             // mov dword [rdi], 0; ret
  ia32: [0x8b, 0x44, 0x24, 0x04, 0xc7, 0x00, 0, 0, 0, 0, 0xc3],    // mov eax, [esp + 4]; mov dword [eax], 0; ret
};

const linux = {
  mapped: [],  // [address, size] of the memory to unmap at the end
  key: -1,  // of the thread-specific data

  _map(size, flags, file = -1) {
    const mmap = native('mmap', 'pointer', 'pointer', 'size_t', 'int', 'int', 'int', 'int64');
    const memory = mmap(NULL, size, PROT_READ_WRITE, flags, file, 0);
    if (memory.equals(ptr(-1))) throw new Error(`the process cannot map ${size} bytes`);
    this.mapped.push([memory, size]);
    return memory;
  },

  /* Maps zeroed memory. all: populate it, because all of it is used soon. */
  map(size, all = false) {
    return this._map(size, MAP_PRIVATE_ANONYMOUS | (all ? MAP_POPULATE : MAP_NORESERVE));
  },

  /* Maps zeroed memory that is zero again in a forked child. */
  mapWiped(size) {
    const memory = this.map(size);
    if (native('madvise', 'int', 'pointer', 'size_t', 'int')(memory, size, MADV_WIPEONFORK) !== 0)
      throw new Error('cannot map memory that is wiped in a forked child (requires Linux 4.14)');
    return memory;
  },

  /* Maps the shared buffer, a file that the host maps too. */
  share({ path, offset, size }, flags = MAP_SHARED_POPULATE) {
    const file = native('open', 'int', 'pointer', 'int')(Memory.allocUtf8String(path), O_RDWR_CLOEXEC);
    if (file < 0) throw new Error(`the process cannot open ${path}`);
    const memory = this._map(offset + size, flags, file).add(offset);
    native('close', 'int', 'int')(file);
    return memory;
  },

  _makeKey() {
    const key = Memory.alloc(8);
    const atExit = this.map(PAGE);
    this.mapped.pop();
    atExit.writeByteArray(AT_THREAD_END[Process.arch]);
    if (!Memory.protect(atExit, PAGE, 'r-x')) throw new Error('the process cannot map executable memory');
    if (native('pthread_key_create', 'int', 'pointer', 'pointer')(key, atExit) !== 0)
      throw new Error('the process has no free key for thread-specific data');
    return key.readU32();
  },

  /* Initializes the recorder's state and returns the functions that the recorder calls. */
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
      nanosleep: libc('nanosleep'),
      sigaction: libc('sigaction'),
      pthread_sigmask: libc('pthread_sigmask'),
      raise: libc('raise'),
      getpid: libc('getpid'),
      usleep: libc('usleep'),
      kill: libc('kill'),
      errno_location: libc('__errno_location'),
      system_call: libc('syscall'),
    };
  },

  _restored: [],  // functions that undo what was replaced

  /* Replaces a function of libc, if the process has it. The recorder finds the original's address in the slot. */
  _replace(name, code, slot, keep) {
    const address = Module.findGlobalExportByName(name);
    if (address === null) return;
    try {
      slot.writePointer(Interceptor.replaceFast(address, code));
      this._restored.push(() => Interceptor.revert(address));
    } catch {  // Gum has replaced it for itself, in the recorder's own process: the jump goes on top
      const memory = Memory.alloc(PAGE, { near: address, ...NEAR });
      const bridge = memory.add(RELOCATED_SIZE);  // the recorder's code may be out of reach for the jump
      const writer = new X86Writer(bridge, { pc: bridge });
      writer.putJmpAddress(code);
      writer.flush();
      if (!Memory.protect(memory, PAGE, 'r-x')) throw new Error('the process cannot map executable memory');
      keep.push(memory);
      const { original, unhook } = patchFunction(address, bridge, memory);
      slot.writePointer(original);
      this._restored.push(unhook);
    }
  },

  /* Notes the exit status before the process exits. Frida's exit monitor, which the remote buffer needs, has its own listener there.
     Then the function cannot be replaced. */
  _observeExit(recorder, state, keep) {
    try {
      this._replace('_exit', recorder.recorder_exit, state.add(EXIT), keep);
    } catch {
      const listener = Interceptor.attach(libc('_exit'), { onEnter: recorder.recorder_exit_listener });
      this._restored.push(() => listener.detach());
    }
  },

  /* Replaces functions of libc. The recorder's signal handler stays in front of the program's. Exits, forks and execs are reported
     before they happen. */
  replaceFunctions(recorder, state, keep) {
    this._replace('sigaction', recorder.recorder_sigaction, state.add(SIGACTION), keep);
    this._replace('signal', recorder.recorder_signal, state.add(SIGNAL), keep);
    this._replace('pthread_sigmask', recorder.recorder_sigmask, state.add(SIGMASK), keep);
    this._observeExit(recorder, state, keep);
    this._replace('fork', recorder.recorder_fork, state.add(FORK), keep);
    for (const name of ['execve', 'execveat', 'fexecve']) this._precede(name, recorder.recorder_before_exec, keep);
    for (const name of ['vfork', 'clone', 'posix_spawn', 'posix_spawnp'])
      this._precede(name, recorder.recorder_before_start, keep);
  },

  /* Runs code before a function of libc. No frame of ours stays on the stack, because vfork returns twice. Gum's listeners keep the
     return address, and Gum replaces no function that makes a system call this early. */
  _precede(name, code, keep) {
    const address = Module.findGlobalExportByName(name);
    if (address === null) return;
    const memory = Memory.alloc(PAGE, { near: address, ...NEAR });
    keep.push(memory);
    const writer = new X86Writer(memory, { pc: memory });
    CALL_WITH_REGISTERS_KEPT[Process.arch](writer, code);
    writer.putJmpAddress(address.add(relocateEntry(address, writer)));
    writer.flush();
    if (!Memory.protect(memory, PAGE, 'r-x')) throw new Error('the process cannot map executable memory');
    this._restored.push(writeJump(address, memory));
  },

  restoreFunctions() {
    for (const restore of this._restored) restore();
  },

  /* The function that every process calls that ends by itself. Frida has hooked it too, so it cannot be replaced. */
  exit: () => libc('_exit'),

  end(status) {
    const exit = libc(status === 0 ? 'exit' : '_exit');
    native('pthread_create', 'int', 'pointer', 'pointer', 'pointer', 'pointer')(Memory.alloc(8), NULL, exit, ptr(status));
  },

  release() {
    native('pthread_key_delete', 'int', 'uint')(this.key);
    for (const [memory, size] of this.mapped) native('munmap', 'int', 'pointer', 'size_t')(memory, size);
  },
};
