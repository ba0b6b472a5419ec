// The rows of rt_bench, for Tokio: rows ROW WORKERS [SECONDS] prints the nanoseconds of an
// operation. WORKERS 0 is the current_thread runtime; else one with that many workers.
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, Mutex, Notify};
use tokio::task::yield_now;

type Row = (&'static str, u64, fn(&Runtime, u64) -> Duration);

async fn works(n: usize) -> usize {
    n
}

/// The body runs in a task, as rt's rows do, and is told how often.
fn inside<F, Fut>(rt: &Runtime, body: F) -> Duration
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Duration> + Send + 'static,
{
    let body = body();
    rt.block_on(async move { tokio::spawn(body).await.unwrap() })
}

fn spawn_join(rt: &Runtime, times: u64) -> Duration {
    inside(rt, || async move {
        let mut all = Vec::with_capacity(1000);
        let begin = Instant::now();
        for _ in 0..times {
            for i in 0..1000 {
                all.push(tokio::spawn(works(i)));
            }
            for task in all.drain(..) {
                black_box(task.await.unwrap());
            }
        }
        begin.elapsed()
    })
}

fn spawn_outside(rt: &Runtime, times: u64) -> Duration {
    let mut all = Vec::with_capacity(1000);
    let begin = Instant::now();
    for _ in 0..times {
        for i in 0..1000 {
            all.push(rt.spawn(works(i)));
        }
        rt.block_on(async {
            for task in all.drain(..) {
                black_box(task.await.unwrap());
            }
        });
    }
    begin.elapsed()
}

fn yields(rt: &Runtime, times: u64, tasks: usize) -> Duration {
    inside(rt, || async move {
        let begin = Instant::now();
        for _ in 0..times {
            let all: Vec<_> = (0..tasks)
                .map(|_| {
                    tokio::spawn(async {
                        for _ in 0..100 {
                            yield_now().await;
                        }
                    })
                })
                .collect();
            for task in all {
                task.await.unwrap();
            }
        }
        begin.elapsed()
    })
}

fn ping_pong_oneshot(rt: &Runtime, times: u64) -> Duration {
    inside(rt, || async move {
        let (tx, mut rx) = mpsc::channel::<oneshot::Sender<i32>>(1);
        let other = tokio::spawn(async move {
            while let Some(back) = rx.recv().await {
                let _ = back.send(1);
            }
        });
        let begin = Instant::now();
        for _ in 0..times {
            let (back, answer) = oneshot::channel();
            tx.send(back).await.unwrap();
            black_box(answer.await.unwrap());
        }
        let took = begin.elapsed();
        drop(tx);
        other.await.unwrap();
        took
    })
}

fn ping_pong_notify(rt: &Runtime, times: u64) -> Duration {
    inside(rt, || async move {
        let bells = Arc::new((Notify::new(), Notify::new(), AtomicBool::new(false)));
        let theirs = bells.clone();
        let other = tokio::spawn(async move {
            loop {
                theirs.0.notified().await;
                if theirs.2.load(Ordering::Relaxed) {
                    return;
                }
                theirs.1.notify_one();
            }
        });
        let begin = Instant::now();
        for _ in 0..times {
            bells.0.notify_one();
            bells.1.notified().await;
        }
        let took = begin.elapsed();
        bells.2.store(true, Ordering::Relaxed);
        bells.0.notify_one();
        other.await.unwrap();
        took
    })
}

fn channel_100(rt: &Runtime, times: u64, senders: usize) -> Duration {
    inside(rt, || async move {
        let begin = Instant::now();
        for _ in 0..times {
            let (tx, mut rx) = mpsc::channel(100);
            for _ in 0..senders {
                let tx = tx.clone();
                tokio::spawn(async move {
                    for i in 0..10_000 / senders {
                        tx.send(i as i32).await.unwrap();
                    }
                });
            }
            drop(tx);
            while let Some(value) = rx.recv().await {
                black_box(value);
            }
        }
        begin.elapsed()
    })
}

fn channel_unbounded(rt: &Runtime, times: u64, senders: usize) -> Duration {
    inside(rt, || async move {
        let begin = Instant::now();
        for _ in 0..times {
            let (tx, mut rx) = mpsc::unbounded_channel();
            for _ in 0..senders {
                let tx = tx.clone();
                tokio::spawn(async move {
                    for i in 0..10_000 / senders {
                        tx.send(i as i32).unwrap();
                        tokio::task::consume_budget().await;
                    }
                });
            }
            drop(tx);
            while let Some(value) = rx.recv().await {
                black_box(value);
            }
        }
        begin.elapsed()
    })
}

fn mutex_free(rt: &Runtime, times: u64) -> Duration {
    inside(rt, || async move {
        let mutex = Mutex::new(());
        let begin = Instant::now();
        for _ in 0..times {
            let _ = black_box(mutex.lock().await);
        }
        begin.elapsed()
    })
}

fn mutex_8(rt: &Runtime, times: u64, yields: bool) -> Duration {
    inside(rt, || async move {
        let mutex = Arc::new(Mutex::new(()));
        let begin = Instant::now();
        for _ in 0..times {
            let all: Vec<_> = (0..8)
                .map(|_| {
                    let mutex = mutex.clone();
                    tokio::spawn(async move {
                        for _ in 0..100 {
                            let _guard = mutex.lock().await;
                            if yields {
                                yield_now().await;
                            }
                        }
                    })
                })
                .collect();
            for task in all {
                task.await.unwrap();
            }
        }
        begin.elapsed()
    })
}

fn notify_all(rt: &Runtime, times: u64) -> Duration {
    const CROWD: usize = 10_000;
    inside(rt, || async move {
        let mut took = Duration::ZERO;
        for _ in 0..times {
            let all = Arc::new((Notify::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
            for _ in 0..CROWD {
                let mine = all.clone();
                tokio::spawn(async move {
                    let bell = mine.0.notified();
                    mine.1.fetch_add(1, Ordering::Relaxed);
                    bell.await;
                    mine.2.fetch_add(1, Ordering::Relaxed);
                });
            }
            while all.1.load(Ordering::Relaxed) < CROWD {
                yield_now().await;
            }
            let begin = Instant::now();
            all.0.notify_waiters();
            while all.2.load(Ordering::Relaxed) < CROWD {
                yield_now().await;
                all.0.notify_waiters();
            }
            took += begin.elapsed();
        }
        took
    })
}

fn timer_cancel(rt: &Runtime, times: u64) -> Duration {
    inside(rt, || async move {
        let bell = Notify::new();
        let begin = Instant::now();
        for _ in 0..times {
            bell.notify_one();
            tokio::select! {
                biased;
                _ = tokio::time::sleep(Duration::from_secs(3600)) => {}
                _ = bell.notified() => {}
            }
        }
        begin.elapsed()
    })
}

fn timer_mass(rt: &Runtime, times: u64) -> Duration {
    inside(rt, || async move {
        let mut all = Vec::with_capacity(10_000);
        let begin = Instant::now();
        for _ in 0..times {
            for i in 0..10_000 {
                all.push(tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(3600) + Duration::from_millis(i)).await;
                }));
            }
            for _ in 0..3 {
                yield_now().await;
            }
            for task in &all {
                task.abort();
            }
            for task in all.drain(..) {
                let _ = black_box(task.await);
            }
        }
        begin.elapsed()
    })
}

type Sum = Pin<Box<dyn Future<Output = i64> + Send>>;

fn fib(n: i64) -> Sum {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let left = tokio::spawn(fib(n - 1));
        let right = fib(n - 2).await;
        right + left.await.unwrap()
    })
}

fn skynet(from: i64, size: i64) -> Sum {
    Box::pin(async move {
        if size == 1 {
            return from;
        }
        let parts: Vec<_> = (0..10)
            .map(|i| tokio::spawn(skynet(from + i * size / 10, size / 10)))
            .collect();
        let mut sum = 0;
        for part in parts {
            sum += part.await.unwrap();
        }
        sum
    })
}

#[derive(Clone, Copy)]
struct Board {
    size: i32,
    row: i32,
    columns: u32,
    down: u32,
    up: u32,
}

fn queens(b: Board) -> Sum {
    Box::pin(async move {
        if b.row == b.size {
            return 1;
        }
        let mut parts = Vec::with_capacity(16);
        for c in 0..b.size {
            let (column, down, up) = (1u32 << c, 1u32 << (c + b.row), 1u32 << (c - b.row + b.size - 1));
            if b.columns & column != 0 || b.down & down != 0 || b.up & up != 0 {
                continue;
            }
            parts.push(tokio::spawn(queens(Board {
                size: b.size,
                row: b.row + 1,
                columns: b.columns | column,
                down: b.down | down,
                up: b.up | up,
            })));
        }
        let mut sum = 0;
        for part in parts {
            sum += part.await.unwrap();
        }
        sum
    })
}

/// In nanoseconds that are bytes.
fn resident() -> Duration {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    Duration::from_nanos(pages * 4096)
}

const MANY: usize = 1_000_000;

fn memory(rt: &Runtime, asleep: bool) -> Duration {
    inside(rt, || async move {
        let all = Arc::new((Notify::new(), AtomicUsize::new(0)));
        let mut tasks = Vec::with_capacity(MANY);
        tasks.resize_with(MANY, || None);
        let before = resident();
        for task in tasks.iter_mut() {
            let all = all.clone();
            *task = Some(tokio::spawn(async move {
                all.1.fetch_add(1, Ordering::Relaxed);
                if asleep {
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                } else {
                    all.0.notified().await;
                }
            }));
        }
        while all.1.load(Ordering::Relaxed) < MANY {
            yield_now().await;
        }
        yield_now().await;
        let took = resident() - before;
        for task in &tasks {
            task.as_ref().unwrap().abort();
        }
        took
    })
}

fn cpu() -> Duration {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

fn many_sleeps(rt: &Runtime, late: bool) -> Duration {
    inside(rt, || async move {
        let latest = Arc::new(AtomicUsize::new(0));
        let began = cpu();
        let first = Instant::now() + Duration::from_millis(100);
        let all: Vec<_> = (0..100_000u64)
            .map(|i| {
                let latest = latest.clone();
                tokio::spawn(async move {
                    let when = first + Duration::from_millis(i * 7919 % 100);
                    tokio::time::sleep_until(when.into()).await;
                    latest.fetch_max((Instant::now() - when).as_nanos() as usize, Ordering::Relaxed);
                })
            })
            .collect();
        for task in all {
            task.await.unwrap();
        }
        if late {
            Duration::from_nanos(latest.load(Ordering::Relaxed) as u64)
        } else {
            cpu() - began
        }
    })
}

fn tree(rt: &Runtime, times: u64, make: fn() -> Sum) -> Duration {
    inside(rt, || async move {
        let begin = Instant::now();
        for _ in 0..times {
            black_box(make().await);
        }
        begin.elapsed()
    })
}

const ROWS: &[Row] = &[
    ("spawn_join", 1000, spawn_join),
    ("spawn_outside", 1000, spawn_outside),
    ("yield_1", 100, |rt, n| yields(rt, n, 1)),
    ("yield_100", 10_000, |rt, n| yields(rt, n, 100)),
    ("yield_10000", 1_000_000, |rt, n| yields(rt, n, 10_000)),
    ("ping_pong_oneshot", 1, ping_pong_oneshot),
    ("ping_pong_notify", 1, ping_pong_notify),
    ("channel_100_1to1", 10_000, |rt, n| channel_100(rt, n, 1)),
    ("channel_100_4to1", 10_000, |rt, n| channel_100(rt, n, 4)),
    ("channel_unbounded_1to1", 10_000, |rt, n| channel_unbounded(rt, n, 1)),
    ("channel_unbounded_4to1", 10_000, |rt, n| channel_unbounded(rt, n, 4)),
    ("mutex_free", 1, mutex_free),
    ("mutex_8", 800, |rt, n| mutex_8(rt, n, false)),
    ("mutex_8_yield", 800, |rt, n| mutex_8(rt, n, true)),
    ("notify_all", 10_000, notify_all),
    ("timer_cancel", 1, timer_cancel),
    ("timer_mass", 10_000, timer_mass),
    ("fib_30", 1_346_269, |rt, n| tree(rt, n, || fib(30))),
    ("skynet_1e6", 1_111_110, |rt, n| tree(rt, n, || skynet(0, 1_000_000))),
    ("queens_11", 166_926, |rt, n| {
        tree(rt, n, || queens(Board { size: 11, row: 0, columns: 0, down: 0, up: 0 }))
    }),
];

/// Of these a single time counts.
const ONCE: &[Row] = &[
    ("memory_notify", 1_000_000, |rt, _| memory(rt, false)),
    ("memory_sleep", 1_000_000, |rt, _| memory(rt, true)),
    ("sleeps_cpu", 100_000, |rt, _| many_sleeps(rt, false)),
    ("sleeps_late", 1, |rt, _| many_sleeps(rt, true)),
];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.len() < 2 {
        for row in ROWS.iter().chain(ONCE) {
            println!("{}", row.0);
        }
        return;
    }
    let Some(row) = ROWS.iter().chain(ONCE).find(|row| row.0 == args[1]) else {
        eprintln!("rows: no row '{}'; without arguments they are listed", args[1]);
        std::process::exit(2);
    };
    let workers: usize = args.get(2).map_or(1, |n| n.parse().expect("WORKERS is a number"));
    let seconds: f64 = args.get(3).map_or(0.3, |s| s.parse().expect("SECONDS is a number"));
    let rt = match workers {
        0 => Builder::new_current_thread().enable_all().build().unwrap(),
        n => Builder::new_multi_thread().worker_threads(n).enable_all().build().unwrap(),
    };
    // As many times as take that long, found by doubling, the last of which counts.
    let mut times = 1;
    if ONCE.iter().any(|row| row.0 == args[1]) {
        println!("{:.3}", (row.2)(&rt, 1).as_secs_f64() * 1e9 / row.1 as f64);
        return;
    }
    loop {
        let took = (row.2)(&rt, times).as_secs_f64();
        if took >= seconds || times >= 1 << 40 {
            println!("{:.3}", took * 1e9 / (times * row.1) as f64);
            return;
        }
        times = (times as f64 * (1.2 * seconds / took.max(1e-7)).clamp(2.0, 100.0)) as u64;
    }
}
