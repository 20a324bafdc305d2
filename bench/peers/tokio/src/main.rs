//! The benchmarks of bench/README.md on tokio, in a process per measurement: `tokio-peer NAME WORKERS SECONDS`.
//!
//! Prints a line `FIGURE VALUE UNIT` for each figure ("-" is the benchmark's main one), nothing else, and exits with 0
//! only if every count was right. WORKERS = 1 is the current-thread scheduler, tokio's faster one.
mod io;
mod sync;

use std::env;
use std::fs;
use std::future::Future;
use std::process::exit;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::{spawn, yield_now, JoinHandle, JoinSet};

const SPAWNS: i64 = 1_000_000;
const AWAITS: i64 = 1_000_000;
const LINKS: i64 = 1_000_000;
const FIBERS: i64 = 100_000;
const YIELDERS: i64 = 1_000;
const YIELDS: i64 = 2_000;
const TURNS: i64 = 1_000_000;
const TRIPS: i64 = 200_000;
const SLEEPERS: i64 = 100_000;
const SLEEP_MS: u64 = 10;
const PARKED: i64 = 1_000_000;
const MEMBERS: i64 = 1_000;
const GROUPS: i64 = 1_000;

fn check(what: &str, found: i64, expected: i64) {
    if found != expected {
        eprintln!("tokio-peer: {what}: {found}, and not {expected}");
        exit(1);
    }
}

// ---- waiting for many -------------------------------------------------------------------------------------------

struct Count {
    left: AtomicI64,
    done: Notify,
}

impl Count {
    /// Leaked, so that tasks share it by a plain pointer, as the other runtimes' do, and not by a counted one.
    fn of(left: i64) -> &'static Count {
        Box::leak(Box::new(Count { left: AtomicI64::new(left), done: Notify::new() }))
    }

    /// When it is zero, and nobody counts.
    fn again(&self, left: i64) {
        self.left.store(left, Ordering::Release);
    }

    fn down(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    async fn wait_for_zero(&self) {
        while self.left.load(Ordering::Acquire) > 0 {
            self.done.notified().await;
        }
        check("tasks left", self.left.load(Ordering::Acquire), 0);
    }
}

// ---- the workloads: one iteration each; the number of operations -------------------------------------------------

async fn spawn_counted(n: i64) -> i64 {
    let count = Count::of(n);
    for _ in 0..n {
        drop(spawn(async move { count.down() }));
    }
    count.wait_for_zero().await;
    n
}

async fn spawn_await() -> i64 {
    let mut sum = 0;
    for i in 0..AWAITS {
        sum += spawn(async move { i & 1 }).await.expect("a task failed");
    }
    check("results", sum, AWAITS / 2);
    AWAITS
}

fn link(count: &'static Count, left: i64) {
    drop(spawn(async move {
        if left == 1 {
            count.down();
        } else {
            link(count, left - 1);
        }
    }));
}

async fn chained_spawn() -> i64 {
    let count = Count::of(1);
    link(count, LINKS);
    count.wait_for_zero().await;
    LINKS
}

async fn group_1000(n: i64) -> i64 {
    for _ in 0..n {
        let mut set = JoinSet::new();
        for j in 0..MEMBERS {
            set.spawn(async move { j });
        }
        let mut sum = 0;
        while let Some(result) = set.join_next().await {
            sum += result.expect("a task failed");
        }
        check("results", sum, MEMBERS * (MEMBERS - 1) / 2);
    }
    n * MEMBERS
}

async fn yielding(tasks: i64, yields: i64) -> i64 {
    let count = Count::of(tasks);
    for _ in 0..tasks {
        drop(spawn(async move {
            for _ in 0..yields {
                yield_now().await;
            }
            count.down();
        }));
    }
    count.wait_for_zero().await;
    tasks * yields
}

async fn play(mine: &'static Notify, theirs: &'static Notify) -> i64 {
    for _ in 0..TRIPS {
        mine.notified().await;
        theirs.notify_one();
    }
    TRIPS
}

async fn pingpong() -> i64 {
    let a: &'static Notify = Box::leak(Box::new(Notify::new()));
    let b: &'static Notify = Box::leak(Box::new(Notify::new()));
    let players = (spawn(play(a, b)), spawn(play(b, a)));
    a.notify_one();
    let turns = players.0.await.expect("a task failed") + players.1.await.expect("a task failed");
    check("turns", turns, 2 * TRIPS);
    TRIPS
}

async fn sleepers() -> i64 {
    let count = Count::of(SLEEPERS);
    for i in 0..SLEEPERS as u64 {
        let place = i * 7919 % SLEEPERS as u64;
        let pause_ns = 1_000_000 + place * (SLEEP_MS - 1) * 1_000_000 / SLEEPERS as u64;
        drop(spawn(async move {
            tokio::time::sleep(Duration::from_nanos(pause_ns)).await;
            count.down();
        }));
    }
    count.wait_for_zero().await;
    SLEEPERS
}

async fn iterate(name: &str) -> i64 {
    match name {
        "spawn_many" | "spawn_many_cold" => spawn_counted(SPAWNS).await,
        "fiber_spawn" => spawn_counted(FIBERS).await,
        "spawn_await" => spawn_await().await,
        "chained_spawn" => chained_spawn().await,
        "group_1000" | "group_collect_1000" => group_1000(GROUPS).await,
        "fiber_group_1000" => group_1000(GROUPS / 10).await,
        "yield_many" | "fiber_yield_many" => yielding(YIELDERS, YIELDS).await,
        "fiber_yield_two" => yielding(2, TURNS).await,
        "pingpong" | "fiber_pingpong" => pingpong().await,
        "sleepers" => sleepers().await,
        _ => match sync::iterate(name).await {
            Some(ops) => ops,
            None => io::iterate(name).await.unwrap_or_else(|| {
                eprintln!("tokio-peer: no benchmark {name}");
                exit(2);
            }),
        },
    }
}

// ---- measuring ---------------------------------------------------------------------------------------------------

/// Processor time of the whole process, in nanoseconds.
fn cpu_ns() -> f64 {
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let us = |t: libc::timeval| t.tv_sec as f64 * 1e6 + t.tv_usec as f64;
    (us(usage.ru_utime) + us(usage.ru_stime)) * 1e3
}

async fn timed(name: String) {
    if name != "spawn_many_cold" {
        iterate(&name).await;
    }
    let cpu = cpu_ns();
    let begin = Instant::now();
    let ops = iterate(&name).await as f64;
    let wall = begin.elapsed().as_nanos() as f64;
    let cpu = cpu_ns() - cpu;
    println!("- {} ns/op", wall / ops);
    println!("cpu {} ns/op", cpu / ops);
}

fn rss_bytes() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("/proc/self/statm");
    let pages: f64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("statm");
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64
}

struct Gate {
    open: Notify,
    parked: AtomicI64,
    left: &'static Count,
}

async fn wait_parked(gate: &Gate, n: i64) {
    while gate.parked.load(Ordering::Acquire) < n {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await; // whoever counted has got to its wait by now
    check("parked", gate.parked.load(Ordering::Acquire), n);
}

fn report(n: i64, before: f64, peak: f64, after: f64) {
    println!("- {} bytes", (peak - before) / n as f64);
    println!("after {} bytes", (after - before) / n as f64);
}

/// The RSS of n tasks that wait: each for the gate, or the first one for the gate and each other for the one before.
async fn memory(n: i64, joining: bool) {
    let gate: &'static Gate =
        Box::leak(Box::new(Gate { open: Notify::new(), parked: AtomicI64::new(0), left: Count::of(n) }));
    let before = rss_bytes();
    let mut previous: Option<JoinHandle<()>> = None;
    for _ in 0..n {
        if !joining || previous.is_none() {
            previous = Some(spawn(async move {
                let opened = gate.open.notified();
                gate.parked.fetch_add(1, Ordering::AcqRel);
                opened.await;
                gate.left.down();
            }));
        } else {
            let earlier = previous.take().expect("a handle");
            previous = Some(spawn(async move {
                gate.parked.fetch_add(1, Ordering::AcqRel);
                earlier.await.expect("a task failed");
                gate.left.down();
            }));
        }
    }
    drop(previous);
    wait_parked(gate, n).await;
    let peak = rss_bytes();
    gate.open.notify_waiters();
    gate.left.wait_for_zero().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    report(n, before, peak, rss_bytes());
}

fn fib(n: i32) -> i64 {
    if n < 2 {
        n.into()
    } else {
        fib(n - 1) + fib(n - 2)
    }
}

async fn sleep_and_yield(pause: Duration, end: Instant) -> Vec<f64> {
    let mut delays = Vec::new();
    while Instant::now() < end {
        let due = Instant::now() + pause;
        tokio::time::sleep(pause).await;
        delays.push(due.elapsed().as_nanos() as f64);
        let ready = Instant::now();
        yield_now().await;
        delays.push(ready.elapsed().as_nanos() as f64);
    }
    delays
}

/// What keeps processors busy is serial, a task for each of them that yields every some ten microseconds.
async fn mixed_latency(workers: u64, seconds: u64) {
    const BUSY_FIB: i32 = 21;
    const BUSY_FORKS: i64 = 17_710;
    let forks: &'static AtomicI64 = Box::leak(Box::new(AtomicI64::new(0)));
    let begin = Instant::now();
    let end = begin + Duration::from_millis(if seconds < 10 { 500 } else { 2000 });
    let sleepers: Vec<_> = (0..100).map(|i| spawn(sleep_and_yield(Duration::from_micros(1000 + i), end))).collect();
    let busy: Vec<_> = (0..workers)
        .map(|_| {
            spawn(async move {
                loop {
                    check("fib", fib(black_box(BUSY_FIB)), 10_946);
                    forks.fetch_add(BUSY_FORKS, Ordering::Relaxed);
                    yield_now().await;
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for sleeper in sleepers {
        all.extend(sleeper.await.expect("a task failed"));
    }
    println!("per_fork {} ns/op", begin.elapsed().as_nanos() as f64 / forks.load(Ordering::Relaxed) as f64);
    busy.iter().for_each(|task| task.abort());
    all.sort_by(f64::total_cmp);
    println!("p50 {} ns", all[all.len() / 2]);
    println!("p99 {} ns", all[all.len() * 99 / 100]);
    println!("max {} ns", all[all.len() - 1]);
}

fn idle(runtime: &Runtime, seconds: u64) {
    run(runtime, async {
        spawn_counted(10_000).await;
    });
    thread::sleep(Duration::from_millis(200));
    let cpu = cpu_ns();
    thread::sleep(Duration::from_secs(seconds));
    println!("- {} us/s", (cpu_ns() - cpu) / 1e3 / seconds as f64);
}

/// So that the compiler does not know it. (std's own is newer than Debian 12's compiler.)
fn black_box<T: Copy>(value: T) -> T {
    unsafe { std::ptr::read_volatile(&value) }
}

/// As a task on a worker: a future given to block_on runs on the caller's thread and would inject all it spawns.
fn run<F>(runtime: &Runtime, future: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    runtime.block_on(async { spawn(future).await.expect("a task failed") });
}

fn main() {
    let args: Vec<String> = env::args().collect();
    let number = |i: usize| args.get(i).and_then(|n| n.parse::<u64>().ok());
    let (workers, seconds) = match (number(2), number(3)) {
        (Some(workers), Some(seconds)) => (workers, seconds),
        _ => {
            eprintln!("usage: tokio-peer NAME WORKERS SECONDS");
            exit(2);
        }
    };
    let runtime = if workers == 1 {
        Builder::new_current_thread().enable_all().build()
    } else {
        Builder::new_multi_thread().worker_threads(workers as usize).enable_all().build()
    }
    .expect("a runtime");
    match args[1].as_str() {
        "idle" => idle(&runtime, seconds),
        "memory/future" => run(&runtime, memory(PARKED, false)),
        "memory/join" => run(&runtime, memory(PARKED, true)),
        "memory/fiber" => run(&runtime, memory(FIBERS, false)),
        "serve" => run(&runtime, io::serve(false)),
        "serve_timers" => run(&runtime, io::serve(true)),
        "timers_1m" => run(&runtime, io::timers_1m()),
        "sleep_lateness" => run(&runtime, io::sleep_lateness()),
        "mixed_latency" => run(&runtime, mixed_latency(workers, seconds)),
        name => run(&runtime, timed(name.to_string())),
    }
}
