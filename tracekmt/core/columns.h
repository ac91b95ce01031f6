/* Columns: arrays with a number for each call, or for each object, of a trace. */
#include "core.h"

/* A column of numbers of 1, 4 or 8 bytes. */
typedef struct {
  const uint8_t *bytes;
  size_t count;
} Column;

/* Objects that calls refer to: those of call i are `counts[i]` numbers of `objects`, from `starts[i]` on. */
typedef struct {
  Column objects, starts, counts;
} References;

typedef struct {
  const uint8_t *at;
  size_t count;
} CallObjects;

static inline int set_error(const char *message) {
  PyErr_SetString(PyExc_ValueError, message);
  return 0;
}

/* Sets a column to the memory of bytes or of a bytearray. Returns 0 after an error. */
static inline int read_column(PyObject *bytes, size_t size, Column *column) {
  Py_ssize_t length;
  if (PyByteArray_Check(bytes)) {
    column->bytes = (const uint8_t *)PyByteArray_AsString(bytes);
    length = PyByteArray_Size(bytes);
  } else if (PyBytes_AsStringAndSize(bytes, (char **)&column->bytes, &length)) {
    return 0;
  }
  column->count = (size_t)length / size;
  return 1;
}

static inline int read_references(PyObject *parts, References *references) {
  PyObject *objects, *starts, *counts;
  if (!PyArg_ParseTuple(parts, "OOO", &objects, &starts, &counts)) return 0;
  return read_column(objects, 4, &references->objects) && read_column(starts, 8, &references->starts) &&
         read_column(counts, 4, &references->counts);
}

static inline uint64_t number_at(const Column *column, uint64_t position) {
  return load_u64(column->bytes + 8 * position);
}

static inline uint32_t object_at(const CallObjects *objects, size_t place) {
  return load_u32(objects->at + 4 * place);
}

/* Finds the objects of a call. Returns 0 for references that contradict themselves. */
static inline int objects_of_call(const References *references, uint64_t call, CallObjects *objects) {
  uint64_t start;
  if (call >= references->starts.count || call >= references->counts.count) return set_error("no such call");
  start = number_at(&references->starts, call);
  objects->count = load_u32(references->counts.bytes + 4 * call);
  if (start > references->objects.count || objects->count > references->objects.count - start) return set_error("no such objects");
  objects->at = references->objects.bytes + 4 * start;
  return 1;
}

static inline PyObject *new_column(size_t count, size_t size, uint8_t **bytes) {
  PyObject *column = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * size));
  if (column) *bytes = (uint8_t *)PyBytes_AsString(column);
  return column;
}
