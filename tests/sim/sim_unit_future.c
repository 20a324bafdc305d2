/* The unit tests of futures, under many more seeds and on virtual workers only. */
#define RUN_SEEDS 1000
#define RUN_REAL false

#include "tests/unit/test_future.c"
