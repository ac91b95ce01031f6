/* The form of structures as tracekmt.codec.programs compiles it from descriptions. */
#include "core.h"

typedef enum {
  INTEGER,         /* signed if `flag` */
  FLOAT,
  STRUCT_SIZE,     /* left out if it is the size of the structure */
  ADDRESS,
  BYTES,
  TAIL,            /* bytes up to the end of the structure */
  TEXT,            /* `object` converts the bytes; up to the end of the structure if `flag` */
  ENUMERATION,     /* `object` maps numbers to members; other numbers are unsigned if `flag` */
  FLAGS,           /* `object` maps numbers to values */
  BIT_FIELDS,      /* `object` converts the number */
  COUNTED_STRING,  /* `object` converts the bytes */
  STRUCT,          /* `program` */
  ARRAY,           /* children: the element; `selector` is the number of valid ones, which the call only writes if `flag` */
  UNION,           /* children: arms, each with its type */
  CHOICE,          /* an unnamed union: children: arms, each with its fields; undecided if `flag` */
  ARM,
  POINTER,         /* children: the element; an array if it has a length */
  BUFFER,          /* `flag`: the length counts after the call */
  STRING,          /* `object` converts the bytes; `flag` is the size of a character */
  PAYLOAD,         /* children: arms; `selector` decides */
  LEFT_POINTER,    /* left to Python unless it is null */
  LEFT             /* left to Python */
} NodeKind;

/* A number in the structure `parent` steps outwards. */
typedef struct {
  uint32_t parent, start, end;
  uint64_t mask;
} Span;

typedef struct {
  Span span;
  int deref;
  int64_t add, minimum;
} Length;

/* A condition: the number is one of the values, or not zero without any. */
typedef struct {
  Span span;
  int negate;
  uint64_t *values;
  size_t count;
} Selector;

typedef struct Program Program;

typedef struct Node {
  NodeKind kind;
  PyObject *name, *object, *bound, *spaces;  /* `spaces`, `binding` and `is_external` are parts of `bound`; the last space is its own */
  int binding, is_external;
  uint32_t offset, size;
  int flag, searched, has_length, has_selector;
  Length length;
  Selector selector;
  struct Node *children;
  size_t count;
  const Program *program;  /* that of the capsule in `object` */
} Node;

struct Program {
  uint32_t size;
  Node root;  /* its children are the members */
};

/* How the values of a kind are bound: the order is that of tracekmt.codec.programs. */
typedef enum { HANDLE, RANGE, FENCE, PER_MACHINE, LITERAL } Binding;

/* A value that refers to an object. `path`: key of its path in the argument. The others are of the reader of a history. */
typedef struct {
  const Node *node;
  uint64_t value, path;
  uint32_t pattern, path_number, created;
} FoundValue;

typedef struct {
  FoundValue *values;
  size_t count, capacity;
} FoundValues;

/* program.c: Read a place of a number, and a condition, from tuples. They return 0 after an error. */
int read_span(PyObject *tuple, Span *span);
int read_selector(PyObject *tuple, Selector *selector);

/*
 * values.c: Search an argument for the values that find_bound_values returns. `before`: the memory at enter, NULL for a call that did not
 * return. `budgets`: of values and bytes. They return 0 or NULL for what is left to Python, and after an error.
 */
int search_values(const Program *program, const EventMemory *now, const EventMemory *before, uint64_t address,
                  const long long budgets[2], FoundValues *found);
PyObject *search_locations(const Program *program, PyObject *location_type, const EventMemory *now, const EventMemory *before,
                           uint64_t address, const long long budgets[2]);

/* values.c: Returns memory of a size at an address, NULL if there is none. */
const uint8_t *find_memory(const EventMemory *event, uint64_t address, uint64_t size);

/* values.c: Read an input number of an argument. They return 0 or -1 for what is left to Python. */
int read_input(const Program *program, const EventMemory *entered, uint64_t address, const Span *span, uint64_t *number);
int input_holds(const Program *program, const EventMemory *entered, uint64_t address, const Selector *selector);

#define PROGRAM_NAME "tracekmt.core.program"
#define MAX_DEPTH 64
