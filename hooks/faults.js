/*
 * Where the callers of faults are: the recorder compares return addresses with the ranges of the modules that the user named.
 * Each pattern has a part of a page: the number of its ranges, then start and end of each.
 */
'use strict';

const MAX_CALLERS = 4;  // as in record/agent/faults.py
const CALLERS_SIZE = 4096;
const CALLER_SIZE = CALLERS_SIZE / MAX_CALLERS;
const MAX_RANGES = CALLER_SIZE / 16 - 1;

const zeroed = size => Memory.alloc(size).writeByteArray(new Uint8Array(size).buffer);

let callers = { page: null, patterns: [] };

/* patterns: regular expressions of module names. Returns the page. */
function startCallers(patterns) {
  callers = { page: zeroed(CALLERS_SIZE), patterns: patterns.map(pattern => new RegExp(pattern)) };
  return callers.page;
}

/* Adds a module. Its range is complete before it counts, because other threads compare at the same time. */
function addCaller(name, base, size) {
  callers.patterns.forEach((pattern, index) => {
    const part = callers.page.add(index * CALLER_SIZE), count = part.readU32();
    if (!pattern.test(name) || count === MAX_RANGES) return;
    part.add(8 + 16 * count).writeU64(uint64(base.toString()));
    part.add(16 + 16 * count).writeU64(uint64(base.add(size).toString()));
    part.writeU32(count + 1);
  });
}
