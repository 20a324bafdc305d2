/* Nobody says: so the processors are never crowded here. */
#include "sched/crowd.h"

bool skuai_crowd_read(long number, uint64_t *ran_ns, uint64_t *waited_ns)
{
    (void)number;
    (void)ran_ns;
    (void)waited_ns;
    return false;
}
