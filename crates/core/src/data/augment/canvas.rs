//! A picture that is changed step by step.

/// A picture with room for its next state. `[height, width, 3]`, as in [`crate::data::Pictures`].
#[derive(Debug, Clone, Default)]
pub struct Canvas {
    /// The picture as it is now.
    pub pixels: Vec<u8>,
    /// For steps that read what they have written over already.
    spare: Vec<u8>,
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
}

impl Canvas {
    /// Takes over a picture; memory is kept from the last one.
    ///
    /// # Panics
    /// When there aren't `height * width * 3` pixels.
    pub fn set(&mut self, pixels: &[u8], (height, width): (usize, usize)) {
        assert_eq!(pixels.len(), height * width * 3, "pixels are [height, width, 3]");
        self.pixels.clear();
        self.pixels.extend_from_slice(pixels);
        (self.height, self.width) = (height, width);
    }

    /// Replaces the picture by what `step` writes: from the old pixels to the new ones, which are black at first.
    pub fn rewrite(&mut self, step: impl FnOnce(&[u8], &mut [u8])) {
        self.spare.clear();
        self.spare.resize(self.pixels.len(), 0);
        step(&self.pixels, &mut self.spare);
        std::mem::swap(&mut self.pixels, &mut self.spare);
    }
}
