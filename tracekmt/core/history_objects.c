/* The objects that the values of calls refer to, and those that calls create and destroy. */
#include "history.h"

/* Finds the number of the live object with a handle, or that for a handle without one. Older objects are left to Python. */
static Outcome number_handle(const State *state, const FoundValue *found, uint32_t *number) {
  *number = find_object(state->objects, found->node->spaces, found->value);
  if (*number != NO_OBJECT) return READ;
  *number = found->node->is_external ? UNKNOWN : find_unknown(state->objects, found->node->spaces, found->value);
  return *number == NO_OBJECT ? LEFT_TO_PYTHON : READ;
}

static PyObject *own_space(PyObject *spaces) {
  return PyTuple_GetItem(spaces, PyTuple_Size(spaces) - 1);
}

/* Returns the number of the live range with an address. Places that a caller has chosen itself do not count if it places ranges there. */
static uint32_t number_address(const State *state, const Plan *plan, const FoundValue *found) {
  uint32_t number = find_range(state->objects, own_space(found->node->spaces), found->value);
  return number == NO_OBJECT || (plan->creates_ranges && state->objects->objects[number].is_chosen) ? UNKNOWN : number;
}

/* Sets the object that a value refers to, and what the value says besides. */
static Outcome number_value(const State *state, const Plan *plan, uint64_t position, const FoundValue *found, uint32_t *number,
                            uint64_t *offset) {
  const Object *object;
  Outcome outcome = READ;
  int binding = found->node->binding;
  *number = NO_OBJECT;
  *offset = 0;
  if (!found->value) return READ;
  *number = found->created ? found->created : UNKNOWN;
  *offset = 1;
  if (!found->created) {
    if (binding == PER_MACHINE) return LEFT_TO_PYTHON;
    if (binding == RANGE) *number = number_address(state, plan, found);
    else if (binding == HANDLE) outcome = number_handle(state, found, number);
  }
  object = state->objects->objects + *number;
  if (outcome == READ && binding == RANGE && *number >= FIRST && object->birth != (int64_t)position) *offset = found->value - object->value;
  return outcome;
}

Outcome number_values(const State *state, const Plan *plan, uint64_t position, Numbers *numbers) {
  Py_ssize_t size = PyByteArray_Size(state->references);
  size_t i;
  numbers->start = (uint64_t)size / 4;
  numbers->count = state->found.count;
  numbers->offsets = 0;
  if (PyByteArray_Resize(state->references, size + 4 * (Py_ssize_t)numbers->count)) return FAILED;
  for (i = 0; i < numbers->count; i++) {
    uint64_t offset;
    uint32_t number;
    Outcome outcome = number_value(state, plan, position, state->found.values + i, &number, &offset);
    if (outcome != READ) {
      if (PyByteArray_Resize(state->references, size)) return FAILED;
      return outcome;
    }
    memcpy(PyByteArray_AsString(state->references) + size + 4 * i, &number, 4);
    numbers->offsets = mix(numbers->offsets, offset);
  }
  numbers->offsets = mix(numbers->offsets, numbers->count);
  return READ;
}

/* Sets whether an effect of a call takes place. Returns 0 for what is left to Python. */
static int takes_place(const Program *program, const Effect *effect, const EventMemory *entered, uint64_t argument, int *does) {
  size_t i;
  *does = 1;
  for (i = 0; i < effect->count && *does; i++)
    if ((*does = input_holds(program, entered, argument, effect->conditions + i)) < 0) return 0;
  return 1;
}

int read_changes(const Program *program, const Effects *effects, const EventMemory *entered, uint64_t argument, Changes *changes) {
  size_t i;
  changes->count = 0;
  for (i = 0; i < effects->count; i++) {
    const Effect *effect = effects->effects + i;
    uint64_t size = 0;
    int does;
    if (!takes_place(program, effect, entered, argument, &does)) return 0;
    if (!does) continue;
    if (effect->has_size && !read_input(program, entered, argument, &effect->size, &size)) return 0;
    changes->effects[changes->count] = effect;
    changes->sizes[changes->count++] = effect->unit && size > UINT64_MAX / effect->unit ? UINT64_MAX : size * effect->unit;
  }
  return 1;
}

/* Appends a number to a list. Returns 0 after an error. */
static int append(PyObject *list, long long number) {
  return append_new(list, PyLong_FromLongLong(number));
}

static PyObject *list_dying(const State *state, const Changes *changes) {
  PyObject *list = PyList_New(0);
  size_t i, j;
  for (i = 0; i < changes->count; i++)
    for (j = 0; list && j < state->found.count; j++) {
      const FoundValue *found = state->found.values + j;
      uint32_t number = NO_OBJECT;
      if (found->pattern == changes->effects[i]->pattern && found->value)
        number = find_object(state->objects, changes->effects[i]->spaces, found->value);
      if (number != NO_OBJECT && !append(list, number)) Py_CLEAR(list);
    }
  return list;
}

Outcome find_dying(State *state, Plan *plan, const Program *program, uint64_t index, uint64_t argument, const EventMemory *memory) {
  Changes changes;
  PyObject *key, *list;
  int failed;
  if (!read_changes(program, &plan->destroys, memory, argument, &changes)) return left_unless_error();
  if (!find_roles(state, plan, &state->found, memory, NULL, argument)) return left_unless_error();
  if (!forget_dying(state, index) || !(list = list_dying(state, &changes))) return FAILED;
  key = PyLong_FromUnsignedLongLong(index);
  failed = !key || (PyList_Size(list) && PyDict_SetItem(state->dying, key, list));
  Py_XDECREF(key);
  Py_DECREF(list);
  return failed ? FAILED : READ;
}

int is_destroying(const State *state, uint64_t index) {
  PyObject *key = PyLong_FromUnsignedLongLong(index);
  int found = key ? PyDict_Contains(state->dying, key) : -1;
  Py_XDECREF(key);
  return found;
}

int forget_dying(const State *state, uint64_t index) {
  PyObject *key = PyLong_FromUnsignedLongLong(index);
  int found = key ? PyDict_Contains(state->dying, key) : -1;
  if (found == 1 && PyDict_DelItem(state->dying, key)) found = -1;
  Py_XDECREF(key);
  return found >= 0;
}

/* Destroys what a call in flight destroys. Returns 0 after an error. */
static int destroy_dying(const State *state, const Success *call) {
  PyObject *key = PyLong_FromUnsignedLongLong(call->index), *list;
  Py_ssize_t i;
  int failed = !key;
  list = key ? PyDict_GetItemWithError(state->dying, key) : NULL;
  for (i = 0; list && PyList_Check(list) && i < PyList_Size(list); i++) {
    unsigned long long number = PyLong_AsUnsignedLongLong(PyList_GetItem(list, i));
    if (number >= FIRST && number < state->objects->count) destroy_object(state->objects, (uint32_t)number, (int64_t)call->position);
  }
  if (list && PyDict_DelItem(state->dying, key)) failed = 1;
  Py_XDECREF(key);
  return !failed && !PyErr_Occurred();
}

/* Returns the live object that a new one is destroyed with: that of the first owner that is not null. */
static uint32_t find_owner(const State *state, const Effect *effect) {
  Py_ssize_t count = PyTuple_Size(effect->owners), i;
  size_t j;
  for (i = 0; i < count; i++) {
    unsigned long pattern = PyLong_AsUnsignedLongMask(PyTuple_GetItem(effect->owners, i));
    for (j = 0; j < state->found.count; j++) {
      const FoundValue *found = state->found.values + j;
      Py_ssize_t space;
      if (found->pattern != pattern || !found->value || found->node->binding != HANDLE) continue;
      for (space = 0; space < PyTuple_Size(effect->owner_spaces); space++)
        if (PyTuple_GetItem(effect->owner_spaces, space) == own_space(found->node->spaces))
          return find_object(state->objects, found->node->spaces, found->value);
    }
  }
  return NO_OBJECT;
}

/* Returns whether a caller asked for an address, and got it; see tracekmt.differ.history.is_asked_for. */
static int is_asked_for(const State *state, PyObject *space, uint64_t address) {
  size_t i;
  for (i = 0; i < state->asking.count; i++)
    if (own_space(state->asking.values[i].node->spaces) == space) return state->asking.values[i].value == address;
  return 0;
}

/* Creates what an effect creates. Returns 0 after an error. */
static int create(State *state, const Success *call, const Effect *effect, uint64_t size, PyObject *asked) {
  PyObject *space = own_space(effect->spaces);
  uint32_t owner = find_owner(state, effect);
  size_t i;
  for (i = 0; i < state->found.count; i++) {
    FoundValue *found = state->found.values + i;
    Object object = {0};
    if (found->pattern != effect->pattern || !found->value) continue;
    object.birth = (int64_t)call->position;
    object.path = found->path_number;
    object.value = found->value;
    object.is_range = (uint8_t)effect->is_range;
    object.is_chosen = effect->is_range && is_asked_for(state, space, found->value);
    if (!(found->created = add_object(state->objects, &object))) return 0;
    if (!bind_object(state->objects, found->created, space, effect->is_external, owner, size)) return 0;
    if (effect->is_range && !append(asked, object.is_chosen)) return 0;
  }
  return 1;
}

/* Returns the number of the kind of a new handle, UNTRACKED for another value. Of several effects the last one counts. */
static int kind_of(const Changes *creates, uint32_t pattern) {
  size_t i = creates->count;
  while (i--)
    if (creates->effects[i]->kind != UNTRACKED && creates->effects[i]->pattern == pattern) return creates->effects[i]->kind;
  return UNTRACKED;
}

/* Notes the kinds of new handles. Returns 0 after an error. */
static int note_kinds(const State *state, const Changes *creates) {
  size_t i;
  for (i = 0; i < state->found.count; i++) {
    int number = kind_of(creates, state->found.values[i].pattern), failed;
    PyObject *handle, *kind;
    if (number == UNTRACKED) continue;
    handle = PyLong_FromUnsignedLongLong(state->found.values[i].value);
    kind = PyLong_FromLong(number);
    failed = !handle || !kind || PyDict_SetItem(state->kinds, handle, kind);
    Py_XDECREF(handle);
    Py_XDECREF(kind);
    if (failed) return 0;
  }
  return 1;
}

Outcome change_objects(State *state, const Success *call, const Changes *creates, PyObject **asked) {
  size_t i;
  if (!find_roles(state, call->plan, &state->found, call->left, call->entered, call->argument)) return left_unless_error();
  state->asking.count = 0;
  if (call->plan->creates_ranges &&
      !search_values(call->program, call->entered, NULL, call->argument, state->budgets, &state->asking))
    return left_unless_error();
  if (!(*asked = PyList_New(0))) return FAILED;
  for (i = 0; i < creates->count; i++)
    if (!create(state, call, creates->effects[i], creates->sizes[i], *asked)) return FAILED;
  if (!note_kinds(state, creates)) return FAILED;
  return destroy_dying(state, call) ? READ : FAILED;
}
