//! The mock card.

use crate::mock::{self, Books};
use mobilenet_cuda::backend::Cuda;
use mobilenet_cuda::driver::Driver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The mock, for one test at a time: its books are the process's.
pub struct Mock {
    pub books: Books,
    _alone: MutexGuard<'static, ()>,
}

/// The mock, or `None` where it can't be built, which is told.
pub fn mock() -> Option<Mock> {
    static ALONE: Mutex<()> = Mutex::new(());
    let path = mock::library()?;
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Some(Mock { books: Books::open(path), _alone: alone })
}

impl Mock {
    /// Opens the driver, as a process does it once.
    pub fn start(&self) -> mobilenet_core::Result<Arc<Driver>> {
        Driver::open(mock::library().map(Into::into))
    }

    /// Opens the driver and its card.
    pub fn open(&self) -> mobilenet_core::Result<Cuda> {
        Cuda::open(self.start()?, 0)
    }

    /// The card, where nothing is made to fail.
    pub fn card(&self) -> Cuda {
        self.open().expect("the mock starts")
    }

    /// What is held and should not be: what could not be released, because its release was made to fail, is not counted.
    pub fn leaks(&self) -> u64 {
        let report: serde_json::Value = serde_json::from_str(&self.books.report()).expect("JSON");
        self.books.leaks().saturating_sub(report["excused"].as_u64().expect("a number"))
    }
}
