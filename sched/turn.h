/* A worker without a thread of its own: that of an embedded runtime, which runs in the loop of somebody else.
 *
 * The runtime has one worker and no guard. A loop that knows nothing of Skua watches one descriptor, its poller's, and
 * when that is readable calls for a *turn*: the calling thread is the worker then, runs what is ready, and returns. In
 * between it is a worker that sleeps in its poller (poll.h, K2): only that the kernel's wait is the loop's, in its own
 * poll, and that the thread does other things as well. So whoever wakes a task knows of no difference, and what holds
 * of sleeping (idle.h, P; poll.h, K; timers.c, T) holds here:
 *   U1 turn    one thread at a time is the worker (runtime/embed.c has the word for that). It looks at timers, events
 *              and queues as worker.c does, and runs tasks until none is ready or its time is over. Between two turns
 *              the worker is *away* (U2), or *left with work* (U4).
 *   U2 away    if nothing is ready the worker enters the sleepers' set, looks at all queues once more (P2), takes the
 *              poller as BLOCKED, and turns its parker's word from EMPTY into POLLING (K7). If there is work after all,
 *              or a token, it takes all that back and the turn goes on. Then the poller gets the next timer for a
 *              deadline: no other timer can become the next one while nothing runs, except by who gives a token (T3).
 *   U3 wake    so whoever has work for it finds it in the set (P1), and gives a token; finds POLLING, and kicks the
 *              poller; and the descriptor is readable until a turn has seen it. Events and the deadline make it
 *              readable by themselves.
 *   U4 more    a turn that ends with work left does not enter the set. To the others the worker is one that is awake:
 *              they rely on its coming by, and nobody wakes it. So it kicks the poller itself, and comes by in the
 *              next turn. A new runtime begins like that.
 *   U5 return  the next turn looks into the poller, which takes the kick and the deadline's event; takes the token
 *              away; leaves the poller and then the set (P4). What was given before that is in a queue, where the turn
 *              looks afterwards (U1, U2); what comes later finds a worker that is awake.
 * A descriptor that is not readable thus says that there is nothing to do: a loop need not call without cause. Litmus
 * of U2 and U3: that of P1 and P2. Model: tests/model/model_turn.c.
 */
#ifndef SKUAI_TURN_H
#define SKUAI_TURN_H

#include "sched/scheduler.h"

/* U1, by the thread that is the worker (skuai_worker_self()) until it returns. For budget_ns, SKUA_NEVER: until nothing
 * is ready. If there was nothing to do when the last turn ended it may first wait until there is something, or an
 * instant; 0: not at all. Returns whether there is work left. */
bool skuai_turn(struct skuai_worker *worker, uint64_t budget_ns, uint64_t wait_until_ns);

/* U4, of a new one. */
void skuai_turn_ask(struct skuai_scheduler *sched);

#endif
