/* What creating and ending a runtime does for an embedded one. See embed.c. */
#ifndef SKUAI_EMBED_H
#define SKUAI_EMBED_H

#include "runtime/runtime.h"

/* In place of workers and a guard. Returns 0 or why not, and skuai_embed_free() and the poller's destroy() take down
 * what was made. */
int skuai_embed_start(skua_runtime *rt);
void skuai_embed_free(skua_runtime *rt);

/* The caller is the embedding thread until it leaves. Returns 0; -EPERM (it is in a task); -EBUSY (another
 * thread is). */
int skuai_embed_enter(skua_runtime *rt);
void skuai_embed_leave(skua_runtime *rt);
/* Having entered: runs its tasks until the word has the value (0), or the time has come (-ETIMEDOUT). */
int skuai_embed_run_until(skua_runtime *rt, skua_word32 *word, uint32_t value, uint64_t until_ns);

#endif
