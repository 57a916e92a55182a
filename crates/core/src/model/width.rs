//! The width multiplier: how many channels a layer keeps.

/// `channels * width`, rounded to the nearest multiple of 8, at least 8, and never below 90 % of the product: the
/// rule of the MobileNet code that timm and torchvision follow.
pub fn scaled(channels: usize, width: f64) -> usize {
    const DIVISOR: usize = 8;
    let product = channels as f64 * width;
    let rounded = ((product + DIVISOR as f64 / 2.0) as usize / DIVISOR * DIVISOR).max(DIVISOR);
    if (rounded as f64) < 0.9 * product { rounded + DIVISOR } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn the_papers_multipliers_give_whole_eighths() {
        assert_eq!([1.0, 0.75, 0.5, 0.25].map(|width| scaled(32, width)), [32, 24, 16, 8]);
        assert_eq!([1.0, 0.75, 0.5, 0.25].map(|width| scaled(1024, width)), [1024, 768, 512, 256]);
    }

    #[test]
    fn small_products_round_up_rather_than_lose_a_tenth() {
        assert_eq!(scaled(32, 0.1), 8);
        assert_eq!(scaled(64, 0.3), 24); // 19.2 would round to 16, which is below 90 % of it.
    }
}
