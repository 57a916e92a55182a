//! Whole numbers as JavaScript gets them.

/// Of pictures, of threads, of repetitions in an hour: all far below 2^32.
pub fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
