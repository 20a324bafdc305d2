//! Channels, locks and select: tokio's own, and async-channel's channels on tokio's scheduler, which are what
//! many who need more than one receiver use with it. Definitions and sizes: bench/README.md and bench/cases/work.h.
use crate::{check, Count};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use tokio::sync::{broadcast, mpsc, oneshot, Mutex, RwLock, Semaphore};
use tokio::task::{spawn, yield_now};

const TRIPS: i64 = 200_000;
const PAIRS: i64 = 1_000;
const PAIR_TRIPS: i64 = 500;
const CAPACITY: usize = 128;
const SENDERS: i64 = 4;
const MESSAGES: i64 = 2_000_000;
const SELECTED: i64 = 1_000_000;
const FOREIGN: i64 = 500_000;
const ONESHOTS: i64 = 500_000;
const LOCKERS: i64 = 100;
const LOCKS: i64 = 10_000;
const PERMITS: usize = 10;
const ACQUIRES: i64 = 2_000;
const UNCONTENDED: i64 = 10_000_000;
const LISTENERS: i64 = 64;
const BROADCASTS: i64 = 100;

/// What receivers have got, all of them together.
struct Got {
    messages: AtomicI64,
    sum: AtomicI64,
    left: &'static Count,
}

impl Got {
    fn of(receivers: i64) -> &'static Got {
        Box::leak(Box::new(Got { messages: AtomicI64::new(0), sum: AtomicI64::new(0), left: Count::of(receivers) }))
    }

    fn add(&self, messages: i64, sum: i64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.sum.fetch_add(sum, Ordering::Relaxed);
        self.left.down();
    }

    /// From each sender all numbers below `each`.
    async fn check(&self, senders: i64, each: i64) -> i64 {
        self.left.wait_for_zero().await;
        check("messages", self.messages.load(Ordering::Relaxed), senders * each);
        check("sum of messages", self.sum.load(Ordering::Relaxed), senders * (each * (each - 1) / 2));
        senders * each
    }
}

/// The workloads that are the same on both kinds of channel but for names.
macro_rules! channels {
    ($kind:ident, $bounded:path, $unbounded:path, $some:path, $send_now:ident, $send_blocking:ident) => {
        #[allow(unused_mut)] // only tokio's receivers are changed by receiving
        mod $kind {
            use super::*;

            pub async fn ping_pong(pairs: i64, trips: i64) -> i64 {
                let count = Count::of(2 * pairs);
                for _ in 0..pairs {
                    let (to_b, mut at_b) = $bounded(1);
                    let (to_a, mut at_a) = $bounded(1);
                    drop(spawn(async move {
                        for i in 0..trips {
                            to_b.send(i).await.expect("a receiver");
                            check("trip", at_a.recv().await.expect("a sender"), i);
                        }
                        count.down();
                    }));
                    drop(spawn(async move {
                        for i in 0..trips {
                            check("trip", at_b.recv().await.expect("a sender"), i);
                            to_a.send(i).await.expect("a receiver");
                        }
                        count.down();
                    }));
                }
                count.wait_for_zero().await;
                pairs * trips
            }

            pub async fn one_receiver(senders: i64) -> i64 {
                let got = Got::of(1);
                let (tx, mut rx) = $bounded(CAPACITY);
                for _ in 0..senders {
                    let tx = tx.clone();
                    drop(spawn(async move {
                        for i in 0..MESSAGES / senders {
                            tx.send(i).await.expect("a receiver");
                        }
                    }));
                }
                drop(tx);
                drop(spawn(async move {
                    let (mut messages, mut sum) = (0, 0);
                    while let $some(i) = rx.recv().await {
                        messages += 1;
                        sum += i;
                    }
                    got.add(messages, sum);
                }));
                got.check(senders, MESSAGES / senders).await
            }

            pub async fn unbounded(senders: i64) -> i64 {
                let got = Got::of(1);
                let (tx, mut rx) = $unbounded();
                for _ in 0..senders {
                    let tx = tx.clone();
                    drop(spawn(async move {
                        for i in 0..MESSAGES / senders {
                            tx.$send_now(i).expect("a receiver");
                        }
                    }));
                }
                drop(tx);
                drop(spawn(async move {
                    let (mut messages, mut sum) = (0, 0);
                    while let $some(i) = rx.recv().await {
                        messages += 1;
                        sum += i;
                    }
                    got.add(messages, sum);
                }));
                got.check(senders, MESSAGES / senders).await
            }

            pub async fn foreign() -> i64 {
                let (tx, mut rx) = $bounded(CAPACITY);
                let sender = thread::spawn(move || {
                    for i in 0..FOREIGN {
                        tx.$send_blocking(i).expect("a receiver");
                    }
                });
                let got = Got::of(1);
                let (mut messages, mut sum) = (0, 0);
                while let $some(i) = rx.recv().await {
                    messages += 1;
                    sum += i;
                }
                got.add(messages, sum);
                sender.join().expect("the thread failed");
                got.check(1, FOREIGN).await
            }

            pub async fn select() -> i64 {
                let got = Got::of(1);
                let channel = || {
                    let (tx, rx) = $bounded(CAPACITY);
                    drop(spawn(async move {
                        for i in 0..SELECTED / 4 {
                            tx.send(i).await.expect("a receiver");
                        }
                    }));
                    rx
                };
                let (mut a, mut b, mut c, mut d) = (channel(), channel(), channel(), channel());
                drop(spawn(async move {
                    let (mut messages, mut sum) = (0, 0);
                    loop {
                        sum += tokio::select! {
                            $some(i) = a.recv() => i,
                            $some(i) = b.recv() => i,
                            $some(i) = c.recv() => i,
                            $some(i) = d.recv() => i,
                            else => break,
                        };
                        messages += 1;
                    }
                    got.add(messages, sum);
                }));
                got.check(4, SELECTED / 4).await
            }
        }
    };
}

channels!(tokios, mpsc::channel, mpsc::unbounded_channel, Some, send, blocking_send);
channels!(async_channels, async_channel::bounded, async_channel::unbounded, Ok, try_send, send_blocking);

/// Tokio's own have one receiver.
async fn many_receivers(senders: i64, receivers: i64) -> i64 {
    let got = Got::of(receivers);
    let (tx, rx) = async_channel::bounded(CAPACITY);
    for _ in 0..senders {
        let tx = tx.clone();
        drop(spawn(async move {
            for i in 0..MESSAGES / senders {
                tx.send(i).await.expect("a receiver");
            }
        }));
    }
    drop(tx);
    for _ in 0..receivers {
        let rx = rx.clone();
        drop(spawn(async move {
            let (mut messages, mut sum) = (0, 0);
            while let Ok(i) = rx.recv().await {
                messages += 1;
                sum += i;
            }
            got.add(messages, sum);
        }));
    }
    drop(rx);
    got.check(senders, MESSAGES / senders).await
}

async fn oneshots() -> i64 {
    let mut sum = 0;
    for i in 0..ONESHOTS {
        let (tx, rx) = oneshot::channel();
        drop(spawn(async move { tx.send(i & 1).expect("a receiver") }));
        sum += rx.await.expect("a sender");
    }
    check("results", sum, ONESHOTS / 2);
    ONESHOTS
}

async fn mutex_many() -> i64 {
    let count = Count::of(LOCKERS);
    let counter: &'static Mutex<i64> = Box::leak(Box::new(Mutex::new(0)));
    for _ in 0..LOCKERS {
        drop(spawn(async move {
            for _ in 0..LOCKS {
                *counter.lock().await += 1;
            }
            count.down();
        }));
    }
    count.wait_for_zero().await;
    check("counter", *counter.lock().await, LOCKERS * LOCKS);
    LOCKERS * LOCKS
}

async fn mutex_alone() -> i64 {
    let counter: &'static Mutex<i64> = Box::leak(Box::new(Mutex::new(0)));
    for _ in 0..UNCONTENDED {
        *counter.lock().await += 1;
    }
    check("counter", *counter.lock().await, UNCONTENDED);
    UNCONTENDED
}

async fn rwlock_read() -> i64 {
    let count = Count::of(LOCKERS);
    let total: &'static AtomicI64 = Box::leak(Box::new(AtomicI64::new(0)));
    let value: &'static RwLock<i64> = Box::leak(Box::new(RwLock::new(1)));
    for _ in 0..LOCKERS {
        drop(spawn(async move {
            let mut sum = 0;
            for _ in 0..LOCKS {
                sum += *value.read().await;
            }
            total.fetch_add(sum, Ordering::Relaxed);
            count.down();
        }));
    }
    count.wait_for_zero().await;
    check("values read", total.load(Ordering::Relaxed), LOCKERS * LOCKS);
    LOCKERS * LOCKS
}

async fn semaphore() -> i64 {
    let count = Count::of(LOCKERS);
    let permits: &'static Semaphore = Box::leak(Box::new(Semaphore::new(PERMITS)));
    for _ in 0..LOCKERS {
        drop(spawn(async move {
            for _ in 0..ACQUIRES {
                let permit = permits.acquire().await.expect("it is open");
                yield_now().await;
                drop(permit);
            }
            count.down();
        }));
    }
    count.wait_for_zero().await;
    check("permits", permits.available_permits() as i64, PERMITS as i64);
    LOCKERS * ACQUIRES
}

/// The sender waits for everybody after each round of as many as there is room for: so nobody misses any.
async fn broadcast_many() -> i64 {
    let got = Got::of(LISTENERS);
    let round = Count::of(LISTENERS);
    let (tx, _) = broadcast::channel(CAPACITY);
    for _ in 0..LISTENERS {
        let mut rx = tx.subscribe();
        drop(spawn(async move {
            let (mut messages, mut sum) = (0, 0);
            while let Ok(i) = rx.recv().await {
                messages += 1;
                sum += i;
                if messages % CAPACITY as i64 == 0 {
                    round.down();
                }
            }
            got.add(messages, sum);
        }));
    }
    let each = BROADCASTS * CAPACITY as i64;
    for i in 0..each {
        tx.send(i).expect("a receiver");
        if (i + 1) % CAPACITY as i64 == 0 {
            round.wait_for_zero().await;
            round.again(LISTENERS);
        }
    }
    drop(tx);
    got.check(LISTENERS, each).await
}

/// The number of operations; None: it is not one of these.
pub async fn iterate(name: &str) -> Option<i64> {
    Some(match name {
        "ping_pong" => tokios::ping_pong(1, TRIPS).await,
        "ping_pong/async_channel" => async_channels::ping_pong(1, TRIPS).await,
        "ping_pong_1000" => tokios::ping_pong(PAIRS, PAIR_TRIPS).await,
        "ping_pong_1000/async_channel" => async_channels::ping_pong(PAIRS, PAIR_TRIPS).await,
        "chan_1_1_128" => tokios::one_receiver(1).await,
        "chan_1_1_128/async_channel" => async_channels::one_receiver(1).await,
        "chan_4_4_128/async_channel" => many_receivers(SENDERS, SENDERS).await,
        "chan_4_1_unbounded" => tokios::unbounded(SENDERS).await,
        "chan_4_1_unbounded/async_channel" => async_channels::unbounded(SENDERS).await,
        "chan_foreign" => tokios::foreign().await,
        "chan_foreign/async_channel" => async_channels::foreign().await,
        "select_4" => tokios::select().await,
        "select_4/async_channel" => async_channels::select().await,
        "oneshot" => oneshots().await,
        "mutex_100" => mutex_many().await,
        "mutex_uncontended" => mutex_alone().await,
        "rwlock_read" => rwlock_read().await,
        "semaphore" => semaphore().await,
        "broadcast_1_64" => broadcast_many().await,
        _ => return None,
    })
}
