/* The checker's memory: C11 atomics by views.
 *
 * Each atomic word keeps all its values in modification order. A thread's view says how far it is in each: a load may
 * return any value not older than that (so reads are coherent, but stale), an RMW reads the last and appends to it.
 *   release   a store carries its thread's view; a relaxed one the view of the last release fence
 *   acquire   a load joins the view that its value carries; a relaxed one keeps it for the next acquire fence
 *   RMW       also carries on the view of the value that it read: a release sequence goes through RMWs, and through
 *             nothing else (C++20; C11's same-thread relaxed store, which carried it on too, is gone)
 *   seq_cst   executions run in the seq_cst order. `mc.order` remembers for each word the last seq_cst store; a seq_cst
 *             load reads nothing older. A fence joins its thread's view to `order` and `order` to its thread's view
 *             (of values, not of clocks: it creates no happens-before). Nothing else is implied by seq_cst: a load of
 *             it does not bind later relaxed loads, nor does it order stores that are not seq_cst.
 * Where the standards differ this is the weaker one: a value that a seq_cst load got from a weaker store does not bind
 * other seq_cst loads (C++20 would have it so; C11 and RC11 do not).
 *
 * Not modelled: load buffering (a load that returns a value stored later), and a seq_cst order that contradicts
 * happens-before (C++20 grants it to POWER). Modification order is the order of execution unless the test sets
 * reorder_stores.
 *
 * Sources: Lahav et al., "Repairing Sequential Consistency in C/C++11" (PLDI 2017); Kang et al., "A Promising Semantics
 * for Relaxed-Memory Concurrency" (POPL 2017), without promises.
 */
#include "model/mc_internal.h"

static bool acquires(enum skuai_order order)
{
    return order == SKUAI_ACQUIRE || order == SKUAI_ACQ_REL || order == SKUAI_SEQ_CST;
}
static bool releases(enum skuai_order order)
{
    return order == SKUAI_RELEASE || order == SKUAI_ACQ_REL || order == SKUAI_SEQ_CST;
}
static const char *order_name(enum skuai_order order)
{
    switch (order) {
    case SKUAI_RELAXED: return "relaxed";
    case SKUAI_ACQUIRE: return "acquire";
    case SKUAI_RELEASE: return "release";
    case SKUAI_ACQ_REL: return "acq_rel";
    default: return "seq_cst";
    }
}

static void join_seen(uint8_t *into, const uint8_t *from)
{
    for (int i = 0; i < MC_LOCATIONS; i++)
        into[i] = into[i] > from[i] ? into[i] : from[i];
}

void mc_join(struct mc_view *into, const struct mc_view *from)
{
    join_seen(into->seen, from->seen);
    for (int i = 0; i < MC_CLOCKS; i++)
        into->clock[i] = into->clock[i] > from->clock[i] ? into->clock[i] : from->clock[i];
}

void mc_memory_reset(void)
{
    memset(mc.bucket, 0, sizeof mc.bucket);
    memset(&mc.order, 0, sizeof mc.order);
    mc.locations = mc.plains = mc.ranges = mc.names = 0;
}

/* ---- addresses ---- */

static uint64_t raw(const void *address, unsigned size)
{
    uint32_t narrow;
    uint64_t wide;
    if (size == sizeof narrow) {
        memcpy(&narrow, address, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, address, sizeof wide);
    return wide;
}

static struct mc_location *new_location(const void *address, unsigned size, uint8_t *bucket, const char *where)
{
    if (mc.locations == MC_LOCATIONS)
        mc_fail_at(where, "the checker knows %d atomic words at most", MC_LOCATIONS);
    struct mc_location *location = &mc.location[mc.locations++];
    *bucket = (uint8_t)mc.locations;
    location->address = address;
    location->size = size;
    location->count = 0;
    location->dead = false;
    location->birth = (struct mc_birth){0};
    memset(location->last, 0, sizeof location->last);
    const struct mc_range *range = mc.ranges == 0 ? NULL : mc_range_of(address);
    if (range != NULL) {
        location->dead = range->dead;
        location->birth = range->birth;
    }
    return location;
}

/* The first touch: the word has the value that plain code gave it. */
static void give_birth(struct mc_location *location)
{
    location->history[0] =
        (struct mc_message){.value = raw(location->address, location->size), .writer = location->birth.thread};
    location->count = 1;
}

static struct mc_location *location_at(const void *address, unsigned size, const char *where)
{
    uint8_t *bucket = mc_bucket_of(address);
    if (*bucket > MC_LOCATIONS)
        mc_fail_at(where, "%s is plain data and an atomic", mc_name_of(address));
    struct mc_location *location =
        *bucket == 0 ? new_location(address, size, bucket, where) : &mc.location[*bucket - 1];
    if (location->dead)
        mc_use_after_free(address, where);
    if (location->size != size)
        mc_fail_at(where, "%s is accessed in two sizes", mc_name_of(address));
    if (!mc_happens_before_me(location->birth.thread, location->birth.clock))
        mc_fail_at(where, "race: %s is not yet visible to this thread (its mc_alloc does not happen before)",
                   mc_name_of(address));
    if (location->count == 0) {
        give_birth(location);
    } else if (location->history[location->count - 1].value != raw(address, size)) {
        if (mc.current != MC_MAIN)
            mc_fail_at(where, "%s was overwritten by plain code: use SKUAI_WRITE, or mc_alloc for reuse",
                       mc_name_of(address));
        give_birth(location); /* setup initialized it once more; nobody else has seen it */
    }
    location->last[mc.current] = mc_me()->now.clock[mc.current];
    return location;
}

static unsigned id_of(const struct mc_location *location) { return (unsigned)(location - mc.location); }

/* ---- reads ---- */

uint64_t mc_look(const void *address, unsigned size, const char *where)
{
    const struct mc_location *location = location_at(address, size, where);
    unsigned newest = location->count - 1;
    mc_me()->floor[id_of(location)] = (uint8_t)newest;
    return location->history[newest].value;
}

/* The oldest position that a load of this order may read. */
static unsigned oldest_readable(const struct mc_location *location, enum skuai_order order)
{
    unsigned id = id_of(location);
    const struct mc_thread *me = mc_me();
    unsigned oldest = me->now.seen[id] > me->floor[id] ? me->now.seen[id] : me->floor[id];
    if (order == SKUAI_SEQ_CST && mc.order.seen[id] > oldest)
        oldest = mc.order.seen[id];
    return oldest;
}

/* Picks one of n readable values; 0 is the newest. */
static unsigned choose_age(unsigned n)
{
    if (n <= 1)
        return 0;
    if (mc.stale_loads >= mc.stale_bound) {
        mc.cut = true;
        return 0;
    }
    unsigned age = mc_choose(n);
    mc.stale_loads += age != 0;
    return age;
}

static void read_message(const struct mc_location *location, unsigned at, enum skuai_order order)
{
    struct mc_thread *me = mc_me();
    const struct mc_view *view = &location->history[at].view;
    unsigned id = id_of(location);
    if (me->now.seen[id] < at)
        me->now.seen[id] = (uint8_t)at;
    if (acquires(order))
        mc_join(&me->now, view);
    else
        mc_join(&me->acquire, view);
}

static void log_read(const char *what, const struct mc_location *location, unsigned at, enum skuai_order order)
{
    if (!mc.logging)
        return;
    unsigned behind = location->count - 1 - at;
    mc_log(what, "%s -> %#llx %s%s", mc_name_of(location->address),
           (unsigned long long)location->history[at].value, order_name(order), behind == 0 ? "" : "  (STALE)");
}

uint64_t skuai_model_load(const void *address, unsigned size, enum skuai_order order, const char *where)
{
    mc_step(where);
    const struct mc_location *location = location_at(address, size, where);
    unsigned at = location->count - 1 - choose_age(location->count - oldest_readable(location, order));
    log_read("load", location, at, order);
    read_message(location, at, order);
    return location->history[at].value;
}

/* ---- writes ---- */

/* Everything that knows a position at or behind `at` of this word now knows it one further: a message goes in. */
static void shift(uint8_t *seen, unsigned id, unsigned at)
{
    if (seen[id] >= at)
        seen[id]++;
}

static void make_room(struct mc_location *location, unsigned at)
{
    unsigned id = id_of(location);
    memmove(&location->history[at + 1], &location->history[at], (location->count - at) * sizeof location->history[0]);
    for (unsigned i = 0; i < mc.locations; i++)
        for (unsigned k = 0; k < mc.location[i].count + (i == id); k++)
            shift(mc.location[i].history[k].view.seen, id, at);
    for (unsigned i = 0; i < mc.threads; i++) {
        struct mc_thread *thread = &mc.thread[i];
        shift(thread->now.seen, id, at);
        shift(thread->acquire.seen, id, at);
        shift(thread->release.seen, id, at);
        shift(thread->floor, id, at);
    }
    shift(mc.order.seen, id, at);
}

/* The store goes to position `at`. `carried`: the release sequence that an RMW carries on, or NULL. */
static void write_message(struct mc_location *location, unsigned at, uint64_t value, enum skuai_order order,
                          const struct mc_view *carried, const char *where)
{
    if (location->count == MC_HISTORY)
        mc_fail_at(where, "more than %d stores to %s: shorten the test", MC_HISTORY, mc_name_of(location->address));
    struct mc_thread *me = mc_me();
    unsigned id = id_of(location);
    if (at != location->count)
        make_room(location, at);
    me->now.seen[id] = (uint8_t)at;
    struct mc_message *message = &location->history[at];
    message->value = value;
    message->writer = (uint8_t)mc.current;
    message->is_rmw = carried != NULL;
    message->view = releases(order) ? me->now : me->release;
    if (carried != NULL)
        mc_join(&message->view, carried);
    message->view.seen[id] = (uint8_t)at;
    if (order == SKUAI_SEQ_CST)
        mc.order.seen[id] = (uint8_t)at;
    location->count++;
    if (at == location->count - 1)
        memcpy((void *)(uintptr_t)location->address, &value, location->size); /* little-endian, or 8 bytes */
    mc_stored();
}

/* Where a store may go in modification order: at the end, and if the test wants it before what this thread has not
 * seen, but never between an RMW and what that has read. */
static unsigned choose_position(const struct mc_location *location, enum skuai_order order)
{
    unsigned end = location->count;
    if (!mc.test->reorder_stores || mc.current == MC_MAIN)
        return end;
    unsigned id = id_of(location), first = mc_me()->now.seen[id] + 1u, n = 1;
    if (order == SKUAI_SEQ_CST && mc.order.seen[id] + 1u > first)
        first = mc.order.seen[id] + 1u;
    uint8_t positions[MC_HISTORY] = {(uint8_t)end};
    for (unsigned at = end; at-- > first;)
        if (!location->history[at].is_rmw)
            positions[n++] = (uint8_t)at;
    return positions[mc_choose(n)];
}

void skuai_model_store(void *address, unsigned size, uint64_t value, enum skuai_order order, const char *where)
{
    mc_step(where);
    struct mc_location *location = location_at(address, size, where);
    unsigned at = choose_position(location, order);
    if (mc.logging)
        mc_log("store", "%s = %#llx %s%s", mc_name_of(address), (unsigned long long)value, order_name(order),
               at == location->count ? "" : "  (EARLIER in modification order)");
    write_message(location, at, value, order, NULL, where);
}

static uint64_t apply(enum skuai_model_op op, uint64_t old, uint64_t operand, unsigned size)
{
    uint64_t value = op == SKUAI_MODEL_EXCHANGE ? operand
                     : op == SKUAI_MODEL_ADD    ? old + operand
                     : op == SKUAI_MODEL_SUB    ? old - operand
                     : op == SKUAI_MODEL_OR     ? old | operand
                                                : old & operand;
    return size == 4 ? (uint32_t)value : value;
}

/* The second half of an RMW that reads position `at`. */
static void modify(struct mc_location *location, unsigned at, uint64_t value, enum skuai_order order, const char *where)
{
    struct mc_view carried = location->history[at].view;
    read_message(location, at, order);
    if (mc.logging)
        mc_log("rmw", "%s: %#llx => %#llx %s%s", mc_name_of(location->address),
               (unsigned long long)location->history[at].value, (unsigned long long)value, order_name(order),
               at + 1 == location->count ? "" : "  (EARLIER in modification order)");
    write_message(location, at + 1, value, order, &carried, where);
}

/* The positions that an RMW may read: the newest, and with reorder_stores all that no RMW has read yet. */
static unsigned rmw_positions(const struct mc_location *location, enum skuai_order order, uint8_t *positions)
{
    unsigned n = 0, oldest = oldest_readable(location, order);
    positions[n++] = (uint8_t)(location->count - 1);
    if (mc.test->reorder_stores && mc.current != MC_MAIN)
        for (unsigned at = location->count - 1; at-- > oldest;)
            if (!location->history[at + 1].is_rmw)
                positions[n++] = (uint8_t)at;
    return n;
}

uint64_t skuai_model_rmw(void *address, unsigned size, enum skuai_model_op op, uint64_t operand,
                         enum skuai_order order, const char *where)
{
    mc_step(where);
    struct mc_location *location = location_at(address, size, where);
    uint8_t positions[MC_HISTORY];
    unsigned at = positions[mc_choose(rmw_positions(location, order, positions))];
    uint64_t old = location->history[at].value;
    modify(location, at, apply(op, old, operand, size), order, where);
    return old;
}

/* Strong: it fails only on a value that differs. But as any load it may have read an old one that does. */
bool skuai_model_cas(void *address, unsigned size, uint64_t *expected, uint64_t value, enum skuai_order order,
                     enum skuai_order fail_order, const char *where)
{
    mc_step(where);
    struct mc_location *location = location_at(address, size, where);
    uint8_t choices[2 * MC_HISTORY], positions[MC_HISTORY];
    unsigned wins = 0, n = rmw_positions(location, order, positions);
    for (unsigned i = 0; i < n; i++)
        if (location->history[positions[i]].value == *expected)
            choices[wins++] = positions[i];
    n = wins;
    unsigned oldest = oldest_readable(location, fail_order);
    for (unsigned at = location->count; at-- > oldest;)
        if (location->history[at].value != *expected)
            choices[n++] = (uint8_t)at;
    unsigned k = choose_age(n);
    if (k < wins) {
        modify(location, choices[k], value, order, where);
        return true;
    }
    log_read("cas fails", location, choices[k], fail_order);
    read_message(location, choices[k], fail_order);
    *expected = location->history[choices[k]].value;
    return false;
}

/* A seq_cst fence in every thread, as one step. */
void mc_barrier_everywhere_at(const char *where)
{
    mc_step(where);
    mc_log("barrier", "everywhere");
    for (unsigned i = 0; i < mc.threads; i++)
        join_seen(mc.order.seen, mc.thread[i].now.seen);
    for (unsigned i = 0; i < mc.threads; i++)
        join_seen(mc.thread[i].now.seen, mc.order.seen);
}

void skuai_model_fence(enum skuai_order order, const char *where)
{
    /* Others' steps do not matter to a fence, nor it to theirs, unless it is seq_cst. */
    if (order == SKUAI_SEQ_CST)
        mc_step(where);
    else
        mc_tick(where);
    struct mc_thread *me = mc_me();
    mc_log("fence", "%s", order_name(order));
    if (acquires(order))
        mc_join(&me->now, &me->acquire);
    if (order == SKUAI_SEQ_CST) {
        join_seen(mc.order.seen, me->now.seen);
        join_seen(me->now.seen, mc.order.seen);
    }
    if (releases(order))
        me->release = me->now;
}
