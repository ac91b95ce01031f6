/* Raw events: split from the blocks of a recorder, and put in the order of their sequence numbers. No event is an object of its own. */
#include "raw_events.h"

enum { FRAGMENT_HEADER = 16 };

/* tracekmt.trace.ready_events.RawEvents */
typedef struct {
  PyObject_HEAD
  RawEvents events;
} RawEventsObject;

/* tracekmt.trace.ready_events.ReadyEvents. Events from `sorted` on were added after the others were sorted. */
typedef struct {
  PyObject_HEAD
  RawEvents events;
  size_t sorted;
  PyObject *lost_type;
} ReadyEventsObject;

static PyTypeObject *raw_events_type;  /* the module keeps it */

const RawEvents *raw_events_of(PyObject *object) {
  if (PyObject_TypeCheck(object, raw_events_type)) return &((RawEventsObject *)object)->events;
  PyErr_SetString(PyExc_TypeError, "expected RawEvents");
  return NULL;
}

/* Appends an event, with a new reference to its owner. Returns 0 after an error. */
static int append_event(RawEvents *events, RawEvent event) {
  RawEvent *more = reserve(events->events, events->end, &events->capacity, sizeof *more);
  if (!more) return 0;
  events->events = more;
  Py_INCREF(event.owner);
  more[events->end++] = event;
  return 1;
}

/* Removes the first event and its reference. */
static void drop_first(RawEvents *events) {
  PyObject *owner = events->events[events->begin++].owner;
  if (events->begin == events->end) events->begin = events->end = 0;
  Py_DECREF(owner);
}

static void free_events(RawEvents *events) {
  while (events->begin < events->end) drop_first(events);
  free(events->events);
}

/* Appends an event in the form of tracekmt.trace.raw_events.RawEvent. Returns 0 after an error. */
static int append_tuple(RawEvents *events, PyObject *tuple) {
  RawEvent event = {0};
  PyObject *sequence;
  unsigned char kind;
  if (!PyTuple_Check(tuple)) {
    PyErr_SetString(PyExc_TypeError, "expected an event");
    return 0;
  }
  if (!PyArg_ParseTuple(tuple, "O!bO!", &PyLong_Type, &sequence, &kind, &PyBytes_Type, &event.owner)) return 0;
  event.sequence = PyLong_AsUnsignedLongLong(sequence);
  if (PyErr_Occurred()) return 0;
  event.kind = kind;
  event.content = (const uint8_t *)PyBytes_AsString(event.owner);
  event.size = (size_t)PyBytes_Size(event.owner);
  return append_event(events, event);
}

/* Appends a Lost of Python. Returns 0 after an error. */
static int append_lost(RawEvents *events, PyObject *lost) {
  const RawEvent event = {0, lost, NULL, 0, LOSS};
  return append_event(events, event);
}

static PyObject *new_raw_events(PyTypeObject *subtype, PyObject *arguments, PyObject *names) {
  allocfunc allocate = (allocfunc)PyType_GetSlot(subtype, Py_tp_alloc);
  if (!PyArg_ParseTuple(arguments, ":RawEvents")) return NULL;
  return allocate(subtype, 0);
}

static void free_raw_events(PyObject *self) {
  PyTypeObject *own_type = Py_TYPE(self);
  freefunc release = (freefunc)PyType_GetSlot(own_type, Py_tp_free);
  free_events(&((RawEventsObject *)self)->events);
  release(self);
  Py_DECREF(own_type);
}

static Py_ssize_t count_events(PyObject *self) {
  const RawEvents *events = &((RawEventsObject *)self)->events;
  return (Py_ssize_t)(events->end - events->begin);
}

static PyObject *get_event(PyObject *self, Py_ssize_t index) {
  const RawEvents *events = &((RawEventsObject *)self)->events;
  const RawEvent *event;
  if (index < 0 || (size_t)index >= events->end - events->begin) {
    PyErr_SetString(PyExc_IndexError, "no such event");
    return NULL;
  }
  event = events->events + events->begin + index;
  if (event->kind == LOSS) return new_reference(event->owner);
  return Py_BuildValue("(Kky#)", (unsigned long long)event->sequence, (unsigned long)event->kind, (const char *)event->content,
                       (Py_ssize_t)event->size);
}

static PyObject *append_raw_event(PyObject *self, PyObject *event) {
  RawEvents *events = &((RawEventsObject *)self)->events;
  int is_appended = PyTuple_Check(event) ? append_tuple(events, event) : append_lost(events, event);
  return is_appended ? new_reference(Py_None) : NULL;
}

static PyObject *new_ready_events(PyTypeObject *subtype, PyObject *arguments, PyObject *names) {
  allocfunc allocate = (allocfunc)PyType_GetSlot(subtype, Py_tp_alloc);
  PyObject *lost_type, *self;
  if (!PyArg_ParseTuple(arguments, "O:ReadyEvents", &lost_type)) return NULL;
  if ((self = allocate(subtype, 0))) ((ReadyEventsObject *)self)->lost_type = new_reference(lost_type);
  return self;
}

static void free_ready_events(PyObject *self) {
  PyTypeObject *own_type = Py_TYPE(self);
  freefunc release = (freefunc)PyType_GetSlot(own_type, Py_tp_free);
  Py_DECREF(((ReadyEventsObject *)self)->lost_type);
  free_events(&((ReadyEventsObject *)self)->events);
  release(self);
  Py_DECREF(own_type);
}

/* Splits the fragments of `data` into events, and into `parts` of events that span blocks. Returns 0 after an error. */
static int split_fragments(RawEvents *events, PyObject *data, uint64_t first, uint64_t limit, PyObject *parts, int64_t *highest) {
  const uint8_t *at = (const uint8_t *)PyBytes_AsString(data), *end = at + PyBytes_Size(data);
  while (at < end) {
    RawEvent event = {0, data, at + FRAGMENT_HEADER, 0, 0};
    uint32_t size;
    if (end - at < FRAGMENT_HEADER) {
      PyErr_SetString(PyExc_ValueError, "a truncated fragment");
      return 0;
    }
    size = load_u32(at);
    event.kind = at[4];
    event.sequence = load_u64(at + 8);
    if (size < FRAGMENT_HEADER || size > end - at || event.sequence >= limit) {
      PyErr_Format(PyExc_ValueError, "an invalid fragment of %lu bytes", (unsigned long)size);
      return 0;
    }
    event.size = size - FRAGMENT_HEADER;
    if ((int64_t)event.sequence > *highest) *highest = (int64_t)event.sequence;
    if (event.sequence >= first) {
      if (at[5] && !at[6] && !at[7]) {  /* the last fragment, and number 0 */
        if (!append_event(events, event)) return 0;
      } else {
        PyObject *part = Py_BuildValue("(Kiiiy#)", (unsigned long long)event.sequence, at[4], at[5] != 0, at[6] | at[7] << 8,
                                       (const char *)event.content, (Py_ssize_t)event.size);
        if (!append_new(parts, part)) return 0;
      }
    }
    at += size;
  }
  return 1;
}

static PyObject *add_fragments(PyObject *self, PyObject *arguments) {
  ReadyEventsObject *ready = (ReadyEventsObject *)self;
  unsigned long long first, limit;
  int64_t highest = -1;
  PyObject *data, *parts;
  if (!PyArg_ParseTuple(arguments, "O!KK:add_fragments", &PyBytes_Type, &data, &first, &limit) || !(parts = PyList_New(0))) return NULL;
  if (split_fragments(&ready->events, data, first, limit, parts, &highest))
    return Py_BuildValue("(NL)", parts, (long long)highest);
  Py_DECREF(parts);
  return NULL;
}

static PyObject *add_event(PyObject *self, PyObject *event) {
  return append_tuple(&((ReadyEventsObject *)self)->events, event) ? new_reference(Py_None) : NULL;
}

/* Merges two sorted runs, of which the second one is newer. */
static void merge(const RawEvent *older, const RawEvent *newer, const RawEvent *end, RawEvent *merged) {
  const RawEvent *middle = newer;
  while (older < middle && newer < end) *merged++ = newer->sequence < older->sequence ? *newer++ : *older++;
  memcpy(merged, older, (size_t)(middle - older) * sizeof *merged);
  merged += middle - older;
  memcpy(merged, newer, (size_t)(end - newer) * sizeof *merged);
}

/* Returns the end of the sorted run at an event. */
static size_t end_of_run(const RawEvent *events, size_t at, size_t end) {
  for (at++; at < end && events[at - 1].sequence <= events[at].sequence; at++) {}
  return at;
}

/* Merges each two neighbouring runs. Returns the number of merged ones. */
static size_t merge_runs(const RawEvent *from, size_t begin, size_t end, RawEvent *to) {
  size_t count = 0, next;
  for (; begin < end; begin = next, count++) {
    size_t middle = end_of_run(from, begin, end);
    next = middle < end ? end_of_run(from, middle, end) : end;
    merge(from + begin, from + middle, from + next, to + begin);
  }
  return count;
}

/* Sorts events that were added lately, by merging their runs. A block has those of one thread, in order, so there are few. */
static int sort_runs(RawEvent *events, size_t count) {
  RawEvent *to, *from = events, *memory;
  size_t runs;
  if (end_of_run(events, 0, count) >= count) return 1;
  if (!(memory = to = malloc(count * sizeof *to))) {
    PyErr_NoMemory();
    return 0;
  }
  do {
    RawEvent *merged = to;
    runs = merge_runs(from, 0, count, to);
    to = from;
    from = merged;
  } while (runs > 1);
  if (from != events) memcpy(events, from, count * sizeof *events);
  free(memory);
  return 1;
}

/* Merges sorted events with newer ones. Of the old ones, which may be many, only those behind the first new one move. */
static int merge_newer(RawEvent *events, size_t begin, size_t newer, size_t end) {
  size_t low = begin, high = newer;
  RawEvent *merged;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (events[middle].sequence <= events[newer].sequence) low = middle + 1;
    else high = middle;
  }
  if (low == newer) return 1;
  if (!(merged = malloc((end - low) * sizeof *merged))) {
    PyErr_NoMemory();
    return 0;
  }
  merge(events + low, events + newer, events + end, merged);
  memcpy(events + low, merged, (end - low) * sizeof *merged);
  free(merged);
  return 1;
}

/* Sorts the events: of equal ones, the last added is last. Returns 0 after an error. */
static int sort_events(ReadyEventsObject *ready) {
  const RawEvents *events = &ready->events;
  size_t sorted = ready->sorted;
  if (sorted == events->end) return 1;
  if (!sort_runs(events->events + sorted, events->end - sorted)) return 0;
  if (!merge_newer(events->events, events->begin, sorted, events->end)) return 0;
  ready->sorted = events->end;
  return 1;
}

/* Moves the events to the start of their memory, and frees most of it if there are few. */
static void compact(RawEvents *events) {
  size_t count = events->end - events->begin;
  RawEvent *smaller;
  if (events->begin > count) {
    memmove(events->events, events->events + events->begin, count * sizeof *events->events);
    events->begin = 0;
    events->end = count;
  }
  if (events->capacity < 1 << 16 || events->end > events->capacity / 8) return;
  if (!(smaller = realloc(events->events, events->capacity / 4 * sizeof *smaller))) return;
  events->events = smaller;
  events->capacity /= 4;
}

/* Drops the events before `first`, and those that an equal one follows. Returns the first event of the rest, NULL without. */
static const RawEvent *next_event(RawEvents *events, uint64_t first) {
  for (; events->begin < events->end; drop_first(events)) {
    const RawEvent *event = events->events + events->begin;
    if (event->sequence >= first && (events->end - events->begin == 1 || event[1].sequence != event->sequence)) return event;
  }
  return NULL;
}

/* Appends a loss of the events from `first` on. Returns 0 after an error. */
static int append_loss(RawEvents *events, PyObject *lost_type, uint64_t first, uint64_t end) {
  PyObject *lost = PyObject_CallFunction(lost_type, "KK", (unsigned long long)first, (unsigned long long)(end - first));
  int failed = !lost || !append_lost(events, lost);
  Py_XDECREF(lost);
  return !failed;
}

static PyObject *take_events(PyObject *self, PyObject *arguments) {
  ReadyEventsObject *ready = (ReadyEventsObject *)self;
  unsigned long long first, end;
  Py_ssize_t most;
  PyObject *batch;
  RawEvents *taken;
  int failed = 0, is_taken = 0;
  if (!PyArg_ParseTuple(arguments, "O!KKn:take", raw_events_type, &batch, &first, &end, &most)) return NULL;
  taken = &((RawEventsObject *)batch)->events;
  if (most > 0 && first < end && !sort_events(ready)) return NULL;
  for (; most > 0 && first < end && !failed; most--) {
    const RawEvent *event = next_event(&ready->events, first);
    uint64_t next = event && event->sequence < end ? event->sequence : end;
    if (next > first) {
      failed = !append_loss(taken, ready->lost_type, first, next);
      first = next;
    } else {
      failed = !append_event(taken, *event);
      if (!failed) drop_first(&ready->events);
      first++;
    }
    is_taken = 1;
  }
  if (is_taken) {
    compact(&ready->events);
    ready->sorted = ready->events.end;
  }
  return failed ? NULL : PyLong_FromUnsignedLongLong(first);
}

static PyObject *last_sequence(PyObject *self, PyObject *nothing) {
  ReadyEventsObject *ready = (ReadyEventsObject *)self;
  const RawEvents *events = &ready->events;
  if (!sort_events(ready)) return NULL;
  return PyLong_FromLongLong(events->begin == events->end ? -1 : (long long)events->events[events->end - 1].sequence);
}

static Py_ssize_t count_ready(PyObject *self) {
  const RawEvents *events = &((ReadyEventsObject *)self)->events;
  return (Py_ssize_t)(events->end - events->begin);
}

PyObject *make_raw_events_type(void) {
  static PyMethodDef methods[] = {
    {"append", append_raw_event, METH_O, "Append an event or a loss."},
    {NULL, NULL, 0, NULL},
  };
  static PyType_Slot slots[] = {
    {Py_tp_new, new_raw_events}, {Py_tp_dealloc, free_raw_events}, {Py_tp_methods, methods}, {Py_sq_length, count_events},
    {Py_sq_item, get_event}, {Py_tp_doc, "See tracekmt.trace.ready_events.RawEvents."}, {0, NULL},
  };
  static PyType_Spec spec = {"tracekmt.core._core.RawEvents", sizeof(RawEventsObject), 0, Py_TPFLAGS_DEFAULT, slots};
  raw_events_type = (PyTypeObject *)PyType_FromSpec(&spec);
  return (PyObject *)raw_events_type;
}

PyObject *make_ready_events_type(void) {
  static PyMethodDef methods[] = {
    {"add_fragments", add_fragments, METH_VARARGS, "See tracekmt.trace.ready_events.ReadyEvents, as the other methods."},
    {"add", add_event, METH_O, "Add an event."},
    {"take", take_events, METH_VARARGS, "Move the next events to a batch."},
    {"last", last_sequence, METH_NOARGS, "Return the highest sequence number, -1 without events."},
    {NULL, NULL, 0, NULL},
  };
  static PyType_Slot slots[] = {
    {Py_tp_new, new_ready_events}, {Py_tp_dealloc, free_ready_events}, {Py_tp_methods, methods}, {Py_sq_length, count_ready},
    {Py_tp_doc, "See tracekmt.trace.ready_events."}, {0, NULL},
  };
  static PyType_Spec spec = {"tracekmt.core._core.ReadyEvents", sizeof(ReadyEventsObject), 0, Py_TPFLAGS_DEFAULT, slots};
  return (PyObject *)PyType_FromSpec(&spec);
}
