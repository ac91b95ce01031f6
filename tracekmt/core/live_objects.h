/* The objects of a trace at one event, by number: tracekmt.differ.live_objects. */
#include "number_map.h"

/*
 * `owner`: the object that this one is destroyed with. `first`: the first of those that are destroyed with this one, a list by `previous`
 * and `next`. `around`: of a range, the innermost one that contained its start when it was added, or was added around it.
 */
typedef struct {
  uint64_t value, size;
  int64_t birth, death;
  uint32_t path, space, owner, first, previous, next, around;
  uint8_t is_range, is_chosen, state;
} Object;

typedef struct {
  uint64_t start;
  uint32_t number;
} RangeKey;

/* The objects of the kinds that share handles, or addresses. `handles`: the object of each handle, DEAD for a destroyed one. */
typedef struct {
  PyObject *name;
  int is_range;
  NumberMap handles;
  RangeKey *ranges;
  size_t count, capacity;
} Space;

typedef struct {
  Object *objects;
  size_t count, capacity;
  Space *spaces;
  size_t space_count;
} Objects;

/* live_objects.c: those of tracekmt.differ.live_objects. Numbers are NO_OBJECT where Python has None. */
Objects *objects_of(PyObject *live_objects);
/* Returns NO_OBJECT after an error. */
uint32_t add_object(Objects *objects, const Object *object);
/* `is_external`: its handle may be one of another process. Returns 0 after an error. */
int bind_object(Objects *objects, uint32_t number, PyObject *space, int is_external, uint32_t owner, uint64_t size);
uint32_t find_object(const Objects *objects, PyObject *spaces, uint64_t handle);
uint32_t find_range(const Objects *objects, PyObject *space, uint64_t address);
uint32_t find_unknown(const Objects *objects, PyObject *spaces, uint64_t handle);
void destroy_object(Objects *objects, uint32_t number, int64_t position);
