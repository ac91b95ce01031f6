/* ---- The program: REPRODUCER [LIBRARY]... [--adapter HIGH:LOW]... ---- */

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
        else
            fail("usage: REPRODUCER [LIBRARY]... [--adapter HIGH:LOW]...");
    }
    if (!libraries[0]) add_library(LIBRARY);
#ifdef _WIN32
    if (!libraries[7]) add_library("ntdll.dll"); /* the Nt functions */
#endif
    for (i = 0; notes[i]; i++) printf("note %s\n", notes[i]);
    find_functions();
    for (i = 0; luids[i]; i++)
        if (luids[i]->needs_lookup) find_luid(luids[i]);
    create_external_handles();
    for (i = 0; calls[i]; i++) calls[i]();
    printf("end %lu calls, %lu different\n", calls_made, calls_different);
    return calls_different != 0;
}
