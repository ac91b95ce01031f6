/* What the reader of a history knows: of each function by tracekmt.differ.plans, and of the calls so far by tracekmt.differ.read_history. */
#include "program.h"

#define PLAN_NAME "tracekmt.core.history_plan"
#define CHOICE_NAME "tracekmt.core.history_choice"
#define STATE_NAME "tracekmt.core.history_state"

enum { RETURNS_STATUS, RETURNS_BOOLEAN, RETURNS_NOTHING };

/* A description of objects that a call creates or destroys if its inputs satisfy conditions. A new range may have a size. */
typedef struct {
  Selector *conditions;
  size_t count;
  Span size;
  int has_size;
} Effect;

typedef struct {
  Effect *effects;
  size_t count;
} Effects;

/* What is alike in all calls of a function, or in those with a handle of one kind if `is_chosen`. */
typedef struct {
  PyObject *description, *in_form, *out_form, *program;
  int in_is_exact, out_is_exact, returns, creates_ranges, is_chosen;
  unsigned function;
  Effects creates, destroys;
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
 * `references`: the objects of inputs and outputs of all calls. `plans`: by description, and the number of a kind in the upper half. `kinds`: numbers of the kinds of handles. `spaces`: live objects by
 * the name of their handle space, then by their handle. `dying`: calls in flight with the objects that they destroy. From `caller_of`
 * to `set_outputs`: functions in Python.
 */
typedef struct {
  PyObject *columns[COLUMNS], *references, *plans, *kinds, *spaces, *callers, *dying, *location_type;
  PyObject *caller_of, *find_range, *find_foreign_range, *number_unknown, *on_destroying, *on_success,
    *set_outputs, *live, *recorded;
  long long budgets[2];
  FoundValues found;
} State;
