/* Every task of a runtime in words, while everything runs. See dump.c; public: skua/dump.h. */
#ifndef SKUAI_DUMP_H
#define SKUAI_DUMP_H

#include "sched/scheduler.h"
#include "skua/dump.h"

/* Calls back for each line. By a thread that may use the runtime (runtime/dump.c). Returns 0 or -ENOMEM, before the
 * first line. */
int skuai_dump(struct skuai_scheduler *sched, skua_dump_fn *line, void *context);

/* "a fiber" and so on, by a task's word. */
const char *skuai_dump_kind(uint64_t word);

#endif
