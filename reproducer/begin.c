#define __USE_MINGW_ANSI_STDIO 1 /* The printf of MinGW needs this for %llu. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#endif

/* ---- Types of Windows. windows.h is not included, since its macros can have the names of fields. ---- */

#ifdef _MSC_VER
#define ALIGNED __declspec(align(16))
#define ALIGNED_8
#else
#define ALIGNED __attribute__((aligned(16)))
#define ALIGNED_8 __attribute__((aligned(8))) /* Windows aligns 8-byte types to 8 bytes on x86. Linux does not. */
#endif
typedef unsigned char UCHAR;
typedef signed char SCHAR;
typedef unsigned short USHORT;
typedef short SHORT;
typedef unsigned int UINT;
typedef int INT;
typedef unsigned long long UINT64 ALIGNED_8;
typedef long long LONGLONG ALIGNED_8;
typedef uintptr_t ULONG_PTR;
typedef intptr_t LONG_PTR;
typedef float FLOAT;
typedef double DOUBLE ALIGNED_8;
#ifdef _WIN32
#define THUNK __stdcall
#define LIBRARY "gdi32.dll"
typedef unsigned short WCHAR;
#else
#define THUNK
#define LIBRARY "libdxcore.so"
typedef unsigned int WCHAR;
#endif
struct UNICODE_STRING {
    USHORT Length, MaximumLength; /* sizes in bytes */
    USHORT *Buffer;
};

/* Checks of the layout for Windows x64 and x86. The layout of WSL differs, since its WCHAR has four bytes. WSL does not
 * support x86. */
#define CHECK_LAYOUT(value, x64, x86) _Static_assert((value) == (sizeof(void *) == 8 ? (x64) : (x86)), #value)
#ifdef _WIN32
#define CHECK_LAYOUT_WSL(value, x64, x86, wsl) CHECK_LAYOUT(value, x64, x86)
#elif UINTPTR_MAX > 0xFFFFFFFF
#define CHECK_LAYOUT_WSL(value, x64, x86, wsl) CHECK_LAYOUT(value, wsl, wsl)
#else
#define CHECK_LAYOUT_WSL(value, x64, x86, wsl) _Static_assert((value) >= 0, #value)
#endif

/* ---- System functions. ---- */

#ifdef _WIN32
__declspec(dllimport) void *__stdcall LoadLibraryA(const char *name);
__declspec(dllimport) void *__stdcall GetProcAddress(void *library, const char *name);
__declspec(dllimport) void *__stdcall VirtualAlloc(void *base, size_t size, unsigned long type,
                                                  unsigned long protection);
__declspec(dllimport) void *__stdcall CreateEventW(void *security, int manual, int signaled, const void *name);
__declspec(dllimport) void *__stdcall CreateSemaphoreW(void *security, long count, long maximum, const void *name);
__declspec(dllimport) void *__stdcall CreateFileMappingW(void *file, void *security, unsigned long protection,
                                                         unsigned long high, unsigned long low, const void *name);
#endif

static void *libraries[9]; /* ends with 0 */

static inline void *load(const char *name)
{
#ifdef _WIN32
    return LoadLibraryA(name);
#else
    return dlopen(name, RTLD_NOW);
#endif
}

/* Returns a function from the first library that exports it. */
static inline void *find(const char *name)
{
    void *function = 0;
    int i;
    for (i = 0; libraries[i] && !function; i++) {
#ifdef _WIN32
        function = GetProcAddress(libraries[i], name);
#else
        function = dlsym(libraries[i], name);
#endif
    }
    return function;
}

/* Offset of a member in a buffer, and number of bytes from the member to the end of the buffer. */
#define OFFSET_IN(buffer, member) ((size_t)((UCHAR *)&(member) - (UCHAR *)&(buffer)))
#define SIZE_FROM(buffer, member) (sizeof(buffer) - OFFSET_IN(buffer, member))

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static inline void fail(const char *message)
{
    fprintf(stderr, "%s\n", message);
    exit(2);
}

/* Allocates zeroed memory at a page boundary. */
static inline void *pages(size_t size)
{
#ifdef _WIN32
    void *memory = VirtualAlloc(0, size, 0x3000, 0x04); /* MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE */
#else
    void *memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) memory = 0;
#endif
    if (!memory) fail("cannot allocate memory");
    return memory;
}

/* Allocates `size` readable bytes with an inaccessible page after them. A read beyond the size faults. */
static inline void *bad_memory(const void *data, size_t size)
{
    size_t readable = (size + 0xFFFF) & ~(size_t)0xFFFF;
    char *memory;
#ifdef _WIN32
    memory = VirtualAlloc(0, readable + 0x10000, 0x2000, 0x01); /* MEM_RESERVE, PAGE_NOACCESS */
    if (memory && readable && !VirtualAlloc(memory, readable, 0x1000, 0x04)) memory = 0; /* MEM_COMMIT */
#else
    memory = mmap(0, readable + 0x10000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || (readable && mprotect(memory, readable, PROT_READ | PROT_WRITE))) memory = 0;
#endif
    if (!memory) fail("cannot allocate memory");
    memory += readable - size;
    if (data && size) memcpy(memory, data, size);
    return memory;
}

/* Objects that other interfaces create. The calls take their handles. Linux has no replacement, so the handle is 0. */
static inline ULONG_PTR new_event(void)
{
#ifdef _WIN32
    return (ULONG_PTR)CreateEventW(0, 0, 0, 0);
#else
    return 0;
#endif
}

static inline ULONG_PTR new_semaphore(void)
{
#ifdef _WIN32
    return (ULONG_PTR)CreateSemaphoreW(0, 0, 0x7FFFFFFF, 0);
#else
    return 0;
#endif
}

static inline ULONG_PTR new_section(void)
{
#ifdef _WIN32
    return (ULONG_PTR)CreateFileMappingW((void *)(LONG_PTR)-1, 0, 0x04, 0, 0x10000, 0); /* PAGE_READWRITE */
#else
    return 0;
#endif
}

static inline void copy(void *to, const void *from, size_t size)
{
    volatile UCHAR *target = to;
    const UCHAR *source = from;
    while (size--) *target++ = *source++;
}

/* Copies bytes to an offset in a buffer. Bytes beyond the end of the buffer are dropped. */
static inline void put(void *buffer, size_t capacity, size_t offset, const void *data, size_t size)
{
    if (offset < capacity) copy((UCHAR *)buffer + offset, data, smaller(size, capacity - offset));
}

/* ---- Output. Each field of a call is a line. A line that differs from the recording ends with DIFFERENT. ---- */

static int succeeded, comparing, differs;
static unsigned long calls_made, calls_different;

/* Cases of an atlas are repeated. Only their first call is printed, and no fields of a call that failed. */
enum { REPEATED = 1, FAILED = 2 };
static int hidden, is_case, has_returned;
static UINT last_result;
#define PRINT(...) (hidden ? 0 : printf(__VA_ARGS__))

static inline void end_line(int different)
{
    if (comparing && different) differs = 1;
    PRINT("\n");
}

static inline int enter_call(unsigned long long index, const char *name, int exported)
{
    succeeded = comparing = differs = 0;
    if (hidden) return exported;
    calls_made++;
    PRINT("call %llu %s\n", index, name);
    if (!exported) {
        PRINT("result missing  DIFFERENT: the library has no such function\n");
        calls_different++;
    }
    fflush(stdout);
    return exported;
}

/* recorded: the recorded return value, if the call returned in the recording. text: its name. */
static inline void returned(unsigned result, unsigned recorded, int did_return, const char *text)
{
    last_result = result;
    has_returned = 1;
    succeeded = result < 0x80000000u;
    comparing = did_return && result == recorded;
    PRINT("result 0x%08x", result);
    if (!comparing) {
        PRINT("  DIFFERENT: recorded %s", text);
        differs = 1;
    }
    PRINT("\n");
    if (is_case && !succeeded) hidden |= FAILED;
}

static inline void returned_nothing(int did_return)
{
    succeeded = 1;
    comparing = did_return;
    PRINT("%s\n", did_return ? "result void" : "result void  DIFFERENT: recorded did not return");
    differs = !did_return;
}

static inline void skip_call(void) { PRINT("result skipped\n"); }

static inline void leave_call(void)
{
    hidden &= ~FAILED;
    if (!hidden) calls_different += (unsigned long)(differs != 0);
    fflush(stdout);
}

static inline void print_number(const char *path, UINT64 live, UINT64 recorded, int hexadecimal, int compared)
{
    int different = compared && live != recorded;
    PRINT(hexadecimal ? "  %s 0x%llx" : "  %s %llu", path, live);
    if (comparing && different) PRINT(hexadecimal ? "  DIFFERENT: recorded 0x%llx" : "  DIFFERENT: recorded %llu", recorded);
    end_line(different);
}

static inline void print_signed(const char *path, LONGLONG live, LONGLONG recorded, int compared)
{
    int different = compared && live != recorded;
    PRINT("  %s %lld", path, live);
    if (comparing && different) PRINT("  DIFFERENT: recorded %lld", recorded);
    end_line(different);
}

/* Handles and addresses are compared by being null. recorded: 0 for null, 1 for live, -1 for no comparison. */
static inline void print_live(const char *path, UINT64 live, int recorded)
{
    int different = recorded >= 0 && (live != 0) != (recorded != 0);
    PRINT("  %s 0x%llx", path, live);
    if (comparing && different) PRINT("  DIFFERENT: recorded %s", recorded ? "live" : "null");
    end_line(different);
}

static inline void print_bits(const char *path, UINT64 live, UINT64 recorded, UINT64 mask)
{
    int different = ((live ^ recorded) & mask) != 0;
    PRINT("  %s 0x%llx", path, live);
    if (comparing && different) PRINT("  DIFFERENT: recorded 0x%llx", recorded);
    end_line(different);
}

static inline void print_real(const char *path, const void *live, size_t size, UINT64 recorded)
{
    UINT64 bits = 0;
    memcpy(&bits, live, size);
    print_number(path, bits, recorded, 1, 1);
}

/* recorded: the recorded bytes, 0 if all are zero. size: number of bytes to compare, 0 for opaque data. */
static inline void print_bytes(const char *path, const void *live, size_t live_size, const UCHAR *recorded, size_t size)
{
    const UCHAR *data = live;
    size_t i, first = (size_t)-1;
    PRINT("  %s %s", path, live_size ? "" : "empty");
    for (i = 0; i < live_size; i++) {
        PRINT("%02x", data[i]);
        if (first == (size_t)-1 && i < size && data[i] != (recorded ? recorded[i] : 0)) first = i;
    }
    if (comparing && first != (size_t)-1)
        PRINT("  DIFFERENT: from byte %lu on, recorded %02x", (unsigned long)first, recorded ? recorded[first] : 0);
    end_line(first != (size_t)-1);
}

static inline void print_unit(unsigned unit)
{
    if (unit > 0x20 && unit < 0x7F && unit != '"' && unit != '\\')
        PRINT("%c", (int)unit);
    else
        PRINT(unit > 0xFFFF ? "\\U%08x" : "\\u%04x", unit);
}

/* capacity: size of the live text in bytes. size: length of the recorded text in characters. */
static inline void print_text(const char *path, const WCHAR *live, size_t capacity, const WCHAR *recorded, size_t size)
{
    size_t i;
    int different = 0;
    PRINT("  %s \"", path);
    for (i = 0; i < capacity / sizeof(WCHAR) && live[i]; i++) {
        print_unit(live[i]);
        if (i >= size || live[i] != recorded[i]) different = 1;
    }
    different |= i != size;
    PRINT(comparing && different ? "\"  DIFFERENT" : "\"");
    end_line(different);
}

static inline void print_counted(const char *path, const struct UNICODE_STRING *live)
{
    size_t i;
    PRINT("  %s \"", path);
    for (i = 0; live->Buffer && i < live->Length / 2u; i++) print_unit(live->Buffer[i]);
    PRINT("\"\n");
}

/* ---- Adapters. The recorded LUIDs are valid only on the recorded machine. ---- */

struct luid {
    UINT low;
    INT high;
    int needs_lookup; /* a call takes the LUID before any call returns it */
    int resolved;     /* low and high are the LUID on this machine */
    UINT recorded_low;
    INT recorded_high;
};

static inline void learn_luid(struct luid *luid, UINT low, INT high)
{
    if (!luid->resolved && succeeded) {
        luid->low = low;
        luid->high = high;
        luid->resolved = 1;
    }
}
