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

/* Reads the bytes of a region: stored in place, or in a blob. Returns NULL without an error for anything else. */
static PyObject *read_data(Reader *reader) {
  uint64_t type, value;
  PyObject *number, *blob;
  if (!read_big_endian(reader, 1, &type)) return NULL;
  if (type >= 0xC4 && type <= 0xC6) {
    const uint8_t *data;
    if (!read_big_endian(reader, (size_t)1 << (type - 0xC4), &value) || value > (uint64_t)(reader->end - reader->at)) return NULL;
    data = reader->at;
    reader->at += value;
    return PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)value);
  }
  if (!read_number_after(reader, type, &value)) return NULL;
  if (!(number = PyLong_FromUnsignedLongLong(value))) return NULL;
  blob = PyDict_GetItemWithError(reader->recent, number);
  if (blob) Py_INCREF(blob);
  else if (!PyErr_Occurred()) blob = PyObject_CallFunctionObjArgs(reader->load_blob, number, NULL);
  Py_DECREF(number);
  return blob;
}

/* Reads one region. `entered` are the regions of the enter event. Returns NULL without an error for a malformed one. */
static PyObject *read_region(Reader *reader, PyObject *entered) {
  uint64_t count, address, requested;
  PyObject *data, *region;
  if (reader->at < reader->end && (*reader->at & 0xF0) != 0x90) {
    if (!read_number(reader, &count) || count >= (uint64_t)PyTuple_Size(entered)) return NULL;
    region = PyTuple_GetItem(entered, (Py_ssize_t)count);
    Py_XINCREF(region);
    return region;
  }
  if (!read_array(reader, &count) || count != 3 || !read_number(reader, &address) || !read_number(reader, &requested)) return NULL;
  if (!(data = read_data(reader))) return NULL;
  region = PyTuple_New(3);
  if (!region || PyTuple_SetItem(region, 0, PyLong_FromUnsignedLongLong(address)) ||
      PyTuple_SetItem(region, 1, PyLong_FromUnsignedLongLong(requested))) {
    Py_XDECREF(region);
    Py_DECREF(data);
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

/* tracekmt.trace.event_frame.enter_from_body. Returns None for what is left to Python. */
PyObject *read_enter_body(PyObject *self, PyObject *arguments) {
  Reader reader;
  Py_ssize_t start, end;
  uint64_t count;
  PyObject *bodies, *nothing, *call_arguments, *regions = NULL;
  if (!PyArg_ParseTuple(arguments, "O!nnOO!:read_enter_body", &PyBytes_Type, &bodies, &start, &end, &reader.load_blob, &PyDict_Type,
                        &reader.recent))
    return NULL;
  if (!set_reader(&reader, bodies, start, end) || !read_array(&reader, &count) || count != 2 ||
      !(call_arguments = read_arguments(&reader)))
    return none_unless_error();
  if ((nothing = PyTuple_New(0))) {
    regions = read_regions(&reader, nothing);
    Py_DECREF(nothing);
  }
  if (regions) return Py_BuildValue("(NN)", call_arguments, regions);
  Py_DECREF(call_arguments);
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
