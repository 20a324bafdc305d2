/* Nobody says: so real runs report no deadlocks here. */
#include "sched/rest.h"

int skuai_threads_asleep(void) { return -1; }
long skuai_thread_number(void) { return 1; }
char skuai_thread_state(long number)
{
    (void)number;
    return '\0';
}
