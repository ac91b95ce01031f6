/* Events as hooks/recorder.c writes them. */
#pragma once
#include "core.h"

enum { ENTER = 1, LEAVE = 2, LOSS = 0x100 };  /* kinds of events: those of hooks/recorder.c, and lost events */

typedef struct {
  uint64_t sequence;
  PyObject *owner;  /* has the bytes of the content. A loss is the object itself. */
  const uint8_t *content;
  size_t size;
  uint32_t kind;
} RawEvent;

/* Events `begin` to `end` of the array. */
typedef struct {
  RawEvent *events;
  size_t begin, end, capacity;
} RawEvents;

/* Returns the events of tracekmt.trace.ready_events.RawEvents, NULL after an error. */
const RawEvents *raw_events_of(PyObject *object);
