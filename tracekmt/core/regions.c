/*
 * The memory of an event, as its regions: laid out at other addresses, and compared with that of another outcome. What has too many
 * regions is left to Python.
 */
#include "core.h"

typedef struct {
  Region regions[MAX_REGIONS];
  size_t count;
} Regions;

/* Recorded addresses and those that replace them. */
typedef struct {
  uint64_t from[MAX_REGIONS], to[MAX_REGIONS];
  size_t count;
} Addresses;

static int compare(const Region *a, const Region *b) {
  size_t shared = a->size < b->size ? a->size : b->size;
  int order;
  if (a->address != b->address) return a->address < b->address ? -1 : 1;
  if (a->wanted != b->wanted) return a->wanted < b->wanted ? -1 : 1;
  order = shared ? memcmp(a->data, b->data, shared) : 0;
  return order ? order : (a->size > b->size) - (a->size < b->size);
}

int parse_region(PyObject *item, Region *region) {
  Py_ssize_t size;
  if (!PyTuple_Check(item) || PyTuple_Size(item) != 3) return 0;
  region->address = PyLong_AsUnsignedLongLong(PyTuple_GetItem(item, 0));
  region->wanted = PyErr_Occurred() ? 0 : PyLong_AsUnsignedLongLong(PyTuple_GetItem(item, 1));
  if (PyErr_Occurred() || PyBytes_AsStringAndSize(PyTuple_GetItem(item, 2), (char **)&region->data, &size)) {
    PyErr_Clear();
    return 0;
  }
  region->size = (size_t)size;
  return 1;
}

int parse_regions(PyObject *tuple, EventMemory *memory) {
  Py_ssize_t count = PyTuple_Check(tuple) ? PyTuple_Size(tuple) : -1, i;
  if (count < 0 || count > MAX_REGIONS) return 0;
  for (i = 0; i < count; i++)
    if (!parse_region(PyTuple_GetItem(tuple, i), memory->regions + i)) return 0;
  memory->count = (size_t)count;
  return 1;
}

/* Reads and sorts regions. Returns 0 for what is left to Python. */
static int read_regions(PyObject *list, Regions *regions) {
  int is_list = PyList_Check(list);
  Py_ssize_t count = is_list ? PyList_Size(list) : PyTuple_Check(list) ? PyTuple_Size(list) : -1, i;
  regions->count = 0;
  if (count < 0 || count > MAX_REGIONS) return 0;
  for (i = 0; i < count; i++) {
    Region region;
    size_t at = regions->count++;
    if (!parse_region(is_list ? PyList_GetItem(list, i) : PyTuple_GetItem(list, i), &region)) return 0;
    if (region.address >> 63 || region.wanted >> 32) return 0;
    for (; at && compare(&region, regions->regions + at - 1) < 0; at--) regions->regions[at] = regions->regions[at - 1];
    regions->regions[at] = region;
  }
  return 1;
}

/* Returns the replacement of an address, that of the last one if there are several, or NULL. */
static const uint64_t *replacement(const Addresses *addresses, uint64_t address) {
  size_t i;
  for (i = addresses->count; i; i--)
    if (addresses->from[i - 1] == address) return addresses->to + i - 1;
  return NULL;
}

/* Replaces the pointers in bytes. An aligned word is a pointer if it equals an address. */
static void replace_pointers(uint8_t *bytes, size_t size, const Addresses *addresses, size_t word) {
  uint64_t lowest = UINT64_MAX, highest = 0;
  size_t i;
  for (i = 0; i < addresses->count; i++) {
    if (addresses->from[i] < lowest) lowest = addresses->from[i];
    if (addresses->from[i] > highest) highest = addresses->from[i];
  }
  for (i = 0; i + word <= size; i += word) {
    uint64_t value = 0;
    const uint64_t *other;
    memcpy(&value, bytes + i, word);
    if (value < lowest || value > highest) continue;
    if ((other = replacement(addresses, value))) memcpy(bytes + i, other, word);
  }
}

static PyObject *new_region(uint64_t address, uint64_t wanted, PyObject *data) {
  return Py_BuildValue("(KKN)", (unsigned long long)address, (unsigned long long)wanted, data);
}

static PyObject *none(void) {
  Py_INCREF(Py_None);
  return Py_None;
}

/* Returns the place of bytes in regions that are in order. NULL if they are not in one region. */
static uint8_t *find(const Regions *regions, uint64_t address, uint64_t size) {
  size_t i = regions->count;
  while (i && regions->regions[i - 1].address > address) i--;
  if (!i--) return NULL;
  address -= regions->regions[i].address;
  if (address >= regions->regions[i].size || size > regions->regions[i].size - address) return NULL;
  return (uint8_t *)regions->regions[i].data + address;
}

/* tracekmt.replayer.relocate.relocate. Returns None for inputs that have to be encoded. */
PyObject *relocate_regions(PyObject *self, PyObject *arguments) {
  PyObject *region_list, *patches, *list;
  unsigned long long next, guard, null_limit;
  Py_ssize_t word, i;
  Regions regions, placed = {.count = 0};
  Addresses addresses = {.count = 0};
  uint64_t end = 0;
  size_t at;
  if (!PyArg_ParseTuple(arguments, "OKKKnO!:relocate_regions", &region_list, &next, &guard, &null_limit, &word, &PyList_Type, &patches))
    return NULL;
  if ((word != 4 && word != 8) || !read_regions(region_list, &regions)) return left_to_python();
  for (at = 0; at < regions.count; at++) {
    const Region *region = regions.regions + at;
    uint64_t size = region->wanted ? region->wanted : 1;
    if (!region->size && region->wanted) {
      if (replacement(&addresses, region->address)) continue;
      addresses.from[addresses.count] = region->address;
      addresses.to[addresses.count++] = region->address >= null_limit ? guard : region->address;
      continue;
    }
    if (region->size != region->wanted || region->address < end || replacement(&addresses, region->address)) return none();
    addresses.from[addresses.count] = region->address;
    addresses.to[addresses.count++] = next;
    placed.regions[placed.count++] = *region;
    next += (size + 31) & ~15ull;
    end = region->address + size;
  }
  if (!(list = PyList_New((Py_ssize_t)placed.count))) return NULL;
  for (at = 0; at < placed.count; at++) {
    Region *region = placed.regions + at;
    size_t size = region->wanted ? (size_t)region->wanted : 1;
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size), *item;
    uint8_t *bytes;
    if (!data) goto fail;
    bytes = (uint8_t *)PyBytes_AsString(data);
    bytes[0] = 0;  /* of a region without bytes */
    memcpy(bytes, region->data, region->size);
    replace_pointers(bytes, region->size, &addresses, (size_t)word);
    region->data = bytes;
    region->size = size;
    if (!(item = new_region(*replacement(&addresses, region->address), size, data))) goto fail;
    PyList_SetItem(list, (Py_ssize_t)at, item);
  }
  for (i = 0; i < PyList_Size(patches); i++) {
    unsigned long long address;
    const char *data;
    Py_ssize_t size;
    uint8_t *place;
    if (!PyArg_ParseTuple(PyList_GetItem(patches, i), "Ky#", &address, &data, &size)) goto fail;
    if (!(place = find(&placed, address, (uint64_t)size))) {
      Py_DECREF(list);
      return none();
    }
    memcpy(place, data, (size_t)size);
  }
  return Py_BuildValue("(Ny#y#K)", list, (const char *)addresses.from, (Py_ssize_t)(8 * addresses.count),
                       (const char *)addresses.to, (Py_ssize_t)(8 * addresses.count), next);
fail:
  Py_DECREF(list);
  return NULL;
}

/* tracekmt.replayer.relocate.RelocatedCall.recorded */
PyObject *restore_regions(PyObject *self, PyObject *arguments) {
  PyObject *region_list, *list;
  const uint8_t *from, *to;
  Py_ssize_t from_size, to_size, word;
  Regions regions;
  Addresses addresses = {.count = 0};
  size_t i;
  if (!PyArg_ParseTuple(arguments, "Oy#y#n:restore_regions", &region_list, (const char **)&from, &from_size, (const char **)&to, &to_size,
                        &word))
    return NULL;
  if ((word != 4 && word != 8) || from_size != to_size || from_size > 8 * MAX_REGIONS || !read_regions(region_list, &regions))
    return left_to_python();
  for (; addresses.count < (size_t)from_size / 8; addresses.count++) {
    addresses.from[addresses.count] = load_u64(from + 8 * addresses.count);
    addresses.to[addresses.count] = load_u64(to + 8 * addresses.count);
  }
  for (i = 0; i < regions.count; i++)
    if (!replacement(&addresses, regions.regions[i].address)) return left_to_python();
  /* The new addresses of readable regions grow with the recorded ones, so the order stays. */
  if (!(list = PyList_New((Py_ssize_t)regions.count))) return NULL;
  for (i = 0; i < regions.count; i++) {
    const Region *region = regions.regions + i;
    PyObject *data = PyBytes_FromStringAndSize((const char *)region->data, (Py_ssize_t)region->size), *item;
    if (!data) goto fail;
    replace_pointers((uint8_t *)PyBytes_AsString(data), region->size, &addresses, (size_t)word);
    if (!(item = new_region(*replacement(&addresses, region->address), region->wanted, data))) goto fail;
    PyList_SetItem(list, (Py_ssize_t)i, item);
  }
  return list;
fail:
  Py_DECREF(list);
  return NULL;
}

static int are_equal(const Regions *a, const Regions *b) {
  size_t i;
  if (a->count != b->count) return 0;
  for (i = 0; i < a->count; i++)
    if (compare(a->regions + i, b->regions + i)) return 0;
  return 1;
}

enum { ADDRESS_OF_LOCATION = 5, SIZE_OF_LOCATION, VALUE_OF_LOCATION, LOCATION_SIZE };  /* tracekmt.codec.bound_values.BoundLocation */

typedef struct {
  uint64_t address, size, recorded;
} Location;

/* Returns 0 for what is no location of a number. */
static int read_location(PyObject *item, Location *location) {
  PyObject *value;
  int i;
  if (!PyTuple_Check(item) || PyTuple_Size(item) != LOCATION_SIZE) return 0;
  for (i = ADDRESS_OF_LOCATION; i < LOCATION_SIZE; i++)
    if (!PyLong_CheckExact(PyTuple_GetItem(item, i))) return 0;
  value = PyTuple_GetItem(item, VALUE_OF_LOCATION);
  location->address = PyLong_AsUnsignedLongLong(PyTuple_GetItem(item, ADDRESS_OF_LOCATION));
  location->size = PyLong_AsUnsignedLongLong(PyTuple_GetItem(item, SIZE_OF_LOCATION));
  location->recorded = PyLong_AsUnsignedLongLongMask(value);
  if (!PyErr_Occurred()) return 1;
  PyErr_Clear();
  return 0;
}

/*
 * Reads the values at locations, and replaces them by the recorded ones. Returns None if one has no place, NotImplemented for what is left
 * to Python.
 */
static PyObject *exchange(PyObject *locations, const Regions *replayed, const Regions *restored) {
  Py_ssize_t count = PyList_Size(locations), i;
  PyObject *values = PyList_New(count);
  for (i = 0; values && i < count; i++) {
    Location location;
    uint64_t value = 0;
    const uint8_t *at = NULL;
    int is_location = read_location(PyList_GetItem(locations, i), &location);
    if (is_location && location.size >= 1 && location.size <= 8) at = find(replayed, location.address, location.size);
    if (!at) {
      Py_DECREF(values);
      return is_location ? none() : left_to_python();
    }
    memcpy(&value, at, location.size);
    memcpy(find(restored, location.address, location.size), &location.recorded, location.size);
    PyList_SetItem(values, i, PyLong_FromUnsignedLongLong(value));
  }
  if (!PyErr_Occurred()) return values;
  Py_XDECREF(values);
  return NULL;
}

/* tracekmt.differ.fast_path.unchanged_except_bound_values. Returns True for equal memory, None for another one, or the values. */
PyObject *compare_regions(PyObject *self, PyObject *arguments) {
  PyObject *recorded_list, *replayed_list, *locations, *values;
  Regions recorded, replayed, restored;
  uint8_t *copy;
  size_t i, total = 0, held = 0;
  uint64_t end = 0;
  if (!PyArg_ParseTuple(arguments, "OOO!:compare_regions", &recorded_list, &replayed_list, &PyList_Type, &locations)) return NULL;
  if (!read_regions(recorded_list, &recorded) || !read_regions(replayed_list, &replayed)) return left_to_python();
  if (are_equal(&recorded, &replayed)) {
    Py_INCREF(Py_True);
    return Py_True;
  }
  for (i = 0; i < replayed.count; i++) {  /* Arena.holding */
    const Region region = replayed.regions[i];
    if (region.wanted && !region.size) continue;
    if (region.size != region.wanted || region.address < end) return none();
    end = region.address + region.size;
    total += region.size;
    replayed.regions[held++] = region;
  }
  replayed.count = held;
  if (!(copy = malloc(total + 1))) return PyErr_NoMemory();
  restored = replayed;
  for (i = total = 0; i < held; i++) {
    memcpy(copy + total, replayed.regions[i].data, replayed.regions[i].size);
    restored.regions[i].data = copy + total;
    total += replayed.regions[i].size;
  }
  values = exchange(locations, &replayed, &restored);
  if (values && PyList_Check(values) && !are_equal(&recorded, &restored)) {
    Py_DECREF(values);
    values = none();
  }
  free(copy);
  return values;
}
