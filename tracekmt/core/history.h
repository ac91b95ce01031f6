/* What the reader of a history knows: of each function by tracekmt.differ.plans, and of the calls so far by tracekmt.differ.read_history. */
#include "live_objects.h"
#include "program.h"

#define PLAN_NAME "tracekmt.core.history_plan"
#define CHOICE_NAME "tracekmt.core.history_choice"
#define STATE_NAME "tracekmt.core.history_state"

enum { RETURNS_STATUS, RETURNS_BOOLEAN, RETURNS_NOTHING };

enum { MAX_EFFECTS = 32, UNTRACKED = -1 };

/*
 * A description of what a call creates or destroys if its inputs satisfy conditions. `size`: of a new range, in units of `unit` bytes.
 * `pattern`: of its handles or addresses, `owners`: of the handles of what it is destroyed with, as numbers in the plan. `spaces`: those
 * that may contain what is destroyed. The space of a new object is the last one. `kind`: number of the kind of new objects for the calls
 * whose form depends on it, UNTRACKED without such calls.
 */
typedef struct {
  Selector *conditions;
  size_t count;
  Span size;
  int has_size, is_range, is_external, kind;
  unsigned long long unit;
  unsigned pattern;
  PyObject *owners, *owner_spaces, *spaces;
} Effect;

typedef struct {
  Effect *effects;
  size_t count;
} Effects;

/* What a path says: the number of its pattern in the plan, UNNAMED without, and that of the path itself. */
enum { UNNAMED };
typedef struct {
  uint32_t pattern, path;
} Role;

/* What is alike in all calls of a function, or in those with a handle of one kind if `is_chosen`. `roles`: by the keys of paths. */
typedef struct {
  PyObject *description, *in_form, *out_form, *program, *patterns;
  int in_is_exact, out_is_exact, returns, creates_ranges, is_chosen;
  unsigned function;
  Effects creates, destroys;
  NumberMap numbers;
  Role *roles;
  size_t count, capacity;
} Plan;

/* The place of a handle whose kind selects the plan of a call. It is behind a pointer if `is_pointer`. */
typedef struct {
  unsigned offset, size;
  int is_pointer;
} Choice;

/* Columns of the calls, in the order of tracekmt.differ.call_columns. */
enum {
  INDEXES, THREADS, WEAK, PLAIN, CONTENTS, OUTCOME, OFFSETS, IS_EXACT, FUNCTIONS, CALLERS, STATES,
  INPUT_STARTS, INPUT_COUNTS, OUTPUT_STARTS, OUTPUT_COUNTS, COLUMNS
};

/*
 * `references`: the objects of inputs and outputs of all calls. `plans`: by description, and the number of a kind in the upper half.
 * `kinds`: numbers of the kinds of handles. `live`: the objects. `dying`: calls in flight with the objects that they destroy. The last
 * three are functions in Python. `asking`: values of the inputs of a call that has returned.
 */
typedef struct {
  PyObject *columns[COLUMNS], *references, *plans, *kinds, *live, *callers, *dying, *location_type;
  PyObject *caller_of, *path_of, *set_outputs;
  Objects *objects;
  long long budgets[2];
  FoundValues found, asking;
} State;

/* The objects of the values of a call: their place in `references`, and the key of their offsets. */
typedef struct {
  uint64_t start;
  size_t count;
  uint64_t offsets;
} Numbers;

/* Whether an event was read, is left to Python, or raised an error. */
typedef enum { FAILED = -1, LEFT_TO_PYTHON, READ } Outcome;

/* What a call creates or destroys. */
typedef struct {
  const Effect *effects[MAX_EFFECTS];
  uint64_t sizes[MAX_EFFECTS];
  size_t count;
} Changes;

/* A call that succeeded, with the memory of its events. */
typedef struct {
  Plan *plan;
  const Program *program;
  uint64_t position, index, argument;
  const EventMemory *entered, *left;
} Success;

/* history.c: Returns LEFT_TO_PYTHON, or FAILED after an error that Python would not meet. */
Outcome left_unless_error(void);

/* history_plan.c: Sets the patterns and the path numbers of values. Returns 0 for what is left to Python, and after an error. */
int find_roles(const State *state, Plan *plan, FoundValues *found, const EventMemory *now, const EventMemory *before, uint64_t argument);

/* history_objects.c: Sets the effects that take place. Returns 0 for what is left to Python, and after an error. */
int read_changes(const Program *program, const Effects *effects, const EventMemory *entered, uint64_t argument, Changes *changes);

/* history_objects.c: Appends the objects of the values that were found: all, or none if the call is left to Python. */
Outcome number_values(const State *state, const Plan *plan, uint64_t position, Numbers *numbers);

/* history_objects.c: Finds the objects that a call destroys, from its inputs that were found. */
Outcome find_dying(State *state, Plan *plan, const Program *program, uint64_t index, uint64_t argument, const EventMemory *memory);

/*
 * history_objects.c: Creates and destroys the objects of a call, and sets `created` of the values that were found in its outputs. `asked`
 * becomes a list of whether the caller asked for the address of each new range. A call that is left to Python has changed nothing.
 */
Outcome change_objects(State *state, const Success *call, const Changes *creates, PyObject **asked);

/* history_objects.c: Forgets what a call in flight destroys. Returns 0 after an error. */
int forget_dying(const State *state, uint64_t index);

/* history_objects.c: Returns 1 if a call in flight destroys objects, -1 after an error. */
int is_destroying(const State *state, uint64_t index);
