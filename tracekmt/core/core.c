/*
 * The core: the work that is done for every recorded event, in C. Each function does exactly what its counterpart in Python does,
 * which is named above it, and leaves to it what it does not handle.
 *
 * This file reads events in the form of hooks/recorder.c, and writes event frames in the form of docs/format.md.
 */
#include "number_map.h"

#define TIME_LIMIT (1ull << 62)

enum { ENTER = 1, LEAVE = 2, FRAGMENT_HEADER = 16, PIECE_HEADER = 24, COLUMNS = 8 };

/* The bytes that are written so far. `failed`: no memory was left. */
typedef struct {
  uint8_t *bytes;
  size_t size, capacity;
  int failed;
} Buffer;

static void *extend(Buffer *buffer, size_t size) {
  if (buffer->capacity - buffer->size < size) {
    size_t capacity = 2 * buffer->capacity + size + 4096;
    uint8_t *bytes = realloc(buffer->bytes, capacity);
    if (!bytes) {
      buffer->failed = 1;
      return NULL;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
  }
  buffer->size += size;
  return buffer->bytes + buffer->size - size;
}

static void append(Buffer *buffer, const void *data, size_t size) {
  void *place = extend(buffer, size);
  if (place && size) memcpy(place, data, size);
}

/* Appends a msgpack type byte and a big-endian number of some bytes. */
static void append_typed(Buffer *buffer, uint8_t type, uint64_t value, size_t size) {
  uint8_t *place = extend(buffer, 1 + size);
  if (!place) return;
  *place = type;
  for (; size; size--, value >>= 8) place[size] = (uint8_t)value;
}

static void append_number(Buffer *buffer, uint64_t value) {
  if (value < 0x80) append_typed(buffer, (uint8_t)value, 0, 0);
  else if (value < 1u << 8) append_typed(buffer, 0xCC, value, 1);
  else if (value < 1u << 16) append_typed(buffer, 0xCD, value, 2);
  else if (value < 1ull << 32) append_typed(buffer, 0xCE, value, 4);
  else append_typed(buffer, 0xCF, value, 8);
}

static void append_array(Buffer *buffer, size_t count) {
  if (count < 16) append_typed(buffer, (uint8_t)(0x90 | count), 0, 0);
  else if (count < 1u << 16) append_typed(buffer, 0xDC, count, 2);
  else append_typed(buffer, 0xDD, count, 4);
}

static void append_bytes(Buffer *buffer, const uint8_t *data, size_t size) {
  if (size < 1u << 8) append_typed(buffer, 0xC4, size, 1);
  else if (size < 1u << 16) append_typed(buffer, 0xC5, size, 2);
  else append_typed(buffer, 0xC6, size, 4);
  append(buffer, data, size);
}

/* The regions of an event. `joined` has the bytes of those that were written in several pieces. */
typedef struct {
  Region *regions;
  size_t count, capacity;
  uint8_t *joined;
  size_t joined_size, joined_capacity;
} Regions;

static void free_regions(Regions *regions) {
  free(regions->regions);
  free(regions->joined);
}

/* Appends a piece to the last region. The joined bytes of an event fit into the size of its content. */
static int join_piece(Regions *regions, const uint8_t *data, size_t size, size_t content_size) {
  Region *last = regions->regions + regions->count - 1;
  if (regions->joined_capacity < content_size) {  /* only at the first piece of an event, when no region is in it */
    free(regions->joined);
    regions->joined_capacity = 0;
    if (!(regions->joined = malloc(content_size))) return 0;
    regions->joined_capacity = content_size;
  }
  if (last->data != regions->joined + regions->joined_size - last->size || !last->size) {
    memcpy(regions->joined + regions->joined_size, last->data, last->size);
    last->data = regions->joined + regions->joined_size;
    regions->joined_size += last->size;
  }
  memcpy(regions->joined + regions->joined_size, data, size);
  regions->joined_size += size;
  last->size += size;
  return 1;
}

/* Finds the regions in the content of an event. Returns 0 for malformed content, and without memory. */
static int find_regions(const uint8_t *content, size_t size, size_t offset, Regions *regions) {
  regions->count = regions->joined_size = 0;
  while (offset < size) {
    const uint8_t *piece = content + offset;
    uint32_t copied, continued;
    if (size - offset < PIECE_HEADER) return 0;
    copied = load_u32(piece + 12);
    continued = load_u32(piece + 16);
    if (copied > size - offset - PIECE_HEADER || (continued && !regions->count)) return 0;
    if (continued) {
      if (!join_piece(regions, piece + PIECE_HEADER, copied, size)) return 0;
    } else {
      Region *region;
      if (regions->count == regions->capacity) {
        size_t capacity = 2 * regions->capacity + 16;
        Region *larger = realloc(regions->regions, capacity * sizeof(Region));
        if (!larger) return 0;
        regions->regions = larger;
        regions->capacity = capacity;
      }
      region = regions->regions + regions->count++;
      region->address = load_u64(piece);
      region->wanted = load_u32(piece + 8);
      region->data = piece + PIECE_HEADER;
      region->size = copied;
    }
    offset += PIECE_HEADER + (((size_t)copied + 7) & ~(size_t)7);
  }
  return 1;
}

/* tracekmt.trace.raw_events.RawEvent. PyTuple_SetItem takes over the items, also NULL after an error. */
static PyObject *raw_event(PyObject *sequence, uint8_t kind, const uint8_t *content, Py_ssize_t size) {
  PyObject *event = PyTuple_New(3);
  if (!event) return NULL;
  Py_INCREF(sequence);
  PyTuple_SetItem(event, 0, sequence);
  PyTuple_SetItem(event, 1, PyLong_FromLong(kind));
  PyTuple_SetItem(event, 2, PyBytes_FromStringAndSize((const char *)content, size));
  if (!PyErr_Occurred()) return event;
  Py_DECREF(event);
  return NULL;
}

/* tracekmt.trace.raw_events.split_fragments */
static PyObject *split_fragments(PyObject *self, PyObject *arguments) {
  const uint8_t *data;
  Py_ssize_t size, offset = 0;
  unsigned long long first, limit;
  long long highest = -1;
  PyObject *ready, *parts;
  if (!PyArg_ParseTuple(arguments, "y#KKO!:split_fragments", (const char **)&data, &size, &first, &limit, &PyDict_Type, &ready))
    return NULL;
  if (!(parts = PyList_New(0))) return NULL;
  while (offset < size) {
    const uint8_t *fragment = data + offset;
    uint64_t sequence;
    uint32_t length;
    PyObject *item;
    int failed;
    if (size - offset < FRAGMENT_HEADER) {
      PyErr_SetString(PyExc_ValueError, "a truncated fragment");
      goto fail;
    }
    length = load_u32(fragment);
    sequence = load_u64(fragment + 8);
    if (length < FRAGMENT_HEADER || length > size - offset || sequence >= limit) {
      PyErr_Format(PyExc_ValueError, "an invalid fragment of %lu bytes", (unsigned long)length);
      goto fail;
    }
    offset += length;
    if ((long long)sequence > highest) highest = (long long)sequence;
    if (sequence < first) continue;
    if (fragment[5] && !fragment[6] && !fragment[7]) {  /* the last fragment, and number 0 */
      PyObject *key = PyLong_FromUnsignedLongLong(sequence);
      item = key ? raw_event(key, fragment[4], fragment + FRAGMENT_HEADER, (Py_ssize_t)length - FRAGMENT_HEADER) : NULL;
      failed = !item || PyDict_SetItem(ready, key, item);
      Py_XDECREF(key);
    } else {
      item = Py_BuildValue("(Kiiiy#)", (unsigned long long)sequence, fragment[4], fragment[5] != 0, fragment[6] | fragment[7] << 8,
                           (const char *)fragment + FRAGMENT_HEADER, (Py_ssize_t)length - FRAGMENT_HEADER);
      failed = !item || PyList_Append(parts, item);
    }
    Py_XDECREF(item);
    if (failed) goto fail;
  }
  return Py_BuildValue("(NL)", parts, highest);
fail:
  Py_DECREF(parts);
  return NULL;
}

/* tracekmt.trace.buffer_format.Assembler.take: removes and returns consecutive events from `first` on, below `end`. */
static PyObject *take_run(PyObject *self, PyObject *arguments) {
  unsigned long long first, end;
  Py_ssize_t most;
  PyObject *ready, *events;
  if (!PyArg_ParseTuple(arguments, "O!KKn:take_run", &PyDict_Type, &ready, &first, &end, &most)) return NULL;
  if (!(events = PyList_New(0))) return NULL;
  for (; first < end && most > 0; first++, most--) {
    PyObject *sequence = PyLong_FromUnsignedLongLong(first), *event;
    int failed;
    if (!sequence) break;
    event = PyDict_GetItemWithError(ready, sequence);
    failed = !event || PyList_Append(events, event) || PyDict_DelItem(ready, sequence);
    Py_DECREF(sequence);
    if (failed) break;
  }
  if (!PyErr_Occurred()) return events;
  Py_DECREF(events);
  return NULL;
}

/* The state of one call of frame_events; see Writer.frame for the objects. */
typedef struct {
  PyObject *plain, *in_flight, *threads, *young, *old, *new_blobs, *digest;
  uint8_t *marks;
  size_t mark_count;
  long long next_call, blob_count;
  Py_ssize_t young_size, min_blob, long_blob, key_overhead;
  Buffer columns[COLUMNS], bodies;
  Regions entered, left;
} Framing;

/* zlib.crc32, eight bytes at once. */
static uint32_t crc_tables[8][256];

static void make_crc_tables(void) {
  uint32_t byte, bit, table, crc;
  for (byte = 0; byte < 256; byte++) {
    for (crc = byte, bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xEDB88320u ^ crc >> 1 : crc >> 1;
    crc_tables[0][byte] = crc;
  }
  for (byte = 0; byte < 256; byte++)
    for (table = 1; table < 8; table++)
      crc_tables[table][byte] = crc_tables[0][crc_tables[table - 1][byte] & 0xFF] ^ crc_tables[table - 1][byte] >> 8;
}

static uint32_t checksum(const uint8_t *data, size_t size) {
  uint32_t crc = 0xFFFFFFFFu;
  for (; size >= 8; data += 8, size -= 8) {
    uint64_t word = load_u64(data) ^ crc;
    crc = crc_tables[7][word & 0xFF] ^ crc_tables[6][word >> 8 & 0xFF] ^ crc_tables[5][word >> 16 & 0xFF] ^
          crc_tables[4][word >> 24 & 0xFF] ^ crc_tables[3][word >> 32 & 0xFF] ^ crc_tables[2][word >> 40 & 0xFF] ^
          crc_tables[1][word >> 48 & 0xFF] ^ crc_tables[0][word >> 56];
  }
  for (; size; data++, size--) crc = crc_tables[0][(crc ^ *data) & 0xFF] ^ crc >> 8;
  return ~crc;
}

/* tracekmt.trace.blob_numbers.BlobNumbers._is_first */
static int is_first(Framing *framing, const uint8_t *data, size_t size) {
  uint32_t crc = checksum(data, size);
  uint8_t *mark = framing->marks + 4 * (crc % framing->mark_count);
  if (load_u32(mark) == crc) return 0;
  memcpy(mark, &crc, 4);
  return 1;
}

/* Returns a new reference to the number of the blob with a content, by its key. NULL after an error. */
static PyObject *blob_number(Framing *framing, PyObject *content, PyObject *key) {
  PyObject *number = PyDict_GetItemWithError(framing->young, key);
  int failed;
  if (number || PyErr_Occurred()) {
    Py_XINCREF(number);
    return number;
  }
  number = PyDict_GetItemWithError(framing->old, key);
  failed = PyErr_Occurred() != NULL;
  Py_XINCREF(number);
  if (!number && !failed) {
    number = PyLong_FromLongLong(framing->blob_count++);
    failed = !number || PyList_Append(framing->new_blobs, content);
  }
  framing->young_size += PyBytes_Size(key) + framing->key_overhead;
  if (!failed && !PyDict_SetItem(framing->young, key, number)) return number;
  Py_XDECREF(number);
  return NULL;
}

/* Appends the number of the blob that stores the data, or the data itself. Returns 0 after an error. */
static int append_data(Framing *framing, const uint8_t *data, size_t size) {
  PyObject *content, *key, *number = NULL;
  int is_long = size >= (size_t)framing->long_blob;
  if (size < (size_t)framing->min_blob || (!is_long && is_first(framing, data, size))) {
    append_bytes(&framing->bodies, data, size);
    return 1;
  }
  if (!(content = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size))) return 0;
  key = is_long ? PyObject_CallFunctionObjArgs(framing->digest, content, NULL) : content;
  if (!is_long) Py_INCREF(content);
  if (key) number = blob_number(framing, content, key);
  if (number) append_number(&framing->bodies, PyLong_AsUnsignedLongLong(number));
  Py_XDECREF(key);
  Py_DECREF(content);
  Py_XDECREF(number);
  return number != NULL;
}

static int append_region(Framing *framing, const Region *region) {
  append_array(&framing->bodies, 3);
  append_number(&framing->bodies, region->address);
  append_number(&framing->bodies, region->wanted);
  return append_data(framing, region->data, region->size);
}

static void append_row(Framing *framing, uint8_t kind, int64_t call, uint64_t sequence, uint64_t time, uint32_t thread,
                       uint32_t function, uint64_t value, int64_t offset) {
  append(framing->columns + 0, &kind, 1);
  append(framing->columns + 1, &call, 8);
  append(framing->columns + 2, &sequence, 8);
  append(framing->columns + 3, &time, 8);
  append(framing->columns + 4, &thread, 4);
  append(framing->columns + 5, &function, 4);
  append(framing->columns + 6, &value, 8);
  append(framing->columns + 7, &offset, 8);
}

/* A place of an undescribed address in an argument, see tracekmt.record.process.memory_map.address_places. */
typedef struct {
  uint32_t pointer_offset, pointer_size, stride, offset, size;
} Place;

static const Region *region_at(const Regions *regions, uint64_t address) {
  size_t i;
  for (i = 0; i < regions->count; i++)
    if (regions->regions[i].address == address) return regions->regions + i;
  return NULL;
}

/* Returns 1 if all places of undescribed addresses were read and are zero. */
static int has_no_address(const Regions *regions, uint64_t argument, const uint8_t *places, size_t size) {
  const Region *outer = size ? region_at(regions, argument) : NULL;
  for (; size >= sizeof(Place); places += sizeof(Place), size -= sizeof(Place)) {
    const Region *region = outer;
    uint64_t pointer = 0;
    size_t start;
    Place place;
    memcpy(&place, places, sizeof place);
    if (!region || region->size < region->wanted) return 0;
    if (place.stride) {
      if ((uint64_t)place.pointer_offset + place.pointer_size > outer->size) return 0;
      memcpy(&pointer, outer->data + place.pointer_offset, place.pointer_size);
      if (!pointer) continue;
      region = region_at(regions, pointer);
      if (!region || region->size < region->wanted) return 0;
    }
    for (start = 0; start + place.offset + place.size <= region->size; start += place.stride) {
      if (!is_zero(region->data + start + place.offset, place.size)) return 0;
      if (!place.stride) break;
    }
  }
  return 1;
}

/* Frames an enter event. Returns 1, 0 for an event that is left to Python, -1 after an error. */
static int frame_enter(Framing *framing, PyObject *key, uint64_t sequence, PyObject *event, int64_t offset) {
  PyObject *content_object = PyTuple_GetItem(event, 2), *function, *places_object, *thread, *number, *entry;
  const uint8_t *content, *places;
  Py_ssize_t size, places_size;
  uint64_t spec_id, thread_id, count, i;
  uint32_t thread_number;
  if (PyBytes_AsStringAndSize(content_object, (char **)&content, &size)) return -1;
  if (size < 40) return 0;
  spec_id = load_u64(content + 8);
  thread_id = load_u64(content + 24);
  count = load_u64(content + 32);
  if (count > (uint64_t)(size - 40) / 8 || (spec_id | thread_id) >> 32 || load_u64(content) >= TIME_LIMIT) return 0;
  if (!(function = PyLong_FromUnsignedLongLong(spec_id))) return -1;
  places_object = PyDict_GetItemWithError(framing->plain, function);
  Py_DECREF(function);
  if (!places_object) return PyErr_Occurred() ? -1 : 0;
  if (PyBytes_AsStringAndSize(places_object, (char **)&places, &places_size)) return -1;
  if (!(thread = PyLong_FromUnsignedLongLong(thread_id))) return -1;
  number = PyDict_GetItemWithError(framing->threads, thread);
  Py_DECREF(thread);
  if (!number) return PyErr_Occurred() ? -1 : 0;
  thread_number = (uint32_t)PyLong_AsUnsignedLong(number);
  if (!find_regions(content, (size_t)size, 40 + 8 * (size_t)count, &framing->entered)) return 0;
  if (places_size && !(count && has_no_address(&framing->entered, load_u64(content + 40), places, (size_t)places_size))) return 0;

  append_array(&framing->bodies, 2);
  append_array(&framing->bodies, (size_t)count);
  for (i = 0; i < count; i++) append_number(&framing->bodies, load_u64(content + 40 + 8 * i));
  append_array(&framing->bodies, framing->entered.count);
  for (i = 0; i < framing->entered.count; i++)
    if (!append_region(framing, framing->entered.regions + i)) return -1;
  entry = Py_BuildValue("(LkKO)", framing->next_call, (unsigned long)thread_number, (unsigned long long)spec_id, content_object);
  if (!entry || PyDict_SetItem(framing->in_flight, key, entry)) {
    Py_XDECREF(entry);
    return -1;
  }
  Py_DECREF(entry);
  append_row(framing, 0, framing->next_call++, sequence, load_u64(content), thread_number, (uint32_t)spec_id,
             load_u64(content + 16), offset);
  return 1;
}

static int is_same_region(const Region *one, const Region *other) {
  return one->address == other->address && one->wanted == other->wanted && one->size == other->size &&
         !memcmp(one->data, other->data, one->size);
}

/* Frames a leave event, like frame_enter. A failed call is left to Python, which counts failures. */
static int frame_leave(Framing *framing, uint64_t sequence, PyObject *event, int64_t offset) {
  PyObject *key, *entry;
  const uint8_t *content, *entered;
  Py_ssize_t size, entered_size;
  long long call;
  unsigned long thread;
  unsigned long long spec_id;
  size_t i;
  if (PyBytes_AsStringAndSize(PyTuple_GetItem(event, 2), (char **)&content, &size)) return -1;
  if (size < 24 || (int32_t)load_u32(content + 16) < 0 || load_u64(content) >= TIME_LIMIT) return 0;
  if (!(key = PyLong_FromUnsignedLongLong(load_u64(content + 8)))) return -1;
  entry = PyDict_GetItemWithError(framing->in_flight, key);
  if (!entry || PyTuple_Size(entry) != 4) {
    Py_DECREF(key);
    return PyErr_Occurred() ? -1 : 0;
  }
  if (!PyArg_ParseTuple(entry, "LkKy#", &call, &thread, &spec_id, (const char **)&entered, &entered_size)) goto fail;
  if (!find_regions(content, (size_t)size, 24, &framing->left) ||
      !find_regions(entered, (size_t)entered_size, 40 + 8 * (size_t)load_u64(entered + 32), &framing->entered)) {
    Py_DECREF(key);
    return 0;
  }
  append_array(&framing->bodies, framing->left.count);
  for (i = 0; i < framing->left.count; i++) {
    const Region *region = framing->left.regions + i;
    if (i < framing->entered.count && is_same_region(region, framing->entered.regions + i)) append_number(&framing->bodies, i);
    else if (!append_region(framing, region)) goto fail;
  }
  if (PyDict_DelItem(framing->in_flight, key)) goto fail;
  Py_DECREF(key);
  append_row(framing, 1, call, sequence, load_u64(content), (uint32_t)thread, (uint32_t)spec_id, load_u64(content + 16), offset);
  return 1;
fail:
  Py_DECREF(key);
  return -1;
}

/* Frames one event, like frame_enter. */
static int frame_event(Framing *framing, PyObject *event, int64_t offset) {
  PyObject *key;
  uint64_t sequence;
  long kind;
  if (!PyTuple_Check(event) || PyTuple_Size(event) != 3) return 0;
  key = PyTuple_GetItem(event, 0);
  sequence = PyLong_AsUnsignedLongLong(key);
  kind = PyLong_AsLong(PyTuple_GetItem(event, 1));
  if (PyErr_Occurred()) return -1;
  if (kind == ENTER) return frame_enter(framing, key, sequence, event, offset);
  return kind == LEAVE ? frame_leave(framing, sequence, event, offset) : 0;
}

/* tracekmt.trace.writer.Writer.frame */
static PyObject *frame_events(PyObject *self, PyObject *arguments) {
  Framing framing = {0};
  PyObject *events, *marks, *columns = NULL, *result = NULL;
  Py_ssize_t position, count, row_limit, byte_limit, young_limit, rows = 0;
  long long body_offset;
  int i, framed = 1;
  if (!PyArg_ParseTuple(arguments, "O!nO!O!O!O!O!O!O!OLLnLnnnnnn:frame_events", &PyList_Type, &events, &position, &PyDict_Type,
                        &framing.plain, &PyDict_Type, &framing.in_flight, &PyDict_Type, &framing.threads, &PyByteArray_Type, &marks,
                        &PyDict_Type, &framing.young, &PyDict_Type, &framing.old, &PyList_Type, &framing.new_blobs, &framing.digest,
                        &framing.next_call, &framing.blob_count, &framing.young_size, &body_offset, &row_limit, &byte_limit,
                        &young_limit, &framing.min_blob, &framing.long_blob, &framing.key_overhead))
    return NULL;
  framing.marks = (uint8_t *)PyByteArray_AsString(marks);
  framing.mark_count = (size_t)PyByteArray_Size(marks) / 4;
  if (!framing.mark_count) {
    PyErr_SetString(PyExc_ValueError, "there are no marks");
    return NULL;
  }
  count = PyList_Size(events);
  while (position < count && rows < row_limit && (Py_ssize_t)framing.bodies.size < byte_limit && framing.young_size < young_limit) {
    framed = frame_event(&framing, PyList_GetItem(events, position), body_offset + (int64_t)framing.bodies.size);
    if (framed <= 0) break;
    position++;
    rows++;
  }
  for (i = 0; i < COLUMNS; i++) framing.bodies.failed |= framing.columns[i].failed;
  if (framed >= 0 && framing.bodies.failed) PyErr_NoMemory();
  else if (framed >= 0 && (columns = PyTuple_New(COLUMNS))) {
    for (i = 0; i < COLUMNS; i++) {
      Buffer *column = framing.columns + i;
      PyObject *bytes = PyBytes_FromStringAndSize((const char *)column->bytes, (Py_ssize_t)column->size);
      if (!bytes || PyTuple_SetItem(columns, i, bytes)) break;
    }
    if (!PyErr_Occurred())
      result = Py_BuildValue("(nLLnOy#)", position, framing.next_call, framing.blob_count, framing.young_size, columns,
                             framing.bodies.bytes ? (const char *)framing.bodies.bytes : "", (Py_ssize_t)framing.bodies.size);
    Py_DECREF(columns);
  }
  for (i = 0; i < COLUMNS; i++) free(framing.columns[i].bytes);
  free(framing.bodies.bytes);
  free_regions(&framing.entered);
  free_regions(&framing.left);
  return result;
}

/* The differences of EventTable.pack. They cannot overflow, because the numbers are less than 2^62. */
static PyObject *differences(PyObject *self, PyObject *column) {
  const uint8_t *values;
  uint8_t *packed;
  Py_ssize_t size, i;
  uint64_t before = 0;
  PyObject *result;
  if (PyBytes_AsStringAndSize(column, (char **)&values, &size) || !(result = PyBytes_FromStringAndSize(NULL, size))) return NULL;
  packed = (uint8_t *)PyBytes_AsString(result);
  for (i = 0; i + 8 <= size; i += 8) {
    uint64_t value = load_u64(values + i), difference = value - before;
    memcpy(packed + i, &difference, 8);
    before = value;
  }
  return result;
}

/* The opposite of differences. Raises OverflowError for a sum that is no signed 64-bit number, as array does. */
static PyObject *sums(PyObject *self, PyObject *column) {
  const uint8_t *values;
  uint8_t *unpacked;
  Py_ssize_t size, i;
  int64_t sum = 0;
  PyObject *result;
  if (PyBytes_AsStringAndSize(column, (char **)&values, &size) || !(result = PyBytes_FromStringAndSize(NULL, size))) return NULL;
  unpacked = (uint8_t *)PyBytes_AsString(result);
  for (i = 0; i + 8 <= size; i += 8) {
    int64_t difference = (int64_t)load_u64(values + i);
    if (difference < 0 ? sum < INT64_MIN - difference : sum > INT64_MAX - difference) {
      Py_DECREF(result);
      PyErr_SetNone(PyExc_OverflowError);
      return NULL;
    }
    sum += difference;
    memcpy(unpacked + i, &sum, 8);
  }
  return result;
}

static PyMethodDef methods[] = {
  {"split_fragments", split_fragments, METH_VARARGS, "See tracekmt.trace.raw_events.split_fragments."},
  {"take_run", take_run, METH_VARARGS, "See tracekmt.trace.buffer_format.Assembler.take."},
  {"frame_events", frame_events, METH_VARARGS, "See tracekmt.trace.writer.Writer.frame."},
  {"differences", differences, METH_O, "Return the difference of each 64-bit number in a column from the one before."},
  {"sums", sums, METH_O, "Return the sum of each 64-bit number in a column and those before it."},
  {"read_enter_body", read_enter_body, METH_VARARGS, "See tracekmt.trace.event_frame.enter_from_body."},
  {"read_leave_body", read_leave_body, METH_VARARGS, "See tracekmt.trace.event_frame.regions_from_body."},
  {"read_call", read_call, METH_VARARGS, "See tracekmt.trace.reader.Trace."},
  {"index_rows", index_rows, METH_VARARGS, "See tracekmt.trace.event_frame.EventFrame."},
  {"program", new_program, METH_VARARGS, "See tracekmt.codec.programs."},
  {"decode", decode, METH_VARARGS, "See tracekmt.codec.decode."},
  {"find_bound_values", find_bound_values, METH_VARARGS, "See tracekmt.codec.bound_values.BoundValueFinder.locations."},
  {"copy_value", copy_value, METH_O, "See tracekmt.trace.call."},
  {"gather_column", gather_column, METH_VARARGS, "See tracekmt.differ.columns.gather."},
  {"mix_columns", mix_columns, METH_VARARGS, "See tracekmt.differ.columns.mix."},
  {"mix_objects", mix_objects, METH_VARARGS, "See tracekmt.differ.columns.mix_objects."},
  {"positions_of", positions_of, METH_O, "See tracekmt.differ.columns.positions_of."},
  {"mix_uses", mix_uses, METH_VARARGS, "See tracekmt.differ.columns.uses_of."},
  {"mix_numbers", mix_numbers, METH_O, "See tracekmt.differ.columns.mix_numbers."},
  {"count_votes", count_votes, METH_VARARGS, "See tracekmt.differ.votes.count_votes."},
  {"elect", elect, METH_VARARGS, "See tracekmt.differ.votes.elect."},
  {"equal_values", equal_values, METH_VARARGS, "See tracekmt.differ.votes.equal_values."},
  {"find_unchanged", find_unchanged, METH_VARARGS, "See tracekmt.differ.columns.find_unchanged."},
  {"relocate_regions", relocate_regions, METH_VARARGS, "See tracekmt.replayer.relocate.relocate."},
  {"restore_regions", restore_regions, METH_VARARGS, "See tracekmt.replayer.relocate.RelocatedCall.recorded."},
  {"compare_regions", compare_regions, METH_VARARGS, "See tracekmt.differ.fast_path.unchanged_except_bound_values."},
  {"history_plan", history_plan, METH_VARARGS, "See tracekmt.differ.read_history."},
  {"history_choice", history_choice, METH_VARARGS, "See tracekmt.differ.read_history."},
  {"history_state", history_state, METH_VARARGS, "See tracekmt.differ.read_history."},
  {"read_history", read_history, METH_VARARGS, "See tracekmt.differ.read_history."},
  {"key_form", key_form, METH_VARARGS, "See tracekmt.differ.forms."},
  {"call_keys", call_keys, METH_VARARGS, "See tracekmt.differ.keys."},
  {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_core", "The native core of tracekmt.", 0, methods};

PyMODINIT_FUNC PyInit__core(void) {
  PyObject *core = PyModule_Create(&module), *live_objects = make_live_objects_type();
  int failed = !core || !live_objects || PyModule_AddObjectRef(core, "LiveObjects", live_objects) ||
               PyModule_AddStringConstant(core, "SOURCE", CORE_SOURCE);
  make_crc_tables();
  seed_maps();
  Py_XDECREF(live_objects);
  if (!failed) return core;
  Py_XDECREF(core);
  return NULL;
}
