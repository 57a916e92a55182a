//! Adam (Kingma and Ba 2014, algorithm 1) as PyTorch writes it: eps outside the root, both moments bias-corrected, no
//! weight decay. An operation of candle that changes the parameters in place.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Var, bail};
use rayon::prelude::*;
use std::sync::Mutex;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f64 = 1e-8;

/// Parameters that one task handles: 64 KB an operand, so that a task is long against its start.
const CHUNK: usize = 16_384;

/// The two moments of every parameter, and how many steps they have seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Running mean of the gradient.
    pub first: Vec<f32>,
    /// Running mean of its square.
    pub second: Vec<f32>,
    /// Steps done.
    pub steps: u64,
}

impl Moments {
    /// Moments before the first step.
    pub fn new(parameters: usize) -> Self {
        Self { first: vec![0.0; parameters], second: vec![0.0; parameters], steps: 0 }
    }

    /// One step. Elementwise, so the bits don't depend on the threads.
    fn step(&mut self, parameters: &mut [f32], gradients: &[f32], learning_rate: f64) {
        self.steps += 1;
        let steps = self.steps as f64;
        let (correction1, correction2) = (1.0 - BETA1.powf(steps), 1.0 - BETA2.powf(steps));
        let step_size = (learning_rate / correction1) as f32;
        let root2 = correction2.sqrt() as f32;
        let (keep1, new1) = (BETA1 as f32, (1.0 - BETA1) as f32);
        let (keep2, new2) = (BETA2 as f32, (1.0 - BETA2) as f32);
        let moments = self.first.par_chunks_mut(CHUNK).zip(self.second.par_chunks_mut(CHUNK));
        let parameters = parameters.par_chunks_mut(CHUNK).zip(gradients.par_chunks(CHUNK));
        parameters.zip(moments).for_each(|((parameters, gradients), (first, second))| {
            let moments = first.iter_mut().zip(second);
            for ((parameter, g), (first, second)) in parameters.iter_mut().zip(gradients).zip(moments) {
                *first = keep1 * *first + new1 * g;
                *second = keep2 * *second + new2 * g * g;
                *parameter -= step_size * *first / (second.sqrt() / root2 + EPS as f32);
            }
        });
    }
}

/// The optimizer of one set of parameters.
#[derive(Debug)]
pub struct Adam {
    state: Mutex<(Moments, f64)>,
}

impl Adam {
    /// Goes on from `moments`.
    pub fn new(moments: Moments) -> Self {
        Self { state: Mutex::new((moments, 0.0)) }
    }

    /// Moves `parameters` by one step along `gradients`, both flat and of the same length.
    pub fn step(&self, parameters: &Var, gradients: &candle_core::Tensor, learning_rate: f64) -> Result<()> {
        self.lock().1 = learning_rate;
        parameters.inplace_op2(gradients, self)
    }

    /// A copy of the moments, for a checkpoint.
    pub fn moments(&self) -> Moments {
        self.lock().0.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Moments, f64)> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl InplaceOp2 for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        parameters: &mut CpuStorage,
        parameters_layout: &Layout,
        gradients: &CpuStorage,
        gradients_layout: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(parameters), CpuStorage::F32(gradients)) = (parameters, gradients) else {
            bail!("adam works on float32");
        };
        let (Some((start, end)), Some((from, to))) =
            (parameters_layout.contiguous_offsets(), gradients_layout.contiguous_offsets())
        else {
            bail!("adam works on contiguous tensors");
        };
        let (moments, learning_rate) = &mut *self.lock();
        moments.step(&mut parameters[start..end], &gradients[from..to], *learning_rate);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Adam, Moments};
    use candle_core::{Device, Tensor, Var};

    #[test]
    fn three_steps_are_pytorchs() {
        let parameters = Var::new(&[1.0f32, -2.0, 0.5], &Device::Cpu).unwrap();
        let adam = Adam::new(Moments::new(3));
        // torch.optim.Adam(lr=0.1) on the same gradients.
        let steps = [
            ([0.1f32, -0.2, 0.0], [0.899_999_98, -1.899_999_98, 0.5]),
            ([0.3, 0.1, 1e-9], [0.808_221_88, -1.873_366_24, 0.495_084_49]),
            ([-1.0, 0.0, 2.0], [0.847_753_47, -1.852_778_32, 0.431_203_13]),
        ];
        for (gradients, expected) in steps {
            adam.step(&parameters, &Tensor::new(&gradients, &Device::Cpu).unwrap(), 0.1).unwrap();
            for (ours, expected) in parameters.to_vec1::<f32>().unwrap().iter().zip(expected) {
                assert!((f64::from(*ours) - expected).abs() < 2e-7, "{ours}, expected {expected}");
            }
        }
        assert_eq!(adam.moments().steps, 3);
    }
}
