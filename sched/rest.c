/* See rest.h. */
#include "sched/rest.h"

#if defined(SKUAI_DEBUG)

#include "sched/lock.h"
#include "sched/scope.h"

/* The process's, as threads are. */
static struct {
    struct skuai_lock lock;
    uint64_t era;
    uint32_t count;
    struct skuai_rest *first;
} resting;

void skuai_rest_begin(struct skuai_rest *rest, enum skuai_rester who, bool is_endless)
{
    if (!is_endless)
        return;
    *rest = (struct skuai_rest){ .thread = 0 };
    if (who == SKUAI_REST_THREAD) {
        const struct skuai_thread_notes *notes = skuai_thread_notes();
        *rest = (struct skuai_rest){ .thread = skuai_thread_number(), .place = notes->place, .op = notes->op,
                                     .selection = notes->select };
    }
    skuai_lock_acquire(&resting.lock);
    rest->next = resting.first;
    if (rest->next != NULL)
        rest->next->prev = rest;
    resting.first = rest;
    resting.count++;
    resting.era += who != SKUAI_REST_GUARD;
    skuai_lock_release(&resting.lock);
}

void skuai_rest_end(struct skuai_rest *rest, enum skuai_rester who, bool is_endless)
{
    if (!is_endless)
        return;
    skuai_lock_acquire(&resting.lock);
    if (rest->prev != NULL)
        rest->prev->next = rest->next;
    else
        resting.first = rest->next;
    if (rest->next != NULL)
        rest->next->prev = rest->prev;
    resting.count--;
    resting.era += who != SKUAI_REST_GUARD;
    skuai_lock_release(&resting.lock);
}

void skuai_rest_fork_begins(void) { skuai_lock_acquire(&resting.lock); }

void skuai_rest_fork_ends(bool in_child)
{
    if (in_child) { /* those who rested are not there, and their stacks will be others' */
        resting.first = NULL;
        resting.count = 0;
    }
    skuai_lock_release(&resting.lock);
}

void skuai_rest_note(const skua_op *op, const skua_selection *selection)
{
    struct skuai_thread_notes *notes = skuai_thread_notes();
    notes->op = op;
    notes->select = selection;
}

static uint32_t count_and_era(uint64_t *era)
{
    skuai_lock_acquire(&resting.lock);
    uint32_t count = resting.count;
    *era = resting.era;
    skuai_lock_release(&resting.lock);
    return count;
}

bool skuai_rest_is_total(uint64_t *era)
{
    uint64_t before;
    uint32_t count = count_and_era(&before);
    return skuai_threads_asleep() == (int64_t)count && count_and_era(era) == count && *era == before;
}

uint32_t skuai_rest_each_thread(void (*visit)(void *context, const struct skuai_rest *rest), void *context)
{
    uint32_t count = 0;
    for (const struct skuai_rest *rest = resting.first; rest != NULL; rest = rest->next) {
        if (rest->thread == 0)
            continue;
        count++;
        if (visit != NULL)
            visit(context, rest);
    }
    return count;
}

#else

extern int skuai_of_iso_c_at_least_one_declaration;

#endif
