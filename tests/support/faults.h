/* Making what the library calls fail, one call at a time.
 *
 * A fault test is linked with a copy of the library whose calls of the functions in faults.def come here first. What is
 * here counts them, refuses those that the plan says, and keeps the balance of what the library has taken and given
 * back. A scenario is a whole life: it makes its runtimes, uses them, and ends them. faults_each() runs it
 *     for each call that is asked about, for each way in which that can fail,
 *     for k = 1, 2, …: with the k-th call failing, then with the k-th and those that follow
 * until a run made no k-th call, and checks after each run that all was given back, and that an error was reported only
 * where one may be. The scenario checks what it was told and its tasks' accounts.
 *
 * "Those that follow" are FAULTS_BURST: more than a call that gives up makes, and an end for one that tries again for
 * as long as it takes. The run of a failure is named as its seed, so its command replays that run.
 */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

#include <skua.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault {
#define FAULT(name, ways, verdict) FAULT_##name,
#define WATCHED(name)
#define NEVER(name)
#include "support/faults.def"
#undef FAULT
#undef WATCHED
#undef NEVER
    FAULTS
};

enum { FAULTS_BURST = 200 };

typedef void fault_scenario(void *arg);

/* Runs a scenario with faults, as above. */
void faults_each(const enum fault *calls, size_t count, fault_scenario *scenario, void *arg);
#define FAULTS_EACH(scenario, arg, ...)                                                       \
    do {                                                                                      \
        static const enum fault faults_calls[] = { __VA_ARGS__ };                             \
        faults_each(faults_calls, sizeof faults_calls / sizeof faults_calls[0], scenario, arg); \
    } while (0)

/* Runs it with each of these calls failing by chance, `per_1024` of them, as the seed says. */
void faults_by_chance(const enum fault *calls, size_t count, uint64_t seed, uint32_t per_1024, fault_scenario *scenario,
                      void *arg);

/* Besides what the plan says this call fails, in this way, every time; until faults_always_none(). Two at most. */
void faults_always(enum fault call, int way);
void faults_always_none(void);

/* The resolver's names that are the tests': many.test has ::1 and 127.0.0.1, and so has slow.test, which nobody answers
 * for while it is held. */
void faults_hold_names(bool held);
/* How many questions are held. */
int faults_names_held(void);

/* Arms one fault by hand, and ends that. Some calls have more ways than faults.def says, for this alone: see
 * fault_calls.c. */
void faults_arm(enum fault call, int way, uint64_t first, uint64_t count);
void faults_disarm(void);

/* In a scenario: whether a call of Skua may have been refused something, and what is not GOES_ON. */
bool faults_may_refuse(void);

/* What CHECK_OK is without faults: 0, or an error of those that a refusal may lead to. True: 0. */
bool faults_done(int64_t rc);

/* In a scenario: whether the plan is about this call and way. */
bool faults_is_armed(enum fault call, int way);

/* After a shutdown, every handle released: the task slots that nobody gave back. */
uint64_t faults_slots_held(skua_runtime *rt);

/* For skua_config. */
void *fault_application_alloc(void *context, size_t size);
void fault_application_free(void *context, void *memory, size_t size);

/* For fault_calls.c: the plan, and the balance of what the library has taken and not given back. */
enum fault_balance {
    FAULTS_BLOCKS,
    FAULTS_APPLICATION_BLOCKS,
    FAULTS_APPLICATION_BYTES,
    FAULTS_DESCRIPTORS,
    FAULTS_THREADS,
    FAULTS_MAPPED_BYTES,
    FAULTS_TOPOLOGIES,
    FAULTS_BALANCES
};
/* In which way this call is to fail; -1: it is not. */
int faults_way(enum fault call);
void faults_count(enum fault_balance balance, int64_t n);
/* A mapping whose munmap was refused: given back after the run. */
void faults_keep(void *at, size_t size);

/* A configuration that counts memory, if asked to, and logs nowhere. */
skua_config faults_config(uint32_t workers, bool own_memory);

#endif
