/* The simulated environment: every thread of a runtime as a virtual thread on one OS thread, under virtual time: on one
 * processor, in an order that a seed decides, or on a machine with a processor for each. See sim.c.
 */
#ifndef SKUAI_SIM_H
#define SKUAI_SIM_H

#include "sched/env.h"

struct skuai_sim_config {
    uint64_t seed;
    uint32_t threads_max;
    bool is_machine; /* each virtual thread has a processor, and a clock, of its own */
    void (*trace)(void *context, const char *line, size_t length); /* may be NULL */
    void *trace_context;
};

int skuai_sim_create(struct skuai_sim **sim, const struct skuai_sim_config *config);
void skuai_sim_destroy(struct skuai_sim *sim);

/* Whether the calling thread is the one that created the simulation. No other may touch it. */
bool skuai_sim_is_owner(const struct skuai_sim *sim);

/* Whether a virtual thread is running, so that the caller is it. */
bool skuai_sim_is_inside(const struct skuai_sim *sim);

/* Runs the virtual threads until the word has the value.
 * Returns 0; -EPERM: not the owner, or called from inside the simulation; -EDEADLK: all threads sleep and no time-out
 * can wake one. */
int skuai_sim_run(struct skuai_sim *sim, const skua_word32 *word, uint32_t value);

/* The same until a virtual time, or until nothing is left to do before it. */
int skuai_sim_run_until(struct skuai_sim *sim, const skua_word32 *word, uint32_t value, uint64_t until_ns);

/* A virtual thread has asked for the time: so that a loop that only waits for it to pass ends. */
void skuai_sim_tick(struct skuai_sim *sim);

uint64_t skuai_sim_steps(const struct skuai_sim *sim);

#endif
