/* Names to addresses, by the system's resolver (getaddrinfo(3): /etc/hosts, DNS, and what else it is set up with).
 *
 *     skua_address *addresses;
 *     size_t count;
 *     int rc = skua_resolve(&addresses, &count, "udp://example.org:53");
 *     if (rc == 0) {
 *         n = skua_udp_send(socket, query, length, &addresses[0]);
 *         skua_addresses_free(addresses);
 *     }
 *
 * The resolver blocks, so it is asked on a thread of blocking.h's, and may take many seconds. A question that is given
 * up goes on there by itself until the resolver answers, which the runtime's destruction waits for; who asked does not.
 */
#ifndef SKUA_RESOLVE_H
#define SKUA_RESOLVE_H

#include "skua/base.h"
#include "skua/future.h"
#include "skua/socket.h"

SKUA_BEGIN_DECLS

/* Finds the addresses of a host: an address as in socket.h, whose host may be a name (letters, digits, `-`, `_` and
 * dots; others in their ASCII form, xn--…), or an IPv6 address with a zone, [fe80::1%eth0]. Numbers and unix: addresses
 * are understood at once.
 * *addresses: *count of them, at least one, the best first (RFC 6724); to be given to skua_addresses_free(). Both are
 *   set only if it returns 0.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); futures: skua_resolve_start().
 * Cancel: at once, whatever the resolver does: at -ECANCELED or -ETIMEDOUT there are no addresses, and nothing is to be
 *   freed.
 * Returns: 0; -ECANCELED; -ETIMEDOUT; -EINVAL, -ENAMETOOLONG (it is not written so); -ENOTSUP (a name, in a
 *   simulation); -ENOMEM; -EAGAIN (no thread could be started); and the resolver's errors:
 *     -ENOENT          EAI_NONAME, EAI_NODATA, EAI_ADDRFAMILY: there is no such name, or it has no address
 *     -EAGAIN          EAI_AGAIN: no name server has answered; later, perhaps
 *     -EIO             EAI_FAIL: one has answered with a failure
 *     -EAFNOSUPPORT    EAI_FAMILY
 *     -ENOMEM          EAI_MEMORY
 *     -ENAMETOOLONG    EAI_OVERFLOW
 *     what errno says  EAI_SYSTEM
 *     -EINVAL          all others */
SKUA_API SKUA_NODISCARD int skua_resolve(skua_address **addresses, size_t *count, const char *address);

/* NULL is fine. Threads: any. Blocks: never. */
SKUA_API void skua_addresses_free(skua_address *addresses);

/* The question as a future, as a member of the frame that awaits it:
 *     SKUA_AWAIT(skua_resolve_start(&self->names, "tcp://example.org:80"));
 *     rc = (int)SKUA_RESULT(&self->names);
 * Result and cancellation as of skua_resolve(); at 0 `addresses` and `count` are set. The text must stay as long. Other
 * fields belong to the runtime. */
typedef struct skua_resolving {
    SKUA_FRAME;
    skua_address *addresses; /* to be given to skua_addresses_free() */
    size_t count;            /* of them */
    const char *text;
    void *request;
    skua_op wait;
    void *reserved[2];
} skua_resolving;
SKUA_API skua_frame *skua_resolve_start(skua_resolving *resolving, const char *address);

SKUA_END_DECLS

#endif
