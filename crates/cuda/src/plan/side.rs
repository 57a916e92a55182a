//! The gradients of weights, on a stream beside the main one: only the optimizer waits for them, so they may have what the chain of
//! the maps' gradients leaves free of the card. So may the optimizer itself, for most parameters, and the sum of the losses. In a pass
//! their work begins behind events of the main stream, which waits for all of it at the pass's end.
//!
//! What this stream works with, and why the main one doesn't change it meanwhile:
//! - maps, how they are read, factors: the next forward pass changes them, behind this pass's end.
//! - the gradient of a product's output: it is kept in a ring, and before the main stream writes a slot again it waits for the slot's
//!   reader. Behind a pool, where it is small, it has a room of the layer's own, which is written once a pass.
//! - partial gradients of products' weights: in a room that this stream alone uses.
//! - those of the depthwise convolutions' and the stem's weights, which the main stream makes: in a room of the layer's own, too. They
//!   are at most some 200,000 values (the stem's a million), whatever the batch.
//! - the gradients themselves: this stream writes those of weights, and of biases behind a pool; the main one those of norms and
//!   other biases. They lie apart.
//! - parameters, which the optimizer moves here: of layers whose pass is done, and which nothing reads until this pass's end.
//! - the pictures' losses, which the next step's main stream makes anew.
//!
//! Gradients of maps, which share places, it doesn't touch.

use crate::driver::{DeviceBuffer, Event, Slice, Stream};
use crate::kernels::{Kernels, Workspaces};
use mobilenet_core::Result;
use std::cell::Cell;
use std::ops::Range;

/// Slots of the ring. With two the main stream waits only where it comes to the second product from here before this stream has
/// ended the first one's weights, and there it loses nothing against one stream. Of V1 `unpadded`, 1024 pictures in bfloat16 (3.9 GB of
/// maps), the second takes 268 MB and a third would take 209 MB more; of V2 `cifar` (3.6 GB) they take 67 MB and 435 MB.
const SLOTS: usize = 2;

/// The stream, and the rooms of what it reads.
#[derive(Debug)]
pub struct Side {
    kernels: Kernels,
    /// A place in the main stream, behind what comes next here.
    given: Event,
    /// The end of a pass here.
    ended: Event,
    ring: Vec<Slot>,
    /// Partial gradients of products' weights.
    products: DeviceBuffer<f32>,
    /// What other layers leave.
    others: DeviceBuffer<f32>,
    /// Which of these are a layer's.
    places: Vec<Range<usize>>,
}

/// Room for the gradient of a product's output.
#[derive(Debug)]
struct Slot {
    values: DeviceBuffer<u8>,
    /// Behind its reader, in this pass.
    read: Event,
}

/// One backward pass.
pub struct Turn<'a> {
    side: &'a Side,
    main: &'a Stream,
    /// Products that have used the ring.
    products: Cell<usize>,
    /// Whether the main stream has something to wait for.
    begun: Cell<bool>,
}

impl Side {
    /// Beside the stream of `kernels`; `outputs` are the bytes that products put into the ring, in the order of the backward pass.
    pub fn new(
        kernels: &Kernels,
        workspaces: &Workspaces,
        outputs: impl Iterator<Item = usize>,
    ) -> Result<Self> {
        let (main, context) = (kernels.stream(), kernels.stream().context());
        let mut most = [0; SLOTS];
        for (product, bytes) in outputs.enumerate() {
            most[product % SLOTS] = bytes.max(most[product % SLOTS]);
        }
        let slot = |bytes| Ok(Slot { values: DeviceBuffer::zeros(main, bytes)?, read: Event::new(context)? });
        let mut end = 0;
        let place = |floats: &usize| {
            end += floats;
            end - floats..end
        };
        let places: Vec<_> = workspaces.others.iter().map(place).collect();
        Ok(Self {
            kernels: kernels.beside()?,
            given: Event::new(context)?,
            ended: Event::new(context)?,
            ring: most.into_iter().map(slot).collect::<Result<_>>()?,
            products: DeviceBuffer::zeros(main, workspaces.products)?,
            others: DeviceBuffer::zeros(main, end)?,
            places,
        })
    }

    /// Room for what a layer that doesn't use the ring leaves to this stream: partial gradients of its weights, or, behind a pool,
    /// the gradient of its output.
    pub fn room(&self, layer: usize) -> Slice {
        self.others.slice(self.places[layer].clone())
    }

    /// Begins a pass whose maps' gradients are made in the stream `main`.
    pub fn turn<'a>(&'a self, main: &'a Stream) -> Turn<'a> {
        Turn { side: self, main, products: Cell::new(0), begun: Cell::new(false) }
    }

    /// Waits until all is done.
    pub fn synchronize(&self) -> Result<()> {
        self.kernels.stream().synchronize()
    }

    /// Bytes on the card.
    pub fn bytes(&self) -> usize {
        let ring: usize = self.ring.iter().map(|slot| slot.values.bytes()).sum();
        ring + self.products.bytes() + self.others.bytes()
    }
}

impl Turn<'_> {
    fn slot(&self) -> &Slot {
        &self.side.ring[self.products.get() % SLOTS]
    }

    /// Room for the gradient of the next product's output, to be written by the main stream.
    pub fn output(&self) -> Result<Slice> {
        let slot = self.slot();
        // Its event is one of this pass only from the second round on; one of a recording before must not be waited for.
        if self.products.get() >= SLOTS {
            self.main.wait(&slot.read)?;
        }
        Ok(slot.values.all())
    }

    /// Has `work` put the gradient of a product's weights behind what the main stream has by now: that of its output included, in
    /// [`Turn::output`]'s room. It is given room for partial ones.
    pub fn product(&self, work: impl FnOnce(&Kernels, Slice) -> Result<()>) -> Result<()> {
        work(self.follow()?, self.side.products.all())?;
        self.slot().read.record(self.side.kernels.stream())?;
        self.products.set(self.products.get() + 1);
        Ok(())
    }

    /// Adds up the parts, of `count` values each, that the main stream has left in the room of a layer.
    pub fn reduce(&self, layer: usize, parts: usize, count: usize, to: Slice) -> Result<()> {
        self.follow()?.reduce(parts, count, self.side.room(layer), to)
    }

    /// What is launched with these kernels comes behind what the main stream has by now.
    pub fn follow(&self) -> Result<&Kernels> {
        let Side { kernels, given, .. } = self.side;
        given.record(self.main)?;
        kernels.stream().wait(given)?;
        self.begun.set(true);
        Ok(kernels)
    }

    /// The main stream waits for all that was begun: also after a failure, because a recording can't end otherwise, and because who
    /// waits for the main stream wants both.
    pub fn end(&self) -> Result<()> {
        if !self.begun.get() {
            return Ok(());
        }
        self.side.ended.record(self.side.kernels.stream())?;
        self.main.wait(&self.side.ended)
    }
}
