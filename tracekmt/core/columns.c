/* Loops over columns: arrays with a number for each call, or for each object, of a trace. See tracekmt.differ.columns. */
#include "columns.h"

/* Reads the arguments of a function that gets two columns of 64-bit numbers. */
static int read_two_columns(PyObject *arguments, Column *first, Column *second) {
  PyObject *bytes[2];
  return PyArg_ParseTuple(arguments, "O!O!", &PyBytes_Type, bytes, &PyBytes_Type, bytes + 1) && read_column(bytes[0], 8, first) &&
         read_column(bytes[1], 8, second);
}

/* tracekmt.differ.columns.gather */
PyObject *gather_column(PyObject *self, PyObject *arguments) {
  PyObject *gathered;
  Column keys, positions;
  uint8_t *to;
  size_t i;
  if (!read_two_columns(arguments, &keys, &positions) || !(gathered = new_column(positions.count, 8, &to))) return NULL;
  for (i = 0; i < positions.count; i++) {
    uint64_t position = number_at(&positions, i);
    if (position < keys.count) memcpy(to + 8 * i, keys.bytes + 8 * position, 8);
    else if (position == (uint64_t)NO_POSITION) memset(to + 8 * i, 0, 8);
    else {
      Py_DECREF(gathered);
      set_error("no such position");
      return NULL;
    }
  }
  return gathered;
}

/* tracekmt.differ.columns.mix */
PyObject *mix_columns(PyObject *self, PyObject *arguments) {
  PyObject *mixed;
  Column keys, others;
  uint8_t *to;
  size_t i;
  if (!read_two_columns(arguments, &keys, &others)) return NULL;
  if (keys.count != others.count) {
    set_error("columns of different lengths");
    return NULL;
  }
  if (!(mixed = new_column(keys.count, 8, &to))) return NULL;
  for (i = 0; i < keys.count; i++) {
    uint64_t key = mix(number_at(&keys, i), number_at(&others, i));
    memcpy(to + 8 * i, &key, 8);
  }
  return mixed;
}

/* tracekmt.differ.columns.mix_objects */
PyObject *mix_objects(PyObject *self, PyObject *arguments) {
  PyObject *key_bytes, *parts, *number_bytes, *birth_bytes, *mixed;
  Column keys, numbers, births = {NULL, 0};
  References references;
  uint8_t *to;
  size_t i, place;
  if (!PyArg_ParseTuple(arguments, "O!O!O!O:mix_objects", &PyBytes_Type, &key_bytes, &PyTuple_Type, &parts, &PyBytes_Type,
                        &number_bytes, &birth_bytes))
    return NULL;
  if (!read_column(key_bytes, 8, &keys) || !read_references(parts, &references) || !read_column(number_bytes, 8, &numbers)) return NULL;
  if (birth_bytes != Py_None && !read_column(birth_bytes, 8, &births)) return NULL;
  if (!(mixed = new_column(keys.count, 8, &to))) return NULL;
  for (i = 0; i < keys.count; i++) {
    uint64_t key = number_at(&keys, i), mixed_count = 0;
    CallObjects objects;
    if (!objects_of_call(&references, i, &objects)) goto fail;
    for (place = 0; place < objects.count; place++) {
      uint32_t object = object_at(&objects, place);
      if (object >= numbers.count || (births.bytes && object >= births.count)) {
        set_error("no such object");
        goto fail;
      }
      if (births.bytes && (number_at(&births, object) != i || !number_at(&numbers, object))) continue;
      key = mix(key, number_at(&numbers, object));
      mixed_count++;
    }
    key = mix(key, mixed_count);
    memcpy(to + 8 * i, &key, 8);
  }
  return mixed;
fail:
  Py_DECREF(mixed);
  return NULL;
}

/* The calls that are entered in a frame of events; see tracekmt.trace.frame_calls. */
typedef struct {
  uint8_t *indexes, *enter_rows, *leave_rows;
  size_t count;
  PyObject *late;
} FrameCalls;

/* Sets the rows of enter events. Returns 0 after an error. */
static int find_entered(const Column *indexes, const Column *kinds, FrameCalls *calls) {
  size_t row, rank = 0;
  for (row = 0; row < kinds->count; row++) {
    const uint32_t number = (uint32_t)row;
    if (kinds->bytes[row] != ENTER_ROW) continue;
    memcpy(calls->indexes + 8 * rank, indexes->bytes + 8 * row, 8);
    memcpy(calls->enter_rows + 4 * rank, &number, 4);
    if (rank && (int64_t)load_u64(calls->indexes + 8 * rank) <= (int64_t)load_u64(calls->indexes + 8 * rank - 8))
      return set_error("has calls out of order");
    rank++;
  }
  memset(calls->leave_rows, 0xFF, 4 * calls->count);
  return 1;
}

/* Adds the row of a leave event of a call of an earlier frame. Returns 0 after an error. */
static int add_late(PyObject *late, int64_t call, size_t row) {
  PyObject *index = PyLong_FromLongLong(call), *number = PyLong_FromSize_t(row);
  int known = index ? PyDict_Contains(late, index) : -1, failed = known < 0 || !number || PyDict_SetItem(late, index, number);
  Py_XDECREF(index);
  Py_XDECREF(number);
  return !failed && (!known || set_error("has a duplicate event"));
}

/* Sets the rows of leave events. Returns 0 after an error. */
static int find_left(const Column *indexes, const Column *kinds, FrameCalls *calls) {
  size_t row;
  for (row = 0; row < kinds->count; row++) {
    int64_t call = (int64_t)number_at(indexes, row);
    const uint32_t number = (uint32_t)row;
    size_t rank;
    if (kinds->bytes[row] != LEAVE_ROW) continue;
    rank = rank_of(calls->indexes, calls->count, call);
    if (rank == calls->count) {
      if (!add_late(calls->late, call, row)) return 0;
      continue;
    }
    if (load_u32(calls->leave_rows + 4 * rank) != UINT32_MAX) return set_error("has a duplicate event");
    memcpy(calls->leave_rows + 4 * rank, &number, 4);
  }
  return 1;
}

/* tracekmt.trace.frame_calls.find_calls */
PyObject *find_calls(PyObject *self, PyObject *arguments) {
  PyObject *index_bytes, *kind_bytes, *columns[3] = {NULL, NULL, NULL}, *result = NULL;
  Column indexes, kinds;
  FrameCalls calls = {0};
  size_t row;
  if (!PyArg_ParseTuple(arguments, "O!O!:find_calls", &PyBytes_Type, &index_bytes, &PyBytes_Type, &kind_bytes) ||
      !read_column(index_bytes, 8, &indexes) || !read_column(kind_bytes, 1, &kinds))
    return NULL;
  if (indexes.count < kinds.count || kinds.count >= UINT32_MAX) {
    set_error("columns of different lengths");
    return NULL;
  }
  for (row = 0; row < kinds.count; row++) calls.count += kinds.bytes[row] == ENTER_ROW;
  if ((columns[0] = new_column(calls.count, 8, &calls.indexes)) && (columns[1] = new_column(calls.count, 4, &calls.enter_rows)) &&
      (columns[2] = new_column(calls.count, 4, &calls.leave_rows)) && (calls.late = PyDict_New()) &&
      find_entered(&indexes, &kinds, &calls) && find_left(&indexes, &kinds, &calls))
    result = Py_BuildValue("(OOOO)", columns[0], columns[1], columns[2], calls.late);
  for (row = 0; row < 3; row++) Py_XDECREF(columns[row]);
  Py_XDECREF(calls.late);
  return result;
}

/* Adds the positions from `start` up to `end`, which have one number. */
static int add_positions(PyObject *positions, uint32_t number, size_t start, size_t end) {
  PyObject *key = PyLong_FromUnsignedLong(number), *of_number = key ? PyDict_GetItemWithError(positions, key) : NULL;
  int failed = !key || PyErr_Occurred();
  if (!failed && !of_number) {
    of_number = PyByteArray_FromStringAndSize(NULL, 0);
    failed = !of_number || PyDict_SetItem(positions, key, of_number);
    Py_XDECREF(of_number);
  }
  Py_XDECREF(key);
  if (!failed) {
    Py_ssize_t size = PyByteArray_Size(of_number);
    failed = PyByteArray_Resize(of_number, size + 8 * (Py_ssize_t)(end - start));
    for (; !failed && start < end; start++, size += 8) {
      const uint64_t position = start;
      memcpy(PyByteArray_AsString(of_number) + size, &position, 8);
    }
  }
  return !failed;
}

/* tracekmt.differ.columns.positions_of */
PyObject *positions_of(PyObject *self, PyObject *numbers) {
  Column column;
  PyObject *positions;
  size_t start, end;
  if (!read_column(numbers, 4, &column) || !(positions = PyDict_New())) return NULL;
  for (start = 0; start < column.count; start = end) {
    uint32_t number = load_u32(column.bytes + 4 * start);
    for (end = start + 1; end < column.count && load_u32(column.bytes + 4 * end) == number;) end++;
    if (!add_positions(positions, number, start, end)) {
      Py_DECREF(positions);
      return NULL;
    }
  }
  return positions;
}

/* tracekmt.differ.columns.uses_of */
PyObject *mix_uses(PyObject *self, PyObject *arguments) {
  PyObject *key_bytes, *parts, *uses;
  Py_ssize_t count;
  Column keys;
  References references;
  uint8_t *to;
  size_t i, place;
  if (!PyArg_ParseTuple(arguments, "nO!O!:mix_uses", &count, &PyBytes_Type, &key_bytes, &PyTuple_Type, &parts) ||
      !read_column(key_bytes, 8, &keys) || !read_references(parts, &references))
    return NULL;
  if (count < 0 || count > PY_SSIZE_T_MAX / 8) return PyErr_NoMemory();
  if (!(uses = new_column((size_t)count, 8, &to))) return NULL;
  memset(to, 0, 8 * (size_t)count);
  for (i = 0; i < keys.count; i++) {
    CallObjects objects;
    if (!objects_of_call(&references, i, &objects)) goto fail;
    for (place = 0; place < objects.count; place++) {
      uint32_t object = object_at(&objects, place);
      uint64_t key;
      if (object < FIRST) continue;
      if (object >= (size_t)count) {
        set_error("no such object");
        goto fail;
      }
      key = mix(mix(load_u64(to + 8 * (size_t)object), number_at(&keys, i)), place);
      memcpy(to + 8 * (size_t)object, &key, 8);
    }
  }
  return uses;
fail:
  Py_DECREF(uses);
  return NULL;
}

enum { KEYS = 4 };

/* The columns of one side; see tracekmt.differ.columns.find_unchanged. The first key is that of the outcome. */
typedef struct {
  Column is_exact, keys[KEYS];
  References inputs, outputs;
} Calls;

static int read_calls(PyObject *parts, Calls *calls) {
  PyObject *is_exact, *keys[KEYS], *inputs, *outputs;
  size_t i;
  if (!PyArg_ParseTuple(parts, "O!O!O!O!O!O!O!", &PyBytes_Type, &is_exact, &PyBytes_Type, keys, &PyBytes_Type, keys + 1, &PyBytes_Type,
                        keys + 2, &PyBytes_Type, keys + 3, &PyTuple_Type, &inputs, &PyTuple_Type, &outputs))
    return 0;
  if (!read_column(is_exact, 1, &calls->is_exact) || !read_references(inputs, &calls->inputs) ||
      !read_references(outputs, &calls->outputs))
    return 0;
  for (i = 0; i < KEYS; i++) {
    if (!read_column(keys[i], 8, calls->keys + i)) return 0;
    if (calls->keys[i].count != calls->is_exact.count) return set_error("columns of different lengths");
  }
  return 1;
}

/* Returns 1 if a call refers to the same objects on both sides, 0 if not, -1 after an error. */
static int are_same(const References *left, const References *right, const uint64_t calls[2], const Column *counterparts) {
  CallObjects a, b;
  size_t i;
  if (!objects_of_call(left, calls[0], &a) || !objects_of_call(right, calls[1], &b)) return -1;
  if (a.count != b.count) return 0;
  for (i = 0; i < a.count; i++) {
    uint32_t object = object_at(&a, i);
    if (object >= FIRST) {
      if (object >= counterparts->count) {
        set_error("no such object");
        return -1;
      }
      object = load_u32(counterparts->bytes + 4 * (size_t)object);
    }
    if (object != object_at(&b, i)) return 0;
  }
  return 1;
}

/* tracekmt.differ.columns.find_unchanged */
PyObject *find_unchanged(PyObject *self, PyObject *arguments) {
  PyObject *partner_bytes, *parts[2], *counterpart_bytes, *flags;
  Column partners, counterparts;
  Calls calls[2];
  uint8_t *to;
  size_t i, key;
  if (!PyArg_ParseTuple(arguments, "O!O!O!O!:find_unchanged", &PyBytes_Type, &partner_bytes, &PyTuple_Type, parts, &PyTuple_Type, parts + 1,
                        &PyBytes_Type, &counterpart_bytes))
    return NULL;
  if (!read_column(partner_bytes, 8, &partners) || !read_calls(parts[0], calls) || !read_calls(parts[1], calls + 1) ||
      !read_column(counterpart_bytes, 4, &counterparts))
    return NULL;
  if (partners.count != calls[0].is_exact.count) {
    set_error("columns of different lengths");
    return NULL;
  }
  if (!(flags = new_column(partners.count, 1, &to))) return NULL;
  for (i = 0; i < partners.count; i++) {
    uint64_t pair[2] = {i, number_at(&partners, i)};
    int same;
    to[i] = 0;
    if ((int64_t)pair[1] < 0) continue;
    if (pair[1] >= calls[1].is_exact.count) {
      set_error("no such call");
      goto fail;
    }
    if (!calls[0].is_exact.bytes[i] || !calls[1].is_exact.bytes[pair[1]] || !number_at(calls[0].keys, i)) continue;
    for (key = 0; key < KEYS; key++)
      if (number_at(calls[0].keys + key, i) != number_at(calls[1].keys + key, pair[1])) break;
    if (key < KEYS) continue;
    same = are_same(&calls[0].inputs, &calls[1].inputs, pair, &counterparts);
    if (same > 0) same = are_same(&calls[0].outputs, &calls[1].outputs, pair, &counterparts);
    if (same < 0) goto fail;
    to[i] = (uint8_t)same;
  }
  return flags;
fail:
  Py_DECREF(flags);
  return NULL;
}
