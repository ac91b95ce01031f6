/* A compute client of Intel's Level Zero: allocates, copies, submits, makes resident and evicts. Prints "done". */
#include <level_zero/ze_api.h>
#include <stdio.h>
#include <string.h>

#define SIZE (1 << 20)
#define ROUNDS 5
#define TIMEOUT_NS 2000000000ull
#define CHECK(call)                              \
    do {                                         \
        ze_result_t result = (call);             \
        if (result != ZE_RESULT_SUCCESS) {       \
            printf("%s: %x\n", #call, result);   \
            return 1;                            \
        }                                        \
    } while (0)

static int run_round(ze_context_handle_t context, ze_device_handle_t device, ze_command_queue_handle_t queue, int value)
{
    ze_device_mem_alloc_desc_t device_memory = {.stype = ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC};
    ze_host_mem_alloc_desc_t host_memory = {.stype = ZE_STRUCTURE_TYPE_HOST_MEM_ALLOC_DESC};
    ze_command_list_desc_t list_settings = {.stype = ZE_STRUCTURE_TYPE_COMMAND_LIST_DESC};
    ze_command_list_handle_t list;
    void *target, *source;

    CHECK(zeMemAllocDevice(context, &device_memory, SIZE, 64, device, &target));
    CHECK(zeMemAllocHost(context, &host_memory, SIZE, 64, &source));
    memset(source, value, SIZE);
    CHECK(zeContextMakeMemoryResident(context, device, target, SIZE));
    CHECK(zeCommandListCreate(context, device, &list_settings, &list));
    CHECK(zeCommandListAppendMemoryCopy(list, target, source, SIZE, NULL, 0, NULL));
    CHECK(zeCommandListClose(list));
    CHECK(zeCommandQueueExecuteCommandLists(queue, 1, &list, NULL));
    CHECK(zeCommandQueueSynchronize(queue, TIMEOUT_NS));
    CHECK(zeContextEvictMemory(context, device, target, SIZE));
    CHECK(zeCommandListDestroy(list));
    CHECK(zeMemFree(context, target));
    CHECK(zeMemFree(context, source));
    return 0;
}

int main(void)
{
    ze_context_desc_t context_settings = {.stype = ZE_STRUCTURE_TYPE_CONTEXT_DESC};
    ze_command_queue_desc_t queue_settings = {.stype = ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC};
    ze_driver_handle_t driver;
    ze_device_handle_t device;
    ze_context_handle_t context;
    ze_command_queue_handle_t queue;
    uint32_t count = 1;

    CHECK(zeInit(0));
    CHECK(zeDriverGet(&count, &driver));
    CHECK(zeDeviceGet(driver, &count, &device));
    CHECK(zeContextCreate(driver, &context_settings, &context));
    CHECK(zeCommandQueueCreate(context, device, &queue_settings, &queue));
    for (int number = 0; number < ROUNDS; number++)
        if (run_round(context, device, queue, number))
            return 1;
    CHECK(zeCommandQueueDestroy(queue));
    CHECK(zeContextDestroy(context));
    puts("done");
    return 0;
}
