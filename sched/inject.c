/* See inject.h. */
#include "sched/inject.h"

void skuai_inject_init(struct skuai_inject *inject)
{
    skuai_store_ptr(&inject->stub.next, NULL, SKUAI_RELAXED);
    skuai_store_ptr(&inject->newest, &inject->stub, SKUAI_RELAXED);
    skuai_store_64(&inject->pushed, 0, SKUAI_RELAXED);
    skuai_store_64(&inject->taken, 0, SKUAI_RELAXED);
    skuai_store_32(&inject->taking, 0, SKUAI_RELAXED);
    SKUAI_WRITE(inject->oldest, &inject->stub);
}

static void link_behind(struct skuai_inject *inject, skua_task *first, skua_task *last)
{
    skuai_store_ptr(&last->next, NULL, SKUAI_RELAXED); /* before the next producer's link: ordered by the exchange */
    /* Release: for that. Acquire: our link comes after the former newest cleared its own. */
    skua_task *before = skuai_exchange_ptr(&inject->newest, last, SKUAI_ACQ_REL);
    /* Release: pairs with the consumer's acquire of the link; the task's contents are behind it. */
    skuai_store_ptr(&before->next, first, SKUAI_RELEASE);
}

void skuai_inject_push(struct skuai_inject *inject, skua_task *first, skua_task *last, uint64_t count)
{
    /* SEQ_CST: the pusher's half of idle.h's shape { count; look for sleepers } against { go to sleep; look at the
     * count }. First, so that `taken` never passes it. */
    skuai_add_64(&inject->pushed, count, SKUAI_SEQ_CST);
    link_behind(inject, first, last);
}

/* Takes one; NULL at the end or at a gap. Its link is most likely in another processor's cache, as are those behind it,
 * and each is only known when the one before has come: so what lies a few places behind is fetched by the hint. */
static skua_task *take_one(struct skuai_inject *inject)
{
    skua_task *oldest = SKUAI_READ(inject->oldest);
    __builtin_prefetch(oldest->ahead);
    __builtin_prefetch((char *)oldest->ahead + SKUAI_CACHE_LINE);
    skua_task *next = skuai_load_ptr(&oldest->next, SKUAI_ACQUIRE); /* pairs with link_behind's release */
    if (oldest == &inject->stub) {
        if (next == NULL)
            return NULL;
        SKUAI_WRITE(inject->oldest, next);
        oldest = next;
        next = skuai_load_ptr(&oldest->next, SKUAI_ACQUIRE); /* likewise */
    }
    if (next == NULL) {
        /* The last one, unless a producer is between its two steps. */
        if (skuai_load_ptr(&inject->newest, SKUAI_RELAXED) != oldest) /* a hint: the link decides */
            return NULL;
        link_behind(inject, &inject->stub, &inject->stub);           /* I3 */
        next = skuai_load_ptr(&oldest->next, SKUAI_ACQUIRE);              /* ours, or that of a producer before us */
        if (next == NULL)
            return NULL; /* a gap */
    }
    SKUAI_WRITE(inject->oldest, next);
    return oldest;
}

int skuai_inject_take(struct skuai_inject *inject, skua_task **tasks, uint32_t max)
{
    if (skuai_inject_is_empty(inject))
        return 0;
    /* A look first, which spares the exchange; no model test needs the check: the exchange decides. Acquire: pairs with
     * the release below; `oldest` is handed over by it. */
    if (skuai_load_32(&inject->taking, SKUAI_RELAXED) != 0 || skuai_exchange_32(&inject->taking, 1, SKUAI_ACQUIRE) != 0)
        return SKUAI_INJECT_BUSY;
    uint32_t count = 0;
    while (count < max && (tasks[count] = take_one(inject)) != NULL)
        count++;
    if (count != 0) {
        uint64_t taken = skuai_load_64(&inject->taken, SKUAI_RELAXED); /* guarded by taking */
        skuai_store_64(&inject->taken, taken + count, SKUAI_RELAXED);
    }
    bool gap = count == 0 && !skuai_inject_is_empty(inject);
    skuai_store_32(&inject->taking, 0, SKUAI_RELEASE); /* as above */
    return gap ? SKUAI_INJECT_BUSY : (int)count;
}
