/* Maps of numbers to numbers: open addressing, at most half full. */
#include "number_map.h"

/* Differs between processes, so that no trace can have many handles with one place. */
static uint64_t seed;

void seed_maps(void) {
  PyObject *text = PyUnicode_FromString("tracekmt");
  if (text) seed = (uint64_t)PyObject_Hash(text);
  Py_XDECREF(text);
}

static size_t place_of(const NumberMap *map, uint64_t key) {
  size_t place = (size_t)mix(seed, key) & (map->capacity - 1);
  while (map->values[place] && map->keys[place] != key) place = (place + 1) & (map->capacity - 1);
  return place;
}

uint32_t get_number(const NumberMap *map, uint64_t key) {
  return map->capacity ? map->values[place_of(map, key)] : 0;
}

static int grow(NumberMap *map) {
  NumberMap larger = {NULL, NULL, map->capacity ? 2 * map->capacity : 64, map->count};
  size_t i;
  larger.keys = malloc(larger.capacity * sizeof *larger.keys);
  larger.values = calloc(larger.capacity, sizeof *larger.values);
  if (!larger.keys || !larger.values) {
    free_map(&larger);
    PyErr_NoMemory();
    return 0;
  }
  for (i = 0; i < map->capacity; i++) {
    if (!map->values[i]) continue;
    size_t place = place_of(&larger, map->keys[i]);
    larger.keys[place] = map->keys[i];
    larger.values[place] = map->values[i];
  }
  free_map(map);
  *map = larger;
  return 1;
}

int put_number(NumberMap *map, uint64_t key, uint32_t number) {
  size_t place;
  if (!get_number(map, key)) {
    if (2 * map->count >= map->capacity && !grow(map)) return 0;
    map->count++;
  }
  place = place_of(map, key);
  map->keys[place] = key;
  map->values[place] = number;
  return 1;
}

void free_map(NumberMap *map) {
  free(map->keys);
  free(map->values);
}
