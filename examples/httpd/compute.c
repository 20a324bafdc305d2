/* What takes a processor, or all of them: fork-join in the workers that serve the connections. */
#include "examples/httpd/httpd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- queens ----------------------------------------------------------------------------------------------------- */

/* How many ways there are to complete a board. A set bit: a square of the next row that is under attack. Each square
 * of a row that is free is tried in a job of its own, but for the last rows, which take less than a job. */
enum { SERIAL_ROWS = 5, ASK_ROWS = 8 };

static uint64_t queens_left(uint32_t all, uint32_t columns, uint32_t left, uint32_t right)
{
    uint64_t ways = columns == all;
    for (uint32_t open = all & ~(columns | left | right); open != 0; open &= open - 1) {
        uint32_t square = open & -open;
        ways += queens_left(all, columns | square, (left | square) << 1, (right | square) >> 1);
    }
    return ways;
}

SKUA_COMPUTE(uint64_t, queens, uint32_t, all, uint32_t, columns, uint32_t, left, uint32_t, right)
{
    int rows = __builtin_popcount(all & ~columns);
    if (rows <= SERIAL_ROWS)
        return queens_left(all, columns, left, right);
    if (rows > ASK_ROWS && skua_interrupted() < 0)
        return 0; /* nobody wants to know any more */
    SKUA_FORKED(queens) forked[QUEENS_MAX];
    uint64_t ways = 0;
    int count = 0;
    for (uint32_t open = all & ~(columns | left | right); open != 0; open &= open - 1) {
        uint32_t square = open & -open;
        SKUA_FORK_INTO(forked[count], queens, all, columns | square, (left | square) << 1, (right | square) >> 1);
        count++;
    }
    while (count-- > 0)
        ways += SKUA_JOIN(queens, forked[count]);
    return ways;
}

int compute_queens(void *arg)
{
    struct computation *computation = arg;
    computation->result = SKUA_RUN(queens, (UINT32_C(1) << computation->n) - 1, 0, 0, 0);
    return skua_interrupted();
}

/* ---- primes ----------------------------------------------------------------------------------------------------- */

/* The odd numbers of a segment lie in the first-level cache, and on the stack of whichever fiber sieves it. */
enum { SEGMENT_ODDS = 16384, SEGMENT = 2 * SEGMENT_ODDS };

struct sieve {
    uint64_t n;
    uint32_t *primes; /* odd ones, up to the root of n */
    size_t count;
};

static int find_small_primes(struct sieve *sieve)
{
    size_t root = 3;
    while (root * root <= sieve->n)
        root++;
    char *composite = calloc(root + 1, 1);
    sieve->primes = malloc((root / 2 + 1) * sizeof *sieve->primes);
    if (composite == NULL || sieve->primes == NULL) {
        free(composite);
        free(sieve->primes);
        return -ENOMEM;
    }
    for (size_t i = 3; i <= root; i += 2) {
        if (composite[i])
            continue;
        sieve->primes[sieve->count++] = (uint32_t)i;
        for (size_t j = i * i; j <= root; j += 2 * i)
            composite[j] = 1;
    }
    free(composite);
    return 0;
}

/* The primes from `low`, a multiple of SEGMENT, on, up to n; of the first two numbers, 1 counts for 2. */
static uint64_t sieve_segment(const struct sieve *sieve, uint64_t low)
{
    char composite[SEGMENT_ODDS];
    uint64_t high = low + SEGMENT - 1 < sieve->n ? low + SEGMENT - 1 : sieve->n, found = 0;
    memset(composite, 0, sizeof composite);
    for (size_t i = 0; i < sieve->count; i++) {
        uint64_t prime = sieve->primes[i], multiple = prime * prime;
        if (multiple > high)
            break;
        if (multiple < low) {
            multiple = (low + prime - 1) / prime * prime;
            multiple += multiple % 2 == 0 ? prime : 0;
        }
        for (size_t j = (size_t)(multiple - low) / 2; j < SEGMENT_ODDS; j += prime)
            composite[j] = 1;
    }
    for (size_t j = 0; low + 2 * j + 1 <= high && j < SEGMENT_ODDS; j++)
        found += !composite[j];
    return found;
}

static void no_primes(void *context, void *acc)
{
    (void)context;
    *(uint64_t *)acc = 0;
}
static void count_primes(void *context, void *acc, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        *(uint64_t *)acc += sieve_segment(context, (uint64_t)i * SEGMENT);
}
static void add_primes(void *context, void *acc, const void *right)
{
    (void)context;
    *(uint64_t *)acc += *(const uint64_t *)right;
}

int compute_primes(void *arg)
{
    static const skua_reduce how = { sizeof(uint64_t), no_primes, count_primes, add_primes };
    struct computation *computation = arg;
    struct sieve sieve = { .n = computation->n };
    computation->result = 0;
    if (computation->n < 2)
        return 0;
    int rc = find_small_primes(&sieve);
    if (rc < 0)
        return rc;
    rc = skua_parallel_reduce(0, (size_t)(computation->n / SEGMENT) + 1, &how, &sieve, &computation->result);
    free(sieve.primes);
    return rc;
}
