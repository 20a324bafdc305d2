//! Servers, timers, datagrams and streams. Definitions and sizes: bench/README.md and bench/cases/work.h.
use crate::{check, cpu_ns, rss_bytes, Count};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use tokio::task::spawn;
use tokio::time::{sleep, sleep_until, Instant, Sleep};

const SERVER_BUFFER: usize = 4096;
const FAR_TIMERS: i64 = 10_000;
const TIMERS: u64 = 1_000_000;
const TIMERS_MS: u64 = 1_000;
const TIMERS_TOGETHER_MS: u64 = 3_000;
const NAPS: usize = 1_000;
const ARMED: u64 = 1_000;
const ARM_ROUNDS: i64 = 200;
const UDP_SIZE: usize = 64;
const UDP_BATCH: i64 = 32;
const UDP_ROUNDS: i64 = 2_000;
const PIECE: usize = 65536;
const PIECES: i64 = 8192;

// ---- servers ----------------------------------------------------------------------------------------------------

async fn send_back(mut peer: TcpStream) -> io::Result<()> {
    let mut buffer = [0u8; SERVER_BUFFER];
    loop {
        let n = peer.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        peer.write_all(&buffer[..n]).await?;
    }
}

/// Until killed. The limit of descriptors is inherited.
pub async fn serve(with_timers: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    for _ in 0..if with_timers { FAR_TIMERS } else { 0 } {
        drop(spawn(sleep(Duration::from_secs(3600))));
    }
    println!("port {}", listener.local_addr().expect("an address").port());
    loop {
        let (peer, _) = listener.accept().await.expect("a connection");
        peer.set_nodelay(true).expect("no delay");
        drop(spawn(send_back(peer)));
    }
}

// ---- timers -----------------------------------------------------------------------------------------------------

fn sleeper(count: &'static Count, until: Instant) {
    drop(spawn(async move {
        sleep_until(until).await;
        count.down();
    }));
}

async fn sleeping_bytes() -> f64 {
    let count = Count::of(TIMERS as i64);
    let before = rss_bytes();
    let until = Instant::now() + Duration::from_millis(TIMERS_TOGETHER_MS);
    for _ in 0..TIMERS {
        sleeper(count, until);
    }
    sleep_until(until - Duration::from_millis(100)).await;
    let bytes = (rss_bytes() - before) / TIMERS as f64;
    count.wait_for_zero().await;
    bytes
}

pub async fn timers_1m() {
    let bytes = sleeping_bytes().await;
    let count = Count::of(TIMERS as i64);
    let cpu = cpu_ns();
    let begin = Instant::now();
    let mut last = begin;
    for i in 0..TIMERS {
        let place = i * 7919 % TIMERS;
        let until = Instant::now() + Duration::from_nanos(1_000_000 + place * (TIMERS_MS - 1) * 1_000_000 / TIMERS);
        last = last.max(until);
        sleeper(count, until);
    }
    count.wait_for_zero().await;
    let end = Instant::now();
    println!("- {} ns/op", (end - begin).as_nanos() as f64 / TIMERS as f64);
    println!("cpu {} ns/op", (cpu_ns() - cpu) / TIMERS as f64);
    println!("late {} us", end.saturating_duration_since(last).as_nanos() as f64 / 1e3);
    println!("bytes {bytes} bytes");
}

pub async fn sleep_lateness() {
    let mut late = Vec::with_capacity(NAPS);
    for _ in 0..NAPS {
        let due = Instant::now() + Duration::from_millis(1);
        sleep(Duration::from_millis(1)).await;
        late.push(due.elapsed().as_nanos() as f64 / 1e3);
    }
    late.sort_by(f64::total_cmp);
    println!("p50 {} us", late[NAPS / 2]);
    println!("p99 {} us", late[NAPS * 99 / 100]);
}

/// std's own is newer than Debian 12's compiler.
struct PollFn<F>(F);
impl<F: FnMut(&mut Context<'_>) -> std::task::Poll<()> + Unpin> std::future::Future for PollFn<F> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> std::task::Poll<()> {
        (self.0)(context)
    }
}

/// A sleep is armed by its first poll, and dropped to cancel it.
async fn timer_arm_cancel() -> i64 {
    PollFn(|context: &mut Context<'_>| {
        for _ in 0..ARM_ROUNDS {
            let mut set: Vec<Pin<Box<Sleep>>> =
                (0..ARMED).map(|i| Box::pin(sleep(Duration::from_millis(60_000 + i)))).collect();
            for one in &mut set {
                check("an armed sleep", one.as_mut().poll(context).is_pending() as i64, 1);
            }
        }
        std::task::Poll::Ready(())
    })
    .await;
    ARMED as i64 * ARM_ROUNDS
}

// ---- datagrams and streams --------------------------------------------------------------------------------------

/// There are no batches.
async fn udp_pps() -> i64 {
    let from = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let to = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    from.connect(to.local_addr().expect("an address")).await.expect("connected");
    to.connect(from.local_addr().expect("an address")).await.expect("connected");
    let taker = spawn(async move {
        let mut buffer = [0u8; UDP_SIZE];
        for _ in 0..UDP_ROUNDS {
            for _ in 0..UDP_BATCH {
                check("a datagram", to.recv(&mut buffer).await.expect("a datagram") as i64, UDP_SIZE as i64);
            }
            to.send(&buffer[..1]).await.expect("sent");
        }
    });
    let data = [0u8; UDP_SIZE];
    for _ in 0..UDP_ROUNDS {
        for _ in 0..UDP_BATCH {
            from.send(&data).await.expect("sent");
        }
        from.recv(&mut [0u8; 1]).await.expect("an answer");
    }
    taker.await.expect("a task failed");
    UDP_BATCH * UDP_ROUNDS
}

async fn unix_throughput() -> i64 {
    let (mut a, mut b) = UnixStream::pair().expect("a pair");
    let filler = spawn(async move {
        let data = vec![1u8; PIECE];
        for _ in 0..PIECES {
            a.write_all(&data).await.expect("written");
        }
    });
    let mut data = vec![0u8; PIECE];
    let mut sum = 0;
    loop {
        let n = b.read(&mut data).await.expect("read");
        if n == 0 {
            break;
        }
        sum += n as i64;
    }
    check("bytes", sum, PIECE as i64 * PIECES);
    filler.await.expect("a task failed");
    PIECES
}

pub async fn iterate(name: &str) -> Option<i64> {
    match name {
        "timer_arm_cancel" => Some(timer_arm_cancel().await),
        "udp_pps" => Some(udp_pps().await),
        "unix_throughput" => Some(unix_throughput().await),
        _ => None,
    }
}
