/* What debug builds of the library (-DSKUA_DEBUG=ON) check of locks, reported through on_misuse or the log:
 *
 *   misuse   a mutex or write lock taken again by who holds it, left by who does not hold it, destroyed while it is
 *            held, or held when its task ends
 *   warning  lock-order inversion: somebody locks B inside of A, somebody else A inside of B, whether or not they have
 *            met so far. Said once for each pair, with both places. Tries do not count, they do not wait
 *
 * Places are return addresses, or file and line where the *program* is compiled with -DSKUA_DEBUG: then this header
 * puts them into the calls of mutex.h and rwlock.h, in C.
 *
 * A task's locks are known by the task (or child of a set, or plain thread) wherever it runs. Memory is bounded: 4096
 * locks held or waited for at once, 4096 pairs in the order graph, of which the oldest is forgotten; beyond that checks
 * are left out, never wrong. Release builds do nothing of this, and their locks have the same size.
 */
#ifndef SKUA_LOCK_DEBUG_H
#define SKUA_LOCK_DEBUG_H

#include "skua/base.h"

SKUA_BEGIN_DECLS

/* Which lock this is, in debug builds: zero until it is first used, so what lay in its memory before is another. Fields
 * belong to the runtime. */
typedef struct skua_lock_identity {
    skua_word32 number;
    uint32_t reserved;
} skua_lock_identity;
#define SKUAI_LOCK_IDENTITY_INIT { { 0 }, 0 }

/* The next lock call of this thread is made at this place. For the macros; release builds of the library ignore it. */
SKUA_API void skuai_lock_place(const char *place);

#if defined(SKUA_DEBUG) && !defined(__cplusplus)
#define SKUAI_LOCK_PLACES 1
#define SKUAI_PLACE_TEXT(line) __FILE__ ":" #line
#define SKUAI_PLACE(line) SKUAI_PLACE_TEXT(line)
#define SKUAI_PLACED(call) (skuai_lock_place(SKUAI_PLACE(__LINE__)), call)
#endif

SKUA_END_DECLS

#endif
