// Channels, locks and select. Definitions and sizes: bench/README.md and bench/cases/work.h.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	pairs       = 1_000
	pairTrips   = 500
	capacity    = 128
	senders     = 4
	messages    = 2_000_000
	selected    = 1_000_000
	oneshots    = 500_000
	lockers     = 100
	locks       = 10_000
	permits     = 10
	acquires    = 2_000
	uncontended = 10_000_000
	listeners   = 64
	broadcasts  = 100
)

// What receivers have got, all of them together.
type got struct {
	messages, sum int64
	left          *count
}

func newGot(receivers int64) *got { return &got{left: newCount(receivers)} }

func (g *got) add(messages, sum int64) {
	atomic.AddInt64(&g.messages, messages)
	atomic.AddInt64(&g.sum, sum)
	g.left.down()
}

// From each sender all numbers below `each`.
func (g *got) check(senders, each int64) int64 {
	g.left.waitForZero()
	check("messages", g.messages, senders*each)
	check("sum of messages", g.sum, senders*(each*(each-1)/2))
	return senders * each
}

// Without buffers: with room for one it is no faster.
func pingPong(pairs, trips int64) int64 {
	c := newCount(2 * pairs)
	for i := int64(0); i < pairs; i++ {
		toB, toA := make(chan int64), make(chan int64)
		go func() {
			for i := int64(0); i < trips; i++ {
				toB <- i
				check("trip", <-toA, i)
			}
			c.down()
		}()
		go func() {
			for i := int64(0); i < trips; i++ {
				check("trip", <-toB, i)
				toA <- i
			}
			c.down()
		}()
	}
	c.waitForZero()
	return pairs * trips
}

func send(to chan<- int64, n int64) {
	for i := int64(0); i < n; i++ {
		to <- i
	}
}

func channel(senders, receivers int64) int64 {
	g, c := newGot(receivers), make(chan int64, capacity)
	var sending sync.WaitGroup
	sending.Add(int(senders))
	for i := int64(0); i < senders; i++ {
		go func() {
			send(c, messages/senders)
			sending.Done()
		}()
	}
	for i := int64(0); i < receivers; i++ {
		go func() {
			messages, sum := int64(0), int64(0)
			for i := range c {
				messages++
				sum += i
			}
			g.add(messages, sum)
		}()
	}
	sending.Wait()
	close(c)
	return g.check(senders, messages/senders)
}

func selectFour() int64 {
	g := newGot(1)
	var from [4]chan int64
	for i := range from {
		from[i] = make(chan int64, capacity)
		go send(from[i], selected/4)
	}
	go func() {
		sum := int64(0)
		for n := 0; n < selected; n++ {
			select {
			case i := <-from[0]:
				sum += i
			case i := <-from[1]:
				sum += i
			case i := <-from[2]:
				sum += i
			case i := <-from[3]:
				sum += i
			}
		}
		g.add(selected, sum)
	}()
	return g.check(4, selected/4)
}

func oneshot() int64 {
	sum := int64(0)
	for i := int64(0); i < oneshots; i++ {
		c := make(chan int64, 1)
		go func(i int64) { c <- i & 1 }(i)
		sum += <-c
	}
	check("results", sum, oneshots/2)
	return oneshots
}

func mutexMany() int64 {
	c := newCount(lockers)
	var mutex sync.Mutex
	counter := int64(0)
	for i := 0; i < lockers; i++ {
		go func() {
			for j := 0; j < locks; j++ {
				mutex.Lock()
				counter++
				mutex.Unlock()
			}
			c.down()
		}()
	}
	c.waitForZero()
	check("counter", counter, lockers*locks)
	return lockers * locks
}

func mutexAlone() int64 {
	var mutex sync.Mutex
	counter := int64(0)
	for i := 0; i < uncontended; i++ {
		mutex.Lock()
		counter++
		mutex.Unlock()
	}
	check("counter", counter, uncontended)
	return uncontended
}

func rwlockRead() int64 {
	c := newCount(lockers)
	var lock sync.RWMutex
	value, total := int64(1), int64(0)
	for i := 0; i < lockers; i++ {
		go func() {
			sum := int64(0)
			for j := 0; j < locks; j++ {
				lock.RLock()
				sum += value
				lock.RUnlock()
			}
			atomic.AddInt64(&total, sum)
			c.down()
		}()
	}
	c.waitForZero()
	check("values read", total, lockers*locks)
	return lockers * locks
}

// The standard library has no semaphore; this is what is used for one.
func semaphore() int64 {
	c, taken := newCount(lockers), make(chan struct{}, permits)
	for i := 0; i < lockers; i++ {
		go func() {
			for j := 0; j < acquires; j++ {
				taken <- struct{}{}
				runtime.Gosched()
				<-taken
			}
			c.down()
		}()
	}
	c.waitForZero()
	check("permits taken", int64(len(taken)), 0)
	return lockers * acquires
}

// Go has no such channel: one for each listener. The sender waits for everybody after each round of as many as there is
// room for, as it does where a slow listener would miss some.
func broadcast() int64 {
	g := newGot(listeners)
	var to [listeners]chan int64
	var round sync.WaitGroup
	for i := range to {
		to[i] = make(chan int64, capacity)
		go func(from <-chan int64) {
			messages, sum := int64(0), int64(0)
			for i := range from {
				messages++
				sum += i
				if messages%capacity == 0 {
					round.Done()
				}
			}
			g.add(messages, sum)
		}(to[i])
	}
	for i := int64(0); i < broadcasts*capacity; i++ {
		if i%capacity == 0 {
			round.Wait()
			round.Add(listeners)
		}
		for _, c := range to {
			c <- i
		}
	}
	for _, c := range to {
		close(c)
	}
	return g.check(listeners, broadcasts*capacity)
}

// The number of operations, or 0: it is not one of these.
func iterateSync(name string) int64 {
	switch name {
	case "ping_pong":
		return pingPong(1, trips)
	case "ping_pong_1000":
		return pingPong(pairs, pairTrips)
	case "chan_1_1_128":
		return channel(1, 1)
	case "chan_4_4_128":
		return channel(senders, senders)
	case "select_4":
		return selectFour()
	case "oneshot":
		return oneshot()
	case "mutex_100":
		return mutexMany()
	case "mutex_uncontended":
		return mutexAlone()
	case "rwlock_read":
		return rwlockRead()
	case "semaphore":
		return semaphore()
	case "broadcast_1_64":
		return broadcast()
	}
	return 0
}
