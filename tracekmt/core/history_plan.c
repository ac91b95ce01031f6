/* Plans, made once for a function from the tuples of tracekmt.differ.plans. */
#include "history.h"

static void free_effects(Effects *effects) {
  size_t i, j;
  for (i = 0; i < effects->count; i++) {
    for (j = 0; j < effects->effects[i].count; j++) free(effects->effects[i].conditions[j].values);
    free(effects->effects[i].conditions);
  }
  free(effects->effects);
}

static void free_plan(Plan *plan) {
  free_effects(&plan->creates);
  free_effects(&plan->destroys);
  Py_XDECREF(plan->description);
  Py_XDECREF(plan->in_form);
  Py_XDECREF(plan->out_form);
  Py_XDECREF(plan->program);
  free(plan);
}

static void free_plan_capsule(PyObject *capsule) {
  Plan *plan = PyCapsule_GetPointer(capsule, PLAN_NAME);
  if (plan) free_plan(plan);
}

static int read_effect(PyObject *tuple, Effect *effect) {
  PyObject *conditions, *size;
  Py_ssize_t count, i;
  if (!PyArg_ParseTuple(tuple, "O!O", &PyTuple_Type, &conditions, &size)) return 0;
  count = PyTuple_Size(conditions);
  if (count && !(effect->conditions = calloc((size_t)count, sizeof *effect->conditions))) {
    PyErr_NoMemory();
    return 0;
  }
  effect->count = (size_t)count;
  for (i = 0; i < count; i++)
    if (!read_selector(PyTuple_GetItem(conditions, i), effect->conditions + i)) return 0;
  effect->has_size = size != Py_None;
  return !effect->has_size || read_span(size, &effect->size);
}

static int read_effects(PyObject *tuple, Effects *effects) {
  Py_ssize_t count = PyTuple_Size(tuple), i;
  if (count && !(effects->effects = calloc((size_t)count, sizeof *effects->effects))) {
    PyErr_NoMemory();
    return 0;
  }
  effects->count = (size_t)count;
  for (i = 0; i < count; i++)
    if (!read_effect(PyTuple_GetItem(tuple, i), effects->effects + i)) return 0;
  return 1;
}

/*
 * Returns a plan. Arguments: the description, the forms of inputs and outputs, whether each is exact, the program, what is returned, the
 * number of the function, what it creates and destroys, whether it creates ranges, whether it is one of several plans of the function.
 */
PyObject *history_plan(PyObject *self, PyObject *arguments) {
  Plan *plan = calloc(1, sizeof *plan);
  PyObject *description, *in_form, *out_form, *program, *creates, *destroys, *capsule = NULL;
  if (!plan) return PyErr_NoMemory();
  if (PyArg_ParseTuple(arguments, "OOpOpOiIO!O!pp:history_plan", &description, &in_form, &plan->in_is_exact, &out_form, &plan->out_is_exact,
                       &program, &plan->returns, &plan->function, &PyTuple_Type, &creates, &PyTuple_Type, &destroys,
                       &plan->creates_ranges, &plan->is_chosen) &&
      PyCapsule_GetPointer(program, PROGRAM_NAME) && read_effects(creates, &plan->creates) && read_effects(destroys, &plan->destroys)) {
    plan->description = description;
    plan->in_form = in_form;
    plan->out_form = out_form;
    plan->program = program;
    Py_INCREF(description);
    Py_INCREF(in_form);
    Py_INCREF(out_form);
    Py_INCREF(program);
    capsule = PyCapsule_New(plan, PLAN_NAME, free_plan_capsule);
  }
  if (!capsule) free_plan(plan);
  return capsule;
}

static void free_choice(PyObject *capsule) {
  free(PyCapsule_GetPointer(capsule, CHOICE_NAME));
}

/* Returns the place of a handle that selects a plan. Arguments: its offset and size, or those of a pointer to it, and if it is one. */
PyObject *history_choice(PyObject *self, PyObject *arguments) {
  Choice *choice = calloc(1, sizeof *choice);
  PyObject *capsule = NULL;
  if (!choice) return PyErr_NoMemory();
  if (PyArg_ParseTuple(arguments, "IIp:history_choice", &choice->offset, &choice->size, &choice->is_pointer)) {
    if (choice->size <= 8) capsule = PyCapsule_New(choice, CHOICE_NAME, free_choice);
    else PyErr_SetString(PyExc_ValueError, "an invalid size of a handle");
  }
  if (!capsule) free(choice);
  return capsule;
}
