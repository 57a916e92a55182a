//! The training plan as candle sees it: one operation that takes pictures and parameters and writes the gradient of the
//! loss in place.
//!
//! In place, and not by candle's `Tensor::backward`, which makes zeros as large as all parameters and adds the gradient
//! to them: 18 of 155 ms of a step of V1 `cifar`, most of it fresh pages from the system.

use super::plan::TrainingPlan;
use crate::floats::{floats, floats_mut};
use crate::kernels::loss::{Loss, Mixture, Targets};
use candle_core::{CpuStorage, Device, InplaceOp3, Layout, Result, Tensor};
use std::sync::{Mutex, MutexGuard};

/// A plan with the gradient that it writes.
#[derive(Debug)]
pub struct TrainingStep {
    state: Mutex<State>,
    gradients: Tensor,
}

#[derive(Debug)]
struct State {
    plan: TrainingPlan,
    labels: Vec<u32>,
    mixture: Option<Mixture>,
    label_smoothing: f64,
    class_weights: Option<Vec<f64>>,
    loss: Loss,
}

impl TrainingStep {
    /// Of a plan.
    pub fn new(plan: TrainingPlan) -> Result<Self> {
        let floats = plan.parameters().parameter_floats;
        let gradients = Tensor::from_vec(vec![0.0f32; floats], floats, &Device::Cpu)?;
        let loss = Loss { sum: 0.0, correct: 0 };
        let state = State {
            plan,
            labels: Vec::new(),
            mixture: None,
            label_smoothing: 0.0,
            class_weights: None,
            loss,
        };
        Ok(Self { state: Mutex::new(state), gradients })
    }

    /// Forward and backward: the loss of `pictures` (`[n, resolution, resolution, 3]`, normalised) against these
    /// targets. `parameters` is flat, as the plan lays it out. Moves the running statistics and sets [`Self::gradients`].
    pub fn run<'a>(
        &self,
        pictures: &Tensor,
        targets: impl Into<Targets<'a>>,
        parameters: &Tensor,
    ) -> Result<Loss> {
        self.lock().set_targets(targets.into());
        self.gradients.inplace_op3(pictures, parameters, self)?;
        Ok(self.lock().loss)
    }

    /// The gradient of the mean loss of the last [`Self::run`], laid out as the parameters.
    pub fn gradients(&self) -> &Tensor {
        &self.gradients
    }

    /// Works with the plan.
    pub fn with_plan<T>(&self, work: impl FnOnce(&mut TrainingPlan) -> T) -> T {
        work(&mut self.lock().plan)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic within a step ends the run; its half-done buffers are overwritten by the next step, if there is one.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    /// Keeps them for [`InplaceOp3::cpu_fwd`], which candle hands nothing but tensors.
    fn set_targets(&mut self, targets: Targets<'_>) {
        self.labels = targets.labels.to_vec();
        self.mixture = targets.mixture.cloned();
        self.label_smoothing = targets.smoothing;
        self.class_weights = targets.weights.map(<[f64]>::to_vec);
    }
}

impl InplaceOp3 for TrainingStep {
    fn name(&self) -> &'static str {
        "mobilenet training step"
    }

    fn cpu_fwd(
        &self,
        gradients: &mut CpuStorage,
        gradients_layout: &Layout,
        pictures: &CpuStorage,
        pictures_layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
    ) -> Result<()> {
        let (pictures, parameters) =
            (floats(pictures, pictures_layout)?, floats(parameters, parameters_layout)?);
        let gradients = floats_mut(gradients, gradients_layout)?;
        let State { plan, labels, mixture, label_smoothing, class_weights, loss } = &mut *self.lock();
        // On a thread of the pool: dividing a pass from without would put the caller to sleep each time.
        rayon::scope(|_| {
            plan.prepare(parameters);
            plan.forward(pictures, parameters, labels.len());
            *loss = plan.loss(Targets {
                labels,
                mixture: mixture.as_ref(),
                smoothing: *label_smoothing,
                weights: class_weights.as_deref(),
            });
            plan.backward(pictures, parameters, labels.len(), gradients);
        });
        Ok(())
    }
}
