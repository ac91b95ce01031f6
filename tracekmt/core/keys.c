/*
 * Keys of calls: numbers that are equal for calls with equal values. The forms say which bytes of an argument count; they are made by
 * tracekmt.differ.forms, and tracekmt.differ.keys has the same work in Python. Only the numbers themselves are others there.
 */
#include "core.h"

#define FORM_NAME "tracekmt.core.form"

/* Bytes of a structure that count as one number. */
typedef struct {
  uint32_t offset, size;
} Span;

typedef struct {
  Span *spans;
  size_t count;
} Spans;

/* What counts of a structure: bits, whether spans are zero, and the bytes of unions of plain values. */
typedef struct {
  uint8_t *bits;
  size_t size;
  Spans presence, unions;
} Mask;

/* Memory behind a pointer: elements, or only its length if `size` is 0. */
typedef struct {
  uint32_t offset, size;
  Mask plain;
} Pointee;

typedef struct {
  uint64_t seed;
  uint32_t pointer_size;
  Mask selectors, plain;
  Spans distances;
  Pointee *pointees;
  size_t count;
} Form;

/* A region, and whether it is part of the argument. */
typedef struct {
  Region region;
  int is_taken;
} Block;

typedef struct {
  Block blocks[MAX_REGIONS];
  size_t count;
} Memory;

/* The keys of a call while they are made. */
typedef struct {
  uint64_t weak, plain, contents;
  int has_contents, is_exact;
} Keys;

static uint64_t mix_bytes(uint64_t key, const uint8_t *data, size_t size) {
  uint64_t tail = 0;
  size_t i;
  key = mix(key, size);
  for (i = 0; i + 8 <= size; i += 8) key = mix(key, load_u64(data + i));
  memcpy(&tail, data + i, size - i);
  return size - i ? mix(key, tail) : key;
}

static void free_mask(Mask *mask) {
  free(mask->bits);
  free(mask->presence.spans);
  free(mask->unions.spans);
}

static void free_form(Form *form) {
  size_t i;
  free_mask(&form->selectors);
  free_mask(&form->plain);
  for (i = 0; i < form->count; i++) free_mask(&form->pointees[i].plain);
  free(form->pointees);
  free(form->distances.spans);
  free(form);
}

static void free_capsule(PyObject *capsule) {
  Form *form = PyCapsule_GetPointer(capsule, FORM_NAME);
  if (form) free_form(form);
}

static int read_spans(PyObject *tuple, Spans *spans) {
  Py_ssize_t count = PyTuple_Size(tuple), i;
  if (count < 0) return 0;
  if (count && !(spans->spans = malloc((size_t)count * sizeof(Span)))) {
    PyErr_NoMemory();
    return 0;
  }
  spans->count = (size_t)count;
  for (i = 0; i < count; i++)
    if (!PyArg_ParseTuple(PyTuple_GetItem(tuple, i), "II", &spans->spans[i].offset, &spans->spans[i].size)) return 0;
  return 1;
}

static int read_mask(PyObject *tuple, Mask *mask) {
  const char *bits;
  Py_ssize_t size;
  PyObject *presence, *unions;
  if (!PyArg_ParseTuple(tuple, "y#O!O!", &bits, &size, &PyTuple_Type, &presence, &PyTuple_Type, &unions)) return 0;
  if (!(mask->bits = malloc((size_t)size + 1))) {
    PyErr_NoMemory();
    return 0;
  }
  memcpy(mask->bits, bits, (size_t)size);
  mask->size = (size_t)size;
  return read_spans(presence, &mask->presence) && read_spans(unions, &mask->unions);
}

static int read_pointees(PyObject *tuple, Form *form) {
  Py_ssize_t count = PyTuple_Size(tuple), i;
  if (count && !(form->pointees = calloc((size_t)count, sizeof(Pointee)))) {
    PyErr_NoMemory();
    return 0;
  }
  form->count = (size_t)count;
  for (i = 0; i < count; i++) {
    Pointee *pointee = form->pointees + i;
    PyObject *plain;
    if (!PyArg_ParseTuple(PyTuple_GetItem(tuple, i), "IIO!", &pointee->offset, &pointee->size, &PyTuple_Type, &plain) ||
        !read_mask(plain, &pointee->plain))
      return 0;
  }
  return 1;
}

/* Returns a form. Arguments: its seed, the size of a pointer, two masks, the places of distances, the memory behind pointers. */
PyObject *key_form(PyObject *self, PyObject *arguments) {
  PyObject *selectors, *plain, *distances, *pointees, *capsule = NULL;
  unsigned long long seed;
  Form *form = calloc(1, sizeof *form);
  if (!form) return PyErr_NoMemory();
  if (PyArg_ParseTuple(arguments, "KIO!O!O!O!:key_form", &seed, &form->pointer_size, &PyTuple_Type, &selectors, &PyTuple_Type, &plain,
                       &PyTuple_Type, &distances, &PyTuple_Type, &pointees) &&
      read_mask(selectors, &form->selectors) && read_mask(plain, &form->plain) && read_spans(distances, &form->distances) &&
      read_pointees(pointees, form)) {
    form->seed = seed;
    if (form->pointer_size == 4 || form->pointer_size == 8) capsule = PyCapsule_New(form, FORM_NAME, free_capsule);
    else PyErr_SetString(PyExc_ValueError, "an invalid size of a pointer");
  }
  if (!capsule) free_form(form);
  return capsule;
}

/* Of several regions at an address, the last one counts. */
static void set_memory(Memory *memory, const EventMemory *event) {
  size_t i;
  memory->count = 0;
  for (i = 0; i < event->count; i++) {
    Block block = {event->regions[i], 0};
    size_t at = 0;
    while (at < memory->count && memory->blocks[at].region.address != block.region.address) at++;
    memory->blocks[at] = block;
    if (at == memory->count) memory->count++;
  }
}

static Block *find(Memory *memory, uint64_t address) {
  size_t i;
  for (i = 0; i < memory->count; i++)
    if (memory->blocks[i].region.address == address && !memory->blocks[i].is_taken) return memory->blocks + i;
  return NULL;
}

/* Returns the end of a span in bytes that may be shorter. */
static size_t end_of(const Span *span, size_t size) {
  size_t end = (size_t)span->offset + span->size;
  return end < size ? end : size;
}

static int is_absent(const Span *span, const uint8_t *data, size_t size) {
  size_t end = end_of(span, size);
  return span->offset >= end || is_zero(data + span->offset, end - span->offset);
}

static int is_empty(const Mask *mask) {
  return !mask->size && !mask->presence.count;
}

/* Mixes what counts of a structure into a key: its bytes at those of the mask that are not zero, and what is present. */
static uint64_t mix_masked(uint64_t key, const Mask *mask, const uint8_t *bits, const uint8_t *data, size_t size) {
  uint64_t word = 0;
  size_t i, filled = 0, end = mask->size < size ? mask->size : size;
  for (i = 0; i < end; i++) {
    if (!mask->bits[i]) continue;
    word |= (uint64_t)(data[i] & bits[i]) << 8 * filled;
    if (++filled < 8) continue;
    key = mix(key, word);
    word = filled = 0;
  }
  key = mix(mix(key, word), filled);
  for (i = 0; i < mask->presence.count; i++) key = mix(key, (uint64_t)!is_absent(mask->presence.spans + i, data, size));
  return key;
}

static void mix_contents(Keys *keys, uint64_t number) {
  keys->contents = mix(keys->contents, number);
  keys->has_contents = 1;
}

/* Mixes the unions of a structure that are not zero into the key of the contents. */
static void mix_unions(Keys *keys, const Mask *mask, const uint8_t *data, size_t size) {
  size_t i, found = 0;
  for (i = 0; i < mask->unions.count; i++) {
    const Span *span = mask->unions.spans + i;
    if (is_absent(span, data, size)) continue;
    mix_contents(keys, i);
    keys->contents = mix_bytes(keys->contents, data + span->offset, end_of(span, size) - span->offset);
    found++;
  }
  if (found) mix_contents(keys, found);
}

static uint64_t read_pointer(const Form *form, const Pointee *pointee, const uint8_t *data, size_t size) {
  uint64_t address = 0;
  const Span place = {pointee->offset, form->pointer_size};
  if (pointee->offset < size) memcpy(&address, data + pointee->offset, end_of(&place, size) - pointee->offset);
  return address;
}

static void mix_pointee(Keys *keys, const Pointee *pointee, Block *block) {
  size_t start, size;
  keys->plain = mix(keys->plain, block ? 1 : 0);
  if (!block) return;
  if (!pointee->size) {
    keys->plain = mix(keys->plain, block->region.size);
    return;
  }
  if (is_empty(&pointee->plain)) {
    keys->plain = mix(keys->plain, block->region.size / pointee->size);
  } else {
    for (start = 0; start < block->region.size; start += pointee->size) {
      size = pointee->size < block->region.size - start ? pointee->size : block->region.size - start;
      keys->plain = mix(mix_masked(keys->plain, &pointee->plain, pointee->plain.bits, block->region.data + start, size), 1);
    }
    keys->plain = mix(keys->plain, 0);
  }
  for (start = 0; pointee->plain.unions.count && start < block->region.size; start += pointee->size) {
    size = pointee->size < block->region.size - start ? pointee->size : block->region.size - start;
    mix_unions(keys, &pointee->plain, block->region.data + start, size);
  }
  block->is_taken = 1;
}

/* Returns 1 if a number may be a distance between addresses: it is at least LEAST_DISTANCE of tracekmt.differ.keys. */
static int is_distance(const Span *span, const uint8_t *data, size_t size) {
  const Span high = {span->offset + 3, span->size > 3 ? span->size - 3 : 0};
  return !is_absent(&high, data, size);
}

/* Mixes what counts of an argument. `bits` are those of the form's plain values, or a copy without distances. */
static void mix_argument(Keys *keys, const Form *form, const uint8_t *bits, const uint8_t *data, size_t size, Memory *memory) {
  size_t i;
  keys->weak = mix_masked(form->seed, &form->selectors, form->selectors.bits, data, size);
  keys->plain = mix_masked(form->seed, &form->plain, bits, data, size);
  keys->contents = 0;
  mix_unions(keys, &form->plain, data, size);
  for (i = 0; i < form->count; i++) {
    const Pointee *pointee = form->pointees + i;
    mix_pointee(keys, pointee, find(memory, read_pointer(form, pointee, data, size)));
  }
  for (i = 0; i < memory->count; i++) {
    const Block *block = memory->blocks + i;
    if (block->is_taken) continue;
    keys->contents = mix_bytes(keys->contents, block->region.data, block->region.size);
    keys->has_contents = 1;
  }
}

/* Makes the keys of an argument and the memory that it points to. Returns 0 after an error. */
static int make_keys(const Form *form, const uint8_t *data, size_t size, Memory *memory, CallKeys *made) {
  Keys keys = {.is_exact = 1};
  uint8_t *changed = NULL;
  size_t i, byte;
  for (i = 0; i < form->distances.count; i++) {
    const Span *span = form->distances.spans + i;
    if (!is_distance(span, data, size)) continue;
    if (!changed) {
      if (!(changed = malloc(form->plain.size + 1))) {
        PyErr_NoMemory();
        return 0;
      }
      memcpy(changed, form->plain.bits, form->plain.size);
    }
    for (byte = span->offset; byte < end_of(span, form->plain.size); byte++) changed[byte] = 0;
    keys.is_exact = 0;
  }
  mix_argument(&keys, form, changed ? changed : form->plain.bits, data, size, memory);
  free(changed);
  *made = (CallKeys){keys.weak, keys.plain, keys.has_contents ? keys.contents : 0, keys.is_exact};
  return 1;
}

/* Makes the keys of an argument that is in memory. One that is not there has no bytes. */
static int make_keys_at(const Form *form, uint64_t address, Memory *memory, CallKeys *made) {
  Block *block = find(memory, address);
  if (!block) return make_keys(form, (const uint8_t *)"", 0, memory, made);
  block->is_taken = 1;
  return make_keys(form, block->region.data, block->region.size, memory, made);
}

int make_call_keys(PyObject *form, uint64_t address, const EventMemory *event, CallKeys *keys) {
  const Form *found = PyCapsule_GetPointer(form, FORM_NAME);
  Memory memory;
  if (!found) return 0;
  set_memory(&memory, event);
  return make_keys_at(found, address, &memory, keys);
}

/* tracekmt.differ.keys._input_keys. Arguments: a form, the argument or None, its address, regions. Returns NotImplemented for others. */
PyObject *call_keys(PyObject *self, PyObject *arguments) {
  PyObject *capsule, *argument, *regions;
  const Form *form;
  EventMemory event;
  Memory memory;
  CallKeys keys;
  unsigned long long address;
  const uint8_t *data;
  Py_ssize_t size;
  if (!PyArg_ParseTuple(arguments, "OOKO:call_keys", &capsule, &argument, &address, &regions) ||
      !(form = PyCapsule_GetPointer(capsule, FORM_NAME)))
    return NULL;
  if (!parse_regions(regions, &event)) return left_to_python();
  set_memory(&memory, &event);
  if (argument == Py_None) {
    if (!make_keys_at(form, address, &memory, &keys)) return NULL;
  } else if (PyBytes_AsStringAndSize(argument, (char **)&data, &size) || !make_keys(form, data, (size_t)size, &memory, &keys)) {
    return NULL;
  }
  return Py_BuildValue("(LLLi)", (long long)keys.weak, (long long)keys.plain, (long long)keys.contents, keys.is_exact);
}
