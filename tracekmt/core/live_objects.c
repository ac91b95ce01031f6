/* The objects of a trace at one event: the work of tracekmt.differ.live_objects. */
#include "live_objects.h"

enum { ADDED, LIVE, LIVE_EXTERNAL, GONE };  /* states of objects; handles of external ones may be used by another process */
enum { COLUMN_COUNT = 6 };

typedef struct {
  PyObject_HEAD
  Objects objects;
} LiveObjects;

static PyTypeObject *type;  /* the module keeps it */

Objects *objects_of(PyObject *live_objects) {
  if (PyObject_TypeCheck(live_objects, type)) return &((LiveObjects *)live_objects)->objects;
  PyErr_SetString(PyExc_TypeError, "expected LiveObjects");
  return NULL;
}

uint32_t add_object(Objects *objects, const Object *object) {
  Object *more;
  if (objects->count >= UINT32_MAX) {
    PyErr_NoMemory();
    return NO_OBJECT;
  }
  if (!(more = reserve(objects->objects, objects->count, &objects->capacity, sizeof *more))) return NO_OBJECT;
  objects->objects = more;
  more += objects->count;
  *more = *object;
  more->death = NO_POSITION;
  more->size = 0;
  more->owner = more->first = more->previous = more->next = more->around = NO_OBJECT;
  more->state = ADDED;
  return (uint32_t)objects->count++;
}

/* Returns the space with a name, NULL without. Names are interned: equal ones are one object. */
static Space *find_space(const Objects *objects, PyObject *name, int is_range) {
  size_t i;
  for (i = 0; i < objects->space_count; i++)
    if (objects->spaces[i].name == name && objects->spaces[i].is_range == is_range) return objects->spaces + i;
  return NULL;
}

/* Returns the space with a name, which may be new. NULL after an error. */
static Space *get_space(Objects *objects, PyObject *name, int is_range) {
  Space *space = find_space(objects, name, is_range), *more;
  if (space) return space;
  if (!(more = realloc(objects->spaces, (objects->space_count + 1) * sizeof *more))) {
    PyErr_NoMemory();
    return NULL;
  }
  objects->spaces = more;
  space = more + objects->space_count++;
  memset(space, 0, sizeof *space);
  Py_INCREF(name);
  space->name = name;
  space->is_range = is_range;
  return space;
}

uint32_t find_object(const Objects *objects, PyObject *spaces, uint64_t handle) {
  Py_ssize_t count = PyTuple_Size(spaces), i;
  for (i = 0; i < count; i++) {
    const Space *space = find_space(objects, PyTuple_GetItem(spaces, i), 0);
    uint32_t number = space ? get_number(&space->handles, handle) : NO_OBJECT;
    if (number >= FIRST) return number;
  }
  return NO_OBJECT;
}

static uint32_t find_local(const Objects *objects, uint64_t handle) {
  size_t i;
  for (i = 0; i < objects->space_count; i++) {
    uint32_t number = get_number(&objects->spaces[i].handles, handle);
    if (number >= FIRST && objects->objects[number].state == LIVE) return number;
  }
  return NO_OBJECT;
}

static int was_destroyed(const Objects *objects, PyObject *spaces, uint64_t handle) {
  Py_ssize_t count = PyTuple_Size(spaces), i;
  for (i = 0; i < count; i++) {
    const Space *space = find_space(objects, PyTuple_GetItem(spaces, i), 0);
    if (space && get_number(&space->handles, handle) == DEAD) return 1;
  }
  return 0;
}

/* Returns the number for a handle without a live object of its kind. NO_OBJECT if it may be older than the trace. */
uint32_t find_unknown(const Objects *objects, PyObject *spaces, uint64_t handle) {
  uint32_t number = find_local(objects, handle);
  return number != NO_OBJECT || !was_destroyed(objects, spaces, handle) ? number : DEAD;
}

/* Returns the place of the first range that starts at an address or behind it, and has a number or a higher one. */
static size_t place_of(const Space *space, uint64_t start, uint32_t number) {
  size_t low = 0, high = space->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const RangeKey *key = space->ranges + middle;
    if (key->start < start || (key->start == start && key->number < number)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/* Returns whether an address is in a range. A range without a size has its first address only. */
static int contains(const Object *range, uint64_t address) {
  return range->state != GONE && address >= range->value && address - range->value < (range->size ? range->size : 1);
}

static uint32_t find_in_space(const Objects *objects, const Space *space, uint64_t address) {
  size_t place = place_of(space, address, UINT32_MAX);
  uint32_t number = place ? space->ranges[place - 1].number : NO_OBJECT;
  while (number != NO_OBJECT && !contains(objects->objects + number, address)) number = objects->objects[number].around;
  return number;
}

uint32_t find_range(const Objects *objects, PyObject *name, uint64_t address) {
  const Space *space = find_space(objects, name, 1);
  return space ? find_in_space(objects, space, address) : NO_OBJECT;
}

/* Adds a range. The ranges inside it know it from now on. */
static int add_range(Objects *objects, Space *space, uint32_t number) {
  Object *all = objects->objects, *added = all + number;
  RangeKey *more = reserve(space->ranges, space->count, &space->capacity, sizeof *more);
  size_t place;
  if (!more) return 0;
  space->ranges = more;
  added->around = find_in_space(objects, space, added->value);
  if (added->size > 1) {
    size_t end = place_of(space, added->value + added->size, 0);
    for (place = place_of(space, added->value + 1, 0); place < end; place++) {
      Object *outermost = all + space->ranges[place].number;
      while (outermost->around != NO_OBJECT && all[outermost->around].value > added->value) outermost = all + outermost->around;
      outermost->around = number;
    }
  }
  place = place_of(space, added->value, number);
  memmove(space->ranges + place + 1, space->ranges + place, (space->count++ - place) * sizeof *space->ranges);
  space->ranges[place] = (RangeKey){added->value, number};
  return 1;
}

static void remove_range(Space *space, const Object *range, uint32_t number) {
  size_t place = place_of(space, range->value, number);
  if (place == space->count || space->ranges[place].number != number) return;
  memmove(space->ranges + place, space->ranges + place + 1, (--space->count - place) * sizeof *space->ranges);
}

static void add_to_owner(Object *all, uint32_t number) {
  Object *object = all + number, *owner = all + object->owner;
  object->next = owner->first;
  if (owner->first != NO_OBJECT) all[owner->first].previous = number;
  owner->first = number;
}

static void remove_from_owner(Object *all, uint32_t number) {
  Object *object = all + number;
  if (object->owner == NO_OBJECT) return;
  if (object->previous != NO_OBJECT) all[object->previous].next = object->next;
  else all[object->owner].first = object->next;
  if (object->next != NO_OBJECT) all[object->next].previous = object->previous;
  object->owner = object->previous = object->next = NO_OBJECT;
}

/* Moves what is destroyed with an object to the front of the list that the object begins. */
static void take_children(Object *all, Object *object) {
  uint32_t last = object->first;
  if (last == NO_OBJECT) return;
  while (all[last].next != NO_OBJECT) last = all[last].next;
  all[last].next = object->next;
  object->next = object->first;
}

static void destroy_live(Objects *objects, uint32_t number, int64_t position) {
  Object *all = objects->objects;
  remove_from_owner(all, number);
  while (number != NO_OBJECT) {  /* the objects still to destroy are a list by `next` */
    Object *object = all + number;
    Space *space = objects->spaces + object->space;
    if (object->is_range) remove_range(space, object, number);
    else if (get_number(&space->handles, object->value) == number) put_number(&space->handles, object->value, DEAD);
    object->state = GONE;
    object->death = position;
    take_children(all, object);
    number = object->next;
    object->owner = object->first = object->previous = object->next = NO_OBJECT;
  }
}

void destroy_object(Objects *objects, uint32_t number, int64_t position) {
  Object *object = objects->objects + number;
  if (object->state == LIVE || object->state == LIVE_EXTERNAL) destroy_live(objects, number, position);
  else if (object->death == NO_POSITION) object->death = position;
}

int bind_object(Objects *objects, uint32_t number, PyObject *name, int is_external, uint32_t owner, uint64_t size) {
  Object *object = objects->objects + number;
  Space *space = get_space(objects, name, object->is_range);
  uint32_t older = NO_OBJECT;
  if (!space) return 0;
  object->space = (uint32_t)(space - objects->spaces);
  object->size = size < UINT64_MAX - object->value ? size : UINT64_MAX - object->value;
  if (object->is_range) {
    if (!add_range(objects, space, number)) return 0;
  } else {
    older = get_number(&space->handles, object->value);
    if (!put_number(&space->handles, object->value, number)) return 0;
  }
  object->state = is_external ? LIVE_EXTERNAL : LIVE;
  if (owner != NO_OBJECT) {
    object->owner = owner;
    add_to_owner(objects->objects, number);
  }
  if (older >= FIRST) destroy_object(objects, older, NO_POSITION);
  return 1;
}

/* The methods, see tracekmt.differ.live_objects. */

/* Adds what has the numbers below FIRST. Returns 0 after an error. */
static int begin(Objects *objects) {
  static const Object nothing = {.birth = NO_POSITION};
  while (objects->count < FIRST && !PyErr_Occurred()) add_object(objects, &nothing);
  return objects->count == FIRST;
}

static PyObject *new_live_objects(PyTypeObject *subtype, PyObject *arguments, PyObject *keywords) {
  allocfunc allocate = (allocfunc)PyType_GetSlot(subtype, Py_tp_alloc);
  PyObject *self = allocate(subtype, 0);
  if (self && !begin(&((LiveObjects *)self)->objects)) Py_CLEAR(self);
  return self;
}

static void empty(Objects *objects) {
  size_t i;
  for (i = 0; i < objects->space_count; i++) {
    Py_DECREF(objects->spaces[i].name);
    free_map(&objects->spaces[i].handles);
    free(objects->spaces[i].ranges);
  }
  free(objects->spaces);
  free(objects->objects);
  memset(objects, 0, sizeof *objects);
}

static void free_live_objects(PyObject *self) {
  PyTypeObject *own_type = Py_TYPE(self);
  empty(&((LiveObjects *)self)->objects);
  ((freefunc)PyType_GetSlot(own_type, Py_tp_free))(self);
  Py_DECREF(own_type);
}

/* Returns the object with a number, NULL after an error. */
static Object *object_at(Objects *objects, unsigned number) {
  if (number >= FIRST && number < objects->count) return objects->objects + number;
  PyErr_Format(PyExc_IndexError, "no object %u", number);
  return NULL;
}

static PyObject *add(PyObject *self, PyObject *arguments) {
  Objects *objects = &((LiveObjects *)self)->objects;
  Object object = {0};
  int is_range, is_chosen;
  uint32_t number;
  if (!PyArg_ParseTuple(arguments, "LIKpp:add", &object.birth, &object.path, &object.value, &is_range, &is_chosen)) return NULL;
  object.is_range = (uint8_t)is_range;
  object.is_chosen = (uint8_t)is_chosen;
  number = add_object(objects, &object);
  return number == NO_OBJECT ? NULL : PyLong_FromUnsignedLong(number);
}

static PyObject *bind(PyObject *self, PyObject *arguments) {
  Objects *objects = &((LiveObjects *)self)->objects;
  PyObject *space;
  int is_external;
  unsigned number, owner;
  unsigned long long size;
  const Object *object;
  if (!PyArg_ParseTuple(arguments, "IUpIK:bind", &number, &space, &is_external, &owner, &size)) return NULL;
  if (!(object = object_at(objects, number)) || (owner != NO_OBJECT && !object_at(objects, owner))) return NULL;
  if (object->state != ADDED) {
    PyErr_Format(PyExc_ValueError, "object %u is bound already", number);
    return NULL;
  }
  if (!bind_object(objects, number, space, is_external, owner, size)) return NULL;
  return new_reference(Py_None);
}

static PyObject *row(PyObject *self, PyObject *arguments) {
  Objects *objects = &((LiveObjects *)self)->objects;
  unsigned number;
  const Object *object;
  if (!PyArg_ParseTuple(arguments, "I:row", &number) || !(object = object_at(objects, number))) return NULL;
  return Py_BuildValue("(LKN)", object->birth, object->value, PyBool_FromLong(object->is_chosen));
}

static PyObject *find(PyObject *self, PyObject *arguments) {
  Objects *objects = &((LiveObjects *)self)->objects;
  PyObject *spaces;
  unsigned long long handle;
  if (!PyArg_ParseTuple(arguments, "O!K:find", &PyTuple_Type, &spaces, &handle)) return NULL;
  return PyLong_FromUnsignedLong(find_object(objects, spaces, handle));
}

static PyObject *find_at(PyObject *self, PyObject *arguments) {
  Objects *objects = &((LiveObjects *)self)->objects;
  PyObject *space;
  unsigned long long address;
  if (!PyArg_ParseTuple(arguments, "UK:find_at", &space, &address)) return NULL;
  return PyLong_FromUnsignedLong(find_range(objects, space, address));
}

static PyObject *find_freed(PyObject *self, PyObject *arguments) {
  Objects *objects = &((LiveObjects *)self)->objects;
  PyObject *name, *list;
  const Space *space;
  unsigned long long address;
  size_t first, place;
  uint32_t largest = NO_OBJECT;
  uint64_t size = 0;
  if (!PyArg_ParseTuple(arguments, "UK:find_freed", &name, &address) || !(list = PyList_New(0))) return NULL;
  if (!(space = find_space(objects, name, 1))) return list;
  first = place_of(space, address, 0);
  for (place = first; place < space->count && space->ranges[place].start == address; place++) {
    uint32_t number = space->ranges[place].number;
    if (largest != NO_OBJECT && objects->objects[number].size <= size) continue;
    largest = number;
    size = objects->objects[number].size;
  }
  for (place = first; largest != NO_OBJECT && place < space->count; place++) {
    uint64_t offset = space->ranges[place].start - address;
    uint32_t number = space->ranges[place].number;
    PyObject *item;
    int failed;
    if (offset >= (size ? size : 1)) break;
    if (objects->objects[number].size > size - offset) continue;
    item = PyLong_FromUnsignedLong(number);
    failed = !item || PyList_Insert(list, number == largest ? 0 : PyList_Size(list), item);
    Py_XDECREF(item);
    if (failed) {
      Py_DECREF(list);
      return NULL;
    }
  }
  return list;
}

static PyObject *find_unknown_handle(PyObject *self, PyObject *arguments) {
  Objects *objects = &((LiveObjects *)self)->objects;
  PyObject *spaces;
  unsigned long long handle;
  if (!PyArg_ParseTuple(arguments, "O!K:find_unknown", &PyTuple_Type, &spaces, &handle)) return NULL;
  return PyLong_FromUnsignedLong(find_unknown(objects, spaces, handle));
}

static PyObject *destroy(PyObject *self, PyObject *arguments) {
  Objects *objects = &((LiveObjects *)self)->objects;
  unsigned number;
  long long position;
  if (!PyArg_ParseTuple(arguments, "IL:destroy", &number, &position) || !object_at(objects, number)) return NULL;
  destroy_object(objects, number, position);
  return new_reference(Py_None);
}

/* Returns the columns of tracekmt.differ.columns.Objects as bytes, without `uses`, and forgets the objects. */
static PyObject *take(PyObject *self, PyObject *nothing) {
  static const size_t sizes[COLUMN_COUNT] = {8, 4, 8, 1, 1, 8};
  Objects *objects = &((LiveObjects *)self)->objects;
  PyObject *columns = PyTuple_New(COLUMN_COUNT);
  uint8_t *to[COLUMN_COUNT];
  size_t i;
  for (i = 0; columns && i < COLUMN_COUNT; i++) {
    PyObject *column = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(sizes[i] * objects->count));
    if (!column || PyTuple_SetItem(columns, (Py_ssize_t)i, column)) {
      Py_DECREF(columns);
      return NULL;
    }
    to[i] = (uint8_t *)PyBytes_AsString(column);
  }
  for (i = 0; columns && i < objects->count; i++) {
    const Object *object = objects->objects + i;
    memcpy(to[0] + 8 * i, &object->birth, 8);
    memcpy(to[1] + 4 * i, &object->path, 4);
    memcpy(to[2] + 8 * i, &object->value, 8);
    to[3][i] = object->is_range;
    to[4][i] = object->is_chosen;
    memcpy(to[5] + 8 * i, &object->death, 8);
  }
  if (!columns) return NULL;
  empty(objects);
  if (begin(objects)) return columns;
  Py_DECREF(columns);
  return NULL;
}

PyObject *make_live_objects_type(void) {
  static PyMethodDef methods[] = {
    {"add", add, METH_VARARGS, "Arguments: birth, path, value, whether it is a range and chosen. Return the number."},
    {"bind", bind, METH_VARARGS, "Arguments: number, space, whether it is external, owner or 0, size."},
    {"row", row, METH_VARARGS, "Argument: number. Return birth, value, whether it is chosen."},
    {"find", find, METH_VARARGS, "Arguments: spaces, handle. Return the number, 0 without."},
    {"find_at", find_at, METH_VARARGS, "Arguments: space, address. Return the number of the range, 0 without."},
    {"find_freed", find_freed, METH_VARARGS, "Arguments: space, address."},
    {"find_unknown", find_unknown_handle, METH_VARARGS, "Arguments: spaces, handle. Return the number, 0 for an older object."},
    {"destroy", destroy, METH_VARARGS, "Arguments: number, position of the call."},
    {"take", take, METH_NOARGS, "Return the columns."},
    {NULL, NULL, 0, NULL},
  };
  static PyType_Slot slots[] = {
    {Py_tp_new, new_live_objects}, {Py_tp_dealloc, free_live_objects}, {Py_tp_methods, methods},
    {Py_tp_doc, "See tracekmt.differ.live_objects."}, {0, NULL},
  };
  static PyType_Spec spec = {"tracekmt.core._core.LiveObjects", sizeof(LiveObjects), 0, Py_TPFLAGS_DEFAULT, slots};
  type = (PyTypeObject *)PyType_FromSpec(&spec);
  return (PyObject *)type;
}
