/* Plans, made once for a function from the tuples of tracekmt.differ.plans. */
#include "history.h"

static void free_effects(Effects *effects) {
  size_t i, j;
  for (i = 0; i < effects->count; i++) {
    for (j = 0; j < effects->effects[i].count; j++) free(effects->effects[i].conditions[j].values);
    free(effects->effects[i].conditions);
    Py_XDECREF(effects->effects[i].owners);
    Py_XDECREF(effects->effects[i].owner_spaces);
    Py_XDECREF(effects->effects[i].spaces);
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
  Py_XDECREF(plan->patterns);
  free_map(&plan->numbers);
  free(plan->roles);
  free(plan);
}

static void free_plan_capsule(PyObject *capsule) {
  Plan *plan = PyCapsule_GetPointer(capsule, PLAN_NAME);
  if (plan) free_plan(plan);
}

/*
 * Reads what tracekmt.differ.plans has for an effect: conditions, the size or None, the unit of it, the number of a pattern, those of the
 * owners, the spaces of owners, the spaces of the object, whether it is a range, whether it is external, the number of its kind.
 */
static int read_effect(PyObject *tuple, Effect *effect) {
  PyObject *conditions, *size, *owners, *owner_spaces, *spaces;
  Py_ssize_t count, i;
  if (!PyArg_ParseTuple(tuple, "O!OKIO!O!O!ppi", &PyTuple_Type, &conditions, &size, &effect->unit, &effect->pattern, &PyTuple_Type, &owners,
                        &PyTuple_Type, &owner_spaces, &PyTuple_Type, &spaces, &effect->is_range, &effect->is_external, &effect->kind))
    return 0;
  if (!PyTuple_Size(spaces)) {
    PyErr_SetString(PyExc_ValueError, "an object without a space");
    return 0;
  }
  effect->owners = new_reference(owners);
  effect->owner_spaces = new_reference(owner_spaces);
  effect->spaces = new_reference(spaces);
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
 * number of the function, what it creates and destroys, whether it creates ranges, whether it is one of several plans of the function, the
 * patterns that the effects have numbers of: that of the first one is 1. Returns None for more effects than MAX_EFFECTS.
 */
PyObject *history_plan(PyObject *self, PyObject *arguments) {
  Plan *plan = calloc(1, sizeof *plan);
  PyObject *description, *in_form, *out_form, *program, *creates, *destroys, *patterns, *capsule = NULL;
  if (!plan) return PyErr_NoMemory();
  if (PyArg_ParseTuple(arguments, "OOpOpOiIO!O!ppO!:history_plan", &description, &in_form, &plan->in_is_exact, &out_form, &plan->out_is_exact,
                       &program, &plan->returns, &plan->function, &PyTuple_Type, &creates, &PyTuple_Type, &destroys,
                       &plan->creates_ranges, &plan->is_chosen, &PyTuple_Type, &patterns) &&
      PyTuple_Size(creates) <= MAX_EFFECTS && PyTuple_Size(destroys) <= MAX_EFFECTS &&
      PyCapsule_GetPointer(program, PROGRAM_NAME) && read_effects(creates, &plan->creates) && read_effects(destroys, &plan->destroys)) {
    plan->description = new_reference(description);
    plan->in_form = new_reference(in_form);
    plan->out_form = new_reference(out_form);
    plan->program = new_reference(program);
    plan->patterns = new_reference(patterns);
    capsule = PyCapsule_New(plan, PLAN_NAME, free_plan_capsule);
  }
  if (capsule) return capsule;
  free_plan(plan);
  return PyErr_Occurred() ? NULL : new_reference(Py_None);
}

/* Returns the number of a pattern in a plan, UNNAMED for one that no effect has. */
static uint32_t number_of_pattern(const Plan *plan, PyObject *pattern) {
  Py_ssize_t count = PyTuple_Size(plan->patterns), i;
  for (i = 0; i < count; i++)
    if (!PyUnicode_Compare(PyTuple_GetItem(plan->patterns, i), pattern)) return (uint32_t)i + 1;
  return UNNAMED;
}

/* Adds the role of a path. Returns 0 after an error. */
static int add_role(const State *state, Plan *plan, uint64_t key, PyObject *location) {
  Role role = {number_of_pattern(plan, PyTuple_GetItem(location, 1)), 0};
  if (PyErr_Occurred()) return 0;
  if (role.pattern != UNNAMED) {
    PyObject *number = PyObject_CallFunctionObjArgs(state->path_of, PyTuple_GetItem(location, 0), NULL);
    if (number) role.path = (uint32_t)PyLong_AsUnsignedLongMask(number);
    Py_XDECREF(number);
    if (PyErr_Occurred()) return 0;
  }
  if (plan->count == plan->capacity) {
    size_t capacity = 2 * plan->capacity + 16;
    Role *roles = realloc(plan->roles, capacity * sizeof *roles);
    if (!roles) {
      PyErr_NoMemory();
      return 0;
    }
    plan->roles = roles;
    plan->capacity = capacity;
  }
  plan->roles[plan->count] = role;
  if (!put_number(&plan->numbers, key, (uint32_t)plan->count + 1)) return 0;
  plan->count++;
  return 1;
}

/* Adds the roles of the paths that are new to a plan. */
static int learn_roles(const State *state, Plan *plan, const FoundValues *found, const EventMemory *now, const EventMemory *before,
                       uint64_t argument) {
  const Program *program = PyCapsule_GetPointer(plan->program, PROGRAM_NAME);
  PyObject *locations = search_locations(program, state->location_type, now, before, argument, state->budgets);
  size_t i;
  int is_same = locations && (size_t)PyList_Size(locations) == found->count;
  for (i = 0; is_same && i < found->count; i++)
    if (!get_number(&plan->numbers, found->values[i].path))
      is_same = add_role(state, plan, found->values[i].path, PyList_GetItem(locations, (Py_ssize_t)i));
  Py_XDECREF(locations);
  return is_same;
}

int find_roles(const State *state, Plan *plan, FoundValues *found, const EventMemory *now, const EventMemory *before, uint64_t argument) {
  size_t i;
  for (i = 0; i < found->count; i++) {
    FoundValue *value = found->values + i;
    uint32_t number = get_number(&plan->numbers, value->path);
    if (!number) {
      if (!learn_roles(state, plan, found, now, before, argument)) return 0;
      number = get_number(&plan->numbers, value->path);
    }
    value->pattern = plan->roles[number - 1].pattern;
    value->path_number = plan->roles[number - 1].path;
  }
  return 1;
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
