/* ---- The program: REPRODUCER [LIBRARY]... [--adapter HIGH:LOW]... [--keep-going] ---- */

struct adapter { /* D3DKMT_ADAPTERINFO */
    UINT handle, low;
    INT high;
    UINT sources;
    INT precise;
};

struct adapter_list { /* D3DKMT_ENUMADAPTERS2 */
    UINT count;
    struct adapter *adapters;
};

/* Lists the adapters of this machine and returns their number. */
static int list_adapters(struct adapter *adapters, int capacity)
{
    INT(THUNK * enumerate)(struct adapter_list *) = find("D3DKMTEnumAdapters2");
    INT(THUNK * close)(UINT *) = find("D3DKMTCloseAdapter");
    struct adapter_list list = {(UINT)capacity, adapters};
    UINT i;
    if (!enumerate || enumerate(&list) < 0 || list.count > (UINT)capacity) return 0;
    for (i = 0; i < list.count && close; i++) close(&adapters[i].handle);
    return (int)list.count;
}

static void resolve_luid(struct luid *luid, INT high, UINT low)
{
    luid->high = high;
    luid->low = low;
    luid->resolved = 1;
    printf("note adapter %x:%x is replaced by %x:%x\n", (UINT)luid->recorded_high, luid->recorded_low, (UINT)high, low);
}

/* Replaces a LUID that this machine does not have by the LUID of the first adapter. */
static void find_luid(struct luid *luid)
{
    static struct adapter adapters[64];
    int count, i;
    if (luid->resolved) return;
    count = list_adapters(adapters, 64);
    for (i = 0; i < count; i++)
        if (adapters[i].low == luid->low && adapters[i].high == luid->high) return;
    if (count) resolve_luid(luid, adapters[0].high, adapters[0].low);
}

static void add_library(const char *name)
{
    int i = 0;
    while (libraries[i]) i++;
    if (i == 8) fail("too many libraries (expected at most 8)");
    libraries[i] = load(name);
    if (!libraries[i]) {
        fprintf(stderr, "cannot load %s\n", name);
        exit(2);
    }
}

/* Replaces the next LUID that needs a lookup by the LUID of an --adapter option. */
static void choose_adapter(const char *text)
{
    static size_t next;
    char *end;
    unsigned long high = strtoul(text, &end, 16), low = *end == ':' ? strtoul(end + 1, &end, 16) : 0;
    if (*end || end == text) fail("invalid --adapter (expected HIGH:LOW in hexadecimal)");
    while (luids[next] && !luids[next]->needs_lookup) next++;
    if (luids[next]) resolve_luid(luids[next++], (INT)high, (UINT)low);
}

/* --keep-going: a call that crashes is abandoned, and the next one is made. What it has locked stays locked. */
#ifdef REPEATS
static int keeps_going = 1, has_crashed;
#else
static int keeps_going, has_crashed;
#endif

static void report_crash(void)
{
    PRINT("note the call crashed\n");
    has_crashed = 1;
    if (!hidden) calls_different++;
    fflush(stdout);
}

#if defined(_MSC_VER)
static void guard_calls(void) {}

static void make_call(void (*call)(void))
{
    __try {
        call();
    } __except (keeps_going) {
        report_crash();
    }
}
#else
static void *before_call[5];
static int is_guarded;

static void abandon_call(void)
{
    is_guarded = 0;
    __builtin_longjmp(before_call, 1);
}

#ifdef _WIN32
void *THUNK AddVectoredExceptionHandler(unsigned long first, INT(THUNK *handler)(void **));

/* pointers: EXCEPTION_POINTERS. Rip and Rsp are at 0xF8 and 0x98 of CONTEXT, Eip and Esp at 0xB8 and 0xC4 of the one of x86. */
static INT THUNK on_exception(void **pointers)
{
    size_t *counter = (size_t *)((char *)pointers[1] + (sizeof(void *) == 8 ? 0xF8 : 0xB8));
    size_t *stack = (size_t *)((char *)pointers[1] + (sizeof(void *) == 8 ? 0x98 : 0xC4));
    if (!is_guarded || *(UINT *)pointers[0] >> 30 != 3) return 0; /* not an error */
    *counter = (size_t)abandon_call;
    *stack = (*stack - 256) / 16 * 16 - sizeof(void *);
    return -1; /* EXCEPTION_CONTINUE_EXECUTION */
}

static void guard_calls(void) { AddVectoredExceptionHandler(1, on_exception); }
#else
static void on_signal(int number)
{
    if (is_guarded) abandon_call();
    signal(number, SIG_DFL);
}

static void guard_calls(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action;
    size_t i;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_NODEFER;
    for (i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaction(numbers[i], &action, NULL);
}
#endif

static void make_call(void (*call)(void))
{
    if (keeps_going && __builtin_setjmp(before_call)) {
        report_crash();
        return;
    }
    is_guarded = keeps_going;
    call();
    is_guarded = 0;
}
#endif

#ifdef REPEATS
static void print_adapters(void)
{
    static struct adapter adapters[64];
    int i, count = list_adapters(adapters, 64);
    for (i = 0; i < count; i++)
        printf("note adapter %x:%x, sources %u\n", (UINT)adapters[i].high, adapters[i].low, adapters[i].sources);
}

/* Makes the last case again. A case that succeeded may have changed the objects, so they are created again. */
static void repeat_case(size_t index)
{
    UINT first = last_result;
    size_t i;
    int n, changed;
    if (!is_case || !has_returned) return;
    for (n = 1; n < REPEATS && first >= 0x80000000u && has_returned && last_result == first; n++) {
        has_returned = 0;
        hidden = REPEATED;
        make_call(calls[index]);
        hidden = 0;
        if (!has_returned) puts("again crashed");
        if (has_returned && last_result != first) printf("again 0x%08x\n", last_result);
    }
    changed = has_returned && last_result < 0x80000000u && !has_crashed; /* a crash may have kept a lock of the library */
    is_case = 0;
    hidden = REPEATED;
    for (i = 0; i < SETUP && changed; i++) make_call(calls[i]);
    hidden = 0;
}
#endif

#ifdef _WIN32
/* Prints the build of Windows. Wine has one too. */
static void print_build(void)
{
    UINT version[69] = {sizeof version}; /* RTL_OSVERSIONINFOW: size, major and minor version, build, platform, text */
    INT(THUNK * get_version)(UINT *) = find("RtlGetVersion");
    if (get_version && get_version(version) == 0) printf("note Windows %u.%u build %u\n", version[1], version[2], version[3]);
}
#endif

int main(int argc, char **argv)
{
    size_t i;
    int word;
    printf("tracekmt reproducer 1 trace %s calls %lu pointers %u wchar %u\n", TRACE, (unsigned long)CALLS,
           (unsigned)sizeof(void *), (unsigned)sizeof(WCHAR));
    for (word = 1; word < argc; word++) {
        if (argv[word][0] != '-')
            add_library(argv[word]);
        else if (strcmp(argv[word], "--adapter") == 0 && word + 1 < argc)
            choose_adapter(argv[++word]);
        else if (strcmp(argv[word], "--keep-going") == 0)
            keeps_going = 1;
        else
            fail("usage: REPRODUCER [LIBRARY]... [--adapter HIGH:LOW]... [--keep-going]");
    }
    if (!libraries[0]) add_library(LIBRARY);
#ifdef _WIN32
    if (!libraries[7]) add_library("ntdll.dll"); /* the Nt functions */
    print_build();
#endif
    for (i = 0; notes[i]; i++) printf("note %s\n", notes[i]);
    find_functions();
    for (i = 0; luids[i]; i++)
        if (luids[i]->needs_lookup) find_luid(luids[i]);
    create_external_handles();
    if (keeps_going) guard_calls();
#ifdef REPEATS
    print_adapters();
    print_cases();
    for (i = 0; calls[i]; i++) {
        is_case = has_returned = 0;
        make_call(calls[i]);
        if (i < SETUP) is_ready[i] = has_returned && succeeded;
        repeat_case(i);
    }
#else
    for (i = 0; calls[i]; i++) make_call(calls[i]);
#endif
    printf("end %lu calls, %lu different\n", calls_made, calls_different);
    return calls_different != 0;
}
