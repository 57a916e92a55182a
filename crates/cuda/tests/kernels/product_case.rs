//! A product with all that it reads, and what is to come of it, in float64.

use crate::card::Card;
use crate::numbers::{Storage, numbers, to_bfloat16, to_tf32};
use crate::reading::{Curve, Norm};

#[derive(Debug, Clone, Copy)]
pub enum Way {
    F32,
    Tf32,
    Bf16,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::F32, Self::Tf32, Self::Bf16];

    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }

    pub fn storage(self) -> Storage {
        if matches!(self, Self::Bf16) { Storage::Bf16 } else { Storage::F32 }
    }

    /// Terms whose rounding errors are as large as those of a product over this depth. Tensor cores cut off where they add to a
    /// sum, every 8 values of TF32: an error that doesn't average out.
    pub fn terms(self, depth: usize) -> usize {
        if matches!(self, Self::F32) { depth } else { depth.max((depth / 8).pow(2)) }
    }

    /// How far two neighbours among its operands are from each other, of the larger one.
    pub fn precision(self) -> f64 {
        match self {
            Self::F32 => 1e-5,
            Self::Tf32 => 2.0f64.powi(-10),
            Self::Bf16 => 2.0f64.powi(-7),
        }
    }

    /// An operand as the product takes it.
    pub fn operand(self, value: f32) -> f64 {
        f64::from(match self {
            Self::F32 => value,
            Self::Tf32 => to_tf32(value),
            Self::Bf16 => to_bfloat16(value),
        })
    }
}

/// One product with all that it reads.
pub struct Case {
    pub way: Way,
    pub pixels: usize,
    pub rows: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub input: Vec<f32>,
    pub input_norm: Norm,
    pub weight: Vec<f32>,
    pub factors: Option<Vec<f32>>,
}

impl Case {
    pub fn new(
        card: &Card,
        way: Way,
        size: (usize, usize, usize, usize),
        curve: Curve,
        factors: bool,
    ) -> Self {
        let (pictures, pixels, inputs, outputs) = size;
        let (rows, storage) = (pictures * pixels, way.storage());
        Self {
            way,
            pixels,
            rows,
            inputs,
            outputs,
            input: storage.rounded(numbers(1, rows * inputs)),
            input_norm: Norm::new(card, 2, inputs, curve),
            weight: storage.rounded(numbers(3, inputs * outputs)),
            factors: factors.then(|| numbers(4, pictures * inputs)),
        }
    }

    pub fn what(&self, kernel: &str) -> String {
        format!("{kernel}_{} {}x{}x{}", self.way.name(), self.rows, self.inputs, self.outputs)
    }

    /// What is read of the input, times the factors, as an operand.
    pub fn read(&self) -> Vec<f64> {
        let read = self.input_norm.read_all(&self.input);
        let factor = |index: usize| {
            let row = index / self.inputs;
            self.factors
                .as_ref()
                .map_or(1.0, |all| all[row / self.pixels * self.inputs + index % self.inputs])
        };
        read.into_iter().enumerate().map(|(index, a)| self.way.operand(a * factor(index))).collect()
    }

    pub fn weights(&self) -> Vec<f64> {
        self.weight.iter().map(|value| self.way.operand(*value)).collect()
    }

    /// The output, with the bias that [`Self::bias`] has.
    pub fn expected_forward(&self, biased: bool) -> Vec<f64> {
        let Self { rows, inputs, outputs, .. } = *self;
        let (read, weights, bias) = (self.read(), self.weights(), self.bias());
        let mut expected = vec![0.0; rows * outputs];
        for (index, sum) in expected.iter_mut().enumerate() {
            let (row, output) = (index / outputs, index % outputs);
            let products = read[row * inputs..][..inputs].iter().zip(&weights[output * inputs..][..inputs]);
            *sum = products.map(|(a, b)| a * b).sum::<f64>();
            if biased {
                *sum += f64::from(bias[output]);
            }
        }
        expected
    }

    pub fn bias(&self) -> Vec<f32> {
        numbers(5, self.outputs)
    }

    /// The output's map with its gradient, and the gradient of it as an operand.
    pub fn gradient(&self, card: &Card, curve: Curve) -> Gradient {
        let storage = self.way.storage();
        let gradient = storage.rounded(numbers(6, self.rows * self.outputs));
        let output = storage.rounded(numbers(7, self.rows * self.outputs));
        let norm = Norm::new(card, 8, self.outputs, curve);
        let own = norm.gradient_all(&gradient, &output);
        let operands = own.iter().map(|g| self.way.operand(*g)).collect();
        Gradient { gradient, output, norm, own, operands }
    }

    /// The input's gradient; `before` is added to it.
    pub fn expected_input_gradient(
        &self,
        operands: &[f64],
        multiplied: bool,
        before: Option<&[f32]>,
    ) -> Vec<f64> {
        let Self { rows, inputs, outputs, .. } = *self;
        let weights = self.weights();
        let mut expected = vec![0.0; rows * inputs];
        for (row, sums) in expected.chunks_exact_mut(inputs).enumerate() {
            for output in 0..outputs {
                let g = operands[row * outputs + output];
                sums.iter_mut().zip(&weights[output * inputs..]).for_each(|(sum, w)| *sum += g * w);
            }
            for (input, sum) in sums.iter_mut().enumerate() {
                if let (Some(factors), true) = (&self.factors, multiplied) {
                    *sum *= f64::from(factors[row / self.pixels * inputs + input]);
                }
                if let Some(before) = before {
                    *sum += f64::from(before[row * inputs + input]);
                }
            }
        }
        expected
    }

    /// The weight's gradient, from that of the output as an operand.
    pub fn expected_weight_gradient(&self, operands: &[f64]) -> Vec<f64> {
        let Self { rows, inputs, outputs, .. } = *self;
        let read = self.read();
        let mut expected = vec![0.0; outputs * inputs];
        for row in 0..rows {
            for output in 0..outputs {
                let g = operands[row * outputs + output];
                let sums = expected[output * inputs..][..inputs].iter_mut();
                sums.zip(&read[row * inputs..]).for_each(|(sum, a)| *sum += g * a);
            }
        }
        expected
    }
}

/// The gradient of what is read of an output, and what follows.
pub struct Gradient {
    pub gradient: Vec<f32>,
    pub output: Vec<f32>,
    pub norm: Norm,
    /// The output's own gradient.
    pub own: Vec<f32>,
    /// The same as an operand.
    pub operands: Vec<f64>,
}
