/* A full barrier in every thread of the process, by one of them: so that a pair of store buffering needs none on the
 * side that runs all the time (strand.h, Y11). */
#ifndef SKUAI_BARRIER_H
#define SKUAI_BARRIER_H

#include <stdbool.h>

/* Each other thread has then passed a full barrier, somewhere between the call and its return, or is not running; so
 * has the caller. False: this kernel cannot do it, and nothing has happened. Some 10 µs, and the other processors are
 * interrupted. */
bool skuai_barrier_everywhere(void);

#endif
