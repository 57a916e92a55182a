//! Criterion, and a table of what it measured beside the machine's peaks.

use criterion::{Criterion, Throughput};
use std::time::{Duration, Instant};

/// Names of the two peaks among what is measured.
pub const COPY: &str = "peak/copy";
pub const PRODUCTS: [&str; 2] = ["peak/product", "peak/product of candle"];

/// What a call does, of which its rates follow.
#[derive(Clone, Copy)]
pub struct Work {
    /// Multiplications and additions, each counted; 0 where moving the floats is all there is.
    pub flops: usize,
    /// Float32 that have to be read or written at least, each map once.
    pub floats: usize,
}

impl Work {
    fn bytes(self) -> usize {
        self.floats * size_of::<f32>()
    }
}

/// Measures, and remembers the fastest call of each: others that use the machine hardly touch it, unlike a mean.
pub struct Record {
    criterion: Criterion,
    measured: Vec<(String, Work, f64)>,
}

impl Record {
    pub fn new() -> Self {
        let criterion = Criterion::default()
            .sample_size(20)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(2))
            .configure_from_args();
        Self { criterion, measured: Vec::new() }
    }

    /// Measures `pass`, called `group/name`; not if the command line's filter leaves it out.
    pub fn measure(&mut self, name: String, work: Work, mut pass: impl FnMut()) {
        let (group, of_group) = name.split_once('/').expect("group/name");
        let mut group = self.criterion.benchmark_group(group);
        group.throughput(match work.flops {
            0 => Throughput::Bytes(work.bytes() as u64),
            flops => Throughput::Elements(flops as u64),
        });
        let mut fastest = f64::INFINITY;
        group.bench_function(of_group, |bencher| {
            bencher.iter_custom(|calls| {
                let mut one = || {
                    let start = Instant::now();
                    pass();
                    start.elapsed()
                };
                let (mut total, mut least) = (Duration::ZERO, Duration::MAX);
                for _ in 0..calls {
                    let elapsed = one();
                    total += elapsed;
                    least = least.min(elapsed);
                }
                fastest = fastest.min(least.as_secs_f64());
                total
            });
        });
        group.finish();
        if fastest.is_finite() {
            self.measured.push((name, work, fastest));
        }
    }

    /// Prints every kernel's rates and their share of the peaks, those of the fastest calls.
    pub fn print(&self) {
        let found = |name: &str| self.measured.iter().find(|(other, ..)| other == name);
        let copy = found(COPY).map(|(_, work, seconds)| work.bytes() as f64 / seconds);
        let product = PRODUCTS.iter().filter_map(|name| found(name));
        let product = product.map(|(_, work, seconds)| work.flops as f64 / seconds).reduce(f64::max);
        let rate_and_share = |rate: f64, peak: Option<f64>| match peak {
            Some(peak) if rate > 0.0 => format!("{:.1} | {:.0} %", rate / 1e9, 100.0 * rate / peak),
            None if rate > 0.0 => format!("{:.1} |", rate / 1e9),
            _ => "|".into(),
        };
        println!("One thread, fastest calls. A filter that leaves out the peaks leaves out the shares, too:");
        println!("take 'peak|depthwise'. Above 100 % of the copy means that the floats lay in a cache.\n");
        println!("| kernel | microseconds | GFLOP/s | of the product | GB/s | of the copy |");
        println!("|---|---|---|---|---|---|");
        for (name, work, seconds) in &self.measured {
            let (flops, bytes) = (work.flops as f64 / seconds, work.bytes() as f64 / seconds);
            println!(
                "| {name} | {:.1} | {} | {} |",
                seconds * 1e6,
                rate_and_share(flops, product),
                rate_and_share(bytes, copy)
            );
        }
    }
}
