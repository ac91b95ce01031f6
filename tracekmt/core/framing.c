/*
 * Frames of events: the work of tracekmt.trace.writer.Writer.frame, in the form of docs/format.md. Each function does exactly what its
 * counterpart in Python does, which is named above it, and leaves to it what it does not handle.
 */
#include "raw_events.h"

#define TIME_LIMIT (1ull << 62)

enum { PIECE_HEADER = 24, COLUMNS = 8, CACHED_BLOBS = 512, CACHED_THREADS = 64, NO_CALL = -1 };

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

/* A content of an event, its checksum if it is short, and the number of the blob that stores it, if one does. */
typedef struct {
  const uint8_t *data;
  size_t size;
  uint64_t number;
  uint32_t crc;
  int is_numbered;
} CachedBlob;

typedef struct {
  uint64_t system_id;
  uint32_t number;
  int is_known;
} CachedThread;

/* The head of a call in flight, see tracekmt.trace.writer. The content of its enter event follows. */
typedef struct {
  int64_t call;
  uint32_t thread, function;
} CallHead;

/*
 * The state of one call of frame_events; see Writer.frame for the objects. `events` are consecutive, and `event` is the one in work.
 * `heads` has those of the calls that were entered among them, and NO_CALL for other events. `blobs` has contents that appeared among them.
 */
typedef struct {
  PyObject *plain, *in_flight, *threads, *young, *old, *new_blobs, *digest;
  uint8_t *marks;
  size_t mark_count;
  long long next_call, blob_count;
  Py_ssize_t young_size, min_blob, long_blob, key_overhead;
  Buffer columns[COLUMNS], bodies;
  Regions entered, left;
  const RawEvent *events, *event;
  CallHead *heads;
  CachedBlob blobs[CACHED_BLOBS];
  CachedThread known_threads[CACHED_THREADS];
} Framing;

/* zlib.crc32, eight bytes at once. */
static uint32_t crc_tables[8][256];

void make_crc_tables(void) {
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
static int is_first(Framing *framing, uint32_t crc) {
  uint8_t *mark = framing->marks + 4 * (crc % framing->mark_count);
  if (load_u32(mark) == crc) return 0;
  memcpy(mark, &crc, 4);
  return 1;
}

/* Returns the entry of the cache for a content. */
static CachedBlob *cached_blob(Framing *framing, const uint8_t *data, size_t size) {
  uint64_t keys[4] = {size, 1, 2, 3};
  size_t i = 0, lane;
  for (; i + 32 <= size; i += 32)
    for (lane = 0; lane < 4; lane++) keys[lane] = (keys[lane] ^ load_u64(data + i + 8 * lane)) * 0x9E3779B97F4A7C15 + 1;
  for (; i < size; i++) keys[0] = keys[0] * 31 + data[i];
  return framing->blobs + mix(mix(keys[0], keys[1]), mix(keys[2], keys[3])) % CACHED_BLOBS;
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

/* Finds the number of the blob that stores the data. Returns 0 after an error. */
static int find_blob(Framing *framing, const uint8_t *data, size_t size, uint64_t *number) {
  PyObject *content = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size), *key = NULL, *found = NULL;
  if (content && size < (size_t)framing->long_blob) key = new_reference(content);
  else if (content) key = PyObject_CallFunctionObjArgs(framing->digest, content, NULL);
  if (key) found = blob_number(framing, content, key);
  if (found) *number = PyLong_AsUnsignedLongLong(found);
  Py_XDECREF(key);
  Py_XDECREF(content);
  Py_XDECREF(found);
  return found != NULL;
}

/* Appends the number of the blob that stores the data, or the data itself. Returns 0 after an error. Joined pieces are not cached. */
static int append_data(Framing *framing, const uint8_t *data, size_t size) {
  CachedBlob *cached = NULL, joined;
  if (size >= (size_t)framing->min_blob) {
    cached = cached_blob(framing, data, size);
    if (cached->size != size || memcmp(cached->data, data, size)) {
      if (data < framing->event->content || data >= framing->event->content + framing->event->size) cached = &joined;
      *cached = (CachedBlob){data, size, 0, size < (size_t)framing->long_blob ? checksum(data, size) : 0, 0};
    }
  }
  if (!cached || (size < (size_t)framing->long_blob && is_first(framing, cached->crc))) {
    append_bytes(&framing->bodies, data, size);
    return 1;
  }
  if (!cached->is_numbered && !find_blob(framing, data, size, &cached->number)) return 0;
  cached->is_numbered = 1;
  append_number(&framing->bodies, cached->number);
  return 1;
}

static int append_region(Framing *framing, const Region *region) {
  append_array(&framing->bodies, 3);
  append_number(&framing->bodies, region->address);
  append_number(&framing->bodies, region->wanted);
  return append_data(framing, region->data, region->size);
}

static void append_row(Framing *framing, uint8_t kind, uint64_t sequence, uint64_t time, const CallHead *head, uint64_t value,
                       int64_t offset) {
  append(framing->columns + 0, &kind, 1);
  append(framing->columns + 1, &head->call, 8);
  append(framing->columns + 2, &sequence, 8);
  append(framing->columns + 3, &time, 8);
  append(framing->columns + 4, &head->thread, 4);
  append(framing->columns + 5, &head->function, 4);
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

/* Returns the value that a dict has for a number. NULL without one, and after an error. */
static PyObject *get_item(PyObject *dict, uint64_t number) {
  PyObject *key = PyLong_FromUnsignedLongLong(number), *value = key ? PyDict_GetItemWithError(dict, key) : NULL;
  Py_XDECREF(key);
  return value;
}

/* Returns 1 if a thread has a number, 0 for a new thread, -1 after an error. */
static int find_thread(Framing *framing, uint64_t system_id, uint32_t *number) {
  CachedThread *known = framing->known_threads + system_id % CACHED_THREADS;
  if (!known->is_known || known->system_id != system_id) {
    PyObject *found = get_item(framing->threads, system_id);
    if (!found) return PyErr_Occurred() ? -1 : 0;
    *known = (CachedThread){system_id, (uint32_t)PyLong_AsUnsignedLong(found), 1};
  }
  *number = known->number;
  return 1;
}

/* Frames an enter event. Returns 1, 0 for an event that is left to Python, -1 after an error. */
static int frame_enter(Framing *framing, const RawEvent *event, int64_t offset) {
  const uint8_t *content = event->content, *places;
  PyObject *places_object;
  Py_ssize_t places_size;
  uint64_t spec_id, thread_id, count, i;
  CallHead head;
  int found;
  if (event->size < 40) return 0;
  spec_id = load_u64(content + 8);
  thread_id = load_u64(content + 24);
  count = load_u64(content + 32);
  if (count > (event->size - 40) / 8 || (spec_id | thread_id) >> 32 || load_u64(content) >= TIME_LIMIT) return 0;
  if (!(places_object = get_item(framing->plain, spec_id))) return PyErr_Occurred() ? -1 : 0;
  if (PyBytes_AsStringAndSize(places_object, (char **)&places, &places_size)) return -1;
  head = (CallHead){framing->next_call, 0, (uint32_t)spec_id};
  if ((found = find_thread(framing, thread_id, &head.thread)) <= 0) return found;
  if (!find_regions(content, event->size, 40 + 8 * (size_t)count, &framing->entered)) return 0;
  if (places_size && !(count && has_no_address(&framing->entered, load_u64(content + 40), places, (size_t)places_size))) return 0;

  append_array(&framing->bodies, 2);
  append_array(&framing->bodies, (size_t)count);
  for (i = 0; i < count; i++) append_number(&framing->bodies, load_u64(content + 40 + 8 * i));
  append_array(&framing->bodies, framing->entered.count);
  for (i = 0; i < framing->entered.count; i++)
    if (!append_region(framing, framing->entered.regions + i)) return -1;
  framing->heads[event - framing->events] = head;
  append_row(framing, ENTER_ROW, event->sequence, load_u64(content), &head, load_u64(content + 16), offset);
  framing->next_call++;
  return 1;
}

static int is_same_region(const Region *one, const Region *other) {
  return one->address == other->address && one->wanted == other->wanted && one->size == other->size &&
         !memcmp(one->data, other->data, one->size);
}

/* Returns the number of the region of the enter event that a region of the leave event equals, `count` if none does. */
static size_t find_entered(const Framing *framing, size_t number) {
  const Region *region = framing->left.regions + number;
  size_t count = framing->entered.count, other = count;
  if (framing->left.count == count) return is_same_region(region, framing->entered.regions + number) ? number : count;
  while (other--)
    if (is_same_region(region, framing->entered.regions + other)) return other;
  return count;
}

/* Frames the leave event of a call by the content of its enter event, like frame_enter. */
static int frame_left(Framing *framing, const RawEvent *event, const CallHead *head, const uint8_t *entered, size_t entered_size,
                      int64_t offset) {
  const uint8_t *content = event->content;
  size_t i;
  if (!find_regions(content, event->size, 24, &framing->left) ||
      !find_regions(entered, entered_size, 40 + 8 * (size_t)load_u64(entered + 32), &framing->entered))
    return 0;
  /* Of other numbers of regions, each is compared with each. */
  if (framing->left.count != framing->entered.count && (framing->left.count > MAX_REGIONS || framing->entered.count > MAX_REGIONS)) return 0;
  append_array(&framing->bodies, framing->left.count);
  for (i = 0; i < framing->left.count; i++) {
    size_t same = find_entered(framing, i);
    if (same < framing->entered.count) append_number(&framing->bodies, same);
    else if (!append_region(framing, framing->left.regions + i)) return -1;
  }
  append_row(framing, LEAVE_ROW, event->sequence, load_u64(content), head, load_u64(content + 16), offset);
  return 1;
}

/* Frames the leave event of a call that an earlier call of frame_events entered, like frame_enter. */
static int frame_earlier(Framing *framing, const RawEvent *event, uint64_t entered, int64_t offset) {
  PyObject *key = PyLong_FromUnsignedLongLong(entered), *entry = key ? PyDict_GetItemWithError(framing->in_flight, key) : NULL;
  int framed = 0;
  if (entry && PyBytes_Check(entry)) {
    const uint8_t *bytes = (const uint8_t *)PyBytes_AsString(entry);
    CallHead head;
    memcpy(&head, bytes, sizeof head);
    framed = frame_left(framing, event, &head, bytes + sizeof head, (size_t)PyBytes_Size(entry) - sizeof head, offset);
  }
  if (framed > 0) PyDict_DelItem(framing->in_flight, key);
  Py_XDECREF(key);
  return PyErr_Occurred() ? -1 : framed;
}

/* Frames a leave event, like frame_enter. A failed call is left to Python, which counts failures. */
static int frame_leave(Framing *framing, const RawEvent *event, int64_t offset) {
  uint64_t entered, distance;
  int framed;
  if (event->size < 24 || (int32_t)load_u32(event->content + 16) < 0 || load_u64(event->content) >= TIME_LIMIT) return 0;
  entered = load_u64(event->content + 8);
  distance = event->sequence - entered;
  if (distance && distance <= (uint64_t)(event - framing->events)) {
    const RawEvent *enter = event - distance;
    CallHead *head = framing->heads + (enter - framing->events);
    if (head->call == NO_CALL) return 0;
    framed = frame_left(framing, event, head, enter->content, enter->size, offset);
    if (framed > 0) head->call = NO_CALL;
    return framed;
  }
  return frame_earlier(framing, event, entered, offset);
}

/* Frames one event, like frame_enter. An event that does not follow the one before it is left to Python. */
static int frame_event(Framing *framing, const RawEvent *event, int64_t offset) {
  framing->event = event;
  framing->heads[event - framing->events].call = NO_CALL;
  if (event > framing->events && event->sequence != event[-1].sequence + 1) return 0;
  if (event->kind == ENTER) return frame_enter(framing, event, offset);
  return event->kind == LEAVE ? frame_leave(framing, event, offset) : 0;
}

/* Keeps the calls in flight among the first events for later ones. Returns 0 after an error. */
static int keep_in_flight(Framing *framing, size_t count) {
  size_t i;
  for (i = 0; i < count; i++) {
    const CallHead *head = framing->heads + i;
    const RawEvent *event = framing->events + i;
    PyObject *key, *entry;
    int failed = 1;
    if (head->call == NO_CALL) continue;
    key = PyLong_FromUnsignedLongLong(event->sequence);
    if (key && (entry = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(sizeof *head + event->size)))) {
      uint8_t *bytes = (uint8_t *)PyBytes_AsString(entry);
      memcpy(bytes, head, sizeof *head);
      memcpy(bytes + sizeof *head, event->content, event->size);
      failed = PyDict_SetItem(framing->in_flight, key, entry);
      Py_DECREF(entry);
    }
    Py_XDECREF(key);
    if (failed) return 0;
  }
  return 1;
}

/* Returns the rows and bodies of framed events. NULL after an error. */
static PyObject *framed_events(Framing *framing, Py_ssize_t position) {
  PyObject *columns = PyTuple_New(COLUMNS), *result = NULL;
  int i;
  for (i = 0; i < COLUMNS; i++) framing->bodies.failed |= framing->columns[i].failed;
  if (framing->bodies.failed) PyErr_NoMemory();
  for (i = 0; columns && i < COLUMNS && !PyErr_Occurred(); i++) {
    Buffer *column = framing->columns + i;
    PyTuple_SetItem(columns, i, PyBytes_FromStringAndSize((const char *)column->bytes, (Py_ssize_t)column->size));
  }
  if (columns && !PyErr_Occurred())
    result = Py_BuildValue("(nLLnOy#)", position, framing->next_call, framing->blob_count, framing->young_size, columns,
                           framing->bodies.bytes ? (const char *)framing->bodies.bytes : "", (Py_ssize_t)framing->bodies.size);
  Py_XDECREF(columns);
  return result;
}

/* tracekmt.trace.writer.Writer.frame */
PyObject *frame_events(PyObject *self, PyObject *arguments) {
  Framing framing = {0};
  const RawEvents *events;
  PyObject *batch, *marks, *result = NULL;
  Py_ssize_t position, count, row_limit, byte_limit, young_limit, rows = 0;
  long long body_offset;
  int i, framed = 1;
  if (!PyArg_ParseTuple(arguments, "OnO!O!O!O!O!O!O!OLLnLnnnnnn:frame_events", &batch, &position, &PyDict_Type, &framing.plain,
                        &PyDict_Type, &framing.in_flight, &PyDict_Type, &framing.threads, &PyByteArray_Type, &marks,
                        &PyDict_Type, &framing.young, &PyDict_Type, &framing.old, &PyList_Type, &framing.new_blobs, &framing.digest,
                        &framing.next_call, &framing.blob_count, &framing.young_size, &body_offset, &row_limit, &byte_limit,
                        &young_limit, &framing.min_blob, &framing.long_blob, &framing.key_overhead) ||
      !(events = raw_events_of(batch)))
    return NULL;
  framing.marks = (uint8_t *)PyByteArray_AsString(marks);
  framing.mark_count = (size_t)PyByteArray_Size(marks) / 4;
  count = (Py_ssize_t)(events->end - events->begin) - position;
  count = count < row_limit ? count : row_limit;
  if (!framing.mark_count || position < 0 || count < 0) {
    PyErr_SetString(PyExc_ValueError, "there are no marks, or no such events");
    return NULL;
  }
  if (!(framing.heads = malloc((size_t)(count + 1) * sizeof *framing.heads))) return PyErr_NoMemory();
  framing.events = events->events + events->begin + position;
  for (; rows < count && (Py_ssize_t)framing.bodies.size < byte_limit && framing.young_size < young_limit; rows++)
    if ((framed = frame_event(&framing, framing.events + rows, body_offset + (int64_t)framing.bodies.size)) <= 0) break;
  if (framed >= 0 && keep_in_flight(&framing, (size_t)rows)) result = framed_events(&framing, position + rows);
  for (i = 0; i < COLUMNS; i++) free(framing.columns[i].bytes);
  free(framing.heads);
  free(framing.bodies.bytes);
  free_regions(&framing.entered);
  free_regions(&framing.left);
  return result;
}
