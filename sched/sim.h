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

/* Cancel everywhere, a mode for tests (tests/support/cancel_everywhere.h). A cancellation shows when a task asks for
 * it: that is what every await does when it is entered, and before and after it waits. So the places where a cancelled
 * program can differ from the others are its tasks' questions, and this counts them, over all tasks, from 1 on.
 * Who asks the `number`th is cancelled: at once, so that this is the answer, or `late`, some steps later, which finds
 * it waiting if it came to wait. 0: nobody is, and nothing is counted. Before the first step. */
void skuai_sim_cancel_at(struct skuai_sim *sim, uint64_t number, bool late);
uint64_t skuai_sim_questions(const struct skuai_sim *sim);
/* By cancel.c: a task asks. */
void skuai_sim_asked(struct skuai_sim *sim, skua_task *task);

#endif
