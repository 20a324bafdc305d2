/* The least that a context switch can be: the registers that a function must keep, the stack pointer, and nothing
 * else; no floating-point modes, no call frame information, no branch-target marks. BENCH_HAVE_FLOOR_SWITCH: whether
 * the build has one for this processor (floor_switch_x86_64.S, floor_switch_aarch64.S).
 */
#ifndef SKUA_BENCH_FLOOR_SWITCH_H
#define SKUA_BENCH_FLOOR_SWITCH_H

/* Saves the calling flow and puts its stack pointer into *save; continues the flow whose stack pointer is `to`. */
void bench_floor_swap(void **save, void *to);

/* The stack pointer of a flow that calls entry(), which must not return, on the stack below `top`. */
void *bench_floor_prepare(void *top, void (*entry)(void));

/* The same with the floating-point modes (MXCSR and x87 control word; FPCR), which are a function's to keep, too. */
void bench_floor_swap_modes(void **save, void *to);
void *bench_floor_prepare_modes(void *top, void (*entry)(void));

#endif
