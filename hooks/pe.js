/*
 * Locates functions in Windows modules (PE images, mapped by Windows or by Wine): exports, forwarders by name and by ordinal,
 * and API sets that forwarders may name. Memory is read through an Image only, and every value in it is validated.
 */
'use strict';

const EXPORTS_LIMIT = 65536;
const NAME_LIMIT = 512;
const NAME_PART = 64;  // bytes that are read at once
const PAGE_SIZE = 4096;
const FORWARDS_LIMIT = 8;  // length of a chain of forwarders
const PE32_PLUS = 0x20b;
const PE32 = 0x10b;

/* A PE image, with its file name and a function `read(rva, size)` that returns an ArrayBuffer or throws. */
class Image {
  constructor(name, size, read) {
    this.name = name;
    this.size = size;
    this._read = read;
    this._exports = null;
  }

  /* Returns a DataView of memory at an offset from the image's base. */
  read(rva, size) {
    if (rva < 0 || size < 0 || rva + size > this.size) throw this.invalid(`0x${rva.toString(16)} is outside of the image`);
    return new DataView(this._read(rva, size));
  }

  invalid(reason) { return new Error(`${this.name}: invalid PE image: ${reason}`); }

  u32(rva) { return this.read(rva, 4).getUint32(0, true); }

  words(rva, count) {
    const view = this.read(rva, 4 * count);
    return Array.from({ length: count }, (_, index) => view.getUint32(4 * index, true));
  }

  text(rva) {
    let text = '';
    for (let at = rva; text.length < NAME_LIMIT;) {
      // To the end of the page at most, because the next one may not be readable.
      const size = Math.max(Math.min(NAME_PART, PAGE_SIZE - at % PAGE_SIZE, this.size - at), 1);
      const part = new Uint8Array(this.read(at, size).buffer), end = part.indexOf(0);
      text += String.fromCharCode(...(end < 0 ? part : part.subarray(0, end)));
      if (end >= 0) return text;
      at += size;
    }
    throw this.invalid('unterminated name');
  }

  /* The export directory: {names: name -> index, first: ordinal of index 0, addresses: rva by index, start, end}. */
  get exports() {
    if (this._exports === null) this._exports = this._findExports();
    return this._exports;
  }

  _findExports() {
    const header = this.read(0, 64);
    if (header.getUint16(0, true) !== 0x5a4d) throw this.invalid('no PE header');
    const offset = header.getUint32(60, true);
    const start = this.read(offset, 26);
    if (start.getUint32(0, true) !== 0x4550) throw this.invalid('no PE header');
    const magic = start.getUint16(24, true);
    if (magic !== PE32 && magic !== PE32_PLUS) throw this.invalid(`unknown magic number 0x${magic.toString(16)}`);
    const optional = offset + 24;
    const directories = optional + (magic === PE32_PLUS ? 112 : 96);
    const none = { names: new Map(), first: 0, addresses: [], start: 0, end: 0 };
    if (this.u32(directories - 4) < 1) return none;
    const [directory, size] = this.words(directories, 2);
    if (directory === 0 || size === 0) return none;
    const table = this.read(directory, 40);
    const [first, functions, count, addressesRva, namesRva, ordinalsRva] = [16, 20, 24, 28, 32, 36].map(
      offset => table.getUint32(offset, true));
    if (functions > EXPORTS_LIMIT || count > EXPORTS_LIMIT) throw this.invalid(`${Math.max(functions, count)} exports`);
    const ordinals = this.read(ordinalsRva, 2 * count);
    const names = new Map(this.words(namesRva, count).map(
      (nameRva, index) => [this.text(nameRva), ordinals.getUint16(2 * index, true)]));
    return { names, first, addresses: this.words(addressesRva, functions), start: directory, end: directory + size };
  }

  /* Finds an export by name or '#ORDINAL'. Returns {rva} or {forward: 'MODULE.NAME'}, null without such an export. */
  find(symbol) {
    const { names, first, addresses, start, end } = this.exports;
    const index = symbol.startsWith('#') ? Number(symbol.slice(1)) - first : names.get(symbol);
    const rva = index === undefined ? undefined : addresses[index];
    if (rva === undefined || rva === 0) return null;
    return rva >= start && rva < end ? { forward: this.text(rva) } : { rva };
  }
}

/* Normalizes a module name for comparison: lower case, without the ending. */
const plainName = name => name.toLowerCase().replace(/\.(dll|drv|exe)$/, '');

/* Images by name, and by the names of API sets. */
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

  /* Follows the forwarders of an export. Returns the image and rva of its code, null if a module on the way is not loaded or
     lacks the export. */
  resolve(image, symbol) {
    for (let steps = 0; steps <= FORWARDS_LIMIT; steps++) {
      const target = image.find(symbol);
      if (target === null) return null;
      if (target.forward === undefined) return { image, rva: target.rva };
      const dot = target.forward.lastIndexOf('.');
      const next = dot < 0 ? null : this.get(target.forward.slice(0, dot));
      if (next === null) return null;
      [image, symbol] = [next, target.forward.slice(dot + 1)];
    }
    throw image.invalid(`${symbol} is forwarded endlessly`);
  }
}

/* Returns the module that implements an API set, from the schema in every process (version 6: Windows 10 and later). Returns
   null if the schema lacks the name. The last number of the name is ignored. */
function apiSetHost(schema, name) {
  const [version, , , count, entries] = schema.words(0, 5);
  if (version !== 6) return null;
  if (count > EXPORTS_LIMIT) throw new Error(`${schema.name}: invalid API set schema: ${count} entries`);
  const key = name.slice(0, name.lastIndexOf('-'));
  for (let index = 0; index < count; index++) {
    const [, nameOffset, , keyLength, values, valueCount] = schema.words(entries + 24 * index, 6);
    if (keyLength !== 2 * key.length || valueCount === 0) continue;
    if (wideText(schema, nameOffset, keyLength).toLowerCase() !== key) continue;
    const [, , , hostOffset, hostLength] = schema.words(values, 5);
    return hostLength === 0 ? null : wideText(schema, hostOffset, hostLength);
  }
  return null;
}

function wideText(image, at, length) {
  const view = image.read(at, length);
  return Array.from({ length: length >> 1 }, (_, index) => String.fromCharCode(view.getUint16(2 * index, true))).join('');
}

/* Returns the functions of a module that are to be hooked, [{name, image, rva}], each once, at the code that it forwards to.
   naming: {functions: prefix of the functions' names, calls: prefix of the system calls' names, callsIn: the module with the
   system calls, system: the modules whose functions forward to system calls}.
   isDescribed(name): true for a described function. A system call gets the name of the function if that is described. */
function functionsOf(images, image, naming, isDescribed) {
  const functions = new Map();
  const system = naming.system.includes(plainName(image.name)) ? images.get(naming.callsIn) : null;
  const add = (holder, symbol) => {
    const functionName = symbol.replace(naming.calls, naming.functions);
    const name = isDescribed(functionName) ? functionName : symbol;
    const location = functions.has(name) ? null : images.resolve(holder, symbol);
    if (location !== null) functions.set(name, { name, ...location });
  };
  for (const holder of system === null ? [image] : [system, image])
    for (const symbol of holder.exports.names.keys())
      if (symbol.startsWith(naming.calls) || (symbol.startsWith(naming.functions) && holder === image)) add(holder, symbol);
  return [...functions.values()];
}
