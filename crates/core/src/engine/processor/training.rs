//! A network that the processor trains: the plan's step, the optimizers, the average of weights, one after the other.

use super::groups::Groups;
use crate::data::prepare::Batch;
use crate::device::precision;
use crate::engine::TrainingPlan;
use crate::engine::backend::{EngineState, Recipe, TrainingEngine, Update, Wait};
use crate::engine::head::Head;
use crate::engine::step::TrainingStep;
use crate::error::{Error, Result};
use crate::floats::{floats, in_place};
use crate::kernels::loss::{Loss, Targets};
use crate::kernels::simd::Isa;
use crate::optim::average::Average;
use candle_core::{Device, Storage, Tensor, Var};

/// See [`TrainingEngine`]. A step has ended when the call returns.
#[derive(Debug)]
pub(super) struct Training {
    parameters: Var,
    step: TrainingStep,
    groups: Groups,
    average: Option<Average>,
    resolution: usize,
    smoothing: f64,
    class_weights: Option<Vec<f64>>,
    losses: Vec<Loss>,
}

impl Training {
    /// From a state.
    pub fn new(recipe: Recipe<'_>, state: EngineState) -> Result<Self> {
        let Recipe { network, config, class_weights, capacity, frozen_steps } = recipe;
        let plan = TrainingPlan::new(network.clone(), capacity, Isa::best());
        let mut plan = plan.in_bfloat16(precision(config.precision)?);
        plan.statistics = state.statistics;
        let groups = Groups::new(config, plan.parameters(), state.optimizer, frozen_steps);
        let floats = state.parameters.len();
        Ok(Self {
            parameters: Var::from_vec(state.parameters, floats, &Device::Cpu)?,
            step: TrainingStep::new(plan)?,
            groups,
            average: state.average,
            resolution: network.resolution,
            smoothing: config.label_smoothing,
            class_weights: class_weights.map(<[f64]>::to_vec),
            losses: Vec::new(),
        })
    }

    fn targets<'a>(&'a self, batch: &'a Batch) -> Targets<'a> {
        Targets {
            labels: &batch.labels,
            mixture: batch.mixture.as_ref(),
            smoothing: self.smoothing,
            weights: self.class_weights.as_deref(),
        }
    }

    /// After the parameters have moved. Of a loss that is no number, nothing goes into the average: the run ends.
    fn finish(&mut self, loss: Loss) -> Result<()> {
        self.losses.push(loss);
        if let (Some(average), true) = (&mut self.average, loss.sum.is_finite()) {
            let (storage, layout) = self.parameters.storage_and_layout();
            let Storage::Cpu(storage) = &*storage else { return Err(Error::internal("not on the CPU")) };
            let parameters = floats(storage, layout)?;
            self.step.with_plan(|plan| average.update(parameters, &plan.statistics));
        }
        Ok(())
    }
}

impl TrainingEngine for Training {
    fn step(&mut self, mut batch: Batch, update: Update) -> Result<()> {
        let input = std::mem::take(&mut batch.input);
        let input =
            Tensor::from_vec(input, (batch.count, self.resolution, self.resolution, 3), &Device::Cpu)?;
        self.step.with_plan(|plan| plan.dropout_stream = update.stream);
        let parameters = self.parameters.as_tensor();
        let loss = self.step.run(&input, self.targets(&batch), parameters)?;
        self.groups.step(parameters, self.step.gradients(), update.rate)?;
        self.finish(loss)
    }

    fn step_head(&mut self, head: &mut Head, mut batch: Batch, update: Update) -> Result<()> {
        let features = std::mem::take(&mut batch.input);
        let parameters = self.parameters.as_tensor();
        // The end of those of all layers, which are there anyway.
        let gradients = self.groups.head_of(self.step.gradients())?;
        let own = self.groups.head_of(parameters)?;
        let loss = in_place(&gradients, &own, |gradients, parameters| {
            head.step(features, self.targets(&batch), parameters, update.stream, gradients)
        })?;
        self.groups.step_head(parameters, &gradients, update.rate)?;
        self.finish(loss)
    }

    fn losses(&mut self, _wait: Wait) -> Result<Vec<Loss>> {
        Ok(std::mem::take(&mut self.losses))
    }

    fn state(&mut self) -> Result<EngineState> {
        Ok(EngineState {
            parameters: self.parameters.to_vec1::<f32>()?,
            statistics: self.step.with_plan(|plan| plan.statistics.clone()),
            optimizer: self.groups.state(),
            average: self.average.clone(),
        })
    }

    fn bytes(&self) -> usize {
        let plan = |plan: &mut TrainingPlan| {
            plan.bytes() + 2 * plan.parameters().parameter_floats * size_of::<f32>()
        };
        self.step.with_plan(plan) + self.groups.bytes()
    }
}
