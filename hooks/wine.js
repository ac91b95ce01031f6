/*
 * Windows' modules in a process of Wine's: they are no modules to the system, which only knows that parts of files are
 * mapped. Wine's own library tells when that changes, and the program waits there until we have looked around.
 */
'use strict';

const LOOK_MS = 1;
const LOOK_OFTEN_MS = 20;
const GATE_FIRST = 2 * 8;  // GATE_FIRST and GATE_PLACES in gate.c
const GATE_PLACES = 64;
const HEADER_SIZE = 4096;

// A 32-bit program may have its modules in a 64-bit process, beside those that translate for it: only these can be hooked.
const MACHINE = { x64: 0x8664, ia32: 0x14c };

const images = new Map();  // base -> {image, path, base, machine}
let passed = 0;  // how many have passed the gate

/* The images that are mapped now, by their bases. */
function mappedImages() {
  const ranges = Process.enumerateRanges('r--');
  const found = new Map();
  ranges.forEach((range, index) => {
    if (range.file === undefined || range.file.offset !== 0 || range.size < HEADER_SIZE) return;
    const base = range.base.toString();
    if (found.has(base) || range.base.readU16() !== 0x5a4d) return;
    const header = range.base.add(60).readU32();
    if (header + 84 > HEADER_SIZE || range.base.add(header).readU32() !== 0x4550) return;
    const size = range.base.add(header + 80).readU32();
    const machine = range.base.add(header + 4).readU16();
    found.set(base, { path: range.file.path, base: range.base, size, machine, readable: readable(ranges, index, range.base.add(size)) });
  });
  return found;
}

/* The stretches of memory that can be read from one range on: other mappings may lie between them. */
function readable(ranges, first, end) {
  const found = [];
  for (const { base, size } of ranges.slice(first)) {
    if (base.compare(end) >= 0) break;
    const last = found[found.length - 1];
    if (last !== undefined && last.end.equals(base)) last.end = base.add(size);
    else found.push({ base, end: base.add(size) });
  }
  return found;
}

/* What is mapped is read only where it can be: a fault in here would be the program's. */
function imageAt({ path, base, size, readable }) {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return new Image(name, size, (rva, count) => {
    const at = base.add(rva);
    if (count > 0 && !readable.some(each => at.compare(each.base) >= 0 && at.add(count).compare(each.end) <= 0))
      throw new Error(`${name}: is no sound PE image: 0x${rva.toString(16)} cannot be read`);
    return count === 0 ? new ArrayBuffer(0) : at.readByteArray(count);
  });
}

/* Whether a module has the system calls that functions of a wanted one come down to. */
const holdsCalls = name =>
  plainName(name) === plainName(kind.callsIn) && wanted.some(each => kind.system.includes(plainName(each)));

/* Finds what is new, forgets what is gone, and hooks what is wanted; gives what it has hooked. */
function lookAround() {
  const mapped = mappedImages();
  for (const base of images.keys()) if (!mapped.has(base)) images.delete(base);
  const fresh = [...mapped].filter(([base]) => !images.has(base)).map(([base, found]) => {
    const image = imageAt(found);
    images.set(base, { ...found, image });
    send({ type: 'kmt:module', name: image.name, path: found.path, base, size: found.size });
    return image;
  });
  const ours = [...images.values()].filter(each => each.machine === MACHINE[Process.arch]);
  const all = new Images(ours.map(each => each.image));
  const found = ours.filter(({ image, path }) => isWanted(image.name, path) || holdsCalls(image.name));
  // A forwarder may lead to what has only come now.
  if (fresh.length > 0) {
    for (const { image } of found) {
      hookModule(image.name, () => functionsOf(all, image, kind, name => hooks.has(name)).map(({ name, image: holder, rva }) => {
        const { base } = ours.find(each => each.image === holder);
        return { name, address: base.add(rva) };
      }));
    }
  }
  return found;
}

/* Takes the hooks off what is about to go away. */
function leaveImage(base) {
  const gone = images.get(base.toString());
  if (gone === undefined) return;
  leaveRange(gone.base, gone.size);
  images.delete(base.toString());
}

function answerGate() {
  const asked = gate.readU64().toNumber();
  let looked = false;
  for (; passed < asked; passed++) {
    const place = GATE_FIRST + 8 * (passed % GATE_PLACES);
    if (gate.add(place + 8 * GATE_PLACES).readU64().toNumber() !== passed + 1) break;  // being written
    const base = gate.add(place).readPointer();
    if (!base.isNull()) leaveImage(base);
    else if (!looked) {
      lookAround();
      looked = true;
    }
    gate.add(8).writeU64(passed + 1);
  }
}

/* Has everybody wait who maps or unmaps an image. */
function watchWine(ntdll) {
  const listen = (name, callbacks) => {
    const address = ntdll.findExportByName(name);
    if (address === null) return false;
    const listener = Interceptor.attach(address, callbacks);
    hooked.set(address.toString(), () => listener.detach());
    return true;
  };
  const gates = ['NtMapViewOfSection', 'NtMapViewOfSectionEx']
    .filter(name => listen(name, { onEnter: recorder.gate_mapping, onLeave: recorder.gate_mapped }));
  for (const name of ['NtUnmapViewOfSection', 'NtUnmapViewOfSectionEx'])
    listen(name, { onEnter: recorder.gate_unmapping });
  // A Wine that has no such function to hook is looked at often instead.
  watch = gates.length > 0 ? setInterval(answerGate, LOOK_MS) : setInterval(lookAround, LOOK_OFTEN_MS);
  Interceptor.flush();
}
