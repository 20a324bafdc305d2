/* The guard as a thread of the checker, for tests in which it runs beside workers. Included once, behind world.h. */
#ifndef SKUA_MODEL_WORLD_GUARD_H
#define SKUA_MODEL_WORLD_GUARD_H

#include "model/world.h"

static int guard_thread;

bool skuai_crowd_read(long number, uint64_t *ran_ns, uint64_t *waited_ns)
{
    (void)number;
    (void)ran_ns;
    (void)waited_ns;
    mc_fail("nobody asks the kernel here");
}

int skuai_sim_thread_start(struct skuai_sim *sim, struct skuai_thread *thread, struct skuai_parker *parker)
{
    (void)sim;
    (void)parker;
    guard_thread = mc_thread_named("guard", thread->entry, thread->arg);
    mc_allow_blocked(guard_thread);
    return 0;
}
void skuai_sim_thread_join(struct skuai_sim *sim, struct skuai_thread *thread)
{
    (void)sim;
    (void)thread;
    mc_fail("nobody stops the guard here");
}

#endif
