/* Parallel scans. See algorithm.h.
 *
 * The range is cut into blocks of equal length. The leader, on the caller's fiber, goes through them from the left: it
 * knows the prefix of each, so it sums and applies a chunk of them while it is in the cache. Jobs that others have
 * taken only sum their blocks, each for itself. When leader and others have met, the prefixes of the blocks that were
 * only summed follow from their sums, and a loop applies them. So without thieves a scan is one pass over the memory.
 *
 * A job that nobody has taken runs on the leader's strand; if all before it has been applied, it leads.
 */
#include "sched/algorithm.h"

#include <errno.h>
#include <string.h>

enum {
    BLOCKS_MAX = 1024, /* untuned: a sum costs a call or two, so a block should be long */
    ROOM_BYTES = 256
};

struct scan {
    struct skuai_loop loop;
    const skua_scan *how;
    void *context;
    size_t begin, end;
    size_t block;         /* indices of a block; the last one has fewer */
    size_t blocks;
    bool wants_total;
    bool deterministic;
    skua_strand *leader;
    size_t applied;       /* by the leader: this many blocks */
    char *prefix, *spare; /* the leader's: the prefix of block `applied`, and room for the next one */
    char *sums;           /* by block; NULL until the leader forks */
    bool no_memory;       /* for sums: the leader does it all */
};

static size_t start_of(const struct scan *scan, size_t block)
{
    return block < scan->blocks ? scan->begin + block * scan->block : scan->end;
}

static void swap_prefix(struct scan *scan)
{
    char *prefix = scan->spare;
    scan->spare = scan->prefix;
    scan->prefix = prefix;
}

/* These blocks, by the leader. */
static void lead(struct scan *scan, size_t at, size_t next)
{
    const skua_scan *how = scan->how;
    size_t begin = start_of(scan, at), end = start_of(scan, next);
    bool sum = next < scan->blocks || scan->wants_total;
    scan->applied = next;
    if (sum && how->advance != NULL && !scan->deterministic) {
        how->advance(scan->context, scan->prefix, begin, end);
        return;
    }
    if (sum && scan->deterministic) {
        how->init(scan->context, scan->spare);
        how->sum(scan->context, scan->spare, begin, end);
    } else if (sum) {
        memcpy(scan->spare, scan->prefix, how->size);
        how->sum(scan->context, scan->spare, begin, end);
    }
    how->apply(scan->context, scan->prefix, begin, end);
    if (!sum)
        return;
    if (scan->deterministic)
        how->combine(scan->context, scan->prefix, scan->spare); /* as meet() does */
    else
        swap_prefix(scan);
}

static void sum_up(struct scan *scan, size_t at, size_t next)
{
    for (; at < next; at++) {
        char *sum = scan->sums + at * scan->how->size;
        scan->how->init(scan->context, sum);
        scan->how->sum(scan->context, sum, start_of(scan, at), start_of(scan, at + 1));
    }
}

static bool has_sums(struct scan *scan)
{
    if (scan->sums == NULL && !scan->no_memory) {
        if (scan->how->size <= SIZE_MAX / BLOCKS_MAX)
            scan->sums = skuai_memory_get(scan->loop.sched, scan->blocks * scan->how->size);
        scan->no_memory = scan->sums == NULL;
    }
    return scan->sums != NULL;
}

SKUA_PARALLEL_VOID(scan_part, struct scan *, scan, size_t, at, size_t, end, size_t, chunk)
{
    SKUA_FORKED(scan_part) upper[SKUAI_LOOP_FORKS];
    int forks = 0;
    /* In this order: `applied` is the leader's. */
    bool leads = skuai_strand == scan->leader && scan->applied == at;
    struct skuai_pace pace = skuai_pace_begin(&scan->loop, chunk);
    while (at < end && !skuai_loop_is_stopped(&scan->loop)) {
        /* Others fork only where the leader has. */
        if (skuai_loop_is_to_split(&scan->loop, skuai_strand, &pace, end - at) && (!leads || has_sums(scan))) {
            if (forks == SKUAI_LOOP_FORKS) {
                SKUA_CALL(scan_part, scan, at, end, pace.chunk);
                break;
            }
            size_t middle = at + (end - at) / 2;
            SKUA_FORK_INTO(upper[forks], scan_part, scan, middle, end, pace.chunk);
            forks++;
            end = middle;
        }
        size_t next = scan->deterministic ? at + 1 : skuai_pace_next(&pace, &scan->loop, at, end);
        if (leads)
            lead(scan, at, next);
        else
            sum_up(scan, at, next);
        skuai_pace_lap(&pace, &scan->loop, next - at);
        at = next;
    }
    while (forks-- > 0)
        SKUA_JOIN(scan_part, upper[forks]);
}

/* From what leader and others have: the prefix of each block that was only summed, in the place of its sum. */
static void meet(struct scan *scan)
{
    const skua_scan *how = scan->how;
    for (size_t block = scan->applied; block < scan->blocks; block++) {
        char *sum = scan->sums + block * how->size;
        memcpy(scan->spare, sum, how->size);
        memcpy(sum, scan->prefix, how->size);
        how->combine(scan->context, scan->prefix, scan->spare);
    }
}

static void apply_blocks(void *context, size_t begin, size_t end)
{
    struct scan *scan = context;
    for (size_t next; begin < end; begin = next) {
        next = scan->deterministic ? begin + 1 : end;
        scan->how->apply(scan->context, scan->sums + begin * scan->how->size, start_of(scan, begin),
                         start_of(scan, next));
    }
}

SKUA_PARALLEL_VOID(scan_all, struct scan *, scan)
{
    scan->leader = skuai_strand;
    SKUA_CALL(scan_part, scan, 0, scan->blocks, 1);
}

static void scan_in_blocks(struct scan *scan, size_t count)
{
    size_t shortest = (count - 1) / BLOCKS_MAX + 1, min_chunk = scan->loop.min_chunk;
    scan->block = shortest > min_chunk ? shortest : min_chunk;
    scan->blocks = (count - 1) / scan->block + 1;
    scan->loop.min_chunk = 1; /* from here on chunks are of blocks */
    skuai_parallel_announce(count / SKUAI_INDICES_PER_NS);
    SKUA_RUN(scan_all, scan);
    if (scan->applied < scan->blocks && skuai_loop_end(&scan->loop) == 0) {
        meet(scan);
        skuai_loop_for(&scan->loop, scan->applied, scan->blocks, apply_blocks, scan);
    }
    if (scan->sums != NULL)
        skuai_memory_put(scan->loop.sched, scan->sums, scan->blocks * scan->how->size);
}

static void scan_range(struct scan *scan, void *total)
{
    scan->how->init(scan->context, scan->prefix);
    if (scan->begin < scan->end && !skuai_loop_is_stopped(&scan->loop)) {
        if (scan->loop.sched->nworkers == 1 && !scan->wants_total && !scan->deterministic)
            scan->how->apply(scan->context, scan->prefix, scan->begin, scan->end);
        else
            scan_in_blocks(scan, scan->end - scan->begin);
    }
    if (total != NULL)
        memcpy(total, scan->prefix, scan->how->size);
}

int skua_parallel_scan_with(const skua_parallel_attr *attr, size_t begin, size_t end, const skua_scan *how,
                            void *context, void *total)
{
    _Alignas(max_align_t) char room[ROOM_BYTES];
    struct scan scan = { .how = how, .context = context, .begin = begin, .end = end, .wants_total = total != NULL,
                         .deterministic = attr != NULL && attr->deterministic };
    if (begin > end || how == NULL || how->size == 0 || how->init == NULL || how->sum == NULL ||
        how->combine == NULL || how->apply == NULL)
        return -EINVAL;
    int rc = skuai_loop_begin(&scan.loop, "skua_parallel_scan", attr);
    if (rc != 0)
        return rc;
    size_t size = (how->size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    char *memory = size <= ROOM_BYTES / 2 ? room : skuai_memory_get(scan.loop.sched, 2 * size);
    if (memory == NULL)
        return -ENOMEM;
    scan.prefix = memory;
    scan.spare = memory + size;
    scan_range(&scan, total);
    if (memory != room)
        skuai_memory_put(scan.loop.sched, memory, 2 * size);
    return skuai_loop_end(&scan.loop);
}

int skua_parallel_scan(size_t begin, size_t end, const skua_scan *how, void *context, void *total)
{
    return skua_parallel_scan_with(NULL, begin, end, how, context, total);
}
