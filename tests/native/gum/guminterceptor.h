/* The parts of Frida's header that hooks/recorder.c needs, for builds with the system's compiler. */
#ifndef GUMINTERCEPTOR_H
#define GUMINTERCEPTOR_H
#include <stddef.h>

typedef struct {
  void *function_data;
  void *invocation_data;
  struct CpuContext { size_t rcx, rdx, r8, r9, rsp, esp; } *cpu_context;
  size_t return_address, result, arguments[16];
} GumInvocationContext;

#define GUM_IC_GET_FUNC_DATA(ic, type) ((type)(ic)->function_data)
#define GUM_IC_GET_INVOCATION_DATA(ic, type) ((type *)(ic)->invocation_data)
#define gum_invocation_context_get_return_address(ic) ((ic)->return_address)
#define gum_invocation_context_get_return_value(ic) ((ic)->result)
#define gum_invocation_context_get_nth_argument(ic, n) ((ic)->arguments[n])

#endif
