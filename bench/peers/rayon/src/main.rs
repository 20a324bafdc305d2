//! The fork-join benchmarks of bench/README.md on Rayon, in a process per measurement: `rayon-peer NAME WORKERS SECONDS`.
//!
//! Prints a line `FIGURE VALUE UNIT` for each figure ("-" is the benchmark's main one), nothing else, and exits with 0
//! only if every result was right. Sizes and input are those of bench/cases/, SECONDS below 10 means the smaller ones.
use rayon::join;
use rayon::prelude::*;
use std::env;
use std::process::exit;
use std::thread;
use std::time::{Duration, Instant};

fn check<T: PartialEq + std::fmt::Display>(what: &str, found: T, expected: T) {
    if found != expected {
        eprintln!("rayon-peer: {what}: {found}, and not {expected}");
        exit(1);
    }
}

// ---- recursive kernels: the first closure of a join runs here, the second one is what others may take --------------

fn fib(n: i32) -> i64 {
    if n < 2 {
        return n.into();
    }
    let (left, right) = join(|| fib(n - 1), || fib(n - 2));
    left + right
}

fn fib_serially(n: i32) -> i64 {
    if n < 2 {
        n.into()
    } else {
        fib_serially(n - 1) + fib_serially(n - 2)
    }
}

fn skynet(first: i64, leaves: i64) -> i64 {
    if leaves == 1 {
        first
    } else {
        children(first, leaves / 10, 10)
    }
}

/// A join has two sides: nine of them for ten children.
fn children(first: i64, leaves: i64, count: i64) -> i64 {
    if count == 1 {
        return skynet(first, leaves);
    }
    let half = count / 2;
    let (left, right) =
        join(|| children(first, leaves, half), || children(first + half * leaves, leaves, count - half));
    left + right
}

fn nqueens(all: u32, columns: u32, left: u32, right: u32) -> i64 {
    if columns == all {
        return 1;
    }
    place(all, columns, left, right, all & !(columns | left | right))
}

/// A queen in each open column: likewise one join less than placements.
fn place(all: u32, columns: u32, left: u32, right: u32, open: u32) -> i64 {
    if open == 0 {
        return 0;
    }
    let queen = open & open.wrapping_neg();
    let others = open & (open - 1);
    let first = || nqueens(all, columns | queen, (left | queen) << 1, (right | queen) >> 1);
    if others == 0 {
        return first();
    }
    let (here, there) = join(first, || place(all, columns, left, right, others));
    here + there
}

#[derive(Clone, Copy)]
struct Tree {
    left: Option<&'static Tree>,
    right: Option<&'static Tree>,
    value: i64,
}

/// A heap's shape, nodes made level by level, each with memory of its own.
fn plant(nodes: usize) -> &'static Tree {
    let made: Vec<*mut Tree> =
        (0..nodes).map(|i| Box::into_raw(Box::new(Tree { left: None, right: None, value: i as i64 }))).collect();
    let child = |i: usize| made.get(i).map(|&tree| unsafe { &*tree });
    for (i, &tree) in made.iter().enumerate() {
        unsafe { *tree = Tree { left: child(2 * i + 1), right: child(2 * i + 2), value: i as i64 } };
    }
    child(0).expect("a root")
}

fn tree_sum(tree: Option<&'static Tree>) -> i64 {
    let tree = match tree {
        Some(tree) => tree,
        None => return 0,
    };
    let (left, right) = join(|| tree_sum(tree.left), || tree_sum(tree.right));
    left + right + tree.value
}

// ---- measuring ---------------------------------------------------------------------------------------------------

#[derive(Default)]
struct Cost {
    wall: f64,
    cpu: f64,
    ops: f64,
}

/// Processor time of the whole process, in nanoseconds.
fn cpu_ns() -> f64 {
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let us = |t: libc::timeval| t.tv_sec as f64 * 1e6 + t.tv_usec as f64;
    (us(usage.ru_utime) + us(usage.ru_stime)) * 1e3
}

fn timed(iterate: impl FnOnce() -> i64) -> Cost {
    let cpu = cpu_ns();
    let begin = Instant::now();
    let ops = iterate() as f64;
    Cost { wall: begin.elapsed().as_nanos() as f64, cpu: cpu_ns() - cpu, ops }
}

fn print(cost: &Cost) {
    println!("- {} ns/op", cost.wall / cost.ops);
    println!("cpu {} ns/op", cost.cpu / cost.ops);
}

/// Once to warm up, with the first size, then the measured one.
fn twice<T: Copy>(warm: T, size: T, iterate: impl Fn(T) -> i64) {
    iterate(warm);
    print(&timed(|| iterate(size)));
}

fn run_fib(n: i32) -> i64 {
    let (mut value, mut next) = (0, 1);
    for _ in 0..n {
        (value, next) = (next, value + next);
    }
    check("fib", fib(n), value);
    next - 1
}

fn run_skynet(leaves: i64, times: i64) -> i64 {
    for _ in 0..times {
        check("the sum of the leaves", skynet(0, leaves), leaves * (leaves - 1) / 2);
    }
    leaves * times
}

fn run_nqueens(n: u32) -> i64 {
    let (solutions, placements) = match n {
        10 => (724, 35_538),
        12 => (14_200, 856_188),
        _ => (365_596, 27_358_552),
    };
    check("solutions", nqueens((1 << n) - 1, 0, 0, 0), solutions);
    placements
}

/// Returns how many nodes were visited.
fn run_tree_sum(tree: &'static Tree, nodes: i64, times: i64) -> i64 {
    for _ in 0..times {
        check("the sum of the tree", tree_sum(Some(tree)), nodes * (nodes - 1) / 2);
    }
    nodes * times
}

fn burst(fib: impl Fn(i32) -> i64, cost: &mut Cost) {
    let cpu = cpu_ns();
    for _ in 0..25 {
        thread::sleep(Duration::from_micros(200));
        let begin = Instant::now();
        check("fib", fib(21), 10_946);
        cost.wall += begin.elapsed().as_nanos() as f64;
        cost.ops += 1.0;
    }
    cost.cpu += cpu_ns() - cpu;
}

fn bursts(rows: i32) {
    let (mut warm, mut own, mut serial) = (Cost::default(), Cost::default(), Cost::default());
    burst(fib, &mut warm);
    burst(fib_serially, &mut warm);
    for _ in 0..rows {
        burst(fib, &mut own);
        burst(fib_serially, &mut serial);
    }
    print(&own);
    println!("to_serial {} times", own.wall / serial.wall);
}

// ---- algorithms --------------------------------------------------------------------------------------------------

fn fine(i: u32, steps: u32) -> u32 {
    (0..steps).fold(i, |value, _| {
        let value = value.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        value ^ (value >> 15)
    })
}

fn fine_loop(results: &mut [u32], steps: u32) {
    results.par_iter_mut().enumerate().for_each(|(i, result)| *result = fine(i as u32, steps));
}

/// `kind` is 1ns, …, or short_1ns, ….
fn parallel_for(kind: &str) {
    let (is_short, body) = match kind.strip_prefix("short_") {
        Some(body) => (true, body),
        None => (false, kind),
    };
    let (ns, steps) = match body {
        "1ns" => (1, 2),
        "10ns" => (10, 16),
        "100ns" => (100, 82),
        "1us" => (1000, 670),
        _ => no_such(kind),
    };
    let count = if is_short { 50_000 / ns } else { 4_000_000 / ns };
    let times = if is_short { 200 } else { 10 };
    let mut results = vec![0; count];
    let mut iterate = || {
        for _ in 0..times {
            fine_loop(&mut results, steps);
        }
        if is_short {
            times
        } else {
            times * count as i64
        }
    };
    iterate();
    let cost = timed(iterate);
    for (i, &result) in results.iter().enumerate() {
        check("the result of a loop's body", result, fine(i as u32, steps));
    }
    print(&cost);
}

const REDUCTIONS: i64 = 10;

fn reduce<T>(number: impl Fn(i64) -> T, sum: impl Fn(&[T]) -> i64 + Copy) {
    let iterate = |values: &[T]| {
        for _ in 0..REDUCTIONS {
            check("the sum", sum(values), values.len() as i64 / 1000 * 499_500);
        }
        REDUCTIONS * values.len() as i64
    };
    let values: Vec<T> = (0..10_000_000).map(|i| number(i % 1000)).collect();
    iterate(&values[..1_000_000]);
    print(&timed(|| iterate(&values)));
}

/// A fixed sequence that looks random (splitmix64).
fn scramble(i: u64) -> u64 {
    let mut z = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn sort_once(count: u64, number: impl Fn(u64) -> u64) -> Cost {
    let mut values: Vec<u64> = (0..count).map(&number).collect();
    let cost = timed(|| {
        values.par_sort_unstable();
        values.len() as i64
    });
    let sum = |values: &mut dyn Iterator<Item = u64>| values.fold(0u64, |sum, value| sum.wrapping_add(value));
    check("neighbours out of order", values.windows(2).any(|pair| pair[0] > pair[1]), false);
    check("the sum of the sorted numbers", sum(&mut values.iter().copied()), sum(&mut (0..count).map(number)));
    cost
}

fn sort(number: impl Fn(u64) -> u64 + Copy) {
    sort_once(1_000_000, number);
    print(&sort_once(10_000_000, number));
}

// ---- which one ---------------------------------------------------------------------------------------------------

fn no_such(name: &str) -> ! {
    eprintln!("rayon-peer: no benchmark {name}");
    exit(2);
}

fn measure(name: &str, is_quick: bool) {
    match name {
        "fib" => twice(27, if is_quick { 36 } else { 39 }, run_fib),
        "skynet" => twice(5, if is_quick { 30 } else { 100 }, |times| run_skynet(1_000_000, times)),
        "skynet_100m" => twice(1_000_000, 100_000_000, |leaves| run_skynet(leaves, 1)),
        "nqueens" => twice(10, if is_quick { 12 } else { 14 }, run_nqueens),
        "tree_sum" => {
            let tree = plant(4_000_000);
            twice(1, if is_quick { 2 } else { 5 }, |times| run_tree_sum(tree, 4_000_000, times));
        }
        "tree_sum_small" => {
            let tree = plant(1000);
            twice(100, if is_quick { 1000 } else { 3000 }, |times| run_tree_sum(tree, 1000, times) / 1000);
        }
        "bursts" => bursts(if is_quick { 20 } else { 40 }),
        "reduce" => reduce(|i| i, |values| values.par_iter().sum()),
        "reduce_double" => reduce(|i| i as f64, |values| values.par_iter().sum::<f64>() as i64),
        "sort_uniform" => sort(scramble),
        "sort_sorted" => sort(|i| i),
        "sort_few" => sort(|i| scramble(i) % 16),
        _ => match name.strip_prefix("parallel_for_") {
            Some(kind) => parallel_for(kind),
            None => no_such(name),
        },
    }
}

fn main() {
    let args: Vec<String> = env::args().collect();
    let number = |i: usize| args.get(i).and_then(|n| n.parse::<usize>().ok());
    let (workers, seconds) = match (number(2), number(3)) {
        (Some(workers), Some(seconds)) => (workers, seconds),
        _ => {
            eprintln!("usage: rayon-peer NAME WORKERS SECONDS");
            exit(2);
        }
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("a pool");
    pool.install(|| measure(&args[1], seconds < 10));
}
