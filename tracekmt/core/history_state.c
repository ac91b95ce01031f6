/* The state of the reader of a history, made once for a trace. */
#include "history.h"

enum { OBJECTS = 10 };

/* Lists the members of a state that are set from arguments. */
static void list_objects(State *state, PyObject **members[OBJECTS]) {
  PyObject **all[OBJECTS] = {
    &state->references, &state->plans, &state->kinds, &state->live, &state->callers, &state->dying, &state->location_type,
    &state->caller_of, &state->path_of, &state->set_outputs,
  };
  memcpy(members, all, sizeof all);
}

static void free_state(PyObject *capsule) {
  State *state = PyCapsule_GetPointer(capsule, STATE_NAME);
  PyObject **members[OBJECTS];
  size_t i;
  list_objects(state, members);
  for (i = 0; i < COLUMNS; i++) Py_XDECREF(state->columns[i]);
  for (i = 0; i < OBJECTS; i++) Py_XDECREF(*members[i]);
  free(state->found.values);
  free(state->asking.values);
  free(state);
}

/* Sets the columns. Returns 0 after an error. */
static int set_columns(State *state, PyObject *columns) {
  size_t i;
  for (i = 0; i < COLUMNS; i++) {
    PyObject *column = PyTuple_GetItem(columns, (Py_ssize_t)i);
    if (!column) return 0;
    if (!PyByteArray_Check(column)) {
      PyErr_SetString(PyExc_TypeError, "a column is no bytearray");
      return 0;
    }
    Py_INCREF(column);
    state->columns[i] = column;
  }
  return 1;
}

/* Returns the state of a reader. Arguments: columns, the members of list_objects, budgets of values and bytes. */
PyObject *history_state(PyObject *self, PyObject *arguments) {
  PyObject *columns, *objects, *capsule, **members[OBJECTS];
  PyTypeObject *types[OBJECTS] = {
    &PyByteArray_Type, &PyDict_Type, &PyDict_Type, NULL, &PyDict_Type, &PyDict_Type, &PyType_Type,
  };
  Py_ssize_t i;
  State *state = calloc(1, sizeof *state);
  if (!state) return PyErr_NoMemory();
  if (!(capsule = PyCapsule_New(state, STATE_NAME, free_state))) {
    free(state);
    return NULL;
  }
  list_objects(state, members);
  if (!PyArg_ParseTuple(arguments, "O!O!(LL):history_state", &PyTuple_Type, &columns, &PyTuple_Type, &objects, state->budgets,
                        state->budgets + 1))
    goto fail;
  for (i = 0; i < OBJECTS; i++) {
    PyObject *object = PyTuple_GetItem(objects, i);
    if (!object) goto fail;
    if (types[i] && !PyObject_TypeCheck(object, types[i])) {
      PyErr_Format(PyExc_TypeError, "a wrong type of argument %zd", i);
      goto fail;
    }
    Py_INCREF(object);
    *members[i] = object;
  }
  if ((state->objects = objects_of(state->live)) && set_columns(state, columns)) return capsule;
fail:
  Py_DECREF(capsule);
  return NULL;
}
