/* What the files of the core share. They use the stable ABI of Python 3.10. */
#pragma once
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the core reads and writes little-endian numbers in place"
#endif

static inline uint64_t load_u64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, 8);
  return value;
}

static inline uint32_t load_u32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, 4);
  return value;
}

/* Mixes a number into a key. The order counts, and small numbers spread over all bits (the finalizer of splitmix64). */
static inline uint64_t mix(uint64_t key, uint64_t number) {
  key = key * 0x9E3779B97F4A7C15 + number + 0x632BE59BD9B4E019;
  key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9;
  key = (key ^ key >> 27) * 0x94D049BB133111EB;
  return key ^ key >> 31;
}

static inline int is_zero(const uint8_t *data, size_t size) {
  while (size && !*data) data++, size--;
  return !size;
}

/* Returns an object, or NULL for NULL. */
static inline PyObject *new_reference(PyObject *object) {
  Py_XINCREF(object);
  return object;
}

/* Appends an object to a list, and drops the reference to it. Returns 0 after an error. */
static inline int append_new(PyObject *list, PyObject *item) {
  int failed = !item || PyList_Append(list, item);
  Py_XDECREF(item);
  return !failed;
}

/* Returns memory for one more item. NULL after an error. */
static inline void *reserve(void *items, size_t count, size_t *capacity, size_t size) {
  void *more;
  if (count < *capacity) return items;
  if (!(more = realloc(items, (2 * *capacity + 16) * size))) {
    PyErr_NoMemory();
    return NULL;
  }
  *capacity = 2 * *capacity + 16;
  return more;
}

/* Numbers that mean no object, one that no call explains, and a destroyed one; see tracekmt.differ.columns. */
enum { NO_OBJECT, UNKNOWN, DEAD, FIRST };

/* Kinds of events in a frame; see tracekmt.trace.frame_calls. */
enum { ENTER_ROW, LEAVE_ROW };

/* The position of no call: of one that created an object before the trace, of one that destroyed it, of a counterpart. */
#define NO_POSITION ((int64_t)-1)

/* Returns the place of a call among indexes of calls that grow, `count` for another call. Most indexes follow each other. */
static inline size_t rank_of(const uint8_t *indexes, size_t count, int64_t call) {
  size_t low = 0, high = count, guess;
  if (!count || call < (int64_t)load_u64(indexes)) return count;
  guess = (size_t)((uint64_t)call - load_u64(indexes));
  if (guess < count && (int64_t)load_u64(indexes + 8 * guess) == call) return guess;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if ((int64_t)load_u64(indexes + 8 * middle) < call) low = middle + 1;
    else high = middle;
  }
  return low < count && (int64_t)load_u64(indexes + 8 * low) == call ? low : count;
}

/* The answer to what is left to Python. */
static inline PyObject *left_to_python(void) {
  return new_reference(Py_NotImplemented);
}

/* Number of regions from which on an event is left to Python. */
enum { MAX_REGIONS = 64 };

/* A region of an event: the bytes that were read of those that were wanted. */
typedef struct {
  uint64_t address, wanted;
  const uint8_t *data;
  size_t size;
} Region;

/* regions.c: Returns 0 for what is not a region, without an error. */
int parse_region(PyObject *item, Region *region);

/* The regions of an event. `blobs` are the references that keep the bytes of blobs, NULL for other bytes. */
typedef struct {
  Region regions[MAX_REGIONS];
  PyObject *blobs[MAX_REGIONS];
  size_t count;
} EventMemory;

/* regions.c: Returns 0 for what is left to Python, without an error. The bytes belong to the tuple. */
int parse_regions(PyObject *tuple, EventMemory *memory);

/* Where bodies of events are, and where their blobs: `load_blob` returns a blob by its number, `recent` has some of them. */
typedef struct {
  const uint8_t *bytes;
  size_t size;
  PyObject *load_blob, *recent;
} Bodies;

/*
 * bodies.c: Read the regions of an event from a part of the bodies. They return 0 for what is left to Python, and after an error. The
 * bytes belong to the bodies, to the blobs, and to `entered`: the regions of the enter event, by which a leave event names its own.
 */
int load_enter(const Bodies *bodies, size_t start, size_t end, uint64_t *argument, EventMemory *memory);
int load_leave(const Bodies *bodies, size_t start, size_t end, const EventMemory *entered, EventMemory *memory);
void release_blobs(EventMemory *memory);

/* The keys of tracekmt.differ.keys. */
typedef struct {
  uint64_t weak, plain, contents;
  int is_exact;
} CallKeys;

/* keys.c: Returns 0 after an error. */
int make_call_keys(PyObject *form, uint64_t address, const EventMemory *memory, CallKeys *keys);

/* raw_events.c: Return the types RawEvents and ReadyEvents, NULL after an error. */
PyObject *make_raw_events_type(void);
PyObject *make_ready_events_type(void);

/* blocks.c: Returns the type Blocks, NULL after an error. */
PyObject *make_blocks_type(void);

/* framing.c */
void make_crc_tables(void);
PyObject *frame_events(PyObject *self, PyObject *arguments);

/* bodies.c */
PyObject *read_enter_body(PyObject *self, PyObject *arguments);
PyObject *read_leave_body(PyObject *self, PyObject *arguments);
PyObject *read_call(PyObject *self, PyObject *const *arguments, Py_ssize_t count);

/* program.c */
PyObject *new_program(PyObject *self, PyObject *arguments);

/* values.c */
PyObject *decode(PyObject *self, PyObject *const *arguments, Py_ssize_t count);
PyObject *find_bound_values(PyObject *self, PyObject *arguments);
PyObject *copy_value(PyObject *self, PyObject *value);

/* columns.c */
PyObject *gather_column(PyObject *self, PyObject *arguments);
PyObject *mix_columns(PyObject *self, PyObject *arguments);
PyObject *mix_objects(PyObject *self, PyObject *arguments);
PyObject *find_calls(PyObject *self, PyObject *arguments);
PyObject *positions_of(PyObject *self, PyObject *numbers);
PyObject *mix_uses(PyObject *self, PyObject *arguments);
PyObject *find_unchanged(PyObject *self, PyObject *arguments);

/* votes.c */
PyObject *count_votes(PyObject *self, PyObject *arguments);
PyObject *elect(PyObject *self, PyObject *arguments);
PyObject *common_distance(PyObject *self, PyObject *arguments);
PyObject *equal_values(PyObject *self, PyObject *arguments);

/* regions.c */
PyObject *relocate_regions(PyObject *self, PyObject *arguments);
PyObject *restore_regions(PyObject *self, PyObject *arguments);
PyObject *compare_regions(PyObject *self, PyObject *arguments);

/* history_plan.c */
PyObject *history_plan(PyObject *self, PyObject *arguments);
PyObject *history_choice(PyObject *self, PyObject *arguments);

/* live_objects.c: Returns the type LiveObjects, NULL after an error. */
PyObject *make_live_objects_type(void);

/* history_state.c */
PyObject *history_state(PyObject *self, PyObject *arguments);

/* history.c */
PyObject *read_history(PyObject *self, PyObject *arguments);
PyObject *mix_numbers(PyObject *self, PyObject *numbers);

/* keys.c */
PyObject *key_form(PyObject *self, PyObject *arguments);
PyObject *call_keys(PyObject *self, PyObject *arguments);
