/* Memory that is handed over by a word (sched/handoff.h), as its two users do it: a question that is withdrawn if the
 * answer is late (sched/interrupt.h, Q1 to Q3), and a record that goes to and fro (sched/watchdog.h, E3 to E5).
 */
/* model-sources: */
#include <string.h>

#include "model/mc.h"
#include "sched/handoff.h"

enum { IDLE, ASKED, ANSWERING, ANSWERED, ROUNDS = 2 };

static skua_word32 state, signals;
static int question, answer; /* plain: whose the state says */
static unsigned asked, answered, withdrawn;

/* Gives up after a look or two. */
static void wait_for_answer(void)
{
    for (unsigned looks = 1 + mc_choose(2);; mc_yield()) {
        bool gives_up = looks == 0 || --looks == 0;
        uint32_t seen = skuai_handoff_look(&state);
        if (seen == ANSWERED) {
            mc_assert(SKUAI_READ(answer) == question, "the answer to another question");
            answered++;
            return;
        }
        if (gives_up && seen == ANSWERING)
            return; /* it comes too late, and is nobody's */
        if (gives_up && skuai_handoff_withdraw(&state, ASKED, IDLE)) {
            mc_assert(skuai_handoff_look(&state) == IDLE, "somebody answers what was withdrawn");
            withdrawn++;
            return;
        }
    }
}

static void asker(void *arg)
{
    (void)arg;
    for (int round = 1; round <= ROUNDS; round++) {
        bool may_ask = skuai_handoff_look(&state) != ANSWERING;
        if (may_ask) {
            SKUAI_WRITE(question, round);
            asked++;
            skuai_handoff_give(&state, ASKED);
            skuai_add_32(&signals, 1, SKUAI_RELAXED);
            wait_for_answer();
        }
    }
    skuai_add_32(&signals, ROUNDS + 1, SKUAI_RELAXED); /* none comes any more */
}

/* Each signal comes, at any time; two that are there at once may come as one. */
static void handler(void *arg)
{
    (void)arg;
    for (uint32_t seen = 0, now; seen <= ROUNDS; seen = now) {
        while ((now = skuai_load_32(&signals, SKUAI_RELAXED)) == seen)
            mc_yield();
        if (skuai_handoff_claim(&state, ASKED, ANSWERING)) {
            SKUAI_WRITE(answer, SKUAI_READ(question));
            skuai_handoff_give(&state, ANSWERED);
        }
    }
}

static void reset(void)
{
    memset(&state, 0, sizeof state);
    memset(&signals, 0, sizeof signals);
    question = answer = 0;
    asked = answered = withdrawn = 0;
    mc_name(&state, "state");
    mc_name(&signals, "signals");
    mc_name(&question, "question");
    mc_name(&answer, "answer");
}
static void finish_questions(void)
{
    mc_assert(asked >= 1, "nothing was asked");
    mc_assert(answered + withdrawn <= asked, "more answers than questions");
}
static void questions_setup(void)
{
    reset();
    mc_thread(asker, NULL);
    mc_thread(handler, NULL);
}
MC_TEST(questions, .setup = questions_setup, .finish = finish_questions, .bound = 2);

/* ---- a record ---------------------------------------------------------------------------------------------------- */

static void gives(void *arg)
{
    (void)arg;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        while (skuai_handoff_look(&state) != 2 * round)
            mc_yield();
        SKUAI_WRITE(question, (int)round);
        skuai_handoff_give(&state, 2 * round + 1);
    }
}
static void gives_back(void *arg)
{
    (void)arg;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        while (skuai_handoff_look(&state) != 2 * round + 1)
            mc_yield();
        mc_assert(SKUAI_READ(question) == (int)round, "another round's");
        SKUAI_WRITE(answer, (int)round);
        skuai_handoff_give(&state, 2 * round + 2);
    }
}
static void record_setup(void)
{
    reset();
    mc_thread(gives, NULL);
    mc_thread(gives_back, NULL);
}
MC_TEST(record, .setup = record_setup, .bound = 4);
