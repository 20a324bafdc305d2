/* The table of keys and values, shared by all connections, whichever worker they run on.
 *
 * It lies in 64 parts, by the keys' hashes, each with a mutex of its own, so that two connections seldom meet. A set of
 * parts is 64 bits: a command that is about several keys locks all their parts, in order, and so is atomic.
 *
 *     uint64_t parts = store_parts(store, keys, 1, 1);
 *     store_lock(store, parts);
 *     struct entry *entry = store_find(store, &keys[0]);
 *     …
 *     store_unlock(store, parts);
 *
 * What is done under these locks is short and does not wait. Large values leave them by reference: a value that others
 * hold is not written to any more, but replaced.
 */
#ifndef KV_STORE_H
#define KV_STORE_H

#include <stdatomic.h>

#include <sodium/crypto_shorthash.h>

/* Without memory an entry is not added, and says so by having no table; the rest goes on. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->hh.tbl = NULL)
#include <uthash.h>

#include <skua.h>

enum { PARTS = 64 };
#define ALL_PARTS UINT64_MAX

/* Memory is accounted for before it is taken. */
struct budget {
    size_t limit;
    atomic_size_t used;
};
/* False: there is no more. */
bool budget_take(struct budget *budget, size_t size);
void budget_give(struct budget *budget, size_t size);
size_t budget_used(const struct budget *budget);

/* Bytes of the connection's, and as a key their hash, which store_parts() fills in. */
struct argument {
    const char *data;
    size_t length;
    unsigned hash;
};

struct value {
    atomic_uint references; /* the entry's, and those of connections that write it out */
    size_t length, capacity;
    char data[];
};

struct entry {
    UT_hash_handle hh;
    struct value *value;
    uint64_t expires_ns; /* a time of skua_now(), or SKUA_NEVER */
    char key[];          /* hh.keylen bytes */
};

struct store {
    struct part {
        skua_mutex mutex;
        struct entry *entries;
        size_t expiring; /* how many have a time to live */
        char apart[64];  /* from the next one's mutex */
    } parts[PARTS];
    unsigned char hash_key[crypto_shorthash_KEYBYTES]; /* a secret: nobody can choose keys that collide */
    struct budget budget;
};

void store_init(struct store *store, size_t limit);
void store_fini(struct store *store);

/* Hashes keys, of `count` arguments each `step`th, and says which parts they are in. */
uint64_t store_parts(const struct store *store, struct argument *keys, size_t count, size_t step);
void store_lock(struct store *store, uint64_t parts);
void store_unlock(struct store *store, uint64_t parts);

/* ---- with the key's part locked ---- */

/* NULL: there is none, or its time is over. */
struct entry *store_find(struct store *store, const struct argument *key);
/* What store_find() has found (or NULL) gets this value, a copy of `length` bytes at `data` or, if it is not NULL,
 * `fresh`, whose reference it takes. The time to live stays. Returns the entry; NULL: there is no memory, `fresh` was
 * dropped, and nothing has changed. */
struct entry *store_put(struct store *store, const struct argument *key, struct entry *entry, const char *data,
                        size_t length, struct value *fresh);
/* -ENOMEM: nothing has changed. */
int store_append(struct store *store, struct entry *entry, const char *data, size_t length);
void store_expire(struct store *store, struct entry *entry, uint64_t instant_ns);
void store_remove(struct store *store, struct entry *entry);

/* ---- values ---- */

struct value *value_create(struct store *store, const char *data, size_t length, size_t capacity);
void value_drop(struct store *store, struct value *value);

/* ---- with nothing locked ---- */

size_t store_count(struct store *store, size_t *expiring);
void store_clear(struct store *store);
/* Calls fn, with the part locked, for the entries of a bucket. `cursor` is 0 to begin with; returns the next, 0 at the
 * end. An entry that is there all the time is met, maybe twice, however the table grows meanwhile. fn may remove it.
 * `expiring`: parts without a time to live in them are left out. */
typedef void store_walk_fn(struct store *store, struct entry *entry, void *arg);
uint64_t store_walk(struct store *store, uint64_t cursor, bool expiring, store_walk_fn *fn, void *arg);
/* Removes what has expired and nobody has asked for since, again and again; a fiber, until it is cancelled. */
int store_sweep(void *store);

#endif
