/* The core: hot paths in C. Each function does exactly what its counterpart in Python does, and leaves to it what it does not handle. */
#include "number_map.h"

/* The differences of EventTable.pack. They cannot overflow, because the numbers are less than 2^62. */
static PyObject *differences(PyObject *self, PyObject *column) {
  const uint8_t *values;
  uint8_t *packed;
  Py_ssize_t size, i;
  uint64_t before = 0;
  PyObject *result;
  if (PyBytes_AsStringAndSize(column, (char **)&values, &size) || !(result = PyBytes_FromStringAndSize(NULL, size))) return NULL;
  packed = (uint8_t *)PyBytes_AsString(result);
  for (i = 0; i + 8 <= size; i += 8) {
    uint64_t value = load_u64(values + i), difference = value - before;
    memcpy(packed + i, &difference, 8);
    before = value;
  }
  return result;
}

/* The opposite of differences. Raises OverflowError for a sum that is no signed 64-bit number, as array does. */
static PyObject *sums(PyObject *self, PyObject *column) {
  const uint8_t *values;
  uint8_t *unpacked;
  Py_ssize_t size, i;
  int64_t sum = 0;
  PyObject *result;
  if (PyBytes_AsStringAndSize(column, (char **)&values, &size) || !(result = PyBytes_FromStringAndSize(NULL, size))) return NULL;
  unpacked = (uint8_t *)PyBytes_AsString(result);
  for (i = 0; i + 8 <= size; i += 8) {
    int64_t difference = (int64_t)load_u64(values + i);
    if (difference < 0 ? sum < INT64_MIN - difference : sum > INT64_MAX - difference) {
      Py_DECREF(result);
      PyErr_SetNone(PyExc_OverflowError);
      return NULL;
    }
    sum += difference;
    memcpy(unpacked + i, &sum, 8);
  }
  return result;
}

/* tracekmt.trace.event_frame._are_within */
static PyObject *are_within(PyObject *self, PyObject *arguments) {
  const uint8_t *numbers;
  Py_ssize_t size, i;
  long long limit;
  int are = 1;
  if (!PyArg_ParseTuple(arguments, "y#L:are_within", (const char **)&numbers, &size, &limit)) return NULL;
  for (i = 0; i + 8 <= size; i += 8) {
    int64_t number = (int64_t)load_u64(numbers + i);
    are &= number >= 0 && number <= limit;
  }
  return PyBool_FromLong(are);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
  {"frame_events", frame_events, METH_VARARGS, "See tracekmt.trace.writer.Writer.frame."},
  {"differences", differences, METH_O, "Return the difference of each 64-bit number in a column from the one before."},
  {"are_within", are_within, METH_VARARGS, "Return True if all 64-bit numbers in a column are from 0 to a limit."},
  {"sums", sums, METH_O, "Return the sum of each 64-bit number in a column and those before it."},
  {"read_enter_body", read_enter_body, METH_VARARGS, "See tracekmt.trace.event_frame.enter_from_body."},
  {"read_leave_body", read_leave_body, METH_VARARGS, "See tracekmt.trace.event_frame.regions_from_body."},
  {"read_call", FAST(read_call), METH_FASTCALL, "See tracekmt.trace.reader.Trace."},
  {"find_calls", find_calls, METH_VARARGS, "See tracekmt.trace.frame_calls.find_calls."},
  {"program", new_program, METH_VARARGS, "See tracekmt.codec.programs."},
  {"decode", FAST(decode), METH_FASTCALL, "See tracekmt.codec.decode."},
  {"find_bound_values", find_bound_values, METH_VARARGS, "See tracekmt.codec.bound_values.BoundValueFinder.locations."},
  {"copy_value", copy_value, METH_O, "See tracekmt.trace.call."},
  {"gather_column", gather_column, METH_VARARGS, "See tracekmt.differ.columns.gather."},
  {"mix_columns", mix_columns, METH_VARARGS, "See tracekmt.differ.columns.mix."},
  {"mix_objects", mix_objects, METH_VARARGS, "See tracekmt.differ.columns.mix_objects."},
  {"positions_of", positions_of, METH_O, "See tracekmt.differ.columns.positions_of."},
  {"mix_uses", mix_uses, METH_VARARGS, "See tracekmt.differ.columns.uses_of."},
  {"mix_numbers", mix_numbers, METH_O, "See tracekmt.differ.columns.mix_numbers."},
  {"count_votes", count_votes, METH_VARARGS, "See tracekmt.differ.votes.count_votes."},
  {"elect", elect, METH_VARARGS, "See tracekmt.differ.votes.elect."},
  {"common_distance", common_distance, METH_VARARGS, "See tracekmt.differ.votes.common_distance."},
  {"equal_values", equal_values, METH_VARARGS, "See tracekmt.differ.votes.equal_values."},
  {"find_unchanged", find_unchanged, METH_VARARGS, "See tracekmt.differ.columns.find_unchanged."},
  {"relocate_regions", relocate_regions, METH_VARARGS, "See tracekmt.replayer.relocate.relocate."},
  {"restore_regions", restore_regions, METH_VARARGS, "See tracekmt.replayer.relocate.RelocatedCall.recorded."},
  {"compare_regions", compare_regions, METH_VARARGS, "See tracekmt.differ.fast_path.unchanged_except_bound_values."},
  {"history_plan", history_plan, METH_VARARGS, "See tracekmt.differ.read_history."},
  {"history_choice", history_choice, METH_VARARGS, "See tracekmt.differ.read_history."},
  {"history_state", history_state, METH_VARARGS, "See tracekmt.differ.read_history."},
  {"read_history", read_history, METH_VARARGS, "See tracekmt.differ.read_history."},
  {"key_form", key_form, METH_VARARGS, "See tracekmt.differ.forms."},
  {"call_keys", call_keys, METH_VARARGS, "See tracekmt.differ.keys."},
  {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_core", "The native core of tracekmt.", 0, methods};

/* Adds a type to the module, which takes over the reference. Returns 0 after an error. */
static int add_type(PyObject *core, const char *name, PyObject *type) {
  int failed = !core || !type || PyModule_AddObjectRef(core, name, type);
  Py_XDECREF(type);
  return !failed;
}

PyMODINIT_FUNC PyInit__core(void) {
  PyObject *core = PyModule_Create(&module);
  make_crc_tables();
  seed_maps();
  if (add_type(core, "LiveObjects", make_live_objects_type()) && add_type(core, "RawEvents", make_raw_events_type()) &&
      add_type(core, "ReadyEvents", make_ready_events_type()) && add_type(core, "Blocks", make_blocks_type()) &&
      !PyModule_AddStringConstant(core, "SOURCE", CORE_SOURCE))
    return core;
  Py_XDECREF(core);
  return NULL;
}
