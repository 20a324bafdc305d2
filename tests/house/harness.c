/* Tests that must fail, and some that must not, for tests/house/check-harness: does the harness see what it claims? */
#define _GNU_SOURCE
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *volatile kept; /* volatile: the allocation must really be made */

static void *wait_for_ever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void *touch_heap(void *arg)
{
    char *volatile text = malloc(100);
    free(text);
    return arg;
}

static void say_and_abort(void *arg)
{
    fprintf(stderr, "misuse: %s\n", (const char *)arg);
    abort();
}

static void live_on(void *arg) { (void)arg; }

TEST(good_threads)
{
    pthread_t threads[16];
    for (int i = 0; i < 16; i++)
        CHECK_OK(-pthread_create(&threads[i], NULL, touch_heap, NULL));
    for (int i = 0; i < 16; i++)
        CHECK_OK(-pthread_join(threads[i], NULL));
}

TEST(good_heap)
{
    for (size_t size = 1; size < 1u << 22; size *= 2) {
        kept = malloc(size);
        CHECK(kept != NULL);
        free(kept);
    }
    kept = NULL;
}

TEST(good_checks)
{
    uint64_t state = test_seed();
    CHECK(test_rand(&state) != test_rand(&state));
    CHECK_EQ(sizeof(char), 1);
    CHECK_EQ(-1, (short)-1);
    CHECK_STR("a", "a");
    CHECK_OK(3);
    CHECK(test_scale() > 0.0);
    CHECK_EQ(test_scaled(0), 1);
}

TEST(good_abort) { test_expect_abort(say_and_abort, (char[]){"lock held"}, "lock held"); }

TEST(good_skip) { TEST_SKIP("nothing to see"); }

TEST(good_allowed_growth)
{
    test_allow_heap_growth(4096);
    kept = malloc(1000);
}

TEST(bad_heap) { kept = malloc(1000); free(NULL); kept = NULL; }

TEST(bad_descriptor) { CHECK(open("/dev/null", O_RDONLY) >= 0); }

TEST(bad_close) { close(STDIN_FILENO); }

TEST(bad_thread)
{
    pthread_t thread;
    CHECK_OK(-pthread_create(&thread, NULL, wait_for_ever, NULL));
}

TEST(bad_check) { CHECK(kept == &kept); }
TEST(bad_check_eq) { CHECK_EQ(6 * 7, 41); }
TEST(bad_check_str) { CHECK_STR("a", "b"); }
TEST(bad_check_ok) { CHECK_OK(-ECANCELED); }
TEST(bad_abort_lived) { test_expect_abort(live_on, NULL, "x"); }
TEST(bad_abort_silent) { test_expect_abort(say_and_abort, (char[]){"other"}, "lock held"); }
