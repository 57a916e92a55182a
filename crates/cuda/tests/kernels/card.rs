//! The mock card, and what tests do with it.

use crate::mock;
use mobilenet_cuda::driver::{
    Arguments, Context, DeviceBuffer, Driver, Element, Grid, Module, Priority, Stream,
};
use mobilenet_cuda::images;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A card, for one test at a time.
pub struct Card {
    pub stream: Arc<Stream>,
    module: Arc<Module>,
    /// How many multiprocessors grids are made for.
    pub multiprocessors: usize,
    _alone: MutexGuard<'static, ()>,
}

/// The card, or `None` where the mock can't be built, which is told.
pub fn card() -> Option<Card> {
    static ALONE: Mutex<()> = Mutex::new(());
    let path = mock::library()?;
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let driver = Driver::open(Some(path.into())).expect("the mock starts");
    let card = driver.card(0).expect("there is a card");
    let multiprocessors = card.multiprocessors;
    let context = Context::new(driver, card).expect("a context");
    let module = images::load(&context).expect("the kernels load");
    let stream = Stream::new(&context, Priority::First).expect("a stream");
    Some(Card { stream, module, multiprocessors, _alone: alone })
}

impl Card {
    /// Values on the card.
    pub fn array<T: Element>(&self, values: &[T]) -> DeviceBuffer<T> {
        DeviceBuffer::of(&self.stream, values).expect("there is room")
    }

    /// Room for results, full of NaNs, so that what is not written shows.
    pub fn room(&self, length: usize) -> DeviceBuffer<f32> {
        self.array(&vec![f32::NAN; length])
    }

    /// The same for float64.
    pub fn room64(&self, length: usize) -> DeviceBuffer<f64> {
        self.array(&vec![f64::NAN; length])
    }

    /// Runs a kernel to its end.
    pub fn run(&self, name: &str, (blocks, threads): (usize, [usize; 2]), arguments: Arguments) {
        let grid = Grid {
            blocks: [blocks as u32, 1, 1],
            threads: [threads[0] as u32, threads[1] as u32, 1],
            shared_bytes: 0,
        };
        self.run_grid(name, grid, &arguments);
    }

    /// The same with dynamic shared memory, too.
    pub fn run_grid(&self, name: &str, grid: Grid, arguments: &Arguments) {
        let function = self.module.function(name, grid.shared_bytes as usize).expect("the kernel is there");
        self.launch(&function, grid, arguments);
    }

    /// Whether a kernel is not launched for which no dynamic shared memory was asked.
    pub fn refuses(&self, name: &str, grid: Grid, arguments: &Arguments) -> bool {
        let function = self.module.function(name, 0).expect("the kernel is there");
        // SAFETY: as below.
        unsafe { function.launch(&self.stream, grid, arguments) }.is_err()
    }

    /// Runs a kernel of channel pairs; gives how many parts there are.
    pub fn run_pairs(
        &self,
        name: &str,
        channels: usize,
        units: usize,
        arguments: impl Fn(usize) -> Arguments,
    ) -> usize {
        let (x, parts, pairs) = self.pair_grid(channels, units);
        let function = self.module.function(name, 0).expect("the kernel is there");
        let grid = Grid {
            blocks: [x as u32, parts as u32, 1],
            threads: [pairs as u32, (256 / pairs) as u32, 1],
            shared_bytes: 0,
        };
        self.launch(&function, grid, &arguments(parts));
        parts
    }

    /// `README.md`'s rule: blocks across the channels, parts, and a block's pairs.
    pub fn pair_grid(&self, channels: usize, units: usize) -> (usize, usize, usize) {
        let pairs =
            [32, 16, 8].into_iter().find(|pairs| (channels / 2).is_multiple_of(*pairs)).expect("padded");
        let x = channels / 2 / pairs;
        let most = (8 * self.multiprocessors / x).max(1);
        (x, units.div_ceil(256 / pairs).clamp(1, most), pairs)
    }

    fn launch(&self, function: &mobilenet_cuda::driver::Function, grid: Grid, arguments: &Arguments) {
        // SAFETY: each test gives the kernel's own arguments; the mock checks every address that it is given, and ends the
        // process where memory is overrun.
        unsafe { function.launch(&self.stream, grid, arguments) }.expect("the launch is taken");
        self.stream.synchronize().expect("the kernel ends");
    }

    /// Values from the card.
    pub fn read<T: Element + Default>(&self, buffer: &DeviceBuffer<T>) -> Vec<T> {
        buffer.read(&self.stream).expect("values come back")
    }
}

/// A grid of one thread for each of `count` things.
pub fn flat(count: usize) -> (usize, [usize; 2]) {
    (count.div_ceil(256), [256, 1])
}

/// A buffer's address, for an argument.
pub fn at<T: Element>(buffer: &DeviceBuffer<T>) -> u64 {
    buffer.all().with(1).expect("it is not empty")
}

/// No array.
pub const NULL: u64 = 0;
