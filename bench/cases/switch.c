/* fiber_switch: the library's context switch between two flows, with no scheduler around it. */
#include <stdlib.h>

#include "bench/cases/work.h"
#include "sched/context.h"

enum { STACK_BYTES = 16384 };

struct pair {
    struct skuai_context home, away;
    int64_t switches;
};

static void go_home(void *arg)
{
    struct pair *pair = arg;
    for (;;) {
        pair->switches++;
        skuai_context_switch(&pair->away, &pair->home);
    }
}

static int64_t fiber_switch(void)
{
    struct pair pair = { .switches = 0 };
    void *stack = aligned_alloc(64, STACK_BYTES);
    if (stack == NULL)
        abort();
    skuai_context_make(&pair.away, stack, STACK_BYTES, go_home, &pair);
    for (int i = 0; i < SWITCHES / 2; i++)
        skuai_context_switch(&pair.home, &pair.away);
    work_check("switches", 2 * pair.switches, SWITCHES);
    skuai_context_fini(&pair.away);
    free(stack);
    return SWITCHES;
}

const struct work work_of_switch[] = {
    { "fiber_switch", fiber_switch },
    { NULL, NULL },
};
