/* Memory that belongs to one thread at a time, and a word beside it that says to whom:
 *
 *   give      the owner has done with it and stores whose it is now (release)
 *   look      who reads that it is his (acquire: pairs with give) may touch it
 *   claim     by compare-and-swap (acquire: likewise), where several may take it, or the giver may take it back
 *   withdraw  the giver takes it back, by compare-and-swap: if that succeeds nobody has touched it, so it needs no
 *             order
 * Model: tests/model/model_handoff.c.
 */
#ifndef SKUAI_HANDOFF_H
#define SKUAI_HANDOFF_H

#include "sched/atomic.h"

SKUAI_INLINE void skuai_handoff_give(skua_word32 *word, uint32_t to) { skuai_store_32(word, to, SKUAI_RELEASE); }

SKUAI_INLINE uint32_t skuai_handoff_look(const skua_word32 *word) { return skuai_load_32(word, SKUAI_ACQUIRE); }

SKUAI_INLINE bool skuai_handoff_claim(skua_word32 *word, uint32_t from, uint32_t to)
{
    return skuai_cas_32(word, &from, to, SKUAI_ACQUIRE);
}

SKUAI_INLINE bool skuai_handoff_withdraw(skua_word32 *word, uint32_t from, uint32_t to)
{
    return skuai_cas_32(word, &from, to, SKUAI_RELAXED); /* as above */
}

#endif
