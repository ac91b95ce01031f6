/* The two structures for the creation of allocations, in the layout of the program that includes this file. */
#include <stdint.h>

#ifdef __cplusplus
#define _Static_assert static_assert
#endif

typedef struct {
  uint32_t hAllocation;
  void *pSystemMem, *pPrivateDriverData;
  uint32_t PrivateDriverDataSize, VidPnSourceId, Flags;
  uint64_t GpuVirtualAddress;
  uintptr_t Priority, Reserved[5];
} Info;

typedef struct {
  uint32_t hDevice, hResource, hGlobalShare;
  void *pRuntime;
  uint32_t runtime;
  void *pDriver;
  uint32_t driver, NumAllocations;
  Info *infos;
  uint32_t flags;
  void *hRuntime;
} Create;

_Static_assert(sizeof(Info) == (sizeof(void *) == 8 ? 96 : 56), "D3DDDI_ALLOCATIONINFO2");
_Static_assert(sizeof(Create) == (sizeof(void *) == 8 ? 72 : 44), "D3DKMT_CREATEALLOCATION");
