/* The workers of a runtime: making, starting, stopping. */
#ifndef SKUAI_WORKERS_H
#define SKUAI_WORKERS_H

#include "sched/scheduler.h"

/* Makes the scheduler's shared parts and its workers, not yet running. On error destroy takes down what was made. */
int skuai_workers_create(struct skuai_scheduler *sched);
void skuai_workers_destroy(struct skuai_scheduler *sched);

/* Starts the threads, workers and guard: all or none. */
int skuai_workers_start(struct skuai_scheduler *sched);
/* Joins the guard and the first `count` workers, which have been told to stop. */
void skuai_workers_stop(struct skuai_scheduler *sched, uint32_t count);

void skuai_workers_memory(struct skuai_scheduler *sched, uint64_t *task_bytes, uint64_t *stacks);

#endif
