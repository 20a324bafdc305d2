/* When to give unused memory back to the kernel.
 *
 * Giving back at once makes a load that comes in waves pay for it in every wave: a page fault per page, and on other
 * processors an interrupt per call. Never giving back keeps the peak for ever. So pools keep what is freed and count;
 * what nobody has needed for a whole period is given back at its end, by the guard (guard.c), off the workers' time:
 *   count   how many are kept
 *   low     the least that count has been in this period: that many lay there all the time
 * A few are kept for ever. Both numbers are guarded by their pool's lock.
 */
#ifndef SKUAI_DECAY_H
#define SKUAI_DECAY_H

#include <stdbool.h>
#include <stdint.h>

struct skuai_kept {
    uint32_t count, low;
};

/* What a pool says when it was asked to give back. */
enum skuai_decay {
    SKUAI_DECAY_NOTHING, /* there is nothing to come back for */
    SKUAI_DECAY_LATER,   /* a new period has begun: at its end */
    SKUAI_DECAY_NOW      /* the rest of this period's: soon */
};

static inline void skuai_kept_add(struct skuai_kept *kept) { kept->count++; }

static inline void skuai_kept_remove(struct skuai_kept *kept)
{
    if (--kept->count < kept->low)
        kept->low = kept->count;
}

/* Gives back n of the unneeded ones. */
static inline void skuai_kept_give_back(struct skuai_kept *kept, uint32_t n)
{
    kept->count -= n;
    kept->low -= n;
}

/* A new period begins. Whether its end may have something to give back. */
static inline bool skuai_kept_renew(struct skuai_kept *kept, uint32_t always)
{
    kept->low = kept->count;
    return kept->count > always;
}

/* How many may be given back now, of those beyond `always`. */
static inline uint32_t skuai_kept_unneeded(const struct skuai_kept *kept, uint32_t always)
{
    uint32_t beyond = kept->count > always ? kept->count - always : 0;
    return kept->low < beyond ? kept->low : beyond;
}

#endif
