#define __USE_MINGW_ANSI_STDIO 1
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
#include <sys/mman.h>
#endif

/* ---- The types of Windows. windows.h is left out, whose macros may be named as a field is. ---- */

#ifdef _MSC_VER
#define ALIGNED __declspec(align(16))
#define EIGHT
#else
#define ALIGNED __attribute__((aligned(16)))
#define EIGHT __attribute__((aligned(8))) /* Windows aligns them so in x86, too; others do not */
#endif
typedef unsigned char UCHAR;
typedef signed char SCHAR;
typedef unsigned short USHORT;
typedef short SHORT;
typedef unsigned int UINT;
typedef int INT;
typedef unsigned long long UINT64 EIGHT;
typedef long long LONGLONG EIGHT;
typedef uintptr_t ULONG_PTR;
typedef intptr_t LONG_PTR;
typedef float FLOAT;
typedef double DOUBLE EIGHT;
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
    USHORT Length, MaximumLength; /* in bytes */
    USHORT *Buffer;
};

/* The layout is that of Windows, for x64 and x86. With a WCHAR of four bytes it is that of WSL, which has no x86. */
#define LAID_OUT(what, x64, x86) _Static_assert((what) == (sizeof(void *) == 8 ? (x64) : (x86)), #what)
#ifdef _WIN32
#define LAID_OUT_WIDE(what, x64, x86, wsl) LAID_OUT(what, x64, x86)
#elif UINTPTR_MAX > 0xFFFFFFFF
#define LAID_OUT_WIDE(what, x64, x86, wsl) LAID_OUT(what, wsl, wsl)
#else
#define LAID_OUT_WIDE(what, x64, x86, wsl) _Static_assert((what) >= 0, #what)
#endif

/* ---- The system. ---- */

#ifdef _WIN32
__declspec(dllimport) void *__stdcall LoadLibraryA(const char *name);
__declspec(dllimport) void *__stdcall GetProcAddress(void *library, const char *name);
__declspec(dllimport) void *__stdcall VirtualAlloc(void *at, size_t size, unsigned long type, unsigned long protection);
__declspec(dllimport) void *__stdcall CreateEventW(void *security, int manual, int set, const void *name);
__declspec(dllimport) void *__stdcall CreateSemaphoreW(void *security, long first, long most, const void *name);
__declspec(dllimport) void *__stdcall CreateFileMappingW(void *file, void *security, unsigned long protection,
                                                         unsigned long high, unsigned long low, const void *name);
#endif

static void *libraries[9]; /* the last is 0 */

static inline void *load(const char *name)
{
#ifdef _WIN32
    return LoadLibraryA(name);
#else
    return dlopen(name, RTLD_NOW);
#endif
}

/* A function of the first library that has it. */
static inline void *find(const char *name)
{
    void *found = 0;
    int i;
    for (i = 0; libraries[i] && !found; i++) {
#ifdef _WIN32
        found = GetProcAddress(libraries[i], name);
#else
        found = dlsym(libraries[i], name);
#endif
    }
    return found;
}

/* Where a member of a buffer begins, and how many bytes there are from there to the end of the buffer. */
#define BEGIN(buffer, member) ((size_t)((UCHAR *)&(member) - (UCHAR *)&(buffer)))
#define REST(buffer, member) (sizeof(buffer) - BEGIN(buffer, member))

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static inline void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(2);
}

/* Zeroed memory that begins at a page. */
static inline void *pages(size_t size)
{
#ifdef _WIN32
    void *found = VirtualAlloc(0, size, 0x3000, 0x04);
#else
    void *found = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) found = 0;
#endif
    if (!found) fail("there is no memory");
    return found;
}

/* Memory that ends behind `size` bytes: whoever reads on has a fault. */
static inline void *bad_memory(const void *data, size_t size)
{
    size_t whole = (size + 0xFFFF) & ~(size_t)0xFFFF;
    char *found;
#ifdef _WIN32
    found = VirtualAlloc(0, whole + 0x10000, 0x2000, 0x01);
    if (found && whole && !VirtualAlloc(found, whole, 0x1000, 0x04)) found = 0;
#else
    found = mmap(0, whole + 0x10000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED || (whole && mprotect(found, whole, PROT_READ | PROT_WRITE))) found = 0;
#endif
    if (!found) fail("there is no memory");
    found += whole - size;
    if (data && size) memcpy(found, data, size);
    return found;
}

/* What programs make elsewhere and give to a call. */
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
    return (ULONG_PTR)CreateFileMappingW((void *)(LONG_PTR)-1, 0, 0x04, 0, 0x10000, 0);
#else
    return 0;
#endif
}

static inline void copy(void *to, const void *from, size_t size)
{
    volatile UCHAR *at = to;
    const UCHAR *data = from;
    while (size--) *at++ = *data++;
}

/* Bytes into a buffer, as far as it goes. */
static inline void put(void *buffer, size_t room, size_t at, const void *data, size_t size)
{
    if (at < room) copy((UCHAR *)buffer + at, data, smaller(size, room - at));
}

/* ---- What is printed. Each field of a call is a line; a difference is said at the end of it. ---- */

static int succeeded, comparing, differs;
static unsigned long calls_made, calls_different;

static inline void end_line(int different)
{
    if (comparing && different) differs = 1;
    puts("");
}

static inline int entering(unsigned long long index, const char *name, int found)
{
    succeeded = comparing = differs = 0;
    calls_made++;
    printf("call %llu %s\n", index, name);
    if (!found) {
        puts("result missing  DIFFERENT: the library has no such function");
        calls_different++;
    }
    fflush(stdout);
    return found;
}

/* recorded: what the call gave when it was recorded, if it came back. */
static inline void returned(unsigned result, unsigned recorded, int came_back, const char *name)
{
    succeeded = result < 0x80000000u;
    comparing = came_back && result == recorded;
    printf("result 0x%08x", result);
    if (!comparing) {
        printf("  DIFFERENT: recorded %s", name);
        differs = 1;
    }
    puts("");
}

static inline void returned_nothing(int came_back)
{
    succeeded = 1;
    comparing = came_back;
    puts(came_back ? "result void" : "result void  DIFFERENT: recorded did not return");
    differs = !came_back;
}

static inline void leaving(void)
{
    calls_different += (unsigned long)(differs != 0);
    fflush(stdout);
}

static inline void print_number(const char *path, UINT64 live, UINT64 recorded, int hexadecimal, int compared)
{
    int different = compared && live != recorded;
    printf(hexadecimal ? "  %s 0x%llx" : "  %s %llu", path, live);
    if (comparing && different) printf(hexadecimal ? "  DIFFERENT: recorded 0x%llx" : "  DIFFERENT: recorded %llu", recorded);
    end_line(different);
}

static inline void print_signed(const char *path, LONGLONG live, LONGLONG recorded, int compared)
{
    int different = compared && live != recorded;
    printf("  %s %lld", path, live);
    if (comparing && different) printf("  DIFFERENT: recorded %lld", recorded);
    end_line(different);
}

/* What stands for something, of which no more is compared than whether it is there: 0 for null, 1 for live. */
static inline void print_live(const char *path, UINT64 live, int recorded)
{
    int different = recorded >= 0 && (live != 0) != (recorded != 0);
    printf("  %s 0x%llx", path, live);
    if (comparing && different) printf("  DIFFERENT: recorded %s", recorded ? "live" : "null");
    end_line(different);
}

static inline void print_bits(const char *path, UINT64 live, UINT64 recorded, UINT64 mask)
{
    int different = ((live ^ recorded) & mask) != 0;
    printf("  %s 0x%llx", path, live);
    if (comparing && different) printf("  DIFFERENT: recorded 0x%llx", recorded);
    end_line(different);
}

static inline void print_real(const char *path, const void *live, size_t size, UINT64 recorded)
{
    UINT64 bits = 0;
    memcpy(&bits, live, size);
    print_number(path, bits, recorded, 1, 1);
}

/* recorded: 0 for zeros. Of a size of 0 nothing is compared: what only a driver can answer in. */
static inline void print_bytes(const char *path, const void *live, size_t room, const UCHAR *recorded, size_t size)
{
    const UCHAR *data = live;
    size_t at, first = (size_t)-1;
    printf("  %s %s", path, room ? "" : "empty");
    for (at = 0; at < room; at++) {
        printf("%02x", data[at]);
        if (first == (size_t)-1 && at < size && data[at] != (recorded ? recorded[at] : 0)) first = at;
    }
    if (comparing && first != (size_t)-1)
        printf("  DIFFERENT: from byte %lu on, recorded %02x", (unsigned long)first, recorded ? recorded[first] : 0);
    end_line(first != (size_t)-1);
}

static inline void print_unit(unsigned unit)
{
    if (unit > 0x20 && unit < 0x7F && unit != '"' && unit != '\\')
        putchar((int)unit);
    else
        printf(unit > 0xFFFF ? "\\U%08x" : "\\u%04x", unit);
}

/* room: in bytes. */
static inline void print_text(const char *path, const WCHAR *live, size_t room, const WCHAR *recorded, size_t size)
{
    size_t at;
    int different = 0;
    printf("  %s \"", path);
    for (at = 0; at < room / sizeof(WCHAR) && live[at]; at++) {
        print_unit(live[at]);
        if (at >= size || live[at] != recorded[at]) different = 1;
    }
    different |= at != size;
    printf(comparing && different ? "\"  DIFFERENT" : "\"");
    end_line(different);
}

static inline void print_counted(const char *path, const struct UNICODE_STRING *live)
{
    size_t at;
    printf("  %s \"", path);
    for (at = 0; live->Buffer && at < live->Length / 2u; at++) print_unit(live->Buffer[at]);
    puts("\"");
}

/* ---- Adapters: a LUID is that of the machine that the trace was recorded on. ---- */

struct luid {
    UINT low;
    INT high;
    int asked, known; /* the program asks for it; it is the LUID here */
    UINT recorded_low;
    INT recorded_high;
};

static inline void learn_luid(struct luid *luid, UINT low, INT high)
{
    if (!luid->known && succeeded) {
        luid->low = low;
        luid->high = high;
        luid->known = 1;
    }
}
