/*
 * Reads the calls of a trace as a comparison needs them: the work of tracekmt.differ.read_history for each event. Calls with anything
 * unusual are left to Python.
 */
#include "history.h"

enum { ENTERED_IN_CORE = 1, HAS_LEFT = 3 };  /* see tracekmt.differ.read_history */
enum { HANDLE_SIZE = 4 };
enum { ROW_COLUMNS = 9 };
enum { CACHED = 64 };

/* An event frame. `entered` are indexes of the calls that are entered in it, and `enter_rows` their rows. */
typedef struct {
  const uint8_t *kinds, *calls, *threads, *functions, *values, *offsets, *entered, *enter_rows;
  size_t rows, entered_count;
  Bodies bodies;
} Frame;

/* What dicts were asked for lately, by the key modulo the size: plans by function, numbers of modules by caller. */
typedef struct {
  struct {
    uint32_t function;
    PyObject *plan;  /* NULL for none */
  } plans[CACHED];
  struct {
    uint64_t address;
    uint32_t number;
    int is_known;
  } callers[CACHED];
} Caches;

/* One run over the rows of a frame. `position`: that of the first call that is entered in the frame. `calls`: entered so far. */
typedef struct {
  State *state;
  Frame frame;
  uint64_t position;
  const uint8_t *thread_numbers;
  size_t threads;
  size_t calls;
  uint8_t *columns[COLUMNS];
  Caches *caches;
} Run;

Outcome left_unless_error(void) {
  if (!PyErr_Occurred()) return LEFT_TO_PYTHON;
  if (!PyErr_ExceptionMatches(PyExc_ValueError)) return FAILED;
  PyErr_Clear();  /* a missing blob; Python names the call too */
  return LEFT_TO_PYTHON;
}

static void put_u64(Run *run, int column, uint64_t position, uint64_t number) {
  memcpy(run->columns[column] + 8 * position, &number, 8);
}

static void put_u32(Run *run, int column, uint64_t position, uint32_t number) {
  memcpy(run->columns[column] + 4 * position, &number, 4);
}

static uint64_t get_u64(const Run *run, int column, uint64_t position) {
  return load_u64(run->columns[column] + 8 * position);
}

/* Returns a key of a list of numbers that are less than 2^64. */
PyObject *mix_numbers(PyObject *self, PyObject *numbers) {
  Py_ssize_t count = PyList_Check(numbers) ? PyList_Size(numbers) : -1, i;
  uint64_t key = 0;
  if (count < 0) {
    PyErr_SetString(PyExc_TypeError, "expected a list");
    return NULL;
  }
  for (i = 0; i < count; i++) {
    uint64_t number = PyLong_AsUnsignedLongLongMask(PyList_GetItem(numbers, i));
    if (PyErr_Occurred()) return NULL;
    key = mix(key, number);
  }
  return PyLong_FromLongLong((long long)mix(key, (size_t)count));
}

/* Reads the handle that selects a plan. Returns 0 for memory that cannot be read. */
static int read_handle(const Choice *choice, const EventMemory *memory, uint64_t argument, uint64_t *handle) {
  const uint8_t *at = find_memory(memory, argument + choice->offset, choice->size);
  *handle = 0;
  if (!at) return 0;
  memcpy(handle, at, choice->size);
  if (!choice->is_pointer) return 1;
  if (!(at = find_memory(memory, *handle, HANDLE_SIZE))) return 0;
  *handle = load_u32(at);
  return 1;
}

/* Returns what `plans` has for a description, and for the number of a kind if it is not zero. */
static PyObject *find_plan_of_kind(const Run *run, uint32_t function, uint64_t kind) {
  PyObject *key = PyLong_FromUnsignedLongLong(function | kind << 32), *plan;
  if (!key) return NULL;
  plan = PyDict_GetItemWithError(run->state->plans, key);
  Py_DECREF(key);
  return plan;
}

static PyObject *find_plan(const Run *run, uint32_t function) {
  PyObject *plan = run->caches->plans[function % CACHED].plan;
  if (plan && run->caches->plans[function % CACHED].function == function) return plan;
  if ((plan = find_plan_of_kind(run, function, 0))) {
    run->caches->plans[function % CACHED].function = function;
    run->caches->plans[function % CACHED].plan = plan;
  }
  return plan;
}

/* Returns the number of the kind of a handle, 0 if it is unknown. */
static uint64_t kind_of(const Run *run, uint64_t handle) {
  PyObject *key = PyLong_FromUnsignedLongLong(handle), *kind = NULL;
  if (!key) return 0;
  kind = PyDict_GetItemWithError(run->state->kinds, key);
  Py_DECREF(key);
  return kind ? PyLong_AsUnsignedLongMask(kind) : 0;
}

/* Returns the plan of the call that is entered in a row. NULL for one that is left to Python. */
static Plan *plan_of(const Run *run, size_t row, uint64_t argument, const EventMemory *memory) {
  uint32_t function = load_u32(run->frame.functions + 4 * row);
  PyObject *plan = find_plan(run, function);
  if (plan && PyCapsule_IsValid(plan, CHOICE_NAME)) {
    uint64_t handle, kind;
    if (!read_handle(PyCapsule_GetPointer(plan, CHOICE_NAME), memory, argument, &handle)) return NULL;
    kind = kind_of(run, handle);
    plan = kind ? find_plan_of_kind(run, function, kind) : NULL;
  }
  return plan && plan != Py_None ? PyCapsule_GetPointer(plan, PLAN_NAME) : NULL;
}

/* Returns the number of the module of a caller. Returns 0 after an error. */
static int number_caller(const Run *run, size_t row, uint32_t *number) {
  uint64_t caller = load_u64(run->frame.values + 8 * row);
  size_t place = caller % CACHED;
  PyObject *address, *found;
  if (run->caches->callers[place].is_known && run->caches->callers[place].address == caller) {
    *number = run->caches->callers[place].number;
    return 1;
  }
  if (!(address = PyLong_FromUnsignedLongLong(caller))) return 0;
  found = PyDict_GetItemWithError(run->state->callers, address);
  if (found) Py_INCREF(found);
  else if (!PyErr_Occurred()) found = PyObject_CallFunctionObjArgs(run->state->caller_of, address, NULL);
  Py_DECREF(address);
  *number = found ? (uint32_t)PyLong_AsUnsignedLongMask(found) : 0;
  Py_XDECREF(found);
  if (!found || PyErr_Occurred()) return 0;
  run->caches->callers[place].address = caller;
  run->caches->callers[place].number = *number;
  run->caches->callers[place].is_known = 1;
  return 1;
}

static int load_entered(const Run *run, size_t row, uint64_t *argument, EventMemory *memory) {
  const uint8_t *offsets = run->frame.offsets + 8 * row;
  return load_enter(&run->frame.bodies, load_u64(offsets), load_u64(offsets + 8), argument, memory);
}

static Outcome enter_in_memory(Run *run, size_t row, Plan *plan, uint64_t argument, const EventMemory *memory) {
  State *state = run->state;
  const Program *program = PyCapsule_GetPointer(plan->program, PROGRAM_NAME);
  uint64_t index = load_u64(run->frame.calls + 8 * row);
  uint64_t position = run->position + rank_of(run->frame.entered, run->frame.entered_count, (int64_t)index);
  uint32_t thread = load_u32(run->frame.threads + 4 * row), caller;
  CallKeys keys;
  Numbers numbers;
  Outcome outcome;
  if (thread >= run->threads || position >= run->calls) return LEFT_TO_PYTHON;
  if (!search_values(program, memory, NULL, argument, state->budgets, &state->found)) return left_unless_error();
  if (!make_call_keys(plan->in_form, argument, memory, &keys) || !number_caller(run, row, &caller)) return FAILED;
  if ((outcome = number_values(state, plan, position, &numbers)) != READ) return outcome;
  if (plan->destroys.count && (outcome = find_dying(state, plan, program, index, argument, memory)) != READ) {
    PyByteArray_Resize(state->references, 4 * (Py_ssize_t)numbers.start);
    return PyErr_Occurred() ? FAILED : outcome;
  }
  put_u64(run, INDEXES, position, index);
  put_u32(run, THREADS, position, load_u32(run->thread_numbers + 4 * thread));
  put_u64(run, WEAK, position, keys.weak);
  put_u64(run, PLAIN, position, keys.plain);
  put_u64(run, CONTENTS, position, keys.contents);
  put_u64(run, OFFSETS, position, numbers.offsets);
  put_u32(run, FUNCTIONS, position, plan->function);
  put_u32(run, CALLERS, position, caller);
  put_u64(run, INPUT_STARTS, position, numbers.start);
  put_u32(run, INPUT_COUNTS, position, (uint32_t)numbers.count);
  run->columns[IS_EXACT][position] = (uint8_t)(keys.is_exact && plan->in_is_exact);
  run->columns[STATES][position] = ENTERED_IN_CORE;
  return READ;
}

static Outcome read_enter(Run *run, size_t row) {
  const PyObject *known = find_plan(run, load_u32(run->frame.functions + 4 * row));
  Plan *plan;
  EventMemory memory;
  uint64_t argument;
  Outcome outcome;
  if (!known || known == Py_None) return PyErr_Occurred() ? FAILED : LEFT_TO_PYTHON;
  if (load_entered(run, row, &argument, &memory) && (plan = plan_of(run, row, argument, &memory)))
    outcome = enter_in_memory(run, row, plan, argument, &memory);
  else outcome = left_unless_error();
  release_blobs(&memory);
  return outcome;
}

static int is_unchanged(const EventMemory *entered, const EventMemory *left) {
  size_t i;
  if (entered->count != left->count) return 0;
  for (i = 0; i < left->count; i++) {
    const Region *a = entered->regions + i, *b = left->regions + i;
    if (a->address != b->address || a->wanted != b->wanted || a->size != b->size) return 0;
    if (a->data != b->data && memcmp(a->data, b->data, a->size)) return 0;
  }
  return 1;
}

/* Returns what a function returned, without what its type has no meaning for. */
static uint64_t returned(const Plan *plan, uint64_t raw) {
  return plan->returns == RETURNS_STATUS ? raw & 0xFFFFFFFF : plan->returns == RETURNS_BOOLEAN ? raw & 0xFF : 0;
}

/* Returns the key of the outcome; see tracekmt.differ.keys.outcome_key. */
static uint64_t outcome_key(const Plan *plan, uint64_t result, const CallKeys *keys) {
  uint64_t key = mix(mix(0, (uint64_t)plan->returns), result);
  return mix(mix(mix(key, keys->plain), keys->contents), 4);
}

/* Sets the outputs of a call. `asked`: of each new range whether the caller asked for its address. NULL without. */
static void put_outputs(Run *run, uint64_t position, const Numbers *numbers, PyObject *asked) {
  Py_ssize_t count = asked ? PyList_Size(asked) : 0, i;
  uint64_t key = mix(mix(0, get_u64(run, OFFSETS, position)), numbers->offsets);
  if (!numbers->count) return;
  for (i = 0; i < count; i++) key = mix(key, PyLong_AsUnsignedLongMask(PyList_GetItem(asked, i)));
  put_u64(run, OUTPUT_STARTS, position, numbers->start);
  put_u32(run, OUTPUT_COUNTS, position, (uint32_t)numbers->count);
  put_u64(run, OFFSETS, position, mix(key, (uint64_t)count + 2));
}

/* Sets the outputs of a call that has changed nothing to its inputs. */
static void put_inputs_again(Run *run, uint64_t position) {
  const Numbers inputs = {get_u64(run, INPUT_STARTS, position), load_u32(run->columns[INPUT_COUNTS] + 4 * position),
                          get_u64(run, OFFSETS, position)};
  put_outputs(run, position, &inputs, NULL);
}

/* Sets the outputs of a call to the objects of the values that were found in them. */
static Outcome number_outputs(Run *run, const Plan *plan, uint64_t position) {
  Numbers numbers;
  Outcome outcome = number_values(run->state, plan, position, &numbers);
  if (outcome == READ) put_outputs(run, position, &numbers, NULL);
  return outcome;
}

/* Lets Python set the outputs of a call that has changed its objects: among the others are objects that are older than the trace. */
static Outcome set_outputs(State *state, const Success *call, PyObject *asked) {
  PyObject *outputs = search_locations(call->program, state->location_type, call->left, call->entered, call->argument, state->budgets);
  PyObject *created = outputs ? PyDict_New() : NULL, *done = NULL;
  size_t i;
  for (i = 0; created && i < state->found.count && (Py_ssize_t)i < PyList_Size(outputs); i++) {
    PyObject *number = PyLong_FromUnsignedLong(state->found.values[i].created);
    PyObject *path = PyTuple_GetItem(PyList_GetItem(outputs, (Py_ssize_t)i), 0);
    if (!number || (state->found.values[i].created && PyDict_SetItem(created, path, number))) Py_CLEAR(created);
    Py_XDECREF(number);
  }
  if (created)
    done = PyObject_CallFunction(state->set_outputs, "KOOOO", (unsigned long long)call->position, call->plan->description, outputs, created,
                                 asked);
  else if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "the outputs of a call are gone");
  Py_XDECREF(outputs);
  Py_XDECREF(created);
  Py_XDECREF(done);
  return done ? READ : FAILED;
}

/* Creates and destroys the objects of a call, whose outputs were searched, and sets the outputs. */
static Outcome change(Run *run, const Success *call, const Changes *creates) {
  PyObject *asked = NULL;
  Numbers numbers;
  Outcome outcome = change_objects(run->state, call, creates, &asked);
  if (outcome == READ) {
    outcome = number_values(run->state, call->plan, call->position, &numbers);
    if (outcome == READ) put_outputs(run, call->position, &numbers, asked);
    else if (outcome == LEFT_TO_PYTHON) outcome = set_outputs(run->state, call, asked);
  }
  Py_XDECREF(asked);
  return outcome;
}

/* Sets what a call changed and returned. */
static Outcome succeed(Run *run, const Success *call) {
  State *state = run->state;
  const Plan *plan = call->plan;
  Changes creates;
  int destroys = plan->destroys.count ? is_destroying(state, call->index) : 0, has_changed;
  if (destroys < 0) return FAILED;
  if (!read_changes(call->program, &plan->creates, call->entered, call->argument, &creates)) return left_unless_error();
  has_changed = destroys || creates.count;
  if (!has_changed && is_unchanged(call->entered, call->left)) {
    put_inputs_again(run, call->position);
    return READ;
  }
  if (plan->is_chosen) return LEFT_TO_PYTHON;  /* the handle that has chosen the plan may refer to another object now */
  if (!search_values(call->program, call->left, call->entered, call->argument, state->budgets, &state->found)) return left_unless_error();
  return has_changed ? change(run, call, &creates) : number_outputs(run, plan, call->position);
}

static Outcome leave_in_memory(Run *run, size_t row, Plan *plan, uint64_t position, uint64_t argument, const EventMemory *memory,
                               const EventMemory *left) {
  uint64_t result = returned(plan, load_u64(run->frame.values + 8 * row)), index = load_u64(run->frame.calls + 8 * row);
  CallKeys keys;
  if (!make_call_keys(plan->out_form, argument, left, &keys)) return FAILED;
  if (plan->returns != RETURNS_STATUS || result < 0x80000000) {
    const Success call = {plan, PyCapsule_GetPointer(plan->program, PROGRAM_NAME), position, index, argument, memory, left};
    Outcome outcome = succeed(run, &call);
    if (outcome != READ) return outcome;
  } else if (plan->destroys.count && !forget_dying(run->state, index)) {
    return FAILED;
  }
  put_u64(run, OUTCOME, position, outcome_key(plan, result, &keys));
  run->columns[IS_EXACT][position] &= (uint8_t)plan->out_is_exact;
  run->columns[STATES][position] = HAS_LEFT;
  return READ;
}

static Outcome read_leave(Run *run, size_t row) {
  const uint8_t *offsets = run->frame.offsets + 8 * row;
  size_t rank = rank_of(run->frame.entered, run->frame.entered_count, (int64_t)load_u64(run->frame.calls + 8 * row)), entered;
  uint64_t argument, position = run->position + rank;
  Plan *plan;
  EventMemory memory, left;
  Outcome outcome;
  if (rank == run->frame.entered_count) return LEFT_TO_PYTHON;  /* a call of an earlier frame */
  if ((entered = load_u32(run->frame.enter_rows + 4 * rank)) >= row) return LEFT_TO_PYTHON;
  if (position >= run->calls || run->columns[STATES][position] != ENTERED_IN_CORE) return LEFT_TO_PYTHON;
  left.count = 0;
  if (load_entered(run, entered, &argument, &memory) && (plan = plan_of(run, entered, argument, &memory)) &&
      load_leave(&run->frame.bodies, load_u64(offsets), load_u64(offsets + 8), &memory, &left))
    outcome = leave_in_memory(run, row, plan, position, argument, &memory, &left);
  else outcome = left_unless_error();
  release_blobs(&left);
  release_blobs(&memory);
  return outcome;
}

/* Sets the columns of a frame. Returns 0 after an error. */
static int set_frame(PyObject *tuple, PyObject *load_blob, PyObject *recent, Frame *frame) {
  static const uint8_t sizes[ROW_COLUMNS] = {1, 8, 4, 4, 8, 8, 8, 4, 1};
  const uint8_t *columns[ROW_COLUMNS];
  Py_ssize_t i, lengths[ROW_COLUMNS];
  if (PyTuple_Size(tuple) != ROW_COLUMNS) {
    PyErr_SetString(PyExc_ValueError, "no frame of events");
    return 0;
  }
  for (i = 0; i < ROW_COLUMNS; i++) {
    if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, i), (char **)columns + i, lengths + i)) return 0;
    lengths[i] /= sizes[i];
    if (i <= 5 && lengths[i] < lengths[0] + (i == 5)) {
      PyErr_SetString(PyExc_ValueError, "columns of different lengths");
      return 0;
    }
  }
  *frame = (Frame){columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], columns[6], columns[7], (size_t)lengths[0],
                   (size_t)(lengths[6] < lengths[7] ? lengths[6] : lengths[7]), {columns[8], (size_t)lengths[8], load_blob, recent}};
  return 1;
}

/* Sets the columns of the calls, which grow with each frame. Returns 0 after an error. */
static int set_columns(Run *run) {
  static const uint8_t sizes[COLUMNS] = {8, 4, 8, 8, 8, 8, 8, 1, 4, 4, 1, 8, 4, 8, 4};
  size_t i;
  run->calls = (size_t)PyByteArray_Size(run->state->columns[STATES]);
  for (i = 0; i < COLUMNS; i++) {
    PyObject *column = run->state->columns[i];
    if ((size_t)PyByteArray_Size(column) != run->calls * sizes[i]) {
      PyErr_SetString(PyExc_ValueError, "columns of different lengths");
      return 0;
    }
    run->columns[i] = (uint8_t *)PyByteArray_AsString(column);
  }
  return 1;
}

/*
 * Reads the events of a frame from a row on. Returns the first row that is left to Python, or the number of rows. Arguments: the state, the
 * frame, the position of its first call, the numbers of threads, the function that loads a blob, recent blobs, the row.
 */
PyObject *read_history(PyObject *self, PyObject *arguments) {
  PyObject *capsule, *frame, *load_blob, *recent;
  unsigned long long position;
  Py_ssize_t row, thread_size;
  Caches caches = {0};
  Run run;
  Outcome outcome = READ;
  if (!PyArg_ParseTuple(arguments, "OO!Ky#OO!n:read_history", &capsule, &PyTuple_Type, &frame, &position, (const char **)&run.thread_numbers,
                        &thread_size, &load_blob, &PyDict_Type, &recent, &row))
    return NULL;
  if (!(run.state = PyCapsule_GetPointer(capsule, STATE_NAME)) || !set_frame(frame, load_blob, recent, &run.frame)) return NULL;
  run.position = position;
  run.caches = &caches;
  run.threads = (size_t)thread_size / 4;
  if (!set_columns(&run)) return NULL;
  for (; row >= 0 && (size_t)row < run.frame.rows && outcome == READ; row += outcome == READ) {
    if (run.frame.kinds[row] == ENTER_ROW) outcome = read_enter(&run, (size_t)row);
    else if (run.frame.kinds[row] == LEAVE_ROW) outcome = read_leave(&run, (size_t)row);
  }
  return outcome == FAILED ? NULL : PyLong_FromSsize_t(row);
}
