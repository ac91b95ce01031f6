/* Which objects of two traces belong together, by votes. See tracekmt.differ.votes. */
#include "columns.h"
#include "number_map.h"

/* The votes of one side: the favourite of each object, and how many votes it is ahead. */
typedef struct {
  uint8_t *favourites, *leads;
  size_t count;
} Votes;

static int add_vote(Votes *votes, uint32_t number, uint32_t other, uint64_t weight) {
  uint8_t *favourite = votes->favourites + 4 * (size_t)number, *at = votes->leads + 8 * (size_t)number;
  uint64_t lead;
  if (number >= votes->count) return set_error("no such object");
  lead = load_u64(at);
  if (load_u32(favourite) == other) lead += weight;
  else if (lead >= weight) lead -= weight;
  else {
    lead = weight - lead;
    memcpy(favourite, &other, 4);
  }
  memcpy(at, &lead, 8);
  return 1;
}

static int add_votes(Votes votes[2], const CallObjects *left, const CallObjects *right, uint64_t weight) {
  size_t i;
  if (left->count != right->count) return 1;
  for (i = 0; i < left->count; i++) {
    uint32_t a = object_at(left, i), b = object_at(right, i);
    if (a >= FIRST && b >= FIRST && !(add_vote(votes, a, b, weight) && add_vote(votes + 1, b, a, weight))) return 0;
  }
  return 1;
}

/* Moves the objects that a call created to `created`, which has room for them. Returns 0 for objects that do not exist. */
static int select_created(const CallObjects *objects, const Column *births, uint64_t call, uint8_t *created, CallObjects *selected) {
  size_t i;
  selected->at = created;
  selected->count = 0;
  for (i = 0; i < objects->count; i++) {
    uint32_t object = object_at(objects, i);
    if (object >= births->count) return set_error("no such object");
    if (number_at(births, object) == call) memcpy(created + 4 * selected->count++, &object, 4);
  }
  return 1;
}

/* tracekmt.differ.votes.count_votes */
PyObject *count_votes(PyObject *self, PyObject *arguments) {
  PyObject *partner_bytes, *parts[4], *birth_bytes[2], *vote_bytes[4], *result = NULL;
  unsigned long long use, birth;
  References inputs[2], outputs[2];
  Column partners, births[2], before[4];
  Votes votes[2] = {{NULL, NULL, 0}, {NULL, NULL, 0}};
  uint8_t *created[2] = {NULL, NULL};
  size_t i, side;
  if (!PyArg_ParseTuple(arguments, "O!(O!O!)(O!O!)(O!O!)(O!O!)(O!O!)KK:count_votes", &PyBytes_Type, &partner_bytes, &PyTuple_Type, parts,
                        &PyTuple_Type, parts + 1, &PyTuple_Type, parts + 2, &PyTuple_Type, parts + 3, &PyBytes_Type, birth_bytes,
                        &PyBytes_Type, birth_bytes + 1, &PyBytes_Type, vote_bytes, &PyBytes_Type, vote_bytes + 1, &PyBytes_Type,
                        vote_bytes + 2, &PyBytes_Type, vote_bytes + 3, &use, &birth))
    return NULL;
  if (!read_column(partner_bytes, 8, &partners)) return NULL;
  for (side = 0; side < 2; side++) {
    if (!read_references(parts[side], inputs + side) || !read_references(parts[2 + side], outputs + side) ||
        !read_column(birth_bytes[side], 8, births + side) || !read_column(vote_bytes[side], 4, before + side) ||
        !read_column(vote_bytes[2 + side], 8, before + 2 + side))
      return NULL;
    if (before[side].count != before[2 + side].count) {
      set_error("columns of different lengths");
      return NULL;
    }
  }
  for (side = 0; side < 2; side++) {
    votes[side].count = before[side].count;
    votes[side].favourites = malloc(4 * before[side].count + 1);
    votes[side].leads = malloc(8 * before[side].count + 1);
    created[side] = malloc(4 * outputs[side].objects.count + 1);
    if (!votes[side].favourites || !votes[side].leads || !created[side]) {
      PyErr_NoMemory();
      goto end;
    }
    memcpy(votes[side].favourites, before[side].bytes, 4 * before[side].count);
    memcpy(votes[side].leads, before[2 + side].bytes, 8 * before[side].count);
  }
  for (i = 0; i < partners.count; i++) {
    uint64_t calls[2] = {i, number_at(&partners, i)};
    CallObjects found[2][2], selected[2];
    if ((int64_t)calls[1] < 0) continue;
    for (side = 0; side < 2; side++)
      if (!objects_of_call(inputs + side, calls[side], found[0] + side) || !objects_of_call(outputs + side, calls[side], found[1] + side) ||
          !select_created(found[1] + side, births + side, calls[side], created[side], selected + side))
        goto end;
    if (!add_votes(votes, found[0], found[0] + 1, use) || !add_votes(votes, found[1], found[1] + 1, use) ||
        !add_votes(votes, selected, selected + 1, birth))
      goto end;
  }
  result = Py_BuildValue("(y#y#)(y#y#)", votes[0].favourites, (Py_ssize_t)(4 * votes[0].count), votes[1].favourites,
                         (Py_ssize_t)(4 * votes[1].count), votes[0].leads, (Py_ssize_t)(8 * votes[0].count), votes[1].leads,
                         (Py_ssize_t)(8 * votes[1].count));
end:
  for (side = 0; side < 2; side++) {
    free(votes[side].favourites);
    free(votes[side].leads);
    free(created[side]);
  }
  return result;
}

/* Chooses the favourites of the left objects, or those of which it is the favourite too. Returns 0 after an error. */
static int choose(const Column *left, const Column *right, int is_mutual, uint8_t *rights, uint8_t *lefts, uint8_t *taken) {
  size_t i;
  for (i = 0; i < left->count; i++) {
    uint32_t own = (uint32_t)i, other = load_u32(left->bytes + 4 * i);
    if (other >= right->count) return set_error("no such object");
    if (!other || taken[other] || load_u32(rights + 4 * i) || (is_mutual && load_u32(right->bytes + 4 * (size_t)other) != own)) continue;
    memcpy(rights + 4 * i, &other, 4);
    memcpy(lefts + 4 * (size_t)other, &own, 4);
    taken[other] = 1;
  }
  return 1;
}

/* tracekmt.differ.votes.elect */
PyObject *elect(PyObject *self, PyObject *arguments) {
  PyObject *bytes[2], *elected[2] = {NULL, NULL}, *result = NULL;
  Column left, right;
  uint8_t *rights, *lefts, *taken = NULL;
  if (!PyArg_ParseTuple(arguments, "O!O!:elect", &PyBytes_Type, bytes, &PyBytes_Type, bytes + 1) || !read_column(bytes[0], 4, &left) ||
      !read_column(bytes[1], 4, &right))
    return NULL;
  if ((elected[0] = new_column(left.count, 4, &rights)) && (elected[1] = new_column(right.count, 4, &lefts))) {
    memset(rights, 0, 4 * left.count);
    memset(lefts, 0, 4 * right.count);
    if (!(taken = calloc(right.count + 1, 1))) PyErr_NoMemory();
    else if (choose(&left, &right, 1, rights, lefts, taken) && choose(&left, &right, 0, rights, lefts, taken))
      result = PyTuple_Pack(2, elected[0], elected[1]);
  }
  free(taken);
  Py_XDECREF(elected[0]);
  Py_XDECREF(elected[1]);
  return result;
}

/* The columns of the objects of one side, and the keys of its calls. */
typedef struct {
  Column births, values, is_range, keys;
} Values;

static int read_values(PyObject *parts, Values *values) {
  PyObject *births, *numbers, *is_range, *keys;
  if (!PyArg_ParseTuple(parts, "OOOO", &births, &numbers, &is_range, &keys)) return 0;
  if (!read_column(births, 8, &values->births) || !read_column(numbers, 8, &values->values) ||
      !read_column(is_range, 1, &values->is_range) || !read_column(keys, 8, &values->keys))
    return 0;
  if (values->births.count != values->values.count || values->births.count != values->is_range.count || values->births.count >= UINT32_MAX)
    return set_error("columns of different lengths");
  return 1;
}

/* A distance between values, and how many pairs of objects have it. */
typedef struct {
  uint64_t distance, pairs;
} DistanceCount;

/* Counts the distances of pairs, in the order of the first pair with each. Returns 0 after an error. */
static int count_distances(const Column *chosen, const Values *left, const Values *right, int is_range, NumberMap *places,
                           DistanceCount *counts) {
  size_t i;
  for (i = 0; i < chosen->count; i++) {
    uint32_t other = load_u32(chosen->bytes + 4 * i), place;
    uint64_t distance;
    if (!other) continue;
    if (other >= right->births.count) return set_error("no such object");
    if ((int64_t)number_at(&left->births, i) < 0 || left->is_range.bytes[i] != is_range || right->is_range.bytes[other] != is_range) continue;
    distance = number_at(&right->values, other) - number_at(&left->values, i);
    if (!(place = get_number(places, distance))) {
      place = (uint32_t)places->count + 1;
      if (!put_number(places, distance, place)) return 0;
      counts[place - 1] = (DistanceCount){distance, 0};
    }
    counts[place - 1].pairs++;
  }
  return 1;
}

/* tracekmt.differ.votes.common_distance */
PyObject *common_distance(PyObject *self, PyObject *arguments) {
  PyObject *bytes, *parts[2], *result = NULL;
  Column chosen;
  Values left, right;
  int is_range;
  NumberMap places = {NULL, NULL, 0, 0};
  DistanceCount *counts, most = {0, 0};
  size_t i;
  if (!PyArg_ParseTuple(arguments, "O!O!O!p:common_distance", &PyBytes_Type, &bytes, &PyTuple_Type, parts, &PyTuple_Type, parts + 1,
                        &is_range) ||
      !read_column(bytes, 4, &chosen) || !read_values(parts[0], &left) || !read_values(parts[1], &right))
    return NULL;
  if (chosen.count > left.births.count) {
    set_error("columns of different lengths");
    return NULL;
  }
  if (!(counts = malloc((chosen.count + 1) * sizeof *counts))) return PyErr_NoMemory();
  if (count_distances(&chosen, &left, &right, is_range, &places, counts)) {
    for (i = 0; i < places.count; i++)
      if (counts[i].pairs > most.pairs) most = counts[i];
    result = PyLong_FromUnsignedLongLong(most.distance);
  }
  free_map(&places);
  free(counts);
  return result;
}

/* Sets the key of an object's value and of the call that created it. Returns 0 for an object that does not count, -1 after an error. */
static int key_of_value(const Values *values, size_t number, int is_range, uint64_t distance, uint64_t *key) {
  uint64_t birth = number_at(&values->births, number);
  if ((int64_t)birth < 0 || values->is_range.bytes[number] != is_range) return 0;
  if (birth >= values->keys.count) return set_error("no such call") - 1;
  *key = mix(mix(0, number_at(&values->keys, birth)), number_at(&values->values, number) - distance);
  return 1;
}

/* Lists the objects by key: `first` of each key, and the next one of each object. Returns 0 after an error. */
static int list_by_key(const Values *values, int is_range, uint64_t distance, NumberMap *first, uint32_t *next) {
  size_t number = values->births.count;
  while (number-- > FIRST) {
    uint64_t key;
    int counts = key_of_value(values, number, is_range, distance, &key);
    if (counts < 0) return 0;
    if (!counts) continue;
    next[number] = get_number(first, key);
    if (!put_number(first, key, (uint32_t)number)) return 0;
  }
  return 1;
}

/* Moves pairs of objects to `pairs`, the left one first. Returns their number, -1 after an error. */
static Py_ssize_t pair_by_key(const Values *values, int is_range, NumberMap *first, const uint32_t *next, uint8_t *pairs[2]) {
  Py_ssize_t count = 0;
  size_t number;
  for (number = FIRST; number < values->births.count; number++) {
    uint64_t key;
    uint32_t own = (uint32_t)number, other;
    int counts = key_of_value(values, number, is_range, 0, &key);
    if (counts < 0) return -1;
    if (!counts || (other = get_number(first, key)) < FIRST) continue;
    if (!put_number(first, key, next[other] ? next[other] : 1)) return -1;  /* 1: there are no more */
    memcpy(pairs[0] + 4 * count, &own, 4);
    memcpy(pairs[1] + 4 * count++, &other, 4);
  }
  return count;
}

/* tracekmt.differ.votes.equal_values */
PyObject *equal_values(PyObject *self, PyObject *arguments) {
  PyObject *parts[2], *result = NULL;
  Values left, right;
  unsigned long long distance;
  int is_range;
  NumberMap first = {NULL, NULL, 0, 0};
  uint32_t *next;
  uint8_t *pairs[2];
  if (!PyArg_ParseTuple(arguments, "O!O!Kp:equal_values", &PyTuple_Type, parts, &PyTuple_Type, parts + 1, &distance, &is_range) ||
      !read_values(parts[0], &left) || !read_values(parts[1], &right))
    return NULL;
  next = malloc(4 * right.births.count + 1);
  pairs[0] = malloc(4 * left.births.count + 1);
  pairs[1] = malloc(4 * left.births.count + 1);
  if (!next || !pairs[0] || !pairs[1]) PyErr_NoMemory();
  else if (list_by_key(&right, is_range, distance, &first, next)) {
    Py_ssize_t count = pair_by_key(&left, is_range, &first, next, pairs);
    if (count >= 0) result = Py_BuildValue("(y#y#)", pairs[0], 4 * count, pairs[1], 4 * count);
  }
  free_map(&first);
  free(next);
  free(pairs[0]);
  free(pairs[1]);
  return result;
}
