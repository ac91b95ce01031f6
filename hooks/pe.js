/*
 * Where functions are in Windows' own modules (PE images, mapped or as Wine maps them): exports, forwarders by name and by
 * ordinal, and the names of API sets that forwarders may lead through. It reads memory through an Image alone, and takes
 * nothing there at its word.
 */
'use strict';

const EXPORTS_LIMIT = 65536;
const NAME_LIMIT = 512;
const FORWARDS_LIMIT = 8;  // one forwarder may lead to the next
const PE32_PLUS = 0x20b;
const PE32 = 0x10b;

/* A PE image: its file's name, and `read(rva, size)`, which gives an ArrayBuffer or throws. */
class Image {
  constructor(name, size, read) {
    this.name = name;
    this.size = size;
    this._read = read;
    this._exports = null;
  }

  /* size bytes at an offset from the image's base. */
  read(rva, size) {
    if (rva < 0 || size < 0 || rva + size > this.size) throw new Error(`${this.name}: is no sound PE image: 0x${rva.toString(16)} lies outside of it`);
    return new DataView(this._read(rva, size));
  }

  u32(rva) { return this.read(rva, 4).getUint32(0, true); }

  words(rva, count) {
    const view = this.read(rva, 4 * count);
    return Array.from({ length: count }, (_, index) => view.getUint32(4 * index, true));
  }

  text(rva) {
    let found = '';
    for (let at = rva; found.length < NAME_LIMIT; at++) {
      const code = this.read(at, 1).getUint8(0);
      if (code === 0) return found;
      found += String.fromCharCode(code);
    }
    throw new Error(`${this.name}: is no sound PE image: a name in it has no end`);
  }

  /* {names: name -> index, first: the ordinal of index 0, addresses: of each index, start and end of the directory}. */
  get exports() {
    if (this._exports === null) this._exports = this._findExports();
    return this._exports;
  }

  _findExports() {
    const header = this.read(0, 64);
    if (header.getUint16(0, true) !== 0x5a4d) throw new Error(`${this.name}: is no PE image`);
    const at = header.getUint32(60, true);
    const start = this.read(at, 26);
    if (start.getUint32(0, true) !== 0x4550) throw new Error(`${this.name}: is no PE image`);
    const magic = start.getUint16(24, true);
    if (magic !== PE32 && magic !== PE32_PLUS) throw new Error(`${this.name}: is no PE image of a known sort`);
    const optional = at + 24;
    const directories = optional + (magic === PE32_PLUS ? 112 : 96);
    const none = { names: new Map(), first: 0, addresses: [], start: 0, end: 0 };
    if (this.u32(directories - 4) < 1) return none;
    const [where, size] = this.words(directories, 2);
    if (where === 0 || size === 0) return none;
    const table = this.read(where, 40);
    const [first, functions, count, toAddresses, toNames, toOrdinals] = [16, 20, 24, 28, 32, 36].map(each => table.getUint32(each, true));
    if (functions > EXPORTS_LIMIT || count > EXPORTS_LIMIT) throw new Error(`${this.name}: is no sound PE image: it has ${Math.max(functions, count)} exports`);
    const ordinals = this.read(toOrdinals, 2 * count);
    const names = new Map(this.words(toNames, count).map((name, index) => [this.text(name), ordinals.getUint16(2 * index, true)]));
    return { names, first, addresses: this.words(toAddresses, functions), start: where, end: where + size };
  }

  /* What an export is, by its name or '#ORDINAL': {rva}, or {forward: 'MODULE.NAME'}; null where there is none. */
  find(symbol) {
    const { names, first, addresses, start, end } = this.exports;
    const index = symbol.startsWith('#') ? Number(symbol.slice(1)) - first : names.get(symbol);
    const rva = index === undefined ? undefined : addresses[index];
    if (rva === undefined || rva === 0) return null;
    return rva >= start && rva < end ? { forward: this.text(rva) } : { rva };
  }
}

/* A module's name as it is compared: file names stand for modules with and without their ending. */
const plainName = name => name.toLowerCase().replace(/\.(dll|drv|exe)$/, '');

/* Images by name, and the API sets, by which other names lead to them. */
class Images {
  constructor(images, apiSets = null) {
    this._byName = new Map(images.map(image => [plainName(image.name), image]));
    this._apiSets = apiSets;
  }

  get(name) {
    const plain = plainName(name);
    const host = this._apiSets !== null && /^(api|ext)-/.test(plain) ? apiSetHost(this._apiSets, plain) : null;
    return this._byName.get(host === null ? plain : plainName(host)) ?? null;
  }

  /* The image and the place that an export leads to in the end; null where a module on the way is not loaded, or does not
     have it. */
  resolve(image, symbol) {
    for (let steps = 0; steps <= FORWARDS_LIMIT; steps++) {
      const found = image.find(symbol);
      if (found === null) return null;
      if (found.forward === undefined) return { image, rva: found.rva };
      const dot = found.forward.lastIndexOf('.');
      const next = dot < 0 ? null : this.get(found.forward.slice(0, dot));
      if (next === null) return null;
      [image, symbol] = [next, found.forward.slice(dot + 1)];
    }
    throw new Error(`${image.name}: is no sound PE image: ${symbol} is forwarded without an end`);
  }
}

/* The module that stands behind an API set's name, by the schema that every process has (version 6: Windows 10 and later);
   null where the schema does not know it. The last number of a name does not count. */
function apiSetHost(schema, name) {
  const [version, , , count, entries] = schema.words(0, 5);
  if (version !== 6) return null;
  if (count > EXPORTS_LIMIT) throw new Error(`${schema.name}: is no sound table of API sets`);
  const wanted = name.slice(0, name.lastIndexOf('-'));
  for (let index = 0; index < count; index++) {
    const [, nameAt, , hashed, values, number] = schema.words(entries + 24 * index, 6);
    if (hashed !== 2 * wanted.length || wideText(schema, nameAt, hashed).toLowerCase() !== wanted || number === 0) continue;
    const [, , , hostAt, hostLength] = schema.words(values, 5);
    return hostLength === 0 ? null : wideText(schema, hostAt, hostLength);
  }
  return null;
}

function wideText(image, at, length) {
  const view = image.read(at, length);
  return Array.from({ length: length >> 1 }, (_, index) => String.fromCharCode(view.getUint16(2 * index, true))).join('');
}

/* The functions of a module that are to be hooked, [{name, image, rva}], each once, where the code is that all ways lead
   to. kind: the interface: what its functions' names begin with (`functions`), and those of the system calls that they
   come down to (`calls`, in `callsIn`) where they are in one of the modules of `system`. Names are the functions' own
   where known(name) says that somebody knows them so. */
function functionsOf(images, image, kind, known) {
  const found = new Map();
  const system = kind.system.includes(plainName(image.name)) ? images.get(kind.callsIn) : null;
  const add = (holder, symbol) => {
    const function_ = symbol.replace(kind.calls, kind.functions);
    const name = known(function_) ? function_ : symbol;
    const place = found.has(name) ? null : images.resolve(holder, symbol);
    if (place !== null) found.set(name, { name, ...place });
  };
  for (const holder of system === null ? [image] : [system, image])
    for (const symbol of holder.exports.names.keys())
      if (symbol.startsWith(kind.calls) || (symbol.startsWith(kind.functions) && holder === image)) add(holder, symbol);
  return [...found.values()];
}
