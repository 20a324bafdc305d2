/* Run-down protection: who uses a thing that its owner may take away counts itself in, and the owner waits until the
 * last of them is out.
 *
 *   R1 enter   the user counts itself in, then looks whether the thing is still to be had (a load, seq_cst)
 *   R2 close   the owner makes it no longer to be had (a store, seq_cst)
 *   R3 over    and waits until nobody is counted
 *   R4 leave   the user's last access: what it did with the thing comes before what the owner does now
 * Litmus of R1 and R2: store buffering, { count; look } against { close; count }, all seq_cst: either the user sees
 * that it is closed, or the owner sees the user.
 *
 * A user without whom the owner does not get as far as R2 (it is yet to finish an op that the owner waits for) needs
 * no look: it enters ahead of that, and the release by which it lets the owner go on carries the count.
 * Model: tests/model/model_rundown.c.
 */
#ifndef SKUAI_RUNDOWN_H
#define SKUAI_RUNDOWN_H

#include "sched/atomic.h"

struct skuai_rundown {
    skua_word32 users;
};

SKUAI_INLINE void skuai_rundown_enter(struct skuai_rundown *rundown)
{
    skuai_add_32(&rundown->users, 1, SKUAI_SEQ_CST); /* R1 */
}

SKUAI_INLINE void skuai_rundown_enter_ahead(struct skuai_rundown *rundown)
{
    skuai_add_32(&rundown->users, 1, SKUAI_RELAXED); /* a release follows */
}

SKUAI_INLINE void skuai_rundown_leave(struct skuai_rundown *rundown)
{
    skuai_sub_32(&rundown->users, 1, SKUAI_RELEASE); /* R4 */
}

/* R3, to be asked again until it is so. */
SKUAI_INLINE bool skuai_rundown_is_over(const struct skuai_rundown *rundown)
{
    return skuai_load_32(&rundown->users, SKUAI_SEQ_CST) == 0;
}

#endif
