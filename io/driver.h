/* The driver of a runtime: its pollers, and the sources that are watched by them. Made when the first source is opened.
 */
#ifndef SKUAI_DRIVER_H
#define SKUAI_DRIVER_H

#include "io/source.h"
#include "skua/base.h"

/* Opens a source for a descriptor, which must not block (O_NONBLOCK) if it is read from or written to. `rt` may be
 * NULL: the calling task's. `keeps_fd`: closing the source leaves the descriptor open.
 * Returns 0; -EINVAL (no runtime); -ENOTSUP (a simulation has no real descriptors; a fork's child); -ENOMEM, -EMFILE,
 * -ENFILE. On an error the descriptor is the caller's. */
int skuai_source_open(skua_runtime *rt, int fd, bool keeps_fd, struct skuai_source **source);
/* The same for a stream of this kind (stream.h). */
int skuai_source_open_as(skua_runtime *rt, int fd, bool keeps_fd, uint8_t stream, struct skuai_source **source);
/* The same for a descriptor that the kernel has not just given: also -EBUSY, if the runtime has a source of it. */
int skuai_source_open_given(skua_runtime *rt, int fd, bool keeps_fd, uint8_t stream, struct skuai_source **source);

struct skuai_scheduler;

/* Of an embedded runtime (sched/turn.h) that is being made: its poller, with deadlines. Returns 0; -ENOMEM, -EMFILE,
 * -ENFILE; then skuai_poll_poller() says whether there is one to be destroyed. */
int skuai_driver_embed(struct skuai_scheduler *sched);
/* What its loop waits for. */
int skuai_driver_fd(struct skuai_scheduler *sched);

/* How many are open. Any thread. */
uint64_t skuai_driver_open_sources(struct skuai_driver *driver);

#endif
