// The recursive fork-join benchmarks, mixed_latency and hogs_latency: what is forked is a goroutine, and a WaitGroup joins it.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// A goroutine for each fork costs so much that some things are done less often; figures are per operation.
const (
	fibOf     = 28
	queens    = 12
	leaves    = 1_000_000
	fewNodes  = 1000
	burstFib  = 21
	burstRow  = 25
	burstRows = 4
	pause     = 200 * time.Microsecond
)

func fib(n int) int64 {
	if n < 2 {
		return int64(n)
	}
	var left int64
	var forked sync.WaitGroup
	forked.Add(1)
	go func() {
		left = fib(n - 1)
		forked.Done()
	}()
	right := fib(n - 2)
	forked.Wait()
	return left + right
}

func fibSerially(n int) int64 {
	if n < 2 {
		return int64(n)
	}
	return fibSerially(n-1) + fibSerially(n-2)
}

func skynet(first, leaves int64) int64 {
	const children = 10
	if leaves == 1 {
		return first
	}
	var sums [children - 1]int64
	var forked sync.WaitGroup
	forked.Add(children - 1)
	leaves /= children
	for i := int64(0); i < children-1; i++ {
		go func(i int64) {
			sums[i] = skynet(first+i*leaves, leaves)
			forked.Done()
		}(i)
	}
	sum := skynet(first+(children-1)*leaves, leaves)
	forked.Wait()
	for _, part := range sums {
		sum += part
	}
	return sum
}

func nqueens(all, columns, left, right uint32) int64 {
	if columns == all {
		return 1
	}
	var found [16]int64
	var forked sync.WaitGroup
	solutions, count := int64(0), 0
	for open := all &^ (columns | left | right); open != 0; open &= open - 1 {
		queen := open & -open
		forked.Add(1)
		go func(part *int64) {
			*part = nqueens(all, columns|queen, (left|queen)<<1, (right|queen)>>1)
			forked.Done()
		}(&found[count])
		count++
	}
	forked.Wait()
	for _, part := range found {
		solutions += part
	}
	return solutions
}

type tree struct {
	left, right *tree
	value       int64
}

// A heap's shape, nodes made level by level.
func plant(nodes int) *tree {
	made := make([]*tree, nodes)
	for i := range made {
		made[i] = &tree{value: int64(i)}
	}
	for i := 1; i < nodes; i++ {
		if i%2 == 1 {
			made[i/2].left = made[i]
		} else {
			made[i/2-1].right = made[i]
		}
	}
	return made[0]
}

func treeSum(t *tree) int64 {
	if t == nil {
		return 0
	}
	var left int64
	var forked sync.WaitGroup
	forked.Add(1)
	go func() {
		left = treeSum(t.left)
		forked.Done()
	}()
	right := treeSum(t.right)
	forked.Wait()
	return left + right + t.value
}

// ---- measuring ---------------------------------------------------------------------------------------------------

type cost struct{ wall, cpu, ops float64 }

func (c *cost) print() {
	fmt.Printf("- %f ns/op\ncpu %f ns/op\n", c.wall/c.ops, c.cpu/c.ops)
}

// Once to warm up, with the first size, then the measured one.
func twice(warm, size int, iterate func(size int) int64) {
	iterate(warm)
	cpu, begin := cpuNs(), time.Now()
	ops := float64(iterate(size))
	c := cost{wall: float64(time.Since(begin).Nanoseconds()), ops: ops}
	c.cpu = cpuNs() - cpu
	c.print()
}

func runFib(n int) int64 {
	value, next := int64(0), int64(1)
	for i := 0; i < n; i++ {
		value, next = next, value+next
	}
	check("fib", fib(n), value)
	return next - 1
}

func runSkynet(leaves int) int64 {
	sum := int64(leaves) * int64(leaves-1) / 2
	check("the sum of the leaves", skynet(0, int64(leaves)), sum)
	return int64(leaves)
}

func runNqueens(n int) int64 {
	known := map[int][2]int64{10: {724, 35538}, 12: {14200, 856188}}
	check("solutions", nqueens(1<<n-1, 0, 0, 0), known[n][0])
	return known[n][1]
}

func runTreeSum(t *tree, times int) int64 {
	for i := 0; i < times; i++ {
		check("the sum of the tree", treeSum(t), fewNodes*(fewNodes-1)/2)
	}
	return int64(times)
}

func (c *cost) burst(fib func(n int) int64) {
	cpu := cpuNs()
	for i := 0; i < burstRow; i++ {
		time.Sleep(pause)
		begin := time.Now()
		check("fib", fib(burstFib), 10946)
		c.wall += float64(time.Since(begin).Nanoseconds())
		c.ops++
	}
	c.cpu += cpuNs() - cpu
}

func bursts() {
	var warm, own, serial cost
	warm.burst(fib)
	warm.burst(fibSerially)
	for i := 0; i < burstRows; i++ {
		own.burst(fib)
		serial.burst(fibSerially)
	}
	own.print()
	fmt.Printf("to_serial %f times\n", own.wall/serial.wall)
}

// Returns false if it is none of these.
func measureForkJoin(name string, isQuick bool) bool {
	switch name {
	case "fib":
		twice(20, fibOf, runFib)
	case "skynet":
		twice(leaves/10, leaves, runSkynet)
	case "nqueens":
		twice(10, queens, runNqueens)
	case "tree_sum_small":
		t := plant(fewNodes)
		twice(100, 300, func(times int) int64 { return runTreeSum(t, times) })
	case "bursts":
		bursts()
	case "mixed_latency":
		mixedLatency(isQuick)
	case "hogs_latency":
		hogsLatency(isQuick)
	default:
		return false
	}
	return true
}

// ---- fork-join and sleepers beside each other ----------------------------------------------------------------------

// Serial below burstFib.
func coarseFib(n int) int64 {
	if n <= burstFib {
		return fibSerially(n)
	}
	var left int64
	var forked sync.WaitGroup
	forked.Add(1)
	go func() {
		left = coarseFib(n - 1)
		forked.Done()
	}()
	right := coarseFib(n - 2)
	forked.Wait()
	return left + right
}

func sleepAndYield(pause time.Duration, end time.Time) []float64 {
	var delays []float64
	note := func(ready time.Time) {
		if delay := time.Since(ready); delay > 0 {
			delays = append(delays, float64(delay.Nanoseconds()))
		} else {
			delays = append(delays, 0)
		}
	}
	for time.Now().Before(end) {
		due := time.Now().Add(pause)
		time.Sleep(pause)
		note(due)
		ready := time.Now()
		runtime.Gosched()
		note(ready)
	}
	return delays
}

const mixedSleepers = 100

// All sleepers until then. The number is that of those that are left.
func startSleepers(end time.Time, left *int64) [][]float64 {
	*left = mixedSleepers
	found := make([][]float64, mixedSleepers)
	for i := 0; i < mixedSleepers; i++ {
		go func(i int) {
			found[i] = sleepAndYield(time.Millisecond+time.Duration(i)*time.Microsecond, end)
			atomic.AddInt64(left, -1)
		}(i)
	}
	return found
}

func printDelays(found [][]float64) {
	var all []float64
	for _, delays := range found {
		all = append(all, delays...)
	}
	sort.Float64s(all)
	fmt.Printf("p50 %f ns\np99 %f ns\nmax %f ns\n", all[len(all)/2], all[len(all)*99/100], all[len(all)-1])
}

func endOf(begin time.Time, isQuick bool) time.Time {
	if isQuick {
		return begin.Add(time.Second / 2)
	}
	return begin.Add(2 * time.Second)
}

// What keeps processors busy is coarser than Skua's: a goroutine for each call would be nothing but scheduling.
func mixedLatency(isQuick bool) {
	const busyFib, busyForks = 34, 9_227_464
	var left int64
	begin := time.Now()
	found := startSleepers(endOf(begin, isQuick), &left)
	forks := 0.0
	for atomic.LoadInt64(&left) > 0 {
		check("fib", coarseFib(busyFib), 5702887)
		forks += busyForks
	}
	wall := float64(time.Since(begin).Nanoseconds())
	printDelays(found)
	fmt.Printf("per_fork %f ns/op\n", wall/forks)
}

func hogsLatency(isQuick bool) {
	var left int64
	end := endOf(time.Now(), isQuick)
	found := startSleepers(end, &left)
	for i := 0; i < runtime.GOMAXPROCS(0); i++ {
		go func() {
			for time.Now().Before(end) {
			}
		}()
	}
	for atomic.LoadInt64(&left) > 0 {
		time.Sleep(time.Millisecond)
	}
	printDelays(found)
}
