// The benchmarks of bench/README.md on Go, in a process per measurement: `go-peer NAME WORKERS SECONDS`.
//
// Prints a line `FIGURE VALUE UNIT` for each figure ("-" is the benchmark's main one), nothing else, and exits with 0
// only if every count was right. Goroutines stand for futures and for fibers.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	spawns   = 1_000_000
	awaits   = 1_000_000
	links    = 1_000_000
	fibers   = 100_000
	yielders = 1_000
	yields   = 2_000
	turns    = 1_000_000
	trips    = 200_000
	sleeping = 100_000
	sleepMs  = 10
	parked   = 1_000_000
)

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "go-peer: "+format+"\n", args...)
	os.Exit(1)
}

func check(what string, found, expected int64) {
	if found != expected {
		fail("%s: %d, and not %d", what, found, expected)
	}
}

// ---- waiting for many -------------------------------------------------------------------------------------------

type count struct {
	left int64
	done chan struct{}
}

func newCount(left int64) *count { return &count{left, make(chan struct{}, 1)} }

func (c *count) down() {
	if atomic.AddInt64(&c.left, -1) == 0 {
		c.done <- struct{}{}
	}
}

func (c *count) waitForZero() {
	<-c.done
	check("goroutines left", atomic.LoadInt64(&c.left), 0)
}

// ---- the workloads: one iteration each; the number of operations -------------------------------------------------

func spawnCounted(n int64) int64 {
	c := newCount(n)
	for i := int64(0); i < n; i++ {
		go c.down()
	}
	c.waitForZero()
	return n
}

// Go has no handles: the result comes through a channel, which is made once.
func spawnAwait() int64 {
	result := make(chan int64)
	sum := int64(0)
	for i := int64(0); i < awaits; i++ {
		go func(i int64) { result <- i & 1 }(i)
		sum += <-result
	}
	check("results", sum, awaits/2)
	return awaits
}

func link(c *count, left int64) {
	if left == 1 {
		c.down()
	} else {
		go link(c, left-1)
	}
}

func chainedSpawn() int64 {
	c := newCount(1)
	go link(c, links)
	c.waitForZero()
	return links
}

func yielding(tasks, yields int64) int64 {
	c := newCount(tasks)
	for i := int64(0); i < tasks; i++ {
		go func() {
			for j := int64(0); j < yields; j++ {
				runtime.Gosched()
			}
			c.down()
		}()
	}
	c.waitForZero()
	return tasks * yields
}

func pingpong() int64 {
	c := newCount(2)
	a, b := make(chan struct{}), make(chan struct{})
	go func() {
		for i := 0; i < trips; i++ {
			a <- struct{}{}
			<-b
		}
		c.down()
	}()
	go func() {
		for i := 0; i < trips; i++ {
			<-a
			b <- struct{}{}
		}
		c.down()
	}()
	c.waitForZero()
	return trips
}

func sleepers() int64 {
	c := newCount(sleeping)
	for i := int64(0); i < sleeping; i++ {
		place := i * 7919 % sleeping
		pause := time.Duration(1_000_000 + place*(sleepMs-1)*1_000_000/sleeping)
		go func() {
			time.Sleep(pause)
			c.down()
		}()
	}
	c.waitForZero()
	return sleeping
}

func iterate(name string) int64 {
	switch name {
	case "spawn_many", "spawn_many_cold":
		return spawnCounted(spawns)
	case "fiber_spawn":
		return spawnCounted(fibers)
	case "spawn_await":
		return spawnAwait()
	case "chained_spawn":
		return chainedSpawn()
	case "group_1000":
		return group1000(groups)
	case "fiber_group_1000":
		return group1000(groups / 10)
	case "group_bare_1000":
		return groupBare1000()
	case "group_collect_1000":
		return groupCollect1000()
	case "yield_many", "fiber_yield_many":
		return yielding(yielders, yields)
	case "fiber_yield_two":
		return yielding(2, turns)
	case "pingpong", "fiber_pingpong":
		return pingpong()
	case "sleepers":
		return sleepers()
	}
	ops := iterateSync(name)
	if ops == 0 {
		ops = iterateIO(name)
	}
	if ops == 0 {
		fail("no benchmark %s", name)
	}
	return ops
}

// ---- measuring ---------------------------------------------------------------------------------------------------

// Processor time of the whole process, in nanoseconds.
func cpuNs() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail("getrusage: %v", err)
	}
	return float64(usage.Utime.Nano() + usage.Stime.Nano())
}

func timed(name string) {
	if name != "spawn_many_cold" {
		iterate(name)
	}
	cpu, begin := cpuNs(), time.Now()
	ops := float64(iterate(name))
	wall := float64(time.Since(begin).Nanoseconds())
	cpu = cpuNs() - cpu
	fmt.Printf("- %f ns/op\ncpu %f ns/op\n", wall/ops, cpu/ops)
}

func rssBytes() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		fail("%v", err)
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	if err != nil {
		fail("statm: %v", err)
	}
	return pages * float64(os.Getpagesize())
}

// The RSS of n goroutines that wait: each for the gate, or the first one for the gate and each other for the one
// before, which says its end by closing a channel of its own.
func memory(n int64, joining bool) {
	c, gate := newCount(n), make(chan struct{})
	var waiting int64
	before := rssBytes()
	previous := gate
	for i := int64(0); i < n; i++ {
		if joining {
			ended := make(chan struct{})
			go func(earlier, ended chan struct{}) {
				atomic.AddInt64(&waiting, 1)
				<-earlier
				close(ended)
				c.down()
			}(previous, ended)
			previous = ended
		} else {
			go func() {
				atomic.AddInt64(&waiting, 1)
				<-gate
				c.down()
			}()
		}
	}
	for atomic.LoadInt64(&waiting) < n {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // whoever counted has got to its wait by now
	peak := rssBytes()
	close(gate)
	c.waitForZero()
	time.Sleep(2 * time.Second)
	fmt.Printf("- %f bytes\nafter %f bytes\n", (peak-before)/float64(n), (rssBytes()-before)/float64(n))
}

func idle(seconds int) {
	spawnCounted(10_000)
	time.Sleep(200 * time.Millisecond)
	cpu := cpuNs()
	time.Sleep(time.Duration(seconds) * time.Second)
	fmt.Printf("- %f us/s\n", (cpuNs()-cpu)/1e3/float64(seconds))
}

func main() {
	if len(os.Args) != 4 {
		fail("usage: go-peer NAME WORKERS SECONDS")
	}
	workers, err := strconv.Atoi(os.Args[2])
	if err != nil || workers < 1 {
		fail("WORKERS is a number from 1")
	}
	seconds, err := strconv.Atoi(os.Args[3])
	if err != nil {
		fail("SECONDS is a number")
	}
	runtime.GOMAXPROCS(workers)
	switch name := os.Args[1]; name {
	case "idle":
		idle(seconds)
	case "serve", "serve_timers":
		serve(name == "serve_timers")
	case "serve_http":
		serveHTTP()
	case "timers_1m":
		timers1m()
	case "sleep_lateness":
		sleepLateness()
	case "memory/future":
		memory(parked, false)
	case "memory/join":
		memory(parked, true)
	case "memory/fiber":
		memory(fibers, false)
	default:
		if !measureForkJoin(name, seconds < 10) {
			timed(name)
		}
	}
}
