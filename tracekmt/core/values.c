/*
 * The values of a call, decoded or searched for those that refer to objects, by the program of its structure. A call that needs
 * anything unusual is left to Python: unreadable memory, more values than a budget, data that an object decides on.
 */
#include "program.h"

enum { STRUCT_COST = 8, STEP_COST = 16 };

/* The memory of an event: its regions, the longest of those at one address. */
typedef struct {
  Region blocks[MAX_REGIONS];
  int count;
} Memory;

/* A structure, and the one that contains or points to it. */
typedef struct Frame {
  const uint8_t *now, *before;
  uint32_t size;
  const struct Frame *outer;
} Frame;

typedef struct {
  Memory now, before;
  int has_before;
  long long values_left, bytes_left;
  PyObject *locations, *location_type;
  newfunc new_tuple;
  FoundValues *found;  /* in place of locations, which take much longer to make */
} Walk;

/* tracekmt.codec.memory.Recorded */
static void set_memory(Memory *memory, const EventMemory *event) {
  size_t i;
  memory->count = 0;
  for (i = 0; i < event->count; i++) {
    const Region *block = event->regions + i;
    int at = 0;
    while (at < memory->count && memory->blocks[at].address != block->address) at++;
    if (at == memory->count) memory->count++;
    else if (block->size < memory->blocks[at].size) continue;
    memory->blocks[at] = *block;
  }
}

static int parse_memory(Memory *memory, PyObject *regions) {
  EventMemory event;
  if (!parse_regions(regions, &event)) return 0;
  set_memory(memory, &event);
  return 1;
}

/* Returns memory of a size, of the last region that begins before it and has all of it. */
static const uint8_t *find(const Memory *memory, uint64_t address, uint64_t size) {
  const Region *best = NULL;
  int i;
  for (i = 0; i < memory->count; i++) {
    const Region *block = memory->blocks + i;
    uint64_t offset = address - block->address;
    if (address < block->address || offset > block->size || size > block->size - offset) continue;
    if (!best || block->address > best->address) best = block;
  }
  return best ? best->data + (address - best->address) : NULL;
}

static const uint8_t *fetch(Walk *walk, uint64_t address, uint64_t size) {
  walk->bytes_left -= (long long)size;
  return size && size < 1ull << 32 && walk->bytes_left >= 0 ? find(&walk->now, address, size) : NULL;
}

static int spend(Walk *walk, uint64_t values) {
  walk->values_left -= (long long)values;
  return walk->values_left >= 0;
}

/* Returns as many bytes as there are now from the memory at enter, or those of now. */
static const uint8_t *at_enter(const Walk *walk, uint64_t address, const uint8_t *now, uint64_t size) {
  const uint8_t *before = walk->has_before && address ? find(&walk->before, address, size) : NULL;
  return before ? before : now;
}

static uint64_t load(const uint8_t *at, size_t size) {
  uint64_t value = 0;
  memcpy(&value, at, size);
  return value;
}

static int64_t load_signed(const uint8_t *at, size_t size) {
  unsigned shift = (unsigned)(64 - 8 * size);
  return (int64_t)(load(at, size) << shift) >> shift;
}

/* Reads a number of a structure as it was at enter, and as it is now. Returns 0 for what is left to Python. */
static int read_number(const Frame *frame, const Span *span, uint64_t *before, uint64_t *now) {
  uint32_t steps;
  for (steps = span->parent; steps && frame; steps--) frame = frame->outer;
  if (!frame || span->end > frame->size || span->start >= span->end || span->end - span->start > 8) return 0;
  *before = load(frame->before + span->start, span->end - span->start) & span->mask;
  *now = load(frame->now + span->start, span->end - span->start) & span->mask;
  return 1;
}

static uint64_t dereference(const Walk *walk, uint64_t address) {
  const uint8_t *at = address ? find(walk->has_before ? &walk->before : &walk->now, address, 4) : NULL;
  return at ? load_u32(at) : 0;
}

/* StructContext.count. A length is less than 2^32. */
static int read_length(const Walk *walk, const Frame *frame, const Length *length, uint64_t counts[2]) {
  int i;
  if (!read_number(frame, &length->span, counts, counts + 1)) return 0;
  for (i = 0; i < 2; i++) {
    int64_t sum;
    if (length->deref) counts[i] = dereference(walk, counts[i]);
    if (counts[i] >> 32) return 0;
    sum = (int64_t)counts[i] + length->add;
    if (sum < length->minimum) sum = length->minimum;
    if (sum < 0 || sum >> 32) return 0;
    counts[i] = (uint64_t)sum;
  }
  return 1;
}

/* StructContext.holds. Returns -1 for what is left to Python. */
static int holds(const Frame *frame, const Selector *selector) {
  uint64_t before, now;
  size_t i;
  int is_in = 0;
  if (!read_number(frame, &selector->span, &before, &now)) return -1;
  if (!selector->count) is_in = before != 0;
  for (i = 0; i < selector->count; i++) is_in |= selector->values[i] == before;
  return is_in != selector->negate;
}

/* Sets the arm in effect, NULL if there is none. Returns 0 for what is left to Python. */
static int select_arm(const Frame *frame, const Node *node, const Node **arm) {
  size_t i;
  for (i = 0; i < node->count; i++) {
    int held = node->children[i].has_selector ? holds(frame, &node->children[i].selector) : 1;
    if (held < 0) return 0;
    if (held) {
      *arm = node->children + i;
      return 1;
    }
  }
  *arm = NULL;
  return 1;
}

static int used_count(const Frame *frame, const Node *node, uint64_t *count) {
  uint64_t before, now;
  *count = node->size / node->children->size;
  if (!node->has_selector) return 1;
  if (!read_number(frame, &node->selector.span, &before, &now)) return 0;
  if (!node->flag && before < now) now = before;
  if (now < *count) *count = now;
  return 1;
}

static PyObject *decode_struct(Walk *walk, const Program *program, const uint8_t *now, const uint8_t *before, const Frame *outer);
static PyObject *decode_value(Walk *walk, const Node *node, const uint8_t *now, const uint8_t *before, const Frame *frame);

static PyObject *new_bytes(const uint8_t *data, uint64_t size) {
  return PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
}

/* Returns what an object in Python makes of bytes. */
static PyObject *convert(PyObject *object, const uint8_t *data, uint64_t size) {
  return PyObject_CallFunction(object, "y#", (const char *)data, (Py_ssize_t)size);
}

static PyObject *decode_number(const Node *node, const uint8_t *now) {
  PyObject *number = node->flag && node->kind == INTEGER ? PyLong_FromLongLong(load_signed(now, node->size))
                                                         : PyLong_FromUnsignedLongLong(load(now, node->size));
  PyObject *value;
  if (!number || node->kind == INTEGER || node->kind == STRUCT_SIZE) return number;
  value = node->kind == FLAGS ? PyObject_GetItem(node->object, number) : PyObject_CallFunctionObjArgs(node->object, number, NULL);
  Py_DECREF(number);
  return value;
}

static PyObject *decode_enumeration(const Node *node, const uint8_t *now) {
  PyObject *number = PyLong_FromLongLong(load_signed(now, node->size)), *member;
  if (!number) return NULL;
  member = PyDict_GetItemWithError(node->object, number);
  if (!member && !PyErr_Occurred() && !node->flag) return number;
  Py_DECREF(number);
  if (member || PyErr_Occurred()) return new_reference(member);
  return PyLong_FromUnsignedLongLong(load(now, node->size));
}

static PyObject *decode_float(const Node *node, const uint8_t *now) {
  float single;
  double value;
  if (node->size == 8) {
    memcpy(&value, now, 8);
    return PyFloat_FromDouble(value);
  }
  memcpy(&single, now, 4);
  return PyFloat_FromDouble(single);
}

static PyObject *decode_elements(Walk *walk, const Node *element, uint64_t count, const uint8_t *now, const uint8_t *before,
                                 const Frame *frame) {
  PyObject *values, *value;
  uint64_t i;
  if (!spend(walk, count) || !(values = PyList_New((Py_ssize_t)count))) return NULL;
  for (i = 0; i < count; i++) {
    if (!(value = decode_value(walk, element, now + i * element->size, before + i * element->size, frame))) {
      Py_DECREF(values);
      return NULL;
    }
    PyList_SetItem(values, (Py_ssize_t)i, value);
  }
  return values;
}

static PyObject *decode_pointee(Walk *walk, const Node *node, uint64_t address, uint64_t before_address, const Frame *frame) {
  const Node *element = node->children;
  const uint8_t *now, *before;
  uint64_t counts[2], count;
  if (!node->has_length) {
    if (!(now = fetch(walk, address, element->size))) return NULL;
    before = at_enter(walk, before_address, now, element->size);
    if (element->kind != STRUCT && !spend(walk, 1)) return NULL;
    return decode_value(walk, element, now, before, frame);
  }
  if (!read_length(walk, frame, &node->length, counts)) return NULL;
  count = counts[0] < counts[1] ? counts[0] : counts[1];
  if (!count) return PyList_New(0);
  if (!(now = before = fetch(walk, address, count * element->size))) return NULL;
  if (walk->has_before && before_address && !(before = find(&walk->before, before_address, count * element->size))) return NULL;
  return decode_elements(walk, element, count, now, before, frame);
}

static PyObject *decode_buffer(Walk *walk, const Node *node, uint64_t address, uint64_t before_address, const Frame *frame) {
  const uint8_t *data = NULL;
  const Node *arm = NULL, *type;
  uint64_t counts[2], size;
  if (!read_length(walk, frame, &node->length, counts)) return NULL;
  size = node->kind == BUFFER ? counts[node->flag] : node->kind == STRING ? counts[0] * (unsigned)node->flag : counts[0];
  if (size && !(data = fetch(walk, address, size))) return NULL;
  if (node->kind == STRING) return convert(node->object, data ? data : (const uint8_t *)"", size);
  if (node->kind == BUFFER) return new_bytes(data, size);
  if (!select_arm(frame, node, &arm)) return NULL;
  if (!arm) return new_bytes(data, size);
  type = arm->children;
  if (type->size != size || !size || type->flag) return NULL;  /* a shorter or longer buffer, or a structure with a tail */
  if (type->kind != STRUCT && !spend(walk, 1)) return NULL;
  return decode_value(walk, type, data, at_enter(walk, before_address, data, size), frame);
}

static PyObject *decode_union(Walk *walk, const Node *node, const uint8_t *now, const uint8_t *before, const Frame *frame) {
  const Node *arm;
  PyObject *value, *values;
  if (!select_arm(frame, node, &arm)) return NULL;
  if (!arm) return Py_BuildValue("{s:y#}", "raw", (const char *)now, (Py_ssize_t)node->size);
  if (!spend(walk, 1) || !(value = decode_value(walk, arm->children, now, before, frame))) return NULL;
  values = PyDict_New();
  if (values && PyDict_SetItem(values, arm->name, value)) {
    Py_DECREF(values);
    values = NULL;
  }
  Py_DECREF(value);
  return values;
}

/* Returns the value of bytes in place, NULL without an error for what is left to Python. */
static PyObject *decode_value(Walk *walk, const Node *node, const uint8_t *now, const uint8_t *before, const Frame *frame) {
  uint64_t address, count;
  const uint8_t *data;
  switch (node->kind) {
    case INTEGER:
    case STRUCT_SIZE:
    case FLAGS:
    case BIT_FIELDS:
      return decode_number(node, now);
    case ENUMERATION:
      return decode_enumeration(node, now);
    case FLOAT:
      return decode_float(node, now);
    case BYTES:
      return new_bytes(now, node->size);
    case TAIL:
      return new_bytes(now, (uint64_t)(frame->now + frame->size - now));
    case TEXT:
      return convert(node->object, now, node->flag ? (uint64_t)(frame->now + frame->size - now) : node->size);
    case STRUCT:
      return decode_struct(walk, node->program, now, before, frame);
    case ARRAY:
      return used_count(frame, node, &count) ? decode_elements(walk, node->children, count, now, before, frame) : NULL;
    case UNION:
      return decode_union(walk, node, now, before, frame);
    case COUNTED_STRING:
      count = load(now, 2);
      address = load(now + node->size / 2, node->size / 2);
      if (!address) return new_reference(Py_None);
      data = count ? fetch(walk, address, count) : (const uint8_t *)"";
      return data ? convert(node->object, data, count) : NULL;
    case ADDRESS:
    case POINTER:
    case BUFFER:
    case STRING:
    case PAYLOAD:
    case LEFT_POINTER:
      if (!(address = load(now, node->size))) return new_reference(Py_None);
      if (node->kind == ADDRESS) return PyLong_FromUnsignedLongLong(address);
      if (node->kind == POINTER) return decode_pointee(walk, node, address, load(before, node->size), frame);
      return node->kind == LEFT_POINTER ? NULL : decode_buffer(walk, node, address, load(before, node->size), frame);
    default:
      return NULL;
  }
}

/* Adds the fields of a structure to its values, without those of other arms. Returns 0 if the call is left to Python. */
static int decode_fields(Walk *walk, const Node *nodes, size_t count, const Frame *frame, PyObject *values) {
  size_t i;
  for (i = 0; i < count; i++) {
    const Node *node = nodes + i, *arm;
    const uint8_t *now = frame->now + node->offset;
    PyObject *value;
    int failed;
    if (node->kind == CHOICE && !node->flag) {
      if (!select_arm(frame, node, &arm)) return 0;
      if (arm) {
        if (!decode_fields(walk, arm->children, arm->count, frame, values)) return 0;
        continue;
      }
    }
    if (!spend(walk, 1)) return 0;
    if (node->kind == STRUCT_SIZE && load(now, node->size) == frame->size) continue;
    if (node->kind == CHOICE) {
      if (!node->flag && is_zero(now, node->size)) continue;
      value = Py_BuildValue("{s:y#}", "raw", (const char *)now, (Py_ssize_t)node->size);
    } else {
      value = decode_value(walk, node, now, frame->before + node->offset, frame);
    }
    if (!value) return 0;
    failed = PyDict_SetItem(values, node->name, value);
    Py_DECREF(value);
    if (failed) return 0;
  }
  return 1;
}

static PyObject *decode_struct(Walk *walk, const Program *program, const uint8_t *now, const uint8_t *before, const Frame *outer) {
  Frame frame = {now, before, program->size, outer};
  PyObject *values;
  if (!spend(walk, STRUCT_COST) || !(values = PyDict_New())) return NULL;
  if (decode_fields(walk, program->root.children, program->root.count, &frame, values)) return values;
  Py_DECREF(values);
  return NULL;
}

/*
 * The path of a value: that of the structure around it, and that in its description. They are one object without indexes. A search for
 * values alone has a key in place of them.
 */
typedef struct {
  PyObject *path, *pattern;
  uint64_t key;
} Path;

/* Sets a longer path. `index`: of an array, -1 for none. Returns 0 after an error. */
static int extend(const Path *outer, PyObject *name, long long index, const char *end, Path *path) {
  path->path = path->pattern = NULL;
  path->key = mix(mix(outer->key, (uintptr_t)name), (uint64_t)index);
  if (!outer->path) return 1;
  if (index < 0) {
    path->path = PyUnicode_FromFormat("%U%U%s", outer->path, name, end);
    path->pattern = outer->path == outer->pattern ? new_reference(path->path)
                                                  : PyUnicode_FromFormat("%U%U%s", outer->pattern, name, end);
  } else {
    path->path = PyUnicode_FromFormat("%U%U[%lld]%s", outer->path, name, index, end);
    path->pattern = PyUnicode_FromFormat("%U%U[]%s", outer->pattern, name, end);
  }
  if (path->path && path->pattern) return 1;
  Py_XDECREF(path->path);
  Py_XDECREF(path->pattern);
  return 0;
}

static void drop(Path *path) {
  Py_XDECREF(path->path);
  Py_XDECREF(path->pattern);
}

static int search_fields(Walk *walk, const Node *nodes, size_t count, uint64_t address, const Frame *frame, const Path *path);
static int search(Walk *walk, const Node *node, const uint8_t *now, const uint8_t *before, uint64_t address, const Frame *frame,
                  const Path *path);

/* Adds a bound value. Returns 0 if the call is left to Python. */
static int add_value(FoundValues *found, const Node *node, const uint8_t *now, const Path *path) {
  if (node->kind == STRUCT || (node->flag && node->kind == INTEGER && load_signed(now, node->size) < 0)) return 0;
  if (found->count == found->capacity) {
    size_t capacity = 2 * found->capacity + 64;
    FoundValue *values = realloc(found->values, capacity * sizeof *values);
    if (!values) {
      PyErr_NoMemory();
      return 0;
    }
    found->values = values;
    found->capacity = capacity;
  }
  found->values[found->count++] = (FoundValue){node, load(now, node->size), mix(path->key, (uintptr_t)node), 0, 0, 0};
  return 1;
}

/* Adds the location of a bound value. Returns 0 if the call is left to Python. */
static int add_location(Walk *walk, const Node *node, const uint8_t *now, uint64_t address, const Frame *frame, const Path *path) {
  PyObject *fields, *arguments, *location, *value;
  PyObject *name = PyUnicode_Concat(path->path, node->name);
  PyObject *pattern = path->path == path->pattern ? new_reference(name) : PyUnicode_Concat(path->pattern, node->name);
  int failed = 1, i;
  if (node->kind == STRUCT) value = decode_struct(walk, node->program, now, now, frame);
  else if (node->flag && node->kind == INTEGER) value = PyLong_FromLongLong(load_signed(now, node->size));
  else value = PyLong_FromUnsignedLongLong(load(now, node->size));
  fields = PyTuple_New(8);
  if (fields) {
    PyTuple_SetItem(fields, 0, name);
    PyTuple_SetItem(fields, 1, pattern);
    for (i = 0; i < 3; i++) PyTuple_SetItem(fields, 2 + i, new_reference(PyTuple_GetItem(node->bound, i)));
    PyTuple_SetItem(fields, 5, PyLong_FromUnsignedLongLong(address));
    PyTuple_SetItem(fields, 6, PyLong_FromUnsignedLong(node->size));
    PyTuple_SetItem(fields, 7, value);
    if (value && !PyErr_Occurred() && (arguments = PyTuple_New(1))) {
      PyTuple_SetItem(arguments, 0, fields);
      location = walk->new_tuple((PyTypeObject *)walk->location_type, arguments, NULL);
      failed = !location || PyList_Append(walk->locations, location);
      Py_XDECREF(location);
      Py_DECREF(arguments);
    } else {
      Py_DECREF(fields);
    }
  }
  return !failed;
}

/* Searches consecutive elements. Those of a value that is no array have no index. */
static int search_elements(Walk *walk, const Node *node, uint64_t count, const uint8_t *now, const uint8_t *before, uint64_t address,
                           const Frame *frame, const Path *path) {
  const Node *element = node->children;
  int is_array = node->kind == ARRAY || node->has_length, found = 1;
  uint64_t i;
  for (i = 0; i < count && found; i++) {
    Path inner;
    if (!extend(path, node->name, is_array ? (long long)i : -1, "", &inner)) return 0;
    found = search(walk, element, now + i * element->size, before + i * element->size, address + i * element->size, frame, &inner);
    drop(&inner);
  }
  return found;
}

static int search_pointee(Walk *walk, const Node *node, const uint8_t *now, const uint8_t *before, const Frame *frame,
                          const Path *path) {
  uint64_t address = load(now, node->size), before_address = load(before, node->size), counts[2] = {1, 1}, count, size;
  const uint8_t *pointee, *before_pointee;
  if (node->has_length && !read_length(walk, frame, &node->length, counts)) return 0;
  count = counts[0] < counts[1] ? counts[0] : counts[1];
  size = count * node->children->size;
  if (!address || !count) return 1;
  if (!(pointee = before_pointee = fetch(walk, address, size)) || !spend(walk, STEP_COST * count)) return 0;
  if (walk->has_before && before_address && !(before_pointee = find(&walk->before, before_address, size))) return 0;
  return search_elements(walk, node, count, pointee, before_pointee, address, frame, path);
}

/* Searches bytes in place. Returns 0 if the call is left to Python. */
static int search(Walk *walk, const Node *node, const uint8_t *now, const uint8_t *before, uint64_t address, const Frame *frame,
                  const Path *path) {
  const Node *arm;
  uint64_t count;
  Frame inner_frame;
  Path inner;
  int found;
  if (!node->searched) return 1;
  if (node->bound != Py_None)
    return walk->found ? add_value(walk->found, node, now, path) : add_location(walk, node, now, address, frame, path);
  switch (node->kind) {
    case STRUCT:
      inner_frame = (Frame){now, before, node->program->size, frame};
      if (!extend(path, node->name, -1, ".", &inner)) return 0;
      found = search_fields(walk, node->program->root.children, node->program->root.count, address, &inner_frame, &inner);
      drop(&inner);
      return found;
    case UNION:
      if (!select_arm(frame, node, &arm)) return 0;
      if (!arm) return 1;
      if (!extend(path, node->name, -1, ".", &inner)) return 0;
      found = search(walk, arm->children, now, before, address, frame, &inner);
      drop(&inner);
      return found;
    case ARRAY:
      return used_count(frame, node, &count) && search_elements(walk, node, count, now, before, address, frame, path);
    case POINTER:
      return search_pointee(walk, node, now, before, frame, path);
    default:
      return 0;
  }
}

static int search_fields(Walk *walk, const Node *nodes, size_t count, uint64_t address, const Frame *frame, const Path *path) {
  size_t i;
  for (i = 0; i < count; i++) {
    const Node *node = nodes + i, *arm;
    if (!node->searched) continue;
    if (node->kind != CHOICE) {
      if (!search(walk, node, frame->now + node->offset, frame->before + node->offset, address + node->offset, frame, path)) return 0;
    } else {
      if (!select_arm(frame, node, &arm)) return 0;
      if (arm && !node->flag && !search_fields(walk, arm->children, arm->count, address, frame, path)) return 0;
    }
  }
  return 1;
}

/* Returns what the walk found, NotImplemented for a call that is left to Python. */
static PyObject *outcome(PyObject *found) {
  return found || PyErr_Occurred() ? found : left_to_python();
}

/* Sets the memory of a walk. `before`: the regions at enter, None for a call that did not return. */
static int set_memories(Walk *walk, PyObject *now, PyObject *before) {
  walk->has_before = before != Py_None;
  return parse_memory(&walk->now, now) && (!walk->has_before || parse_memory(&walk->before, before));
}

/* tracekmt.codec.decode, for the address of a structure. Python calls it for every call of a trace, so the arguments are an array. */
PyObject *decode(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  Walk walk;
  const Program *program;
  const uint8_t *now;
  uint64_t address;
  if (count != 6) {
    PyErr_SetString(PyExc_TypeError, "expected a program, regions, those at enter, an address and two budgets");
    return NULL;
  }
  program = PyCapsule_GetPointer(arguments[0], PROGRAM_NAME);
  address = PyLong_AsUnsignedLongLongMask(arguments[3]);
  walk.values_left = PyLong_AsLongLong(arguments[4]);
  walk.bytes_left = PyLong_AsLongLong(arguments[5]);
  if (!program || PyErr_Occurred()) return NULL;
  if (!set_memories(&walk, arguments[1], arguments[2]) || !(now = fetch(&walk, address, program->size))) return outcome(NULL);
  return outcome(decode_struct(&walk, program, now, at_enter(&walk, address, now, program->size), NULL));
}

/* Searches the argument in the memory of a walk. Returns 0 for what is left to Python. */
static int search_argument(Walk *walk, const Program *program, uint64_t address, const Path *path) {
  Frame frame = {0};
  if (!address || address > UINT64_MAX >> 1) return 0;
  frame.now = find(&walk->now, address, program->size);
  frame.before = walk->has_before ? find(&walk->before, address, program->size) : frame.now;
  frame.size = program->size;
  return frame.now && frame.before && search_fields(walk, program->root.children, program->root.count, address, &frame, path);
}

/* Returns the locations that a search in the memory of a walk finds, NULL for what is left to Python. */
static PyObject *collect_locations(Walk *walk, const Program *program, PyObject *location_type, uint64_t address) {
  Path path = {NULL, NULL, 0};
  int found;
  if (!PyType_Check(location_type) || !PyType_IsSubtype((PyTypeObject *)location_type, &PyTuple_Type)) {
    PyErr_SetString(PyExc_TypeError, "the type of locations is no tuple");
    return NULL;
  }
  walk->location_type = location_type;
  walk->new_tuple = (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new);
  walk->found = NULL;
  if (!(path.path = path.pattern = PyUnicode_FromString(""))) return NULL;
  walk->locations = PyList_New(0);
  found = walk->locations && search_argument(walk, program, address, &path);
  Py_DECREF(path.path);
  if (found) return walk->locations;
  Py_XDECREF(walk->locations);
  return NULL;
}

/* BoundValueFinder.context and locations in tracekmt.codec.bound_values */
PyObject *find_bound_values(PyObject *self, PyObject *arguments) {
  Walk walk;
  const Program *program;
  PyObject *capsule, *location_type, *regions, *before_regions;
  unsigned long long address;
  if (!PyArg_ParseTuple(arguments, "OOOOKLL:find_bound_values", &capsule, &location_type, &regions, &before_regions, &address,
                        &walk.values_left, &walk.bytes_left) ||
      !(program = PyCapsule_GetPointer(capsule, PROGRAM_NAME)))
    return NULL;
  if (!set_memories(&walk, regions, before_regions)) return outcome(NULL);
  return outcome(collect_locations(&walk, program, location_type, address));
}

static void start_walk(Walk *walk, const EventMemory *now, const EventMemory *before, const long long budgets[2]) {
  walk->values_left = budgets[0];
  walk->bytes_left = budgets[1];
  walk->has_before = before != NULL;
  set_memory(&walk->now, now);
  if (before) set_memory(&walk->before, before);
}

int search_values(const Program *program, const EventMemory *now, const EventMemory *before, uint64_t address,
                  const long long budgets[2], FoundValues *found) {
  const Path no_path = {NULL, NULL, 0};
  Walk walk;
  start_walk(&walk, now, before, budgets);
  walk.found = found;
  found->count = 0;
  return search_argument(&walk, program, address, &no_path);
}

PyObject *search_locations(const Program *program, PyObject *location_type, const EventMemory *now, const EventMemory *before,
                           uint64_t address, const long long budgets[2]) {
  Walk walk;
  start_walk(&walk, now, before, budgets);
  return collect_locations(&walk, program, location_type, address);
}

const uint8_t *find_memory(const EventMemory *event, uint64_t address, uint64_t size) {
  Memory memory;
  set_memory(&memory, event);
  return find(&memory, address, size);
}

/* Sets the argument as it was at enter. Returns 0 if it is not in memory. */
static int find_argument(const Program *program, const EventMemory *entered, uint64_t address, Memory *memory, Frame *frame) {
  set_memory(memory, entered);
  frame->now = frame->before = find(memory, address, program->size);
  frame->size = program->size;
  frame->outer = NULL;
  return frame->now != NULL;
}

int read_input(const Program *program, const EventMemory *entered, uint64_t address, const Span *span, uint64_t *number) {
  Memory memory;
  Frame frame;
  uint64_t before;
  return find_argument(program, entered, address, &memory, &frame) && read_number(&frame, span, &before, number);
}

int input_holds(const Program *program, const EventMemory *entered, uint64_t address, const Selector *selector) {
  Memory memory;
  Frame frame;
  return find_argument(program, entered, address, &memory, &frame) ? holds(&frame, selector) : -1;
}

/* tracekmt.trace.call._copied */
PyObject *copy_value(PyObject *self, PyObject *value) {
  PyObject *copy, *name, *item, *copied;
  Py_ssize_t position = 0, count;
  int failed = 0;
  if (!PyDict_CheckExact(value) && !PyList_CheckExact(value)) return new_reference(value);
  if (Py_EnterRecursiveCall(" while copying a value")) return NULL;
  if (PyDict_CheckExact(value)) {
    copy = PyDict_New();
    while (copy && !failed && PyDict_Next(value, &position, &name, &item)) {
      copied = copy_value(self, item);
      failed = !copied || PyDict_SetItem(copy, name, copied);
      Py_XDECREF(copied);
    }
  } else {
    count = PyList_Size(value);
    copy = PyList_New(count);
    for (; copy && !failed && position < count; position++) {
      copied = copy_value(self, PyList_GetItem(value, position));
      failed = !copied || PyList_SetItem(copy, position, copied);
    }
  }
  Py_LeaveRecursiveCall();
  if (!failed) return copy;
  Py_DECREF(copy);
  return NULL;
}
