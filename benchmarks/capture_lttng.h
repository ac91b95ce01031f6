/* LTTng-UST tracepoints of the shim in benchmarks/capture.c. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER kmt
#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "capture_lttng.h"

#if !defined(CAPTURE_LTTNG_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define CAPTURE_LTTNG_H
#include <lttng/tracepoint.h>
#include <stddef.h>
#include <stdint.h>

LTTNG_UST_TRACEPOINT_EVENT(kmt, call,
  LTTNG_UST_TP_ARGS(const uint8_t *, arg, size_t, arg_size, const uint8_t *, global, size_t, global_size,
                    const uint8_t *, infos, size_t, infos_size),
  LTTNG_UST_TP_FIELDS(
    lttng_ust_field_sequence(uint8_t, arg, arg, size_t, arg_size)
    lttng_ust_field_sequence(uint8_t, global, global, size_t, global_size)
    lttng_ust_field_sequence(uint8_t, infos, infos, size_t, infos_size)))

LTTNG_UST_TRACEPOINT_EVENT(kmt, data,
  LTTNG_UST_TP_ARGS(const uint8_t *, data, size_t, size),
  LTTNG_UST_TP_FIELDS(lttng_ust_field_sequence(uint8_t, data, data, size_t, size)))

#endif
#include <lttng/tracepoint-event.h>
