/* ---- The program: REPRODUCER [LIBRARY]... [--adapter HIGH:LOW]... ---- */

struct listed {
    UINT handle, low;
    INT high;
    UINT sources;
    INT precise;
};

struct list {
    UINT number;
    struct listed *adapters;
};

/* The adapters of this machine. */
static int list_adapters(struct listed *found, int most)
{
    INT(THUNK * enumerate)(struct list *) = find("D3DKMTEnumAdapters2");
    INT(THUNK * close)(UINT *) = find("D3DKMTCloseAdapter");
    struct list list = {(UINT)most, found};
    UINT i;
    if (!enumerate || enumerate(&list) < 0 || list.number > (UINT)most) return 0;
    for (i = 0; i < list.number && close; i++) close(&found[i].handle);
    return (int)list.number;
}

static void take(struct luid *luid, INT high, UINT low)
{
    luid->high = high;
    luid->low = low;
    luid->known = 1;
    printf("note adapter %x:%x is %x:%x here\n", (UINT)luid->recorded_high, luid->recorded_low, (UINT)high, low);
}

/* A LUID that is not here becomes that of the first adapter. */
static void find_luid(struct luid *luid)
{
    static struct listed found[64];
    int number, i;
    if (luid->known) return;
    number = list_adapters(found, 64);
    for (i = 0; i < number; i++)
        if (found[i].low == luid->low && found[i].high == luid->high) return;
    if (number) take(luid, found[0].high, found[0].low);
}

static void use(const char *name)
{
    int i = 0;
    while (libraries[i]) i++;
    if (i == 8) fail("too many libraries");
    libraries[i] = load(name);
    if (!libraries[i]) {
        fprintf(stderr, "%s cannot be loaded\n", name);
        exit(2);
    }
}

/* --adapter: the next LUID that the program asks for is this one here. */
static void choose(const char *text)
{
    static size_t next;
    char *end;
    unsigned long high = strtoul(text, &end, 16), low = *end == ':' ? strtoul(end + 1, &end, 16) : 0;
    if (*end || end == text) fail("--adapter takes HIGH:LOW, in hexadecimal");
    while (luids[next] && !luids[next]->asked) next++;
    if (luids[next]) take(luids[next++], (INT)high, (UINT)low);
}

int main(int argc, char **argv)
{
    size_t i;
    int at;
    printf("tracekmt reproducer 1 trace %s calls %lu pointers %u wchar %u\n", TRACE, (unsigned long)CALLS,
           (unsigned)sizeof(void *), (unsigned)sizeof(WCHAR));
    for (at = 1; at < argc; at++) {
        if (argv[at][0] != '-')
            use(argv[at]);
        else if (strcmp(argv[at], "--adapter") == 0 && at + 1 < argc)
            choose(argv[++at]);
        else
            fail("usage: REPRODUCER [LIBRARY]... [--adapter HIGH:LOW]...");
    }
    if (!libraries[0]) use(LIBRARY);
#ifdef _WIN32
    if (!libraries[7]) use("ntdll.dll");
#endif
    for (i = 0; notes[i]; i++) printf("note %s\n", notes[i]);
    find_functions();
    for (i = 0; luids[i]; i++)
        if (luids[i]->asked) find_luid(luids[i]);
    make_what_came_from_outside();
    for (i = 0; calls[i]; i++) calls[i]();
    printf("end %lu calls, %lu different\n", calls_made, calls_different);
    return calls_different != 0;
}
