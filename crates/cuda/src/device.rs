//! Which cards there are, and which device a run gets.

use crate::backend::Cuda;
use crate::driver::{Card, Driver};
use mobilenet_core::config::DeviceChoice;
use mobilenet_core::engine::backend::Backend;
use mobilenet_core::engine::processor::Processor;
use mobilenet_core::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A device that was chosen.
#[derive(Debug, Clone)]
pub struct Selected {
    /// What trains and runs networks.
    pub backend: Arc<dyn Backend>,
    /// Why it is the processor, where a driver is there and a card was wanted.
    pub note: Option<String>,
}

/// Gives the device that is asked for.
///
/// # Errors
/// `DEVICE_UNAVAILABLE` when a card is asked for and can't be used.
pub fn select(choice: DeviceChoice) -> Result<Selected> {
    let processor = |note| Selected { backend: Arc::new(Processor), note };
    match choice {
        DeviceChoice::Cpu => Ok(processor(None)),
        DeviceChoice::Cuda(index) => {
            let named = |error: Error| Error {
                message: error.message.replacen("CUDA can't", &format!("cuda:{index} can't"), 1),
                ..error
            };
            Ok(Selected { backend: Arc::new(card(index).map_err(named)?), note: None })
        }
        DeviceChoice::Auto => Ok(match card(0) {
            Ok(card) => Selected { backend: Arc::new(card), note: None },
            // Where there is no driver, nobody expects a card.
            Err(_) if !Driver::is_found() => processor(None),
            Err(error) => processor(Some(error.message)),
        }),
    }
}

/// All cards; none where there is no driver.
///
/// # Errors
/// `DEVICE_UNAVAILABLE` when there is a driver and it fails.
pub fn cards() -> Result<Vec<Card>> {
    if Driver::is_found() { Driver::get()?.cards() } else { Ok(Vec::new()) }
}

/// What there is of the driver: it, or why it can't be used.
///
/// # Errors
/// The reason.
pub fn driver() -> Result<Arc<Driver>> {
    Driver::get()
}

/// Card number `index`, which all of this process share.
fn card(index: usize) -> Result<Cuda> {
    static CARDS: Mutex<Option<HashMap<usize, Cuda>>> = Mutex::new(None);
    let mut cards = CARDS.lock().unwrap_or_else(PoisonError::into_inner);
    let cards = cards.get_or_insert_default();
    if let Some(card) = cards.get(&index) {
        return Ok(card.clone());
    }
    let card = Cuda::open(Driver::get()?, index)?;
    cards.insert(index, card.clone());
    Ok(card)
}
