/* Bodies of events, read from an event frame. What is not plain msgpack of docs/format.md is left to Python, which names the error. */
#include "core.h"

/* `load_blob` returns a blob by its number. `recent` has some of them. */
typedef struct {
  const uint8_t *at, *end;
  PyObject *load_blob, *recent;
} Reader;

/* Reads a big-endian number of some bytes. Returns 0 at the end of the body. */
static int read_big_endian(Reader *reader, size_t size, uint64_t *value) {
  if ((size_t)(reader->end - reader->at) < size) return 0;
  for (*value = 0; size; size--) *value = *value << 8 | *reader->at++;
  return 1;
}

/* Reads the unsigned number that a type byte introduces. Returns 0 for anything else. */
static int read_number_after(Reader *reader, uint64_t type, uint64_t *value) {
  if (type < 0x80) {
    *value = type;
    return 1;
  }
  return type >= 0xCC && type <= 0xCF && read_big_endian(reader, (size_t)1 << (type - 0xCC), value);
}

static int read_number(Reader *reader, uint64_t *value) {
  uint64_t type;
  return read_big_endian(reader, 1, &type) && read_number_after(reader, type, value);
}

/* Reads the head of an array whose items have at least a byte each. Returns 0 for anything else. */
static int read_array(Reader *reader, uint64_t *count) {
  uint64_t type;
  if (!read_big_endian(reader, 1, &type)) return 0;
  if ((type & 0xF0) == 0x90) *count = type & 0x0F;
  else if ((type != 0xDC && type != 0xDD) || !read_big_endian(reader, type == 0xDC ? 2 : 4, count)) return 0;
  return *count <= (uint64_t)(reader->end - reader->at);
}

/* Returns a new reference to a blob, NULL after an error. */
static PyObject *load_blob(Reader *reader, uint64_t number) {
  PyObject *key = PyLong_FromUnsignedLongLong(number), *blob;
  if (!key) return NULL;
  blob = PyDict_GetItemWithError(reader->recent, key);
  if (blob) Py_INCREF(blob);
  else if (!PyErr_Occurred()) blob = PyObject_CallFunctionObjArgs(reader->load_blob, key, NULL);
  Py_DECREF(key);
  return blob;
}

/* Reads a region with its bytes, which belong to the body, or to `blob` if it is set. Returns 0 for anything else, and after an error. */
static int read_own_region(Reader *reader, Region *region, PyObject **blob) {
  uint64_t count, type, value;
  Py_ssize_t size;
  *blob = NULL;
  if (!read_array(reader, &count) || count != 3 || !read_number(reader, &region->address) || !read_number(reader, &region->wanted) ||
      !read_big_endian(reader, 1, &type))
    return 0;
  if (type >= 0xC4 && type <= 0xC6) {
    if (!read_big_endian(reader, (size_t)1 << (type - 0xC4), &value) || value > (uint64_t)(reader->end - reader->at)) return 0;
    region->data = reader->at;
    region->size = (size_t)value;
    reader->at += value;
    return 1;
  }
  if (!read_number_after(reader, type, &value) || !(*blob = load_blob(reader, value))) return 0;
  if (!PyBytes_AsStringAndSize(*blob, (char **)&region->data, &size)) {
    region->size = (size_t)size;
    return 1;
  }
  Py_DECREF(*blob);
  *blob = NULL;
  return 0;
}

/* Returns 1 if the next region of a leave event is the number of one of the enter event. */
static int is_numbered(const Reader *reader) {
  return reader->at < reader->end && (*reader->at & 0xF0) != 0x90;
}

/* Reads one region. `entered` are the regions of the enter event. Returns NULL without an error for a malformed one. */
static PyObject *read_region(Reader *reader, PyObject *entered) {
  uint64_t number;
  Region own;
  PyObject *data, *region;
  if (is_numbered(reader)) {
    if (!read_number(reader, &number) || number >= (uint64_t)PyTuple_Size(entered)) return NULL;
    region = PyTuple_GetItem(entered, (Py_ssize_t)number);
    Py_XINCREF(region);
    return region;
  }
  if (!read_own_region(reader, &own, &data)) return NULL;
  if (!data) data = PyBytes_FromStringAndSize((const char *)own.data, (Py_ssize_t)own.size);
  region = data ? PyTuple_New(3) : NULL;
  if (!region || PyTuple_SetItem(region, 0, PyLong_FromUnsignedLongLong(own.address)) ||
      PyTuple_SetItem(region, 1, PyLong_FromUnsignedLongLong(own.wanted))) {
    Py_XDECREF(region);
    Py_XDECREF(data);
    return NULL;
  }
  PyTuple_SetItem(region, 2, data);
  return region;
}

/* Reads the regions that end a body. Returns NULL without an error for malformed ones. */
static PyObject *read_regions(Reader *reader, PyObject *entered) {
  uint64_t count, i;
  PyObject *regions, *region;
  if (!read_array(reader, &count) || !(regions = PyTuple_New((Py_ssize_t)count))) return NULL;
  for (i = 0; i < count; i++) {
    if (!(region = read_region(reader, entered))) break;
    PyTuple_SetItem(regions, (Py_ssize_t)i, region);
  }
  if (i == count && reader->at == reader->end) return regions;
  Py_DECREF(regions);
  return NULL;
}

static PyObject *read_arguments(Reader *reader) {
  uint64_t count, value, i;
  PyObject *arguments, *argument;
  if (!read_array(reader, &count) || !(arguments = PyTuple_New((Py_ssize_t)count))) return NULL;
  for (i = 0; i < count; i++) {
    if (!read_number(reader, &value) || !(argument = PyLong_FromUnsignedLongLong(value))) break;
    PyTuple_SetItem(arguments, (Py_ssize_t)i, argument);
  }
  if (i == count) return arguments;
  Py_DECREF(arguments);
  return NULL;
}

/* Sets the reader to a part of the bodies. Returns 0 if there is no such part. */
static int set_reader(Reader *reader, PyObject *bodies, Py_ssize_t start, Py_ssize_t end) {
  const uint8_t *bytes;
  Py_ssize_t size;
  if (PyBytes_AsStringAndSize(bodies, (char **)&bytes, &size) || start < 0 || end > size || start > end) return 0;
  reader->at = bytes + start;
  reader->end = bytes + end;
  return 1;
}

static PyObject *none_unless_error(void) {
  if (PyErr_Occurred()) return NULL;
  Py_INCREF(Py_None);
  return Py_None;
}

/* Reads the arguments and regions of an enter event. Returns 0 for what is left to Python, and after an error. */
static int read_entered(Reader *reader, PyObject **arguments, PyObject **regions) {
  PyObject *nothing;
  uint64_t count;
  *regions = NULL;
  if (!read_array(reader, &count) || count != 2 || !(*arguments = read_arguments(reader))) return 0;
  if ((nothing = PyTuple_New(0))) {
    *regions = read_regions(reader, nothing);
    Py_DECREF(nothing);
  }
  if (*regions) return 1;
  Py_DECREF(*arguments);
  return 0;
}

/* tracekmt.trace.event_frame.enter_from_body. Returns None for what is left to Python. */
PyObject *read_enter_body(PyObject *self, PyObject *arguments) {
  Reader reader;
  Py_ssize_t start, end;
  PyObject *bodies, *call_arguments, *regions;
  if (!PyArg_ParseTuple(arguments, "O!nnOO!:read_enter_body", &PyBytes_Type, &bodies, &start, &end, &reader.load_blob, &PyDict_Type,
                        &reader.recent))
    return NULL;
  if (set_reader(&reader, bodies, start, end) && read_entered(&reader, &call_arguments, &regions))
    return Py_BuildValue("(NN)", call_arguments, regions);
  return none_unless_error();
}

/* tracekmt.trace.event_frame.regions_from_body, for a leave event. Returns None for what is left to Python. */
PyObject *read_leave_body(PyObject *self, PyObject *arguments) {
  Reader reader;
  Py_ssize_t start, end;
  PyObject *bodies, *entered, *regions = NULL;
  if (!PyArg_ParseTuple(arguments, "O!nnOO!O!:read_leave_body", &PyBytes_Type, &bodies, &start, &end, &reader.load_blob, &PyDict_Type,
                        &reader.recent, &PyTuple_Type, &entered))
    return NULL;
  if (set_reader(&reader, bodies, start, end)) regions = read_regions(&reader, entered);
  return regions ? regions : none_unless_error();
}

/* Sets the reader to the body of a call of Python: bodies, start, end. Returns 0 if there is no such part. */
static int set_reader_to(Reader *reader, PyObject *const *body) {
  Py_ssize_t start = PyLong_AsSsize_t(body[1]), end = PyLong_AsSsize_t(body[2]);
  return !PyErr_Occurred() && set_reader(reader, body[0], start, end);
}

/*
 * Both events of a call: arguments, and regions of each. Arguments: bodies, start and end of each body, as read_leave_body. Python calls it
 * for every call of a trace, so the arguments are an array.
 */
PyObject *read_call(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  Reader reader;
  PyObject *call_arguments, *entered, *left = NULL;
  if (count != 8 || !PyDict_Check(arguments[7])) {
    PyErr_SetString(PyExc_TypeError, "expected two bodies, a function and a dict");
    return NULL;
  }
  reader.load_blob = arguments[6];
  reader.recent = arguments[7];
  if (!set_reader_to(&reader, arguments) || !read_entered(&reader, &call_arguments, &entered)) return none_unless_error();
  if (set_reader_to(&reader, arguments + 3)) left = read_regions(&reader, entered);
  if (left) return Py_BuildValue("(NNN)", call_arguments, entered, left);
  Py_DECREF(call_arguments);
  Py_DECREF(entered);
  return none_unless_error();
}

void release_blobs(EventMemory *memory) {
  size_t i;
  for (i = 0; i < memory->count; i++) Py_XDECREF(memory->blobs[i]);
  memory->count = 0;
}

/* Reads the regions that end a body. `entered`: NULL for an enter event. */
static int load_regions(Reader *reader, const EventMemory *entered, EventMemory *memory) {
  uint64_t count, number, i;
  if (!read_array(reader, &count) || count > MAX_REGIONS) return 0;
  for (i = 0; i < count; i++) {
    if (entered && is_numbered(reader)) {
      if (!read_number(reader, &number) || number >= entered->count) return 0;
      memory->regions[i] = entered->regions[number];
      memory->blobs[i] = NULL;
    } else if (!read_own_region(reader, memory->regions + i, memory->blobs + i)) {
      return 0;
    }
    memory->count = i + 1;
  }
  return reader->at == reader->end;
}

static int start_at(const Bodies *bodies, size_t start, size_t end, EventMemory *memory, Reader *reader) {
  memory->count = 0;
  if (start > end || end > bodies->size) return 0;
  *reader = (Reader){bodies->bytes + start, bodies->bytes + end, bodies->load_blob, bodies->recent};
  return 1;
}

int load_enter(const Bodies *bodies, size_t start, size_t end, uint64_t *argument, EventMemory *memory) {
  Reader reader;
  uint64_t count, others;
  if (!start_at(bodies, start, end, memory, &reader) || !read_array(&reader, &count) || count != 2 || !read_array(&reader, &count) ||
      !count || !read_number(&reader, argument))
    return 0;
  while (--count)
    if (!read_number(&reader, &others)) return 0;
  return load_regions(&reader, NULL, memory);
}

int load_leave(const Bodies *bodies, size_t start, size_t end, const EventMemory *entered, EventMemory *memory) {
  Reader reader;
  return start_at(bodies, start, end, memory, &reader) && load_regions(&reader, entered, memory);
}
