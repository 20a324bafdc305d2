/* A dump at SIGQUIT (skua_config.dump_on_sigquit). */
#ifndef SKUAI_SIGQUIT_H
#define SKUAI_SIGQUIT_H

#include "runtime/runtime.h"

/* Returns 0 or a negative errno value, logged. */
int skuai_sigquit_start(skua_runtime *rt);
/* NULL is fine. `in_child`: of a fork, which has not the thread. */
void skuai_sigquit_stop(struct skuai_sigquit *sigquit, bool in_child);

#endif
