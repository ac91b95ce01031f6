/* Programs: the form of structures as a tree of nodes, made once from the tuples of tracekmt.codec.programs. */
#include "program.h"

static void free_node(Node *node) {
  size_t i;
  for (i = 0; i < node->count; i++) free_node(node->children + i);
  free(node->children);
  free(node->selector.values);
  Py_XDECREF(node->name);
  Py_XDECREF(node->object);
  Py_XDECREF(node->bound);
}

static void free_program(PyObject *capsule) {
  Program *program = PyCapsule_GetPointer(capsule, PROGRAM_NAME);
  if (!program) return;
  free_node(&program->root);
  free(program);
}

static int read_length(PyObject *tuple, Length *length) {
  Span *span = &length->span;
  return PyArg_ParseTuple(tuple, "IIIKiLL", &span->parent, &span->start, &span->end, &span->mask, &length->deref, &length->add,
                          &length->minimum);
}

int read_span(PyObject *tuple, Span *span) {
  return PyArg_ParseTuple(tuple, "IIIK", &span->parent, &span->start, &span->end, &span->mask);
}

int read_selector(PyObject *tuple, Selector *selector) {
  Span *span = &selector->span;
  PyObject *values;
  Py_ssize_t count, i;
  if (!PyArg_ParseTuple(tuple, "IIIKiO!", &span->parent, &span->start, &span->end, &span->mask, &selector->negate, &PyTuple_Type,
                        &values))
    return 0;
  count = PyTuple_Size(values);
  if (count && !(selector->values = malloc((size_t)count * sizeof *selector->values))) {
    PyErr_NoMemory();
    return 0;
  }
  selector->count = (size_t)count;
  for (i = 0; i < count; i++) selector->values[i] = PyLong_AsUnsignedLongLong(PyTuple_GetItem(values, i));
  return !PyErr_Occurred();
}

/* Returns 1 if a node stays in the bytes that it is in, and has what its kind needs. */
static int is_valid(const Node *node, uint32_t limit) {
  static const uint8_t numbers[] = {[INTEGER] = 1, [FLOAT] = 1, [STRUCT_SIZE] = 1, [ADDRESS] = 1, [ENUMERATION] = 1, [FLAGS] = 1,
                                    [BIT_FIELDS] = 1, [POINTER] = 1, [BUFFER] = 1, [STRING] = 1, [PAYLOAD] = 1, [LEFT_POINTER] = 1,
                                    [LEFT] = 0};
  uint32_t size = node->size;
  size_t i;
  if (node->offset > limit || size > limit - node->offset) return 0;
  if (numbers[node->kind] && size != 1 && size != 2 && size != 4 && size != 8) return 0;
  if (node->kind == FLOAT && size < 4) return 0;
  if (node->kind == COUNTED_STRING && size != 8 && size != 16) return 0;
  if (node->kind == STRUCT) return node->program && node->program->size == size;
  if ((node->kind == ARRAY || node->kind == POINTER) && (node->count != 1 || node->children->offset)) return 0;
  if (node->kind == ARRAY && (!node->children->size || size % node->children->size)) return 0;
  if ((node->kind == BUFFER || node->kind == STRING || node->kind == PAYLOAD) && !node->has_length) return 0;
  if (node->kind == PAYLOAD && !node->has_selector) return 0;
  for (i = 0; i < node->count; i++) {
    const Node *child = node->children + i;
    if ((node->kind == UNION || node->kind == CHOICE || node->kind == PAYLOAD) != (child->kind == ARM)) return 0;
    if (node->kind == PAYLOAD && (child->count != 1 || !child->has_selector || child->children->offset)) return 0;
    if (node->kind == UNION && (child->count != 1 || child->children->offset || child->children->size > size)) return 0;
  }
  return 1;
}

static int build_children(Node *node, PyObject *children, uint32_t limit, int depth);

/* Builds a node from its tuple. `limit`: size of the bytes around it. Returns 0 after an error. */
static int build(Node *node, PyObject *tuple, uint32_t limit, int depth) {
  PyObject *length, *selector, *children, *ignored;
  int kind;
  if (!PyTuple_Check(tuple) || depth > MAX_DEPTH) {
    PyErr_SetString(PyExc_ValueError, "an invalid node");
    return 0;
  }
  if (!PyArg_ParseTuple(tuple, "iUIIiiOOOO!O", &kind, &node->name, &node->offset, &node->size, &node->flag, &node->searched,
                        &node->object, &length, &selector, &PyTuple_Type, &children, &node->bound)) {
    node->name = node->object = node->bound = NULL;
    return 0;
  }
  node->kind = (NodeKind)kind;
  Py_INCREF(node->name);
  Py_INCREF(node->object);
  Py_INCREF(node->bound);
  if (node->bound != Py_None && !PyArg_ParseTuple(node->bound, "OOOiO!p", &ignored, &ignored, &ignored, &node->binding, &PyTuple_Type,
                                                  &node->spaces, &node->is_external))
    return 0;
  node->has_length = length != Py_None;
  node->has_selector = selector != Py_None;
  if ((node->has_length && !read_length(length, &node->length)) || (node->has_selector && !read_selector(selector, &node->selector)))
    return 0;
  if (kind == STRUCT && !(node->program = PyCapsule_GetPointer(node->object, PROGRAM_NAME))) return 0;
  if (!build_children(node, children, kind == CHOICE || kind == ARM ? limit : UINT32_MAX, depth)) return 0;
  if (kind >= INTEGER && kind <= LEFT && is_valid(node, limit)) return 1;
  PyErr_Format(PyExc_ValueError, "an invalid node %U of kind %d", node->name, kind);
  return 0;
}

static int build_children(Node *node, PyObject *children, uint32_t limit, int depth) {
  Py_ssize_t count = PyTuple_Size(children), i;
  if (count && !(node->children = calloc((size_t)count, sizeof(Node)))) {
    PyErr_NoMemory();
    return 0;
  }
  for (i = 0; i < count; i++) {
    node->count++;
    if (!build(node->children + i, PyTuple_GetItem(children, i), limit, depth + 1)) return 0;
  }
  return 1;
}

/* Returns the program of a structure, from its size and the tuples of its members. */
PyObject *new_program(PyObject *self, PyObject *arguments) {
  PyObject *members, *capsule = NULL;
  Program *program = calloc(1, sizeof *program);
  if (!program) return PyErr_NoMemory();
  if (PyArg_ParseTuple(arguments, "IO!:program", &program->size, &PyTuple_Type, &members) &&
      build_children(&program->root, members, program->size, 0))
    capsule = PyCapsule_New(program, PROGRAM_NAME, free_program);
  if (!capsule) {
    free_node(&program->root);
    free(program);
  }
  return capsule;
}
