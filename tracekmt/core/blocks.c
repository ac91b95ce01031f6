/* The blocks of the memory that a recorder shares with its target process; see tracekmt.record.buffer.blocks. */
#include "core.h"

#define IDLE UINT64_MAX

/* The target process writes the words at any time. Its stores and those here come in the order in which they are written. */
#ifdef _MSC_VER
#define LOAD(word) (*(const volatile uint64_t *)&(word))
#define STORE(word, value) (*(volatile uint64_t *)&(word) = (value))
#else
#define LOAD(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define STORE(word, value) __atomic_store_n(&(word), (value), __ATOMIC_RELEASE)
#endif

/* The words of a block, see tracekmt.trace.buffer_format.Block. Its fragments follow. */
typedef struct {
  uint64_t used, committed, active, closed, unused[4];
} BlockHeader;

/* tracekmt.record.buffer.blocks.Blocks. `found` has the bytes of each block that were found so far. */
typedef struct {
  PyObject_HEAD
  uint8_t *start;
  uint32_t *queue;
  uint64_t block_size, count;
  uint64_t *found;
} BlocksObject;

static BlockHeader *header_of(const BlocksObject *blocks, uint64_t number) {
  return (BlockHeader *)(blocks->start + number * blocks->block_size);
}

/* Gets the number of a block from a list. Returns 0 after an error. */
static int get_number(const BlocksObject *blocks, PyObject *numbers, Py_ssize_t i, uint64_t *number) {
  *number = PyLong_AsUnsignedLongLong(PyList_GetItem(numbers, i));
  if (!PyErr_Occurred() && *number >= blocks->count) PyErr_SetString(PyExc_ValueError, "no such block");
  return !PyErr_Occurred();
}

static PyObject *new_blocks(PyTypeObject *subtype, PyObject *arguments, PyObject *names) {
  allocfunc allocate = (allocfunc)PyType_GetSlot(subtype, Py_tp_alloc);
  unsigned long long memory, queue, start, block_size, count;
  BlocksObject *self;
  if (!PyArg_ParseTuple(arguments, "KKKKK:Blocks", &memory, &queue, &start, &block_size, &count)) return NULL;
  if (!(self = (BlocksObject *)allocate(subtype, 0))) return NULL;
  self->queue = (uint32_t *)(uintptr_t)(memory + queue);
  self->start = (uint8_t *)(uintptr_t)(memory + start);
  self->block_size = block_size;
  self->count = count;
  if ((self->found = calloc(count, sizeof *self->found))) return (PyObject *)self;
  Py_DECREF(self);
  return PyErr_NoMemory();
}

static void free_blocks(PyObject *self) {
  PyTypeObject *own_type = Py_TYPE(self);
  freefunc release = (freefunc)PyType_GetSlot(own_type, Py_tp_free);
  free(((BlocksObject *)self)->found);
  release(self);
  Py_DECREF(own_type);
}

static PyObject *lowest_active(PyObject *self, PyObject *numbers) {
  const BlocksObject *blocks = (BlocksObject *)self;
  Py_ssize_t i, count = PyList_Size(numbers);
  uint64_t number, lowest = IDLE;
  if (count < 0) return NULL;
  for (i = 0; i < count; i++) {
    uint64_t active;
    if (!get_number(blocks, numbers, i, &number)) return NULL;
    active = LOAD(header_of(blocks, number)->active);
    if (active < lowest) lowest = active;
  }
  return PyLong_FromUnsignedLongLong(lowest);
}

/* Copies what is new in a block. `invalid` gets a length that no block has. Returns 0 after an error. */
static int copy_block(BlocksObject *blocks, uint64_t number, PyObject *fragments, PyObject *complete, PyObject **invalid) {
  BlockHeader *header = header_of(blocks, number);
  uint64_t found = blocks->found[number], committed;
  int is_done;
  if (!LOAD(header->used)) return 1;
  /* The flags are read before `committed`, as in Python. */
  is_done = LOAD(header->closed) && LOAD(header->active) == IDLE;
  committed = LOAD(header->committed);
  if (committed < found || committed > blocks->block_size - sizeof *header) {
    if (!*invalid && !(*invalid = PyLong_FromUnsignedLongLong(committed))) return 0;
    committed = found;
  }
  if (committed > found && !append_new(fragments, Py_BuildValue("(Ky#)", (unsigned long long)number,
                                                               (const char *)(header + 1) + found, (Py_ssize_t)(committed - found))))
    return 0;
  blocks->found[number] = committed;
  return !is_done || LOAD(header->committed) > committed || append_new(complete, PyLong_FromUnsignedLongLong(number));
}

static PyObject *new_data(PyObject *self, PyObject *numbers) {
  BlocksObject *blocks = (BlocksObject *)self;
  PyObject *fragments = PyList_New(0), *complete = PyList_New(0), *invalid = NULL, *result = NULL;
  Py_ssize_t i, count = PyList_Size(numbers);
  uint64_t number;
  int failed = count < 0 || !fragments || !complete;
  for (i = 0; i < count && !failed; i++)
    failed = !get_number(blocks, numbers, i, &number) || !copy_block(blocks, number, fragments, complete, &invalid);
  if (!failed) result = Py_BuildValue("(OOO)", fragments, complete, invalid ? invalid : Py_None);
  Py_XDECREF(fragments);
  Py_XDECREF(complete);
  Py_XDECREF(invalid);
  return result;
}

static PyObject *release_blocks(PyObject *self, PyObject *arguments) {
  BlocksObject *blocks = (BlocksObject *)self;
  unsigned long long tail;
  PyObject *numbers;
  Py_ssize_t i, count;
  if (!PyArg_ParseTuple(arguments, "OK:release", &numbers, &tail) || (count = PyList_Size(numbers)) < 0) return NULL;
  for (i = 0; i < count; i++) {
    BlockHeader *header;
    uint64_t number;
    if (!get_number(blocks, numbers, i, &number)) return NULL;
    header = header_of(blocks, number);
    blocks->found[number] = 0;
    STORE(header->used, 0);
    STORE(header->committed, 0);
    STORE(header->closed, 0);
    STORE(header->active, IDLE);
    blocks->queue[(tail + (uint64_t)i) % blocks->count] = (uint32_t)number;
  }
  return new_reference(Py_None);
}

static PyObject *close_blocks(PyObject *self, PyObject *nothing) {
  ((BlocksObject *)self)->count = 0;
  return new_reference(Py_None);
}

PyObject *make_blocks_type(void) {
  static PyMethodDef methods[] = {
    {"lowest_active", lowest_active, METH_O, "See tracekmt.record.buffer.blocks.Blocks, as the other methods."},
    {"new_data", new_data, METH_O, "Copy the data that was not found before."},
    {"release", release_blocks, METH_VARARGS, "Append blocks to the queue of free blocks."},
    {"close", close_blocks, METH_NOARGS, "Use the memory no longer."},
    {NULL, NULL, 0, NULL},
  };
  static PyType_Slot slots[] = {
    {Py_tp_new, new_blocks}, {Py_tp_dealloc, free_blocks}, {Py_tp_methods, methods},
    {Py_tp_doc, "See tracekmt.record.buffer.blocks."}, {0, NULL},
  };
  static PyType_Spec spec = {"tracekmt.core._core.Blocks", sizeof(BlocksObject), 0, Py_TPFLAGS_DEFAULT, slots};
  return PyType_FromSpec(&spec);
}
