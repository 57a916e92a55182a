//! Our engine, set up for a case with made-up weights and pictures.

use crate::common::{self, Case};
use candle_core::{Device, Tensor, Var};
use mobilenet_core::config::{OptimizerConfig, OptimizerKind};
use mobilenet_core::engine::step::TrainingStep;
use mobilenet_core::engine::{InferencePlan, TrainingPlan};
use mobilenet_core::kernels::product::bfloat16::Bfloat16;
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::model;
use mobilenet_core::optim::{Optimizer, State};

/// A run's steps over one batch.
pub struct Training {
    pub step: TrainingStep,
    adam: Optimizer,
    parameters: Var,
    pictures: Tensor,
    labels: Vec<u32>,
}

impl Training {
    pub fn new(case: &Case) -> Self {
        let (config, mut number) = (case.config(), common::numbers());
        let network = model::network(&config);
        let tensors = common::tensors(&network, &mut number);
        let mut plan = TrainingPlan::new(network, case.batch, Isa::best()).in_bfloat16(bfloat16(case));
        let (parameters, statistics) = plan.parameters().gather(&tensors);
        plan.statistics = statistics;
        let (floats, side) = (parameters.len(), config.resolution);
        let adam = OptimizerConfig::of(OptimizerKind::Adam);
        let pictures = (0..case.batch * plan.picture_floats()).map(|_| number()).collect();
        Self {
            step: TrainingStep::new(plan).unwrap(),
            adam: Optimizer::new(adam, &[], floats, State::new(adam.rule, floats)),
            parameters: Var::from_vec(parameters, floats, &Device::Cpu).unwrap(),
            pictures: Tensor::from_vec(pictures, (case.batch, side, side, 3), &Device::Cpu).unwrap(),
            labels: case.labels(),
        }
    }

    /// Forward and backward.
    pub fn gradients(&self) {
        self.step.run(&self.pictures, &self.labels, &self.parameters).unwrap();
    }

    /// Adam.
    pub fn update(&self) {
        self.adam.step(&self.parameters, self.step.gradients(), 0.01).unwrap();
    }
}

/// Inference of one batch.
pub struct Inference {
    pub plan: InferencePlan,
    pictures: Vec<f32>,
    count: usize,
}

impl Inference {
    pub fn new(case: &Case) -> Self {
        let mut number = common::numbers();
        let network = model::network(&case.config());
        let tensors = common::tensors(&network, &mut number);
        let mut plan = InferencePlan::new(network, case.batch, Isa::best()).in_bfloat16(bfloat16(case));
        let (parameters, statistics) = plan.parameters().gather(&tensors);
        plan.prepare(&parameters, &statistics);
        let pictures = (0..case.batch * plan.picture_floats()).map(|_| number()).collect();
        Self { plan, pictures, count: case.batch }
    }

    pub fn run(&mut self) {
        self.plan.forward(&self.pictures, self.count);
    }
}

/// Set if the case asks for it.
fn bfloat16(case: &Case) -> Option<Bfloat16> {
    (case.precision == "bfloat16").then(|| Bfloat16::of(Isa::best()).expect("a processor with AVX512_BF16"))
}
