/* The base case of matmul: in a file of its own, so that it is inlined nowhere and the same for everybody. */
#include "bench/cases/forkjoin.h"

/* Two rows and four columns of the result at a time, in registers. */
enum { ROWS = 2, COLUMNS = 4 };

void matmul_base(double *restrict c, const double *restrict a, const double *restrict b, size_t stride)
{
    for (size_t i = 0; i < MATMUL_BASE; i += ROWS)
        for (size_t j = 0; j < MATMUL_BASE; j += COLUMNS) {
            double sum[ROWS][COLUMNS] = { { 0 } };
            for (size_t k = 0; k < MATMUL_BASE; k++)
                for (size_t row = 0; row < ROWS; row++)
                    for (size_t column = 0; column < COLUMNS; column++)
                        sum[row][column] += a[(i + row) * stride + k] * b[k * stride + j + column];
            for (size_t row = 0; row < ROWS; row++)
                for (size_t column = 0; column < COLUMNS; column++)
                    c[(i + row) * stride + j + column] += sum[row][column];
        }
}
