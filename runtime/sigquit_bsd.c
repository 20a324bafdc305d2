/* Not yet: signals wait for a kqueue of their own. */
#include "runtime/sigquit.h"

#include <errno.h>

int skuai_sigquit_start(skua_runtime *rt)
{
    skuai_log(&rt->sched, SKUA_LOG_ERROR, "dump_on_sigquit (or SKUA_DUMP_ON_SIGQUIT): not on this system");
    return -ENOTSUP;
}

void skuai_sigquit_stop(struct skuai_sigquit *sigquit, bool in_child)
{
    (void)sigquit;
    (void)in_child;
}
