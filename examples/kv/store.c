/* See store.h. */
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { PART_BITS = 6, SPARE_MIN = 64, SWEEP_STEPS = 2000 };
_Static_assert(PARTS == 1 << PART_BITS, "a part is some bits of the hash, and a bit of a set");
#define SWEEP_EVERY (100 * SKUA_MS)

void store_init(struct store *store, size_t limit)
{
    memset(store, 0, sizeof *store);
    for (int i = 0; i < PARTS; i++)
        skua_mutex_init(&store->parts[i].mutex);
    if (getrandom(store->hash_key, sizeof store->hash_key, 0) != (ssize_t)sizeof store->hash_key)
        abort();
    store->budget.limit = limit;
}

void store_fini(struct store *store)
{
    store_clear(store);
    for (int i = 0; i < PARTS; i++)
        skua_mutex_fini(&store->parts[i].mutex);
}

/* Only a count: relaxed. */
bool budget_take(struct budget *budget, size_t size)
{
    if (atomic_fetch_add_explicit(&budget->used, size, memory_order_relaxed) + size <= budget->limit)
        return true;
    budget_give(budget, size);
    return false;
}

void budget_give(struct budget *budget, size_t size)
{
    atomic_fetch_sub_explicit(&budget->used, size, memory_order_relaxed);
}

size_t budget_used(const struct budget *budget) { return atomic_load_explicit(&budget->used, memory_order_relaxed); }

/* ---- parts ------------------------------------------------------------------------------------------------------ */

/* By the highest bits; buckets go by the lowest. */
static unsigned part_of(unsigned hash) { return hash >> (32 - PART_BITS); }

uint64_t store_parts(const struct store *store, struct argument *keys, size_t count, size_t step)
{
    uint64_t parts = 0;
    for (size_t i = 0; i < count; i += step) {
        unsigned char hash[crypto_shorthash_BYTES];
        crypto_shorthash(hash, (const unsigned char *)keys[i].data, keys[i].length, store->hash_key);
        memcpy(&keys[i].hash, hash, sizeof keys[i].hash); /* half of it */
        parts |= UINT64_C(1) << part_of(keys[i].hash);
    }
    return parts;
}

/* Everybody locks in this order, so nobody waits in a circle. */
void store_lock(struct store *store, uint64_t parts)
{
    for (; parts != 0; parts &= parts - 1)
        skua_mutex_lock_shielded(&store->parts[__builtin_ctzll(parts)].mutex);
}

void store_unlock(struct store *store, uint64_t parts)
{
    for (; parts != 0; parts &= parts - 1)
        skua_mutex_unlock(&store->parts[__builtin_ctzll(parts)].mutex);
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

struct value *value_create(struct store *store, const char *data, size_t length, size_t capacity)
{
    size_t size = sizeof(struct value) + capacity;
    if (!budget_take(&store->budget, size))
        return NULL;
    struct value *value = malloc(size);
    if (value == NULL) {
        budget_give(&store->budget, size);
        return NULL;
    }
    atomic_init(&value->references, 1);
    value->length = length;
    value->capacity = capacity;
    memcpy(value->data, data, length);
    return value;
}

/* The last one frees it, after what the others did with it: release and acquire. */
void value_drop(struct store *store, struct value *value)
{
    if (atomic_fetch_sub_explicit(&value->references, 1, memory_order_acq_rel) > 1)
        return;
    budget_give(&store->budget, sizeof *value + value->capacity);
    free(value);
}

/* Only the entry's reference is left, and with the part locked there will be no more. Acquire: who dropped his has read
 * it before. */
static bool is_unshared(struct value *value)
{
    return atomic_load_explicit(&value->references, memory_order_acquire) == 1;
}

/* ---- entries ---------------------------------------------------------------------------------------------------- */

static size_t entry_size(size_t key_length) { return sizeof(struct entry) + key_length; }

static void entry_free(struct store *store, struct entry *entry)
{
    value_drop(store, entry->value);
    budget_give(&store->budget, entry_size(entry->hh.keylen));
    free(entry);
}

void store_remove(struct store *store, struct entry *entry)
{
    struct part *part = &store->parts[part_of(entry->hh.hashv)];
    part->expiring -= entry->expires_ns != SKUA_NEVER;
    HASH_DEL(part->entries, entry);
    entry_free(store, entry);
}

struct entry *store_find(struct store *store, const struct argument *key)
{
    struct part *part = &store->parts[part_of(key->hash)];
    struct entry *entry;
    HASH_FIND_BYHASHVALUE(hh, part->entries, key->data, (unsigned)key->length, key->hash, entry);
    if (entry == NULL || entry->expires_ns == SKUA_NEVER || entry->expires_ns > skua_now())
        return entry;
    store_remove(store, entry);
    return NULL;
}

static struct entry *entry_create(struct store *store, const struct argument *key, struct value *value)
{
    struct part *part = &store->parts[part_of(key->hash)];
    if (!budget_take(&store->budget, entry_size(key->length)))
        return NULL;
    struct entry *entry = malloc(entry_size(key->length));
    if (entry != NULL) {
        entry->value = value;
        entry->expires_ns = SKUA_NEVER;
        memcpy(entry->key, key->data, key->length);
        HASH_ADD_KEYPTR_BYHASHVALUE(hh, part->entries, entry->key, (unsigned)key->length, key->hash, entry);
        if (entry->hh.tbl != NULL)
            return entry;
        free(entry);
    }
    budget_give(&store->budget, entry_size(key->length));
    return NULL;
}

/* What is written again and again keeps its memory: no allocation for a value of about the old one's size. */
static bool fits(struct value *value, size_t length)
{
    return length <= value->capacity && value->capacity <= 2 * length + SPARE_MIN && is_unshared(value);
}

struct entry *store_put(struct store *store, const struct argument *key, struct entry *entry, const char *data,
                        size_t length, struct value *fresh)
{
    if (fresh == NULL && entry != NULL && fits(entry->value, length)) {
        memcpy(entry->value->data, data, length);
        entry->value->length = length;
        return entry;
    }
    if (fresh == NULL && (fresh = value_create(store, data, length, length)) == NULL)
        return NULL;
    if (entry != NULL) {
        value_drop(store, entry->value);
        entry->value = fresh;
    } else if ((entry = entry_create(store, key, fresh)) == NULL) {
        value_drop(store, fresh);
    }
    return entry;
}

/* What is appended to again and again doubles its room. */
int store_append(struct store *store, struct entry *entry, const char *data, size_t length)
{
    struct value *value = entry->value;
    size_t whole = value->length + length;
    if (whole > value->capacity || !is_unshared(value)) {
        struct value *larger = value_create(store, value->data, value->length, 2 * whole);
        if (larger == NULL)
            return -ENOMEM;
        entry->value = larger;
        value_drop(store, value);
        value = larger;
    }
    memcpy(value->data + value->length, data, length);
    value->length = whole;
    return 0;
}

void store_expire(struct store *store, struct entry *entry, uint64_t instant_ns)
{
    struct part *part = &store->parts[part_of(entry->hh.hashv)];
    part->expiring -= entry->expires_ns != SKUA_NEVER;
    part->expiring += instant_ns != SKUA_NEVER;
    entry->expires_ns = instant_ns;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

size_t store_count(struct store *store, size_t *expiring)
{
    size_t count = 0;
    *expiring = 0;
    store_lock(store, ALL_PARTS);
    for (int i = 0; i < PARTS; i++) {
        count += HASH_COUNT(store->parts[i].entries);
        *expiring += store->parts[i].expiring;
    }
    store_unlock(store, ALL_PARTS);
    return count;
}

/* For all others it is empty at once; what was in it is freed without a lock, with pauses for others. */
void store_clear(struct store *store)
{
    struct entry *taken[PARTS];
    store_lock(store, ALL_PARTS);
    for (int i = 0; i < PARTS; i++) {
        taken[i] = store->parts[i].entries;
        store->parts[i].entries = NULL;
        store->parts[i].expiring = 0;
    }
    store_unlock(store, ALL_PARTS);
    for (int i = 0; i < PARTS; i++) {
        struct entry *list = taken[i], *next;
        HASH_CLEAR(hh, taken[i]); /* frees the table, and not the list of what was in it */
        for (int freed = 1; list != NULL; list = next, freed++) {
            next = list->hh.next;
            entry_free(store, list);
            if (freed % 1024 == 0)
                (void)skua_yield();
        }
    }
}

/* Buckets are counted by their highest bit first: where the table doubles, a bucket's halves are those that come in its
 * stead, and what was met stays behind. */
static uint64_t next_bucket(uint64_t bucket, uint64_t buckets)
{
    uint64_t bit = buckets >> 1;
    for (; bucket & bit; bit >>= 1)
        bucket ^= bit;
    return bucket | bit; /* 0 after the last one */
}

/* A cursor is a bucket and, in its lowest bits, a part. */
uint64_t store_walk(struct store *store, uint64_t cursor, bool expiring, store_walk_fn *fn, void *arg)
{
    uint64_t number = cursor % PARTS, bucket = 0;
    struct part *part = &store->parts[number];
    skua_mutex_lock_shielded(&part->mutex);
    if (part->entries != NULL && (!expiring || part->expiring > 0)) {
        UT_hash_table *table = part->entries->hh.tbl;
        uint64_t buckets = table->num_buckets;
        bucket = (cursor / PARTS) & (buckets - 1);
        UT_hash_handle *next = table->buckets[bucket].hh_head;
        bucket = next_bucket(bucket, buckets);
        while (next != NULL) {
            struct entry *entry = ELMT_FROM_HH(table, next);
            next = next->hh_next; /* before the entry may go, and the table with the last one */
            fn(store, entry, arg);
        }
    }
    skua_mutex_unlock(&part->mutex);
    if (bucket == 0)
        number = (number + 1) % PARTS;
    return bucket * PARTS + number;
}

static void remove_expired(struct store *store, struct entry *entry, void *arg)
{
    const uint64_t *now_ns = arg;
    if (entry->expires_ns <= *now_ns)
        store_remove(store, entry);
}

int store_sweep(void *arg)
{
    struct store *store = arg;
    uint64_t cursor = 0;
    while (skua_sleep(SWEEP_EVERY) == 0) {
        uint64_t now_ns = skua_now();
        int steps = SWEEP_STEPS;
        do
            cursor = store_walk(store, cursor, true, remove_expired, &now_ns);
        while (cursor != 0 && --steps > 0);
    }
    return 0;
}
