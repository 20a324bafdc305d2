/* Where a flow that is suspended would return to, and what there is. */
#ifndef SKUAI_BACKTRACE_H
#define SKUAI_BACKTRACE_H

#include "sched/context.h"

/* The addresses at which the functions that the flow is in go on, innermost first; how many, at most `max`. The flow
 * stays suspended meanwhile. 0: with this kind of switch that is not known. Neither allocates nor writes to the flow's
 * stack. */
size_t skuai_backtrace(const struct skuai_context *ctx, void **addresses, size_t max);

/* "function+0x1c (/usr/bin/server+0x5f3a)", or less if less is known; the second is what addr2line takes. `called`: the
 * address is where a call returns to, and what is named is the caller. Cut to size - 1 bytes. */
void skuai_symbol(char *text, size_t size, void *address, bool called);

#endif
