/*
 * Windows modules in a process of Wine. For the system they are not modules but mapped files. Hooks on Wine's library report
 * each change, and the program waits there until the agent has handled it; see gate.c.
 */
'use strict';

const GATE_POLL_MS = 1;
const IMAGES_POLL_MS = 20;
const GATE_FIRST = 2 * 8;  // GATE_FIRST and GATE_PLACES in gate.c
const GATE_PLACES = 64;
const HEADER_SIZE = 4096;

// The machine of the images to hook. The process of a 32-bit program may be a 64-bit one, with 64-bit modules that translate
// its calls. Then only these can be hooked.
const MACHINE = { x64: 0x8664, ia32: 0x14c };

const images = new Map();  // base -> {image, path, base, machine}
let answered = 0;  // requests at the gate that were answered

/* Returns the mapped images, by base. */
function mappedImages() {
  const ranges = Process.enumerateRanges('r--');
  const mapped = new Map();
  ranges.forEach((range, index) => {
    if (range.file === undefined || range.file.offset !== 0 || range.size < HEADER_SIZE) return;
    const base = range.base.toString();
    if (mapped.has(base) || range.base.readU16() !== 0x5a4d) return;
    const header = range.base.add(60).readU32();
    if (header + 84 > HEADER_SIZE || range.base.add(header).readU32() !== 0x4550) return;
    const size = range.base.add(header + 80).readU32();
    const machine = range.base.add(header + 4).readU16();
    const readable = readableSpans(ranges, index, range.base.add(size));
    mapped.set(base, { path: range.file.path, base: range.base, size, machine, readable });
  });
  return mapped;
}

/* Returns the readable parts of an image, from its first range to its end. Adjacent ranges are joined. */
function readableSpans(ranges, first, end) {
  const spans = [];
  for (const { base, size } of ranges.slice(first)) {
    if (base.compare(end) >= 0) break;
    const last = spans[spans.length - 1];
    if (last !== undefined && last.end.equals(base)) last.end = base.add(size);
    else spans.push({ base, end: base.add(size) });
  }
  return spans;
}

/* Returns an image that only reads readable memory, because a fault here would be delivered to the program. */
function imageAt({ path, base, size, readable }) {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return new Image(name, size, (rva, count) => {
    const address = base.add(rva);
    const end = address.add(count);
    if (count > 0 && !readable.some(span => address.compare(span.base) >= 0 && end.compare(span.end) <= 0))
      throw new Error(`${name}: invalid PE image: 0x${rva.toString(16)} is not readable`);
    return count === 0 ? new ArrayBuffer(0) : address.readByteArray(count);
  });
}

/* Returns true if a module has the system calls that the functions of a chosen module forward to. */
const hasSystemCalls = name =>
  plainName(name) === plainName(naming.callsIn) && moduleNames.some(module => naming.system.includes(plainName(module)));

/* Adds new images, drops unmapped ones and hooks the chosen ones. Returns the chosen images. */
function updateImages() {
  const mapped = mappedImages();
  for (const base of images.keys()) if (!mapped.has(base)) images.delete(base);
  const fresh = [...mapped].filter(([base]) => !images.has(base)).map(([base, range]) => {
    const image = imageAt(range);
    images.set(base, { ...range, image });
    report({ type: 'kmt:module', name: image.name, path: range.path, base, size: range.size });
    addCaller(image.name, ptr(base), range.size);
    return image;
  });
  const hookable = [...images.values()].filter(({ machine }) => machine === MACHINE[Process.arch]);
  const all = new Images(hookable.map(({ image }) => image));
  const chosen = hookable.filter(({ image, path }) => isChosen(image.name, path) || hasSystemCalls(image.name));
  // A new image may resolve a forwarder of an image that was hooked before.
  if (fresh.length > 0) {
    for (const { image } of chosen) {
      const functions = () => functionsOf(all, image, naming, name => hooks.has(name));
      hookModule(image.name, () => functions().map(({ name, image: holder, rva }) => {
        const { base } = hookable.find(entry => entry.image === holder);
        return { name, address: base.add(rva) };
      }));
    }
  }
  return chosen;
}

/* Removes the hooks from an image that is to be unmapped. */
function unhookImage(base) {
  const entry = images.get(base.toString());
  if (entry === undefined) return;
  unhookRange(entry.base, entry.size);
  images.delete(base.toString());
}

/* Answers the requests at the gate. */
function answerGate() {
  const requested = gate.readU64().toNumber();
  let updated = false;
  for (; answered < requested; answered++) {
    const offset = GATE_FIRST + 8 * (answered % GATE_PLACES);
    if (gate.add(offset + 8 * GATE_PLACES).readU64().toNumber() !== answered + 1) break;  // the base is not written yet
    const base = gate.add(offset).readPointer();
    if (!base.isNull()) unhookImage(base);
    else if (!updated) {
      updateImages();
      updated = true;
    }
    gate.add(8).writeU64(answered + 1);
  }
}

/* Makes every thread wait at the gate that maps or unmaps an image. */
function watchWine(ntdll) {
  const listen = (name, callbacks) => {
    const address = ntdll.findExportByName(name);
    if (address === null) return false;
    const listener = Interceptor.attach(address, callbacks);
    hooked.set(address.toString(), { unhook: () => listener.detach(), isPatch: false });
    return true;
  };
  const gates = ['NtMapViewOfSection', 'NtMapViewOfSectionEx']
    .filter(name => listen(name, { onEnter: recorder.gate_mapping, onLeave: recorder.gate_mapped }));
  for (const name of ['NtUnmapViewOfSection', 'NtUnmapViewOfSectionEx'])
    listen(name, { onEnter: recorder.gate_unmapping });
  // A Wine without such a function is polled for new images instead.
  moduleTimer = gates.length > 0 ? setInterval(answerGate, GATE_POLL_MS) : setInterval(updateImages, IMAGES_POLL_MS);
  Interceptor.flush();
}
