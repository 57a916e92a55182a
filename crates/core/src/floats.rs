//! The values of candle's tensors as slices, for the operations that are ours.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};
use std::cell::Cell;

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

/// Hands `work` the values of `to`, to be changed in place, and those of `from`: candle lends the former to an operation alone.
pub(crate) fn in_place<T>(
    to: &Tensor,
    from: &Tensor,
    work: impl FnOnce(&mut [f32], &[f32]) -> T,
) -> Result<T> {
    let operation = Operation { work: Cell::new(Some(work)), result: Cell::new(None) };
    to.inplace_op2(from, &operation)?;
    match operation.result.take() {
        Some(result) => Ok(result),
        None => bail!("candle has not run an operation"),
    }
}

struct Operation<T, W> {
    work: Cell<Option<W>>,
    result: Cell<Option<T>>,
}

impl<T, W: FnOnce(&mut [f32], &[f32]) -> T> InplaceOp2 for Operation<T, W> {
    fn name(&self) -> &'static str {
        "in place"
    }

    fn cpu_fwd(
        &self,
        to: &mut CpuStorage,
        to_layout: &Layout,
        from: &CpuStorage,
        from_layout: &Layout,
    ) -> Result<()> {
        let (to, from) = (floats_mut(to, to_layout)?, floats(from, from_layout)?);
        self.result.set(self.work.take().map(|work| work(to, from)));
        Ok(())
    }
}
