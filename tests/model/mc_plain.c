/* Plain data, and memory that comes and goes.
 *
 * Plain data is checked for races by vector clocks (as FastTrack does, Flanagan and Freund, PLDI 2009): each address
 * remembers its last write and each thread's last read, and what happens before the present step is in its thread's
 * view. A free counts as a write to all that lies in the range, an mc_alloc as the first write.
 */
#include "model/mc_internal.h"

/* ---- addresses, of words and of plain data alike ---- */

/* Where the address is in the table, or where it belongs. */
uint8_t *mc_bucket_of(const void *address)
{
    uintptr_t bits = (uintptr_t)address;
    unsigned at = (unsigned)((bits >> 2) ^ (bits >> 11)) & (MC_BUCKETS - 1);
    for (;; at = (at + 1) & (MC_BUCKETS - 1)) {
        unsigned content = mc.bucket[at];
        const void *found = content == 0              ? address
                            : content <= MC_LOCATIONS ? mc.location[content - 1].address
                                                      : mc.plain[content - 1 - MC_LOCATIONS].address;
        if (found == address)
            return &mc.bucket[at];
    }
}

const struct mc_range *mc_range_of(const void *address)
{
    for (unsigned i = 0; i < mc.ranges; i++)
        if ((uintptr_t)address >= mc.range[i].first && (uintptr_t)address < mc.range[i].end)
            return &mc.range[i];
    return NULL;
}

bool mc_happens_before_me(unsigned thread, uint16_t clock) { return mc_me()->now.clock[thread] >= clock; }

void mc_use_after_free(const void *address, const char *where)
{
    mc_fail_at(where, "use after free of %s", mc_name_of(address));
}

/* ---- plain data ---- */

static struct mc_plain *plain_at(const void *address, unsigned size, const char *where)
{
    uint8_t *bucket = mc_bucket_of(address);
    if (*bucket != 0 && *bucket <= MC_LOCATIONS)
        mc_fail_at(where, "%s is plain data and an atomic", mc_name_of(address));
    if (*bucket != 0) {
        struct mc_plain *plain = &mc.plain[*bucket - 1 - MC_LOCATIONS];
        if (plain->dead)
            mc_use_after_free(address, where);
        return plain;
    }
    if (mc.plains == MC_PLAINS)
        mc_fail_at(where, "the checker knows %d addresses of plain data at most", MC_PLAINS);
    struct mc_plain *plain = &mc.plain[mc.plains++];
    *bucket = (uint8_t)(MC_LOCATIONS + mc.plains);
    *plain = (struct mc_plain){.address = address, .size = size};
    const struct mc_range *range = mc.ranges == 0 ? NULL : mc_range_of(address);
    if (range != NULL) {
        if (range->dead)
            mc_use_after_free(address, where);
        plain->writer = range->birth.thread;
        plain->written = range->birth.clock;
    }
    return plain;
}

_Noreturn static void race(const struct mc_plain *plain, const char *mine, const char *theirs, unsigned thread,
                           const char *where)
{
    mc_fail_at(where, "race on %s: %s by thread %u and by thread %u's %s", mc_name_of(plain->address), mine, mc.current,
               thread, theirs);
}

static void must_own(const struct mc_plain *plain, const char *mine, const char *where)
{
    if (!mc_happens_before_me(plain->writer, plain->written))
        race(plain, mine, "write", plain->writer, where);
    for (unsigned i = 0; i < mc.threads; i++)
        if (!mc_happens_before_me(i, plain->read[i]))
            race(plain, mine, "read", i, where);
}

void *skuai_model_read(const void *address, unsigned size, const char *where)
{
    mc_tick(where);
    struct mc_plain *plain = plain_at(address, size, where);
    mc_log("read", "%s", mc_name_of(address));
    if (!mc_happens_before_me(plain->writer, plain->written))
        race(plain, "a read", "write", plain->writer, where);
    plain->read[mc.current] = mc_me()->now.clock[mc.current];
    return (void *)(uintptr_t)address;
}

void *skuai_model_write(const void *address, unsigned size, const char *where)
{
    mc_tick(where);
    struct mc_plain *plain = plain_at(address, size, where);
    mc_log("write", "%s", mc_name_of(address));
    must_own(plain, "a write", where);
    plain->writer = (uint8_t)mc.current;
    plain->written = mc_me()->now.clock[mc.current];
    return (void *)(uintptr_t)address;
}

/* ---- allocation ---- */

static bool inside(const void *address, const struct mc_range *range)
{
    return (uintptr_t)address >= range->first && (uintptr_t)address < range->end;
}

static struct mc_range *new_range(const void *address, size_t size, bool dead, const char *where)
{
    uintptr_t first = (uintptr_t)address, end = first + size;
    unsigned kept = 0;
    for (unsigned i = 0; i < mc.ranges; i++) {
        bool overlaps = mc.range[i].first < end && first < mc.range[i].end;
        if (overlaps && (mc.range[i].first < first || mc.range[i].end > end))
            mc_fail_at(where, "mc_alloc and mc_free of overlapping ranges");
        if (overlaps && dead && mc.range[i].dead)
            mc_fail_at(where, "double free of %s", mc_name_of(address));
        if (!overlaps)
            mc.range[kept++] = mc.range[i];
    }
    if (kept == MC_RANGES)
        mc_fail_at(where, "the checker knows %d ranges of memory at most", MC_RANGES);
    mc.ranges = kept + 1;
    struct mc_thread *me = mc_me();
    mc.range[kept] = (struct mc_range){
        .first = first, .end = end, .dead = dead, .birth = {me->now.clock[mc.current], (uint8_t)mc.current},
    };
    return &mc.range[kept];
}

void mc_free_at(const void *address, size_t size, const char *where)
{
    mc_step(where);
    mc_log("free", "%s, %zu bytes", mc_name_of(address), size);
    const struct mc_range *range = new_range(address, size, true, where);
    for (unsigned i = 0; i < mc.locations; i++) {
        struct mc_location *location = &mc.location[i];
        if (!inside(location->address, range))
            continue;
        for (unsigned k = 0; k < mc.threads; k++)
            if (!location->dead && !mc_happens_before_me(k, location->last[k]))
                mc_fail_at(where, "use after free of %s: thread %u's access does not happen before this free",
                           mc_name_of(location->address), k);
        location->dead = true;
    }
    for (unsigned i = 0; i < mc.plains; i++) {
        if (!inside(mc.plain[i].address, range))
            continue;
        if (!mc.plain[i].dead)
            must_own(&mc.plain[i], "a free", where);
        mc.plain[i].dead = true;
    }
}

/* Nobody's view of a former life of the word counts. */
static void forget(unsigned id)
{
    for (unsigned i = 0; i < mc.locations; i++)
        for (unsigned k = 0; k < mc.location[i].count; k++)
            mc.location[i].history[k].view.seen[id] = 0;
    for (unsigned i = 0; i < mc.threads; i++) {
        struct mc_thread *thread = &mc.thread[i];
        thread->now.seen[id] = thread->acquire.seen[id] = thread->release.seen[id] = thread->floor[id] = 0;
    }
    mc.order.seen[id] = 0;
}

void mc_alloc_at(const void *address, size_t size, const char *where)
{
    mc_tick(where);
    mc_log("alloc", "%s, %zu bytes", mc_name_of(address), size);
    const struct mc_range *range = new_range(address, size, false, where);
    for (unsigned i = 0; i < mc.locations; i++) {
        struct mc_location *location = &mc.location[i];
        if (!inside(location->address, range))
            continue;
        location->count = 0;
        location->dead = false;
        location->birth = range->birth;
        memset(location->last, 0, sizeof location->last);
        forget(i);
    }
    for (unsigned i = 0; i < mc.plains; i++) {
        struct mc_plain *plain = &mc.plain[i];
        if (!inside(plain->address, range))
            continue;
        *plain = (struct mc_plain){
            .address = plain->address,
            .size = plain->size,
            .writer = range->birth.thread,
            .written = range->birth.clock,
        };
    }
}
