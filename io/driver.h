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

/* How many are open. Any thread. */
uint64_t skuai_driver_open_sources(struct skuai_driver *driver);

#endif
