//! The card that tests work with: the mock, or a real one where the environment names a driver's library.

use crate::mock::{self, Books};
use mobilenet_cuda::backend::Cuda;
use mobilenet_cuda::driver::Driver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The card, for one test at a time: the mock's books are the process's.
pub struct Mock {
    /// What the mock notes; a real driver notes nothing.
    books: Option<Books>,
    /// What tests before this one have left: held, and excused.
    before: [u64; 2],
    _alone: MutexGuard<'static, ()>,
}

/// The card, or `None` where the mock can't be built, which is told.
pub fn mock() -> Option<Mock> {
    static ALONE: Mutex<()> = Mutex::new(());
    let path = mock::library()?;
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let books = (!mock::is_real()).then(|| Books::open(path));
    let before = books.as_ref().map_or([0; 2], |books| [books.leaks(), excused(books)]);
    Some(Mock { books, before, _alone: alone })
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
        self.open().expect("the driver starts")
    }

    /// What the mock notes; `None` of a real driver.
    pub fn books(&self) -> Option<&Books> {
        self.books.as_ref()
    }

    /// What is held and should not be: what could not be released, because its release was made to fail, is not counted.
    /// Nothing is known of a real driver's.
    pub fn leaks(&self) -> u64 {
        let [held, released] = self.before;
        let own = |books: &Books| (books.leaks() - held).saturating_sub(excused(books) - released);
        self.books.as_ref().map_or(0, own)
    }
}

/// Calls that may have released something and were made to fail.
pub fn excused(books: &Books) -> u64 {
    let report: serde_json::Value = serde_json::from_str(&books.report()).expect("JSON");
    report["excused"].as_u64().expect("a number")
}
