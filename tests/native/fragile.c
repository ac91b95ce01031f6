/*
 * A program with planted bugs, for tests of torture: fragile LIBRARY. Each shows when one of its calls fails.
 *   CreateDevice       it ends with status 3
 *   CreateAllocation2  it uses the handle of the refused allocation as an index, and crashes
 *   DestroyDevice      it waits forever
 *   DestroyAllocation2, CloseAdapter  it does not look, and leaves the object behind
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocation.h"

typedef int32_t (*Thunk)(void *);

static volatile uint8_t used[1 << 16];

int main(int argc, char **argv) {
  void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
  Thunk open_adapter, create_device, create_allocation, destroy_allocation, destroy_device, close_adapter;
  uint32_t adapter[3] = {1, 0, 0}, device[16] = {0}, i;
  if (!library) return 2;
  open_adapter = (Thunk)dlsym(library, "D3DKMTOpenAdapterFromLuid");
  create_device = (Thunk)dlsym(library, "D3DKMTCreateDevice");
  create_allocation = (Thunk)dlsym(library, "D3DKMTCreateAllocation2");
  destroy_allocation = (Thunk)dlsym(library, "D3DKMTDestroyAllocation2");
  destroy_device = (Thunk)dlsym(library, "D3DKMTDestroyDevice");
  close_adapter = (Thunk)dlsym(library, "D3DKMTCloseAdapter");
  if (open_adapter(adapter)) return 4;
  device[0] = adapter[2];
  if (create_device(device)) return 3;
  for (i = 0; i < 3; i++) {
    struct { uint32_t hDevice, hResource; const uint32_t *list; uint32_t count, flags; } destroy = {device[3], 0, 0, 1, 0};
    Info info;
    Create create;
    uint8_t data[64] = {0};
    memset(&info, 0, sizeof info);
    memset(&create, 0, sizeof create);
    info.pPrivateDriverData = data;
    info.PrivateDriverDataSize = sizeof data;
    create.hDevice = device[3];
    create.NumAllocations = 1;
    create.infos = &info;
    create_allocation(&create);
    used[((int64_t)info.hAllocation - 0x40000000) / 0x40] = 1;
    destroy.list = &info.hAllocation;
    destroy_allocation(&destroy);
  }
  if (destroy_device(device + 3)) pause();
  close_adapter(adapter + 2);
  return 7;
}
