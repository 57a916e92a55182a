//! Which buffer holds what: values that are not needed at the same time share one.

/// A value, and when it is needed: from the moment `made` to the moment `used`, both included.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    /// When it is written.
    pub made: usize,
    /// When it is read for the last time.
    pub used: usize,
    /// How large it is.
    pub floats: usize,
}

/// Gives every value a buffer: the index of each, and the floats of every buffer. `lifetimes` are in the order in which
/// the values are made.
pub fn share_buffers(lifetimes: &[Lifetime]) -> (Vec<usize>, Vec<usize>) {
    let (mut places, mut floats, mut free_from): (Vec<usize>, Vec<usize>, Vec<usize>) = Default::default();
    for value in lifetimes {
        let free = || (0..floats.len()).filter(|buffer| free_from[*buffer] <= value.made);
        // The smallest that is large enough, or else the largest, which grows; so that little is left unused.
        let fitting =
            free().filter(|buffer| floats[*buffer] >= value.floats).min_by_key(|buffer| floats[*buffer]);
        let buffer = fitting.or_else(|| free().max_by_key(|buffer| floats[*buffer])).unwrap_or(floats.len());
        if buffer == floats.len() {
            floats.push(0);
            free_from.push(0);
        }
        floats[buffer] = floats[buffer].max(value.floats);
        free_from[buffer] = value.used + 1;
        places.push(buffer);
    }
    (places, floats)
}

#[cfg(test)]
mod tests {
    use super::{Lifetime, share_buffers};

    #[test]
    fn values_that_live_at_the_same_time_have_buffers_of_their_own() {
        let value = |made, used, floats| Lifetime { made, used, floats };
        let values = [value(0, 1, 10), value(1, 4, 20), value(2, 3, 5), value(3, 4, 8), value(5, 6, 20)];
        let (places, floats) = share_buffers(&values);
        for (index, a) in values.iter().enumerate() {
            assert!(floats[places[index]] >= a.floats);
            for (other, b) in values.iter().enumerate().skip(index + 1) {
                let both_live = a.made <= b.used && b.made <= a.used;
                assert!(!both_live || places[index] != places[other], "{index} and {other} share a buffer");
            }
        }
        assert_eq!(floats.len(), 3);
    }
}
