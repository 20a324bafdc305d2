/* Scopes: stretches of a task's run in which cancellation is masked or time is limited. Public part: skua/scope.h.
 *
 * The innermost scope of a task, of a set child or of a plain thread heads a chain to the outer ones. The chain is its
 * runner's alone. A deadline's timer is a sleep op in the scope's memory, armed for whoever runs the scope: when it
 * ends it wakes them, and they find it done. So an expired deadline is noticed like any op, and costs a running task
 * nothing.
 */
#ifndef SKUAI_SCOPE_H
#define SKUAI_SCOPE_H

#include "sched/atomic.h"
#include "sched/op.h"
#include "skua/task.h"

struct skuai_worker;

/* What a chain says of interruption. */
enum skuai_scopes_say { SKUAI_SCOPES_EXPIRED = 1, SKUAI_SCOPES_CANCELED = 2 };

/* Whether the chain holds a shield, which ends the question of interruption. What scopes inside of it say is added to
 * *say. */
bool skuai_scopes_shield(const skua_scope *innermost, uint32_t *say);

/* The earliest deadline that the next await inside of it would meet; SKUA_NEVER: none. */
uint64_t skuai_scopes_deadline_ns(const skua_scope *innermost);

/* Enters a scope that is cancelled when an op of this kind takes effect, which it starts in its own memory. Leaving it
 * is skua_scope_leave(). */
void skuai_scope_enter_until(skua_scope *scope, const struct skuai_op_kind *kind, void *owner);

/* For a thread outside of any task: -ECANCELED or -ETIMEDOUT if a scope of its says so, or 0. */
int skuai_thread_interruption(void);
/* Likewise: the earliest instant that ends its wait, SKUA_NEVER if there is none. */
uint64_t skuai_thread_deadline_ns(void);

/* tls.c: where a plain thread's innermost scope is kept. Such a thread does not change under its caller. */
skua_scope **skuai_thread_scopes(void);

/* tls.c: likewise, for reports (deadlock.h): what it waits for and where. */
struct skuai_thread_notes {
    const char *place;   /* as of skua/place.h */
    const skua_op *op;   /* or NULL */
    const void *select;  /* a skua_selection, or NULL */
};
struct skuai_thread_notes *skuai_thread_notes(void);

#endif
