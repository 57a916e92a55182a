//! A card in use.

use super::types::{Code, ContextHandle};
use super::{Card, Driver, Functions, error};
use mobilenet_core::Result;
use std::ptr::null_mut;
use std::sync::Arc;

/// A card's primary context, which all of a process share; let go when the last of its owners is dropped.
#[derive(Debug)]
pub struct Context {
    driver: Arc<Driver>,
    card: Card,
    handle: ContextHandle,
}

// SAFETY: a context's handle may be used by any thread; each makes it current before it calls (`enter`).
unsafe impl Send for Context {}
// SAFETY: the driver's functions may be called by several threads at once.
unsafe impl Sync for Context {}

impl Context {
    /// Takes a card in use.
    ///
    /// # Errors
    /// `DEVICE_UNAVAILABLE` when the card can't be used, for example because another program has it for itself.
    pub fn new(driver: Arc<Driver>, card: Card) -> Result<Arc<Self>> {
        let mut handle = null_mut();
        // SAFETY: a place for the answer; the device's handle is the driver's.
        let code = unsafe { (driver.functions.context_retain)(&raw mut handle, card.handle) };
        driver.check("cuDevicePrimaryCtxRetain", code)?;
        Ok(Arc::new(Self { driver, card, handle }))
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The driver.
    pub fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    /// Bytes of memory that are free, and all.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn memory(&self) -> Result<(usize, usize)> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: two places for the answers.
        self.call("cuMemGetInfo", |f| unsafe { (f.memory_info)(&raw mut free, &raw mut total) })?;
        Ok((free, total))
    }

    /// Calls the driver with this context current to the calling thread.
    pub(super) fn call(&self, name: &str, call: impl FnOnce(&Functions) -> Code) -> Result<()> {
        self.driver.check(name, self.code(call)?)
    }

    /// The same, for a caller who knows what to do when the driver refuses.
    pub(super) fn code(&self, call: impl FnOnce(&Functions) -> Code) -> Result<Code> {
        self.enter()?;
        Ok(call(&self.driver.functions))
    }

    /// The same where nobody can be told of a failure: when something is dropped.
    pub(super) fn release(&self, call: impl FnOnce(&Functions) -> Code) {
        if self.enter().is_ok() {
            call(&self.driver.functions);
        }
    }

    /// Calls the driver to allocate `bytes`; where it has not so many, the error says how many are free.
    pub(super) fn allocate(&self, bytes: usize, call: impl FnOnce(&Functions) -> Code) -> Result<()> {
        match self.code(call)? {
            super::types::OUT_OF_MEMORY => {
                Err(error::out_of_memory(&self.card.device_name(), bytes, self.memory().ok()))
            }
            code => self.driver.check("cuMemAlloc", code),
        }
    }

    fn enter(&self) -> Result<()> {
        // SAFETY: the handle is a context's, which this object holds.
        let code = unsafe { (self.driver.functions.context_set)(self.handle) };
        self.driver.check("cuCtxSetCurrent", code)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: taken in `new`, once. Nothing that belongs to it is left: all of it holds the context.
        unsafe { (self.driver.functions.context_release)(self.card.handle) };
    }
}
