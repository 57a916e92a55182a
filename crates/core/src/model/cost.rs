//! What depthwise separable convolution saves (Howard et al. 2017, arXiv 1704.04861, section 3.1): in one layer, and in
//! a whole network.
//!
//! The paper's `D_F`, `D_K`, `M` and `N` are here F (height and width of the input), K (of the kernel), C (channels in)
//! and M (channels out).

use super::network::Operation;
use super::summary::layers;
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// The largest size: four of them as squares and products stay far below 2^128.
const LARGEST: usize = 1_000_000;

/// Most multiply-adds of a standard convolution. The separable one has at most twice as many, and up to 2^53 float64
/// holds every whole number, so that whoever reads these as float64 reads the same.
const COUNT_LIMIT: u128 = 1 << 52;

/// A convolution of stride 1 with padding `same`: F x F x C in, F x F x M out, a kernel of K x K x C x M, no bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// F: height and width of the input, and of the output.
    pub input: usize,
    /// C: channels of the input.
    pub channels: usize,
    /// K: height and width of the kernel.
    pub kernel: usize,
    /// M: channels of the output.
    pub outputs: usize,
}

/// What a convolution or a network costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiplications with an addition for one picture.
    pub multiply_adds: u64,
    /// Trained values.
    pub parameters: u64,
}

/// A convolution beside the depthwise separable one that takes its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeparableCost {
    /// As it is: K K C M F F multiply-adds, K K C M parameters.
    pub standard: Cost,
    /// Its first part, one K x K filter a channel: K K C F F multiply-adds, K K C parameters.
    pub depthwise: Cost,
    /// Its second part, a 1x1 convolution: C M F F multiply-adds, C M parameters.
    pub pointwise: Cost,
    /// The separable convolution's cost as a share of the standard one's, the same for multiply-adds and parameters:
    /// 1/M + 1/K^2.
    pub ratio: f64,
    /// 1/M + 1/F^2, with which a well-known course note ends the same derivation: F in K's place. It is the ratio only
    /// where F = K.
    pub course_note_ratio: f64,
}

/// A network beside the same one with standard convolutions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetworkCost {
    /// As it is.
    pub separable: Cost,
    /// With standard convolutions.
    pub standard: Cost,
    /// Multiply-adds as a share of those with standard convolutions.
    pub ratio: f64,
}

impl Convolution {
    /// What it costs, and what a depthwise separable one costs in its place.
    ///
    /// # Errors
    /// `INVALID_OPTION` for a size below 1 or above 1,000,000, and for a standard convolution of more than
    /// 2^52 multiply-adds.
    pub fn cost(&self) -> Result<SeparableCost> {
        let size = |name, value| {
            if (1..=LARGEST).contains(&value) {
                return Ok(value as u128);
            }
            Err(Error::invalid_option(format!("{name} must be from 1 to {LARGEST}, not {value}")))
        };
        let input = size("input", self.input)?;
        let channels = size("channels", self.channels)?;
        let kernel = size("kernel", self.kernel)?;
        let outputs = size("outputs", self.outputs)?;
        let positions = input * input;
        let standard = kernel * kernel * channels * outputs;
        if standard * positions > COUNT_LIMIT {
            return Err(Error::invalid_option(format!(
                "input, channels, kernel and outputs are too large together: a standard convolution may have \
                 {COUNT_LIMIT} multiply-adds, and this one has {}",
                standard * positions
            )));
        }
        // Checked above: no part has more than the standard convolution.
        let cost = |parameters: u128| Cost {
            multiply_adds: (parameters * positions) as u64,
            parameters: parameters as u64,
        };
        let (standard, depthwise) = (cost(standard), cost(kernel * kernel * channels));
        let pointwise = cost(channels * outputs);
        let inverse_outputs = 1.0 / self.outputs as f64;
        Ok(SeparableCost {
            standard,
            depthwise,
            pointwise,
            ratio: (depthwise + pointwise).multiply_adds as f64 / standard.multiply_adds as f64,
            course_note_ratio: inverse_outputs + 1.0 / positions as f64,
        })
    }
}

impl SeparableCost {
    /// Of both parts together.
    pub fn separable(&self) -> Cost {
        self.depthwise + self.pointwise
    }
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            multiply_adds: self.multiply_adds + other.multiply_adds,
            parameters: self.parameters + other.parameters,
        }
    }
}

/// What a network costs, and what it would cost with standard convolutions, as in table 4 of the paper: one in place of
/// each depthwise convolution and the pointwise one that reads it, with the kernel, stride and padding of the first and
/// the batch norm of the second. Batch norm counts as parameters only.
///
/// In V2 and V3 that is the depthwise convolution with the linear projection: the standard convolution reads the
/// expanded channels, and expansion, shortcut and squeeze-and-excitation stay as they are. Nobody would build such a
/// network; it says what so wide a layer would cost if its convolution were not separable.
pub fn network(config: &ModelConfig) -> NetworkCost {
    let network = super::network(config);
    let rows: Vec<Cost> = layers(&network)
        .iter()
        .map(|row| Cost { multiply_adds: row.multiply_adds as u64, parameters: row.parameters as u64 })
        .collect();
    let separable = rows.iter().fold(Cost::default(), |sum, &row| sum + row);
    let mut standard = separable;
    for (index, pointwise) in network.layers.iter().enumerate() {
        let Some(before) = pointwise.input else { continue };
        let depthwise = &network.layers[before];
        if (depthwise.operation, pointwise.operation) != (Operation::Depthwise, Operation::Pointwise) {
            continue;
        }
        let weights = pointwise.inputs * pointwise.outputs;
        let area = depthwise.kernel * depthwise.kernel;
        let positions = depthwise.output_side() * depthwise.output_side();
        standard.multiply_adds += (area * weights * positions) as u64;
        standard.multiply_adds -= rows[before].multiply_adds + rows[index].multiply_adds;
        // What the pointwise convolution has besides its weights stays.
        standard.parameters += ((area - 1) * weights) as u64;
        standard.parameters -= rows[before].parameters;
    }
    let ratio = separable.multiply_adds as f64 / standard.multiply_adds as f64;
    NetworkCost { separable, standard, ratio }
}

#[cfg(test)]
mod tests {
    use super::{Convolution, Cost, NetworkCost};
    use crate::config::{Layout, ModelOptions, Variant};
    use crate::error::ErrorCode;

    fn convolution([input, channels, kernel, outputs]: [usize; 4]) -> Convolution {
        Convolution { input, channels, kernel, outputs }
    }

    #[test]
    fn one_layer_is_the_papers_of_table_3() {
        // An inner layer of the network: 462 million multiply-adds and 2.36 million parameters against 52.3 and 0.27.
        let cost = convolution([14, 512, 3, 512]).cost().unwrap();
        assert_eq!(cost.standard, Cost { multiply_adds: 462_422_016, parameters: 2_359_296 });
        assert_eq!(cost.depthwise, Cost { multiply_adds: 903_168, parameters: 4_608 });
        assert_eq!(cost.pointwise, Cost { multiply_adds: 51_380_224, parameters: 262_144 });
        assert_eq!(cost.separable(), Cost { multiply_adds: 52_283_392, parameters: 266_752 });
    }

    #[test]
    fn the_ratio_has_the_kernel_in_it_and_not_the_input() {
        for (input, channels) in [(1, 1), (3, 7), (14, 512), (224, 3)] {
            for (kernel, outputs) in [(1, 1), (2, 5), (3, 64), (5, 1024), (224, 2)] {
                let cost = convolution([input, channels, kernel, outputs]).cost().unwrap();
                let parameters = cost.separable().parameters as f64 / cost.standard.parameters as f64;
                let formula = 1.0 / outputs as f64 + 1.0 / (kernel * kernel) as f64;
                assert!((cost.ratio - formula).abs() <= 1e-15 * formula);
                assert!((parameters - formula).abs() <= 1e-15 * formula);
                let agrees = (cost.course_note_ratio - cost.ratio).abs() <= 1e-15 * formula;
                assert_eq!(agrees, input == kernel, "{input} {kernel}");
            }
        }
    }

    #[test]
    fn sizes_have_limits() {
        for (sizes, message) in [
            ([0, 1, 1, 1], "input must be from 1 to 1000000, not 0"),
            ([1, 1_000_001, 1, 1], "channels must be from 1 to 1000000, not 1000001"),
            ([1, 1, 0, 1], "kernel must be from 1 to 1000000, not 0"),
            ([1, 1, 1, 0], "outputs must be from 1 to 1000000, not 0"),
            ([1_000_000; 4], "too large together"),
        ] {
            let error = convolution(sizes).cost().unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidOption);
            assert!(error.message.contains(message), "{}", error.message);
        }
        assert!(convolution([1_000_000, 4, 1, 1000]).cost().is_ok());
    }

    fn imagenet(width: f64, resolution: usize) -> NetworkCost {
        let options = ModelOptions {
            layout: Some(Layout::Imagenet),
            width: Some(width),
            resolution: Some(resolution),
            ..Default::default()
        };
        super::network(&options.resolve().unwrap())
    }

    #[test]
    fn with_standard_convolutions_it_is_table_4() {
        let cost = imagenet(1.0, 224);
        assert_eq!(cost.separable, Cost { multiply_adds: 568_740_352, parameters: 4_231_976 });
        // The paper prints 4866 and 29.3 million. Without the classifier, which has 1.024, it is 4866.3.
        assert_eq!(cost.standard, Cost { multiply_adds: 4_867_293_184, parameters: 29_294_088 });
        assert!((cost.ratio - 0.11685).abs() < 1e-5);
    }

    #[test]
    fn every_width_and_resolution_costs_what_the_paper_says() {
        // In millions. The paper prints the first row and the first column (tables 6 and 7), and not all of them
        // rounded: 290 is 290.675.
        for (width, parameters, multiply_adds) in [
            (1.0, 4.2, [569, 418, 290, 186]),
            (0.75, 2.6, [325, 239, 166, 107]),
            (0.5, 1.3, [149, 110, 77, 49]),
            (0.25, 0.5, [41, 30, 21, 14]),
        ] {
            for (resolution, millions) in [224, 192, 160, 128].into_iter().zip(multiply_adds) {
                let cost = imagenet(width, resolution).separable;
                let distance = cost.multiply_adds.abs_diff(millions * 1_000_000);
                assert!(distance < 1_000_000, "{width} {resolution}: {cost:?}");
                assert!((cost.parameters as f64 / 1e6 - parameters).abs() < 0.05, "{width}: {cost:?}");
            }
        }
    }

    #[test]
    fn without_padding_both_networks_have_the_smaller_maps() {
        let cost = super::network(&ModelOptions::default().resolve().unwrap());
        assert_eq!(cost.separable, Cost { multiply_adds: 344_110_720, parameters: 3_217_194 });
        assert_eq!(cost.standard, Cost { multiply_adds: 3_024_815_488, parameters: 28_279_306 });
    }

    #[test]
    fn the_others_have_a_standard_convolution_of_the_expanded_channels() {
        // The parameters as they are, are torchvision's. The rest was counted from the papers' tables by a program of
        // its own.
        for (variant, separable, standard) in [
            (Variant::V2, [300_774_272, 3_504_872], [1_224_972_288, 11_131_976]),
            (Variant::V3Large, [216_589_760, 5_483_032], [1_331_974_016, 17_211_664]),
            (Variant::V3Small, [56_510_400, 2_542_856], [410_116_352, 6_686_976]),
        ] {
            let layout = Some(Layout::Imagenet);
            let options = ModelOptions { variant: Some(variant), layout, ..Default::default() };
            let cost = super::network(&options.resolve().unwrap());
            let count = |[multiply_adds, parameters]: [u64; 2]| Cost { multiply_adds, parameters };
            assert_eq!(cost.separable, count(separable), "{variant:?}");
            assert_eq!(cost.standard, count(standard), "{variant:?}");
        }
    }
}
