/* See lock_debug.h and skua/lock_debug.h.
 *
 * Holds. A record for each lock that a flow holds or waits for. It is found by the flow, not kept in it: tasks have no
 * room, and a future's task, a set's child and a plain thread need the same. A flow is the innermost child of a set
 * that is being polled, else the task, else the thread; its address is its name while it lives, and its end is told
 * (skuai_flow_ends). Records lie in buckets by flow, each with a lock of its own, so that flows which have nothing to
 * do with each other do not meet here, and ThreadSanitizer still sees it if they race.
 *
 * Order. A graph of locks: an edge from A to B says that somebody wanted B while he held A, and where. Before an edge
 * is added its reverse is looked for; a path back is an inversion. A lock's number is drawn when it is first used, and
 * dies with its initialisation, so that an edge never means another lock that has come to lie in the same memory.
 */
#include "skua/lock_debug.h"

#include "sync/lock_debug.h"

#if !defined(SKUAI_DEBUG) || defined(SKUAI_MODEL)

void skuai_lock_place(const char *place) { (void)place; }

#else

#include <errno.h>
#include <stdio.h>

#include "sched/combine.h"
#include "sched/lock.h"
#include "sched/scheduler.h"
#include "sched/scope.h"

/* ---- places ----------------------------------------------------------------------------------------------------- */

enum { IS_ADDRESS = 1 };

void skuai_lock_place(const char *place) { *skuai_thread_place() = place; }

skuai_place skuai_lock_debug_place(const void *return_address)
{
    const char **told = skuai_thread_place(), *text = *told;
    *told = NULL;
    uintptr_t pointer = (uintptr_t)(text != NULL ? (const void *)text : return_address);
    return (skuai_place)(pointer << 1 | (text == NULL ? IS_ADDRESS : 0));
}

enum { PLACE_BYTES = 128 };
static const char *place_text(skuai_place place, char *text)
{
    uintptr_t pointer = (uintptr_t)place >> 1;
    if (pointer == 0)
        return "a place that is not known";
    if (!(place & IS_ADDRESS))
        return (const char *)pointer;
    snprintf(text, PLACE_BYTES, "%p", (void *)pointer);
    return text;
}

/* ---- holds ------------------------------------------------------------------------------------------------------ */

enum { BUCKETS = 64, RECORDS = 64, FLOWS = 8 };

struct record {
    const void *flow; /* NULL: it is free */
    uint32_t lock;
    uint8_t mode;
    bool waits;
    skuai_place place;
};

static struct bucket {
    struct skuai_lock lock;
    bool missed; /* it was full once: what is not found here may have been forgotten */
    uint32_t used; /* the first so many may be */
    struct record records[RECORDS];
} __attribute__((aligned(SKUAI_CACHE_LINE))) buckets[BUCKETS];

static uint32_t bucket_of(const void *flow)
{
    return (uint32_t)(((uintptr_t)flow >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 58);
}

static void purge(const void *flow);

/* The calling flow, and the ones around it. Returns how many. */
static uint32_t calling_flows(const void *flows[FLOWS])
{
    uint32_t count = 0;
    struct skuai_worker *worker = skuai_worker_self();
    if (worker == NULL) {
        flows[count++] = skuai_thread_scopes(); /* an address of the thread's own */
        return count;
    }
    if (worker->task == NULL) {
        flows[count++] = worker;
        return count;
    }
    for (const skua_child *child = worker->child; child != NULL && count < FLOWS - 1; child = child->set->outer)
        flows[count++] = child;
    flows[count++] = worker->task;
    skuai_store_ptr(&skuai_flow_ends_hook, (void *)(uintptr_t)purge, SKUAI_RELAXED); /* always the same */
    return count;
}

static uint32_t number_of(skua_lock_identity *lock)
{
    static skua_word32 last; /* a number for each lock that there is; four billion are enough for a debug run */
    uint32_t number = skuai_load_32(&lock->number, SKUAI_RELAXED); /* a number is all there is to it */
    if (number != 0)
        return number;
    uint32_t drawn = skuai_add_32(&last, 1, SKUAI_RELAXED) + 1, seen = 0;
    return skuai_cas_32(&lock->number, &seen, drawn, SKUAI_RELAXED) ? drawn : seen;
}

/* Under the bucket's lock. NULL if the flow has no such record. */
static struct record *find_locked(struct bucket *bucket, const void *flow, uint32_t lock, bool waits)
{
    for (uint32_t i = 0; i < bucket->used; i++) {
        struct record *record = &bucket->records[i];
        if (record->flow == flow && record->lock == lock && record->waits == waits)
            return record;
    }
    return NULL;
}

/* Its index in all buckets, from 1; 0: there is no room. */
static uint32_t record_add(const void *flow, uint32_t lock, enum skuai_lock_mode mode, skuai_place place, bool waits)
{
    uint32_t index = bucket_of(flow), added = 0;
    struct bucket *bucket = &buckets[index];
    skuai_lock_acquire(&bucket->lock);
    for (uint32_t i = 0; i < RECORDS && added == 0; i++) {
        if (bucket->records[i].flow != NULL)
            continue;
        bucket->records[i] = (struct record){ flow, lock, (uint8_t)mode, waits, place };
        bucket->used = i >= bucket->used ? i + 1 : bucket->used;
        added = index * RECORDS + i + 1;
    }
    bucket->missed = bucket->missed || added == 0;
    skuai_lock_release(&bucket->lock);
    return added;
}

void skuai_lock_debug_acquired(skua_lock_identity *lock, enum skuai_lock_mode mode, skuai_place place)
{
    const void *flows[FLOWS];
    calling_flows(flows);
    record_add(flows[0], number_of(lock), mode, place, false);
}

void skuai_lock_debug_waits(skua_op *op, skua_lock_identity *lock, enum skuai_lock_mode mode)
{
    const void *flows[FLOWS];
    calling_flows(flows);
    op->result = record_add(flows[0], number_of(lock), mode, op->result, true);
}

/* The record behind an op that waits, under its bucket's lock, or NULL. */
static struct record *lock_record(const skua_op *op, struct bucket **bucket)
{
    if (op->result == 0)
        return NULL;
    uint32_t index = (uint32_t)op->result - 1;
    *bucket = &buckets[index / RECORDS];
    skuai_lock_acquire(&(*bucket)->lock);
    return &(*bucket)->records[index % RECORDS];
}

void skuai_lock_debug_granted(skua_op *op)
{
    struct bucket *bucket;
    struct record *record = lock_record(op, &bucket);
    if (record == NULL)
        return;
    record->waits = false;
    skuai_lock_release(&bucket->lock);
}

void skuai_lock_debug_gave_up(skua_op *op)
{
    struct bucket *bucket;
    struct record *record = lock_record(op, &bucket);
    if (record == NULL)
        return;
    op->result = record->place; /* a select may start it again */
    record->flow = NULL;
    skuai_lock_release(&bucket->lock);
}

/* Any holder's record, copied. */
static bool find_holder(uint32_t lock, struct record *found)
{
    bool is_found = false;
    for (uint32_t i = 0; i < BUCKETS && !is_found; i++) {
        skuai_lock_acquire(&buckets[i].lock);
        for (uint32_t k = 0; k < buckets[i].used && !is_found; k++) {
            const struct record *record = &buckets[i].records[k];
            is_found = record->flow != NULL && record->lock == lock && !record->waits;
            if (is_found)
                *found = *record;
        }
        skuai_lock_release(&buckets[i].lock);
    }
    return is_found;
}

const char *skuai_lock_debug_where(const skua_lock_identity *lock, char *text)
{
    char place[PLACE_BYTES];
    struct record record;
    uint32_t number = skuai_load_32(&lock->number, SKUAI_RELAXED);
    if (number == 0 || !find_holder(number, &record))
        return "";
    snprintf(text, SKUAI_WHERE_BYTES, " (locked at %s)", place_text(record.place, place));
    return text;
}

/* Takes out what the calling flow or one around it holds; only looks if `look`. */
static bool held_by_caller(uint32_t lock, enum skuai_lock_mode mode, bool look)
{
    const void *flows[FLOWS];
    uint32_t count = calling_flows(flows);
    for (uint32_t i = 0; i < count; i++) {
        struct bucket *bucket = &buckets[bucket_of(flows[i])];
        skuai_lock_acquire(&bucket->lock);
        struct record *record = find_locked(bucket, flows[i], lock, false);
        bool is_right = record != NULL && (record->mode == (uint8_t)mode || (look && mode == SKUAI_LOCK_SHARED));
        if (is_right && !look)
            record->flow = NULL;
        /* Of a lock that is held exclusively: either its record was forgotten, or the caller is not its holder. */
        bool forgotten = record == NULL && bucket->missed && mode == SKUAI_LOCK_SHARED;
        skuai_lock_release(&bucket->lock);
        if (is_right || forgotten)
            return true;
    }
    return false;
}

bool skuai_lock_debug_holds(const skua_lock_identity *lock, enum skuai_lock_mode mode)
{
    uint32_t number = skuai_load_32(&lock->number, SKUAI_RELAXED);
    struct record unused;
    return number != 0 && (held_by_caller(number, mode, true) || !find_holder(number, &unused));
}

bool skuai_lock_debug_releases(skua_lock_identity *lock, enum skuai_lock_mode mode, const char *call)
{
    char text[256], place[PLACE_BYTES];
    struct record holder;
    uint32_t number = number_of(lock);
    if (held_by_caller(number, mode, false) || !find_holder(number, &holder))
        return true; /* or nobody holds it, which the lock itself sees */
    snprintf(text, sizeof text, "was called by who does not hold the lock%s: it was locked at %s",
             holder.mode == (uint8_t)mode ? "" : " so", place_text(holder.place, place));
    skuai_misuse(call, text, "unlock in the task (the child of a set, the thread) that locked, as it was locked");
    return false;
}

/* ---- order ------------------------------------------------------------------------------------------------------ */

enum { EDGES = 4096, HEADS = 1024, NONE = UINT16_MAX };

struct edge {
    uint32_t from, to; /* 0: free */
    uint32_t seen;     /* the search that has been here */
    uint16_t next;     /* of those with the same head */
    skuai_place from_place, to_place;
};

static struct {
    struct skuai_lock lock;
    bool made;
    uint32_t search, next; /* the oldest edge's place is used next */
    uint16_t heads[HEADS];
    struct edge edges[EDGES];
    uint16_t stack[EDGES];
} graph; /* all guarded by its lock */

static uint16_t *head_of(uint32_t lock) { return &graph.heads[lock * UINT32_C(2654435761) >> 22]; }

static void make_graph(void)
{
    for (uint32_t i = 0; i < HEADS; i++)
        graph.heads[i] = NONE;
    graph.made = true;
}

static const struct edge *find_edge(uint32_t from, uint32_t to)
{
    for (uint16_t i = *head_of(from); i != NONE; i = graph.edges[i].next)
        if (graph.edges[i].from == from && graph.edges[i].to == to)
            return &graph.edges[i];
    return NULL;
}

/* The first edge of a path, or NULL. Depth first; each edge is gone once. */
static const struct edge *find_path(uint32_t from, uint32_t to)
{
    graph.search++;
    for (uint16_t first = *head_of(from); first != NONE; first = graph.edges[first].next) {
        if (graph.edges[first].from != from || graph.edges[first].seen == graph.search)
            continue;
        uint32_t depth = 0;
        graph.edges[first].seen = graph.search;
        graph.stack[depth++] = first;
        while (depth != 0) {
            uint32_t at = graph.edges[graph.stack[--depth]].to;
            if (at == to)
                return &graph.edges[first];
            for (uint16_t i = *head_of(at); i != NONE; i = graph.edges[i].next)
                if (graph.edges[i].from == at && graph.edges[i].seen != graph.search) {
                    graph.edges[i].seen = graph.search;
                    graph.stack[depth++] = i;
                }
        }
    }
    return NULL;
}

static void add_edge(uint32_t from, uint32_t to, skuai_place from_place, skuai_place to_place)
{
    uint16_t place = (uint16_t)(graph.next++ % EDGES);
    struct edge *edge = &graph.edges[place];
    if (edge->from != 0) {
        uint16_t *link = head_of(edge->from);
        while (*link != place)
            link = &graph.edges[*link].next;
        *link = edge->next;
    }
    uint16_t *head = head_of(from);
    *edge = (struct edge){ .from = from, .to = to, .next = *head, .from_place = from_place, .to_place = to_place };
    *head = place;
}

/* True: *back is the first edge of a path back, copied. */
static bool order(const struct record *held, uint32_t wanted, skuai_place place, struct edge *back)
{
    bool is_inverted = false;
    skuai_lock_acquire(&graph.lock);
    if (!graph.made)
        make_graph();
    if (find_edge(held->lock, wanted) == NULL) {
        const struct edge *path = find_path(wanted, held->lock);
        is_inverted = path != NULL;
        if (is_inverted)
            *back = *path;
        add_edge(held->lock, wanted, held->place, place);
    }
    skuai_lock_release(&graph.lock);
    return is_inverted;
}

static void report_inversion(const char *call, const struct record *held, skuai_place place, const struct edge *back)
{
    char texts[4][PLACE_BYTES];
    struct skuai_worker *worker = skuai_worker_self();
    skuai_log(worker != NULL ? worker->sched : NULL, SKUA_LOG_WARN,
              "lock-order inversion: %s at %s, inside of the lock that was taken at %s; but somewhere the first was "
              "taken at %s, and inside of it at %s another one that is the second or comes before it: they can "
              "deadlock",
              call, place_text(place, texts[0]), place_text(held->place, texts[1]),
              place_text(back->from_place, texts[2]), place_text(back->to_place, texts[3]));
}

/* What a flow holds, copied: reports come outside of locks. */
static uint32_t copy_holds(const void *flow, struct record *copies, uint32_t max)
{
    uint32_t count = 0;
    struct bucket *bucket = &buckets[bucket_of(flow)];
    skuai_lock_acquire(&bucket->lock);
    for (uint32_t i = 0; i < bucket->used && count < max; i++)
        if (bucket->records[i].flow == flow && !bucket->records[i].waits)
            copies[count++] = bucket->records[i];
    skuai_lock_release(&bucket->lock);
    return count;
}

enum { HELD_AT_ONCE = 16 }; /* more are not looked at */

/* The flow's hold may be an arm of the select that `op` is one of, which others have just granted: then the select was
 * decided before the record said so, and `op` will take no effect. */
static bool is_of_decided_select(const skua_op *op)
{
    return op != NULL && op->select != NULL && skuai_select_decided(op->select) >= 0;
}

int skuai_lock_debug_wants(skua_lock_identity *lock, enum skuai_lock_mode mode, const char *call, skuai_place place,
                           const skua_op *op)
{
    const void *flows[FLOWS];
    struct record held[HELD_AT_ONCE];
    uint32_t number = number_of(lock), count = calling_flows(flows);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t holds = copy_holds(flows[i], held, HELD_AT_ONCE);
        if (holds != 0 && is_of_decided_select(op))
            return 0;
        for (uint32_t k = 0; k < holds; k++) {
            struct edge back;
            bool again = held[k].lock == number;
            if (again && (held[k].mode == SKUAI_LOCK_EXCLUSIVE || mode == SKUAI_LOCK_EXCLUSIVE)) {
                char text[256], where[PLACE_BYTES];
                snprintf(text, sizeof text, "was called by who holds the lock (since %s) and would wait for itself",
                         place_text(held[k].place, where));
                skuai_misuse(call, text, "lock once, or unlock before");
                return -EDEADLK;
            }
            if (!again && order(&held[k], number, place, &back))
                report_inversion(call, &held[k], place, &back);
        }
    }
    return 0;
}

/* ---- ends ------------------------------------------------------------------------------------------------------- */

/* A task or a child of a set has ended. */
static void purge(const void *flow)
{
    struct record held[HELD_AT_ONCE];
    struct bucket *bucket = &buckets[bucket_of(flow)];
    uint32_t count = copy_holds(flow, held, HELD_AT_ONCE);
    skuai_lock_acquire(&bucket->lock);
    for (uint32_t i = 0; i < bucket->used; i++)
        if (bucket->records[i].flow == flow)
            bucket->records[i].flow = NULL;
    skuai_lock_release(&bucket->lock);
    for (uint32_t i = 0; i < count; i++) {
        char text[256], where[PLACE_BYTES];
        snprintf(text, sizeof text, "came while it held a lock that it took at %s", place_text(held[i].place, where));
        skuai_misuse("the end of a task or future", text, "unlock before: nobody else may, and others wait for ever");
    }
}

#endif
