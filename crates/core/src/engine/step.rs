//! The plan as candle sees it: one operation from pictures and parameters to the loss, with its own backward.

use super::plan::Plan;
use crate::kernels::loss::Loss;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use std::sync::{Arc, Mutex, MutexGuard};

/// The operation. Clones share the plan.
#[derive(Debug, Clone)]
pub struct TrainingLoss {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    labels: Vec<u32>,
    loss: Loss,
}

impl TrainingLoss {
    /// Of a plan for training.
    pub fn new(plan: Plan) -> Self {
        let state = State { plan, labels: Vec::new(), loss: Loss { sum: 0.0, correct: 0 } };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The mean loss, a scalar, of `pictures` (`[n, resolution, resolution, 3]`, normalised) with these labels, as a
    /// function of `parameters` (flat). Its gradient must be taken before the next call.
    pub fn apply(&self, pictures: &Tensor, labels: &[u32], parameters: &Tensor) -> Result<Tensor> {
        self.lock().labels = labels.to_vec();
        pictures.apply_op2(parameters, self.clone())
    }

    /// Loss and right answers of the last batch.
    pub fn last(&self) -> Loss {
        self.lock().loss
    }

    /// Works with the plan.
    pub fn with_plan<T>(&self, work: impl FnOnce(&mut Plan) -> T) -> T {
        work(&mut self.lock().plan)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic within a step ends the run; its half-done buffers are overwritten by the next step, if there is one.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl CustomOp2 for TrainingLoss {
    fn name(&self) -> &'static str {
        "mobilenet training loss"
    }

    fn cpu_fwd(
        &self,
        pictures: &CpuStorage,
        pictures_layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (pictures, parameters) =
            (floats(pictures, pictures_layout)?, floats(parameters, parameters_layout)?);
        let State { plan, labels, loss } = &mut *self.lock();
        plan.prepare(parameters);
        plan.forward(pictures, parameters, labels.len());
        *loss = plan.loss(labels);
        let mean = (loss.sum / labels.len() as f64) as f32;
        Ok((CpuStorage::F32(vec![mean]), Shape::from(())))
    }

    fn bwd(
        &self,
        pictures: &Tensor,
        parameters: &Tensor,
        _loss: &Tensor,
        loss_gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradients = {
            let (picture_storage, picture_layout) = pictures.storage_and_layout();
            let (parameter_storage, parameter_layout) = parameters.storage_and_layout();
            let (candle_core::Storage::Cpu(picture_storage), candle_core::Storage::Cpu(parameter_storage)) =
                (&*picture_storage, &*parameter_storage)
            else {
                bail!("this plan runs on the CPU");
            };
            let pictures = floats(picture_storage, picture_layout)?;
            let State { plan, labels, .. } = &mut *self.lock();
            plan.backward(pictures, floats(parameter_storage, parameter_layout)?, labels.len())
        };
        let gradients = Tensor::from_vec(gradients, parameters.shape(), parameters.device())?;
        let factor = loss_gradient.to_scalar::<f32>()?;
        let gradients = if factor == 1.0 { gradients } else { gradients.affine(f64::from(factor), 0.0)? };
        Ok((None, Some(gradients)))
    }
}

/// The values of a contiguous float32 storage.
pub(crate) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("a contiguous tensor is needed") };
    Ok(&storage.as_slice::<f32>()?[start..end])
}
