//! The values of candle's tensors as slices, for the operations that are ours.

use candle_core::{CpuStorage, Layout, Result, bail};

/// The values of a contiguous float32 tensor.
pub(crate) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("a contiguous tensor is needed") };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// The same, to be changed in place.
pub(crate) fn floats_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
        bail!("a contiguous float32 tensor is needed")
    };
    Ok(&mut values[start..end])
}
